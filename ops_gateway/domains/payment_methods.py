"""Saved cards. The card provider keeps them; here is what is printed of each, never its number."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from db.queries import queries
from ops_gateway.domains import payments
from ops_gateway.kernel.cards import Card, CardRefused, SetupIntent
from ops_gateway.kernel.cards import CardsUnreachable as NoAnswer
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import CardDeclined, Invalid, NotFound, OpError, Unavailable
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, Phases, operation

sql = queries(__file__)

LONGEST_ID = 255


class SetupIntentInput(Input):
    """No parameters."""


class SetupIntentOutput(Output):
    """What the client needs to collect a card: confirm the intent, then call attach."""

    client_secret: str
    setup_intent_id: str
    customer_id: str
    env: str


class AttachInput(Input):
    """Input of payment_methods.attach: the provider's id of a confirmed card."""

    payment_method_id: str = Field(min_length=4, pattern=r"^(cst|pm)_[A-Za-z0-9_]+$")


class PaymentMethodOutput(Output):
    """A saved card; `id` is what the other operations call payment_method_row_id."""

    id: str | None
    isDefault: bool = False
    brand: str | None
    last4: str | None
    expMonth: int | None
    expYear: int | None
    paymentMethodId: str


class SetDefaultInput(Input):
    """Input of payment_methods.set_default."""

    payment_method_row_id: str


class PaymentMethodsOutput(Output):
    """Output of payment_methods.list, the default card first."""

    payment_methods: list[PaymentMethodOutput]
    count: int


class DetachInput(Input):
    """Input of payment_methods.detach."""

    payment_method_row_id: str


class DetachOutput(Output):
    """Output of payment_methods.detach."""

    ok: bool = True


def shown(row: dict[str, Any]) -> PaymentMethodOutput:
    """A card as the wire has it."""
    return PaymentMethodOutput(
        id=row["id"],
        isDefault=row["is_default"],
        brand=row["brand"],
        last4=row["last4"],
        expMonth=row["exp_month"],
        expYear=row["exp_year"],
        paymentMethodId=row["provider_id"],
    )


async def customer(ctx: Context) -> str:
    """The organization as the provider knows it, made where there was none.

    Two calls at once may make two; the one that is written first is used by both.
    """
    cards = payments.provider(ctx)
    row = await ctx.row(None, sql.customer, env=cards.env)
    await ctx.release()
    if row is not None:
        return row["provider_id"]
    made = await cards.create_customer(ctx.organization_id)

    async def keep(inner: Context) -> str:
        await inner.execute(sql.keep_customer, env=cards.env, provider_id=made)
        return (await inner.one("customer", sql.customer, env=cards.env))["provider_id"]

    principal = payments.platform_for(ctx.organization_id)
    return await ctx.pipeline.act("payment_methods.customer", principal, keep)


def _unavailable(error: NoAnswer) -> Unavailable:
    return Unavailable(f"{error}; try again", 30, slug="card-provider-unavailable")


async def nothing(ctx: Context, body: Input, claimed: Any, error: OpError) -> None:
    """What was asked of the provider may be asked again; there is nothing to give back."""


# ---------------------------------------------------------------- saving


async def claim_setup(ctx: Context, body: SetupIntentInput) -> None:
    """Nothing to write; only that there is a provider."""
    payments.provider(ctx)


async def begin_setup(
    ctx: Context, body: SetupIntentInput, claimed: None
) -> tuple[str, SetupIntent]:
    """Have the provider begin."""
    try:
        owner = await customer(ctx)
        return owner, await payments.provider(ctx).begin_setup(owner)
    except NoAnswer as error:
        raise _unavailable(error) from None
    except CardRefused as refusal:
        raise CardDeclined(refusal.message, extra={"code": refusal.code}) from None


@operation(
    "payment_methods.create_setup_intent",
    scope="billing:write",
    effect=Effect.COMPUTE,
    phases=Phases(claim_setup, begin_setup, nothing, lease_seconds=payments.LEASE_SECONDS),
    secret=True,
)
async def create_setup_intent(
    ctx: Context, body: SetupIntentInput, claimed: None, made: tuple[str, SetupIntent]
) -> SetupIntentOutput:
    """Begin to save a card for charges without its holder; answers a Stripe SetupIntent."""
    owner, intent = made
    ctx.produced("setup_intent", intent.provider_id)
    return SetupIntentOutput(
        client_secret=intent.client_secret,
        setup_intent_id=intent.provider_id,
        customer_id=owner,
        env=payments.provider(ctx).env,
    )


async def claim_attach(ctx: Context, body: AttachInput) -> None:
    """Nothing to write; only that there is a provider."""
    if len(body.payment_method_id) > LONGEST_ID:
        raise Invalid.at("payment_method_id", f"must be at most {LONGEST_ID} characters")
    payments.provider(ctx)


async def act_attach(ctx: Context, body: AttachInput, claimed: None) -> Card:
    """Have the provider keep the card for this organization's customer."""
    try:
        owner = await customer(ctx)
        return await payments.provider(ctx).attach(owner, body.payment_method_id)
    except NoAnswer as error:
        raise _unavailable(error) from None
    except CardRefused as refusal:
        if refusal.missing:
            raise NotFound.of("payment method") from None
        raise CardDeclined(refusal.message, extra={"code": refusal.code}) from None


@operation(
    "payment_methods.attach",
    scope="billing:write",
    effect=Effect.COMPUTE,
    phases=Phases(claim_attach, act_attach, nothing, lease_seconds=payments.LEASE_SECONDS),
)
async def attach(ctx: Context, body: AttachInput, claimed: None, card: Card) -> PaymentMethodOutput:
    """Keep a confirmed card; the first one is the default."""
    env = payments.provider(ctx).env
    await ctx.one("customer", sql.lock_customer, env=env)  # one first card, however many at once
    await ctx.execute(
        sql.insert_card,
        id=new_id("pmr"),
        env=env,
        provider_id=card.provider_id,
        brand=card.brand,
        last4=card.last4,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        by=ctx.principal.id,
    )
    row = await ctx.one(
        "payment method", sql.card_by_provider, env=env, provider_id=card.provider_id
    )
    ctx.produced("payment_method", row["id"])
    return shown(row)


# ---------------------------------------------------------------- the saved ones


@operation("payment_methods.list", scope="billing:read", effect=Effect.READ)
async def list_cards(ctx: Context, body: Empty) -> PaymentMethodsOutput:
    """List the organization's saved cards."""
    cards = ctx.services.cards
    rows = await ctx.rows(None, sql.cards, env=cards.env if cards else None)
    return PaymentMethodsOutput(payment_methods=[shown(row) for row in rows], count=len(rows))


async def own(ctx: Context, card_id: str) -> dict[str, Any]:
    """The organization's card; raises NotFound."""
    cards = ctx.services.cards
    return await ctx.one("payment method", sql.card, id=card_id, env=cards.env if cards else None)


@operation("payment_methods.set_default", scope="billing:write", effect=Effect.COMPUTE)
async def set_default(ctx: Context, body: SetDefaultInput) -> PaymentMethodOutput:
    """Choose the card that is charged where none is named."""
    row = await own(ctx, body.payment_method_row_id)
    env = payments.provider(ctx).env
    await ctx.one("payment method", sql.lock_customer, env=env)
    await ctx.execute(sql.unset_default, id=row["id"], env=env)
    row = await ctx.one("payment method", sql.set_default, id=row["id"])
    ctx.produced("payment_method", row["id"])
    return shown(row)


async def claim_detach(ctx: Context, body: DetachInput) -> dict[str, Any]:
    """Find the card."""
    row = await own(ctx, body.payment_method_row_id)
    payments.provider(ctx)
    return row


async def act_detach(ctx: Context, body: DetachInput, row: dict[str, Any]) -> None:
    """Have the provider forget it."""
    try:
        await payments.provider(ctx).detach(row["provider_id"])
    except NoAnswer as error:
        raise _unavailable(error) from None
    except CardRefused as refusal:
        raise CardDeclined(refusal.message, extra={"code": refusal.code}) from None


@operation(
    "payment_methods.detach",
    scope="billing:write",
    effect=Effect.DESTRUCTIVE,
    phases=Phases(claim_detach, act_detach, nothing, lease_seconds=payments.LEASE_SECONDS),
)
async def detach(ctx: Context, body: DetachInput, row: dict[str, Any], done: None) -> DetachOutput:
    """Forget a saved card. Where it was the default there is none until another is chosen."""
    await ctx.execute(sql.detach, id=row["id"])
    ctx.produced("payment_method", row["id"])
    return DetachOutput()

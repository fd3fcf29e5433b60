"""Topping up: a saved card is charged, and the organization has the credits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ops_gateway.domains import payments
from ops_gateway.kernel.cards import CREDITS_PER_AUD, LEAST_CREDITS, MOST_CREDITS, Charged
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import ApprovalRequired, CardDeclined, Invalid, OpError
from ops_gateway.kernel.operation import Effect, Input, Output, Phases, operation


class TopupInput(Input):
    """Input of billing.topup: `credits` or `amount_aud`; without a card the default one pays."""

    credits: int | None = None
    amount_aud: Decimal | None = None
    payment_method_row_id: str | None = None


class TopupOutput(Output):
    """A top-up.

    `requires_action`: the card wants 3-D Secure; confirm the payment with `client_secret`, and the
    credits come when the provider says that it was paid. `processing`: it has not decided yet.
    """

    status: str
    credits: int
    amount_aud: float
    balance: int
    transaction_id: str | None
    payment_id: str
    payment_intent_id: str | None
    client_secret: str | None


def whole_credits(amount: Decimal, field: str) -> int:
    """An amount of dollars in credits; raises Invalid where it is not a whole number of cents."""
    if not amount.is_finite() or abs(amount) > MOST_CREDITS:
        raise Invalid.at(field, f"must be at most {MOST_CREDITS / CREDITS_PER_AUD}")
    credits = amount * CREDITS_PER_AUD
    if credits != credits.to_integral_value():
        raise Invalid.at(field, "must be a whole number of cents")
    return int(credits)


def chargeable(credits: int, field: str = "credits") -> int:
    """`credits`, where a card can be charged for them; raises Invalid."""
    if not LEAST_CREDITS <= credits <= MOST_CREDITS:
        raise Invalid.at(field, f"a card pays for {LEAST_CREDITS} to {MOST_CREDITS} credits")
    return credits


def wanted(body: TopupInput) -> int:
    """How many credits are asked for; raises Invalid."""
    if (body.credits is None) == (body.amount_aud is None):
        raise Invalid.at("credits", "give either credits or amount_aud")
    if body.amount_aud is not None:
        return chargeable(whole_credits(body.amount_aud, "amount_aud"), "amount_aud")
    assert body.credits is not None
    return chargeable(body.credits)


async def require_no_approval(ctx: Context, credits: int) -> None:
    """Raise ApprovalRequired where the organization wants a second yes for so much.

    Purchases without one count together for 24 hours, so that many small ones are no way round.
    They follow one another: the policy is locked until this transaction ends.
    """
    allowed = await payments.allowance(ctx)
    if allowed is None:
        return
    threshold, bought = allowed
    if bought + credits > threshold:
        raise ApprovalRequired(
            f"above {threshold} credits in 24 hours a purchase needs an approval and {bought} were "
            "bought without: see billing.approvals.request"
        )


async def claim(ctx: Context, body: TopupInput) -> dict[str, Any]:
    """Write the intent; a repetition of the same call carries its own on."""
    if (earlier := await payments.resumed(ctx)) is not None:
        return earlier
    credits = wanted(body)
    await payments.require_no_cap(ctx)
    card = None
    if body.payment_method_row_id is not None:
        card = await payments.find_card(ctx, body.payment_method_row_id)
    payments.provider(ctx)
    await require_no_approval(ctx, credits)
    return await payments.begin(ctx, "topup", credits, card or await payments.find_card(ctx))


async def act(ctx: Context, body: TopupInput, payment: dict[str, Any]) -> Charged | None:
    """Charge the card; None where somebody has finished the payment already."""
    if payment["state"] == "succeeded":
        return None
    if payment["state"] in ("failed", "canceled"):
        raise CardDeclined(payment["error"] or "the card was declined")
    return await payments.charge(payments.provider(ctx), payment)


async def undo(ctx: Context, body: TopupInput, payment: dict[str, Any], error: OpError) -> None:
    """The card was declined."""
    await payments.fail(ctx, payment["id"], error)


@operation(
    "billing.topup",
    scope="billing:write",
    effect=Effect.SPEND,
    status=201,
    phases=Phases(claim, act, undo, lease_seconds=payments.LEASE_SECONDS),
    secret=True,
)
async def top_up(
    ctx: Context, body: TopupInput, payment: dict[str, Any], charged: Charged | None
) -> TopupOutput:
    """Charge a saved card without its holder and add the credits.

    A card that wants 3-D Secure answers `requires_action`. Above the organization's threshold the
    answer is 409 `approval-required`, without a card or with one that is declined 402. After a 503
    nobody knows yet whether the card was charged: repeat the call with the same Idempotency-Key.
    """
    posted = len(ctx.postings)
    if charged is not None:
        payment = await payments.settle(ctx, payment["id"], charged)
    wallet = await ctx.one("wallet", payments.sql.wallet)
    # what is posted here joins the wallet when this commits
    balance = wallet["balance"] + sum(p["amount"] for p in ctx.postings[posted:])
    waits = payment["state"] == "requires_action"
    return TopupOutput(
        status=payment["state"] if payment["state"] != "started" else "processing",
        credits=payment["credits"],
        amount_aud=payments.aud(payment["credits"]),
        balance=balance,
        transaction_id=payment["journal_id"],
        payment_id=payment["id"],
        payment_intent_id=payment["provider_id"],
        client_secret=charged.client_secret if waits and charged is not None else None,
    )

"""Card payments: an intent row, a charge keyed by it, one posting to the ledger.

Each of the three is a step of its own and none waits inside a transaction. `begin` writes the row,
`charge` asks the provider, `settle` writes down how the charge stands. Whoever learns of a charge
calls `settle`: the operation that asked, the provider's message, or the sweeper that finishes what
a crash left. The first one posts: the ledger has one journal a payment, whatever the order.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

from db.queries import queries
from ops_gateway.domains.billing_notices import tell_payers
from ops_gateway.kernel.cards import (
    CREDITS_PER_AUD,
    CardRefused,
    Cards,
    CardsUnreachable,
    Charge,
    Charged,
)
from ops_gateway.kernel.context import Context, Event, Principal
from ops_gateway.kernel.errors import (
    CardDeclined,
    CardsNotConfigured,
    Conflict,
    Forbidden,
    NoDefaultCard,
    NotFound,
    OpError,
    OutcomeUnknown,
)
from ops_gateway.kernel.fault import fault
from ops_gateway.kernel.ids import new_id

logger = logging.getLogger(__name__)
sql = queries(__file__)

Kind = Literal["topup", "auto", "approval"]
Row = dict[str, Any]

SOURCES = {"topup": "topup", "auto": "auto_topup", "approval": "approval"}
LEASE_SECONDS = 90  # longer than the provider's client tries
LOOK_SECONDS = 300  # between two looks at a charge that waits for its holder
OWED_SECONDS = 5  # between two tries to take back what was refunded, while there are credits
MOST_FAILURES = 3  # of automatic top-ups in a row
UNKNOWN = "the card provider did not answer; the charge is finished or given up in a while"


async def require_no_cap(ctx: Context) -> None:
    """Raise Forbidden for a key with a spend cap: what it buys would be beyond its budget."""
    if ctx.principal.kind == "api_key" and await ctx.row(
        None, sql.has_budget, key=ctx.principal.id
    ):
        raise Forbidden("a key with a spend cap buys no credits; a member or another key may")


def provider(ctx: Context) -> Cards:
    """The card provider; raises CardsNotConfigured."""
    if ctx.services.cards is None:
        raise CardsNotConfigured(
            "card payments are not set up on this platform; its operator can grant credits"
        )
    return ctx.services.cards


def platform_for(organization_id: str) -> Principal:
    """The platform acting on an organization's payments."""
    return Principal(kind="service", id="payments", organization_id=organization_id, projects=None)


def aud(credits: int) -> float:
    """Credits in Australian dollars."""
    return credits / CREDITS_PER_AUD


async def allowance(ctx: Context) -> tuple[int, int] | None:
    """(threshold, credits bought without an approval in 24 hours), where the organization has a
    threshold. Who asks next waits until this transaction ends.
    """
    policy = await ctx.row(None, sql.lock_policy)
    if policy is None:
        return None
    return policy["threshold_credits"], (await ctx.one("policy", sql.bought_alone))["credits"]


# ---------------------------------------------------------------- the three steps


async def resumed(ctx: Context) -> Row | None:
    """The payment of an earlier run of this very call, to be carried on; its lease is renewed."""
    return await ctx.row(None, sql.by_intent, intent=ctx.intent, lease=LEASE_SECONDS)


async def find_card(ctx: Context, card_id: str | None = None) -> str:
    """The row of a saved card, or of the default one.

    Raises NotFound; then, for what is the caller's own, CardsNotConfigured; NoDefaultCard.
    """
    cards = ctx.services.cards
    row = await ctx.row(None, sql.find_card, id=card_id, env=cards.env if cards else None)
    if row is None and card_id is not None:
        raise NotFound.of("payment method")
    provider(ctx)
    if row is None:
        raise NoDefaultCard("there is no default card; save one with payment_methods.attach")
    return row["id"]


async def begin(
    ctx: Context, kind: Kind, credits: int, card_id: str, *, approval_id: str | None = None
) -> Row:
    """Write the intent to charge a card; it commits before the provider is asked."""
    row = await ctx.row(
        None,
        sql.insert_payment,
        id=new_id("pay"),
        intent=ctx.intent or new_id("int"),
        kind=kind,
        credits=credits,
        card=card_id,
        env=provider(ctx).env,
        approval=approval_id,
        lease=LEASE_SECONDS,
        by=ctx.principal.id,
    )
    if row is None:
        raise NotFound.of("payment method")
    ctx.produced("payment", row["id"])
    return row


async def charge(cards: Cards, payment: Row) -> Charged:
    """Ask the provider, outside of any transaction; safe to repeat for the same payment.

    Raises CardDeclined where nothing was charged, OutcomeUnknown where nobody knows.
    """
    try:
        if payment["provider_id"] is not None:
            charged = await cards.look(payment["provider_id"])
        else:
            charged = await cards.charge(wanted(payment))
    except CardRefused as refusal:
        if payment["provider_id"] is not None:
            raise OutcomeUnknown(UNKNOWN, 60) from None
        raise CardDeclined(refusal.message, extra={"code": refusal.code}) from None
    except CardsUnreachable as error:
        raise OutcomeUnknown(UNKNOWN, 60) from error
    fault("charged")
    if charged.standing == "requires_action" and payment["kind"] != "topup":
        # nobody is there to authenticate, and nothing may succeed behind a refusal's back
        try:
            await cards.cancel(charged.provider_id)
        except (CardRefused, CardsUnreachable) as error:
            raise OutcomeUnknown(UNKNOWN, 60) from error
        raise CardDeclined(
            "the card wants 3-D Secure, which only its holder can do; choose another card",
            extra={"code": "authentication_required"},
        )
    if charged.standing in ("declined", "canceled"):
        raise CardDeclined(charged.message or "the card was declined", extra={"code": charged.code})
    return charged


async def settle(ctx: Context, payment_id: str, charged: Charged) -> Row:
    """Write down how a charge stands, in the caller's transaction; the payment as it is then.

    Credits come with the first call that says `succeeded`, from whatever state: once the money was
    taken, they are due. What the provider took back goes from the wallet as far as it reaches.
    """
    payment = await ctx.one("payment", sql.lock_payment, id=payment_id)
    if payment["provider_id"] not in (None, charged.provider_id):
        logger.error("a payment was charged twice", extra={"payment": payment_id})
        raise Conflict("this payment has another charge; the platform's operator has to look")
    before = payment["state"]
    if before != "succeeded":
        payment = await _stand(ctx, payment, charged)
    if payment["state"] != "succeeded":
        return payment
    await _take_back(ctx, payment, charged.returned)
    if before != "succeeded":
        # nobody spends new credits before what earlier payments owe is taken of them
        for owing in await ctx.rows(None, sql.lock_owing, besides=payment_id):
            await _take_back(ctx, owing, owing["returned_credits"])
    return payment


async def fail(ctx: Context, payment_id: str, error: OpError, *, state: str = "failed") -> None:
    """The charge was refused for certain: the payment ends, unless it is known better by now."""
    payment = await ctx.one("payment", sql.lock_payment, id=payment_id)
    if payment["state"] not in ("started", "requires_action"):
        return
    await ctx.execute(
        sql.fail,
        id=payment_id,
        state=state,
        provider_id=None,
        error=error.detail[:500],
        code=str(error.extra.get("code") or "")[:100] or None,
    )
    if payment["kind"] == "auto":
        await _auto_failed(ctx, error.detail)


async def _stand(ctx: Context, payment: Row, charged: Charged) -> Row:
    if charged.standing == "succeeded":
        if (charged.received, charged.currency) != (payment["credits"], "aud"):
            logger.error("a charge is not what was asked for", extra={"payment": payment["id"]})
            raise Conflict("the charge is not what was asked for; the operator has to look")
        return await _post(ctx, payment, charged)
    if charged.standing in ("declined", "canceled"):
        state = "canceled" if charged.standing == "canceled" else "failed"
        error = CardDeclined(charged.message or "the card was declined")
        error.extra["code"] = charged.code
        await fail(ctx, payment["id"], error, state=state)
    elif payment["state"] in ("started", "requires_action"):
        state = "requires_action" if charged.standing == "requires_action" else payment["state"]
        await ctx.execute(
            sql.wait, id=payment["id"], state=state, provider_id=charged.provider_id,
            seconds=LOOK_SECONDS,
        )  # fmt: skip
    return await ctx.one("payment", sql.payment, id=payment["id"])


async def _post(ctx: Context, payment: Row, charged: Charged) -> Row:
    """The one place where a card's money becomes credits."""
    journal = ctx.credit(
        "topup", payment["credits"], "card payment", reference=("payment", payment["id"])
    )
    await ctx.execute(
        sql.succeed, id=payment["id"], provider_id=charged.provider_id, journal=journal
    )
    ctx.produced("payment", payment["id"])
    data = {
        "credits": payment["credits"],
        "transaction_id": journal,
        "source": SOURCES[payment["kind"]],
    }
    ctx.emit(Event("credits.topped_up", "organization", ctx.organization_id, data))
    if payment["kind"] == "auto":
        await ctx.execute(sql.auto_succeeded)
    if payment["approval_id"] is not None:
        approval = await ctx.row(
            None, sql.approve, id=payment["approval_id"], by=payment["requested_by"]
        )
        if approval is not None:
            ctx.emit(decided(approval))
    return payment | {
        "state": "succeeded",
        "provider_id": charged.provider_id,
        "journal_id": journal,
    }


def decided(approval: Row) -> Event:
    """An approval's end, as an event."""
    return Event("approval.decided", "approval", approval["id"], told(approval))


def told(approval: Row) -> dict[str, Any]:
    """What the events of an approval say."""
    return {
        "approval_id": approval["id"],
        "status": approval["status"],
        "credits": approval["credits"],
        "amount_aud": aud(approval["credits"]),
        "requested_by": approval["requested_by"],
        "decided_by": approval["decided_by"],
        "reason": approval["reason"],
        "expires_at": approval["expires_at"].isoformat(),
    }


async def _take_back(ctx: Context, payment: Row, returned: int) -> None:
    """Reverse the posting by what went back to the card, and no further than the wallet reaches.

    Args:
        returned: all that went back to the card.
    """
    returned = min(returned, payment["credits"])
    taken = payment["taken_credits"]
    change = returned - taken
    if change > 0:
        wallet = await ctx.one("wallet", sql.lock_wallet)
        # what this transaction posts joins the wallet when it commits
        here = sum(p["amount"] for p in ctx.postings if p["kind"] == "topup")
        change = min(change, wallet["available"] + here)
    if change == 0 and returned == payment["returned_credits"]:
        return
    if change:
        ctx.credit(
            "topup",
            -change,
            "returned to the card" if change > 0 else "a return to the card was undone",
            reference=("payment_return", payment["id"]),
        )
    await ctx.execute(
        sql.returned,
        id=payment["id"],
        returned=returned,
        taken=taken + change,
        seconds=OWED_SECONDS,
    )
    if (owed := returned - taken - change) > 0:
        await tell_payers(
            ctx,
            f"{owed} credits are owed",
            "A payment went back to the card after its credits were used. What is owed is taken of "
            "the next credits that come; automatic top-up rests until then.",
            type="credits.low",
            entity=("organization", ctx.organization_id),
            dedupe_key=f"{payment['id']}/{returned}",
        )


async def _auto_failed(ctx: Context, reason: str) -> None:
    row = await ctx.row(None, sql.auto_failed, most=MOST_FAILURES, reason=reason[:500])
    if row is not None and not row["enabled"]:
        await tell_auto_topup_is_off(ctx, reason)


async def tell_auto_topup_is_off(ctx: Context, reason: str) -> None:
    """The people who pay hear that the platform stopped topping up by itself, and why."""
    await tell_payers(
        ctx,
        "Automatic top-up is off",
        f"{reason[:1000]}. Set it again when that is mended.",
        type="credits.low",
        entity=("organization", ctx.organization_id),
    )


def wanted(payment: Row) -> Charge:
    """What the provider is asked to charge."""
    return Charge(
        organization_id=payment["organization_id"],
        payment_id=payment["id"],
        credits=payment["credits"],
        customer_id=payment["customer_id"],
        card_id=payment["card_id"],
        again=payment["attempts"] > 1,
        since=payment["created_at"],
    )

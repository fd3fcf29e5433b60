"""Carrying on the card payments of others: by the provider's messages, and after crashes."""

from __future__ import annotations

from datetime import timedelta

from db.pool import Pool
from db.queries import queries
from ops_gateway.domains import payments
from ops_gateway.domains.payments import Row
from ops_gateway.kernel.cards import CardRefused, Cards, CardsUnreachable, Charged
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import CardDeclined, Conflict, NotFound, OutcomeUnknown
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.rounds import each_due

sql = queries(__file__)

CHARGE_FOR = timedelta(hours=1)  # afterwards a charge that was never made is given up
AUTHENTICATE_FOR = timedelta(hours=24)  # how long the holder may take for 3-D Secure


async def hear(pipeline: Pipeline, provider_id: str) -> bool:
    """The provider said that something is new about a charge: look, and write it down.

    What the message says is not believed further than that, so order and number of messages do not
    matter. False where the charge is none of ours.

    Raises CardsUnreachable where the provider cannot be asked; it sends the message again.
    """
    cards = pipeline.services.cards
    assert cards is not None
    try:
        charged = await cards.look(provider_id)
    except CardRefused:
        return False
    owner, payment_id = (charged.metadata.get(n) for n in ("organization_id", "payment_id"))
    if not owner or not payment_id:
        return False
    principal = payments.platform_for(owner)
    try:
        await _conclude(pipeline, principal, payment_id, charged)
    except (NotFound, Conflict):
        return False
    return True


async def _conclude(
    pipeline: Pipeline, principal: Principal, payment_id: str, charged: Charged
) -> None:
    """`settle` in a transaction of its own, where there is something new."""

    async def known(ctx: Context) -> Row:
        return await ctx.one("payment", payments.sql.payment, id=payment_id)

    async def write(ctx: Context) -> None:
        await payments.settle(ctx, payment_id, charged)

    payment = await pipeline.look("payments.look", principal, known)
    done = payment["state"] == "succeeded" and charged.standing == "succeeded"
    if done and payment["returned_credits"] == payment["taken_credits"] == charged.returned:
        return
    await pipeline.act("payments.settle", principal, write)


async def pursue(pipeline: Pipeline, organization_id: str, payment_id: str) -> None:
    """Carry one payment on whose charger is gone, or which waits for something."""
    cards = pipeline.services.cards
    assert cards is not None
    principal = payments.platform_for(organization_id)

    async def take(ctx: Context) -> Row | None:
        return await ctx.row(None, sql.lease, id=payment_id, lease=payments.LEASE_SECONDS)

    payment = await pipeline.act("payments.pursue", principal, take)
    if payment is None or payment["env"] != cards.env:
        return
    try:
        charged = await _find_out(cards, payment)
    except CardDeclined as error:
        refusal = error

        async def end(ctx: Context) -> None:
            await payments.fail(ctx, payment_id, refusal)

        await pipeline.act("payments.fail", principal, end)
        return
    except OutcomeUnknown:
        return  # the lease ends, and it is tried again
    await _conclude(pipeline, principal, payment_id, charged)


async def _find_out(cards: Cards, payment: Row) -> Charged:
    """How the charge stands, after whatever its age allows: charge, look, or give it up."""
    late = payment["age"] > (CHARGE_FOR if payment["provider_id"] is None else AUTHENTICATE_FOR)
    if payment["state"] == "succeeded" or not late:
        return await payments.charge(cards, payment)
    try:
        provider_id = payment["provider_id"]
        found = await (
            cards.look(provider_id) if provider_id else cards.find(payments.wanted(payment))
        )
        if found is None:
            raise CardDeclined("the charge was never made and is given up")
        if found.standing == "requires_action":
            await cards.cancel(found.provider_id)
            found = await cards.look(found.provider_id)
        return found
    except (CardRefused, CardsUnreachable) as error:
        raise OutcomeUnknown(payments.UNKNOWN, 60) from error


async def sweep(pipeline: Pipeline, system: Pool, *, limit: int = 20) -> int:
    """Pursue what is due; how many payments were seen to.

    Args:
        system: a pool of role opstac_system.
    """

    async def carry_on(row: Row) -> None:
        await pursue(pipeline, row["organization_id"], row["id"])

    return len(await each_due(system, sql.due, carry_on, "a payment waits", limit=limit))

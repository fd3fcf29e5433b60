"""Automatic top-up: when the available credits fall below a threshold, the default card is charged.

One charge at a time for an organization, no more a day than its cap and than its policy allows
without an approval, and off after three refusals in a row or while it owes what went back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import Field

from db.pool import Pool
from db.queries import queries
from ops_gateway.domains import payments
from ops_gateway.domains.billing_notices import tell_payers
from ops_gateway.domains.billing_topup import chargeable, whole_credits
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import (
    ApprovalRequired,
    CardDeclined,
    Invalid,
    NoDefaultCard,
    OutcomeUnknown,
)
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, operation
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.rounds import each_due

sql = queries(__file__)

HIGHEST_THRESHOLD = 10**12


class SetAutoTopupInput(Input):
    """Input of billing.set_auto_topup; without a cap the day has none."""

    enabled: bool
    threshold_credits: int = Field(gt=0)
    topup_amount_credits: int = Field(gt=0)
    daily_charge_cap_aud: Decimal | None = Field(None, gt=0)


class SetAutoTopupOutput(Output):
    """The settings. `disabled_reason` says why the platform itself turned it off."""

    enabled: bool
    threshold_credits: int
    topup_amount_credits: int
    daily_charge_cap_aud: float | None = None
    failures: int = 0
    disabled_reason: str | None = None


class AutoTopupOutput(Output):
    """Output of billing.auto_topup.get; enabled is false where nothing was ever set."""

    enabled: bool
    threshold_credits: int | None = None
    topup_amount_credits: int | None = None
    daily_charge_cap_aud: float | None = None
    failures: int = 0
    disabled_reason: str | None = None


def fields(row: dict[str, Any]) -> dict[str, Any]:
    """The settings as the wire has them."""
    cap = row["daily_cap_credits"]
    return {
        "enabled": row["enabled"],
        "threshold_credits": row["threshold_credits"],
        "topup_amount_credits": row["topup_credits"],
        "daily_charge_cap_aud": payments.aud(cap) if cap is not None else None,
        "failures": row["failures"],
        "disabled_reason": row["disabled_reason"],
    }


@operation("billing.auto_topup.get", scope="billing:read", effect=Effect.READ)
async def get_auto_topup(ctx: Context, body: Empty) -> AutoTopupOutput:
    """Read the organization's settings of automatic top-up."""
    row = await ctx.row(None, sql.settings)
    return AutoTopupOutput(**fields(row)) if row else AutoTopupOutput(enabled=False)


@operation("billing.set_auto_topup", scope="billing:write", effect=Effect.COMPUTE)
async def set_auto_topup(ctx: Context, body: SetAutoTopupInput) -> SetAutoTopupOutput:
    """Configure automatic top-up; enabling it needs a default card (else 402).

    An amount above the organization's approval threshold answers 409 `approval-required`: nobody
    would approve what is bought by itself.
    """
    if body.threshold_credits > HIGHEST_THRESHOLD:
        raise Invalid.at("threshold_credits", f"must be at most {HIGHEST_THRESHOLD}")
    amount = chargeable(body.topup_amount_credits, "topup_amount_credits")
    cap = None
    if body.daily_charge_cap_aud is not None:
        cap = whole_credits(body.daily_charge_cap_aud, "daily_charge_cap_aud")
        if cap < amount:
            raise Invalid.at("daily_charge_cap_aud", "must allow one charge of the amount a day")
    await payments.require_no_cap(ctx)
    if body.enabled:
        policy = await ctx.row(None, payments.sql.policy)
        most = policy["threshold_credits"] if policy else None
        if most is not None and amount > most:
            raise ApprovalRequired(
                f"above {most} credits a purchase needs an approval, and nobody would give one to "
                "what is bought by itself"
            )
        await payments.find_card(ctx)
    await ctx.execute(
        sql.set,
        enabled=body.enabled,
        threshold=body.threshold_credits,
        amount=amount,
        cap=cap,
        by=ctx.principal.id,
    )
    await ctx.execute(sql.watch, threshold=body.threshold_credits)
    ctx.produced("organization", ctx.organization_id)
    row = await ctx.one("settings", sql.settings)
    return SetAutoTopupOutput(**fields(row))


async def run(pipeline: Pipeline, organization_id: str) -> bool:
    """Charge the card once, where the credits are below; whether a charge was begun."""
    cards = pipeline.services.cards
    assert cards is not None
    principal = payments.platform_for(organization_id)

    async def start(ctx: Context) -> dict[str, Any] | None:
        if await ctx.row(None, sql.lock) is None:
            return None
        row = await ctx.one("settings", sql.state)
        if not row["enabled"] or row["under_way"]:
            return None
        if row["available"] >= row["threshold_credits"]:
            return None
        amount, cap = row["topup_credits"], row["daily_cap_credits"]
        if cap is not None and row["today"] + amount > cap:
            await ctx.execute(sql.until_tomorrow)
            return None
        if row["owed"]:
            await disable(ctx, f"{row['owed']} credits are owed of payments that went back")
            return None
        if not await _may_buy(ctx, amount):
            return None
        try:
            card = await payments.find_card(ctx)
        except NoDefaultCard:
            await disable(ctx, "there is no default card any more")
            return None
        return await payments.begin(ctx, "auto", amount, card)

    payment = await pipeline.act("billing.auto_topup.start", principal, start)
    if payment is None:
        return False
    try:
        charged = await payments.charge(cards, payment)
    except CardDeclined as error:
        refusal = error

        async def end(ctx: Context) -> None:
            await payments.fail(ctx, payment["id"], refusal)

        await pipeline.act("billing.auto_topup.fail", principal, end)
        return True
    except OutcomeUnknown:
        return True  # the sweeper finds out

    async def finish(ctx: Context) -> None:
        await payments.settle(ctx, payment["id"], charged)

    await pipeline.act("billing.auto_topup", principal, finish)
    return True


async def _may_buy(ctx: Context, amount: int) -> bool:
    """Whether the organization's policy lets so much be bought now; else it is off, or waits."""
    allowed = await payments.allowance(ctx)
    most, bought = allowed or (amount, 0)
    if amount > most:
        await disable(ctx, "the amount needs an approval by now")
        return False
    if bought + amount <= most:
        return True
    await ctx.execute(sql.until_allowed)
    await tell_payers(
        ctx,
        "Automatic top-up waits",
        f"{bought} credits were bought without an approval in 24 hours, and above {most} one is "
        "needed.",
        type="credits.low",
        entity=("organization", ctx.organization_id),
        dedupe_key=f"auto_topup waits {datetime.now(UTC):%Y-%m-%d}",
    )
    return False


async def disable(ctx: Context, reason: str) -> None:
    """Turn it off until somebody sets it again."""
    await ctx.execute(sql.disable, reason=reason)
    await payments.tell_auto_topup_is_off(ctx, reason)


async def run_due(pipeline: Pipeline, system: Pool, *, limit: int = 20) -> int:
    """Top up whoever is below; how many were seen to.

    Args:
        system: a pool of role opstac_system.
    """

    async def top_up(row: dict[str, Any]) -> bool:
        return await run(pipeline, row["organization_id"])

    return len(await each_due(system, sql.due, top_up, "a top-up waits", limit=limit))

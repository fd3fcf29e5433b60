"""The free tier: whom the operator admits to it, and the credits that come with it."""

from __future__ import annotations

from datetime import UTC, datetime

from db.queries import queries
from ops_gateway.domains import billing_plans
from ops_gateway.domains.billing_plans import give_month, month_of
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, Phases, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)


class ApproveInput(Input):
    """Input of billing.free_tier.approve."""

    organization_id: str
    admin_user_id: str | None = None


class OrgInput(Input):
    """One organization."""

    organization_id: str


class FreeTierOutput(Output):
    """What was said of an organization, and the credits it was given now."""

    organization_id: str
    status: str
    plan: str
    decided_by: str
    decided_at: datetime
    credits_granted: int


class WaitingOrganization(Output):
    """An organization on the free plan that nothing was said of."""

    organization_id: str
    name: str
    created_at: datetime


class PendingOutput(Output):
    """Output of billing.free_tier.list_pending, the oldest first."""

    pending: list[WaitingOrganization]
    count: int


class GrantedOrganization(Output):
    """Credits that were given in this call."""

    organization_id: str
    credits: int


class GrantAllOutput(Output):
    """Output of billing.free_tier.grant_all; organizations that had theirs are not listed."""

    processed: int
    granted: list[GrantedOrganization]
    credits: int


async def decide(ctx: Context, state: str, by: str) -> FreeTierOutput:
    """Say of the bound organization whether it has the free tier's credits."""
    await ctx.one("organization", sql.organization)
    await ctx.execute(sql.decide, state=state, by=by)
    now = datetime.now(UTC)
    given = await give_month(ctx, month_of(now), now) if state == "approved" else 0
    plan = await billing_plans.plan_of(ctx, now)
    said = await ctx.one("organization", sql.decision)
    ctx.produced("organization", ctx.organization_id)
    return FreeTierOutput(
        organization_id=ctx.organization_id,
        status=said["state"],
        plan=plan["id"],
        decided_by=said["decided_by"],
        decided_at=said["decided_at"],
        credits_granted=given,
    )


@operation(
    "billing.free_tier.approve",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    acts_for="organization_id",
)
async def approve(ctx: Context, body: ApproveInput) -> FreeTierOutput:
    """Approve an org for the free tier + grant its credits immediately (admin).

    Once more changes nothing. `admin_user_id` is kept as who decided; by default the caller.
    """
    return await decide(ctx, "approved", body.admin_user_id or ctx.principal.id)


@operation(
    "billing.free_tier.revoke",
    scope="admin:write",
    effect=Effect.DESTRUCTIVE,
    needs_organization=False,
    acts_for="organization_id",
)
async def revoke(ctx: Context, body: OrgInput) -> FreeTierOutput:
    """Revoke an org's free-tier approval (stops future grants; admin).

    What was given stays.
    """
    return await decide(ctx, "revoked", ctx.principal.id)


@operation(
    "billing.free_tier.list_pending",
    scope="admin:read",
    effect=Effect.READ,
    needs_organization=False,
)
async def list_pending(ctx: Context, body: Empty) -> PendingOutput:
    """Orgs awaiting free-tier approval (the operator review queue)."""
    found = await ctx.rows(WaitingOrganization, sql.organizations, state="pending")
    return PendingOutput(pending=found, count=len(found))


async def nothing(ctx: Context, body: Empty, *_: object) -> None:
    """There is nothing to claim: who has had credits is written down with them."""


async def grant_to_all(pipeline: Pipeline, at: datetime) -> GrantAllOutput:
    """Give every admitted organization its credits of the month of `at`, each in a transaction of
    its own; safe to repeat and to stop.
    """
    principal = Principal(kind="service", id="free-tier")

    async def find(ctx: Context) -> list[str]:
        rows = await ctx.rows(None, sql.organizations, state="approved")
        return [row["organization_id"] for row in rows]

    async def give(ctx: Context) -> int:
        if await ctx.row(None, sql.organization) is None:
            return 0
        return await give_month(ctx, month_of(at), at)

    found = await pipeline.look("billing.free_tier.grant", principal, find)
    granted: list[GrantedOrganization] = []
    for organization_id in found:
        owner = Principal(kind="service", id="free-tier", organization_id=organization_id)
        credits = await pipeline.act("billing.free_tier.grant", owner, give)
        if credits:
            granted.append(GrantedOrganization(organization_id=organization_id, credits=credits))
    return GrantAllOutput(
        processed=len(found), granted=granted, credits=sum(g.credits for g in granted)
    )


async def grant_now(ctx: Context, body: Empty, claimed: None) -> GrantAllOutput:
    """The present month's."""
    return await grant_to_all(ctx.pipeline, datetime.now(UTC))


@operation(
    "billing.free_tier.grant_all",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    phases=Phases(nothing, grant_now, nothing),
)
async def grant_all(
    ctx: Context, body: Empty, claimed: None, done: GrantAllOutput
) -> GrantAllOutput:
    """Grant the signup + monthly free credits to every FREE org (idempotent; cron).

    The signup credits came with the organization. Those that are admitted and have not had this
    month's credits are given them.
    """
    return done

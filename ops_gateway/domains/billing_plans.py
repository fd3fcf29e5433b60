"""Plans: what an organization may take, and the credits that come with it. All of it by date."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from db.queries import queries
from ops_gateway.domains import billing_lots
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import Conflict, Internal, Invalid
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

STORAGE = "storage_bytes"  # of a plan's limits, the one that binds


class Plan(Output):
    """A plan as it is offered. Fees are in minor units of the currency."""

    id: str
    name: str
    description: str
    currency: str
    monthly_fee_cents: int
    monthly_credits: int
    credit_months: int | None
    credit_line: int
    needs_approval: bool
    limits: dict[str, Any]
    features: list[Any]
    valid_from: datetime
    valid_until: datetime | None


class PlansOutput(Output):
    """Output of billing.plans.list."""

    plans: list[Plan]
    count: int


class OrgStatusInput(Input):
    """Input of billing.status.get."""

    organization_id: str


class OrgStatusOutput(Output):
    """What an organization is on. `usage` is of `period`, the present month in UTC."""

    organization_id: str
    plan: str
    status: str
    period: str
    usage: dict[str, int]
    limits: dict[str, Any]


# ---------------------------------------------------------------- months


def month_of(moment: datetime) -> date:
    """First day of the month in UTC."""
    return moment.astimezone(UTC).date().replace(day=1)


def later(month: date, months: int) -> date:
    """First day of the month `months` after `month`."""
    years, index = divmod(month.year * 12 + month.month - 1 + months, 12)
    return date(years, index + 1, 1)


def start(month: date) -> datetime:
    """The instant a month begins, in UTC."""
    return datetime(month.year, month.month, 1, tzinfo=UTC)


# ---------------------------------------------------------------- what is in force


async def plan_of(ctx: Context, at: datetime) -> dict[str, Any]:
    """The plan of the bound organization at a time, with `free_state`: what was said of it."""
    row = await ctx.row(None, sql.plan_of, at=at)
    if row is None:
        raise Internal("the organization's plan is not in the table of plans")
    return row


async def threshold(ctx: Context, name: str, at: datetime) -> int:
    """A number that money is reckoned by, at a time. Raises Internal where there is none."""
    row = await ctx.row(None, sql.threshold, name=name, at=at)
    if row is None:
        raise Internal(f"the threshold '{name}' has no value for this time")
    return row["value"]


def admitted(plan: dict[str, Any]) -> bool:
    """Whether the plan's credits are given: at once, or once the operator has said so."""
    return not plan["needs_approval"] or plan["free_state"] == "approved"


# ---------------------------------------------------------------- credits of a plan


async def give(
    ctx: Context, source: str, period: date, plan: dict[str, Any], credits: int, at: datetime
) -> int:
    """Give the bound organization a plan's credits: those of a month once, under `sql.lock`.

    Returns: how many were given; 0 where they had been already, or there are none.
    """
    if credits <= 0:
        return 0
    if source == "monthly" and await ctx.row(None, sql.lot, period=period) is not None:
        return 0
    months = plan["credit_months"] if source == "monthly" else None
    expires_at = start(later(period, months)) if months is not None else None
    what = f"{period:%Y-%m}" if source == "monthly" else "credit line"
    journal = ctx.credit(
        "grant", credits, f"plan {plan['id']}: {what}", reference=("plan", plan["id"])
    )
    await ctx.execute(
        sql.insert_lot, journal=journal, source=source, period=period, plan=plan["id"],
        credits=credits, at=at, expires_at=expires_at,
    )  # fmt: skip
    return credits


async def give_month(ctx: Context, month: date, at: datetime) -> int:
    """Give the credits of `month`, by the plan at its beginning; of the present one, at `at`.

    A line of credit is given with them, as far as it was not before.
    """
    await ctx.row(None, sql.lock)
    plan = await plan_of(ctx, at if month == month_of(at) else start(month))
    if not admitted(plan):
        return 0
    given = await give(ctx, "monthly", month, plan, plan["monthly_credits"], at)
    if plan["credit_line"] and month == month_of(at):
        before = (await ctx.one("organization", sql.lines))["credits"]
        today = at.astimezone(UTC).date()
        given += await give(ctx, "line", today, plan, plan["credit_line"] - before, at)
    return given


async def assign(
    pipeline: Pipeline, organization_id: str, plan_id: str, *, by: str, at: datetime | None = None
) -> int:
    """Put an organization on a plan, now or at a later time; the credits given with it at once.

    Not an operation: for the operator's command line. Credits of a plan that begins later come
    with the month, and a line of credit that ends then goes with it. A plan that begins now and
    limits `storage_bytes` sets the storage quota to that, or to what is stored where that is more;
    on one that does not it is at least what organizations begin with.

    Raises:
        NotFound: there is no such organization.
        Invalid: there is no such plan then.
        Conflict: another plan begins at that time.
    """

    async def work(ctx: Context) -> int:
        now = (await ctx.one("time", sql.clock))["at"]
        when = at or now
        await ctx.one("organization", sql.organization)
        if await ctx.row(None, sql.offered, plan=plan_id, at=when) is None:
            raise Invalid.at("plan", f"there is no plan '{plan_id[:100]}' at that time")
        if await ctx.row(None, sql.assigned_at, at=when) is not None:
            raise Conflict("another plan begins at that very time")
        await ctx.execute(sql.assign, plan=plan_id, by=by, at=when)
        ctx.produced("organization", organization_id)
        if at is not None:
            return 0
        await ctx.row(None, sql.lock)
        plan = await plan_of(ctx, now)
        room = plan["limits"].get(STORAGE)
        first = ctx.services.options.storage_quota_bytes
        named = isinstance(room, int) and not isinstance(room, bool) and 0 <= room < 1 << 62
        await ctx.execute(sql.set_quota, bytes=room if named else None, begin=first)
        await billing_lots.withdraw_line(ctx, plan["credit_line"])
        return await give_month(ctx, month_of(now), now)

    principal = Principal(kind="service", id=by, organization_id=organization_id)
    return await pipeline.act("billing.plan.assign", principal, work)


# ---------------------------------------------------------------- operations


@operation("billing.plans.list", scope="billing:read", effect=Effect.READ)
async def list_plans(ctx: Context, body: Empty) -> PlansOutput:
    """List all available plans with their quota/feature limits (public catalog)."""
    plans = await ctx.rows(Plan, sql.plans, at=datetime.now(UTC))
    return PlansOutput(plans=plans, count=len(plans))


@operation(
    "billing.status.get",
    scope="billing:read",
    effect=Effect.READ,
    needs_organization=False,
    acts_for="organization_id",
)
async def read_status(ctx: Context, body: OrgStatusInput) -> OrgStatusOutput:
    """An org's billing status + current usage (org membership required).

    The status is `active`; on a plan that the operator admits to, `pending_approval` or `revoked`.
    Of the limits `storage_quota_bytes` binds, and `storage_bytes` is the same; others inform.
    """
    now = datetime.now(UTC)
    month = month_of(now)
    organization = await ctx.one("organization", sql.organization)
    plan = await plan_of(ctx, now)
    used = await ctx.one("organization", sql.used, since=start(month), until=start(later(month, 1)))
    state = plan["free_state"] or "pending_approval"
    quota = organization["storage_quota_bytes"]
    return OrgStatusOutput(
        organization_id=ctx.organization_id,
        plan=plan["id"],
        status="active" if admitted(plan) else state,
        period=f"{month:%Y-%m}",
        usage={"storage_bytes": organization["storage_used_bytes"], **used},
        limits={
            **plan["limits"],
            **({STORAGE: quota} if STORAGE in plan["limits"] else {}),
            "storage_quota_bytes": quota,
        },
    )

"""Usage: what an organization has stored, read, sent and computed, by month of UTC."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from db.queries import queries
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, NotFound
from ops_gateway.kernel.operation import Effect, Input, Output, operation

sql = queries(__file__)

MAX_MONTHS = 36


class UsageCurrentInput(Input):
    """Input of usage.current."""

    organization_id: str


class UsageHistoryInput(Input):
    """Input of usage.history."""

    organization_id: str
    months: int = Field(
        default=3,
        description="months, this one the first; 1 to 36, what is outside is brought inside",
    )


class RecalculateInput(Input):
    """Input of usage.recalculate_storage."""

    organization_id: str


class UsageFigures(Output):
    """What a month used.

    `storage_bytes` is what was stored at its end (now, for this month), `peak_storage_bytes` the
    most at any time in it. `egress_bytes` are the bytes of files that links led to, `jobs` the
    jobs that completed, `compute_seconds` how long jobs ran that ended in it, however they did.
    """

    storage_bytes: int
    peak_storage_bytes: int
    tile_requests: int
    public_search_requests: int
    public_file_requests: int
    egress_bytes: int
    jobs: int
    compute_seconds: int
    credits_used: int


class UsageCurrentOutput(UsageFigures):
    """Output of usage.current; `period` is the month, as `2026-11`."""

    organization_id: str
    period: str


class UsageMonth(UsageFigures):
    """A month, as `2026-11`."""

    month: str


class UsageHistoryOutput(Output):
    """Output of usage.history, newest first."""

    organization_id: str
    months: list[UsageMonth]


class RecalculateOutput(Output):
    """Output of usage.recalculate_storage."""

    organization_id: str
    storage_bytes: int
    previous_bytes: int


def _own(ctx: Context, organization_id: str) -> None:
    if organization_id != ctx.organization_id:
        raise NotFound.of("organization")


async def months(ctx: Context, count: int) -> list[dict[str, Any]]:
    """The figures of this month and `count - 1` before it, newest first, each with its `month`."""
    return await ctx.rows(None, sql.months, count=count)


@operation("usage.current", scope="usage:read", effect=Effect.READ)
async def current_usage(ctx: Context, body: UsageCurrentInput) -> UsageCurrentOutput:
    """Tell what the organization has used in this month (UTC).

    Reads are counted within seconds of their answer, everything else at once.
    """
    _own(ctx, body.organization_id)
    [row] = await months(ctx, 1)
    return UsageCurrentOutput(organization_id=ctx.organization_id, period=row.pop("month"), **row)


@operation("usage.history", scope="usage:read", effect=Effect.READ)
async def usage_history(ctx: Context, body: UsageHistoryInput) -> UsageHistoryOutput:
    """Tell what the organization used in each of the last months (UTC), this one included."""
    _own(ctx, body.organization_id)
    rows = await months(ctx, min(max(body.months, 1), MAX_MONTHS))
    return UsageHistoryOutput(
        organization_id=ctx.organization_id,
        months=[UsageMonth.model_validate(row) for row in rows],
    )


@operation("usage.recalculate_storage", scope="usage:write", effect=Effect.COMPUTE)
async def recalculate_storage(ctx: Context, body: RecalculateInput) -> RecalculateOutput:
    """Set the count of stored bytes to what the files take (organization admin).

    A file that several items share counts once. `previous_bytes` is what was counted before.
    """
    _own(ctx, body.organization_id)
    # the lock first, in a statement of its own: whoever changed files has written their bytes too
    # by the time the sum is made, or writes them after this
    before = await ctx.one("organization", sql.lock_storage)
    stored = (await ctx.one("organization", sql.stored_bytes))["bytes"]
    room = before["storage_quota_bytes"] - before["storage_reserved_bytes"]
    if stored > room:
        raise Conflict(
            f"the files take {stored} bytes, the quota has room for {room}; raise the quota first"
        )
    if stored != before["storage_used_bytes"]:
        await ctx.execute(sql.set_storage, bytes=stored)
    ctx.produced("organization", ctx.organization_id)
    return RecalculateOutput(
        organization_id=ctx.organization_id,
        storage_bytes=stored,
        previous_bytes=before["storage_used_bytes"],
    )

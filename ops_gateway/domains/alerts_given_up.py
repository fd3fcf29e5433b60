"""Events about items that could not be compared with the alert rules, and asking for it again.

An evaluation is tried for about a day. What was in the way may be gone since: a store that was
away, or a worker that was always killed.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from db.queries import queries
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.operation import Effect, Input, Output, operation

sql = queries(__file__)

MOST = 500


class GivenUpListInput(Input):
    """Input of alerts.given_up.list."""

    limit: int = Field(50, ge=1, le=MOST)
    offset: int = Field(0, ge=0, le=1_000_000)


class GivenUpEvent(Output):
    """An event about an item that no rule was compared with; `error` was in the way at last."""

    event_id: str
    event_type: str
    item_id: str
    project_id: str | None
    happened_at: datetime
    attempts: int
    error: str | None
    given_up_at: datetime


class GivenUpListOutput(Output):
    """A page of them, the last given up first; `total` is of all."""

    events: list[GivenUpEvent]
    count: int
    total: int


class GivenUpReplayInput(Input):
    """Input of alerts.given_up.replay; without `event_ids` all that the caller sees."""

    event_ids: list[str] | None = Field(default=None, min_length=1, max_length=MOST)


class GivenUpReplayOutput(Output):
    """How many are evaluated again, in a moment. What is none of them is left out."""

    replayed: int


@operation("alerts.given_up.list", scope="alerts:read", effect=Effect.READ)
async def list_given_up(ctx: Context, body: GivenUpListInput) -> GivenUpListOutput:
    """List the item events that could not be compared with the alert rules, however often tried."""
    projects = access.visible_projects(ctx.principal)
    page = {"limit": body.limit, "offset": body.offset}
    found = await ctx.rows(GivenUpEvent, sql.given_up, projects=projects, **page)
    total = (await ctx.one("organization", sql.count_given_up, projects=projects))["total"]
    return GivenUpListOutput(events=found, count=len(found), total=total)


@operation("alerts.given_up.replay", scope="alerts:write", effect=Effect.COMPUTE)
async def replay_given_up(ctx: Context, body: GivenUpReplayInput) -> GivenUpReplayOutput:
    """Have item events that were given up compared with the alert rules again.

    With the rules as they are then; each rule fires once on an event at most, as always.
    """
    projects = access.visible_projects(ctx.principal)
    rows = await ctx.rows(None, sql.replay, projects=projects, ids=body.event_ids)
    for row in rows:
        ctx.produced("item", row["item_id"])
    return GivenUpReplayOutput(replayed=len(rows))

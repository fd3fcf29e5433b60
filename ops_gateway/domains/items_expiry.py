"""The end of items: which are near it, and what makes those past it expired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue import items
from ops_gateway.catalogue.models import ItemResponse, item_response
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, Phases, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

WARNING_DAYS = 7
MAX_DAYS = 36_500
MAX_ROWS = 1000
BATCH = 200  # items of one organization in one transaction
AT_ONCE = 10_000  # of one call: the next hour takes the rest


class ExpiringInput(Input):
    """Input of items.list_expiring."""

    days: int = WARNING_DAYS


class ExpiringItem(ItemResponse):
    """An item near its end, and whose it is."""

    organization_id: str


class ExpiringOutput(Output):
    """Items that end within the days asked for, the first to end first; at most 1,000."""

    items: list[ExpiringItem]
    count: int


class ExpireOutput(Output):
    """What has become of items."""

    expired_count: int
    item_ids: list[str]
    expiring_count: int = Field(default=0, description="items that end within a week, newly so")


async def change_state(ctx: Context) -> tuple[list[str], int]:
    """Move one batch of the organization's items on; ids of the expired, number of the expiring."""
    rows = await ctx.rows(None, sql.move_on, warning=WARNING_DAYS, limit=BATCH)
    for row in rows:
        await items.store_document(ctx, row)
        ctx.produced("item", row["id"])
        ctx.emit(items.event("item.updated", row, []))
    expired = [row["id"] for row in rows if row["lifecycle_state"] == "expired"]
    return expired, len(rows) - len(expired)


async def expire_overdue(pipeline: Pipeline) -> ExpireOutput:
    """Move every organization's items on, a batch a transaction; safe to repeat and to stop."""
    principal = Principal(kind="service", id="retention")

    async def find(ctx: Context) -> list[str]:
        rows = await ctx.rows(None, sql.overdue, warning=WARNING_DAYS, limit=AT_ONCE)
        return list(dict.fromkeys(row["organization_id"] for row in rows))

    done: list[str] = []
    warned = 0
    for organization_id in await pipeline.look("items.expire", principal, find):
        owner = Principal(kind="service", id="retention", organization_id=organization_id)
        while len(done) + warned < AT_ONCE:
            expired, expiring = await pipeline.act("items.expire", owner, change_state)
            done += expired
            warned += expiring
            if len(expired) + expiring < BATCH:
                break
    return ExpireOutput(expired_count=len(done), item_ids=done, expiring_count=warned)


async def nothing(ctx: Context, body: Empty, *_: object) -> None:
    """There is nothing to claim: what is overdue says so itself."""


async def expire_now(ctx: Context, body: Empty, claimed: None) -> ExpireOutput:
    """Each organization's items in transactions of their own."""
    return await expire_overdue(ctx.pipeline)


@operation("items.list_expiring", scope="admin:read", effect=Effect.READ, needs_organization=False)
async def list_expiring(ctx: Context, body: ExpiringInput) -> ExpiringOutput:
    """List items approaching retention expiry (system-wide, for the notification cron)."""
    before = datetime.now(UTC) + timedelta(days=min(max(body.days, 0), MAX_DAYS))
    rows = await ctx.rows(None, sql.expiring, before=before, limit=MAX_ROWS)
    found = [
        ExpiringItem(**dict(item_response(row)), organization_id=row["organization_id"])
        for row in rows
    ]
    return ExpiringOutput(items=found, count=len(found))


@operation(
    "items.expire_batch",
    scope="admin:write",
    effect=Effect.DESTRUCTIVE,
    needs_organization=False,
    phases=Phases(nothing, expire_now, nothing),
)
async def expire_items(
    ctx: Context, body: Empty, claimed: None, done: ExpireOutput
) -> ExpireOutput:
    """Transition all past-expiry items to 'expired' (the hourly retention cron).

    Their files are not given out any more. Items that end within a week become 'expiring'.
    """
    return done

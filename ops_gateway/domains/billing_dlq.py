"""Changes of stored objects that the ledger of bytes could not take, and taking them after all."""

from __future__ import annotations

from datetime import datetime

import psycopg

from db.queries import queries
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, Phases, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

MOST = 1000


class ReplayInput(Input):
    """Input of billing.dlq.replay."""

    batch_size: int = 100


class PendingGroup(Output):
    """Failures that are not resolved, of one kind."""

    storage_type: str
    source: str
    count: int
    oldest_at: datetime


class PendingOutput(Output):
    """Output of billing.dlq.list_pending; `total` is of all groups."""

    pending: list[PendingGroup]
    total: int


class ReplayOutput(Output):
    """Output of billing.dlq.replay."""

    processed: int
    resolved: int
    failed: int


@operation(
    "billing.dlq.list_pending",
    scope="admin:read",
    effect=Effect.READ,
    needs_organization=False,
)
async def list_pending(ctx: Context, body: Empty) -> PendingOutput:
    """Unresolved tracking-failure DLQ counts, grouped by storage_type + source."""
    found = await ctx.rows(PendingGroup, sql.pending)
    return PendingOutput(pending=found, total=sum(group.count for group in found))


async def replay_batch(pipeline: Pipeline, limit: int) -> ReplayOutput:
    """Try up to `limit` again, those tried least often first, each in a transaction of its own."""
    platform = Principal(kind="service", id="replay")

    async def find(ctx: Context) -> list[tuple[str, int]]:
        rows = await ctx.rows(None, sql.due, limit=limit)
        return [(row["organization_id"], failure) for row in rows for failure in row["ids"]]

    resolved = failed = 0
    for organization_id, failure in await pipeline.look("billing.dlq.replay", platform, find):
        owner = Principal(kind="service", id="replay", organization_id=organization_id)

        async def take(ctx: Context, failure: int = failure) -> bool:
            row = await ctx.row(None, sql.lock, id=failure)
            if row is None:
                return False
            await ctx.execute(sql.replay, path=row["object_path"], asset_id=row["asset_id"])
            await ctx.execute(sql.resolved, id=failure)
            ctx.produced("organization", ctx.organization_id)
            return True

        try:
            resolved += await pipeline.act("billing.dlq.replay", owner, take)
        except psycopg.Error as error:
            failed += 1
            said = f"{error.sqlstate} {error.diag.message_primary or ''}"[:500]

            async def keep(ctx: Context, failure: int = failure, said: str = said) -> None:
                await ctx.execute(sql.failed, id=failure, error=said)

            await pipeline.act("billing.dlq.failed", owner, keep)
    return ReplayOutput(processed=resolved + failed, resolved=resolved, failed=failed)


async def nothing(ctx: Context, body: ReplayInput, *_: object) -> None:
    """There is nothing to claim: what is resolved says so itself."""


async def replay_now(ctx: Context, body: ReplayInput, claimed: None) -> ReplayOutput:
    """Those tried least often first."""
    return await replay_batch(ctx.pipeline, min(max(body.batch_size, 1), MOST))


@operation(
    "billing.dlq.replay",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    phases=Phases(nothing, replay_now, nothing),
)
async def replay(
    ctx: Context, body: ReplayInput, claimed: None, done: ReplayOutput
) -> ReplayOutput:
    """Replay up to N unresolved tracking_failures rows (cron)."""
    return done

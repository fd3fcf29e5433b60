"""Jobs: made, dispatched, found and ended. Plain functions that the processing, clip, ASTRA and OGC
doors share; there is one job record whatever the door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from db.pool import Pool
from db.queries import queries
from ops_gateway.domains import job_orders, job_shapes, receipts
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context, Event, Principal
from ops_gateway.kernel.errors import BadRequest, Conflict
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.rounds import each_due

sql = queries(__file__)

DISPATCH_REACTION = "jobs.dispatch"
LIFETIME = timedelta(days=7)
"""A job that has not ended by then fails, and its credits are free again."""


async def create(ctx: Context, order: job_orders.Order) -> dict[str, Any]:
    """Insert the pending job and reserve its credits; the row."""
    job_id = new_id("job")
    hold = ctx.hold(order.credits, job_id=job_id, expires_at=datetime.now(UTC) + LIFETIME)
    await ctx.execute(
        sql.insert_job,
        id=job_id,
        project_id=order.project_id,
        job_type_id=order.process.id,
        version=order.process.version,
        input_params=Jsonb(order.inputs),
        target_collection_id=order.target_collection_id,
        source_item_ids=[s.item["id"] for s in order.sources],
        hold_id=hold,
        credits=order.credits,
        terms=Jsonb(receipts.terms(order.rate, order.quantity)),
        reuse_from=access.visible_projects(ctx.principal) if order.use_cache else [],
        user=access.human(ctx),
    )
    ctx.require_project_role(order.project_id, "editor")
    ctx.produced("processing_job", job_id)
    for source in order.sources:
        ctx.edge(("processing_job", job_id), "used", ("item", source.item["id"]))
    if not order.sources:
        ctx.edge(("processing_job", job_id), "used", ("project", order.project_id))
    return await ctx.one("job", sql.job, id=job_id)


async def dispatch(ctx: Context, row: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Hand a pending job to its registered worker; what `dispatch` says of it.

    Raises Conflict: not pending, or no worker is registered for the version.
    """
    if row["status"] != "pending":
        raise Conflict(f"the job is {row['status']}, not pending")
    worker = await ctx.row(None, sql.active_worker, job_type_id=row["job_type_id"], version=version)
    if worker is None:
        raise NoRegisteredWorker(
            f"no worker is registered for '{row['job_type_id']}' version {version}; "
            "the job stays pending and keeps its credits reserved"
        )
    internal = job_orders.find_process(row["job_type_id"]).run is not None
    queue_id = await ctx.services.wake(await ctx.connection()) if internal else None
    changed = await ctx.execute(
        sql.dispatch, id=row["id"], version=version, worker=worker["name"], queue_id=queue_id
    )
    if not changed:
        raise Conflict("the job is not pending any more")
    return {
        "accepted": True,
        "worker": worker["name"],
        "queue_id": str(queue_id) if queue_id is not None else worker["queue"],
        "version": version,
    }


class NoRegisteredWorker(Conflict):
    """Nobody can run this job type and version now."""

    slug = "no-registered-worker"


async def find(
    ctx: Context, job_id: str, role: str = "viewer", *, lock: bool = False
) -> dict[str, Any]:
    """The job, where the caller has `role` in its project."""
    row = await ctx.one("job", sql.job_for_update if lock else sql.job, id=job_id)
    ctx.require_project_role(row["project_id"], role, kind="job")
    return row


async def listed(
    ctx: Context,
    *,
    project_id: str | None = None,
    types: Sequence[str] | None = None,
    statuses: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    created: tuple[datetime | None, datetime | None] = (None, None),
    seconds: tuple[float | None, float | None] = (None, None),
    sort: str = "created,desc",
    limit: int,
    offset: int,
) -> tuple[list[dict[str, Any]], int]:
    """(rows of the page, how many there are) of what the caller sees.

    Args:
        created: from when to when it was made, both included; None: open.
        seconds: shortest and longest time it has run, until now if it still runs.
    """
    if offset > 1_000_000:
        raise BadRequest("an offset goes up to 1,000,000")
    which = {
        "projects": access.visible_projects(ctx.principal),
        "project_id": project_id,
        "types": list(types) if types is not None else None,
        "statuses": list(statuses) if statuses is not None else None,
        "ids": list(ids) if ids is not None else None,
        "since": created[0],
        "until": created[1],
        "shortest": seconds[0],
        "longest": seconds[1],
        "sort": sort,
    }
    rows = await ctx.rows(None, sql.list_jobs, **which, limit=limit, offset=offset)
    # a page past the last has no row to say how many there are
    first = rows or (offset and await ctx.rows(None, sql.list_jobs, **which, limit=1, offset=0))
    return rows, first[0]["total"] if first else 0


# ---------------------------------------------------------------- ending


def void_hold(ctx: Context, row: Mapping[str, Any]) -> None:
    """Give the job's credits back."""
    if row["hold_id"]:
        ctx.void(row["hold_id"], job_id=row["id"])


async def cancel(ctx: Context, row: Mapping[str, Any]) -> None:
    """End a job that has not ended: its worker stops at the next heartbeat."""
    if row["status"] in job_shapes.ENDED:
        return
    void_hold(ctx, row)
    await ctx.execute(sql.cancel, id=row["id"])
    ctx.produced("processing_job", row["id"])
    ctx.emit(cancelled(row))


def failed(row: Mapping[str, Any], code: str, message: str) -> Event:
    """The event of a job that ended without a result."""
    data = {"error": {"code": code, "message": message}, "job_type_id": row["job_type_id"]}
    return Event("processing.failed", "processing_job", row["id"], data, row["project_id"])


def cancelled(row: Mapping[str, Any], message: str = "the job was cancelled") -> Event:
    """The event of a cancelled job: to who waits for its result it failed, as it is to ASTRA's."""
    return failed(row, "cancelled", message)


def platform_for(organization_id: str, name: str) -> Principal:
    """The platform acting for an organization."""
    return Principal(kind="service", id=name, organization_id=organization_id, projects=None)


class StaleRun(Exception):
    """Another run of the job has it, or it ended; `ended` says which."""

    def __init__(self, *, ended: bool) -> None:
        """Nothing was changed."""
        super().__init__("the job ended" if ended else "another run has the job")
        self.ended = ended


async def end(
    pipeline: Pipeline,
    organization_id: str,
    job_id: str,
    epoch: int,
    *,
    code: str | None = None,
    message: str = "",
    log: Sequence[str] = (),
) -> None:
    """The worker's side: end the run `epoch` as failed (`code`) or, without one, as cancelled.

    Args:
        log: lines to add to the job's.

    Raises StaleRun where the job does not run at `epoch`.
    """

    async def work(ctx: Context) -> None:
        row = await ctx.row(None, sql.job_for_update, id=job_id)
        if row is None or row["status"] in job_shapes.ENDED:
            raise StaleRun(ended=True)
        if row["epoch"] != epoch:
            raise StaleRun(ended=False)
        if code is None:
            await cancel(ctx, row)
            return
        void_hold(ctx, row)
        await ctx.execute(sql.fail, id=job_id, code=code, message=message[:2000], log=list(log))
        ctx.produced("processing_job", job_id)
        ctx.emit(failed(row, code, message[:2000]))

    await pipeline.act("jobs.end", platform_for(organization_id, "worker"), work)


async def expire(pipeline: Pipeline, system: Pool, *, limit: int = 100) -> int:
    """End the jobs whose holds have expired; how many. For the maintenance loop, safe to repeat.

    Args:
        system: a pool of role opstac_system, which sees every tenant.
    """
    message = f"the job did not end within {LIFETIME.days} days"

    async def give_up(row: Mapping[str, Any]) -> bool:
        try:
            await end(
                pipeline, row["organization_id"], row["id"], row["epoch"], code="timeout",
                message=message,
            )  # fmt: skip
        except StaleRun:
            return False
        return True

    return sum(await each_due(system, sql.expired, give_up, "a job does not expire", limit=limit))


async def ask_dispatch(ctx: Context, job_id: str) -> None:
    """Have the pending job dispatched once this transaction commits, however long that takes."""
    await ctx.execute(sql.ask_dispatch, id=job_id)
    await ctx.services.defer(await ctx.connection(), DISPATCH_REACTION, job_id)


async def dispatch_pending(pipeline: Pipeline, organization_id: str, job_id: str) -> bool:
    """The queued task behind doors that answer with a pending job; safe to repeat.

    Returns: False where there is no worker for it. `dispatch_waiting` finds it when there is.
    """

    async def work(ctx: Context) -> None:
        row = await ctx.row(None, sql.job_for_update, id=job_id)
        if row is not None and row["status"] == "pending":
            await dispatch(ctx, row, row["version"])
            ctx.produced("processing_job", job_id)

    try:
        await pipeline.act("jobs.dispatch", platform_for(organization_id, "queue"), work)
    except NoRegisteredWorker:
        return False
    return True


async def dispatch_waiting(
    pipeline: Pipeline, system: Pool, *, after_seconds: float = 30, limit: int = 200
) -> int:
    """Dispatch the jobs that nothing came of `after_seconds` after it was asked; how many.

    Args:
        system: a pool of role opstac_system, which sees every tenant.
    """

    async def send_out(row: Mapping[str, Any]) -> bool:
        return await dispatch_pending(pipeline, row["organization_id"], row["id"])

    given = {"seconds": after_seconds, "limit": limit}
    return sum(await each_due(system, sql.undispatched, send_out, "a job waits", **given))

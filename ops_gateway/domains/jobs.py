"""Jobs: what it means that a tenant runs a process. Plain functions that the processing, clip and
OGC doors share; there is one job record whatever the door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from psycopg.types.json import Jsonb
from pydantic import Field

from db.pool import Pool
from db.queries import queries
from ops_gateway.catalogue.sources import of_area, of_organization, readable
from ops_gateway.domains import declared, prices, receipts
from ops_gateway.domains.prices import Rate
from ops_gateway.domains.receipts import Receipt
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context, Event, Principal
from ops_gateway.kernel.errors import BadRequest, Conflict, Invalid, NotFound
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Output
from ops_gateway.kernel.pipeline import Pipeline
from processes.process import PROCESSES, Process, Source, SourceRef, discover

sql = queries(__file__)

Status = Literal["pending", "dispatched", "running", "completed", "failed", "cancelled"]
ENDED = ("completed", "failed", "cancelled")
PROVIDER_STATUS = {
    "pending": "created",
    "dispatched": "accepted",
    "running": "running",
    "completed": "successful",
    "failed": "failed",
    "cancelled": "rejected",
}
DISPATCH_REACTION = "jobs.dispatch"
LOG = "What its failed runs said last, oldest first; empty where none failed, and in lists."
LIFETIME = timedelta(days=7)
"""A job that has not ended by then fails, and its credits are free again."""


class JobError(Output):
    """Why a job failed."""

    code: str
    message: str


class Job(Output):
    """A processing job, native shape."""

    id: str
    organization_id: str
    project_id: str
    job_type_id: str
    job_type_name: str
    status: Status
    progress: float
    stage: str | None
    input_params: dict[str, Any]
    target_collection_id: str | None
    source_item_ids: list[str]
    output_item_ids: list[str]
    credits_reserved: int
    credits_charged: int | None
    reservation_id: str | None
    error: JobError | None
    receipt: Receipt | None = None
    cached_from: str | None = Field(
        default=None, description="the job whose outputs this one was given"
    )
    log: list[str] = Field(default=[], description=LOG)
    worker: str | None
    version: str
    created_by: str | None
    created_at: datetime
    dispatched_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime


class ProviderJob(Output):
    """A processing job in the shape of the provider's API."""

    processID: str
    jobID: str
    accountID: str
    workspaceID: str
    definition: dict[str, Any]
    results: dict[str, Any] | None
    creditConsumption: dict[str, Any] | None
    status: str
    created: str
    started: str | None
    finished: str | None
    updated: str
    progress: float
    stage: str | None
    log: list[str] = Field(default=[], description=LOG)


@dataclass(frozen=True)
class SourceItem:
    """An item a job reads, with the raster assets chosen."""

    item: Mapping[str, Any]
    assets: Sequence[Mapping[str, Any]]


Found = tuple[dict[str, Any], list[dict[str, Any]]]
"""An item's row and its assets' rows, as `catalogue.sources` gives them."""


@dataclass(frozen=True)
class Order:
    """A job that has been checked and priced and not yet made."""

    process: Process
    project_id: str
    inputs: dict[str, Any]
    sources: list[SourceItem]
    target_collection_id: str | None
    quantity: Decimal
    rate: Rate
    use_cache: bool = True

    @property
    def credits(self) -> int:
        """What the run may cost at most."""
        return self.rate.credits(self.quantity)


# ---------------------------------------------------------------- shapes


def native(row: Mapping[str, Any]) -> Job:
    """A job row as clients see it."""
    process = discover().get(row["job_type_id"])
    error = (
        JobError(code=row["error_code"], message=row["error_message"] or row["error_code"])
        if row["error_code"] and row["status"] == "failed"
        else None
    )
    return Job.model_validate(
        {
            **{name: row[name] for name in Job.model_fields if name in row},
            "job_type_name": process.title if process else row["job_type_id"],
            "reservation_id": row["hold_id"],
            "error": error,
            "receipt": receipts.of(row),
        }
    )


def provider(row: Mapping[str, Any], base_url: str) -> ProviderJob:
    """A job row in the provider's shape."""
    ended = row["status"] in ENDED
    results: dict[str, Any] | None = None
    if ended:
        collection = row["target_collection_id"] or row["project_id"]
        errors = None
        if row["status"] != "completed":
            code = row["error_code"] or row["status"]
            errors = [{"name": code, "message": row["error_message"] or code}]
        results = {
            "collection": f"{base_url}/assets/stac/collections/{collection}",
            "items": list(row["output_item_ids"]),
            "errors": errors,
        }
    return ProviderJob(
        processID=row["job_type_id"],
        jobID=row["id"],
        accountID=row["organization_id"],
        workspaceID=row["project_id"],
        definition={"inputs": row["input_params"]},
        results=results,
        creditConsumption={"credits": row["credits_charged"]}
        if row["credits_charged"] is not None
        else None,
        status=PROVIDER_STATUS[row["status"]],
        created=milliseconds(row["created_at"]) or "",
        started=milliseconds(row["started_at"]),
        finished=milliseconds(row["completed_at"]),
        updated=milliseconds(row["updated_at"]) or "",
        progress=row["progress"],
        stage=row["stage"],
        log=row.get("log", []),
    )


def milliseconds(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---------------------------------------------------------------- checking and pricing


def find_process(process_id: str, kind: str = "process") -> Process:
    """The declared process; raises NotFound."""
    found = discover().get(process_id)
    if found is None:
        raise NotFound(f"{kind} '{process_id[:100]}' not found; there are {', '.join(PROCESSES)}")
    return found


async def prepare(
    ctx: Context,
    process_id: str,
    project_id: str,
    inputs: Mapping[str, Any],
    target_collection_id: str | None,
    *,
    at: str,
    kind: str = "process",
    use_cache: bool = True,
    opened: Mapping[str, Found] | None = None,
) -> Order:
    """Check everything a job needs and say what it costs; changes nothing.

    Args:
        opened: items that this job may read whoever has them, by id.
    """
    access.require_open(await access.project(ctx, project_id, "editor"))
    process = find_process(process_id, kind)
    if target_collection_id is not None:
        await access.target(ctx, target_collection_id, project_id=project_id)
    typed = declared.inputs(process, inputs, at)
    sources = await find_sources(ctx, process, typed, at, opened)
    quantity, rate = await price_of(ctx, process, typed, sources, at)
    return Order(
        process,
        project_id,
        declared.plain(process, typed, at),
        sources,
        target_collection_id,
        quantity,
        rate,
        use_cache,
    )


async def default_project(ctx: Context) -> str:
    """The caller's oldest project that is not archived; raises Conflict where there is none."""
    row = await ctx.row(None, sql.oldest_project, projects=access.visible_projects(ctx.principal))
    if row is None:
        raise Conflict("there is no project to run in; make one or name one")
    return row["id"]


async def find_sources(
    ctx: Context,
    process: Process,
    typed: Any,
    at: str,
    opened: Mapping[str, Found] | None = None,
) -> list[SourceItem]:
    """The items the inputs name, each visible to the caller and with the assets asked for."""
    found: list[SourceItem] = []
    for ref in declared.sources(process, typed, at):
        given = (opened or {}).get(ref.item_id)
        item, assets = given or await readable(ctx, ref.item_id, files=ref.files)
        if ref.asset_keys is not None:
            by_key = {a["key"]: a for a in assets}
            missing = [k for k in ref.asset_keys if k not in by_key]
            if missing:
                known = ", ".join(by_key) or "none"
                raise Invalid.at(
                    [at, "asset_keys"] if at else ["asset_keys"],
                    f"the item has no {'' if ref.files else 'raster '}asset "
                    f"{', '.join(missing)}; it has {known}",
                )
            assets = [by_key[k] for k in ref.asset_keys]
        if not assets:
            raise Invalid.at([at] if at else [], f"item {ref.item_id} has no raster asset")
        found.append(SourceItem(item, assets))
    several = len(found) > 1
    sources = {
        f"{source.item['id']}/{asset['key']}" if several else asset["key"]: Source(
            source.item["id"], asset["key"], "", source.item, asset
        )
        for source in found
        for asset in source.assets
    }
    declared.check(process, typed, sources, at)
    return found


async def source_of(ctx: Context, process_id: str, ref: SourceRef) -> Found:
    """An item that a job of the platform's own reads, checked at the door. Raises: NotFound."""
    with suppress(NotFound):
        return await of_organization(ctx, ref.item_id, files=ref.files)
    if process_id != "clip":
        raise NotFound.of("item")
    return await of_area(ctx, ref.item_id)


async def price_of(
    ctx: Context, process: Process, typed: Any, sources: Sequence[SourceItem], at: str
) -> tuple[Decimal, Rate]:
    """How much of its unit a run takes, and what that costs."""
    quantity = declared.quantity(process, typed, [s.item for s in sources], at)
    return quantity, await prices.rate(ctx, process)


async def price_order(_: Context, __: Any, order: Order) -> int:
    """What the kernel checks the balance for."""
    return order.credits


# ---------------------------------------------------------------- making and dispatching


async def create(ctx: Context, order: Order) -> dict[str, Any]:
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
    internal = find_process(row["job_type_id"]).run is not None
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
    if row["status"] in ENDED:
        return
    void_hold(ctx, row)
    await ctx.execute(sql.cancel, id=row["id"])
    ctx.produced("processing_job", row["id"])


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
        if row is None or row["status"] in ENDED:
            raise StaleRun(ended=True)
        if row["epoch"] != epoch:
            raise StaleRun(ended=False)
        if code is None:
            await cancel(ctx, row)
            return
        void_hold(ctx, row)
        await ctx.execute(sql.fail, id=job_id, code=code, message=message[:2000], log=list(log))
        ctx.produced("processing_job", job_id)
        ctx.emit(
            Event(
                "processing.failed",
                "processing_job",
                job_id,
                {
                    "error": {"code": code, "message": message[:2000]},
                    "job_type_id": row["job_type_id"],
                },
                row["project_id"],
            )
        )

    await pipeline.act("jobs.end", platform_for(organization_id, "worker"), work)


async def expire(pipeline: Pipeline, system: Pool, *, limit: int = 100) -> int:
    """End the jobs whose holds have expired; how many. For the maintenance loop, safe to repeat.

    Args:
        system: a pool of role opstac_system, which sees every tenant.
    """
    async with system.connection() as connection:
        rows = await (await connection.execute(sql.expired, {"limit": limit})).fetchall()
    ended = 0
    for row in rows:
        message = f"the job did not end within {LIFETIME.days} days"
        with suppress(StaleRun):
            await end(
                pipeline, row["organization_id"], row["id"], row["epoch"], code="timeout",
                message=message,
            )  # fmt: skip
            ended += 1
    return ended


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
    async with system.connection() as connection:
        cursor = await connection.execute(
            sql.undispatched, {"seconds": after_seconds, "limit": limit}
        )
        rows = await cursor.fetchall()
    done = [await dispatch_pending(pipeline, row["organization_id"], row["id"]) for row in rows]
    return sum(done)

"""Processing jobs: create, dispatch, track, hand in outputs."""

from __future__ import annotations

from typing import Any, Literal

from psycopg.types.json import Jsonb
from pydantic import Field

from db.queries import queries
from ops_gateway.domains import job_callbacks, job_orders, job_shapes, jobs, prices, registration
from ops_gateway.domains.job_shapes import Job, ProviderJob
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from processes.process import discover

sql = queries(jobs.__file__)

WORKERS = frozenset({"user", "api_key", "service", "worker"})
USE_CACHE: bool = Field(
    default=True, description="false computes even what an earlier job of yours has computed"
)
SORTS = tuple(
    f"{name},{order}"
    for name in ("created", "updated", "processID", "status", "creditConsumption.credits")
    for order in ("desc", "asc")
)
SUBSCRIBED = {
    "successUri": "ogc.success",
    "inProgressUri": "ogc.progress",
    "failedUri": "ogc.failed",
}
MOST_SECONDS = 10**9


class ProcessingCreateInput(Input):
    """Input of processing.create and processing.create_and_dispatch."""

    project_id: str
    job_type_id: str
    input_params: dict[str, Any] = Field(default_factory=dict)
    target_collection_id: str | None = None
    use_cache: bool = USE_CACHE


class Subscriber(Input):
    """Where to POST what becomes of a job, in the words of OGC API - Processes."""

    successUri: str | None = Field(default=None, min_length=1, max_length=2048)
    inProgressUri: str | None = Field(default=None, min_length=1, max_length=2048)
    failedUri: str | None = Field(default=None, min_length=1, max_length=2048)

    def addresses(self) -> dict[str, str]:
        """Member → address, of those that are given."""
        return {name: url for name, url in self.model_dump().items() if url is not None}


class OutputWish(Input):
    """How one output is wanted."""

    transmissionMode: Literal["value", "reference"] | None = None


class ProcessExecuteInput(Input):
    """Input of processing.execute. `response` and `outputs`, in the words of OGC API - Processes,
    say what `/ogc/jobs/{id}/results` will answer.
    """

    process_id: str
    workspaceId: str
    inputs: dict[str, Any] = Field(default_factory=dict)
    use_cache: bool = USE_CACHE
    subscriber: Subscriber | None = None
    response: Literal["raw", "document"] | None = None
    outputs: dict[str, OutputWish] | None = Field(default=None, max_length=100)


class ProcessingDispatchInput(Input):
    """Input of processing.dispatch."""

    job_id: str
    version: str = "1.0"


class JobGetInput(Input):
    """A job by id."""

    job_id: str


class ProcessingJobInput(Input):
    """A job by id."""

    job_id: str


class ProjectJobGetInput(Input):
    """A job by id."""

    job_id: str


class JobsListInput(Input):
    """Input of processing.jobs.list; ids and statuses are comma lists, durations are seconds."""

    workspaceId: str | None = None
    processId: str | None = None
    status: str | None = None
    ids: str | None = None
    minDuration: int | None = Field(default=None, ge=0, le=MOST_SECONDS)
    maxDuration: int | None = Field(default=None, ge=0, le=MOST_SECONDS)
    page: int = 0
    limit: int = 20
    sort: str = "created,desc"


class ProjectJobsInput(Input):
    """Input of processing.project_jobs.list."""

    project_id: str
    status: str | None = None
    job_type_name: str | None = None
    limit: int = 50
    offset: int = 0


class JobTypesInput(Input):
    """Input of processing.job_types.list."""

    category: str | None = None


class JobRegisterInput(Input):
    """Input of processing.job.register."""

    job_id: str
    outputs: list[Any] | None = None
    record: registration.RunRecord | None = Field(
        default=None, description="of the platform's own workers; nobody else's counts"
    )


class JobOutput(Output):
    """One job, native shape."""

    job: Job


class ProcessingDispatchOutput(Output):
    """A dispatched job and who has it."""

    job: Job
    dispatch: dict[str, Any]


class ProcessExecuteOutput(ProviderJob):
    """A job in the provider's shape."""


class JobsListOutput(Output):
    """A page of jobs in the provider's shape."""

    jobs: list[ProviderJob]
    links: list[dict[str, Any]]
    count: int
    total: int


class ProjectJobsOutput(Output):
    """A page of jobs, native shape."""

    jobs: list[Job]
    count: int
    total: int
    limit: int
    offset: int


class Pricing(Output):
    """What a run costs."""

    unit: str
    credits_per_unit: float
    minimum_credits: int


class JobType(Output):
    """A kind of job."""

    id: str
    name: str
    category: str
    description: str
    input_schema: dict[str, Any]
    pricing: Pricing
    runner: str
    version: str


class JobTypesOutput(Output):
    """The kinds of job there are."""

    job_types: list[JobType]
    count: int


class JobDeletedOutput(Output):
    """A job that is gone."""

    deleted: bool
    id: str


class TileInfo(Output):
    """How to show one output."""

    item_id: str
    asset_key: str
    tilejson_url: str
    tile_url: str
    bounds: list[float]
    minzoom: int
    maxzoom: int


class TileInfoOutput(Output):
    """How to show a job's outputs."""

    job_id: str
    tiles: list[TileInfo]


# ---------------------------------------------------------------- create and dispatch


async def prepare_create(ctx: Context, body: ProcessingCreateInput) -> job_orders.Order:
    """Check and price the job."""
    return await job_orders.prepare(
        ctx,
        body.job_type_id,
        body.project_id,
        body.input_params,
        body.target_collection_id,
        at="input_params",
        kind="job type",
        use_cache=body.use_cache,
    )


async def prepare_execute(ctx: Context, body: ProcessExecuteInput) -> job_orders.Order:
    """Check and price the job."""
    for name in body.outputs or ():
        if name not in job_orders.find_process(body.process_id).outputs:
            raise Invalid.at(["outputs", name], "this process has no such output")
    for name, url in (body.subscriber.addresses() if body.subscriber else {}).items():
        await job_callbacks.check(ctx, url, ["subscriber", name])
    return await job_orders.prepare(
        ctx,
        body.process_id,
        body.workspaceId,
        body.inputs,
        None,
        at="inputs",
        use_cache=body.use_cache,
    )


@operation(
    "processing.create",
    scope="processing:process",
    effect=Effect.SPEND,
    status=201,
    produces="processing_job",
    prepare=prepare_create,
    price=job_orders.price_order,
)
async def create_job(
    ctx: Context, body: ProcessingCreateInput, order: job_orders.Order
) -> JobOutput:
    """Create a processing job, reserving its credits; it waits for processing.dispatch."""
    return JobOutput(job=job_shapes.native(await jobs.create(ctx, order)))


@operation(
    "processing.create_and_dispatch",
    scope="processing:process",
    effect=Effect.SPEND,
    produces="processing_job",
    prepare=prepare_create,
    price=job_orders.price_order,
)
async def create_and_dispatch(
    ctx: Context, body: ProcessingCreateInput, order: job_orders.Order
) -> ProcessingDispatchOutput:
    """Create a processing job and hand it to a worker in one step."""
    row = await jobs.create(ctx, order)
    handed = await jobs.dispatch(ctx, row, row["version"])
    row = await ctx.one("job", sql.job, id=row["id"])
    return ProcessingDispatchOutput(job=job_shapes.native(row), dispatch=handed)


@operation(
    "processing.execute",
    scope="processing:process",
    effect=Effect.SPEND,
    produces="processing_job",
    prepare=prepare_execute,
    price=job_orders.price_order,
)
async def execute_process(
    ctx: Context, body: ProcessExecuteInput, order: job_orders.Order
) -> ProcessExecuteOutput:
    """Execute a process (reserve credits + dispatch a job)."""
    row = await jobs.create(ctx, order)
    for name, url in (body.subscriber.addresses() if body.subscriber else {}).items():
        await job_callbacks.add(ctx, row["id"], SUBSCRIBED[name], url)
    if body.response or body.outputs:
        modes = {name: wish.transmissionMode for name, wish in (body.outputs or {}).items()}
        answer_as = {"response": body.response or "raw", "outputs": modes or None}
        await ctx.execute(sql.set_answer_as, id=row["id"], answer_as=Jsonb(answer_as))
    await jobs.dispatch(ctx, row, row["version"])
    row = await ctx.one("job", sql.job, id=row["id"])
    return ProcessExecuteOutput.model_validate(job_shapes.provider(row, ctx.base_url).model_dump())


@operation("processing.dispatch", scope="processing:process", effect=Effect.SPEND)
async def dispatch_job(ctx: Context, body: ProcessingDispatchInput) -> ProcessingDispatchOutput:
    """Dispatch an existing pending processing job to its registered worker."""
    row = await jobs.find(ctx, body.job_id, "editor", lock=True)
    handed = await jobs.dispatch(ctx, row, body.version)
    ctx.produced("processing_job", row["id"])
    row = await ctx.one("job", sql.job, id=row["id"])
    return ProcessingDispatchOutput(job=job_shapes.native(row), dispatch=handed)


# ---------------------------------------------------------------- track


@operation(
    "processing.job.get",
    scope="processing:read",
    effect=Effect.READ,
    aliases=("processing.jobs.get",),
)
async def get_job(ctx: Context, body: JobGetInput) -> ProviderJob:
    """Get a processing job by id, provider shape (org-scoped)."""
    return job_shapes.provider(await jobs.find(ctx, body.job_id), ctx.base_url)


@operation("processing.project_job.get", scope="processing:read", effect=Effect.READ)
async def get_project_job(ctx: Context, body: ProjectJobGetInput) -> JobOutput:
    """Get a processing job by id, native shape (org match + project access)."""
    return JobOutput(job=job_shapes.native(await jobs.find(ctx, body.job_id)))


@operation("processing.jobs.list", scope="processing:read", effect=Effect.READ)
async def list_jobs(ctx: Context, body: JobsListInput) -> JobsListOutput:
    """List the org's processing jobs, provider shape (org-scoped)."""
    limit = min(max(body.limit, 1), 1000)
    page = min(max(body.page, 0), 1_000_000)
    if body.sort not in SORTS:
        raise Invalid.at("sort", f"one of {', '.join(SORTS)}")
    rows, total = await jobs.listed(
        ctx,
        project_id=body.workspaceId,
        types=_comma(body.processId),
        statuses=_statuses(body.status),
        ids=_comma(body.ids),
        seconds=(body.minDuration, body.maxDuration),
        sort=body.sort,
        limit=limit,
        offset=min(page * limit, 1_000_000),
    )
    base = f"{ctx.base_url}/v1/op/processing.jobs.list"
    links = [{"rel": "self", "href": f"{base}?page={page}&limit={limit}"}]
    if (page + 1) * limit < total:
        links.append({"rel": "next", "href": f"{base}?page={page + 1}&limit={limit}"})
    return JobsListOutput(
        jobs=[job_shapes.provider(row, ctx.base_url) for row in rows],
        links=links,
        count=len(rows),
        total=total,
    )


def _comma(value: str | None) -> list[str] | None:
    return [part.strip() for part in value.split(",") if part.strip()] if value else None


def _statuses(value: str | None) -> list[str] | None:
    """Native names of provider or native status names."""
    names = _comma(value)
    if names is None:
        return None
    by_provider = {provider: native for native, provider in job_shapes.PROVIDER_STATUS.items()}
    return [by_provider.get(name.lower(), name.lower()) for name in names]


@operation("processing.project_jobs.list", scope="processing:read", effect=Effect.READ)
async def list_project_jobs(ctx: Context, body: ProjectJobsInput) -> ProjectJobsOutput:
    """List a project's processing jobs (project member access)."""
    from ops_gateway.kernel import access

    await access.project(ctx, body.project_id)
    limit, offset = min(max(body.limit, 1), 1000), max(body.offset, 0)
    wanted = body.job_type_name
    types = [p.id for p in discover().values() if wanted in (p.id, p.title)] if wanted else None
    rows, total = await jobs.listed(
        ctx,
        project_id=body.project_id,
        types=types,
        statuses=_statuses(body.status),
        limit=limit,
        offset=offset,
    )
    return ProjectJobsOutput(
        jobs=[job_shapes.native(row) for row in rows],
        count=len(rows),
        total=total,
        limit=limit,
        offset=offset,
    )


@operation("processing.job.delete", scope="clip:destroy", effect=Effect.DESTRUCTIVE)
async def delete_job(ctx: Context, body: ProcessingJobInput) -> JobDeletedOutput:
    """Delete any processing job by id; one that has not ended is cancelled first."""
    return await remove(ctx, body.job_id)


async def remove(ctx: Context, job_id: str, job_type: str | None = None) -> JobDeletedOutput:
    """Cancel where it has not ended, then hide the job."""
    row = await jobs.find(ctx, job_id, "editor", lock=True)
    if job_type is not None and row["job_type_id"] != job_type:
        raise NotFound.of("job")
    await jobs.cancel(ctx, row)
    await ctx.execute(sql.delete, id=row["id"])
    ctx.produced("processing_job", row["id"])
    return JobDeletedOutput(deleted=True, id=row["id"])


@operation("processing.job_types.list", scope="processing:read", effect=Effect.READ)
async def list_job_types(ctx: Context, body: JobTypesInput) -> JobTypesOutput:
    """List available processing job types (optionally by category)."""
    rates = await prices.rates(ctx, discover())
    types = [
        JobType(
            id=process.id,
            name=process.title,
            category=process.category,
            description=process.description,
            input_schema=process.input_schema(),
            pricing=pricing(rates[process.id]),
            runner="internal" if process.run else "external",
            version=process.version,
        )
        for process in discover().values()
        if body.category in (None, process.category)
    ]
    return JobTypesOutput(job_types=types, count=len(types))


def pricing(rate: prices.Rate) -> Pricing:
    """A rate as clients see it."""
    return Pricing(
        unit=rate.unit,
        credits_per_unit=float(rate.credits_per_unit),
        minimum_credits=rate.minimum_credits,
    )


# ---------------------------------------------------------------- outputs


@operation("processing.job.tile_info", scope="clip:read", effect=Effect.READ)
async def job_tile_info(ctx: Context, body: ProcessingJobInput) -> TileInfoOutput:
    """How to show the outputs of a completed job on a map."""
    return await tile_info(ctx, body.job_id)


async def tile_info(ctx: Context, job_id: str, job_type: str | None = None) -> TileInfoOutput:
    """TileJSON and tile URLs of every raster output."""
    row = await jobs.find(ctx, job_id)
    if job_type is not None and row["job_type_id"] != job_type:
        raise NotFound.of("job")
    if row["status"] != "completed":
        raise Conflict(f"the job is {row['status']}; its outputs exist once it is completed")
    tiles: list[TileInfo] = []
    for item_id in row["output_item_ids"]:
        for asset in await ctx.rows(None, sql.raster_assets, item=item_id):
            document = await ctx.call(
                "items.tile.tilejson", {"item_id": item_id, "asset_key": asset["key"]}
            )
            tiles.append(
                TileInfo(
                    item_id=item_id,
                    asset_key=asset["key"],
                    tilejson_url=f"{ctx.base_url}/api/v1/items/{item_id}/tiles/tilejson.json"
                    f"?asset_key={asset['key']}",
                    tile_url=document.tiles[0],
                    bounds=document.bounds,
                    minzoom=document.minzoom,
                    maxzoom=document.maxzoom,
                )
            )
    return TileInfoOutput(job_id=row["id"], tiles=tiles)


async def prepare_register(ctx: Context, body: JobRegisterInput) -> registration.Handed:
    """Check the caller's authority and look into the files, outside the transaction."""
    row = await ctx.one("job", sql.job, id=body.job_id)
    principal = ctx.principal
    if principal.kind == "worker":
        if principal.job_id != row["id"]:
            raise NotFound.of("job")
        epoch = principal.epoch
    else:
        if row["job_type_id"] != "external":
            raise Forbidden("only the job's own worker registers its outputs")
        ctx.require_project_role(row["project_id"], "editor", kind="job")
        epoch = row["epoch"]
    if row["status"] == "completed":
        return registration.Handed(row["epoch"] if epoch is None else epoch, [])
    return await registration.look_into(ctx, row, epoch or 0, body.outputs or [], body.record)


@operation(
    "processing.job.register",
    scope="processing:process",
    effect=Effect.SPEND,
    callers=WORKERS,
    prepare=prepare_register,
    limit="organization",
)
async def register_outputs(
    ctx: Context, body: JobRegisterInput, handed: registration.Handed
) -> registration.JobRegisterOutput:
    """Register a job's outputs as items and settle its credits; once, however often it is sent."""
    row = await ctx.one("job", sql.job_for_update, id=body.job_id)
    if row["status"] == "completed" and row["epoch"] == handed.epoch and row["outputs"]:
        return registration.JobRegisterOutput.model_validate(row["outputs"])
    if row["status"] not in ("dispatched", "running"):
        raise Conflict(f"the job is {row['status']}; outputs are taken while it runs")
    if row["epoch"] != handed.epoch:
        raise Conflict("another run of the job has taken over; this run's outputs are not taken")
    return await registration.register(ctx, row, handed)

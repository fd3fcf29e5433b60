"""Clips: an item cut to a polygon, as a job that yields a new item."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue.links import signed_asset
from ops_gateway.domains import job_orders, job_shapes, jobs
from ops_gateway.domains.job_shapes import Job
from ops_gateway.domains.processing import (
    JobDeletedOutput,
    JobOutput,
    ProjectJobsOutput,
    TileInfoOutput,
    remove,
    tile_info,
)
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, NotFound
from ops_gateway.kernel.operation import Blob, Effect, Input, Output, operation

sql = queries(jobs.__file__)

MAX_BYTES = 64 << 20  # of an answer that is held in memory


class ClipCreateFromItemInput(Input):
    """Input of clip.create_from_item."""

    source_item_id: str
    project_id: str
    aoi_geometry: dict[str, Any]
    asset_keys: list[str] | None = Field(default=None, min_length=1, max_length=100)
    output_name: str | None = Field(default=None, min_length=1, max_length=200)
    target_collection_id: str | None = None
    use_cache: bool = Field(
        default=True, description="false clips even what an earlier job of yours has clipped"
    )


class ClipJobsListInput(Input):
    """Input of clip.jobs.list."""

    organization_id: str
    status: str | None = None
    limit: int = 50
    offset: int = 0


class ClipJobInput(Input):
    """A clip job by id."""

    job_id: str


class ClipJobDeleteInput(Input):
    """A clip job by id."""

    job_id: str


class ClipDownloadInput(Input):
    """One file of a clip job; `mosaic_type` is the asset's key."""

    job_id: str
    mosaic_type: str
    user_agent: str | None = None
    requester_ip: str | None = None


class ClipCreateOutput(Output):
    """The job, and what it will cut."""

    job: Job
    assets_to_clip: int
    asset_keys: list[str]


class ClipDownload(Output):
    """One file and where to fetch it."""

    asset_key: str
    mosaic_type: str
    file_name: str
    size_bytes: int
    url: str
    expires_at: datetime


class ClipDownloadsOutput(Output):
    """The files of a clip job."""

    downloads: list[ClipDownload]
    count: int


async def prepare_clip(ctx: Context, body: ClipCreateFromItemInput) -> job_orders.Order:
    """Check and price the clip."""
    inputs = body.model_dump(
        include={"source_item_id", "aoi_geometry", "asset_keys", "output_name"}
    )
    return await job_orders.prepare(
        ctx,
        "clip",
        body.project_id,
        {name: value for name, value in inputs.items() if value is not None},
        body.target_collection_id,
        at="",
        use_cache=body.use_cache,
    )


@operation(
    "clip.create_from_item",
    scope="processing:process",
    effect=Effect.SPEND,
    produces="processing_job",
    prepare=prepare_clip,
    price=job_orders.price_order,
)
async def create_clip(
    ctx: Context, body: ClipCreateFromItemInput, order: job_orders.Order
) -> ClipCreateOutput:
    """Clip a source item to an AOI as a processing job."""
    return await submit_clip(ctx, order)


async def submit_clip(ctx: Context, order: job_orders.Order) -> ClipCreateOutput:
    """Make the job; it is dispatched after the answer."""
    row = await jobs.create(ctx, order)
    # the answer shows the pending job; a task queued by this very transaction dispatches it
    await jobs.ask_dispatch(ctx, row["id"])
    keys = [asset["key"] for source in order.sources for asset in source.assets]
    return ClipCreateOutput(job=job_shapes.native(row), assets_to_clip=len(keys), asset_keys=keys)


@operation("clip.jobs.list", scope="clip:read", effect=Effect.READ)
async def list_clip_jobs(ctx: Context, body: ClipJobsListInput) -> ProjectJobsOutput:
    """List clip jobs of the organization."""
    access.own_organization(ctx, body.organization_id)
    limit, offset = min(max(body.limit, 1), 1000), max(body.offset, 0)
    rows, total = await jobs.listed(
        ctx,
        types=["clip"],
        statuses=[body.status] if body.status else None,
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


async def find_clip(ctx: Context, job_id: str) -> dict[str, Any]:
    """The clip job; raises NotFound for jobs of another type too."""
    row = await jobs.find(ctx, job_id)
    if row["job_type_id"] != "clip":
        raise NotFound.of("job")
    return row


@operation("clip.job.get", scope="clip:read", effect=Effect.READ)
async def get_clip_job(ctx: Context, body: ClipJobInput) -> JobOutput:
    """Get a clip job."""
    return JobOutput(job=job_shapes.native(await find_clip(ctx, body.job_id)))


@operation("clip.job.delete", scope="clip:destroy", effect=Effect.DESTRUCTIVE)
async def delete_clip_job(ctx: Context, body: ClipJobDeleteInput) -> JobDeletedOutput:
    """Delete a clip job; one that has not ended is cancelled first."""
    return await remove(ctx, body.job_id, "clip")


@operation("clip.job.tile_info", scope="clip:read", effect=Effect.READ)
async def clip_tile_info(ctx: Context, body: ClipJobInput) -> TileInfoOutput:
    """How to show a clip job's output."""
    return await tile_info(ctx, body.job_id, "clip")


async def output_files(ctx: Context, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    """(item id, asset) of each file of a completed clip."""
    row = await find_clip(ctx, job_id)
    if row["status"] != "completed":
        raise Conflict(f"the job is {row['status']}; its files exist once it is completed")
    return [
        (item_id, {**asset, "project_id": row["project_id"]})
        for item_id in row["output_item_ids"]
        for asset in await ctx.rows(None, sql.raster_assets, item=item_id)
    ]


@operation("clip.job.downloads", scope="clip:read", effect=Effect.READ)
async def clip_downloads(ctx: Context, body: ClipJobInput) -> ClipDownloadsOutput:
    """Files of a clip job, each with a signed link."""
    downloads: list[ClipDownload] = []
    for _, asset in await output_files(ctx, body.job_id):
        link = signed_asset(ctx, asset)
        downloads.append(
            ClipDownload(
                asset_key=asset["key"],
                mosaic_type=asset["key"],
                file_name=asset["file_name"] or f"{asset['key']}.tif",
                size_bytes=asset["size_bytes"],
                url=link.url,
                expires_at=link.expires_at,
            )
        )
    return ClipDownloadsOutput(downloads=downloads, count=len(downloads))


async def fetch_file(ctx: Context, body: ClipDownloadInput) -> tuple[str, Blob]:
    """(item id, bytes) of the file, read before any transaction is open."""
    for item_id, asset in await output_files(ctx, body.job_id):
        if asset["key"] == body.mosaic_type:
            await ctx.release()
            if asset["size_bytes"] > MAX_BYTES:
                raise Conflict(
                    f"the file has {asset['size_bytes']} bytes; above {MAX_BYTES} fetch it by the "
                    "URL that clip.job.downloads gives"
                )
            content = await ctx.services.objects.get(asset["object_path"])
            name = asset["file_name"] or f"{asset['key']}.tif"
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            return item_id, Blob(content, "image/tiff", headers)
    raise NotFound.of("file")


@operation(
    "clip.job.download",
    scope="clip:read",
    effect=Effect.SHARE,
    media_type="image/tiff",
    prepare=fetch_file,
)
async def download_clip(ctx: Context, body: ClipDownloadInput, fetched: tuple[str, Blob]) -> Blob:
    """Bytes of one clip file; clip.job.downloads gives a link, which suits large ones better."""
    item_id, blob = fetched
    await jobs.find(ctx, body.job_id)
    ctx.produced("item", item_id)
    return blob

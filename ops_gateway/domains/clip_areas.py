"""Areas that the operator offers to be clipped: a named item of somebody's, whose rasters are the
area's mosaics. An organization that an area is open to clips it without seeing its item.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime as DateTime  # a field is called datetime
from typing import Any

from pydantic import Field

from db.pool import Pool
from db.queries import queries
from ops_gateway.catalogue.sources import of_area
from ops_gateway.domains import job_orders, jobs
from ops_gateway.domains.clip import ClipCreateOutput, submit_clip
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import Conflict, Invalid, NotFound
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, operation
from ops_gateway.kernel.pipeline import Pipeline
from processes.process import SourceRef

sql = queries(__file__)

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


class AreaInput(Input):
    """An area by name."""

    area: str


class ClipCreateFromAreaInput(Input):
    """Input of clip.create_from_area. Without `project_id` the oldest project gets the clip."""

    area: str
    mosaic_types: list[str] = Field(description="at most 100")
    aoi_geometry: dict[str, Any]
    aoi_name: str | None = Field(default=None, description="at most 200 characters")
    project_id: str | None = None
    organization_id: str
    use_cache: bool = Field(
        default=True, description="false clips even what an earlier job of yours has clipped"
    )


class ClipArea(Output):
    """An area, and which mosaics it has."""

    area: str
    title: str
    description: str | None
    geometry: dict[str, Any] | None
    bbox: list[float] | None
    mosaic_types: list[str]


class ClipAreasOutput(Output):
    """The areas that the caller's organization may clip."""

    areas: list[ClipArea]
    count: int


class Mosaic(Output):
    """One raster of an area."""

    mosaic_type: str
    title: str | None
    band_count: int
    band_names: list[str]
    epsg: int | None
    width: int | None
    height: int | None
    dtype: str | None
    size_bytes: int | None
    datetime: DateTime | None


class MosaicsOutput(Output):
    """The mosaics of an area."""

    area: str
    mosaics: list[Mosaic]
    count: int


class CaptureDate(Output):
    """When one mosaic was captured; null where only the area's dates are known."""

    mosaic_type: str
    datetime: DateTime | None


class AreaMetadata(Output):
    """When and how finely an area was captured; `gsd` in metres."""

    datetime: DateTime | None
    start_datetime: DateTime | None
    end_datetime: DateTime | None
    gsd: float | None
    mosaics: list[CaptureDate]


class AreaMetadataOutput(Output):
    """Capture dates of an area."""

    area: str
    metadata: AreaMetadata


@operation("clip.areas.list", scope="clip:read", effect=Effect.READ)
async def list_areas(ctx: Context, body: Empty) -> ClipAreasOutput:
    """List the areas that your organization may clip, by name."""
    rows = await ctx.rows(None, sql.areas, area=None)
    areas = [ClipArea(**{name: row[name] for name in ClipArea.model_fields}) for row in rows]
    return ClipAreasOutput(areas=areas, count=len(areas))


async def find(ctx: Context, area: str) -> tuple[dict[str, Any], job_orders.Found]:
    """The area's row, its item and the rasters that are offered. Raises NotFound."""
    row = await ctx.row(None, sql.areas, area=area)
    if row is None:
        raise NotFound.of("area")
    item, assets = await of_area(ctx, row["item_id"])
    # another area may offer other rasters of the same item
    return row, (item, [asset for asset in assets if asset["key"] in row["mosaic_types"]])


@operation("clip.area.mosaics", scope="clip:read", effect=Effect.READ)
async def list_mosaics(ctx: Context, body: AreaInput) -> MosaicsOutput:
    """List the mosaics of an area."""
    row, (_, assets) = await find(ctx, body.area)
    mosaics = [
        Mosaic(
            mosaic_type=asset["key"],
            **{name: asset[name] for name in Mosaic.model_fields if name in asset},
        )
        for asset in assets
    ]
    return MosaicsOutput(area=row["area"], mosaics=mosaics, count=len(mosaics))


@operation("clip.area.metadata", scope="clip:read", effect=Effect.READ)
async def get_metadata(ctx: Context, body: AreaInput) -> AreaMetadataOutput:
    """Get the capture dates of an area and of its mosaics."""
    row, (_, assets) = await find(ctx, body.area)
    dates = [CaptureDate(mosaic_type=a["key"], datetime=a["datetime"]) for a in assets]
    fields = {name: row[name] for name in AreaMetadata.model_fields if name in row}
    return AreaMetadataOutput(area=row["area"], metadata=AreaMetadata(**fields, mosaics=dates))


async def prepare_area(ctx: Context, body: ClipCreateFromAreaInput) -> job_orders.Order:
    """Check and price the clip."""
    access.own_organization(ctx, body.organization_id)
    project_id = body.project_id
    if project_id is None:
        project_id = await job_orders.default_project(ctx)
    row, (item, assets) = await find(ctx, body.area)
    if len(body.aoi_name or "") > 200:
        raise Invalid.at("aoi_name", "a name has at most 200 characters", "string_too_long")
    if len(body.mosaic_types) > 100:
        raise Invalid.at("mosaic_types", "at most 100 mosaics are clipped at once", "too_long")
    known = [asset["key"] for asset in assets]
    if not body.mosaic_types:
        raise Invalid.at("mosaic_types", f"name one at least; the area has {', '.join(known)}")
    for place, wanted in enumerate(body.mosaic_types):
        if wanted not in known:
            there = ", ".join(known) or "none"
            raise Invalid.at(
                ["mosaic_types", place], f"the area has no such mosaic; it has {there}"
            )
    inputs: dict[str, Any] = {
        "source_item_id": row["item_id"],
        "aoi_geometry": body.aoi_geometry,
        "asset_keys": list(dict.fromkeys(body.mosaic_types)),
    }
    if body.aoi_name:
        inputs["output_name"] = body.aoi_name
    return await job_orders.prepare(
        ctx,
        "clip",
        project_id,
        inputs,
        None,
        at="",
        use_cache=body.use_cache,
        opened={row["item_id"]: (item, assets)},
    )


@operation(
    "clip.create_from_area",
    scope="clip:write",
    effect=Effect.SPEND,
    produces="processing_job",
    prepare=prepare_area,
    price=job_orders.price_order,
)
async def create_from_area(
    ctx: Context, body: ClipCreateFromAreaInput, order: job_orders.Order
) -> ClipCreateOutput:
    """Clip mosaics of an area to an AOI as a processing job."""
    return await submit_clip(ctx, order)


# ---------------------------------------------------------------- set by the operator


@dataclass(frozen=True)
class Offer:
    """What the operator makes an area of.

    Attributes:
        area: its name: lower-case letters, digits, `.`, `_` and `-`.
        mosaic_types: keys of the item's rasters; None offers all that there are now.
        open_to: ids of the organizations that see it; None for all.
    """

    area: str
    item_id: str
    title: str | None = None
    description: str | None = None
    mosaic_types: Sequence[str] | None = None
    open_to: Sequence[str] | None = None


async def offer(pipeline: Pipeline, organization_id: str, wanted: Offer, *, by: str) -> list[str]:
    """Make an area of an item of the organization, in place of what had its name; its mosaics.

    Not an operation: nobody can reach it over a surface. It is audited like one.

    Raises:
        Invalid: the name or a mosaic is wrong. NotFound: there is no such item.
        Conflict: the name is taken by an item of another organization.
    """
    if not _NAME.fullmatch(wanted.area):
        raise Invalid.at("area", "a name is of a-z, 0-9, '.', '_' and '-', at most 63 of them")

    async def work(ctx: Context) -> list[str]:
        if await ctx.row(None, sql.item, item=wanted.item_id) is None:
            raise NotFound.of("item")
        there = [row["key"] for row in await ctx.rows(None, sql.rasters, item=wanted.item_id)]
        chosen = list(dict.fromkeys(there if wanted.mosaic_types is None else wanted.mosaic_types))
        if missing := [key for key in chosen if key not in there]:
            has = ", ".join(there) or "none"
            raise Invalid.at("mosaic_types", f"the item has no raster {missing[0]}; it has {has}")
        if not there:
            raise Invalid.at("item_id", "the item has no raster to clip")
        if not chosen:
            raise Invalid.at("mosaic_types", f"name one at least; the item has {', '.join(there)}")
        done = await ctx.one(
            "area",
            sql.set_area,
            area=wanted.area,
            title=wanted.title or wanted.area,
            description=wanted.description,
            item=wanted.item_id,
            mosaic_types=chosen,
            open_to=None if wanted.open_to is None else list(wanted.open_to),
        )
        if not done["done"]:
            raise Conflict(f"an item of another organization is the area {wanted.area}")
        ctx.produced("item", wanted.item_id)
        return chosen

    return await pipeline.act("clip.area.set", _operator(organization_id, by), work)


async def withdraw(pipeline: Pipeline, organization_id: str, area: str, *, by: str) -> None:
    """Take an area back; see `stop_clips` for the jobs of it. Raises: NotFound."""

    async def work(ctx: Context) -> None:
        if not (await ctx.one("area", sql.remove_area, area=area))["done"]:
            raise NotFound.of("area")
        ctx.produced("organization", organization_id)

    await pipeline.act("clip.area.remove", _operator(organization_id, by), work)


async def stop_clips(pipeline: Pipeline, system: Pool, item_id: str) -> int:
    """End the clips of others that may not read an item any more, also those that run; how many.

    Their workers stop at the next heartbeat; nothing is charged. Safe to repeat.

    Args:
        system: a pool of role opstac_system, which sees every tenant.
    """
    async with system.connection() as connection:
        rows = await (await connection.execute(sql.unfinished, {"item": item_id})).fetchall()
    ended = 0
    for row in rows:
        organization_id = row["organization_id"]
        wanted = row["input_params"].get("asset_keys") or []

        async def may_read(ctx: Context, keys: Sequence[str] = wanted) -> bool:
            with suppress(NotFound):
                _, assets = await job_orders.source_of(ctx, "clip", SourceRef(item_id))
                return {*keys} <= {asset["key"] for asset in assets}
            return False

        platform = jobs.platform_for(organization_id, "operator")
        if await pipeline.look("clip.area.sources", platform, may_read):
            continue
        with suppress(jobs.StaleRun):
            await jobs.end(
                pipeline, organization_id, row["id"], row["epoch"], code="scene_unreadable",
                message="the area is offered no more",
            )  # fmt: skip
            ended += 1
    return ended


def _operator(organization_id: str, name: str) -> Principal:
    return Principal(kind="service", id=name, organization_id=organization_id)

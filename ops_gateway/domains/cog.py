"""Rasters by reference: a tile, heights, a thumbnail, statistics of an asset named by its URL.

A URL is a reference to an asset of the caller's: its href, a signed URL of ours or
`item://{item_id}/{asset_key}`; or a file of a host that the operator allows, which is read in
ranges by `ops_gateway.providers.remote`. Nothing a caller writes is opened as a path.
"""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field

from db.queries import queries
from db.signing import BadSignature, verify
from ops_gateway.domains.items_tile import CACHE, draw
from ops_gateway.kernel import assets
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Forbidden
from ops_gateway.kernel.operation import Blob, Effect, Empty, Input, Output, operation
from tiler import encode, measure, render
from tiler.source import AssetSource

sql = queries(__file__)

_ITEM = re.compile(r"item://([A-Za-z0-9_]{1,100})/([^/?#]{1,100})")
_ASSET = re.compile(r"(?:/v2)?/assets/(as_[0-9a-z]{1,64})")


class CogEmptyInput(Empty):
    """No parameters."""


class CogTileInput(Input):
    """Input of cog.tile.render."""

    url: str
    z: int
    x: int
    y: int
    format: str
    bands: str | None = None
    expression: str | None = None
    rescale: str | None = None
    colormap: str | None = None
    quality: int = 85
    aoi: str | None = None


class CogTerrainInput(Input):
    """Input of cog.tile.terrain."""

    url: str
    z: int
    x: int
    y: int
    invert: bool = False
    aoi: str | None = None


class CogThumbnailInput(Input):
    """Input of cog.thumbnail."""

    url: str
    width: int = 256
    height: int = 256


class CogStatsInput(Input):
    """Input of cog.statistics."""

    url: str
    geometry: dict[str, Any]
    expression: str | None = None
    bands: str | None = None
    percentiles: tuple[Any, Any] = (2.0, 98.0)


class CogStatsOutput(Output):
    """Statistics of each band or block inside a polygon."""

    bands: dict[str, dict[str, Any]]
    rescale: list[list[float | None]]


class Formula(Output):
    """A ready-made index."""

    formula: str
    bands: list[str]
    colormap: str
    range: list[float] = Field(min_length=2, max_length=2)


async def find(ctx: Context, url: str) -> AssetSource:
    """The asset that `url` refers to; raises Forbidden for what is no reference of ours."""
    remote = ctx.services.remote
    try:
        row = await _find(ctx, url)
    except assets.NothingToDraw as missing:
        assets.require_visible(missing.row, ctx.principal)
        raise missing.told() from None
    if row is None and remote is not None and remote.covers(url):
        await ctx.release()
        file = await remote.open(url)
        return AssetSource(path=file.path, version=file.version)
    if row is None:
        raise Forbidden(
            "only assets of this platform can be opened: an asset's href, its signed URL, or "
            "item://{item_id}/{asset_key}; and files of hosts that the operator allows"
        )
    assets.require_visible(row, ctx.principal)
    await ctx.release()
    return await assets.opened(row, None, ctx.services.objects, remote)


async def _find(ctx: Context, url: str) -> dict[str, Any] | None:
    if match := _ITEM.fullmatch(url):
        return await assets.resolve(await ctx.connection(), match[1], match[2])
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != ctx.base_url:
        return None
    if match := _ASSET.fullmatch(parts.path):
        found = await ctx.row(None, sql.asset_by_id, id=match[1])
    elif parts.path.startswith("/storage/"):
        path = parts.path.removeprefix("/storage/")
        try:
            verify(path, parse_qsl(parts.query), [ctx.services.keys.storage], now=time.time())
        except BadSignature:
            return None
        found = await ctx.row(None, sql.asset_by_path, path=path)
    else:
        return None
    if found is None:
        return None
    return await assets.resolve(await ctx.connection(), found["item_id"], found["key"])


@operation("cog.tile.render", scope="tiles:read", effect=Effect.READ, media_type="image/png")
async def render_cog_tile(ctx: Context, body: CogTileInput) -> Blob:
    """Render a map tile from a raster's URL."""
    source = await find(ctx, body.url)
    picture = await draw(
        ctx,
        render.render_tile,
        source,
        body.z,
        body.x,
        body.y,
        format=body.format,
        bands=body.bands,
        expression=body.expression,
        rescale=body.rescale,
        colormap=body.colormap,
        quality=body.quality,
        aoi=body.aoi,
    )
    ctx.services.count_tile(ctx.organization_id)
    return Blob(picture, encode.MEDIA_TYPES[body.format], CACHE)


@operation("cog.tile.terrain", scope="tiles:read", effect=Effect.READ, media_type="image/png")
async def render_terrain_tile(ctx: Context, body: CogTerrainInput) -> Blob:
    """Render an elevation tile in Mapbox's Terrain-RGB."""
    source = await find(ctx, body.url)
    picture = await draw(
        ctx, render.render_terrain, source, body.z, body.x, body.y, invert=body.invert, aoi=body.aoi
    )
    ctx.services.count_tile(ctx.organization_id)
    return Blob(picture, "image/png", CACHE)


@operation("cog.thumbnail", scope="tiles:read", effect=Effect.READ, media_type="image/jpeg")
async def cog_thumbnail(ctx: Context, body: CogThumbnailInput) -> Blob:
    """Small preview image of a raster."""
    source = await find(ctx, body.url)
    picture = await draw(ctx, render.thumbnail, source, body.width, body.height)
    return Blob(picture, "image/jpeg", CACHE)


@operation("cog.statistics", scope="tiles:read", effect=Effect.READ)
async def cog_statistics(ctx: Context, body: CogStatsInput) -> CogStatsOutput:
    """Percentiles of a raster inside an area."""
    source = await find(ctx, body.url)
    found = await draw(
        ctx,
        measure.cog_statistics,
        source,
        body.geometry,
        expression=body.expression,
        bands=body.bands,
        percentiles=body.percentiles,
    )
    return CogStatsOutput.model_validate(found)


@operation("cog.formulas", scope="tiles:read", effect=Effect.READ)
async def cog_formulas(ctx: Context, body: CogEmptyInput) -> dict[str, Formula]:
    """Ready-made index formulas."""
    return {name: Formula.model_validate(entry) for name, entry in render.formulas().items()}


@operation("cog.colormaps", scope="tiles:read", effect=Effect.READ)
async def cog_colormaps(ctx: Context, body: CogEmptyInput) -> dict[str, list[str]]:
    """Colormaps by group."""
    return render.colormaps()

"""Tiles of an item: a picture, TileJSON, the stretch of an expression."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from ops_gateway.kernel import assets
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import BadRequest, Forbidden, Invalid, NotFound, OpError, Unavailable
from ops_gateway.kernel.holders import holder_of
from ops_gateway.kernel.operation import Blob, Effect, Input, Output, operation
from tiler import encode, measure, render, wmts
from tiler.app import tile_url
from tiler.errors import InvalidParameter, TileError
from tiler.source import AssetSource
from tiler.tokens import expiry, sign_tile_token

CACHE = {"Cache-Control": "private, max-age=3600"}


class ItemTileRenderInput(Input):
    """Input of items.tile.render."""

    item_id: str
    z: int
    x: int
    y: int
    format: str = "webp"
    profile: str | None = None
    asset_key: str | None = None
    expression: str | None = None
    bands: str | None = None
    rescale: str | None = None
    colormap: str | None = None
    quality: int = 82


class ItemTilejsonInput(Input):
    """Input of items.tile.tilejson."""

    item_id: str
    profile: str | None = None
    asset_key: str | None = None


class ItemStatisticsInput(Input):
    """Input of items.tile.statistics."""

    item_id: str
    expression: str
    asset_key: str | None = None
    profile: str | None = None


class ItemWmtsCapabilitiesInput(Input):
    """Input of items.tile.wmts_capabilities."""

    item_id: str
    base_url: str
    key: str = ""
    profile: str | None = None


class ItemWmtsGetTileInput(Input):
    """Input of items.tile.wmts_get_tile."""

    item_id: str
    z: int
    x: int
    y: int
    profile: str | None = None


class TileJSON(Output):
    """TileJSON 3.0.0."""

    tilejson: str
    name: str
    tiles: list[str]
    bounds: list[float]
    center: list[float]
    minzoom: int
    maxzoom: int
    scheme: str
    vector_layers: list[dict[str, Any]]


class ItemStatisticsOutput(Output):
    """Statistics of an expression; `rescale` is the range the default picture uses."""

    expression: str
    asset_key: str
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    p2: float | None
    p98: float | None
    rescale: list[float] = Field(min_length=2, max_length=2)


async def find(
    ctx: Context, item_id: str, asset_key: str | None, profile: str | None = None
) -> AssetSource:
    """The asset to draw, where the caller may see it."""
    try:
        row = await assets.resolve(await ctx.connection(), item_id, asset_key, profile)
    except assets.NothingToDraw as missing:
        assets.require_visible(missing.row, ctx.principal)
        raise missing.told() from None
    assets.require_visible(row, ctx.principal)
    await ctx.release()
    return await assets.opened(row, profile, ctx.services.objects, ctx.services.remote)


async def draw(ctx: Context, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run one of the tiler's functions in the compute pool; its refusals become ours."""
    try:
        return await ctx.compute(function, *args, **kwargs)
    except TileError as error:
        raise refusal(error) from None


def refusal(error: TileError) -> OpError:
    """The tiler's refusal as the gateway words it."""
    if isinstance(error, InvalidParameter):
        return Invalid([{**e, "loc": ["body", *e["loc"][1:]]} for e in error.errors])
    match error.status:
        case 404:
            return NotFound(error.detail)
        case 403:
            return Forbidden(error.detail)
        case 422:
            return Invalid([{"loc": ["body"], "msg": error.detail, "type": "value_error"}])
        case 503:
            return Unavailable(error.detail, int(error.headers.get("Retry-After", "1")))
        case _:
            return BadRequest(error.detail)


@operation("items.tile.render", scope="items:read", effect=Effect.READ, media_type="image/webp")
async def render_item_tile(ctx: Context, body: ItemTileRenderInput) -> Blob:
    """Render a map tile for one of our catalog items (profile or direct-param)."""
    source = await find(ctx, body.item_id, body.asset_key, body.profile)
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
    )
    ctx.services.count_tile(ctx.organization_id)
    return Blob(picture, encode.MEDIA_TYPES[body.format], CACHE)


@operation("items.tile.tilejson", scope="items:read", effect=Effect.READ)
async def item_tilejson(ctx: Context, body: ItemTilejsonInput) -> TileJSON:
    """TileJSON for an item; its tile URLs hold a token and need no header."""
    source = await find(ctx, body.item_id, body.asset_key, body.profile)
    token = _token(ctx, body.item_id)
    chosen = {"profile": body.profile, "asset_key": body.asset_key}
    template = tile_url(
        ctx.base_url,
        body.item_id,
        key=token,
        parameters={name: value for name, value in chosen.items() if value is not None},
    )
    return TileJSON.model_validate(await draw(ctx, render.tilejson, source, template))


@operation("items.tile.statistics", scope="items:read", effect=Effect.READ)
async def item_statistics(ctx: Context, body: ItemStatisticsInput) -> ItemStatisticsOutput:
    """Stretch values for an expression over an item."""
    source = await find(ctx, body.item_id, body.asset_key, body.profile)
    found = await draw(ctx, measure.statistics, source, body.expression)
    return ItemStatisticsOutput.model_validate(found)


@operation(
    "items.tile.wmts_capabilities",
    scope="items:read",
    effect=Effect.READ,
    media_type="application/xml",
)
async def item_wmts_capabilities(ctx: Context, body: ItemWmtsCapabilitiesInput) -> Blob:
    """OGC WMTS 1.0.0 service document of an item.

    Its URLs begin with `base_url` and hold `key`; without one they hold a tile token.
    """
    base_url = _base_url(body.base_url)
    source = await find(ctx, body.item_id, None, body.profile)
    document = await draw(
        ctx,
        wmts.capabilities,
        source,
        body.item_id,
        base_url,
        key=body.key or _token(ctx, body.item_id),
        parameters=[("profile", body.profile)] if body.profile is not None else [],
    )
    return Blob(document, "application/xml", {"Cache-Control": "private, no-cache"})


@operation(
    "items.tile.wmts_get_tile", scope="items:read", effect=Effect.READ, media_type="image/png"
)
async def item_wmts_tile(ctx: Context, body: ItemWmtsGetTileInput) -> Blob:
    """A WebMercatorQuad tile of an item, as its WMTS gives it."""
    source = await find(ctx, body.item_id, None, body.profile)
    picture = await draw(ctx, render.render_tile, source, body.z, body.x, body.y, format="png")
    return Blob(picture, "image/png", CACHE)


def _token(ctx: Context, item_id: str) -> str:
    """What opens the item's tiles without a header, for an hour."""
    return sign_tile_token(
        ctx.services.keys.tile.private_bytes(),
        item_id,
        organization_id=ctx.organization_id,
        expires_at=expiry(time.time()),
        holder=holder_of(ctx.principal),
    )


def _base_url(text: str) -> str:
    """Scheme, host and path that a document's URLs begin with. Raises: Invalid."""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname)
        sound = sound and not (parts.query or parts.fragment or parts.username)
        sound = sound and parts.port != 0
    except ValueError:
        sound = False
    if not sound or len(text) > 2000 or not text.isprintable() or " " in text:
        raise Invalid.at("base_url", "must be an http or https URL without query or fragment")
    return text.rstrip("/")

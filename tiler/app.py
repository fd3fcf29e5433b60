"""The HTTP surface: tiles and TileJSON of an item's asset.

    GET /api/v1/items/{item_id}/tiles/{z}/{x}/{y}[@2x].{png|webp|jpg}
    GET /api/v1/items/{item_id}/tiles/tilejson.json

Both take `profile`, `asset_key`, `expression`, `bands`, `rescale`, `colormap`, `quality` and
`key`; any other parameter is refused. Who may see the item is decided by `resolve_asset`.
"""

import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import encode, grid, render
from tiler.errors import InvalidParameter, OutOfRange, TileError
from tiler.pool import TilePool
from tiler.source import AssetSource

logger = logging.getLogger(__name__)

ResolveAsset = Callable[[Request, str, str | None, str | None], Awaitable[AssetSource]]
"""(request, item id, asset key, profile id or name) → the asset. Raises ResolveError: 401, 404."""

SignTileToken = Callable[[Request, str], str | None]
"""(request, item id) → the token to put in tile URLs, or None where the item is public."""

PREFIX = "/api/v1/items"
PARAMETERS = frozenset(
    ("profile", "asset_key", "expression", "bands", "rescale", "colormap", "quality", "key")
)
_MAX_LENGTHS = {"expression": 1024, "bands": 256, "rescale": 512, "colormap": 64, "key": 2048}
_STYLE = ("expression", "bands", "rescale", "colormap")
_RENDERER = "1"  # part of every ETag: raise it when the same request gives other pixels
_NAME = re.compile(r"(\d{1,10})(@2x)?\.(png|webp|jpg|jpeg)", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Query:
    """A request's query, checked as far as that goes without the raster."""

    profile: str | None
    asset_key: str | None
    key: str | None
    quality: int
    style: dict[str, Any]
    errors: tuple[dict[str, Any], ...]


def create_app(
    resolve_asset: ResolveAsset,
    *,
    sign_tile_token: SignTileToken | None = None,
    pool: TilePool | None = None,
    base_url: str | None = None,
) -> Starlette:
    """The tile server as an ASGI app of its own; its paths begin with `/api/v1/items`.

    Args:
        resolve_asset: who may see what; called for every request, cached answers are its business.
        sign_tile_token: makes the token of TileJSON's tile URLs; without it they hold none.
        pool: where tiles are drawn; default its own, closed with the app.
        base_url: scheme and host of TileJSON's URLs; default those of the request.
    """
    own = pool or TilePool()

    @asynccontextmanager
    async def lifespan(_: Starlette):
        yield
        if pool is None:
            own.close()

    return Starlette(
        routes=routes(resolve_asset, own, sign_tile_token=sign_tile_token, base_url=base_url),
        lifespan=lifespan,
    )


def routes(
    resolve_asset: ResolveAsset,
    pool: TilePool,
    *,
    sign_tile_token: SignTileToken | None = None,
    base_url: str | None = None,
) -> list[Route]:
    """The same as routes for another app; every answer, refusals included, is made here."""

    async def tile(request: Request) -> Response:
        params = request.path_params
        z, x, y, size, image_format = _address(params["z"], params["x"], params["name"])
        query = _query(request)
        source = await resolve_asset(request, params["item_id"], query.asset_key, query.profile)
        _refuse(query)
        headers = _cache_headers(source, request)
        if _unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        body = await pool.run(
            render.render_tile,
            source,
            z,
            x,
            y,
            format=image_format,
            size=size,
            quality=query.quality,
            **query.style,
        )
        return Response(body, headers=headers, media_type=encode.MEDIA_TYPES[image_format])

    async def tilejson(request: Request) -> Response:
        item_id = request.path_params["item_id"]
        query = _query(request)
        source = await resolve_asset(request, item_id, query.asset_key, query.profile)
        _refuse(query)
        key = query.key
        if sign_tile_token is not None and not source.public:
            key = sign_tile_token(request, item_id) or key
        template = tile_url(
            base_url or _origin(request),
            item_id,
            key=key,
            parameters={n: request.query_params[n] for n in request.query_params if n != "key"},
        )
        document = await pool.run(render.tilejson, source, template, **query.style)
        headers = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
        return Response(orjson.dumps(document), headers=headers, media_type="application/json")

    return [
        Route(f"{PREFIX}/{{item_id}}/tiles/tilejson.json", _guarded(tilejson), methods=["GET"]),
        Route(f"{PREFIX}/{{item_id}}/tiles/{{z}}/{{x}}/{{name}}", _guarded(tile), methods=["GET"]),
    ]


def tile_url(
    base_url: str,
    item_id: str,
    *,
    image_format: str = "webp",
    key: str | None = None,
    parameters: Mapping[str, str] | None = None,
) -> str:
    """The URL template of an item's tiles, with `{z}`, `{x}` and `{y}`."""
    chosen = {**(parameters or {}), **({"key": key} if key else {})}
    query = f"?{urlencode(chosen)}" if chosen else ""
    place = f"{PREFIX}/{quote(item_id, safe='')}/tiles/{{z}}/{{x}}/{{y}}.{image_format}"
    return f"{base_url.rstrip('/')}{place}{query}"


def problem(error: TileError, request_id: str | None = None) -> Response:
    """A refusal as `application/problem+json` (RFC 9457); 422 has a list as detail."""
    body: dict[str, Any] = {"type": "about:blank", "title": error.title, "status": error.status}
    body["detail"] = error.detail
    if error.status == 422:
        single = [{"loc": ["path"], "msg": error.detail, "type": "value_error"}]
        body["detail"] = error.errors if isinstance(error, InvalidParameter) else single
    if request_id:
        body["instance"] = request_id
    return Response(
        orjson.dumps(body),
        status_code=error.status,
        headers=error.headers,
        media_type="application/problem+json",
    )


def _guarded(
    handler: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        request_id = request.scope.get("request_id")
        try:
            return await handler(request)
        except TileError as error:
            return problem(error, request_id)
        except MemoryError:
            busy = TileError(503, "Service Unavailable", "not enough memory for this tile")
            busy.headers["Retry-After"] = "5"
            return problem(busy, request_id)
        except Exception:
            # apps that mount these routes have handlers of their own, but not for engine errors
            logger.exception("tile request failed", extra={"path": request.url.path})
            bug = TileError(500, "Internal Server Error", "the tile could not be drawn")
            return problem(bug, request_id)

    return answer


def _address(z: str, x: str, name: str) -> tuple[int, int, int, int, str]:
    """(z, x, y, pixels a side, format). Raises: OutOfRange: no such tile or format."""
    matched = _NAME.fullmatch(name)
    if matched is None or not _NUMBER.fullmatch(z) or not _NUMBER.fullmatch(x):
        raise OutOfRange("no such tile: the path is {z}/{x}/{y}.png, .webp or .jpg")
    y, double, image_format = matched.groups()
    address = grid.tile(int(z), int(x), int(y))
    image_format = "jpg" if image_format == "jpeg" else image_format
    return address.z, address.x, address.y, 512 if double else 256, image_format


def _query(request: Request) -> _Query:
    """The query's values and what is wrong with them; refusing comes after authentication."""
    values: dict[str, str] = {}
    errors: list[dict[str, Any]] = []

    def wrong(name: str, message: str, kind: str) -> None:
        errors.append({"loc": ["query", name[:64]], "msg": message, "type": kind})

    for name, value in request.query_params.multi_items():
        if name not in PARAMETERS:
            wrong(name, "unknown parameter", "extra_forbidden")
        elif name in values:
            wrong(name, "given twice", "value_error")
        elif len(value) > _MAX_LENGTHS.get(name, 128):
            wrong(name, f"longer than {_MAX_LENGTHS.get(name, 128)} characters", "too_long")
        elif "\0" in value:
            wrong(name, "holds a zero byte", "value_error")
        else:
            values[name] = value
    quality = 82
    if "quality" in values:
        text = values["quality"]
        if _NUMBER.fullmatch(text) and 1 <= int(text) <= 100:
            quality = int(text)
        else:
            wrong("quality", "must be a whole number of 1 to 100", "int_parsing")
    for name in _STYLE:
        if name in values and not values[name].strip():
            wrong(name, "is empty", "value_error")
    return _Query(
        profile=values.get("profile"),
        asset_key=values.get("asset_key"),
        key=values.get("key"),
        quality=quality,
        style={name: values[name] for name in _STYLE if name in values},
        errors=tuple(errors),
    )


def _refuse(query: _Query) -> None:
    if query.errors:
        raise InvalidParameter(query.errors)


def _cache_headers(source: AssetSource, request: Request) -> dict[str, str]:
    return {
        "ETag": _etag(source, request),
        "Cache-Control": "public, max-age=3600" if source.public else "private, max-age=3600",
        "Vary": "Authorization",
    }


def _etag(source: AssetSource, request: Request) -> str:
    """Strong: changes with the file, the profile, the path and the query, not with the token."""
    query = sorted(p for p in request.query_params.multi_items() if p[0] != "key")
    parts = (
        _RENDERER,
        source.version,
        source.asset_key,
        source.nodata,
        source.is_categorical,
        source.band_names,
        source.profile,
        request.url.path,
        query,
    )
    text = json.dumps(parts, sort_keys=True, default=str)
    return f'"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"'


def _unchanged(request: Request, etag: str) -> bool:
    """Whether If-None-Match names this answer (weak comparison, RFC 9110, 13.1.2)."""
    sent = request.headers.get("if-none-match")
    if not sent:
        return False
    tags = (tag.strip().removeprefix("W/") for tag in sent.split(","))
    return sent.strip() == "*" or etag in tags


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"

"""Tiles and TileJSON of an item's asset, on any of the tile matrix sets.

GET /api/v1/items/{item_id}/tiles/{z}/{x}/{y}[@2x].{png|webp|jpg|npy|tif}
GET /api/v1/items/{item_id}/tiles/{tms}/{z}/{x}/{y}[@2x].{…}
GET /api/v1/items/{item_id}/tiles[/{tms}]/tilejson.json
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import encode, matrix_sets, render
from tiler.draw import FORMATS
from tiler.errors import OutOfRange
from tiler.routes.answers import document
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import TILE
from tiler.routes.service import Service

PREFIX = "/api/v1/items"
ITEM = f"{PREFIX}/{{item_id}}"
IMAGES = tuple(dict.fromkeys(encode.MEDIA_TYPES.values()))

_ROW = re.compile(r"(\d{1,10})(@2x)?", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)
_SPELLINGS = {"jpeg": "jpg", "tiff": "tif"}


def routes(service: Service) -> list[Route]:
    """The family's routes."""

    async def tile(request: Request) -> Response:
        tms = matrix_sets.check(request.path_params.get("tms", matrix_sets.DEFAULT))
        z, x, y, double, image_format = address(request.path_params)
        matrix_sets.bounds(tms, z, x, y)
        source, query = await service.asset(request, TILE)
        return await service.drawn(
            request,
            source,
            encode.MEDIA_TYPES[image_format],
            render.render_tile,
            source,
            z,
            x,
            y,
            tms=tms,
            size=int(query.get("tilesize", "256")) * (2 if double else 1),
            output=query.output(image_format),
            **query.style,
        )

    async def tilejson(request: Request) -> Response:
        tms = matrix_sets.check(request.path_params.get("tms", matrix_sets.DEFAULT))
        source, query = await service.asset(request, TILE)
        template = tile_url(
            service.origin(request),
            request.path_params["item_id"],
            image_format=query.pictured().format,
            key=service.key_for(request, source, query.get("key")),
            parameters=[p for p in request.query_params.multi_items() if p[0] != "key"],
            tms=tms,
        )
        described = await service.pool.run(
            render.tilejson, source, template, tms=tms, **query.style
        )
        return document(request, orjson.dumps(described), "application/json", public=source.public)

    return [
        Endpoint(f"{ITEM}/tiles/tilejson.json", tilejson, summary="TileJSON.", takes=TILE),
        Endpoint(
            f"{ITEM}/tiles/{{tms}}/tilejson.json",
            tilejson,
            summary="TileJSON on a tile matrix set.",
            takes=TILE,
        ),
        Endpoint(
            f"{ITEM}/tiles/{{z}}/{{x}}/{{y}}.{{format}}",
            tile,
            summary="A Web Mercator tile.",
            takes=TILE,
            gives=IMAGES,
        ),
        Endpoint(
            f"{ITEM}/tiles/{{tms}}/{{z}}/{{x}}/{{y}}.{{format}}",
            tile,
            summary="A tile of a tile matrix set.",
            takes=TILE,
            gives=IMAGES,
        ),
    ]


def tile_url(
    base_url: str,
    item_id: str,
    *,
    image_format: str = "webp",
    key: str | None = None,
    parameters: Mapping[str, str] | list[tuple[str, str]] | None = None,
    tms: str = matrix_sets.DEFAULT,
) -> str:
    """The URL template of an item's tiles, with `{z}`, `{x}` and `{y}`."""
    chosen = list(parameters.items() if isinstance(parameters, Mapping) else parameters or [])
    chosen += [("key", key)] if key else []
    query = f"?{urlencode(chosen)}" if chosen else ""
    folder = "tiles" if tms == matrix_sets.DEFAULT else f"tiles/{tms}"
    place = f"{PREFIX}/{quote(item_id, safe='')}/{folder}/{{z}}/{{x}}/{{y}}.{image_format}"
    return f"{base_url.rstrip('/')}{place}{query}"


def address(params: Mapping[str, str]) -> tuple[int, int, int, bool, str]:
    """(z, x, y, whether @2x, format) of a path's parameters. Raises: OutOfRange: no such path."""
    row = _ROW.fullmatch(params["y"])
    if row is None or not _NUMBER.fullmatch(params["z"]) or not _NUMBER.fullmatch(params["x"]):
        raise OutOfRange("no such tile: the path is {z}/{x}/{y}.png, .webp, .jpg, .npy or .tif")
    y, double = row.groups()
    return int(params["z"]), int(params["x"]), int(y), bool(double), format_of(params["format"])


def format_of(name: str) -> str:
    """A picture's format by its extension. Raises: OutOfRange: there is none."""
    found = _SPELLINGS.get(name, name)
    if found not in FORMATS:
        raise OutOfRange(f"no format {name[:20]!r}; there are {', '.join(FORMATS)}")
    return found

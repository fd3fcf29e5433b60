"""Tiles and TileJSON of an item's asset.

GET /api/v1/items/{item_id}/tiles/{z}/{x}/{y}[@2x].{png|webp|jpg}
GET /api/v1/items/{item_id}/tiles/tilejson.json
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import encode, grid, render
from tiler.errors import OutOfRange
from tiler.routes.answers import document, guarded
from tiler.routes.query import TILE
from tiler.routes.service import Service

PREFIX = "/api/v1/items"
_NAME = re.compile(r"(\d{1,10})(@2x)?\.(png|webp|jpg|jpeg)", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)


def routes(service: Service) -> list[Route]:
    """The family's routes."""

    async def tile(request: Request) -> Response:
        params = request.path_params
        z, x, y, size, image_format = address(params["z"], params["x"], params["name"])
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
            format=image_format,
            size=size,
            quality=query.get("quality", 82),
            **query.style,
        )

    async def tilejson(request: Request) -> Response:
        source, query = await service.asset(request, TILE)
        template = tile_url(
            service.origin(request),
            request.path_params["item_id"],
            key=service.key_for(request, source, query.get("key")),
            parameters={n: request.query_params[n] for n in request.query_params if n != "key"},
        )
        described = await service.pool.run(render.tilejson, source, template, **query.style)
        return document(request, orjson.dumps(described), "application/json")

    item = f"{PREFIX}/{{item_id}}"
    return [
        Route(f"{item}/tiles/tilejson.json", guarded(tilejson), methods=["GET"]),
        Route(f"{item}/tiles/{{z}}/{{x}}/{{name}}", guarded(tile), methods=["GET"]),
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


def address(z: str, x: str, name: str) -> tuple[int, int, int, int, str]:
    """(z, x, y, pixels a side, format). Raises: OutOfRange: no such tile or format."""
    matched = _NAME.fullmatch(name)
    if matched is None or not _NUMBER.fullmatch(z) or not _NUMBER.fullmatch(x):
        raise OutOfRange("no such tile: the path is {z}/{x}/{y}.png, .webp or .jpg")
    y, double, image_format = matched.groups()
    found = grid.tile(int(z), int(x), int(y))
    image_format = "jpg" if image_format == "jpeg" else image_format
    return found.z, found.x, found.y, 512 if double else 256, image_format

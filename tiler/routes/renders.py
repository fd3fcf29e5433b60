"""Rasters of a day: what an analytics method drew, opened by the token in the path alone.

GET /api/v1/renders/{token}/{z}/{x}/{y}[@2x].{png|webp|jpg}
GET /api/v1/renders/{token}/tilejson.json
"""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import encode, matrix_sets, render
from tiler.routes.answers import document
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import STYLE
from tiler.routes.query import Query, read_query
from tiler.routes.service import Service
from tiler.routes.tiles import IMAGES, address
from tiler.source import AssetSource
from tiler.tokens import sign_tile_token

PREFIX = "/api/v1/renders"
FOLDER = "analytics"
KIND = "render/"
"""Before a render's name in its token, and before a token that `resolve_asset` is asked for: no
item is called so, and no path of an item holds a slash."""
TAKES = (*STYLE, "quality")


def routes(service: Service) -> list[Route]:
    """The family's routes."""

    async def found(request: Request) -> tuple[AssetSource, Query]:
        query = read_query(request, TAKES)
        token = request.path_params["token"]
        source = await service.resolve_asset(request, KIND + token, None, None)
        query.refuse()
        return source, query

    async def tile(request: Request) -> Response:
        z, x, y, double, image_format = address(request.path_params)
        matrix_sets.bounds(matrix_sets.DEFAULT, z, x, y)
        source, query = await found(request)
        return await service.drawn(
            request,
            source,
            encode.MEDIA_TYPES[image_format],
            render.render_tile,
            source,
            z,
            x,
            y,
            size=512 if double else 256,
            output=query.output(image_format),
            **query.style,
        )

    async def tilejson(request: Request) -> Response:
        source, query = await found(request)
        asked = f"?{request.url.query}" if request.url.query else ""
        place = f"{PREFIX}/{request.path_params['token']}/{{z}}/{{x}}/{{y}}.png{asked}"
        template = service.origin(request).rstrip("/") + place
        described = await service.pool.run(render.tilejson, source, template, **query.style)
        return document(request, orjson.dumps(described), "application/json")

    place = f"{PREFIX}/{{token}}"
    return [
        Endpoint(f"{place}/tilejson.json", tilejson, summary="TileJSON of a render.", takes=TAKES),
        Endpoint(
            f"{place}/{{z}}/{{x}}/{{y}}.{{format}}",
            tile,
            summary="A tile of a render.",
            takes=TAKES,
            gives=IMAGES,
        ),
    ]


def path_of(organization_id: str, name: str) -> str:
    """The object that a render is."""
    return f"{FOLDER}/{organization_id}/{name}.tif"


def sign_render_token(
    signing_key: bytes, name: str, *, organization_id: str, expires_at: int, holder: str = ""
) -> str:
    """A token for one render of an organization until `expires_at` (Unix seconds)."""
    return sign_tile_token(
        signing_key,
        KIND + name,
        organization_id=organization_id,
        expires_at=expires_at,
        holder=holder,
    )

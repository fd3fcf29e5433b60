"""The tile server as an ASGI app: the families of `tiler.routes` under one roof.

Every route takes the parameters it names and refuses any other. Who may see an item is decided by
the `resolve_asset` that is handed in.
"""

from collections.abc import Callable
from contextlib import asynccontextmanager

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import openapi
from tiler.cors import AnyOrigin
from tiler.errors import OutOfRange, TileError
from tiler.gone import StopWhenGone
from tiler.pool import Pool, TilePool
from tiler.routes import (
    catalogues,
    legends,
    mosaic_wmts,
    mosaics,
    numbers,
    parts,
    renders,
    tiles,
    tilesets,
    viewer,
    wmts,
)
from tiler.routes.answers import etag_of, problem, unchanged
from tiler.routes.service import (
    ResolveAsset,
    ResolveMosaic,
    Service,
    SignMosaicToken,
    SignTileToken,
)
from tiler.routes.tiles import tile_url

__all__ = ["PREFIXES", "ResolveAsset", "SignTileToken", "create_app", "routes", "tile_url"]

FAMILIES: tuple[Callable[[Service], list[Route]], ...] = (
    tiles.routes,
    parts.routes,
    numbers.routes,
    wmts.routes,
    viewer.routes,
    catalogues.routes,
    mosaics.routes,
    mosaic_wmts.routes,
    legends.routes,
    renders.routes,
    tilesets.routes,  # `{tms}` would take the names of the others
)

DOCUMENT = "/api/v1/openapi.json"

PREFIXES = (
    tiles.PREFIX,
    *catalogues.PREFIXES,
    *mosaics.PREFIXES,
    renders.PREFIX,
    DOCUMENT,
)
"""What the paths of all families begin with; who mounts the app sends these here."""


def create_app(
    resolve_asset: ResolveAsset,
    *,
    sign_tile_token: SignTileToken | None = None,
    pool: Pool | None = None,
    base_url: str | None = None,
    resolve_mosaic: ResolveMosaic | None = None,
    sign_mosaic_token: SignMosaicToken | None = None,
) -> Starlette:
    """The tile server; its paths begin with `PREFIXES`.

    Args:
        resolve_asset, sign_tile_token, base_url, resolve_mosaic, sign_mosaic_token: see
            `tiler.routes.service.Service`.
        pool: where tiles are drawn; default its own, closed with the app.
    """
    own = pool or TilePool()

    @asynccontextmanager
    async def lifespan(_: Starlette):
        yield
        if pool is None:
            own.close()

    return Starlette(
        routes=routes(
            resolve_asset,
            own,
            sign_tile_token=sign_tile_token,
            base_url=base_url,
            resolve_mosaic=resolve_mosaic,
            sign_mosaic_token=sign_mosaic_token,
        ),
        middleware=[Middleware(AnyOrigin), Middleware(StopWhenGone)],
        exception_handlers={404: _no_such_path, 405: _not_allowed},
        lifespan=lifespan,
    )


async def _no_such_path(request: Request, error: Exception) -> Response:
    return problem(OutOfRange("no such path"), request.scope.get("request_id"))


async def _not_allowed(request: Request, error: Exception) -> Response:
    headers = getattr(error, "headers", None) or {}
    refusal = TileError(
        405, "Method Not Allowed", f"use {headers.get('Allow', 'GET')}", headers=headers
    )
    return problem(refusal, request.scope.get("request_id"))


def routes(
    resolve_asset: ResolveAsset,
    pool: Pool,
    *,
    sign_tile_token: SignTileToken | None = None,
    base_url: str | None = None,
    resolve_mosaic: ResolveMosaic | None = None,
    sign_mosaic_token: SignMosaicToken | None = None,
) -> list[Route]:
    """The same as routes for another app; every answer, refusals included, is made here."""
    service = Service(
        resolve_asset, pool, sign_tile_token, base_url, resolve_mosaic, sign_mosaic_token
    )
    found = [route for family in FAMILIES for route in family(service)]
    described = orjson.dumps(openapi.describe(found))

    async def document(request: Request) -> Response:
        headers = {"ETag": etag_of(described), "Cache-Control": "public, max-age=3600"}
        if unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(described, headers=headers, media_type="application/json")

    return [*found, Route(DOCUMENT, document, methods=["GET"])]

"""Tilesets of items, collections and saved searches, as OGC API - Tiles has them.

GET /api/v1/{items|collections|searches}/{id}/tiles
GET /api/v1/{items|collections|searches}/{id}/tiles/{tms}

A list names the matrix sets that reach the raster; a tileset has the addresses of its tiles.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import datasets, matrix_sets, tileset
from tiler.mosaic.draw import Mosaics
from tiler.mosaic.source import MosaicSource
from tiler.routes import mosaics
from tiler.routes.answers import Handler, document
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import MOSAIC, TILE
from tiler.routes.query import Query
from tiler.routes.service import Service
from tiler.routes.tiles import ITEM, PREFIX
from tiler.source import AssetSource
from tiler.style import Look, style
from tiler.target import Bounds
from tiler.work import lane


def routes(service: Service) -> list[Route]:
    """The family's routes."""
    layers = Mosaics(service.pool)

    async def of_item(request: Request) -> Response:
        tms = _named(request)
        source, query = await service.asset(request, TILE)
        body = await service.pool.run(
            _of_item,
            source,
            _place(service, request, PREFIX, request.path_params["item_id"]),
            tms,
            _kept(request),
            service.key_for(request, source, query.get("key")) if tms else None,
            query.style,
            is_coded=query.pictured().is_coded,
        )
        return document(request, body, "application/json", public=source.public)

    async def of_mosaic(request: Request) -> Response:
        tms = _named(request)
        source, query = await mosaics.mosaic_of(service, request)
        body = await _of_mosaic(request, source, query, tms)
        return document(request, body, "application/json", public=source.public)

    async def _of_mosaic(
        request: Request, source: MosaicSource, query: Query, tms: str | None
    ) -> bytes:
        output = query.pictured()
        layer = await layers.layer(source, output, query.style)
        prefix = f"/api/v1/{source.kind}"
        place = _place(service, request, prefix, request.path_params["mosaic_id"])
        kept = _kept(request)
        if tms is None:
            sets = tileset.reached(layer.header, layer.bounds)
            return _list(place, source.name, layer.bounds, sets, kept)
        return orjson.dumps(
            tileset.document(
                place,
                source.name,
                tms,
                layer.bounds,
                mosaics.zooms(layer, tms),
                kept | mosaics.stretch(layer),
                mosaics.key_for(service, request, source, query),
                is_coded=output.is_coded,
            )
        )

    found: list[Route] = []
    kinds: list[tuple[str, Handler, tuple[str, ...], str]] = [
        (f"{ITEM}/tiles", of_item, TILE, "an item")
    ]
    if service.resolve_mosaic is not None:
        for prefix, what in zip(mosaics.PREFIXES, ("a collection", "a saved search"), strict=True):
            kinds.append((f"{prefix}/{{mosaic_id}}/tiles", of_mosaic, MOSAIC, what))
    for place, handler, takes, what in kinds:
        found += [
            Endpoint(place, handler, summary=f"The tilesets of {what}.", takes=takes),
            Endpoint(
                f"{place}/{{tms}}",
                handler,
                summary=f"A tileset of {what}: OGC API - Tiles.",
                takes=takes,
            ),
        ]
    return found


@lane("quick")
def _of_item(
    source: AssetSource,
    place: str,
    tms: str | None,
    query: Mapping[str, str],
    key: str | None,
    look: Look,
    *,
    is_coded: bool,
) -> bytes:
    """The list, or with a matrix set its tileset. Raises: InvalidParameter, Unreadable."""
    header = datasets.header_of(source)
    style(source, header, **look)  # refused here as a tile would be
    bounds = source.bounds or header.geographic_bounds
    name = source.name or source.asset_key
    if tms is None:
        return _list(place, name, bounds, tileset.reached(header, bounds), query)
    zooms = matrix_sets.zoom_range(tms, header)
    return orjson.dumps(
        tileset.document(place, name, tms, bounds, zooms, query, key, is_coded=is_coded)
    )


def _list(
    place: str, name: str, bounds: Bounds, sets: Sequence[str], query: Mapping[str, str]
) -> bytes:
    return orjson.dumps(
        {"tilesets": [tileset.entry(place, name, tms, bounds, query) for tms in sets]}
    )


def _named(request: Request) -> str | None:
    tms = request.path_params.get("tms")
    return None if tms is None else matrix_sets.check(tms)


def _kept(request: Request) -> dict[str, str]:
    """The query that the addresses keep: all but the key, `bands=1&bands=2` as `bands=1,2`."""
    texts: dict[str, str] = {}
    for name, text in request.query_params.multi_items():
        if name != "key":
            texts[name] = f"{texts[name]},{text}" if name in texts else text
    return texts


def _place(service: Service, request: Request, prefix: str, identifier: str) -> str:
    return f"{service.origin(request).rstrip('/')}{prefix}/{quote(identifier, safe='')}/tiles"

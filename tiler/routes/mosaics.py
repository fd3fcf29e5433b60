"""Mosaics: tiles and TileJSON of all items of a collection or of a saved search.

GET /api/v1/{collections|searches}/{id}/tiles[/{tms}]/{z}/{x}/{y}[@2x].{png|webp|jpg|npy|tif}
GET /api/v1/{collections|searches}/{id}/tiles[/{tms}]/tilejson.json
"""

import json
import math
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import encode, grid, matrix_sets
from tiler.draw import PICTURES
from tiler.mosaic import layer as layers
from tiler.mosaic import sketch
from tiler.mosaic.draw import Empty, Mosaics
from tiler.mosaic.layer import Layer
from tiler.mosaic.source import Bounds, Candidates, MosaicSource, Skipped
from tiler.routes.answers import document, etag_of, unchanged
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import MOSAIC, RESTRICTIONS
from tiler.routes.query import Query, read_query
from tiler.routes.service import Service
from tiler.routes.tiles import IMAGES, address
from tiler.target import GEOGRAPHIC, WEB_MERCATOR, Target, transformer
from tiler.target import Bounds as TileBounds

PREFIXES = ("/api/v1/collections", "/api/v1/searches")
_RENDERER = "1"  # part of every ETag: raise it when the same request gives other pixels
_NAMED = 20  # items named in a header


def routes(service: Service) -> list[Route]:
    """The family's routes; none where no mosaics are handed in."""
    if service.resolve_mosaic is None:
        return []
    mosaics = Mosaics(service.pool)

    async def tile(request: Request) -> Response:
        tms = matrix_sets.check(request.path_params.get("tms", matrix_sets.DEFAULT))
        z, x, y, double, image_format = address(request.path_params)
        bounds = matrix_sets.bounds(tms, z, x, y)
        source, query = await mosaic_of(service, request)
        return await drawn_tile(
            mosaics, request, source, query, tms, bounds, image_format, double=double
        )

    async def tilejson(request: Request) -> Response:
        tms = matrix_sets.check(request.path_params.get("tms", matrix_sets.DEFAULT))
        source, query = await mosaic_of(service, request)
        output = query.pictured()
        layer = await mosaics.layer(source, output, query.style)
        layers.require_order(layer, query.get("selection", "newest"))
        chosen = {n: request.query_params[n] for n in request.query_params if n != "key"}
        chosen |= stretch(layer)
        key = key_for(service, request, source, query)
        url = tile_url(
            service.origin(request),
            source.kind,
            source.id,
            image_format=output.format,
            key=key,
            parameters=chosen,
            tms=tms,
        )
        described = orjson.dumps(_tilejson(source, layer, url, tms))
        return document(request, described, "application/json", public=source.public)

    found: list[Route] = []
    for prefix, what in zip(PREFIXES, ("a collection", "a saved search"), strict=True):
        for folder, on in (("tiles", ""), ("tiles/{tms}", " on a tile matrix set")):
            place = f"{prefix}/{{mosaic_id}}/{folder}"
            found += [
                Endpoint(
                    f"{place}/tilejson.json",
                    tilejson,
                    summary=f"TileJSON of {what}{on}.",
                    takes=MOSAIC,
                ),
                Endpoint(
                    f"{place}/{{z}}/{{x}}/{{y}}.{{format}}",
                    tile,
                    summary=f"A tile of all items of {what}{on}.",
                    takes=MOSAIC,
                    gives=IMAGES,
                ),
            ]
    return found


async def drawn_tile(
    mosaics: Mosaics,
    request: Request,
    source: MosaicSource,
    query: Query,
    tms: str,
    bounds: TileBounds,
    image_format: str,
    *,
    double: bool = False,
) -> Response:
    """A tile of a matrix set, or 304. Raises: TileError."""
    size = int(query.get("tilesize", "256")) * (2 if double else 1)
    output = query.output(image_format)
    try:
        layer = await mosaics.layer(source, output, query.style)
    except Empty:  # a time or a filter that nothing meets: no fault of the map's
        if image_format not in PICTURES:
            raise  # nobody knows how many bands it would have
        clear = encode.empty(image_format, size)
        kept = {"Cache-Control": _kept(source), "Vary": "Authorization, X-API-Key"}
        return Response(clear, headers=kept, media_type=encode.MEDIA_TYPES[image_format])
    selection = query.get("selection", "newest")
    layers.require_order(layer, selection)
    target = Target(matrix_sets.crs(tms), bounds, size, size)
    limit = query.get("limit", layers.MAX_ITEMS_A_TILE)
    found, behind = await source.find(degrees(target), selection, limit, False), ()
    seen = found
    if len(found.items) == limit and sketch.is_for(layer, selection, output):
        seen = await source.find(degrees(target), selection, sketch.MOST, False)
        behind = seen.items[limit:]
    headers = _headers(request, source, layer, seen)
    catalogued = headers["ETag"]
    same = await mosaics.same_as(source, catalogued)
    if same is not None and unchanged(request, same):
        return Response(status_code=304, headers=headers | {"ETag": same})
    drawn = await mosaics.tile(
        source, layer, found, target, output, query.style, selection, behind=behind
    )
    headers["ETag"] = etag_of(json.dumps([catalogued, *drawn.read.items()]).encode())
    if not drawn.may_change:
        mosaics.remember(catalogued, headers["ETag"], drawn.read)
        if unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
    if drawn.used:
        headers["X-Mosaic-Items"] = ",".join(drawn.used[:_NAMED])
    if drawn.may_change:
        del headers["ETag"]  # which names assets, and one of them could not be read this time
        headers["Cache-Control"] = "no-store"
    if drawn.skipped:
        headers["X-Mosaic-Skipped"] = _told(drawn.skipped)
    if behind:
        headers["X-Mosaic-Sketched"] = str(len(behind))
    if len(seen.items) == (limit if seen is found else sketch.MOST):
        headers["X-Mosaic-Limit"] = str(len(seen.items))
    return Response(drawn.body, headers=headers, media_type=encode.MEDIA_TYPES[image_format])


async def mosaic_of(
    service: Service, request: Request, allowed: Sequence[str] = MOSAIC, query: Query | None = None
) -> tuple[MosaicSource, Query]:
    """The mosaic of a route with `{mosaic_id}`, and its checked query.

    Args:
        query: where the handler has read it itself.

    Raises: ResolveError first, so that who may not see it learns nothing; InvalidParameter.
    """
    assert service.resolve_mosaic is not None
    query = query or read_query(request, allowed)
    kind = "collections" if request.url.path.startswith(PREFIXES[0]) else "searches"
    wish = {
        n: query.values[n] for n in (*RESTRICTIONS, "asset_key", "profile") if n in query.values
    }
    source = await service.resolve_mosaic(request, kind, request.path_params["mosaic_id"], wish)
    query.refuse()
    return source, query


def stretch(layer: Layer) -> dict[str, str]:
    """The query that keeps the layer's stretch for as long as a map is open."""
    return {"rescale": layer.rescaled} if layer.rescaled and layer.style.palette is None else {}


def key_for(service: Service, request: Request, source: MosaicSource, query: Query) -> str | None:
    """What opens the tiles without a header: a new token, else what came in the URL."""
    given: str | None = query.get("key")
    if service.sign_mosaic_token is None or source.public:
        return given
    return service.sign_mosaic_token(request, source) or given


def zooms(layer: Layer, tms: str) -> tuple[int, int]:
    """First and last level that suit a layer. Raises: InvalidParameter: out of the set's reach."""
    if tms == matrix_sets.DEFAULT:
        return layer.minzoom, layer.maxzoom
    _, maxzoom = matrix_sets.zoom_range(tms, layer.header)
    return max(matrix_sets.zooms(tms)[0], maxzoom - (layer.maxzoom - layer.minzoom)), maxzoom


def tile_url(
    base_url: str,
    kind: str,
    mosaic_id: str,
    *,
    image_format: str = "webp",
    key: str | None = None,
    parameters: Mapping[str, str] | None = None,
    tms: str = matrix_sets.DEFAULT,
) -> str:
    """The URL template of a mosaic's tiles, with `{z}`, `{x}` and `{y}`."""
    chosen = {**(parameters or {}), **({"key": key} if key else {})}
    query = f"?{urlencode(chosen)}" if chosen else ""
    folder = "tiles" if tms == matrix_sets.DEFAULT else f"tiles/{tms}"
    place = f"/api/v1/{kind}/{quote(mosaic_id, safe='')}/{folder}/{{z}}/{{x}}/{{y}}.{image_format}"
    return f"{base_url.rstrip('/')}{place}{query}"


def _tilejson(source: MosaicSource, layer: Layer, url: str, tms: str) -> dict[str, object]:
    """TileJSON 3.0.0, with the items that cannot be drawn under a member of ours."""
    west, south, east, north = layer.bounds
    limit = grid.MAX_LATITUDE if matrix_sets.crs(tms) == WEB_MERCATOR else 90.0
    south, north = max(-limit, min(limit, south)), max(-limit, min(limit, north))
    middle = (west + east) / 2
    if west > east:  # TileJSON cannot say so: the centre tells where it is
        middle += 180 if middle <= 0 else -180
        west, east = -180.0, 180.0
    minzoom, maxzoom = zooms(layer, tms)
    described: dict[str, object] = {
        "tilejson": "3.0.0",
        "name": source.name,
        "tiles": [url],
        "bounds": [west, south, east, north],
        "center": [middle, (south + north) / 2, minzoom],
        "minzoom": minzoom,
        "maxzoom": maxzoom,
        "scheme": "xyz",
        "vector_layers": [],
    }
    if tms != matrix_sets.DEFAULT:
        described["tileMatrixSet"] = tms
    if layer.skipped:
        described["opstac:skipped"] = layers.described(layer.skipped)
    return described


def _headers(
    request: Request, source: MosaicSource, layer: Layer, found: Candidates
) -> dict[str, str]:
    """The ETag names the looks and every asset under the tile as the catalogue knows it; that of
    the answer has the versions of the files, too.
    """
    query = sorted(p for p in request.query_params.multi_items() if p[0].lower() != "key")
    style = layer.style
    looks = (
        style.bidx,
        style.formula.text if style.formula else None,
        style.rescale,
        None if style.colors is None else style.colors.tobytes().hex(),
        style.gamma,
        style.adjustments,
        style.resampling,
        style.nodata,
        layer.model.version,
    )
    parts = (_RENDERER, request.url.path, query, looks, found.items, found.versions)
    return {
        "ETag": etag_of(json.dumps(parts, default=str).encode()),
        # asked again each time, since an item may come; an unchanged tile costs one query
        "Cache-Control": _kept(source),
        "Vary": "Authorization, X-API-Key",
    }


def _kept(source: MosaicSource) -> str:
    return "public, no-cache" if source.public else "private, no-cache"


def _told(skipped: Sequence[Skipped]) -> str:
    """ASCII JSON: reasons name bands, and those are anybody's words."""
    return json.dumps([[one.item_id, one.reason[:200]] for one in skipped[:_NAMED]])


def degrees(target: Target) -> Bounds:
    """West, south, east, north of a grid; all longitudes where that cannot be said."""
    if target.crs == WEB_MERCATOR:
        west, south, east, north = target.bounds
        return _longitude(west), _latitude(south), _longitude(east), _latitude(north)
    west, south, east, north = target.bounds
    to_degrees = transformer(target.crs, GEOGRAPHIC)
    found = to_degrees.transform_bounds(west, south, east, north, densify_pts=21)
    west, south, east, north = found
    if not all(map(math.isfinite, found)) or west > east:
        return -180.0, -90.0, 180.0, 90.0
    return west, south, east, north


def _longitude(x: float) -> float:
    return x / grid.HALF_WORLD_M * 180


def _latitude(y: float) -> float:
    return math.degrees(math.atan(math.sinh(y / grid.HALF_WORLD_M * math.pi)))

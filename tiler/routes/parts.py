"""Parts of an item's asset as pictures or values.

GET  /api/v1/items/{item_id}/bbox/{minx},{miny},{maxx},{maxy}[/{width}x{height}].{format}
GET  /api/v1/items/{item_id}/preview[/{width}x{height}].{format}
POST /api/v1/items/{item_id}/feature[/{width}x{height}].{format}
"""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import encode, geojson, parts
from tiler.errors import InvalidParameter, OutOfRange
from tiler.routes.body import GEOMETRY, read_json
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import OUTPUT, SHOWN, whole
from tiler.routes.query import Query
from tiler.routes.service import Service
from tiler.routes.tiles import IMAGES, ITEM, format_of
from tiler.target import GEOGRAPHIC, crs_name

SIZE = ("max_size", "width", "height", "dst_crs")
TAKES = (*SHOWN, *OUTPUT, *SIZE)
_side = whole(1, 4096)


def routes(service: Service) -> list[Route]:
    """The family's routes."""

    async def bbox(request: Request) -> Response:
        params = request.path_params
        image_format = format_of(params["format"])
        bounds = [number(params[name], name) for name in ("minx", "miny", "maxx", "maxy")]
        source, query = await service.asset(request, (*TAKES, "coord_crs"))
        return await service.drawn(
            request,
            source,
            encode.MEDIA_TYPES[image_format],
            parts.part,
            source,
            tuple(bounds),
            query.output(image_format),
            query.style,
            crs=named_crs(query, "coord_crs") or GEOGRAPHIC,
            dst_crs=named_crs(query, "dst_crs"),
            size=size_of(request, query),
            max_size=query.get("max_size", parts.MAX_SIZE),
        )

    async def preview(request: Request) -> Response:
        image_format = format_of(request.path_params["format"])
        source, query = await service.asset(request, TAKES)
        return await service.drawn(
            request,
            source,
            encode.MEDIA_TYPES[image_format],
            parts.preview,
            source,
            query.output(image_format),
            query.style,
            dst_crs=named_crs(query, "dst_crs"),
            size=size_of(request, query),
            max_size=query.get("max_size", parts.MAX_SIZE),
        )

    async def feature(request: Request) -> Response:
        image_format = format_of(request.path_params["format"])
        source, query = await service.asset(request, TAKES)
        # to repair one of many positions may take as long as a tile
        area = await asyncio.to_thread(geojson.polygon, await read_json(request), "body")
        body = await service.pool.run(
            parts.feature,
            source,
            area,
            query.output(image_format),
            query.style,
            dst_crs=named_crs(query, "dst_crs"),
            size=size_of(request, query),
            max_size=query.get("max_size", parts.MAX_SIZE),
        )
        media_type = encode.MEDIA_TYPES[image_format]
        return Response(body, headers={"Cache-Control": "no-store"}, media_type=media_type)

    sized = "/{width}x{height}.{format}"
    box = f"{ITEM}/bbox/{{minx}},{{miny}},{{maxx}},{{maxy}}"
    in_box = (*TAKES, "coord_crs")
    return [
        Endpoint(f"{box}{sized}", bbox, summary="A box at a size.", takes=in_box, gives=IMAGES),
        Endpoint(f"{box}.{{format}}", bbox, summary="A box.", takes=in_box, gives=IMAGES),
        Endpoint(
            f"{ITEM}/preview{sized}",
            preview,
            summary="The whole raster at a size.",
            takes=TAKES,
            gives=IMAGES,
        ),
        Endpoint(
            f"{ITEM}/preview.{{format}}",
            preview,
            summary="The whole raster.",
            takes=TAKES,
            gives=IMAGES,
        ),
        Endpoint(
            f"{ITEM}/feature{sized}",
            feature,
            summary="A polygon at a size.",
            takes=TAKES,
            gives=IMAGES,
            method="POST",
            body=GEOMETRY,
        ),
        Endpoint(
            f"{ITEM}/feature.{{format}}",
            feature,
            summary="A polygon.",
            takes=TAKES,
            gives=IMAGES,
            method="POST",
            body=GEOMETRY,
        ),
    ]


def number(text: str, name: str) -> float:
    """A number of the path. Raises: InvalidParameter."""
    try:
        found = float(text) if text.isascii() and "_" not in text else float("nan")
    except ValueError:
        found = float("nan")
    if not abs(found) <= 1e12:
        fault = {"loc": ["path", name], "msg": "must be a number", "type": "float_parsing"}
        raise InvalidParameter([fault])
    return found


def named_crs(query: Query, name: str) -> str | None:
    """The CRS that a parameter names. Raises: InvalidParameter."""
    text = query.get(name)
    return None if text is None else crs_name(text, name)


def size_of(request: Request, query: Query) -> parts.Size:
    """Width and height of the path or the query. Raises: InvalidParameter, OutOfRange."""
    if "width" in request.path_params:
        try:
            return _side(request.path_params["width"]), _side(request.path_params["height"])
        except ValueError as error:
            raise OutOfRange(f"width and height {error}") from None
    width, height = query.get("width"), query.get("height")
    if width is None and height is None:
        return None
    if width is None or height is None:
        raise InvalidParameter.of("width", "is given together with height")
    return width, height

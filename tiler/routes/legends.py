"""Legends: what the colours of an item's, a collection's or a saved search's tiles mean.

GET /api/v1/{items|collections|searches}/{id}/legend.{png|svg|json}
"""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import legend, legend_picture
from tiler.errors import OutOfRange
from tiler.mosaic.draw import Mosaics
from tiler.mosaic.layer import Layer
from tiler.routes import mosaics
from tiler.routes.answers import document
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import RESTRICTIONS, SHOWN
from tiler.routes.service import Service
from tiler.routes.tiles import ITEM
from tiler.source import AssetSource
from tiler.style import Look

MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml", "json": "application/json"}
OF_ITEM = (*SHOWN, "algorithm")
OF_MOSAIC = (*OF_ITEM, *RESTRICTIONS)


def routes(service: Service) -> list[Route]:
    """The family's routes."""
    layers = Mosaics(service.pool)

    async def of_item(request: Request) -> Response:
        media_type = _media_type(request)
        source, query = await service.asset(request, OF_ITEM)
        body = await service.pool.run(
            _of_item, source, query.style, query.get("algorithm"), media_type
        )
        return document(request, body, media_type, public=source.public)

    async def of_mosaic(request: Request) -> Response:
        media_type = _media_type(request)
        source, query = await mosaics.mosaic_of(service, request, OF_MOSAIC)
        layer = await layers.layer(source, query.output("png"), query.style)
        body = await service.pool.run(
            _of_layer, layer, query.style, query.get("algorithm"), media_type
        )
        return document(request, body, media_type, public=source.public)

    gives = tuple(MEDIA_TYPES.values())
    found: list[Route] = [
        Endpoint(
            f"{ITEM}/legend.{{format}}",
            of_item,
            summary="What the colours of an item's tiles mean.",
            takes=OF_ITEM,
            gives=gives,
        )
    ]
    if service.resolve_mosaic is not None:
        for prefix, what in zip(mosaics.PREFIXES, ("collection", "saved search"), strict=True):
            found.append(
                Endpoint(
                    f"{prefix}/{{mosaic_id}}/legend.{{format}}",
                    of_mosaic,
                    summary=f"What the colours of a {what}'s tiles mean.",
                    takes=OF_MOSAIC,
                    gives=gives,
                )
            )
    return found


def _media_type(request: Request) -> str:
    try:
        return MEDIA_TYPES[request.path_params["format"]]
    except KeyError:
        raise OutOfRange(f"a legend is one of {', '.join(MEDIA_TYPES)}") from None


def _of_item(source: AssetSource, look: Look, algorithm: str | None, media_type: str) -> bytes:
    return _written(legend.of_item(source, look, algorithm), media_type)


def _of_layer(layer: Layer, look: Look, algorithm: str | None, media_type: str) -> bytes:
    if algorithm is not None:
        return _written(legend.of_algorithm(algorithm, look), media_type)
    return _written(legend.of_style(layer.model, layer.header, layer.style), media_type)


def _written(found: legend.Legend, media_type: str) -> bytes:
    if media_type == "image/png":
        return legend_picture.png(found)
    if media_type == "image/svg+xml":
        return legend_picture.svg(found)
    return orjson.dumps(found.document())

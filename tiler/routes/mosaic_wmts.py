"""Mosaics as a Web Map Tile Service; what an item's WMTS reads and says, these do too.

GET /api/v1/{collections|searches}/{id}/wmts                            KVP
GET /api/v1/{collections|searches}/{id}/wmts/1.0.0/WMTSCapabilities.xml the document
GET /api/v1/{collections|searches}/{id}/wmts/{style}/{tms}/{z}/{row}/{col}.{png|webp|jpg}

Its one style is `default`; other looks are asked for by the document's query, which the document
puts in its URLs with the layer's stretch. There is no GetFeatureInfo.
"""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import matrix_sets, wmts
from tiler.errors import OutOfRange
from tiler.mosaic.draw import Mosaics
from tiler.mosaic.source import MosaicSource
from tiler.routes import mosaics
from tiler.routes.answers import document
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import MOSAIC
from tiler.routes.query import Query, read_pairs
from tiler.routes.service import Service
from tiler.routes.tiles import address
from tiler.routes.wmts import KVP, Refused, asked_of, format_asked, refusal, split, tile_address


def routes(service: Service) -> list[Route]:
    """The family's routes; none where no mosaics are handed in."""
    if service.resolve_mosaic is None:
        return []
    layers = Mosaics(service.pool)

    async def kvp(request: Request) -> Response:
        texts, pairs, faults = split(request)
        source, query = await mosaics.mosaic_of(service, request, query=read_pairs(pairs, MOSAIC))
        if faults:
            raise faults[0]
        asked = asked_of(texts)
        if asked == "getcapabilities":
            return await capabilities(request, source, query, pairs)
        if asked != "gettile":
            raise Refused(
                "OperationNotSupported", "request", "REQUEST is GetCapabilities or GetTile"
            )
        if texts.get("style", "") not in ("", wmts.DEFAULT_STYLE):
            raise Refused("InvalidParameterValue", "style", "STYLE is default")
        tms, z, x, y = tile_address(texts, request.path_params["mosaic_id"])
        bounds = matrix_sets.bounds(tms, z, x, y)
        return await mosaics.drawn_tile(
            layers, request, source, query, tms, bounds, format_asked(texts)
        )

    async def xml(request: Request) -> Response:
        source, query = await mosaics.mosaic_of(service, request)
        return await capabilities(request, source, query, request.query_params.multi_items())

    async def tile(request: Request) -> Response:
        params = request.path_params
        tms = matrix_sets.check(params["tms"])
        z, x, y, double, image_format = address(
            {"z": params["z"], "x": params["col"], "y": params["row"], "format": params["format"]}
        )
        if params["style"] != wmts.DEFAULT_STYLE or image_format not in wmts.FORMATS.values():
            raise OutOfRange("no such tile: the style is default, the format png, webp or jpg")
        bounds = matrix_sets.bounds(tms, z, x, y)
        source, query = await mosaics.mosaic_of(service, request)
        return await mosaics.drawn_tile(
            layers, request, source, query, tms, bounds, image_format, double=double
        )

    async def capabilities(
        request: Request, source: MosaicSource, query: Query, pairs: list[tuple[str, str]]
    ) -> Response:
        output = query.pictured()
        layer = await layers.layer(source, output, query.style)
        key = mosaics.key_for(service, request, source, query)
        stretch = mosaics.stretch(layer)
        kept = [(n, text) for n, text in pairs if n != "key" and n not in stretch]
        mosaic_id = request.path_params["mosaic_id"]
        place = f"/api/v1/{source.kind}/{quote(mosaic_id, safe='')}/wmts"
        body = wmts.service_document(
            f"{service.origin(request).rstrip('/')}{place}",
            mosaic_id,
            source.name,
            bounds=layer.bounds,
            zooms={name: mosaics.zooms(layer, name) for name in wmts.MATRIX_SETS},
            parameters=[*kept, *stretch.items(), *([("key", key)] if key else [])],
            has_values=False,
            is_coded=output.is_coded,
        )
        return document(request, body, "application/xml", public=source.public)

    gives = tuple(wmts.FORMATS)
    found: list[Route] = []
    for prefix, what in zip(mosaics.PREFIXES, ("a collection", "a saved search"), strict=True):
        place = f"{prefix}/{{mosaic_id}}/wmts"
        found += [
            Endpoint(
                place,
                kvp,
                summary=f"WMTS of {what} by key and value.",
                takes=MOSAIC,
                gives=("application/xml", *gives),
                refuse=refusal,
                kvp=KVP,
            ),
            Endpoint(
                f"{place}/1.0.0/WMTSCapabilities.xml",
                xml,
                summary=f"WMTS's service document of {what}.",
                takes=MOSAIC,
                gives=("application/xml",),
            ),
            Endpoint(
                f"{place}/{{style}}/{{tms}}/{{z}}/{{row}}/{{col}}.{{format}}",
                tile,
                summary=f"A tile of {what} as WMTS's document names it.",
                takes=MOSAIC,
                gives=gives,
            ),
        ]
    return found

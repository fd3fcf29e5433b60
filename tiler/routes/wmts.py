"""An item's asset as a Web Map Tile Service, for QGIS and other GIS.

GET /api/v1/items/{item_id}/wmts                            KVP; without REQUEST the document
GET /api/v1/items/{item_id}/wmts/1.0.0/WMTSCapabilities.xml the document
GET /api/v1/items/{item_id}/wmts/{style}/{tms}/{z}/{row}/{col}.{png|webp|jpg}

Queries may hold what a tile's may; the document puts it, and the key, in its URLs. Names are
compared without case. What is wrong with a query is an OWS exception report.
"""

import re
from collections.abc import Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import describe, encode, matrix_sets, render, wmts
from tiler.errors import InvalidParameter, OutOfRange, TileError
from tiler.routes.answers import document, problem
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import TILE
from tiler.routes.query import Query, read_pairs
from tiler.routes.service import Service
from tiler.routes.tiles import IMAGES, ITEM, address
from tiler.source import AssetSource

KVP = frozenset(
    (
        "service",
        "request",
        "version",
        "acceptversions",
        "acceptformats",
        "sections",
        "updatesequence",
        "layer",
        "style",
        "format",
        "tilematrixset",
        "tilematrix",
        "tilerow",
        "tilecol",
        "infoformat",
        "i",
        "j",
    )
)
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)


class Refused(TileError):
    """A request that breaks the protocol: 400, with OWS's code and the parameter's name."""

    def __init__(self, code: str, locator: str, detail: str) -> None:
        super().__init__(400, "Bad Request", detail)
        self.code = code
        self.locator = locator


def routes(service: Service) -> list[Route]:
    """The family's routes."""

    async def kvp(request: Request) -> Response:
        texts, pairs, faults = split(request)
        query = read_pairs(pairs, TILE)
        named = texts.get("style", "")
        profile = query.get("profile") if named in ("", wmts.DEFAULT_STYLE) else named
        source = await service.resolve_asset(
            request, request.path_params["item_id"], query.get("asset_key"), profile
        )
        if faults:
            raise faults[0]
        query.refuse()
        asked = asked_of(texts)
        if asked == "getcapabilities":
            return await _capabilities(service, request, source, query, pairs)
        if asked == "gettile":
            return await _tile(service, request, texts, source, query)
        if asked == "getfeatureinfo":
            return await _info(service, request, texts, source, query)
        raise Refused(
            "OperationNotSupported",
            "request",
            "REQUEST is GetCapabilities, GetTile or GetFeatureInfo",
        )

    async def xml(request: Request) -> Response:
        source, query = await service.asset(request, TILE)
        return await _capabilities(
            service, request, source, query, request.query_params.multi_items()
        )

    async def rest_tile(request: Request) -> Response:
        params = request.path_params
        tms = matrix_sets.check(params["tms"])
        z, x, y, _, image_format = address(
            {"z": params["z"], "x": params["col"], "y": params["row"], "format": params["format"]}
        )
        matrix_sets.bounds(tms, z, x, y)
        named = params["style"]
        profile = None if named == wmts.DEFAULT_STYLE else named
        source, query = await service.asset(request, TILE, profile=profile)
        return await _drawn(service, request, source, query, tms, z, x, y, image_format)

    return [
        Endpoint(
            f"{ITEM}/wmts",
            kvp,
            summary="WMTS by key and value.",
            takes=TILE,
            gives=("application/xml", *IMAGES, *wmts.INFO_FORMATS),
            refuse=refusal,
            kvp=KVP,
        ),
        Endpoint(
            f"{ITEM}/wmts/1.0.0/WMTSCapabilities.xml",
            xml,
            summary="WMTS's service document.",
            takes=TILE,
            gives=("application/xml",),
        ),
        Endpoint(
            f"{ITEM}/wmts/{{style}}/{{tms}}/{{z}}/{{row}}/{{col}}.{{format}}",
            rest_tile,
            summary="A tile as WMTS's document names it.",
            takes=TILE,
            gives=IMAGES,
        ),
    ]


def asked_of(texts: Mapping[str, str]) -> str:
    """REQUEST in lower case. Raises: Refused: another service is asked for.

    QGIS asks an address that does not hold SERVICE=WMTS as a WMS for its document, and takes
    WMTS's for an answer.
    """
    asked = texts.get("request", "GetCapabilities").lower()
    known = ("WMTS", "WMS") if asked == "getcapabilities" else ("WMTS",)
    if texts.get("service", "WMTS").upper() not in known:
        raise Refused("InvalidParameterValue", "service", "SERVICE is WMTS")
    return asked


async def _capabilities(
    service: Service,
    request: Request,
    source: AssetSource,
    query: Query,
    pairs: list[tuple[str, str]],
) -> Response:
    item_id = request.path_params["item_id"]
    body = await service.pool.run(
        wmts.capabilities,
        source,
        item_id,
        service.origin(request),
        key=service.key_for(request, source, query.get("key")),
        parameters=[pair for pair in pairs if pair[0] != "key"],
        look=query.style,
        is_coded=query.pictured().is_coded,
    )
    return document(request, body, "application/xml", public=source.public)


async def _tile(
    service: Service, request: Request, texts: dict[str, str], source: AssetSource, query: Query
) -> Response:
    tms, z, x, y = tile_address(texts, request.path_params["item_id"])
    image_format = format_asked(texts)
    return await _drawn(service, request, source, query, tms, z, x, y, image_format)


async def _drawn(
    service: Service,
    request: Request,
    source: AssetSource,
    query: Query,
    tms: str,
    z: int,
    x: int,
    y: int,
    image_format: str,
) -> Response:
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
        size=int(query.get("tilesize", "256")),
        output=query.output(image_format),
        **query.style,
    )


async def _info(
    service: Service, request: Request, texts: dict[str, str], source: AssetSource, query: Query
) -> Response:
    tms, z, x, y = tile_address(texts, request.path_params["item_id"])
    media_type = needed(texts, "infoformat")
    if media_type not in wmts.INFO_FORMATS:
        known = ", ".join(wmts.INFO_FORMATS)
        raise Refused("InvalidParameterValue", "infoformat", f"INFOFORMAT is one of {known}")
    column, row = _whole(texts, "i"), _whole(texts, "j")
    if max(column, row) > 255:
        raise Refused("PointIJOutOfRange", "i", "I and J are 0 to 255")
    west, south, east, north = matrix_sets.bounds(tms, z, x, y)
    found = await service.pool.run(
        describe.point,
        source,
        west + (column + 0.5) / 256 * (east - west),
        north - (row + 0.5) / 256 * (north - south),
        crs=matrix_sets.crs(tms),
        bands=query.get("bands"),
        expression=query.get("expression"),
    )
    body = orjson.dumps(found)
    if media_type == "text/plain":
        named = zip(found["band_descriptions"], found["values"], strict=True)
        body = "".join(f"{name}: {value}\n" for name, value in named).encode()
    return document(request, body, media_type, public=source.public)


def split(
    request: Request,
) -> tuple[dict[str, str], list[tuple[str, str]], list[TileError]]:
    """(WMTS's own parameters by lower case name, the others, what is wrong)."""
    texts: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    faults: list[TileError] = []
    for given, text in request.query_params.multi_items():
        name = given.lower()
        if name not in KVP:
            others.append((name, text))
        elif name in texts:
            faults.append(Refused("InvalidParameterValue", name, f"{name} is given twice"))
        else:
            texts[name] = text
    return texts, others, faults


def tile_address(texts: dict[str, str], layer: str) -> tuple[str, int, int, int]:
    """Matrix set, z, x and y that the parameters name. Raises: Refused."""
    if texts.get("version", "1.0.0") != "1.0.0":
        raise Refused("InvalidParameterValue", "version", "VERSION is 1.0.0")
    if needed(texts, "layer") != layer:
        raise Refused("InvalidParameterValue", "layer", "LAYER is the id in the path")
    tms = needed(texts, "tilematrixset")
    if tms not in matrix_sets.NAMES:
        known = ", ".join(wmts.MATRIX_SETS)
        raise Refused("InvalidParameterValue", "tilematrixset", f"TILEMATRIXSET is one of {known}")
    z, x, y = (_whole(texts, name) for name in ("tilematrix", "tilecol", "tilerow"))
    try:
        matrix_sets.bounds(tms, z, x, y)
    except OutOfRange as error:
        raise Refused("TileOutOfRange", "tilecol", error.detail) from None
    return tms, z, x, y


def format_asked(texts: dict[str, str]) -> str:
    """`png`, `webp` or `jpg`. Raises: Refused."""
    image_format = wmts.FORMATS.get(needed(texts, "format"))
    if image_format is None:
        raise Refused(
            "InvalidParameterValue", "format", f"FORMAT is one of {', '.join(wmts.FORMATS)}"
        )
    return image_format


def needed(texts: dict[str, str], name: str) -> str:
    """A parameter's text. Raises: Refused: there is none."""
    if not texts.get(name):
        raise Refused("MissingParameterValue", name, f"{name.upper()} is missing")
    return texts[name]


def _whole(texts: dict[str, str], name: str) -> int:
    text = needed(texts, name)
    if not _NUMBER.fullmatch(text):
        raise Refused("InvalidParameterValue", name, f"{name.upper()} is a whole number")
    return int(text)


def refusal(error: TileError, request_id: str | None = None) -> Response:
    """OWS's form for what is wrong with the query; all else as everywhere."""
    code, locator = "InvalidParameterValue", None
    if isinstance(error, Refused):
        code, locator = error.code, error.locator
    elif isinstance(error, InvalidParameter):
        fault = error.errors[0]
        locator = str(fault["loc"][-1])
        locator = "style" if locator == "profile" else locator
        error = TileError(400, "Bad Request", f"{locator}: {fault['msg']}")
    else:
        return problem(error, request_id)
    return Response(wmts.exception_report(error, code, locator), 400, media_type="application/xml")

"""WMTS 1.0.0 (OGC 07-057r7): what a service document and an exception report look like.

One layer: an item's asset, whose styles are the item's display profiles, or a mosaic.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape, quoteattr

from tiler import datasets, encode, grid, matrix_sets
from tiler.errors import TileError
from tiler.source import AssetSource
from tiler.style import Look, style
from tiler.target import GEOGRAPHIC, transformer
from tiler.work import lane

MATRIX_SETS = ("WebMercatorQuad", "WorldCRS84Quad")
FORMATS = {encode.MEDIA_TYPES[name]: name for name in ("png", "webp", "jpg")}
INFO_FORMATS = ("application/json", "text/plain")
DEFAULT_STYLE = "default"
"""The style that is the item's default picture, or whatever the document was asked for with."""

_SRS = {
    "WebMercatorQuad": "urn:ogc:def:crs:EPSG::3857",
    "WorldCRS84Quad": "urn:ogc:def:crs:OGC:1.3:CRS84",
}
_NAMESPACES = (
    'xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@lane("quick")
def capabilities(
    source: AssetSource,
    item_id: str,
    base_url: str,
    *,
    key: str | None = None,
    parameters: Iterable[tuple[str, str]] = (),
    look: Look | None = None,
    is_coded: bool = False,
    service: str | None = None,
    has_values: bool = True,
) -> bytes:
    """The service document.

    Args:
        base_url: scheme and host of its URLs.
        key: what opens the tiles, put in the URLs.
        parameters: of the query, put in the URLs.
        look: what those parameters ask for; refused here as a tile would.
        service: URL of the service, where it is another than the tiler's own.
        is_coded, has_values: as `service_document`.

    Raises: InvalidParameter, Unreadable.
    """
    header = datasets.header_of(source)
    style(source, header, **(look or {}))
    return service_document(
        service or f"{base_url.rstrip('/')}/api/v1/items/{quote(item_id, safe='')}/wmts",
        item_id,
        source.name or item_id,
        bounds=source.bounds or header.geographic_bounds,
        zooms={name: matrix_sets.zoom_range(name, header) for name in MATRIX_SETS},
        styles=[(p["id"], p["name"]) for p in source.profiles],
        parameters=[*parameters, *([("key", key)] if key else [])],
        is_coded=is_coded,
        has_values=has_values,
    )


def service_document(
    service: str,
    identifier: str,
    name: str,
    *,
    bounds: tuple[float, float, float, float],
    zooms: Mapping[str, tuple[int, int]],
    styles: Iterable[tuple[str, str]] = (),
    parameters: Iterable[tuple[str, str]] = (),
    has_values: bool = True,
    is_coded: bool = False,
) -> bytes:
    """The service document of one layer.

    Args:
        service: URL of the service.
        identifier, name: of the layer.
        bounds: in degrees; west > east across the antimeridian.
        zooms: first and last level, by the name of `MATRIX_SETS`.
        styles: id and name of those besides the default.
        parameters: of the query, put in the URLs.
        has_values: GetFeatureInfo is answered.
        is_coded: colours are numbers, so that PNG is the only format.
    """
    chosen = list(parameters)
    query = f"?{urlencode(chosen)}" if chosen else ""
    west, south, east, north = bounds
    if west > east:
        west, east = -180.0, 180.0
    title = _text(name)
    offered = [(DEFAULT_STYLE, "Default"), *styles]
    asked = ("GetCapabilities", "GetTile", *(("GetFeatureInfo",) if has_values else ()))
    infos = "".join(f"<InfoFormat>{name}</InfoFormat>" for name in INFO_FORMATS if has_values)
    given = {m: name for m, name in FORMATS.items() if name == "png" or not is_coded}
    formats = "".join(f"<Format>{media_type}</Format>" for media_type in given)
    tiles = "{Style}/{TileMatrixSet}/{TileMatrix}/{TileRow}/{TileCol}"
    resources = "".join(
        f'<ResourceURL format="{media_type}" resourceType="tile" '
        f"template={quoteattr(f'{service}/{tiles}.{name}{query}')}/>"
        for media_type, name in given.items()
    )
    links = "".join(_link(name, zooms[name], (west, south, east, north)) for name in MATRIX_SETS)
    sets = "".join(_matrix_set(name, zooms[name][1]) for name in MATRIX_SETS)
    kvp = quoteattr(f"{service}{query}{'&' if query else '?'}")
    operations = "".join(
        f'<ows:Operation name="{name}"><ows:DCP><ows:HTTP><ows:Get xlink:href={kvp}>'
        '<ows:Constraint name="GetEncoding"><ows:AllowedValues><ows:Value>KVP</ows:Value>'
        "</ows:AllowedValues></ows:Constraint></ows:Get></ows:HTTP></ows:DCP></ows:Operation>"
        for name in asked
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Capabilities {_NAMESPACES} version="1.0.0" xsi:schemaLocation='
        '"http://www.opengis.net/wmts/1.0 '
        'http://schemas.opengis.net/wmts/1.0/wmtsGetCapabilities_response.xsd">'
        f"<ows:ServiceIdentification><ows:Title>{title}</ows:Title>"
        "<ows:ServiceType>OGC WMTS</ows:ServiceType>"
        "<ows:ServiceTypeVersion>1.0.0</ows:ServiceTypeVersion></ows:ServiceIdentification>"
        f"<ows:OperationsMetadata>{operations}</ows:OperationsMetadata>"
        f"<Contents><Layer><ows:Title>{title}</ows:Title><ows:WGS84BoundingBox>"
        f"<ows:LowerCorner>{west!r} {south!r}</ows:LowerCorner>"
        f"<ows:UpperCorner>{east!r} {north!r}</ows:UpperCorner></ows:WGS84BoundingBox>"
        f"<ows:Identifier>{_text(identifier)}</ows:Identifier>"
        f"{_mercator_box((west, south, east, north))}"
        f"{''.join(_style(one, label) for one, label in offered)}{formats}"
        f"{infos}"
        f"{links}{resources}</Layer>{sets}</Contents>"
        f"<ServiceMetadataURL xlink:href={quoteattr(service + query)}/></Capabilities>"
    ).encode()


def exception_report(error: TileError, code: str, locator: str | None) -> bytes:
    """An OWS exception report (OGC 06-121r3) of what was wrong."""
    at = f" locator={quoteattr(_text(locator))}" if locator else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/1.1" version="1.1.0" '
        f'xml:lang="en"><ows:Exception exceptionCode="{code}"{at}>'
        f"<ows:ExceptionText>{_text(error.detail)}</ows:ExceptionText></ows:Exception>"
        "</ows:ExceptionReport>"
    ).encode()


def _style(identifier: str, label: str) -> str:
    default = ' isDefault="true"' if identifier == DEFAULT_STYLE else ""
    return (
        f"<Style{default}><ows:Title>{_text(label)}</ows:Title>"
        f"<ows:Identifier>{_text(identifier)}</ows:Identifier></Style>"
    )


def _mercator_box(bounds: tuple[float, float, float, float]) -> str:
    """The box again in metres: clients that project the degrees themselves, as GDAL does, take the
    poles for millions of kilometres away.
    """
    west, south, east, north = bounds
    limit = grid.MAX_LATITUDE
    south, north = (max(-limit, min(limit, latitude)) for latitude in (south, north))
    crs = matrix_sets.crs(matrix_sets.DEFAULT)
    x, y = transformer(GEOGRAPHIC, crs).transform([west, east], [south, north])
    return (
        f'<ows:BoundingBox crs="{_SRS[matrix_sets.DEFAULT]}">'
        f"<ows:LowerCorner>{x[0]!r} {y[0]!r}</ows:LowerCorner>"
        f"<ows:UpperCorner>{x[1]!r} {y[1]!r}</ows:UpperCorner></ows:BoundingBox>"
    )


def _link(name: str, zooms: tuple[int, int], box: tuple[float, float, float, float]) -> str:
    limits = []
    for z in range(zooms[0], zooms[1] + 1):
        first, last, top, bottom = matrix_sets.tile_range(name, z, box)
        if not (last and bottom):
            continue  # the standard's schema has no limit of 0; such a level is a tile or two
        limits.append(
            f"<TileMatrixLimits><TileMatrix>{z}</TileMatrix>"
            f"<MinTileRow>{top}</MinTileRow><MaxTileRow>{bottom}</MaxTileRow>"
            f"<MinTileCol>{first}</MinTileCol><MaxTileCol>{last}</MaxTileCol></TileMatrixLimits>"
        )
    listed = f"<TileMatrixSetLimits>{''.join(limits)}</TileMatrixSetLimits>" if limits else ""
    return f"<TileMatrixSetLink><TileMatrixSet>{name}</TileMatrixSet>{listed}</TileMatrixSetLink>"


def _matrix_set(name: str, last: int) -> str:
    matrices = []
    for z in range(matrix_sets.zooms(name)[0], last + 1):
        scale, left, top, columns, rows = matrix_sets.level(name, z)
        matrices.append(
            f"<TileMatrix><ows:Identifier>{z}</ows:Identifier>"
            f"<ScaleDenominator>{scale!r}</ScaleDenominator>"
            f"<TopLeftCorner>{left!r} {top!r}</TopLeftCorner>"
            "<TileWidth>256</TileWidth><TileHeight>256</TileHeight>"
            f"<MatrixWidth>{columns}</MatrixWidth><MatrixHeight>{rows}</MatrixHeight></TileMatrix>"
        )
    return (
        f"<TileMatrixSet><ows:Identifier>{name}</ows:Identifier>"
        f"<ows:SupportedCRS>{_SRS[name]}</ows:SupportedCRS>{''.join(matrices)}</TileMatrixSet>"
    )


def _text(value: str) -> str:
    return escape(_ILLEGAL.sub("\ufffd", value))

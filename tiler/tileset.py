"""Tilesets as OGC API - Tiles describes them (OGC 20-057, OGC 17-083r4): one a tile matrix set."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tiler import encode, matrix_sets
from tiler.datasets import Header
from tiler.errors import InvalidParameter
from tiler.target import GEOGRAPHIC, Bounds, transformer

REL = "http://www.opengis.net/def/rel/ogc/1.0"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
PICTURES = ("webp", "png", "jpg")
"""Formats that a tileset links to, the one to prefer first."""

# in these meridians and parallels are straight, so that a box is a range of rows and columns
_STRAIGHT = ("WebMercatorQuad", "WorldCRS84Quad", "WGS1984Quad", "WorldMercatorWGS84Quad")

Zooms = tuple[int, int]


def reached(header: Header, bounds: Bounds) -> list[str]:
    """The matrix sets that reach what lies in the bounds, of rasters such as this one."""
    found: list[str] = []
    for name in matrix_sets.NAMES:
        if _within(name, bounds):
            try:
                matrix_sets.zoom_range(name, header)
            except InvalidParameter:
                continue
            found.append(name)
    return found


def _within(name: str, bounds: Bounds) -> bool:
    """Whether a set's grid has a place for the middle of the bounds."""
    west, south, east, north = bounds
    middle = (west + east + 360 * (west > east)) / 2
    x, y = transformer(GEOGRAPHIC, matrix_sets.crs(name)).transform(
        [(middle + 180) % 360 - 180], [(south + north) / 2]
    )
    first = matrix_sets.zooms(name)[0]
    _, left, top, columns, rows = matrix_sets.level(name, first)
    box = matrix_sets.bounds(name, first, 0, 0)
    side = box[2] - box[0]
    return left <= x[0] <= left + columns * side and top - rows * side <= y[0] <= top


def entry(
    place: str, name: str, tms: str, bounds: Bounds, query: Mapping[str, str]
) -> dict[str, Any]:
    """A tileset in a list of them.

    Args:
        place: URL of the list.
        name: of what is drawn.
        bounds: in degrees; west > east across the antimeridian.
        query: of the URLs, without a key: who asks for the tileset asks with a credential.
    """
    return {
        "title": f"{name} in {tms}",
        **_said(tms, bounds),
        "links": [_link("self", f"{place}/{tms}{_text(query)}", "Tileset"), _scheme(place, tms)],
    }


def document(
    place: str,
    name: str,
    tms: str,
    bounds: Bounds,
    zooms: Zooms,
    query: Mapping[str, str],
    key: str | None,
    *,
    is_coded: bool = False,
) -> dict[str, Any]:
    """A tileset with its tiles.

    Args:
        zooms: first and last level.
        key: what opens the tiles without a header, put in their URLs.
        is_coded: colours are numbers, so that PNG is the only format.
    """
    folder = place if tms == matrix_sets.DEFAULT else f"{place}/{tms}"
    opened = _text({**query, **({"key": key} if key else {})})
    tiles = [
        {
            "rel": "item",
            "href": f"{folder}/{{tileMatrix}}/{{tileCol}}/{{tileRow}}.{kind}{opened}",
            "type": encode.MEDIA_TYPES[kind],
            "title": f"Tiles as {kind}",
            "templated": True,
        }
        for kind in PICTURES
        if kind == "png" or not is_coded
    ]
    found: dict[str, Any] = {
        "title": f"{name} in {tms}",
        **_said(tms, bounds),
        "links": [
            _link("self", f"{place}/{tms}{_text(query)}", "Tileset"),
            _scheme(place, tms),
            _link("alternate", f"{folder}/tilejson.json{_text(query)}", "TileJSON"),
            *tiles,
        ],
    }
    if tms in _STRAIGHT:
        found["tileMatrixSetLimits"] = [
            _limit(tms, z, bounds) for z in range(zooms[0], zooms[1] + 1)
        ]
    return found


def _said(tms: str, bounds: Bounds) -> dict[str, Any]:
    west, south, east, north = bounds
    if west > east:
        west, east = -180.0, 180.0
    return {
        "dataType": "map",
        "crs": matrix_sets.crs_uri(tms),
        "tileMatrixSetURI": f"http://www.opengis.net/def/tilematrixset/OGC/1.0/{tms}",
        "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84},
    }


def _limit(tms: str, z: int, bounds: Bounds) -> dict[str, Any]:
    west, south, east, north = bounds
    whole = (-180.0, south, 180.0, north) if west > east else bounds
    first, last, top, bottom = matrix_sets.tile_range(tms, z, whole)
    return {
        "tileMatrix": str(z),
        "minTileRow": top,
        "maxTileRow": bottom,
        "minTileCol": first,
        "maxTileCol": last,
    }


def _scheme(place: str, tms: str) -> dict[str, Any]:
    base = place.partition("/api/v1/")[0]
    return _link(
        f"{REL}/tiling-scheme", f"{base}/api/v1/tileMatrixSets/{tms}", f"Definition of {tms}"
    )


def _link(rel: str, href: str, title: str) -> dict[str, Any]:
    return {"rel": rel, "href": href, "type": "application/json", "title": title}


def _text(query: Mapping[str, str]) -> str:
    return f"?{urlencode(query)}" if query else ""

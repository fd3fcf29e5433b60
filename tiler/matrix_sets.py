"""Tile matrix sets: the grids that tiles are cut on, as OGC registered them."""

import math
from functools import lru_cache
from typing import Any

import morecantile

from tiler import grid
from tiler.datasets import Header
from tiler.errors import OutOfRange
from tiler.target import GEOGRAPHIC, WEB_MERCATOR, Bounds, pixel_size, transformer

DEFAULT = "WebMercatorQuad"
NAMES = (
    DEFAULT,
    "WorldCRS84Quad",
    "WGS1984Quad",
    "WorldMercatorWGS84Quad",
    "UTM31WGS84Quad",
    "EuropeanETRS89_LAEAQuad",
    "UPSArcticWGS84Quad",
    "UPSAntarcticWGS84Quad",
    "CanadianNAD83_LCC",
    "LINZAntarticaMapTilegrid",
    "NZTM2000Quad",
)
"""Those with square tiles, the same number in every row."""

_SLACK_ZOOM = 0.05  # as `grid.zoom_range`


def check(name: str) -> str:
    """The set's name. Raises: OutOfRange: none of ours."""
    if name not in NAMES:
        raise OutOfRange(f"no tile matrix set {name[:60]!r}; there are {', '.join(NAMES)}")
    return name


@lru_cache
def _definition(name: str) -> morecantile.TileMatrixSet:
    return morecantile.tms.get(check(name))


@lru_cache
def definition(name: str) -> dict[str, Any]:
    """The set as OGC's JSON (OGC 17-083r4). Raises: OutOfRange."""
    return _definition(name).model_dump(mode="json", exclude_none=True, by_alias=True)


@lru_cache
def crs(name: str) -> str:
    """The CRS's code, axes x then y."""
    if name == DEFAULT:
        return WEB_MERCATOR
    code = _definition(name).crs.to_epsg()
    return f"EPSG:{code or 4326}"  # CRS84, which has no EPSG code, is 4326 with axes in our order


def crs_uri(name: str) -> str:
    """The CRS as a document names it."""
    return str(definition(name)["crs"])


def zooms(name: str) -> tuple[int, int]:
    """The set's first and last level."""
    if name == DEFAULT:
        return 0, grid.MAX_ZOOM
    found = _definition(name)
    return found.minzoom, found.maxzoom


def level(name: str, z: int) -> tuple[float, float, float, int, int]:
    """Scale denominator, x and y of the top left corner, columns and rows of a level."""
    found = _definition(name)
    matrix = found.matrix(z)
    box = found.xy_bounds(morecantile.Tile(0, 0, z))
    return (
        float(matrix.scaleDenominator),
        box.left,
        box.top,
        matrix.matrixWidth,
        matrix.matrixHeight,
    )


def bounds(name: str, z: int, x: int, y: int) -> Bounds:
    """A tile's west, south, east, north in the set's CRS. Raises: OutOfRange: no such tile."""
    if check(name) == DEFAULT:
        return grid.tile(z, x, y).bounds
    first, last = zooms(name)
    if not first <= z <= last:
        raise OutOfRange(f"zoom {z} is not in {first} to {last} of {name}")
    matrix = _definition(name).matrix(z)
    if not (0 <= x < matrix.matrixWidth and 0 <= y < matrix.matrixHeight):
        raise OutOfRange(
            f"tile {z}/{x}/{y} is not in {name}: x is 0 to {matrix.matrixWidth - 1}, "
            f"y is 0 to {matrix.matrixHeight - 1}"
        )
    box = _definition(name).xy_bounds(morecantile.Tile(x, y, z))
    return box.left, box.bottom, box.right, box.top


def zoom_range(name: str, header: Header) -> tuple[int, int]:
    """The levels that suit a raster: from all of it in a tile or two to its own pixels.

    The rule of `grid.zoom_range` in the set's own units.
    Raises: InvalidParameter: the set's CRS does not reach the raster.
    """
    if name == DEFAULT:
        return header.minzoom, header.maxzoom
    size = pixel_size(header, crs(name))
    first, last = zooms(name)
    cells = [_definition(name).matrix(z).cellSize for z in range(first, last + 1)]
    finest = size * 2**_SLACK_ZOOM
    maxzoom = next((z for z, cell in enumerate(cells, first) if cell <= finest), last)
    longest = size * max(header.width, header.height) / grid.TILE_PIXELS
    minzoom = max((z for z, c in enumerate(cells, first) if c >= longest), default=first)
    return min(minzoom, maxzoom), maxzoom


def tile_range(name: str, z: int, geographic: Bounds) -> tuple[int, int, int, int]:
    """First and last column, first and last row of the tiles that may touch a geographic box.

    Args:
        name: a set in which meridians and parallels are straight: Mercator or degrees.
        geographic: west, south, east, north in degrees, west below east.
    """
    west, south, east, north = geographic
    if crs(name) != GEOGRAPHIC:
        south, north = max(-grid.MAX_LATITUDE, south), min(grid.MAX_LATITUDE, north)
    box = bounds(name, z, 0, 0)
    _, left, top, columns, rows = level(name, z)
    side_x, side_y = box[2] - box[0], box[3] - box[1]
    x, y = transformer(GEOGRAPHIC, crs(name)).transform([west, east], [south, north])
    first, last = math.floor((x[0] - left) / side_x), math.ceil((x[1] - left) / side_x) - 1
    high, low = math.floor((top - y[1]) / side_y), math.ceil((top - y[0]) / side_y) - 1
    first, high = max(0, min(columns - 1, first)), max(0, min(rows - 1, high))
    return first, max(first, min(columns - 1, last)), high, max(high, min(rows - 1, low))

"""The WebMercatorQuad tile grid, and which of its zoom levels suit a raster."""

import math
from dataclasses import dataclass

from tiler.errors import OutOfRange

HALF_WORLD_M = 20037508.342789244
"""Half the side of the Web Mercator square, in its metres."""

MAX_ZOOM = 30
MAX_LATITUDE = 85.0511287798066
TILE_PIXELS = 256
_RESOLUTION_0 = 2 * HALF_WORLD_M / TILE_PIXELS  # metres a pixel at the equator, zoom 0
# A tile pixel may be this share coarser than the raster's before another zoom level is offered.
_SLACK_ZOOM = 0.05


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile address, checked."""

    z: int
    x: int
    y: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in EPSG:3857 metres."""
        side = 2 * HALF_WORLD_M / (1 << self.z)
        west = -HALF_WORLD_M + self.x * side
        north = HALF_WORLD_M - self.y * side
        return west, north - side, west + side, north


def tile(z: int, x: int, y: int) -> Tile:
    """The tile at this address. Raises: OutOfRange: there is none."""
    if not 0 <= z <= MAX_ZOOM:
        raise OutOfRange(f"zoom {z} is not in 0 to {MAX_ZOOM}")
    side = 1 << z
    if not (0 <= x < side and 0 <= y < side):
        raise OutOfRange(f"tile {z}/{x}/{y} is not in the grid: x and y are 0 to {side - 1}")
    return Tile(z, x, y)


def zoom_range(ground_resolution_m: float, latitude: float, longest_side: int) -> tuple[int, int]:
    """The zoom levels that show a raster: from all of it in a tile or two to its own pixels.

    Args:
        ground_resolution_m: side of a pixel on the ground, in metres.
        latitude: of the raster's middle, degrees; Web Mercator stretches by 1 / cos(latitude).
        longest_side: pixels.

    Returns: (minzoom, maxzoom); at maxzoom a tile's pixel is no coarser than the raster's,
        within 4 per cent.
    """
    latitude = max(-MAX_LATITUDE, min(MAX_LATITUDE, latitude))
    mercator_m = ground_resolution_m / math.cos(math.radians(latitude))
    exact = math.log2(_RESOLUTION_0 / mercator_m)
    maxzoom = max(0, min(24, math.ceil(exact - _SLACK_ZOOM)))
    levels = math.ceil(math.log2(max(1.0, longest_side / TILE_PIXELS)))
    return max(0, maxzoom - levels), maxzoom

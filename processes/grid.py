"""The grid that something is computed on, and the blocks that it is computed in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.windows import Window
from shapely import affinity

from raster import reader
from raster.reader import Area, Gridded

SIDE = 512
"""Rows of a block, and what its columns are a multiple of: the tiles of the files we write."""
_SMALLEST = 64
_COLUMNS = 4096
_BLOCK_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class Grid:
    """Pixels on the ground.

    Attributes:
        area: the pixels that are meant, in this grid's pixel coordinates; None means all.
    """

    crs: CRS
    transform: Affine
    width: int
    height: int
    area: Area | None = None

    @classmethod
    def of(cls, source: Gridded, geometry: Mapping[str, Any] | None = None) -> "Grid":
        """The grid of a dataset, cut to what a geometry touches of it.

        Args:
            geometry: GeoJSON Polygon or MultiPolygon, EPSG:4326; which pixels it means is said by
                `raster.reader.area`.

        Raises: RasterError: `no_overlap`, `not_georeferenced`.
        """
        whole = cls(source.crs, source.transform, source.width, source.height)
        return whole if geometry is None else whole.cut(geometry)

    def cut(self, geometry: Mapping[str, Any]) -> "Grid":
        """The part that a geometry touches, as by `of`."""
        area = reader.area(self, geometry)
        window = area.window
        x, y = reader.place(self.transform, window.col_off, window.row_off)
        t = self.transform
        moved = affinity.translate(area.geometry, -window.col_off, -window.row_off)
        width, height = int(window.width), int(window.height)
        whole = reader.pixels(0, 0, width, height)
        meant = Area(whole, moved, area.all_touched)
        return Grid(self.crs, Affine(t.a, t.b, x, t.d, t.e, y), width, height, meant)

    def blocks(self, *, pixel_bytes: int = 64, halo: int = 0) -> Iterator["Block"]:
        """Its blocks, row by row; how it is divided depends on nothing but the arguments.

        Args:
            pixel_bytes: what computing one pixel keeps in memory, all arrays together. Blocks have
                up to 512 rows and 4,096 columns, less where that would be more than 64 MiB.
            halo: pixels that a block reads beyond its own on every side.
        """
        side = SIDE
        while side > _SMALLEST and (side + 2 * halo) ** 2 * pixel_bytes > _BLOCK_BYTES:
            side //= 2
        fitting = _BLOCK_BYTES // (pixel_bytes * (side + 2 * halo)) // side * side
        columns = min(max(side, fitting), _COLUMNS)
        whole = reader.pixels(0, 0, self.width, self.height)
        for number, window in enumerate(reader.tiles(whole, columns, side)):
            yield Block(self, number, window, halo)


@dataclass(frozen=True)
class Block:
    """A piece of a grid.

    Attributes:
        number: from 0 in the order of `Grid.blocks`.
        window: its own pixels, on the grid.
        halo: pixels read beyond them on every side; they may lie outside the grid.
    """

    grid: Grid
    number: int
    window: Window
    halo: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) without the halo."""
        return int(self.window.height), int(self.window.width)

    @property
    def outer(self) -> Window:
        """With the halo."""
        w, h = self.window, self.halo
        return reader.pixels(w.col_off - h, w.row_off - h, w.width + 2 * h, w.height + 2 * h)

    def core(self, values: Any) -> Any:
        """An array of `outer` without the halo: (…, rows, columns)."""
        h = self.halo
        return values[..., h:-h, h:-h] if h else values

    def inside(self) -> np.ndarray | None:
        """True where a pixel is meant, shape (rows, columns); None where all are."""
        area = self.grid.area
        if area is None:
            return None
        meant = area.inside(self.window)
        return None if meant.all() else meant

    def without_area(self) -> "Block":
        """The same without the geometry, for a journey."""
        return replace(self, grid=replace(self.grid, area=None))


def carried(grid: Grid) -> list[Any] | None:
    """A grid's area as a parameter of block functions that have to know it themselves."""
    area = grid.area
    return None if area is None else [shapely.to_wkb(area.geometry, hex=True), area.all_touched]


def inside(area: list[Any] | None, block: Block) -> np.ndarray:
    """True where a pixel of a block is meant, by what `carried` made; (rows, columns)."""
    if area is None:
        return np.ones(block.shape, bool)
    geometry, all_touched = area
    # one pixel aside: of the identity rasterio warns, in a way that is not safe among threads
    moved = affinity.translate(shapely.from_wkb(geometry), 1, 1)
    w = block.window
    window = reader.pixels(w.col_off + 1, w.row_off + 1, w.width, w.height)
    return Area(window, moved, all_touched).inside(window)

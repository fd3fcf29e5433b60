"""Outlines of the pieces of a raster's blocks, joined where the blocks meet.

Blocks come row by row. A piece that touches no seam is whole. Of the others those of one class that
share a pixel's edge across a seam belong together; what they make is whole when the row of blocks
below has no part of it. So what waits is what lies along one line across the raster, and what hangs
on it, and that is bounded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from rasterio.features import rasterize, shapes
from rasterio.transform import Affine
from shapely.geometry import shape

from processes.grid import Block, Grid
from processes.process import JobError

MAX_VERTICES = 4_000_000
"""Of the pieces that wait at once: about 400 MB."""

Whole = tuple[int, shapely.Polygon]
"""A class, and its polygon in the grid's pixel coordinates."""


@dataclass(frozen=True)
class Pieces:
    """What a block has.

    Attributes:
        classes: int64, one a piece.
        outlines: WKB of the polygons, in the grid's pixel coordinates.
        edges: number of the piece at each pixel of the top, bottom, left and right edge, -1 where
            there is none.
    """

    classes: np.ndarray
    outlines: Sequence[bytes]
    edges: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def trace(block: Block, classes: np.ndarray, valid: np.ndarray, most: int) -> Pieces:
    """The connected pieces of a block; pixels that touch at a corner only are not connected.

    Args:
        classes: int64, (rows, columns).
        valid: what has a class.
        most: areas that there may be; pieces along the seams may become fewer.

    Raises: JobError("invalid_inputs"): there are more.
    """
    rows, columns = block.shape
    codes, numbers = np.unique(classes[valid], return_inverse=True)
    local = np.zeros((rows, columns), np.int32)
    local[valid] = numbers
    # one pixel aside: of the identity rasterio warns, in a way that is not safe among threads
    place = Affine.translation(block.window.col_off + 1, block.window.row_off + 1)
    found: list[Any] = []
    of: list[int] = []
    for outline, number in shapes(local, mask=valid, connectivity=4, transform=place):
        if len(found) == most + 2 * (rows + columns):
            raise too_many(most)
        found.append(shape(outline))
        of.append(int(codes[int(number)]))
    labels = np.full((rows, columns), -1, np.int32)
    if found:
        rasterize(((polygon, n) for n, polygon in enumerate(found)), out=labels, transform=place)
    edges = labels[0].copy(), labels[-1].copy(), labels[:, 0].copy(), labels[:, -1].copy()
    moved = shapely.transform(np.array(found, dtype=object), lambda points: points - 1)
    return Pieces(np.array(of, np.int64), list(shapely.to_wkb(moved)), edges)


def too_many(most: int) -> JobError:
    """More features than were asked for at most."""
    return JobError(
        "invalid_inputs",
        f"max_features: there are more than {most:,}; choose a smaller area, fewer or broader "
        "classes, or allow more",
    )


class Joiner:
    """Joins the pieces of a grid's blocks."""

    def __init__(self, grid: Grid, max_vertices: int = MAX_VERTICES) -> None:
        self._grid, self._most = grid, max_vertices
        self._above = np.full(grid.width, -1, np.int64)
        self._left: np.ndarray | None = None
        self._row = 0
        self._parent: dict[int, int] = {}
        self._class: dict[int, int] = {}
        self._parts: dict[int, list[shapely.Polygon]] = {}
        self._next = 0
        self._vertices = 0

    def add(self, block: Block, pieces: Pieces | None) -> Iterator[Whole]:
        """Take in the next block of the grid's order; what has become whole.

        Args:
            pieces: None for a block outside the area.

        Raises: JobError("invalid_inputs"): too much waits.
        """
        window = block.window
        top, left = int(window.row_off), int(window.col_off)
        rows, columns = block.shape
        if top != self._row:
            yield from self._settle()
            self._row, self._left = top, None
        across = slice(left, left + columns)
        if pieces is None:
            self._above[across], self._left = -1, None
            return
        names = self._named(pieces, block)
        edges = [np.where(edge < 0, -1, names[edge]) for edge in pieces.edges] if len(names) else [
            np.full(len(edge), -1, np.int64) for edge in pieces.edges
        ]  # fmt: skip
        for number in np.flatnonzero(names < 0):
            yield int(pieces.classes[number]), self._polygon(pieces, int(number))
        self._join(self._above[across], edges[0])
        if self._left is not None:
            self._join(self._left, edges[2])
        self._above[across], self._left = edges[1], edges[3]
        if left + columns == self._grid.width and top + rows == self._grid.height:
            self._above[:] = -1
            yield from self._settle()

    @staticmethod
    def _polygon(pieces: Pieces, number: int) -> shapely.Polygon:
        found = shapely.from_wkb(pieces.outlines[number])
        assert isinstance(found, shapely.Polygon)
        return found

    def _named(self, pieces: Pieces, block: Block) -> np.ndarray:
        """A name for each piece that touches a seam; -1 for those that are whole."""
        window, grid = block.window, self._grid
        seams = (
            window.row_off > 0,
            window.row_off + window.height < grid.height,
            window.col_off > 0,
            window.col_off + window.width < grid.width,
        )
        names = np.full(len(pieces.classes), -1, np.int64)
        waiting = np.unique(
            np.concatenate(
                [np.empty(0, np.int32)]
                + [edge for edge, seam in zip(pieces.edges, seams, strict=True) if seam]
            )
        )
        for number in waiting[waiting >= 0]:
            polygon = self._polygon(pieces, number)
            names[number] = name = self._next
            self._next += 1
            self._parent[name] = name
            self._class[name] = int(pieces.classes[number])
            self._parts[name] = [polygon]
            self._vertices += shapely.get_num_coordinates(polygon)
        if self._vertices > self._most:
            raise JobError(
                "invalid_inputs",
                f"outlines of more than {self._most:,} points would have to be joined at once; "
                "choose a smaller area or broader classes",
            )
        return names

    def _root(self, name: int) -> int:
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def _join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Pieces beside each other along a seam that have one class are one."""
        met = np.unique(np.column_stack([one, other])[(one >= 0) & (other >= 0)], axis=0)
        for a, b in met.tolist():
            if self._class[a] != self._class[b]:
                continue
            low, high = sorted((self._root(a), self._root(b)))
            if low != high:
                self._parent[high] = low
                self._parts[low] += self._parts.pop(high)

    def _settle(self) -> Iterator[Whole]:
        """What nothing can be added to any more; forgets it."""
        open_names = np.unique(self._above[self._above >= 0]).tolist()
        alive = {self._root(name) for name in open_names}
        for root in sorted(set(self._parts) - alive):
            parts = self._parts.pop(root)
            self._vertices -= int(shapely.get_num_coordinates(parts).sum())
            yield self._class[root], _joined(parts)
        # only names along the line are asked for again
        roots = {name: self._root(name) for name in open_names}
        self._parent = {**{root: root for root in alive}, **roots}
        self._class = {name: self._class[name] for name in self._parent}


def _joined(parts: Sequence[shapely.Polygon]) -> shapely.Polygon:
    if len(parts) == 1:
        return parts[0]
    whole = shapely.union_all(parts, grid_size=1)
    assert isinstance(whole, shapely.Polygon)
    return shapely.Polygon(_corners(whole.exterior), [_corners(hole) for hole in whole.interiors])


def _corners(ring: shapely.LinearRing) -> np.ndarray:
    """A ring without the points on its straight edges: where pieces met there may be some."""
    points = shapely.get_coordinates(ring)[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]

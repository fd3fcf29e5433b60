"""How much of each pixel a polygon covers, exactly, and quickly also where the polygon is large.

Each edge is cut where it crosses a line of the grid, so that a piece lies in one pixel. What lies
right of the piece is a trapezoid in that pixel and the piece's whole height in every pixel further
right. Summed up along a row, signed by direction, this is the covered part of each pixel (the
signed-area accumulation of Raph Levien's font-rs, kept sparse). Only pixels that the outline runs
through are computed; between them a row is either covered or not.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

PIECES = 1_000_000
"""Pieces of edges that are looked at at once; about 100 bytes each."""
_NONE = 1e-9  # of a pixel: what is less is no coverage, and what lacks less is a whole one


@dataclass(frozen=True)
class Cover:
    """What a polygon covers of a window.

    Attributes:
        shape: (rows, columns).
        inside: True where a pixel is covered whole, shape (rows, columns); None where all are.
        edge: flat positions, ascending, of pixels that are covered in part.
        weights: their covered fractions, float64.
    """

    shape: tuple[int, int]
    inside: np.ndarray | None
    edge: np.ndarray
    weights: np.ndarray

    @property
    def empty(self) -> bool:
        """Whether no pixel is covered at all."""
        return self.inside is not None and not self.edge.size and not self.inside.any()

    @property
    def total(self) -> float:
        """Area covered, in pixels."""
        whole = self.shape[0] * self.shape[1] if self.inside is None else int(self.inside.sum())
        return whole + float(self.weights.sum())

    def dense(self) -> np.ndarray | None:
        """float32 fractions, shape (rows, columns); None where each pixel is covered whole."""
        if self.inside is None:
            return None
        out = self.inside.astype(np.float32)
        out.reshape(-1)[self.edge] = self.weights
        return out


def whole(window: Window) -> Cover:
    """Every pixel of a window."""
    return Cover((int(window.height), int(window.width)), None, _no_cells(), np.zeros(0))


def edges(polygons: BaseGeometry) -> np.ndarray:
    """The edges of valid polygons, those of holes the other way round.

    Returns: float64, (edges, 4): x0, y0, x1, y1.
    """
    oriented = shapely.orient_polygons(polygons, exterior_cw=False)
    rings = shapely.get_rings(shapely.get_parts(oriented))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    return np.column_stack([points[:-1][same], points[1:][same]])


def cover(outline: np.ndarray, window: Window) -> Cover:
    """What polygons cover of a window.

    Args:
        outline: `edges` of polygons in pixel coordinates: columns to the right, rows downwards.
    """
    left, top = int(window.col_off), int(window.row_off)
    rows, columns = int(window.height), int(window.width)
    moved = outline - np.array([left, top, left, top], float)
    inside = np.zeros((rows, columns), bool)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    _fill(moved, (0, 0, rows, columns), inside, found)
    flat = inside.reshape(-1)
    edge = np.concatenate([cells for cells, _ in found]) if found else _no_cells()
    weights = np.concatenate([w for _, w in found]) if found else np.zeros(0)
    full = weights >= 1 - _NONE
    flat[edge[full]] = True
    keep = (weights > _NONE) & ~full
    edge, weights = edge[keep], weights[keep]
    if len(found) > 1:
        order = np.argsort(edge, kind="stable")
        edge, weights = edge[order], weights[order]
    if not edge.size and inside.all():
        return Cover((rows, columns), None, edge, weights)
    return Cover((rows, columns), inside, edge, weights)


def _no_cells() -> np.ndarray:
    return np.zeros(0, np.int64)


def _fill(
    outline: np.ndarray,
    box: tuple[int, int, int, int],
    inside: np.ndarray,
    found: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    """The pixels of a box (first row, first column, end row, end column), cut up where many edges
    run through it.
    """
    y0, x0, y1, x1 = box
    low, high = np.minimum(outline[:, 1], outline[:, 3]), np.maximum(outline[:, 1], outline[:, 3])
    # edges right of the box cover nothing in it; level ones say which pixels they run through
    near = (high > y0) & (low < y1)
    near &= np.minimum(outline[:, 0], outline[:, 2]) < x1
    outline = outline[near]
    if not len(outline):
        return
    height = np.minimum(high[near], y1) - np.maximum(low[near], y0)
    ends = np.clip(outline[:, (0, 2)], x0, x1)
    pieces = float((height + np.abs(ends[:, 0] - ends[:, 1]) + 2).sum())
    if pieces > PIECES and (y1 - y0 > 1 or x1 - x0 > 1):
        if y1 - y0 >= x1 - x0:
            middle = (y0 + y1) // 2
            halves = ((y0, x0, middle, x1), (middle, x0, y1, x1))
        else:
            middle = (x0 + x1) // 2
            halves = ((y0, x0, y1, middle), (y0, middle, y1, x1))
        for half in halves:
            _fill(outline, half, inside, found)
        return
    cells, weights = _sums(outline, box, inside)
    found.append((cells, weights))


def _sums(
    outline: np.ndarray, box: tuple[int, int, int, int], inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(flat positions, fractions) of the pixels of a box that edges run through; fills `inside`."""
    top, left, bottom, right = box
    width = right - left
    x0, yy0, x1, yy1 = outline.T
    yy0, x0, yy1, x1 = _clip(yy0, x0, yy1, x1, top, bottom)
    yy0, x0, yy1, x1 = _split(yy0, x0, yy1, x1, top, bottom)
    x0, yy0, x1, yy1 = _split(x0, yy0, x1, yy1, left, right)
    x0, x1 = np.clip(x0, left, None), np.clip(x1, left, None)
    column = np.floor((x0 + x1) / 2).astype(np.int64)
    row = np.clip(np.floor((yy0 + yy1) / 2).astype(np.int64), top, bottom - 1)
    keep = column < right
    column, row = column[keep], row[keep]
    up = (yy0 - yy1)[keep]
    right_of = up * (column + 1 - (x0[keep] + x1[keep]) / 2)
    key = (row - top) * width + (column - left)
    order = np.argsort(key, kind="stable")
    key, up, right_of = key[order], up[order], right_of[order]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    if not key.size:
        return _no_cells(), np.zeros(0)
    cells = key[starts]
    rise, own = np.add.reduceat(up, starts), np.add.reduceat(right_of, starts)
    row, column = cells // width, cells % width
    after = np.cumsum(rise)
    first = np.concatenate([[True], row[1:] != row[:-1]])
    before_row = np.concatenate([[0.0], after[:-1]])[first]
    after -= before_row[np.cumsum(first) - 1]
    weights = after - rise + own
    # from the next pixel to the next one that an edge runs through, or to the end of the row
    end = np.where(np.concatenate([first[1:], [True]]), width, np.roll(column, -1))
    run = np.flatnonzero((after > 0.5) & (end > column + 1))
    starts, ends = (column[run] + 1).tolist(), end[run].tolist()
    part = inside[top:bottom, left:right]
    if len(starts) <= 8 * (bottom - top):
        for line, start, stop in zip(row[run].tolist(), starts, ends, strict=True):
            part[line, start:stop] = True
    else:
        step = np.zeros((bottom - top, width + 1), np.int8)
        step[row[run], starts] = 1
        # the end of a run is a pixel of the outline, so no run begins there
        step[row[run], ends] = -1
        part |= np.cumsum(step, axis=1, dtype=np.int8)[:, :-1].view(bool)
    return (row + top) * inside.shape[1] + column + left, np.clip(weights, 0.0, 1.0)


Ends = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _clip(a0: Any, b0: Any, a1: Any, b1: Any, low: int, high: int) -> Ends:
    """Edges (a, b) to (a, b), cut to `low` <= a <= `high`; they all reach into it and none has one
    a only.
    """
    # by shares of the edge: the slope of one that is level by a hair may be no number
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        c0, c1 = np.clip(a0, low, high), np.clip(a1, low, high)
        d0 = np.where(c0 == a0, b0, b0 + (c0 - a0) / (a1 - a0) * (b1 - b0))
        d1 = np.where(c1 == a1, b1, b0 + (c1 - a0) / (a1 - a0) * (b1 - b0))
    return c0, d0, c1, d1


def _split(a0: Any, b0: Any, a1: Any, b1: Any, low: int, high: int) -> Ends:
    """Edges (a, b) to (a, b), cut where a is a whole number from `low` to `high`."""
    least, most = np.minimum(a0, a1), np.maximum(a0, a1)
    first = np.clip(np.floor(least), low - 1, high)
    last = np.clip(np.ceil(most), low, high + 1)
    count = np.maximum(last - first, 1).astype(np.int64)
    if (count == 1).all():
        return a0, b0, a1, b1
    which = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    rising = (a1 >= a0)[which]
    begin = np.where(rising, first[which] + number, last[which] - number)
    end = np.where(rising, begin + 1, begin - 1)
    p0, q0, p1, q1 = a0[which], b0[which], a1[which], b1[which]
    is_first, is_last = number == 0, number == count[which] - 1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        c0 = np.where(is_first, p0, begin)
        c1 = np.where(is_last, p1, end)
        d0 = np.where(is_first, q0, q0 + (begin - p0) / (p1 - p0) * (q1 - q0))
        d1 = np.where(is_last, q1, q0 + (end - p0) / (p1 - p0) * (q1 - q0))
    return c0, d0, c1, d1

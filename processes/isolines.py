"""Lines of equal value through the pixels' centres, traced block by block and joined.

Blocks come row by row. A block's part reaches to the first row and column of its neighbours, so
that every square of four centres belongs to one block. A line that leaves a block crosses an edge
between two centres there, and at one level there is one crossing of an edge at most: level and edge
say which end goes on in which start. What waits are the lines that reach the row of blocks below.

Values are counted in intervals from the base, so that levels are whole numbers. One that lies on a
level is moved above it by a millionth: no line then runs through a centre, and the same raster has
the same lines however it is divided.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from contourpy import LineType, contour_generator

from processes.grid import Block, Grid
from processes.process import JobError
from raster import reader

MAX_POINTS = 4_000_000
"""Of the lines that wait at once: about 100 MB."""
MAX_LEVELS = 5_000
"""That the heights of one block may pass."""
_BLOCK_POINTS = 2_000_000
_BESIDE = 1e-6  # of an interval
_LARGEST = 1e8  # intervals from the base: a millionth of one is still told apart
_SNAP = 1e-11  # of a pixel: less than the least part of an edge, _BESIDE / MAX_LEVELS
_SMALLEST = 1e-3  # of a pixel: what is smaller rings one height that just reaches a level

Line = tuple[int, np.ndarray]
"""A level, and points (n, 2) as column and row of the grid; the first centre is at 0.5, 0.5."""


@dataclass(frozen=True)
class Lines:
    """What a block has.

    Attributes:
        levels: int64, one a line.
        points: float64, (n, 2): column and row of the grid, centres at whole numbers.
        offsets: int64, where each line starts in `points`, and the end of the last.
    """

    levels: np.ndarray
    points: np.ndarray
    offsets: np.ndarray


def reaching(block: Block) -> Block:
    """A block with the first row and column of its neighbours to the right and below."""
    window, grid = block.window, block.grid
    left, top = int(window.col_off), int(window.row_off)
    width = min(int(window.width) + 1, grid.width - left)
    height = min(int(window.height) + 1, grid.height - top)
    return replace(block, window=reader.pixels(left, top, width, height))


def trace(values: np.ma.MaskedArray, column: int, row: int) -> Lines:
    """The lines of a block. Higher values lie on one and the same side of all of them.

    Args:
        values: float64, (rows, columns), in intervals from the base; those masked break lines.
        column, row: of the first pixel on the grid.

    Raises: JobError("invalid_inputs"): too many levels or points.
    """
    none = Lines(np.empty(0, np.int64), np.empty((0, 2)), np.zeros(1, np.int64))
    hidden = np.ma.getmaskarray(values) | ~np.isfinite(values.data)
    if min(hidden.shape) < 2 or hidden.all():
        return none
    near = np.round(values.data)
    on = np.abs(values.data - near) < _BESIDE
    beside = near + np.where(values.data < near, -_BESIDE, _BESIDE)
    moved = np.ma.masked_array(np.where(on, beside, values.data), hidden)
    low, high = float(moved.min()), float(moved.max())
    if high - low > MAX_LEVELS or max(-low, high) > _LARGEST:
        raise JobError(
            "invalid_inputs",
            f"interval: the values of one block lie {low:.6g} to {high:.6g} intervals from the "
            f"base; that may be {_LARGEST:.0e} at most, and {MAX_LEVELS:,} from the lowest to the "
            "highest. Choose a larger interval, or declare the value that means no data",
        )
    tracer = contour_generator(
        z=moved, name="serial", corner_mask=False, line_type=LineType.ChunkCombinedOffset
    )
    levels: list[np.ndarray] = []
    points: list[np.ndarray] = []
    offsets: list[np.ndarray] = [np.zeros(1, np.int64)]
    count = 0
    for level in range(int(np.ceil(low)), int(np.floor(high)) + 1):
        chunks: Any = tracer.lines(level)
        (found,), (starts,) = chunks
        if found is None or starts is None:
            continue
        whole = np.round(found)
        found = np.where(np.abs(found - whole) < _SNAP, whole, found)
        bounds = np.asarray(starts, np.int64)
        levels.append(np.full(len(bounds) - 1, level, np.int64))
        points.append(found + np.array([column, row]))
        offsets.append(bounds[1:] + count)
        count += len(found)
        if count > _BLOCK_POINTS:
            raise JobError(
                "invalid_inputs",
                f"interval: lines of more than {_BLOCK_POINTS:,} points in one block; choose a "
                "larger interval",
            )
    if not points:
        return none
    return Lines(np.concatenate(levels), np.concatenate(points), np.concatenate(offsets))


def too_many(most: int) -> JobError:
    """More lines than were asked for at most."""
    return JobError(
        "invalid_inputs",
        f"max_features: there are more than {most:,}; choose a smaller area or a larger interval, "
        "or allow more",
    )


_Key = tuple[int, bool, int, int]
"""A level and an edge: from the centre at (column, row) to the right or else down."""


class _Chain:
    """Lines one after the other; each but the last ends where the next starts.

    Attributes:
        start, end: the edge where it may go on; None where nothing can.
    """

    def __init__(
        self, number: int, level: int, part: np.ndarray, start: _Key | None, end: _Key | None
    ) -> None:
        self.number, self.level, self.start, self.end = number, level, start, end
        self.parts, self.points = deque([part]), len(part)

    def line(self) -> Line:
        rest = [part[1:] for part in list(self.parts)[1:]]
        points = np.concatenate([self.parts[0], *rest]) + 0.5
        if self.start is not None and self.start == self.end:
            points[-1] = points[0]
        return self.level, points


class Joiner:
    """Joins the lines of a grid's blocks."""

    def __init__(self, grid: Grid, max_points: int = MAX_POINTS) -> None:
        self._grid, self._most = grid, max_points
        self._row = self._next = self._points = 0
        self._starts: dict[_Key, _Chain] = {}
        self._ends: dict[_Key, _Chain] = {}

    def add(self, block: Block, lines: Lines | None) -> Iterator[Line]:
        """Take in the next block of the grid's order; the lines that have become whole.

        Args:
            lines: None for a block outside the area.

        Raises: JobError("invalid_inputs"): too much waits.
        """
        window, grid = block.window, self._grid
        top, left = int(window.row_off), int(window.col_off)
        bottom, right = top + int(window.height), left + int(window.width)
        if top != self._row:
            yield from self._settle(top)
            self._row = top
        if lines is not None:
            rows = {top, bottom} - {0, grid.height}
            columns = {left, right} - {0, grid.width}
            yield from self._taken(lines, rows, columns)
        if right == grid.width and bottom == grid.height:
            yield from self._settle(None)

    def _taken(self, lines: Lines, rows: set[int], columns: set[int]) -> Iterator[Line]:
        offsets = lines.offsets
        first, last = lines.points[offsets[:-1]], lines.points[offsets[1:] - 1]
        rings = (first == last).all(axis=1).tolist()
        for number, level in enumerate(lines.levels.tolist()):
            part = lines.points[offsets[number] : offsets[number + 1]]
            start = end = None
            if not rings[number]:
                start = _edge(level, first[number], rows, columns)
                end = _edge(level, last[number], rows, columns)
            if start is None and end is None:
                yield level, part + 0.5
                continue
            chain = self._placed(_Chain(self._next, level, part.copy(), start, end))
            self._next += 1
            if chain.start == chain.end:  # closed, or ended at both ends
                self._points -= chain.points
                yield chain.line()
        if self._points > self._most:
            raise JobError(
                "invalid_inputs",
                f"lines of more than {self._most:,} points would have to be joined at once; "
                "choose a smaller area or a larger interval",
            )

    def _placed(self, chain: _Chain) -> _Chain:
        """A new line with those that it meets. It is kept where it may go on."""
        self._points += chain.points
        before = self._ends.pop(chain.start, None) if chain.start else None
        if before is not None:
            chain = _put(before, chain)
        after = self._starts.pop(chain.end, None) if chain.end else None
        if after is before and before is not None:
            return chain  # it closed: its start is its end
        if after is not None:
            chain = _put(chain, after)
        if chain.start:
            self._starts[chain.start] = chain
        if chain.end:
            self._ends[chain.end] = chain
        return chain

    def _settle(self, row: int | None) -> Iterator[Line]:
        """The lines of which no end lies on this row of centres, oldest first; forgets them."""
        waiting = {
            chain.number: chain for kept in (self._starts, self._ends) for chain in kept.values()
        }
        for _, chain in sorted(waiting.items()):
            if row is not None and any(
                edge is not None and edge[1] and edge[3] == row for edge in (chain.start, chain.end)
            ):
                continue
            if chain.start:
                del self._starts[chain.start]
            if chain.end:
                del self._ends[chain.end]
            self._points -= chain.points
            yield chain.line()


def _put(one: _Chain, other: _Chain) -> _Chain:
    """Two chains as one, which is the first; parts of the shorter are moved."""
    if len(one.parts) >= len(other.parts):
        one.parts.extend(other.parts)
    else:
        other.parts.extendleft(reversed(one.parts))
        one.parts = other.parts
    one.points, one.end = one.points + other.points, other.end
    one.number = min(one.number, other.number)
    return one


def _edge(level: int, point: np.ndarray, rows: set[int], columns: set[int]) -> _Key | None:
    """The edge that a line ends on, where that lies between two blocks."""
    column, row = point.tolist()
    if row in rows and column != int(column):
        return level, True, int(column), int(row)
    if column in columns and row != int(row):
        return level, False, int(column), int(row)
    return None


def visible(line: Line) -> bool:
    """Whether a line is larger than a ring round one height that lies on its level."""
    return bool(np.ptp(line[1], axis=0).max() > _SMALLEST)

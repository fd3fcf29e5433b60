"""Statistics of several quantities over several areas, each block read once for all of them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely
from rasterio.io import DatasetReader
from rasterio.windows import Window

from processes.analysis import zones
from processes.analysis.coverage import Cover
from processes.analysis.quantity import Quantity, read_each
from processes.analysis.summary import KEEP, Part, Summary
from processes.analysis.zones import BLOCK, COLUMNS, Zone
from raster import reader

MEMORY = 256 * 1024**2
"""For what is kept of the areas that are worked on at once, in bytes."""
_KEPT = 10  # bytes: a value and its weight
_NEIGHBOURS = 16  # of an area; of more than that on average it is faster to join them
_SHARED = 1e-7  # pixels: what two areas may share by rounding

Slices = tuple[slice, slice]
Covered = tuple[int, Slices, Cover]


def statistics(
    quantities: Sequence[Quantity],
    areas: Sequence[Zone],
    percentiles: Sequence[float] = (),
    *,
    ranked: bool = True,
    together: bool = False,
) -> list[list[dict[str, Any]]]:
    """Weighted statistics of each quantity in each area; see `Summary.result`.

    Args:
        quantities: of one grid, on which the areas lie.
        ranked: find the median and the percentiles.
        together: those of all areas as one, too, which takes no second look at a pixel; the areas
            lie apart and the quantities are counted, see `add_up`.

    Returns: for each area one dict for each quantity, at last that of all together.
    """
    found: list[list[dict[str, Any]]] = []
    union = [Summary(percentiles=ranked, table=what.table) for what in quantities]
    for group in _groups(quantities, areas):
        sums = [
            [Summary(percentiles=ranked, table=what.table) for what in quantities] for _ in group
        ]
        twice = np.zeros(len(quantities), np.int64)  # valid pixels that areas share, as often
        for window, covers in _covers(group):
            shared = _shared(window, covers) if together else None
            for place, values in enumerate(read_each(quantities, window)):
                data = _unmasked(values)
                if shared is not None:
                    twice[place] += _shown(data, shared)
                for number, (rows, columns), cover in covers:
                    sums[number][place].add_cover(data[rows, columns], cover)
        found += [
            [
                total.result(percentiles, lambda w=what, z=zone: parts(w, z))
                for what, total in zip(quantities, totals, strict=True)
            ]
            for zone, totals in zip(group, sums, strict=True)
        ]
        if together:
            for whole, parted, often in zip(union, zip(*sums, strict=True), twice, strict=True):
                whole.join(parted, int(often))
    return [*found, [whole.result(percentiles) for whole in union]] if together else found


def add_up(quantities: Sequence[Quantity], areas: Sequence[Zone]) -> bool:
    """Whether the statistics of all areas together follow from theirs: no two share a part of a
    pixel, of each quantity the numbers are counted, and all areas are worked on at once.
    """
    if any(what.table is None for what in quantities):
        return False
    shapes = np.array([zone.polygons for zone in areas], object)
    if any(shape is None for shape in shapes) or len(list(_groups(quantities, areas))) > 1:
        return False
    # their boxes alone: of outlines with many points each look is long
    one, other = shapely.STRtree(shapes).query(shapes)
    twice = one < other
    one, other = one[twice], other[twice]
    if one.size > _NEIGHBOURS * len(areas):
        return False
    return bool((shapely.area(shapely.intersection(shapes[one], shapes[other])) < _SHARED).all())


def _shared(window: Window, covers: Sequence[Covered]) -> np.ndarray:
    """Flat positions in a window of the pixels that several areas reach into, each once for every
    area but one: all together they are one pixel.
    """
    shape = int(window.height), int(window.width)
    whole = np.zeros(shape, bool)
    edges = [np.zeros(0, np.int64)]
    for _, (rows, columns), cover in covers:
        whole[rows, columns] |= True if cover.inside is None else cover.inside
        row, column = np.divmod(cover.edge, cover.shape[1])
        edges.append((row + rows.start) * shape[1] + column + columns.start)
    edge = np.sort(np.concatenate(edges))
    again = whole.reshape(-1)[edge]
    again[1:] |= edge[1:] == edge[:-1]
    return edge[again]


def _shown(values: np.ma.MaskedArray, positions: np.ndarray) -> int:
    """How many of some flat positions hold a value."""
    mask = np.ma.getmask(values)
    if mask is np.ma.nomask:
        return positions.size
    return positions.size - int(np.count_nonzero(mask.reshape(-1)[positions]))


def _unmasked(values: np.ma.MaskedArray) -> np.ma.MaskedArray:
    """The same; without a mask where it hides nothing, which is asked once for all areas."""
    mask = np.ma.getmask(values)
    if mask is np.ma.nomask or np.any(mask):
        return values
    return np.ma.MaskedArray(values.data)


def parts(what: Quantity, zone: Zone, onto: DatasetReader | None = None) -> Iterator[Part]:
    """Values and weights of a zone, window by window; what the zone does not touch is left out.

    The weights are the covered fractions of the pixels; None where they are all 1.
    """
    for window in zones.windows(zone):
        cover = zones.cover(zone, window)
        if not cover.empty:
            yield what.read(window, onto), cover.dense()


def _groups(quantities: Sequence[Quantity], areas: Sequence[Zone]) -> Iterator[list[Zone]]:
    """The areas in runs of which all statistics fit into memory."""
    group: list[Zone] = []
    used = 0
    for zone in areas:
        most = [KEEP if q.table is None else q.table.size for q in quantities]
        size = _KEPT * sum(min(zone.pixels, kept) for kept in most)
        if group and used + size > MEMORY:
            yield group
            group, used = [], 0
        group.append(zone)
        used += size
    if group:
        yield group


def _covers(areas: Sequence[Zone]) -> Iterator[tuple[Window, list[Covered]]]:
    """(window, [(number of an area, its part of the window, what it covers of that)])."""
    for window, numbers in pieces(areas):
        covers = []
        for number in numbers:
            both = _meet(window, areas[number].window)
            cover = zones.cover(areas[number], both)
            if not cover.empty:
                covers.append((number, _slices(both, window), cover))
        if covers:
            yield window, covers


def pieces(areas: Sequence[Zone]) -> Iterator[tuple[Window, list[int]]]:
    """Windows that together hold all areas, none of them twice, and the areas that reach into each.

    They begin at blocks, so that no block is read twice, and leave out blocks that no area is near.
    """
    boxes = np.array([_box(zone.window) for zone in areas])  # left, top, right, bottom
    for top in range(boxes[:, 1].min() // BLOCK * BLOCK, boxes[:, 3].max(), BLOCK):
        here = np.flatnonzero((boxes[:, 1] < top + BLOCK) & (boxes[:, 3] > top))
        for left, right in _runs(boxes[here]):
            near = here[(boxes[here, 0] < right) & (boxes[here, 2] > left)]
            x0, y0 = boxes[near, :2].min(axis=0).tolist()
            x1, y1 = boxes[near, 2:].max(axis=0).tolist()
            x0, x1 = max(x0, left), min(x1, right)
            y0, y1 = max(y0, top), min(y1, top + BLOCK)
            yield reader.pixels(x0, y0, x1 - x0, y1 - y0), near.tolist()


def _runs(boxes: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and end column of blocks that touch each other and a box, `COLUMNS` at most."""
    blocks: set[int] = set()
    for left, right in np.unique(boxes[:, (0, 2)] + (0, BLOCK - 1), axis=0) // BLOCK:
        blocks.update(range(int(left), int(right)))
    run: list[int] = []
    for block in sorted(blocks):
        if run and (block != run[-1] + 1 or len(run) * BLOCK >= COLUMNS):
            yield run[0] * BLOCK, (run[-1] + 1) * BLOCK
            run = []
        run.append(block)
    if run:
        yield run[0] * BLOCK, (run[-1] + 1) * BLOCK


def _box(window: Window) -> tuple[int, int, int, int]:
    left, top = int(window.col_off), int(window.row_off)
    return left, top, left + int(window.width), top + int(window.height)


def _meet(one: Window, other: Window) -> Window:
    a, b = _box(one), _box(other)
    left, top = max(a[0], b[0]), max(a[1], b[1])
    return reader.pixels(left, top, min(a[2], b[2]) - left, min(a[3], b[3]) - top)


def _slices(part: Window, window: Window) -> Slices:
    left, top, right, bottom = _box(part)
    x, y = int(window.col_off), int(window.row_off)
    return slice(top - y, bottom - y), slice(left - x, right - x)

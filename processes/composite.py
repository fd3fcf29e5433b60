"""One pixel of many: the block function of mosaics and temporal composites.

A block reads one item at a time, and only items that lie on it. A choice (newest, least cloudy,
highest index …) takes all bands of a pixel from one item and keeps one picture in memory; a
statistic (mean, median …) is computed for each band, and only the median holds all items at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from processes import encoding
from processes.analysis import clouds
from processes.analysis.clouds import Rule
from processes.blocks import Block, Files

CHOICES = ("first", "highest")
"""All bands of a pixel come from one item."""
STATISTICS = ("mean", "median", "min", "max")
"""Each band is computed by itself."""


def read(
    layer: Mapping[str, Any], block: Block, files: Files, params: Mapping[str, Any]
) -> tuple[np.ma.MaskedArray, np.ndarray | None] | None:
    """One item on a block: its bands, and its index where one decides.

    Returns: (values (bands, rows, columns) with 0 below the mask, NDVI or None); None where the
        item has nothing on the block. A pixel that is clouded, or not valid in every band, is
        masked in all.
    """
    left, top, right, bottom = layer["box"]
    w = block.window
    if right <= w.col_off or left >= w.col_off + w.width:
        return None
    if bottom <= w.row_off or top >= w.row_off + w.height:
        return None
    hidden = None
    if layer["mask"] is not None:
        mask = layer["mask"]
        dataset, layout = files.open(mask["key"])
        hidden = clouds.hidden_on(
            dataset, layout, mask["index"], Rule.of(mask["rule"]), onto=block.grid, window=w
        )
        if hidden.all():
            return None
    exact = "float32" if layer["scaled"] else params["exact"]
    values: np.ndarray | None = None
    pair: dict[int, np.ndarray] = {}
    for group in layer["groups"]:
        found = files.read(
            group["key"], block, group["bands"], resampling=group["resampling"],
            scaled=layer["scaled"], dtype=exact,
        )  # fmt: skip
        masked = np.ma.getmaskarray(found).any(axis=0)
        hidden = masked if hidden is None else hidden | masked
        if group["places"] == list(range(len(params["names"]))):
            values = found.data
            continue
        if values is None:
            values = np.zeros((len(params["names"]), *block.shape), exact)
        for row, place in enumerate(group["places"]):
            if place >= 0:
                values[place] = found.data[row]
            else:
                pair[-1 - place] = _meant(files, group, row, found, scaled=layer["scaled"])
    if values is None or hidden is None or hidden.all():
        return None
    index = None
    if pair:
        total = pair[1] + pair[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            index = (pair[1] - pair[0]) / total
        hidden = hidden | ~np.isfinite(index)
    values[:, hidden] = 0
    return np.ma.MaskedArray(values, mask=np.broadcast_to(hidden, values.shape)), index


def _meant(
    files: Files, group: Mapping[str, Any], row: int, found: np.ma.MaskedArray, *, scaled: bool
) -> np.ndarray:
    """A band's values, scale and offset applied."""
    values = found.data[row].astype(np.float64)
    if scaled:
        return values
    _, layout = files.open(group["key"])
    at = layout.data.index(group["bands"][row])
    return values * layout.scales[at] + layout.offsets[at]


def composed(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """The block function: one pixel of many, as `how` says.

    first: of the first item that has one; highest: of the item with the highest NDVI, of equal
    ones the first; mean, median, min, max: of each band over all items that have a pixel.
    """
    how = params["how"]
    if how in CHOICES:
        made = _chosen(block, files, params, by_index=how == "highest")
    elif how == "median":
        made = _median(block, files, params)
    else:
        made = _running(block, files, params, how)
    if made is None:
        shape = (len(params["names"]), *block.shape)
        return np.ma.MaskedArray(np.zeros(shape, params["dtype"]), mask=np.ones(shape, bool))
    return encoding.stored(made, params["dtype"], params["nodata"])


def _chosen(
    block: Block, files: Files, params: Mapping[str, Any], *, by_index: bool
) -> np.ma.MaskedArray | None:
    best: np.ndarray | None = None
    level: np.ndarray | None = None
    missing = np.ones(block.shape, bool)
    for layer in params["layers"]:
        found = read(layer, block, files, params)
        files.release()
        if found is None:
            continue
        values, index = found
        better = ~np.ma.getmaskarray(values)[0]
        if by_index and index is not None:
            if level is None:
                level = np.full(block.shape, -np.inf)
            better &= index > level
            level[better] = index[better]
        else:
            better &= missing
        if best is None:
            best = np.array(values.data)
        else:
            np.copyto(best, values.data, where=better)
        missing &= ~better
        if not by_index and not missing.any():
            break
    if best is None:
        return None
    return np.ma.MaskedArray(best, mask=np.broadcast_to(missing, best.shape))


def _running(
    block: Block, files: Files, params: Mapping[str, Any], how: str
) -> np.ma.MaskedArray | None:
    total: np.ndarray | None = None
    count = np.zeros(block.shape, np.int32)
    for layer in params["layers"]:
        found = read(layer, block, files, params)
        files.release()
        if found is None:
            continue
        values = found[0]
        shown = ~np.ma.getmaskarray(values)[0]
        if how == "mean":
            if total is None:
                total = np.zeros(values.shape, np.float64)
            total += values.data  # 0 where masked
        else:
            if total is None:
                total = np.array(values.data)
            first = shown & (count == 0)
            np.copyto(total, values.data, where=first)
            keep = np.minimum if how == "min" else np.maximum
            keep(total, values.data, out=total, where=np.broadcast_to(shown, total.shape))
        count += shown
    if total is None:
        return None
    if how == "mean":
        total /= np.maximum(count, 1)
    return np.ma.MaskedArray(total, mask=np.broadcast_to(count == 0, total.shape))


def _median(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray | None:
    bands = len(params["names"])
    held: list[np.ndarray] = []
    shown: list[np.ndarray] = []
    whole = np.dtype(params["dtype"]).kind in "iu"
    for layer in params["layers"]:
        found = read(layer, block, files, params)
        files.release()
        if found is None:
            continue
        values = found[0]
        kept = encoding.stored(values, params["dtype"], None).data if whole else values.data
        held.append(kept)
        shown.append(~np.ma.getmaskarray(values)[0])
    if not held:
        return None
    count: np.ndarray = np.asarray(np.sum(shown, axis=0, dtype=np.int32))
    made = np.zeros((bands, *block.shape), np.float64 if whole else params["exact"])
    for band in range(bands):
        made[band] = median([values[band] for values in held], shown, count)
    return np.ma.MaskedArray(made, mask=np.broadcast_to(count == 0, made.shape))


def median(
    values: Sequence[np.ndarray], shown: Sequence[np.ndarray], count: np.ndarray
) -> np.ndarray:
    """The median over a sequence of pictures of what is shown; of an even number the middle's mean.

    Args:
        values: each (rows, columns), one dtype.
        shown: True where a value counts.
        count: how many do.

    Returns: float64, 0 where none does.
    """
    kind = values[0].dtype
    top = np.inf if kind.kind == "f" else np.iinfo(kind).max
    # what does not count goes to the end; a value that is as large is the same there
    rows = [
        np.where(seen, value, kind.type(top)) for value, seen in zip(values, shown, strict=True)
    ]
    _sort(rows)
    low, high = np.zeros(count.shape), np.zeros(count.shape)
    least, most = (np.maximum(count, 1) - 1) // 2, count // 2
    for place, row in enumerate(rows):
        np.copyto(low, row, where=least == place)
        np.copyto(high, row, where=most == place)
    return np.where(count > 0, (low + high) / 2, 0.0)


def _sort(rows: list[np.ndarray]) -> None:
    """Sort each pixel over the rows, in place: Batcher's odd-even merge exchange (Knuth, 5.2.2M).

    Whole pictures are compared at a time, which for few rows is many times faster than a sort of
    each pixel.
    """
    n = len(rows)
    top = 1
    while top * 2 < n:
        top *= 2
    p = top if n > 1 else 0
    while p:
        q, r, d = top, 0, p
        while True:
            for i in range(n - d):
                if i & p == r:
                    low = np.minimum(rows[i], rows[i + d])
                    np.maximum(rows[i], rows[i + d], out=rows[i + d])
                    rows[i] = low
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2

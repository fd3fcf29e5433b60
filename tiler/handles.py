"""Open files: handles pooled a thread, bounded in bytes together with what is known of files.

A handle holds the file's lists of block addresses and a decoded block, so that a number of handles
would be no bound.
"""

import math
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from tiler.cache import MEMORY_BYTES, known
from tiler.datasets import Header, unreadable

MAX_HANDLES = 128
"""Open files a thread, whatever they weigh: each is a descriptor."""

_HANDLE_BYTES = 48 << 10  # what an open file of few blocks takes


@dataclass(slots=True)
class _Open:
    """An open file and about how many bytes it takes."""

    handle: DatasetReader
    weight: int


class _Handles(threading.local):
    """Open files of one thread, least recently used first."""

    def __init__(self) -> None:
        self.open: OrderedDict[tuple[str, str, int], _Open] = OrderedDict()
        self.used = 0
        self.share = _Share()
        _shares.add(self.share)

    def close(self, key: tuple[str, str, int]) -> None:
        """Close one."""
        found = self.open.pop(key)
        self.used -= found.weight
        found.handle.close()


class _Share:
    """Lives as long as a thread that has open files."""


_shares: weakref.WeakSet[_Share] = weakref.WeakSet()
_handle_limit = MEMORY_BYTES // 2
_handles = _Handles()


def bound(memory_bytes: int) -> None:
    """Set how much open files and what is known of files may take, half each."""
    global _handle_limit
    _handle_limit = memory_bytes // 2
    known.resize(memory_bytes - _handle_limit)


def dataset(found: Header, level: int) -> DatasetReader:
    """The calling thread's open handle on one level (0 = full resolution). Raises: Unreadable.

    A handle is never shared between threads: GDAL's are not safe for that.
    """
    key = (found.path, found.version, level)
    kept = _handles.open.get(key)
    if kept is not None:
        _handles.open.move_to_end(key)
        return kept.handle
    options: dict[str, Any] = {"overview_level": level - 1} if level else {}
    # other versions of it are not asked for any more, and keep a replaced file's bytes on the disk
    for old in [old for old in _handles.open if old[0] == found.path and old[1] != found.version]:
        _handles.close(old)
    try:
        handle = rasterio.open(found.path, driver="GTiff", sharing=False, **options)
    except RasterioError:
        raise unreadable("the asset cannot be drawn: its file cannot be opened") from None
    kept = _Open(handle, _HANDLE_BYTES + _block_bytes(handle) + 16 * _blocks(handle))
    _handles.open[key] = kept
    _handles.used += kept.weight
    limit = _handle_limit // max(1, len(_shares))
    while len(_handles.open) > 1 and (_handles.used > limit or len(_handles.open) > MAX_HANDLES):
        _handles.close(next(iter(_handles.open)))
    return handle


def _together(handle: DatasetReader) -> int:
    """Bands that are decoded with any of them."""
    return handle.count if handle.interleaving and handle.interleaving.name == "pixel" else 1


def _block_bytes(handle: DatasetReader) -> int:
    rows, columns = handle.block_shapes[0]
    return rows * columns * np.dtype(handle.dtypes[0]).itemsize * _together(handle)


def _blocks(handle: DatasetReader) -> int:
    """Blocks of all levels and bands, which the file holds an address and a length of each."""
    rows, columns = handle.block_shapes[0]
    one = math.ceil(handle.height / rows) * math.ceil(handle.width / columns)
    return int(one * 4 / 3) * (handle.count // _together(handle))


def decoded_bytes(handle: DatasetReader, window: Window, bands: int) -> int:
    """What reading a window of `bands` bands decodes: whole blocks, and all bands that share one.

    Args:
        window: within the raster.
    """
    rows, columns = handle.block_shapes[0]
    top, left = int(window.row_off), int(window.col_off)
    down = math.ceil((top + int(window.height)) / rows) - top // rows
    along = math.ceil((left + int(window.width)) / columns) - left // columns
    repeated = 1 if _together(handle) > 1 else bands
    return down * along * _block_bytes(handle) * repeated


def forget(found: Header) -> None:
    """Close the calling thread's handles on a file, after a failed read."""
    for key in [key for key in _handles.open if key[:2] == (found.path, found.version)]:
        _handles.close(key)

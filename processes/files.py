"""The source files of block functions: opened once a process and thread, and only those given.

A handle is used by one thread at a time. It belongs to a run: another run of the same path opens
the file anew, so a file that was replaced meanwhile is never read through an old handle.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from processes.analysis import align
from processes.grid import Block
from processes.process import Source
from raster import reader
from raster.reader import Layout

_IDLE = 64  # handles that wait for their next block, in all
_IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class _Handle:
    dataset: DatasetReader
    layout: Layout

    def close(self) -> None:
        with suppress(RasterioError):
            self.dataset.close()


_Key = tuple[str, str, str, str]


class _Idle:
    """Handles that no block uses at the moment, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[_Key, _Handle, float]] = []

    def take(self, key: _Key) -> _Handle | None:
        with self._lock:
            for place in range(len(self._kept) - 1, -1, -1):
                if self._kept[place][0] == key:
                    return self._kept.pop(place)[1]
        return None

    def put(self, key: _Key, handle: _Handle) -> None:
        now = time.monotonic()
        with self._lock:
            every = [*self._kept, (key, handle, now)]
            fresh = [entry for entry in every if now - entry[2] <= _IDLE_SECONDS]
            self._kept = fresh[-_IDLE:]
            over = [entry for entry in every if now - entry[2] > _IDLE_SECONDS] + fresh[:-_IDLE]
        for _, old, _ in over:
            old.close()

    def forget(self, run: str) -> None:
        with self._lock:
            over = [k for k in self._kept if k[0][0] == run]
            self._kept = [k for k in self._kept if k[0][0] != run]
        for _, old, _ in over:
            old.close()


_IDLE_HANDLES = _Idle()


def forget(run: str) -> None:
    """Close what a run left open in this process."""
    _IDLE_HANDLES.forget(run)


class Files:
    """The sources of one call of a block function; a context manager.

    Attributes:
        sources: key → source, as the driver was given them; no other file is opened.
    """

    def __init__(self, run: str, sources: Mapping[str, Source]) -> None:
        self._run = run
        self.sources = sources
        self._held: dict[str, tuple[_Key, _Handle]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def open(self, source: Source | str) -> tuple[DatasetReader, Layout]:
        """A source's dataset and layout, to be used in this call only.

        Args:
            source: one of `sources`, or its key.

        Raises: KeyError: it is none of them; RasterError.
        """
        name = source if isinstance(source, str) else self._name(source)
        if name not in self._held:
            given = self.sources[name]
            key = (self._run, given.item_id, given.asset_key, given.path)
            handle = _IDLE_HANDLES.take(key) or self._opened(given)
            self._held[name] = key, handle
        handle = self._held[name][1]
        return handle.dataset, handle.layout

    def _name(self, source: Source) -> str:
        for name, given in self.sources.items():
            if given.path == source.path and given.asset_key == source.asset_key:
                return name
        raise KeyError(source.path)

    @staticmethod
    def _opened(source: Source) -> _Handle:
        dataset = reader.open_guarded(source.path)
        metadata = source.asset.get("bands") or source.asset.get("raster:bands")
        try:
            made = reader.layout(dataset, band_names=source.band_names, metadata=metadata)
        except BaseException:
            dataset.close()
            raise
        return _Handle(dataset, made)

    def release(self) -> None:
        """Let go of all that is open: for a function that goes through many items."""
        held, self._held = self._held, {}
        for key, handle in held.values():
            _IDLE_HANDLES.put(key, handle)

    def read(
        self,
        source: Source | str,
        block: Block,
        indexes: Sequence[int] | None = None,
        *,
        resampling: str | None = None,
        scaled: bool = True,
        dtype: str = "float32",
        zeroed: bool = True,
    ) -> np.ma.MaskedArray:
        """A source's pixels on a block, halo included.

        Where the source has the grid's pixels they are read as they are. Else they are warped.

        Args:
            indexes: 1-based; default all data bands.
            resampling: one of GDAL's names; default that of `align.resampling_for`.
            scaled: apply scale and offset; not with float64.
            dtype: `float32`, or `float64` for numbers that float32 cannot hold.
            zeroed: put 0 below the mask; without, it takes less time, and anything may be there.

        Returns: shape (bands, rows, columns); masked where the source has no value.

        Raises: RasterError, MethodError("grid_mismatch").
        """
        dataset, layout = self.open(source)
        given = source if isinstance(source, Source) else self.sources[source]
        categorical = bool(given.asset.get("is_categorical"))
        chosen = resampling or align.resampling_for(dataset, block.grid, categorical=categorical)
        return align.read(
            dataset,
            layout,
            list(indexes or layout.data),
            onto=block.grid,
            window=block.outer,
            resampling=chosen,
            scaled=scaled,
            dtype=dtype,
            zeroed=zeroed,
        )

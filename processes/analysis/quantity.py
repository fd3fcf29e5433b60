"""A band, an index or an expression of an item, ready to be read on its grid or another's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rasterio.io import DatasetReader
from rasterio.windows import Window

from processes.analysis import align, clouds
from processes.analysis.counts import Table
from processes.analysis.params import Mask
from processes.process import Source
from raster import reader
from raster.formula import Formula
from raster.reader import Layout

HELD_BYTES = 384 * 1024**2
_HELD_PIXEL = 5  # bytes: a float32 and its mask


@dataclass(frozen=True)
class Band:
    """One band of one asset.

    Attributes:
        index: 1-based in the file.
        factor: multiplies the scaled value; 1 but for stored numbers taken as reflectance.
    """

    source: Source
    dataset: DatasetReader
    layout: Layout
    index: int
    factor: float = 1.0


@dataclass(frozen=True)
class MaskBand:
    """A band that says which pixels do not count, and how."""

    band: Band
    spec: Mask


@dataclass(frozen=True)
class Quantity:
    """What a method reads of an item.

    Attributes:
        inputs: the bands; number n of them is `b<n>` of `formula`.
        formula: None for a band as it is (scale and offset applied).
        grid: the coarsest of the inputs' grids; windows are meant on it unless said otherwise.
        label: `band`, `index_name` or `expression`, as the answer names it.
        mapping: the bands that were found: role or name → 1-based index in its asset.
    """

    item_id: str
    inputs: tuple[Band, ...]
    formula: Formula | None
    grid: DatasetReader
    label: Mapping[str, Any]
    mapping: Mapping[str, int]
    categorical: bool = False
    reflectance: str | None = None
    mask: MaskBand | None = None

    @property
    def asset_key(self) -> str:
        """The asset read; several are joined by a comma."""
        return ",".join(dict.fromkeys(band.source.asset_key for band in self.inputs))

    @property
    def bands_read(self) -> int:
        """How many bands one pixel takes."""
        return len(self.inputs) + (self.mask is not None)

    @property
    def checksums(self) -> list[dict[str, str]]:
        """What the answer was made from."""
        sources = {b.source.asset_key: b.source for b in self.inputs}
        if self.mask is not None:
            sources.setdefault(self.mask.band.source.asset_key, self.mask.band.source)
        return [
            {
                "item_id": self.item_id,
                "asset_key": key,
                "checksum": str(source.asset.get("checksum", "")),
            }
            for key, source in sources.items()
        ]

    def resampling(self, onto: DatasetReader | None = None) -> str:
        """How the values come onto a grid: the most that is done to one of the inputs."""
        target = onto or self.grid
        kinds = [
            align.resampling_for(b.dataset, target, categorical=self.categorical)
            for b in self.inputs
        ]
        return max(kinds, key=["none", "nearest", "mode", "bilinear", "average"].index)

    def read(
        self,
        window: Window,
        onto: DatasetReader | None = None,
        read: "Read | None" = None,
    ) -> np.ma.MaskedArray:
        """The values of a window of `grid` (or of `onto`'s grid).

        Args:
            read: reads bands of one file in place of `read_bands`.

        Returns: float32, (rows, columns); masked where an input or the result is invalid, and
            where the mask says so.
        """
        target = onto or self.grid
        arrays = self._inputs(window, target, read or read_bands)
        if self.formula is None:
            values = arrays[0]
        else:
            values = self.formula.evaluate(dict(enumerate(arrays, start=1)))[0]
        masked = np.ma.getmaskarray(values) | ~np.isfinite(values.data)
        if self.mask is not None:
            masked |= self.hidden(window, target)
        data = np.where(masked, np.float32(0), values.data).astype(np.float32, copy=False)
        return np.ma.MaskedArray(data, mask=masked)

    @cached_property
    def table(self) -> Table | None:
        """The value of each number that may be stored, where the quantity is a band of 8 or 16 bits
        as it lies on its own grid; numbers are unsigned, as `read_each` gives them. Else None.
        """
        band = self.inputs[0]
        dtype = np.dtype(band.dataset.dtypes[band.index - 1])
        if self.formula is not None or dtype.kind not in "iu" or dtype.itemsize > 2:
            return None
        if band.dataset is not self.grid:
            return None
        numbers = np.arange(256**dtype.itemsize).astype(f"u{dtype.itemsize}").view(dtype)
        at = band.layout.data.index(band.index)
        values = numbers.astype(np.float32)
        if (band.layout.scales[at], band.layout.offsets[at]) != (1.0, 0.0):
            values = values * np.float32(band.layout.scales[at])
            values = values + np.float32(band.layout.offsets[at])
        values = values * np.float32(band.factor) if band.factor != 1.0 else values
        return Table(values) if np.isfinite(values).all() else None

    def _inputs(
        self, window: Window, target: DatasetReader, read: "Read"
    ) -> list[np.ma.MaskedArray]:
        found: dict[int, np.ma.MaskedArray] = {}
        files: dict[int, list[int]] = {}
        for place, band in enumerate(self.inputs):
            files.setdefault(id(band.dataset), []).append(place)
        for places in files.values():
            # one read a file: the bands of a pixel often share a compressed block
            group = [self.inputs[p] for p in places]
            for p, values in zip(
                places, read(group, window, target, self.categorical), strict=True
            ):
                factor = self.inputs[p].factor
                found[p] = values if factor == 1.0 else values * np.float32(factor)
        return [found[place] for place in range(len(self.inputs))]

    def hidden(self, window: Window, onto: DatasetReader | None = None) -> np.ndarray:
        """True where the mask says that a pixel of a window of `grid` (or of `onto`) does not
        count.
        """
        if self.mask is None:
            return np.zeros((int(window.height), int(window.width)), bool)
        band = self.mask.band
        return clouds.hidden_on(
            band.dataset,
            band.layout,
            band.index,
            self.mask.spec,
            onto=onto or self.grid,
            window=window,
        )


Read = Callable[[Sequence[Band], Window, DatasetReader, bool], Sequence[np.ma.MaskedArray]]
"""Bands of one file on a window of a grid; the last says whether their values are classes."""


def read_bands(
    group: Sequence[Band], window: Window, target: DatasetReader, categorical: bool
) -> Sequence[np.ma.MaskedArray]:
    """The scaled values of bands of one file: float32, (rows, columns) each."""
    first = group[0]
    kind = align.resampling_for(first.dataset, target, categorical=categorical)
    indexes = [band.index for band in group]
    found = align.read(
        first.dataset, first.layout, indexes, onto=target, window=window, resampling=kind
    )
    return [found[row] for row in range(len(indexes))]


class Held:
    """The bands of one window for many quantities: each is read once, where they fit into memory.

    What does not fit is read again when it is asked for, and no more than `limit` bytes are kept.
    """

    def __init__(self, quantities: Sequence[Quantity], limit: int | None = None) -> None:
        """`quantities`: who will ask; all that they need is read at once. `limit`: `HELD_BYTES`."""
        self._limit = HELD_BYTES if limit is None else limit
        self._together: dict[tuple[int, bool], dict[int, Band]] = {}
        for what in quantities:
            for band in what.inputs:
                file = (id(band.dataset), what.categorical)
                self._together.setdefault(file, {})[band.index] = band
        self._kept: dict[tuple[int, bool, int], np.ma.MaskedArray] = {}

    def __call__(
        self, group: Sequence[Band], window: Window, target: DatasetReader, categorical: bool
    ) -> Sequence[np.ma.MaskedArray]:
        """As `read_bands`, of the one window that all ask for."""
        if align.shift(group[0].dataset, target) is None:
            # how a warped window is divided depends on how many bands are read of it
            return read_bands(group, window, target, categorical)
        file = (id(group[0].dataset), categorical)
        wanted = {band.index: band for band in group}
        if any((*file, index) not in self._kept for index in wanted):
            every = self._together.get(file, wanted)
            most = self._limit // (_HELD_PIXEL * int(window.width) * int(window.height))
            self._kept.clear()
            chosen = every | wanted if len(every) <= most else wanted
            bands = [chosen[index] for index in sorted(chosen)]
            found = read_bands(bands, window, target, categorical)
            for band, values in zip(bands, found, strict=True):
                self._kept[(*file, band.index)] = values
        return [self._kept[(*file, band.index)] for band in group]


def read_each(quantities: Sequence[Quantity], window: Window) -> Iterator[np.ma.MaskedArray]:
    """Of each quantity its values, or the numbers of its `table`, on a window of their one grid.

    The bands of one file are read at once: in many files they share their blocks. Values that are
    computed come one after the other, so that a thousand take no more memory than one.
    """
    numbers = _stored([what for what in quantities if what.table is not None], window)
    computed = [what for what in quantities if what.table is None]
    read = Held(computed) if len(computed) > 1 else None
    for what in quantities:
        yield next(numbers) if what.table is not None else what.read(window, read=read)


def _stored(quantities: Sequence[Quantity], window: Window) -> Iterator[np.ma.MaskedArray]:
    """The stored numbers of quantities that have a table."""
    found: dict[int, np.ma.MaskedArray] = {}
    stored: dict[tuple[int, str], list[int]] = {}
    for place, what in enumerate(quantities):
        band = what.inputs[0]
        dtype = band.dataset.dtypes[band.index - 1]
        stored.setdefault((id(band.dataset), dtype), []).append(place)
    for places in stored.values():
        first = quantities[places[0]].inputs[0]
        indexes = list(dict.fromkeys(quantities[p].inputs[0].index for p in places))
        read = reader.read(first.dataset, indexes, window=window, layout=first.layout)
        unsigned = f"u{read.dtype.itemsize}"
        for place in places:
            row, what = indexes.index(quantities[place].inputs[0].index), quantities[place]
            hidden = np.ma.getmaskarray(read)[row]
            if what.mask is not None:
                hidden = hidden | what.hidden(window)
            found[place] = np.ma.MaskedArray(read.data[row].view(unsigned), mask=hidden)
    for place in range(len(quantities)):
        yield found[place]

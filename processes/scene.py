"""Bands of an item by name, whether one file holds them all or each has a file of its own."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from rasterio.io import DatasetReader

from processes.process import JobError, Source
from raster import bands, reader
from raster.reader import Layout
from raster.reflectance import divisor


@dataclass(frozen=True)
class Band:
    """One band of one asset; `index` is 1-based in the file."""

    source: Source
    index: int


@dataclass(frozen=True)
class OpenBand:
    """A band with its open file.

    Attributes:
        scale, offset: value = stored * scale + offset.
        assumed: True where `scale` is no word of the file or the item but that of
            `raster.reflectance`.
    """

    dataset: DatasetReader
    layout: Layout
    index: int
    scale: float
    offset: float
    assumed: bool = False


def names_of(source: Source) -> list[str]:
    """Band names of the platform, else of the file where it can be opened."""
    if source.band_names or not source.path:
        return source.band_names or []
    with reader.open_guarded(source.path) as dataset:
        return [description or "" for description in dataset.descriptions]


def find(
    wanted: Sequence[str], sources: Sequence[Source], mapping: Mapping[str, int] | None = None
) -> dict[str, Band]:
    """The bands of an item with these names or roles.

    All in one asset where one has them; else each in the first asset that has it. An asset of one
    band may be called by the asset's key, and any band by its number: `b4`.

    Args:
        sources: the assets of one item.
        mapping: name or role → 1-based band, wins over the names.

    Raises: JobError("band_missing").
    """
    named = {source.asset_key: names_of(source) for source in sources}
    found: list[dict[str, Band]] = []
    for source in sources:
        names = named[source.asset_key]
        count = source.asset.get("band_count") or len(names)
        here: dict[str, Band] = {}
        for name in wanted:
            index = bands.resolve(name, names, mapping)
            if index is None and re.fullmatch(r"b?[1-9][0-9]{0,4}", name):
                index = int(name.removeprefix("b"))
            if index is None and len(sources) > 1 and bands.resolve(name, [source.asset_key]):
                # one file a band: the asset's key is the band's name
                index = 1
            if index is not None and 1 <= index <= max(count, 1):
                here[name] = Band(source, index)
        if len(here) == len(set(wanted)):
            return here
        found.append(here)
    chosen: dict[str, Band] = {}
    for name in wanted:
        band = next((here[name] for here in found if name in here), None)
        if band is None:
            seen = sorted({n for names in named.values() for n in names if n})
            there = ", ".join(seen[:40]) or "without names"
            item = sources[0].item_id if sources else ""
            raise JobError("band_missing", f"no {name} band; the bands of item {item} are: {there}")
        chosen[name] = band
    return chosen


def of_item(sources: Mapping[str, Source], item_id: str) -> list[Source]:
    """The assets of one of several items."""
    return [source for source in sources.values() if source.item_id == item_id]


def open_bands(
    stack: ExitStack, found: Mapping[str, Band], *, reflectance: bool = False
) -> dict[str, OpenBand]:
    """Open the files of some bands, each once, until `stack` closes.

    Args:
        reflectance: whole numbers without scale and offset are taken as by `raster.reflectance`.

    Raises: JobError("band_missing"): the file has no such data band; RasterError.
    """
    opened: dict[str, tuple[DatasetReader, Layout]] = {}
    made: dict[str, OpenBand] = {}
    for name, band in found.items():
        source = band.source
        if source.path not in opened:
            dataset = stack.enter_context(reader.open_guarded(source.path, threads=2))
            metadata = source.asset.get("bands") or source.asset.get("raster:bands")
            opened[source.path] = (
                dataset,
                reader.layout(dataset, band_names=source.band_names, metadata=metadata),
            )
        dataset, layout = opened[source.path]
        if band.index not in layout.data:
            raise JobError("band_missing", f"{source.asset_key} has no data band {band.index}")
        at = layout.data.index(band.index)
        scale, offset = layout.scales[at], layout.offsets[at]
        by = divisor(dataset.dtypes[band.index - 1], scale, offset) if reflectance else None
        scale = scale if by is None else 1.0 / by
        made[name] = OpenBand(dataset, layout, band.index, scale, offset, by is not None)
    return made

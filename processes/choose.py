"""Inputs and choices that processes of one item share: which asset, which band, what is known."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from processes import overlap
from processes.analysis.params import BandRef, ItemId
from processes.geometry import Polygonal
from processes.process import JobError, Source, SourceRef
from raster import bands, reader
from raster.errors import RasterError

AssetKey = Annotated[str, Field(min_length=1, max_length=200)]
BandMapping = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=100)], Annotated[int, Field(ge=1, le=10_000)]
    ],
    Field(max_length=200),
]


class OneItem(BaseModel):
    """The item that is read, what of it, and what the result is called."""

    model_config = ConfigDict(extra="forbid")

    source_item_id: ItemId = Field(description="The item to read.")
    asset_key: AssetKey | None = Field(
        default=None, description='Asset to read; default "data", else the first raster.'
    )
    geometry: Polygonal | None = Field(
        default=None,
        description="Area of interest in EPSG:4326, pixels counted by their centres; default the "
        "whole item.",
    )
    output_name: str | None = Field(
        default=None, min_length=1, max_length=200, description="Name of the new item."
    )


class OneBand(OneItem):
    """The same, of one band."""

    band: BandRef = Field(default=1, description="Band by number from 1, or by name or role.")


def one_item(inputs: OneItem) -> tuple[SourceRef, ...]:
    """The item, with the asset named or all its rasters."""
    keys = (inputs.asset_key,) if inputs.asset_key else None
    return (SourceRef(inputs.source_item_id, keys),)


def first(sources: Mapping[str, Source]) -> Source:
    """The asset read where none is named: `data`, else the first. Raises: JobError."""
    if not sources:
        raise JobError("scene_unreadable", "the item has no raster asset")
    return sources.get("data") or next(iter(sources.values()))


def file_name(key: str, number: int, made: str) -> str:
    """Of what is made of the asset with this key, such as `data` → `data_clip.tif`.

    Names that had to be changed are kept apart by their number.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", key)[:80]
    return f"{plain}_{made}.tif" if plain == key else f"{plain}.{number}_{made}.tif"


def check_band(inputs: OneBand, sources: Mapping[str, Source]) -> None:
    """Whether the band is there, as far as the platform knows. Raises: JobError."""
    source = first(sources)
    overlap.require(inputs.geometry, [source])
    names = source.band_names
    if isinstance(inputs.band, int):
        count = source.asset.get("band_count")
        if isinstance(count, int) and inputs.band > count:
            raise JobError("band_missing", f"no band {inputs.band}; the raster has {count}")
    elif names and bands.resolve(inputs.band, names) is None:
        raise no_band(inputs.band, names)


def open_band(source: Source, band: int | str) -> tuple[Any, reader.Layout, int]:
    """(dataset, layout, 1-based index) of a data band. Raises: JobError, RasterError."""
    dataset, layout = open_source(source)
    names: list[str | None] = [None] * dataset.count
    for index, name in zip(layout.data, layout.names, strict=True):
        names[index - 1] = name or None
    found = band if isinstance(band, int) else bands.resolve(band, names)
    if found is None or found not in layout.data:
        dataset.close()
        raise no_band(band, [name for name in names if name])
    return dataset, layout, found


def open_source(source: Source, threads: int = 2) -> tuple[Any, reader.Layout]:
    """(dataset, layout by what the platform knows of it). Raises: RasterError."""
    dataset = reader.open_guarded(source.path, threads=threads)
    metadata = source.asset.get("bands") or source.asset.get("raster:bands")
    return dataset, reader.layout(dataset, band_names=source.band_names, metadata=metadata)


@contextmanager
def opened(sources: Mapping[str, Source]) -> Iterator[dict[str, tuple[Any, reader.Layout]]]:
    """(dataset, layout) of each source while the context lasts. Raises: RasterError."""
    with ExitStack() as stack:
        made = {}
        for key, source in sources.items():
            dataset, layout = open_source(source)
            made[key] = stack.enter_context(dataset), layout
        yield made


def no_band(band: int | str, names: Iterable[str | None]) -> JobError:
    """A band that is not there."""
    there = ", ".join(name for name in list(names)[:40] if name) or "without names"
    return JobError("band_missing", f"no band {str(band)[:100]!r}; the raster's bands: {there}")


@contextmanager
def refusals() -> Iterator[None]:
    """A geometry beside the raster as a job's error. Raises: JobError("no_overlap")."""
    try:
        yield
    except RasterError as error:
        if error.code == "no_overlap":
            raise JobError("no_overlap", "the area of interest lies outside the raster") from None
        raise

"""A formula over the bands of one item, as a raster: what `index` and `band_math` have in common.

Bands on different grids are brought onto the coarsest of them: averaged where they are finer by
half or more, else bilinear.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from processes import overlap, scene
from processes.analysis import align
from processes.blocks import Block, Files, Grid, Progress, write
from processes.choose import BandMapping
from processes.geometry import Polygonal
from processes.process import JobError, Source, SourceRef
from processes.scene import Band
from raster import bands, reflectance
from raster.errors import RasterError
from raster.formula import Formula, parse

_NAMED = 1000  # number of the first band that a formula calls by a name
_NUMBER = re.compile(r"[bB]([1-9][0-9]{0,3})")
_RESAMPLINGS = ("none", "nearest", "mode", "bilinear", "average")  # from least to most


class ItemBands(BaseModel):
    """One item, which of its bands are meant, and where."""

    model_config = ConfigDict(extra="forbid")

    source_item_id: str = Field(min_length=1, max_length=200, title="Item")
    asset_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        title="Asset",
        description="Default: the first asset that has all bands, else one for each.",
    )
    band_mapping: BandMapping | None = Field(
        default=None,
        title="Bands",
        description='1-based, e.g. {"RED": 3, "NIR": 4}; default by band names.',
    )
    geometry: Polygonal | None = Field(
        default=None, title="Area of interest", description="Default: the whole item."
    )
    output_name: str | None = Field(default=None, min_length=1, max_length=200)


def sources(inputs: ItemBands) -> tuple[SourceRef, ...]:
    """The one item."""
    keys = (inputs.asset_key,) if inputs.asset_key else None
    return (SourceRef(inputs.source_item_id, keys),)


def find(
    names: Sequence[str], sources: Sequence[Source], mapping: Mapping[str, int] | None
) -> dict[str, Band]:
    """The band of each name in a formula; `b4` is the fourth, whatever it is called.

    Raises: JobError("band_missing").
    """
    called = {source.asset_key: scene.names_of(source) for source in sources}
    wanted: dict[str, str] = {}
    for name in names:
        number = _NUMBER.fullmatch(name)
        known = name[0] == "B" and any(
            bands.resolve(name, given, mapping) for given in called.values()
        )
        wanted[name] = number[1] if number and not known else name
    found = scene.find(list(dict.fromkeys(wanted.values())), sources, mapping)
    return {name: found[wanted[name]] for name in names}


def check(
    names: Sequence[str],
    sources: Mapping[str, Source],
    mapping: Mapping[str, int] | None,
    geometry: Mapping[str, Any] | None,
) -> None:
    """Whether the bands are there and meet the area, as far as the platform knows them.

    Raises: JobError.
    """
    if sources and all(source.band_names for source in sources.values()):
        found = find(names, list(sources.values()), mapping)
        overlap.require_bands(geometry, [band.source for band in found.values()])


def compute(
    path: Path,
    text: str,
    names: Sequence[str],
    inputs: ItemBands,
    sources: Mapping[str, Source],
    *,
    band_names: Sequence[str],
    presupposed: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a formula's values as float32, NaN where an input or the result is not a number.

    Args:
        text: in the grammar of `raster.formula`.
        names: the bands in it.
        band_names: one for each part of the formula.
        presupposed: the formula is of reflectance, and whole numbers without scale and offset are
            divided as `raster.reflectance.divisor` has it; else only the parts that compute an
            index of reflectance see them so.

    Returns: properties that say what was read: `opstac:bands` (name → asset and band), and where it
        was done `opstac:resampling` and `opstac:reflectance`.

    Raises: JobError, RasterError.
    """
    if not sources:
        raise JobError("scene_unreadable", "the item has no raster asset")
    found = find(names, list(sources.values()), inputs.band_mapping)
    keys = {id(source): key for key, source in sources.items()}
    with ExitStack() as stack:
        opened = scene.open_bands(stack, found)
        grid = next(iter(opened.values())).dataset
        for band in opened.values():
            if align.same_grid(grid, band.dataset):
                continue
            if not align.overlaps(grid, band.dataset):
                raise JobError("no_overlap", "the bands do not lie in the same place")
            grid = align.coarser(grid, band.dataset)
        kinds = [align.resampling_for(band.dataset, grid) for band in opened.values()]
        divisors = {
            name: reflectance.divisors(band.dataset, band.layout, [band.index])[band.index]
            for name, band in opened.items()
        }
        try:
            target = Grid.of(grid, inputs.geometry)
        except RasterError as error:
            if error.code == "no_overlap":
                message = "the area of interest lies outside the raster"
                raise JobError("no_overlap", message) from None
            raise
    numbers = number(names)
    params = {
        "formula": text,
        "mapping": {name: numbers[name] for name in names if numbers[name] >= _NAMED},
        "bands": [
            {
                "key": keys[id(found[name].source)],
                "index": found[name].index,
                "number": numbers[name],
                "divisor": divisors[name],
            }
            for name in names
        ],
        "presupposed": presupposed,
    }
    write(
        path,
        evaluate,
        target,
        sources={key: sources[key] for key in {band["key"] for band in params["bands"]}},
        params=params,
        dtype="float32",
        nodata=float("nan"),
        band_names=band_names,
        pixel_bytes=24 * (len(names) + len(band_names)) + 16,
        progress=progress,
    )
    said: dict[str, Any] = {
        "opstac:bands": {
            name: {"asset": band.source.asset_key, "band": band.index}
            for name, band in found.items()
        }
    }
    if (kind := max(kinds, key=_RESAMPLINGS.index)) != "none":
        said["opstac:resampling"] = kind
    used = sorted({d for d in divisors.values() if d})
    if used and (presupposed or reflectance.presupposed(_parsed(params))):
        said["opstac:reflectance"] = f"stored values divided by {used[0]}"
    return said


def number(names: Sequence[str]) -> dict[str, int]:
    """The band number of each name within a formula: `b4` is 4, the others follow far behind."""
    made: dict[str, int] = {}
    for place, name in enumerate(names):
        plain = re.fullmatch(r"b([1-9][0-9]{0,3})", name)
        made[name] = int(plain[1]) if plain else _NAMED + place
    return made


def _parsed(params: Mapping[str, Any]) -> Formula:
    return _formula(params["formula"], tuple(params["mapping"].items()))


@functools.lru_cache(16)
def _formula(text: str, mapping: tuple[tuple[str, int], ...]) -> Formula:
    return parse(text, mapping=dict(mapping), band_count=2 * _NAMED)


def evaluate(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """The block function: the formula's values, float32, (parts, rows, columns)."""
    wanted: dict[str, list[Mapping[str, Any]]] = {}
    for band in params["bands"]:
        wanted.setdefault(band["key"], []).append(band)
    arrays: dict[int, np.ma.MaskedArray] = {}
    for key, group in wanted.items():
        # one read a file: the bands of a pixel often share a compressed block
        indexes = list(dict.fromkeys(band["index"] for band in group))
        values = files.read(key, block, indexes, zeroed=False)
        for band in group:
            arrays[band["number"]] = values[indexes.index(band["index"])]
    formula = _parsed(params)
    divisors = {band["number"]: band["divisor"] for band in params["bands"]}
    if not params["presupposed"]:
        return reflectance.evaluate(formula, arrays, divisors, zeroed=False)
    return formula.evaluate(
        {number: reflectance.divided(layer, divisors[number]) for number, layer in arrays.items()},
        zeroed=False,
    )

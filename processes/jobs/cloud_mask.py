"""`cloud_mask`: where an item is clouded, as a map, or its rasters without what is clouded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from rasterio.enums import ColorInterp

from processes import blocks, encoding, overlap
from processes.analysis import clouds
from processes.analysis.clouds import CLEAR, EMPTY, HIDDEN, CloudInputs, Quality, Rule
from processes.blocks import Block, Files, Grid, Progress
from processes.choose import AssetKey, ItemId, file_name, open_source, refusals
from processes.geometry import Polygonal, area_km2
from processes.process import (
    RASTER_OUTPUT,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    SourceRef,
    described,
    process,
)
from raster.statistics import from_tags

NODATA = 255
CLASSES = {CLEAR: ("clear", "4d9221"), HIDDEN: ("cloud or shadow", "f7f7f7")}
"""Code → name and colour."""


class CloudMaskInputs(CloudInputs):
    """Whose clouds, and what to make."""

    model_config = ConfigDict(extra="forbid")

    source_item_id: ItemId = Field(description="The item to read.")
    output: Literal["mask", "masked"] = Field(
        default="mask",
        description="`mask` gives a map of clouds; `masked` the rasters with no data there.",
    )
    asset_keys: list[AssetKey] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="With `masked`: which rasters; default all but the quality band.",
    )
    dilate: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Also what lies within so many pixels of a cloud, of the raster written.",
    )
    geometry: Polygonal | None = Field(
        default=None, description="Area of interest in EPSG:4326; default the whole item."
    )
    output_name: str | None = Field(
        default=None, min_length=1, max_length=200, description="Name of the new item."
    )

    @model_validator(mode="after")
    def _rasters(self) -> "CloudMaskInputs":
        if self.asset_keys is not None and self.output == "mask":
            raise PydanticCustomError("value_error", "asset_keys goes with output `masked`")
        return self


def sources(inputs: CloudMaskInputs) -> tuple[SourceRef, ...]:
    """The one item, with all its rasters: which of them has the quality band is seen by name."""
    return (SourceRef(inputs.source_item_id),)


def check_sources(inputs: CloudMaskInputs, given: Mapping[str, Source]) -> None:
    """Whether there is a quality band, as far as the platform names it. Raises: JobError."""
    every = list(given.values())
    _named(inputs, every)
    quality = clouds.find(inputs, every)
    if quality is not None:
        overlap.require(inputs.geometry, _read(inputs, every, quality), every=True)
    elif all(source.band_names for source in every):
        raise clouds.none_there()


@process(
    id="cloud_mask",
    title="Cloud mask",
    keywords=("cloud", "shadow", "mask", "scl", "qa_pixel", "sentinel-2", "landsat"),
    category="classification",
    inputs=CloudMaskInputs,
    outputs={
        "data": OutputSpec(
            "Cloud mask or masked rasters",
            f"Cloud-optimized GeoTIFF: 0 clear, 1 cloud or shadow, {NODATA} no data; with `masked` "
            "one for each raster.",
            RASTER_OUTPUT,
        )
    },
    sources=sources,
    unit="SQ_KM",
    price=Price("0.02", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_sources,
)
def run(ctx: RunContext[CloudMaskInputs]) -> list[Output]:
    """Says where clouds and their shadows are, by the quality band that comes with an item: the
    classes of Sentinel-2's SCL or the bits of Landsat's QA_PIXEL (Collection 2). As a map, or the
    item's rasters with no data there. Snow counts as clear unless its class (11) or bit (5) is
    named. A raster coarser than the quality band is hidden where any of its pixels is; a finer one
    goes by the nearest."""
    given = list(ctx.sources.values())
    quality = clouds.find(ctx.inputs, given)
    if quality is None:
        raise clouds.none_there()
    said = {
        "opstac:cloud_band": {
            "asset": quality.band.source.asset_key,
            "band": quality.band.index,
            **quality.rule.words(),
        },
        "opstac:dilated_pixels": ctx.inputs.dilate,
    }
    if ctx.inputs.output == "mask":
        return [_map(ctx, quality, said)]
    wanted = _read(ctx.inputs, given, quality)
    made = []
    for number, source in enumerate(wanted):

        def progress(fraction: float, stage: str, number: int = number, s: Source = source) -> None:
            ctx.progress((number + fraction) / len(wanted), f"{stage} {s.asset_key}")

        path = ctx.out_dir / file_name(source.asset_key, number, "masked")
        made.append(_masked(ctx.inputs, source, quality, path, said, progress))
    return made


def _named(inputs: CloudMaskInputs, given: Sequence[Source]) -> list[Source]:
    """The rasters that `asset_keys` names. Raises: JobError: one is not there."""
    wanted = dict.fromkeys(inputs.asset_keys or ())
    for key in wanted:
        if all(source.asset_key != key for source in given):
            known = ", ".join(source.asset_key for source in given)
            raise JobError("invalid_inputs", f"no raster asset {key!r}; there are {known}")
    return [source for source in given if source.asset_key in wanted]


def _read(inputs: CloudMaskInputs, given: Sequence[Source], quality: Quality) -> Sequence[Source]:
    """What is cut to the area: the rasters that are masked, or the quality band of a map."""
    own = quality.band.source
    if inputs.output == "mask":
        return [own]
    if inputs.asset_keys is not None:
        return _named(inputs, given)
    return [source for source in given if source.asset_key != own.asset_key] or [own]


def _params(inputs: CloudMaskInputs, quality: Quality) -> dict[str, Any]:
    return {
        "band": quality.band.index,
        "rule": quality.rule.json(),
        "dilate": inputs.dilate,
    }


def _map(ctx: RunContext[CloudMaskInputs], quality: Quality, said: Mapping[str, Any]) -> Output:
    source = quality.band.source
    dataset, layout = open_source(source)
    with dataset, refusals():
        if quality.band.index not in layout.data:
            raise JobError("band_missing", f"the raster has no data band {quality.band.index}")
        grid = Grid.of(dataset, ctx.inputs.geometry)
    path = ctx.out_dir / "cloud_mask.tif"
    colormap = {NODATA: (0, 0, 0, 0)}
    colormap |= {code: (*bytes.fromhex(color), 255) for code, (_, color) in CLASSES.items()}
    blocks.write(
        path,
        mapped,
        grid,
        sources={"quality": source},
        params=_params(ctx.inputs, quality),
        dtype="uint8",
        nodata=NODATA,
        band_names=["cloud"],
        colors=(ColorInterp.palette,),
        colormap=colormap,
        categorical=True,
        pixel_bytes=96,
        halo=ctx.inputs.dilate,
        progress=ctx.progress,
    )
    return Output(
        asset_key="data",
        path=path,
        name=ctx.inputs.output_name,
        band_names=("cloud",),
        categorical=True,
        classes=described(CLASSES),
        properties={**said, "opstac:cloud_percent": _percent(path)},
    )


def _percent(path: Path) -> float | None:
    """Share of the pixels with a value that are hidden."""
    dataset, _ = open_source(Source("", "data", str(path)))
    with dataset:
        found = from_tags(dataset.tags(1))
    mean = None if found is None else found.mean
    return None if mean is None else round(100 * mean, 4)


def mapped(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """The block function of the map."""
    state = _state(block, files, params)
    values = block.core(clouds.spread(state == HIDDEN, params["dilate"])).astype(np.uint8)
    return np.ma.MaskedArray(values, mask=block.core(state) == EMPTY)


def _state(block: Block, files: Files, params: Mapping[str, Any]) -> np.ndarray:
    dataset, layout = files.open("quality")
    rule = Rule.of(params["rule"])
    return clouds.states_on(
        dataset, layout, params["band"], rule, onto=block.grid, window=block.outer
    )


def _masked(
    inputs: CloudMaskInputs,
    source: Source,
    quality: Quality,
    path: Path,
    said: Mapping[str, Any],
    progress: Progress,
) -> Output:
    dataset, layout = open_source(source)
    with dataset, refusals():
        made = encoding.of(dataset, layout, layout.data).with_nodata(None)
        grid = Grid.of(dataset, inputs.geometry)
    indexes = [*layout.data, *([layout.alpha] if layout.alpha is not None else ())]
    categorical = bool(source.asset.get("is_categorical"))
    blocks.write(
        path,
        without_clouds,
        grid,
        sources={"raster": source, "quality": quality.band.source},
        params={
            **_params(inputs, quality),
            "bands": indexes,
            "dtype": made.dtype,
            "exact": made.exact,
            "alpha": made.alpha,
        },
        pixel_bytes=len(indexes) * 4 * np.dtype(made.exact).itemsize + 64,
        halo=inputs.dilate,
        categorical=categorical,
        progress=progress,
        **made.options(),
    )
    return Output(
        asset_key=source.asset_key,
        path=path,
        name=inputs.output_name,
        band_names=layout.names,
        categorical=categorical,
        properties=dict(said),
    )


def without_clouds(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """The block function of a raster: its stored numbers, hidden where the quality band says so."""
    state = _state(block, files, params)
    hidden = clouds.spread(state == HIDDEN, params["dilate"]) | (state == EMPTY)
    values = files.read(
        "raster", block, params["bands"], scaled=False, dtype=params["exact"], resampling="nearest"
    )
    made = encoding.stored(values, params["dtype"], None)
    made.data[:, hidden] = 0
    mask = np.ma.getmaskarray(made) | hidden
    return np.ma.MaskedArray(block.core(made.data), mask=block.core(mask))

"""`reproject`: rasters of an item on another grid: system, resolution, bounds, resampling."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field
from rasterio.enums import ColorInterp

from processes import encoding, overlap, target
from processes.analysis import align
from processes.blocks import Block, Files, Progress, write
from processes.choose import AssetKey, ItemId, file_name, open_source
from processes.process import (
    RASTER_OUTPUT,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    SourceRef,
    process,
)


class ReprojectInputs(target.OnGrid):
    """What to bring onto which grid."""

    source_item_id: ItemId = Field(description="The item to read.")
    asset_keys: list[AssetKey] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Which assets; default all that are rasters.",
    )
    output_name: str | None = Field(
        default=None, min_length=1, max_length=200, description="Name of the new item."
    )


def sources(inputs: ReprojectInputs) -> tuple[SourceRef, ...]:
    """The one item, all its rasters or those named."""
    keys = tuple(dict.fromkeys(inputs.asset_keys)) if inputs.asset_keys else None
    return (SourceRef(inputs.source_item_id, keys),)


def check_sources(inputs: ReprojectInputs, given: Mapping[str, Source]) -> None:
    """Whether resampling and nodata suit what is known of the assets. Raises: JobError."""
    overlap.require(inputs.geometry, given.values())
    for source in given.values():
        target.check_classes(inputs, source.asset, source.asset_key)
        for band in source.asset.get("bands") or ():
            if inputs.nodata is not None and band.get("dtype"):
                encoding.require_fits(inputs.nodata, band["dtype"])
        target.require(inputs, [source], meet=True)


@process(
    id="reproject",
    title="Reproject and resample",
    keywords=("reproject", "warp", "resample", "grid", "crs", "resolution"),
    category="conversion",
    inputs=ReprojectInputs,
    outputs={
        "data": OutputSpec(
            "Rasters on the grid",
            "One cloud-optimized GeoTIFF for each asset, its numbers stored as they were.",
            RASTER_OUTPUT,
        )
    },
    sources=sources,
    unit="SQ_KM",
    price=Price("0.02", 1),
    quantity=target.area,
    check_sources=check_sources,
)
def run(ctx: RunContext[ReprojectInputs]) -> list[Output]:
    """Brings an item's rasters onto a grid: another coordinate reference system, resolution or
    extent. Without bounds the edges of pixels lie at multiples of the resolution; where system and
    resolution are the item's own, its pixels are kept. Stored numbers, scale, offset, colour table,
    alpha band and band names stay; pixels without data take no part in an interpolation."""
    total = len(ctx.sources)
    if not total:
        raise JobError("scene_unreadable", "the item has no raster asset")
    outputs: list[Output] = []
    for number, (key, source) in enumerate(ctx.sources.items()):

        def progress(fraction: float, stage: str, number: int = number, key: str = key) -> None:
            ctx.progress((number + fraction) / total, f"{stage} {key}")

        path = ctx.out_dir / file_name(key, number, "reprojected")
        outputs.append(_one(ctx.inputs, key, source, path, progress))
    return outputs


def _one(
    inputs: ReprojectInputs, key: str, source: Source, path: Any, progress: Progress
) -> Output:
    dataset, layout = open_source(source)
    with dataset:
        made = encoding.of(dataset, layout, layout.data).with_nodata(inputs.nodata)
        classes = bool(source.asset.get("is_categorical")) or (
            made.colors is not None and made.colors[0] == ColorInterp.palette
        )
        if classes and inputs.resampling not in target.OF_CLASSES:
            raise target.not_of_classes(key)
        grid = target.of(inputs, [dataset])
        kind = inputs.resampling
        if kind == "auto" or align.shift(dataset, grid) is not None:
            kind = align.resampling_for(dataset, grid, categorical=classes)
        indexes = [*layout.data, *([layout.alpha] if layout.alpha is not None else ())]
    valid = write(
        path,
        warped,
        grid,
        sources={key: source},
        params={
            "key": key,
            "bands": indexes,
            "alpha": made.alpha,
            "resampling": kind,
            "dtype": made.dtype,
            "exact": made.exact,
            "nodata": made.nodata,
        },
        pixel_bytes=len(indexes) * 8 * np.dtype(made.exact).itemsize + 16,
        categorical=classes,
        progress=progress,
        **made.options(),
    )
    if not valid:
        raise JobError("no_overlap", f"no pixel of asset {key!r} has a value on the grid")
    return Output(
        asset_key=key,
        path=path,
        name=inputs.output_name,
        band_names=layout.names,
        categorical=classes,
        properties={"opstac:resampling": kind},
    )


def warped(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """The block function: stored numbers on the grid, (bands, rows, columns)."""
    values = files.read(
        params["key"],
        block,
        params["bands"],
        resampling=params["resampling"],
        scaled=False,
        dtype=params["exact"],
    )
    made = encoding.stored(values, params["dtype"], None if params["alpha"] else params["nodata"])
    if params["alpha"]:
        hidden = np.ma.getmaskarray(made)
        hidden |= (hidden[-1] | (made.data[-1] == 0))[np.newaxis]
        made.data[-1][hidden[:-1].all(axis=0)] = 0
        made.mask = hidden
    return made

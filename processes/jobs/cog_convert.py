"""`cog_convert`: rasters of an item as cloud-optimized GeoTIFFs, with the same pixels.

Every compression on the list keeps every bit; JPEG and WEBP, which do not, are not on it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from rasterio.enums import ColorInterp

from processes.choose import AssetKey, ItemId, file_name
from processes.geometry import area_km2
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
from raster import cog, reader

_OF_CLASSES = ("auto", "mode", "nearest")


class CogConvertInputs(BaseModel):
    """What to convert, and the form of the new files."""

    model_config = ConfigDict(extra="forbid")

    source_item_id: ItemId = Field(description="The item to convert.")
    asset_keys: list[AssetKey] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Which assets; default all that are rasters.",
    )
    compression: Literal["ZSTD", "DEFLATE", "LZW"] = Field(
        default="ZSTD", description="All three keep every bit; DEFLATE and LZW suit old readers."
    )
    block_size: Literal[128, 256, 512, 1024] = Field(
        default=512,
        description="Side of a tile in pixels; halved until all bands of a tile fit 32 MiB.",
    )
    overview_resampling: Literal[
        "auto", "nearest", "average", "bilinear", "cubic", "lanczos", "mode"
    ] = Field(
        default="auto",
        description="How overviews are made: `auto` averages, and takes the most frequent value of "
        "classes and palettes, which allow `mode` and `nearest` only.",
    )
    output_name: str | None = Field(
        default=None, min_length=1, max_length=200, description="Name of the new item."
    )


def sources(inputs: CogConvertInputs) -> tuple[SourceRef, ...]:
    """The one item, all its rasters or those named."""
    keys = tuple(dict.fromkeys(inputs.asset_keys)) if inputs.asset_keys else None
    return (SourceRef(inputs.source_item_id, keys),)


def check(inputs: CogConvertInputs, given: Mapping[str, Source]) -> None:
    """Whether the overviews mean something, as far as is known. Raises: JobError."""
    for source in given.values():
        if source.asset.get("is_categorical"):
            _check_overviews(inputs, source.asset_key)


def _check_overviews(inputs: CogConvertInputs, key: str) -> None:
    if inputs.overview_resampling not in _OF_CLASSES:
        raise JobError(
            "invalid_inputs",
            f"overview_resampling: asset {key!r} holds classes; use mode, nearest or auto",
        )


@process(
    id="cog_convert",
    title="Convert to COG",
    keywords=("cog", "cloud-optimized", "geotiff", "compression", "overviews"),
    category="conversion",
    inputs=CogConvertInputs,
    outputs={
        "data": OutputSpec(
            "Cloud-optimized GeoTIFFs", "One for each asset, on its own grid.", RASTER_OUTPUT
        )
    },
    sources=sources,
    unit="SQ_KM",
    price=Price("0.02", 1),
    quantity=lambda inputs, items: area_km2(None, items),
    check_sources=check,
    sync_allowed=False,
)
def run(ctx: RunContext[CogConvertInputs]) -> list[Output]:
    """Rewrites an item's rasters as cloud-optimized GeoTIFFs with overviews and statistics. Values,
    grid, nodata, masks, scale and offset, colour table and band names stay as they are. A file that
    lies by control points only has no grid and is warped once, which the new item says."""
    total = len(ctx.sources)
    if not total:
        raise JobError("scene_unreadable", "the item has no raster asset")
    outputs: list[Output] = []
    done: list[str] = []
    for number, (key, source) in enumerate(ctx.sources.items()):

        def progress(fraction: float, stage: str, number: int = number, key: str = key) -> None:
            ctx.progress((number + fraction) / total, f"{stage} {key}")

        path = ctx.out_dir / file_name(key, number, "cog")
        categorical = bool(source.asset.get("is_categorical"))
        wanted = ctx.inputs.overview_resampling
        form = cog.Form(
            compression=ctx.inputs.compression,
            block=ctx.inputs.block_size,
            overviews=None if wanted == "auto" else wanted.upper(),
        )
        names = _names(source, ctx.inputs)
        notes = cog.convert_to_cog(
            source.path,
            path,
            band_names=source.band_names,
            categorical=categorical,
            form=form,
            progress=progress,
        )
        done += [f"{key}: {note}" for note in notes]
        outputs.append(
            Output(
                asset_key=key,
                path=path,
                name=ctx.inputs.output_name,
                band_names=names,
                categorical=categorical,
            )
        )
    said: dict[str, Any] = {"opstac:compression": ctx.inputs.compression}
    said |= {"opstac:conversion": done} if done else {}
    return [replace(output, properties=said) for output in outputs]


def _names(source: Source, inputs: CogConvertInputs) -> tuple[str, ...]:
    """Of its data bands. Raises: JobError: it has a palette that cannot be averaged."""
    with reader.open_guarded(source.path) as dataset:
        if ColorInterp.palette in dataset.colorinterp:
            _check_overviews(inputs, source.asset_key)
        return reader.layout(dataset, band_names=source.band_names).names

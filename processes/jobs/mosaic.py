"""`mosaic`: many items beside and over each other as one raster."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from processes import composite, layers, overlap, target
from processes.blocks import write
from processes.composite import STATISTICS
from processes.layers import Layer, ManyItems
from processes.process import (
    RASTER_OUTPUT,
    Item,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    process,
)

Method = Literal["newest", "oldest", "first", "last", "mean", "median", "min", "max"]


class MosaicInputs(ManyItems):
    """Which items, and what counts where they overlap."""

    method: Method = Field(
        default="newest",
        description="What a pixel has where items overlap: all bands of the newest, oldest, first "
        "or last item with a value there (first and last in the order given), or the mean, median, "
        "least or greatest value of each band.",
    )


def quantity(inputs: ManyItems, items: Sequence[Item]) -> Decimal:
    """km² of each item within the area, all added: what is read."""
    return sum((target.area(inputs, [item]) for item in items), Decimal(0))


def check_sources(inputs: MosaicInputs, sources: Mapping[str, Source]) -> None:
    """Whether all items have the bands, as far as they are named. Raises: JobError."""
    overlap.require(inputs.geometry, sources.values())
    if all(source.band_names for source in sources.values()):
        found = layers.layers(inputs, sources)
        layers.require_words(inputs, found, computed=inputs.method in STATISTICS)
        layers.in_time(found, inputs.method)
        layers.require_grid(inputs, found)


@process(
    id="mosaic",
    title="Mosaic",
    keywords=("mosaic", "merge", "composite", "join"),
    category="composition",
    inputs=MosaicInputs,
    outputs={
        "data": OutputSpec("Mosaic", "Cloud-optimized GeoTIFF over all items.", RASTER_OUTPUT)
    },
    sources=layers.item_sources,
    unit="SQ_KM",
    price=Price("0.02", 1),
    quantity=quantity,
    check_sources=check_sources,
)
def run(ctx: RunContext[MosaicInputs]) -> list[Output]:
    """Joins items into one raster on one grid: that of the first item, made larger over all of
    them, unless system, resolution or bounds are given. A pixel of an item counts where it is valid
    in every band that is read. Items that store numbers of one type, scale and offset keep them;
    else the result is float32 with scale and offset applied. An alpha band hides and is not
    copied. The price counts the area of each item."""
    found = layers.layers(ctx.inputs, ctx.sources)
    order = layers.in_time(found, ctx.inputs.method)
    how = ctx.inputs.method if ctx.inputs.method in STATISTICS else "first"
    return [finished(ctx, order, how, "mosaic")]


def finished(
    ctx: RunContext[Any],
    order: Sequence[Layer],
    how: str,
    name: str,
) -> Output:
    """Write the items in this order as one raster. Raises: JobError, RasterError."""
    plan = layers.plan(ctx.inputs, order, ctx.sources)
    path = ctx.out_dir / f"{name}.tif"
    valid = write(
        path,
        composite.composed,
        plan.grid,
        sources=plan.sources,
        params={**plan.params, "how": how},
        categorical=plan.categorical,
        pixel_bytes=plan.pixel_bytes(at_once=len(order) if how == "median" else 1),
        progress=ctx.progress,
        **plan.encoding.options(),
    )
    if not valid:
        raise JobError("no_overlap", "no item has a pixel with a value on the grid")
    return Output(
        asset_key="data",
        path=path,
        name=ctx.inputs.output_name,
        band_names=plan.encoding.names,
        categorical=plan.categorical,
        properties={
            "opstac:method": getattr(ctx.inputs, "method", how),
            **plan.said,
        },
    )

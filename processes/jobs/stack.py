"""`stack`: one picture of a place out of many dates, without clouds where that can be told."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from processes import layers, overlap
from processes.analysis import clouds
from processes.analysis.clouds import CloudInputs
from processes.blocks import Block, Files, results
from processes.composite import STATISTICS
from processes.jobs.mosaic import finished, quantity
from processes.layers import Layer, ManyItems
from processes.process import (
    RASTER_OUTPUT,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    process,
)

Method = Literal["median", "mean", "min", "max", "max_ndvi", "least_cloudy", "newest", "oldest"]


class StackInputs(ManyItems, CloudInputs):
    """Which dates, how a pixel is made of them, and what counts as a cloud."""

    method: Method = Field(
        default="median",
        description="The median, mean, least or greatest value of each band; or all bands of one "
        "date: that of the highest NDVI, of the least cloudy item that has a value there, the "
        "newest or the oldest.",
    )
    cloud_mask: Literal["auto", "required", "none"] = Field(
        default="auto",
        description="Hide what quality bands call clouds: `auto` of items that have one, "
        "`required` refuses items without, `none` hides nothing.",
    )


def _layers(inputs: StackInputs, sources: Mapping[str, Source]) -> list[Layer]:
    masks = None if inputs.cloud_mask == "none" else inputs
    made = layers.layers(inputs, sources, index=inputs.method == "max_ndvi", masks=masks)
    for layer in made:
        if inputs.cloud_mask == "required" and layer.quality is None:
            raise JobError("band_missing", f"item {layer.item_id}: {clouds.none_there()}")
        if inputs.method == "least_cloudy" and layer.quality is None and _cover(layer) is None:
            raise JobError(
                "invalid_inputs",
                f"least_cloudy: item {layer.item_id} has neither eo:cloud_cover nor a quality band",
            )
    return made


def _cover(layer: Layer) -> float | None:
    """Percent of clouds that the item says."""
    properties = layer.item.get("properties") or {}
    for said in (layer.item.get("cloud_cover"), properties.get("eo:cloud_cover")):
        if isinstance(said, int | float) and not isinstance(said, bool):
            return float(said)
    return None


def check_sources(inputs: StackInputs, sources: Mapping[str, Source]) -> None:
    """Whether all items have what is needed, as far as bands are named. Raises: JobError."""
    overlap.require(inputs.geometry, sources.values())
    if all(source.band_names for source in sources.values()):
        found = _layers(inputs, sources)
        layers.require_words(inputs, found, computed=inputs.method in STATISTICS)
        layers.in_time(found, inputs.method)
        layers.require_grid(inputs, found)


@process(
    id="stack",
    title="Temporal composite",
    keywords=("stack", "composite", "median", "cloud-free", "best pixel", "time"),
    category="composition",
    inputs=StackInputs,
    outputs={
        "data": OutputSpec(
            "Composite", "Cloud-optimized GeoTIFF, one picture of all dates.", RASTER_OUTPUT
        )
    },
    sources=layers.item_sources,
    unit="SQ_KM",
    price=Price("0.02", 1),
    quantity=quantity,
    check_sources=check_sources,
)
def run(ctx: RunContext[StackInputs]) -> list[Output]:
    """Makes one picture of a place out of many dates. Clouds are hidden first, by the SCL or
    QA_PIXEL band of each item as `cloud_mask` does it; items without one are taken as they are. The
    least cloudy item is the one with the smallest `eo:cloud_cover`, or where an item does not say
    it, with the smallest part of the grid hidden. Of equal dates the one given first counts. Grid
    and stored numbers are as with `mosaic`; the median of whole numbers is rounded, half to even.
    The price counts the area of each item."""
    inputs = ctx.inputs
    order = layers.in_time(_layers(inputs, ctx.sources), inputs.method)
    said: dict[str, Any] = {}
    if inputs.method == "least_cloudy":
        covers = _covers(ctx, order)
        order = [layer for _, layer in sorted(zip(covers, order, strict=True), key=lambda c: c[0])]
        said["opstac:cloud_percent"] = {
            layer.item_id: round(cover, 4)
            for cover, layer in zip(sorted(covers), order, strict=True)
        }
    how = {"max_ndvi": "highest"}.get(inputs.method, inputs.method)
    output = finished(ctx, order, how if how in (*STATISTICS, "highest") else "first", "stack")
    masked = {
        layer.item_id: {
            "asset": layer.quality.band.source.asset_key,
            "band": layer.quality.band.index,
            **layer.quality.rule.words(),
        }
        for layer in order
        if layer.quality is not None
    }
    properties = {**output.properties, **said, "opstac:cloud_bands": masked}
    return [Output(**{**vars(output), "properties": properties})]


def _covers(ctx: RunContext[StackInputs], order: Sequence[Layer]) -> list[float]:
    """Percent of clouds of each item: as they all say it, else counted on the grid."""
    stated = [_cover(layer) for layer in order]
    if all(cover is not None for cover in stated):
        return [float(cover or 0) for cover in stated]
    plan = layers.plan(ctx.inputs, order, ctx.sources)
    hidden = dict.fromkeys(range(len(order)), 0)
    total = dict.fromkeys(range(len(order)), 0)
    places = {entry["item"]: n for n, entry in enumerate(plan.params["layers"])}
    for _, counts in results(
        counted, plan.grid, sources=plan.sources, params=plan.params, pixel_bytes=96
    ):
        found: list[tuple[int, int]] = counts or []
        for place, (clouded, seen) in enumerate(found):
            hidden[place] += clouded
            total[place] += seen
    made: list[float] = []
    for layer, cover in zip(order, stated, strict=True):
        place = places.get(layer.item_id)
        if place is not None and layer.quality is not None:
            made.append(100 * hidden[place] / total[place] if total[place] else 100.0)
        else:
            made.append(100.0 if cover is None else cover)
    return made


def counted(block: Block, files: Files, params: Mapping[str, Any]) -> list[tuple[int, int]]:
    """A block function: of each item the clouded pixels, and those with a quality at all."""
    found: list[tuple[int, int]] = []
    for layer in params["layers"]:
        mask = layer["mask"]
        if mask is None:
            found.append((0, 0))
            continue
        dataset, layout = files.open(mask["key"])
        state = clouds.states_on(
            dataset, layout, mask["index"], clouds.Rule.of(mask["rule"]),
            onto=block.grid, window=block.window,
        )  # fmt: skip
        files.release()
        found.append((int((state == clouds.HIDDEN).sum()), int((state != clouds.EMPTY).sum())))
    return found

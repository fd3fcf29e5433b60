"""`anomaly`: how far an item departs from a baseline of other items."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from pydantic import Field
from rasterio.windows import Window

from processes.analysis import context, write, zones
from processes.analysis.context import MethodContext
from processes.analysis.params import ItemId, ItemParams, Percentile
from processes.analysis.quantity import Quantity
from processes.analysis.summary import Summary
from processes.method import MethodError, Selection, method


class AnomalyParams(ItemParams):
    """The item or items, and the baseline."""

    baseline_item_ids: list[ItemId] = Field(
        min_length=1, max_length=50, description="Items that say what is usual."
    )
    kind: Literal["difference", "zscore"] = Field(
        default="difference",
        description="Value minus mean of the baseline, or that divided by its standard deviation "
        "(of the sample, n - 1).",
    )
    min_baseline: int = Field(
        default=1,
        ge=1,
        le=50,
        description="A pixel counts where so many of the baseline are valid; a zscore needs two.",
    )
    percentiles: list[Percentile] = Field(default=[2, 25, 50, 75, 98], max_length=50)
    render: bool = Field(default=True, description="Whether the raster is made.")


@method
class Anomaly:
    """A band, an index or an expression of an item against a baseline of other items, pixel by
    pixel on the coarsest of their grids: the difference from the baseline's mean, or the number of
    standard deviations. Statistics and a raster that can be drawn for a day.
    """

    name = "anomaly"
    title = "Anomaly against a baseline"
    input_model = AnomalyParams
    examples = ({"item_id": "it_…", "baseline_item_ids": ["it_…", "it_…"], "index_name": "NDVI"},)

    def items(self, params: AnomalyParams) -> Selection:
        """The items and the baseline, each once."""
        own = params.item_ids or [str(params.item_id)]
        return Selection(item_ids=tuple(dict.fromkeys([*own, *params.baseline_item_ids])))

    def execute(self, params: AnomalyParams, ctx: MethodContext) -> dict[str, Any]:
        """Statistics and the raster. Raises: MethodError."""
        item = ctx.item(params)
        what = ctx.quantity(item, params)
        baseline = [ctx.quantity(ctx.items[name], params) for name in params.baseline_item_ids]
        grid = context.common_grid([what, *baseline])
        zone = context.common_zone(ctx, grid, [what], params.geometry)
        read = what.bands_read + sum(other.bands_read for other in baseline)
        ctx.spend(zone.pixels * read, params.max_pixels)
        total, usual = Summary(), Summary(percentiles=False)

        def parts() -> Iterator[tuple[Window, np.ma.MaskedArray]]:
            for window in zones.windows(zone, columns=1024):
                weights = zones.coverage(zone, window)
                if weights is not None and not weights.any():
                    continue
                mean, found = _departure(params, what, baseline, window, grid)
                if weights is not None:
                    found.mask |= weights <= 0
                total.add(found, weights)
                usual.add(np.ma.MaskedArray(mean, mask=found.mask), weights)
                yield window, found

        path = ctx.out_dir / f"{item.id}_anomaly.tif"
        if params.render:
            write.raster(path, grid, zone, params.kind, parts())
        else:
            for _ in parts():
                pass

        def again() -> Iterator[tuple[np.ma.MaskedArray, np.ndarray | None]]:
            for window in zones.windows(zone, columns=1024):
                weights = zones.coverage(zone, window)
                yield _departure(params, what, baseline, window, grid)[1], weights

        statistics = total.result(params.percentiles, again)
        if not statistics["count"]:
            raise MethodError("no_valid_pixel", "no pixel is valid in the item and its baseline")
        others = dict(zip(params.baseline_item_ids, baseline, strict=True))
        answer = {
            **ctx.describe(what),
            "kind": params.kind,
            "baseline_item_ids": params.baseline_item_ids,
            "baseline_mean": usual.mean,
            "statistics": statistics,
            "alignment": context.alignment(
                next((q for q in [what, *baseline] if q.grid is grid), what),
                {item.id: what, **others},
                grid,
            ),
            "inputs": [*what.checksums, *(c for q in baseline for c in q.checksums)],
        }
        if params.render:
            reach = max(abs(statistics["min"]), abs(statistics["max"]))
            answer["raster"] = ctx.render(
                path, name="anomaly", colormap="rdbu", rescale=(-reach, reach)
            )
        return answer


def _departure(
    params: AnomalyParams, what: Quantity, baseline: list[Quantity], window: Window, grid: Any
) -> tuple[np.ndarray, np.ma.MaskedArray]:
    """(mean of the baseline, departure from it) of a window; Welford (1962) for the variance."""
    own = what.read(window, grid)
    count = np.zeros(own.shape, np.int32)
    mean = np.zeros(own.shape)
    squares = np.zeros(own.shape)
    for other in baseline:
        values = other.read(window, grid)
        good = ~np.ma.getmaskarray(values)
        count += good
        gap = np.where(good, values.data - mean, 0.0)
        mean += gap / np.maximum(count, 1)
        squares += np.where(good, gap * (values.data - mean), 0.0)
    needed = max(params.min_baseline, 2 if params.kind == "zscore" else 1)
    masked = np.ma.getmaskarray(own) | (count < needed)
    found = own.data - mean
    if params.kind == "zscore":
        spread = np.sqrt(squares / np.maximum(count - 1, 1))
        masked |= spread <= 0
        found = found / np.where(spread > 0, spread, 1.0)
    data = np.where(masked, 0, found).astype(np.float32)
    return mean, np.ma.MaskedArray(data, mask=masked)

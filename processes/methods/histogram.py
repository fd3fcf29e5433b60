"""`histogram`: how often the values of a band or index occur."""

import math
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from processes.analysis.context import MethodContext
from processes.analysis.params import ItemParams
from processes.analysis.summary import Summary, as_count, valid
from processes.method import MethodError, method


class HistogramParams(ItemParams):
    """The values, and the bins they are counted in."""

    bins: int = Field(default=20, ge=1, le=4096)
    range: tuple[float, float] | None = Field(
        default=None, description="Lowest and highest edge; default the lowest and highest value."
    )

    @model_validator(mode="after")
    def _ascending(self) -> "HistogramParams":
        if self.range is not None:
            low, high = self.range
            if not (low < high and math.isfinite(high - low)):
                raise ValueError("range must be two ascending numbers")
        return self


@method
class Histogram:
    """Counts of a band, an index or an expression in bins of one width, each pixel weighed by its
    covered part. The last bin holds its upper edge; what lies outside a given range is counted
    apart.
    """

    name = "histogram"
    title = "Histogram"
    input_model = HistogramParams
    examples = ({"item_id": "it_…", "band": 1, "bins": 50},)

    def execute(self, params: HistogramParams, ctx: MethodContext) -> dict[str, Any]:
        """Edges and counts. Raises: MethodError."""
        what = ctx.quantity(ctx.item(params), params)
        zone = ctx.zone(what.grid, params.geometry)
        ctx.spend(zone.pixels * what.bands_read, params.max_pixels)
        total = Summary(percentiles=False)
        for values, weights in ctx.parts(what, zone):
            total.add(values, weights)
        if not total.weight:
            raise MethodError("no_valid_pixel", "no pixel of the area holds a value")
        low, high = params.range or (total.low, total.high)
        if low == high:  # as numpy.histogram does
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, params.bins + 1)
        counts = np.zeros(params.bins)
        below = above = 0.0
        for values, weights in ctx.parts(what, zone):
            found, weighed = valid(values, weights)
            exact = found.astype(np.float64)
            counts += np.histogram(exact, edges, weights=weighed)[0]
            each = np.ones(len(exact)) if weighed is None else weighed
            below += float(each[exact < edges[0]].sum())
            above += float(each[exact > edges[-1]].sum())
        return {
            **ctx.describe(what),
            "bin_edges": edges,
            "counts": [as_count(float(count)) for count in counts],
            "below": as_count(below),
            "above": as_count(above),
            "statistics": total.result(),
            "inputs": what.checksums,
        }

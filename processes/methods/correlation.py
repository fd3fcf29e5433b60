"""`correlation`: how two values, or several items, go together pixel by pixel."""

import math
from typing import Any

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from processes.analysis import context, zones
from processes.analysis.context import MethodContext
from processes.analysis.params import Area, ItemId, Measure, require_items
from processes.analysis.summary import as_count
from processes.method import MethodError, Selection, method


class CorrelationParams(Measure, Area):
    """What is compared with what."""

    item_id: ItemId | None = Field(default=None, description="The item; or item_ids.")
    item_ids: list[ItemId] | None = Field(
        default=None, min_length=2, max_length=10, description="Compared each with each."
    )
    other_item_id: ItemId | None = Field(
        default=None, description="A second item; default the same one."
    )
    other: Measure | None = Field(
        default=None, description="The second value; default the same as the first."
    )

    @model_validator(mode="after")
    def _second(self) -> "CorrelationParams":
        require_items(self.item_id, self.item_ids)
        if self.item_ids is not None and (self.other or self.other_item_id):
            raise PydanticCustomError("value_error", "other goes with item_id, not with item_ids")
        if self.item_id is not None and not (self.other or self.other_item_id):
            raise PydanticCustomError("missing", "other or other_item_id is required")
        return self


@method
class Correlation:
    """Pearson's correlation of two values of an item, of one value of two items, or of one value of
    several items each with each, over pixels that are valid in all of them, weighed by their
    covered part, on the coarsest of the grids. For a pair also the least-squares line.
    """

    name = "correlation"
    title = "Correlation"
    together = True
    input_model = CorrelationParams
    examples = ({"item_id": "it_…", "band": "red", "other": {"band": "nir"}},)

    def items(self, params: CorrelationParams) -> Selection:
        """Every item once."""
        named = params.item_ids or [params.item_id, params.other_item_id]
        return Selection(item_ids=tuple(dict.fromkeys(str(n) for n in named if n is not None)))

    def execute(self, params: CorrelationParams, ctx: MethodContext) -> dict[str, Any]:
        """Coefficients. Raises: MethodError."""
        if params.item_ids is not None:
            wanted: list[tuple[str, Measure]] = [(name, params) for name in params.item_ids]
        else:
            first, other = str(params.item_id), params.other or params
            wanted = [(first, params), (params.other_item_id or first, other)]
        found = [ctx.quantity(ctx.items[name], measure) for name, measure in wanted]
        grid = context.common_grid(found)
        zone = context.common_zone(ctx, grid, found, params.geometry)
        ctx.spend(zone.pixels * sum(q.bands_read for q in found), params.max_pixels)
        weight, pixels = 0.0, 0
        mean, products = np.zeros(len(found)), np.zeros((len(found), len(found)))
        for window in zones.windows(zone, columns=1024):
            weights = zones.coverage(zone, window)
            if weights is not None and not weights.any():
                continue
            read = [q.read(window, grid) for q in found]
            good = ~np.logical_or.reduce([np.ma.getmaskarray(values) for values in read])
            if weights is not None:
                good &= weights > 0
            if not good.any():
                continue
            each = np.ones(int(good.sum())) if weights is None else weights[good].astype(float)
            table = np.array([values.data[good] for values in read], dtype=np.float64)
            # joined as in Chan, Golub and LeVeque (1979)
            own = float(each.sum())
            middle = (table * each).sum(axis=1) / own
            centred = table - middle[:, np.newaxis]
            gap, joined = middle - mean, weight + own
            products += (centred * each) @ centred.T + np.outer(gap, gap) * weight * own / joined
            mean += gap * own / joined
            weight, pixels = joined, pixels + len(each)
        if not weight:
            raise MethodError("no_valid_pixel", "no pixel is valid in all of them")
        spread = np.sqrt(np.maximum(np.diag(products), 0))
        matrix = [
            [_ratio(products[i, j], spread[i] * spread[j]) for j in range(len(found))]
            for i in range(len(found))
        ]
        answer: dict[str, Any] = {
            "variables": [
                {**ctx.describe(q), "mean": mean[i], "std": spread[i] / math.sqrt(weight)}
                for i, q in enumerate(found)
            ],
            "count": as_count(weight),
            "matrix": matrix,
            "alignment": context.alignment(
                next((q for q in found if q.grid is grid), found[0]),
                {f"{n}": q for n, q in enumerate(found)},
                grid,
            ),
            "inputs": [entry for q in found for entry in q.checksums],
        }
        if len(found) == 2:
            slope = _ratio(products[0, 1], products[0, 0])
            r = matrix[0][1]
            answer |= {
                "pearson_r": r,
                "r_squared": None if r is None else r * r,
                "slope": slope,
                "intercept": None if slope is None else mean[1] - slope * mean[0],
                "covariance": products[0, 1] / weight,
            }
        return answer


def _ratio(value: float, by: float) -> float | None:
    """None where one of them does not vary."""
    return float(value / by) if by > 0 and math.isfinite(value / by) else None

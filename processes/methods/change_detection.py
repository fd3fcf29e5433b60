"""`change_detection`: what an index gained and lost between two items."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from rasterio.windows import Window

from processes.analysis import context, write, zones
from processes.analysis.context import MethodContext
from processes.analysis.params import Area, ItemId, Measure
from processes.analysis.quantity import Quantity
from processes.analysis.summary import Summary, as_count
from processes.analysis.zones import Zone
from processes.method import MethodError, Selection, method


class ChangeDetectionParams(Measure, Area):
    """The two items, the index and the threshold."""

    before_item_id: ItemId | None = None
    after_item_id: ItemId | None = None
    item_ids: list[ItemId] | None = Field(
        default=None, min_length=2, max_length=2, description="Before and after, in this order."
    )
    index_name: str | None = Field(
        default=None, min_length=1, max_length=100, description="Default: NDVI."
    )
    change_threshold: float = Field(
        default=0.1, ge=0, allow_inf_nan=False, description="From here on it counts as a change."
    )
    render: bool = Field(default=True, description="Whether the change raster is made.")

    @model_validator(mode="before")
    @classmethod
    def _ndvi(cls, data: Any) -> Any:
        if isinstance(data, dict) and not any(
            data.get(n) is not None for n in ("band", "index_name", "indexName", "expression")
        ):
            return {**data, "index_name": "NDVI"}
        return data

    @model_validator(mode="after")
    def _two(self) -> "ChangeDetectionParams":
        named = [n for n in ("before_item_id", "after_item_id") if getattr(self, n) is None]
        if self.item_ids is None and named:
            raise PydanticCustomError("missing", "Field required", {"field": named[0]})
        if self.item_ids is not None and len(named) < 2:
            raise PydanticCustomError(
                "value_error", "name before_item_id and after_item_id, or item_ids, not both"
            )
        return self

    def pair(self) -> tuple[str, str]:
        """(before, after)."""
        if self.item_ids is not None:
            return self.item_ids[0], self.item_ids[1]
        return str(self.before_item_id), str(self.after_item_id)


@method
class ChangeDetection:
    """The change of an index, a band or an expression between two items, as after minus before.
    Both are compared on the coarser of their grids, on pixels that are valid in both. A pixel
    changed where the difference is at least the threshold. The answer has statistics, areas on the
    ground, and the difference as a raster that can be drawn for a day.
    """

    name = "change_detection"
    title = "Change detection"
    together = True
    input_model = ChangeDetectionParams
    examples = (
        {
            "before_item_id": "it_…",
            "after_item_id": "it_…",
            "index_name": "NDVI",
            "change_threshold": 0.2,
        },
    )

    def items(self, params: ChangeDetectionParams) -> Selection:
        """The two items."""
        return Selection(item_ids=params.pair())

    def execute(self, params: ChangeDetectionParams, ctx: MethodContext) -> dict[str, Any]:
        """Statistics and the change raster. Raises: MethodError."""
        first, second = params.pair()
        before = ctx.quantity(ctx.items[first], params)
        after = ctx.quantity(ctx.items[second], params)
        grid = context.common_grid([before, after])
        zone = context.common_zone(ctx, grid, [before, after], params.geometry)
        ctx.spend(zone.pixels * (before.bands_read + after.bands_read), params.max_pixels)
        found = _Change(before, after, grid, zone, params.change_threshold)
        path = ctx.out_dir / "change_detection_output.tif"
        if params.render:
            write.raster(path, grid, zone, "change", found.parts())
        else:
            for _ in found.parts():
                pass
        statistics = found.statistics()
        answer: dict[str, Any] = {
            "before_item_id": first,
            "after_item_id": second,
            **{k: v for k, v in before.label.items() if k in ("band", "index_name", "expression")},
            "change_threshold": params.change_threshold,
            "band_mapping": {"before": dict(before.mapping), "after": dict(after.mapping)},
            "statistics": statistics,
            "alignment": context.alignment(
                before if grid is before.grid else after, {"before": before, "after": after}, grid
            ),
            "inputs": [*before.checksums, *after.checksums],
        }
        if before.reflectance or after.reflectance:
            answer["reflectance"] = {"before": before.reflectance, "after": after.reflectance}
        if params.render:
            reach = max(abs(statistics["min_change"]), abs(statistics["max_change"]))
            answer["change_raster"] = ctx.render(
                path, name="change", colormap="rdylgn", rescale=(-reach, reach)
            )
        return answer


class _Change:
    """The difference, window by window, and what it adds up to."""

    def __init__(
        self, before: Quantity, after: Quantity, grid: Any, zone: Zone, threshold: float
    ) -> None:
        self._before, self._after, self._grid, self._zone = before, after, grid, zone
        self._threshold = threshold
        self._sums = [Summary(percentiles=False) for _ in range(3)]
        self._weights = {"increase": 0.0, "decrease": 0.0}
        self._areas = {"increase": 0.0, "decrease": 0.0}

    def parts(self) -> Iterator[tuple[Window, np.ma.MaskedArray]]:
        for window in zones.windows(self._zone):
            weights = zones.coverage(self._zone, window)
            if weights is not None and not weights.any():
                continue
            one = self._before.read(window, self._grid)
            two = self._after.read(window, self._grid)
            masked = np.ma.getmaskarray(one) | np.ma.getmaskarray(two)
            if weights is not None:
                masked |= weights <= 0
            change = np.ma.MaskedArray(np.where(masked, 0, two.data - one.data), mask=masked)
            for total, values in zip(self._sums, (one, two, change), strict=True):
                total.add(np.ma.MaskedArray(values.data, mask=masked), weights)
            self._tally(change, weights, window)
            yield window, change

    def _tally(self, change: np.ma.MaskedArray, weights: np.ndarray | None, window: Window) -> None:
        area = context.rows_area(self._grid, window)
        valid = ~np.ma.getmaskarray(change)
        cut = np.float32(self._threshold)
        sides = {
            "increase": valid & (change.data >= cut),
            "decrease": valid & (change.data <= -cut),
        }
        if self._threshold == 0:
            sides = {"increase": valid & (change.data > 0), "decrease": valid & (change.data < 0)}
        for side, chosen in sides.items():
            weighed = chosen.astype(np.float64) if weights is None else chosen * weights
            self._weights[side] += float(weighed.sum())
            self._areas[side] += float((weighed * area).sum())

    def statistics(self) -> dict[str, Any]:
        one, two, change = self._sums
        total = change.weight
        if not total:
            raise MethodError("no_valid_pixel", "no pixel is valid in both items")
        up, down = self._weights["increase"], self._weights["decrease"]
        same = max(total - up - down, 0.0)
        return {
            "mean_before": one.mean,
            "mean_after": two.mean,
            "mean_change": change.mean,
            "min_change": change.low,
            "max_change": change.high,
            "std_change": change.std,
            "pixels_total": as_count(total),
            "pixels_increase": as_count(up),
            "pixels_decrease": as_count(down),
            "pixels_unchanged": as_count(same),
            "increase_percent": 100 * up / total,
            "decrease_percent": 100 * down / total,
            "unchanged_percent": 100 * same / total,
            "increase_area_m2": self._areas["increase"],
            "decrease_area_m2": self._areas["decrease"],
        }

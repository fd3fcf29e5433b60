"""`zonal_stats`: statistics of a band or index over areas, pixels weighed by their covered part."""

from typing import Any

from pydantic import Field

from processes.analysis.context import MethodContext
from processes.analysis.params import ItemParams, Percentile
from processes.analysis.zones import Zone, ground_m2
from processes.method import MethodError, method

EMPTY = {"count": 0, "valid_percent": 0.0} | dict.fromkeys(
    ("min", "max", "mean", "std", "median", "sum")
)


class ZonalStatsParams(ItemParams):
    """What is summed up, and where."""

    percentiles: list[Percentile] = Field(
        default=[2, 25, 50, 75, 98], max_length=50, description="0 to 100."
    )


@method
class ZonalStats:
    """Count, minimum, maximum, mean, standard deviation, median, sum and percentiles of a band,
    an index or an expression over one area or many. Each pixel weighs as much as the area covers of
    it, computed exactly. With a FeatureCollection every feature has its own statistics beside those
    of all areas together.
    """

    name = "zonal_stats"
    title = "Zonal statistics"
    input_model = ZonalStatsParams
    examples = (
        {"item_id": "it_…", "band": 1},
        {"item_id": "it_…", "index_name": "NDVI", "percentiles": [10, 90]},
    )

    def execute(self, params: ZonalStatsParams, ctx: MethodContext) -> dict[str, Any]:
        """The statistics. Raises: MethodError."""
        what = ctx.quantity(ctx.item(params), params)
        placed = ctx.zones(what.grid, params.geometry)
        several = params.geometry is not None and len(params.geometry) > 1

        def of(zone: Zone | None) -> dict[str, Any]:
            if zone is None:
                none = {f"{q:g}": None for q in params.percentiles}
                return {**EMPTY, "percentiles": none}
            return ctx.summarize(
                what, zone, percentiles=params.percentiles, limit=params.max_pixels
            )

        whole = ctx.zone(what.grid, params.geometry)
        statistics = of(whole)
        if not statistics["count"]:
            raise MethodError("no_valid_pixel", "no pixel of the area holds a value")
        answer: dict[str, Any] = {
            **ctx.describe(what),
            "statistics": statistics,
            "area_m2": ground_m2(what.grid, whole),
            "inputs": what.checksums,
        }
        if several:
            answer["zones"] = [
                {
                    "id": name,
                    "statistics": of(zone),
                    "area_m2": 0.0 if zone is None else ground_m2(what.grid, zone),
                }
                for name, zone in placed
            ]
        return answer

    def summarize(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        """Of several items: the range of their means."""
        means = [r["statistics"]["mean"] for r in results]
        return {"min_mean": min(means), "max_mean": max(means)}

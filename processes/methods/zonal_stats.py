"""`zonal_stats`: statistics of bands or an index over areas, pixels weighed by what is covered."""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from processes.analysis import align, zonal
from processes.analysis.context import MethodContext
from processes.analysis.params import Area, BandRef, Items, Measure, Percentile
from processes.analysis.quantity import Quantity
from processes.analysis.zones import Zone, ground_m2
from processes.method import MethodError, method

EMPTY = {"count": 0, "valid_percent": 0.0} | dict.fromkeys(
    ("min", "max", "mean", "std", "median", "sum")
)
Statistics = dict[str, Any]


class ZonalStatsParams(Items, Measure, Area):
    """What is summed up, and where."""

    bands: list[BandRef] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Several bands in one reading, in place of `band`; each has its own answer.",
    )
    percentiles: list[Percentile] = Field(
        default=[2, 25, 50, 75, 98], max_length=50, description="0 to 100."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "ZonalStatsParams":
        names = ("band", "bands", "index_name", "expression")
        if sum(getattr(self, name) is not None for name in names) != 1:
            raise PydanticCustomError(
                "value_error", "exactly one of band, bands, index_name and expression is required"
            )
        return self

    def measures(self) -> list[Measure]:
        """One for each band, or the only one."""
        if self.bands is None:
            return [self]
        given = self.model_dump(include=set(Measure.model_fields))
        return [Measure.model_validate({**given, "band": band}) for band in self.bands]


@method
class ZonalStats:
    """Count, minimum, maximum, mean, standard deviation, median, sum and percentiles of a band,
    several bands, an index or an expression over one area or many. Each pixel weighs as much as
    the area covers of it, computed exactly. With a FeatureCollection every feature has its own
    statistics beside those of all areas together. A block is read once for all areas and bands.
    """

    name = "zonal_stats"
    title = "Zonal statistics"
    input_model = ZonalStatsParams
    examples = (
        {"item_id": "it_…", "band": 1},
        {"item_id": "it_…", "bands": ["red", "nir"]},
        {"item_id": "it_…", "index_name": "NDVI", "percentiles": [10, 90]},
    )

    def execute(self, params: ZonalStatsParams, ctx: MethodContext) -> dict[str, Any]:
        """The statistics. Raises: MethodError."""
        item = ctx.item(params)
        quantities = [ctx.quantity(item, measure) for measure in params.measures()]
        answers: list[dict[str, Any]] = [{}] * len(quantities)
        for places in _by_grid(quantities):
            found = self._of([quantities[place] for place in places], params, ctx)
            for place, answer in zip(places, found, strict=True):
                answers[place] = answer
        if not any(answer["statistics"]["count"] for answer in answers):
            raise MethodError("no_valid_pixel", "no pixel of the area holds a value")
        if params.bands is None:
            return answers[0]
        inputs = {entry["asset_key"]: entry for answer in answers for entry in answer.pop("inputs")}
        for answer in answers:
            del answer["item_id"]
        return {"item_id": item.id, "bands": answers, "inputs": list(inputs.values())}

    def _of(
        self, quantities: Sequence[Quantity], params: ZonalStatsParams, ctx: MethodContext
    ) -> list[dict[str, Any]]:
        """The answer of each quantity; they have one grid."""
        grid = quantities[0].grid
        placed = ctx.zones(grid, params.geometry)
        areas = [zone for _, zone in placed if zone is not None]
        several = len(placed) > 1
        self._spend(quantities, areas, params, ctx)
        # one area alone is all areas together
        together = several and zonal.add_up(quantities, areas)
        if not together:
            areas = [*(areas if several else ()), ctx.joined(areas)]
        found = zonal.statistics(quantities, areas, params.percentiles, together=together)
        sizes = ground_m2(grid, areas)
        if together:
            sizes.append(math.fsum(sizes))
        return [
            {
                **ctx.describe(what),
                "statistics": found[-1][number],
                "area_m2": sizes[-1],
                "inputs": what.checksums,
            }
            | ({"zones": _zones(placed, found, number, sizes, params)} if several else {})
            for number, what in enumerate(quantities)
        ]

    @staticmethod
    def _spend(
        quantities: Sequence[Quantity],
        areas: Sequence[Zone],
        params: ZonalStatsParams,
        ctx: MethodContext,
    ) -> None:
        """The areas overlap or not: the work is that of each, the reading that of all together."""
        read = sum(int(w.width) * int(w.height) for w, _ in zonal.pieces(areas))
        own = sum(zone.pixels for zone in areas)
        bands_read = sum(what.bands_read for what in quantities)
        ctx.spend(max(read, own) * bands_read, params.max_pixels)

    def summarize(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        """Of several items: the range of their means."""
        means = [
            part["statistics"]["mean"]
            for result in results
            for part in result.get("bands", [result])
            if part["statistics"]["count"]
        ]
        return {"min_mean": min(means), "max_mean": max(means)}


def _by_grid(quantities: Sequence[Quantity]) -> list[list[int]]:
    """Positions of quantities, those of one grid together."""
    groups: list[list[int]] = []
    for place, what in enumerate(quantities):
        for group in groups:
            if align.same_grid(quantities[group[0]].grid, what.grid):
                group.append(place)
                break
        else:
            groups.append([place])
    return groups


def _zones(
    placed: Sequence[tuple[str, Zone | None]],
    found: Sequence[Sequence[Statistics]],
    number: int,
    sizes: Sequence[float],
    params: ZonalStatsParams,
) -> list[dict[str, Any]]:
    """Each feature's statistics of one quantity; of one outside the raster, empty ones."""
    rest = iter(zip(found, sizes, strict=True))
    none = {f"{q:g}": None for q in params.percentiles}
    answers = []
    for name, zone in placed:
        if zone is None:
            answers.append(
                {"id": name, "statistics": {**EMPTY, "percentiles": none}, "area_m2": 0.0}
            )
        else:
            own, size = next(rest)
            answers.append({"id": name, "statistics": own[number], "area_m2": size})
    return answers

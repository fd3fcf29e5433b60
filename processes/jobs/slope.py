"""`slope`: how steep the ground is, of heights."""

from typing import Literal

from pydantic import Field

from processes import relief
from processes.choose import check_band, one_item
from processes.geometry import area_km2
from processes.process import RASTER_OUTPUT, Output, OutputSpec, Price, RunContext, process


class SlopeInputs(relief.ReliefInputs):
    """Whose heights."""

    unit: Literal["degrees", "percent"] = Field(
        default="degrees", description="Degrees, 0 to 90, or metres of rise on 100 metres."
    )


@process(
    id="slope",
    title="Slope",
    keywords=("slope", "steepness", "terrain", "elevation"),
    category="terrain",
    inputs=SlopeInputs,
    outputs={
        "data": OutputSpec(
            "Slope", "Cloud-optimized GeoTIFF: float32, NaN is no data.", RASTER_OUTPUT
        )
    },
    sources=one_item,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_band,
)
def run(ctx: RunContext[SlopeInputs]) -> list[Output]:
    """How steep the ground is, of the heights of an item, in degrees or percent; float32, NaN where
    there is none. Equal to gdaldem slope with computed edges, but for the length of a pixel's side,
    which is that on the ground in metres in every coordinate reference system."""
    return relief.make(ctx, "slope", {"unit": ctx.inputs.unit})

"""`hillshade`: how light from one side falls on the ground, of heights."""

from pydantic import Field

from processes import relief
from processes.choose import check_band, one_item
from processes.geometry import area_km2
from processes.process import RASTER_OUTPUT, Output, OutputSpec, Price, RunContext, process


class HillshadeInputs(relief.ReliefInputs):
    """Whose heights, and the light."""

    azimuth: float = Field(
        default=315.0,
        ge=0,
        le=360,
        allow_inf_nan=False,
        description="Where the light comes from, degrees from north by east.",
    )
    altitude: float = Field(
        default=45.0,
        ge=0,
        le=90,
        allow_inf_nan=False,
        description="Of the light above the horizon, degrees.",
    )


@process(
    id="hillshade",
    title="Hillshade",
    keywords=("hillshade", "relief", "terrain", "elevation"),
    category="terrain",
    inputs=HillshadeInputs,
    outputs={
        "data": OutputSpec(
            "Hillshade", "Cloud-optimized GeoTIFF: uint8, 1 to 255, 0 is no data.", RASTER_OUTPUT
        )
    },
    sources=one_item,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_band,
)
def run(ctx: RunContext[HillshadeInputs]) -> list[Output]:
    """How light from one side falls on the heights of an item: 1 to 255, 0 where there is none.
    Equal to gdaldem hillshade with computed edges, but for the length of a pixel's side, which is
    that on the ground in metres in every coordinate reference system."""
    light = {"azimuth": ctx.inputs.azimuth, "altitude": ctx.inputs.altitude}
    return relief.make(ctx, "hillshade", light)

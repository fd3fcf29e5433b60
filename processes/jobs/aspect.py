"""`aspect`: where the ground falls to, of heights."""

from processes import relief
from processes.choose import check_band, one_item
from processes.geometry import area_km2
from processes.process import RASTER_OUTPUT, Output, OutputSpec, Price, RunContext, process


class AspectInputs(relief.ReliefInputs):
    """Whose heights."""


@process(
    id="aspect",
    title="Aspect",
    keywords=("aspect", "exposition", "terrain", "elevation"),
    category="terrain",
    inputs=AspectInputs,
    outputs={
        "data": OutputSpec(
            "Aspect", "Cloud-optimized GeoTIFF: float32 degrees, NaN is no data.", RASTER_OUTPUT
        )
    },
    sources=one_item,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_band,
)
def run(ctx: RunContext[AspectInputs]) -> list[Output]:
    """Where the ground falls to, of the heights of an item: degrees from north by east, 0 to 360;
    float32, NaN where there is no height and where the ground is level. Equal to gdaldem aspect
    with computed edges, but for pixels that are not square on the ground, whose sides count."""
    return relief.make(ctx, "aspect", {})

"""`bathymetry`: depth of clear shallow water from the logarithms of blue and green reflectance."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from processes import blocks, choose, overlap, scene
from processes.analysis import align
from processes.blocks import Block, Files
from processes.choose import OneItem
from processes.geometry import area_km2
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
from raster import reflectance

ROLES = ("blue", "green")
PUBLISHED = (
    "Stumpf, Holderied and Sinclair (2003), Determination of water depth with high-resolution "
    "satellite imagery over variable bottom types, Limnology and Oceanography 48(1, part 2), "
    "547-556, doi:10.4319/lo.2003.48.1_part_2.0547"
)


class BathymetryInputs(OneItem):
    """Which item, which of its bands, and how the ratio is tuned to depths that are known."""

    asset_key: choose.AssetKey | None = Field(
        default=None,
        description="Default: the asset that has a blue and a green band, else one of each.",
    )
    band_mapping: choose.BandMapping | None = Field(
        default=None,
        description='1-based, e.g. {"BLUE": 1, "GREEN": 2}; default by band names.',
    )
    m0: float | None = Field(
        default=None,
        ge=-1e6,
        le=1e6,
        allow_inf_nan=False,
        description="Offset in metres at depth 0; goes with `m1`.",
    )
    m1: float | None = Field(
        default=None,
        ge=-1e6,
        le=1e6,
        allow_inf_nan=False,
        description="Metres a unit of the ratio; goes with `m0`. Without both, depth is relative.",
    )
    n: float = Field(
        default=1000.0,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        description="Multiplies reflectance, so that both logarithms are positive.",
    )

    @model_validator(mode="after")
    def _both(self) -> "BathymetryInputs":
        if (self.m0 is None) != (self.m1 is None):
            raise ValueError("m0 and m1 go together: give both, or neither for relative depth")
        if self.m1 == 0:
            raise ValueError("m1 must not be 0: every depth would be the same")
        return self


def check_sources(inputs: BathymetryInputs, sources: Mapping[str, Source]) -> None:
    """Whether there is a blue and a green band. Raises: JobError."""
    overlap.require(inputs.geometry, sources.values())
    found = scene.find(ROLES, list(sources.values()), inputs.band_mapping)
    overlap.require_bands(inputs.geometry, [found[role].source for role in ROLES])


@process(
    id="bathymetry",
    title="Water depth (Stumpf)",
    keywords=("bathymetry", "water depth", "satellite-derived bathymetry", "blue", "green"),
    category="water",
    inputs=BathymetryInputs,
    outputs={
        "data": OutputSpec(
            "Depth",
            "Cloud-optimized GeoTIFF: float32, metres, or the plain ratio where not calibrated.",
            RASTER_OUTPUT,
        )
    },
    sources=choose.one_item,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_sources,
)
def run(ctx: RunContext[BathymetryInputs]) -> list[Output]:
    """Depth of clear shallow water: m1 * ln(n * blue) / ln(n * green) - m0, of reflectance (Stumpf,
    Holderied and Sinclair 2003). m0 and m1 come from depths known in the scene; without them the
    result is the ratio alone, which orders depths but is no length, and the item says
    `calibrated: false`. Where n times a reflectance is 1 or less there is no data. Whole numbers
    without a scale are divided by 10,000 (of 8 bits: by 255). Land and clouds are not told from
    water: give the water as `geometry`."""
    inputs = ctx.inputs
    found = scene.find(ROLES, list(ctx.sources.values()), inputs.band_mapping)
    blue, green = (found[role] for role in ROLES)
    used = {band.source.asset_key: band.source for band in (blue, green)}
    divisors: list[int | None] = []
    with choose.opened(used) as datasets:
        for band in (blue, green):
            dataset, layout = datasets[band.source.asset_key]
            if band.index not in layout.data:
                raise JobError("band_missing", f"the raster has no data band {band.index}")
            divisors += reflectance.divisors(dataset, layout, [band.index]).values()
        first, second = (datasets[band.source.asset_key][0] for band in (blue, green))
        if not align.overlaps(first, second):
            raise JobError("no_overlap", "the bands do not lie in the same place")
        with choose.refusals():
            grid = blocks.Grid.of(align.coarser(first, second), inputs.geometry)
    calibrated = inputs.m1 is not None
    name = "depth" if calibrated else "relative_depth"
    path = ctx.out_dir / "bathymetry.tif"
    blocks.write(
        path,
        compute,
        grid,
        sources=used,
        params={
            "bands": [(band.source.asset_key, band.index) for band in (blue, green)],
            "divisors": divisors,
            "m0": inputs.m0,
            "m1": inputs.m1,
            "n": inputs.n,
        },
        dtype="float32",
        nodata=float("nan"),
        band_names=[name],
        pixel_bytes=96,
        progress=ctx.progress,
    )
    return [
        Output(
            asset_key="data",
            path=path,
            name=inputs.output_name,
            band_names=(name,),
            properties={
                "calibrated": calibrated,
                "opstac:method": PUBLISHED,
                "opstac:coefficients": {"m0": inputs.m0, "m1": inputs.m1, "n": inputs.n},
                "opstac:reflectance_divisor": divisors[0],
            },
        )
    ]


def compute(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """One block of depths."""
    logarithms = []
    hidden = np.zeros(block.shape, bool)
    for (key, index), divisor in zip(params["bands"], params["divisors"], strict=True):
        values = files.read(key, block, [index])[0]
        reflectance = values.data.astype(np.float64) / (divisor or 1)
        scaled = params["n"] * reflectance
        hidden |= np.ma.getmaskarray(values) | ~(scaled > 1)  # NaN too
        logarithms.append(np.log(np.where(hidden, 2, scaled)))
    depth = logarithms[0] / logarithms[1]
    if params["m1"] is not None:
        depth = params["m1"] * depth - params["m0"]
    return np.ma.MaskedArray(depth.astype(np.float32), mask=hidden)

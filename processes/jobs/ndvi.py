"""`ndvi`: normalized difference vegetation index of an item, as data or as a picture."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from rasterio.enums import ColorInterp

from processes import colormaps, overlap, scene
from processes.analysis import align
from processes.blocks import Block, Files, Grid, write
from processes.geometry import Polygonal, area_km2
from processes.process import (
    RASTER_OUTPUT,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    SourceRef,
    process,
)
from processes.scene import Band
from raster import reader
from raster.errors import RasterError

ROLES = ("red", "nir")
_APART = "the red and the near infrared band have different grids"


class NdviInputs(BaseModel):
    """Which item, which of its bands, and what to make."""

    model_config = ConfigDict(extra="forbid")

    source_item_id: str = Field(min_length=1, max_length=200, title="Item")
    asset_key: str | None = Field(
        default=None,
        max_length=200,
        title="Asset",
        description="Default: the asset that has a red and a near infrared band, else one of each.",
    )
    band_mapping: dict[str, int] | None = Field(
        default=None,
        title="Bands",
        description='1-based, e.g. {"RED": 3, "NIR": 4}; default by band names.',
    )
    geometry: Polygonal | None = Field(
        default=None, title="Area of interest", description="Default: the whole item."
    )
    colormap: Literal["none", "rdylgn", "viridis", "greens"] = Field(
        default="none",
        title="Colours",
        description="none gives the index as float32, a name a picture (RGBA, -1 to 1).",
    )
    output_name: str | None = Field(default=None, min_length=1, max_length=200)


def sources(inputs: NdviInputs) -> tuple[SourceRef, ...]:
    """The one item."""
    keys = (inputs.asset_key,) if inputs.asset_key else None
    return (SourceRef(inputs.source_item_id, keys),)


def check_sources(inputs: NdviInputs, sources: Mapping[str, Source]) -> None:
    """Whether there is a red and a near infrared band, as far as the platform names them.

    Raises: JobError.
    """
    overlap.require(inputs.geometry, sources.values())
    if all(source.band_names for source in sources.values()):
        found = scene.find(ROLES, list(sources.values()), inputs.band_mapping)
        read = [found[role].source for role in ROLES]
        grids = overlap.known(read)
        if grids and not align.same_grid(*grids):
            raise JobError("grid_mismatch", _APART)
        overlap.require_bands(inputs.geometry, read)


@process(
    id="ndvi",
    title="Vegetation index (NDVI)",
    keywords=("ndvi", "vegetation", "index"),
    category="index",
    inputs=NdviInputs,
    outputs={
        "data": OutputSpec(
            "NDVI", "Cloud-optimized GeoTIFF: float32 in [-1, 1], or RGBA.", RASTER_OUTPUT
        )
    },
    sources=sources,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_sources,
)
def run(ctx: RunContext[NdviInputs]) -> list[Output]:
    """(nir - red) / (nir + red) of an item, scale and offset applied first, clipped to [-1, 1].
    Where a band is invalid or the sum is zero there is no data. With a colour ramp: a picture of
    it."""
    found = scene.find(ROLES, list(ctx.sources.values()), ctx.inputs.band_mapping)
    red, nir = (found[role] for role in ROLES)
    path = ctx.out_dir / "ndvi_output.tif"
    colormap = ctx.inputs.colormap
    rgba = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    keys = {id(source): key for key, source in ctx.sources.items()}
    write(
        path,
        compute,
        _grid(red, nir, ctx.inputs.geometry),
        sources=ctx.sources,
        params={
            "bands": [[keys[id(band.source)], band.index] for band in (red, nir)],
            "colormap": colormap,
        },
        dtype="float32" if colormap == "none" else "uint8",
        nodata=float("nan") if colormap == "none" else None,
        band_names=["ndvi"] if colormap == "none" else [c.name for c in rgba],
        colors=(ColorInterp.gray,) if colormap == "none" else rgba,
        progress=ctx.progress,
    )
    names = ("ndvi",) if ctx.inputs.colormap == "none" else ("red", "green", "blue", "alpha")
    return [
        Output(
            asset_key="data",
            path=path,
            name=ctx.inputs.output_name,
            band_names=names,
            properties={"opstac:index": "NDVI", "opstac:colormap": ctx.inputs.colormap},
        )
    ]


def ndvi(red: np.ma.MaskedArray, nir: np.ma.MaskedArray) -> np.ndarray:
    """(nir - red) / (nir + red), clipped to [-1, 1].

    Args:
        red, nir: float32 on one grid, scale and offset applied.

    Returns: float32, NaN where an input is masked or the sum is zero.

    Source: Rouse et al., NASA SP-351 (1974).
    """
    invalid = np.ma.getmaskarray(red) | np.ma.getmaskarray(nir)
    total = nir.data + red.data
    invalid |= total == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (nir.data - red.data) / total
    np.clip(value, -1, 1, out=value)
    value[invalid | ~np.isfinite(value)] = np.nan
    return value


def _grid(red: Band, nir: Band, geometry: Mapping[str, Any] | None) -> Grid:
    """The grid of both bands within the area. Raises: JobError."""
    with ExitStack() as stack:
        opened = [stack.enter_context(reader.open_guarded(b.source.path)) for b in (red, nir)]
        for band, dataset in zip((red, nir), opened, strict=True):
            if band.index not in reader.layout(dataset, band_names=band.source.band_names).data:
                raise JobError("band_missing", f"the raster has no band {band.index}")
        if not align.same_grid(*opened):
            raise JobError("grid_mismatch", _APART)
        try:
            return Grid.of(opened[0], geometry)
        except RasterError as error:
            if error.code != "no_overlap":
                raise
    raise JobError("no_overlap", "the area of interest lies outside the raster")


def compute(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """The block function: NDVI (1, rows, columns), or a picture of it (4, rows, columns)."""
    (red_key, red), (nir_key, nir) = params["bands"]
    if red_key == nir_key:
        # one read: the bands of a pixel share a compressed block
        pair = files.read(red_key, block, [red, nir])
        value = ndvi(pair[0], pair[1])
    else:
        value = ndvi(files.read(red_key, block, [red])[0], files.read(nir_key, block, [nir])[0])
    if params["colormap"] == "none":
        return np.ma.masked_invalid(value[np.newaxis])
    picture, visible = paint(value, colormaps.ramp(params["colormap"]))
    return np.ma.MaskedArray(picture, mask=~visible)


def paint(value: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """NDVI as colours: uint8 RGBA, shape (4, rows, columns), and where each band counts."""
    seen = np.isfinite(value)
    scaled = np.where(seen, (value + 1) * np.float32(127.5), 0).round().astype(np.uint8)
    picture = np.zeros((4, *value.shape), np.uint8)
    picture[:3] = np.moveaxis(colors[scaled], -1, 0)
    picture[:3, ~seen] = 0
    picture[3] = np.where(seen, 255, 0)
    visible = np.broadcast_to(seen, picture.shape).copy()
    visible[3] = True
    return picture, visible

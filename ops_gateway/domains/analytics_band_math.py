"""A formula or an index over a box of a raster named by its URL: numbers, or a picture."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from pydantic import Field

from ops_gateway.domains import cog
from ops_gateway.domains.items_tile import refusal
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import BadRequest, Invalid
from ops_gateway.kernel.operation import Blob, Effect, Input, Output, operation
from processes.analysis import window
from processes.method import MethodError
from raster import indices
from raster.errors import RasterError
from tiler import encode
from tiler.colormaps import table
from tiler.errors import TileError
from tiler.work import lane

MAX_SIZE = 4096

lane("slow")(window.compute)  # up to 16 million pixels


class WindowInput(Input):
    """What both operations take."""

    cog_url: str
    bbox: dict[str, Any]
    sensor: str
    max_size: int = 2048
    output_format: str = "json"


class BandMathInput(WindowInput):
    """Input of analytics.band_math."""

    formula: str
    colormap: str = "viridis"
    vmin: float | None = None
    vmax: float | None = None


class CalculateIndexInput(WindowInput):
    """Input of analytics.calculate_index."""

    index_name: str
    colormap: str | None = None


class WindowOutput(Output):
    """Statistics of the box; of a reduced picture where the box is larger than `max_size`."""

    statistics: dict[str, Any]
    sensor: str
    bbox: dict[str, float]
    bands: dict[str, int] = Field(default_factory=dict)
    width: int
    height: int


class BandMathOutput(WindowOutput):
    """Of a formula."""

    formula: str


class CalculateIndexOutput(WindowOutput):
    """Of an index."""

    index_name: str
    formula: str


async def _compute(
    ctx: Context,
    body: WindowInput,
    *,
    formula: str | None = None,
    index_name: str | None = None,
) -> window.Window:
    sensor = indices.sensor(body.sensor)
    if sensor is None:
        raise Invalid.at("sensor", f"unknown sensor; known: {', '.join(indices.sensors())}")
    if body.output_format not in ("json", "png"):
        raise Invalid.at("output_format", "must be 'json' or 'png'")
    if not 1 <= body.max_size <= MAX_SIZE:
        raise Invalid.at("max_size", f"must be 1 to {MAX_SIZE}")
    bbox = _bbox(body.bbox)
    source = await cog.find(ctx, body.cog_url)
    try:
        return await ctx.compute(
            window.compute,
            source.path,
            bbox=bbox,
            sensor=sensor,
            formula=formula,
            index_name=index_name,
            max_size=body.max_size,
            band_names=list(source.band_names),
            metadata=[dict(band) for band in source.bands],
        )
    except MethodError as error:
        place = "formula" if index_name is None else "index_name"
        raise Invalid.at(place, error.message, error.code) from None
    except RasterError as error:
        if error.code == "no_overlap":
            raise Invalid.at("bbox", "the box lies outside the raster", error.code) from None
        raise BadRequest(f"the asset cannot be read: {error.message}") from None
    except TileError as error:
        raise refusal(error) from None


def _bbox(given: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in ("west", "south", "east", "north"):
        value = given.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Invalid.at(["bbox", name], "must be a number of degrees")
        limit = 180 if name in ("west", "east") else 90
        if not (math.isfinite(value) and abs(value) <= limit):
            raise Invalid.at(["bbox", name], f"must be from -{limit} to {limit}")
        found[name] = float(value)
    if found["south"] >= found["north"]:
        raise Invalid.at("bbox", "south must be less than north")
    if found["west"] == found["east"]:
        raise Invalid.at("bbox", "west and east must differ")
    return found


def _picture(found: window.Window, colormap: str, low: float | None, high: float | None) -> Blob:
    """The values in colours, transparent where there is none."""
    try:
        colors = table(colormap)
    except TileError as error:
        raise refusal(error) from None
    statistics = found.statistics()
    low = statistics["percentiles"]["2"] if low is None else low
    high = statistics["percentiles"]["98"] if high is None else high
    if low is None or high is None:
        low, high = 0.0, 1.0
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise Invalid.at("vmin", "vmin must not be greater than vmax")
    width = (high - low) or 1.0
    hidden = np.ma.getmaskarray(found.values)
    share = (np.where(hidden, low, found.values.data).astype(np.float64) - low) / width
    picture = colors[(np.clip(share, 0, 1) * 255).round().astype(np.uint8)]
    alpha = np.where(hidden, 0, picture[..., 3]).astype(np.uint8)
    return Blob(encode.png(np.ascontiguousarray(picture[..., :3]), alpha), "image/png")


def _answer(found: window.Window, body: WindowInput) -> dict[str, Any]:
    statistics = found.statistics()
    if not statistics["count"]:
        raise Invalid.at("bbox", "no pixel of the box holds a value", "no_valid_pixel")
    rows, columns = found.values.shape
    return {
        "statistics": statistics,
        "sensor": body.sensor,
        "bbox": _bbox(body.bbox),
        "bands": dict(found.bands),
        "width": columns,
        "height": rows,
    }


async def _band_math(ctx: Context, body: BandMathInput) -> window.Window:
    return await _compute(ctx, body, formula=body.formula)


async def _index(ctx: Context, body: CalculateIndexInput) -> window.Window:
    return await _compute(ctx, body, index_name=body.index_name)


@operation(
    "analytics.band_math", scope="analytics:process", effect=Effect.COMPUTE, prepare=_band_math
)
async def band_math(ctx: Context, body: BandMathInput, found: window.Window) -> BandMathOutput:
    """Apply a formula to a box of a raster: statistics, or with `output_format` png a picture."""
    if body.output_format == "png":
        return cast(Any, _picture(found, body.colormap, body.vmin, body.vmax))
    return BandMathOutput(formula=body.formula, **_answer(found, body))


@operation(
    "analytics.calculate_index", scope="analytics:process", effect=Effect.COMPUTE, prepare=_index
)
async def calculate_index(
    ctx: Context, body: CalculateIndexInput, found: window.Window
) -> CalculateIndexOutput:
    """Calculate a spectral index on a box of a raster: statistics, or a picture."""
    index = indices.find(body.index_name)
    if body.output_format == "png":
        low, high = index.value_range if index.known_range else (None, None)
        return cast(Any, _picture(found, body.colormap or index.colormap, low, high))
    return CalculateIndexOutput(
        index_name=index.name, formula=indices.formula_of(index), **_answer(found, body)
    )

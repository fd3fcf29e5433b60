"""Hillshade, slope and aspect of an item: what the three processes share.

A window is read with one pixel more on each side, so that its values are those of the whole raster.
The outermost pixels of the raster continue the slope of their neighbours, and a neighbour without a
height counts as level with the middle, as `gdaldem -compute_edges` has it; without `edges` both
are no data. A pixel's sides are lengths on the ground in metres: of an ellipsoid's degrees, of
Mercator's stretched metres, of feet.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyproj
from pydantic import Field
from rasterio.windows import Window

from processes import blocks, choose
from processes.analysis import align
from processes.blocks import Block, Files
from processes.choose import OneBand
from processes.process import Output, RunContext
from raster import reader, relief
from raster.reader import Layout
from raster.relief import Gradient


class ReliefInputs(OneBand):
    """Whose heights, and how their slope is taken."""

    z_factor: float = Field(
        default=1.0,
        ge=1e-6,
        le=1e6,
        allow_inf_nan=False,
        description="Heights are multiplied by it: metres a unit, or exaggeration.",
    )
    algorithm: Gradient = Field(
        default=Gradient.horn,
        description="Slope from eight neighbours (Horn 1981), or from four (Zevenbergen and Thorne "
        "1987), which keeps more of rough ground.",
    )
    edges: bool = Field(
        default=True,
        description="Also compute pixels at the raster's edge and beside pixels without a height.",
    )


def rises(
    dataset: Any, layout: Layout, index: int, window: Window, algorithm: Gradient, edges: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rise to the east, to the south, True where known) of a window, metres a metre, float64."""
    surface = _around(dataset, layout, index, window)
    right, down = relief.rises(surface, algorithm)
    hidden = np.ma.getmaskarray(surface)
    if edges:
        _corners(dataset, window, surface, algorithm, right, down)
        known = ~hidden[1:-1, 1:-1]
    else:
        known = _whole(dataset, window, hidden)
    return *_on_ground(dataset, window, right, down), known


def _around(dataset: Any, layout: Layout, index: int, window: Window) -> np.ma.MaskedArray:
    """Heights of a window and one pixel around it; beyond the raster the slope goes on."""
    left, top = int(window.col_off) - 1, int(window.row_off) - 1
    width, height = int(window.width) + 2, int(window.height) + 2
    x0, x1 = max(left, 0), min(left + width, dataset.width)
    y0, y1 = max(top, 0), min(top + height, dataset.height)
    there = reader.pixels(x0, y0, x1 - x0, y1 - y0)
    read = reader.read(dataset, [index], window=there, layout=layout, scaled=True)[0]
    hidden = np.ma.getmaskarray(read) | ~np.isfinite(read.data)
    out = np.ma.MaskedArray(np.zeros((height, width), np.float64), mask=True)
    data, mask = out.data, np.ma.getmaskarray(out)
    inside = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    data[inside], mask[inside] = np.where(hidden, 0, read.data), hidden
    # columns first: a row beyond the raster then has no neighbour of its own to the side
    for place, near, far, beyond in (
        (np.s_[:, 0], np.s_[:, 1], np.s_[:, 2], left < 0),
        (np.s_[:, -1], np.s_[:, -2], np.s_[:, -3], left + width > dataset.width),
        (np.s_[0], np.s_[1], np.s_[2], top < 0),
        (np.s_[-1], np.s_[-2], np.s_[-3], top + height > dataset.height),
    ):
        if beyond:
            data[place] = 2 * data[near] - data[far]
            mask[place] = mask[near] | mask[far]
    return np.ma.MaskedArray(data, mask=mask)


def _corners(
    dataset: Any,
    window: Window,
    surface: np.ma.MaskedArray,
    algorithm: Gradient,
    right: np.ndarray,
    down: np.ndarray,
) -> None:
    """The raster's four corners: to the side the corner itself counts, as gdaldem has it."""
    left, top = int(window.col_off), int(window.row_off)
    bottom, end = top + int(window.height), left + int(window.width)
    for row, at_row in ((0, top == 0), (-1, bottom == dataset.height)):
        for column, at_column in ((0, left == 0), (-1, end == dataset.width)):
            if not (at_row and at_column):
                continue
            rows = slice(0, 3) if row == 0 else slice(-3, None)
            columns = slice(0, 3) if column == 0 else slice(-3, None)
            near = surface[rows, columns]
            data, mask = near.data.copy(), np.ma.getmaskarray(near).copy()
            data[:, column], mask[:, column] = data[:, 1], mask[:, 1]
            corner = relief.rises(np.ma.MaskedArray(data, mask=mask), algorithm)
            right[row, column], down[row, column] = corner[0][0, 0], corner[1][0, 0]


def _whole(dataset: Any, window: Window, hidden: np.ndarray) -> np.ndarray:
    """True where all nine heights are there."""
    hidden = hidden.copy()
    hidden[0] |= window.row_off == 0
    hidden[-1] |= window.row_off + window.height == dataset.height
    hidden[:, 0] |= window.col_off == 0
    hidden[:, -1] |= window.col_off + window.width == dataset.width
    height, width = hidden.shape[0] - 2, hidden.shape[1] - 2
    missing = np.zeros((height, width), bool)
    for down in range(3):
        for right in range(3):
            missing |= hidden[down : down + height, right : right + width]
    return ~missing


def _on_ground(
    dataset: Any, window: Window, right: np.ndarray, down: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rises a pixel to the right and down as rises a metre to the east and to the south."""
    t = dataset.transform
    east, north = metres_a_unit(dataset, window)
    a, b, d, e = t.a * east, t.b * east, t.d * north, t.e * north
    area = a * e - b * d
    return (right * e - down * d) / area, (right * b - down * a) / area


def metres_a_unit(dataset: Any, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Metres on the ground that a unit of the CRS is long to the east and to the north.

    Returns: each (rows, columns) of the window, or (rows, 1) on a grid that is not rotated.
    """
    t = dataset.transform
    rows = (np.arange(int(window.height)) + window.row_off + 0.5)[:, None]
    columns = np.array([[window.col_off + window.width / 2]])
    if t.b or t.d:
        columns = (np.arange(int(window.width)) + window.col_off + 0.5)[None, :]
    y = t.d * columns + t.e * rows + t.f
    crs = pyproj.CRS.from_wkt(dataset.crs.to_wkt())
    if crs.is_geographic:
        return _degrees(crs, y)
    unit = crs.axis_info[0].unit_conversion_factor or 1.0
    if dataset.crs.to_epsg() == 3857:
        unit = unit / np.cosh(y / 6_378_137.0)  # Mercator stretches by 1 / cos(latitude)
    sides = np.broadcast_to(unit, y.shape)
    return sides, sides


def _degrees(crs: pyproj.CRS, latitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Length of a degree on the CRS's ellipsoid."""
    ellipsoid = crs.ellipsoid or pyproj.CRS.from_epsg(4326).ellipsoid
    assert ellipsoid is not None
    radius = ellipsoid.semi_major_metre
    flat = 1 - (ellipsoid.semi_minor_metre / radius) ** 2
    phi = np.radians(np.clip(latitude, -89.999, 89.999))
    bend = 1 - flat * np.sin(phi) ** 2
    degree = np.pi / 180
    return (
        degree * radius * np.cos(phi) / np.sqrt(bend),
        degree * radius * (1 - flat) / bend**1.5,
    )


def values(
    kind: str, to_east: np.ndarray, to_south: np.ndarray, inputs: Mapping[str, Any]
) -> np.ndarray:
    """`hillshade` (1 to 255), `slope` (degrees or percent) or `aspect` (degrees, NaN if level)."""
    factor = inputs["z_factor"]
    if kind == "hillshade":
        return relief.shaded(to_east, to_south, inputs["azimuth"], inputs["altitude"], factor)
    if kind == "aspect":
        return relief.aspect_degrees(to_east, to_south)
    if inputs["unit"] == "percent":
        return 100 * factor * np.hypot(to_east, to_south)
    return relief.slope_degrees(to_east, to_south, factor)


def compute(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """One block of a relief.

    Args:
        params: `kind`, `key` and `index` of the heights, and the fields of the inputs.
    """
    dataset, layout = files.open(params["key"])
    moved = align.shift(dataset, block.grid)
    assert moved is not None  # the grid is the dataset's own, cut
    window = reader.pixels(
        block.window.col_off + moved[0], block.window.row_off + moved[1], *block.shape[::-1]
    )
    algorithm = Gradient(params["algorithm"])
    to_east, to_south, known = rises(
        dataset, layout, params["index"], window, algorithm, params["edges"]
    )
    made = values(params["kind"], to_east, to_south, params)
    hidden = ~known | ~np.isfinite(made)
    if params["kind"] == "hillshade":
        made = np.rint(np.where(hidden, 0, made)).astype(np.uint8)
    return np.ma.MaskedArray(made.astype(np.float32) if made.dtype != np.uint8 else made, hidden)


def make(ctx: RunContext[Any], kind: str, properties: Mapping[str, Any]) -> list[Output]:
    """Run one of the three: a COG `data` with one band of that name.

    Raises: JobError, RasterError.
    """
    inputs: ReliefInputs = ctx.inputs
    source = choose.first(ctx.sources)
    path = ctx.out_dir / f"{kind}.tif"
    dataset, _, index = choose.open_band(source, inputs.band)
    with dataset, choose.refusals():
        grid = blocks.Grid.of(dataset, inputs.geometry)
    given = inputs.model_dump(mode="json", exclude={"geometry"})
    grey = kind == "hillshade"
    blocks.write(
        path,
        compute,
        grid,
        sources={source.asset_key: source},
        params=given | {"kind": kind, "key": source.asset_key, "index": index},
        dtype="uint8" if grey else "float32",
        nodata=0 if grey else float("nan"),
        band_names=[kind],
        pixel_bytes=160,
        progress=ctx.progress,
    )
    said = {"algorithm": inputs.algorithm.value, "z_factor": inputs.z_factor}
    return [
        Output(
            asset_key="data",
            path=path,
            name=inputs.output_name,
            band_names=(kind,),
            properties={f"opstac:{k}": v for k, v in (said | dict(properties)).items()},
        )
    ]

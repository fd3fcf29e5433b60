"""The grid that items are brought onto: as the inputs say it, and what follows of it.

A grid is north-up with the edges of its pixels at multiples of the resolution, so that rasters made
with one resolution in one system have the same pixels. Bounds that are given are kept as they are.
A system and resolution that are those of the raster keep its own pixels.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
import shapely
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from rasterio.crs import CRS
from rasterio.transform import Affine

from processes import overlap
from processes.analysis import align
from processes.geometry import Polygonal, area_km2
from processes.grid import Grid
from processes.method import MethodError
from processes.process import Item, JobError, Source
from raster import footprint, reader
from raster.errors import RasterError
from raster.reader import Gridded

MAX_PIXELS = 4_000_000_000
"""Of a grid that is made; a band of bytes then takes 4 GB before compression."""
MAX_SHRINK = 500
"""How many source pixels a target pixel may be wide."""
_STEPS = 33  # points along a side that is projected
_LARGE_DEGREES = 30  # an item wider than this is cut to the area that a system is made for
_HAIR = 1e-6  # pixels
_EARTH_RADIUS = 6_378_137  # metres
_LEAST = 1e-12  # units of a system: no raster of finer pixels has few enough

Resampling = Literal[
    "auto", "nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode", "min",
    "max", "med", "q1", "q3", "rms",
]  # fmt: skip
OF_CLASSES = ("auto", "nearest", "mode", "min", "max")
"""Resampling that makes no value which is none of the classes."""


def _known(code: str) -> str:
    system(code)
    return code


CrsCode = Annotated[
    str,
    Field(min_length=3, max_length=40, pattern=r"^[A-Za-z][A-Za-z0-9_]*:[0-9A-Za-z]+$"),
    AfterValidator(_known),
]
Number = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Side = Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False)]


class OnGrid(BaseModel):
    """The grid of the result."""

    model_config = ConfigDict(extra="forbid")

    crs: CrsCode | None = Field(
        default=None,
        description="Coordinate reference system of the result by its code, such as EPSG:32631; "
        "default that of the (first) item.",
    )
    resolution: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] | None = Field(
        default=None,
        description="Size of a pixel, or [width, height], in units of the system; default about "
        "that of the (first) item.",
    )
    bounds: Annotated[list[Number], Field(min_length=4, max_length=4)] | None = Field(
        default=None,
        description="[left, bottom, right, top] in the system `crs`, which must be given; in "
        "degrees left may be greater than right, across the antimeridian. Default the items' own "
        "extent.",
    )
    geometry: Polygonal | None = Field(
        default=None,
        description="Area of interest in EPSG:4326, pixels counted by their centres; the rest has "
        "no data.",
    )
    resampling: Resampling = Field(
        default="auto",
        description="`auto`: nothing where the pixels are the same, else bilinear, average onto "
        "pixels 1.5 times as large or more; of classes the nearest or the most frequent. Classes "
        "allow auto, nearest, mode, min and max only.",
    )
    nodata: Annotated[float, Field(ge=-1e30, le=1e30, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Number that says no data in the result; default that of the (first) item, "
        "else NaN of fractions and a mask of whole numbers.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> "OnGrid":
        if self.bounds is not None:
            if self.crs is None:
                raise PydanticCustomError("missing", "bounds are in a system: name it by crs")
            left, bottom, right, top = self.bounds
            around = system(self.crs).is_geographic
            if bottom >= top or left == right or (left > right and not around):
                raise PydanticCustomError(
                    "value_error", "bounds are [left, bottom, right, top], and not empty"
                )
            if around and not _on_globe(system(self.crs), self.extent()):
                raise PydanticCustomError(
                    "value_error", "bounds of longitudes and latitudes lie beyond the Earth"
                )
            if self.resolution is not None:
                left, bottom, right, top = self.extent()
                across, down = self.sides()
                if (right - left) / across * ((top - bottom) / down) > MAX_PIXELS:
                    raise PydanticCustomError("value_error", "{said}", {"said": _too_many()})
        return self

    def extent(self) -> tuple[float, float, float, float]:
        """The bounds with left below right."""
        left, bottom, right, top = self.bounds or (0.0, 0.0, 0.0, 0.0)
        return left, bottom, right + 360.0 if left > right else right, top

    def sides(self) -> tuple[float, float]:
        """Width and height of a pixel that is given."""
        given = self.resolution
        if isinstance(given, list):
            return given[0], given[1]
        return (given or 0.0), (given or 0.0)


@lru_cache(64)
def system(code: str) -> CRS:
    """The system of a code. Raises: ValueError: unknown, or none of places on a map."""
    import pyproj

    try:
        known = pyproj.CRS.from_user_input(code)
        made = CRS.from_user_input(code.upper())
    except Exception:  # what PROJ and GDAL raise depends on what is wrong
        raise ValueError(f"{code} is no known coordinate reference system") from None
    if not (known.is_geographic or known.is_projected) or len(known.axis_info) != 2:
        raise ValueError(f"{code} is no system of a map: it must be geographic or projected, 2D")
    body = known.ellipsoid
    if body is None or abs(body.semi_major_metre - _EARTH_RADIUS) > _EARTH_RADIUS / 100:
        raise ValueError(f"{code} is no system of the Earth")  # nothing leads there from here
    return made


def _turn(crs: CRS) -> float:
    """All around the Earth, in units of a geographic system, which need not be degrees."""
    return 2 * math.pi / crs.units_factor[1]


def _on_globe(crs: CRS, extent: tuple[float, float, float, float]) -> bool:
    """Whether latitudes lie between the poles, and longitudes at most a turn beyond ±180°."""
    left, bottom, right, top = extent
    turn = _turn(crs) * (1 + _HAIR)
    return max(-bottom, top) <= turn / 4 and max(-left, right, right - left) <= 1.5 * turn


def _too_many() -> str:
    return f"the grid would have more than {MAX_PIXELS} pixels"


def area(inputs: OnGrid, items: Sequence[Item]) -> Decimal:
    """km² of the items within the geometry and the bounds."""
    if inputs.bounds is None or inputs.crs is None:
        return area_km2(inputs.geometry, items)
    place = on_earth(inputs)
    if inputs.geometry is None:
        return area_km2(place, items)
    both = shapely.intersection(
        shapely.geometry.shape(place), shapely.geometry.shape(inputs.geometry)
    )
    parts = [part for part in shapely.get_parts(both) if part.geom_type == "Polygon"]
    return area_km2(shapely.geometry.mapping(shapely.MultiPolygon(parts)), items)


def on_earth(inputs: OnGrid) -> dict[str, Any]:
    """The bounds as GeoJSON; the whole Earth where they reach beyond what has a place on it."""
    left, bottom, right, top = inputs.extent()
    across, down = (right - left) / 64, (top - bottom) / 64
    box: Any = Grid(system(inputs.crs or ""), Affine(across, 0, left, 0, -down, top), 64, 64)
    try:
        geometry, _ = footprint.to_geojson(footprint.full_area(box))
    except RasterError:
        return dict(shapely.geometry.mapping(shapely.box(-180, -90, 180, 90)))
    return geometry


def check_classes(inputs: OnGrid, asset: Mapping[str, Any], key: str) -> None:
    """Whether the resampling suits classes. Raises: JobError."""
    if asset.get("is_categorical") and inputs.resampling not in OF_CLASSES:
        raise not_of_classes(key)


def require(inputs: OnGrid, sources: Sequence[Source], *, meet: bool = False) -> None:
    """Refuse a grid that a run would refuse, told by the grids of what is read of each item.

    Args:
        sources: as the datasets of `of`. One whose grid is not known may lie anywhere.
        meet: whether one of them must lie on it.

    Raises: JobError: invalid_inputs, no_overlap.
    """
    grids = [overlap.placed(source.asset) for source in sources]
    known = [grid for grid in grids if grid is not None]
    if known and len(known) == len(grids):
        with suppress(RasterError):  # the run says what is wrong with a raster
            grid = of(inputs, known)
            if meet and all(align.ground_of(one, grid).is_empty for one in known):
                raise JobError("no_overlap", "no item lies on the grid")


def not_of_classes(key: str) -> JobError:
    """The asset's values are classes."""
    return JobError(
        "invalid_inputs",
        f"resampling: asset {key!r} holds classes; use {', '.join(OF_CLASSES)}",
    )


def of(inputs: OnGrid, datasets: Sequence[Gridded]) -> Grid:
    """The grid that some rasters are brought onto; the first says what is not given.

    Raises: JobError: invalid_inputs, no_overlap, scene_unreadable.
    """
    for dataset in datasets:
        if dataset.crs is None:
            raise JobError(
                "scene_unreadable",
                "a raster has no coordinate reference system; cog_convert gives one to a raster "
                "that lies by control points",
            )
    first = datasets[0]
    crs = first.crs if inputs.crs is None else system(inputs.crs)
    kept = crs == first.crs and inputs.resolution is None and _upright(first)
    if kept:
        across, down = abs(first.transform.a), abs(first.transform.e)
        corner = first.transform.c, first.transform.f
    else:
        across, down = inputs.sides() if inputs.resolution is not None else _sides(first, crs)
        corner = (0.0, 0.0)
    if min(across, down) < _LEAST:
        raise JobError("invalid_inputs", _too_many())
    if inputs.bounds is not None and inputs.resolution is not None:
        left, bottom, right, top = inputs.extent()
        columns = max(1, math.floor((right - left) / across + 0.5))
        rows = max(1, math.floor((top - bottom) / down + 0.5))
    else:
        found = inputs.extent() if inputs.bounds is not None else _together(datasets, crs)
        left, top, columns, rows = _snapped(found, corner, across, down)
        if crs.is_geographic and not kept:
            top, rows = _to_the_poles(crs, top, rows, down)
    if columns * rows > MAX_PIXELS:
        raise JobError("invalid_inputs", _too_many())
    grid = Grid(crs, Affine(across, 0, left, 0, -down, top), columns, rows)
    _not_too_coarse(datasets, grid)
    if inputs.geometry is None:
        return grid
    try:
        return grid.cut(inputs.geometry)
    except RasterError as error:
        if error.code == "no_overlap":
            message = "the area of interest lies outside the items or the bounds"
            raise JobError("no_overlap", message) from None
        raise


def _upright(grid: Gridded) -> bool:
    t = grid.transform
    return t.b == 0 and t.d == 0 and t.a > 0 and t.e < 0


def _snapped(
    extent: tuple[float, float, float, float],
    corner: tuple[float, float],
    across: float,
    down: float,
) -> tuple[float, float, int, int]:
    """(left, top, columns, rows) of whole pixels from `corner` on around an extent."""
    left, bottom, right, top = extent
    x0 = math.floor((left - corner[0]) / across + _HAIR)
    x1 = math.ceil((right - corner[0]) / across - _HAIR)
    y0 = math.floor((corner[1] - top) / down + _HAIR)
    y1 = math.ceil((corner[1] - bottom) / down - _HAIR)
    return (
        corner[0] + x0 * across,
        corner[1] - y0 * down,
        max(1, x1 - x0),
        max(1, y1 - y0),
    )


def _to_the_poles(crs: CRS, top: float, rows: int, down: float) -> tuple[float, int]:
    """(top, rows) without the rows that reach beyond a pole, where no place is."""
    pole = _turn(crs) / 4
    above = max(0, math.ceil((top - pole) / down - _HAIR))
    below = max(0, math.ceil((down * rows - top - pole) / down - _HAIR))
    if above + below >= rows:
        raise JobError("invalid_inputs", "resolution: every pixel would reach beyond a pole")
    return top - above * down, rows - above - below


def _together(datasets: Sequence[Gridded], crs: CRS) -> tuple[float, float, float, float]:
    """What all the rasters cover, in a system; beyond ±180° where the first lies there."""
    boxes: list[tuple[float, float, float, float]] = []
    for dataset in datasets:
        box = extent_in(dataset, crs)
        if crs.is_geographic and boxes:
            turn = 360.0 * round((sum(boxes[0][::2]) - sum(box[::2])) / 720.0)
            box = (box[0] + turn, box[1], box[2] + turn, box[3])
        boxes.append(box)
    left, bottom, right, top = zip(*boxes, strict=True)
    made = min(left), min(bottom), max(right), max(top)
    if crs.is_geographic and made[2] - made[0] > 360:
        return made[0], made[1], made[0] + 360, made[3]
    return made


def extent_in(dataset: Any, crs: CRS) -> tuple[float, float, float, float]:
    """left, bottom, right, top of a raster in a system. Raises: JobError."""
    if dataset.crs == crs:
        xs, ys = zip(*reader.corners(dataset), strict=True)
        return min(xs), min(ys), max(xs), max(ys)
    try:
        degrees = footprint.full_area(dataset)
    except RasterError as error:
        raise JobError("scene_unreadable", error.message) from None
    if crs.is_geographic and crs == CRS.from_epsg(4326):
        return degrees.bounds
    west, south, east, north = degrees.bounds
    if max(east - west, north - south) > _LARGE_DEGREES:
        degrees = _within_use(degrees, crs)
        west, south, east, north = degrees.bounds
    xs, ys = np.linspace(west, east, _STEPS), np.linspace(south, north, _STEPS)
    inside = np.column_stack([axis.ravel() for axis in np.meshgrid(xs, ys)])
    inside = inside[shapely.contains_xy(degrees, inside[:, 0], inside[:, 1])]
    reach = max(east - west, north - south) / _STEPS
    edge = shapely.get_coordinates(shapely.segmentize(degrees, reach))
    points = np.concatenate([edge, inside])
    moved = reader.move("EPSG:4326", crs, points)
    if crs.is_geographic:
        moved[:, 0] += 360.0 * np.round((points[:, 0] - moved[:, 0]) / 360.0)
    moved = moved[np.isfinite(moved).all(axis=1)]
    if len(moved) < 3:
        raise JobError("no_overlap", "the item has no place in the coordinate reference system")
    low, high = moved.min(axis=0), moved.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _within_use(degrees: Any, crs: CRS) -> Any:
    """The part of a large area that a system is made for. Raises: JobError("no_overlap")."""
    import pyproj

    named = crs.to_authority()
    use = pyproj.CRS.from_authority(*named).area_of_use if named else None
    if use is None:
        return degrees
    spans = [(use.west, use.east if use.east > use.west else use.east + 360.0)]
    boxes = [
        shapely.box(w + turn, use.south, e + turn, use.north)
        for w, e in spans
        for turn in (-360.0, 0.0, 360.0)
    ]
    found = shapely.intersection(degrees, shapely.union_all(boxes))
    if found.is_empty:
        raise JobError("no_overlap", "the item has no place in the coordinate reference system")
    return found


def _sides(dataset: Gridded, crs: CRS) -> tuple[float, float]:
    """A square pixel about as large as those in the middle of a raster."""
    t = dataset.transform
    if dataset.crs == crs:
        side = math.sqrt(abs(t.a * t.e - t.b * t.d))
        return side, side
    c, r = dataset.width / 2, dataset.height / 2
    steps = ((-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5))
    places = np.array([reader.place(t, c + dc, r + dr) for dc, dr in steps])
    moved = reader.move(dataset.crs, crs, places)
    if crs.is_geographic:
        moved[:, 0] -= 360.0 * np.round((moved[:, 0] - moved[0, 0]) / 360.0)
    one, two = moved[1] - moved[0], moved[3] - moved[2]
    size = math.sqrt(abs(float(one[0] * two[1] - one[1] * two[0])))
    if not math.isfinite(size) or size <= 0:
        raise JobError("no_overlap", "the item has no place in the coordinate reference system")
    return size, size


def _not_too_coarse(datasets: Sequence[Gridded], grid: Grid) -> None:
    if grid.crs.is_geographic and max(grid.transform.a, -grid.transform.e) > _turn(grid.crs) / 4:
        raise JobError("invalid_inputs", "resolution: a pixel would reach over a quarter of Earth")
    for dataset in datasets:
        if align.shift(dataset, grid) is not None:
            continue
        try:
            shrink = align.gsd(grid) / align.gsd(dataset)
        except MethodError:
            raise JobError("no_overlap", "the grid has no place on the Earth") from None
        if shrink > MAX_SHRINK:
            raise JobError(
                "invalid_inputs",
                f"resolution: a pixel would be more than {MAX_SHRINK} pixels of an item wide",
            )

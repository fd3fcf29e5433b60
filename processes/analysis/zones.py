"""An area on a raster's grid: which pixels, and how much of each the area covers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from processes.analysis import coverage as exact
from processes.analysis.coverage import Cover
from processes.method import MethodError
from raster import footprint, reader
from raster.errors import RasterError

ROWS, COLUMNS = 512, 4096
BLOCK = ROWS
_WIDE = 60  # degrees


@dataclass(frozen=True)
class Zone:
    """An area in a raster's pixel coordinates (columns to the right, rows downwards).

    Attributes:
        window: whole pixels that the area touches.
        polygons: the area within the raster; None where it is the whole raster.
    """

    id: str
    window: Window
    polygons: BaseGeometry | None

    @cached_property
    def outline(self) -> np.ndarray:
        """The edges of `polygons`; see `coverage.edges`."""
        return exact.edges(self.polygons or shapely.Polygon())

    @property
    def pixels(self) -> int:
        """How many pixels `window` has."""
        return int(self.window.width) * int(self.window.height)


def whole(dataset: DatasetReader) -> Zone:
    """The whole raster."""
    if dataset.crs is None:
        raise MethodError("not_georeferenced", "the raster has no coordinate reference system")
    return Zone("0", reader.pixels(0, 0, dataset.width, dataset.height), None)


def place(dataset: DatasetReader, name: str, geometry: Mapping[str, Any]) -> Zone | None:
    """A polygonal GeoJSON geometry (EPSG:4326) on the raster; None where it lies outside."""
    if dataset.crs is None:
        raise MethodError("not_georeferenced", "the raster has no coordinate reference system")
    full = shapely.box(0, 0, dataset.width, dataset.height)
    placed = reader.to_pixels(dataset, shapely.geometry.shape(dict(geometry)))
    return within(name, placed.intersection(full))


def within(name: str, area: BaseGeometry) -> Zone | None:
    """A zone of a geometry in pixel coordinates; None where nothing of it has an area."""
    polygons = reader.together([p for p in shapely.get_parts(area) if p.area > 1e-9])
    if polygons.is_empty:
        return None
    left, top, right, bottom = polygons.bounds
    left, top = int(np.floor(left)), int(np.floor(top))
    right, bottom = int(np.ceil(right)), int(np.ceil(bottom))
    return Zone(
        name, reader.pixels(left, top, max(right - left, 1), max(bottom - top, 1)), polygons
    )


def ground_m2(dataset: DatasetReader, areas: Sequence[Zone]) -> list[float]:
    """Area on the ground, in m², of the part of each zone that lies on the raster.

    By an equal-area projection of its outline, with edges straight on the raster's grid.
    """
    full = shapely.box(0, 0, dataset.width, dataset.height)
    shapes = [zone.polygons or full for zone in areas]
    found = _flat_m2(dataset, shapes)
    return [_m2(dataset, shape) for shape in shapes] if found is None else found


def _flat_m2(dataset: DatasetReader, shapes: Sequence[BaseGeometry]) -> list[float] | None:
    """All areas at once; None on a raster so wide, or so near ±180° or a pole, that the outlines
    have to be looked at one by one.
    """
    from processes.geometry import equal_area

    try:
        west, south, east, north = reader.geographic_bounds(dataset)
    except (CPLE_BaseError, RasterioError):
        return None
    if not (-179 < west < east < 179 and east - west < _WIDE and -85 < south < north < 85):
        return None
    step = max(1.0, min(dataset.width / (east - west), dataset.height / (north - south)) / 16)
    t = dataset.transform

    def placed(points: np.ndarray) -> np.ndarray:
        columns, rows = points[:, 0], points[:, 1]
        xs, ys = t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f
        return equal_area(reader.move(dataset.crs, "EPSG:4326", np.column_stack([xs, ys])))

    try:
        flat = shapely.transform(shapely.segmentize(np.array(shapes, object), step), placed)
    except CPLE_BaseError:
        return None
    sizes = np.asarray(shapely.area(flat))
    return sizes.tolist() if np.isfinite(sizes).all() else None


def _m2(dataset: DatasetReader, shape: BaseGeometry) -> float:
    from processes.geometry import area_km2

    try:
        geometry, _ = footprint.to_geojson(footprint.to_geographic(dataset, shape))
    except RasterError as error:
        raise MethodError("not_georeferenced", error.message) from None
    return float(area_km2(geometry, [])) * 1e6


def windows(zone: Zone, *, rows: int = ROWS, columns: int = COLUMNS) -> Iterator[Window]:
    """The zone's window in pieces that begin at multiples of a block, so no block is read twice."""
    left, top = int(zone.window.col_off), int(zone.window.row_off)
    right, bottom = left + int(zone.window.width), top + int(zone.window.height)
    for y0 in range(top - top % rows, bottom, rows):
        y, y1 = max(y0, top), min(y0 + rows, bottom)
        for x0 in range(left - left % columns, right, columns):
            x, x1 = max(x0, left), min(x0 + columns, right)
            yield reader.pixels(x, y, x1 - x, y1 - y)


def cover(zone: Zone, window: Window) -> Cover:
    """What the zone covers of a window, exactly."""
    return exact.whole(window) if zone.polygons is None else exact.cover(zone.outline, window)


def coverage(zone: Zone, window: Window) -> np.ndarray | None:
    """The fraction of each pixel that the zone covers, exactly: float32, (rows, columns).

    None where it covers every pixel whole.
    """
    return cover(zone, window).dense()

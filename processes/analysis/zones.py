"""An area on a raster's grid: which pixels, and how much of each the area covers."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from processes.method import MethodError
from raster import footprint, reader
from raster.errors import RasterError

ROWS, COLUMNS = 512, 4096
_TILE = 64  # pixels a side of the pieces that an outline is looked for in


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
    polygons = shapely.union_all([p for p in shapely.get_parts(area) if p.area > 1e-9])
    if polygons.is_empty:
        return None
    left, top, right, bottom = polygons.bounds
    left, top = int(np.floor(left)), int(np.floor(top))
    right, bottom = int(np.ceil(right)), int(np.ceil(bottom))
    return Zone(
        name, reader.pixels(left, top, max(right - left, 1), max(bottom - top, 1)), polygons
    )


def ground_m2(dataset: DatasetReader, zone: Zone) -> float:
    """Area on the ground, in m², of the part of a zone that lies on the raster.

    By an equal-area projection of its outline, with edges straight on the raster's grid.
    """
    from processes.geometry import area_km2

    shape = zone.polygons
    if shape is None:
        shape = shapely.box(0, 0, dataset.width, dataset.height)
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


def coverage(zone: Zone, window: Window) -> np.ndarray | None:
    """The fraction of each pixel that the zone covers, exactly: float32, (rows, columns).

    None where it covers every pixel whole. Only pieces that the outline runs through are computed,
    by exactextract (Baston, isciences/exactextract).
    """
    if zone.polygons is None:
        return None
    left, top = float(window.col_off), float(window.row_off)
    height, width = int(window.height), int(window.width)
    shapely.prepare(zone.polygons)
    out = np.zeros((height, width), np.float32)
    ys, xs = np.arange(0, height, _TILE), np.arange(0, width, _TILE)
    x0, y0 = (grid.ravel() for grid in np.meshgrid(xs, ys))
    x1, y1 = np.minimum(x0 + _TILE, width), np.minimum(y0 + _TILE, height)
    boxes = shapely.box(left + x0, top + y0, left + x1, top + y1)
    inside = shapely.covers(zone.polygons, boxes)
    if inside.all():
        return None
    touched = shapely.intersects(zone.polygons, boxes)
    for n in np.flatnonzero(touched):
        rows, columns = slice(y0[n], y1[n]), slice(x0[n], x1[n])
        if inside[n]:
            out[rows, columns] = 1
        else:
            out[rows, columns] = _exact(zone.polygons, boxes[n])
    return out


def _exact(polygons: BaseGeometry, box: BaseGeometry) -> np.ndarray:
    """Covered fractions of the pixels of a box in pixel coordinates."""
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    left, top, right, bottom = box.bounds
    height, width = round(bottom - top), round(right - left)
    part = polygons.intersection(box)
    part = shapely.union_all([p for p in shapely.get_parts(part) if p.geom_type == "Polygon"])
    out = np.zeros(height * width, np.float32)
    if part.is_empty:
        return out.reshape(height, width)
    # exactextract counts rows from the bottom of a north-up grid
    flipped = shapely.transform(part, lambda p: np.column_stack([p[:, 0] - left, bottom - p[:, 1]]))
    grid = NumPyRasterSource(
        np.broadcast_to(np.zeros((1, 1), np.uint8), (height, width)), 0, 0, width, height
    )
    feature = {
        "type": "Feature",
        "properties": {},
        "geometry": json.loads(shapely.to_geojson(flipped)),
    }
    found: Any = exact_extract(grid, [feature], ["cell_id", "coverage"])
    cells = found[0]["properties"]
    out[np.asarray(cells["cell_id"], dtype=np.int64)] = cells["coverage"]
    if abs(float(out.sum(dtype=np.float64)) - part.area) > 1e-3:
        return _cell_by_cell(part, left, top, width, height)
    return out.reshape(height, width)


def _cell_by_cell(
    part: BaseGeometry, left: float, top: float, width: int, height: int
) -> np.ndarray:
    """The same, slowly: where a polygon doubles back within a pixel, exactextract may lose it."""
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(width), np.arange(height)))
    cells = shapely.box(left + x, top + y, left + x + 1, top + y + 1)
    out = np.zeros(len(cells), np.float32)
    shapely.prepare(part)
    inner = shapely.covers(part, cells)
    out[inner] = 1
    edge = np.flatnonzero(shapely.intersects(part, cells) & ~inner)
    out[edge] = shapely.area(shapely.intersection(part, cells[edge]))
    return out.reshape(height, width)

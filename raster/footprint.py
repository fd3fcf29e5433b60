"""The true footprint of a raster: where its valid pixels lie, as GeoJSON in EPSG:4326.

Longitudes are unwrapped along each ring first and cut at the antimeridian last, as RFC 7946 §3.1.9
asks, so a raster across 180° gives two polygons and a bbox whose west is greater than its east.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from rasterio.features import shapes
from rasterio.io import DatasetReader
from rasterio.transform import Affine, GCPTransformer
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from raster.errors import RasterError
from raster.reader import Layout, move, read

MAX_VERTICES = 500
_SIDE = 1024  # a footprint is traced on at most this many pixels a side
_OUTLINE = 20_000  # pixel edges
_STEPS = 16  # pieces an edge is cut into before it is transformed


def valid_area(dataset: DatasetReader, layout: Layout) -> BaseGeometry:
    """Where any data band is valid, in pixel coordinates; empty if nowhere.

    Traced on the full grid up to 1,024 pixels a side, above that on an overview.
    """
    factor = max(1.0, max(dataset.width, dataset.height) / _SIDE)
    rows = max(1, round(dataset.height / factor))
    columns = max(1, round(dataset.width / factor))
    everywhere = shapely.box(0, 0, dataset.width, dataset.height)
    valid = np.zeros((rows, columns), dtype=bool)
    for index in layout.data:
        picture = read(dataset, [index], layout=layout, out_shape=(rows, columns))
        valid |= ~np.ma.getmaskarray(picture)[0]
        if valid.all():
            return everywhere
    if not valid.any():
        return shapely.Polygon()
    valid = _coarser(valid)
    factor *= columns / valid.shape[1]
    scale = Affine.scale(dataset.width / valid.shape[1], dataset.height / valid.shape[0])
    parts = shapes(valid.astype("uint8"), mask=valid, connectivity=8, transform=scale)
    traced = [shapely.make_valid(shape(part)) for part, _ in parts]
    return _fewer_vertices(shapely.union_all(traced), tolerance=factor / 2)


def _coarser(valid: np.ndarray) -> np.ndarray:
    """The mask, halved until its outline is short enough to be traced in well under a second."""
    while min(valid.shape) > 2:
        outline = np.count_nonzero(valid[1:] != valid[:-1])
        outline += np.count_nonzero(valid[:, 1:] != valid[:, :-1])
        if outline <= _OUTLINE:
            break
        rows, columns = (side // 2 * 2 for side in valid.shape)
        fours = valid[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2)
        valid = np.asarray(fours.any(axis=(1, 3)))
    return valid


def _fewer_vertices(area: BaseGeometry, tolerance: float) -> BaseGeometry:
    """Simplify to at most MAX_VERTICES, dropping specks and pinholes first."""
    simple = area.simplify(0)
    speck = tolerance**2 * 16
    while shapely.get_num_coordinates(simple) > MAX_VERTICES and tolerance < 1e6:
        polygons = sorted(shapely.get_parts(area), key=lambda p: -p.area)
        kept = [_without_holes(p, speck) for n, p in enumerate(polygons) if not n or p.area > speck]
        simple = shapely.union_all(kept).simplify(tolerance)
        tolerance, speck = tolerance * 2, speck * 4
    return simple.buffer(0) if not simple.is_empty else area.convex_hull


def _without_holes(polygon: shapely.Polygon, smaller_than: float) -> shapely.Polygon:
    holes = [ring for ring in polygon.interiors if shapely.Polygon(ring).area > smaller_than]
    return shapely.Polygon(polygon.exterior, holes)


def to_geographic(dataset: DatasetReader, area: BaseGeometry) -> BaseGeometry:
    """A geometry in pixel coordinates as longitude and latitude, unwrapped: may exceed ±180.

    Raises: RasterError("not_georeferenced").
    """
    if dataset.crs is None:
        return _by_gcps(dataset, area)
    width, height = dataset.width, dataset.height
    dense = shapely.segmentize(area, max(1.0, max(width, height) / _STEPS))

    def placed(points: np.ndarray) -> np.ndarray:
        columns, rows = points[:, 0], points[:, 1]
        t = dataset.transform
        xs, ys = t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f
        return move(dataset.crs, "EPSG:4326", np.column_stack([xs, ys]))

    try:
        degrees = shapely.transform(dense, placed)
    except MemoryError:
        raise
    except Exception:  # what PROJ raises depends on the operation it chose
        raise RasterError("not_georeferenced", "the raster's position cannot be computed") from None
    points = shapely.get_coordinates(degrees)
    if not np.isfinite(points).all() or np.abs(points[:, 1]).max(initial=0) > 90.000001:
        raise RasterError("not_georeferenced", "the raster's position is not on the Earth")
    polygons = [_unwrap(polygon) for polygon in shapely.get_parts(degrees)]
    # parts on both sides of 180° go beside the first one
    aligned = [_beside(polygons[0], polygon) for polygon in polygons]
    whole = shapely.union_all([p if p.is_valid else shapely.make_valid(p) for p in aligned])
    pixel_degrees = np.sqrt(max(whole.area, 1e-18) / max(area.area, 1e-9))
    simple = whole.simplify(pixel_degrees * 0.05)
    return simple if simple.is_valid and not simple.is_empty else whole


def full_area(dataset: DatasetReader) -> BaseGeometry:
    """The whole grid in degrees, unwrapped."""
    return to_geographic(dataset, shapely.box(0, 0, dataset.width, dataset.height))


def _by_gcps(dataset: DatasetReader, area: BaseGeometry) -> BaseGeometry:
    points, crs = dataset.gcps
    if len(points) < 3 or crs is None:
        raise RasterError("not_georeferenced", "the file has no coordinate reference system")
    dense = shapely.segmentize(area, max(dataset.width, dataset.height) / _STEPS)
    with GCPTransformer(points) as transformer:

        def placed(pixels: np.ndarray) -> np.ndarray:
            xs, ys = transformer.xy(pixels[:, 1], pixels[:, 0], offset="ul")
            return move(crs, "EPSG:4326", np.column_stack([xs, ys]))

        degrees = shapely.transform(dense, placed)
    return shapely.union_all([_unwrap(p) for p in shapely.get_parts(degrees)]).simplify(1e-5)


def _unwrap(polygon: shapely.Polygon) -> BaseGeometry:
    """The polygon with rings that do not jump from 180 to -180."""

    def ring(coordinates: np.ndarray) -> np.ndarray:
        steps = np.diff(coordinates[:, 0])
        turns = np.concatenate([[0], np.cumsum(np.round(steps / 360))])
        return np.column_stack([coordinates[:, 0] - 360 * turns, coordinates[:, 1]])

    outer = ring(shapely.get_coordinates(polygon.exterior))
    if abs(outer[-1, 0] - outer[0, 0]) > 180:
        # the ring goes once round the Earth: a pole is inside
        south, north = outer[:, 1].min(), outer[:, 1].max()
        if south + north < 0:
            return shapely.box(-180, -90, 180, north)
        return shapely.box(-180, south, 180, 90)
    outer[:, 0] -= 360 * np.floor((outer[:, 0].min() + 180) / 360)
    holes = [ring(shapely.get_coordinates(hole)) for hole in polygon.interiors]
    for hole in holes:
        hole[:, 0] -= 360 * np.round((hole[:, 0].mean() - outer[:, 0].mean()) / 360)
    return shapely.Polygon(outer, holes)


def _beside(first: BaseGeometry, other: BaseGeometry) -> BaseGeometry:
    shift = 360 * np.round((other.centroid.x - first.centroid.x) / 360)
    return shapely.transform(other, lambda c: c - [shift, 0]) if shift else other


def to_geojson(area: BaseGeometry) -> tuple[dict[str, Any], list[float]]:
    """GeoJSON geometry and bbox of an unwrapped area, cut at the antimeridian.

    Returns: Polygon or MultiPolygon with counter-clockwise outer rings, 7 decimals; bbox west,
        south, east, north, west > east where it crosses.
    """
    area = area if area.geom_type in ("Polygon", "MultiPolygon") else area.buffer(1e-7)
    west, south, east, north = area.bounds
    if east - west >= 360 - 1e-9:
        west, east = -180.0, 180.0
        pieces = [area.intersection(shapely.box(-180, -90, 180, 90))]
    else:
        turns = [np.floor((west + 180) / 360) + n for n in (0, 1)]
        boxes = [shapely.box(360 * t - 180, -90, 360 * t + 180, 90) for t in turns]
        pieces = [
            shapely.transform(area.intersection(box), lambda c, t=turn: c - [360 * t, 0])
            for box, turn in zip(boxes, turns, strict=True)
        ]
        west, east = _wrap(west), _wrap(east)
        if west == 180.0:
            west = -180.0
    polygons = [
        part
        for piece in pieces
        for part in shapely.get_parts(piece)
        if part.geom_type == "Polygon" and part.area > 0
    ]
    whole = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    exact = shapely.set_precision(whole, 1e-7)
    whole = whole if exact.is_empty else exact
    geometry = json.loads(shapely.to_geojson(shapely.orient_polygons(whole, exterior_cw=False)))
    return _rounded(geometry), [round(v, 7) for v in (west, south, east, north)]


def _wrap(longitude: float) -> float:
    wrapped = (longitude + 180) % 360 - 180
    return 180.0 if wrapped == -180 and longitude > 0 else wrapped


def _rounded(geometry: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Sequence):
            return [plain(part) for part in value]
        return round(float(value), 7)

    return {"type": geometry["type"], "coordinates": plain(geometry["coordinates"])}

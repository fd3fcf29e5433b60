"""What is known about files: headers, read once a version and kept in `tiler.cache`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS, Geod, Transformer
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import from_gcps

from raster import reader, reflectance
from raster.errors import RasterError
from tiler.cache import known
from tiler.control_points import ControlPoints, fit
from tiler.errors import TileError, Unreadable
from tiler.grid import HALF_WORLD_M, MAX_LATITUDE, zoom_range
from tiler.source import AssetSource
from tiler.work import failure

_HEADER_BYTES = 12 << 10

ToCrs = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(columns, rows) → (x, y) of the raster's CRS."""

_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True)
class BandStatistics:
    """What STATISTICS tags say about a band, in stored numbers."""

    minimum: float
    maximum: float
    mean: float
    stddev: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Header:
    """All that drawing needs to know of a file and that does not change with its version.

    Attributes:
        transform: pixel → CRS at full resolution (the nearest affine one where the file has control
            points).
        control_points: how pixels lie where the file has control points instead of a transform.
        levels: reduction of each level: 1 for full resolution, then 2, 4 … for the overviews.
        nodata: one a band.
        has_mask_band: the file holds a mask of its own (not nodata, not alpha).
        palette: pixel value → (red, green, blue, alpha), where the file has a colour table.
        statistics: one a band, None where the tags are missing.
        geographic_bounds: west, south, east, north in degrees; west > east across the antimeridian.
        center: longitude, latitude of the middle.
        web_mercator_boxes: what holds the raster in EPSG:3857; two across the antimeridian.
        web_mercator_m: side of a pixel in EPSG:3857 metres, in the middle.
    """

    path: str
    version: str
    crs: CRS
    crs_text: str
    is_web_mercator: bool
    is_geographic: bool
    control_points: ControlPoints | None
    transform: Affine
    inverse: Affine
    width: int
    height: int
    count: int
    dtype: np.dtype
    levels: tuple[int, ...]
    nodata: tuple[float | None, ...]
    has_mask_band: bool
    color_interpretation: tuple[str, ...]
    descriptions: tuple[str | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    palette: dict[int, tuple[int, int, int, int]] | None
    statistics: tuple[BandStatistics | None, ...]
    geographic_bounds: tuple[float, float, float, float]
    center: tuple[float, float]
    web_mercator_boxes: tuple[tuple[float, float, float, float], ...]
    web_mercator_m: float
    minzoom: int
    maxzoom: int

    @property
    def identity(self) -> tuple[Any, ...]:
        """What tells this header from any other, for the keys of caches."""
        return self.path, self.version, self.scales, self.offsets


def header(path: str, version: str) -> Header:
    """Read and check a file's header, once a version. Raises: Unreadable, TileError."""
    return known.get(("header", path, version), lambda: _read_header(path, version), _weight)


def _read_header(path: str, version: str) -> Header:
    try:
        with reader.open_guarded(path) as dataset:
            return _header(path, version, dataset)
    except RasterError as error:
        raise unreadable(f"the asset cannot be drawn: {error.message}") from None
    except RasterioError:
        raise unreadable("the asset cannot be drawn: it is not a readable GeoTIFF") from None


def unreadable(detail: str) -> TileError:
    """The refusal after a failed read: `detail`, unless somebody below GDAL knows better."""
    return failure() or Unreadable(detail)


def _weight(found: Header) -> int:
    """About how many bytes a header takes; CRS objects are shared."""
    texts = len(found.crs_text) + sum(len(text or "") for text in found.descriptions)
    return _HEADER_BYTES + 4 * texts + 600 * found.count + 250 * len(found.palette or ())


def header_of(source: AssetSource) -> Header:
    """The header of an asset, with the item's scale and offset where the file has none."""
    found = header(source.path, source.version)
    told = tuple((band.get("scale"), band.get("offset")) for band in source.bands)
    if all(pair == (None, None) for pair in told):
        return found
    key = ("scaled", source.path, source.version, told)
    return known.get(key, lambda: _with_scaling(found, told), lambda header: _HEADER_BYTES)


def _with_scaling(found: Header, told: tuple[tuple[Any, Any], ...]) -> Header:
    scales, offsets = list(found.scales), list(found.offsets)
    for index, (scale, offset) in enumerate(told[: found.count]):
        if (scales[index], offsets[index]) == (1.0, 0.0):
            scales[index] = float(scale) if scale else 1.0
            offsets[index] = float(offset) if offset else 0.0
    if (tuple(scales), tuple(offsets)) == (found.scales, found.offsets):
        return found
    return replace(found, scales=tuple(scales), offsets=tuple(offsets))


def divisors(found: Header, bidx: Sequence[int]) -> dict[int, int | None]:
    """1-based band → what makes reflectance of it, as `raster.reflectance.divisor`."""
    return {
        index: reflectance.divisor(found.dtype, found.scales[index - 1], found.offsets[index - 1])
        for index in bidx
    }


def _header(path: str, version: str, dataset: DatasetReader) -> Header:
    points, points_crs = dataset.gcps
    has_gcps = bool(points) and dataset.crs is None
    rio_crs = points_crs if has_gcps else dataset.crs
    try:
        points_fit = fit(points) if has_gcps else None
    except ValueError:
        raise Unreadable(
            "the asset cannot be drawn on a map: its control points lie on a line"
        ) from None
    if rio_crs is None:
        raise Unreadable("the asset cannot be drawn on a map: it has no coordinate system")
    transform = from_gcps(points) if has_gcps else dataset.transform
    if not transform.is_degenerate and transform.determinant and math.isfinite(transform.a):
        inverse = ~transform
    else:
        raise Unreadable("the asset cannot be drawn on a map: its pixels have no extent")
    if np.dtype(dataset.dtypes[0]).kind == "c":
        raise Unreadable("the asset cannot be drawn: its pixels are complex numbers")
    crs_text = rio_crs.to_wkt()
    crs = _crs(crs_text)
    place = _to_crs(transform)
    if points_fit is not None:
        place = points_fit.to_crs
    bounds, center, resolution_m = _place(crs, place, dataset.width, dataset.height)
    latitude = max(-MAX_LATITUDE, min(MAX_LATITUDE, center[1]))
    minzoom, maxzoom = zoom_range(resolution_m, center[1], max(dataset.width, dataset.height))
    flags = dataset.mask_flag_enums[0]
    return Header(
        path=path,
        version=version,
        crs=crs,
        crs_text=crs_text,
        is_web_mercator=rio_crs.to_epsg() == 3857,
        is_geographic=crs.is_geographic,
        control_points=points_fit,
        transform=transform,
        inverse=inverse,
        width=dataset.width,
        height=dataset.height,
        count=dataset.count,
        dtype=np.dtype(dataset.dtypes[0]),
        levels=(1, *dataset.overviews(1)),
        nodata=tuple(dataset.nodatavals),
        has_mask_band=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        color_interpretation=tuple(c.name for c in dataset.colorinterp),
        descriptions=tuple(dataset.descriptions),
        scales=tuple(dataset.scales),
        offsets=tuple(dataset.offsets),
        palette=_palette(dataset),
        statistics=tuple(_statistics(dataset.tags(i)) for i in dataset.indexes),
        geographic_bounds=bounds,
        center=center,
        web_mercator_boxes=_boxes(bounds),
        web_mercator_m=resolution_m / math.cos(math.radians(latitude)),
        minzoom=minzoom,
        maxzoom=maxzoom,
    )


@lru_cache(256)
def _crs(text: str) -> CRS:
    """One object for all files of a system: it is by far the heaviest part of a header."""
    return CRS.from_user_input(text)


def _palette(dataset: DatasetReader) -> dict[int, tuple[int, int, int, int]] | None:
    if dataset.colorinterp[0] is not ColorInterp.palette:
        return None
    return dataset.colormap(1)


def _statistics(tags: dict[str, str]) -> BandStatistics | None:
    try:
        low, high, mean, stddev = (
            float(tags[f"STATISTICS_{name}"]) for name in ("MINIMUM", "MAXIMUM", "MEAN", "STDDEV")
        )
    except (KeyError, ValueError):
        return None
    found = BandStatistics(low, high, mean, stddev)
    return found if all(map(math.isfinite, (low, high, mean, stddev))) else None


def _place(
    crs: CRS, to_crs: ToCrs, width: int, height: int
) -> tuple[tuple[float, float, float, float], tuple[float, float], float]:
    """((west, south, east, north), (longitude, latitude) of the middle, metres a pixel there)."""
    project = Transformer.from_crs(crs, 4326, always_xy=True)
    middle = width / 2, height / 2
    columns = np.array([middle[0], middle[0] - 0.5, middle[0] + 0.5, middle[0], middle[0]])
    rows = np.array([middle[1], middle[1], middle[1], middle[1] - 0.5, middle[1] + 0.5])
    lon, lat = project.transform(*to_crs(columns, rows))
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise Unreadable("the asset cannot be drawn on a map: it lies outside its CRS")
    _, _, side_x = _GEOD.inv(lon[1], lat[1], lon[2], lat[2])
    _, _, side_y = _GEOD.inv(lon[3], lat[3], lon[4], lat[4])
    resolution_m = math.sqrt(max(side_x, 1e-9) * max(side_y, 1e-9))

    along = np.linspace(0.0, 1.0, 33)
    edge_c = np.concatenate([along, along, np.zeros(33), np.ones(33)]) * width
    edge_r = np.concatenate([np.zeros(33), np.ones(33), along, along]) * height
    edge_lon, edge_lat = project.transform(*to_crs(edge_c, edge_r))
    known = np.isfinite(edge_lon) & np.isfinite(edge_lat)
    if not known.any():
        raise Unreadable("the asset cannot be drawn on a map: it lies outside its CRS")
    south, north = float(edge_lat[known].min()), float(edge_lat[known].max())
    if crs.is_geographic:
        west, east = float(edge_lon[known].min()), float(edge_lon[known].max())
    else:
        # longitudes jump at 180 degrees: count them from the middle, where nothing jumps
        offset = (edge_lon[known] - lon[0] + 180) % 360 - 180
        west, east = float(lon[0] + offset.min()), float(lon[0] + offset.max())
    south, north = max(-90.0, min(south, lat[0])), min(90.0, max(north, lat[0]))
    if east - west >= 360:
        west, east = -180.0, 180.0
    else:
        west, east = _wrap(west), _wrap(east, upper=True)
    return (west, south, east, north), (_wrap(float(lon[0])), float(lat[0])), resolution_m


def _to_crs(t: Affine) -> ToCrs:
    """Pixel coordinates to those of the CRS."""

    def apply(columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f

    return apply


def _boxes(
    bounds: tuple[float, float, float, float],
) -> tuple[tuple[float, float, float, float], ...]:
    """Geographic bounds as EPSG:3857 boxes, a little wider: edges were sampled, not followed."""
    west, south, east, north = bounds
    span = east - west if west <= east else east - west + 360
    wider, taller = span * 0.02 + 1e-6, (north - south) * 0.02 + 1e-6
    bottom, top = (
        HALF_WORLD_M / math.pi * math.asinh(math.tan(math.radians(max(-89.9, min(89.9, latitude)))))
        for latitude in (south - taller, north + taller)
    )
    if span > 300:
        return ((-HALF_WORLD_M, bottom, HALF_WORLD_M, top),)
    west, east = west - wider, west + span + wider
    shifts = [shift for shift in (-360.0, 0.0, 360.0) if west + shift < 180 and east + shift > -180]
    metres = HALF_WORLD_M / 180
    return tuple(
        ((west + shift) * metres, bottom, (east + shift) * metres, top) for shift in shifts
    )


def _wrap(longitude: float, *, upper: bool = False) -> float:
    """The same meridian in [-180, 180]; an upper bound of 180 stays 180."""
    if -180 <= longitude <= 180 and not (upper and longitude == -180):
        return longitude
    wrapped = (longitude + 180) % 360 - 180
    return 180.0 if upper and wrapped == -180 else wrapped

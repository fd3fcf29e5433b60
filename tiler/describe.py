"""What a raster is and what it holds at a place or in an area, as numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raster import reader
from tiler import datasets, handles, sample
from tiler.datasets import Header
from tiler.errors import InvalidParameter
from tiler.source import AssetSource
from tiler.style import names_of
from tiler.target import GEOGRAPHIC, to_pixel, transformer
from tiler.work import lane


@lane("quick")
def info(source: AssetSource) -> dict[str, Any]:
    """What the file is, in the words of rio-tiler's `Info`, and which zoom levels suit it."""
    header = datasets.header_of(source)
    handle = handles.dataset(header, 0)
    names = names_of(source.band_names, header)
    code = header.crs.to_epsg()
    labels = [f"b{index}" for index in range(1, header.count + 1)]
    nodata = source.nodata if source.nodata is not None else header.nodata[0]
    kind = "Nodata" if nodata is not None else "Mask" if header.has_mask_band else "None"
    if nodata is None and "alpha" in header.color_interpretation:
        kind = "Alpha"
    corners = reader.corners(handle) if handle.crs else []
    xs, ys = [x for x, _ in corners] or [math.nan], [y for _, y in corners] or [math.nan]
    bounds = [min(xs), min(ys), max(xs), max(ys)]
    return {
        "asset_key": source.asset_key,
        "name": source.name,
        "profiles": [dict(profile) for profile in source.profiles],
        "bounds": bounds if all(map(math.isfinite, bounds)) else list(header.geographic_bounds),
        "crs": f"http://www.opengis.net/def/crs/EPSG/0/{code}" if code else header.crs.name,
        "geographic_bounds": list(header.geographic_bounds),
        "center": list(header.center),
        "minzoom": header.minzoom,
        "maxzoom": header.maxzoom,
        "driver": "GTiff",
        "dtype": header.dtype.name,
        "count": header.count,
        "width": header.width,
        "height": header.height,
        "overviews": list(header.levels[1:]),
        "nodata_type": kind,
        "nodata_value": None if nodata is None or math.isnan(nodata) else nodata,
        "colorinterp": list(header.color_interpretation),
        "scales": list(header.scales),
        "offsets": list(header.offsets),
        "band_names": [name or label for name, label in zip(names, labels, strict=True)],
        "band_descriptions": [[a, b or ""] for a, b in zip(labels, names, strict=True)],
        "band_metadata": [
            [label, _finite_tags(handle.tags(index))] for index, label in enumerate(labels, start=1)
        ],
    }


def _finite_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key[:200]: value[:2000] for key, value in list(tags.items())[:100]}


@lane("quick")
def outline(source: AssetSource) -> dict[str, Any]:
    """`info` as a GeoJSON Feature of the raster's bounds."""
    found = info(source)
    west, south, east, north = found["geographic_bounds"]
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    boxes = [[[[w, south], [e, south], [e, north], [w, north], [w, south]]] for w, e in spans]
    single = len(boxes) == 1
    geometry = {
        "type": "Polygon" if single else "MultiPolygon",
        "coordinates": boxes[0] if single else boxes,
    }
    return {
        "type": "Feature",
        "bbox": [west, south, east, north],
        "geometry": geometry,
        "properties": found,
    }


def point(
    source: AssetSource,
    x: float,
    y: float,
    *,
    crs: str = GEOGRAPHIC,
    bands: str | None = None,
    expression: str | None = None,
    unscale: bool = False,
) -> dict[str, Any]:
    """The values of the pixel at a place; None where it has none or lies outside.

    Args:
        x, y: in `crs`; longitude, latitude by default.
        bands, expression: what is wanted; default every band, as stored.
        unscale: bands with scale and offset applied, as formulas see them.

    Raises: InvalidParameter, Unreadable.
    """
    header = datasets.header_of(source)
    indexes, formula, labels = sample.wanted(source, header, bands, expression)
    column, row = _pixel(header, x, y, crs)
    values: list[float | None] = [None] * len(labels)
    if 0 <= column < header.width and 0 <= row < header.height:
        handle = handles.dataset(header, 0)
        layout = sample.layout_of(handle, source)
        window = reader.pixels(int(column), int(row), 1, 1)
        read = sample.read(handle, layout, indexes, window, scaled=unscale or formula is not None)
        if formula is not None:
            read = sample.evaluated(formula, handle, layout, read)
        hidden = np.ma.getmaskarray(read)
        values = [
            None if hidden[i, 0, 0] else _number(read.data[i, 0, 0]) for i in range(len(labels))
        ]
    return {
        "coordinates": [x, y],
        "values": values,
        "band_names": [f"b{number}" for number in sample.numbers(indexes, formula)],
        "band_descriptions": labels,
    }


def _pixel(header: Header, x: float, y: float, crs: str) -> tuple[float, float]:
    """Column and row; not finite where the raster's CRS does not reach."""
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InvalidParameter.of("point", "must be two numbers")
    if crs == GEOGRAPHIC and not (-540 <= x <= 540 and -90 <= y <= 90):
        raise InvalidParameter.of("point", "must be a longitude and a latitude")
    turns = (0.0, -360.0, 360.0) if header.is_geographic else (0.0,)
    placed_x, placed_y = transformer(crs, header.crs_text).transform(x, y)
    for turn in turns:
        columns, rows = to_pixel(header, np.array([placed_x + turn]), np.array([placed_y]))
        column, row = float(columns[0]), float(rows[0])
        if not (math.isfinite(column) and math.isfinite(row)):
            return -1.0, -1.0
        if 0 <= column < header.width:
            return column, row
    return -1.0, -1.0


@lane("slow")
def statistics(
    source: AssetSource,
    *,
    geometry: Mapping[str, Any] | None = None,
    bands: str | None = None,
    expression: str | None = None,
    unscale: bool = False,
    percentiles: Sequence[float] = (2.0, 98.0),
    categorical: bool = False,
    bins: int = 10,
    value_range: tuple[float, float] | None = None,
) -> dict[str, dict[str, Any]]:
    """Statistics of each band or block on the raster's own grid, as rio-tiler's `BandStatistics`.

    Args:
        geometry: GeoJSON polygon, EPSG:4326: of pixels whose centre lies in it.
        categorical: the histogram counts each value; at most 1,024 of them.
        value_range: of the histogram; default the extremes.

    `exact` says whether every pixel was read: above `sample.MAX_VALUES` an overview is.
    Raises: InvalidParameter, Unreadable, TileError (422: the polygon misses the raster).
    """
    if value_range is not None and not value_range[0] < value_range[1]:
        raise InvalidParameter.of("histogram_range", "must be low,high")
    header = datasets.header_of(source)
    indexes, formula, labels = sample.wanted(source, header, bands, expression)
    found = sample.sample(source, header, geometry, indexes, formula, unscale=unscale)
    described = {}
    numbers = sample.numbers(indexes, formula)
    for number, label, values in zip(numbers, labels, found.values, strict=True):
        described[f"b{number}"] = {
            **_summary(values, found.pixels, percentiles),
            "histogram": _histogram(values, categorical, bins, value_range),
            "description": label,
            "exact": found.exact,
        }
    return described


def _summary(values: np.ndarray, pixels: int, percentiles: Sequence[float]) -> dict[str, Any]:
    names = [f"percentile_{value:g}" for value in percentiles]
    counts: dict[str, Any] = {
        "count": float(values.size),
        "valid_pixels": float(values.size),
        "masked_pixels": float(pixels - values.size),
        "valid_percent": 100.0 * values.size / pixels if pixels else 0.0,
    }
    if not values.size:
        empty = ("min", "max", "mean", "sum", "std", "median", "majority", "minority")
        return {**dict.fromkeys((*empty, *names)), **counts, "unique": 0.0}
    wide = values.astype(np.float64)
    kinds, often = _counted(values)
    cuts = np.percentile(wide, list(percentiles))
    return {
        "min": float(wide.min()),
        "max": float(wide.max()),
        "mean": float(wide.mean()),
        "sum": _number(wide.sum()),
        "std": _number(wide.std()),
        "median": float(np.median(wide)),
        "majority": float(kinds[often.argmax()]),
        "minority": float(kinds[often.argmin()]),
        "unique": float(len(kinds)),
        **counts,
        **dict(zip(names, map(float, cuts), strict=True)),
    }


def _counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each value there is, ascending, and how often."""
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        low = int(values.min())
        often = np.bincount(values.astype(np.int64) - low)
        kinds = np.flatnonzero(often)
        return kinds + low, often[kinds]
    return np.unique(values, return_counts=True)


def _histogram(
    values: np.ndarray, categorical: bool, bins: int, value_range: tuple[float, float] | None
) -> list[list[float]]:
    """[counts, edges], or [counts, values] of classes."""
    if not values.size:
        return [[], []]
    if categorical:
        kinds, often = _counted(values)
        if len(kinds) > 1024:
            raise InvalidParameter.of("categorical", f"there are {len(kinds)} values, not classes")
        return [often.astype(float).tolist(), kinds.astype(float).tolist()]
    wide = values.astype(np.float64)
    low, high = value_range or (float(wide.min()), float(wide.max()))
    if low == high:
        low, high = low - 0.5, high + 0.5
    try:
        counts, edges = np.histogram(wide, bins=bins, range=(low, high))
    except ValueError:  # the bins are finer than 64-bit numbers
        return [[float(values.size)], [low, high]]
    return [counts.astype(float).tolist(), edges.tolist()]


def _number(value: Any) -> float | int | None:
    found = value.item()
    return found if not isinstance(found, float) or math.isfinite(found) else None

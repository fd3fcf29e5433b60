"""What a raster file is: its grid, bands, statistics and footprint, as plain JSON.

`inspect` runs in the calling process; for a file that a stranger sent, run it in a bounded child:
`await run_child("raster.inspect:inspect", {"path": …}, memory_bytes=…, seconds=60)`.
"""

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyproj
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from raster import bands as band_roles
from raster import cog, footprint
from raster.errors import InspectError, RasterError
from raster.reader import Layout, corners, layout, move, open_guarded, place, read, windows
from raster.statistics import Gatherer, Statistics, from_tags

_EXACT_PIXELS = 64 * 1024**2  # up to here missing statistics are computed from every pixel
_SAMPLE_SIDE = 1024
_GEOD = pyproj.Geod(ellps="WGS84")


@dataclass(frozen=True)
class BandInfo:
    """One data band. Statistics are of stored values, None where no pixel is valid.

    Attributes:
        index: 1-based.
        nodata: a number, "nan", or None.
        p2, p98: percentiles of a reduced picture (at most 1,024 pixels a side).
        valid_percent: of all pixels of the grid.
        common_name: role of the band by its name.
    """

    index: int
    name: str
    dtype: str
    nodata: float | str | None
    minimum: float | None
    maximum: float | None
    mean: float | None
    stddev: float | None
    p2: float | None
    p98: float | None
    valid_percent: float
    scale: float
    offset: float
    common_name: str | None


@dataclass(frozen=True)
class AssetInfo:
    """A raster file, ready to become an asset.

    Attributes:
        epsg: None for a system without a code; `crs_wkt` then says what it is.
        transform: affine, pixel → CRS, six numbers a to f.
        proj: `proj:code`, `proj:shape`, `proj:transform`, `proj:bbox`, `proj:wkt2`.
        gsd: metres on the ground at the raster's centre.
        footprint: GeoJSON of the valid pixels, the whole grid where none is valid.
        bbox: west south east north; west > east across the antimeridian.
        alpha: 1-based index of the alpha band, not among `bands`.
        is_cog: a valid cloud-optimized GeoTIFF with a grid of its own.
        has_statistics: all data bands carry STATISTICS tags.
        needs_conversion: why it should be rewritten; empty if it should not.
        georeferencing: `grid`, `rotated`, `south_up` or `gcps`.
    """

    width: int
    height: int
    dtype: str
    nodata: float | str | None
    band_count: int
    band_names: list[str]
    bands: list[dict[str, Any]]
    alpha: int | None
    has_colormap: bool
    epsg: int | None
    crs_wkt: str
    transform: list[float]
    georeferencing: str
    proj: dict[str, Any]
    gsd: float
    footprint: dict[str, Any]
    bbox: list[float]
    is_cog: bool
    has_statistics: bool
    needs_conversion: list[str]
    checksum: str
    size_bytes: int
    media_type: str


def inspect(
    path: str | os.PathLike[str], band_names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Inspect a GeoTIFF.

    Args:
        path: absolute.
        band_names: where they are known better than the file knows; decides whether a fourth band
            is alpha.

    Returns: `AssetInfo` as a dict of JSON values.

    Raises: InspectError: see the codes of `raster.errors.RasterError`.
    """
    try:
        with open_guarded(path) as dataset:
            return asdict(_inspect(dataset, os.fspath(path), band_names))
    except InspectError:
        raise
    except RasterError as error:
        raise InspectError(error.code, error.message) from None
    except RasterioError as error:
        raise InspectError("unreadable", str(error).splitlines()[0][:200]) from None


def plain_file(path: str | os.PathLike[str], media_type: str) -> dict[str, Any]:
    """A file that is no raster, as an asset: what `AssetInfo` has of it, and no bands."""
    name = os.fspath(path)
    return {
        "bands": [],
        "band_names": [],
        "is_cog": False,
        "gsd": None,
        "checksum": _sha256(name),
        "size_bytes": os.path.getsize(name),
        "media_type": media_type,
    }


def _inspect(dataset: DatasetReader, path: str, band_names: Sequence[str] | None) -> AssetInfo:
    if band_names is not None and len(band_names) not in (dataset.count, dataset.count - 1):
        message = f"{len(band_names)} band names for {dataset.count} bands"
        raise InspectError("unsupported", message)
    made = layout(dataset, band_names=band_names)
    kind = _georeferencing(dataset)
    area = footprint.valid_area(dataset, made)
    if area.is_empty:
        area = footprint.shapely.box(0, 0, dataset.width, dataset.height)
    geometry, bbox = footprint.to_geojson(footprint.to_geographic(dataset, area))
    bands = [_band(dataset, made, index) for index in made.data]
    report = cog.validate(path)
    reasons = [] if report.valid else list(report.reasons)
    if kind == "gcps":
        reasons.append("ground control points are not a grid")
    crs = dataset.crs or dataset.gcps[1]
    transform = list(dataset.transform)[:6]
    return AssetInfo(
        width=dataset.width,
        height=dataset.height,
        dtype=dataset.dtypes[0],
        nodata=_json_nodata(made.nodata[0] if made.nodata else None),
        band_count=len(bands),
        band_names=[band.name for band in bands],
        bands=[asdict(band) for band in bands],
        alpha=made.alpha,
        has_colormap=_has_colormap(dataset),
        epsg=_epsg(crs),
        crs_wkt=crs.to_wkt(version="WKT2_2019"),
        transform=transform,
        georeferencing=kind,
        proj=_proj(dataset, crs, kind),
        gsd=_gsd(dataset, kind),
        footprint=geometry,
        bbox=bbox,
        is_cog=not reasons,
        has_statistics=report.statistics,
        needs_conversion=reasons + ([] if report.statistics else ["no embedded statistics"]),
        checksum=_sha256(path),
        size_bytes=os.path.getsize(path),
        media_type=cog.MEDIA_TYPE if not reasons else "image/tiff; application=geotiff",
    )


def _georeferencing(dataset: DatasetReader) -> str:
    if dataset.crs is None or dataset.transform.is_identity:
        if len(dataset.gcps[0]) >= 3 and dataset.gcps[1] is not None:
            return "gcps"
        raise InspectError("not_georeferenced", "the file does not say where on Earth it lies")
    if abs(dataset.transform.determinant) < 1e-30:
        raise InspectError("not_georeferenced", "the file's pixels have no size")
    if dataset.transform.b or dataset.transform.d:
        return "rotated"
    return "south_up" if dataset.transform.e > 0 else "grid"


def _band(dataset: DatasetReader, made: Layout, index: int) -> BandInfo:
    at = made.data.index(index)
    factor = max(1.0, max(dataset.width, dataset.height) / _SAMPLE_SIDE)
    reduced = (max(1, round(dataset.height / factor)), max(1, round(dataset.width / factor)))
    sample = read(dataset, [index], layout=made, out_shape=reduced)
    values = sample.compressed().astype(np.float64)
    values = values[np.isfinite(values)]
    found = from_tags(dataset.tags(index))
    if found is None:
        exact = dataset.width * dataset.height <= _EXACT_PIXELS
        found = _of_band(dataset, made, index) if exact else _of_sample(sample)
    percent = found.valid_percent
    masked = made.alpha is not None or made.internal_mask
    # of what a mask hides, other writers' 100 percent says nothing
    if percent is None or (masked and percent == 100):
        percent = 100.0 * sample.count() / sample.size
    p2, p98 = np.percentile(values, (2, 98)).tolist() if values.size else (None, None)
    name = made.names[at]
    return BandInfo(
        index=index,
        name=name or f"b{index}",
        dtype=dataset.dtypes[index - 1],
        nodata=_json_nodata(made.nodata[at]),
        minimum=found.minimum,
        maximum=found.maximum,
        mean=found.mean,
        stddev=found.stddev,
        p2=_significant(p2),
        p98=_significant(p98),
        valid_percent=round(percent, 4),
        scale=made.scales[at],
        offset=made.offsets[at],
        common_name=band_roles.role(name) if name else None,
    )


def _of_band(dataset: DatasetReader, made: Layout, index: int) -> Statistics:
    """Of every pixel, one window at a time."""
    gathered = Gatherer()
    for window in windows(dataset):
        part = read(dataset, [index], window=window, layout=made)
        gathered.add(part.data, ~np.ma.getmaskarray(part))
    return gathered.result(dataset.width * dataset.height)


def _of_sample(sample: np.ma.MaskedArray) -> Statistics:
    gathered = Gatherer()
    gathered.add(sample.data, ~np.ma.getmaskarray(sample))
    return gathered.result(sample.size)


def _gsd(dataset: DatasetReader, kind: str) -> float:
    middle = (dataset.width / 2, dataset.height / 2)
    if kind == "gcps":
        across = footprint.shapely.box(*middle, middle[0] + 1, middle[1] + 1)
        square = footprint.to_geographic(dataset, across)
        return _significant(math.sqrt(abs(_GEOD.geometry_area_perimeter(square)[0]))) or 0.0
    t, crs = dataset.transform, dataset.crs
    mercator = crs.is_projected and "mercator_1sp" in crs.to_wkt().lower()
    if crs.is_projected and not mercator and crs.to_epsg() != 3857:
        return _significant(math.sqrt(abs(t.determinant)) * crs.linear_units_factor[1]) or 0.0
    columns = [middle[0], middle[0] + 1, middle[0]]
    rows = [middle[1], middle[1], middle[1] + 1]
    points = [place(t, column, row) for column, row in zip(columns, rows, strict=True)]
    lon, lat = move(crs, "EPSG:4326", np.array(points)).T.tolist()
    _, _, across = _GEOD.inv(lon[0], lat[0], lon[1], lat[1])
    _, _, down = _GEOD.inv(lon[0], lat[0], lon[2], lat[2])
    return _significant(math.sqrt(across * down)) or 0.0


def _proj(dataset: DatasetReader, crs: Any, kind: str) -> dict[str, Any]:
    code = _epsg(crs)
    fields: dict[str, Any] = {
        "proj:code": f"EPSG:{code}" if code else None,
        "proj:shape": [dataset.height, dataset.width],
    }
    if not code:
        fields["proj:wkt2"] = crs.to_wkt(version="WKT2_2019")
    if kind != "gcps":
        xs, ys = zip(*corners(dataset), strict=True)
        fields["proj:transform"] = list(dataset.transform)[:6]
        fields["proj:bbox"] = [min(xs), min(ys), max(xs), max(ys)]
    return fields


def _epsg(crs: Any) -> int | None:
    # full confidence only: a guess would move the picture
    return crs.to_epsg(confidence_threshold=90)


def _has_colormap(dataset: DatasetReader) -> bool:
    try:
        return dataset.count == 1 and bool(dataset.colormap(1))
    except ValueError:
        return False


def _json_nodata(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def _significant(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

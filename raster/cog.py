"""Writing cloud-optimized GeoTIFFs: ZSTD, 512-pixel tiles, overviews, embedded statistics.

A product is written once, window by window, as a temporary tiled file (`tiled_writer`), then copied
by GDAL's COG driver, which makes overviews and statistics on the way (`write_cog`). Adding
statistics to a finished COG would make it invalid.
"""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import raster.env  # noqa: F401  (before rasterio)
import numpy as np
import rasterio
import rasterio.shutil
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from raster.errors import RasterError
from raster.reader import BLOCK, Layout, layout, open_guarded, windows

LEVEL = 9
MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
_TILE_BYTES = 32 * 1024**2  # below the decoded-block cap that every reader applies
_THREADS = str(min(4, os.cpu_count() or 1))

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Report:
    """Whether a file is a COG.

    Attributes:
        valid: layout, tiling and overviews are those of a COG.
        reasons: why not, in words.
        statistics: every data band has STATISTICS tags, or holds no valid pixel.
    """

    valid: bool
    reasons: tuple[str, ...]
    statistics: bool


def validate(path: str | os.PathLike[str]) -> Report:
    """Check a GeoTIFF's structure. Raises: RasterError: the file cannot be opened at all."""
    from rio_cogeo.cogeo import cog_validate

    with open_guarded(path) as dataset:
        made = layout(dataset)
        statistics = all("STATISTICS_MEAN" in dataset.tags(i) for i in made.data) or not any(
            _any_valid(dataset, made)
        )
    # opened as a GeoTIFF just above, so this opens no other format
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        _, errors, remarks = cog_validate(os.fspath(path), strict=True, quiet=True)
    reasons = tuple(str(reason) for reason in (*errors, *remarks))
    return Report(valid=not reasons, reasons=reasons, statistics=statistics)


def is_cog(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a valid COG; statistics are not asked for."""
    return validate(path).valid


is_valid_cog = is_cog


def _any_valid(dataset: DatasetReader, made: Layout) -> Iterator[bool]:
    from raster.reader import read

    reduced = (min(256, dataset.height), min(256, dataset.width))
    for index in made.data:
        yield bool(read(dataset, [index], layout=made, out_shape=reduced).count())


def block_size(dtypes: Sequence[str]) -> int:
    """512, or less where so many bands would make a tile too large to be read safely."""
    pixel_bytes = sum(np.dtype(dtype).itemsize for dtype in dtypes)
    size = BLOCK
    while size > 128 and size * size * pixel_bytes > _TILE_BYTES:
        size //= 2
    return size


@contextlib.contextmanager
def tiled_writer(
    path: str | os.PathLike[str],
    *,
    width: int,
    height: int,
    dtype: str,
    count: int,
    crs: CRS,
    transform: Affine,
    nodata: float | None = None,
    band_names: Sequence[str | None] = (),
    color_interpretation: Sequence[ColorInterp] | None = None,
    scales: Sequence[float] | None = None,
    offsets: Sequence[float] | None = None,
    colormap: dict[int, Any] | None = None,
    tags: dict[str, str] | None = None,
) -> Iterator[DatasetWriter]:
    """An intermediate file to write windows into; hand it to `write_cog` once closed.

    A mask written with `write_mask` stands inside the file.
    """
    size = block_size([dtype] * count)
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": width,
        "height": height,
        "count": count,
        "dtype": dtype,
        "crs": crs,
        "transform": transform,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": size,
        "blockysize": size,
        "interleave": "pixel",
        "compress": "zstd",
        "zstd_level": 1,
        "num_threads": _THREADS,
        "bigtiff": "if_safer",
        "sparse_ok": True,
    }
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(os.fspath(path), "w", **profile) as writer,
    ):
        if color_interpretation:
            writer.colorinterp = tuple(color_interpretation)
        for index, name in enumerate(band_names, start=1):
            if name:
                writer.set_band_description(index, name)
        if scales is not None and offsets is not None and _scaled(scales, offsets):
            writer.scales, writer.offsets = tuple(scales), tuple(offsets)
        if colormap:
            writer.write_colormap(1, colormap)
        if tags:
            writer.update_tags(**tags)
        yield writer


def _scaled(scales: Sequence[float], offsets: Sequence[float]) -> bool:
    return any(s != 1.0 for s in scales) or any(o != 0.0 for o in offsets)


def write_cog(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    level: int = LEVEL,
    categorical: bool = False,
) -> None:
    """Copy a GeoTIFF as a COG: same grid, pixels, bands, mask, colours and nodata.

    Overviews average; those of categorical data and of palettes take the most frequent value.

    Raises: RasterError("unreadable"): a block of the source is damaged.
    """
    with open_guarded(source, threads=int(_THREADS)) as dataset:
        numbers = [np.dtype(dtype) for dtype in dataset.dtypes]
        bits = {dataset.tags(i, ns="IMAGE_STRUCTURE").get("NBITS") for i in dataset.indexes}
        predictable = all(n.itemsize <= 8 for n in numbers) and bits <= {None}
        palette = any(c == ColorInterp.palette for c in dataset.colorinterp)
        resampling = "MODE" if categorical or palette else "AVERAGE"
        # averages of palette indices mean nothing, of classes neither
        try:
            rasterio.shutil.copy(
                dataset,
                os.fspath(destination),
                driver="COG",
                COMPRESS="ZSTD",
                LEVEL=str(level),
                PREDICTOR="YES" if predictable else "NO",
                BLOCKSIZE=str(block_size(dataset.dtypes)),
                OVERVIEW_RESAMPLING=resampling,
                STATISTICS="YES",
                BIGTIFF="IF_SAFER",
                NUM_THREADS=_THREADS,
            )
        except RasterioError as error:
            Path(destination).unlink(missing_ok=True)
            code = "disk_full" if "no space" in str(error).lower() else "unreadable"
            raise RasterError(code, str(error).splitlines()[0][:200]) from None


def convert_to_cog(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    level: int = LEVEL,
    categorical: bool = False,
    band_names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[str]:
    """Rewrite any accepted GeoTIFF as a COG with statistics.

    The grid stays as it is, also where it is rotated or south-up. A file that has only ground
    control points has no grid: it is warped once, to the UTM zone of its middle (EPSG:4326 beyond
    84° or where it is wider than 12°). A band flagged alpha whose name says otherwise loses the
    flag; names given here are written into the file.

    Returns: what was done beside copying, in words.

    Raises: RasterError.
    """
    report = progress or _silent
    temporary = Path(f"{os.fspath(destination)}.part.tif")
    try:
        with open_guarded(source, threads=int(_THREADS)) as dataset:
            made = layout(dataset, band_names=band_names)
            done: list[str] = []
            if dataset.crs is None or dataset.transform.is_identity:
                done.append(_warp_by_gcps(dataset, made, temporary, report))
            elif _renamed(dataset, made):
                _rewrite(dataset, made, temporary, report)
                done.append("band names and colour flags corrected")
        report(0.6, "writing the COG")
        write_cog(
            temporary if done else source, destination, level=level, categorical=categorical
        )
        report(1.0, "done")
        return done
    finally:
        temporary.unlink(missing_ok=True)


def _silent(fraction: float, stage: str) -> None:
    """Progress that nobody asked for."""


def _renamed(dataset: DatasetReader, made: Layout) -> bool:
    wrong_alpha = any(dataset.colorinterp[i - 1] == ColorInterp.alpha for i in made.data)
    named = [dataset.descriptions[i - 1] or "" for i in made.data]
    return wrong_alpha or named != list(made.names)


def colors(dataset: DatasetReader, made: Layout) -> list[ColorInterp]:
    """Colour interpretation of all bands, alpha only where it is believed."""
    return [
        ColorInterp.undefined if flag == ColorInterp.alpha and i != made.alpha else flag
        for i, flag in zip(dataset.indexes, dataset.colorinterp, strict=True)
    ]


def _rewrite(dataset: DatasetReader, made: Layout, path: Path, report: Progress) -> None:
    names = dict(zip(made.data, made.names, strict=True))
    with tiled_writer(
        path,
        width=dataset.width,
        height=dataset.height,
        dtype=dataset.dtypes[0],
        count=dataset.count,
        crs=dataset.crs,
        transform=dataset.transform,
        nodata=dataset.nodata,
        band_names=[names.get(i) for i in dataset.indexes],
        color_interpretation=colors(dataset, made),
        scales=dataset.scales,
        offsets=dataset.offsets,
    ) as writer:
        pieces = list(windows(dataset))
        for number, window in enumerate(pieces):
            writer.write(dataset.read(window=window), window=window)
            if made.internal_mask:
                writer.write_mask(dataset.read_masks(1, window=window), window=window)
            report(0.6 * (number + 1) / len(pieces), "copying")


def _warp_by_gcps(dataset: DatasetReader, made: Layout, path: Path, report: Progress) -> str:
    points, crs = dataset.gcps
    if len(points) < 3 or crs is None:
        raise RasterError("not_georeferenced", "the file does not say where on Earth it lies")
    from raster.footprint import shapely, to_geographic

    area = to_geographic(dataset, shapely.box(0, 0, dataset.width, dataset.height))
    west, _, east, _ = area.bounds
    middle = area.centroid
    if abs(middle.y) > 84 or east - west > 12:
        target = CRS.from_epsg(4326)
    else:
        zone = int((middle.x + 180) // 6) % 60 + 1
        target = CRS.from_epsg((32600 if middle.y >= 0 else 32700) + zone)
    nodata = dataset.nodata
    masked = nodata is None
    with WarpedVRT(
        dataset, src_crs=crs, crs=target, add_alpha=masked and made.alpha is None, nodata=nodata
    ) as warped:
        names = dict(zip(made.data, made.names, strict=True))
        with tiled_writer(
            path,
            width=warped.width,
            height=warped.height,
            dtype=dataset.dtypes[0],
            count=dataset.count,
            crs=target,
            transform=warped.transform,
            nodata=nodata,
            band_names=[names.get(i) for i in dataset.indexes],
            color_interpretation=colors(dataset, made),
            scales=dataset.scales,
            offsets=dataset.offsets,
        ) as writer:
            pieces = list(windows(warped))
            for number, window in enumerate(pieces):
                writer.write(warped.read(list(dataset.indexes), window=window), window=window)
                if warped.count > dataset.count:
                    alpha = warped.read(warped.count, window=window)
                    writer.write_mask(np.where(alpha > 0, 255, 0).astype("uint8"), window=window)
                report(0.6 * (number + 1) / len(pieces), "warping")
    return f"warped from ground control points to {target.to_string()}, nearest neighbour"

"""Writing cloud-optimized GeoTIFFs: ZSTD, 512-pixel tiles, overviews, embedded statistics.

A product is written once, window by window, as a temporary tiled file that gathers its statistics
(`tiled_writer`), then copied by GDAL's COG driver, which adds the overviews (`write_cog`). Adding
statistics to a finished COG would make it invalid.
"""

import contextlib
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from raster import tiff
from raster.errors import RasterError
from raster.footprint import full_area
from raster.reader import BLOCK, Layout, layout, open_guarded, read, read_mask, windows
from raster.statistics import Gatherer, from_tags, to_tags

LEVEL = 1
"""Of ZSTD, for measured values. Of imagery, heights and indices that the tests have, a higher level
makes files 0 to 1.5 % smaller in three to eight times the processor time."""
HIGH_LEVEL = 9
"""For classes, whose files it makes a quarter smaller, and for DEFLATE."""
MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
_PLAIN_BYTES = 1024**3  # an intermediate file up to this is not compressed: it goes at once
_ROOM = 4  # times its size must be free then: it, its overviews, the COG, and other jobs' files
# the COG driver keeps the overviews it makes in a file that it reads once and removes; without a
# word it is compressed as hard as libtiff's default, level 9. A small one is not compressed,
# where there is room
_SCRATCH: dict[str, Any] = {"ZSTD_LEVEL_OVERVIEW": "1"}
_SMALL_SCRATCH: dict[str, Any] = {"COG_TMP_COMPRESSION": "NONE"}
_FULL = ("no space", "quota", "file too large")  # as the system says it, within GDAL's words
_TILE_BYTES = 32 * 1024**2  # below the decoded-block cap that every reader applies

THREADS = "OPSTAC_BLOCK_THREADS"

Progress = Callable[[float, str], None]


def threads() -> int:
    """Threads that files are read and written with: those of the job, else up to four."""
    wanted = os.environ.get(THREADS, "")
    most = os.cpu_count() or 1
    return max(1, min(int(wanted) if wanted.isdecimal() else 4, most, 64))


@dataclass(frozen=True)
class Form:
    """How a COG is laid down; its pixels are the same in every form.

    Attributes:
        compression: ZSTD, DEFLATE or LZW; all keep every bit.
        level: of ZSTD (1 to 22) and DEFLATE (1 to 12); default `LEVEL`, of classes and
            of DEFLATE `HIGH_LEVEL`.
        block: side of a tile in pixels, a power of two; less where `block_size` says so.
        overviews: AVERAGE, NEAREST, BILINEAR, CUBIC, CUBICSPLINE, LANCZOS or MODE; default AVERAGE,
            for classes and palettes MODE.
    """

    compression: str = "ZSTD"
    level: int | None = None
    block: int = BLOCK
    overviews: str | None = None


@dataclass(frozen=True)
class Report:
    """Whether a file is a COG.

    Attributes:
        valid: layout, tiling and overviews are those of a COG.
        reasons: why not, in words.
        statistics: every data band has usable STATISTICS tags.
    """

    valid: bool
    reasons: tuple[str, ...]
    statistics: bool


def validate(path: str | os.PathLike[str]) -> Report:
    """Check a GeoTIFF's structure. Raises: RasterError: the file cannot be opened at all."""
    from rio_cogeo.cogeo import cog_validate

    with open_guarded(path) as dataset:
        made = layout(dataset)
        statistics = all(from_tags(dataset.tags(i)) is not None for i in made.data)
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


def _plainly(path: str | os.PathLike[str], size: int) -> bool:
    """Whether scratch files of so many bytes of pixels are best left as they are beside `path`."""
    if size > _PLAIN_BYTES:
        return False
    try:
        return shutil.disk_usage(Path(path).parent).free >= _ROOM * size
    except OSError:
        return False


def block_size(dtypes: Sequence[str], wanted: int = BLOCK) -> int:
    """What is wanted, or less where so many bands would make a tile too large to be read safely."""
    pixel_bytes = sum(np.dtype(dtype).itemsize for dtype in dtypes)
    size = wanted
    while size > 128 and size * size * pixel_bytes > _TILE_BYTES:
        size //= 2
    return size


class TiledFile:
    """An intermediate file that is being written; made by `tiled_writer`."""

    def __init__(
        self, writer: DatasetWriter, pool: ThreadPoolExecutor | None, masked: bool
    ) -> None:
        self._writer = writer
        self._masked = masked
        self._gatherers = [Gatherer() for _ in writer.indexes]
        self._pool = pool
        self._gathering: Future[None] | None = None

    def write(
        self,
        values: np.ndarray,
        window: Window,
        *,
        valid: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> None:
        """Write one window; the arrays belong to the file from then on.

        Args:
            values: shape (bands, rows, columns).
            valid: what counts for the statistics, same shape; default everything.
            mask: shape (rows, columns), True where valid; written as the file's internal mask.
                Of every window of a file that is `masked`, and of no other.
        """
        if (mask is not None) != self._masked:
            raise ValueError("a mask goes with every window of a masked file, and with no other")
        if self._pool is None:
            self._gather(values, valid)
        else:
            self._gathered()  # one window at a time: their order decides the last bit
            self._gathering = self._pool.submit(self._gather, values, valid)
        self._writer.write(values, window=window)
        if mask is not None:
            self._writer.write_mask(mask.astype("uint8") * 255, window=window)

    def _gather(self, values: np.ndarray, valid: np.ndarray | None) -> None:
        for number, gatherer in enumerate(self._gatherers):
            gatherer.add(values[number], None if valid is None else valid[number])

    def _gathered(self) -> None:
        if self._gathering is not None:
            self._gathering.result()

    def finish(self) -> None:
        """Embed the statistics."""
        self._gathered()
        pixels = self._writer.width * self._writer.height
        for index, gatherer in enumerate(self._gatherers, start=1):
            self._writer.update_tags(index, **to_tags(gatherer.result(pixels)))


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
    masked: bool = False,
    band_names: Sequence[str | None] = (),
    color_interpretation: Sequence[ColorInterp] | None = None,
    scales: Sequence[float] | None = None,
    offsets: Sequence[float] | None = None,
    colormap: dict[int, Any] | None = None,
    tags: dict[str, str] | None = None,
) -> Iterator[TiledFile]:
    """An intermediate file to write windows into; hand it to `write_cog` once closed.

    Args:
        masked: an internal mask is written with each window.
    """
    size = block_size([dtype] * count)
    plain = width * height * count * np.dtype(dtype).itemsize
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
        **({} if _plainly(path, plain) else {"compress": "zstd", "zstd_level": 1}),
        # the mask is written into a directory of its own: GDAL's threads that compress read the
        # file's tags while it goes there, and may find others
        "num_threads": "1" if masked else str(threads()),
        "bigtiff": "if_safer",
        "sparse_ok": True,
        "photometric": "minisblack",  # else four bytes a pixel become RGBA silently
        "alpha": "unspecified",
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
        pool = ThreadPoolExecutor(1, "statistics") if threads() > 1 else None
        try:
            made = TiledFile(writer, pool, masked)
            yield made
            made.finish()
        finally:
            if pool is not None:
                pool.shutdown()


def _scaled(scales: Sequence[float], offsets: Sequence[float]) -> bool:
    return any(s != 1.0 for s in scales) or any(o != 0.0 for o in offsets)


def write_cog(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    level: int | None = None,
    categorical: bool = False,
    form: Form | None = None,
) -> None:
    """Copy a file made with `tiled_writer` as a COG: same grid, pixels, bands, mask and tags.

    Overviews average; those of categorical data and of palettes take the most frequent value.
    Any other GeoTIFF goes through `convert_to_cog`, which computes the statistics.

    Args:
        form: of the file; goes before `level`.

    Raises: RasterError: `unreadable`: a block of the source is damaged; `disk_full`.
    """
    if not _is_whole(Path(source)):
        raise RasterError("disk_full", "the intermediate file could not be written to its end")
    with open_guarded(source, threads=threads()) as dataset:
        numbers = [np.dtype(dtype) for dtype in dataset.dtypes]
        predictable = all(n.kind in "iuf" and n.itemsize <= 8 for n in numbers)
        palette = any(c == ColorInterp.palette for c in dataset.colorinterp)
        # an average of classes or palette entries means nothing
        resampling = "MODE" if categorical or palette else "AVERAGE"
        form = form or Form(level=level)
        classes = resampling == "MODE"
        chosen = form.level or (HIGH_LEVEL if classes or form.compression == "DEFLATE" else LEVEL)
        levels = {} if form.compression == "LZW" else {"LEVEL": str(chosen)}
        try:
            plain = dataset.width * dataset.height * sum(n.itemsize for n in numbers)
            # the overviews of an internal mask come out with other bytes
            masked = any(
                MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
                for flags in dataset.mask_flag_enums
            )
            small = not masked and _plainly(destination, plain)
            with rasterio.Env(**(_SMALL_SCRATCH if small else _SCRATCH)):
                rasterio.shutil.copy(
                    dataset,
                    os.fspath(destination),
                    driver="COG",
                    COMPRESS=form.compression,
                    **levels,
                    # neighbouring classes are alike, and their difference is no class
                    PREDICTOR="YES" if predictable and not classes else "NO",
                    BLOCKSIZE=str(block_size(dataset.dtypes, form.block)),
                    OVERVIEW_RESAMPLING=form.overviews or resampling,
                    STATISTICS="AUTO",
                    BIGTIFF="IF_SAFER",
                    NUM_THREADS=str(threads()),
                )
        except RasterioError as error:
            Path(destination).unlink(missing_ok=True)
            full = any(words in str(error).lower() for words in _FULL)
            code = "disk_full" if full else "unreadable"
            raise RasterError(code, str(error).splitlines()[0][:200]) from None
    if not _is_whole(Path(destination)):
        Path(destination).unlink(missing_ok=True)
        raise RasterError("disk_full", "the COG could not be written to its end")


def _is_whole(path: Path) -> bool:
    """Whether all bytes of a file just written are there: neither GDAL nor rasterio says it.

    Raises: RasterError: it exceeds a cap.
    """
    try:
        end = max(directory.end for directory in tiff.check(path))
    except RasterError as error:
        if error.code not in ("truncated", "not_a_geotiff", "not_found"):
            raise
        return False
    with path.open("rb") as file:
        repeats = b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED" in file.read(1024)
    return path.stat().st_size >= end + (4 if repeats else 0)


def convert_to_cog(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    level: int | None = None,
    categorical: bool = False,
    band_names: Sequence[str] | None = None,
    form: Form | None = None,
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
        with open_guarded(source, threads=threads()) as dataset:
            made = layout(dataset, band_names=band_names)
            if dataset.crs is None or dataset.transform.is_identity:
                done = _warp_by_gcps(dataset, made, temporary, report)
            else:
                done = _rewrite(dataset, made, temporary, report)
        report(0.6, "writing the COG")
        write_cog(temporary, destination, level=level, categorical=categorical, form=form)
        report(1.0, "done")
        return done
    finally:
        temporary.unlink(missing_ok=True)


def _silent(fraction: float, stage: str) -> None:
    """Progress that nobody asked for."""


def colors(dataset: DatasetReader, made: Layout) -> list[ColorInterp]:
    """Colour interpretation of all bands, alpha only where it is believed."""
    return [
        ColorInterp.undefined if flag == ColorInterp.alpha and i != made.alpha else flag
        for i, flag in zip(dataset.indexes, dataset.colorinterp, strict=True)
    ]


def describe(dataset: DatasetReader, made: Layout) -> dict[str, Any]:
    """What `tiled_writer` needs to make a file with the same bands as `dataset`."""
    names = dict(zip(made.data, made.names, strict=True))
    own = {k: v for k, v in dataset.tags().items() if not k.startswith("STATISTICS_")}
    return {
        "dtype": dataset.dtypes[0],
        "count": dataset.count,
        "crs": dataset.crs,
        "nodata": dataset.nodata,
        "band_names": [names.get(i) for i in dataset.indexes],
        "color_interpretation": colors(dataset, made),
        "scales": dataset.scales,
        "offsets": dataset.offsets,
        "colormap": _colormap(dataset),
        "tags": own,
    }


def _colormap(dataset: DatasetReader) -> dict[int, Any] | None:
    if dataset.count != 1 or dataset.colorinterp[0] != ColorInterp.palette:
        return None
    return dataset.colormap(1)


def _rewrite(dataset: DatasetReader, made: Layout, path: Path, report: Progress) -> list[str]:
    same = {"width": dataset.width, "height": dataset.height, "transform": dataset.transform}
    described = {**describe(dataset, made), "masked": made.internal_mask}
    with tiled_writer(path, **same, **described) as out:
        pieces = list(windows(dataset))
        for number, window in enumerate(pieces):
            values = read(dataset, dataset.indexes, window=window, layout=made)
            masked = np.ma.getmaskarray(values)
            mask = read_mask(dataset, made, window) if made.internal_mask else None
            out.write(values.data, window, valid=~masked, mask=mask)
            report(0.6 * (number + 1) / len(pieces), "copying")
    flagged = any(dataset.colorinterp[i - 1] == ColorInterp.alpha for i in made.data)
    return ["a band wrongly flagged as alpha lost the flag"] if flagged else []


def _warp_by_gcps(dataset: DatasetReader, made: Layout, path: Path, report: Progress) -> list[str]:
    points, crs = dataset.gcps
    if len(points) < 3 or crs is None:
        raise RasterError("not_georeferenced", "the file does not say where on Earth it lies")
    target = _grid_for(dataset)
    masked = dataset.nodata is None and made.alpha is None
    options = {"src_crs": crs, "crs": target, "add_alpha": masked, "nodata": dataset.nodata}
    with WarpedVRT(dataset, **options) as warped:
        same = {"width": warped.width, "height": warped.height, "transform": warped.transform}
        bands = list(dataset.indexes)
        described = describe(dataset, made) | {"crs": target, "masked": masked}
        with tiled_writer(path, **same, **described) as out:
            pieces = list(windows(warped))
            for number, window in enumerate(pieces):
                values = read(warped, bands, window=window, layout=made)
                valid = ~np.ma.getmaskarray(values)
                mask = warped.read(warped.count, window=window) > 0 if masked else None
                if mask is not None:
                    valid &= mask
                out.write(values.data, window, valid=valid, mask=mask)
                report(0.6 * (number + 1) / len(pieces), "warping")
    return [f"warped from ground control points to {target.to_string()}, nearest neighbour"]


def _grid_for(dataset: DatasetReader) -> CRS:
    """The UTM zone of the raster's middle, or EPSG:4326 where no zone suits."""
    area = full_area(dataset)
    west, _, east, _ = area.bounds
    middle = area.centroid
    if abs(middle.y) > 84 or east - west > 12:
        return CRS.from_epsg(4326)
    zone = int((middle.x + 180) // 6) % 60 + 1
    return CRS.from_epsg((32600 if middle.y >= 0 else 32700) + zone)

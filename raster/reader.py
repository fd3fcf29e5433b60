"""Guarded opening and masked reading of a raster on its own grid.

Everything is read in windows of the source grid: no function here resamples, and none holds more
than one window. Geometry arrives in EPSG:4326 and is compared with pixels in pixel coordinates,
so rotated and south-up grids need no case of their own.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
import shapely
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import MaskFlags
from rasterio.errors import CRSError, RasterioError, RasterioIOError
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.warp import transform as warp_points
from rasterio.warp import transform_bounds
from rasterio.windows import Window
from shapely import affinity
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from raster import bands, counting, remote, tiff
from raster.errors import RasterError

BLOCK = 512
WINDOW_BYTES = 32 * 1024**2
MAX_EDGES = 1_000_000
"""Of a geometry on a grid, once its edges are divided to follow the projection."""

_HAIR = 0.001  # pixels
_ALPHA_SIDE = 256  # of the picture an alpha band is judged by


class Gridded(Protocol):
    """What has pixels on the ground: an open dataset, or a grid that something is written to."""

    @property
    def crs(self) -> CRS:
        """Of the coordinates that `transform` gives."""
        ...

    @property
    def transform(self) -> Affine:
        """Column and row → x and y."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...


def open_guarded(path: str | os.PathLike[str], *, threads: int = 1) -> DatasetReader:
    """Open a GeoTIFF and nothing else, after its caps are checked. Close it after use.

    Args:
        path: an absolute local path, `/vsis3/bucket/key` as the object store names it, or one that
            `raster.remote` mounted. Never an address chosen by a user.
        threads: decoding threads of one read.

    Raises: RasterError, see `raster.tiff.check`; `unreadable` where GDAL cannot open the file.
    """
    name = os.fspath(path)
    if name.startswith("/vsi") and not name.startswith(("/vsis3/", "/vsimem/", remote.PREFIX)):
        raise RasterError("unsupported", "only local files and the object store are opened")
    if not os.path.isabs(name) or "\0" in name:
        raise RasterError("not_found", "a raster is opened by its absolute path")
    if name.startswith(remote.PREFIX):
        file = remote.file_at(name)
        tiff.check_file(file, file.size)
    elif not name.startswith("/vsi"):
        tiff.check(name)
    try:
        dataset = rasterio.open(name, driver="GTiff", sharing=False, NUM_THREADS=str(threads))
    except (RasterioError, CRSError, OSError, ValueError) as error:
        raise RasterError(
            "unreadable", f"not readable as a GeoTIFF: {_plain(error, name)}"
        ) from None
    try:
        _check_caps(dataset)
    except BaseException:
        dataset.close()
        raise
    return dataset


def _check_caps(dataset: DatasetReader) -> None:
    if dataset.count == 0:
        raise RasterError("not_a_geotiff", "the file holds no band")
    if dataset.width * dataset.height > tiff.MAX_PIXELS:
        raise RasterError("too_many_pixels", f"more than {tiff.MAX_PIXELS:.0e} pixels a band")
    if dataset.count > tiff.MAX_BANDS:
        raise RasterError("too_many_bands", f"more than {tiff.MAX_BANDS} bands")
    if any(np.dtype(dtype).kind == "c" for dtype in dataset.dtypes):
        raise RasterError("unsupported", "complex numbers are not supported")
    rows, columns = dataset.block_shapes[0]
    together = dataset.count if dataset.profile.get("interleave") == "pixel" else 1
    if rows * columns * together * np.dtype(dataset.dtypes[0]).itemsize > tiff.MAX_BLOCK_BYTES:
        raise RasterError("block_too_large", "one block decodes to more than 64 MiB")


def _plain(error: BaseException, name: str) -> str:
    """GDAL's message without the place of the file on this machine."""
    return str(error).replace(name, "the file").splitlines()[0][:300] if str(error) else "damaged"


@dataclass(frozen=True)
class Layout:
    """How a file's bands are to be understood.

    Attributes:
        data: 1-based indices of the bands that hold data.
        names: one name for each of `data`, "" where unknown.
        alpha: 1-based index of the alpha band, if there is one.
        internal_mask: whether a mask image in the file says what is valid.
        nodata: one value for each of `data`, None where there is none; may be NaN.
        scales, offsets: value = stored * scale + offset, one for each of `data`.
    """

    data: tuple[int, ...]
    names: tuple[str, ...]
    alpha: int | None
    internal_mask: bool
    nodata: tuple[float | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]


def layout(
    dataset: DatasetReader,
    *,
    band_names: Sequence[str | None] | None = None,
    metadata: Sequence[Mapping[str, Any]] | None = None,
) -> Layout:
    """Which bands hold data, their names, masks and scaling.

    Args:
        band_names: from the item, where known; else the file's descriptions count.
        metadata: a dict a band with `scale`, `offset`, `nodata`, where the file itself has none.
    """
    names = [
        (band_names[i] if band_names and i < len(band_names) else None) or description or ""
        for i, description in enumerate(dataset.descriptions)
    ]
    alpha = bands.alpha_band([c.name for c in dataset.colorinterp], names)
    if alpha is not None and not names[alpha - 1]:
        # one name short of the bands: whoever named them knows that the rest is alpha
        known_alpha = len(band_names or ()) == len(names) - 1
        if not known_alpha and not _hides(dataset, alpha):
            names[alpha - 1], alpha = f"b{alpha}", None
    data = tuple(i for i in dataset.indexes if i != alpha)
    flags = dataset.mask_flag_enums[data[0] - 1] if data else []
    known = [dict(m) for m in metadata or ()] + [{}] * dataset.count
    scales, offsets, nodata = [], [], []
    for i in data:
        scale, offset = dataset.scales[i - 1], dataset.offsets[i - 1]
        if (scale, offset) == (1.0, 0.0):
            scale = _number(known[i - 1].get("scale"), 1.0)
            offset = _number(known[i - 1].get("offset"), 0.0)
        scales.append(scale)
        offsets.append(offset)
        nodata.append(dataset.nodatavals[i - 1])
    return Layout(
        data=data,
        names=tuple(names[i - 1] for i in data),
        alpha=alpha,
        internal_mask=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        nodata=tuple(nodata),
        scales=tuple(scales),
        offsets=tuple(offsets),
    )


def _hides(dataset: DatasetReader, band: int) -> bool:
    """Whether a band flagged alpha can be one: what it does not hide, it mostly shows in full.

    Writers flag the fourth of four byte bands without being asked. A measured band is seldom at its
    maximum; an alpha band is, but for soft edges.
    """
    shape = (min(dataset.height, _ALPHA_SIDE), min(dataset.width, _ALPHA_SIDE))
    values = dataset.read(band, out_shape=shape)
    shown = values[values != 0]
    return not shown.size or bool(np.mean(shown == shown.max()) >= 0.5)


def _number(value: object, default: float) -> float:
    usable = isinstance(value, int | float) and np.isfinite(value)
    return float(value) if usable else default  # type: ignore[arg-type]


def read(
    dataset: DatasetReader,
    indexes: Sequence[int] | None = None,
    *,
    window: Window | None = None,
    layout: Layout,
    scaled: bool = False,
    out_shape: tuple[int, int] | None = None,
) -> np.ma.MaskedArray:
    """Read bands with their masks.

    Args:
        indexes: 1-based; default all data bands.
        window: on the source grid; default the whole raster.
        layout: of this dataset.
        scaled: apply scale and offset; the result is then float32.
        out_shape: (rows, columns) of a reduced picture, nearest neighbour of the best overview.

    Returns:
        shape (bands, rows, columns), stored dtype or float32; masked where nodata, NaN, outside
        the internal mask or fully transparent.

    Raises: RasterError("unreadable"): a block cannot be decoded. Damage that can be decoded gives
        wrong pixels without a word: uncompressed, packbits, JPEG and LZW tiles hold no checksum,
        GDAL writes none into ZSTD ones, and libtiff does not compare that of DEFLATE ones. What
        tells is the file's SHA-256, noted when it came in; see `opstac verify --files`.
    """
    chosen = list(indexes or layout.data)
    shape_ = (len(chosen), *out_shape) if out_shape else None
    try:
        values = dataset.read(chosen, window=window, out_shape=shape_)
        shared = _shared_mask(dataset, layout, window, out_shape)
    except RasterioIOError as error:
        message = f"a block cannot be read: {_plain(error.__cause__ or error, dataset.name)}"
        raise RasterError("unreadable", message) from None
    counting.add_samples(values.size)
    mask = np.zeros(values.shape, dtype=bool)
    for row, index in enumerate(chosen):
        at = layout.data.index(index) if index in layout.data else None
        nodata = layout.nodata[at] if at is not None else None
        if nodata is not None and (stored := _stored(nodata, values.dtype)) is not None:
            np.equal(values[row], stored, out=mask[row])
        if values.dtype.kind == "f":
            mask[row] |= np.isnan(values[row])
    if shared is not None:
        for row, index in enumerate(chosen):
            if index != layout.alpha:
                mask[row] |= shared
    if scaled:
        values = values.astype(np.float32)
        for row, index in enumerate(chosen):
            at = layout.data.index(index)
            if (layout.scales[at], layout.offsets[at]) != (1.0, 0.0):
                values[row] *= np.float32(layout.scales[at])
                values[row] += np.float32(layout.offsets[at])
    return np.ma.MaskedArray(values, mask=mask)


def _stored(nodata: float, dtype: np.dtype) -> Any:
    """A nodata value to compare stored numbers with; None where none of them can be equal.

    Of whole numbers it is one of their own type: with a float, each would become a float64 first.
    """
    if np.isnan(nodata):
        return None
    if dtype.kind not in "iu" or dtype.itemsize > 4:
        return nodata
    limits = np.iinfo(dtype)
    whole = limits.min <= nodata <= limits.max and float(nodata).is_integer()
    return dtype.type(nodata) if whole else None


def read_mask(dataset: DatasetReader, layout: Layout, window: Window) -> np.ndarray:
    """True where neither alpha nor the internal mask hides the pixel; shape (rows, columns)."""
    hidden = _shared_mask(dataset, layout, window, None)
    return np.ones((int(window.height), int(window.width)), bool) if hidden is None else ~hidden


def _shared_mask(
    dataset: DatasetReader,
    layout: Layout,
    window: Window | None,
    out_shape: tuple[int, int] | None,
) -> np.ndarray | None:
    """True where the alpha band or the internal mask hides every band; None without either."""
    if layout.alpha is not None:
        return dataset.read(layout.alpha, window=window, out_shape=out_shape) == 0
    if layout.internal_mask:
        return dataset.read_masks(layout.data[0], window=window, out_shape=out_shape) == 0
    return None


def pixels(left: float, top: float, width: float, height: float) -> Window:
    """A window by its first column, first row, and size."""
    return Window(left, top, width, height)  # pyright: ignore[reportCallIssue]


def windows(
    dataset: DatasetReader,
    within: Window | None = None,
    *,
    block: int = BLOCK,
    limit: int = WINDOW_BYTES,
) -> Iterator[Window]:
    """Tile a window, row by row, in pieces of at most `limit` bytes of stored data.

    Pieces start at multiples of `block` from the corner of `within`, so that a tiled file that
    begins there is written in whole blocks.
    """
    within = within or pixels(0, 0, dataset.width, dataset.height)
    pixel_bytes = sum(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
    columns = max(block, limit // (pixel_bytes * block) // block * block)
    yield from tiles(within, columns, block)


def tiles(within: Window, columns: int, rows: int) -> Iterator[Window]:
    """Cut a window into pieces of at most `columns` x `rows` pixels, row by row."""
    left, top = int(within.col_off), int(within.row_off)
    width, height = int(within.width), int(within.height)
    for row in range(0, height, rows):
        for column in range(0, width, columns):
            yield pixels(
                left + column,
                top + row,
                min(columns, width - column),
                min(rows, height - row),
            )


@dataclass(frozen=True)
class Area:
    """A geometry in a raster's pixel coordinates (columns to the right, rows downwards).

    Attributes:
        window: whole pixels that the geometry's bounds touch, within the raster.
        geometry: polygonal.
        all_touched: True where no pixel centre is inside and every touched pixel is meant.
    """

    window: Window
    geometry: BaseGeometry
    all_touched: bool = False

    def inside(self, window: Window) -> np.ndarray:
        """True where a pixel of `window` is meant: shape (rows, columns)."""
        return _inside(self.geometry, window, self.all_touched)


def area(dataset: Gridded, geometry: Mapping[str, Any]) -> Area:
    """Place a geometry on the raster's grid.

    A pixel is inside if its centre is, as with `gdalwarp -cutline`. A geometry smaller than a
    pixel, with no centre in it, means the pixels it touches.

    Args:
        geometry: GeoJSON Polygon or MultiPolygon, EPSG:4326.

    Raises: RasterError: `no_overlap`, `not_georeferenced`, `too_complex`.
    """
    if dataset.crs is None:
        raise RasterError("not_georeferenced", "the raster has no coordinate reference system")
    polygons = on_grid(dataset, shape(dict(geometry)))
    if polygons.is_empty:
        raise RasterError("no_overlap", "the geometry lies outside the raster")
    left, top, right, bottom = polygons.bounds
    # an edge drawn along the grid is bent by the projection and crosses it by a hair
    left, top = int(np.floor(left + _HAIR)), int(np.floor(top + _HAIR))
    left, top = min(left, dataset.width - 1), min(top, dataset.height - 1)
    right = min(max(int(np.ceil(right - _HAIR)), left + 1), dataset.width)
    bottom = min(max(int(np.ceil(bottom - _HAIR)), top + 1), dataset.height)
    window = pixels(left, top, right - left, bottom - top)
    for piece in tiles(window, 8 * BLOCK, BLOCK):
        if _inside(polygons, piece, False).any():
            return Area(window, polygons)
    return Area(window, polygons, all_touched=True)


def _inside(geometry: BaseGeometry, window: Window, all_touched: bool) -> np.ndarray:
    rows, columns = int(window.height), int(window.width)
    burned = rasterize(
        [(geometry, 1)],
        out_shape=(rows, columns),
        transform=Affine.translation(window.col_off, window.row_off),
        all_touched=all_touched,
        dtype="uint8",
    )
    return np.asarray(burned, dtype=bool)


def on_grid(dataset: Gridded, geometry: BaseGeometry) -> BaseGeometry:
    """The part of a geometry (EPSG:4326) that lies on the grid, in pixel coordinates."""
    full = shapely.box(0, 0, dataset.width, dataset.height)
    placed = to_pixels(dataset, geometry).intersection(full)
    return together([p for p in shapely.get_parts(placed) if p.geom_type == "Polygon" and p.area])


def together(parts: Sequence[BaseGeometry]) -> BaseGeometry:
    """Polygons of which none overlaps another as one; to join jagged ones would take seconds."""
    if len(parts) == 1:
        return parts[0]
    plain = [part for part in parts if isinstance(part, shapely.Polygon)]
    return shapely.MultiPolygon(plain) if len(plain) == len(parts) else shapely.union_all(parts)


def to_pixels(dataset: Gridded, geometry: BaseGeometry) -> BaseGeometry:
    """A geometry (EPSG:4326) in the raster's pixel coordinates, at least where they meet.

    Edges are straight in longitude and latitude, as GeoJSON means them, so they are divided until
    they lie within 1/5000 pixel of the curve they are on the raster's grid.
    """
    near, shifts = geometry, (0.0,)
    if dataset.crs.is_geographic:
        shifts = (-360.0, 0.0, 360.0)  # a raster from 0° to 360° meets western longitudes too
    else:
        near = _divided_nearby(dataset, geometry)
    if near.is_empty:
        return near
    inverse = _shapely_order(~dataset.transform)
    placed = []
    for shift in shifts:
        moved = _project(dataset, near, shift)
        if moved is not None:
            made = affinity.affine_transform(moved, inverse)
            placed.append(made if made.is_valid else shapely.make_valid(made))
    if len(placed) == 1:
        return placed[0]
    return shapely.union_all(placed) if placed else shapely.Polygon()


def move(from_crs: Any, to_crs: Any, points: np.ndarray) -> np.ndarray:
    """Points (n, 2) in another CRS; not finite where one has no place in it."""
    xs, ys = points[:, 0].tolist(), points[:, 1].tolist()
    moved = warp_points(from_crs, to_crs, xs, ys)
    return np.column_stack([np.asarray(moved[0], float), np.asarray(moved[1], float)])


def _project(dataset: Gridded, geometry: BaseGeometry, shift: float) -> BaseGeometry | None:
    """In the raster's CRS; None where a vertex has no place in it."""
    try:
        moved = move("EPSG:4326", dataset.crs, shapely.get_coordinates(geometry))
    except CPLE_BaseError:
        return None
    if not np.isfinite(moved).all():
        return None
    return shapely.set_coordinates(shapely.force_2d(geometry), np.add(moved, (shift, 0.0)))


def _divided_nearby(dataset: Gridded, geometry: BaseGeometry) -> BaseGeometry:
    """The part of the geometry near the raster, its edges divided.

    What lies far away cannot always be projected, and would be divided in vain.
    """
    west, south, east, north = geographic_bounds(dataset)
    boxes = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    margin = 0.05 * max(north - south, min(360.0, (east - west) % 360)) + 1e-6
    near = shapely.union_all(
        [shapely.box(w - margin, south - margin, e + margin, north + margin) for w, e in boxes]
    )
    # a chord of length c misses a circle of radius R by c²/8R; halved for high latitudes
    pixel_m = 111_320 * (north - south) / max(dataset.width, dataset.height)
    longest_m = np.sqrt(8 * 0.0002 * pixel_m * 6_371_000) / 2
    longest, there = max(longest_m / 111_320, 1e-6), geometry.intersection(near)
    if there.length / longest > MAX_EDGES:
        raise RasterError("too_complex", "the geometry goes to and fro over the raster too often")
    return shapely.segmentize(there, longest)


def geographic_bounds(dataset: Gridded) -> tuple[float, float, float, float]:
    """west, south, east, north in degrees; west > east across the antimeridian."""
    xs, ys = zip(*corners(dataset), strict=True)
    return transform_bounds(
        dataset.crs, "EPSG:4326", min(xs), min(ys), max(xs), max(ys), densify_pts=21
    )


def place(transform: Affine, column: float, row: float) -> tuple[float, float]:
    """x, y in the raster's CRS of a pixel position; whole numbers are pixel corners."""
    t = transform
    return t.a * column + t.b * row + t.c, t.d * column + t.e * row + t.f


def corners(dataset: Gridded) -> list[tuple[float, float]]:
    """x, y of the grid's four corners."""
    width, height = dataset.width, dataset.height
    ends = ((0, 0), (width, 0), (width, height), (0, height))
    return [place(dataset.transform, column, row) for column, row in ends]


def _shapely_order(transform: Affine) -> list[float]:
    return [transform.a, transform.b, transform.d, transform.e, transform.c, transform.f]


def local_path(path: str | os.PathLike[str]) -> Path | None:
    """The path on this machine, or None for an object in a remote store."""
    name = os.fspath(path)
    return None if name.startswith("/vsi") else Path(name)

"""The fast read: one window of one overview, a coarse grid of coordinates, one remap.

A tile's pixel centres are located in the raster by transforming a coarse grid of points exactly
and interpolating between them; the grid is refined until interpolation is within
`TOLERANCE_PIXELS` of the pixels that are read. Values agree with GDAL's bilinear and nearest warp
(see the tests): a pixel has a value where the nearest source pixel has one, and that value is the
weighted mean of those of its four neighbours that have one.
"""

import math

import numpy as np
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from raster import reflectance
from raster.formula import Formula
from tiler import datasets, handles
from tiler.datasets import Header
from tiler.errors import TileError
from tiler.locate import Located, NotCovered, Request, locate, spread
from tiler.pixels import Pixels
from tiler.remap import interleaved, remap
from tiler.work import checkpoint

MAX_SOURCE_PIXELS = 10**8
MAX_DECODED_BYTES = 2 << 30
"""What one picture may decode: a second or two of a core."""

_MAX_REMAP_SIDE = 32000  # cv2.remap addresses its source with 16-bit numbers
_PAD = 2
# what cv2.remap interpolates exactly; of others (int16, float64) it rounds positions to 1/32 pixel
_EXACT = frozenset(("uint8", "uint16", "float32"))


def read(header: Header, request: Request) -> Pixels | None:
    """The pixels of a map picture; None where the raster has none there.

    Raises: NotCovered, Unreadable, TileError (422: too many pixels for one picture).
    """
    if not _near(header, request.bounds):
        return None
    if request.resampling not in ("bilinear", "nearest") and header.control_points is None:
        raise NotCovered  # between control points only this read is exact: cubic is bilinear there
    found = locate(header, request)
    left, right = float(found.columns.min()), float(found.columns.max())
    top, bottom = float(found.rows.min()), float(found.rows.max())
    if right <= 0 or bottom <= 0 or left >= header.width or top >= header.height:
        return None
    level = choose_level(header, found.scale)
    handle = handles.dataset(header, level)
    fx, fy = header.width / handle.width, header.height / handle.height
    try:
        aligned = _aligned(header, request, handle, found, (left / fx, top / fy), (fx, fy))
        if aligned is not None:
            return aligned
        return _warped(header, request, handle, found, (left, top, right, bottom), (fx, fy))
    except RasterioError:
        handles.forget(header)
        raise datasets.unreadable("the asset's pixels cannot be read") from None


def _near(header: Header, bounds: tuple[float, float, float, float]) -> bool:
    west, south, east, north = bounds
    return any(
        box[0] < east and box[2] > west and box[1] < north and box[3] > south
        for box in header.web_mercator_boxes
    )


def choose_level(header: Header, scale: float) -> int:
    """The coarsest level no coarser than the picture; `scale` is source pixels a picture pixel."""
    level = 0
    for index, factor in enumerate(header.levels):
        if factor <= scale * 1.0001:
            level = index
    return level


# -- reading ------------------------------------------------------------------------------------


def _aligned(
    header: Header,
    request: Request,
    handle: DatasetReader,
    found: Located,
    corner: tuple[float, float],
    factor: tuple[float, float],
) -> Pixels | None:
    """A plain window read, where the picture's grid is the overview's; None where it is not."""
    size = request.size
    if not header.is_web_mercator or abs(found.scale / factor[0] - 1) > 1e-4:
        return None
    if header.transform.b or header.transform.d or header.transform.e > 0:
        return None
    column, row = round(corner[0]), round(corner[1])
    if abs(corner[0] - column) > 0.01 or abs(corner[1] - row) > 0.01:
        return None
    if column < 0 or row < 0 or column + size > handle.width or row + size > handle.height:
        return None
    window = Window(column, row, size, size)  # type: ignore[call-arg]
    planes, masked, alpha = _window(header, request, handle, window, None)
    return Pixels(interleaved(planes), masked, alpha)


def _warped(
    header: Header,
    request: Request,
    handle: DatasetReader,
    found: Located,
    box: tuple[float, float, float, float],
    factor: tuple[float, float],
) -> Pixels:
    """Read the window around the picture and remap it."""
    size, (fx, fy) = request.size, factor
    c0 = max(0, math.floor(box[0] / fx) - _PAD)
    r0 = max(0, math.floor(box[1] / fy) - _PAD)
    c1 = min(handle.width, math.ceil(box[2] / fx) + _PAD)
    r1 = min(handle.height, math.ceil(box[3] / fy) + _PAD)
    width, height = c1 - c0, r1 - r0
    if width * height > MAX_SOURCE_PIXELS:
        raise TileError(
            422,
            "Unprocessable Content",
            "this zoom level needs more than 100 million pixels of a raster without overviews",
        )
    window = Window(c0, r0, width, height)  # type: ignore[call-arg]
    _affordable(handle, window, len(request.bidx))
    shape = _decimated(width, height, found.scale / min(fx, fy))
    sx, sy = (width / shape[1], height / shape[0]) if shape else (1.0, 1.0)
    read_height, read_width = shape or (height, width)
    if max(read_height, read_width) > _MAX_REMAP_SIDE:
        raise NotCovered
    planes, masked, alpha = _window(header, request, handle, window, shape)

    map_x = spread((found.columns / fx - c0) / sx - 0.5, size)
    map_y = spread((found.rows / fy - r0) / sy - 0.5, size)
    inside = None
    if box[0] < 0 or box[1] < 0 or box[2] > header.width or box[3] > header.height:
        inside = (map_x >= -0.5) & (map_x < read_width - 0.5)
        inside &= (map_y >= -0.5) & (map_y < read_height - 0.5)
    pixels = remap(planes, masked, alpha, map_x, map_y, request.resampling == "nearest")
    if inside is not None and not inside.all():
        if pixels.alpha is None:
            pixels.alpha = inside.astype(np.uint8) * 255
        else:
            pixels.alpha[~inside] = 0
    return pixels


def _affordable(handle: DatasetReader, window: Window, bands: int) -> None:
    """Refuse a read that decodes far more than it shows: strips, or bands by the hundred."""
    if handles.decoded_bytes(handle, window, bands) > MAX_DECODED_BYTES:
        raise TileError(
            422,
            "Unprocessable Content",
            "this picture needs more than 2 GiB of the raster's blocks; write it with tiles, "
            "overviews and fewer bands",
        )


def _decimated(width: int, height: int, ratio: float) -> tuple[int, int] | None:
    """(rows, columns) to read at, where even the coarsest overview is far finer than needed."""
    if ratio < 3:
        return None
    by = ratio / 1.5
    return max(1, math.ceil(height / by)), max(1, math.ceil(width / by))


def _window(
    header: Header,
    request: Request,
    handle: DatasetReader,
    window: Window,
    shape: tuple[int, int] | None,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """(planes, masked, alpha) of a window: shape (bands, rows, columns), then as in Pixels."""
    checkpoint()
    how = Resampling.nearest if request.resampling == "nearest" else Resampling.average
    rows, columns = shape or (int(window.height), int(window.width))
    bidx = request.bidx
    wanted = bidx if request.alpha_bidx is None else (*bidx, request.alpha_bidx)
    stacked = handle.read(
        wanted, window=window, out_shape=(len(wanted), rows, columns), resampling=how
    )
    alpha = None
    if request.alpha_bidx is not None:
        alpha, stacked = to_byte(stacked[-1]), stacked[:-1]
        alpha = None if alpha.min() == 255 else alpha
    masked = _missing(header, request, stacked)
    if header.has_mask_band:
        checkpoint()
        hidden = handle.read_masks(1, window=window, out_shape=(rows, columns)) == 0
        if hidden.any():
            masked = np.zeros((rows, columns, len(bidx)), bool) if masked is None else masked
            masked |= hidden[..., None]
    if stacked.dtype.name not in _EXACT:
        stacked = stacked.astype(np.float32)
    return stacked, masked, alpha


def to_byte(alpha: np.ndarray) -> np.ndarray:
    """An alpha band as 0 to 255; wider types use their whole range."""
    if alpha.dtype == np.uint8:
        return alpha
    if alpha.dtype.kind in "ui":
        return (alpha.astype(np.float64) * (255.0 / np.iinfo(alpha.dtype).max)).astype(np.uint8)
    return (np.nan_to_num(alpha) > 0).astype(np.uint8) * 255


def _missing(header: Header, request: Request, stacked: np.ndarray) -> np.ndarray | None:
    """True where a band has no value: shape (rows, columns, bands); None if there is none."""
    missing = None
    for position, bidx in enumerate(request.bidx):
        nodata = header.nodata[bidx - 1] if request.nodata is None else request.nodata
        values = stacked[position]
        is_float = values.dtype.kind == "f"
        found = np.isnan(values) if is_float else None
        if nodata is not None and not math.isnan(nodata):
            # compared in the file's type: -3.4e38 written as float32 is not that float64
            same = values == (values.dtype.type(nodata) if is_float else nodata)
            found = same if found is None else found | same
        if found is not None and found.any():
            if missing is None:
                missing = np.zeros((*values.shape, len(request.bidx)), bool)
            missing[..., position] = found
    return missing


# -- whole rasters ------------------------------------------------------------------------------


def overview(
    header: Header,
    bidx: tuple[int, ...],
    side: int,
    *,
    nodata: float | None = None,
    alpha_bidx: int | None = None,
    resampling: str = "nearest",
    shape: tuple[int, int] | None = None,
) -> Pixels:
    """The whole raster on its own grid, from the coarsest level at least `side` pixels long.

    Args:
        shape: (rows, columns) to read at exactly; default the level's own, at most twice `side`.

    Raises: Unreadable, TileError.
    """
    longest = max(header.width, header.height)
    level = choose_level(header, max(1.0, longest / side))
    handle = handles.dataset(header, level)
    if handle.width * handle.height > MAX_SOURCE_PIXELS:
        raise TileError(422, "Unprocessable Content", "the raster is large and has no overviews")
    if shape is None:
        shrink = max(1.0, max(handle.width, handle.height) / (2 * side))
        shape = (max(1, int(handle.height / shrink)), max(1, int(handle.width / shrink)))
    request = Request((0, 0, 0, 0), 0, bidx, nodata, alpha_bidx, resampling)
    try:
        window = Window(0, 0, handle.width, handle.height)  # type: ignore[call-arg]
        _affordable(handle, window, len(bidx))
        planes, masked, alpha = _window(header, request, handle, window, shape)
        return Pixels(interleaved(planes), masked, alpha)
    except RasterioError:
        handles.forget(header)
        raise datasets.unreadable("the asset's pixels cannot be read") from None


def evaluate(formula: Formula, header: Header, pixels: Pixels) -> np.ma.MaskedArray:
    """A formula of pixels whose bands are `formula.bands`: float32, (blocks, rows, columns)."""
    bands = scaled_bands(header, formula.bands, pixels)
    return reflectance.evaluate(formula, bands, datasets.divisors(header, formula.bands))


def scaled_bands(header: Header, bidx: tuple[int, ...], pixels: Pixels) -> dict[int, np.ndarray]:
    """1-based band → float32 values with scale and offset applied, as formulas take them."""
    found: dict[int, np.ndarray] = {}
    for position, index in enumerate(bidx):
        band = pixels.band(position)
        values = np.ma.getdata(band).astype(np.float32, order="C")
        scale, offset = header.scales[index - 1], header.offsets[index - 1]
        if (scale, offset) != (1.0, 0.0):
            values *= np.float32(scale)
            values += np.float32(offset)
        found[index] = np.ma.MaskedArray(values, mask=np.ma.getmask(band))
    return found

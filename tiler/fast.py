"""The fast read: one window of one overview, a coarse grid of coordinates, one remap.

A tile's pixel centres are located in the raster by transforming a coarse grid of points exactly
and interpolating between them; the grid is refined until interpolation is within
`TOLERANCE_PIXELS` of the pixels that are read. Values agree with GDAL's bilinear and nearest warp
(see the tests): a pixel has a value where the nearest source pixel has one, and that value is the
weighted mean of those of its four neighbours that have one.
"""

import math

import cv2
import numpy as np
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from raster import reflectance
from raster.formula import Formula
from tiler import datasets
from tiler.datasets import Header
from tiler.errors import TileError
from tiler.locate import Located, NotCovered, Request, locate, spread
from tiler.pixels import Pixels
from tiler.work import checkpoint

cv2.setNumThreads(0)  # threads of its own would fight with those of the tile pool

MAX_SOURCE_PIXELS = 10**8
MAX_DECODED_BYTES = 2 << 30
"""What one picture may decode: a second or two of a core."""

_MAX_REMAP_SIDE = 32000  # cv2.remap addresses its source with 16-bit numbers
_PAD = 2
# what cv2.remap interpolates exactly; of others (int16, float64) it rounds positions to 1/32 pixel
_EXACT = frozenset(("uint8", "uint16", "float32"))
# and of how many channels: with others it rounds positions likewise
_EXACT_CHANNELS = (1, 3, 4)


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
    handle = datasets.dataset(header, level)
    fx, fy = header.width / handle.width, header.height / handle.height
    try:
        aligned = _aligned(header, request, handle, found, (left / fx, top / fy), (fx, fy))
        if aligned is not None:
            return aligned
        return _warped(header, request, handle, found, (left, top, right, bottom), (fx, fy))
    except RasterioError:
        datasets.forget(header)
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
    return Pixels(_interleaved(planes), masked, alpha)


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
    pixels = _remap(planes, masked, alpha, map_x, map_y, request.resampling == "nearest")
    if inside is not None and not inside.all():
        if pixels.alpha is None:
            pixels.alpha = inside.astype(np.uint8) * 255
        else:
            pixels.alpha[~inside] = 0
    return pixels


def _affordable(handle: DatasetReader, window: Window, bands: int) -> None:
    """Refuse a read that decodes far more than it shows: strips, or bands by the hundred."""
    if datasets.decoded_bytes(handle, window, bands) > MAX_DECODED_BYTES:
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


def _interleaved(planes: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """(bands, rows, columns) → (rows, columns, bands), many times faster than a transposed copy."""
    out = cv2.merge([*planes, *more])
    return out if out.ndim == 3 else out[..., None]


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


# -- resampling ---------------------------------------------------------------------------------


def _remap(
    planes: np.ndarray,
    masked: np.ndarray | None,
    alpha: np.ndarray | None,
    map_x: np.ndarray,
    map_y: np.ndarray,
    nearest: bool,
) -> Pixels:
    flag = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    if masked is None and alpha is None:
        return Pixels(_cv_planes(planes, map_x, map_y, flag))
    if nearest:
        return Pixels(
            _cv_planes(planes, map_x, map_y, flag),
            None if masked is None else _cv(masked.astype(np.uint8), map_x, map_y, flag) > 0,
            None if alpha is None else _cv(alpha, map_x, map_y, flag)[..., 0],
        )
    return _remap_weighted(planes, masked, alpha, map_x, map_y)


def _remap_weighted(
    planes: np.ndarray,
    masked: np.ndarray | None,
    alpha: np.ndarray | None,
    map_x: np.ndarray,
    map_y: np.ndarray,
) -> Pixels:
    """Bilinear among the pixels that have a value and show.

    As GDAL does: what shows at all counts whole, however thin; alpha is interpolated by itself.
    """
    shared = _shared(masked)
    if masked is None or shared is not None:
        # one weight for all bands: it is carried along as one more of them
        shape = planes.shape[1:]
        weight = np.ones(shape, np.float32) if alpha is None else (alpha > 0).astype(np.float32)
        if shared is not None:
            weight[shared] = 0
        values = planes.astype(np.float32)
        if planes.dtype.kind == "f":
            values[:, weight == 0] = 0  # nan * 0 is nan
        values *= weight
        found = _cv(_interleaved(values, weight), map_x, map_y, cv2.INTER_LINEAR)
        total = found[..., -1:].copy()
        three = found.shape[2] == 4
        mixed = (
            cv2.cvtColor(found, cv2.COLOR_BGRA2BGR)
            if three
            else np.ascontiguousarray(found[..., :-1])
        )
        # where nothing shows the values are zero as well
        mixed /= np.maximum(total, np.float32(1e-6))
    else:
        weights = (~masked).astype(np.float32)
        if alpha is not None:
            weights *= (alpha > 0)[..., None]
        values = _interleaved(planes).astype(np.float32)
        values[weights == 0] = 0
        total = _cv(weights, map_x, map_y, cv2.INTER_LINEAR)
        mixed = _cv(values * weights, map_x, map_y, cv2.INTER_LINEAR)
        np.divide(mixed, total, out=mixed, where=total > 1e-6)
    out_masked = None
    if masked is not None:
        layers = masked if shared is None else shared[..., None]
        out_masked = _cv(layers.astype(np.uint8), map_x, map_y, cv2.INTER_NEAREST) > 0
        out_masked = out_masked | (total <= 1e-6)
        if not out_masked.any():
            out_masked = None
        elif shared is not None:
            out_masked = np.broadcast_to(out_masked, mixed.shape)
    out_alpha = None
    if alpha is not None:
        out_alpha = _cv(alpha, map_x, map_y, cv2.INTER_LINEAR)[..., 0]
        # as GDAL: nothing is painted where the nearest pixel does not show at all
        out_alpha[_cv(alpha, map_x, map_y, cv2.INTER_NEAREST)[..., 0] == 0] = 0
    if planes.dtype.kind in "ui":
        np.rint(mixed, out=mixed)  # a mean lies between its values: nothing to clip
    return Pixels(mixed.astype(planes.dtype, copy=False), out_masked, out_alpha)


def _shared(masked: np.ndarray | None) -> np.ndarray | None:
    """The mask (rows, columns) that all bands have in common; None where they differ."""
    if masked is None:
        return None
    first = masked[..., 0]
    same = all(np.array_equal(first, masked[..., band]) for band in range(1, masked.shape[2]))
    return first if same else None


def _cv_planes(planes: np.ndarray, map_x: np.ndarray, map_y: np.ndarray, flag: int) -> np.ndarray:
    if len(planes) != 3:
        return _cv(_interleaved(planes), map_x, map_y, flag)
    # four channels fill a vector register, three do not: half the time, the same numbers
    four = _cv(_interleaved(planes, planes[0]), map_x, map_y, flag)
    return cv2.cvtColor(four, cv2.COLOR_BGRA2BGR)


def _cv(array: np.ndarray, map_x: np.ndarray, map_y: np.ndarray, flag: int) -> np.ndarray:
    channels = array.shape[2] if array.ndim == 3 else 1
    if flag == cv2.INTER_LINEAR and channels not in _EXACT_CHANNELS:
        return _cv_in_fours(array, map_x, map_y)
    out = cv2.remap(array, map_x, map_y, flag, borderMode=cv2.BORDER_REPLICATE)
    return out if out.ndim == 3 else out[..., None]


def _cv_in_fours(array: np.ndarray, map_x: np.ndarray, map_y: np.ndarray) -> np.ndarray:
    """Any number of channels, four at a time; what is missing of the last four is padding."""
    channels = array.shape[2]
    parts = []
    for start in range(0, channels, 4):
        four = array[..., start : start + 4]
        four = np.pad(four, ((0, 0), (0, 0), (0, 4 - four.shape[2])))
        parts.append(_cv(four, map_x, map_y, cv2.INTER_LINEAR))
    return np.concatenate(parts, axis=2)[..., :channels]


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
    handle = datasets.dataset(header, level)
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
        return Pixels(_interleaved(planes), masked, alpha)
    except RasterioError:
        datasets.forget(header)
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

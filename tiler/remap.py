"""Pixels at places between those of a raster: nearest or bilinear, among those that have values."""

import cv2
import numpy as np

from tiler.pixels import Pixels

cv2.setNumThreads(0)  # threads of its own would fight with those of the tile pool

# of how many channels cv2.remap interpolates exactly: with others it rounds positions to 1/32 pixel
_EXACT_CHANNELS = (1, 3, 4)


def remap(
    planes: np.ndarray,
    masked: np.ndarray | None,
    alpha: np.ndarray | None,
    map_x: np.ndarray,
    map_y: np.ndarray,
    nearest: bool,
) -> Pixels:
    """The pixels at other places.

    Args:
        planes: (bands, rows, columns).
        masked: True where a band has no value, (rows, columns, bands); alpha: (rows, columns).
        map_x, map_y: float32, where each pixel of the picture lies in them, as cv2.remap counts.
    """
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
        found = _cv(interleaved(values, weight), map_x, map_y, cv2.INTER_LINEAR)
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
        values = interleaved(planes).astype(np.float32)
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
        return _cv(interleaved(planes), map_x, map_y, flag)
    # four channels fill a vector register, three do not: half the time, the same numbers
    four = _cv(interleaved(planes, planes[0]), map_x, map_y, flag)
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


def interleaved(planes: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """(bands, rows, columns) → (rows, columns, bands), many times faster than a transposed copy."""
    out = cv2.merge([*planes, *more])
    return out if out.ndim == 3 else out[..., None]

"""Values to colours, by look-up table where the values are whole numbers of 16 bits."""

from functools import lru_cache

import cv2
import numpy as np

from raster.formula import Formula
from tiler import adjust, fast
from tiler.datasets import Header
from tiler.pixels import Pixels
from tiler.rescale import Range
from tiler.style import Style

_ENTRIES = {"uint8": 256, "uint16": 65536}


def paint(pixels: Pixels, header: Header, style: Style) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours of a picture.

    Returns: (uint8 (rows, columns, 1 or 3), uint8 alpha (rows, columns) or None if opaque).
    """
    colors, alpha = _paint(pixels, header, style)
    return adjust.apply(style.adjustments, colors), alpha


def _paint(pixels: Pixels, header: Header, style: Style) -> tuple[np.ndarray, np.ndarray | None]:
    if style.palette is not None:
        colors = style.palette[_indices(pixels.data[..., 0], len(style.palette))]
        return _with_table_alpha(colors, pixels.opacity())
    if style.formula is not None:
        return _paint_formula(pixels, header, style, style.formula)
    if style.classes is not None and not style.rescale:
        return _with_table_alpha(style.classes.paint(pixels.data[..., 0]), pixels.opacity())
    alpha = pixels.opacity()
    if pixels.data.dtype.name in _ENTRIES:
        grey = _by_table(pixels.data, style)
    else:
        values = pixels.data.astype(np.float32, copy=False)
        grey = np.empty(values.shape, np.uint8)
        for position in range(values.shape[2]):
            grey[..., position] = _linear(values[..., position], style.rescale[position])
        grey = brightened(grey, style.gamma)
    return _colored(grey, style, alpha)


def _paint_formula(
    pixels: Pixels, header: Header, style: Style, formula: Formula
) -> tuple[np.ndarray, np.ndarray | None]:
    values = fast.evaluate(formula, header, pixels)
    alpha = pixels.alpha
    hidden = np.ma.getmaskarray(values).any(axis=0)
    if hidden.any():
        alpha = np.full(hidden.shape, 255, np.uint8) if alpha is None else alpha.copy()
        alpha[hidden] = 0
    if style.classes is not None and not style.rescale:
        return _with_table_alpha(style.classes.paint(np.nan_to_num(values.data[0])), alpha)
    grey = np.stack(
        [_linear(block, style.rescale[i]) for i, block in enumerate(values.data)], axis=2
    )
    return _colored(brightened(grey, style.gamma), style, alpha)


def values(pixels: Pixels, header: Header, style: Style, *, unscale: bool) -> np.ma.MaskedArray:
    """What a picture is made of: (bands, rows, columns), masked where nothing is known.

    A formula's blocks as float32; bands in the file's type as stored, or float32 with scale and
    offset applied.
    """
    if style.formula is not None:
        found = fast.evaluate(style.formula, header, pixels)
        hidden = np.ma.getmaskarray(found)
        if pixels.alpha is not None:
            hidden = hidden | (pixels.alpha == 0)[None]
        return np.ma.MaskedArray(found.data, mask=hidden)
    if unscale:
        scaled = fast.scaled_bands(header, style.bidx, pixels)
        return np.ma.stack([scaled[index] for index in style.bidx])
    stacked = np.ma.stack([pixels.band(position) for position in range(len(style.bidx))])
    if stacked.dtype == header.dtype:
        return stacked
    data = np.nan_to_num(stacked.data) if header.dtype.kind in "iu" else stacked.data
    if header.dtype.kind in "iu":
        limits = np.iinfo(header.dtype)
        data = np.clip(np.rint(data), limits.min, limits.max)
    return np.ma.MaskedArray(data.astype(header.dtype), mask=np.ma.getmaskarray(stacked))


def _linear(values: np.ndarray, shown: Range) -> np.ndarray:
    """Values of a range spread over 0 to 255, rounded down as rio-tiler does; NaN is 0."""
    low, high = shown
    with np.errstate(over="ignore"):  # what is beyond float32 is beyond the range
        spread = (np.nan_to_num(values, nan=low) - np.float32(low)) * np.float32(255 / (high - low))
    return np.clip(spread, 0, 255).astype(np.uint8)


def _by_table(data: np.ndarray, style: Style) -> np.ndarray:
    kind = data.dtype.name
    tables = tuple(_table(kind, shown, style.gamma) for shown in style.rescale)
    out = cv2.LUT(data, _joined(tables))
    return out if out.ndim == 3 else out[..., None]


class _Table:
    """A look-up table that hashes by identity, so that joined ones can be cached."""

    __slots__ = ("values",)

    def __init__(self, values: np.ndarray) -> None:
        self.values = values


@lru_cache(512)
def _table(kind: str, shown: Range, gamma: float) -> _Table:
    """Stored number → 0 to 255: uint8, 256 or 65,536 entries."""
    stored = np.arange(_ENTRIES[kind], dtype=np.float64)
    low, high = shown
    spread = (stored - low) * (255 / (high - low))
    return _Table(brightened(np.clip(spread, 0, 255).astype(np.uint8), gamma))


@lru_cache(128)
def _joined(tables: tuple[_Table, ...]) -> np.ndarray:
    """The tables of several bands as OpenCV takes them: shape (1, entries, bands)."""
    return np.ascontiguousarray(np.stack([one.values for one in tables], axis=1)[None])


def brightened(grey: np.ndarray, gamma: float) -> np.ndarray:
    """0 to 255 with a gamma applied."""
    return grey if gamma == 1.0 else _gamma_table(gamma)[grey]


@lru_cache(64)
def _gamma_table(gamma: float) -> np.ndarray:
    return np.rint(255 * (np.arange(256) / 255) ** (1 / gamma)).astype(np.uint8)


def _colored(
    grey: np.ndarray, style: Style, alpha: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    if style.classes is not None:
        return _with_table_alpha(style.classes.paint(grey[..., 0]), alpha)
    if style.colors is None:
        return grey, alpha
    return _with_table_alpha(style.colors[grey[..., 0]], alpha)


def _with_table_alpha(
    colors: np.ndarray, alpha: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """A colour table's own transparency joined with the picture's."""
    own = colors[..., 3]
    if own.min() < 255:
        alpha = own.copy() if alpha is None else np.minimum(own, alpha)
    return np.ascontiguousarray(colors[..., :3]), alpha


def _indices(values: np.ndarray, entries: int) -> np.ndarray:
    return np.clip(values, 0, entries - 1).astype(np.intp)

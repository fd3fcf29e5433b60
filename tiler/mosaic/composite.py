"""One picture from many: by order, the first that shows wins; or a statistic of all that show."""

import threading

import numpy as np

from tiler.errors import Busy
from tiler.mosaic.source import Selection
from tiler.pixels import Pixels

MAX_STACK_BYTES = 256 * 1024 * 1024
"""What all medians of a process may hold at a time; more are refused with 503."""

_reserved = 0
_lock = threading.Lock()


class Layered:
    """Front to back: each picture fills what those before it left open.

    A half-transparent edge is mixed with what lies behind it, so that no halo remains.
    """

    def __init__(self) -> None:
        self._data: np.ndarray | None = None
        self._masked: np.ndarray | None = None
        self._alpha: np.ndarray | None = None

    @property
    def full(self) -> bool:
        """Whether nothing behind could show any more."""
        return self._alpha is not None and bool(self._alpha.min() == 255)

    def add(self, pixels: Pixels) -> bool:
        """Put a picture behind the others; whether any of it shows."""
        opacity = pixels.opacity()
        shape = pixels.data.shape[:2]
        alpha = np.full(shape, 255, np.uint8) if opacity is None else opacity
        if self._data is None or self._alpha is None:
            if not alpha.any():
                return False
            self._data, self._alpha = pixels.data.copy(), alpha.copy()
            self._masked = None if pixels.masked is None else pixels.masked.copy()
            return True
        if pixels.data.dtype != self._data.dtype:
            self._data = self._data.astype(np.float32)
        behind = (self._alpha == 0) & (alpha > 0)
        mixed = (self._alpha > 0) & (self._alpha < 255) & (alpha > 0)
        if not (behind.any() or mixed.any()):
            return False
        if self._masked is None and pixels.masked is not None:
            self._masked = np.zeros(self._data.shape, bool)
        if self._masked is not None:
            theirs = np.zeros(self._data.shape, bool) if pixels.masked is None else pixels.masked
            self._masked[behind] = theirs[behind]
        self._data[behind] = pixels.data[behind]
        self._alpha[behind] = alpha[behind]
        if mixed.any():
            self._mix(pixels, alpha, mixed)
        return True

    def _mix(self, pixels: Pixels, alpha: np.ndarray, where: np.ndarray) -> None:
        assert self._data is not None and self._alpha is not None
        front = self._alpha[where].astype(np.float64) / 255
        back = alpha[where].astype(np.float64) / 255 * (1 - front)
        total = front + back
        values = (self._data[where] * front[:, None] + pixels.data[where] * back[:, None]) / total[
            :, None
        ]
        whole = self._data.dtype.kind in "ui"
        self._data[where] = np.rint(values) if whole else values
        self._alpha[where] = np.rint(total * 255)

    def result(self) -> Pixels | None:
        """The picture; None where nothing shows."""
        if self._data is None:
            return None
        alpha = None if self.full else self._alpha
        return Pixels(self._data, self._masked, alpha)


class Statistic:
    """Mean, minimum, maximum or median of the values that show, band by band.

    Values are float32. A pixel has a value where any picture has one, and shows as much as the one
    that shows most.
    """

    full = False
    """More pictures always count."""

    def __init__(self, how: Selection) -> None:
        """`how`: one of `STATISTICS`."""
        self._how = how
        self._values: np.ndarray | None = None
        self._count: np.ndarray | None = None
        self._alpha: np.ndarray | None = None
        self._stack: list[np.ndarray] = []
        self._held = 0

    def add(self, pixels: Pixels) -> bool:
        """Take a picture in; whether any of it shows. Raises: Busy: too many medians at once."""
        opacity = pixels.opacity()
        if opacity is not None and not opacity.any():
            return False
        values = pixels.data.astype(np.float32)
        hidden = np.zeros(values.shape, bool) if pixels.masked is None else pixels.masked.copy()
        if opacity is not None:
            hidden |= (opacity == 0)[..., None]
        values[hidden] = np.nan
        alpha = np.full(values.shape[:2], 255, np.uint8) if opacity is None else opacity
        self._alpha = alpha.copy() if self._alpha is None else np.maximum(self._alpha, alpha)
        if self._how == "median":
            self._reserve(values.nbytes)
            self._stack.append(values)
        elif self._values is None:
            self._values = np.where(hidden, 0, values) if self._how == "mean" else values
            self._count = (~hidden).astype(np.uint16)
        else:
            assert self._count is not None
            self._count += ~hidden
            if self._how == "mean":
                self._values += np.where(hidden, 0, values)
            else:
                combine = np.fmin if self._how == "min" else np.fmax
                self._values = combine(self._values, values)
        return True

    def _reserve(self, size: int) -> None:
        global _reserved
        with _lock:
            if _reserved + size > MAX_STACK_BYTES:
                raise Busy("too many medians are being drawn; try again shortly")
            _reserved += size
            self._held += size

    def close(self) -> None:
        """Give back what a median held."""
        global _reserved
        self._stack.clear()
        with _lock:
            _reserved -= self._held
            self._held = 0

    def result(self) -> Pixels | None:
        """The picture; None where nothing shows."""
        if self._how == "median":
            values = _median(self._stack) if self._stack else None
        elif self._how == "mean" and self._values is not None and self._count is not None:
            values = self._values / np.maximum(self._count, 1)
            values[self._count == 0] = np.nan
        else:
            values = self._values
        if values is None:
            return None
        masked = np.isnan(values)
        return Pixels(
            np.where(masked, 0, values).astype(np.float32),
            masked if masked.any() else None,
            self._alpha,
        )


def _median(stack: list[np.ndarray]) -> np.ndarray:
    """Of the values that are not NaN; of an even number, the mean of the middle two.

    A row of pixels at a time, so that no second stack is made.
    """
    out = np.empty_like(stack[0])
    for row in range(out.shape[0]):
        values = np.sort(np.stack([layer[row] for layer in stack]), axis=0)  # NaN last
        known = (~np.isnan(values)).sum(axis=0)
        low, high = np.maximum((known - 1) // 2, 0), known // 2
        high = np.where(known == 0, 0, high)
        lower = np.take_along_axis(values, low[None], axis=0)[0]
        upper = np.take_along_axis(values, np.minimum(high, len(stack) - 1)[None], axis=0)[0]
        out[row] = (lower + upper) / 2
    return out

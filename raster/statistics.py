"""Minimum, maximum, mean and standard deviation of a band, gathered window by window.

GDAL can only compute them on a finished file, and its COG driver needs the VRT driver for it, which
is switched off here. What is gathered while writing costs no second read.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Statistics:
    """Of stored values; all None where no pixel is valid, `valid_percent` then is 0."""

    minimum: float | None
    maximum: float | None
    mean: float | None
    stddev: float | None
    valid_percent: float | None


class Gatherer:
    """Adds up one band; Chan, Golub and LeVeque (1979) for joining the parts."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0
        self._low = math.inf
        self._high = -math.inf

    def add(self, values: np.ndarray, valid: np.ndarray | None = None) -> None:
        """Take in one window: values of any real dtype, `valid` of the same shape."""
        part = values.ravel() if valid is None or valid.all() else values[valid]
        if part.dtype.kind == "f":
            finite = np.isfinite(part)
            part = part if finite.all() else part[finite]
        if not part.size:
            return
        low, high = float(part.min()), float(part.max())
        if part.dtype.kind in "bu" and part.dtype.itemsize <= 2:
            # whole numbers this small add up exactly, and faster, as integers
            total = int(part.sum(dtype=np.uint64))
            wide = part.astype(np.uint32)
            mean = total / part.size
            square_sum = int(np.multiply(wide, wide, out=wide).sum(dtype=np.uint64))
            squares = max(square_sum - total * total / part.size, 0.0)
        else:
            exact = part.astype(np.float64)
            mean = float(exact.mean())
            exact -= mean
            squares = float(np.dot(exact, exact))
        self._join(part.size, mean, squares)
        self._low, self._high = min(self._low, low), max(self._high, high)

    def _join(self, count: int, mean: float, squares: float) -> None:
        total, gap = self._count + count, mean - self._mean
        self._squares += squares + gap * gap * self._count * count / total
        self._mean += gap * count / total
        self._count = total

    def result(self, pixels: int) -> Statistics:
        """What was gathered, of a band of `pixels` pixels."""
        if not self._count:
            return Statistics(None, None, None, None, 0.0)
        deviation = math.sqrt(self._squares / self._count)
        percent = 100.0 * self._count / pixels
        return Statistics(self._low, self._high, self._mean, deviation, percent)


def to_tags(statistics: Statistics) -> dict[str, str]:
    """As GDAL spells them in a band's metadata; without a valid pixel the percent only."""
    values = {
        "MINIMUM": statistics.minimum,
        "MAXIMUM": statistics.maximum,
        "MEAN": statistics.mean,
        "STDDEV": statistics.stddev,
        "VALID_PERCENT": statistics.valid_percent,
    }
    return {f"STATISTICS_{name}": f"{v:.14g}" for name, v in values.items() if v is not None}


def from_tags(tags: dict[str, str]) -> Statistics | None:
    """What a band's metadata says, or None where it is incomplete or cannot be true."""

    def number(name: str) -> float:
        return float(tags.get(f"STATISTICS_{name}", "nan"))

    try:
        percent = number("VALID_PERCENT")
        if percent == 0 and "STATISTICS_MEAN" not in tags:
            return Statistics(None, None, None, None, 0.0)
        low, high = number("MINIMUM"), number("MAXIMUM")
        mean, deviation = number("MEAN"), number("STDDEV")
    except ValueError:
        return None
    if not all(map(math.isfinite, (low, high, mean, deviation))) or low > high or deviation < 0:
        return None
    return Statistics(low, high, mean, deviation, percent if 0 <= percent <= 100 else None)

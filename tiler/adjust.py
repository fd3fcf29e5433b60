"""Adjustments of a finished picture's colours, as a short formula: gamma, contrast, saturation.

`gamma RGB 1.2, sigmoidal RGB 6 0.5, saturation 1.3`, the vocabulary that TiTiler's users know.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tiler.errors import InvalidParameter

MAX_STEPS = 8
_BANDS = "RGB"
_NUMBER = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)
_LUMA = np.array((0.2126, 0.7152, 0.0722), np.float32)  # ITU-R BT.709


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One adjustment: a table for each of red, green and blue, or a saturation."""

    tables: np.ndarray | None = None  # uint8 (3, 256)
    saturation: float = 1.0


@lru_cache(256)
def parse(text: str) -> tuple[Step, ...]:
    """The steps of a formula. Raises: InvalidParameter."""
    words = text.replace(",", " ").split()
    steps: list[Step] = []
    while words:
        name = words.pop(0).lower()
        if name == "gamma":
            bands, (gamma,) = _take_bands(words), _take(words, (0.1, 10.0))
            steps.append(_by_table(bands, np.linspace(0, 1, 256) ** (1 / gamma)))
        elif name == "sigmoidal":
            bands = _take_bands(words)
            contrast, bias = _take(words, (0.1, 100.0), (0.01, 0.99))
            steps.append(_by_table(bands, _sigmoid(contrast, bias)))
        elif name == "saturation":
            (share,) = _take(words, (0.0, 10.0))
            steps.append(Step(saturation=share))
        else:
            raise _wrong(f"unknown operation {name[:20]!r}: gamma, sigmoidal or saturation")
        if len(steps) > MAX_STEPS:
            raise _wrong(f"at most {MAX_STEPS} operations")
    if not steps:
        raise _wrong("is empty")
    return tuple(steps)


def apply(steps: tuple[Step, ...], colors: np.ndarray) -> np.ndarray:
    """uint8 (rows, columns, 1 or 3) → the same shape, adjusted. One band counts as red."""
    for step in steps:
        if step.tables is not None:
            done = [step.tables[band][colors[..., band]] for band in range(colors.shape[2])]
            colors = np.stack(done, axis=2)
        elif colors.shape[2] == 3:
            exact = colors.astype(np.float32)
            grey = (exact @ _LUMA)[..., None]
            mixed = grey + (exact - grey) * np.float32(step.saturation)
            colors = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return colors


def _by_table(bands: str, curve: np.ndarray) -> Step:
    changed = np.rint(np.clip(curve, 0, 1) * 255).astype(np.uint8)
    kept = np.arange(256, dtype=np.uint8)
    return Step(tables=np.stack([changed if band in bands else kept for band in _BANDS]))


def _sigmoid(contrast: float, bias: float) -> np.ndarray:
    """The logistic curve through (0, 0) and (1, 1), steepest at `bias`."""
    values = np.linspace(0, 1, 256)
    raw = 1 / (1 + np.exp(contrast * (bias - values)))
    return (raw - raw[0]) / (raw[-1] - raw[0])


def _take_bands(words: list[str]) -> str:
    bands = words.pop(0).upper() if words else ""
    if not bands or any(band not in _BANDS for band in bands):
        raise _wrong("bands are letters of RGB")
    return bands


def _take(words: list[str], *limits: tuple[float, float]) -> list[float]:
    found = []
    for low, high in limits:
        word = words.pop(0) if words else ""
        if not (_NUMBER.fullmatch(word) and low <= float(word) <= high):
            raise _wrong(f"expected a number of {low:g} to {high:g}, not {word[:20]!r}")
        found.append(float(word))
    return found


def _wrong(message: str) -> InvalidParameter:
    return InvalidParameter.of("color_formula", message)

"""Colours that a request or a profile gives by value: classes, each a number or an interval."""

import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from tiler.errors import InvalidParameter

MAX_CLASSES = 1024
MAX_CHARACTERS = 32_768

_HEX = re.compile(r"#?([0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """Colours by value, sorted; what is in no class is transparent.

    Attributes:
        low: float64 (n,), where a class begins.
        high: float64 (n,), where it ends: the value itself for a single number, else the first
            value above it.
        single: classes are single numbers, which are not interpolated between.
        colors: uint8 (n, 4).
    """

    low: np.ndarray
    high: np.ndarray
    single: bool
    colors: np.ndarray

    def paint(self, values: np.ndarray) -> np.ndarray:
        """Values (rows, columns) → uint8 (rows, columns, 4)."""
        exact = values.astype(np.float64)
        at = np.searchsorted(self.low, exact, side="right") - 1
        within = at >= 0
        at = np.maximum(at, 0)
        within &= (exact == self.low[at]) if self.single else (exact < self.high[at])
        colors = self.colors[at]
        colors[~within] = 0
        return colors


@lru_cache(128)
def parse(text: str) -> Classes:
    """Classes of a JSON text.

    `{"1": "#ff0000", "2": [0, 128, 0, 255]}`: a colour for each number; or
    `[[[0, 10], "#ff0000"], [[10, 20], [0, 128, 0]]]`: a colour from each low up to, but not at, its
    high. Raises: InvalidParameter.
    """
    if len(text) > MAX_CHARACTERS:
        raise _wrong(f"is longer than {MAX_CHARACTERS} characters")
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise _wrong("is not JSON") from None
    entries = list(found.items()) if isinstance(found, dict) else found
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_CLASSES:
        raise _wrong(f"must be an object or an array of 1 to {MAX_CLASSES} classes")
    single = isinstance(found, dict)
    rows = []
    for entry in entries:
        if not isinstance(entry, list | tuple) or len(entry) != 2:
            raise _wrong("must hold [[low, high], colour] for each interval")
        place, color = entry
        low, high = (place, place) if single else _interval(place)
        rows.append((_number(low), _number(high), color_of(color, "colormap")))
    rows.sort(key=lambda row: row[0])
    for one, after in pairwise(rows):
        if after[0] < one[1] or (single and after[0] == one[0]):
            raise _wrong(f"has classes that overlap at {after[0]:g}")
    return Classes(
        low=np.array([row[0] for row in rows]),
        high=np.array([row[1] for row in rows]),
        single=single,
        colors=np.array([row[2] for row in rows], np.uint8),
    )


def _interval(place: Any) -> tuple[Any, Any]:
    if not isinstance(place, list) or len(place) != 2:
        raise _wrong("must hold [[low, high], colour] for each interval")
    low, high = place
    if not _number(low) < _number(high):
        raise _wrong("must have every low below its high")
    return low, high


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise _wrong("must have finite numbers for values")
    return number


def color_of(color: Any, parameter: str) -> tuple[int, int, int, int]:
    """Red, green, blue, alpha of `#rrggbb`, `#rrggbbaa` or a list. Raises: InvalidParameter."""
    if isinstance(color, str) and (matched := _HEX.fullmatch(color)):
        parts = list(bytes.fromhex(matched[1]))
    elif isinstance(color, list) and all(type(part) is int and 0 <= part <= 255 for part in color):
        parts = color
    else:
        parts = []
    if len(parts) not in (3, 4):
        raise InvalidParameter.of(
            parameter, "colours are #rrggbb, #rrggbbaa or three or four numbers of 0 to 255"
        )
    red, green, blue, alpha = (*parts, 255)[:4]
    return red, green, blue, alpha


def _wrong(message: str) -> InvalidParameter:
    return InvalidParameter.of("colormap", message)

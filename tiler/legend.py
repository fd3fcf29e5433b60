"""What the colours of a picture mean: a ramp with ticks, classes, or the bands of a composite.

The colours are those the tiles have, since they are painted by the same code.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from tiler import datasets, fast, terrain
from tiler.algorithms import ALGORITHMS
from tiler.datasets import Header
from tiler.errors import InvalidParameter
from tiler.paint import paint
from tiler.pixels import Pixels
from tiler.source import AssetSource
from tiler.style import Look, Style, names_of, style

RAMP = 256
MAX_CLASSES = 24
"""A palette of which more values occur is shown as a ramp."""

_COLORS = ("red", "green", "blue")
_ALGORITHMS = {"slope": (0.0, 90.0), "aspect": (0.0, 360.0), "hillshade": (0.0, 1.0)}


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on a ramp; `position` is 0 at its start and 1 at its end."""

    value: float
    label: str
    position: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A class, or a channel of a composite: its colour `#rrggbb` and what it is."""

    color: str
    label: str
    value: float | None = None
    range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Legend:
    """A legend.

    Attributes:
        title: what is shown: a formula, a band's name.
        kind: `continuous` has `colors`, `range` and `ticks`; the others have `entries`.
        unit: of the ticks; empty if unknown.
        colors: `#rrggbb` along the ramp.
    """

    title: str
    kind: Literal["continuous", "classes", "composite"]
    unit: str = ""
    range: tuple[float, float] | None = None
    colors: tuple[str, ...] = ()
    ticks: tuple[Tick, ...] = ()
    entries: tuple[Entry, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON, without what its kind does not have."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name in ("title", "kind") or value not in (None, "", ())
        }


def of_item(source: AssetSource, look: Look, algorithm: str | None = None) -> Legend:
    """The legend of an item's picture. Raises: InvalidParameter, Unreadable."""
    header = datasets.header_of(source)
    if algorithm is not None:
        return of_algorithm(algorithm, look)
    return of_style(source, header, style(source, header, **look))


def of_style(source: AssetSource, header: Header, chosen: Style) -> Legend:
    """The legend of a resolved style. Reads an overview of a file with a palette."""
    names = names_of(source.band_names, header)
    if chosen.palette is not None:
        return _of_palette(source, header, chosen, names)
    if chosen.classes is not None and not chosen.rescale:
        return _of_classes(source, chosen, _title(chosen, names))
    if len(chosen.rescale) == 3:
        return _composite(header, chosen, names)
    return _continuous(source, header, chosen, names)


def _title(chosen: Style, names: Sequence[str | None]) -> str:
    if chosen.formula is not None:
        return chosen.formula.text
    return ", ".join(names[index - 1] or f"band {index}" for index in chosen.bidx)


def _painted(header: Header, chosen: Style, values: np.ndarray) -> tuple[str, ...]:
    """The colours that these output values have in a tile."""
    plain = replace(chosen, formula=None)
    row = values.astype(np.float32)[None, :, None]
    if chosen.palette is not None:
        row = values.astype(header.dtype)[None, :, None]
    colors, _ = paint(Pixels(np.ascontiguousarray(row)), header, plain)
    shown = np.repeat(colors, 3, axis=2) if colors.shape[2] == 1 else colors
    return tuple(_hex(color) for color in shown[0])


def _continuous(
    source: AssetSource, header: Header, chosen: Style, names: Sequence[str | None]
) -> Legend:
    low, high = chosen.rescale[0]
    # the middle of what each of 256 greys stands for
    steps = np.minimum((np.arange(RAMP) + 0.5) / (RAMP - 1), 1.0)
    colors = _painted(header, chosen, low + steps * (high - low))
    unit = ""
    if chosen.formula is None:
        low, high = (_scaled(header, chosen.bidx[0], value) for value in (low, high))
        unit = _unit(source, chosen.bidx[0])
    if low > high:  # a negative scale
        low, high, colors = high, low, colors[::-1]
    return _ramp(_title(chosen, names), unit, (low, high), colors)


def _ramp(title: str, unit: str, shown: tuple[float, float], colors: Sequence[str]) -> Legend:
    low, high = shown
    span = (high - low) or 1.0
    marks = tuple(Tick(v, _number(v), (v - low) / span) for v in ticks(low, high))
    return Legend(title, "continuous", unit, shown, tuple(colors), marks)


def _composite(header: Header, chosen: Style, names: Sequence[str | None]) -> Legend:
    entries = []
    for position, color in enumerate(("#ff0000", "#00ff00", "#0000ff")):
        low, high = chosen.rescale[position]
        if chosen.formula is None:
            index = chosen.bidx[position]
            label = names[index - 1] or f"band {index}"
            low, high = _scaled(header, index, low), _scaled(header, index, high)
        else:
            label = chosen.formula.text.split(";")[position].strip()
        entries.append(Entry(color, label, range=(low, high)))
    title = "composite" if chosen.formula is None else chosen.formula.text
    return Legend(title, "composite", entries=tuple(entries))


def _of_classes(source: AssetSource, chosen: Style, title: str) -> Legend:
    assert chosen.classes is not None
    found = chosen.classes
    told = _class_names(source, chosen)
    entries = []
    for low, high, color in zip(found.low, found.high, found.colors, strict=True):
        if found.single:
            label = told.get(float(low), _number(float(low)))
        else:
            label = f"{_number(float(low))} to {_number(float(high))}"
        entries.append(Entry(_hex(color), label, float(low)))
    return Legend(title, "classes", entries=tuple(entries))


def _of_palette(
    source: AssetSource, header: Header, chosen: Style, names: Sequence[str | None]
) -> Legend:
    pixels = fast.overview(header, (1,), 512, nodata=chosen.nodata, alpha_bidx=chosen.alpha_bidx)
    values = np.unique(pixels.band(0).compressed())
    title = _title(chosen, names)
    if len(values) > MAX_CLASSES:
        whole = np.unique(np.linspace(int(values[0]), int(values[-1]), RAMP).round())
        colors = _painted(header, chosen, whole)
        shown = float(values[0]), float(values[-1])
        return _ramp(title, _unit(source, 1), shown, colors)
    told = _class_names(source, chosen)
    colors = _painted(header, chosen, values) if len(values) else ()
    entries = [
        Entry(color, told.get(float(value), _number(float(value))), float(value))
        for value, color in zip(values, colors, strict=True)
    ]
    return Legend(title, "classes", entries=tuple(entries))


def _class_names(source: AssetSource, chosen: Style) -> dict[float, str]:
    """Value → name, by the classification extension where the item has it."""
    index = chosen.bidx[0] - 1 if chosen.bidx else 0
    band: Mapping[str, Any] = source.bands[index] if index < len(source.bands) else {}
    found = {}
    for entry in band.get("classification:classes") or ():
        if isinstance(entry, Mapping) and isinstance(entry.get("value"), int | float):
            name = entry.get("title") or entry.get("name") or entry.get("description")
            if isinstance(name, str) and name:
                found[float(entry["value"])] = name
    return found


def of_algorithm(name: str, look: Look) -> Legend:
    """The legend of what is computed from heights. Raises: InvalidParameter: it has none."""
    if name not in ALGORITHMS:
        raise InvalidParameter.of("algorithm", f"must be one of {', '.join(_ALGORITHMS)}", "enum")
    if name not in _ALGORITHMS:
        raise InvalidParameter.of("algorithm", f"{name} codes heights and has no legend")
    shown = terrain.stretch(look, _ALGORITHMS[name])
    grey = np.linspace(0, 255, RAMP).astype(np.uint8)[None]
    colors, _ = terrain.colored(grey, np.ones(grey.shape, bool), look)
    strip = np.repeat(colors, 3, axis=2) if colors.shape[2] == 1 else colors
    unit = "" if name == "hillshade" else "degrees"
    return _ramp(name, unit, shown, [_hex(color) for color in strip[0]])


def _scaled(header: Header, index: int, value: float) -> float:
    return value * header.scales[index - 1] + header.offsets[index - 1]


def _unit(source: AssetSource, index: int) -> str:
    unit = source.bands[index - 1].get("unit") if index <= len(source.bands) else None
    return unit if isinstance(unit, str) else ""


def _hex(color: np.ndarray) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in color[:3])


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers in a range: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _number(value: float) -> str:
    """Short, without the noise of binary fractions."""
    text = f"{value:.6g}"
    return "0" if text == "-0" else text

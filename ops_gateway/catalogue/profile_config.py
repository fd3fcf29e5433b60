"""What a profile's `config` may say, checked against the asset it is for before it is kept."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from ops_gateway.kernel.errors import Invalid
from raster import formula as formulas
from raster.bands import resolve
from tiler import adjust, classes, colormaps
from tiler.errors import InvalidParameter
from tiler.profile import RESAMPLING
from tiler.style import MAX_BANDS

MAX_BYTES = 16 << 10
LARGEST = 1e38  # what a float32 holds

# the members that choose what is drawn; each type has one of them
_CHOICES = {"rgb": "bands", "singleband": "band", "multiband": "bands", "expression": "expression"}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Bands:
    """The bands of an asset as far as they are known.

    Attributes:
        names: in band order; empty where nobody knows them.
        count: alpha included; None where nobody knows it.
    """

    names: tuple[str, ...]
    count: int | None

    @classmethod
    def of(cls, asset: Row) -> Bands:
        """Of a row of table `asset`."""
        count = asset["band_count"]
        if count is not None:
            numbers = [band.get("index") or 0 for band in asset["bands"]]
            count = max([count, (asset["raster"] or {}).get("alpha") or 0, *numbers])
        return cls(tuple(asset["band_names"]), count)


def checked(kind: str, config: Mapping[str, Any], asset: Row) -> dict[str, Any]:
    """`config` as it is kept: what the caller gave, every member that is drawn by checked.

    Members that mean nothing to a picture are kept as they are.

    Args:
        kind: `rgb`, `singleband`, `multiband` or `expression`.
        asset: the row of the asset that will be drawn.

    Raises:
        Invalid: at the member that cannot be drawn.
    """
    if len(orjson.dumps(dict(config))) > MAX_BYTES:
        raise _wrong((), f"more than {MAX_BYTES} bytes as JSON", "too_long")
    own = _CHOICES[kind]
    for name in sorted(set(_CHOICES.values()) - {own}):
        if config.get(name) is not None:
            raise _wrong(
                (name,), f"a profile of type {kind} is drawn by its {own}", "extra_forbidden"
            )
    if config.get(own) is None:
        message = f"Field required: a profile of type {kind} is drawn by it"
        raise _wrong((own,), message, "missing")
    known = Bands.of(asset)
    outputs = _outputs(kind, config[own], known)
    _check_rescale(config.get("rescale"), outputs)
    _check_colormap(config.get("colormap"), outputs)
    _check_adjustments(config.get("color_formula"))
    _check_number(config, "gamma", 0.1, 10)
    _check_number(config, "nodata", -LARGEST, LARGEST)
    resampling = config.get("resampling")
    if resampling is not None and resampling not in RESAMPLING:
        raise _wrong(("resampling",), f"must be one of {', '.join(RESAMPLING)}", "enum")
    return dict(config)


def _outputs(kind: str, chosen: Any, known: Bands) -> int:
    """How many bands are shown."""
    if kind == "expression":
        return _check_expression(chosen, known)
    if kind == "singleband":
        _check_band(chosen, ("band",), known)
        return 1
    if not isinstance(chosen, list):
        raise _wrong(("bands",), "must be a list of band numbers or names", "list_type")
    if kind == "rgb" and len(chosen) != 3:
        raise _wrong(("bands",), f"must hold three bands: red, green, blue; it has {len(chosen)}")
    if not 1 <= len(chosen) <= MAX_BANDS:
        raise _wrong(("bands",), f"must hold 1 to {MAX_BANDS} bands; it has {len(chosen)}")
    for place, band in enumerate(chosen):
        _check_band(band, ("bands", place), known)
    return len(chosen)


def _check_band(band: Any, place: Sequence[str | int], known: Bands) -> None:
    if isinstance(band, bool) or not isinstance(band, int | str):
        raise _wrong(place, "a band is given by its number or name", "int_type")
    index: int | None
    if isinstance(band, int):
        index = band
    else:
        text = band.strip()
        number = text[1:] if text[:1] == "b" else text
        if number.isascii() and number.isdecimal() and len(number) <= 4:
            index = int(number)
        else:
            index = resolve(text, known.names)
            if index is None and known.count is None:
                return  # a file that nobody has looked into may have such a band
    if index is None or not 1 <= index <= (known.count or formulas.MAX_BAND):
        raise _wrong(place, f"the asset has no band {str(band)[:40]!r}; it has {_listed(known)}")


def _check_expression(text: Any, known: Bands) -> int:
    if not isinstance(text, str):
        raise _wrong(("expression",), "must be a formula", "string_type")
    try:
        if known.count is None:
            formulas.names_in(text)
            return text.rstrip("; ").count(";") + 1
        found = formulas.parse(text, band_names=known.names, band_count=known.count)
    except formulas.FormulaError as error:
        raise _wrong(("expression",), str(error)) from None
    if len(found.blocks) not in (1, 3):
        message = f"a picture has one block or three, not {len(found.blocks)}"
        raise _wrong(("expression",), message)
    if len(found.bands) > MAX_BANDS:
        raise _wrong(("expression",), f"uses more than {MAX_BANDS} bands")
    return len(found.blocks)


def _check_rescale(rescale: Any, outputs: int) -> None:
    """`[low, high]`, or one pair for every band shown."""
    if rescale is None:
        return
    place: tuple[str | int, ...] = ("rescale",)
    if not isinstance(rescale, list) or not rescale:
        raise _wrong(place, "must be [low, high], or one such pair a band", "list_type")
    pairs = rescale if isinstance(rescale[0], list) else [rescale]
    if len(pairs) not in (1, outputs):
        raise _wrong(place, f"must hold one pair or {outputs}, one a band; it has {len(pairs)}")
    for number, pair in enumerate(pairs):
        at = place if pairs[0] is rescale else (*place, number)
        if not isinstance(pair, list) or len(pair) != 2 or not all(map(_finite, pair)):
            raise _wrong(at, "must be two numbers: [low, high]")
        if not pair[0] < pair[1]:
            raise _wrong(at, "the low end must be below the high end")


def _check_colormap(chosen: Any, outputs: int) -> None:
    """The name of a colour map, or classes by value."""
    if chosen is None:
        return
    if outputs != 1:
        raise _wrong(("colormap",), f"colours one band; this profile shows {outputs}")
    if isinstance(chosen, dict | list):
        text = orjson.dumps(chosen).decode()
        with _refused_at("config", "colormap"):
            classes.parse(text)
    elif isinstance(chosen, str):
        check_colormap(chosen, "config", "colormap")
    else:
        raise _wrong(("colormap",), "must be the name of a colour map, or classes", "string_type")


def _check_adjustments(text: Any) -> None:
    if text is None:
        return
    if not isinstance(text, str):
        raise _wrong(("color_formula",), "must be a text", "string_type")
    with _refused_at("config", "color_formula"):
        adjust.parse(text)


@contextmanager
def _refused_at(*place: str) -> Generator[None]:
    """What the tiler refuses, at its place in the body."""
    try:
        yield
    except InvalidParameter as error:
        raise Invalid.at(place, error.errors[0]["msg"]) from None


def check_colormap(name: str, *place: str) -> None:
    """Whether there is a colour map of that name. Raises: Invalid."""
    with _refused_at(*place):
        colormaps.table(name)


def _check_number(config: Mapping[str, Any], name: str, low: float, high: float) -> None:
    value = config.get(name)
    if value is not None and not (_finite(value) and low <= value <= high):
        raise _wrong((name,), f"must be a number from {low:g} to {high:g}")


def _finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= LARGEST and math.isfinite(value)


def _listed(known: Bands) -> str:
    names = ", ".join(name for name in known.names if name)
    return f"{known.count} ({names})" if names else f"{known.count}"


def _wrong(place: Sequence[str | int], message: str, kind: str = "value_error") -> Invalid:
    return Invalid.at(["config", *place], message, kind)

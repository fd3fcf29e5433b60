"""A display profile's settings, as they are stored: `{"type", "config": {…}}`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiler import rescale as ranges
from tiler.errors import InvalidParameter

RESAMPLING = (
    "bilinear",
    "nearest",
    "cubic",
    "cubic_spline",
    "lanczos",
    "average",
    "mode",
    "min",
    "max",
    "med",
)


@dataclass(slots=True)
class Wish:
    """Settings of a profile, or of a request, before they are checked against the raster."""

    bands: Sequence[int | str] | None = None
    expression: str | None = None
    rescale: Any = None
    colormap: str | None = None
    color_formula: str | None = None
    gamma: float = 1.0
    resampling: str | None = None
    nodata: float | None = None


def wish_of(profile: Mapping[str, Any]) -> Wish:
    """A profile's settings. Raises: InvalidParameter: it does not have the shape of its type."""
    config = profile.get("config") or {}
    kind = profile.get("type") or profile.get("profile_type")
    wish = Wish(rescale=config.get("rescale"), colormap=_colormap(config.get("colormap")))
    wish.color_formula = _text(config.get("color_formula"), "color_formula")
    if kind == "expression" or "expression" in config:
        wish.expression = config.get("expression")
    elif kind == "singleband" or "band" in config:
        wish.bands = [config.get("band", 1)]
    elif config.get("bands"):
        wish.bands = list(config["bands"])
        if kind == "multiband" and len(wish.bands) not in (1, 3):
            wish.bands = wish.bands[:3] if len(wish.bands) > 3 else wish.bands[:1]
    try:
        wish.gamma = float(config.get("gamma") or 1.0)
        nodata = config.get("nodata")
        wish.nodata = None if nodata is None else float(nodata)
    except (TypeError, ValueError):
        raise InvalidParameter.of("profile", "gamma and nodata must be numbers") from None
    if not 0.1 <= wish.gamma <= 10:
        raise InvalidParameter.of("profile", "gamma must be 0.1 to 10")
    if config.get("resampling") is not None:
        wish.resampling = resampling_of(config["resampling"], "profile")
    return wish


def profile_rescale(raw: Any, outputs: int) -> tuple[ranges.Range, ...]:
    """`[low, high]` or `[[low, high], …]`. Raises: InvalidParameter."""
    try:
        pairs = raw if isinstance(raw[0], list | tuple) else [raw]
        checked = [(float(low), float(high)) for low, high in pairs]
    except (TypeError, ValueError, IndexError, KeyError):
        raise InvalidParameter.of("profile", "rescale must be [low, high], one a band") from None
    # a profile for more bands than are shown: its first ranges belong to the first bands
    return ranges.ranges(checked[:outputs] if len(checked) > outputs else checked, outputs)


def resampling_of(name: Any, parameter: str) -> str:
    """A method's name. Raises: InvalidParameter."""
    if not isinstance(name, str) or name not in RESAMPLING:
        raise InvalidParameter.of(parameter, f"resampling must be one of {', '.join(RESAMPLING)}")
    return name


def nodata_of(text: str) -> float:
    """A number, or NaN. Raises: InvalidParameter."""
    try:
        found = float(text)
    except ValueError:
        found = float("inf")
    if found in (float("inf"), float("-inf")):
        raise InvalidParameter.of("nodata", "must be a number or nan")
    return found


def _colormap(found: Any) -> str | None:
    """A name, or classes as their JSON."""
    return json.dumps(found) if isinstance(found, dict | list) else _text(found, "colormap")


def _text(found: Any, name: str) -> str | None:
    if found is not None and not isinstance(found, str):
        raise InvalidParameter.of("profile", f"{name} must be a text")
    return found or None

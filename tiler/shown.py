"""How a picture is made, as numbers: what a legend draws."""

from typing import Any, Unpack

import numpy as np

from tiler import datasets, paint
from tiler.source import AssetSource
from tiler.style import Look, Style, names_of, style
from tiler.work import lane


@lane("quick")
def shown(source: AssetSource, **look: Unpack[Look]) -> dict[str, Any]:
    """How a picture of this look is made: what a legend needs.

    Returns: {asset_key, bands: [name], expression, rescale: [[low, high]], resampling}, the ranges
        one an output; with `colors` for one band: 256 of [red, green, blue, alpha] over the range;
        with `classes` for colours by value: [{low, high, color}].

    Raises: InvalidParameter, Unreadable.
    """
    header = datasets.header_of(source)
    chosen = style(source, header, **look)
    names = names_of(source.band_names, header)
    found: dict[str, Any] = {
        "asset_key": source.asset_key,
        "bands": [names[index - 1] or f"b{index}" for index in chosen.bidx],
        "expression": look.get("expression") or _profile_formula(source, chosen),
        "rescale": [list(pair) for pair in chosen.rescale],
        "resampling": chosen.resampling,
    }
    if chosen.classes is not None:
        rows = zip(chosen.classes.low, chosen.classes.high, chosen.classes.colors, strict=True)
        found["classes"] = [
            {"low": float(low), "high": float(high), "color": color.tolist()}
            for low, high, color in rows
        ]
    elif chosen.palette is not None:
        found["classes"] = [
            {"low": value, "high": value, "color": list(color)}
            for value, color in sorted((header.palette or {}).items())
            if color[3]
        ]
    elif len(chosen.rescale) == 1:
        steps = np.arange(256, dtype=np.uint8)
        ramp = steps if chosen.gamma == 1 else paint.brightened(steps, chosen.gamma)
        grey = np.stack([ramp, ramp, ramp, np.full(256, 255, np.uint8)], axis=1)
        found["colors"] = (grey if chosen.colors is None else chosen.colors[ramp]).tolist()
    return found


def _profile_formula(source: AssetSource, chosen: Style) -> str | None:
    config = (source.profile or {}).get("config") or {}
    return config.get("expression") if chosen.formula is not None else None

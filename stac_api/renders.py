"""Display profiles as the render extension words them, so that other clients draw the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RENDER = "https://stac-extensions.github.io/render/v2.0.0/schema.json"


def renders(
    profiles: Sequence[Mapping[str, Any]], assets: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Profile name → render.

    Args:
        profiles: rows of `visualization_profile`.
        assets: rows of `asset`; a profile that names none is of the first raster.
    """
    rasters = [asset["key"] for asset in assets if asset.get("band_count")]
    first = "data" if "data" in rasters else next(iter(rasters), None)
    names = {asset["key"]: list(asset.get("band_names") or ()) for asset in assets}
    found: dict[str, dict[str, Any]] = {}
    for profile in profiles:
        key = profile["asset_key"] or first
        if key is not None and key in rasters:
            found[profile["name"]] = _render(profile, key, names[key])
    return found


def _render(profile: Mapping[str, Any], key: str, names: Sequence[str]) -> dict[str, Any]:
    config = profile["config"]
    render: dict[str, Any] = {"assets": [key], "title": profile["name"]}
    if config.get("expression"):
        render["expression"] = config["expression"]
    bands = config.get("bands") or ([config["band"]] if "band" in config else [])
    numbers = [_number(band, names) for band in bands]
    if numbers and None not in numbers:
        render["bidx"] = numbers
    rescale = config.get("rescale")
    if rescale:
        render["rescale"] = rescale if isinstance(rescale[0], list) else [rescale]
    colormap = config.get("colormap")
    if isinstance(colormap, str):
        render["colormap_name"] = colormap.lower()
    elif isinstance(colormap, dict):
        render["colormap"] = colormap
    for name in ("resampling", "color_formula", "nodata"):
        if config.get(name) is not None:
            render[name] = config[name]
    return render


def _number(band: int | str, names: Sequence[str]) -> int | None:
    """The number of a band given by number or exact name; None where only we can tell."""
    if isinstance(band, int):
        return band
    text = band.strip()
    digits = text[1:] if text[:1] == "b" else text
    if digits.isascii() and digits.isdecimal() and len(digits) <= 4:
        return int(digits)
    lower = [name.lower() for name in names]
    return lower.index(text.lower()) + 1 if text.lower() in lower else None

"""The first picture of an item: the profile made when its raster comes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ops_gateway.kernel.ids import new_id
from raster import bands as band_roles


def auto_profile(
    item_id: str, assets: Sequence[Mapping[str, Any]], by: str | None
) -> dict[str, Any] | None:
    """The row of an item's profile `auto`; None without a raster among its `asset` rows.

    Red, green and blue where the bands' names tell them, else the first three bands, else one.
    It has no `rescale`: the stretch follows from the file's own statistics.
    """
    rasters = [asset for asset in assets if asset["band_count"]]
    if not rasters:
        return None
    asset = next((a for a in rasters if a["key"] == "data"), rasters[0])
    roles = band_roles.roles_of(asset["band_names"])
    config: dict[str, Any]
    if all(color in roles for color in ("red", "green", "blue")):
        kind, config = "rgb", {"bands": [roles[color] for color in ("red", "green", "blue")]}
    elif asset["band_count"] >= 3 and not asset["is_categorical"]:
        kind, config = "rgb", {"bands": [1, 2, 3]}
    else:
        kind, config = "singleband", {"band": 1}
    return {
        "id": new_id("vp"),
        "item_id": item_id,
        "name": "auto",
        "layer": "auto",
        "type": kind,
        "is_default": True,
        "sort_order": 0,
        "config": config,
        "asset_key": asset["key"],
        "created_by": by,
    }

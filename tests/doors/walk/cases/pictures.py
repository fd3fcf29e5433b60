"""Tiles, pictures, profiles, analytics, formulas."""

from __future__ import annotations

import math

from walk.case import Body, Sent, case
from walk.world import FIELDS, World

ZOOM = 14
BOX = {"west": 5.322, "south": 50.631, "east": 5.328, "north": 50.635}


def over(item: Body) -> Body:
    """The tile over the middle of an item."""
    west, south, east, north = item["bbox"]
    longitude, latitude = (west + east) / 2, math.radians((south + north) / 2)
    x = int((longitude + 180) / 360 * 2**ZOOM)
    y = int((1 - math.asinh(math.tan(latitude)) / math.pi) / 2 * 2**ZOOM)
    return {"z": ZOOM, "x": x, "y": y}


def reference(w: World) -> str:
    """The item's raster as a URL."""
    return f"item://{w.item['id']}/data"


@case("items.tile.render")
def _(w: World) -> Body:
    return {"item_id": w.item["id"], **over(w.item), "format": "png"}


@case("items.tile.statistics")
def _(w: World) -> Body:
    return {"item_id": w.item["id"], "expression": "(b4-b3)/(b4+b3)"}


@case("items.tile.wmts_capabilities")
def _(w: World) -> Body:
    return {"item_id": w.item["id"], "base_url": w.url}


@case("items.tile.wmts_get_tile")
def _(w: World) -> Body:
    return {"item_id": w.item["id"], **over(w.item)}


@case("cog.colormaps", "cog.formulas", foreign="names nothing")
def _(w: World) -> Body:
    return {}


@case("cog.statistics")
def _(w: World) -> Body:
    return {"url": reference(w), "geometry": FIELDS, "expression": "(b4-b3)/(b4+b3)"}


@case("cog.thumbnail")
def _(w: World) -> Body:
    return {"url": reference(w), "width": 64, "height": 64}


@case("cog.tile.render")
def _(w: World) -> Body:
    return {"url": reference(w), **over(w.item), "format": "png", "bands": "3,2,1"}


@case("cog.tile.terrain")
def _(w: World) -> Body:
    return {"url": reference(w), **over(w.item)}


# ---------------------------------------------------------------- profiles


def profile(w: World, item: str) -> str:
    body = {
        "item_id": item,
        "name": "Vegetation",
        "type": "expression",
        "config": {"expression": "(b4-b3)/(b4+b3)", "rescale": [-1, 1], "colormap": "rdylgn"},
    }
    return w.ok("visualization.profile.create", body)["id"]


@case("visualization.list_for", foreign="names nothing")
def _(w: World) -> Body:
    return {"band_roles": {"red": 3, "nir": 4}, "data_type": "uint16"}


@case("visualization.profile.create")
def _(w: World) -> Body:
    return {
        "item_id": w.copy()["id"],
        "name": "Vegetation",
        "type": "expression",
        "config": {"expression": "(b4-b3)/(b4+b3)", "rescale": [-1, 1], "colormap": "rdylgn"},
    }


@case("visualization.profile.get")
def _(w: World) -> Body:
    made = w.of("profile", lambda: (item := w.copy()["id"], profile(w, item)))
    return {"item_id": made[0], "profile_id": made[1]}


@case("visualization.profile.update")
def _(w: World) -> Body:
    item = w.copy()["id"]
    return {"item_id": item, "profile_id": profile(w, item), "name": "Leaves", "sort_order": 5}


@case("visualization.profile.set_default", "visualization.profile.delete")
def _(w: World) -> Body:
    item = w.copy()["id"]
    return {"item_id": item, "profile_id": profile(w, item)}


# ---------------------------------------------------------------- analytics


@case("analytics.band_math")
def _(w: World) -> Body:
    return {
        "cog_url": reference(w),
        "bbox": BOX,
        "sensor": "sentinel-2-l2a",
        "formula": "(B08-B04)/(B08+B04)",
    }


@case("analytics.calculate_index")
def _(w: World) -> Body:
    return {
        "cog_url": reference(w),
        "bbox": BOX,
        "sensor": "sentinel-2-l2a",
        "index_name": "NDVI",
    }


@case("analytics.execute")
def _(w: World) -> Body:
    return {
        "operation": "zonal_stats",
        "params": {"item_id": w.item["id"], "geometry": FIELDS, "index_name": "NDVI"},
    }


@case("analytics.index.get", foreign="names nothing")
def _(w: World) -> Body:
    return {"index_name": "NDVI"}


@case("analytics.indices.list", foreign="names nothing")
def _(w: World) -> Body:
    return {"category": "vegetation"}


@case("analytics.operations.get", foreign="names nothing")
def _(w: World) -> Body:
    return {"operation_name": "zonal_stats"}


@case("analytics.operations.list", foreign="names nothing")
def _(w: World) -> Body:
    return {}


@case("analytics.sensors.list", foreign="names nothing")
def _(w: World) -> Body:
    return {}


@case("analytics.validate_formula", foreign="names nothing")
def _(w: World) -> Body:
    return {"formula": "(B08-B04)/(B08+B04)", "sensor": "sentinel-2-l2a"}


# ---------------------------------------------------------------- formulas


def formula(w: World, name: str) -> str:
    body = {"name": name, "formula": "(nir-red)/(nir+red)", "category": "vegetation"}
    made = w.ok("band_formulas.create", body)
    return made.get("band_formula", made)["id"]


@case("band_formulas.create", foreign="names nothing")
def _(w: World) -> Sent:
    return Sent(
        {
            "name": "leafiness",
            "formula": "(nir-red)/(nir+red)",
            "display_name": "Leafiness",
            "colormap": "rdylgn",
            "value_range": [-1, 1],
            "category": "vegetation",
        },
        w.organization(),
    )


@case("band_formulas.get")
def _(w: World) -> Body:
    return {"formula_id": w.of("formula", lambda: formula(w, "greenness"))}


@case("band_formulas.list", foreign="lists the caller's")
def _(w: World) -> Body:
    w.of("formula", lambda: formula(w, "greenness"))
    return {"category": "vegetation", "include_templates": False}


@case("band_formulas.update")
def _(w: World) -> Body:
    return {"formula_id": formula(w, w.name("index")), "display_name": "Leafiness"}


@case("band_formulas.delete")
def _(w: World) -> Body:
    return {"formula_id": formula(w, w.name("index"))}

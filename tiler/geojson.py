"""GeoJSON of a request, checked before anything is computed with it."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from tiler.errors import InvalidParameter

MAX_POSITIONS = 100_000
MAX_NEAR = 20_000
"""Pairs of edges whose boxes meet, of a polygon that is repaired, beyond four an edge: a sound one
has about three."""

MAX_PAIRS = 2_000_000
"""The same of one that may be sound: to find that out takes as long as there are pairs."""

MAX_CROSSINGS = 10_000_000
"""Times that edges cross rows of pixels: a polygon is filled row by row, between them."""

_FEW = 1_000  # edges that may meet as they like
_AT_ONCE = 32  # edges that are looked for at a time: each may meet all others
MAX_FEATURES = 64


def polygon(found: Any, *loc: str) -> dict[str, Any]:
    """A Polygon or MultiPolygon, from one, from a Feature of one, or from its text, in the plane:
    heights are left out, and one that crosses itself is the area it means.

    Args:
        loc: where it came from, for the refusal.

    Raises: InvalidParameter.
    """
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            raise _wrong(loc, "must be GeoJSON") from None
    if isinstance(found, Mapping) and found.get("type") == "Feature":
        found = found.get("geometry")
    if not isinstance(found, Mapping) or found.get("type") not in ("Polygon", "MultiPolygon"):
        raise _wrong(loc, "must be a GeoJSON Polygon or MultiPolygon")
    polygons: Any = found.get("coordinates")
    if found["type"] == "Polygon":
        polygons = [polygons]
    count = 0
    try:
        rings = [ring for one in polygons for ring in one]
        count = sum(len(ring) for ring in rings)
        if count > MAX_POSITIONS:
            raise _wrong(loc, f"has {count} positions; at most {MAX_POSITIONS} are taken")
        sound = bool(rings) and all(polygons) and all(len(ring) >= 4 for ring in rings)
        sound = sound and all(
            isinstance(p, list | tuple)
            and math.isfinite(p[0])
            and abs(p[0]) <= 540
            and abs(p[1]) <= 90
            for ring in rings
            for p in ring
        )
    except (TypeError, KeyError, IndexError, OverflowError):
        sound = False
    if not sound:
        raise _wrong(loc, "has coordinates that are not those of a polygon")
    rings_of = [[[(float(p[0]), float(p[1])) for p in ring] for ring in one] for one in polygons]
    made = shapely.MultiPolygon([(one[0], one[1:]) for one in rings_of])
    if len(made.geoms) == 1:
        made = made.geoms[0]
    pairs = _pairs(made) if count > _FEW else 0
    if pairs > 4 * count + MAX_PAIRS:
        raise _wrong(loc, "crosses itself too often, or has too many edges beside each other")
    if not made.is_valid:
        if (pairs or _pairs(made)) > 4 * count + MAX_NEAR:
            raise _wrong(loc, "crosses itself too often")
        made = _repaired(made)
    return dict(shapely.geometry.mapping(made))


def _edges(made: Any) -> np.ndarray:
    """The edges of all rings: (n, 2, 2)."""
    rings = shapely.get_rings(shapely.get_parts(made))
    places, of = shapely.get_coordinates(rings, return_index=True)
    return np.stack([places[:-1], places[1:]], axis=1)[of[:-1] == of[1:]]


def _pairs(made: Any) -> int:
    """Pairs of edges whose boxes meet, each twice and with itself; beyond the most, some number."""
    lines: Any = shapely.linestrings(_edges(made))
    tree, found = shapely.STRtree(lines), 0
    for start in range(0, len(lines), _AT_ONCE):
        found += tree.query(lines[start : start + _AT_ONCE]).shape[1]
        if found > 4 * len(lines) + MAX_PAIRS:
            break
    return found


def _repaired(made: Any) -> Any:
    """The area of rings that cross themselves or each other; one without any stays as it is."""
    whole = shapely.make_valid(made, method="structure", keep_collapsed=False)
    return whole if whole.geom_type in ("Polygon", "MultiPolygon") and not whole.is_empty else made


def check_fill(made: Any, bottom: float, top: float, rows: int, *loc: str) -> None:
    """See that a polygon can be filled in little time.

    Args:
        made: in a plane whose rows of pixels lie between `bottom` and `top`.
        rows: how many there are.

    Raises: InvalidParameter.
    """
    if rows * shapely.get_num_coordinates(made) <= MAX_CROSSINGS:
        return
    low, high = sorted((bottom, top))
    heights = np.clip(_edges(made)[:, :, 1], low, high)
    crossings = np.abs(heights[:, 1] - heights[:, 0]).sum() / (high - low) * rows
    if not crossings <= MAX_CROSSINGS:
        raise _wrong(
            loc,
            f"has edges that cross rows of pixels {crossings:.0f} times; at most {MAX_CROSSINGS} "
            "are filled: simplify it, or ask for fewer pixels",
        )


def features(found: Any) -> list[dict[str, Any]]:
    """The features of a body: a Feature, a FeatureCollection, or a bare polygon.

    Each has a checked geometry. Raises: InvalidParameter.
    """
    if not isinstance(found, Mapping):
        raise _wrong(("body",), "must be a GeoJSON object")
    single: list[Any] = [found]
    if found.get("type") == "FeatureCollection":
        single = found["features"] if isinstance(found.get("features"), list) else []
        if not 1 <= len(single) <= MAX_FEATURES:
            raise _wrong(("body", "features"), f"must hold 1 to {MAX_FEATURES} features")
    checked = []
    for number, one in enumerate(single):
        at = ("body",) if one is found else ("body", "features", str(number))
        known = dict(one) if isinstance(one, Mapping) and one.get("type") == "Feature" else {}
        properties = known.get("properties")
        checked.append(
            {
                **known,
                "type": "Feature",
                "geometry": polygon(one, *at, "geometry"),
                "properties": dict(properties) if isinstance(properties, Mapping) else {},
            }
        )
    return checked


def _wrong(loc: tuple[str, ...], message: str) -> InvalidParameter:
    return InvalidParameter([{"loc": list(loc), "msg": message, "type": "value_error"}])

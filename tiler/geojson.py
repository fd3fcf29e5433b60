"""GeoJSON of a request, checked before anything is computed with it."""

import json
import math
from collections.abc import Mapping
from typing import Any

from tiler.errors import InvalidParameter

MAX_POSITIONS = 100_000
MAX_FEATURES = 64


def polygon(found: Any, *loc: str) -> dict[str, Any]:
    """A Polygon or MultiPolygon, from one, from a Feature of one, or from its text, in the plane:
    heights are left out.

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
    flat = [[[[float(p[0]), float(p[1])] for p in ring] for ring in one] for one in polygons]
    return {"type": found["type"], "coordinates": flat[0] if found["type"] == "Polygon" else flat}


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

"""Checks of geometries and boxes that come with a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import shapely

from stac_api.errors import BadRequest

MAX_VERTICES = 10_000
MAX_PARTS = 500

# how deep the coordinates of each type are nested: 1 is a position
_NESTING = {
    "Point": 1,
    "MultiPoint": 2,
    "LineString": 2,
    "MultiLineString": 3,
    "Polygon": 3,
    "MultiPolygon": 4,
}


def is_number(value: Any) -> bool:
    """A finite int or float; bool is not a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def box(values: Sequence[Any], name: str = "bbox") -> dict[str, Any]:
    """A bbox of 4 or 6 numbers as a polygon, two where it crosses the antimeridian.

    Longitudes outside ±180 are the same places seen from the other side. Heights are left out:
    items are searched on the ground.

    Raises:
        BadRequest: another number of values, not finite, or south of its south.
    """
    if len(values) not in (4, 6) or not all(is_number(v) for v in values):
        raise BadRequest(f"{name} must be 4 or 6 finite numbers")
    if len(values) == 6:
        if values[2] > values[5]:
            raise BadRequest(f"{name} has its lowest height above its highest")
        values = [values[0], values[1], values[3], values[4]]
    west, south, east, north = (float(v) for v in values)
    if not -90 <= south <= north <= 90:
        raise BadRequest(f"{name} needs -90 <= south <= north <= 90")
    if max(abs(west), abs(east)) > 540:
        raise BadRequest(f"{name} needs longitudes in degrees")
    if east - west >= 360:
        west, east = -180.0, 180.0
    else:
        west, east = _wrapped(west), _wrapped(east)
        if east == -180.0:
            east = 180.0
        if west == 180.0 and east != 180.0:
            west = -180.0
    if west <= east:
        return _polygon(west, south, east, north)
    if west == 180.0:
        return _polygon(-180.0, south, east, north)
    parts = [_polygon(west, south, 180.0, north), _polygon(-180.0, south, east, north)]
    return {"type": "Multi" + parts[0]["type"], "coordinates": [p["coordinates"] for p in parts]}


def _wrapped(longitude: float) -> float:
    if -180 <= longitude <= 180:
        return longitude
    return (longitude + 180) % 360 - 180


def _polygon(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    if west == east and south == north:
        return {"type": "Point", "coordinates": [west, south]}
    if west == east or south == north:
        return {"type": "LineString", "coordinates": [[west, south], [east, north]]}
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def repaired(value: Any) -> Any:
    """A polygonal footprint that crosses or touches itself as the area it means; others unchanged.

    Catalogues hold many such footprints, and PostGIS fails a whole search on one of them. What is
    no geometry, or has no area when repaired, is left for whoever checks it to refuse.
    """
    if not isinstance(value, Mapping) or value.get("type") not in ("Polygon", "MultiPolygon"):
        return value
    try:
        made = shapely.from_geojson(orjson.dumps(value))
        if made.is_valid:
            return value
        made = shapely.make_valid(made, method="structure")
    except (shapely.errors.ShapelyError, ValueError, TypeError):
        return value
    polygonal = made.geom_type in ("Polygon", "MultiPolygon") and not made.is_empty
    return orjson.loads(shapely.to_geojson(made)) if polygonal else value


def geometry(value: Any, name: str = "intersects") -> dict[str, Any]:
    """A GeoJSON geometry within the limits, without members that do not belong.

    A GeometryCollection may hold simple geometries but no further collection.

    Raises:
        BadRequest: anything else, or more than 10,000 positions or 500 parts.
    """
    counted = [0, 0]
    if isinstance(value, Mapping) and value.get("type") == "GeometryCollection":
        members = value.get("geometries")
        if not isinstance(members, list) or not members:
            raise BadRequest(f"{name} is an empty GeometryCollection")
        return {
            "type": "GeometryCollection",
            "geometries": [_simple(m, name, counted) for m in members],
        }
    return _simple(value, name, counted)


def _simple(value: Any, name: str, counted: list[int]) -> dict[str, Any]:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind not in _NESTING:
        raise BadRequest(f"{name} must be a GeoJSON geometry, its collections not nested")
    _positions(value.get("coordinates"), _NESTING[kind], kind, name, counted)
    return {"type": kind, "coordinates": value["coordinates"]}


def _positions(value: Any, nesting: int, kind: str, name: str, counted: list[int]) -> None:
    if not isinstance(value, list) or not value:
        raise BadRequest(f"{name} has {kind} coordinates of the wrong shape")
    if nesting == 1:
        counted[0] += 1
        if counted[0] > MAX_VERTICES:
            raise BadRequest(f"{name} has more than {MAX_VERTICES} positions")
        if not 2 <= len(value) <= 4 or not all(is_number(v) for v in value):
            raise BadRequest(f"{name} has a position that is not 2 or 3 finite numbers")
        return
    counted[1] += 1
    if counted[1] > MAX_PARTS:
        raise BadRequest(f"{name} has more than {MAX_PARTS} parts")
    for part in value:
        _positions(part, nesting - 1, kind, name, counted)
    if nesting == 2 and kind.endswith("Polygon") and (len(value) < 4 or value[0] != value[-1]):
        raise BadRequest(f"{name} has a ring that is not closed")
    if nesting == 2 and kind.endswith("LineString") and len(value) < 2:
        raise BadRequest(f"{name} has a line of one position")

"""Geometries and boxes that a caller gives an item: checked once, with the place of a fault."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ops_gateway.kernel.errors import Invalid
from processes.geometry import MAX_VERTICES, check_polygonal, position

MAX_PARTS = 500

# how deep the coordinates are nested: 1 is one position
_NESTING = {"Point": 1, "MultiPoint": 2, "LineString": 2, "MultiLineString": 3}
_POLYGONAL = ("Polygon", "MultiPolygon")
# a box that touches both ends of the map wraps around it if more than this is free in between
_GAP = 1e-9


def checked(value: Any, field: str = "geometry") -> dict[str, Any]:
    """A GeoJSON geometry in EPSG:4326: closed rings, within the world, valid, not too large.

    Heights are left out; a GeometryCollection holds simple geometries only.

    Raises:
        Invalid: at `field`, with the place of the fault.
    """
    try:
        return _checked(value)
    except ValueError as error:
        raise Invalid.at(field, str(error)) from None


def _checked(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a GeoJSON geometry")
    if value.get("type") != "GeometryCollection":
        return _simple(value, [0, 0])
    members = value.get("geometries")
    if not isinstance(members, list) or not members:
        raise ValueError("geometries must be a non-empty array")
    counted = [0, 0]
    return {"type": "GeometryCollection", "geometries": [_simple(m, counted) for m in members]}


def _simple(value: Any, counted: list[int]) -> dict[str, Any]:
    """One geometry that is no collection; `counted` are the vertices and parts so far."""
    kind = value.get("type") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or (kind not in _NESTING and kind not in _POLYGONAL):
        raise ValueError(f"{str(kind)[:40]!r} is not a type of GeoJSON geometry that fits here")
    coordinates = value.get("coordinates")
    many = kind in ("MultiPolygon", "MultiLineString")
    counted[1] += len(coordinates) if many and isinstance(coordinates, list) else 1
    if counted[1] > MAX_PARTS:
        raise ValueError(f"more than {MAX_PARTS} parts")
    if kind in _POLYGONAL:
        made = check_polygonal(value)
    else:
        found = _line(coordinates, _NESTING[kind], kind, "coordinates")
        made = {"type": kind, "coordinates": found}
    counted[0] += sum(1 for _ in positions(made))
    if counted[0] > MAX_VERTICES:
        raise ValueError(f"more than {MAX_VERTICES} vertices")
    return made


def _line(value: Any, nesting: int, kind: str, place: str) -> list[Any]:
    if nesting == 1:
        return position(value, place)
    if not isinstance(value, list) or not value or len(value) > MAX_VERTICES:
        raise ValueError(f"{place} must be an array of 1 to {MAX_VERTICES} entries")
    if nesting == 2 and kind.endswith("LineString") and len(value) < 2:
        raise ValueError(f"{place} is a line of one position")
    return [_line(part, nesting - 1, kind, f"{place}[{n}]") for n, part in enumerate(value)]


def positions(geometry: Mapping[str, Any]) -> Iterator[Sequence[float]]:
    """Every position of a checked geometry."""
    stack: list[Any] = [part["coordinates"] for part in geometry.get("geometries", [geometry])]
    while stack:
        part = stack.pop()
        if isinstance(part[0], int | float):
            yield part
        else:
            stack.extend(part)


def bbox_of(geometry: Mapping[str, Any]) -> list[float]:
    """West, south, east, north; west > east where the geometry lies on both sides of 180°.

    A geometry across the antimeridian comes in parts that end at it (RFC 7946 §3.1.9); its box then
    goes the short way round (§5.2).
    """
    parts = [_bounds(part) for part in _parts(geometry)]
    south, north = min(p[1] for p in parts), max(p[3] for p in parts)
    west, east = min(p[0] for p in parts), max(p[2] for p in parts)
    if west == -180 and east == 180:
        spans = sorted((p[0], p[2]) for p in parts)
        reach, best = spans[0][1], (0.0, -180.0, 180.0)
        for begin, end in spans[1:]:
            best = max(best, (begin - reach, begin, reach))
            reach = max(reach, end)
        if best[0] > _GAP:
            _, west, east = best
    return [west, south, east, north]


def _parts(geometry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for member in geometry.get("geometries", [geometry]):
        kind = member["type"]
        if kind.startswith("Multi"):
            for coordinates in member["coordinates"]:
                yield {"type": kind[5:], "coordinates": coordinates}
        else:
            yield member


def _bounds(part: Mapping[str, Any]) -> tuple[float, float, float, float]:
    x, y = zip(*((p[0], p[1]) for p in positions(part)), strict=True)
    return min(x), min(y), max(x), max(y)


def checked_bbox(value: Sequence[float], field: str = "bbox") -> list[float]:
    """West, south, east, north (heights left out); west > east across the antimeridian.

    Raises: Invalid.
    """
    if len(value) not in (4, 6) or not all(math.isfinite(v) for v in value):
        raise Invalid.at(field, "a bbox is 4 or 6 finite numbers")
    west, south, east, north = (
        value if len(value) == 4 else (value[0], value[1], value[3], value[4])
    )
    if not (-180 <= west <= 180 and -180 <= east <= 180):
        raise Invalid.at(field, "longitudes of a bbox are in [-180, 180]")
    if not -90 <= south <= north <= 90:
        raise Invalid.at(field, "a bbox needs -90 <= south <= north <= 90")
    return [float(west), float(south), float(east), float(north)]

"""Geometry inputs: checked once, at the door, with the place of what is wrong."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from processes.process import Item, decimal_km2

MAX_VERTICES = 10_000
_EDGE_DEGREES = 0.5  # between the points of an edge that is measured

_POSITION = {
    "type": "array",
    "items": {"type": "number"},
    "minItems": 2,
    "maxItems": 3,
}
_RINGS = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "array", "minItems": 4, "items": _POSITION},
}
POLYGONAL_SCHEMA: dict[str, Any] = {
    "title": "Polygon or MultiPolygon",
    "description": "GeoJSON in EPSG:4326: longitude and latitude in degrees, closed rings, at "
    f"most {MAX_VERTICES} vertices.",
    "oneOf": [
        {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {"type": {"const": "Polygon"}, "coordinates": _RINGS},
        },
        {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {
                "type": {"const": "MultiPolygon"},
                "coordinates": {"type": "array", "minItems": 1, "items": _RINGS},
            },
        },
        {
            "type": "object",
            "required": ["type", "geometry"],
            "properties": {"type": {"const": "Feature"}, "geometry": {"type": "object"}},
        },
    ],
}


def check_polygonal(value: object) -> dict[str, Any]:
    """A valid GeoJSON Polygon or MultiPolygon; a Feature gives its geometry.

    Raises: ValueError: with the place (`coordinates[0][3]`, or the longitude and latitude of a
        self-intersection).
    """
    if isinstance(value, Mapping) and value.get("type") == "Feature":
        value = value.get("geometry")
    if not isinstance(value, Mapping):
        raise ValueError("must be a GeoJSON Polygon or MultiPolygon")
    kind, coordinates = value.get("type"), value.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"type must be Polygon or MultiPolygon, not {str(kind)[:40]!r}")
    total = 0
    if kind == "Polygon":
        rings = _polygon(coordinates, "coordinates")
        total = sum(map(len, rings))
        clean: list[Any] = rings
    else:
        clean = []
        for n, polygon in enumerate(_list(coordinates, "coordinates")):
            rings = _polygon(polygon, f"coordinates[{n}]")
            total += sum(map(len, rings))
            _few(total)
            clean.append(rings)
    _few(total)
    geometry = {"type": kind, "coordinates": clean}
    import shapely
    from shapely.geometry import shape

    made = shape(geometry)
    if not made.is_valid:
        reason = shapely.is_valid_reason(made).replace("[", " at [")
        raise ValueError(f"not a valid {kind}: {reason}")
    if not made.area:
        raise ValueError(f"the {kind} has no area")
    return geometry


def _few(total: int) -> None:
    if total > MAX_VERTICES:
        raise ValueError(f"more than {MAX_VERTICES} vertices")


def _list(value: object, place: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{place} must be a non-empty array")
    if len(value) > MAX_VERTICES:
        raise ValueError(f"{place} has more than {MAX_VERTICES} entries")
    return value


def _polygon(value: object, place: str) -> list[list[list[float]]]:
    rings = []
    for n, ring in enumerate(_list(value, place)):
        where = f"{place}[{n}]"
        points = [position(p, f"{where}[{i}]") for i, p in enumerate(_list(ring, where))]
        if len(points) < 4:
            raise ValueError(f"{where} has fewer than four positions")
        if points[0] != points[-1]:
            raise ValueError(f"{where} is not closed: first and last position differ")
        rings.append(points)
    return rings


def position(value: object, place: str) -> list[float]:
    """Longitude and latitude; a height is left out. Raises: ValueError: with `place`."""
    if not isinstance(value, list | tuple) or len(value) not in (2, 3):
        raise ValueError(f"{place} must be [longitude, latitude]")
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{place} must hold numbers")
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f"{place} must hold finite numbers")
    if not -180 <= value[0] <= 180:
        raise ValueError(f"{place}: longitude {value[0]:.6g} is not in [-180, 180]")
    if not -90 <= value[1] <= 90:
        raise ValueError(f"{place}: latitude {value[1]:.6g} is not in [-90, 90]")
    return [float(value[0]), float(value[1])]


Polygonal = Annotated[
    dict[str, Any], BeforeValidator(check_polygonal), WithJsonSchema(POLYGONAL_SCHEMA)
]
"""Type of a geometry input."""


def area_km2(geometry: Mapping[str, Any] | None, items: Sequence[Item]) -> Decimal:
    """Area on the ground that a run covers: of the geometry within the items' footprints.

    Edges are straight in longitude and latitude, as GeoJSON has them and as pixels are cut. The
    area is that of an equal-area projection: a geodesic would leave the parallel on a long edge
    and, on one of 180° or more, go round the other side of the Earth.

    Args:
        geometry: None means the whole items.
        items: STAC items; one without a geometry does not narrow.
    """
    import shapely
    from shapely.geometry import shape

    footprints = [shape(dict(item["geometry"])) for item in items if item.get("geometry")]
    footprints = [f if f.is_valid else shapely.make_valid(f) for f in footprints]
    covered = shapely.union_all(footprints) if footprints else None
    wanted = shape(dict(geometry)) if geometry is not None else covered
    if wanted is None:
        return Decimal(0)
    both = wanted if covered is None or geometry is None else wanted.intersection(covered)
    parts = [p for p in shapely.get_parts(both) if p.geom_type == "Polygon"]
    flat = shapely.transform(shapely.segmentize(parts, _EDGE_DEGREES), equal_area)
    return decimal_km2(float(shapely.area(flat).sum()))


def equal_area(points: Any) -> Any:
    """Longitude and latitude → metres of a cylindrical equal-area projection."""
    import numpy as np

    return np.column_stack(_to_equal_area().transform(points[:, 0], points[:, 1]))


@cache
def _to_equal_area() -> Any:
    import pyproj

    return pyproj.Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True)

"""Areas that lie in a file: the features of a GeoJSON FeatureCollection, checked."""

import json
from typing import Any

import shapely
import shapely.geometry

from processes.geometry import check_polygonal
from raster import content
from raster.errors import RasterError

MAX_AREAS = 100_000
MAX_BYTES = 128 * 1024**2


def read(path: str, *, id_property: str | None = None) -> list[tuple[str, Any]]:
    """(id, shapely geometry in EPSG:4326) of every feature, in the file's order.

    Args:
        path: absolute, or in the object store.
        id_property: whose value is the id; default the feature's id, else its place from 0.

    Raises: ValueError: what is wrong with the file, and where; RasterError("not_found").
    """
    try:
        found = _features(content.read(path, MAX_BYTES))
    except RasterError as error:
        if error.code == "too_large":
            raise ValueError(error.message) from None
        raise
    if len(found) > MAX_AREAS:
        raise ValueError(f"has {len(found):,} areas; at most {MAX_AREAS:,}")
    return [_area(number, feature, id_property) for number, feature in enumerate(found)]


def _area(number: int, feature: Any, wanted: str | None) -> tuple[str, Any]:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise ValueError(f"features[{number}] must be a Feature")
    try:
        geometry = check_polygonal(feature)
    except ValueError as error:
        raise ValueError(f"features[{number}]: {error}") from None
    own = feature.get("properties")
    name = feature.get("id") if wanted is None else None
    if wanted is not None:
        name = own.get(wanted) if isinstance(own, dict) else None
        if name is None:
            raise ValueError(f"features[{number}] has no property {wanted!r}")
    return str(number if name is None else name)[:200], shapely.geometry.shape(geometry)


def _features(content: bytes) -> list[Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    if not isinstance(value, dict) or value.get("type") != "FeatureCollection":
        raise ValueError("is no GeoJSON FeatureCollection")
    found = value.get("features")
    if not isinstance(found, list) or not found:
        raise ValueError("has no features")
    return found

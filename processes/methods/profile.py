"""`profile`: values along a line."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pyproj
from pydantic import BeforeValidator, Field, WithJsonSchema

from processes.analysis import points
from processes.analysis.context import MethodContext
from processes.analysis.params import Items, Measure
from processes.geometry import MAX_VERTICES, position
from processes.method import MethodError, method

MAX_SAMPLES = 10_000
_GEOD = pyproj.Geod(ellps="WGS84")


def check_line(value: object) -> list[list[float]]:
    """The positions of a GeoJSON LineString or a Feature of one. Raises: ValueError."""
    if isinstance(value, Mapping) and value.get("type") == "Feature":
        value = value.get("geometry")
    if not isinstance(value, Mapping) or value.get("type") != "LineString":
        raise ValueError("must be a GeoJSON LineString")
    coordinates = value.get("coordinates")
    if not isinstance(coordinates, list) or not 2 <= len(coordinates) <= MAX_VERTICES:
        raise ValueError(f"coordinates must be 2 to {MAX_VERTICES} positions")
    line = [position(p, f"coordinates[{n}]") for n, p in enumerate(coordinates)]
    if all(point == line[0] for point in line):
        raise ValueError("the line has no length")
    return line


Line = Annotated[
    list[list[float]],
    BeforeValidator(check_line),
    WithJsonSchema(
        {
            "title": "LineString",
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {
                "type": {"const": "LineString"},
                "coordinates": {"type": "array", "minItems": 2},
            },
        }
    ),
]


class ProfileParams(Items, Measure):
    """The line, and how closely it is sampled."""

    geometry: Line = Field(description="LineString in EPSG:4326, or a Feature of one.")
    samples: int = Field(
        default=100, ge=2, le=MAX_SAMPLES, description="Evenly spaced, both ends included."
    )


def along(line: list[list[float]], samples: int) -> tuple[np.ndarray, np.ndarray]:
    """(distances in m, longitudes and latitudes) of evenly spaced points; each part of the line
    is straight in longitude and latitude, its length that of the geodesic.
    """
    ends = np.asarray(line, float)
    _, _, lengths = _GEOD.inv(ends[:-1, 0], ends[:-1, 1], ends[1:, 0], ends[1:, 1])
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    if not math.isfinite(at[-1]) or at[-1] <= 0:
        raise MethodError("invalid_params", "the line has no length")
    wanted = np.linspace(0, at[-1], samples)
    degrees = np.column_stack([np.interp(wanted, at, ends[:, n]) for n in (0, 1)])
    return wanted, degrees


@method
class Profile:
    """The value of a band, an index or an expression along a line: at evenly spaced points, of the
    pixel each lies in. Points outside the raster or without a value have none.
    """

    name = "profile"
    title = "Profile along a line"
    input_model = ProfileParams
    examples = (
        {
            "item_id": "it_…",
            "band": 1,
            "geometry": {"type": "LineString", "coordinates": [[3.2, 51.1], [3.3, 51.2]]},
        },
    )

    def execute(self, params: ProfileParams, ctx: MethodContext) -> dict[str, Any]:
        """The samples. Raises: MethodError."""
        what = ctx.quantity(ctx.item(params), params)
        distances, degrees = along(params.geometry, params.samples)
        if not points.covered(what, degrees.tolist()):
            raise MethodError("no_overlap", "the line lies outside the raster")
        found = points.values_at(ctx, what, degrees)
        empty = np.ma.getmaskarray(found)
        if empty.all():
            raise MethodError("no_valid_pixel", "no point of the line has a value")
        values = found.compressed().astype(np.float64)
        return {
            **ctx.describe(what),
            "length_m": float(distances[-1]),
            "profile": [
                {
                    "distance_m": float(distances[n]),
                    "longitude": float(degrees[n, 0]),
                    "latitude": float(degrees[n, 1]),
                    "value": None if empty[n] else float(found.data[n]),
                }
                for n in range(len(distances))
            ],
            "statistics": {
                "count": int(values.size),
                "min": float(values.min()),
                "max": float(values.max()),
                "mean": float(values.mean()),
            },
            "inputs": what.checksums,
        }

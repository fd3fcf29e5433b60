"""A request's body: bounded, and JSON."""

from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request

from tiler.errors import InvalidParameter, TileError
from wire.body import BodyError, read_body

MAX_BYTES = 4 << 20

_POSITION = {"type": "array", "items": {"type": "number"}, "minItems": 2}
_RING = {"type": "array", "items": _POSITION, "minItems": 4}
_POLYGON = {
    "type": "object",
    "required": ["type", "coordinates"],
    "properties": {
        "type": {"const": "Polygon"},
        "coordinates": {"type": "array", "items": _RING, "minItems": 1},
    },
}
GEOMETRY: dict[str, Any] = {
    "oneOf": [
        _POLYGON,
        {
            "type": "object",
            "required": ["type", "geometry"],
            "properties": {"type": {"const": "Feature"}, "geometry": _POLYGON},
        },
    ]
}
"""JSON Schema of a body that holds one polygon."""


async def read_json(request: Request) -> Any:
    """The body's value. Raises: InvalidParameter: no JSON; TileError (413): too long."""
    try:
        return orjson.loads(await read_body(request, MAX_BYTES))
    except BodyError as error:
        title = HTTPStatus(error.status).phrase
        raise TileError(error.status, title, str(error)) from None
    except orjson.JSONDecodeError:
        fault = {"loc": ["body"], "msg": "must be JSON", "type": "json_invalid"}
        raise InvalidParameter([fault]) from None

"""A request's body: bounded, and JSON."""

from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from tiler.errors import InvalidParameter, TileError

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
    chunks: list[bytes] = []
    total = 0
    try:
        async for chunk in request.stream():
            total += len(chunk)
            if total > MAX_BYTES:
                raise TileError(413, "Content Too Large", f"a body has at most {MAX_BYTES} bytes")
            chunks.append(chunk)
    except ClientDisconnect:
        raise TileError(400, "Bad Request", "the body ended early") from None
    try:
        return orjson.loads(b"".join(chunks))
    except orjson.JSONDecodeError:
        fault = {"loc": ["body"], "msg": "must be JSON", "type": "json_invalid"}
        raise InvalidParameter([fault]) from None

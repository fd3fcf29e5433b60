"""Reading a request's JSON with limits that hold before anything else looks at it."""

from __future__ import annotations

import math
from typing import Any

import orjson
from starlette.requests import Request

from ops_gateway.kernel.errors import BadRequest, Invalid, OpError, TooLarge

BODY_LIMIT = 2 << 20
BULK_LIMIT = 64 << 20
DEPTH_LIMIT = 64
STRING_LIMIT = 64 << 10
ARRAY_LIMIT = 10_000
INTEGER_LIMIT = 2**53


async def read_body(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The whole body; raises TooLarge as soon as it is over `limit` bytes."""
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"the body is larger than {limit} bytes")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def read_json(request: Request, limit: int = BODY_LIMIT) -> Any:
    """The parsed body; an empty one is `{}`. Raises BadRequest, TooLarge or Invalid."""
    content = await read_body(request, limit)
    if not content.strip():
        return {}
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise BadRequest(f"the body must be application/json, not {kind[:100]}")
    return parse_json(content)


def parse_json(content: bytes) -> Any:
    """Strict JSON: no NaN, no infinity, no lone surrogates, bounded depth, strings, arrays and integers."""
    try:
        value = orjson.loads(content)  # stops at 1,024 levels by itself
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not valid JSON: {error.msg} at character {error.pos}") from None
    problem = find_fault(value)
    if problem is not None:
        raise problem
    return value


def find_fault(value: Any) -> OpError | None:
    """The first value over a limit, with its place; None where all is well."""
    stack: list[tuple[Any, tuple[str | int, ...]]] = [(value, ())]
    while stack:
        current, path = stack.pop()
        if len(path) > DEPTH_LIMIT:
            return BadRequest(f"the JSON is nested deeper than {DEPTH_LIMIT} levels")
        match current:
            case str():
                if len(current) > STRING_LIMIT:
                    return Invalid.at(path, f"a string has more than {STRING_LIMIT} characters")
                if "\x00" in current:
                    return Invalid.at(path, "a string holds the character NUL")
            case bool() | None:
                pass
            case int():
                if abs(current) > INTEGER_LIMIT:
                    return Invalid.at(path, "an integer is beyond 2^53")
            case float():
                if not math.isfinite(current):
                    return Invalid.at(path, "a number is not finite")
            case list():
                if len(current) > ARRAY_LIMIT and path[-1:] != ("coordinates",):
                    # a ring's vertices are counted by the geometry check, with its own message
                    if not (current and isinstance(current[0], list)):
                        return Invalid.at(path, f"an array has more than {ARRAY_LIMIT} members")
                stack.extend((item, (*path, index)) for index, item in enumerate(current))
            case dict():
                for name, item in current.items():
                    if "\x00" in name or len(name) > 1024:
                        return Invalid.at(path, "a member's name holds NUL or is too long")
                    stack.append((item, (*path, name)))
            case _:
                pass
    return None

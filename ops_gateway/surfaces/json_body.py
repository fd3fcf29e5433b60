"""Reading a request's JSON with limits that hold before anything else looks at it."""

from __future__ import annotations

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
    """Strict JSON: no NaN, infinity or lone surrogates; bounded depth, strings, arrays, numbers."""
    try:
        value = orjson.loads(content)  # stops at 1,024 levels by itself
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"the body is not valid JSON: {error.msg} at character {error.pos}"
        ) from None
    problem = find_fault(value)
    if problem is not None:
        raise problem
    return value


def find_fault(value: Any) -> OpError | None:
    """A value over a limit, with its place; None where all is well."""
    if is_sound(value, 0):
        return None
    # only what is refused pays for knowing where it is
    stack: list[tuple[Any, tuple[str | int, ...]]] = [(value, ())]
    while stack:
        current, path = stack.pop()
        if len(path) > DEPTH_LIMIT:
            return BadRequest(f"the JSON is nested deeper than {DEPTH_LIMIT} levels")
        if (wrong := fault_of(current)) is not None:
            return Invalid.at(path, wrong)
        if isinstance(current, list):
            stack.extend((item, (*path, index)) for index, item in enumerate(current))
        elif isinstance(current, dict):
            stack.extend((item, (*path, name)) for name, item in current.items())
    return None


def is_sound(value: Any, depth: int) -> bool:
    """Whether `value` and everything in it keeps the limits. A float is: the parser knows no others
    than finite ones.
    """
    if depth > DEPTH_LIMIT or fault_of(value) is not None:
        return False
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return True
    for item in value:
        kind = type(item)
        if kind is float:
            continue
        if kind is int:
            if not -INTEGER_LIMIT <= item <= INTEGER_LIMIT:
                return False
        elif not is_sound(item, depth + 1):
            return False
    return True


def fault_of(value: Any) -> str | None:
    """What is wrong with one value, its members left aside."""
    kind = type(value)
    if kind is list:
        # a ring's vertices are counted by the geometry check, with its own message
        if len(value) > ARRAY_LIMIT and not isinstance(value[0], list):
            return f"an array has more than {ARRAY_LIMIT} members"
    elif kind is str:
        if len(value) > STRING_LIMIT:
            return f"a string has more than {STRING_LIMIT} characters"
        if "\x00" in value:
            return "a string holds the character NUL"
    elif kind is dict:
        if any("\x00" in name or len(name) > 1024 for name in value):
            return "a member's name holds NUL or is too long"
    elif kind is int and abs(value) > INTEGER_LIMIT:
        return "an integer is beyond 2^53"
    return None

"""What a JSON value may be before anything else looks at it: bounded and storable."""

from __future__ import annotations

from typing import Any, cast

from ops_gateway.kernel.errors import BadRequest, Invalid, OpError

DEPTH_LIMIT = 64
STRING_LIMIT = 64 << 10
ARRAY_LIMIT = 10_000
INTEGER_LIMIT = 2**53


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
            members = cast("list[Any]", current)
            stack.extend((item, (*path, index)) for index, item in enumerate(members))
        elif isinstance(current, dict):
            named = cast("dict[str, Any]", current)
            stack.extend((item, (*path, name)) for name, item in named.items())
    return None


def is_sound(value: Any, depth: int) -> bool:
    """Whether `value` and everything in it keeps the limits. A float is: the parser knows no others
    than finite ones.
    """
    if depth > DEPTH_LIMIT or fault_of(value) is not None:
        return False
    if isinstance(value, dict):
        members = cast("list[Any]", value.values())
    elif isinstance(value, list):
        members = cast("list[Any]", value)
    else:
        return True
    for item in members:
        kind = type(cast("object", item))
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
    kind = type(cast("object", value))
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

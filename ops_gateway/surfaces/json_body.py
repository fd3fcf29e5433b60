"""Reading a request's JSON with limits that hold before anything else looks at it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import orjson
from starlette.requests import Request

import wire.body
from ops_gateway.kernel.errors import BadRequest, OpError, TooLarge
from ops_gateway.kernel.json_limits import fault_of, find_fault
from wire.body import BodyCutShort, BodyTooLarge

BODY_LIMIT = 2 << 20
BULK_LIMIT = 64 << 20


async def read_body(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The whole body. Raises TooLarge over `limit` bytes; BadRequest where it ends early."""
    with as_refusals():
        return await wire.body.read_body(request, limit)


@contextmanager
def as_refusals() -> Generator[None]:
    """What is wrong with a body, as the gateway's errors."""
    try:
        yield
    except BodyTooLarge as error:
        raise TooLarge(str(error)) from None
    except BodyCutShort as error:
        raise BadRequest(str(error)) from None


async def read_json(request: Request, limit: int = BODY_LIMIT, *, loose: str | None = None) -> Any:
    """The parsed body; an empty one is `{}`. Raises BadRequest, TooLarge or Invalid.

    `loose`: see `check`.
    """
    content = await read_body(request, limit)
    if not content.strip():
        return {}
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise BadRequest(f"the body must be application/json, not {kind[:100]}")
    return parse_json(content, loose=loose)


def parse_json(content: bytes, *, loose: str | None = None) -> Any:
    """Strict JSON: no NaN, infinity or lone surrogates; bounded depth, strings, arrays, numbers.

    `loose`: see `check`.
    """
    try:
        value = orjson.loads(content)  # stops at 1,024 levels by itself
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"the body is not valid JSON: {error.msg} at character {error.pos}"
        ) from None
    if (fault := check(value, loose=loose)) is not None:
        raise fault
    return value


def check(value: Any, *, loose: str | None = None) -> OpError | None:
    """What is wrong with a parsed body before any operation looks at it; None where nothing is.

    `loose` names a member whose entries are left to whoever reads them, one by one.
    """
    if loose is not None and isinstance(value, dict):
        if (wrong := fault_of(value.get(loose))) is not None:
            return BadRequest(f"{loose}: {wrong}")
        return find_fault({name: part for name, part in value.items() if name != loose})
    return find_fault(value)

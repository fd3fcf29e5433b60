"""Reading a request's JSON with limits that hold before anything else looks at it."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from ops_gateway.kernel.errors import BadRequest, OpError, TooLarge
from ops_gateway.kernel.json_limits import fault_of, find_fault

BODY_LIMIT = 2 << 20
BULK_LIMIT = 64 << 20


async def read_body(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The whole body; raises TooLarge as soon as it is over `limit` bytes.

    One that ends early is a BadRequest, which nobody reads: the log shows no fault of ours.
    """
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"the body is larger than {limit} bytes")
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"the body is larger than {limit} bytes")
            chunks.append(chunk)
    except ClientDisconnect:
        raise BadRequest("the client went away before its body was whole") from None
    return b"".join(chunks)


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

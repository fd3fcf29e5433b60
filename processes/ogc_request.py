"""What a client asks: the body of an execution, its inputs, and the Prefer header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from processes.ogc_problem import Problem

MAX_BODY = 2 << 20
MAX_DEPTH = 64
MAX_STRING = 64 << 10
MAX_ARRAY = 10_000
MAX_INTEGER = 2**53
# geometries are arrays of arrays: their own limits are the process's business
CRS84 = ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", "[OGC:CRS84]", "OGC:CRS84")


@dataclass(frozen=True)
class Execution:
    """An execution request, read and checked for form but not against the process.

    Attributes:
        inputs: by name, values resolved.
        outputs: names of the outputs wanted; None for all.
        references: names of the outputs wanted as links.
        response: `document` or `raw`.
    """

    inputs: dict[str, Any]
    outputs: list[str] | None = None
    references: frozenset[str] = frozenset()
    response: str = "raw"


async def read_execution(request: Request) -> Execution:
    """The execution asked for. An empty body is an execution without inputs.

    Raises: Problem: 400 or 413.
    """
    body = await read_json(request)
    response = body.get("response", "raw")
    if response not in ("raw", "document"):
        raise _bad("response", "must be 'raw' or 'document'")
    if "subscriber" in body:
        raise _bad("subscriber", "callbacks are not offered; poll the job instead")
    inputs = body.get("inputs", {})
    if not isinstance(inputs, dict):
        raise _bad("inputs", "must be an object")
    outputs = body.get("outputs") or None
    if outputs is not None and not isinstance(outputs, dict):
        raise _bad("outputs", "must be an object")
    references = set()
    for name, wish in (outputs or {}).items():
        mode = (wish or {}).get("transmissionMode", "value") if isinstance(wish, dict | None) else 0
        if mode not in ("value", "reference"):
            raise _bad(f"outputs.{name}", "transmissionMode must be 'value' or 'reference'")
        if mode == "reference":
            references.add(name)
    return Execution(
        {name: resolve(name, value) for name, value in inputs.items()},
        list(outputs) if outputs else None,
        frozenset(references),
        response,
    )


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; `{}` for an empty body. Raises: Problem: 400 or 413."""
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BODY:
                raise Problem(413, f"the body may have {MAX_BODY} bytes")
            chunks.append(chunk)
    except ClientDisconnect:
        raise Problem(400, "the body ended early") from None
    text = b"".join(chunks)
    if not text.strip():
        return {}
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Problem(400, "the body must be a JSON object")
    _check(body, "body", 1)
    return body


def _check(value: Any, where: str, depth: int) -> None:
    """Refuse what no layer below could store."""
    if depth > MAX_DEPTH:
        raise Problem(400, f"{where}: nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        for name, member in value.items():
            _check(name, where, depth + 1)
            _check(member, f"{where}.{name}"[:200], depth + 1)
    elif isinstance(value, list):
        if len(value) > MAX_ARRAY:
            raise Problem(400, f"{where}: more than {MAX_ARRAY} elements")
        for member in value:
            if not isinstance(member, float):  # most of a geometry
                _check(member, where, depth + 1)
    elif isinstance(value, str):
        if "\x00" in value or len(value) > MAX_STRING:
            raise Problem(400, f"{where}: a string is longer than {MAX_STRING} or holds NUL")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise Problem(400, f"{where}: an integer is beyond ±2^53")


def resolve(name: str, value: Any) -> Any:
    """An input as the standard lets it be written → the value the process takes.

    Qualified values (`{"value": …, "mediaType": …}`) are unwrapped; a bounding box becomes the
    polygon of an input that takes a geometry, else its list of numbers.

    Raises: Problem: 400 for an input by reference, or a bounding box not in CRS84.
    """
    if not isinstance(value, dict):
        return value
    keys = set(value)
    if "value" in keys and keys <= {"value", "mediaType", "encoding", "schema", "format"}:
        return value["value"]
    if "href" in keys and keys <= {"href", "type", "rel", "title", "hreflang", "method", "body"}:
        raise _bad(f"inputs.{name}", "inputs by reference are not taken; send the value")
    if "bbox" in keys and keys <= {"bbox", "crs"}:
        return _bbox(name, value)
    return value


def _bbox(name: str, value: Mapping[str, Any]) -> Any:
    box, crs = value["bbox"], value.get("crs", CRS84[0])
    if crs not in CRS84:
        raise _bad(f"inputs.{name}.crs", "only CRS84 is taken")
    numbers = isinstance(box, list) and all(
        isinstance(n, int | float) and not isinstance(n, bool) for n in box
    )
    if not numbers or len(box) not in (4, 6):
        raise _bad(f"inputs.{name}.bbox", "must be four or six numbers")
    if not name.endswith(("geometry", "aoi")):
        return box
    west, south, east, north = box if len(box) == 4 else (*box[:2], *box[3:5])
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _bad(where: str, message: str) -> Problem:
    errors = [{"loc": ["body", *where.split(".")], "msg": message, "type": "value_error"}]
    return Problem(400, f"{where}: {message}", type="validation", errors=errors)


@dataclass(frozen=True)
class Preferences:
    """The preferences of RFC 7240 that matter here. `wait_seconds` None: not said."""

    respond_async: bool = False
    respond_sync: bool = False
    wait_seconds: int | None = None
    applied: list[str] = field(default_factory=list)


_PREFERENCE = re.compile(
    r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s,;"]*))?\s*(?:;[^,]*)?(?:,|$)"""
)


def read_preferences(request: Request) -> Preferences:
    """All Prefer headers of a request; what is not understood is ignored, as RFC 7240 asks.

    `respond-sync` is no registered preference, but clients (OWSLib) send it.
    """
    text = ",".join(request.headers.getlist("prefer"))[:1000]
    found: dict[str, str] = {}
    for name, value in _PREFERENCE.findall(text):
        found.setdefault(name.lower(), value.strip('"'))  # the first of a name counts
    wait = found.get("wait", "")
    return Preferences(
        respond_async="respond-async" in found,
        respond_sync="respond-sync" in found,
        wait_seconds=min(int(wait), 86_400) if re.fullmatch(r"[0-9]{1,9}", wait) else None,
    )


def page(request: Request, *, default: int, largest: int) -> tuple[int, int]:
    """`limit` and `offset` of a list; limit is lowered to `largest`. Raises: Problem: 400."""
    numbers = []
    for name, low, fallback in (("limit", 1, default), ("offset", 0, 0)):
        text = request.query_params.get(name)
        if text is None:
            numbers.append(fallback)
        elif not re.fullmatch(r"[0-9]{1,7}", text) or int(text) < low:
            raise Problem(400, f"{name}: must be a whole number of at least {low}")
        else:
            numbers.append(int(text))
    limit, offset = numbers
    if offset > 1_000_000:
        raise Problem(400, "offset: at most 1000000")
    return min(limit, largest), offset

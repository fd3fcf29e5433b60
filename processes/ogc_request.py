"""What a client asks: the body of an execution, its inputs, and the Prefer header."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from starlette.requests import Request

from processes.ogc_documents import STATUS
from processes.ogc_problem import Problem
from processes.process import Process
from wire.body import BodyError, read_body

MAX_BODY = 2 << 20
MAX_DEPTH = 64
MAX_URL = 2048
MAX_STRING = 64 << 10
MAX_ARRAY = 10_000
MAX_INTEGER = 2**53
SUBSCRIBER = ("successUri", "inProgressUri", "failedUri")
# geometries are arrays of arrays: their own limits are the process's business
CRS84 = ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", "[OGC:CRS84]", "OGC:CRS84")


@dataclass(frozen=True)
class Execution:
    """An execution request, read and checked for form but not against the process.

    Attributes:
        inputs: by name, values resolved.
        outputs: name of each output wanted → its transmission mode, None where none was named;
            None for all outputs.
        response: `document` or `raw`.
        subscriber: `successUri`, `inProgressUri`, `failedUri` → the address to tell.
    """

    inputs: dict[str, Any]
    outputs: dict[str, str | None] | None = None
    response: str = "raw"
    subscriber: dict[str, str] = field(default_factory=dict[str, str])

    def mode(self, name: str, process: Process | None) -> str | None:
        """The transmission mode asked for: of this output, or of the first that `process` lists
        where it does not list this one.
        """
        wished = self.outputs or {}
        listed = tuple(process.outputs) if process else ()
        return wished.get(name if name in listed or not listed else listed[0])

    def answer_as(self) -> dict[str, Any]:
        """What the results of an asynchronous job must know later; see `asked_before`."""
        return {"response": self.response, "outputs": self.outputs}


def asked_before(kept: Mapping[str, Any] | None) -> Execution:
    """How the results of a job were asked for; all as a document where another door made it."""
    if kept is None:
        return Execution({}, response="document")
    return Execution({}, kept.get("outputs"), kept.get("response") or "raw")


async def read_execution(request: Request, process: Process) -> Execution:
    """The execution of `process` asked for. An empty body is an execution without inputs.

    Raises: Problem: 400 or 413.
    """
    body = await read_json(request)
    response = body.get("response", "raw")
    if response not in ("raw", "document"):
        raise _bad("response", "must be 'raw' or 'document'")
    inputs = body.get("inputs", {})
    if not isinstance(inputs, dict):
        raise _bad("inputs", "must be an object")
    return Execution(
        {name: resolve(name, value) for name, value in inputs.items()},
        _wishes(process, body.get("outputs")),
        response,
        _subscriber(body.get("subscriber")),
    )


def _wishes(process: Process, outputs: Any) -> dict[str, str | None] | None:
    if not outputs:
        return None
    if not isinstance(outputs, dict):
        raise _bad("outputs", "must be an object")
    wishes: dict[str, str | None] = {}
    for name, wish in outputs.items():
        if name not in process.outputs:
            raise _bad(f"outputs.{name}", "this process has no such output")
        if wish is not None and not isinstance(wish, dict):
            raise _bad(f"outputs.{name}", "must be an object")
        wishes[name] = mode = (wish or {}).get("transmissionMode")
        if mode not in (None, "value", "reference"):
            raise _bad(f"outputs.{name}", "transmissionMode must be 'value' or 'reference'")
        form = (wish or {}).get("format") or {}
        asked = form.get("mediaType") if isinstance(form, dict) else form
        made = _media_types(process.outputs[name].schema) or {"application/json"}
        if asked is not None and str(asked).partition(";")[0].strip() not in made:
            raise _bad(f"outputs.{name}", f"format.mediaType must be of {', '.join(sorted(made))}")
    return wishes


def _media_types(schema: Any) -> set[str]:
    """Without their parameters."""
    if isinstance(schema, list | tuple):
        return set[str]().union(*map(_media_types, schema))
    if not isinstance(schema, Mapping):
        return set()
    own = schema.get("contentMediaType")
    found = {own.partition(";")[0].strip()} if isinstance(own, str) else set[str]()
    return found.union(*map(_media_types, schema.values()))


def _subscriber(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise _bad("subscriber", "must be an object")
    addresses: dict[str, str] = {}
    for name in SUBSCRIBER:
        url = given.get(name)
        if url is None:
            continue
        if not isinstance(url, str) or not 0 < len(url) <= MAX_URL:
            raise _bad(f"subscriber.{name}", f"must be a URL of at most {MAX_URL} characters")
        addresses[name] = url
    if not addresses:
        raise _bad("subscriber", f"must have one of {', '.join(SUBSCRIBER)}")
    return addresses


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; `{}` for an empty body. Raises: Problem: 400 or 413."""
    try:
        text = await read_body(request, MAX_BODY)
    except BodyError as error:
        raise Problem(error.status, str(error)) from None
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


@dataclass(frozen=True)
class JobFilter:
    """Which jobs a list is of; None and open ends do not restrict.

    Attributes:
        statuses: native ones.
        created: from when to when a job was made, both included.
        seconds: how long it has run at least and at most, both included.
    """

    statuses: Sequence[str] | None = None
    process_ids: Sequence[str] | None = None
    created: tuple[datetime | None, datetime | None] = (None, None)
    seconds: tuple[int | None, int | None] = (None, None)


def read_filter(request: Request) -> JobFilter:
    """`type`, `processID`, `status`, `datetime`, `minDuration` and `maxDuration` of a job list.

    Raises: Problem: 400.
    """
    for kind in _listed(request, "type") or ():
        if kind != "process":
            raise Problem(400, "type: jobs are of type 'process'")
    return JobFilter(
        _native_statuses(_listed(request, "status")),
        _listed(request, "processID"),
        _interval(request.query_params.get("datetime")),
        (_seconds(request, "minDuration"), _seconds(request, "maxDuration")),
    )


def _listed(request: Request, name: str) -> list[str] | None:
    """A filter that may come repeated or comma-separated; None where it is absent."""
    values = request.query_params.getlist(name)
    if not values:
        return None
    found = [part for value in values for part in value.split(",") if part]
    if len(found) > 100 or any("\x00" in part for part in found):
        raise Problem(400, f"{name}: at most 100 values, none with NUL")
    return found


def _native_statuses(names: list[str] | None) -> list[str] | None:
    if names is None:
        return None
    if unknown := set(names) - set(STATUS.values()):
        raise Problem(400, f"status: {sorted(unknown)[0]!r} is no job status")
    return [native for native, status in STATUS.items() if status in names]


def _seconds(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Problem(400, f"{name}: must be a whole number of seconds")
    return int(text)


def _interval(text: str | None) -> tuple[datetime | None, datetime | None]:
    """An instant, or two joined by `/` of which one may be open (`..` or nothing)."""
    if not text:
        return None, None
    start, slash, end = text.partition("/")
    if not slash:
        end = start
    since, until = (None if part in ("", "..") else _instant(part) for part in (start, end))
    if since is None and until is None:
        raise Problem(400, "datetime: an interval must have an end")
    if since is not None and until is not None and since > until:
        raise Problem(400, "datetime: the interval ends before it begins")
    # times are shown to the millisecond and kept to the microsecond
    return since, until + timedelta(microseconds=999) if until else None


def _instant(text: str) -> datetime:
    if _RFC3339.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise Problem(400, "datetime: must be an RFC 3339 time such as 2026-01-31T12:00:00Z")


_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

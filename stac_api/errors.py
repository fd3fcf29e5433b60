"""What this package refuses, and how a refusal reads on the wire.

StacError
 ├── BadRequest         400  the request cannot be read
 ├── Unauthorized       401  no credential, and what is asked for is not public
 ├── Invalid            422  the body is not what it says it is
 ├── TooLarge           413  the body is over the limit
 ├── NotFound           404  no such thing, or not for this caller
 ├── Conflict           409  what is there does not allow it
 └── Unavailable        503  the database cannot answer now
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
from starlette.responses import Response

PROBLEM_JSON = "application/problem+json"


class StacError(Exception):
    """Base: a status and a title by class, a detail by occurrence."""

    status = 500
    title = "Internal Server Error"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str | list[dict[str, Any]]) -> None:
        """`detail` is shown to the client."""
        super().__init__(detail)
        self.detail = detail


class BadRequest(StacError):
    """The request cannot be read: a malformed or unsupported parameter."""

    status, title = 400, "Bad Request"


class Unauthorized(StacError):
    """No credential was sent and what is asked for is not public."""

    status, title = 401, "Unauthorized"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}

    def __init__(self, detail: str = "a credential is needed for what is not public") -> None:
        """The same words whether the thing exists or not."""
        super().__init__(detail)


class Invalid(StacError):
    """A body that is not the STAC document it should be; `detail` lists {loc, msg, type}."""

    status, title = 422, "Unprocessable Content"


class TooLarge(StacError):
    """A body over the limit."""

    status, title = 413, "Content Too Large"


class NotFound(StacError):
    """No such collection or item, also where it is another organization's."""

    status, title = 404, "Not Found"


class Conflict(StacError):
    """What is there does not allow what is asked."""

    status, title = 409, "Conflict"


class Unavailable(StacError):
    """The database is away or too busy; the same request may succeed in a moment."""

    status, title = 503, "Service Unavailable"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "2"}


def problem(
    status: int,
    title: str,
    detail: Any,
    *,
    kind: str = "about:blank",
    instance: str | None = None,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """An RFC 9457 response; `instance` is the request's id where there is one."""
    body = {**(extra or {}), "type": kind, "title": title, "status": status, "detail": detail}
    if instance:
        body["instance"] = instance
    return Response(
        orjson.dumps(body), status, headers=dict(headers or {}), media_type=PROBLEM_JSON
    )

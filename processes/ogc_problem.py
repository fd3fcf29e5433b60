"""Refusals of the OGC surface as application/problem+json, with the standard's exception types."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

logger = logging.getLogger(__name__)

EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Problem(Exception):
    """A refusal. `type` is a URI, or the slug of one of the platform's own problems, or None."""

    def __init__(
        self,
        status: int,
        detail: Any,
        *,
        type: str | None = None,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.type = type
        self.title = title or TITLES.get(status, "Error")
        self.headers = dict(headers or {})
        self.extra = extra


def no_such_process() -> Problem:
    """The catalogue has no process of this id."""
    return Problem(404, "process not found", type=EXCEPTIONS + "no-such-process")


def no_such_job() -> Problem:
    """No job of this id that the caller may see."""
    return Problem(404, "job not found", type=EXCEPTIONS + "no-such-job")


def not_ready(status: str) -> Problem:
    """The job has no results yet."""
    return Problem(404, f"the job is {status}", type=EXCEPTIONS + "result-not-ready")


def invalid_inputs(error: ValidationError) -> Problem:
    """400 with the path of each wrong input."""
    errors = [
        {"loc": ["body", "inputs", *found["loc"]], "msg": found["msg"], "type": found["type"]}
        for found in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return Problem(400, _in_words(errors), type="validation", errors=errors)


def _in_words(errors: Sequence[Mapping[str, Any]]) -> str:
    shown = [f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in errors[:3]]
    return "; ".join(shown)


def from_error(
    error: Exception, translate: Callable[[Exception], Exception] = lambda error: error
) -> Problem:
    """What a handed-in function raised, after `translate` had a look at it.

    An error that has a `status` (as the gateway's refusals do) keeps it, its title, detail,
    headers and further members; a 422 becomes the 400 that this standard asks for. Anything else
    is a bug.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationError):
        return invalid_inputs(error)
    error = translate(error)
    status = getattr(error, "status", None)
    if not isinstance(status, int):
        logger.error("unhandled", exc_info=error)
        return Problem(500, "internal error")
    extra = dict(getattr(error, "extra", None) or {})
    errors = getattr(error, "errors", None)
    if isinstance(errors, list):
        extra["errors"] = errors
    return Problem(
        400 if status == 422 else status,
        str(getattr(error, "detail", error)),
        type=getattr(error, "slug", None),
        title=None if status == 422 else getattr(error, "title", None),
        headers=getattr(error, "headers", None),
        **extra,
    )


def render(request: Request, problem: Problem) -> Response:
    """The problem document. Slugs become `{base}/problems/{slug}`; the request id is `instance`."""
    kind = problem.type or "about:blank"
    if kind != "about:blank" and "://" not in kind:
        kind = f"{origin(request)}/problems/{kind}"
    body = {
        "type": kind,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if request_id := request.scope.get("request_id"):
        body["instance"] = request_id
    return Response(
        orjson.dumps(body | problem.extra, default=str),
        problem.status,
        problem.headers,
        "application/problem+json",
    )


def origin(request: Request) -> str:
    """Scheme and host as clients reach us: the edge's `base_url`, else what the request says."""
    return str(request.scope.get("base_url") or f"{request.url.scheme}://{request.url.netloc}")

"""The flow of one call: its key, its repetitions, its answer; and those that are made of calls."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

from opstac.client import table
from opstac.client.connection import (
    Connection,
    is_lost,
    log_retry,
    media_type,
    read,
    refusal,
    told,
)
from opstac.client.errors import JobFailed, OperationError, WaitTimeout
from opstac.client.retry import BUSY, Policy, retry_after
from opstac.client.steps import Emit, Flow, Send, Sleep
from opstac.client.values import encode, segment

Body = Mapping[str, Any]
LINES = ("application/x-ndjson", "application/ndjson", "application/geo+json-seq")
SOONEST, LATEST = 0.5, 15.0
"""Seconds between two looks at a job."""


def operation(
    at: Connection,
    op_id: str,
    body: Body | None = None,
    *,
    key: str | None = None,
    timeout: float | None = None,
    policy: Policy | None = None,
    begun: bool = False,
) -> Flow[Any]:
    """Run an operation; JSON as Python values, else bytes.

    What changes something is sent with an idempotency key, one of ours where none is given, and
    every repetition has the same. It is repeated after 429, 503 and a lost connection, and nothing
    is that could be done twice by it.

    Args:
        at: where.
        op_id: which.
        body: its input.
        key: the idempotency key.
        timeout: seconds without a byte of the answer.
        policy: of repetitions, instead of the connection's.
        begun: the call with this key may be under way already, and is then waited for.
    """
    entry = table.entries().get(op_id)
    if key is None and entry is not None and entry.takes_key:
        key = f"py-{uuid.uuid4()}"
    # of an operation that this table has not, nothing is known
    repeatable = (entry.is_read or entry.takes_key) if entry is not None else key is not None
    url = at.url(f"/v1/op/{segment(op_id)}")
    more = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
    send = Send("POST", url, at.headers(url, **more), encode(body), timeout)
    response = yield from repeated(op_id, send, policy or at.policy, repeatable, begun)
    return read(op_id, response)


def repeated(
    name: str, send: Send, policy: Policy, repeatable: bool, begun: bool = False
) -> Flow[httpx.Response]:
    """Send until there is an answer that another try would not change."""
    tries = 0
    while True:
        tries += 1
        failure: httpx.TransportError | None = None
        response: httpx.Response | None = None
        try:
            response = yield send
        except httpx.TransportError as error:
            failure = error
        wait: float | None = None
        if response is not None:
            asked = retry_after(response.headers)
            # a try before this one was cut off and is still being carried out
            running = begun and response.status_code == 409 and asked is not None
            if not repeatable or not (response.status_code in BUSY or running):
                return response
            wait = policy.pause(tries, asked)
            if wait is None:
                return response
        elif failure is not None and repeatable and is_lost(failure):
            begun = "Idempotency-Key" in send.headers
            wait = policy.pause(tries)
        if wait is None:
            assert failure is not None
            raise told(failure)
        why = str(response.status_code) if response is not None else type(failure).__name__
        log_retry(name, why, wait, tries, policy)
        yield Sleep(wait)


def path(at: Connection, where: str, params: Mapping[str, Any]) -> Flow[Any]:
    """GET a path, or an address; what is not the platform's own gets no credential."""
    url = at.url(where)
    if params:
        url = str(httpx.URL(url).copy_merge_params(dict(params)))
    send = Send("GET", url, at.headers(url))
    response = yield from repeated(_name(where), send, at.policy, repeatable=True)
    return read(_name(where), response)


def lines(at: Connection, what: str, body: Body | None) -> Flow[httpx.Response]:
    """The beginning of an answer in JSON lines: its response, whose body is not read yet.

    Raises:
        OperationError: it was refused, or is no JSON lines.
    """
    is_path = what.startswith("/")
    entry = table.entries().get(what)
    url = at.url(what if is_path else f"/v1/op/{segment(what)}")
    headers = at.headers(url, **{"Content-Type": "application/json", "Accept": LINES[0]})
    send = Send("POST", url, headers, encode(body), stream=True)
    repeatable = entry is not None and entry.is_read
    response = yield from repeated(_name(what), send, at.policy, repeatable)
    if not response.is_success:
        raise refusal(_name(what), response)
    return response


def opened(
    at: Connection,
    what: str,
    body: Body | None = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Flow[httpx.Response]:
    """The beginning of any answer: its response, whose body is not read yet.

    Args:
        at: where.
        what: an operation; or a path or an address, which is asked with GET.
        body: the operation's input.
        key: the idempotency key.
        headers: more of the request's.

    Raises:
        OperationError: it was refused.
    """
    if is_place(what):
        url = at.url(what)
        send = Send("GET", url, at.headers(url, **(headers or {})), stream=True)
        repeatable = True
    else:
        entry = table.entries().get(what)
        if key is None and entry is not None and entry.takes_key:
            key = f"py-{uuid.uuid4()}"
        repeatable = key is not None or (entry is not None and entry.is_read)
        url = at.url(f"/v1/op/{segment(what)}")
        more = {"Content-Type": "application/json", **(headers or {})}
        more |= {"Idempotency-Key": key} if key else {}
        send = Send("POST", url, at.headers(url, **more), encode(body), stream=True)
    response = yield from repeated(_name(what), send, at.policy, repeatable)
    if not response.is_success:
        raise refusal(_name(what), response)
    return response


def is_place(what: str) -> bool:
    """Whether it is a path or an address, and no operation's id."""
    return what.startswith("/") or "://" in what


def check_lines(name: str, response: httpx.Response) -> None:
    """Raises OperationError where the answer is no JSON lines."""
    kind = media_type(response)
    if kind not in LINES:
        detail = f"it answers {kind or 'no media type'} and no JSON lines; call it with op()"
        raise OperationError(
            _name(name), {"title": "Bad Answer", "status": response.status_code, "detail": detail}
        )


def bad_line(name: str, error: ValueError) -> OperationError:
    """A line that is none."""
    problem = {"title": "Bad Answer", "status": 200, "detail": f"a line of the answer: {error}"}
    return OperationError(_name(name), problem)


def entries_of(at: Connection, op_id: str, body: Body | None) -> Flow[None]:
    """Emit every entry of a list, asking page after page with `limit` and `offset`.

    Raises:
        ValueError: the operation does not page that way.
    """
    entry = table.entries().get(op_id)
    if entry is None or "offset" not in entry.fields or not entry.is_read:
        raise ValueError(f"{op_id} has no offset; see how it pages in its own description")
    asked = dict(body or {})
    offset = int(asked.get("offset") or 0)
    while True:
        answer = yield from operation(at, op_id, {**asked, "offset": offset})
        found, total = page_of(op_id, answer)
        for one in found:
            yield Emit(one)
        offset += len(found)
        if not found or (total is not None and offset >= total):
            return


def page_of(op_id: str, answer: Any) -> tuple[list[Any], int | None]:
    """(the entries, how many there are in all where it is told) of a page."""
    if isinstance(answer, list):
        return answer, None  # pyright: ignore[reportUnknownVariableType]
    found: list[list[Any]] = []
    total: Any = None
    if isinstance(answer, dict):
        page: dict[str, Any] = answer  # pyright: ignore[reportUnknownVariableType]
        found = [v for k, v in page.items() if isinstance(v, list) and k != "links"]
        total = page.get("total", page.get("numberMatched"))
    if len(found) != 1:
        detail = "the answer is no page: it has no list, or several"
        raise OperationError(op_id, {"title": "Bad Answer", "status": 200, "detail": detail})
    return found[0], total if isinstance(total, int) else None


def ended_job(at: Connection, job_id: str, timeout: float | None) -> Flow[dict[str, Any]]:
    """Look at a job, ever more seldom, until it has ended well.

    Raises:
        JobFailed: it failed or was cancelled.
        WaitTimeout: it has not ended after `timeout` seconds; it goes on.
    """
    begin = time.monotonic()
    pause = SOONEST
    # a server that is started again meanwhile is waited for
    patient = Policy(at.policy.retries * 2, at.policy.first_wait, at.policy.longest_wait)
    while True:
        answer = yield from operation(
            at, "processing.project_job.get", {"job_id": job_id}, policy=patient
        )
        job: dict[str, Any] = answer["job"]
        if job["status"] == "completed":
            return job
        if job["status"] in ("failed", "cancelled"):
            raise JobFailed(job)
        yield from pause_until(begin, timeout, pause, f"job {job_id} is still {job['status']}")
        pause = min(pause * 1.5, LATEST)


def pause_until(begin: float, timeout: float | None, pause: float, still: str) -> Flow[None]:
    """Wait about `pause` seconds, and not beyond the end of `timeout`.

    Raises:
        WaitTimeout: that is over.
    """
    pause *= random.uniform(0.8, 1)  # nosec B311
    if timeout is not None:
        left = begin + timeout - time.monotonic()
        if left <= 0:
            raise WaitTimeout(f"{still} after {timeout:g} s")
        pause = min(pause, left)
    yield Sleep(pause)


def _name(what: str) -> str:
    """A path or address for a message: without its query, which may be a credential."""
    return what.partition("?")[0]

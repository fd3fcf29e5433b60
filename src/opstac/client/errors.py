"""What the client raises. Needs no httpx, so that a command can name them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstac.client.values import printable


class OperationError(Exception):
    """The server refused, or answered what cannot be read.

    Attributes:
        operation: what was asked for.
        problem: the server's RFC 9457 document: at least `title`, `status` and `detail`.
        status: the HTTP status.
        retry_after: seconds after which the server says to come back, where it does.
    """

    def __init__(
        self,
        operation: str,
        problem: Mapping[str, Any],
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`status`: where it is not the problem's own."""
        self.operation = operation
        self.problem = dict(problem)
        own = self.problem.get("status")
        self.status = status if status is not None else own if isinstance(own, int) else 0
        self.retry_after = retry_after
        super().__init__(printable(f"{operation}: {self.status} {self.reason}"))

    def __reduce__(self) -> Any:
        """Travels between processes, as in a pool of workers."""
        return _again, (type(self), self.operation, self.problem, self.status, self.retry_after)

    @property
    def code(self) -> str:
        """The word of the problem's `type`, such as `insufficient-credits`; else empty."""
        kind = self.problem.get("type")
        return kind.rpartition("/")[2] if isinstance(kind, str) and "/problems/" in kind else ""

    @property
    def reason(self) -> str:
        """What was wrong, in one line; of a wrong input each fault with its place."""
        detail = self.problem.get("detail") or self.problem.get("title") or ""
        if not isinstance(detail, list):
            return str(detail)
        return "; ".join(fault_line(part) for part in detail)  # pyright: ignore[reportUnknownVariableType]


class JobFailed(Exception):
    """A job that was waited for failed or was cancelled.

    Attributes:
        job: its record.
        code: the reason for a program: of a failed job one of the codes in the reference's
            `processes` page, such as `no_overlap`; else `cancelled`.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        """`job`: as processing.project_job.get tells it."""
        self.job = dict(job)
        error = self.job.get("error")
        told: Mapping[str, Any] = error if isinstance(error, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]
        self.code = str(told.get("code") or self.job.get("status"))
        words = f"job {self.job.get('id')} {self.job.get('status')}: {self.code}"
        message = told.get("message")
        super().__init__(f"{words}, {message}" if message and message != self.code else words)

    def __reduce__(self) -> Any:
        """Travels between processes."""
        return type(self), (self.job,)


class UploadFailed(Exception):
    """A file was sent, and the session ended without an item.

    Attributes:
        upload: the session, as uploads.get tells it.
    """

    def __init__(self, message: str, upload: Mapping[str, Any] | None = None) -> None:
        """`message`: why."""
        super().__init__(message)
        self.upload = dict(upload or {})


class WaitTimeout(TimeoutError):
    """What was waited for has not ended in the time given; it goes on."""


def _again(kind: type[OperationError], *parts: Any) -> OperationError:
    operation, problem, status, retry_after = parts
    return kind(operation, problem, status=status, retry_after=retry_after)


def fault_line(part: Any) -> str:
    """One fault of a wrong input: `body.name: Field required`."""
    if not isinstance(part, Mapping):
        return str(part)
    fault: Mapping[str, Any] = part  # pyright: ignore[reportUnknownVariableType]
    where: Any = fault.get("loc")
    place = ".".join(map(str, where)) if isinstance(where, list) else ""  # pyright: ignore[reportUnknownArgumentType]
    return f"{place}: {fault.get('msg')}" if place else str(fault.get("msg"))

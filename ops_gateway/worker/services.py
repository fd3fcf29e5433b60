"""What the worker needs from the platform, as functions handed in by the composition."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from processes.process import Output, Source

from .claim import ClaimedJob


class PassingError(Exception):
    """Worth another attempt later: storage or database away, disk full, a child killed by others.

    `reason` is a row of `transient.TRANSIENT`; the message says more of it for the log.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class JobFailed(Exception):
    """The job cannot succeed; its owner is told `code` and `message`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class WorkerServices(Protocol):
    """The platform's side of a job. Every method may raise PassingError, LeaseLost or JobEnded.

    Methods that end a job take the epoch from `job`, and change nothing unless the job still runs
    at it; they raise LeaseLost where another epoch has it and JobEnded where it ended already.
    """

    async def mint_token(self, job: ClaimedJob) -> str:
        """The job token: its only authority is this run's outputs."""
        ...

    async def sources(self, job: ClaimedJob) -> Sequence[Source]:
        """Every asset that the job's process asks for. Raises JobFailed if one is gone."""
        ...

    def recipe_key(self, job: ClaimedJob, sources: Sequence[Source]) -> str | None:
        """The same for jobs that give the same bytes; None where that cannot be known."""
        ...

    async def answer(self, job: ClaimedJob, sources: Sequence[Source]) -> bool:
        """Complete the job with what an earlier one of the same recipe made; whether there was."""
        ...

    async def stamps(self, sources: Sequence[Source]) -> Sequence[str]:
        """What changes when the file of a source does; the same twice means nobody replaced it."""
        ...

    async def put_output(self, token: str, job: ClaimedJob, file_name: str, path: Path) -> str:
        """Store a file under `jobs/<id>/<epoch>/`; returns its object path."""
        ...

    async def register(
        self,
        token: str,
        job: ClaimedJob,
        sources: Sequence[Source],
        outputs: Sequence[dict[str, Any]],
        work: Mapping[str, Any],
    ) -> None:
        """Complete the job: items, lineage, settlement and status in one transaction.

        Each of `outputs` has the members of a `processes.process.Output` that are set, and
        `object_path` where it is a file.
        """
        ...

    async def fail(self, job: ClaimedJob, code: str, message: str, log: Sequence[str] = ()) -> None:
        """End the job as failed, void its hold and keep the end of its log."""
        ...

    async def cancel(self, job: ClaimedJob) -> None:
        """End the job as cancelled and void its hold."""
        ...


@dataclass(frozen=True)
class Made:
    """The outputs of a run, and what it took: the members of `processes.engine.Work`."""

    outputs: Sequence[Output]
    work: Mapping[str, Any] = field(default_factory=dict)


Progress = Callable[[float, str], None]
"""Told the fraction done (0 to 1) and the stage's name."""

Log = Callable[[str], None]
"""Told what a child printed."""


class Compute(Protocol):
    """Runs a process in a bounded child. Cancelling the coroutine kills the child."""

    async def __call__(
        self,
        job: ClaimedJob,
        sources: Sequence[Source],
        out_dir: Path,
        *,
        progress: Progress,
        log: Log,
        seconds: float,
    ) -> Made:
        """The files made, inside `out_dir`. Raises JobFailed or PassingError."""
        ...


React = Callable[[str, str], Awaitable[None]]
"""`await react(event_id, reaction)` runs one reaction to one event."""

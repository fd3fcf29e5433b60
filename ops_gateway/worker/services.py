"""What the worker needs from the platform, as functions handed in by the composition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .claim import ClaimedJob


class PassingError(Exception):
    """Worth another attempt later: storage or database away, disk full, a child killed by others.

    The message is kept with the job should all attempts fail, so it says nothing of paths or hosts.
    """


class JobFailed(Exception):
    """The job cannot succeed; its owner is told `code` and `message`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Source:
    """One file a process reads, with what the catalogue knows of it."""

    path: str
    item: dict[str, Any] = field(default_factory=dict)
    asset: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Produced:
    """One file a process made, and what to register it as.

    `registration` holds the members of an output of `processing.job.register` except `object_path`
    (name, asset_key, media_type, type, band_names, datetime, properties).
    """

    path: Path
    registration: dict[str, Any]


class WorkerServices(Protocol):
    """The platform's side of a job. Every method may raise PassingError, LeaseLost or JobEnded.

    Methods that end a job take the epoch from `job`, and change nothing unless the job still runs
    at it; they raise LeaseLost where another epoch has it and JobEnded where it ended already.
    """

    async def mint_token(self, job: ClaimedJob) -> str:
        """The job token: its only authority is this run's outputs."""
        ...

    async def sources(self, job: ClaimedJob) -> Mapping[str, Source]:
        """The files the job reads, by the name its process expects; JobFailed if one is gone."""
        ...

    async def put_output(self, token: str, job: ClaimedJob, file_name: str, path: Path) -> str:
        """Store a file under `jobs/<id>/<epoch>/`; returns its object path."""
        ...

    async def register(
        self, token: str, job: ClaimedJob, outputs: Sequence[dict[str, Any]]
    ) -> None:
        """Complete the job: items, lineage, settlement and status in one transaction."""
        ...

    async def fail(self, job: ClaimedJob, code: str, message: str) -> None:
        """End the job as failed and void its hold."""
        ...

    async def cancel(self, job: ClaimedJob) -> None:
        """End the job as cancelled and void its hold."""
        ...


Progress = Callable[[float, str | None], None]
"""Told the fraction done (0 to 1) and the stage's name."""


class Compute(Protocol):
    """Runs a process in a bounded child. Cancelling the coroutine kills the child."""

    async def __call__(
        self,
        job: ClaimedJob,
        sources: Mapping[str, Source],
        out_dir: Path,
        *,
        progress: Progress,
        seconds: float,
    ) -> list[Produced]:
        """The files made, inside `out_dir`. Raises JobFailed or PassingError."""
        ...


React = Callable[[str, str], Any]
"""`await react(event_id, reaction)` runs one reaction to one event."""

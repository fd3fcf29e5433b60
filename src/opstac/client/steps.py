"""What a flow asks of the world.

A flow is a generator that holds all logic and does no input or output: it yields steps, is sent
their results and returns its answer. `opstac.client.sync` and `.asynchronous` do the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Told how many bytes went so far, and how many there are."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; gives an httpx.Response.

    Attributes:
        method: GET, POST, HEAD or PUT.
        url: absolute.
        headers: all of them, with the credential where it is due.
        content: the body.
        timeout: seconds without a byte; None: the client's own.
        stream: leave the body of a success unread.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None
    timeout: float | None = None
    stream: bool = False


@dataclass(frozen=True, slots=True)
class SendFile:
    """PUT a file from `offset` on, piece by piece; gives an httpx.Response."""

    url: str
    path: Path
    offset: int
    size: int
    headers: Mapping[str, str]
    told: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Save:
    """Write the body of a response to a file as it comes, and close the response."""

    response: httpx.Response
    file: BinaryIO
    told: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand a value to the caller, who iterates."""

    value: Any


Step = Send | SendFile | Save | Sleep | Emit
Flow = Generator[Step, Any, T]

"""The request that a thread draws for: when it must be done, and whether anybody still waits.

GDAL cannot be interrupted inside a read. So everything that reads more than once calls
`checkpoint` in between, and stops there when its answer is of no use any more.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from tiler.errors import TileError

F = TypeVar("F", bound=Callable[..., Any])


class Abandoned(BaseException):
    """The work was given up: its time is over or its caller has gone.

    No Exception, so that nothing that goes on after an unreadable source swallows it.
    """


@dataclass(slots=True)
class Work:
    """One call of the pool.

    Attributes:
        ends_at: of `time.monotonic`.
        stopped: nobody waits for the result.
        fetched_bytes: what was read from other hosts for it.
        failure: why a read failed, where GDAL only says that it did.
    """

    ends_at: float
    stopped: bool = False
    fetched_bytes: int = 0
    failure: TileError | None = None

    @property
    def seconds_left(self) -> float:
        """Until it must be done; never negative."""
        return max(0.0, self.ends_at - time.monotonic())


LaneName = Literal["quick", "tile", "slow"]


def lane(name: LaneName) -> Callable[[F], F]:
    """Declares where a function is computed: beside others of its kind, never behind longer ones.

    `quick` reads a header and no pixel, `slow` may take many times as long as a tile does; what
    declares nothing is a `tile`.
    """

    def declare(function: F) -> F:
        function.lane = name  # type: ignore[attr-defined]
        return function

    return declare


def lane_of(function: Callable[..., Any], args: Sequence[Any] = ()) -> LaneName:
    """The lane of a call; of a function that is handed another, that of the other."""
    for found in (function, *args[:1]):
        if (name := getattr(found, "lane", None)) is not None:
            return name
    return "tile"


_thread = threading.local()


def current() -> Work | None:
    """What the calling thread works on; None outside a pool."""
    return getattr(_thread, "work", None)


def checkpoint() -> None:
    """Raise Abandoned where the work is of no use any more; called between reads."""
    work = current()
    if work is not None and (work.stopped or time.monotonic() > work.ends_at):
        raise Abandoned


@contextmanager
def doing(work: Work) -> Generator[None]:
    """Make `work` the calling thread's."""
    _thread.work = work
    try:
        yield
    finally:
        _thread.work = None


def failure() -> TileError | None:
    """Why the last read failed, where somebody below GDAL knows better; forgotten by asking."""
    work = current()
    if work is None:
        return None
    found, work.failure = work.failure, None
    return found

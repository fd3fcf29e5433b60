"""Where tiles are drawn: a thread a core, a short queue, and a refusal when it is too long.

What needs no pixel and what takes long have threads of their own, so that neither a TileJSON nor a
tile waits behind statistics of a whole file.

Files of other hosts are drawn by threads of their own, which mostly wait: a slow host does not
keep anybody else from being served. So are those of the platform's bucket.
"""

import asyncio
import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

from tiler.errors import Busy
from tiler.source import AssetSource
from tiler.work import Abandoned, LaneName, Work, doing, lane_of

P = ParamSpec("P")
T = TypeVar("T")

QUEUED_PER_WORKER = 64
TIMEOUT_SECONDS = 15.0
MAX_WAIT_SECONDS = 5.0
FAR_WORKERS = 8


class Lane:
    """Threads with a bounded queue in front.

    A call is refused when too many wait, or when those that do will take longer than
    `max_wait_seconds`, going by how long the last ones took.
    """

    def __init__(self, name: str, workers: int, queued: int, max_wait_seconds: float) -> None:
        self.pending = 0
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._workers = workers
        self._limit = workers + queued
        self._max_wait = max_wait_seconds
        self._typical = 0.0  # seconds a call takes, the last ones counting most
        self._lock = threading.Lock()

    async def run(self, work: Work, function: Callable[[], T]) -> T:
        """The function's result. Raises: Busy, Abandoned, what the function raises."""

        def drawn() -> T:
            started = time.monotonic()
            try:
                with doing(work):
                    if work.stopped or started > work.ends_at:
                        raise Abandoned
                    return function()
            finally:
                self._note(time.monotonic() - started)

        self._enter()
        try:
            future = self._threads.submit(drawn)
        except RuntimeError:  # closed
            self._leave()
            raise Busy("the tile server is stopping") from None
        future.add_done_callback(lambda _: self._leave())
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Refuse new work and drop what waits; what runs is waited for."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _enter(self) -> None:
        with self._lock:
            waiting = max(0, self.pending + 1 - self._workers)
            wait = waiting * self._typical / self._workers
            if self.pending >= self._limit or wait > self._max_wait:
                seconds = min(60, max(1, math.ceil(wait)))
                raise Busy(
                    "too many tiles are being drawn; try again shortly",
                    retry_after_seconds=seconds,
                )
            self.pending += 1

    def _leave(self) -> None:
        with self._lock:
            self.pending -= 1

    def _note(self, seconds: float) -> None:
        with self._lock:
            self._typical += (seconds - self._typical) * 0.1


class Pool(Protocol):
    """Where functions are computed: threads here, or a process of its own (`tiler.drawing`)."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result. Raises: Busy, what the function raises."""
        ...

    def close(self) -> None:
        """Refuse new work and drop what waits."""
        ...


class TilePool:
    """Bounded thread pools for raster work, apart from the event loop's own.

    More threads than cores would make every other request of the process wait for the interpreter.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        queued: int | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
        far_workers: int = FAR_WORKERS,
    ) -> None:
        workers = workers or len(os.sched_getaffinity(0))

        def lane(name: str, threads: int) -> Lane:
            waiting = QUEUED_PER_WORKER * threads if queued is None else queued
            return Lane(name, threads, waiting, max_wait_seconds)

        self._near: dict[LaneName, Lane] = {
            "quick": lane("quick", 1),
            "tile": lane("tile", workers),
            "slow": lane("slow", max(1, workers - 1)),
        }
        self._far = lane("far-tile", far_workers)
        self._stored = lane("bucket-tile", far_workers)
        self._timeout_seconds = timeout_seconds

    @property
    def pending(self) -> int:
        """Calls running or waiting."""
        return sum(lane.pending for lane in self._lanes)

    @property
    def _lanes(self) -> tuple[Lane, ...]:
        return (*self._near.values(), self._far, self._stored)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in the pool.

        Where the caller is cancelled, a call that waits is dropped, and one that runs ends at its
        next `tiler.work.checkpoint`; until then it keeps its place in the pool.

        Raises: Busy: too many wait, or it took longer than the time allowed.
        """
        work = Work(time.monotonic() + self._timeout_seconds)
        sources = [argument for argument in args if isinstance(argument, AssetSource)]
        lane = self._near[lane_of(function, args)]
        if any(source.is_far for source in sources):
            lane = self._far
        elif any(source.is_stored for source in sources):
            lane = self._stored
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await lane.run(work, lambda: function(*args, **kwargs))
        except (TimeoutError, Abandoned):
            raise Busy("the tile took too long to draw", retry_after_seconds=5) from None
        finally:
            work.stopped = True

    def close(self) -> None:
        """Refuse new work and drop what waits; what runs is waited for."""
        for lane in self._lanes:
            lane.close()

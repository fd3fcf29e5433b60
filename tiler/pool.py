"""Where tiles are drawn: a thread a core, a short queue, and a refusal when it is full."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from tiler.errors import Busy

P = ParamSpec("P")
T = TypeVar("T")

QUEUED_PER_WORKER = 64
TIMEOUT_SECONDS = 15.0


class TilePool:
    """A bounded thread pool for raster work, apart from the event loop's own.

    More threads than cores would make every other request of the process wait for the interpreter.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        queued: int | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        workers = workers or len(os.sched_getaffinity(0))
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="tile")
        self._limit = workers + (QUEUED_PER_WORKER * workers if queued is None else queued)
        self._pending = 0
        self._lock = threading.Lock()
        self._timeout_seconds = timeout_seconds

    @property
    def pending(self) -> int:
        """Calls running or waiting."""
        return self._pending

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in the pool.

        Raises: Busy: the queue is full, or it took longer than the time allowed. Work that has
            begun cannot be stopped; it keeps its place in the pool until it ends.
        """
        with self._lock:
            if self._pending >= self._limit:
                raise Busy("too many tiles are being drawn; try again shortly")
            self._pending += 1
        try:
            future = self._threads.submit(function, *args, **kwargs)
        except RuntimeError:  # closed
            self._done()
            raise Busy("the tile server is stopping") from None
        future.add_done_callback(lambda _: self._done())
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Busy("the tile took too long to draw", retry_after_seconds=5) from None

    def _done(self) -> None:
        with self._lock:
            self._pending -= 1

    def close(self) -> None:
        """Refuse new work and drop what waits; what runs is waited for."""
        self._threads.shutdown(wait=True, cancel_futures=True)

"""Things that come while others are being seen to are seen to together, next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Together(Generic[T, R]):
    """`await together(thing)` gives what `work` makes of it, with others that came meanwhile.

    Nobody waits for a batch to fill: one thing alone is seen to at once.
    """

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]], most: int) -> None:
        """`work` gives a result for each of at most `most` things, in their order."""
        self._work = work
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._working: asyncio.Task[None] | None = None

    async def __call__(self, thing: T) -> R:
        """What came of it; raises what `work` raised for its batch."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((thing, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._go())
        return await future

    async def idle(self) -> None:
        """Wait until nothing is being seen to."""
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)

    async def _go(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            try:
                results = await self._work([thing for thing, _ in batch])
            except BaseException as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

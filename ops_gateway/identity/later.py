"""What is done after an answer, so that the time it takes tells nothing; a stop waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)

MOST = 100  # at once
LONGEST_SECONDS = 10.0


class Later:
    """The work of a process that nobody waits for."""

    def __init__(self) -> None:
        """None yet."""
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do it after the answer; false where too much is waiting."""
        if len(self._tasks) >= MOST:
            work.close()
            return False
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Wait until it is done, but not for long."""
        if not self._tasks:
            return
        _, left = await asyncio.wait(self._tasks, timeout=LONGEST_SECONDS)
        if left:
            logger.warning("%d things that forms asked for were not done in time", len(left))
            for task in left:
                task.cancel()
            await asyncio.wait(left)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:  # nobody waits for this: who gets no mail asks again
        logger.warning("what a form of accounts asked for was not done", exc_info=True)

"""Counts what is read of an organization's data for its bill: in memory, and every few seconds into
the table `usage_counter`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg_pool import PoolTimeout
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.pool import Pool
from db.queries import queries

logger = logging.getLogger(__name__)
sql = queries(__file__)

FLUSH_SECONDS = 5.0
TILES, SEARCHES, FILES = "tile_requests", "public_search_requests", "public_file_requests"
EGRESS = "egress_bytes"
PAYER = "opstac.payer"
"""Key of the scope under which whoever resolves an asset says whose it is."""


class UsageCount:
    """Reads answered, by organization and metric. A crash loses those since the last flush."""

    def __init__(self, pool: Pool) -> None:
        """`pool`: of a role that may call `count_usage`."""
        self._pool = pool
        self._counted: Counter[tuple[str, str]] = Counter()

    def note(self, organization: str, metric: str = TILES, value: int = 1) -> None:
        """A read of an organization's data was answered, or `value` bytes of it sent."""
        self._counted[organization, metric] += value

    async def flush(self) -> None:
        """Write down what was counted; where the database cannot be reached it is kept."""
        if not self._counted:
            return
        taken, self._counted = self._counted, Counter()
        rows = sorted(taken.items())  # one order for all processes: rows are locked in it
        try:
            async with self._pool.connection() as connection:
                await connection.execute(
                    sql.count,
                    {
                        "orgs": [organization for (organization, _), _ in rows],
                        "metrics": [metric for (_, metric), _ in rows],
                        "values": [value for _, value in rows],
                    },
                )
        except (psycopg.Error, PoolTimeout, OSError):
            self._counted.update(taken)
            logger.warning("reads could not be counted; trying again", exc_info=True)

    async def run(self) -> None:
        """Flush again and again, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()


@asynccontextmanager
async def counting(pool: Pool) -> AsyncIterator[UsageCount]:
    """A count that is flushed in the background, and at the end."""
    count = UsageCount(pool)
    task = asyncio.create_task(count.run())
    try:
        yield count
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await count.flush()


class Counted:
    """ASGI: counts the pictures that an app sends with 200; not refusals, 304 and documents."""

    def __init__(self, app: ASGIApp, count: UsageCount) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                payer = scope.get(PAYER)
                if payer is not None and scope["method"] == "GET" and _is_tile(message):
                    self._count.note(payer)
            await send(message)

        await self._app(scope, receive, answer)


def _is_tile(message: Message) -> bool:
    for name, value in message["headers"]:
        if name == b"content-type":
            return value.startswith((b"image/", b"application/octet-stream", b"application/x-npy"))
    return False

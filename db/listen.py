"""Word of changes, as PostgreSQL's NOTIFY sends it: one connection a process, however many wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from db.pool import session_options

logger = logging.getLogger(__name__)

ALIVE_SECONDS = 30.0
RETRY_SECONDS = 1.0


class Listener:
    """Wakes those who wait for a text on one channel. Connects when the first one waits.

    Word that is sent while the connection is broken is lost, so all are woken when it is made
    again: to be woken means that something may have changed.
    """

    def __init__(self, dsn: str, channel: str) -> None:
        """`dsn`: of the database; the connection acts as opstac_app."""
        self._dsn = dsn
        self._channel = channel
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None
        self.connections = 0

    @contextmanager
    def waiting(self, text: str) -> Generator[asyncio.Event]:
        """An event that is set whenever the channel says `text`; the caller clears it."""
        event = asyncio.Event()
        self._waiting.setdefault(text, set()).add(event)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name=f"listen {self._channel}")
        try:
            yield event
        finally:
            events = self._waiting[text]
            events.discard(event)
            if not events:
                del self._waiting[text]

    async def close(self) -> None:
        """Give the connection back; who still waits is woken."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._wake_all()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except (psycopg.Error, OSError) as error:
                logger.warning("no word from the database on '%s': %s", self._channel, error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen_once(self) -> None:
        connection: AsyncConnection[Any]
        async with await AsyncConnection.connect(
            self._dsn, autocommit=True, options=session_options(role="opstac_app")
        ) as connection:
            self.connections += 1
            await connection.execute(sql.SQL("listen {}").format(sql.Identifier(self._channel)))
            self._wake_all()
            while True:
                async for word in connection.notifies(timeout=ALIVE_SECONDS):
                    for event in self._waiting.get(word.payload, ()):
                        event.set()
                await connection.execute("")  # raises where the server has gone away unsaid

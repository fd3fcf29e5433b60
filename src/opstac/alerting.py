"""Hands due events to the alert rules, one organization after the other."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from db.pool import Pool
from db.queries import queries
from ops_gateway.domains.alerts_evaluate import Due, Later, evaluate
from ops_gateway.kernel.errors import OpError
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.worker.worker import default_name

logger = logging.getLogger(__name__)
sql = queries(__file__)

SLOTS = 2
LEASE_SECONDS = 60
RENEW_SECONDS = 15
POLL_SECONDS = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 5, 3600  # seconds, doubled each time
MOST_ATTEMPTS = 30
"""With the pauses about a day; a worker that was killed counts as one too."""


class Alerting:
    """The end of `alert_due` that evaluates, in one worker process."""

    def __init__(self, pipeline: Pipeline, system: Pool, *, name: str | None = None) -> None:
        """`system`: a pool of role opstac_system; `name`: of the process, kept over restarts."""
        self._pipeline = pipeline
        self._system = system
        self._name = name or default_name()
        # (event, organization) of each that is evaluated here
        self._mine: dict[asyncio.Task[None], tuple[str, str]] = {}

    async def run(self, *, every_seconds: float = POLL_SECONDS) -> None:
        """Evaluate until cancelled."""
        renewing = asyncio.create_task(self._renew_forever())
        disowned = False
        try:
            while True:
                try:
                    if not disowned:
                        await self._execute(sql.disown)
                        disowned = True
                    await self._start(SLOTS - len(self._mine))
                except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
                    logger.warning("alerts wait: %s", error)
                    await asyncio.sleep(every_seconds)
                    continue
                if self._mine:
                    await asyncio.wait(
                        self._mine, timeout=every_seconds, return_when=asyncio.FIRST_COMPLETED
                    )
                else:
                    await asyncio.sleep(every_seconds)
        finally:
            renewing.cancel()
            for task in self._mine:
                task.cancel()
            await asyncio.gather(renewing, *self._mine, return_exceptions=True)

    async def drain(self) -> int:
        """Evaluate what is due now; how many events that were. For tests and benches."""
        count = 0
        while claimed := await self._claim(SLOTS):
            count += len(claimed)
            await asyncio.gather(*(self._evaluate(row) for row in claimed))
        return count

    async def _start(self, free: int) -> None:
        for row in await self._claim(free) if free else ():
            event, organization = row["event_id"], row["organization_id"]
            task = asyncio.create_task(self._evaluate(row))
            self._mine[task] = event, organization
            task.add_done_callback(lambda done: self._mine.pop(done, None))

    async def _claim(self, limit: int) -> list[dict[str, Any]]:
        async with self._system.connection() as connection:
            cursor = await connection.execute(
                sql.claim,
                {
                    "name": self._name,
                    "busy": [organization for _, organization in self._mine.values()],
                    "limit": limit,
                    "seconds": LEASE_SECONDS,
                },
            )
            return await cursor.fetchall()

    async def _evaluate(self, row: dict[str, Any]) -> None:
        attempts: int = row.pop("attempts")
        due = Due(**row)
        extra = {"event": due.event_id, "item": due.item_id, "attempts": attempts}
        try:
            if attempts > MOST_ATTEMPTS:
                logger.error("alert rules were not evaluated: given up", extra=extra)
                await self._execute(sql.give_up, event=due.event_id)
                return
            fired = await evaluate(self._pipeline, due)
            logger.info("alert rules evaluated", extra={**extra, "fired": fired})
        except (Later, OpError, psycopg.Error, PoolTimeout) as error:
            logger.warning("alert rules are evaluated later: %s", error, extra=extra)
            await self._put_back(due, attempts, said(error))
        except Exception:
            logger.exception("alert rules could not be evaluated", extra=extra)
            await self._put_back(due, attempts, "the evaluation failed; the logs tell why")

    async def _put_back(self, due: Due, attempts: int, error: str) -> None:
        pause = min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE)
        # where the database is away too, the lease runs out
        with suppress(psycopg.Error, PoolTimeout):
            await self._execute(sql.put_back, event=due.event_id, seconds=pause, error=error)

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if not self._mine:
                continue
            try:
                events = [event for event, _ in self._mine.values()]
                await self._execute(sql.renew, events=events, seconds=LEASE_SECONDS)
            except (psycopg.Error, PoolTimeout) as error:
                logger.warning("leases of alerts were not renewed: %s", error)

    async def _execute(self, query: Any, **params: Any) -> None:
        async with self._system.connection() as connection:
            await connection.execute(query, {"name": self._name, **params})


def said(error: Exception) -> str:
    """What people may read of a failure: nothing of the database's own words."""
    if isinstance(error, psycopg.Error | PoolTimeout):
        return "the database was away"
    detail = error.detail if isinstance(error, OpError) else str(error)
    return detail.replace("\x00", "")[:500]

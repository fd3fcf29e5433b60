"""The outbox's relay: committed events become queue rows and delivery rows, and nothing else.

Events are claimed with SKIP LOCKED and marked in the transaction that makes the rows, so however
many relays run and wherever one is killed, each event is passed on once.
"""

from __future__ import annotations

import asyncio
import logging

import psycopg
from psycopg_pool import PoolTimeout

from db.pool import Pool
from db.queries import queries
from ops_gateway.kernel.events import Happened, reactions_to
from ops_gateway.kernel.fault import fault

from .queue import defer_react

logger = logging.getLogger(__name__)
sql = queries(__file__)

BATCH = 200
POLL_SECONDS = 1.0


async def relay(pool: Pool, *, limit: int = BATCH) -> int:
    """Pass on up to `limit` events; how many there were.

    Args:
        pool: of role opstac_system.
    """
    async with pool.connection() as connection, connection.transaction():
        cursor = await connection.execute(sql.relay, {"limit": limit})
        passed = await cursor.fetchall()
        fault("relay.inside")
        for event in passed:
            for reaction in reactions_to(event["type"]):
                await defer_react(connection, event_id=event["id"], reaction=reaction)
    return len(passed)


async def relay_forever(pool: Pool, *, every_seconds: float = POLL_SECONDS) -> None:
    """Pass events on until cancelled."""
    while True:
        try:
            if await relay(pool) == BATCH:
                continue
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            logger.warning("events wait: %s", error)
        await asyncio.sleep(every_seconds)


async def find_event(pool: Pool, event_id: str) -> Happened | None:
    """A committed event by id."""
    async with pool.connection() as connection:
        row = await (await connection.execute(sql.event, {"id": event_id})).fetchone()
    return Happened(**row) if row else None

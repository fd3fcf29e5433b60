"""Sends what is due: claims deliveries, has each written and sent, and notes what became of it.

A delivery is a row of the transaction that it tells of, so none is lost; a process that dies while
it sends leaves a lease that runs out, so one may arrive twice, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from db.pool import Pool
from db.queries import queries
from ops_gateway.kernel.fault import fault
from ops_gateway.providers.delivery import DeliveryResult, Sender

logger = logging.getLogger(__name__)
sql = queries(__file__)

PAUSES: tuple[float, ...] = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""Seconds after each attempt that failed, ±20 %; after the last the delivery is dead."""
LEASE_SECONDS = 60
SLOTS = 16
PER_RECEIVER = 4
POLL_SECONDS = 1.0
GONE = 410


@dataclass(frozen=True)
class Due:
    """A delivery that is ours to attempt; `attempts` counts this one."""

    id: str
    created_at: datetime
    organization_id: str
    kind: str
    subject: str | None
    destination: str | None
    event_id: str | None
    subscription_id: str | None
    attempts: int

    @classmethod
    def of(cls, row: dict[str, Any]) -> Due:
        """From a row."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Message:
    """What to send where, signed with `secrets` (newest first)."""

    url: str
    body: bytes
    event_type: str
    secrets: Sequence[str]
    event_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Compose = Callable[[Due], Awaitable[Message | None]]
"""Writes the message of a delivery; None where there is nothing to say any more."""

Courier = Callable[[Due], Awaitable[DeliveryResult | None]]
"""Sends a delivery that goes another way than HTTP; None where there is nothing to say any more."""


class Deliveries:
    """The sending end of the table `delivery`."""

    def __init__(
        self,
        pool: Pool,
        sender: Sender,
        composers: Mapping[str, Compose],
        *,
        couriers: Mapping[str, Courier] | None = None,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """`pool` acts as opstac_system; kinds without a composer or courier stay in line."""
        self._pool = pool
        self._sender = sender
        self._composers = dict(composers)
        self._couriers = dict(couriers or {})
        self._pauses = tuple(pauses)
        self._sending: set[asyncio.Task[None]] = set()

    async def claim(self, limit: int = SLOTS) -> list[Due]:
        """Up to `limit` due deliveries, leased."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                sql.claim,
                {
                    "kinds": [*self._composers, *self._couriers],
                    "per_receiver": PER_RECEIVER,
                    "limit": limit,
                    "lease_seconds": LEASE_SECONDS,
                },
            )
            return [Due.of(row) for row in await cursor.fetchall()]

    async def attempt(self, due: Due) -> str:
        """Send once and record it; the state the delivery is in now."""
        try:
            async with asyncio.timeout(LEASE_SECONDS - 5):
                result = await self._send(due)
                if result is None:
                    return await self._record(due, "dropped", DeliveryResult())
        except (psycopg.Error, PoolTimeout):
            raise  # its lease runs out, and it is attempted again
        except Exception:
            logger.exception("a message could not be written", extra={"delivery": due.id})
            result = DeliveryResult(error="the message could not be written")
        if result.delivered:
            return await self._record(due, "delivered", result)
        spent = due.attempts > len(self._pauses) or result.status == GONE or result.final
        return await self._record(due, "dead" if spent else "due", result)

    async def _send(self, due: Due) -> DeliveryResult | None:
        if (courier := self._couriers.get(due.kind)) is not None:
            fault("delivery.before_send")
            result = await courier(due)
            fault("delivery.after_send")
            return result
        message = await self._composers[due.kind](due)
        if message is None:
            return None
        fault("delivery.before_send")
        result = await self._sender.send(
            message.url,
            message.body,
            event_type=message.event_type,
            event_id=message.event_id or due.id,
            delivery_id=f"{due.id}.{due.attempts}",
            secrets=message.secrets,
            headers=message.headers,
        )
        fault("delivery.after_send")
        return result

    async def _record(self, due: Due, state: str, result: DeliveryResult) -> str:
        planned = self._pauses[min(due.attempts, len(self._pauses)) - 1] if self._pauses else 0
        spread = 0.8 + secrets.randbelow(401) / 1000
        async with self._pool.connection() as connection:
            await connection.execute(
                sql.record,
                {
                    "id": due.id,
                    "created_at": due.created_at,
                    "attempts": due.attempts,
                    "state": state,
                    "status": result.status,
                    "error": result.error,
                    "pause": float(max(planned * spread, result.retry_after or 0)),
                },
            )
        extra = {"delivery": due.id, "kind": due.kind, "status": result.status, "state": state}
        logger.info("delivery %s: %s", due.id, result.error or state, extra=extra)
        return state

    async def run(self, *, every_seconds: float = POLL_SECONDS) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                await self._round()
                if self._sending:
                    await asyncio.wait(
                        self._sending, timeout=every_seconds, return_when=asyncio.FIRST_COMPLETED
                    )
                else:
                    await asyncio.sleep(every_seconds)
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def _round(self) -> None:
        if len(self._sending) >= SLOTS:
            return
        try:
            claimed = await self.claim(SLOTS - len(self._sending))
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            logger.warning("deliveries wait: %s", error)
            return
        for due in claimed:
            task = asyncio.create_task(self._quietly(due))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _quietly(self, due: Due) -> None:
        try:
            await self.attempt(due)
        except (psycopg.Error, PoolTimeout) as error:
            logger.warning("a delivery could not be recorded: %s", error)

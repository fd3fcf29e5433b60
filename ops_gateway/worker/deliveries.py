"""Sends what is due: claims deliveries, has each written and sent, and notes what became of it.

A delivery is a row of the transaction that it tells of, so none is lost; a process that dies while
it sends leaves a lease that runs out, so one may arrive twice, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

import psycopg
from psycopg_pool import PoolTimeout

from db.pool import Pool
from db.queries import queries
from ops_gateway.kernel.event_message import DEAD_FOR_HOURS, MOST_DEAD
from ops_gateway.kernel.fault import fault
from ops_gateway.providers.delivery import DeliveryResult, Sender

from .together import Together

logger = logging.getLogger(__name__)
sql = queries(__file__)

PAUSES: tuple[float, ...] = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""Seconds after each attempt that failed, ±20 %; after the last the delivery is dead."""
LEASE_SECONDS = 60
SEND_SECONDS = 25.0
"""The longest an attempt may take, with the writing of its message."""
SLOTS = 64
UNPROVEN_SLOTS = 48
"""For receivers that did not take their last message; the others are for those that did."""
PER_RECEIVER = 4
IN_LINE = 16
"""Leased at once for a receiver that takes its messages; `PER_RECEIVER` of them are being sent."""
POLL_SECONDS = 1.0
BREATH_SECONDS = 0.02
"""Between the end of an attempt and the next claim, which then is for several."""
CLAIM_LOCK = 0x64_6C_76
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
    first_attempt: int = 0
    proven: bool = False

    @property
    def tries(self) -> int:
        """Attempts since it was made or replayed, with this one."""
        return self.attempts - self.first_attempt

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


class Undeliverable(Exception):
    """The delivery is given up unsent; the text says why, for the receiver's owner."""


@dataclass(frozen=True)
class _Outcome:
    due: Due
    state: str
    result: DeliveryResult
    pause: float
    sent: bool


Compose = Callable[[Due], Awaitable[Message | None]]
"""Writes the message of a delivery; None where there is nothing to say any more.

Raises Undeliverable where it is not to be sent, but may be replayed.
"""

GiveUp = Callable[[str, str], Awaitable[object]]
"""`await give_up(organization_id, subscription_id)` disables a subscription."""

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
        give_up: GiveUp | None = None,
    ) -> None:
        """`pool` acts as opstac_system; kinds without a composer or courier stay in line.

        `give_up` is called for a subscription whose receiver is gone or takes nothing for days; at
        each failure again, until it is disabled.
        """
        self._pool = pool
        self._sender = sender
        self._composers = dict(composers)
        self._couriers = dict(couriers or {})
        self._pauses = tuple(pauses)
        self._give_up = give_up
        self._record = Together(self._write, most=100)
        self._lines: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._sending: set[asyncio.Task[str | None]] = set()
        self._unproven = 0

    async def claim(self, limit: int = SLOTS) -> list[Due]:
        """Up to `limit` due deliveries, leased."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(sql.lock_claims, {"key": CLAIM_LOCK})
            cursor = await connection.execute(
                sql.claim,
                {
                    "kinds": [*self._composers, *self._couriers],
                    "per_receiver": PER_RECEIVER,
                    "in_line": IN_LINE,
                    "unproven": max(0, UNPROVEN_SLOTS - self._unproven),
                    "limit": limit,
                    "lease_seconds": LEASE_SECONDS,
                },
            )
            claimed = [Due.of(row) for row in await cursor.fetchall()]
        if claimed:
            fault("delivery.claimed")
        return claimed

    async def attempt(self, due: Due) -> str:
        """Send once and record it; the state the delivery is in now."""
        claimed = time.monotonic()
        receiver = due.subscription_id or due.destination or due.id
        line = self._lines.setdefault(receiver, asyncio.Semaphore(PER_RECEIVER))
        async with line:
            if time.monotonic() - claimed > LEASE_SECONDS - SEND_SECONDS:
                return await self._put_back(due)
            return await self._attempt(due)

    async def _put_back(self, due: Due) -> str:
        async with self._pool.connection() as connection:
            key = {"id": due.id, "created_at": due.created_at, "attempts": due.attempts}
            await connection.execute(sql.put_back, key)
        return "due"

    async def _attempt(self, due: Due) -> str:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                result = await self._send(due)
            if result is None:
                return await self._note(due, "dropped", DeliveryResult(), sent=False)
        except (psycopg.Error, PoolTimeout):
            raise  # its lease runs out, and it is attempted again
        except Undeliverable as error:
            return await self._note(due, "dead", DeliveryResult(error=str(error)), sent=False)
        except Exception:
            logger.exception("a message could not be written", extra={"delivery": due.id})
            result = DeliveryResult(error="the message could not be written")
        if result.delivered:
            return await self._note(due, "delivered", result)
        spent = due.tries > len(self._pauses) or result.status == GONE or result.final
        return await self._note(due, "dead" if spent else "due", result)

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

    async def _note(
        self, due: Due, state: str, result: DeliveryResult, *, sent: bool = True
    ) -> str:
        planned = 0.0
        if self._pauses:
            planned = self._pauses[min(due.tries, len(self._pauses)) - 1]
        spread = 0.8 + secrets.randbelow(401) / 1000
        pause = float(max(planned * spread, result.retry_after or 0))
        await self._record(_Outcome(due, state, result, pause, sent))
        extra = {"delivery": due.id, "kind": due.kind, "status": result.status, "state": state}
        logger.info("delivery %s: %s", due.id, result.error or state, extra=extra)
        return state

    async def _write(self, outcomes: Sequence[_Outcome]) -> list[None]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                sql.record,
                {
                    "ids": [outcome.due.id for outcome in outcomes],
                    "created": [outcome.due.created_at for outcome in outcomes],
                    "attempts": [outcome.due.attempts for outcome in outcomes],
                    "states": [outcome.state for outcome in outcomes],
                    "statuses": [outcome.result.status for outcome in outcomes],
                    "errors": [outcome.result.error for outcome in outcomes],
                    "pauses": [outcome.pause for outcome in outcomes],
                    "sent": [outcome.sent for outcome in outcomes],
                    "most_dead": MOST_DEAD,
                    "hours": DEAD_FOR_HOURS,
                },
            )
            touched = await cursor.fetchall()
        fault("delivery.recorded")
        for row in touched:
            if row["hopeless"] and self._give_up is not None:
                try:
                    await self._give_up(row["organization_id"], row["id"])
                except Exception:  # the chore does it later
                    logger.warning("a subscription could not be disabled", exc_info=True)
        return [None] * len(outcomes)

    async def run(self, *, every_seconds: float = POLL_SECONDS) -> None:
        """Deliver until cancelled."""
        try:
            while True:
                await self._round()
                if self._sending:
                    await asyncio.wait(
                        self._sending, timeout=every_seconds, return_when=asyncio.FIRST_COMPLETED
                    )
                    await asyncio.sleep(BREATH_SECONDS)
                else:
                    await asyncio.sleep(every_seconds)
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            await self._record.idle()

    async def _round(self) -> None:
        free = SLOTS - len(self._sending)
        if free <= 0:
            return
        try:
            claimed = await self.claim(free)
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            logger.warning("deliveries wait: %s", error)
            return
        for due in claimed:
            task = asyncio.create_task(self._quietly(due))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def drain(self, limit: int, *, seconds: float = 20.0) -> dict[str, int]:
        """Attempt what is due now, at most `limit` deliveries; how many ended in which state.

        Args:
            seconds: after so long no other is begun.
        """
        counts: dict[str, int] = {"delivered": 0, "due": 0, "dead": 0, "dropped": 0}
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := limit - sum(counts.values())) > 0 and loop.time() < until:
            claimed = await self.claim(min(SLOTS, left))
            if not claimed:
                break
            for state in await asyncio.gather(*(self._quietly(due) for due in claimed)):
                counts[state or "due"] += 1
        return counts

    async def _quietly(self, due: Due) -> str | None:
        self._unproven += not due.proven
        try:
            return await self.attempt(due)
        except (psycopg.Error, PoolTimeout) as error:
            logger.warning("a delivery could not be recorded: %s", error)
            return None
        finally:
            self._unproven -= not due.proven

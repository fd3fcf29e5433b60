"""The loop that finds what a dead process left behind. Runs in every worker and gateway process;
an advisory lock lets one at a time act. A loop, not a queued task: a reaper that is itself a job
can stall and block its own successor.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from db.pool import Connection, Pool
from db.queries import queries

from .claim import BACKOFF_SECONDS, MAX_ATTEMPTS, ClaimedJob, JobEnded, LeaseLost
from .queue import defer_wake
from .services import WorkerServices

logger = logging.getLogger(__name__)
sql = queries(__file__)

TURN = 7_205_759_411  # advisory lock: one reaper at a time
TURN_SECONDS = 20
CHORES = 7_205_759_412  # advisory lock: one process does the chores
CHORES_SECONDS = 600
MAX_KILLS = 3
QUEUE_SILENCE_SECONDS = 60
WORKER_SILENCE_SECONDS = 60


@dataclass(frozen=True)
class Chore:
    """A duty of the platform that one process at a time sees to, every so often.

    `run` must be safe to repeat and safe beside itself: the turn is lost with its connection.
    """

    name: str
    every_seconds: float
    run: Callable[[], Awaitable[object]]


async def reap_forever(
    pool: Pool,
    services: WorkerServices,
    *,
    running_limit: int,
    every_seconds: float = 5,
    grace_seconds: float = 15,
    chores: Sequence[Chore] = (),
) -> None:
    """Reap until cancelled.

    Args:
        pool: open, as role opstac_system.
        running_limit: jobs of one organization that may run at once.
        grace_seconds: pause after the database was away, for workers to renew their leases.
        chores: run when due, after the reaping, in the process whose turn it is.
    """
    due = {chore.name: time.monotonic() for chore in chores}
    while True:
        try:
            async with _turn(pool, TURN, TURN_SECONDS) as mine:
                if mine:
                    await reap(pool, services, running_limit=running_limit)
            async with _turn(pool, CHORES, CHORES_SECONDS) as mine:
                if mine:
                    await _do_chores(chores, due)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            logger.warning("reaping failed: %s", error)
            await asyncio.sleep(grace_seconds)
        await asyncio.sleep(every_seconds)


@asynccontextmanager
async def _turn(pool: Pool, key: int, seconds: int) -> AsyncGenerator[bool]:
    """Whether this process has the turn; kept to the end of the block.

    A process that hangs with the turn loses it after `seconds`, with its connection.
    """
    async with pool.connection() as connection, connection.transaction():
        cursor = await connection.execute(
            sql.try_lock, {"key": key, "patience": f"{seconds * 1000}"}
        )
        row = await cursor.fetchone()
        yield bool(row and row["taken"])


async def _do_chores(chores: Sequence[Chore], due: dict[str, float]) -> None:
    for chore in chores:
        if time.monotonic() < due[chore.name]:
            continue
        due[chore.name] = time.monotonic() + chore.every_seconds
        try:
            await chore.run()
        except Exception:
            logger.exception("chore failed", extra={"chore": chore.name})


async def reap(pool: Pool, services: WorkerServices, *, running_limit: int) -> dict[str, int]:
    """One round; returns counts of what it found."""
    found = {"released": 0, "ended": 0, "woken": 0, "rows": 0}
    async with pool.connection() as connection:
        async with connection.transaction():
            found["released"] = await _expire_leases(connection)
        async with connection.transaction():
            found["rows"] = await _clean_queue(connection)
        async with connection.transaction():
            await connection.execute(sql.tell_unserved)
            found["woken"] = await _wake(connection, running_limit)
        cursor = await connection.execute(
            sql.exhausted, {"max_kills": MAX_KILLS, "max_attempts": MAX_ATTEMPTS}
        )
        exhausted = await cursor.fetchall()
    for row in exhausted:
        found["ended"] += await _end(services, ClaimedJob.of(row), kills=row["kills"] + 1)
    if any(found.values()):
        logger.info("reaped", extra=found)
    return found


async def _expire_leases(connection: Connection) -> int:
    cursor = await connection.execute(
        sql.expire_leases,
        {
            "max_kills": MAX_KILLS,
            "max_attempts": MAX_ATTEMPTS,
            "backoff": [float(seconds) for seconds in BACKOFF_SECONDS],
        },
    )
    rows = await cursor.fetchall()
    for row in rows:
        extra = {"epoch": row["epoch"], "kills": row["kills"]}
        logger.warning("job %s was left by its worker", row["id"], extra=extra)
        await defer_wake(connection, at=row["retry_at"])
    return len(rows)


async def _clean_queue(connection: Connection) -> int:
    await connection.execute(sql.forget_workers, {"seconds": WORKER_SILENCE_SECONDS})
    cursor = await connection.execute(sql.stalled_rows, {"seconds": QUEUE_SILENCE_SECONDS})
    rows = await cursor.fetchall()
    for row in rows:
        query = sql.drop_row if row["task_name"] == "wake" else sql.retry_row
        await connection.execute(query, {"row_id": row["id"]})
    return len(rows)


async def _wake(connection: Connection, running_limit: int) -> int:
    cursor = await connection.execute(sql.unwoken, {"running_limit": running_limit})
    row = await cursor.fetchone()
    count: int = row["jobs"] if row else 0
    for _ in range(count):
        await defer_wake(connection)
    return count


async def _end(services: WorkerServices, job: ClaimedJob, *, kills: int) -> int:
    """End a job that shall not be tried again; 0 where it ended meanwhile."""
    try:
        if job.cancel_requested:
            await services.cancel(job)
        else:
            message = f"gave up after {job.attempts} attempts; its worker was lost {kills} times"
            await services.fail(job, "attempts_exhausted", message, [message])
    except (JobEnded, LeaseLost):
        return 0
    return 1

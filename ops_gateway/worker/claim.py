"""Which job runs next, and who holds it: claims, leases and epochs on the `job` table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from db.pool import Pool
from db.queries import queries

from .queue import defer_wake

sql = queries(__file__)

CLAIMS = 7_205_759_410  # advisory lock: one claimer at a time
BACKOFF_SECONDS = (0, 10, 60, 300)
MAX_ATTEMPTS = 5


class LeaseLost(Exception):
    """The job runs, or ran, at another epoch: this worker was thought dead."""


class JobEnded(Exception):
    """The job ended without this worker: cancelled, or registered from elsewhere."""


@dataclass(frozen=True)
class ClaimedJob:
    """One run of one job. `epoch` is the fencing token: whatever this run does carries it."""

    id: str
    organization_id: str
    project_id: str
    job_type_id: str
    version: str
    epoch: int
    attempts: int
    input_params: dict[str, Any]
    source_item_ids: list[str]
    target_collection_id: str | None
    created_by: UUID | None
    cancel_requested: bool
    deadline: datetime | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> ClaimedJob:
        """From a row of the `job` table, whatever else it holds."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


def backoff(attempts: int) -> int:
    """Seconds to wait after the `attempts`-th attempt failed."""
    return BACKOFF_SECONDS[min(attempts, len(BACKOFF_SECONDS)) - 1]


async def claim(
    pool: Pool,
    worker: str,
    *,
    types: Sequence[tuple[str, str]],
    running_limit: int,
    lease_seconds: float,
) -> ClaimedJob | None:
    """Start the fair next job of one of `types`; None where none may start now.

    Args:
        types: (job type, version): a job of another version is left to a worker that has it.
        running_limit: jobs of one organization that may run at once, where it has no own limit.
    """
    async with pool.connection() as connection, connection.transaction():
        # a statement of its own: the claim's snapshot must be taken after the lock
        await connection.execute(sql.lock_claims, {"key": CLAIMS})
        cursor = await connection.execute(
            sql.claim_job,
            {
                "types": [name for name, _ in types],
                "versions": [version for _, version in types],
                "running_limit": running_limit,
                "worker": worker,
                "lease_seconds": lease_seconds,
            },
        )
        row = await cursor.fetchone()
    return ClaimedJob.of(row) if row else None


async def extend(
    pool: Pool, job: ClaimedJob, *, lease_seconds: float, progress: float, stage: str | None
) -> bool:
    """The heartbeat: keep the job and tell how far it is.

    Args:
        progress: percent, 0 to 100.

    Returns: whether somebody asked to cancel it.
    Raises:
        LeaseLost: another run has the job, or it was put back in line.
        JobEnded: it ended at this epoch.
    """
    async with pool.connection() as connection:
        cursor = await connection.execute(
            sql.extend_lease,
            {
                "job_id": job.id,
                "epoch": job.epoch,
                "lease_seconds": lease_seconds,
                "progress": progress,
                "stage": stage,
            },
        )
        row = await cursor.fetchone()
        if row is not None:
            return bool(row["cancel_requested"])
        cursor = await connection.execute(sql.job_state, {"job_id": job.id})
        state = await cursor.fetchone()
    if state is None or (state["epoch"] == job.epoch and state["status"] not in ("dispatched",)):
        raise JobEnded(job.id)
    raise LeaseLost(f"{job.id} at epoch {job.epoch}")


async def release(
    pool: Pool,
    job: ClaimedJob,
    *,
    delay_seconds: float,
    refund: bool,
    log: Sequence[str] = (),
) -> bool:
    """Put the job back in line after `delay_seconds`, and wake somebody then.

    Args:
        refund: the attempt does not count (the worker stops, the job did nothing wrong).
        log: lines of this run, added to the job's.

    Returns: False where the job was not this run's any more.
    """
    async with pool.connection() as connection, connection.transaction():
        cursor = await connection.execute(
            sql.release_job,
            {
                "job_id": job.id,
                "epoch": job.epoch,
                "delay_seconds": delay_seconds,
                "refund": int(refund),
                "log": list(log),
            },
        )
        row = await cursor.fetchone()
        if row is None:
            return False
        await defer_wake(connection, at=row["retry_at"] if delay_seconds else None)
        return True


async def make(pool: Pool, job: ClaimedJob, key: str) -> str | None:
    """Say that this run makes what has this recipe key, unless another job is at it.

    Returns: that job. This one then waits for it: it is in line again, and no run of it goes on.
    Raises: JobEnded: the job is not this run's any more.
    """
    who = {"job_id": job.id, "epoch": job.epoch, "key": key}
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(sql.lock_recipe, {"org": job.organization_id, "key": key})
        cursor = await connection.execute(sql.made_elsewhere, who)
        row = await cursor.fetchone()
        if row is None:
            cursor = await connection.execute(sql.make, who)
        else:
            cursor = await connection.execute(sql.wait_for, {**who, "other": row["id"]})
        if cursor.rowcount == 0:
            raise JobEnded(job.id)
    return None if row is None else row["id"]


async def wake_waiting(pool: Pool, job: ClaimedJob) -> None:
    """Wake somebody for the jobs that waited for this one; they ask again who makes theirs."""
    async with pool.connection() as connection, connection.transaction():
        cursor = await connection.execute(sql.waiting_for, {"job_id": job.id})
        row = await cursor.fetchone()
        if row is not None and row["jobs"]:
            await defer_wake(connection)


async def disown(pool: Pool, worker: str) -> int:
    """End the leases of a dead worker's jobs; returns how many it held."""
    async with pool.connection() as connection:
        cursor = await connection.execute(sql.disown, {"worker": worker})
        return cursor.rowcount

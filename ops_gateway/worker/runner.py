"""One claimed job from its sources to its registration, with a heartbeat beside it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from db.pool import Pool
from ops_gateway.kernel.fault import fault
from processes.process import Output, Source

from . import claim, transient
from .claim import ClaimedJob, JobEnded, LeaseLost
from .joblog import JobLog
from .scratch import Scratch
from .services import Compute, JobFailed, Made, PassingError, WorkerServices
from .transient import DATABASE_AWAY, TRANSIENT

logger = logging.getLogger(__name__)

STALE_EXIT = 75
# the parts of the percentage: computing, then uploading; 100 is a job that is registered
COMPUTED, UPLOADED = 90.0, 98.0


class CancelRequested(Exception):
    """The job's owner wants it stopped."""


class SameJobRuns(Exception):
    """Another job makes the same; this one is in line again and waits for it."""


@dataclass(frozen=True)
class Limits:
    """What one worker allows."""

    running_per_organization: int = 2
    lease_seconds: float = 30
    beat_seconds: float = 1  # progress is seen, and a cancel felt, this late at most
    job_seconds: float = 3600
    scratch: Path | None = None


class Run:
    """One run of one job: at most one of register, fail, cancel and release ends it."""

    def __init__(
        self,
        pool: Pool,
        services: WorkerServices,
        compute: Compute,
        limits: Limits,
        job: ClaimedJob,
    ) -> None:
        """A run not yet started."""
        self.job = job
        self._pool = pool
        self._services = services
        self._compute = compute
        self._limits = limits
        self._progress = 0.0
        self._stage: str | None = None
        self._ending = False  # what ends the job is under way
        self._scratch = Scratch(limits.scratch)
        self._log = JobLog()

    async def __call__(self) -> str:
        """Carry the job out; returns how it went, for the log. Exits the process on a stale epoch.

        Cancelling puts the job back in line: the worker is stopping.
        """
        started = time.monotonic()
        outcome = "unknown"
        try:
            outcome = await self._until_ended()
        except asyncio.CancelledError:
            outcome = "released"
            self._log.note("given back: the worker stopped")
            with suppress(*DATABASE_AWAY):  # else its lease runs out
                await claim.release(
                    self._pool, self.job, delay_seconds=0, refund=True, log=self._log.lines
                )
            raise
        except JobEnded:
            outcome = "ended elsewhere"
        except LeaseLost as error:  # the end of the job was refused
            stop_failed(error)
        except Exception:
            # its end could not be told; the lease runs out and the reaper decides
            logger.exception("job %s was left behind", self.job.id, extra=self._extra(outcome))
            outcome = "left behind"
        finally:
            extra = self._extra(outcome)
            extra["duration_ms"] = round(1000 * (time.monotonic() - started))
            logger.info("job %s: %s", self.job.id, outcome, extra=extra)
            with suppress(*DATABASE_AWAY):  # else the reaper does
                await claim.wake_waiting(self._pool, self.job)
        return outcome

    async def _until_ended(self) -> str:
        try:
            await self._beside_heartbeat()
            return "completed"
        except CancelRequested:
            await self._services.cancel(self.job)
            return "cancelled"
        except JobFailed as error:
            return await self._fail(error.code, error.message)
        except SameJobRuns:
            return "waits"
        except JobEnded:
            raise
        except LeaseLost as error:
            # what the platform refuses may also be the output of a job that was just cancelled
            return await self._fail_internal(await self._unless_lost(error))
        except Exception as error:
            passing = transient.reason(error)
            if passing is None:
                return await self._fail_internal(error)
            return await self._later(passing, error)

    async def _fail(self, code: str, message: str) -> str:
        message = self._log.clean(message)
        self._log.note(f"failed: {code}: {message}")
        await self._services.fail(self.job, code, message, self._log.lines)
        return f"failed: {code}"

    async def _unless_lost(self, error: LeaseLost) -> LeaseLost:
        """The error, where the lease is still ours. Exits the process where it is not.

        Raises: JobEnded: the job ended at this epoch, which is no reason to stop.
        """
        try:
            await self._extend()
        except (LeaseLost, *DATABASE_AWAY):
            stop_failed(error)
        return error

    async def _extend(self) -> bool:
        return await claim.extend(
            self._pool,
            self.job,
            lease_seconds=self._limits.lease_seconds,
            progress=self._progress,
            stage=self._stage,
        )

    async def _fail_internal(self, error: Exception) -> str:
        logger.error("job failed", exc_info=error, extra=self._extra("internal_error"))
        return await self._fail("internal_error", "the platform made a mistake")

    async def _later(self, reason: str, error: Exception) -> str:
        """Another attempt after a pause, or none if there have been enough."""
        logger.warning("attempt failed: %s", error, extra=self._extra(reason))
        passing, attempt = TRANSIENT[reason], self.job.attempts
        if attempt >= min(passing.attempts, claim.MAX_ATTEMPTS):
            message = f"gave up after {attempt} attempts: {passing.message}"
            return await self._fail(passing.ends_as, message)
        pause = claim.backoff(attempt)
        self._log.note(f"{reason}: {passing.message}; again in {pause} s at the earliest")
        if not await claim.release(
            self._pool, self.job, delay_seconds=pause, refund=False, log=self._log.lines
        ):
            raise JobEnded(self.job.id)
        return "retry"

    async def _beside_heartbeat(self) -> None:
        """Do the work while the heartbeat runs; whichever ends first stops the other."""
        work = asyncio.create_task(self._work())
        beat = asyncio.create_task(self._beat())
        try:
            await asyncio.wait((work, beat), return_when=asyncio.FIRST_COMPLETED)
            if self._ending and not work.done() and isinstance(beat.exception(), JobEnded):
                # the end that the heartbeat met is most likely our own, on its way back to us
                await asyncio.wait((work,), timeout=self._limits.lease_seconds)
        finally:
            for task in (work, beat):
                task.cancel()
            await asyncio.gather(work, beat, return_exceptions=True)
        if not work.cancelled():
            work.result()  # what it did counts, though the heartbeat ended too
        else:
            beat.result()

    async def _work(self) -> None:
        job = self.job
        if job.cancel_requested:
            raise CancelRequested
        self._log.note(f"attempt {job.attempts} by {job.job_type_id} {job.version}")
        fault("worker.after_epoch")
        seconds = self._seconds_left()
        token = await self._services.mint_token(job)
        sources = await self._services.sources(job)
        key = self._services.recipe_key(job, sources)
        # first, so that nobody finishes the same between the two
        if key is not None and await claim.make(self._pool, job, key) is not None:
            raise SameJobRuns
        self._ending = True
        if await self._services.answer(job, sources):
            fault("worker.after_commit")
            return
        self._ending = False
        with self._scratch.folder(f"{job.id}-{job.epoch}") as folder:
            self._log.hide(str(folder), "…")
            made = await self._produce(sources, folder, seconds)
            outputs = []
            for number, output in enumerate(made.outputs):
                done = COMPUTED + (UPLOADED - COMPUTED) * number / len(made.outputs)
                self._show(done, "uploading")
                registration = members(output)
                if output.path is not None:
                    registration["object_path"] = await self._services.put_output(
                        token, job, output.path.name, output.path
                    )
                outputs.append(registration)
                fault("worker.mid_upload")
        self._show(UPLOADED, "registering")
        fault("worker.before_register")
        self._ending = True
        await self._services.register(token, job, sources, outputs, made.work)
        fault("worker.after_commit")

    async def _produce(self, sources: Sequence[Source], folder: Path, seconds: float) -> Made:
        """Compute, from sources that are the same files before and after.

        A reader that meets two versions of a file may fail in any way, or give a mix of both.
        """
        before = await self._services.stamps(sources)
        self._show(0.0, "reading")
        fault("worker.reading")
        failure: JobFailed | None = None
        made = Made(())
        for source in sources:
            self._log.hide(source.path, f"{source.item_id}/{source.asset_key}")
        try:
            made = await self._compute(
                self.job,
                sources,
                folder,
                progress=self._note,
                log=self._log.add,
                seconds=seconds,
            )
        except JobFailed as error:
            failure = error
        if await self._services.stamps(sources) != before:
            raise PassingError("source_changed") from failure
        if failure is not None:
            raise failure
        return made

    def _seconds_left(self) -> float:
        if self.job.deadline is None:
            return self._limits.job_seconds
        left = (self.job.deadline - datetime.now(UTC)).total_seconds()
        if left <= 0:
            raise JobFailed("deadline_exceeded", "the job's time ran out before it could finish")
        return min(left, self._limits.job_seconds)

    def _note(self, fraction: float, stage: str | None) -> None:
        self._show(COMPUTED * min(max(fraction, 0.0), 1.0), stage)
        fault("worker.mid_compute")

    def _show(self, percent: float, stage: str | None) -> None:
        """What the next heartbeat writes; the percentage of a run never falls."""
        self._progress = max(self._progress, round(percent, 1))
        if stage is not None:
            stage = self._log.clean(stage)[:100]
            if stage != self._stage:
                self._log.note(stage)
        self._stage = stage

    async def _beat(self) -> None:
        """Extend the lease and write progress until the job is cancelled, ended or lost."""
        while True:
            await asyncio.sleep(self._limits.beat_seconds)
            try:
                cancel = await self._extend()
            except DATABASE_AWAY as error:
                # the epoch guards the outputs; the work is not thrown away for a short outage
                logger.warning("no heartbeat: %s", error, extra=self._extra("heartbeat"))
                continue
            except LeaseLost as error:
                stop_failed(error)
            if cancel:
                raise CancelRequested

    def _extra(self, outcome: str) -> dict[str, object]:
        job = self.job
        return {
            "job": job.id,
            "organization": job.organization_id,
            "job_type": job.job_type_id,
            "epoch": job.epoch,
            "outcome": outcome,
        }


def members(output: Output) -> dict[str, Any]:
    """An output as it is registered: what is set of it, without its local path."""
    found = {field.name: getattr(output, field.name) for field in fields(output)}
    path = found.pop("path")
    if path is not None:
        del found["value"]
    return {name: value for name, value in found.items() if value is not None or name == "value"}


def stop_failed(error: LeaseLost) -> NoReturn:
    """End the process at once: a worker that lost its lease must not say anything to anybody."""
    logger.critical("lease lost, stopping: %s", error)
    logging.shutdown()
    os._exit(STALE_EXIT)

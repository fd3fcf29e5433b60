"""A worker process on a platform in miniature: registration and failure are plain SQL on `job`.

The epoch rules are the platform's: what ends a job locks its row and compares the epoch. A process
`test` writes two files; `input_params` says how long it takes and how it fails. Jobs of type `echo`
run the catalogue's process in its bounded child.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from db.pool import Pool, make_pool
from ops_gateway.kernel.fault import fault
from ops_gateway.worker import worker
from ops_gateway.worker.claim import ClaimedJob, JobEnded, LeaseLost
from ops_gateway.worker.compute import make_compute
from ops_gateway.worker.runner import Limits
from ops_gateway.worker.services import JobFailed, Log, Made, PassingError, Progress
from processes.process import Output, Source

catalogue = make_compute()


class Services:
    def __init__(self, pool: Pool, store: Path) -> None:
        self.pool = pool
        self.store = store

    async def mint_token(self, job: ClaimedJob) -> str:
        return f"{job.id}/{job.epoch}"

    async def sources(self, job: ClaimedJob) -> Sequence[Source]:
        return []

    async def put_output(self, token: str, job: ClaimedJob, file_name: str, path: Path) -> str:
        async with self.pool.connection() as connection:
            cursor = await connection.execute("select status from job where id = %s", (job.id,))
            row = await cursor.fetchone()
        if row is not None and row["status"] != "running":
            # as the platform's tokens: one of an ended job does not hold, whoever asks
            raise LeaseLost(job.id)
        target = self.store / "jobs" / token / file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        return f"jobs/{token}/{file_name}"

    def recipe_key(self, job: ClaimedJob, sources: Sequence[Source]) -> str | None:
        return job.input_params.get("recipe")

    async def answer(self, job: ClaimedJob, sources: Sequence[Source]) -> bool:
        return False

    async def register(
        self,
        token: str,
        job: ClaimedJob,
        sources: Sequence[Source],
        outputs: Sequence[dict[str, Any]],
        work: Mapping[str, Any],
    ) -> None:
        made = [str(o.get("object_path") or o["value"]) for o in outputs]
        await self._end(job, "completed", made, None)

    async def stamps(self, sources: Sequence[Source]) -> Sequence[str]:
        return []

    async def fail(self, job: ClaimedJob, code: str, message: str, log: Sequence[str] = ()) -> None:
        await self._end(job, "failed", [], code)

    async def cancel(self, job: ClaimedJob) -> None:
        await self._end(job, "cancelled", [], None)

    async def _end(
        self, job: ClaimedJob, ending: str, outputs: list[str], code: str | None
    ) -> None:
        async with self.pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "select status, epoch from job where id = %s for no key update", (job.id,)
            )
            row = await cursor.fetchone()
            assert row is not None
            if row["epoch"] != job.epoch:
                raise LeaseLost(job.id)
            if row["status"] not in ("dispatched", "running"):
                raise JobEnded(job.id)
            record = {"epoch": job.epoch, "ending": ending, "outputs": outputs, "code": code}
            await connection.execute(
                "update job set outputs = coalesce(outputs, '[]') || jsonb_build_array(%s::jsonb) "
                "where id = %s",
                (Jsonb(record), job.id),
            )
            if ending == "completed":
                fault("register.inside")
            await connection.execute(
                "update job set status = %s, error_code = %s, completed_at = clock_timestamp(), "
                "output_item_ids = %s where id = %s",
                (ending, code, outputs, job.id),
            )


async def compute(
    job: ClaimedJob,
    sources: Sequence[Source],
    out_dir: Path,
    *,
    progress: Progress,
    log: Log,
    seconds: float,
) -> Made:
    if job.job_type_id == "echo":
        return await catalogue(job, sources, out_dir, progress=progress, log=log, seconds=seconds)
    wish = job.input_params
    for step in range(4):
        await asyncio.sleep(wish.get("seconds", 0.2) / 4)
        progress(step / 4, "thinking")
    match wish.get("fails"):
        case "domain":
            raise JobFailed("no_overlap", "the area lies outside the image")
        case "once" if job.attempts == 1:
            raise PassingError("storage_unavailable")
        case "disk":
            raise OSError(errno.ENOSPC, "no space")
        case "bug":
            raise KeyError("a mistake")
        case "hang":
            await asyncio.sleep(3600)
    made = []
    for key in ("data", "thumbnail"):
        path = out_dir / f"{key}.bin"
        path.write_bytes(b"x")
        made.append(Output(asset_key=key, path=path))
    return Made(made)


async def main(stop: asyncio.Event, dsn: str, store: str, name: str) -> None:
    async with make_pool(dsn, "opstac_system", max_size=8) as pool:
        settings = worker.Settings(
            types=[("test", "1.0"), ("echo", "1.0")],
            name=name,
            limits=Limits(lease_seconds=3, beat_seconds=0.3),
            poll_seconds=1,
            reap_seconds=0.3,
            stop_seconds=3,
        )
        services = Services(pool, Path(store))
        await worker.work(pool, services, compute, settings, stop=stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    worker.run(lambda stop: main(stop, *sys.argv[1:]))

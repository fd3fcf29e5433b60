"""Jobs through our workers against plain Procrastinate, and one job behind a thousand of another.

    python bench/jobs.py [--jobs 1000] [--rounds 3] [--slots 2] [--milliseconds 20]

Throughput: jobs that do nothing, of eight organizations. Ours: each is claimed in fair turn under
a lease and an epoch, has a heartbeat beside it, and is ended in its row; sources, children and
registration are left out, so it is the queue alone. Plain: a task that does nothing, first come
first served, on the same server with as many at once. The two take turns; the ratio is the median
of the rounds' ratios.

Fairness: from the dispatch of one job to its start, on an empty queue and behind the thousand jobs
of another organization, all of `--milliseconds`; and the same in the plain queue. No organization
has a limit of its own here: only its turn helps the one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from procrastinate import App, PsycopgConnector

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from db.disposable import migrated_cluster  # noqa: E402
from db.pool import Pool, make_pool, session_options  # noqa: E402
from ops_gateway.worker import worker  # noqa: E402
from ops_gateway.worker.claim import ClaimedJob  # noqa: E402
from ops_gateway.worker.queue import defer_wake  # noqa: E402
from ops_gateway.worker.runner import Limits  # noqa: E402
from ops_gateway.worker.services import Log, Made, Progress  # noqa: E402
from processes.process import Source  # noqa: E402

ORGANIZATIONS = 8
PROBES = 7
FILL = """
insert into job (id, organization_id, project_id, job_type_id, status, dispatched_at)
select %(prefix)s || n, %(org)s || n %% %(orgs)s, 'pr_' || %(org)s || n %% %(orgs)s, 'bench',
  'dispatched', clock_timestamp()
from generate_series(1, %(count)s) n
"""
WAITED = """
select extract(epoch from started_at - dispatched_at)::float8 as seconds
from job where id = %s and started_at is not null
"""


class Hollow:
    """The platform's side of a job, without the platform."""

    def __init__(self, pool: Pool) -> None:
        """Over the jobs of `pool`."""
        self._pool = pool

    async def mint_token(self, job: ClaimedJob) -> str:
        """None is asked for."""
        return ""

    async def sources(self, job: ClaimedJob) -> Sequence[Source]:
        """None."""
        return []

    async def stamps(self, sources: Sequence[Source]) -> Sequence[str]:
        """None."""
        return []

    def recipe_key(self, job: ClaimedJob, sources: Sequence[Source]) -> str | None:
        """Every job is another."""
        return None

    async def answer(self, job: ClaimedJob, sources: Sequence[Source]) -> bool:
        """No."""
        return False

    async def put_output(self, token: str, job: ClaimedJob, file_name: str, path: Path) -> str:
        """There is none."""
        raise AssertionError("no job of this bench has an output")

    async def register(
        self,
        token: str,
        job: ClaimedJob,
        sources: Sequence[Source],
        outputs: Sequence[dict[str, Any]],
        work: Mapping[str, Any],
    ) -> None:
        """End the job."""
        await self._end(job, "completed")

    async def fail(self, job: ClaimedJob, code: str, message: str, log: Sequence[str] = ()) -> None:
        """End the job."""
        await self._end(job, "failed")

    async def cancel(self, job: ClaimedJob) -> None:
        """End the job."""
        await self._end(job, "cancelled")

    async def _end(self, job: ClaimedJob, status: str) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(
                "update job set status = %s, completed_at = clock_timestamp() "
                "where id = %s and epoch = %s and status = 'running'",
                (status, job.id, job.epoch),
            )


class Bench:
    """A server, and the two kinds of workers on it."""

    def __init__(self, dsn: str, pool: Pool, slots: int) -> None:
        """Nothing runs yet."""
        self.dsn, self.pool, self.slots = dsn, pool, slots
        self.seconds = 0.0  # of one job

    async def sql(self, query: str, params: Any = None) -> list[dict[str, Any]]:
        """Rows of a statement."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(query.encode(), params)
            return await cursor.fetchall() if cursor.description else []

    async def organizations(self, prefix: str, count: int) -> None:
        """Organizations with a project each."""
        for number in range(count):
            org = f"{prefix}{number}"
            await self.sql(
                "insert into organization (organization_id, name, slug) values (%s, %s, %s)",
                (org, org, org.replace("_", "-")),
            )
            await self.sql(
                "insert into project (id, organization_id, name) values (%s, %s, 'p')",
                (f"pr_{org}", org),
            )

    async def fill(self, prefix: str, org: str, orgs: int, count: int) -> None:
        """Dispatched jobs, and the rows that wake somebody for them."""
        values = {"prefix": prefix, "org": org, "orgs": orgs, "count": count}
        async with self.pool.connection() as connection, connection.transaction():
            await connection.execute(FILL.encode(), values)
            for _ in range(count):
                await defer_wake(connection)

    @asynccontextmanager
    async def ours(self) -> AsyncIterator[None]:
        """Our worker."""

        async def compute(
            job: ClaimedJob,
            sources: Sequence[Source],
            out_dir: Path,
            *,
            progress: Progress,
            log: Log,
            seconds: float,
        ) -> Made:
            if self.seconds:
                await asyncio.sleep(self.seconds)
            return Made(())

        settings = worker.Settings(
            types=[("bench", "1.0")],
            slots=self.slots,
            limits=Limits(running_per_organization=1000),
        )
        stop = asyncio.Event()
        task = asyncio.create_task(
            worker.work(self.pool, Hollow(self.pool), compute, settings, stop=stop)
        )
        try:
            yield
        finally:
            stop.set()
            await task

    @asynccontextmanager
    async def plain(self, started: dict[str, datetime]) -> AsyncIterator[App]:
        """Procrastinate's own worker, with one task."""
        connector = PsycopgConnector(
            conninfo=self.dsn, kwargs={"options": session_options()}, max_size=8
        )
        app = App(connector=connector)

        @app.task(name="noop", queue="bench")
        async def noop(key: str = "") -> None:
            if key:
                started[key] = datetime.now().astimezone()
            if self.seconds:
                await asyncio.sleep(self.seconds)

        async with app.open_async():
            task = asyncio.create_task(
                app.run_worker_async(
                    queues=["bench"],
                    concurrency=self.slots,
                    install_signal_handlers=False,
                    delete_jobs="successful",
                )
            )
            try:
                yield app
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def until_none(self, query: str) -> None:
        """Wait until `query` finds nothing."""
        while await self.sql(query):
            await asyncio.sleep(0.01)

    async def time_ours(self, number: int, count: int) -> float:
        """Jobs a second."""
        await self.fill(f"job_t{number}_", "org_t", ORGANIZATIONS, count)
        begun = time.monotonic()
        async with self.ours():
            await self.until_none("select 1 from job where status <> 'completed' limit 1")
            taken = time.monotonic() - begun
        return count / taken

    async def time_plain(self, count: int) -> float:
        """Tasks a second."""
        row = "row('bench', 'noop', 0, null, null, '{}'::jsonb, null)"
        await self.sql(
            "select procrastinate_defer_jobs_v1(array_agg("
            f"{row}::procrastinate_job_to_defer_v1)) from generate_series(1, %s)",
            (count,),
        )
        begun = time.monotonic()
        async with self.plain({}):
            await self.until_none(
                "select 1 from procrastinate_jobs where queue_name = 'bench' limit 1"
            )
            taken = time.monotonic() - begun
        return count / taken

    async def wait_ours(self, key: str) -> float:
        """Seconds from the dispatch of one job to its start."""
        await self.fill(f"job_{key}_", "org_few", 1, 1)
        while not (rows := await self.sql(WAITED, (f"job_{key}_1",))):
            await asyncio.sleep(0.002)
        return rows[0]["seconds"]

    async def probes(self, kind: str) -> list[float]:
        """Some of them, a little apart."""
        waits = []
        for number in range(PROBES):
            waits.append(await self.wait_ours(f"{kind}{number}"))
            await asyncio.sleep(self.seconds * 2)
        return waits

    async def fairness(self, count: int, seconds: float) -> dict[str, float]:
        """Waits of the one, as medians, and of the one in a plain queue."""
        self.seconds = seconds
        await self.organizations("org_few", 1)
        await self.organizations("org_many", 1)
        async with self.ours():
            await self.probes("warm")
            empty = await self.probes("empty")
            await self.fill("job_many_", "org_many", 1, count)
            await asyncio.sleep(seconds * 4)
            behind = await self.probes("behind")
            left = await self.sql(
                "select count(*) as n from job where organization_id = 'org_many0' "
                "and status = 'dispatched'"
            )
            if not left[0]["n"]:
                raise SystemExit("the thousand ended before the one was asked: take more jobs")
            await self.until_none("select 1 from job where status <> 'completed' limit 1")
        started: dict[str, datetime] = {}
        async with self.plain(started) as app:
            task = app.tasks["noop"]
            for _ in range(count):
                await task.defer_async()
            asked = datetime.now().astimezone()
            await task.defer_async(key="one")
            while "one" not in started:
                await asyncio.sleep(0.01)
        return {
            "empty": statistics.median(empty),
            "behind": statistics.median(behind),
            "worst": max(behind),
            "plain": (started["one"] - asked).total_seconds(),
        }


async def measure(args: argparse.Namespace, dsn: str) -> dict[str, Any]:
    """Both measurements, on a server of their own."""
    async with make_pool(dsn, "opstac_system", max_size=args.slots + 8) as pool:
        bench = Bench(dsn, pool, args.slots)
        await bench.organizations("org_t", ORGANIZATIONS)
        ratios, rates = [], []
        for number in range(args.rounds):
            ours = await bench.time_ours(number, args.jobs)
            plain = await bench.time_plain(args.jobs)
            ratios.append(ours / plain)
            rates.append((ours, plain))
        waits = await bench.fairness(args.jobs, args.milliseconds / 1000)
    return {
        "jobs": args.jobs,
        "slots": args.slots,
        "ours_per_second": round(statistics.median(r[0] for r in rates), 1),
        "plain_per_second": round(statistics.median(r[1] for r in rates), 1),
        "ratio": round(statistics.median(ratios), 3),
        "wait_behind_many_to_empty_queue": round(waits["behind"] / waits["empty"], 2),
        "wait_behind_many_in_jobs": round(waits["behind"] / (args.milliseconds / 1000), 2),
        "worst_wait_behind_many_in_jobs": round(waits["worst"] / (args.milliseconds / 1000), 2),
        "wait_in_a_plain_queue_in_jobs": round(waits["plain"] / (args.milliseconds / 1000), 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--milliseconds", type=float, default=20)
    args = parser.parse_args()
    with migrated_cluster() as cluster:
        print(json.dumps(asyncio.run(measure(args, cluster.dsn())), indent=2))


if __name__ == "__main__":
    main()

"""One round of the reaper over what dead processes left."""

from __future__ import annotations

import asyncio

from ops_gateway.worker.claim import JobEnded
from ops_gateway.worker.reaper import Chore, reap, reap_forever


class Endings:
    """The two services the reaper calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    async def fail(self, job, code, message, log=()) -> None:
        self.calls.append(("fail", job.id, code))

    async def cancel(self, job) -> None:
        self.calls.append(("cancel", job.id))


def running(platform, **columns) -> str:
    """A job whose worker is gone."""
    job = platform.job(platform.organization(), status="running", epoch=1, **columns)
    platform.sql("update job set lease_until = now() - interval '1 second' where id = %s", job)
    return job


async def test_a_job_whose_lease_ran_out_goes_back_in_line_with_a_wake_row(pool, platform) -> None:
    job = running(platform, attempts=2)
    kept = platform.job(platform.organization(), status="running", epoch=1)
    platform.sql("update job set lease_until = now() + interval '1 minute' where id = %s", kept)
    found = await reap(pool, Endings(), running_limit=2)
    assert found["released"] == 1
    state = platform.state(job)
    assert (state["status"], state["kills"], state["lease_until"]) == ("dispatched", 1, None)
    (row,) = platform.sql("select * from procrastinate_jobs")
    assert row["scheduled_at"] == state["retry_at"] > state["updated_at"]
    assert platform.state(kept)["status"] == "running"


async def test_jobs_that_had_their_chances_are_ended_through_the_platform(pool, platform) -> None:
    killer = running(platform, kills=2, attempts=3)
    tired = running(platform, attempts=5)
    unwanted = running(platform, cancel_requested=True)
    endings = Endings()
    found = await reap(pool, endings, running_limit=2)
    assert found["released"] == 0
    assert sorted(endings.calls) == sorted(
        [
            ("fail", killer, "attempts_exhausted"),
            ("fail", tired, "attempts_exhausted"),
            ("cancel", unwanted),
        ]
    )


async def test_a_job_that_ended_meanwhile_is_left(pool, platform) -> None:
    running(platform, attempts=5)

    class Late(Endings):
        async def fail(self, job, code, message, log=()) -> None:
            raise JobEnded(job.id)

    assert (await reap(pool, Late(), running_limit=2))["ended"] == 0


async def test_somebody_is_woken_for_what_may_start_and_no_more(pool, platform) -> None:
    platform.sql(
        "insert into registered_worker (job_type_id, version, name) values ('test', '1.0', 'w')"
    )
    org = platform.organization()
    platform.jobs(org, 5)
    platform.job(platform.organization(), job_type_id="external")
    later = platform.job(platform.organization())
    platform.sql("update job set retry_at = now() + interval '1 hour' where id = %s", later)
    assert (await reap(pool, Endings(), running_limit=2))["woken"] == 2
    # the rows are there now
    assert (await reap(pool, Endings(), running_limit=2))["woken"] == 0


async def test_a_job_says_that_no_worker_has_its_version(pool, platform) -> None:
    register = "insert into registered_worker (job_type_id, version, name) values ('test', %s, 'w')"
    platform.sql(register, "1.1")
    job = platform.job(platform.organization(), version="1.0")
    assert (await reap(pool, Endings(), running_limit=2))["woken"] == 0
    state = platform.state(job)
    assert (state["status"], state["stage"]) == ("dispatched", "no-registered-worker")
    platform.sql(register, "1.0")
    assert (await reap(pool, Endings(), running_limit=2))["woken"] == 1
    assert platform.state(job)["stage"] is None


async def test_nobody_is_woken_beyond_an_organizations_own_limit(pool, platform) -> None:
    platform.sql(
        "insert into registered_worker (job_type_id, version, name) values ('test', '1.0', 'w')"
    )
    org = platform.organization()
    platform.jobs(org, 5)
    platform.sql("insert into job_share (organization_id, running_limit) values (%s, 0)", org)
    assert (await reap(pool, Endings(), running_limit=2))["woken"] == 0
    platform.sql("update job_share set running_limit = 3 where organization_id = %s", org)
    assert (await reap(pool, Endings(), running_limit=2))["woken"] == 3


async def test_queue_rows_of_dead_readers_are_dropped_or_retried(pool, platform) -> None:
    for name, args in (("wake", "{}"), ("react", '{"event_id": "e", "reaction": "r"}')):
        platform.sql(
            "insert into procrastinate_jobs (task_name, queue_name, args, status) "
            "values (%s, 'jobs', %s, 'doing')",
            name,
            args,
        )
    assert (await reap(pool, Endings(), running_limit=2))["rows"] == 2
    (row,) = platform.sql("select task_name, status::text from procrastinate_jobs")
    assert row == {"task_name": "react", "status": "todo"}


async def test_silent_workers_are_forgotten_but_not_the_one_outside(pool, platform) -> None:
    platform.sql(
        "insert into registered_worker (job_type_id, version, name, heartbeat_at) "
        "values ('test', '1.0', 'dead', now() - interval '2 minutes')"
    )
    await reap(pool, Endings(), running_limit=2)
    names = [row["name"] for row in platform.sql("select name from registered_worker")]
    assert "dead" not in names
    assert "outside" in names


async def test_one_of_many_reapers_does_the_chores_and_a_failing_chore_stops_nothing(
    pool, platform
) -> None:
    done = []

    async def count() -> None:
        done.append(1)

    async def fail() -> None:
        raise RuntimeError("not today")

    chores = [Chore("failing", 3600, fail), Chore("counting", 0.2, count)]
    loops = [
        asyncio.create_task(
            reap_forever(pool, Endings(), running_limit=2, every_seconds=0.1, chores=chores)
        )
        for _ in range(3)
    ]
    await asyncio.sleep(1)
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    # each of the three has its own clock; none runs beside another
    assert 1 <= len(done) <= 3 * 6

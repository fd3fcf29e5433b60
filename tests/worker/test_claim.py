"""Which job runs next: fair between organizations, exact about their limit."""

from __future__ import annotations

import asyncio

import pytest

from db.pool import Pool
from ops_gateway.worker import claim
from ops_gateway.worker.claim import ClaimedJob, JobEnded, LeaseLost


async def take(pool: Pool, worker: str = "w", *, limit: int = 2) -> ClaimedJob | None:
    return await claim.claim(
        pool, worker, types=[("test", "1.0")], running_limit=limit, lease_seconds=30
    )


def end(platform, job: ClaimedJob) -> None:
    platform.sql(
        "update job set status = 'completed', completed_at = clock_timestamp() where id = %s",
        job.id,
    )


@pytest.mark.parametrize("slots", [1, 2, 4])
async def test_1000_jobs_of_one_organization_delay_a_job_of_another_by_one_job(
    pool, platform, slots
) -> None:
    many, few = platform.organization(), platform.organization()
    platform.jobs(many, 1000)
    running = [await take(pool) for _ in range(slots)]
    running = [job for job in running if job]
    assert len(running) == min(slots, 2)  # never more than the organization's limit

    wanted = platform.job(few)
    if len(running) == slots:
        # all slots are taken: the first that comes free serves the other organization
        end(platform, running.pop(0))
    job = await take(pool)
    assert job is not None
    assert job.id == wanted


async def test_organizations_take_turns_on_one_slot(pool, platform) -> None:
    orgs = [platform.organization() for _ in range(3)]
    for org in orgs:
        for _ in range(4):
            platform.job(org)
    served = []
    for _ in range(12):
        job = await take(pool)
        assert job is not None
        served.append(job.organization_id)
        end(platform, job)
    for turn in range(4):
        assert set(served[3 * turn : 3 * turn + 3]) == set(orgs)


def set_share(platform, org: str, *, weight: int = 1, running_limit: int | None = None) -> None:
    platform.sql(
        "insert into job_share (organization_id, weight, running_limit) values (%s, %s, %s)",
        org,
        weight,
        running_limit,
    )


async def turns(pool, platform, count: int, *, limit: int = 2) -> list[str]:
    """The organizations of the next jobs on one slot."""
    served = []
    for _ in range(count):
        job = await take(pool, limit=limit)
        assert job is not None
        served.append(job.organization_id)
        end(platform, job)
    return served


async def test_turns_go_by_weight(pool, platform) -> None:
    heavy, light = platform.organization(), platform.organization()
    set_share(platform, heavy, weight=3)
    for org in (heavy, light):
        platform.jobs(org, 20)
    served = await turns(pool, platform, 16)
    assert (served.count(heavy), served.count(light)) == (12, 4)
    # never more than its weight between two turns of the other
    longest = max(
        len(run) for run in "".join("h" if o == heavy else "l" for o in served).split("l")
    )
    assert longest <= 3 + 1


async def test_slots_are_shared_by_weight(pool, platform) -> None:
    heavy, light = platform.organization(), platform.organization()
    set_share(platform, heavy, weight=3)
    for org in (heavy, light):
        platform.jobs(org, 10)
    jobs = [await take(pool, limit=10) for _ in range(8)]
    running = [job.organization_id for job in jobs if job]
    assert (running.count(heavy), running.count(light)) == (6, 2)


async def test_who_was_idle_gets_no_credit_for_it(pool, platform) -> None:
    busy, idle = platform.organization(), platform.organization()
    platform.jobs(busy, 40)
    await turns(pool, platform, 20)
    platform.jobs(idle, 20)
    served = await turns(pool, platform, 10)
    assert served[0] == idle
    assert served.count(busy) == 5


async def test_an_organization_may_have_a_limit_of_its_own(pool, platform) -> None:
    wide, closed = platform.organization(), platform.organization()
    set_share(platform, wide, running_limit=3)
    set_share(platform, closed, running_limit=0)
    for org in (wide, closed):
        platform.jobs(org, 5)
    taken = [await take(pool, limit=1) for _ in range(5)]
    assert [job and job.organization_id for job in taken] == [wide, wide, wide, None, None]


async def test_a_job_of_another_version_is_left_to_a_worker_that_has_it(pool, platform) -> None:
    org = platform.organization()
    old = platform.job(org, version="1.0")
    new = platform.job(org, version="1.1")

    async def take_of(version: str) -> ClaimedJob | None:
        return await claim.claim(
            pool, "w", types=[("test", version)], running_limit=2, lease_seconds=30
        )

    job = await take_of("1.1")
    assert job is not None and job.id == new
    assert await take_of("1.1") is None
    assert platform.state(old)["status"] == "dispatched"
    job = await take_of("1.0")
    assert job is not None and (job.id, job.version) == (old, "1.0")


async def test_within_an_organization_priority_goes_before_age(pool, platform) -> None:
    org = platform.organization()
    first, second, urgent = (
        platform.job(org),
        platform.job(org),
        platform.job(org, priority=5),
    )
    order = []
    for _ in range(3):
        job = await take(pool)
        assert job is not None
        order.append(job.id)
        end(platform, job)
    assert order == [urgent, first, second]


async def test_the_limit_is_exact_under_eight_claimers(pool, platform) -> None:
    orgs = [platform.organization() for _ in range(3)]
    for org in orgs:
        for _ in range(10):
            platform.job(org)
    most = 0

    async def claimer(name: str) -> int:
        nonlocal most
        count = 0
        while job := await take(pool, name):
            rows = await asyncio.to_thread(
                platform.sql,
                "select count(*) as n from job where status = 'running' group by organization_id",
            )
            most = max(most, *(row["n"] for row in rows))
            await asyncio.to_thread(end, platform, job)
            count += 1
        return count

    # a claimer stops when it finds nothing to start; the last one standing drains the rest
    counts = await asyncio.gather(*(claimer(f"w{n}") for n in range(8)))
    assert sum(counts) == 30
    assert most <= 2
    epochs = platform.sql("select distinct epoch from job where organization_id = any(%s)", orgs)
    assert epochs == [{"epoch": 1}]


async def test_a_job_that_waits_for_its_retry_or_has_no_runner_is_left(pool, platform) -> None:
    org = platform.organization()
    platform.job(org, job_type_id="external")
    later = platform.job(org)
    platform.sql("update job set retry_at = now() + interval '1 minute' where id = %s", later)
    assert await take(pool) is None


async def test_a_heartbeat_keeps_the_job_and_hears_of_a_cancel(pool, platform) -> None:
    platform.job(platform.organization())
    job = await take(pool)
    assert job is not None
    beat = {"lease_seconds": 30, "progress": 40.0, "stage": "reading"}
    assert await claim.extend(pool, job, **beat) is False
    state = platform.state(job.id)
    assert (state["progress"], state["stage"]) == (40.0, "reading")
    platform.sql("update job set cancel_requested = true where id = %s", job.id)
    assert await claim.extend(pool, job, **beat) is True


async def test_a_heartbeat_of_an_old_epoch_is_refused(pool, platform) -> None:
    platform.job(platform.organization())
    job = await take(pool)
    assert job is not None
    beat = {"lease_seconds": 30, "progress": 0.0, "stage": None}
    platform.sql("update job set status = 'dispatched' where id = %s", job.id)
    with pytest.raises(LeaseLost):
        await claim.extend(pool, job, **beat)
    again = await take(pool)
    assert again is not None
    assert again.epoch == job.epoch + 1
    with pytest.raises(LeaseLost):
        await claim.extend(pool, job, **beat)
    platform.sql("update job set status = 'cancelled' where id = %s", job.id)
    with pytest.raises(JobEnded):
        await claim.extend(pool, again, **beat)
    assert await claim.release(pool, again, delay_seconds=0, refund=True) is False


async def test_a_released_job_wakes_somebody_when_its_pause_is_over(pool, platform) -> None:
    platform.job(platform.organization())
    job = await take(pool)
    assert job is not None
    assert await claim.release(pool, job, delay_seconds=60, refund=False)
    (row,) = platform.sql("select * from procrastinate_jobs where task_name = 'wake'")
    state = platform.state(job.id)
    assert row["scheduled_at"] == state["retry_at"]
    assert (state["status"], state["attempts"], state["lease_until"]) == ("dispatched", 1, None)
    assert await take(pool) is None


def test_pauses_grow() -> None:
    assert [claim.backoff(attempt) for attempt in range(1, 7)] == [0, 10, 60, 300, 300, 300]

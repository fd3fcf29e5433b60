"""Jobs that would make the same: one makes it, the others wait for it and hold no slot."""

from __future__ import annotations

import asyncio

import pytest

from db.pool import Pool
from ops_gateway.worker import claim
from ops_gateway.worker.claim import ClaimedJob, JobEnded

ANY = {"reuse_from": None}  # may be given a result of any project


async def take(pool: Pool, *, limit: int = 100) -> ClaimedJob | None:
    return await claim.claim(
        pool, "w", types=[("test", "1.0")], running_limit=limit, lease_seconds=30
    )


async def take_all(pool: Pool) -> list[ClaimedJob]:
    found = []
    while job := await take(pool):
        found.append(job)
    return found


def end(platform, job_id: str, status: str = "completed") -> None:
    platform.sql(
        "update job set status = %s, completed_at = clock_timestamp() where id = %s", status, job_id
    )


async def test_of_many_at_once_one_makes_it_and_the_others_wait(pool, platform) -> None:
    org = platform.organization()
    for _ in range(8):
        platform.job(org, **ANY)
    jobs = await take_all(pool)
    assert len(jobs) == 8
    answers = await asyncio.gather(*(claim.make(pool, job, "k") for job in jobs))
    (maker,) = [job for job, other in zip(jobs, answers, strict=True) if other is None]
    assert {other for other in answers if other} == {maker.id}
    for job in jobs:
        state = platform.state(job.id)
        if job is not maker:
            assert (state["status"], state["stage"]) == ("dispatched", "waiting-for-same-job")
            assert (state["waits_for"], state["attempts"]) == (maker.id, 0)
    assert await take(pool) is None  # none has a slot, and none is woken, while the one runs
    platform.sql("update job set lease_until = now() + interval '1 hour' where id = %s", maker.id)
    end(platform, maker.id)
    again = await take_all(pool)
    assert {job.id for job in again} == {job.id for job in jobs} - {maker.id}
    assert {platform.state(job.id)["waits_for"] for job in again} == {None}


async def test_the_end_of_the_one_wakes_somebody_for_the_others(pool, platform) -> None:
    org = platform.organization()
    platform.job(org, **ANY)
    platform.job(org, **ANY)
    first, second = await take_all(pool)
    assert await claim.make(pool, first, "k") is None
    assert await claim.make(pool, second, "k") == first.id
    platform.sql("delete from queue.procrastinate_jobs")
    await claim.wake_waiting(pool, second)
    assert platform.sql("select 1 from queue.procrastinate_jobs") == []
    await claim.wake_waiting(pool, first)
    assert len(platform.sql("select 1 from queue.procrastinate_jobs")) == 1


@pytest.mark.parametrize("ending", ["failed", "cancelled", "dispatched"])
async def test_when_the_one_does_not_make_it_the_next_does(pool, platform, ending) -> None:
    org = platform.organization()
    platform.job(org, **ANY)
    platform.job(org, **ANY)
    first, second = await take_all(pool)
    await claim.make(pool, first, "k")
    await claim.make(pool, second, "k")
    platform.sql(
        "update job set status = %s, retry_at = now() + interval '1 hour' where id = %s",
        ending,
        first.id,
    )
    job = await take(pool)
    assert job is not None and job.id == second.id
    assert await claim.make(pool, job, "k") is None
    if ending == "dispatched":  # tried again: now it is this one that waits
        platform.sql("update job set retry_at = null where id = %s", first.id)
        again = await take(pool)
        assert again is not None and await claim.make(pool, again, "k") == second.id


async def test_a_job_waits_for_nothing_that_it_may_not_be_given(pool, platform) -> None:
    org, other = platform.organization(), platform.organization()
    platform.job(org, **ANY)
    platform.job(org, reuse_from=[])  # asked to be computed
    platform.job(org, reuse_from=["pr_of_somebody_else"])
    platform.job(other, **ANY)
    jobs = await take_all(pool)
    assert [await claim.make(pool, job, "k") for job in jobs] == [None] * 4
    # the other organization's own job of that key does wait, for its own
    platform.job(other, **ANY)
    (more,) = await take_all(pool)
    (own,) = [job.id for job in jobs if job.organization_id == other]
    assert await claim.make(pool, more, "k") == own


async def test_a_job_does_not_wait_twice_for_items_that_it_cannot_name(pool, platform) -> None:
    org = platform.organization()
    for name in ("a", "b", "c", "a"):
        platform.job(org, input_params={"output_name": name}, **ANY)
    first, second, third, same = await take_all(pool)
    assert await claim.make(pool, first, "k") is None
    # how many items there will be nobody knows yet
    assert await claim.make(pool, second, "k") == first.id
    platform.sql("update job set output_item_ids = '{it_1,it_2}' where id = %s", first.id)
    end(platform, first.id)
    (again,) = await take_all(pool)
    assert await claim.make(pool, again, "k") is None
    assert await claim.make(pool, third, "k") is None
    assert await claim.make(pool, same, "k") is None  # what it may be given is there


async def test_a_worker_thought_dead_is_not_waited_for(pool, platform) -> None:
    org = platform.organization()
    platform.job(org, **ANY)
    platform.job(org, **ANY)
    first, second = await take_all(pool)
    await claim.make(pool, first, "k")
    platform.sql("update job set lease_until = now() where id = %s", first.id)
    assert await claim.make(pool, second, "k") is None


async def test_a_run_that_lost_its_job_makes_nothing(pool, platform) -> None:
    platform.job(platform.organization(), **ANY)
    (job,) = await take_all(pool)
    platform.sql("update job set epoch = epoch + 1 where id = %s", job.id)
    with pytest.raises(JobEnded):
        await claim.make(pool, job, "k")
    assert platform.state(job.id)["recipe_key"] is None

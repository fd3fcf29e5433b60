"""The same job twice at the same time is computed once and paid once."""

from __future__ import annotations

import asyncio

import pytest


@pytest.mark.slow  # two worker processes
async def test_equal_jobs_at_once_are_computed_and_paid_once(scene, workers, until) -> None:
    await workers.start(name="one")
    await workers.start(name="two")
    await until(
        lambda: scene.api.sql(
            "select 1 from registered_worker where job_type_id = 'clip' and active "
            "having count(*) = 2"
        )
    )
    *ids, fresh = await asyncio.gather(
        *(scene.clip() for _ in range(4)), scene.clip(use_cache=False)
    )
    *jobs, computed = await asyncio.gather(*(scene.ended(job_id) for job_id in (*ids, fresh)))
    assert {job["status"] for job in (*jobs, computed)} == {"completed"}
    assert computed["cached_from"] is None and computed["credits_charged"] > 0
    # the one that was asked to be computed anew may have been the first
    paid = [job for job in jobs if job["cached_from"] is None]
    assert len(paid) <= 1
    maker = paid[0]["id"] if paid else fresh
    given = [job for job in jobs if job["cached_from"] is not None]
    assert {job["cached_from"] for job in given} <= {maker, fresh}
    assert {job["credits_charged"] for job in given} == {0}
    # nobody waited by using up attempts
    attempts = scene.api.sql("select attempts from job where id = any(%s)", ids)
    assert {row["attempts"] for row in attempts} == {1}
    sums = scene.api.sql(
        "select distinct checksum from asset where key = 'data' and item_id = any(%s)",
        [item for job in jobs for item in job["output_item_ids"]],
    )
    assert len(sums) == 1
    balance = await scene.ok("billing.credits.balance")
    charged = sum(job["credits_charged"] for job in (*jobs, computed))
    assert (balance["reserved"], balance["balance"]) == (0, 1000 - charged)
    assert charged == computed["credits_charged"] * (1 + len(paid))

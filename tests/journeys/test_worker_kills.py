"""A worker killed at any point leaves one set of outputs and one settled hold."""

from __future__ import annotations

import asyncio
import signal

import pytest

POINTS = [
    "worker.before_start",
    "worker.after_epoch",
    "worker.mid_compute",
    "worker.mid_upload",
    "register.inside",
    "worker.after_commit",
]


def whole(scene, job_id):
    """Outputs, settlements and hold of a job, counted in the tables."""
    api = scene.api
    items = api.sql("select id from item where job_id = %s and deleted_at is null", job_id)
    ends = api.sql(
        "select kind from journal j join job on job.hold_id = j.hold_id where job.id = %s "
        "and j.kind in ('settle', 'void')",
        job_id,
    )
    hold = api.sql(
        "select h.state from hold h join job on job.hold_id = h.id where job.id = %s", job_id
    )
    documents = api.sql(
        "select count(*) as n from pgstac.items where id = any(%s)",
        [row["id"] for row in items],
        role="opstac_owner",
    )
    return len(items), [row["kind"] for row in ends], hold[0]["state"], documents[0]["n"]


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_worker_leaves_one_set_of_outputs(scene, workers, point):
    doomed = await workers.start(fault=f"{point}:kill")
    job_id = await scene.clip()
    assert await asyncio.wait_for(doomed.wait(), 180) == -signal.SIGKILL
    await workers.start()  # the next process under the same name
    job = await scene.ended(job_id)
    assert job["status"] == "completed"
    assert len(job["output_item_ids"]) == 1
    assert whole(scene, job_id) == (1, ["settle"], "settled", 1)
    balance = await scene.ok("billing.credits.balance")
    assert balance["reserved"] == 0
    assert balance["balance"] == 1000 - job["credits_charged"]


async def test_a_paused_worker_that_wakes_again_writes_nothing(scene, workers, until):
    sleeper = await workers.start(fault="worker.mid_upload:stop", name="sleeper")
    job_id = await scene.clip()

    def stopped() -> bool:
        with open(f"/proc/{sleeper.pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "T"

    await until(stopped)
    scene.api.sql("update job set lease_until = now() where id = %s", job_id)  # its time is up
    await workers.start(name="other")
    job = await scene.ended(job_id)
    assert job["status"] == "completed"
    sleeper.send_signal(signal.SIGCONT)
    assert await asyncio.wait_for(sleeper.wait(), 180) == 75  # it lost its lease and ended itself
    assert whole(scene, job_id) == (1, ["settle"], "settled", 1)


async def test_a_cancelled_job_gives_its_credits_back(scene, workers):
    job_id = await scene.clip()
    await scene.ok("processing.job.delete", {"job_id": job_id})
    await workers.start()
    await asyncio.sleep(1)
    assert (await scene.ok("billing.credits.balance"))["available"] == 1000
    assert scene.api.sql("select id from item where job_id = %s", job_id) == []

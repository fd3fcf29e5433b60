"""Faults around a job: none is lost or charged twice, and no half-written asset is ever visible."""

from __future__ import annotations

import asyncio
import importlib
import os
import random
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from processes import process as processes
from raster import child

# each starts worker processes and waits for what they do
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
POINTS = [
    "worker.before_start",
    "worker.after_epoch",
    "worker.reading",
    "worker.mid_compute",
    "worker.mid_upload",
    "worker.before_register",
    "register.inside",
    "worker.after_commit",
]
BURN = '''
"""Uses two processors until it is stopped."""

import threading
import time

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from processes.process import Output, OutputSpec, Price, process


class Inputs(BaseModel):
    model_config = ConfigDict(extra="forbid")
    seconds: float = Field(default=600, ge=0, le=600)


def burn(end):
    values = np.random.default_rng(0).random(1_000_000)
    while time.monotonic() < end:
        np.sort(values)


@process(id="burn", title="Burn", inputs=Inputs, unit="JOB", price=Price(7), max_seconds=700,
         outputs={"value": OutputSpec("Value", "Nothing.", {})})
def run(ctx):
    """Uses two processors until it is stopped."""
    end = time.monotonic() + ctx.inputs.seconds
    (ctx.out_dir / "half.tif").write_bytes(b"II*")
    ctx.progress(0.5, "burning")
    other = threading.Thread(target=burn, args=(end,), daemon=True)
    other.start()
    burn(end)
    return [Output(asset_key="value", value=1, media_type="application/json")]
'''


@pytest.fixture
def burning(packages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict]:
    """A package whose process computes for ever; the environment of workers that have it."""
    kept = set(processes.discover())
    site = tmp_path / "site"
    packages.put(site, processes.GROUP, "burn_for_ever", BURN)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(processes, "_seen", set())
    importlib.invalidate_caches()
    processes.discover()
    child.shut_down()
    yield {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT), str(ROOT / "src")])}
    child.shut_down()
    for name in set(processes.PROCESSES) - kept:
        del processes.PROCESSES[name]
    sys.modules.pop("burn_for_ever", None)


def computing(worker: Any) -> list[psutil.Process]:
    """The processes that a worker's nursery forked: minders and children."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for nursery in psutil.Process(worker.pid).children():
            found += nursery.children(recursive=True)
    return found


def attempts(api: Any, job_id: str) -> int:
    return api.sql("select attempts from job where id = %s", job_id)[0]["attempts"]


def busy(worker: Any) -> float:
    """Processor seconds of the child that took most."""
    taken = [0.0]
    for process in computing(worker):
        with suppress(psutil.NoSuchProcess):
            taken.append(process.cpu_times().user)
    return max(taken)


async def nothing_is_left(scene: Any, job_id: str) -> None:
    """No item, no hold, no charge: as if the job had not been."""
    sql = scene.api.sql
    assert sql("select id from item where job_id = %s", job_id) == []
    assert sql("select state from hold where job_id = %s", job_id)[0]["state"] == "voided"
    balance = await scene.ok("billing.credits.balance")
    assert (balance["reserved"], balance["available"]) == (0, 1000)


async def burn(scene: Any, workers: Any, until: Any, burning: dict, **env: str) -> tuple[Any, str]:
    """A worker with a job that burns; both."""
    worker = await workers.start(**burning, **env)
    body = {"project_id": scene.project, "job_type_id": "burn", "input_params": {}}
    job_id = (await scene.ok("processing.create", body))["job"]["id"]

    async def dispatched() -> bool:
        answer = await scene.api.call(
            "processing.dispatch", {"job_id": job_id, "version": "1.0"}, as_=scene.owner
        )
        return answer.status_code == 200

    await until(dispatched)
    await until(lambda: busy(worker) > 0.5)
    return worker, job_id


async def test_cancelling_a_job_stops_its_pixels(scene, workers, until, burning) -> None:
    worker, job_id = await burn(scene, workers, until, burning)
    held = await scene.ok("billing.credits.balance")
    assert held["reserved"] == 7
    dismissed = await scene.api.client.delete(
        f"/ogc/jobs/{job_id}", headers={"Authorization": f"Bearer {scene.owner.token}"}
    )
    assert dismissed.status_code == 200, dismissed.text
    assert (await scene.ended(job_id))["status"] == "cancelled"
    await until(lambda: not computing(worker), 15)
    assert worker.returncode is None  # the worker itself goes on
    await nothing_is_left(scene, job_id)


async def test_a_job_whose_time_is_up_is_stopped(scene, workers, until, burning) -> None:
    worker, job_id = await burn(scene, workers, until, burning, OPSTAC_JOB_TIMEOUT_SECONDS="6")
    ended = await scene.ended(job_id)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "timeout")
    assert attempts(scene.api, job_id) == 1
    await until(lambda: not computing(worker), 15)
    await nothing_is_left(scene, job_id)


async def test_a_killed_worker_takes_its_child_with_it(scene, workers, until, burning) -> None:
    worker, job_id = await burn(scene, workers, until, burning)
    left = computing(worker)
    assert left
    worker.kill()
    await worker.wait()
    await until(lambda: not any(process.is_running() for process in left), 15)
    again = await workers.start(**burning)
    await until(lambda: busy(again) > 0.5)
    assert attempts(scene.api, job_id) == 2
    await scene.ok("processing.job.delete", {"job_id": job_id})
    await until(lambda: not computing(again), 15)
    await nothing_is_left(scene, job_id)


async def test_progress_never_falls_and_ends_at_100(scene, workers, until) -> None:
    doomed = await workers.start()
    body = {"process_id": "echo", "workspaceId": scene.project, "inputs": {"pause": 5}}

    async def submitted() -> Any:
        answer = await scene.api.call("processing.execute", body, as_=scene.owner)
        return answer.json() if answer.status_code == 200 else None

    job_id = (await until(submitted))["jobID"]
    seen: list[tuple[float, str | None]] = []

    async def far() -> bool:
        job = await scene.ok("processing.job.get", {"job_id": job_id})
        seen.append((job["progress"], job["stage"]))
        return job["progress"] > 20

    async def over() -> bool:
        await far()
        return (await scene.job(job_id))["status"] == "completed"

    await until(far)
    doomed.kill()
    await doomed.wait()
    await workers.start()
    await until(over)
    await far()
    assert attempts(scene.api, job_id) == 2
    shown = [progress for progress, _ in seen]
    assert shown == sorted(shown) and shown[-1] == 100
    assert {"waiting"} <= {stage for _, stage in seen if stage} <= {
        "reading", "waiting", "done", "uploading", "registering"
    }  # fmt: skip


async def test_a_full_disk_fails_a_job_with_its_reason(scene, workers, until) -> None:
    async def short(**_: Any) -> Any:
        """A worker whose files cannot grow beyond what an intermediate file needs."""
        worker = await workers.start()
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
        return worker

    worker = await short()
    job_id = await scene.clip()

    async def again() -> bool:
        # no waiting for the pauses between attempts
        scene.api.sql("update job set retry_at = now() where id = %s", job_id)
        return (await scene.job(job_id))["status"] in ("completed", "failed")

    await until(again)
    job = await scene.job(job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "attempts_exhausted"), job
    assert "no space was left on the disk" in job["error"]["message"]
    assert any("disk_full" in line for line in job["log"])
    assert attempts(scene.api, job_id) == 5
    await nothing_is_left(scene, job_id)
    worker.kill()
    await worker.wait()
    await workers.start()
    job = await scene.ended(await scene.clip())
    assert job["status"] == "completed"


@pytest.mark.parametrize("times", [1, 2])
async def test_a_source_replaced_while_it_is_read(scene, workers, until, times) -> None:
    api = scene.api
    (place,) = api.sql(
        "select object_path, id from asset where item_id = %s and key = 'data'", scene.item["id"]
    )
    file = api.platform.services.objects.local_file(place["object_path"])
    other = file.with_name("other")
    shutil.copyfile(file, other)
    worker = await workers.start(fault="worker.reading:stop")
    job_id = await scene.clip()
    for turn in range(2):
        # it has noted which file it is going to read, and not read it
        await until(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED)
        if turn < times:
            shutil.copyfile(other, file)  # of the same bytes: nothing but the file's identity tells
        worker.send_signal(signal.SIGCONT)
        if turn == 0:
            await until(
                lambda: (
                    api.sql("select attempts from job where id = %s", job_id)[0]["attempts"] == 2
                )
            )
    job = await scene.ended(job_id)
    if times == 1:
        assert job["status"] == "completed"
        assert len(api.sql("select id from item where job_id = %s", job_id)) == 1
    else:
        assert (job["status"], job["error"]["code"]) == ("failed", "scene_unreadable")
        assert "replaced while it was read" in job["error"]["message"]
        await nothing_is_left(scene, job_id)


@pytest.mark.parametrize("seed", [1])
async def test_workers_killed_at_random_lose_nothing_and_charge_nothing_twice(
    scene, workers, until, seed
) -> None:
    chance = random.Random(seed)
    api = scene.api
    west, south, east, north = scene.item["bbox"]
    ids = []
    for number in range(3):  # areas of different sizes: none answers from another's result
        width = (east - west) * (0.3 + 0.1 * number)
        ring = [
            [west + 0.01 * (east - west), south],
            [west + width, south],
            [west + width, north],
            [west + 0.01 * (east - west), south],
        ]
        ids.append(await scene.clip(aoi_geometry={"type": "Polygon", "coordinates": [ring]}))
    for _ in range(3):
        point = chance.choice([*POINTS, None])
        worker = await workers.start(fault=f"{point}:kill" if point else None)
        # no waiting for the pauses between attempts
        api.sql("update job set retry_at = null where id = any(%s)", ids)
        if point is None:
            await until(
                lambda: (
                    bool(
                        api.sql("select 1 from job where status = 'running' and id = any(%s)", ids)
                    )
                    or not _open(api, ids)
                )
            )
            await asyncio.sleep(chance.uniform(0, 1.5))
            worker.kill()
        else:
            await until(lambda w=worker: w.returncode is not None or not _open(api, ids))
            with suppress(ProcessLookupError):
                worker.kill()
        await worker.wait()
        _whole(api, ids)
    await workers.start()

    async def over() -> bool:
        api.sql("update job set retry_at = null where id = any(%s) and status = 'dispatched'", ids)
        return not _open(api, ids)

    await until(over, 240)
    charged = 0
    for job_id in ids:
        job = await scene.job(job_id)
        items = api.sql("select id from item where job_id = %s and deleted_at is null", job_id)
        ends = api.sql(
            "select kind from journal j join job on job.hold_id = j.hold_id where job.id = %s "
            "and j.kind in ('settle', 'void')",
            job_id,
        )
        # three losses end a job, and only those
        done = job["status"] == "completed"
        assert done or (job["status"], job["error"]["code"]) == ("failed", "attempts_exhausted")
        assert len(items) == len(job["output_item_ids"]) == int(done)
        assert [row["kind"] for row in ends] == ["settle" if done else "void"]
        charged += job["credits_charged"] or 0
    _whole(api, ids)
    balance = await scene.ok("billing.credits.balance")
    assert (balance["reserved"], balance["balance"]) == (0, 1000 - charged)
    faults = api.sql("select * from ledger_faults() where faults <> 0", role="opstac_owner")
    assert faults == []


def _open(api: Any, ids: list[str]) -> bool:
    return bool(
        api.sql(
            "select 1 from job where id = any(%s) "
            "and status not in ('completed', 'failed', 'cancelled')",
            ids,
        )
    )


def _whole(api: Any, ids: list[str]) -> None:
    """Whoever looks at any moment sees whole files of completed jobs, and nothing of others."""
    rows = api.sql(
        "select j.status, a.object_path, a.size_bytes from item i "
        "join job j on j.id = i.job_id join asset a on a.item_id = i.id "
        "where j.id = any(%s) and i.deleted_at is null and a.object_path is not null",
        ids,
    )
    for row in rows:
        assert row["status"] == "completed"
        file = api.platform.services.objects.local_file(row["object_path"])
        assert file.stat().st_size == row["size_bytes"]

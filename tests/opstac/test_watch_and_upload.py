"""`opstac watch` and `opstac upload`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from opstac.shell import following
from opstac.shell.server import Server

FIELDS = "s2-flanders_2021-04_10m.tif"
SAMPLES = Path(__file__).resolve().parents[2] / "src/opstac/sampledata"


@pytest.fixture
async def job(live):
    """A job that waits, and its owner."""
    owner = await live.organization()
    body = {"project_id": await live.project(owner), "job_type_id": "external", "input_params": {}}
    made = await live.ok("processing.create", body, as_=owner)
    return made["job"]["id"], owner


async def test_a_job_that_does_not_end_in_time_goes_on(live, of_live, job):
    job_id, owner = job
    live.sql("update job set progress = 37 where id = %s", job_id)  # of a hundred
    status, out, err = await of_live("watch", job_id, "--timeout", "0.5", as_=owner)
    assert (status, out) == (124, "") and "it goes on" in err and " 37%  pending" in err
    status, _, err = await of_live("watch", "job_no", as_=owner)
    assert status == 2 and "[404]" in err


async def test_ctrl_c_leaves_the_job_running(live, of_live, job, monkeypatch):
    job_id, owner = job

    def interrupted(_self: object, _timeout: object) -> dict:
        raise KeyboardInterrupt

    monkeypatch.setattr(following.Follower, "follow", interrupted)
    status, out, err = await of_live("watch", job_id, as_=owner)
    assert (status, out) == (130, "") and "goes on" in err
    got = await live.ok("processing.project_job.get", {"job_id": job_id}, as_=owner)
    assert got["job"]["status"] == "pending"


async def test_a_job_that_is_deleted_meanwhile_is_said(live, of_live, job):
    job_id, owner = job
    watching = asyncio.create_task(of_live("watch", job_id, as_=owner))
    await asyncio.sleep(0.5)
    await live.ok("processing.job.delete", {"job_id": job_id}, as_=owner)
    status, _, err = await asyncio.wait_for(watching, 30)
    assert status in (2, 3) and err


@pytest.mark.parametrize(
    ("ended", "wanted"), [("completed", 0), ("failed", 3), ("cancelled", 3)]
)  # fmt: skip
async def test_the_status_is_the_job_s(shell, monkeypatch, ended: str, wanted: int):
    error = {"code": "no_overlap", "message": "no\x1b pixels"} if ended == "failed" else None
    records = [
        {"id": "job_1", "status": "running", "progress": 40.0},
        {"id": "job_1", "status": ended, "progress": 100.0, "error": error},
    ]
    monkeypatch.setattr(Server, "calling", lambda _self, _work: {"job": records.pop(0)})
    status, out, err = await shell("watch", "job_1", "--server", "http://127.0.0.1:1")
    assert status == wanted and json.loads(out)["job"]["status"] == ended
    assert " 40%  running" in err and ("no? pixels" in err) == (ended == "failed")


def test_a_follower_waits_for_a_platform_that_is_away(monkeypatch):
    monkeypatch.setenv("OPSTAC_URL", "http://127.0.0.1:1")
    from opstac.shell.status import CommandError

    said = [
        {"job": {"status": "running", "progress": 50.0, "stage": "reads"}},
        CommandError("away"),
        {"job": {"status": "completed", "progress": 100.0}},
    ]

    def calling(_self: Server, _work: object) -> object:
        one = said.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    monkeypatch.setattr(Server, "calling", calling)
    job = following.Follower(Server(), "job_1", sleep=lambda _: None).follow()
    assert job["status"] == "completed" and not said


async def test_a_file_becomes_an_item(live, of_live, tmp_path: Path):
    owner = await live.organization()
    project = await live.project(owner)
    scene = SAMPLES / FIELDS
    words = ["--name", "April", "--datetime", "2021-04-01T10:00:00Z", "--property", "season=spring",
             "--property", "eo:cloud_cover=3", "--quiet"]  # fmt: skip
    status, out, err = await of_live("upload", str(scene), *words, as_=owner)
    assert status == 0, err
    (item,) = json.loads(out)["items"]
    got = (await live.ok("items.get", {"item_id": item["id"]}, as_=owner))["item"]
    assert (got["name"], got["project_id"]) == ("April", project)
    assert got["properties"]["season"] == "spring"

    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no raster")
    status, out, err = await of_live("upload", str(broken), "--quiet", as_=owner)
    assert (status, out) == (2, "") and "Error: " in err and "Traceback" not in err
    status, _, err = await of_live("upload", str(tmp_path), as_=owner)
    assert status == 1 and "opstac ingest" in err
    status, _, err = await of_live("upload", str(tmp_path / "none"), as_=owner)
    assert status == 1 and "no such file" in err

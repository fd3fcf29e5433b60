"""What a job needs is taken away while it runs: it ends with the reason, and leaves nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from db import pool
from ops_gateway.worker.compute import make_compute
from tests.domains.test_job_reuse import Bench


@pytest.fixture
async def bench(api: Any, catalogue: Any) -> Bench:
    return await Bench(api, catalogue).begin()


def interrupted(interrupt: Any) -> Any:
    """Computes, and then something happens before the outputs are registered."""
    real = make_compute()

    async def compute(*args: Any, **more: Any) -> Any:
        made = await real(*args, **more)
        await interrupt()
        return made

    return compute


def left(bench: Bench, job_id: str) -> Any:
    """The job's end, and what there is of it: items, an open hold."""
    sql = bench.api.sql
    (job,) = sql("select * from job where id = %s", job_id)
    items = sql("select id from item where job_id = %s and deleted_at is null", job_id)
    holds = sql("select id from hold where job_id = %s and state = 'open'", job_id)
    return job["status"], job["error_code"], job["credits_charged"], len(items), len(holds)


def used(bench: Bench) -> int:
    (row,) = bench.api.sql(
        "select storage_used_bytes from organization where organization_id = %s",
        bench.owner.organization_id,
    )
    return row["storage_used_bytes"]


@pytest.mark.parametrize("gone", ["project", "collection", "room"])
async def test_where_the_outputs_cannot_go_any_more_is_said(bench: Bench, gone: str) -> None:
    target = await bench.api.project(bench.owner, "Target")
    body = {"project_id": target, "name": "Clips"}
    collection = (await bench.ok("collections.create", body))["id"]

    async def interrupt() -> None:
        if gone == "project":
            await bench.ok("projects.delete", {"project_id": target})
        elif gone == "collection":
            body = {"project_id": target, "collection_id": collection}
            await bench.ok("collections.delete", body)
        else:
            bench.api.sql(
                "update organization set storage_quota_bytes = storage_used_bytes"
                " where organization_id = %s", bench.owner.organization_id,
            )  # fmt: skip

    before = used(bench)
    job = await bench.create(project_id=target, target_collection_id=collection)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "job", lambda *_: asyncio.sleep(0))  # nobody sees it any more
        await bench.run(job, compute=interrupted(interrupt))
    code = "storage_full" if gone == "room" else "target_gone"
    assert left(bench, job["id"]) == ("failed", code, 0, 0, 0)
    assert used(bench) == before


async def test_a_cached_result_is_not_given_to_a_deleted_project(bench: Bench) -> None:
    await bench.done()
    target = await bench.api.project(bench.owner, "Target")
    job = await bench.create(project_id=target)
    bench.api.sql("update job set status = 'running' where id = %s", job["id"])
    await bench.ok("projects.delete", {"project_id": target})
    # it was claimed before, and has not heard of it
    bench.api.sql("update job set cancel_requested = false where id = %s", job["id"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "job", lambda *_: asyncio.sleep(0))
        await bench.run(job)
    assert left(bench, job["id"]) == ("failed", "target_gone", 0, 0, 0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform that waits for the locks of others for a short while; before `api`."""
    monkeypatch.setitem(pool.SESSION, "lock_timeout", "200")


async def test_a_registration_that_waits_too_long_for_others_is_tried_again(
    impatient: None, bench: Bench
) -> None:
    """As where a large project is deleted or imported into."""
    job = await bench.create()
    async with await psycopg.AsyncConnection.connect(bench.api.platform.settings.dsn) as other:

        async def interrupt() -> None:
            await other.execute("set search_path = opstac")
            await other.execute("select from project where id = %s for update", [bench.project])

        waits = await bench.run(job, compute=interrupted(interrupt))
        assert (waits["status"], waits["error"]) == ("dispatched", None)
    assert (await bench.run(job))["status"] == "completed"

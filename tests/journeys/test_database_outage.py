"""The database server stops while a job runs, and comes back: the job still ends once."""

from __future__ import annotations

import asyncio

import httpx
import psycopg
import pytest

from db.disposable import migrated_cluster


@pytest.fixture
def cluster():
    with migrated_cluster() as cluster:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            # as a server that is kept has it: nothing committed is lost when it falls
            connection.execute(f"alter database {connection.info.dbname} set synchronous_commit=on")
        yield cluster


@pytest.mark.slow  # the server is away for some seconds, and workers notice by their own clocks
async def test_a_job_survives_its_database(cluster, tmp_path, platform_on, workers_of, until):
    async with platform_on(cluster.dsn(), tmp_path) as api:
        owner = await api.organization()
        project = await api.project(owner)
        async with workers_of(api) as workers:
            await workers.start()
            look = {"job_id": ""}
            body = {
                "process_id": "echo",
                "workspaceId": project,
                "inputs": {"message": {"n": 7}, "pause": 4},
            }

            async def submitted():
                answer = await api.call("processing.execute", body, as_=owner)
                return answer.json() if answer.status_code == 200 else None

            look["job_id"] = (await until(submitted))["jobID"]

            async def status(*wanted):
                try:
                    answer = await api.call("processing.project_job.get", look, as_=owner)
                except httpx.HTTPError:
                    return None
                if answer.status_code != 200:
                    assert answer.status_code == 503, answer.text
                    return None
                job = answer.json()["job"]
                return job if job["status"] in wanted else None

            await until(lambda: status("running"))
            cluster.stop(at_once=True)
            gone = await api.call("processing.project_job.get", look, as_=owner)
            assert gone.status_code == 503 and int(gone.headers["retry-after"]) >= 1
            await asyncio.sleep(3)
            cluster.start()
            job = await until(lambda: status("completed", "failed", "cancelled"))
            assert job["status"] == "completed", job
            kept = api.sql("select outputs -> 'values' as v from job where id = %s", job["id"])
            assert kept[0]["v"] == {"echo": {"n": 7}}
            balance = await api.ok("billing.credits.balance", as_=owner)
            assert (balance["reserved"], balance["balance"]) == (0, 1000)

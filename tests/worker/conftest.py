"""A platform in miniature on the real `job` table, and the means to start real worker processes."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from db.disposable import migrated_cluster
from db.pool import Pool, make_pool

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """A cluster of this folder's own: its rows are made by hand and break the ledger's laws."""
    with migrated_cluster() as cluster:
        yield cluster.dsn()


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    async with make_pool(dsn, "opstac_system", min_size=1, max_size=12) as pool:
        yield pool


@pytest.fixture
def platform(dsn: str) -> Iterator[Platform]:
    platform = Platform(dsn)
    platform.sql("delete from queue.procrastinate_jobs")
    platform.sql("delete from queue.procrastinate_workers")
    platform.sql("delete from registered_worker where queue = 'jobs'")
    platform.sql("delete from job_share")
    platform.sql("update job set status = 'cancelled' where status in ('dispatched', 'running')")
    yield platform
    platform.close()


class Platform:
    """Organizations and jobs written by hand, and what became of them."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._kept: psycopg.Connection[dict[str, Any]] | None = None

    def sql(self, query: str, *params: Any) -> list[dict[str, Any]]:
        try:
            cursor = self._session().execute(query.encode(), params)
        except psycopg.OperationalError:  # the session was ended
            cursor = self._session().execute(query.encode(), params)
        return cursor.fetchall() if cursor.description else []

    def _session(self) -> psycopg.Connection[dict[str, Any]]:
        if self._kept is None or self._kept.closed:
            options = "-c search_path=opstac,queue,public -c role=opstac_system"
            self._kept = psycopg.connect(
                self.dsn, autocommit=True, row_factory=dict_row, options=options
            )
        return self._kept

    def close(self) -> None:
        """End the session that its statements share."""
        if self._kept is not None:
            self._kept.close()

    def cut_connections(self) -> None:
        """End every other session of the database, as a restart of the server does."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and usename = current_user "
                "and pid <> pg_backend_pid()"
            )

    def organization(self) -> str:
        org = f"org_{uuid.uuid4().hex[:12]}"
        self.sql(
            "insert into organization (organization_id, name, slug) values (%s, %s, %s)", *3 * [org]
        )
        return org

    def job(self, org: str, **columns: Any) -> str:
        """A dispatched job of job type `test` in a project of its own; no wake row."""
        suffix = uuid.uuid4().hex[:12]
        self.sql(
            "insert into project (id, organization_id, name) values (%s, %s, 'p')",
            f"pr_{suffix}",
            org,
        )
        values = {
            "id": f"job_{suffix}",
            "organization_id": org,
            "project_id": f"pr_{suffix}",
            "job_type_id": "test",
            "status": "dispatched",
            **columns,
        }
        values["input_params"] = json.dumps(values.get("input_params", {}))
        names = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        self.sql(
            f"insert into job ({names}, dispatched_at) values ({marks}, clock_timestamp())",
            *values.values(),
        )
        return values["id"]

    def jobs(self, org: str, count: int) -> None:
        """Many dispatched jobs of job type `test`."""
        first = self.job(org)
        self.sql(
            "insert into job (id, organization_id, project_id, job_type_id, status, dispatched_at) "
            "select id || '_' || n, organization_id, project_id, job_type_id, status, "
            "clock_timestamp() from job, generate_series(2, %s) n where id = %s",
            count,
            first,
        )

    def state(self, job_id: str) -> dict[str, Any]:
        return self.sql("select * from job where id = %s", job_id)[0]

    def settlements(self, job_id: str) -> list[dict[str, Any]]:
        """What the miniature platform recorded at the job's end, one row an ending."""
        return self.state(job_id)["outputs"] or []


class Process:
    """A real worker process on the miniature platform."""

    def __init__(self, forker: Any, dsn: str, store: Path, name: str, fault: str = "") -> None:
        env = {
            **os.environ,
            "OPSTAC_TESTING": "1",
            "OPSTAC_FAULT": fault,
            "PYTHONPATH": os.pathsep.join(
                [str(HERE.parents[1]), str(HERE.parents[1] / "src"), str(HERE)]
            ),
        }
        self.log = store / f"{name}-{uuid.uuid4().hex[:6]}.log"
        words = [str(HERE / "miniature.py"), dsn, str(store), name]
        self.popen = forker.start(words, env, self.log)

    def ended(self, seconds: float = 90) -> int:
        return self.popen.wait_for(seconds)

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def close(self) -> None:
        self.popen.send_signal(signal.SIGCONT)
        self.popen.kill()
        self.popen.wait_for(10)


@pytest.fixture
def start(dsn: str, tmp_path: Path, platform: Platform, forker: Any) -> Any:
    """start(name, fault='') → Process; all are killed when the test ends."""
    made: list[Process] = []

    def begin(name: str = "w1", fault: str = "") -> Process:
        made.append(Process(forker, dsn, tmp_path, name, fault))
        return made[-1]

    yield begin
    for process in made:
        process.close()

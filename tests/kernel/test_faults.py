"""Whatever step fails, nothing is left but an audit row; whoever dies, nothing is half done."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).parent
BODY = {"amount": 10, "ending": "settle"}
# the kernel's steps in Python, then those inside its SQL by the table a step writes
STEPS = [
    "authenticate",
    "scope",
    "validate",
    "prepare",
    "idempotency",
    "execute",
    "output",
    "provenance",
    "audit",
    "commit",
]
TABLES = [
    "event",
    "idempotency_key",
    "hold",
    "account",
    "journal",
    "entry",
    "lineage",
    "audit",
    "chain_head",
]


@pytest.mark.parametrize("op_id", ["spend", "pay", "nested"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_failing_step_leaves_nothing(trial, step, op_id, monkeypatch):
    before = trial.rows()
    monkeypatch.setenv("OPSTAC_FAULT", f"{step}:raise")
    problem = await trial.refused(500, op_id, BODY, key="k")
    assert "Fault" not in str(problem) and step not in str(problem)
    monkeypatch.delenv("OPSTAC_FAULT")
    assert trial.rows() == before
    await trial.ok(op_id, BODY, key="k")
    assert trial.effects() == 1
    assert all(f["faults"] == 0 for f in trial.api.sql("select * from ledger_faults()"))


@pytest.fixture
def breaking(trial):
    """Make any write to a table fail, at once or when the transaction commits."""
    made = []

    def arm(table: str, what: str, *, at_commit: bool = False) -> None:
        made.append(table)
        # a kept chain head and wallet are changed, the others are added to
        event = "update" if table in ("account", "chain_head") else "insert or update"
        when = (
            f"constraint trigger broken after {event} on {table} deferrable initially deferred"
            if at_commit
            else f"trigger broken before {event} on {table}"
        )
        # the function acts as who logged in, since only they may end their own session
        trial.api.sql(
            "create or replace function public.broken() returns trigger"
            " language plpgsql security definer"
            f" as $b$ begin {what} end $b$",
            role="none",
        )
        trial.api.sql(
            f"create {when} for each row when (new.organization_id = '{trial.organization_id}')"
            " execute function public.broken()",
            role="opstac_owner",
        )

    def disarm() -> None:
        while made:
            trial.api.sql(f"drop trigger broken on {made.pop()}", role="opstac_owner")

    yield arm, disarm
    disarm()


RAISE = "raise exception 'broken on purpose' using errcode = 'OP999';"
DIE = "perform pg_terminate_backend(pg_backend_pid()); return new;"


@pytest.mark.parametrize("table", TABLES)
async def test_a_failing_write_leaves_nothing(trial, breaking, table):
    arm, disarm = breaking
    before = trial.rows()
    arm(table, RAISE)
    problem = await trial.refused(500, "spend", BODY, key="k")
    assert "broken on purpose" not in str(problem)
    disarm()
    assert trial.rows() == before
    await trial.ok("spend", BODY, key="k")
    assert (trial.effects(), trial.wallet()) == (1, (990, 0))


async def test_a_failing_commit_leaves_nothing(trial, breaking):
    arm, disarm = breaking
    before = trial.rows()
    arm("hold", RAISE, at_commit=True)
    await trial.refused(500, "spend", BODY, key="k")
    disarm()
    assert trial.rows() == before
    await trial.ok("spend", BODY, key="k")
    assert trial.effects() == 1


@pytest.mark.parametrize("table", ["idempotency_key", "account", "audit", "project"])
async def test_a_lost_connection_leaves_nothing_and_the_key_is_safe_to_repeat(
    trial, breaking, table
):
    arm, disarm = breaking
    before = trial.rows()
    arm(table, DIE)
    response = await trial.call("spend", BODY, key="k")
    assert response.status_code == 503, response.text
    assert response.headers["retry-after"]
    assert response.json()["type"].endswith("/problems/database-unavailable")
    disarm()
    assert trial.rows() == before
    first = await trial.ok("spend", BODY, key="k")
    assert await trial.ok("spend", BODY, key="k") == first
    assert trial.effects() == 1


async def test_refusals_and_failures_are_audited(trial, monkeypatch):
    await trial.refused(402, "spend", {"amount": 5000})
    reader, _ = trial.api_key("trial:read")
    response = await trial.api.client.post("/v1/op/trial.spend", headers={"X-API-Key": reader})
    assert response.status_code == 403
    monkeypatch.setenv("OPSTAC_FAULT", "execute:raise")
    await trial.refused(500, "spend", {"amount": 1})
    rows = trial.api.sql(
        "select outcome, status, detail from audit"
        " where organization_id = %s and operation = 'trial.spend'"
        " order by seq",
        trial.organization_id,
    )
    assert [(r["outcome"], r["status"]) for r in rows] == [
        ("failed", 402),
        ("denied", 403),
        ("failed", 500),
    ]
    assert "Fault" not in rows[2]["detail"]


async def test_reads_write_no_records(trial):
    before = trial.rows(), trial.api.sql("select count(*) as n from audit")
    await trial.ok("things.get", {"thing_id": "x"})
    await trial.refused(404, "things.get", {"thing_id": "missing"})
    assert (trial.rows(), trial.api.sql("select count(*) as n from audit")) == before


@pytest.mark.parametrize("op_id", ["orphan", "unpaid", "misfit"])
async def test_what_breaks_its_own_declaration_rolls_back(trial, op_id):
    """No lineage for its product, no reservation for its price, an answer outside its schema."""
    before = trial.rows()
    await trial.refused(500, op_id, {"amount": 5}, key="k")
    assert trial.rows() == before


async def test_an_operation_inside_another_is_whole_or_not_at_all(trial):
    await trial.ok("nested", BODY)
    assert trial.wallet() == (980, 10)
    before = trial.rows()
    await trial.refused(402, "nested", {"amount": 600})
    assert trial.rows() == before


async def test_a_deadlock_is_tried_again(trial, breaking):
    arm, disarm = breaking
    once = (
        "if nextval('deadlocks') < 3 then raise exception 'x' using errcode = '40P01'; end if;"
        " return new;"
    )
    trial.api.sql(
        "create sequence deadlocks; grant usage on sequence deadlocks to public",
        role="opstac_owner",
    )
    try:
        arm("project", once)
        await trial.ok("spend", BODY, key="k")
        assert (trial.effects(), trial.wallet()) == (1, (990, 0))
        trial.api.sql("alter sequence deadlocks restart minvalue -9 start -9", role="opstac_owner")
        response = await trial.call("spend", BODY)
        assert response.status_code == 503 and response.headers["retry-after"] == "1"
        assert trial.effects() == 1
    finally:
        disarm()
        trial.api.sql("drop sequence deadlocks", role="opstac_owner")


# ---------------------------------------------------------------- a server that is killed


class Server:
    """The platform in a process of its own."""

    def __init__(self, dsn: str, home: Path) -> None:
        self.dsn, self.home = dsn, home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, fault: str = "") -> None:
        environ = {**os.environ, "OPSTAC_FAULT": fault, "OPSTAC_TESTING": "1"}
        environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        command = [sys.executable, str(HERE / "trial.py"), self.dsn, str(self.home), str(self.port)]
        self.process = subprocess.Popen(command, env=environ)
        for _ in range(300):
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/livez").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def stop(self) -> int:
        assert self.process is not None
        self.process.kill()
        return self.process.wait(10)


@pytest.fixture
def server(dsn, tmp_path):
    server = Server(dsn, tmp_path / "served")
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop()


@pytest.mark.slow  # starts a server three times
async def test_a_server_killed_at_any_point_leaves_all_or_nothing(trial, server):
    token, _ = trial.api_key("trial:*")
    headers = {"X-API-Key": token, "Idempotency-Key": "k", "X-Request-Id": "killed-server"}

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}", timeout=20
        ) as client:
            return await client.post("/v1/op/trial.spend", json=BODY, headers=headers)

    before = trial.rows()
    for point, effects in [("execute", 0), ("commit", 0), ("committed", 1)]:
        server.start(f"{point}:kill")
        with pytest.raises(httpx.TransportError):
            await post()
        assert server.process is not None and server.process.wait(10) != 0
        for _ in range(100):  # the database notices that its client is gone
            if trial.effects() == effects:
                break
            await asyncio.sleep(0.02)
        assert trial.effects() == effects, point
        if not effects:
            assert trial.rows() == before, point
    answer = await trial.call("spend", BODY, key="k")
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert (trial.effects(), trial.wallet()) == (1, (990, 0))
    assert all(f["faults"] == 0 for f in trial.api.sql("select * from ledger_faults()"))

"""A spend operation over HTTP against pgbench running the same statements.

    python bench/spend.py [--seconds 4] [--rounds 3] [--clients 8] [--organizations 1,8]

The operation claims its key, makes a row and a queue row, reserves credits, seals a lineage edge,
an event, an audit row and the ledger's journal, and commits durably. Ours: uvicorn with one worker,
authentication by API key, JSON in and out, JSON logs, `wrk` as load. pgbench: the key's look-up and
the same statements, prepared, one by one, the organizations taken at random. The two take turns
within each round; the ratio is the median of the rounds' ratios. Needs `wrk` and `pgbench`.

One organization measures the wait for its chain's lock; several measure the work.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from db.binaries import find_binaries  # noqa: E402
from db.disposable import migrated_cluster  # noqa: E402
from ops_gateway.kernel.authenticate import mint_key  # noqa: E402

AMOUNT = 3
CREDITS = 10**11
INSERT = "insert into project (id, organization_id, name) values (%(id)s, %(org)s, %(name)s)"

WRK = """
local keys = {%s}
local thread = 0
function setup(t) t:set("number", thread); thread = thread + 1 end
function init(args)
  count = 0
  math.randomseed(os.time() + number)
  run = tostring(math.random(1, 1e9))
end
function request()
  count = count + 1
  local headers = {
    ["Authorization"] = "Bearer " .. keys[count %% #keys + 1],
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = "w" .. number .. "-" .. run .. "-" .. count
  }
  local body = '{"amount": %d, "note": "a row of the benchmark"}'
  return wrk.format("POST", "/v1/op/bench.spend", headers, body)
end
function done(summary, latency, requests)
  local errors = summary.errors
  local bad = errors.status + errors.read + errors.write + errors.timeout
  io.write("errors " .. bad .. "\\n")
end
"""

PGBENCH = """
\\set r random(1, 9000000000000000)
\\set o random(0, {last})
select id, organization_id, slot, secret_sha256, permissions, rate_limit, expired, revoked
  from authenticate_key('bench00' || :o);
begin;
select * from kernel_begin(
  'org_b' || :o, 'bench.spend', 'k' || :r, sha256('body'::bytea), {amount}, null, false);
insert into project (id, organization_id, name)
  values ('proj_' || :r, 'org_b' || :o, 'a row of the benchmark');
select unnest(procrastinate_defer_jobs_v1(
  array[row('jobs', 'wake', 0, null, null, '{{}}'::jsonb, null)::procrastinate_job_to_defer_v1]));
select kernel_finish(jsonb_build_object(
  'operation', 'bench.spend', 'invocation_id', 'inv_' || :r, 'request_id', 'req_' || :r,
  'principal_kind', 'api_key',
  'principal_id', 'key_b0', 'outcome', 'ok', 'status', 200, 'detail', null,
  'entities', jsonb_build_array(jsonb_build_object('type', 'project', 'id', 'proj_' || :r)),
  'edges', jsonb_build_array(
    jsonb_build_array('project', 'proj_' || :r, 'derived_from', 'organization', 'org_b' || :o)),
  'events', jsonb_build_array(jsonb_build_object(
    'id', 'evt_' || :r, 'type', 'test.ping', 'entity_type', 'project',
    'entity_id', 'proj_' || :r, 'project_id', null, 'data', '{{}}'::jsonb)),
  'postings', jsonb_build_array(jsonb_build_object(
    'id', 'txn_' || :r, 'kind', 'hold', 'amount', {amount}, 'hold_id', 'hold_' || :r,
    'job_id', null, 'expires_at', null, 'reference_type', null, 'reference_id', null,
    'description', 'credits reserved')),
  'key', 'k' || :r, 'key_state', 'done', 'fingerprint', '00', 'lease_seconds', null,
  'content_type', 'application/json', 'encrypted', false, 'project_id', null),
  convert_to('{{"id":"proj_' || :r || '","hold_id":"hold_' || :r || '"}}', 'UTF8'));
commit;
"""


def declare() -> None:
    """Put the operation into the registry."""
    from ops_gateway.kernel.context import Context, Event
    from ops_gateway.kernel.ids import new_id
    from ops_gateway.kernel.operation import Effect, Input, Output, operation

    class SpendInput(Input):
        """What to reserve."""

        amount: int
        note: str

    class SpendOutput(Output):
        """What was made."""

        id: str
        hold_id: str | None

    async def price(_: Context, body: SpendInput) -> int:
        return body.amount

    # the handler's annotations are looked up in its module
    globals().update(Context=Context, SpendInput=SpendInput, SpendOutput=SpendOutput)

    @operation(
        "bench.spend", scope="bench:write", effect=Effect.SPEND, price=price, produces="project"
    )
    async def spend(ctx: Context, body: SpendInput) -> SpendOutput:
        """Reserve credits, make a row, wake a worker."""
        made = new_id("proj")
        await ctx.execute(INSERT, id=made, name=body.note)
        await ctx.services.wake(await ctx.connection())
        hold = ctx.hold(ctx.price)
        ctx.produced("project", made)
        ctx.edge(("project", made), "derived_from", ("organization", ctx.organization_id))
        ctx.emit(Event("test.ping", "event_subscription", made))
        return SpendOutput(id=made, hold_id=hold)


async def serve(dsn: str, home: str, port: int) -> None:
    """One server process, as `opstac serve` runs it, without a worker."""
    from ops_gateway.kernel.logs import configure_logging
    from ops_gateway.kernel.services import Limits
    from opstac.server import listen
    from opstac.server import serve as serve_platform
    from opstac.settings import Settings

    configure_logging(stream=open(Path(home) / "log", "w"))  # noqa: SIM115 (until killed)
    declare()
    settings = Settings(
        dsn=dsn,
        home=Path(home),
        storage=str(Path(home) / "objects"),
        master_secret=b"m" * 32,
        public_url=f"http://127.0.0.1:{port}",
        limits=Limits(*[10**9] * 4),
    )
    await serve_platform(
        settings, listen("127.0.0.1", port), service="gateway", worker=False, drain_seconds=0
    )


def furnish(dsn: str, organizations: int) -> list[str]:
    """Organizations with credits and a key each; the keys."""
    keys = []
    options = "-c search_path=opstac,queue,public -c role=opstac_system"
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        for number in range(organizations):
            org, key = f"org_b{number}", mint_key()
            keys.append(key.token)
            connection.execute(
                "insert into organization (organization_id, name, slug) values (%s, %s, %s)",
                (org, org, org),
            )
            for lookup, key_id in (
                (key.lookup, f"key_b{number}"),
                (f"bench00{number}", f"key_p{number}"),
            ):
                connection.execute(
                    "insert into api_key (id, organization_id, lookup, secret_sha256, name,"
                    " permissions)"
                    " values (%s, %s, %s, %s, 'bench', array['bench:*'])",
                    (key_id, org, lookup, key.digest),
                )
            grant = {
                "operation": "bench.grant",
                "invocation_id": "inv_0",
                "principal_kind": "service",
                "principal_id": "bench",
                "outcome": "ok",
                "status": 200,
                "entities": [],
                "edges": [],
                "events": [],
                "postings": [
                    {"id": f"txn_{org}", "kind": "grant", "amount": CREDITS, "description": "bench"}
                ],
            }
            with connection.transaction():
                connection.execute("select set_config('opstac.org', %s, true)", (org,))
                connection.execute("select open_wallet()")
                connection.execute("select kernel_finish(%s, null)", (json.dumps(grant),))
    return keys


@contextmanager
def server(dsn: str, home: Path) -> Iterator[int]:
    """The server process; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, __file__, "--serve", dsn, str(home), str(port)]
    process = subprocess.Popen(argv, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/livez").close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def load(port: int, script: Path, seconds: float, clients: int) -> float:
    """Requests a second by wrk; raises where one failed."""
    argv = [
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{seconds:g}s",
        "-s",
        str(script),
        f"http://127.0.0.1:{port}",
    ]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    if "errors 0" not in said:
        raise SystemExit(f"requests failed:\n{said}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])  # type: ignore[index]


def pgbench(dsn: str, script: Path, seconds: float, clients: int) -> float:
    """Transactions a second of the same statements."""
    environ = {
        **os.environ,
        "PGOPTIONS": "-c search_path=opstac,pgstac,queue,public -c role=opstac_app -c jit=off",
    }
    program = str(Path(find_binaries().folder) / "pgbench")
    argv = [
        program if Path(program).exists() else "pgbench",
        "-n",
        "-M",
        "prepared",
        f"-c{clients}",
        "-j1",
        f"-T{max(1, round(seconds))}",
        "-f",
        str(script),
        dsn,
    ]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, env=environ)
    if "number of failed transactions: 0" not in said.stdout:
        raise SystemExit(f"transactions failed:\n{said.stdout}{said.stderr}")
    return float(re.search(r"tps = ([\d.]+)", said.stdout)[1])  # type: ignore[index]


def measure(organizations: int, options: argparse.Namespace) -> dict[str, Any]:
    """The medians for that many organizations."""
    with (
        migrated_cluster() as cluster,
        tempfile.TemporaryDirectory(prefix="opstac-bench-") as folder,
    ):
        home = Path(folder)
        dsn = cluster.dsn()
        keys = furnish(dsn, organizations)
        wrk, sql = home / "spend.lua", home / "spend.sql"
        wrk.write_text(WRK % (", ".join(f'"{key}"' for key in keys), AMOUNT))
        sql.write_text(PGBENCH.format(last=organizations - 1, amount=AMOUNT))
        ours, theirs = [], []
        with server(dsn, home) as port:
            load(port, wrk, 1, options.clients)
            pgbench(dsn, sql, 1, options.clients)
            for _ in range(options.rounds):
                ours.append(load(port, wrk, options.seconds, options.clients))
                theirs.append(pgbench(dsn, sql, options.seconds, options.clients))
        with psycopg.connect(dsn, options="-c search_path=opstac -c role=opstac_app") as connection:
            faults = connection.execute("select sum(faults) from ledger_faults()").fetchone()
            assert faults == (0,), faults
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "organizations": organizations,
        "ours_per_second": round(statistics.median(ours)),
        "pgbench_per_second": round(statistics.median(theirs)),
        "ratio": round(statistics.median(ratios), 3),
        "spread": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--organizations", default="1,8")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        from opstac.server import on_uvloop

        on_uvloop(serve(options.serve[0], options.serve[1], int(options.serve[2])))
        return
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    for organizations in map(int, options.organizations.split(",")):
        print(json.dumps(measure(organizations, options)), flush=True)


if __name__ == "__main__":
    main()

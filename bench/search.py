"""STAC search over HTTP against vanilla stac-fastapi-pgstac, on one database in one run.

    python bench/search.py [--items 10000,1000000] [--seconds 3] [--rounds 3] [--flat 200]

One server process each, one worker, the same database settings, at 1 and at 16 keep-alive
connections; the two take turns within each round and every ratio is the median of the rounds'
ratios: vanilla's median and 99th percentile of the time an answer takes over ours, and our
throughput over vanilla's. With several sizes the database grows in between, and the last table is
the time of each at the larger size over its own at the smallest. Ours sends the
tenant's predicate (50 visible projects), maps ids and collections, and counts what matches; vanilla
does none of that. Before timing, the features of both are compared: equal but for links and for
what is mapped (id, collection, address of assets). The second table is ours alone, as collections,
projects and slots grow. Needs `wrk`.
"""

import argparse
import asyncio
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from db.disposable import migrated_cluster
from stac_api import writes

PROJECTS, COLLECTIONS = 50, 100
ORGANIZATION = "org_bench"
# every request in turn, each connection starting somewhere else
LUA = """
local bodies, at = {}, 0
for line in io.lines("%s") do bodies[#bodies + 1] = line end
math.randomseed(tonumber(tostring({}):sub(8)) or 1)
at = math.random(#bodies)
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  at = at %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
"""


def item(number: int) -> dict[str, Any]:
    """A scene of about 3 kB as stored: five assets with their bands."""
    choose = random.Random(number)
    west, south = choose.uniform(-179, 178), choose.uniform(-80, 79)
    ring = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
    name = f"it_{number:08d}"
    assets = {
        f"a{key}": {
            "href": f"as_{number:08d}{key}",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "title": f"Asset {key}",
            "roles": ["data"],
            "file:size": 123_456 + key,
            "file:checksum": "1220" + "ab" * 32,
            "proj:code": "EPSG:32756",
            "proj:shape": [10_980, 10_980],
            "proj:transform": [10.0, 0.0, 300_000.0, 0.0, -10.0, 6_200_020.0],
            "raster:bands": [
                {
                    "data_type": "uint16",
                    "nodata": 0,
                    "statistics": {"minimum": 1, "maximum": 15_000},
                }
            ],
            "eo:bands": [{"name": f"B{key:02d}", "common_name": "red"}],
        }
        for key in range(5)
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west + x, south + y] for x, y in ring]],
        },
        "bbox": [west, south, west + 1, south + 1],
        "properties": {
            "datetime": f"{2015 + number % 10}-{1 + number % 12:02d}-{1 + number % 28:02d}"
            f"T{number % 24:02d}:{number % 60:02d}:{number // 7 % 60:02d}Z",
            "updated": "2025-01-01T00:00:00Z",
            "eo:cloud_cover": number % 100,
            "gsd": 10.0,
            "platform": "sentinel-2a",
            "title": f"Item {number}",
            "opstac:project": f"proj_{number % PROJECTS:03d}",
            "opstac:collection": f"col_{number % COLLECTIONS:04d}",
            "opstac:stac_id": name,
        },
        "stac_extensions": ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
        "assets": assets,
        "links": [],
    }


async def fill(dsn: str, slot: str, begin: int, end: int) -> None:
    """Put the items of these numbers into a slot; vacuum and analyze it."""
    options = "-c search_path=opstac,pgstac,public -c role=opstac_system -c synchronous_commit=off"
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, options=options) as conn:
        for first in range(begin, end, 500):
            numbers = range(first, min(end, first + 500))
            await writes.put_items(conn, slot, [item(number) for number in numbers])
        await conn.execute("reset role")
        await conn.execute("set role pgstac_admin")
        # as the database would by itself a minute later; it is the same tables for both
        await conn.execute("vacuum (analyze) pgstac.items")


async def prepare(dsn: str) -> str:
    """An organization with its projects and collections; its slot, empty."""
    options = "-c search_path=opstac,pgstac,public -c role=opstac_system -c synchronous_commit=off"
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, options=options) as conn:
        await conn.execute(
            "insert into organization (organization_id, name, slug) values (%s, 'Bench', 'bench')",
            (ORGANIZATION,),
        )
        row = await (
            await conn.execute(
                "update organization_slot set organization_id = %s where slot = (select min(slot)"
                " from organization_slot where not public) returning slot",
                (ORGANIZATION,),
            )
        ).fetchone()
        assert row is not None
        await conn.execute(
            "insert into project (id, organization_id, name) select"
            " 'proj_' || lpad(n::text, 3, '0'), %s, 'P' from generate_series(0, %s) n",
            (ORGANIZATION, PROJECTS - 1),
        )
        await conn.execute(
            "insert into collection (id, organization_id, project_id, slug, name) select"
            " 'col_' || lpad(n::text, 4, '0'), %s, 'proj_' || lpad((n %% %s)::text, 3, '0'),"
            " 'col_' || lpad(n::text, 4, '0'), 'C' from generate_series(0, %s) n",
            (ORGANIZATION, PROJECTS, COLLECTIONS - 1),
        )
        return str(row[0])


def app() -> Any:
    """Ours, as its server process makes it."""
    from stac_api.app import create_app
    from stac_api.reader import reader_pool
    from stac_api.search import Searcher
    from stac_api.tenancy import Visibility

    pool = reader_pool(os.environ["BENCH_DSN"], min_size=4, max_size=10)
    count = int(os.environ.get("BENCH_PROJECTS", PROJECTS))
    seen = Visibility(
        ORGANIZATION, os.environ["BENCH_SLOT"], frozenset(f"proj_{n:03d}" for n in range(count))
    )

    async def visibility(_: Any) -> Visibility:
        return seen

    async def none(*_: Any) -> dict[str, Any]:
        return {}

    made = create_app(searcher=Searcher(pool, b"bench"), visibility=visibility, run_op=none)

    async def opening(scope: Any, receive: Any, send: Any) -> None:
        if pool.closed:
            await pool.open(wait=True)
        await made(scope, receive, send)

    return opening


@contextmanager
def serving(target: str, prefix: str, **environment: str) -> Iterator[str]:
    """A server process; yields the address of its STAC root."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", target, "--factory", "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--log-level", "error", "--no-access-log"],
            env=os.environ | environment | {"PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parent,
        )
        address = f"http://127.0.0.1:{port}{prefix}"
        try:
            for _ in range(600):
                with suppress(OSError):
                    urllib.request.urlopen(f"{address}/conformance", timeout=5).read()
                    break
                time.sleep(0.1)
            else:
                raise SystemExit("a server does not start")
            yield address
        finally:
            process.terminate()
            process.wait(20)


def post(address: str, body: dict[str, Any]) -> Any:
    """One search."""
    request = urllib.request.Request(
        f"{address}/search",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@dataclass(frozen=True)
class Speed:
    """Answers a second, and the seconds that half and 99 in 100 of them took at most."""

    rate: float
    p50: float
    p99: float


def speed(address: str, bodies: list[dict[str, Any]], seconds: float, clients: int = 4) -> Speed:
    """Measure over so many connections; every request must be answered 200."""
    with tempfile.TemporaryDirectory() as folder:
        lines, script = Path(folder, "bodies"), Path(folder, "post.lua")
        lines.write_text("\n".join(json.dumps(body) for body in bodies))
        script.write_text(LUA % lines)
        command = [
            "wrk",
            "-t1",
            f"-c{clients}",
            f"-d{seconds:.0f}s",
            "--latency",
            "--timeout=60s",
            "-s",
            str(script),
        ]
        command.append(f"{address}/search")
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"not every request was answered:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is not None and float(found[1]) == 0:  # a slow server and a short time
        return speed(address, bodies, 4 * seconds, clients)
    halves = {share: re.search(rf"\s{share}%\s+([\d.]+)(us|ms|s)", output) for share in (50, 99)}
    assert found is not None
    took = {
        share: float(match[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[match[2]]
        for share, match in halves.items()
        if match is not None
    }
    return Speed(float(found[1]), took[50], took[99])


Case = tuple[str, list[dict[str, Any]], list[dict[str, Any]]]


def cases(slot: str, items: int) -> list[Case]:
    """(name, bodies for ours, bodies for vanilla) that ask for the same."""
    choose = random.Random(7)
    made: list[Case] = []
    scope = {"collections": [slot]}

    def box() -> list[float]:
        west, south = choose.uniform(-170, 130), choose.uniform(-70, 40)
        return [west, south, west + 30, south + 25]

    when = "2018-01-01T00:00:00Z/2021-01-01T00:00:00Z"
    for limit in (10, 100):
        bodies = [{"bbox": box(), "datetime": when, "limit": limit} for _ in range(200)]
        made.append((f"bbox + datetime, {limit}", bodies, [scope | body for body in bodies]))
    for limit in (10, 100):
        ours, theirs = [], []
        for number in range(COLLECTIONS):
            name = f"col_{number:04d}"
            ours.append({"collections": [name], "limit": limit})
            property_ = {"op": "=", "args": [{"property": "opstac:collection"}, name]}
            language = {"filter-lang": "cql2-json"}
            theirs.append(scope | {"filter": property_, "limit": limit} | language)
        made.append((f"collection, {limit}", ours, theirs))
    for limit in (10, 100):
        made.append((f"everything, {limit}", [{"limit": limit}], [scope | {"limit": limit}]))
    language = {"filter-lang": "cql2-json", "limit": 10}
    bodies = [
        {"filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, cloud]}} | language
        for cloud in range(10, 100)
    ]
    made.append(("cloud cover below, 10", bodies, [scope | body for body in bodies]))
    names = [{"ids": [f"it_{choose.randrange(items):08d}"]} for _ in range(200)]
    made.append(("one id", names, [scope | body for body in names]))
    return made


def compare(ours: str, vanilla: str, made: list[Case]) -> int:
    """Features compared; ends the run where they differ beyond what is mapped."""
    seen = 0
    for name, our_bodies, their_bodies in made:
        for body, other in list(zip(our_bodies, their_bodies, strict=True))[:3]:
            mine, theirs = post(ours, body)["features"], post(vanilla, other)["features"]
            for document in mine:
                assert document["properties"].pop("opstac:id") == document["id"]
                collection = document.pop("collection")
                document["properties"] |= {"opstac:collection": collection}
                for asset in document["assets"].values():
                    asset["href"] = asset["href"].rsplit("/", 1)[1]
                del document["links"]
            for document in theirs:
                del document["links"], document["collection"]
                del document["properties"]["opstac:stac_id"]
            if mine != theirs or not mine:
                raise SystemExit(f"{name}: the answers differ")
            seen += len(mine)
    return seen


def growth(dsn: str, slot: str, seconds: float, steps: int) -> None:
    """Ours as slots, projects and collections grow; relative to the first line."""

    async def more_slots(count: int) -> None:
        options = "-c search_path=opstac,pgstac,public -c role=opstac_system"
        async with await psycopg.AsyncConnection.connect(
            dsn, autocommit=True, options=options
        ) as conn:
            await writes.keep_slots(conn, await writes.free_slots(conn) + count)

    def collections(count: int) -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("set role opstac_app")
            conn.execute("select set_config('opstac.org', %s, false)", (ORGANIZATION,))
            conn.execute(
                "insert into opstac.collection (id, organization_id, project_id, slug, name)"
                " select 'col_more' || n, %s, 'proj_000', 'more' || n, 'More'"
                " from generate_series(1, %s) n on conflict do nothing",
                (ORGANIZATION, count),
            )

    bodies = [{"bbox": [x, -20, x + 30, 10], "limit": 10} for x in range(-170, 130, 7)]
    named = [{"collections": [f"col_{n:04d}"], "limit": 10} for n in range(COLLECTIONS)]
    first: list[float] = []
    print(f"\n{'ours as it grows (1 = first line)':<44}{'bbox, 10':>10}{'collection, 10':>16}")
    for title, projects, step in (
        (f"9 slots, {PROJECTS} projects, {COLLECTIONS} collections", PROJECTS, None),
        ("500 visible projects", 500, None),
        ("10,000 collections of the organization", PROJECTS, lambda: collections(10_000)),
        (f"{steps} more slots", PROJECTS, lambda: asyncio.run(more_slots(steps))),
    ):
        if step:
            step()
        environment = {"BENCH_DSN": dsn, "BENCH_SLOT": slot, "BENCH_PROJECTS": str(projects)}
        with serving("search:app", "/assets/stac", **environment) as ours:
            rates = [speed(ours, asked, seconds).rate for asked in (bodies, named)]
        first = first or rates
        relative = [now / before for now, before in zip(rates, first, strict=True)]
        print(f"{title:<52}{relative[0]:>6.2f}{relative[1]:>12.2f}", flush=True)


def duel(
    vanilla: str, ours: str, made: list[Case], seconds: float, rounds: int
) -> dict[tuple[str, int], tuple[Speed, Speed]]:
    """Print the ratios; (case, clients) → the median speeds of vanilla and of ours."""
    found: dict[tuple[str, int], tuple[Speed, Speed]] = {}
    print(f"{'search':<22}{'clients':>8}{'p50':>8}{'p99':>8}{'rate':>8}  rate per round")
    for name, our_bodies, their_bodies in made:
        for clients in (1, 16):
            pairs = [
                (
                    speed(vanilla, their_bodies, seconds, clients),
                    speed(ours, our_bodies, seconds, clients),
                )
                for _ in range(rounds)
            ]
            ratios = [
                (theirs.p50 / mine.p50, theirs.p99 / mine.p99, mine.rate / theirs.rate)
                for theirs, mine in pairs
            ]
            p50, p99, rate = (statistics.median(column) for column in zip(*ratios, strict=True))
            spread = " ".join(f"{ratio[2]:.2f}" for ratio in ratios)
            print(f"{name:<22}{clients:>8}{p50:>8.2f}{p99:>8.2f}{rate:>8.2f}  {spread}", flush=True)
            found[name, clients] = tuple(  # type: ignore[assignment]
                Speed(*(statistics.median(column) for column in zip(*rows, strict=True)))
                for rows in (
                    [(s.rate, s.p50, s.p99) for s in side] for side in zip(*pairs, strict=True)
                )
            )
    return found


def main() -> None:
    """Load, compare, time, print; for each size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", default="20000", help="sizes, with commas between")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flat", type=int, default=200, help="slots added for the second table")
    options = parser.parse_args()
    sizes = sorted(int(size) for size in options.items.split(","))
    with migrated_cluster() as cluster:
        dsn = cluster.dsn()
        slot = asyncio.run(prepare(dsn))
        parts = conninfo_to_dict(dsn)
        vanilla_environment = {
            "PGHOST": str(parts.get("host", "127.0.0.1")),
            "PGPORT": str(parts.get("port", 5432)),
            "PGUSER": str(parts.get("user", "")),
            "PGPASSWORD": unquote(str(parts.get("password", "x"))),
            "PGDATABASE": str(parts.get("dbname", "")),
        }
        grown: list[dict[tuple[str, int], tuple[Speed, Speed]]] = []
        for before, size in zip([0, *sizes], sizes, strict=False):
            asyncio.run(fill(dsn, slot, before, size))
            made = cases(slot, size)
            with (
                serving("stac_fastapi.pgstac.app:create_app", "", **vanilla_environment) as vanilla,
                serving("search:app", "/assets/stac", BENCH_DSN=dsn, BENCH_SLOT=slot) as ours,
            ):
                print(f"\n{size:,} items; {compare(ours, vanilla, made)} features equal")
                grown.append(duel(vanilla, ours, made, options.seconds, options.rounds))
        for size, now in zip(sizes[1:], grown[1:], strict=True):
            print(f"\nmedian time at {size:,} items over that at {sizes[0]:,}")
            print(f"{'search':<22}{'clients':>8}{'vanilla':>9}{'ours':>8}")
            for (name, clients), (theirs, mine) in now.items():
                first_theirs, first_mine = grown[0][name, clients]
                print(
                    f"{name:<22}{clients:>8}{theirs.p50 / first_theirs.p50:>9.2f}"
                    f"{mine.p50 / first_mine.p50:>8.2f}"
                )
        if options.flat:
            growth(dsn, slot, options.seconds, options.flat)


if __name__ == "__main__":
    main()

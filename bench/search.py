"""STAC search over HTTP against vanilla stac-fastapi-pgstac, on one database in one run.

    python bench/search.py [--items 10000,1000000] [--seconds 3] [--rounds 3] [--flat 200]
                           [--minutes 15] [--database DIR]

One server process each, one worker, the same database settings, at 1 and at 16 keep-alive
connections; the two take turns within each round and every ratio is the median of the rounds'
ratios: vanilla's median and 99th percentile of the time an answer takes over ours, and our
throughput over vanilla's. With several sizes each has a database, and one more table is the time of
each search at the larger size over its own at the smallest.

The measuring takes `--minutes` at most: each search has an equal share of what is left, with one
round at least. Where no answer came in that share, the bound that follows is printed, with a sign.
Filling a million items takes minutes more; with `--database` they are kept in DIR, and found there
by the next run. Ours sends the
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from search_data import COLLECTIONS, ORGANIZATION, PROJECTS, database

from stac_api import writes

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
    """Answers a second, and the seconds that half and 99 in 100 of them took at most.

    Where `late`, no answer came: the times are what was waited for, which is less than one takes.
    """

    rate: float
    p50: float
    p99: float
    late: bool = False


def speed(
    address: str, bodies: list[dict[str, Any]], seconds: float, patience: float, clients: int = 4
) -> Speed:
    """Measure over so many connections; what is answered must be 200.

    What takes longer than `seconds` is waited for once more, for `patience` seconds.
    """
    output = wrk(address, bodies, seconds, patience, clients)
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None
    if float(found[1]) == 0:
        if seconds >= patience:
            return Speed(1 / seconds, seconds, seconds, late=True)
        return speed(address, bodies, patience, patience, clients)
    halves = {share: re.search(rf"\s{share}%\s+([\d.]+)(us|ms|s|m)", output) for share in (50, 99)}
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
    took = {
        share: float(match[1]) * units[match[2]]
        for share, match in halves.items()
        if match is not None
    }
    return Speed(float(found[1]), took[50], took[99])


def wrk(
    address: str, bodies: list[dict[str, Any]], seconds: float, patience: float, clients: int
) -> str:
    """What wrk prints; ends the run where anything but 200 was answered."""
    with tempfile.TemporaryDirectory() as folder:
        lines, script = Path(folder, "bodies"), Path(folder, "post.lua")
        lines.write_text("\n".join(json.dumps(body) for body in bodies))
        script.write_text(LUA % lines)
        command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--latency"]
        command += [f"--timeout={round(patience) + 60}s", "-s", str(script), f"{address}/search"]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", output)
    if "Non-2xx" in output or (broken and any(map(int, broken.groups()))):
        raise SystemExit(f"not every request was answered:\n{output}")
    return output


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
            rates = [speed(ours, asked, seconds, 60).rate for asked in (bodies, named)]
        first = first or rates
        relative = [now / before for now, before in zip(rates, first, strict=True)]
        print(f"{title:<52}{relative[0]:>6.2f}{relative[1]:>12.2f}", flush=True)


Found = dict[tuple[str, int], tuple[Speed, Speed]]


def duel(
    vanilla: str, ours: str, made: list[Case], seconds: float, rounds: int, end: float
) -> Found:
    """Print the ratios; (case, clients) → the median speeds of vanilla and of ours.

    `end`: when to be through, on the monotonic clock; each case has one round at least.
    """
    found: Found = {}
    print(f"{'search':<22}{'clients':>8}{'p50':>9}{'p99':>9}{'rate':>9}  rate per round")
    wanted = [(case, clients) for case in made for clients in (1, 16)]
    for number, ((name, our_bodies, their_bodies), clients) in enumerate(wanted):
        begin = time.monotonic()
        share = max((end - begin) / (len(wanted) - number), 2 * seconds)
        pairs: list[tuple[Speed, Speed]] = []
        for round_ in range(rounds):
            spent = time.monotonic() - begin
            if round_ and spent * (round_ + 1) / round_ > share:
                break
            # both are waited for as long, of which one may need nothing
            patience = max(seconds, (share - spent) / 2)
            pairs.append(
                (
                    speed(vanilla, their_bodies, seconds, patience, clients),
                    speed(ours, our_bodies, seconds, patience, clients),
                )
            )
        columns = [ratios(pair) for pair in pairs]
        p50, p99, rate = (statistics.median(column) for column in zip(*columns, strict=True))
        late = [any(side.late for side in sides) for sides in zip(*pairs, strict=True)]
        sign = {(False, False): " ", (True, False): ">", (False, True): "<"}.get(tuple(late), "?")  # type: ignore[arg-type]
        spread = " ".join(f"{ratio[2]:.2f}" for ratio in columns)
        print(
            f"{name:<22}{clients:>8}{sign:>2}{p50:>7.2f}{sign:>2}{p99:>7.2f}{sign:>2}{rate:>7.2f}"
            f"  {spread}",
            flush=True,
        )
        found[name, clients] = tuple(median(side) for side in zip(*pairs, strict=True))  # type: ignore[assignment]
    return found


def ratios(pair: tuple[Speed, Speed]) -> tuple[float, float, float]:
    """Vanilla's times over ours, and our rate over vanilla's."""
    theirs, mine = pair
    return theirs.p50 / mine.p50, theirs.p99 / mine.p99, mine.rate / theirs.rate


def median(side: Sequence[Speed]) -> Speed:
    """Of each measure by itself."""
    rate, p50, p99 = (
        statistics.median(getattr(one, name) for one in side) for name in ("rate", "p50", "p99")
    )
    return Speed(rate, p50, p99, any(one.late for one in side))


def compared(size: int, options: argparse.Namespace, minutes: float) -> Found:
    """One size: the answers compared, and the time they take."""
    with database(size, options.database) as (dsn, slot):
        parts = conninfo_to_dict(dsn)
        vanilla_environment = {
            "PGHOST": str(parts.get("host", "127.0.0.1")),
            "PGPORT": str(parts.get("port", 5432)),
            "PGUSER": str(parts.get("user", "")),
            "PGPASSWORD": unquote(str(parts.get("password", "x"))),
            "PGDATABASE": str(parts.get("dbname", "")),
        }
        made = cases(slot, size)
        with (
            serving("stac_fastapi.pgstac.app:create_app", "", **vanilla_environment) as vanilla,
            serving("search:app", "/assets/stac", BENCH_DSN=dsn, BENCH_SLOT=slot) as ours,
        ):
            print(f"\n{size:,} items; {compare(ours, vanilla, made)} features equal", flush=True)
            end = time.monotonic() + minutes * 60
            return duel(vanilla, ours, made, options.seconds, options.rounds, end)


def main() -> None:
    """Load, compare, time, print; for each size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", default="20000", help="sizes, with commas between")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--flat", type=int, default=200, help="slots added for the second table")
    parser.add_argument(
        "--minutes", type=float, default=15, help="of measuring, all sizes together"
    )
    parser.add_argument("--database", type=Path, help="where databases are kept between runs")
    options = parser.parse_args()
    sizes = sorted(int(size) for size in options.items.split(","))
    grown = [compared(size, options, options.minutes / len(sizes)) for size in sizes]
    for size, now in zip(sizes[1:], grown[1:], strict=True):
        print(f"\nmedian time at {size:,} items over that at {sizes[0]:,}")
        print(f"{'search':<22}{'clients':>8}{'vanilla':>10}{'ours':>10}")
        for (name, clients), sides in now.items():
            cells = [
                f"{'>' if at.late else '':>3}{at.p50 / before.p50:>7.2f}"
                for at, before in zip(sides, grown[0][name, clients], strict=True)
            ]
            print(f"{name:<22}{clients:>8}{''.join(cells)}")
    if options.flat:
        # on one of its own: it adds to the database
        with database(min(sizes[0], 20_000), None) as (dsn, slot):
            growth(dsn, slot, options.seconds, options.flat)


if __name__ == "__main__":
    main()

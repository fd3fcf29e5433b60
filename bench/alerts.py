"""A thousand alert rules on one item against one rule on it.

    python bench/alerts.py [--size 2000] [--rules 1000] [--rounds 3]

A synthetic scene (six bands, uint16, tiled COG of size x size pixels). Measured is what the worker
does with one new item: computing the means, and apart from it the transaction that makes the alert
events (on a private PostgreSQL). Every rule has an expression of its own and fires. Rounds are
interleaved. Printed: medians of the per-round ratios of all rules to one, in time, in bytes that
the process read (`rchar`) and in peak memory.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCENE = """
import sys
import numpy as np
from rasterio.transform import from_origin
from raster import cog
from raster.reader import pixels
path, size = sys.argv[1], int(sys.argv[2])
noise = np.random.default_rng(1)
with cog.tiled_writer(path + ".part.tif", width=size, height=size, dtype="uint16", count=6,
                      crs="EPSG:32633", transform=from_origin(500_000, 5_300_000, 10, 10),
                      nodata=0) as out:
    for row in range(0, size, 512):
        rows = min(512, size - row)
        part = noise.integers(500, 9000, (6, rows, size)).astype("uint16")
        out.write(part, pixels(0, row, size, rows))
cog.write_cog(path + ".part.tif", path)
"""
MEANS = """
import json, resource, sys, time
from processes.analysis import means

def read():
    return int(open("/proc/self/io").read().split("rchar: ")[1].split()[0])

source = {"item_id": "it", "asset_key": "data", "path": sys.argv[1], "asset": {}}
expressions = json.load(sys.stdin)
means.execute({**source, "path": sys.argv[2]}, ["b1 + b2"])  # imports, caches
before, began = read(), time.perf_counter()
made = means.execute(source, expressions)
seconds = time.perf_counter() - began
assert len(made) == len(expressions) and all("mean" in one for one in made)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "read": read() - before, "memory": peak}))
"""


def expressions(count: int) -> list[str]:
    """So many expressions over two bands each, no two alike."""
    return [
        f"(b{n % 6 + 1} - {n} * b{(n + 1) % 6 + 1}) / (b{n % 6 + 1} + {n + 1})"
        for n in range(count)
    ]


def means(scene: Path, small: Path, texts: list[str]) -> dict[str, float]:
    """Seconds, bytes and KiB of the means of these expressions, in a process of its own."""
    command = [sys.executable, "-c", MEANS, str(scene), str(small)]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout)


async def fire(folder: Path, count: int, rounds: int) -> list[tuple[float, float]]:
    """Seconds of the transaction that decides on an item, with one rule and with `count`."""
    from db.disposable import migrated_cluster
    from ops_gateway.domains import alerts_evaluate as evaluate
    from ops_gateway.kernel.context import Principal
    from opstac import compose
    from opstac.settings import Settings

    with migrated_cluster() as cluster:
        settings = Settings(
            dsn=cluster.dsn(),
            home=folder,
            storage=str(folder / "objects"),
            master_secret=b"a master secret of a benchmark, 32+",
        )
        async with compose.core(settings) as platform:
            owner = Principal(kind="service", id="bench", organization_id="org_bench")
            with cluster_connection(settings.dsn) as connection:
                connection.execute(
                    "insert into organization (organization_id, name, slug)"
                    " values ('org_bench', 'bench', 'bench')"
                )
                connection.execute(
                    "insert into alert_rule (id, organization_id, name, event_types, expression,"
                    " comparison, threshold, asset_key, notification_channels, cooldown_minutes)"
                    " select 'ar_' || n, 'org_bench', 'r', '{item.created}', 'b1', 'gt', 0, 'data',"
                    " '{webhook}', 0 from generate_series(1, %s) n",
                    [count],
                )
            rules = [rule(n) for n in range(1, count + 1)]

            async def once(chosen: list[dict[str, Any]], name: str) -> float:
                with cluster_connection(settings.dsn) as connection:
                    connection.execute(
                        "insert into alert_due (event_id, organization_id, item_id, event_type,"
                        " happened_at) values (%s, 'org_bench', 'it', 'item.created', now())",
                        [name],
                    )
                due = evaluate.Due(
                    name, "org_bench", "it", "item.created", None, None, datetime.now(UTC)
                )
                began = time.perf_counter()
                fired = await platform.pipeline.act(
                    "alerts.evaluate", owner, lambda ctx: evaluate.decide(ctx, due, chosen)
                )
                assert fired == len(chosen)
                return time.perf_counter() - began

            await once(rules[:1], "evt_warm")
            return [
                (await once(rules[:1], f"evt_one_{n}"), await once(rules, f"evt_all_{n}"))
                for n in range(rounds)
            ]


def cluster_connection(dsn: str) -> Any:
    """A connection past row-level security."""
    import psycopg

    from db.pool import session_options

    return psycopg.connect(dsn, autocommit=True, options=session_options(role="opstac_system"))


def rule(number: int) -> dict[str, Any]:
    """A rule that an item has tripped."""
    return {
        "id": f"ar_{number}",
        "name": "r",
        "expression": "b1",
        "band_mapping": {},
        "comparison": "gt",
        "threshold": 0.0,
        "threshold_upper": None,
        "computed_value": 5.0,
        "notification_channels": ["webhook"],
    }


def main() -> None:
    """Print the ratios."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--size", type=int, default=2000)
    given.add_argument("--rules", type=int, default=1000)
    given.add_argument("--rounds", type=int, default=3)
    args = given.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene, small = folder / "scene.tif", folder / "small.tif"
        for path, size in ((scene, args.size), (small, 64)):
            subprocess.run([sys.executable, "-c", SCENE, str(path), str(size)], check=True)
        many = expressions(args.rules)
        rounds = [
            (means(scene, small, many[:1]), means(scene, small, many)) for _ in range(args.rounds)
        ]
        print(f"{args.rules} rules of as many expressions against 1, {args.size}² pixels")
        for figure in ("seconds", "read", "memory"):
            ratio = statistics.median(all_[figure] / one[figure] for one, all_ in rounds)
            print(f"  {figure:8} {ratio:8.2f} : 1")
        alone, together = (statistics.median(r[n]["read"] for r in rounds) / 1e6 for n in (0, 1))
        print(f"  the file has {scene.stat().st_size / 1e6:.1f} MB; one rule read {alone:.1f} MB,")
        print(f"  all of them {together:.1f} MB")
        fired = asyncio.run(fire(folder, args.rules, args.rounds))
        ratio = statistics.median(all_ / one for one, all_ in fired)
        print(f"the transaction that fires {args.rules} against the one that fires 1")
        print(f"  seconds  {ratio:8.2f} : 1")


if __name__ == "__main__":
    main()

"""From `opstac demo` in an empty folder to its first tile, against what no pgstac server can avoid.

    python bench/first_tile.py [--rounds 3]

The peer is the bare minimum under any server on pgstac: make a cluster, start it, create the
extensions and run pypgstac's migration. Each round times, one after the other, the peer, a first
demo in an empty folder and a second demo in the same folder, and divides by the peer of the round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]


def peer(home: Path) -> float:
    """Seconds for a cluster with an empty pgstac."""
    from db.embedded import Cluster
    from db.migrate import PGSTAC_ROLES

    began = time.monotonic()
    cluster = Cluster(home / "postgres")
    cluster.start()
    import psycopg

    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        for role in PGSTAC_ROLES:
            connection.execute(f"create role {role}".encode())
            connection.execute(f"grant {role} to current_user".encode())
    subprocess.run(
        [sys.executable, "-m", "pypgstac.pypgstac", "migrate", "--dsn", cluster.dsn()],
        check=True,
        capture_output=True,
    )
    took = time.monotonic() - began
    cluster.stop()
    return took


def demo(home: Path, port: int) -> tuple[float | None, float]:
    """(seconds to the first tile or None where none was drawn anew, seconds to the end)."""
    began = time.monotonic()
    first: float | None = None
    process = subprocess.Popen(
        [str(ROOT / "opstac"), "demo", "--once", "--port", str(port)],
        env={**os.environ, "OPSTAC_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "bytes, zoom" in line:
            first = time.monotonic() - began
    if process.wait():
        raise SystemExit("the demo failed")
    return first, time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=18999)
    args = parser.parse_args()
    rows: list[tuple[float, float, float]] = []
    for _ in range(args.rounds):
        # not below /tmp of a private session: the cluster's own account must get through
        with tempfile.TemporaryDirectory(prefix="opstac-bench-") as folder:
            os.chmod(folder, 0o755)
            base = peer(Path(folder) / "peer")
            first, _ = demo(Path(folder) / "demo", args.port)
            _, again = demo(Path(folder) / "demo", args.port)
            assert first is not None
            rows.append((base, first, again))
            print(
                f"peer {base:.1f} s · first tile {first / base:.2f}x · second demo, whole "
                f"{again / base:.2f}x",
                flush=True,
            )
    first, again = (statistics.median(row[i] / row[0] for row in rows) for i in (1, 2))
    print(f"median: first tile {first:.2f}x the peer, a second demo {again:.2f}x")


if __name__ == "__main__":
    main()

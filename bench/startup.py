"""How long a user waits: `--help`, the private database, a disposable one, a clone.

    .venv/bin/python bench/startup.py

Goals: `./opstac --help` under 0.5 s, a disposable migrated database under 2 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from db.disposable import migrated_cluster
from db.embedded import Cluster

ROOT = Path(__file__).resolve().parents[1]


def seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def show(what: str, runs: list[float]) -> None:
    print(f"{what:<44} {statistics.median(runs):7.3f} s  (of {len(runs)}, worst {max(runs):.3f} s)")


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    show(
        "python -c pass, for comparison",
        [seconds(lambda: run(sys.executable, "-c", "pass")) for _ in range(9)],
    )
    show("./opstac --help", [seconds(lambda: run(ROOT / "opstac", "--help")) for _ in range(9)])
    with tempfile.TemporaryDirectory(prefix="opstac-bench-") as folder:
        # the database's own account must get through
        Path(folder).chmod(0o755)
        cluster = Cluster(Path(folder) / "postgres")
        show("private database, first start", [seconds(cluster.start)])
        cluster.stop()
        show("private database, start", [seconds(cluster.start)])
        show("private database, runs already", [seconds(cluster.start)])
        show("private database, stop", [seconds(cluster.stop)])
    with migrated_cluster():
        pass
    begin = time.perf_counter()
    with migrated_cluster() as cluster:
        show("disposable migrated database", [time.perf_counter() - begin])
        clones = [
            seconds(lambda n=n: cluster.create_database(f"clone_{n}", template="opstac"))
            for n in range(5)
        ]
        show("clone of a migrated database", clones)


if __name__ == "__main__":
    main()

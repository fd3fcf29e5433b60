"""How long cheap answers take beside heavy work, as a multiple of how long they take alone.

    python bench/tile_beside.py [--seconds 4] [--rounds 3] [--size 4096] [--clients 8]

Cheap are an unchanged tile (304), a TileJSON and a small tile; heavy are parts of 1024 pixels with
a formula and statistics of the whole file, asked for by some clients without a pause. With threads
all is one process; apart, as it is served, another one draws. The variants take turns; figures are
medians of the rounds. Needs `wrk`.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from tile import _script, _tags, load, server
from tile_data import NDVI, make_cogs, tiles

VARIANTS = {"threads": "our_app", "apart": "apart_app"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--clients", type=int, default=8, help="that ask for heavy answers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="opstac-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        make_cogs(folder, options.size)
        ports = {
            who: stack.enter_context(server(factory, folder)) for who, factory in VARIANTS.items()
        }
        print(f"{'variant':8} {'answer':10} {'alone p50':>10} {'p99 ms':>7} {'p50':>7} {'p99':>7}")
        seen: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
        for _ in range(options.rounds):
            for who, port in ports.items():
                for what, figures in beside(folder, port, options.seconds, options.clients):
                    seen.setdefault((who, what), []).append(figures)
        for (who, what), rounds in seen.items():
            p50, p99, times50, times99 = (
                statistics.median(column) for column in zip(*rounds, strict=True)
            )
            print(
                f"{who:8} {what:10} {p50 * 1000:10.2f} {p99 * 1000:7.2f} "
                f"{times50:6.1f}x {times99:6.1f}x"
            )


def beside(
    folder: Path, port: int, seconds: int, clients: int
) -> list[tuple[str, tuple[float, float, float, float]]]:
    """(answer, (p50 and p99 alone, how many times longer each is beside heavy work))."""
    item = "/api/v1/items/utm_u16"
    wanted = tiles(folder / "utm_u16.tif", 0)[:16]
    small = [f"{item}/tiles/{z}/{x}/{y}.png?rescale=0,3000" for z, x, y in wanted]
    cheap = {
        "304": (small, _tags(port, small)),
        "tilejson": ([f"{item}/tiles/tilejson.json?rescale=0,3000"], None),
        "small tile": (small, None),
    }
    expression = NDVI.replace("+", "%2B").replace(" ", "")
    heavy = [
        f"{item}/preview/1024x1024.png?expression={expression}&rescale=-1,1",
        f"{item}/statistics",
    ]
    for path in heavy:
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").read()
    found = []
    for what, (paths, tags) in cheap.items():
        alone = load(port, paths, seconds, 1, folder, tags)
        busy = subprocess.Popen(
            ["wrk", "-t1", f"-c{clients}", f"-d{seconds + 2}s", "-s", str(_script(folder, heavy)),
             f"http://127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(1)
        loaded = load(port, paths, seconds, 1, folder, tags, refused_is_fine=True)
        busy.wait()
        times = loaded.p50 / alone.p50, loaded.p99 / alone.p99
        found.append((what, (alone.p50, alone.p99, *times)))
    return found


if __name__ == "__main__":
    main()

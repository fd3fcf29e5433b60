"""Median of many dates: ours against rasterio + numpy, rio-tiler, and gdalwarp + gdal_calc.

    python bench/composite.py [--size 4096] [--dates 6] [--rounds 3]

Synthetic dates (four bands, uint16, some pixels without a value) are composed by each in turn, a
fresh process each, rounds interleaved. Printed: the median of the per-round ratios to rasterio +
numpy on whole arrays, the peak memory as a ratio to the input, how much faster two threads of ours
and two Dask workers are than one, and how many pixels differ. Ours writes a COG with overviews and
statistics, the peers a plain tiled file. gdal_calc reads dates that lie on one grid already, so
nothing is warped; one band at a time is all it writes.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = """
import sys
from pathlib import Path
from processes.engine import execute
out, *paths = sys.argv[1:]
folder = Path(out).with_suffix("")
folder.mkdir(exist_ok=True)
ids = [f"it_{n}" for n in range(len(paths))]
sources = [{"item_id": i, "asset_key": "data", "path": p} for i, p in zip(ids, paths)]
inputs = {"source_item_ids": ids, "method": "median"}
(made,) = execute("stack", inputs, sources, str(folder), lambda f, s: None, "processes.jobs.stack")
Path(made["path"]).rename(out)
"""
NUMPY = """
import sys
import numpy as np
import rasterio
out, *paths = sys.argv[1:]
every = []
for path in paths:
    with rasterio.open(path, num_threads="2") as file:
        every.append(file.read(masked=True))
        profile = file.profile
made = np.ma.median(np.ma.stack(every), axis=0)
profile |= {"compress": "zstd", "zstd_level": 9, "predictor": 2, "num_threads": "2"}
with rasterio.open(out, "w", **profile) as file:
    file.write(np.rint(made.filled(0)).astype("uint16"))
"""
RIO_TILER = """
import sys
import numpy as np
import rasterio
from rio_tiler.io import Reader
out, *paths = sys.argv[1:]
every = []
for path in paths:
    with Reader(path) as reader:
        every.append(reader.read().array)
        profile = reader.dataset.profile
made = np.ma.median(np.ma.stack(every), axis=0)
profile |= {"compress": "zstd", "zstd_level": 9, "predictor": 2, "num_threads": "2"}
with rasterio.open(out, "w", **profile) as file:
    file.write(np.rint(made.filled(0)).astype("uint16"))
"""
SCENES = """
import sys
import numpy as np
import rasterio
from rasterio.transform import from_origin
from raster.reader import pixels
size, *paths = sys.argv[1:]
size = int(size)
for number, path in enumerate(paths):
    noise = np.random.default_rng(number)
    with rasterio.open(
        path, "w", driver="GTiff", width=size, height=size, count=4, dtype="uint16", nodata=0,
        crs="EPSG:32633", transform=from_origin(500_000, 5_300_000, 10, 10), tiled=True,
        blockxsize=512, blockysize=512, compress="zstd", zstd_level=1, predictor=2,
        interleave="pixel", num_threads="2",
    ) as file:
        for row in range(0, size, 512):
            rows = min(512, size - row)
            slope = np.add.outer(np.arange(row, row + rows), np.arange(size)) // 8 % 4000
            part = slope + noise.integers(500, 700, (4, rows, size))
            part[:, noise.random((rows, size)) < 0.1] = 0
            file.write(part.astype("uint16"), window=pixels(0, row, size, rows))
"""
DIFFERENCE = """
import sys
import numpy as np
import rasterio
ours, theirs = (rasterio.open(path).read() for path in sys.argv[1:])
print(int((ours != theirs).sum()), ours.size)
"""


def measured(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall seconds, and peak MiB of the command and its children."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **env}
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command[:3])}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def gdal_script(folder: Path, paths: list[str], out: str) -> list[str]:
    """gdalwarp brings each date onto the grid, gdal_calc takes the median of each band."""
    calc = shutil.which("gdal_calc.py")
    if calc is None or shutil.which("gdalwarp") is None:
        return []
    lines = ["set -e"]
    kept = []
    for number, path in enumerate(paths):
        warped = str(folder / f"warped{number}.vrt")
        lines.append(f"gdalwarp -q -overwrite -of VRT {path} {warped}")
        kept.append(warped)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(paths)]
    stacked = f"numpy.ma.masked_equal(numpy.stack([{','.join(letters)}]),0)"
    formula = f"numpy.rint(numpy.ma.median({stacked},axis=0).filled(0))"
    for band in range(1, 5):
        given = " ".join(
            f"-{letter} {path} --{letter}_band={band}"
            for letter, path in zip(letters, kept, strict=True)
        )
        lines.append(
            f"{calc} {given} --calc='{formula}' --type=UInt16 --quiet --overwrite --hideNoData "
            f"--co=TILED=YES --co=COMPRESS=ZSTD --co=PREDICTOR=2 --outfile={out}.{band}.tif"
        )
    return ["bash", "-c", "\n".join(lines)]


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[str]:
    """A Dask scheduler with so many workers of one thread; its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    started = [subprocess.Popen(scheduler, **quiet)]
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        for _ in range(workers):
            command = [*dask, "worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
            command += ["--host", "127.0.0.1", "--preload", "processes.on_dask"]
            started.append(subprocess.Popen(command, **quiet))
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)
        yield address
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--dates", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not 1 <= options.dates <= 26:
        parser.error("1 to 26 dates: gdal_calc has no more letters")
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        table(Path(folder), options.size, options.dates, options.rounds)


def table(folder: Path, size: int, dates: int, rounds: int) -> None:
    """Run all variants and print them."""
    paths = [str(folder / f"date{n}.tif") for n in range(dates)]
    subprocess.run([sys.executable, "-c", SCENES, str(size), *paths], check=True)
    scripts = {
        "rasterio + numpy, whole arrays": (NUMPY, {}),
        "rio-tiler + numpy, whole arrays": (RIO_TILER, {}),
        "ours, 1 thread": (OURS, {"OPSTAC_BLOCK_THREADS": "1"}),
        "ours, 2 threads": (OURS, {"OPSTAC_BLOCK_THREADS": "2"}),
    }
    variants: dict[str, tuple[list[str], dict[str, str], int]] = {}
    for number, (name, (script, env)) in enumerate(scripts.items()):
        command = [sys.executable, "-c", script, str(folder / f"made{number}.tif"), *paths]
        variants[name] = command, env, 0
    for workers in (1, 2):
        out = str(folder / f"dask{workers}.tif")
        name = f"ours, Dask workers: {workers}"
        variants[name] = [sys.executable, "-c", OURS, out, *paths], {}, workers
    if script := gdal_script(folder, paths, str(folder / "gdal")):
        variants["gdalwarp + gdal_calc"] = script, {}, 0
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, (command, env, workers) in variants.items():
            if workers:
                with cluster(workers) as address:
                    runs[name].append(measured(command, {"OPSTAC_DASK_SCHEDULER": address}))
            else:
                runs[name].append(measured(command, env))
    base = runs["rasterio + numpy, whole arrays"]
    mib = dates * 4 * 2 * size * size / 1024**2
    print(f"{f'median of {dates} dates, {mib:.0f} MiB':34} {'faster':>8} {'peak / input':>13}")
    for name, results in runs.items():
        faster = statistics.median(b[0] / r[0] for b, r in zip(base, results, strict=True))
        peak = statistics.median(r[1] for r in results) / mib
        print(f"{name:34} {faster:7.2f}x {peak:13.2f}")
    for one, two in (("1 thread", "2 threads"), ("Dask workers: 1", "Dask workers: 2")):
        pairs = zip(runs[f"ours, {one}"], runs[f"ours, {two}"], strict=True)
        print(f"speed-up, {one} to {two}: {statistics.median(a[0] / b[0] for a, b in pairs):.2f}x")
    same = {Path(folder / f"{n}.tif").read_bytes() for n in ("made2", "made3", "dask1", "dask2")}
    print(f"ours, threads and workers: {'the same bytes' if len(same) == 1 else 'DIFFERENT BYTES'}")
    command = [
        sys.executable,
        "-c",
        DIFFERENCE,
        str(folder / "made3.tif"),
        str(folder / "made0.tif"),
    ]
    different, total = subprocess.check_output(command, text=True).split()
    print(json.dumps({"values that differ from numpy": int(different), "of": int(total)}))


if __name__ == "__main__":
    main()

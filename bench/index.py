"""An index of an item: ours against numpy on whole arrays, gdal_calc and rio-tiler.

    python bench/index.py [--size 8192] [--rounds 3]

NDVI of four synthetic bands (uint16, a tenth without a value), a fresh process each, rounds
interleaved. Printed: the median of the per-round ratios to numpy, the peak memory as a ratio to
numpy's, how much faster two threads of ours and two Dask workers are than one, and how far the
values are apart. The work is unequal: ours writes a COG with overviews and statistics, the peers a
plain tiled file; reading alone writes nothing. All compress at the same ZSTD level.

The rows "block rows" compare our job with reading alone: one thread that reads the two bands in
rows of blocks through one handle and a cache of 256 MiB, and our job, which reads, computes and
writes a plain tiled file (ZSTD level 1, predictor 3) without overviews or statistics. Ours has the
cache and the arenas of a job's process, and compresses in the thread that writes, beside those that
compute. Its pixels are compared with those of the job's own file.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from composite import ROOT, SCENES, cluster, measured

OURS = """
import sys
from pathlib import Path
from processes.engine import execute
out, path = sys.argv[1:]
folder = Path(out).with_suffix("")
folder.mkdir(exist_ok=True)
sources = [{"item_id": "it_0", "asset_key": "data", "path": path}]
inputs = {"source_item_id": "it_0", "index_name": "NDVI", "band_mapping": {"red": 3, "nir": 4}}
(made,) = execute("index", inputs, sources, str(folder), lambda f, s: None, "processes.jobs.index")
Path(made["path"]).rename(out)
"""
PROFILE = """
profile |= {"count": 1, "dtype": "float32", "nodata": float("nan"), "compress": "zstd",
            "zstd_level": 1, "predictor": 3, "num_threads": "2"}
with rasterio.open(out, "w", **profile) as file:
    file.write(made.filled(np.nan).astype("float32"), 1)
"""
NUMPY = (
    """
import sys
import numpy as np
import rasterio
out, path = sys.argv[1:]
with rasterio.open(path, num_threads="2") as file:
    red, nir = file.read([3, 4], masked=True).astype("float64")
    profile = file.profile
made = (nir - red) / (nir + red)
"""
    + PROFILE
)
RIO_TILER = (
    """
import sys
import numpy as np
import rasterio
from rio_tiler.io import Reader
out, path = sys.argv[1:]
with Reader(path) as reader:
    made = reader.read(expression="(b4-b3)/(b4+b3)").array[0]
    profile = reader.dataset.profile
"""
    + PROFILE
)
# the least work that has the values at all
READ = """
import sys
from concurrent.futures import ThreadPoolExecutor
import rasterio
from rasterio.windows import Window
_, path = sys.argv[1:]
def rows(half):
    with rasterio.open(path) as file:
        middle = file.height // 2 // 512 * 512
        first, last = (0, middle) if half == 0 else (middle, file.height)
        for row in range(first, last, 512):
            file.read([3, 4], window=Window(0, row, file.width, min(512, last - row)))
with ThreadPoolExecutor(2) as pool:
    list(pool.map(rows, (0, 1)))
"""
# what the two rows of "block rows" have in common; both import the same, and both count from the
# start of their process
COMMON = """
import sys
import processes.engine
import rasterio
from processes import blocks, expression
from processes.process import find
from rasterio.windows import Window
find("index", "processes.jobs.index")
out, path = sys.argv[1:]
"""
READ_ROWS = (
    COMMON
    + """
with rasterio.open(path) as file:
    for row in range(0, file.height, 512):
        file.read([3, 4], window=Window(0, row, file.width, min(512, file.height - row)))
"""
)
# our job with its own blocks, formula and masks, and in place of the COG with overviews and
# statistics a plain tiled file
PLAIN = (
    COMMON
    + """
class Done(Exception):
    pass
def plain(_, function, grid, *, sources, params, pixel_bytes, **rest):
    profile = {"driver": "GTiff", "width": grid.width, "height": grid.height, "crs": grid.crs,
               "transform": grid.transform, "count": 1, "dtype": "float32", "nodata": float("nan"),
               "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "zstd",
               "zstd_level": 1, "predictor": 3}
    with rasterio.open(out, "w", **profile) as file:
        for block, made in blocks.results(function, grid, sources=sources, params=params,
                                          pixel_bytes=pixel_bytes):
            values, _ = blocks._settled(block, made, (1, *block.shape), "float32", float("nan"),
                                        False)
            file.write(values, window=block.window)
    raise Done
expression.write = plain
sources = [{"item_id": "it_0", "asset_key": "data", "path": path}]
inputs = {"source_item_id": "it_0", "index_name": "NDVI", "band_mapping": {"red": 3, "nir": 4}}
try:
    processes.engine.execute("index", inputs, sources, "", lambda f, s: None,
                             "processes.jobs.index")
except Done:
    pass
"""
)
DIFFERENCE = """
import sys
import numpy as np
import rasterio
ours, theirs = (rasterio.open(path).read(1) for path in sys.argv[1:])
print(int((np.isnan(ours) != np.isnan(theirs)).sum()), float(np.nanmax(np.abs(ours - theirs))))
"""


def gdal_calc(path: str, out: str) -> list[str]:
    """The command, empty where it is not installed."""
    calc = shutil.which("gdal_calc.py")
    if calc is None:
        return []
    formula = "(A.astype(numpy.float64)-B)/(A.astype(numpy.float64)+B)"
    return [
        calc, "-A", path, "--A_band=4", "-B", path, "--B_band=3", f"--calc={formula}",
        "--type=Float32", "--NoDataValue=nan", "--quiet", "--overwrite", f"--outfile={out}",
        "--co=TILED=YES", "--co=COMPRESS=ZSTD", "--co=ZSTD_LEVEL=1", "--co=PREDICTOR=3",
    ]  # fmt: skip


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        table(Path(folder), options.size, options.rounds)


def table(folder: Path, size: int, rounds: int) -> None:
    """Run all variants and print them."""
    path = str(folder / "scene.tif")
    subprocess.run([sys.executable, "-c", SCENES, str(size), path], check=True)

    def script(text: str, name: str) -> list[str]:
        return [sys.executable, "-c", text, str(folder / f"{name}.tif"), path]

    rows = {"GDAL_CACHEMAX": "256"}
    job = {"GDAL_CACHEMAX": "128", "MALLOC_ARENA_MAX": "2"}  # as `raster.child` has them
    variants: dict[str, tuple[list[str], dict[str, str], int]] = {
        "reading alone, 2 threads": (script(READ, "read"), {}, 0),
        "numpy, whole arrays": (script(NUMPY, "numpy"), {}, 0),
        "rio-tiler, whole arrays": (script(RIO_TILER, "tiler"), {}, 0),
        "ours, 1 thread": (script(OURS, "one"), {"OPSTAC_BLOCK_THREADS": "1"}, 0),
        "ours, 2 threads": (script(OURS, "two"), {"OPSTAC_BLOCK_THREADS": "2"}, 0),
        "block rows, reading alone": (script(READ_ROWS, "rows"), rows, 0),
        "block rows, ours, 1 thread": (
            script(PLAIN, "plain1"),
            {**job, "OPSTAC_BLOCK_THREADS": "1"},
            0,
        ),
        "block rows, ours, 2 threads": (
            script(PLAIN, "plain2"),
            {**job, "OPSTAC_BLOCK_THREADS": "2"},
            0,
        ),
        "ours, 1 Dask worker": (script(OURS, "dask1"), {}, 1),
        "ours, 2 Dask workers": (script(OURS, "dask2"), {}, 2),
    }
    if command := gdal_calc(path, str(folder / "gdal.tif")):
        variants["gdal_calc"] = command, {}, 0
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, (command, env, workers) in variants.items():
            if workers:
                with cluster(workers) as address:
                    runs[name].append(measured(command, {"OPSTAC_DASK_SCHEDULER": address}))
            else:
                runs[name].append(measured(command, env))
    base = runs["numpy, whole arrays"]
    print(f"{f'NDVI of {size} x {size}':26} {'faster':>8} {'peak':>6}")
    for name, results in runs.items():
        pairs = list(zip(base, results, strict=True))
        faster = statistics.median(b[0] / r[0] for b, r in pairs)
        peak = statistics.median(r[1] / b[1] for b, r in pairs)
        print(f"{name:26} {faster:7.2f}x {peak:6.2f}")
    for one, two in (("1 thread", "2 threads"), ("1 Dask worker", "2 Dask workers")):
        pairs = list(zip(runs[f"ours, {one}"], runs[f"ours, {two}"], strict=True))
        print(f"speed-up, {one} to {two}: {statistics.median(a[0] / b[0] for a, b in pairs):.2f}x")
    pairs = list(zip(runs["ours, 2 threads"], runs["reading alone, 2 threads"], strict=True))
    print(f"ours over reading alone: {statistics.median(o[0] / r[0] for o, r in pairs):.2f}")
    for threads in ("1 thread", "2 threads"):
        own, alone = runs[f"block rows, ours, {threads}"], runs["block rows, reading alone"]
        pairs = list(zip(own, alone, strict=True))
        wall = statistics.median(o[0] / r[0] for o, r in pairs)
        print(f"block rows, no overviews or statistics: ours, {threads}, over reading: {wall:.2f}")
    same = {(folder / f"{n}.tif").read_bytes() for n in ("one", "two", "dask1", "dask2")}
    print(f"ours, threads and workers: {'the same bytes' if len(same) == 1 else 'DIFFERENT BYTES'}")
    for name in ("plain1", "plain2"):
        pair = [str(folder / "two.tif"), str(folder / f"{name}.tif")]
        apart = subprocess.check_output([sys.executable, "-c", DIFFERENCE, *pair], text=True)
        print(
            f"{name} beside the job's file: masks that differ, largest difference: {apart.strip()}"
        )
    command = [sys.executable, "-c", DIFFERENCE, str(folder / "two.tif"), str(folder / "numpy.tif")]
    nodata, apart = subprocess.check_output(command, text=True).split()
    print(json.dumps({"masks differ": int(nodata), "largest difference": float(apart)}))


if __name__ == "__main__":
    main()

"""Zonal statistics of a polygon: ours against rasterstats and against exactextract by itself.

    python bench/zonal.py [--size 6000] [--rounds 3]

A synthetic scene (four bands, uint16) and a polygon over most of it; each variant gives count,
mean, standard deviation, minimum and maximum of every band, in a fresh process each, rounds
interleaved. Work is unequal: ours weighs pixels by exact coverage and finds a median and five
percentiles too, one call a band; rasterstats counts pixel centres; exactextract is asked for no
median and for 1e6 cells at once. Printed: the median of the per-round ratios to rasterstats (time:
above 1 is faster; memory: below 1 is less) and how far the means lie apart.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BANDS = 4
SCENE = """
import sys
import numpy as np
from rasterio.transform import from_origin
from raster import cog
from raster.reader import pixels
path, size = sys.argv[1], int(sys.argv[2])
noise = np.random.default_rng(1)
with cog.tiled_writer(path + ".part.tif", width=size, height=size, dtype="uint16", count=4,
                      crs="EPSG:32633", transform=from_origin(500_000, 5_300_000, 10, 10),
                      nodata=0) as out:
    for row in range(0, size, 512):
        rows = min(512, size - row)
        slope = np.add.outer(np.arange(row, row + rows), np.arange(size)) // 8 % 4000
        part = slope + noise.integers(500, 700, (4, rows, size))
        out.write(part.astype("uint16"), pixels(0, row, size, rows))
cog.write_cog(path + ".part.tif", path)
"""
OURS = """
import json, sys
from processes.analysis.engine import execute
source, aoi, percentiles = sys.argv[1], json.load(open(sys.argv[2])), json.loads(sys.argv[3])
item = {"id": "it", "datetime": None, "sources": [
    {"item_id": "it", "asset_key": "data", "path": source, "asset": {}}]}
for band in range(1, 5):
    params = {"item_id": "it", "band": band, "geometry": aoi["degrees"],
              "percentiles": percentiles}
    answer = execute("zonal_stats", params, [item], "/tmp")["answer"]
    print(answer["statistics"]["mean"])
"""
RASTERSTATS = """
import json, sys
import rasterio
from rasterstats import zonal_stats
source, aoi = sys.argv[1], json.load(open(sys.argv[2]))
for band in range(1, 5):
    found = zonal_stats(aoi["metres"], source, band=band, stats="count mean std min max")
    print(found[0]["mean"])
"""
EXACTEXTRACT = """
import json, sys
from exactextract import exact_extract
from exactextract.raster import RasterioRasterSource
import rasterio
source, aoi = sys.argv[1], json.load(open(sys.argv[2]))
feature = {"type": "Feature", "properties": {}, "geometry": aoi["metres"]}
with rasterio.open(source) as file:
    bands = [RasterioRasterSource(file, band, name=f"b{band}") for band in range(1, 5)]
    found = exact_extract(bands, [feature], ["count", "mean", "stdev", "min", "max"],
                          max_cells_in_memory=1_000_000)
for band in range(1, 5):
    print(found[0]["properties"][f"b{band}_mean"])
"""


def measured(command: list[str]) -> tuple[float, float, list[float]]:
    """Wall seconds, peak MiB and the numbers that one command printed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {' '.join(command[:2])}")
    return wall, usage.ru_maxrss / 1024, [float(line) for line in said.split()]


def area(size: int) -> dict[str, object]:
    """A slanted hexagon over most of the scene, in metres of its grid and in degrees."""
    from rasterio.warp import transform

    shares = [(0.1, 0.12), (0.55, 0.03), (0.96, 0.2), (0.9, 0.85), (0.5, 0.97), (0.05, 0.7)]
    # many points, so that an edge straight in degrees is the same edge in metres
    ring = []
    for (x0, y0), (x1, y1) in zip(shares, [*shares[1:], shares[0]], strict=True):
        ring += [(x0 + (x1 - x0) * n / 40, y0 + (y1 - y0) * n / 40) for n in range(40)]
    metres = [(500_000 + 10 * size * x, 5_300_000 - 10 * size * y) for x, y in [*ring, ring[0]]]
    lon, lat = transform("EPSG:32633", "EPSG:4326", *zip(*metres, strict=True))
    degrees = list(zip(lon, lat, strict=True))
    return {
        "metres": {"type": "Polygon", "coordinates": [metres]},
        "degrees": {"type": "Polygon", "coordinates": [degrees]},
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-percentiles", action="store_true")
    args = parser.parse_args()
    wanted = "[]" if args.no_percentiles else "[2, 25, 50, 75, 98]"
    root = Path(__file__).resolve().parents[1]
    environment = {"PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}", "GDAL_CACHEMAX": "128"}
    os.environ.update(environment)
    with tempfile.TemporaryDirectory() as folder:
        scene, aoi = f"{folder}/scene.tif", f"{folder}/aoi.json"
        subprocess.run([sys.executable, "-c", SCENE, scene, str(args.size)], check=True)
        Path(aoi).write_text(json.dumps(area(args.size)))
        codes = {"rasterstats": RASTERSTATS, "exactextract": EXACTEXTRACT, "ours": OURS}
        runs: dict[str, list[tuple[float, float, list[float]]]] = {name: [] for name in codes}
        for _ in range(args.rounds):
            for name, code in codes.items():
                runs[name].append(measured([sys.executable, "-c", code, scene, aoi, wanted]))
    peer = runs["rasterstats"]
    print(f"{BANDS} bands of {args.size} x {args.size}; ratios to rasterstats")
    print(f"{'':14}{'faster':>10}{'memory':>10}{'peak MiB':>10}{'mean differs':>15}")
    for name, own in runs.items():
        faster = statistics.median(p[0] / o[0] for p, o in zip(peer, own, strict=True))
        memory = statistics.median(o[1] / p[1] for p, o in zip(peer, own, strict=True))
        apart = max(abs(a - b) / b for a, b in zip(own[0][2], peer[0][2], strict=True))
        print(f"{name:14}{faster:>9.2f}x{memory:>9.2f}x{own[0][1]:>10.0f}{apart:>15.1e}")


if __name__ == "__main__":
    main()

"""Zonal statistics: ours against rasterstats and against exactextract by itself.

    python bench/zonal.py [--size 6000] [--rounds 3] [--zones 200]

A synthetic scene (four bands, uint16), and two cases: one polygon over most of it, and `--zones`
small ones. Each variant gives count, mean, standard deviation, minimum and maximum of every band
for every polygon, in a fresh process each, rounds interleaved; what is timed is the whole process,
imports included, and no HTTP. Work is unequal: ours weighs pixels by exact coverage, finds a median
and five percentiles too, places the polygons given in degrees on the grid, gives areas in m², and
for many polygons the statistics of their union; rasterstats counts pixel centres; exactextract
weighs exactly, is asked for no median and for 1e6 cells at once. Printed: the median of the
per-round ratios to rasterstats (time: above 1 is faster; memory: below 1 is less), by the clock and
in processor time, which a busy machine disturbs less, and how far the means lie apart at most.
"""

import argparse
import json
import math
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
params = {"item_id": "it", "bands": [1, 2, 3, 4], "geometry": aoi["degrees"],
          "percentiles": percentiles}
for band in execute("zonal_stats", params, [item], "/tmp")["answer"]["bands"]:
    for zone in band.get("zones", [band]):
        print(zone["statistics"]["mean"])
"""
RASTERSTATS = """
import json, sys
import rasterio
from rasterstats import zonal_stats
source, aoi = sys.argv[1], json.load(open(sys.argv[2]))
for band in range(1, 5):
    for found in zonal_stats(aoi["metres"], source, band=band, stats="count mean std min max"):
        print(found["mean"])
"""
EXACTEXTRACT = """
import json, sys
from exactextract import exact_extract
from exactextract.raster import RasterioRasterSource
import rasterio
source, aoi = sys.argv[1], json.load(open(sys.argv[2]))
with rasterio.open(source) as file:
    bands = [RasterioRasterSource(file, band, name=f"b{band}") for band in range(1, 5)]
    found = exact_extract(bands, aoi["metres"]["features"],
                          ["count", "mean", "stdev", "min", "max"], max_cells_in_memory=1_000_000)
for band in range(1, 5):
    for zone in found:
        print(zone["properties"][f"b{band}_mean"])
"""
Run = tuple[float, float, float, list[float]]


def measured(command: list[str]) -> Run:
    """Wall and processor seconds, peak MiB and the numbers that one command printed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {' '.join(command[:2])}")
    cpu = usage.ru_utime + usage.ru_stime
    return wall, cpu, usage.ru_maxrss / 1024, [float(line) for line in said.split()]


def one() -> list[list[tuple[float, float]]]:
    """A slanted hexagon over most of the scene, as shares of its width and height."""
    shares = [(0.1, 0.12), (0.55, 0.03), (0.96, 0.2), (0.9, 0.85), (0.5, 0.97), (0.05, 0.7)]
    return [shares]


def many(count: int) -> list[list[tuple[float, float]]]:
    """Pentagons side by side over the scene, about a third of it in all."""
    side = math.ceil(math.sqrt(count))
    found = []
    for number in range(count):
        x, y, turn = (number % side + 0.5) / side, (number // side + 0.5) / side, number * 0.7
        angles = [turn + 2 * math.pi * n / 5 for n in range(5)]
        reach = 0.38 / side
        found.append([(x + reach * math.cos(a), y + reach * math.sin(a)) for a in angles])
    return found


def areas(size: int, polygons: list[list[tuple[float, float]]]) -> dict[str, object]:
    """Polygons as FeatureCollections, in metres of the scene's grid and in degrees."""
    from rasterio.warp import transform

    made: dict[str, list[dict[str, object]]] = {"metres": [], "degrees": []}
    for number, shares in enumerate(polygons):
        # many points, so that an edge straight in degrees is the same edge in metres
        ring = []
        for (x0, y0), (x1, y1) in zip(shares, [*shares[1:], shares[0]], strict=True):
            ring += [(x0 + (x1 - x0) * n / 40, y0 + (y1 - y0) * n / 40) for n in range(40)]
        metres = [(500_000 + 10 * size * x, 5_300_000 - 10 * size * y) for x, y in [*ring, ring[0]]]
        lon, lat = transform("EPSG:32633", "EPSG:4326", *zip(*metres, strict=True))
        for name, points in (("metres", metres), ("degrees", list(zip(lon, lat, strict=True)))):
            geometry = {"type": "Polygon", "coordinates": [points]}
            made[name].append(
                {"type": "Feature", "id": str(number), "properties": {}, "geometry": geometry}
            )
    return {name: {"type": "FeatureCollection", "features": f} for name, f in made.items()}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--zones", type=int, default=200)
    parser.add_argument("--no-percentiles", action="store_true")
    args = parser.parse_args()
    wanted = "[]" if args.no_percentiles else "[2, 25, 50, 75, 98]"
    root = Path(__file__).resolve().parents[1]
    environment = {"PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}", "GDAL_CACHEMAX": "128"}
    os.environ.update(environment)
    with tempfile.TemporaryDirectory() as folder:
        scene = f"{folder}/scene.tif"
        subprocess.run([sys.executable, "-c", SCENE, scene, str(args.size)], check=True)
        cases = {"one polygon": one(), f"{args.zones} polygons": many(args.zones)}
        for case, polygons in cases.items():
            aoi = f"{folder}/aoi.json"
            Path(aoi).write_text(json.dumps(areas(args.size, polygons)))
            table(case, args.size, args.rounds, [scene, aoi, wanted])


def table(case: str, size: int, rounds: int, arguments: list[str]) -> None:
    """Run every variant and print what came out."""
    codes = {"rasterstats": RASTERSTATS, "exactextract": EXACTEXTRACT, "ours": OURS}
    runs: dict[str, list[Run]] = {name: [] for name in codes}
    for _ in range(rounds):
        for name, code in codes.items():
            runs[name].append(measured([sys.executable, "-c", code, *arguments]))
    peer = runs["rasterstats"]

    def ratio(own: list[Run], column: int) -> float:
        return statistics.median(p[column] / o[column] for p, o in zip(peer, own, strict=True))

    print(f"\n{case} on {BANDS} bands of {size} x {size}; ratios to rasterstats")
    print(
        f"{'':14}{'faster':>10}{'less CPU':>10}{'memory':>10}{'peak MiB':>10}{'mean differs':>15}"
    )
    for name, own in runs.items():
        apart = max(abs(a - b) / b for a, b in zip(own[0][3], peer[0][3], strict=True))
        print(
            f"{name:14}{ratio(own, 0):>9.2f}x{ratio(own, 1):>9.2f}x{1 / ratio(own, 2):>9.2f}x"
            f"{own[0][2]:>10.0f}{apart:>15.1e}"
        )


if __name__ == "__main__":
    main()

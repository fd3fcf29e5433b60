"""Clip to a COG: ours against gdalwarp and against rio-tiler with rio-cogeo.

    python bench/clip.py [--size 6000] [--rounds 3]

A synthetic scene (four bands, uint16) is clipped to a polygon by each in turn, a fresh process
each, rounds interleaved. Printed: the median of the per-round ratios to rio-tiler + rio-cogeo, the
peak memory, and how many valid pixels differ from gdalwarp's. Ours computes statistics, the peers
do not.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

THREADS = "2"
OURS = """
import sys, json
from pathlib import Path
from processes.jobs.clip import clip
from processes.process import Source
source, aoi, out, level = sys.argv[1:]
geometry = json.load(open(aoi))["features"][0]["geometry"]
clip(Source("bench", "data", source), geometry, Path(out), level=int(level))
"""
RIO = """
import sys, json
from rasterio.io import MemoryFile
from rio_cogeo.cogeo import cog_translate
from rio_cogeo.profiles import cog_profiles
from rio_tiler.io import Reader
source, aoi, out, level = sys.argv[1:]
feature = json.load(open(aoi))["features"][0]
with Reader(source) as reader:
    image = reader.feature(feature, dst_crs=reader.crs)
profile = cog_profiles.get("zstd") | {"predictor": 2, "zstd_level": int(level)}
size = {"height": image.height, "width": image.width, "count": image.count}
place = {"crs": image.crs, "transform": image.transform}
with MemoryFile() as memory:
    with memory.open(driver="GTiff", dtype="uint16", nodata=0, **size, **place) as made:
        made.write(image.array.filled(0))
    with memory.open() as made:
        cog_translate(made, out, profile, in_memory=True, quiet=True,
                      config={"GDAL_NUM_THREADS": "2"})
"""
SCENE = """
import sys
import numpy as np
from rasterio.transform import from_origin
from raster import cog
path, size = sys.argv[1], int(sys.argv[2])
noise = np.random.default_rng(1)
place = from_origin(500_000, 5_300_000, 10, 10)
with cog.tiled_writer(path + ".part.tif", width=size, height=size, dtype="uint16", count=4,
                      crs="EPSG:32633", transform=place, nodata=0) as out:
    for row in range(0, size, 512):
        rows = min(512, size - row)
        slope = np.add.outer(np.arange(row, row + rows), np.arange(size)) // 8 % 4000
        part = slope + noise.integers(500, 700, (4, rows, size))
        from raster.reader import pixels
        out.write(part.astype("uint16"), pixels(0, row, size, rows))
cog.write_cog(path + ".part.tif", path)
"""
DIFFERENCE = """
import sys
import numpy as np
import rasterio
from rasterio.windows import from_bounds
ours, theirs = (rasterio.open(path) for path in sys.argv[1:])
window = from_bounds(*ours.bounds, transform=theirs.transform).round_offsets().round_lengths()
a, b = ours.read(), theirs.read(window=window, boundless=True, fill_value=0)
print(int((a != b).any(axis=0).sum()), int(a.any(axis=0).sum()))
"""


def measured(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak MiB of one command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {' '.join(command[:3])}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    gdalwarp = shutil.which("gdalwarp")
    with tempfile.TemporaryDirectory() as folder:
        table(Path(folder), options.size, options.rounds, gdalwarp)


def table(folder: Path, size: int, rounds: int, gdalwarp: str | None) -> None:
    """Run all variants and print them."""
    scene, aoi = str(folder / "scene.tif"), str(folder / "aoi.geojson")
    subprocess.run([sys.executable, "-c", SCENE, scene, str(size)], check=True)
    reach = size * 10 / 111_320
    corners = [(0.05, 0.05), (0.9, 0.02), (0.95, 0.6), (0.6, 0.92), (0.1, 0.7)]
    ring = [[15 + x * reach / 0.67, 47.85 - y * reach] for x, y in corners]
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    Path(aoi).write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    variants: dict[str, list[str]] = {}
    for level in ("9", "1"):  # 1 is ours where nothing is said
        variants[f"rio-tiler + rio-cogeo, level {level}"] = [sys.executable, "-c", RIO]
        variants[f"ours, level {level}"] = [sys.executable, "-c", OURS]
    commands = {
        name: [*command, scene, aoi, str(folder / f"{n}.tif"), name[-1]]
        for n, (name, command) in enumerate(variants.items())
    }
    if gdalwarp:
        options = "-overwrite -crop_to_cutline -tap -tr 10 10 -of COG -multi -wm 256"
        options += f" -co COMPRESS=ZSTD -co PREDICTOR=YES -co NUM_THREADS={THREADS}"
        peer = str(folder / "peer.tif")
        for level in ("9", "1"):
            commands[f"gdalwarp -of COG, level {level}"] = [
                *(gdalwarp, "-q", "-cutline", aoi, *options.split(), "-co", f"LEVEL={level}"),
                *(scene, peer),
            ]
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(measured(command))
    print(
        f"{'clip of ' + str(size) + ' px':32} {'wall':>7} {'faster':>8} {'CPU':>7} {'peak MiB':>9}"
    )
    for name, results in runs.items():
        base = runs[f"rio-tiler + rio-cogeo, level {name[-1]}"]
        faster = statistics.median(b[0] / r[0] for b, r in zip(base, results, strict=True))
        wall, processor, peak = (statistics.median(column) for column in zip(*results, strict=True))
        print(f"{name:32} {wall:6.2f}s {faster:7.2f}x {processor:6.2f}s {peak:9.0f}")
    if gdalwarp:
        command = [
            sys.executable,
            "-c",
            DIFFERENCE,
            str(folder / "1.tif"),
            str(folder / "peer.tif"),
        ]
        different, valid = subprocess.check_output(command, text=True).split()
        print(f"pixels that differ from gdalwarp: {different} of {valid} valid")


if __name__ == "__main__":
    main()

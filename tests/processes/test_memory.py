"""Memory does not grow with the image.

`OPSTAC_COMPOSITE_MIB=8192 pytest tests/processes/test_memory.py -k composite` makes a composite of
8 GiB of input under RLIMIT_AS = 2 GiB; it needs 8 GiB of disk and some minutes.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from raster import reader

MIB = 1024**2
INPUT = int(os.environ.get("OPSTAC_COMPOSITE_MIB", "256")) * MIB
BANDS, WIDE = 4, 2  # uint16
CHILD = """
import json, resource, sys
import raster.env
from processes.engine import execute
from processes.process import discover

job = json.loads(sys.argv[1])
discover()
if job["limit"]:
    resource.setrlimit(resource.RLIMIT_AS, (job["limit"], job["limit"]))
(made,) = execute(job["process"], job["inputs"], job["sources"], job["out"], lambda f, s: None)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({**made, "peak": int(peak.split()[1]) * 1024}))
"""
WHOLE = """
import resource, sys
import numpy as np
import rasterio

limit, *paths = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
try:
    every = np.stack([rasterio.open(path).read() for path in paths])
    np.median(every, axis=0)
except MemoryError:
    print("too much")
"""


def image(path: Path, side: int, seed: int) -> Path:
    """A tiled file of four bands: a pattern that a picture of one tile gives, moved for each."""
    tile = np.random.default_rng(seed).integers(1, 4000, (BANDS, 512, 512)).astype("uint16")
    tile[:, :50, :50] = 0
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=BANDS, dtype="uint16", nodata=0,
        crs="EPSG:32632", transform=from_origin(500_000, 5_400_000, 10, 10), tiled=True,
        blockxsize=512, blockysize=512, compress="zstd", zstd_level=1, num_threads="2",
    ) as file:  # fmt: skip
        for window in reader.tiles(reader.pixels(0, 0, side, side), 512, 512):
            moved = np.roll(tile, int(window.row_off + window.col_off) // 512, 2)
            file.write(moved[:, : int(window.height), : int(window.width)], window=window)
    return path


def run_limited(
    tmp_path: Path,
    limit: int | None,
    process: str,
    inputs: dict[str, Any],
    paths: list[Path],
    small: bool,
) -> dict[str, Any]:
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    sources = [
        {"item_id": f"it_{n}", "asset_key": "data", "path": str(path)}
        for n, path in enumerate(paths)
    ]
    job = {"process": process, "inputs": inputs, "sources": sources, "out": str(out)}
    env = {"GDAL_CACHEMAX": "16", "OPSTAC_BLOCK_THREADS": "1"} if small else {}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps({**job, "limit": limit})],
        cwd=Path(__file__).parents[2], env={**os.environ, **env}, capture_output=True, text=True,
        timeout=3600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def ends_for_want_of_memory(limit: int, paths: list[Path]) -> bool:
    """Whether the same work on whole arrays breaks the limit: that the limit means something."""
    command = [sys.executable, "-c", WHOLE, str(limit), *map(str, paths)]
    return "too much" in subprocess.run(command, capture_output=True, text=True).stdout


@pytest.mark.slow  # writes and reads a quarter of a GiB
def test_a_composite_ends_in_less_memory_than_its_input(tmp_path: Path):
    large = INPUT >= 4096 * MIB
    dates, limit = (8, 2048 * MIB) if large else (4, 560 * MIB)
    side = math.ceil(math.sqrt(INPUT / dates / BANDS / WIDE))
    paths = [image(tmp_path / f"{n}.tif", side, n) for n in range(dates)]
    inputs = {"source_item_ids": [f"it_{n}" for n in range(dates)], "method": "median"}
    made = run_limited(tmp_path, limit, "stack", inputs, paths, small=not large)
    assert ends_for_want_of_memory(limit, paths)
    window = reader.pixels(side // 2, side - 600, 700, 600)
    with rasterio.open(made["path"]) as file:
        assert file.shape == (side, side)
        found = file.read(window=window)
    every = np.ma.stack([rasterio.open(p).read(window=window, masked=True) for p in paths])
    expected = np.ma.median(every.astype("float64"), axis=0)
    assert np.array_equal(found, np.where(expected.mask, 0, np.rint(expected.data)))


@pytest.mark.slow  # four images are made and read
@pytest.mark.parametrize("process", ["clip", "cog_convert", "reproject"])
def test_one_large_image_is_never_held_whole(process: str, tmp_path: Path):
    """Three times the pixels take about the same memory."""
    ring = [[8.9, 48.0], [10.2, 48.0], [10.2, 48.9], [8.9, 48.9], [8.9, 48.0]]
    inputs: dict[str, Any] = {
        "clip": {"aoi_geometry": {"type": "Polygon", "coordinates": [ring]}},
        "cog_convert": {"compression": "LZW"},
        "reproject": {"resolution": 40},
    }[process]
    inputs["source_item_id"] = "it_0"
    peaks: list[int] = []
    for size in (32 * MIB, 96 * MIB):
        side = math.ceil(math.sqrt(size / BANDS / WIDE))
        path = image(tmp_path / "large.tif", side, 1)
        made = run_limited(tmp_path, None, process, inputs, [path], small=True)
        with rasterio.open(made["path"]) as file:
            assert file.width == (math.ceil(side / 4) if process == "reproject" else side)
        peaks.append(made["peak"])
    assert peaks[1] - peaks[0] < 0.6 * 64 * MIB, [peak // MIB for peak in peaks]


@pytest.mark.parametrize("process", ["vectorize", "zonal_table"])
def test_what_gives_no_raster_never_holds_the_image_whole(process: str, tmp_path: Path):
    """Three times the pixels take about the same memory."""
    corners = [[9.0, 48.7], [9.1, 48.7], [9.1, 48.74], [9.0, 48.74], [9.0, 48.7]]
    area = {"type": "Polygon", "coordinates": [corners]}
    everything = [[8.9, 48.0], [10.2, 48.0], [10.2, 48.9], [8.9, 48.9], [8.9, 48.0]]
    whole = {"type": "Polygon", "coordinates": [everything]}
    zones = [{"type": "Feature", "properties": {}, "geometry": g} for g in (area, whole)]
    inputs: dict[str, Any] = {
        "vectorize": {"breaks": [0.5, 5000]},
        "zonal_table": {
            "zones": {"type": "FeatureCollection", "features": zones},
            "bands": [1, 2, 3, 4],
            "format": "geojson",
        },
    }[process]
    inputs["source_item_id"] = "it_0"
    peaks: list[int] = []
    for size in (32 * MIB, 96 * MIB):
        side = math.ceil(math.sqrt(size / BANDS / WIDE))
        path = image(tmp_path / "large.tif", side, 1)
        made = run_limited(tmp_path, None, process, inputs, [path], small=True)
        features = json.loads(Path(made["path"]).read_text())["features"]
        with rasterio.open(path) as file:
            values = file.read(1)
        if process == "zonal_table":
            assert [f["properties"]["b1_count"] > 0 for f in features] == [True, True]
            assert features[1]["properties"]["b1_count"] == pytest.approx(np.count_nonzero(values))
        else:
            assert len(features) == 1
        peaks.append(made["peak"])
    assert peaks[1] - peaks[0] < 0.6 * 64 * MIB, [peak // MIB for peak in peaks]

"""Tiles over HTTP against vanilla TiTiler, and CPU a tile against the least work possible.

    python bench/tile.py [--seconds 3] [--rounds 3] [--size 4096] [--formats png,jpg,webp]

One server process a variant, one worker each, the same GDAL settings, 4 keep-alive connections;
the variants take turns within each round and every ratio is the median of the rounds' ratios.
Ours resolves the asset, checks the query, stretches by statistics and resamples bilinearly;
TiTiler resamples with its default, nearest, and is given `rescale` for uint16. Needs `wrk`.
"""

import argparse
import json
import math
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",
    "GDAL_CACHEMAX": "256",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}
os.environ.update(SETTINGS)
CONNECTIONS = 4
MAX_TILES = 400
CASES = (
    ("UTM uint8, native zoom", "utm_u8", 0),
    ("UTM uint8, overview zoom", "utm_u8", 3),
    ("UTM 4-band uint16, native zoom", "utm_u16", 0),
    ("UTM 4-band uint16, overview zoom", "utm_u16", 3),
    ("WebMercatorQuad-aligned uint8, native zoom", "wmq_u8", 0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--formats", default="png,jpg")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("bench/tile.py needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="opstac-bench-") as folder:
        data = Path(folder)
        make_cogs(data, options.size)
        figures = {
            "http": http(data, options.seconds, options.rounds, options.formats.split(",")),
            "cpu": cpu(data),
        }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


# -- data ---------------------------------------------------------------------------------------


def make_cogs(folder: Path, size: int) -> None:
    """Synthetic scenes that compress like imagery; COGs of 512-pixel blocks with statistics."""
    import cv2
    import numpy as np
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy
    from rasterio.transform import from_origin

    def texture(seed: int) -> Any:
        noise = np.random.default_rng(seed)
        total = np.zeros((size, size), np.float32)
        for octave in range(4, int(math.log2(size)) + 1):
            coarse = noise.standard_normal((2**octave, 2**octave)).astype(np.float32)
            total += 0.62**octave * cv2.resize(coarse, (size, size))
        return total / total.std()

    base = texture(1)
    bands = [(base + 0.35 * texture(seed)) / 1.06 for seed in (2, 3, 4, 5)]
    scenes = {
        "u8": np.stack([np.clip(110 + 38 * b, 0, 255) for b in bands[:3]]).astype("uint8"),
        "u16": np.stack([np.clip(1800 + 600 * b, 1, 12000) for b in bands]).astype("uint16"),
    }
    for name, scene in scenes.items():
        profile = {
            "driver": "GTiff",
            "width": size,
            "height": size,
            "count": len(scene),
            "dtype": scene.dtype.name,
            "crs": "EPSG:32633",
            "transform": from_origin(500000, 5300000, 1, 1),
            "nodata": 0 if name == "u16" else None,
        }
        options = {"compress": "ZSTD", "predictor": "YES", "statistics": "YES", "num_threads": 2}
        with MemoryFile() as memory:
            with memory.open(**profile) as dataset:
                dataset.write(scene)
            with memory.open() as dataset, rasterio.Env():
                copy(dataset, folder / f"utm_{name}.tif", driver="COG", blocksize=512, **options)
                if name == "u8":
                    copy(
                        dataset,
                        folder / "wmq_u8.tif",
                        driver="COG",
                        tiling_scheme="GoogleMapsCompatible",
                        blocksize=256,
                        add_alpha="NO",
                        resampling="BILINEAR",
                        **options,
                    )


def tiles(path: Path, zoom_out: int) -> list[tuple[int, int, int]]:
    """(z, x, y) of up to 400 tiles that lie within the raster, shuffled, always the same."""
    from tiler import datasets

    header = datasets.header(str(path), "bench")
    z = header.maxzoom - zoom_out
    west, south, east, north = header.geographic_bounds

    def at(longitude: float, latitude: float) -> tuple[int, int]:
        mercator = math.asinh(math.tan(math.radians(latitude)))
        return int((longitude + 180) / 360 * 2**z), int((1 - mercator / math.pi) / 2 * 2**z)

    (x0, y0), (x1, y1) = at(west, north), at(east, south)
    edge = 1 if min(x1 - x0, y1 - y0) > 3 else 0
    found = [
        (z, x, y) for x in range(x0 + edge, x1 + 1 - edge) for y in range(y0 + edge, y1 + 1 - edge)
    ]
    random.Random(1).shuffle(found)
    return found[:MAX_TILES]


# -- the two servers ----------------------------------------------------------------------------


def vanilla_app() -> Any:
    """Stock TiTiler."""
    from fastapi import FastAPI
    from titiler.core.errors import DEFAULT_STATUS_CODES, add_exception_handlers
    from titiler.core.factory import TilerFactory

    app = FastAPI()
    app.include_router(TilerFactory().router)
    add_exception_handlers(app, DEFAULT_STATUS_CODES)
    return app


def our_app() -> Any:
    """Ours, with item ids that name a file of the bench folder."""
    from tiler.app import create_app
    from tiler.source import AssetSource

    folder = os.environ["OPSTAC_BENCH_FOLDER"]

    async def resolve(request: Any, item_id: str, key: str | None, profile: str | None) -> Any:
        return AssetSource(path=f"{folder}/{item_id}.tif", version="bench")

    return create_app(resolve)


@contextmanager
def server(factory: str, folder: Path) -> Iterator[int]:
    """A uvicorn process on a free port, stopped afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-m", "uvicorn", f"tile:{factory}", "--factory", "--port", str(port)]
    command += ["--log-level", "error", "--no-access-log", "--app-dir", str(here)]
    paths = os.pathsep.join((str(here.parent), str(here.parent / "src")))
    environment = {**os.environ, "OPSTAC_BENCH_FOLDER": str(folder), "PYTHONPATH": paths}
    process = subprocess.Popen(command, env=environment)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


# -- over HTTP ----------------------------------------------------------------------------------


def http(folder: Path, seconds: int, rounds: int, formats: list[str]) -> list[dict[str, Any]]:
    """Requests a second of both, and the ratio, for each case and format."""
    rows = []
    with server("vanilla_app", folder) as theirs, server("our_app", folder) as ours:
        print(f"{'case':45} {'format':6} {'titiler/s':>10} {'ours/s':>8} {'ratio':>7}  spread")
        for title, name, zoom_out in CASES:
            wanted = tiles(folder / f"{name}.tif", zoom_out)
            for image_format in formats:
                rates: dict[str, list[float]] = {"theirs": [], "ours": []}
                paths = {
                    "theirs": [_their_path(folder, name, t, image_format) for t in wanted],
                    "ours": [
                        f"/api/v1/items/{name}/tiles/{_zxy(t)}.{image_format}" for t in wanted
                    ],
                }
                check(theirs, paths["theirs"][0], ours, paths["ours"][0])
                for _ in range(rounds):
                    for who, port in (("theirs", theirs), ("ours", ours)):
                        rates[who].append(load(port, paths[who], seconds, folder))
                ratios = [a / b for a, b in zip(rates["ours"], rates["theirs"], strict=True)]
                row = {
                    "case": title,
                    "format": image_format,
                    "titiler": statistics.median(rates["theirs"]),
                    "ours": statistics.median(rates["ours"]),
                    "ratio": statistics.median(ratios),
                }
                rows.append(row)
                print(
                    f"{title:45} {image_format:6} {row['titiler']:10.1f} {row['ours']:8.1f} "
                    f"{row['ratio']:6.1f}x  {min(ratios):.1f}-{max(ratios):.1f}",
                    flush=True,
                )
    return rows


def _zxy(address: tuple[int, int, int]) -> str:
    return "/".join(map(str, address))


def _their_path(folder: Path, name: str, address: tuple[int, int, int], image_format: str) -> str:
    rescale = "&rescale=600,3000" if "u16" in name else ""
    query = f"url={folder}/{name}.tif&tilesize=256&bidx=1&bidx=2&bidx=3{rescale}"
    return f"/tiles/WebMercatorQuad/{_zxy(address)}.{image_format}?{query}"


def _our_path(name: str, address: tuple[int, int, int], image_format: str) -> str:
    return f"/api/v1/items/{name}/tiles/{_zxy(address)}.{image_format}"


def check(their_port: int, their_path: str, our_port: int, our_path: str) -> None:
    """Both answer a picture of 256 pixels, and of about the same place."""
    import cv2
    import numpy as np

    pictures = []
    for port, path in ((their_port, their_path), (our_port, our_path)):
        body = urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").read()
        picture = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (256, 256, 3), picture.shape
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(float).ravel())
    alike = np.corrcoef(pictures)[0, 1]
    assert alike > 0.9, f"the two pictures differ: correlation {alike:.2f}"


def load(port: int, paths: list[str], seconds: int, folder: Path) -> float:
    """Answers a second under wrk. Raises: SystemExit: an answer was not 2xx."""
    script = folder / "load.lua"
    listed = ",".join(f'"{path}"' for path in paths)
    script.write_text(
        f"local p={{{listed}}}\nlocal i=0\n"
        "request=function() i=i+1; return wrk.format('GET',p[(i%#p)+1]) end\n"
    )
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script)]
    out = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True
    ).stdout
    if bad := re.search(r"Non-2xx or 3xx responses: (\d+)", out):
        raise SystemExit(f"{bad[1]} answers were errors: {paths[0]}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert found, out
    return float(found[1])


# -- CPU in one process -------------------------------------------------------------------------


def cpu(folder: Path) -> list[dict[str, Any]]:
    """CPU of a warm tile against reading its window from an open file and a fast PNG."""
    from tiler import datasets, encode, fast, grid, render
    from tiler.locate import Request, locate
    from tiler.source import AssetSource

    rows = []
    print(f"\n{'CPU a warm PNG tile, one thread':45} {'ours ms':>8} {'least ms':>9} {'ratio':>7}")
    for title, name, zoom_out in CASES:
        source = AssetSource(path=str(folder / f"{name}.tif"), version="bench")
        header = datasets.header_of(source)
        wanted = tiles(Path(source.path), zoom_out)[:20]

        pictures = {address: picture(source, header, address) for address in wanted}

        def least(
            address: tuple[int, int, int], header: Any = header, pictures: Any = pictures
        ) -> None:
            from rasterio.windows import Window

            request = Request(grid.tile(*address).bounds, 256, (1, 2, 3))
            found = locate(header, request)
            level = fast.choose_level(header, found.scale)
            handle = datasets.dataset(header, level)
            factor = header.width / handle.width
            span = max(256, math.ceil(found.scale / factor * 256))
            column = min(max(0, int(found.columns.min() / factor)), handle.width - span)
            row = min(max(0, int(found.rows.min() / factor)), handle.height - span)
            handle.read((1, 2, 3), window=Window(max(0, column), max(0, row), span, span))
            encode.png(*pictures[address])

        def ours(address: tuple[int, int, int], source: Any = source) -> None:
            render.render_tile(source, *address, format="png")

        spent = _paired({"ours": ours, "least": least}, wanted)
        ratio = statistics.median(a / b for a, b in zip(spent["ours"], spent["least"], strict=True))
        figures = {who: statistics.median(times) * 1000 for who, times in spent.items()}
        rows.append({"case": title, **figures, "ratio": ratio})
        print(
            f"{title:45} {figures['ours']:8.2f} {figures['least']:9.2f} {ratio:6.2f}x", flush=True
        )
    return rows


def picture(source: Any, header: Any, address: tuple[int, int, int]) -> tuple[Any, Any]:
    """(colours, alpha) of a tile as it is encoded, so that the least work encodes the same."""
    from tiler import fast, grid
    from tiler.locate import Request
    from tiler.paint import paint
    from tiler.style import style

    chosen = style(source, header)
    pixels = fast.read(header, Request(grid.tile(*address).bounds, 256, chosen.bidx))
    assert pixels is not None
    return paint(pixels, header, chosen)


def _paired(
    variants: dict[str, Callable[[tuple[int, int, int]], None]],
    wanted: list[tuple[int, int, int]],
) -> dict[str, list[float]]:
    """CPU seconds a tile of each variant, in turn, five rounds after a warm-up."""
    spent: dict[str, list[float]] = {who: [] for who in variants}
    for turn in range(6):
        for who, function in variants.items():
            started = time.process_time()
            for address in wanted:
                function(address)
            if turn:
                spent[who].append((time.process_time() - started) / len(wanted))
    return spent


if __name__ == "__main__":
    main()

"""Tiles over HTTP against vanilla TiTiler, and CPU a tile against the least work possible.

    python bench/tile.py [--seconds 3] [--rounds 3] [--size 4096] [--formats png,jpg,webp]
                         [--clients 1,16]

One server process a variant, one worker each, the same GDAL settings and files, keep-alive
connections; the variants take turns within each round and every ratio is the median of the rounds'
ratios, of throughput and of the latencies p50 and p99 (how many times shorter ours are). Ours
resolves the asset, checks the query, stretches by statistics and resamples bilinearly; TiTiler
resamples with its default, nearest, and is given `rescale` where it would not know one.

`outside` and `unchanged` are answers that a map asks for most: TiTiler refuses the first with 404
and draws the second again, since it knows no ETag. `rotated` is not read by the
fast path of the tiler. At the end the answers of `/livez`'s like while 32 clients ask for tiles:
how many times longer they take than on an idle server. Needs `wrk`.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",
    "GDAL_CACHEMAX": "256",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}
os.environ.update(SETTINGS)

from tile_cpu import cpu, ndvi_cpu  # noqa: E402  (GDAL's settings come first)
from tile_data import CASES, Case, make_cogs, tiles  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--formats", default="png,jpg")
    parser.add_argument("--clients", default="1,16")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("bench/tile.py needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="opstac-bench-") as folder:
        data = Path(folder)
        make_cogs(data, options.size)
        clients = [int(number) for number in options.clients.split(",")]
        figures = {
            "http": http(
                data, options.seconds, options.rounds, options.formats.split(","), clients
            ),
            "livez": livez(data, options.seconds),
            "cpu": cpu(data),
            "ndvi": ndvi_cpu(data),
        }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


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


def our_app(pool: Any = None) -> Any:
    """Ours, with item ids that name a file of the bench folder."""
    from starlette.responses import Response
    from starlette.routing import Route

    from tiler.app import create_app
    from tiler.source import AssetSource

    folder = os.environ["OPSTAC_BENCH_FOLDER"]

    async def resolve(request: Any, item_id: str, key: str | None, profile: str | None) -> Any:
        return AssetSource(path=f"{folder}/{item_id}.tif", version="bench")

    async def idle(request: Any) -> Any:
        return Response(b"ok")

    async def rss(request: Any) -> Any:
        return Response(Path("/proc/self/statm").read_text().split()[1])

    app = create_app(resolve, pool=pool)
    app.router.routes += [Route("/idle", idle), Route("/rss", rss)]
    return app


def apart_app() -> Any:
    """Ours as it is served: what draws is a process of its own."""
    from ops_gateway.worker.supervisor import Supervisor
    from tiler.drawing import DrawingPool

    pool = DrawingPool()
    app = our_app(pool)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        async with pool.listening() as address:
            options = json.dumps({"memory_bytes": 256 << 20})
            argv = [sys.executable, "-m", "tiler.drawing", address, options]
            async with Supervisor(argv, what="the drawing process", stop_seconds=1):
                yield
                pool.close()

    app.router.lifespan_context = lifespan
    return app


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


def http(
    folder: Path, seconds: int, rounds: int, formats: list[str], clients: list[int]
) -> list[dict[str, Any]]:
    """Throughput, p50 and p99 as ratios, for each case, format and number of clients."""
    rows = []
    with server("vanilla_app", folder) as theirs, server("our_app", folder) as ours:
        title = f"{'case':44} {'format':6} {'clients':>7} {'theirs/s':>9} {'ours/s':>8}"
        print(f"{title} {'rate':>7} {'p50':>7} {'p99':>7}  spread")
        for case in CASES:
            for image_format in formats:
                for connections in clients:
                    row = _compared(
                        folder, case, image_format, connections, theirs, ours, seconds, rounds
                    )
                    rows.append(row)
    return rows


def _compared(
    folder: Path,
    case: Case,
    image_format: str,
    connections: int,
    theirs: int,
    ours: int,
    seconds: int,
    rounds: int,
) -> dict[str, Any]:
    wanted = tiles(folder / f"{case.file}.tif", case.zoom_out, case.where)
    assert wanted, case.title
    paths = {
        "theirs": [_their_path(folder, case, t, image_format) for t in wanted],
        "ours": [_our_path(case, t, image_format) for t in wanted],
    }
    if case.where == "within" and not case.expression:
        # as PNG: what is masked is black in their JPEG and white in ours
        theirs_png, ours_png = (
            _their_path(folder, case, wanted[0], "png"),
            _our_path(case, wanted[0], "png"),
        )
        check(theirs, theirs_png, ours, ours_png)
    tags = _tags(ours, paths["ours"]) if case.unchanged else None
    measured: dict[str, list[Load]] = {"theirs": [], "ours": []}
    for _ in range(rounds):
        for who, port in (("theirs", theirs), ("ours", ours)):
            sent = tags if who == "ours" else None
            refused_is_fine = case.where == "outside" and who == "theirs"
            measured[who].append(
                load(port, paths[who], seconds, connections, folder, sent, refused_is_fine)
            )
    if not all(one.rate for one in measured["theirs"]):
        raise SystemExit(f"{case.title}: no answer within {seconds} s; give more --seconds")
    pairs = list(zip(measured["ours"], measured["theirs"], strict=True))
    rates = [mine.rate / other.rate for mine, other in pairs]
    row = {
        "case": case.title,
        "format": image_format,
        "clients": connections,
        "titiler": statistics.median(one.rate for one in measured["theirs"]),
        "ours": statistics.median(one.rate for one in measured["ours"]),
        "ratio": statistics.median(rates),
        "p50": statistics.median(other.p50 / mine.p50 for mine, other in pairs),
        "p99": statistics.median(other.p99 / mine.p99 for mine, other in pairs),
    }
    print(
        f"{case.title:44} {image_format:6} {connections:7} {row['titiler']:9.1f} "
        f"{row['ours']:8.1f} {row['ratio']:6.1f}x {row['p50']:6.1f}x {row['p99']:6.1f}x  "
        f"{min(rates):.1f}-{max(rates):.1f}",
        flush=True,
    )
    return row


def _zxy(address: tuple[int, int, int]) -> str:
    return "/".join(map(str, address))


def _their_path(folder: Path, case: Case, address: tuple[int, int, int], image_format: str) -> str:
    chosen = "&bidx=1&bidx=2&bidx=3"
    if case.expression:
        chosen = f"&expression={urllib.parse.quote(case.expression)}&rescale=-0.2,0.6"
    elif "u16" in case.file:
        chosen += "&rescale=600,3000"
    query = f"url={folder}/{case.file}.tif&tilesize=256{chosen}"
    return f"/tiles/WebMercatorQuad/{_zxy(address)}.{image_format}?{query}"


def _our_path(case: Case, address: tuple[int, int, int], image_format: str) -> str:
    query = ""
    if case.expression:
        query = f"?expression={urllib.parse.quote(case.expression)}&rescale=-0.2,0.6"
    return f"/api/v1/items/{case.file}/tiles/{_zxy(address)}.{image_format}{query}"


def _tags(port: int, paths: list[str]) -> list[str]:
    """The ETag of each answer."""
    return [
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").headers["ETag"] for path in paths
    ]


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


@dataclass(frozen=True)
class Load:
    """What wrk saw: answers a second, and latencies in seconds."""

    rate: float
    p50: float
    p99: float


def load(
    port: int,
    paths: list[str],
    seconds: int,
    connections: int,
    folder: Path,
    tags: list[str] | None = None,
    refused_is_fine: bool = False,
) -> Load:
    """A run of wrk. Raises: SystemExit: an answer was neither 2xx nor 304."""
    script = folder / "load.lua"
    listed = ",".join(f"'{path}'" for path in paths)
    sent = ",".join(f"'{tag}'" for tag in tags or ())
    script.write_text(
        f"local p={{{listed}}}\nlocal e={{{sent}}}\nlocal i=0\n"
        "request=function() i=i+1; local n=(i%#p)+1\n"
        " if #e>0 then return wrk.format('GET',p[n],{['If-None-Match']=e[n]}) end\n"
        " return wrk.format('GET',p[n]) end\n"
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    out = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True
    ).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if bad and not refused_is_fine:
        raise SystemExit(f"{bad[1]} answers were errors: {paths[0]}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert rate, out
    return Load(float(rate[1]), _percentile(out, 50), _percentile(out, 99))


def _percentile(out: str, percent: int) -> float:
    found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s|m)\b", out)
    assert found, out
    return float(found[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[found[2]]


def livez(folder: Path, seconds: int) -> dict[str, float]:
    """How much longer an answer without work takes while 32 clients ask for tiles, 10 times more
    than there are threads; and what becomes of memory and of who asks too much.
    """
    case = CASES[3]
    wanted = tiles(folder / f"{case.file}.tif", case.zoom_out)
    paths = [_our_path(case, address, "png") for address in wanted]
    with server("our_app", folder) as port:
        load(port, paths, 1, 32, folder)
        idle = load(port, ["/idle"], seconds, 1, folder)
        before = _rss(port)
        busy = subprocess.Popen(
            ["wrk", "-t1", "-c32", f"-d{seconds + 2}s", "-s", str(_script(folder, paths)),
             f"http://127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(0.5)
        loaded = load(port, ["/idle"], seconds, 1, folder)
        busy.wait()
        grown = _rss(port) / before
    row = {"p50": loaded.p50 / idle.p50, "p99": loaded.p99 / idle.p99, "rss": grown}
    print(
        f"\nan answer without work, while 32 clients ask for tiles: p50 {row['p50']:.1f}x, "
        f"p99 {row['p99']:.1f}x of an idle server's; memory {grown:.2f}x of before"
    )
    return row


def _script(folder: Path, paths: list[str]) -> Path:
    script = folder / "busy.lua"
    listed = ",".join(f"'{path}'" for path in paths)
    script.write_text(
        f"local p={{{listed}}}\nlocal i=0\n"
        "request=function() i=i+1; return wrk.format('GET',p[(i%#p)+1]) end\n"
    )
    return script


def _rss(port: int) -> float:
    return float(urllib.request.urlopen(f"http://127.0.0.1:{port}/rss").read())


if __name__ == "__main__":
    main()

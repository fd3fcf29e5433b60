"""Rasters of other hosts: which are opened, and what a bad host can do."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from ops_gateway.kernel.errors import Forbidden, Invalid, OpError, Unavailable
from ops_gateway.providers import remote as module
from ops_gateway.providers.addresses import parse_allowances
from ops_gateway.providers.remote import RemoteFiles, parse_hosts
from raster import remote as mounted_files
from raster.errors import RasterError
from raster.reader import open_guarded
from tiler import render
from tiler.errors import TileError
from tiler.pool import TilePool
from tiler.source import AssetSource

HOST = "files.example.org"


class Host:
    """A file server on the loopback address whose manners can be changed."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.etag: str | None = '"one"'
        self.mode = "good"
        self.asked: list[str] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/scene.tif"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, call: BaseHTTPRequestHandler) -> None:
        asked = call.headers["Range"]
        self.asked.append(asked)
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        assert match is not None and call.headers["Host"] == f"{HOST}:{self.port}"
        start, last = int(match[1]), min(int(match[2]), len(self.body) - 1)
        data, size, status = self.body[start : last + 1], len(self.body), 206
        headers = {"Content-Range": f"bytes {start}-{last}/{size}"}
        match self.mode:
            case "redirect":
                status, data = 302, b""
                headers = {"Location": "http://169.254.169.254/latest/meta-data/"}
            case "whole":
                status, data, headers = 200, self.body, {}
            case "missing":
                status, data, headers = 404, b"no", {}
            case "another range":
                headers["Content-Range"] = f"bytes {start + 1}-{last + 1}/{size}"
            case "endless size":
                headers["Content-Range"] = f"bytes {start}-{last}/{10**18}"
            case "compressed":
                headers["Content-Encoding"] = "gzip"
            case "short":
                data = data[:-10]
            case "more":
                data += b"more"
            case "no range said":
                headers = {}
        if self.etag is not None:
            headers["ETag"] = self.etag
        call.send_response(status)
        for name, value in headers.items():
            call.send_header(name, value)
        if self.mode == "drip":
            call.send_header("Content-Length", str(len(data)))
            call.end_headers()
            for byte in data[:200]:
                call.wfile.write(bytes((byte,)))
                time.sleep(0.02)
            return
        if self.mode == "more":  # without a length, until the connection ends
            call.send_header("Connection", "close")
            call.close_connection = True
        else:
            call.send_header("Content-Length", str(len(data)))
        call.end_headers()
        call.wfile.write(data)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A COG of half a megabyte, more than its first blocks."""
    path = tmp_path_factory.mktemp("remote") / "scene.tif"
    noise = np.random.default_rng(1).integers(1, 255, (3, 512, 512)).astype(np.uint8)
    profile = {
        "driver": "GTiff", "width": 512, "height": 512, "count": 3, "dtype": "uint8",
        "crs": "EPSG:3857", "transform": from_origin(0, 512, 1, 1), "tiled": True,
        "blockxsize": 128, "blockysize": 128, "compress": "deflate",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as out:
        out.write(noise)
        for band in (1, 2, 3):
            out.update_tags(
                band, STATISTICS_MINIMUM=0, STATISTICS_MAXIMUM=255, STATISTICS_MEAN=128,
                STATISTICS_STDDEV=80,
            )  # fmt: skip
    return path.read_bytes()


@pytest.fixture
def host(scene: bytes) -> Iterator[Host]:
    host = Host(scene)
    yield host
    host.close()


def opener(port: int, *addresses: str, allow: bool = True, **options) -> RemoteFiles:
    """Files of HOST, which is at `addresses`; the loopback address is trusted at `port`."""
    places = list(addresses or ("127.0.0.1",))

    async def resolve(name: str, _: int) -> list[str]:
        return places

    allowances = parse_allowances(f"127.0.0.1/32:{port}" if allow else "")
    return RemoteFiles([HOST], allow=allowances, resolver=resolve, **options)


async def drawn(path: str, version: str) -> bytes:
    pool = TilePool(1)
    source = AssetSource(path=path, version=version)
    try:
        return await pool.run(render.render_tile, source, 17, 65536, 65535, format="png")
    finally:
        pool.close()


async def test_a_tile_of_a_remote_file_is_that_of_a_local_one(
    host: Host, scene: bytes, tmp_path: Path
) -> None:
    files = opener(host.port)
    file = await files.open(host.url)
    far = await drawn(file.path, file.version)
    local = tmp_path / "scene.tif"
    local.write_bytes(scene)
    assert far == await drawn(str(local), "1")
    asked = len(host.asked)
    assert await drawn(file.path, file.version) == far
    assert await files.open(host.url) == file
    assert len(host.asked) == asked  # nothing is fetched twice
    files.close()


async def test_nothing_is_open_after_it_was_forgotten(host: Host) -> None:
    files = opener(host.port)
    file = await files.open(host.url)
    files.close()
    with pytest.raises(RasterError):
        open_guarded(file.path)


async def test_another_version_of_the_file_is_another_file(host: Host, scene: bytes) -> None:
    files = opener(host.port, fresh_seconds=0)
    before = await files.open(host.url)
    assert (await files.open(host.url)) == before
    host.etag = '"two"'
    after = await files.open(host.url)
    assert after.version != before.version and after.path != before.path
    host.etag = None  # without a word of the host its first bytes tell
    unsaid = await files.open(host.url)
    host.body = scene[:-1] + b"\0"
    assert (await files.open(host.url)).version == unsaid.version
    host.body = scene[:4000] + bytes(96) + scene[4096:]
    assert (await files.open(host.url)).version != unsaid.version
    files.close()


async def test_pixels_of_two_versions_are_never_mixed(host: Host) -> None:
    files = opener(host.port)
    file = await files.open(host.url)
    host.etag = '"two"'
    with pytest.raises(TileError) as refused:
        await drawn(file.path, file.version)
    assert refused.value.status == 503 and "changed" in refused.value.detail
    again = await files.open(host.url)  # it is looked at anew at once
    assert again.version != file.version
    assert await drawn(again.path, again.version)
    files.close()


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("redirect", "redirects"),
        ("whole", "ranges"),
        ("missing", "404"),
        ("another range", "another range"),
        ("endless size", "10 GiB"),
        ("compressed", "compressed"),
        ("no range said", "which range"),
        ("more", "more than was asked for"),
    ],
)
async def test_a_host_with_bad_manners_is_refused(host: Host, mode: str, said: str) -> None:
    files = opener(host.port)
    host.mode = mode
    for _ in range(3):
        with pytest.raises(Invalid, match=said):
            await files.open(host.url)
    assert len(host.asked) == 1  # a map does not ask a bad host again for each of its tiles
    files.close()


@pytest.mark.parametrize("mode", ["redirect", "missing", "another range", "short", "more"])
async def test_manners_that_change_later_spoil_no_pixel(host: Host, mode: str) -> None:
    files = opener(host.port)
    file = await files.open(host.url)
    host.mode = mode
    with pytest.raises(TileError) as refused:
        await drawn(file.path, file.version)
    assert refused.value.status in (422, 503)
    host.mode = "good"
    assert await drawn(file.path, file.version)
    files.close()


async def test_a_slow_host_is_given_up(host: Host) -> None:
    files = opener(host.port, fetch_seconds=0.3)
    host.mode = "drip"
    with pytest.raises(Unavailable):
        await files.open(host.url)
    files.close()


async def test_a_host_that_becomes_slow_is_given_up(host: Host) -> None:
    files = opener(host.port, fetch_seconds=0.3)
    file = await files.open(host.url)
    host.mode = "drip"
    with pytest.raises(TileError) as refused:
        await drawn(file.path, file.version)
    assert refused.value.status == 503 and "host" in refused.value.detail
    files.close()


async def test_one_picture_does_not_fetch_without_end(host: Host, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_WORK_BYTES", 100_000)
    files = opener(host.port)
    file = await files.open(host.url)
    with pytest.raises(TileError, match="MiB"):
        await drawn(file.path, file.version)
    files.close()


@pytest.mark.parametrize(
    "body",
    [
        b"<VRTDataset rasterXSize='1' rasterYSize='1'><SourceFilename>/etc/passwd"
        b"</SourceFilename></VRTDataset>",
        b"PK\x03\x04 a zip",
        b"II*\0\xff\xff\xff\x7f" + bytes(100),
        b"<GDAL_WMS><Service name='TMS'/></GDAL_WMS>",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
    ids=["vrt", "zip", "damaged", "wms", "png"],
)
async def test_only_geotiffs_are_read(host: Host, body: bytes) -> None:
    host.body = body
    files = opener(host.port)
    file = await files.open(host.url)
    with pytest.raises(TileError) as refused:
        await drawn(file.path, file.version)
    assert refused.value.status == 422
    files.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.org/a.tif",
        "https://example.org/a.tif",
        "https://files.example.org.evil.test/a.tif",
        "https://evil.test/files.example.org",
        "https://files.example.org@evil.test/a.tif",
        "https://user:word@files.example.org/a.tif",
        "https://files.example.org\\@evil.test/a.tif",
        "https://127.0.0.1/a.tif",
        "https://[::1]/a.tif",
        "https://2130706433/a.tif",
        "ftp://files.example.org/a.tif",
        "file:///etc/passwd",
        "/etc/passwd",
        "/vsicurl/https://files.example.org/a.tif",
        "/vsizip//vsicurl/https://files.example.org/a.zip/a.tif",
        "/vsimem/a.tif",
        "vrt://https://files.example.org/a.tif",
        "GTIFF_DIR:1:/etc/passwd",
        "https://files.example.org/a.tif\0.tif",
        "https://files.example.org/\ud800",
        "https://" + "a" * 3000,
        "",
    ],
)
async def test_what_is_not_on_the_list_is_not_opened(url: str) -> None:
    files = opener(1)
    with pytest.raises(Forbidden, match="OPSTAC_RASTER_HOSTS"):
        await files.open(url)
    files.close()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "0.0.0.0", "::1", "::ffff:127.0.0.1",
     "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1", "fd00::1", "224.0.0.1"],
)  # fmt: skip
async def test_a_listed_name_that_leads_inside_is_not_followed(address: str) -> None:
    files = opener(1, "93.184.216.34", address, allow=False)
    with pytest.raises(Forbidden, match="public"):
        await files.open(f"https://{HOST}/a.tif")
    files.close()


async def test_only_https_and_its_ports() -> None:
    for url in (f"http://{HOST}/a.tif", f"https://{HOST}:22/a.tif"):
        files = opener(1, "93.184.216.34", allow=False)
        with pytest.raises(Forbidden):
            await files.open(url)
        files.close()


async def test_a_name_that_changes_its_address_leads_nowhere_else(host: Host) -> None:
    answers = [["127.0.0.1"], ["169.254.169.254"], ["169.254.169.254"]]
    asked = []

    async def rebinding(name: str, port: int) -> list[str]:
        asked.append(name)
        return answers[len(asked) - 1]

    allow = parse_allowances(f"127.0.0.1/32:{host.port}")
    files = RemoteFiles([HOST], allow=allow, resolver=rebinding)
    file = await files.open(host.url)
    assert await drawn(file.path, file.version)  # more connections, the same address
    assert asked == [HOST]
    files._stale(host.url)
    with pytest.raises(Forbidden):
        await files.open(host.url)
    files.close()


async def test_many_who_ask_at_once_make_one_request(host: Host) -> None:
    files = opener(host.port)
    found = await asyncio.gather(*(files.open(host.url) for _ in range(20)))
    assert len(set(found)) == 1 and len(host.asked) == 1
    leaving = asyncio.create_task(files.open(host.url))
    leaving.cancel()
    assert await files.open(host.url) == found[0]
    files.close()


async def test_a_host_that_is_not_there(host: Host) -> None:
    files = opener(host.port)
    host.close()
    with pytest.raises(OpError) as refused:
        await files.open(host.url)
    assert refused.value.status == 503 and "Retry-After" in refused.value.headers
    files.close()


async def test_the_block_cache_is_bounded(host: Host, monkeypatch) -> None:
    monkeypatch.setattr(mounted_files._blocks, "limit", 200_000)
    files = opener(host.port)
    file = await files.open(host.url)
    with open_guarded(file.path) as dataset:
        dataset.read()
    assert mounted_files._blocks.used <= 200_000
    files.close()


def test_the_list_of_hosts() -> None:
    assert parse_hosts(" Data.Example.org., *.tiles.example ,minio,") == (
        "data.example.org", "*.tiles.example", "minio",
    )  # fmt: skip
    for bad in ("https://a.example", "a.example/path", "a.*.example", "*", "10.0.0.1", "a b"):
        with pytest.raises(ValueError, match="host name"):
            parse_hosts(bad)
    files = RemoteFiles(parse_hosts("*.tiles.example"))
    assert files.covers("https://a.tiles.example/x") and files.covers("https://a.b.tiles.example/x")
    assert not files.covers("https://tiles.example/x")
    assert not files.covers("https://eviltiles.example/x")
    files.close()

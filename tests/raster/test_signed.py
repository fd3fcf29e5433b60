"""Files read by signed links: what a store answers is taken only where it is what was asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.errors import RasterioError

from raster import counting, signed
from raster.errors import RasterError
from raster.reader import open_guarded
from raster.remote import BLOCK_BYTES

# status, Content-Range, bytes
Answered = tuple[int, str, bytes]
Change = Callable[[int, int, Answered], Answered]


@pytest.fixture
def content(tmp_path: Any) -> bytes:
    """A GeoTIFF of several blocks, its directory in the first."""
    path = tmp_path / "a.tif"
    place = {"crs": "EPSG:4326", "transform": Affine(0.1, 0, 0, 0, -0.1, 0)}
    options = {"width": 512, "height": 512, "count": 1, "dtype": "uint8", **place}
    with rasterio.open(path, "w", driver="GTiff", **options) as file:
        file.write(np.arange(512 * 512, dtype="uint8").reshape(1, 512, 512))
    found = path.read_bytes()
    assert len(found) > 3 * BLOCK_BYTES and len(found) % BLOCK_BYTES
    return found


@contextmanager
def store(content: bytes, change: Change) -> Iterator[str]:
    """The link of a file in a store that answers `change(start, end, what it should)`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            end = min(end + 1, len(content))
            said = f"bytes {start}-{end - 1}/{len(content)}"
            status, said, data = change(start, end, (206, said, content[start:end]))
            self.send_response(status)
            self.send_header("Content-Range", said)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a.tif"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def read(link: str) -> tuple[bool, str | None]:
    """Whether GDAL got all pixels, and what failed."""
    with signed.SignedFiles({"a": link}) as files:
        try:
            with open_guarded(files.paths["a"]) as file:
                file.read()
        except (RasterioError, RasterError):
            return False, files.failed
        return True, files.failed


def test_what_was_asked_for_is_read_and_counted(content: bytes) -> None:
    sent: list[int] = []

    def note(start: int, end: int, good: Answered) -> Answered:
        sent.append(len(good[2]))
        return good

    before = counting.fetched()
    with store(content, note) as link:
        assert read(link) == (True, None)
    assert counting.fetched() - before == sum(sent) >= len(content)


CHANGES: dict[str, Change] = {
    "fewer bytes": lambda start, end, good: (206, good[1], good[2][:-1]),
    "more bytes": lambda start, end, good: (206, good[1], good[2] + b"x"),
    "another range": lambda start, end, good: (
        206, good[1].replace(f"bytes {start}-", f"bytes {start + 1}-"), good[2]
    ),
    "another size": lambda start, end, good: (206, good[1] + "0", good[2]),
    "no range": lambda start, end, good: (206, "", good[2]),
    "not satisfiable, as long as a good one": lambda start, end, good: (416, good[1], good[2]),
    "the whole file": lambda start, end, good: (200, good[1], good[2]),
}  # fmt: skip


@pytest.mark.parametrize("late", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("name", CHANGES)
def test_any_other_answer_fails_the_run(content: bytes, name: str, late: bool) -> None:
    def change(start: int, end: int, good: Answered) -> Answered:
        return CHANGES[name](start, end, good) if late is (start > 0) else good

    with store(content, change) as link:
        whole, failed = read(link)
    assert not whole
    first_of_no_range = not late and name in ("no range", "not satisfiable, as long as a good one")
    assert first_of_no_range or failed is not None

"""`/storage`: what a signed URL allows over HTTP, to honest clients and others."""

import socket
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from urllib.parse import quote

import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from db.objects import Objects
from db.signing import Grant
from ops_gateway.kernel.errors import OpError
from ops_gateway.surfaces.edge import problem_response
from ops_gateway.surfaces.storage import storage_routes, storage_url

KEY = b"a key of thirty-two bytes or more"
PATH = "org_1/up_1/file.tif"
LATER = 4_000_000_000


async def refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, OpError)
    return problem_response(error)


class Site:
    """The routes on a real server: what a parser makes of a request is part of the test."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.closed: set[str] = set()
        routes = storage_routes(objects, [KEY], may_write=self.may_write)
        app = Starlette(routes=routes, exception_handlers={OpError: refuse})
        app.router.redirect_slashes = False  # as in the gateway
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))

    async def may_write(self, path: str) -> bool:
        return path not in self.closed

    def url(self, action: str = "put", path: str = PATH, **changes) -> str:
        limit = {"max_bytes": 1000} if action == "put" else {}
        grant = Grant(**{"action": action, "path": path, "expires_at": LATER, **limit, **changes})
        return storage_url(f"http://127.0.0.1:{self.port}", grant, KEY)

    def raw(
        self, method: str, url: str, headers: str, body: bytes = b"", close: bool = False
    ) -> str:
        """Send bytes as they are; gives the status line, or "" where none came."""
        target = url.removeprefix(f"http://127.0.0.1:{self.port}")
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
            connection.sendall(head.encode() + body)
            if close:
                return ""
            return connection.makefile("rb").readline().decode().strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(Objects(tmp_path_factory.mktemp("objects")))
    thread = threading.Thread(target=made.server.run, args=([made.listener],))
    thread.start()
    while not made.server.started:
        time.sleep(0.01)
    yield made
    made.server.should_exit = True
    thread.join()
    made.listener.close()


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    for file in [*site.objects.parts.folder.rglob("*.part")]:
        file.unlink()
    await site.objects.delete(PATH)
    site.closed.clear()
    async with httpx.AsyncClient() as client:
        yield client


def is_problem(response: httpx.Response, status: int) -> bool:
    body = response.json()
    assert response.status_code == status == body["status"], response.text
    assert response.headers["content-type"] == "application/problem+json"
    return isinstance(body["title"], str) and isinstance(body["detail"], str)


async def test_put_then_get(site: Site, http: httpx.AsyncClient):
    put = await http.put(site.url(), content=b"0123456789", headers={"Content-Type": "image/tiff"})
    assert put.status_code == 201 and put.headers["upload-offset"] == "10"
    assert put.headers["upload-complete"] == "?1"
    url = site.url("get", file_name="Höhe 1.tif", media_type="image/tiff")
    got = await http.get(url)
    assert (got.status_code, got.content) == (200, b"0123456789")
    assert got.headers["content-type"] == "image/tiff" and got.headers["content-length"] == "10"
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["content-disposition"] == (
        "attachment; filename=\"H_he 1.tif\"; filename*=UTF-8''H%C3%B6he%201.tif"
    )
    head = await http.head(url)
    assert head.status_code == 200 and head.headers["content-length"] == "10"
    same = await http.get(url, headers={"If-None-Match": f'"x", {got.headers["etag"]}'})
    assert same.status_code == 304 and same.content == b""


@pytest.mark.parametrize(
    ("header", "status", "content"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=8-", 206, b"89"),
        ("bytes=8-999999", 206, b"89"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-999", 206, b"0123456789"),
        ("bytes=10-", 416, None),
        ("bytes=999999999999-", 416, None),
        ("bytes=-0", 416, None),
        # what may be ignored, is
        ("bytes=5-3", 200, b"0123456789"),
        ("bytes=0-1,4-5", 200, b"0123456789"),
        ("bytes=" + ",".join(["0-"] * 5000), 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
        ("bytes=a-b", 200, b"0123456789"),
        ("bytes=" + "9" * 50 + "-", 200, b"0123456789"),
        ("pixels=0-3", 200, b"0123456789"),
    ],
)
async def test_ranges(site: Site, http: httpx.AsyncClient, header: str, status: int, content):
    await site.objects.put(PATH, b"0123456789")
    got = await http.get(site.url("get"), headers={"Range": header})
    assert got.status_code == status
    if status == 416:
        assert is_problem(got, 416) and got.headers["content-range"] == "bytes */10"
    else:
        assert got.content == content
    if status == 206:
        begin = b"0123456789".index(content)
        assert got.headers["content-range"] == f"bytes {begin}-{begin + len(content) - 1}/10"


async def test_a_range_of_another_version_is_the_whole_of_this_one(site, http):
    await site.objects.put(PATH, b"0123456789")
    etag = (await http.head(site.url("get"))).headers["etag"]
    for tag, status in ((etag, 206), ('"other"', 200)):
        got = await http.get(site.url("get"), headers={"Range": "bytes=0-1", "If-Range": tag})
        assert got.status_code == status


async def test_an_upload_goes_on_where_it_stopped(site: Site, http: httpx.AsyncClient):
    url = site.url()
    none = await http.head(url)
    assert none.status_code == 200 and none.headers["upload-offset"] == "0"
    first = await http.put(url, content=b"0123", headers={"Content-Range": "bytes 0-3/10"})
    assert first.status_code == 200 and first.headers["upload-complete"] == "?0"
    assert is_problem(await http.get(site.url("get")), 404)
    wrong = await http.put(url, content=b"6789", headers={"Content-Range": "bytes 6-9/10"})
    assert is_problem(wrong, 409) and wrong.headers["upload-offset"] == "4"
    assert (await http.head(url)).headers["upload-offset"] == "4"
    middle = await http.put(url, content=b"45", headers={"Content-Range": "bytes 4-5/*"})
    assert middle.status_code == 200 and middle.headers["upload-offset"] == "6"
    last = await http.put(url, content=b"6789", headers={"Content-Range": "bytes 6-9/10"})
    assert last.status_code == 201
    assert (await http.get(site.url("get"))).content == b"0123456789"
    assert (await http.head(url)).headers["upload-complete"] == "?1"


async def test_a_cut_connection_keeps_what_came(site: Site, http: httpx.AsyncClient):
    url = site.url()
    site.raw("PUT", url, "Content-Length: 10\r\n", b"0123", close=True)
    for _ in range(100):
        offset = (await http.head(url)).headers["upload-offset"]
        if offset == "4":
            break
        time.sleep(0.02)
    assert offset == "4"
    for _ in range(100):
        rest = await http.put(url, content=b"456789", headers={"Content-Range": "bytes 4-9/10"})
        if rest.status_code != 409:
            break
        # the first request has not let go yet, and says so
        assert rest.headers["retry-after"] == "1"
        time.sleep(0.02)
    assert rest.status_code == 201
    assert await site.objects.get(PATH) == b"0123456789"


async def test_a_client_that_falls_silent_lets_go(site: Site, http, monkeypatch):
    monkeypatch.setattr("ops_gateway.surfaces.storage.SILENCE_SECONDS", 0.2)
    line = site.raw("PUT", site.url(), "Content-Length: 10\r\n", b"0123")
    assert line.split(" ")[1] == "408"
    rest = await http.put(site.url(), content=b"456789", headers={"Content-Range": "bytes 4-9/10"})
    assert rest.status_code == 201


async def test_a_chunked_body_is_counted(site: Site, http: httpx.AsyncClient):
    async def body(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 100):
            yield bytes(100)

    assert (await http.put(site.url(), content=body(1000))).status_code == 201
    assert is_problem(await http.put(site.url(), content=body(1100)), 413)
    ranged = {"Content-Range": "bytes 0-199/900"}
    assert is_problem(await http.put(site.url(), content=body(300), headers=ranged), 413)
    assert is_problem(await http.put(site.url(), content=body(100), headers=ranged), 400)
    assert len(await site.objects.get(PATH)) == 1000


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Content-Length: 1001\r\n", 413),
        ("Content-Length: 999999999999999999\r\n", 413),
        ("Content-Length: -5\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: " + "9" * 40 + "\r\n", 400),
        ("Content-Length: 5\r\nContent-Range: bytes 0-9/10\r\n", 400),
        ("Content-Length: 5\r\nContent-Range: bytes 4-0/10\r\n", 400),
        ("Content-Length: 5\r\nContent-Range: bytes 0-4/4\r\n", 400),
        ("Content-Length: 5\r\nContent-Range: bytes 0-4/2000\r\n", 413),
        ("Content-Length: 5\r\nContent-Range: bytes 5000-5004/*\r\n", 413),
        ("Content-Length: 5\r\nContent-Range: bytes 0-4/" + "9" * 30 + "\r\n", 400),
        ("Content-Length: 5\r\nContent-Range: bytes 0-4/" + "9" * 18 + "\r\n", 413),
        ("Content-Length: 5\r\nContent-Range: bytes */10\r\n", 400),
        ("Content-Length: 5\r\nContent-Range: lines 0-4/5\r\n", 400),
        ("Content-Length: 5\r\nContent-Range: \r\n", 400),
        ("Content-Length: 5\r\nContent-Encoding: gzip\r\n", 415),
        ("Content-Length: 5\r\nx-checksum-sha256: nonsense\r\n", 400),
        ("Content-Length: 5\r\nContent-Digest: sha-256=:" + "=" * 44 + ":\r\n", 400),
        ("Content-Length: 5\r\nx-checksum-sha256: " + "0" * 64 + "\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", 400),
    ],
)
async def test_what_contradicts_itself_is_refused(site: Site, http, headers: str, status: int):
    body = b"nonsense\r\n" if "chunked" in headers else b"01234"
    line = site.raw("PUT", site.url(), headers, body)
    assert line.split(" ")[1:2] == [str(status)], line
    assert await site.objects.head(PATH) is None
    assert (await http.head(site.url())).headers["upload-offset"] == "0"


@pytest.mark.parametrize("name", ["Content-Digest", "x-checksum-sha256"])
async def test_a_right_digest_is_accepted(site: Site, http: httpx.AsyncClient, name: str):
    digest = sha256(b"01234").digest()
    value = f"sha-256=:{b64encode(digest).decode()}:" if name == "Content-Digest" else digest.hex()
    assert (await http.put(site.url(), content=b"01234", headers={name: value})).status_code == 201


async def test_a_url_is_good_for_its_own_method_object_and_time(site: Site, http):
    await site.objects.put(PATH, b"0123456789")
    assert is_problem(await http.get(site.url("put")), 403)
    assert is_problem(await http.put(site.url("get"), content=b"x"), 403)
    assert is_problem(await http.get(site.url("get").replace("file.tif", "other.tif")), 403)
    assert is_problem(await http.get(site.url("get", expires_at=1)), 403)
    assert is_problem(await http.get(site.url("get").partition("?")[0]), 403)
    assert is_problem(await http.put(site.url(max_bytes=3), content=b"0123"), 413)
    for method in ("POST", "DELETE", "PATCH", "OPTIONS"):
        refused = await http.request(method, site.url())
        assert is_problem(refused, 405) and refused.headers["allow"] == "GET, HEAD, PUT"
    assert await site.objects.get(PATH) == b"0123456789"


async def test_a_finished_upload_is_not_written_again(site: Site, http: httpx.AsyncClient):
    url = site.url()
    assert (await http.put(url, content=b"first")).status_code == 201
    site.closed.add(PATH)
    assert is_problem(await http.put(url, content=b"second"), 409)
    assert await site.objects.get(PATH) == b"first"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(target=st.text(max_size=40), query=st.text(max_size=80))
async def test_no_url_is_a_fault(site: Site, http: httpx.AsyncClient, target: str, query: str):
    try:
        url = httpx.URL(f"http://127.0.0.1:{site.port}").copy_with(
            path=f"/storage/{target}", query=quote(query, safe="&=+%").encode()
        )
    except httpx.InvalidURL:
        return
    assert (await http.get(url)).status_code in (400, 403, 404)

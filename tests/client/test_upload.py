"""Uploads through a real server: cut, killed, refused, and taken up again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from opstac import AsyncClient, Client, OperationError, Unreachable, UploadFailed
from opstac.client import progress, resume
from opstac.journey import PHOTOGRAPH, SAMPLES

SMALL = SAMPLES / "s2-flanders_2021-04_10m.tif"
SIZE = PHOTOGRAPH.stat().st_size
TAKEN = "2019-09-04T17:00:00Z"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where notes of uploads are kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "opstac" / "uploads"


def arrived(home: Path) -> None:
    """Wait until the server has a MiB on its disk: what is only in a socket goes with it."""
    for _ in range(6000):
        if any(part.stat().st_size >= 1 << 20 for part in home.rglob("*.part")):
            return
        time.sleep(0.01)
    raise AssertionError("nothing arrives")


class Cut(httpx.HTTPTransport):
    """A network that breaks each of the first PUTs after some bytes of its body."""

    def __init__(self, *after: int, home: Path | None = None) -> None:
        super().__init__()
        self.home = home
        self.after = list(after)
        self.asked: list[tuple[str, str, str | None]] = []
        self.sent = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = request.headers
        self.asked.append((request.method, request.url.path, headers.get("authorization")))
        if request.method == "PUT":
            limit = self.after.pop(0) if self.after else None
            request.stream = self.counted(request.stream, limit)  # type: ignore[assignment]
        return super().handle_request(request)

    def counted(self, stream: Any, limit: int | None) -> Any:
        transport = self

        class Body(httpx.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                left = limit
                for piece in stream:
                    if left is not None and len(piece) >= left:
                        yield piece[:left]
                        transport.sent += left
                        if transport.home is not None:
                            arrived(transport.home)
                            transport.home = None
                        raise httpx.ReadError("cut")
                    yield piece
                    transport.sent += len(piece)
                    left = None if left is None else left - len(piece)

        return Body()


@pytest.fixture
async def place(live: Any) -> Any:
    """(platform, owner, project)."""
    owner = await live.organization()
    return live, owner, await live.project(owner)


def client_of(live: Any, owner: Any, **options: Any) -> Client:
    return Client(owner.token, str(live.client.base_url), **options)


async def test_a_cut_connection_is_taken_up_where_it_broke(place: Any, state: Path):
    live, owner, project = place
    network, told = Cut(1_500_000, 300_000, home=live.platform.settings.home), []

    def run() -> Any:
        with client_of(live, owner, transport=network) as client:
            client._sleep = lambda seconds: None  # type: ignore[method-assign]
            return client.upload(
                PHOTOGRAPH, project, name="Field", datetime=TAKEN,
                progress=lambda sent, total: told.append((sent, total)),
            )  # fmt: skip

    done = await asyncio.to_thread(run)
    assert done["upload"]["status"] == "completed" and done["items"][0]["name"] == "Field"
    # what the server had was not sent again
    assert SIZE <= network.sent <= SIZE + 1_500_000 - (1 << 20) + 300_000
    assert [method for method, *_ in network.asked].count("PUT") == 3
    assert told[-1] == (SIZE, SIZE) and all(total == SIZE for _, total in told)
    # the signed address got no credential, all else did
    for _, path, credential in network.asked:
        assert (credential is None) == path.startswith("/storage/")
    stored = live.sql("select size_bytes from asset where item_id = %s", done["items"][0]["id"])
    assert {"size_bytes": SIZE} in stored
    assert list(state.iterdir()) == []


KILLED = """
import os, pathlib, signal, sys, time
from opstac import Client

def kill(sent, total):
    if sent >= 1_048_576:
        parts = pathlib.Path(sys.argv[5])
        while not any(part.stat().st_size >= 1_048_576 for part in parts.rglob("*.part")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

Client(sys.argv[1], sys.argv[2]).upload(sys.argv[3], sys.argv[4], name="Killed", progress=kill)
"""


async def test_a_killed_process_is_followed_by_one_that_goes_on(place: Any, state: Path):
    live, owner, project = place
    url = str(live.client.base_url)
    words = [sys.executable, "-P", "-c", KILLED, owner.token, url, str(PHOTOGRAPH), project]
    words.append(str(live.platform.settings.home))
    died = await asyncio.to_thread(subprocess.run, words, env=os.environ, check=False)
    assert died.returncode == -9
    (note,) = state.iterdir()
    assert owner.token not in note.read_text() and "sig=" not in note.read_text()
    assert live.sql("select status from upload where project_id = %s", project) == [
        {"status": "uploading"}
    ]
    network = Cut()

    def run() -> Any:
        with client_of(live, owner, transport=network) as client:
            return client.upload(PHOTOGRAPH, project, name="Killed", datetime=TAKEN)

    done = await asyncio.to_thread(run)
    assert live.sql("select status from upload where project_id = %s", project) == [
        {"status": "completed"}
    ]
    assert done["items"][0]["name"] == "Killed" and network.sent < SIZE
    assert list(state.iterdir()) == []
    # the same again is another upload
    again = await asyncio.to_thread(run)
    assert again["items"][0]["id"] != done["items"][0]["id"]


async def test_what_was_said_wrongly_is_said_again_without_sending(place: Any, state: Path):
    live, owner, project = place
    network = Cut()

    def run(**options: Any) -> Any:
        with client_of(live, owner, transport=network) as client:
            return client.upload([SMALL], project, **options)

    with pytest.raises(OperationError) as caught:
        await asyncio.to_thread(run, datetime="yesterday")
    assert caught.value.status == 422
    sent = network.sent
    done = await asyncio.to_thread(run, datetime="2021-04-01T10:00:00Z")
    assert done["upload"]["status"] == "completed" and network.sent == sent
    assert list(state.iterdir()) == []


async def test_a_completed_session_of_a_killed_process_gives_its_item(place: Any, state: Path):
    live, owner, project = place
    forget = resume.Memory.forget

    def run() -> Any:
        with client_of(live, owner) as client:
            return client.upload(SMALL, project, datetime=TAKEN)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume.Memory, "forget", lambda self: None)  # it died before this
        first = await asyncio.to_thread(run)
    (note,) = state.iterdir()
    second = await asyncio.to_thread(run)
    assert second["items"][0]["id"] == first["items"][0]["id"]
    assert second["assets"][0]["id"] == first["assets"][0]["id"]
    assert not note.exists() and forget is resume.Memory.forget


async def test_several_files_become_one_item_async(place: Any):
    live, owner, project = place
    told: list[tuple[int, int]] = []
    files = [SMALL, SAMPLES / "s2-flanders_2021-07_10m.tif"]
    total = sum(file.stat().st_size for file in files)
    async with AsyncClient(owner.token, str(live.client.base_url)) as client:
        done = await client.upload(
            files, project, datetime="2021-04-01T10:00:00Z", resume=False,
            files=[{"file_name": file.name, "asset_key": f"a{n}"} for n, file in enumerate(files)],
            progress=lambda sent, all_: told.append((sent, all_)),
        )  # fmt: skip
        assert len(done["items"]) == 1 and {a["key"] for a in done["assets"]} == {"a0", "a1"}
        assert told == sorted(told) and told[-1] == (total, total)
        listed = [entry async for entry in client.entries("items.list", {"project_id": project})]
        assert [entry["id"] for entry in listed] == [done["items"][0]["id"]]
        found = [f async for f in client.stream("/assets/stac/search", {"ids": []})]
        assert found == [] or all(f["type"] == "Feature" for f in found)
        streamed = [f async for f in client.stream("/assets/stac/search", {})]
        assert done["items"][0]["stac_id"] in {f["id"] for f in streamed}


async def test_a_refused_file_gives_the_room_back(place: Any, tmp_path: Path, state: Path):
    live, owner, project = place
    (tmp_path / "no.txt").write_text("no raster")
    (tmp_path / "broken.tif").write_bytes(b"II*\0" + bytes(2000))

    def run(name: str) -> Any:
        with client_of(live, owner) as client:
            return client.upload(tmp_path / name, project)

    for name in ("no.txt", "broken.tif"):
        with pytest.raises(OperationError) as caught:
            await asyncio.to_thread(run, name)
        assert caught.value.status == 422
    found = live.sql(
        "select status, count(*) from upload where project_id = %s group by 1", project
    )
    assert found == [{"status": "failed", "count": 2}]


async def test_a_file_that_changes_while_it_is_sent_becomes_no_item(place: Any, tmp_path: Path):
    live, owner, project = place
    file = tmp_path / "f.tif"

    def run(change: Any) -> Any:
        file.write_bytes(PHOTOGRAPH.read_bytes())
        with client_of(live, owner) as client:
            return client.upload(file, project, progress=lambda sent, total: sent and change())

    for change in (
        lambda: os.utime(file, (1, 1)),
        lambda: os.truncate(file, 1_048_576),
    ):
        with pytest.raises(UploadFailed, match="while it was sent"):
            await asyncio.to_thread(run, change)
    found = live.sql("select distinct status from upload where project_id = %s", project)
    assert found == [{"status": "failed"}]


def test_what_cannot_be_sent_is_told_before_anything_is(tmp_path: Path):
    (tmp_path / "empty.tif").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / SMALL.name).write_bytes(b"x")
    with Client("t", "http://127.0.0.1:9", retries=0) as client:
        for paths, error in (
            ([], ValueError),
            (tmp_path / "empty.tif", ValueError),
            (tmp_path / "none.tif", FileNotFoundError),
            (tmp_path, IsADirectoryError),
            ([SMALL, tmp_path / "b" / SMALL.name], ValueError),
        ):
            with pytest.raises(error):
                client.upload(paths, "prj_1")
        with pytest.raises(TypeError, match="no option colour"):
            client.upload(SMALL, "prj_1", colour="red")
        with pytest.raises(Unreachable):
            client.upload(SMALL, "prj_1")


# -- a server that a test plays ------------------------------------------------------------------


class Store:
    """A platform that takes an upload, except where a test says otherwise."""

    def __init__(self, url: str = "https://bucket.example/o?sig=SECRET", **storage: Any) -> None:
        self.url = url
        self.storage = {"HEAD": [], "PUT": [], **storage}
        self.storage_requests: list[httpx.Request] = []
        self.operations: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.startswith("/v1/op/"):
            self.storage_requests.append(request)
            scripted = self.storage[request.method]
            answer = scripted.pop(0) if scripted else None
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                return answer
            return httpx.Response(200 if request.method == "HEAD" else 201)
        op = request.url.path.removeprefix("/v1/op/")
        self.operations.append(op)
        session = {"id": "up_1", "status": "pending", "item_ids": []}
        answers: dict[str, Any] = {
            "uploads.initiate": session,
            "uploads.get": {"upload": session},
            "uploads.signed_url": {"upload_url": self.url, "object_path": "o"},
            "uploads.complete": {"upload": {**session, "status": "completed"}, "items": [1]},
            "uploads.fail": session,
        }
        return httpx.Response(200, json=answers[op])


def test_a_storm_at_the_store_is_weathered(played: Any):
    busy = httpx.Response(409, headers={"Retry-After": "1"})
    full = httpx.Response(503, headers={"Retry-After": "60"})
    wrong = httpx.Response(409, headers={"Upload-Offset": "10"})
    store = Store(
        HEAD=[httpx.ReadTimeout(""), httpx.Response(403), httpx.Response(503)],
        PUT=[busy, full, wrong, httpx.WriteError("cut"), httpx.Response(200)],
    )
    assert played.run(store, lambda c: c.upload(SMALL, "prj_1"))["items"] == [1]
    assert store.operations.count("uploads.initiate") == 1
    assert max(played.slept) >= 60
    assert all("authorization" not in r.headers for r in store.storage_requests)


@pytest.mark.parametrize("status", [402, 410, 413, 415, 422])
def test_a_refusal_of_bytes_ends_the_session(played: Any, status: int):
    store = Store(PUT=[httpx.Response(status, json={"detail": "no"})])
    with pytest.raises(OperationError) as caught:
        played.run(store, lambda c: c.upload(SMALL, "prj_1"))
    assert caught.value.status == status and store.operations[-1] == "uploads.fail"
    assert played.slept == []


def test_a_store_that_is_gone_is_given_up_at_last_and_nothing_is_lost(played: Any, state: Path):
    store = Store(HEAD=[httpx.ConnectError("gone")] * 50)
    with pytest.raises(Unreachable) as caught:
        played.run(store, lambda c: c.upload(SMALL, "prj_1"))
    assert 60 < sum(played.slept) < 300 and "SECRET" not in str(caught.value)
    assert "uploads.fail" not in store.operations and len(list(state.iterdir())) == 1
    played.run(Store(), lambda c: c.upload(SMALL, "prj_1"))
    assert list(state.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://platform.example.org/o?sig=SECRET",
        "file:///etc/passwd",
        "/o",
        "",
        "https://u:p@x/",
        7,
    ],
)
def test_an_address_that_the_server_should_not_give_is_not_used(played: Any, url: Any):
    store = Store(url)
    with pytest.raises(OperationError, match="names no https address") as caught:
        played.run(store, lambda c: c.upload(SMALL, "prj_1"))
    assert store.storage_requests == [] and "SECRET" not in str(caught.value)


def test_a_store_that_redirects_gets_nothing_elsewhere(played: Any):
    store = Store(PUT=[httpx.Response(307, headers={"Location": "https://evil.example/"})])
    with pytest.raises(OperationError, match="redirects to https://evil"):
        played.run(store, lambda c: c.upload(SMALL, "prj_1"))
    assert {r.url.host for r in store.storage_requests} == {"bucket.example"}


def test_a_store_that_lies_about_what_it_has(played: Any):
    more = httpx.Response(200, headers={"Upload-Offset": "9", "Upload-Complete": "?1"})
    with pytest.raises(UploadFailed, match="the server has 9 bytes"):
        played.run(Store(HEAD=[more]), lambda c: c.upload(SMALL, "prj_1"))
    for offset in ("-1", "9" * 30, "x", str(10**15)):
        odd = httpx.Response(200, headers={"Upload-Offset": offset, "Upload-Complete": "?0"})
        store = Store(HEAD=[odd])
        played.run(store, lambda c, store=store: c.upload(SMALL, "prj_1"))
        put = store.storage_requests[-1]
        assert put.headers["content-range"].startswith("bytes 0-")


# -- the bar -------------------------------------------------------------------------------------


def test_the_bar_shows_how_far_it_is_and_ends_its_line():
    out = StringIO()
    bar = progress.Bar("a\x1b[2J.tif", out)
    for sent in range(1001):
        bar(sent, 1000)
    bar.close()
    bar.close()
    text = out.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n") and "100 %" in text
    assert "\x1b[2J" not in text and text.count("\r") < 50
    assert progress.line("f", 250, 1000, 50) == (
        "f  [#######-----------------------]  25 %  50 B/s  15 s left"
    )
    assert progress.line("f", 0, 0, 0).endswith("100 %")
    assert [progress.in_units(n) for n in (999, 12_400_000, 10**17)] == [
        "999 B", "12.4 MB", "100000.0 TB"
    ]  # fmt: skip
    assert [progress.duration(s) for s in (0.2, 59, 120, 7200)] == ["1 s", "59 s", "2 min", "2.0 h"]


def test_a_bar_is_shown_to_people_only(monkeypatch: pytest.MonkeyPatch):
    told = lambda sent, total: None  # noqa: E731
    assert progress.chosen(told, "f") is told
    assert progress.chosen(None, "f") is None and progress.chosen(False, "f") is None
    monkeypatch.setattr(sys, "stderr", None)
    assert progress.chosen(True, "f") is None

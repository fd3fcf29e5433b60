"""Files that come down: as they come, whole or not at all, and by a credential that is renewed."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import pytest

from opstac import OperationError, Unreachable

CLIP = ("clip.job.download", {"job_id": "job_1", "mosaic_type": "data"})
TILE = ("items.tile.render", {"item_id": "it_1", "z": 0, "x": 0, "y": 0})
MIB = 1 << 20


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in pieces, and may break off."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = pieces

    def __iter__(self) -> Any:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            # a new object each time, as from a socket
            yield bytes(piece) if isinstance(piece, int) else piece

    async def __aiter__(self) -> Any:
        for piece in self:
            yield piece


def answer(*pieces: Any, status: int = 200, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(
        status, headers={"Content-Type": "image/tiff", **given}, stream=Body(*pieces)
    )


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_memory_does_not_grow_with_the_file(played, tmp_path: Path):
    def read(client: Any) -> Any:
        if not played.asynchronous:
            return sum(map(len, client.pieces(*TILE)))

        async def all_of_it() -> int:
            return sum([len(piece) async for piece in client.pieces(*TILE)])

        return all_of_it()

    target = tmp_path / "a.tif"
    played.run([answer(MIB)], lambda c: c.download(CLIP[0], target, CLIP[1]))  # imports
    tracemalloc.start()
    try:
        pieces = (MIB,) * 64
        size = played.run([answer(*pieces)], lambda c: c.download("clip.job.download", target, {}))
        seen = played.run([answer(*pieces)], read)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == seen == target.stat().st_size == 64 * MIB
    assert peak < 8 * MIB
    assert left(tmp_path) == ["a.tif"]


def test_a_download_goes_on_where_it_broke(played, tmp_path: Path):
    target = tmp_path / "a.tif"
    answers = [
        answer(b"abc", httpx.ReadError("cut"), etag='"1"', content_length="9"),
        answer(b"def", httpx.ReadError("cut"), status=206, etag='"1"', content_range="bytes 3-8/9"),
        answer(b"ghi", status=206, etag='"1"', content_range="bytes 6-8/9", content_length="3"),
    ]
    told: list[tuple[int, int]] = []
    size = played.run(
        answers,
        lambda c: c.download("/storage/a?sig=x", target, progress=lambda *p: told.append(p)),
    )
    assert (size, target.read_bytes(), told[-1]) == (9, b"abcdefghi", (9, 9))
    asked = [(r.headers.get("range"), r.headers.get("if-range")) for r in played.requests]
    assert asked == [(None, None), ("bytes=3-", '"1"'), ("bytes=6-", '"1"')]


def test_another_file_or_another_picture_begins_anew(played, tmp_path: Path):
    target = tmp_path / "a.tif"
    cut = httpx.ReadError("cut")
    for first, second, what in (
        (answer(b"old", cut, etag='"1"'), answer(b"newer", etag='"2"'), "/a"),  # it was replaced
        (answer(b"old", cut, etag='W/"1"'), answer(b"newer"), "/a"),  # who knows
        (answer(b"old", cut), answer(b"newer"), TILE[0]),
    ):
        played.requests.clear()
        played.run([first, second], lambda c, what=what: c.download(what, target, TILE[1]))
        assert target.read_bytes() == b"newer" and len(played.requests) == 2
    assert played.requests[1].headers.get("range") is None


def test_what_is_not_whole_is_not_there(played, tmp_path: Path):
    target = tmp_path / "a.tif"
    target.write_bytes(b"before")

    def cut(_: httpx.Request) -> httpx.Response:
        return answer(b"half", httpx.ReadError("cut"))

    for server, what, error in (
        (cut, CLIP[0], Unreachable),  # could be done twice: not asked again
        ([404], CLIP[0], OperationError),
        ([httpx.Response(307, headers={"Location": "https://x/"})], "/a", OperationError),
    ):
        played.requests.clear()
        with pytest.raises(error):
            played.run(server, lambda c, what=what: c.download(what, target, {}))
        assert len(played.requests) == 1
    with pytest.raises(Unreachable):
        played.run(cut, lambda c: c.download("/a", target), retries=2)
    assert len(played.requests) == 4
    with pytest.raises(OSError, match="No such file"):
        played.run([200], lambda c: c.download("/a", tmp_path / "no" / "a.tif"))
    assert target.read_bytes() == b"before" and left(tmp_path) == ["a.tif"]


def test_no_credential_follows_a_signed_link(played, tmp_path: Path):
    played.run(
        [answer(b"x")], lambda c: c.download("https://bucket.example/a?sig=S", tmp_path / "a")
    )
    assert "authorization" not in played.requests[0].headers


# -- the credential of a session ----------------------------------------------------------------


def test_a_token_is_asked_for_at_each_request(played):
    tokens = iter(["first", "second", "third"])

    def pages(request: httpx.Request) -> httpx.Response:
        rest = 3 - len(played.requests)
        return httpx.Response(200, json={"projects": [{}] if rest >= 0 else [], "total": 3})

    got = played.run(pages, lambda c: c.entries("projects.list"), token=lambda _: next(tokens))
    sent = [request.headers["authorization"] for request in played.requests]
    assert len(got) == 3 and sent == ["Bearer first", "Bearer second", "Bearer third"]


def test_a_token_that_was_refused_is_renewed_once(played):
    heard: list[str | None] = []

    def source(refused: str | None) -> Any:
        heard.append(refused)
        token = "new" if refused else "old"
        if not played.asynchronous:
            return token

        async def later() -> str:
            await asyncio.sleep(0)
            return token

        return later()

    def server(request: httpx.Request) -> httpx.Response:
        good = request.headers["authorization"] == "Bearer new"
        return httpx.Response(200 if good else 401, json={"status": 401})

    body = {"name": "n"}
    played.run(server, lambda c: c.op("projects.create", body), token=source)
    assert heard == [None, "old"] and len(set(played.keys)) == 1
    with pytest.raises(OperationError):
        played.run([401], lambda c: c.op("projects.list"), token=source)
    assert len(played.requests) == 4  # and no third time
    # elsewhere nobody is asked for one, and where there is none any more it goes without
    played.run([200], lambda c: c.get("https://bucket.example/a"), token=source)
    assert heard == [None, "old"] * 2
    played.run([200], lambda c: c.op("projects.list"), token=lambda refused: None)
    assert all("authorization" not in request.headers for request in played.requests[-2:])
    with pytest.raises(ValueError, match="holds characters") as caught:
        played.run([200], lambda c: c.op("projects.list"), token=lambda refused: "a\r\nb: secret")
    assert "secret" not in str(caught.value)

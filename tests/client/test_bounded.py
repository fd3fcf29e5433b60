"""A server that answers more than a client's memory holds."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from opstac import OperationError, Unreachable
from opstac.client.bounded import REFUSAL_BYTES

MIB = 1 << 20
READ = ("projects.get", {"project_id": "prj_1"})
DOWNLOAD = ("clip.job.download", {"job_id": "job_1", "mosaic_type": "x"})


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Pieces of a body; counts how many were taken, and knows whether it was closed."""

    def __init__(self, *pieces: bytes, times: int = 1) -> None:
        self.pieces, self.sent, self.closed = pieces * times, 0, False

    def __iter__(self) -> Any:
        for piece in self.pieces:
            self.sent += 1
            yield piece

    async def __aiter__(self) -> Any:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def answer(body: Body, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(
        status, headers={"content-type": "application/json", **named}, stream=body
    )


def test_the_answer_of_an_operation_is_read_so_far_and_no_further(played):
    body = Body(b"[" * 65536, times=1000)
    with pytest.raises(OperationError, match=r"^projects.get: 200 .*more than 1048576 bytes.*max_"):
        played.run([answer(body)], lambda c: c.op(*READ), max_bytes=MIB)
    assert body.sent == 17 and body.closed and len(played.requests) == 1


def test_one_that_grows_when_it_is_unpacked_is_no_way_around(played):
    bomb = gzip.compress(b" " * 64 * MIB, 1)
    body = Body(*(bomb[at : at + 8192] for at in range(0, len(bomb), 8192)))
    with pytest.raises(OperationError, match="more than 1048576 bytes"):
        played.run([answer(body, content_encoding="gzip")], lambda c: c.op(*READ), max_bytes=MIB)
    assert body.closed and body.sent < len(body.pieces) / 2


@pytest.mark.parametrize("packed", ["gzip, gzip", "deflate,gzip", "br", "zstd", "gzip, br", "x"])
def test_what_was_not_asked_for_is_not_unpacked(played, packed: str, tmp_path: Path):
    said = f"is packed with {re.escape(packed)}"
    for call in (
        lambda c: c.op(*READ),
        lambda c: c.stream(*READ),
        lambda c: c.pieces("/a"),
        lambda c: c.get("/a"),
        lambda c: c.download("/a", tmp_path / "a", progress=False),
    ):
        body = Body(b"x")
        with pytest.raises(OperationError, match=said):
            played.run([answer(body, content_encoding=packed)], call)
        assert body.sent == 0 and body.closed
    assert list(tmp_path.iterdir()) == []
    asked = {request.headers["accept-encoding"] for request in played.requests}
    assert asked == {"gzip, deflate", "identity"}


def test_what_was_asked_for_is_unpacked(played):
    text = b'{"project": {"name": "n"}}'
    for packed, headers in (
        (gzip.compress(text), {"content_encoding": "gzip"}),
        (text, {"content_encoding": "identity"}),
        (text, {}),
    ):
        body = Body(packed)
        found = played.run([answer(body, **headers)], lambda c: c.op(*READ))
        assert found == {"project": {"name": "n"}}
        assert body.closed


def test_a_refusal_is_cut(played):
    body = Body(b"no" * 32768, times=100)
    with pytest.raises(OperationError, match="no"):
        played.run([answer(body, 404)], lambda c: c.op(*READ))
    assert body.sent == REFUSAL_BYTES // 65536 + 1 and body.closed


def test_what_is_packed_wrongly_is_a_lost_answer(played):
    def torn(request: httpx.Request) -> httpx.Response:
        return answer(Body(b"no gzip"), content_encoding="gzip")

    with pytest.raises(Unreachable, match="decompressing"):
        played.run(torn, lambda c: c.op(*READ), retries=1)
    assert len(played.requests) == 2
    for call in (lambda c: c.pieces(*DOWNLOAD), lambda c: c.stream(*READ)):
        with pytest.raises(Unreachable, match="decompressing"):
            lines = answer(Body(b"no gzip"), content_encoding="gzip")
            lines.headers["content-type"] = "application/x-ndjson"
            played.run([lines], call)


def test_pieces_have_no_bound(played):
    body = Body(b"x" * 65536, times=32)
    pieces = played.run([answer(body)], lambda c: c.pieces(*DOWNLOAD), max_bytes=MIB)
    assert sum(map(len, pieces)) == 2 * MIB

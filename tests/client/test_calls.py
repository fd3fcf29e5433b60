"""What a call does before servers that are busy, gone, or lie."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from typing import Any

import httpx
import pytest

from opstac import AsyncClient, Client, Geopera, OperationError, Unreachable
from opstac.client import table

LOST = [httpx.ConnectError("no"), httpx.ReadError("cut"), httpx.RemoteProtocolError("cut")]
WRITE = ("projects.create", {"name": "n"})
READ = ("projects.get", {"project_id": "prj_1"})
# its answer is bytes, for which the server keeps no key
UNKEYED = ("clip.job.download", {"job_id": "job_1", "mosaic_type": "x"})


def refused(excinfo: Any) -> str:
    """All that an error shows of itself."""
    error = excinfo.value
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


def test_a_busy_server_is_asked_again_with_the_same_key(played):
    storm = [503, 429, 503, 200]
    assert played.run(storm, lambda c: c.op(*WRITE)) == {"done": True}
    assert len(played.requests) == 4 and len(set(played.keys)) == 1 and played.keys[0]
    assert {r.content for r in played.requests} == {b'{"name": "n"}'}
    # each wait is about twice the one before
    assert [0.25 <= played.slept[0] <= 0.5, 0.5 <= played.slept[1] <= 1] == [True, True]


def test_each_call_has_a_key_of_its_own_unless_one_is_given(played):
    for _ in range(2):
        played.run([200], lambda c: c.op(*WRITE))
    played.run([503, 200], lambda c: c.op(*WRITE, idempotency_key="mine"))
    played.run([503, 200], lambda c: c.op(*READ))
    first, second, *rest = played.keys
    assert first and second and first != second
    assert rest == ["mine", "mine", None, None]


def test_patience_ends(played):
    with pytest.raises(OperationError) as caught:
        played.run([503], lambda c: c.op(*READ), retries=2)
    assert caught.value.status == 503 and len(played.requests) == 3
    with pytest.raises(OperationError):
        played.run([503], lambda c: c.op(*READ), retries=0)
    assert len(played.requests) == 4


def test_the_server_says_when_to_come_back(played):
    busy = httpx.Response(429, headers={"Retry-After": "7"}, json={})
    played.run([busy, 200], lambda c: c.op(*READ))
    assert 7 <= played.slept[0] <= 8
    # nobody waits an hour for an answer: the caller is told
    later = httpx.Response(503, headers={"Retry-After": "3600"}, json={})
    with pytest.raises(OperationError) as caught:
        played.run([later, 200], lambda c: c.op(*READ))
    assert caught.value.retry_after == 3600 and len(played.slept) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 410, 413, 422, 500, 502])
def test_other_refusals_are_final(played, status: int):
    wait = httpx.Response(status, headers={"Retry-After": "1"}, json={"status": status})
    for call in (WRITE, READ):
        with pytest.raises(OperationError) as caught:
            played.run([wait, 200], lambda c, call=call: c.op(*call))
        assert caught.value.status == status
    assert len(played.requests) == 2 and played.slept == []


@pytest.mark.parametrize("failure", [503, 429, *LOST], ids=str)
def test_what_cannot_be_repeated_is_not(played, failure):
    with pytest.raises((OperationError, Unreachable)):
        played.run([failure, 200], lambda c: c.op(*UNKEYED))
    # of an operation that is newer than this client nothing is known
    with pytest.raises((OperationError, Unreachable)):
        played.run([failure, 200], lambda c: c.op("future.thing"))
    assert len(played.requests) == 2
    played.run([failure, 200], lambda c: c.op("future.thing", idempotency_key="k"))
    assert played.keys[2:] == ["k", "k"]


@pytest.mark.parametrize("failure", LOST, ids=lambda e: type(e).__name__)
def test_a_lost_connection_is_made_again_with_the_same_key(played, failure):
    assert played.run([failure, failure, 201], lambda c: c.op(*WRITE)) == {"done": True}
    assert len(played.requests) == 3 and len(set(played.keys)) == 1


def test_a_call_that_was_cut_off_and_is_still_running_is_waited_for(played):
    running = httpx.Response(409, headers={"Retry-After": "1"}, json={})
    answers = [httpx.ReadError("cut"), running, running, 200]
    assert played.run(answers, lambda c: c.op(*WRITE)) == {"done": True}
    assert len(played.requests) == 4


def test_ones_own_patience_is_not_doubled(played):
    with pytest.raises(Unreachable, match="no answer in time"):
        played.run([httpx.ReadTimeout(""), 200], lambda c: c.op(*WRITE))
    assert len(played.requests) == 1


def test_nobody_there_is_an_error_that_shows_no_credential(played):
    with pytest.raises(httpx.TransportError) as caught:
        played.run([httpx.ConnectError("refused")], lambda c: c.op(*WRITE), retries=1)
    assert isinstance(caught.value, Unreachable)
    assert caught.value.__context__ is None and caught.value.__cause__ is None
    with pytest.raises(RuntimeError):
        _ = caught.value.request  # it would hold the credential
    assert played.token not in refused(caught)


def test_a_redirect_is_followed_nowhere(played):
    def server(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "platform.example.org"
        return httpx.Response(307, headers={"Location": "https://evil.example/?token=x"})

    for code in (
        lambda c: c.op(*READ),
        lambda c: c.get("/openapi.json"),
        lambda c: c.stream("/assets/stac/search"),
    ):
        with pytest.raises(OperationError, match=r"redirects to https://evil\.example;") as caught:
            played.run(server, code)
        assert caught.value.status == 307 and "token=x" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("/openapi.json", True),
        ("https://platform.example.org/a", True),
        ("https://platform.example.org:443/a", True),
        ("https://PLATFORM.example.org/a", True),
        ("https://evil.example/a", False),
        ("http://platform.example.org/a", False),
        ("https://platform.example.org:8443/a", False),
        ("https://platform.example.org.evil.example/a", False),
        ("https://platform.example.org@evil.example/a", False),
        ("https://x.platform.example.org/a", False),
    ],
)
def test_the_credential_is_for_one_origin(played, address: str, sent: bool):
    played.run([200], lambda c: c.get(address))
    (request,) = played.requests
    assert request.headers.get("authorization", "").endswith(played.token) == sent
    assert sent == (request.url.copy_with(path="/", query=None) == httpx.URL(played.url + "/"))


@pytest.mark.parametrize(
    "address", ["", "a", "file:///etc/passwd", "ftp://x/", "https://", "javascript:1"]
)
def test_what_is_no_address_is_refused(played, address: str):
    with pytest.raises(ValueError, match="begins with '/'"):
        played.run([200], lambda c: c.get(address))
    assert played.requests == []


def test_a_path_with_two_slashes_stays_at_home(played):
    played.run([200], lambda c: c.get("//evil.example/a"))
    assert played.requests[0].url.host == "platform.example.org"


@pytest.mark.parametrize(
    "op_id",
    [
        "..",
        ".",
        "../health",
        "a/../../b",
        "a\0b",
        "a b",
        "é",
        "\ud800",
        "a?b=c",
        "a#b",
        "%2e%2e",
        "",
    ],
)
def test_an_id_is_one_segment_of_the_path(played, op_id: str):
    played.run([200], lambda c: c.op(op_id))
    raw = played.requests[0].url.raw_path
    assert raw.startswith(b"/v1/op/") and raw.count(b"/") == 3
    assert b"?" not in raw and raw[7:] not in (b".", b"..")


def test_what_is_not_json_although_it_says_so(played):
    def lie(content: bytes, kind: str = "application/json", status: int = 200) -> httpx.Response:
        return httpx.Response(status, content=content, headers={"Content-Type": kind})

    for content in (b"<html>", b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b'{"a":'):
        with pytest.raises(OperationError, match="is not the application/json"):
            played.run([lie(content)], lambda c: c.op(*READ))
    assert played.run([lie(b"\x89PNG", "image/png")], lambda c: c.op(*READ)) == b"\x89PNG"
    assert played.run([lie(b"{}", "text/html")], lambda c: c.op(*READ)) == b"{}"
    assert played.run([lie(b'{"a":1}', "APPLICATION/GEO+JSON; x=y")], lambda c: c.op(*READ)) == {
        "a": 1
    }
    for content in (b"<html>", b"[1]", b'"text"', b'{"status": "so", "detail": [1, {"loc": 3}]}'):
        with pytest.raises(OperationError) as caught:
            played.run([lie(content, "application/problem+json", 404)], lambda c: c.op(*READ))
        assert caught.value.status == 404 and caught.value.problem["title"]


def test_a_refusal_says_what_was_wrong_and_steers_no_terminal(played):
    faults = [{"loc": ["body", "name"], "msg": "too short", "type": "x"}, "odd"]
    answer = httpx.Response(422, json={"status": 422, "title": "T", "detail": faults})
    with pytest.raises(OperationError, match=r"projects\.create: 422 body\.name: too short; odd"):
        played.run([answer], lambda c: c.op(*WRITE))
    bad = httpx.Response(
        400, json={"detail": "\x1b[2Jgone\r\n", "type": "https://x/problems/no-room"}
    )
    with pytest.raises(OperationError) as caught:
        played.run([bad], lambda c: c.op("a\x1bb"))
    assert str(caught.value).isprintable() and caught.value.code == "no-room"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.status) == (str(caught.value), 400)


def test_no_log_shows_a_credential(played, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    played.run([503, 200], lambda c: c.op(*WRITE))
    played.run([200], lambda c: c.get("https://bucket.example/o?exp=1&sig=SECRET"))
    assert "bucket.example/o" in caplog.text and "projects.create: 503; again in" in caplog.text
    assert "SECRET" not in caplog.text and played.token not in caplog.text


def test_no_cookie_is_kept(played):
    answer = httpx.Response(200, json={}, headers={"Set-Cookie": "session=1; Path=/"})

    def code(client: Any) -> Any:
        if not played.asynchronous:
            client.op(*READ)
            return client.op(*READ)

        async def twice() -> None:
            await client.op(*READ)
            await client.op(*READ)

        return twice()

    played.run([answer], code)
    assert [r.headers.get("cookie") for r in played.requests] == [None, None]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_shows_where_it_is_and_not_as_whom(kind, monkeypatch: pytest.MonkeyPatch):
    client = kind("gpra_secret\n", "https://a.example/api/")
    assert repr(client) == f"<{kind.__name__} https://a.example/api>"
    assert "gpra_secret" not in repr(vars(client))
    with pytest.raises(ValueError, match="holds characters") as caught:
        kind("gpra_sec\r\nret", "https://a.example")
    assert "gpra" not in str(caught.value)
    for address in (
        "a.example",
        "ftp://a.example",
        "https://u:pw@a.example",
        "https://a/?q=1",
        "/",
    ):
        with pytest.raises(ValueError, match="base_url") as caught:
            kind("t", address)
        assert "pw" not in str(caught.value)
    monkeypatch.setenv("GEOPERA_API_URL", "https://b.example")
    assert repr(kind()) == f"<{kind.__name__} https://b.example>"
    monkeypatch.delenv("GEOPERA_API_URL")
    assert "127.0.0.1:8080" in repr(kind())


def test_geopera_is_another_name_of_the_client():
    assert Geopera is Client


# -- the tree ----------------------------------------------------------------------------------


def test_every_operation_is_in_the_tree(played):
    def node(client: Any, op_id: str) -> Any:
        for part in op_id.split("."):
            client = getattr(client, part + "_" if part == "import" else part)
        return client

    for op_id in table.entries():
        played.run([200], lambda c, op_id=op_id: node(c, op_id)({"a": 1}))
        assert played.requests[-1].url.path == f"/v1/op/{op_id}"
        assert played.requests[-1].content == b'{"a": 1}'


def test_fields_by_name_go_into_the_body(played):
    played.run([200], lambda c: c.items.list({"project_id": "a", "more": 1}, project_id="b"))
    assert played.requests[-1].content == b'{"project_id": "b", "more": 1}'
    played.run([200], lambda c: c.projects.create(name="n", idempotency_key="k"))
    assert played.requests[-1].headers["idempotency-key"] == "k"
    with pytest.raises(TypeError, match=r"no input projectid; is it project_id\?"):
        played.run([200], lambda c: c.items.list(projectid="a"))
    with pytest.raises(AttributeError, match=r"no operation itms; is it items"):
        played.run([200], lambda c: c.itms)
    with pytest.raises(TypeError, match="processing is no operation; there are"):
        played.run([200], lambda c: c.processing())
    assert len(played.requests) == 2


def test_no_domain_hides_behind_a_method():
    client = Client()
    own = {name for name in object.__dir__(client) if not name.startswith("_")}
    assert own.isdisjoint({entry.domain for entry in table.entries().values()})
    assert {"items", "processing", "op"} <= set(dir(client))
    assert dir(client.processing.job_types) == ["list"]
    assert "List available" in repr(client.processing.job_types.list)


# -- lines and lists ---------------------------------------------------------------------------


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in pieces, and may break off."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = pieces

    def __iter__(self) -> Any:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> Any:
        for piece in self:
            yield piece


def lines_of(*pieces: Any, kind: str = "application/x-ndjson") -> httpx.Response:
    return httpx.Response(200, headers={"Content-Type": kind}, stream=Pieces(*pieces))


def test_lines_come_as_they_are_cut(played):
    body = '{"a": "é\u2028\x85"}\n\n[1,\n'.replace("[1,\n", "[1]\n").encode()
    answer = lines_of(*(body[i : i + 1] for i in range(len(body))), b"\x1e3")
    assert played.run([answer], lambda c: c.stream("/search", {"q": 1})) == [
        {"a": "é\u2028\x85"}, [1], 3
    ]  # fmt: skip
    assert played.requests[0].headers["accept"] == "application/x-ndjson"


def test_lines_that_break_off_are_no_end(played):
    with pytest.raises(Unreachable):
        played.run([lines_of(b'{"a":1}\n', httpx.ReadError("cut"))], lambda c: c.stream("/s"))
    for body in (b'{"a":1}\n{"b":', b"<html>\n"):
        with pytest.raises(OperationError, match="a line of the answer"):
            played.run([lines_of(body)], lambda c: c.stream("/s"))
    with pytest.raises(OperationError, match="no JSON lines"):
        played.run([200], lambda c: c.stream("items.list"))
    with pytest.raises(OperationError) as caught:
        played.run([404], lambda c: c.stream("/s"))
    assert caught.value.problem["detail"] == "because"


def test_a_list_is_read_to_its_end(played):
    def server(request: httpx.Request) -> httpx.Response:
        import json

        asked = json.loads(request.content)
        found = list(range(asked["offset"], min(asked["offset"] + 2, 5)))  # pages of at most 2
        return httpx.Response(200, json={"items": found, "total": 5, "count": len(found)})

    body = {"project_id": "p", "limit": 100}
    assert played.run(server, lambda c: c.entries("items.list", body)) == [0, 1, 2, 3, 4]
    assert len(played.requests) == 3
    assert played.run(server, lambda c: c.entries("items.list", {**body, "offset": 4})) == [4]
    with pytest.raises(ValueError, match="has no offset"):
        played.run(server, lambda c: c.entries("items.get"))


# -- jobs ---------------------------------------------------------------------------------------


def job(status: str, **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"job": {"id": "job_1", "status": status, **more}})


def test_a_job_is_looked_at_ever_more_seldom(played):
    answers = [job("pending"), job("running"), 503, job("running"), job("completed", progress=1)]
    assert played.run(answers, lambda c: c.wait("job_1"))["progress"] == 1
    assert played.requests[0].content == b'{"job_id": "job_1"}' and len(played.slept) == 4
    assert played.slept[0] <= 0.5 < played.slept[3] <= 1.2


def test_a_job_that_failed_says_why(played):
    from opstac import JobFailed

    error = {"code": "no_overlap", "message": "the area is elsewhere"}
    with pytest.raises(JobFailed, match="no_overlap, the area is elsewhere") as caught:
        played.run([job("running"), job("failed", error=error)], lambda c: c.wait("job_1"))
    assert caught.value.code == "no_overlap" and caught.value.job["status"] == "failed"
    assert pickle.loads(pickle.dumps(caught.value)).code == "no_overlap"
    with pytest.raises(JobFailed) as caught:
        played.run([job("cancelled", error=None)], lambda c: c.wait("job_1"))
    assert caught.value.code == "cancelled"


def test_waiting_ends_in_time(played):
    from opstac import WaitTimeout

    with pytest.raises(WaitTimeout, match="job_1 is still running after 0 s") as caught:
        played.run([job("running")], lambda c: c.wait("job_1", timeout=0))
    assert isinstance(caught.value, TimeoutError) and played.slept == []


async def test_calls_at_once_share_a_client():
    async def server(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return httpx.Response(200, json=request.url.path)

    async with AsyncClient(
        "t", "http://x.example", transport=httpx.MockTransport(server)
    ) as client:
        ids = [f"a.b{n}" for n in range(20)]
        assert await asyncio.gather(*map(client.op, ids)) == [f"/v1/op/{i}" for i in ids]

"""What a client may hold of a process before it has asked, and by not taking answers."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from opstac import connections, server
from opstac.server import MetricsServer, listen

LARGE = 16 << 20
ASK = b"GET / HTTP/1.1\r\nHost: here\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers how long the body is; at /large with more than any buffer holds."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = bytes(LARGE) if scope["path"] == "/large" else str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def serving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MetricsServer]:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "STUCK_SECONDS", 0.3)
    with listen("127.0.0.1", 0) as listener:
        config = uvicorn.Config(
            app, http=connections.Bounded, ws="none", log_config=None, access_log=False,
            lifespan="off", timeout_keep_alive=1,
        )  # fmt: skip
        made = MetricsServer(config)
        task = asyncio.create_task(made.serve(sockets=[listener]))
        while not made.started:
            await asyncio.sleep(0.01)
        yield made
        made.should_exit = True
        await task
        assert not made.server_state.connections


@pytest.fixture
def place(serving: Any) -> tuple[str, int]:
    """Where it listens."""
    return serving.servers[0].sockets[0].getsockname()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the server closed; fails where it does not."""
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET / HT", ASK, ASK + b"X-Long: "])
async def test_a_head_that_does_not_come_is_not_waited_for(place: Any, begun: bytes) -> None:
    reader, writer = await asyncio.open_connection(*place)
    writer.write(begun)
    assert await ended(reader) == b""
    writer.close()


async def test_a_head_that_comes_by_and_by_is_not_waited_for(place: Any) -> None:
    reader, writer = await asyncio.open_connection(*place)
    waiting = asyncio.create_task(ended(reader))
    writer.write(ASK)
    while not waiting.done():
        writer.write(b"X: y\r\n")
        await asyncio.sleep(0.05)
    assert waiting.result() == b""
    writer.close()


@pytest.mark.parametrize(
    "begun",
    [
        ASK + b"X-Long: ",
        b"GET /",
        ASK + b"X-",
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\nx\r\n0\r\nX-Trailer: ",
    ],
    ids=["value", "url", "name", "trailer"],
)
async def test_a_head_has_an_end(place: Any, begun: bytes) -> None:
    reader, writer = await asyncio.open_connection(*place)
    waiting = asyncio.create_task(ended(reader))
    writer.write(begun)
    sent = 0
    try:
        while not waiting.done() and sent < 64 << 20:
            writer.write(b"x" * 65_536)
            await asyncio.wait_for(writer.drain(), 5)
            sent += 65_536
            await asyncio.sleep(0)
    except (ConnectionError, TimeoutError):
        pass
    assert sent < 4 << 20  # and what the sockets' buffers hold
    told = await waiting
    assert told == b"" or told.startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_what_is_usual_is_answered(place: Any) -> None:
    reader, writer = await asyncio.open_connection(*place)

    async def asked(request: bytes) -> bytes:
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200 ")
        return await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))

    long = b"X-Long: " + b"y" * 30_000 + b"\r\n"
    post = b"POST / HTTP/1.1\r\nHost: here\r\n"
    assert await asked(ASK + long + b"\r\n") == b"0"
    await asyncio.sleep(0.5)  # idle, and then in two pieces
    writer.write(ASK[:9])
    await asyncio.sleep(0.1)
    assert await asked(ASK[9:] + b"\r\n") == b"0"
    body = b"z" * 300_000
    assert await asked(post + b"Content-Length: 300000\r\n\r\n" + body) == b"300000"
    chunks = b"".join(b"a\r\n0123456789\r\n" for _ in range(20_000)) + b"0\r\n\r\n"
    assert await asked(post + b"Transfer-Encoding: chunked\r\n\r\n" + chunks) == b"200000"
    # several at once, and slowly
    writer.write((ASK + b"\r\n") * 3)
    for _ in range(3):
        assert await asked(b"") == b"0"
    writer.write(post + b"Content-Length: 4\r\n\r\n")
    for letter in b"abcd":
        await asyncio.sleep(0.15)
        writer.write(bytes([letter]))
    assert await asked(b"") == b"4"
    writer.close()


async def test_an_answer_that_is_not_taken_is_dropped(serving: Any, place: Any) -> None:
    with socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.connect(place)
        idle.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(idle, b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
        for wanted in (True, False):  # it is there, and then it is dropped
            for _ in range(1000):
                if bool(serving.server_state.connections) is wanted:
                    break
                await asyncio.sleep(0.02)
        taken = 0
        try:
            while part := await asyncio.wait_for(loop.sock_recv(idle, 1 << 20), 5):
                taken += len(part)
        except ConnectionError:
            pass
        assert taken < LARGE
    # who takes it a little late has the whole of it
    reader, writer = await asyncio.open_connection(*place, limit=1024)
    writer.write(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head
    left = LARGE
    while left:
        left -= len(await asyncio.wait_for(reader.read(1 << 19), 5))
        await asyncio.sleep(0.01)
    writer.close()


def test_a_process_takes_the_open_files_that_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: given.append(limits))
    for limits, asked in (
        ((1024, 4096), [(4096, 4096)]),
        ((1024, resource.RLIM_INFINITY), [(server.MOST_FILES, resource.RLIM_INFINITY)]),
        ((1024, 10**6), [(server.MOST_FILES, 10**6)]),
        ((4096, 4096), []),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), []),
    ):
        given.clear()
        monkeypatch.setattr(resource, "getrlimit", lambda kind, limits=limits: limits)
        server.open_files()
        assert given == asked

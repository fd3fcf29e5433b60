"""Imagery brought in over the wire, and workers as processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from ops_gateway.domains.billing_settlement import settle_all
from opstac.journey import SAMPLES, area_inside
from opstac.server import worker_environment

FIELDS = SAMPLES / "s2-flanders_2021-04_10m.tif"


LOOPBACK = "127.0.0.1/32:1-65535"
"""Where webhooks may be sent to, beside the public addresses."""


class Workers:
    """Worker processes of one test; what is left of them is killed at its end."""

    def __init__(self, api: Any, forker: Any) -> None:
        self._api = api
        self._forker = forker
        self.processes: list[Any] = []

    async def start(self, fault: str | None = None, name: str = "w", **env: str) -> Any:
        """Start a worker process, optionally with a fault point."""
        settings = self._api.platform.settings
        environment = {
            **os.environ,
            **worker_environment(settings, settings.home),
            "OPSTAC_TESTING": "1",
            "OPSTAC_WORKER_NAME": name,
            "OPSTAC_PARENT_PID": str(os.getpid()),
            **({"OPSTAC_FAULT": fault} if fault else {}),
            **env,
        }
        process = self._forker.start(["-m", "opstac", "worker"], environment)
        self.processes.append(process)
        return process

    async def stop(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            await process.wait()
        # a test that waits for its own worker does not take one of these for it
        self._api.sql("delete from registered_worker where queue = 'jobs'")


@pytest.fixture
def workers_of(forker: Any) -> Any:
    """The function from a platform to its worker processes, which end with the block."""

    @asynccontextmanager
    async def started(api: Any) -> AsyncIterator[Workers]:
        workers = Workers(api, forker)
        try:
            yield workers
        finally:
            await workers.stop()

    return started


@pytest.fixture
async def workers(api: Any, forker: Any) -> AsyncIterator[Workers]:
    # what earlier tests of this process left in line would be run first
    api.sql("update job set status = 'cancelled' where status in ('dispatched', 'running')")
    api.sql("delete from queue.procrastinate_jobs")
    while (await settle_all(api.platform.pipeline, None, 500)).processed:
        pass  # what was reserved for them is free again, as it is when jobs end in any other way
    started = Workers(api, forker)
    yield started
    await started.stop()


async def until(what: Callable[[], Any], seconds: float = 120) -> Any:
    """What `what` gives once it is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, "timed out"
        await asyncio.sleep(0.1)


@pytest.fixture(name="until")
def until_fixture() -> Any:
    return until


class Scene:
    """An organization with credits, a project and one item of real imagery."""

    def __init__(self, api: Any, owner: Any, project: str, item: dict[str, Any]) -> None:
        self.api, self.owner, self.project, self.item = api, owner, project, item

    async def ok(self, op: str, body: Any = None, **kwargs: Any) -> Any:
        return await self.api.ok(op, body, as_=self.owner, **kwargs)

    async def clip(self, **more: Any) -> str:
        body = {
            "source_item_id": self.item["id"],
            "project_id": self.project,
            "aoi_geometry": area_inside(self.item),
            "output_name": "clip",
            **more,
        }
        return (await self.ok("clip.create_from_item", body))["job"]["id"]

    async def job(self, job_id: str) -> dict[str, Any]:
        return (await self.ok("processing.project_job.get", {"job_id": job_id}))["job"]

    async def ended(self, job_id: str, seconds: float = 120) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            job = await self.job(job_id)
            return job if job["status"] in ("completed", "failed", "cancelled") else None

        return await until(look, seconds)


async def bring_in(
    api: Any, owner: Any, project: str, path: Path, **complete: Any
) -> dict[str, Any]:
    """Upload `path` as any client would; the answer of uploads.complete."""
    size = path.stat().st_size
    upload = await api.ok(
        "uploads.initiate", {"project_id": project, "total_bytes": size}, as_=owner
    )
    place = await api.ok(
        "uploads.signed_url", {"upload_id": upload["id"], "file_name": path.name}, as_=owner
    )
    put = await api.client.put(place["upload_url"], content=path.read_bytes())
    assert put.status_code in (200, 201), put.text
    return await api.ok("uploads.complete", {"upload_id": upload["id"], **complete}, as_=owner)


@pytest.fixture(name="bring_in")
def bring_in_fixture() -> Any:
    return bring_in


@pytest.fixture
async def scene(api: Any) -> Scene:
    owner = await api.organization()
    project = await api.project(owner)
    done = await bring_in(api, owner, project, FIELDS, name="fields", datetime="2021-04-01")
    return Scene(api, owner, project, done["items"][0])


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Receiver:
    """A receiver that gives the answers of `script` in turn, the last one for ever."""

    script: Sequence[str]
    got: list[Received] = field(default_factory=list)
    now: int = 0
    most: int = 0
    port: int = 0
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value
                for name, _, value in (line.partition(": ") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.got.append(Received(head[0].split(" ")[1], headers, body))
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await self._answer(self.script[min(len(self.got), len(self.script)) - 1], writer)
            finally:
                self.now -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(Exception):
                await writer.wait_closed()

    async def _answer(self, answer: str, writer: asyncio.StreamWriter) -> None:
        if answer == "hang":
            await self.hold.wait()
        if answer in ("hang", "drop"):
            return
        if answer == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not self.hold.is_set():
                writer.write(b"X-A: b\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
            return
        status, _, more = answer.partition("|")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n{more}\r\n".encode())
        await writer.drain()


@asynccontextmanager
async def receiving(*script: str) -> AsyncIterator[Receiver]:
    """A receiver while the block lasts."""
    receiver = Receiver(script or ("204 No Content",))
    server = await asyncio.start_server(receiver.accept, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.hold.set()
        server.close()


@pytest.fixture(name="receiving")
def receiving_fixture() -> Any:
    return receiving


@pytest.fixture
async def webhook_api(platform_on: Any, dsn: str, tmp_path: Path) -> AsyncIterator[Any]:
    """A platform that sends webhooks to this machine, and has nothing left to send."""
    async with platform_on(dsn, tmp_path, webhook_allow=LOOPBACK) as api:
        api.sql("update delivery set state = 'dead' where state = 'due'")
        yield api

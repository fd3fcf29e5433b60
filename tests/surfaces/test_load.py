"""A process under more than it can hold: refused with 503, answered again once there is room."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from ops_gateway.surfaces.edge import Edge
from ops_gateway.surfaces.load import Load

PATHS = [
    "/v1/op/items.list",
    "/v1/items/list",
    "/assets/stac/search",
    "/ogc/processes/ndvi/execution",
    "/api/v1/process",
    "/realms/public/protocol/openid-connect/token",
    "/mcp",
]


class Slow:
    """A body that comes by and by, and stops where it is told to."""

    def __init__(self, size: int) -> None:
        self.sent, self.rest = asyncio.Event(), asyncio.Event()
        self._size = size

    async def __aiter__(self) -> Any:
        yield b" " * self._size
        self.sent.set()
        await self.rest.wait()
        yield b"{}"


@pytest.fixture
async def loaded(api: Any) -> Any:
    """The platform's app behind an edge of little room, and clients that call it at once."""
    load = Load(requests=3, body_bytes=1 << 20, silence_seconds=20)
    edge = Edge(api.platform.app.app, api.platform.authenticator, load=load)
    owner = await api.organization()
    headers = {"Authorization": f"Bearer {owner.token}", "Content-Type": "application/json"}
    transport = httpx.ASGITransport(edge)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://testserver", headers=headers
    ) as http:
        yield load, http


def refused(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.headers["x-request-id"]
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize("path", PATHS)
async def test_bodies_beyond_the_room_are_refused_by_every_app(loaded: Any, path: str) -> None:
    load, http = loaded
    first = Slow(1_048_000)
    async with asyncio.TaskGroup() as group:
        one = group.create_task(http.post("/v1/op/billing.credits.balance", content=first))
        await first.sent.wait()
        assert load.body_bytes == 1_048_000
        refused(await http.post(path, content=b" " * 5_000 + b"{}"), 503)
        assert load.body_bytes == 1_048_000  # what was refused holds nothing
        first.rest.set()
    assert one.result().status_code == 200
    assert (load.requests, load.body_bytes) == (0, 0)
    assert (await http.post(path, content=b" " * 5_000 + b"{}")).status_code != 503


async def test_requests_beyond_the_room_are_refused_and_health_is_answered(loaded: Any) -> None:
    load, http = loaded
    bodies = [Slow(10) for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(http.post("/v1/op/billing.credits.balance", content=b))
            for b in bodies
        ]
        for body in bodies:
            await body.sent.wait()
        refused(await http.get("/v1/billing/credits/balance"), 503)
        assert (await http.get("/livez")).status_code == 200
        for body in bodies:
            body.rest.set()
    assert [call.result().status_code for call in calls] == [200] * 3
    assert (await http.get("/v1/billing/credits/balance")).status_code == 200
    assert load.requests == 0


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_stops_coming_is_given_up(
    loaded: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    load, http = loaded
    load.silence_seconds = 0.2
    refused(await http.post(path, content=Slow(10)), 408)
    assert (load.requests, load.body_bytes) == (0, 0)
    # a flood of them fills no log
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


class Trickle:
    """A body of a byte now and then."""

    def __init__(self, pause: float) -> None:
        self._pause = pause

    async def __aiter__(self) -> Any:
        while True:
            yield b" "
            await asyncio.sleep(self._pause)


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_comes_too_slowly_is_given_up(loaded: Any, path: str) -> None:
    load, http = loaded
    load.silence_seconds = 0.3
    refused(await asyncio.wait_for(http.post(path, content=Trickle(0.05)), 5), 408)
    assert (load.requests, load.body_bytes) == (0, 0)


async def test_a_workers_file_that_stops_coming_is_given_up(api: Any, loaded: Any) -> None:
    load, http = loaded
    project = (await http.post("/v1/op/projects.create", json={"name": "P"})).json()["id"]
    body = {"project_id": project, "job_type_id": "external"}
    made = await http.post("/v1/op/processing.create_and_dispatch", json=body)
    job = made.json()["job"]["id"]
    load.silence_seconds = 0.1
    for content in (Slow(10), Trickle(0.01)):
        put = http.put(f"/v1/jobs/{job}/outputs/x.tif", content=content)
        refused(await asyncio.wait_for(put, 5), 408)
        assert (load.requests, load.body_bytes) == (0, 0)
    found = [p for p in (api.platform.settings.home / "objects").rglob("*") if p.is_file()]
    assert not found  # nothing of it is kept

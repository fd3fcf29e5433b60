"""An OGC surface on a platform in memory: jobs end by themselves, a little after they are asked."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.requests import Request

from processes.app import create_app
from processes.ogc_request import Execution, JobFilter
from processes.ogc_results import Result
from processes.process import RASTER_OUTPUT, OutputSpec, Process, no_sources, per_job


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: str
    coordinates: list[Any]


class EchoInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: Any = "hello"
    pause: float = Field(default=0, ge=0, le=60, allow_inf_nan=False)


class ShapeInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source_item_id: str = Field(min_length=1)
    aoi_geometry: Shape
    bands: list[int] = []


def make_process(id: str, inputs: type[BaseModel], outputs: Sequence[str], sync: bool) -> Process:
    return Process(
        id=id,
        version="1.0",
        title=id.capitalize(),
        description=f"The process {id}.",
        keywords=("test",),
        category="test",
        inputs=inputs,
        outputs={
            name: OutputSpec(name, name, RASTER_OUTPUT if name == "data" else {"type": "object"})
            for name in outputs
        },
        sources=no_sources,
        unit="FREE",
        quantity=per_job,
        sync_allowed=sync,
        max_seconds=60,
        max_memory_bytes=2**30,
        run=lambda ctx: [],
    )


CATALOGUE = {
    process.id: process
    for process in (
        make_process("echo", EchoInputs, ["echo"], sync=True),
        make_process("shape", ShapeInputs, ["data", "thumbnail"], sync=False),
        make_process("both", EchoInputs, ["data", "note"], sync=True),
        *(make_process(f"filler{n:02}", EchoInputs, ["echo"], sync=False) for n in range(12)),
    )
}


class Refusal(Exception):
    """As the gateway refuses: status, title, detail, slug."""

    def __init__(self, status: int, detail: str, slug: str | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.slug, self.title = status, detail, slug, "Refused"
        self.headers: dict[str, str] = {}
        self.extra = {"balance": 3} if status == 402 else {}


class Platform:
    """Jobs of organizations, in memory."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.submitted: list[SimpleNamespace] = []
        self._ids = itertools.count(1)

    async def submit(
        self,
        request: Request,
        process_id: str,
        inputs: dict[str, Any],
        *,
        mode: str,
        project_id: str | None,
        wanted: Execution,
    ) -> dict[str, Any]:
        if inputs.get("message") == "expensive":
            raise Refusal(402, "not enough credits", "insufficient-credits")
        if inputs.get("message") == "strange":
            raise Refusal(422, "the item has no such band", "validation")
        if inputs.get("message") == "bug":
            raise RuntimeError("a secret of the inside")
        now = datetime.now(UTC)
        job = {
            "id": f"job_{next(self._ids):04}",
            "organization": request.scope["principal"].organization_id,
            "process_id": process_id,
            "inputs": inputs,
            "status": "pending",
            "progress": 0.0,
            "message": None,
            "created_at": now,
            "started_at": None,
            "completed_at": None,
            "updated_at": now,
            "error": None,
            "answer_as": wanted.answer_as(),
            "ends": time.monotonic() + inputs.get("pause", 0),
        }
        self.jobs[job["id"]] = job
        self.submitted.append(
            SimpleNamespace(mode=mode, project_id=project_id, inputs=inputs, wanted=wanted)
        )
        return dict(job)

    def _advance(self, job: dict[str, Any]) -> dict[str, Any]:
        if job["status"] in ("pending", "running"):
            now = datetime.now(UTC)
            job.update(status="running", started_at=job["started_at"] or now, updated_at=now)
            if time.monotonic() >= job["ends"]:
                fails = job["inputs"].get("message") == "fail"
                job.update(status="failed" if fails else "completed", completed_at=now)
                if fails:
                    job["error"] = {"code": "no_overlap", "message": "outside the image"}
        return dict(job)

    async def get_job(self, request: Request, job_id: str) -> dict[str, Any] | None:
        job = self.jobs.get(job_id)
        if job is None or job["organization"] != request.scope["principal"].organization_id:
            return None
        return self._advance(job)

    async def list_jobs(
        self,
        request: Request,
        *,
        limit: int,
        offset: int,
        filter: JobFilter,
    ) -> tuple[list[dict[str, Any]], int]:
        org = request.scope["principal"].organization_id
        found = [
            self._advance(job) for job in reversed(self.jobs.values()) if job["organization"] == org
        ]
        found = [
            job
            for job in found
            if (filter.statuses is None or job["status"] in filter.statuses)
            and (filter.process_ids is None or job["process_id"] in filter.process_ids)
            and (filter.created[0] is None or filter.created[0] <= job["created_at"])
            and (filter.created[1] is None or filter.created[1] >= job["created_at"])
        ]
        return found[offset : offset + limit], len(found)

    async def get_results(self, request: Request, job_id: str) -> Mapping[str, Result]:
        job = self.jobs[job_id]
        message = Result(value=job["inputs"].get("message", "hello"))
        content = b"II*\x00" + job_id.encode()

        async def read():
            yield content[:4]
            yield content[4:]

        tiff = Result(
            href=f"http://files/{job_id}.tif?sig=x",
            media_type="image/tiff",
            file_name="übersicht.tif",
            size=len(content),
            read=read,
        )
        match job["process_id"]:
            case "both":
                return {"data": tiff, "note": message}
            case "shape":
                return {"data": tiff, "thumbnail": tiff}
            case _:
                return {"echo": message}

    async def dismiss(self, request: Request, job_id: str) -> None:
        job = self.jobs[job_id]
        if job["status"] in ("pending", "running"):
            job.update(status="cancelled", completed_at=datetime.now(UTC))
        else:
            del self.jobs[job_id]

    def app(self, **options: Any) -> Starlette:
        options.setdefault("dismiss", self.dismiss)
        return create_app(
            submit=self.submit,
            get_job=self.get_job,
            list_jobs=self.list_jobs,
            get_results=self.get_results,
            processes=CATALOGUE,
            **options,
        )


class Edge:
    """What the gateway puts in front: a principal for a credential."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            name = dict(scope["headers"]).get(b"authorization", b"").decode().partition(" ")[2]
            kind = "user" if name else "anonymous"
            scope["principal"] = SimpleNamespace(kind=kind, organization_id=name or None)
            scope["request_id"] = "req_test"
        await self.app(scope, receive, send)


@pytest.fixture
def platform() -> Platform:
    return Platform()


def client_of(app: Any, token: str | None = "org_a") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Edge(app)), base_url="http://test", headers=headers
    )


@pytest.fixture
async def ogc(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """A client of organization `org_a`."""
    async with client_of(platform.app()) as client:
        yield client


@pytest.fixture
async def other(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """A client of organization `org_b` on the same platform."""
    async with client_of(platform.app(), "org_b") as client:
        yield client


@pytest.fixture
async def nobody(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a credential."""
    async with client_of(platform.app(), None) as client:
        yield client


@pytest.fixture
def ogc_options(platform: Platform) -> Any:
    """ogc_options(**options) → a client of an app made with these options."""
    return lambda **options: client_of(platform.app(**options))


@pytest.fixture
def ogc_server(platform: Platform) -> Iterator[str]:
    """The URL of the surface served by uvicorn."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = uvicorn.Config(
        Edge(platform.app()), host="127.0.0.1", port=port, log_level="error", loop="asyncio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/ogc"
    server.should_exit = True
    thread.join()

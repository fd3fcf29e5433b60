"""One searchable database for these tests: a server on loopback, organizations made per test."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvicorn
from psycopg.rows import dict_row
from starlette.applications import Starlette
from starlette.requests import Request

from stac_api import writes
from stac_api.app import Prefixed, create_app
from stac_api.document import Mount, item_document
from stac_api.reader import reader_pool
from stac_api.search import Searcher
from stac_api.tenancy import PUBLIC, Visibility

KEY = b"a key for the tests"


@dataclass
class Organization:
    """An organization with one project, and what it stores."""

    dsn: str
    id: str
    slot: str
    project: str
    projects: list[str] = field(default_factory=list)

    def connect(self, role: str = "opstac_app") -> psycopg.Connection[dict[str, Any]]:
        options = f"-c search_path=opstac,pgstac,public -c role={role} -c opstac.org={self.id}"
        return psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row, options=options)

    async def aconnect(self, role: str = "opstac_app") -> psycopg.AsyncConnection[Any]:
        options = f"-c search_path=opstac,pgstac,public -c role={role} -c opstac.org={self.id}"
        return await psycopg.AsyncConnection.connect(self.dsn, autocommit=True, options=options)

    def new_project(self) -> str:
        name = f"proj_{uuid.uuid4().hex[:22]}"
        with self.connect() as conn:
            conn.execute(
                "insert into project (id, organization_id, name) values (%s, %s, 'A project')",
                (name, self.id),
            )
        self.projects.append(name)
        return name

    def new_collection(
        self, slug: str | None = None, project: str | None = None, **stac: Any
    ) -> str:
        name = f"col_{uuid.uuid4().hex[:22]}"
        with self.connect() as conn:
            conn.execute(
                "insert into collection (id, organization_id, project_id, slug, name, stac)"
                " values (%s, %s, %s, %s, 'A collection', %s)",
                (
                    name,
                    self.id,
                    project or self.project,
                    slug or name,
                    psycopg.types.json.Jsonb(stac),
                ),
            )
        return name

    def row(self, collection: str | None = None, **more: Any) -> dict[str, Any]:
        """A row of table item."""
        name = f"it_{uuid.uuid4().hex[:22]}"
        return {
            "id": name,
            "organization_id": self.id,
            "project_id": self.project,
            "collection_id": collection,
            "stac_id": name,
            "type": "user_raster",
            "name": "An item",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[10, 40], [11, 40], [11, 41], [10, 41], [10, 40]]],
            },
            "bbox": [10.0, 40.0, 11.0, 41.0],
            "datetime": "2025-01-15T00:00:00Z",
            "properties": {},
            "created_at": "2025-01-16T00:00:00Z",
            "updated_at": "2025-01-16T00:00:00Z",
        } | more

    async def put(self, *rows: dict[str, Any], assets: tuple[dict[str, Any], ...] = ()) -> None:
        """Into both tables, as an operation does."""
        async with await self.aconnect() as conn, conn.transaction():
            for row in rows:
                await conn.execute(
                    "insert into item (id, organization_id, project_id, collection_id, stac_id,"
                    " type, name, bbox, datetime, start_datetime, end_datetime)"
                    " values (%(id)s, %(organization_id)s, %(project_id)s, %(collection_id)s,"
                    " %(stac_id)s, %(type)s, %(name)s, %(bbox)s, %(datetime)s,"
                    " %(start_datetime)s, %(end_datetime)s)",
                    {"start_datetime": None, "end_datetime": None} | row,
                )
            await writes.put_items(conn, self.slot, [item_document(row, assets) for row in rows])

    @property
    def visibility(self) -> Visibility:
        return Visibility(self.id, self.slot, None)


@pytest.fixture(scope="session")
def organization(dsn: str) -> Any:
    """Makes organizations, each with a slot and a project."""

    def make() -> Organization:
        name = f"org_{uuid.uuid4().hex[:22]}"
        options = "-c search_path=opstac,pgstac,public -c role=opstac_system"
        with psycopg.connect(dsn, autocommit=True, options=options) as conn:
            conn.execute(
                "insert into organization (organization_id, name, slug) values (%s, 'Acme', %s)",
                (name, name),
            )
            taken = "update organization_slot set organization_id = %s where slot = ("
            taken += (
                "select slot from organization_slot where organization_id is null and not public"
            )
            taken += " order by slot limit 1 for update skip locked) returning slot"
            row = conn.execute(taken.encode(), (name,)).fetchone()
            if row is None:
                conn.execute("select provision_slot()")
                row = conn.execute(taken.encode(), (name,)).fetchone()
        assert row is not None
        made = Organization(dsn, name, row[0], "")
        made.project = made.new_project()
        return made

    return make


@pytest.fixture
async def searcher(dsn: str) -> AsyncIterator[Searcher]:
    """A searcher as the server has it."""
    pool = reader_pool(dsn, max_size=4)
    async with pool:
        yield Searcher(pool, KEY)


@pytest.fixture
def mount() -> Mount:
    return Mount("http://testserver")


class Server:
    """Two mounts of the STAC API over real HTTP; callers are told apart by their bearer token."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.callers: dict[str, Visibility] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.run: Any = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def caller(self, visibility: Visibility) -> dict[str, str]:
        """Headers of a new caller who sees that."""
        token = uuid.uuid4().hex
        self.callers[token] = visibility
        return {"Authorization": f"Bearer {token}"}

    async def visibility(self, request: Request) -> Visibility:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self.callers.get(token, PUBLIC)

    async def run_op(
        self, request: Request, operation: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        self.calls.append((operation, body))
        return await self.run(request, operation, body) if self.run else {}

    def app(self, searcher: Searcher) -> Any:
        def further(item: Any, base: str) -> list[dict[str, Any]]:
            address = f"{base}/api/v1/items/{item['id']}/tiles/tilejson.json"
            return [{"rel": "tilejson", "type": "application/json", "href": address}]

        mounts = {
            prefix: create_app(
                searcher=searcher,
                visibility=self.visibility,
                run_op=self.run_op,
                prefix=prefix,
                item_links=further,
            )
            for prefix in ("/assets/stac", "/v2/assets/stac")
        }
        return Prefixed(Starlette(), mounts)

    def serve(self) -> None:
        async def main() -> None:
            pool = reader_pool(self.dsn, max_size=4)
            async with pool:
                config = uvicorn.Config(
                    self.app(Searcher(pool, KEY)),
                    port=self.port,
                    log_level="warning",
                    lifespan="off",
                    proxy_headers=False,  # else uvicorn believes every neighbour on loopback
                )
                self.server = uvicorn.Server(config)
                await self.server.serve()

        asyncio.run(main())


@pytest.fixture(scope="session")
def server(dsn: str) -> Iterator[Server]:
    made = Server(dsn)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not (hasattr(made, "server") and made.server.started):
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.02)
    yield made
    made.server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def brute() -> Any:
    """The module `brute.py`: random items and searches, and what must come of them."""
    path = Path(__file__).parent / "brute.py"
    spec = importlib.util.spec_from_file_location("stac_brute", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

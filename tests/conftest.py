"""One migrated cluster a test process; every test makes its own organizations in it."""

from __future__ import annotations

import os

os.environ["OPSTAC_TESTING"] = "1"
# tests start many processes of ours: none of them should compile all that it imports
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import asyncio
import gc
import importlib.util
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import argon2
import httpx
import psycopg
import pytest
import uvicorn
from hypothesis import HealthCheck, settings
from psycopg.rows import dict_row

from db import pool
from db.disposable import migrated_cluster
from ops_gateway.kernel import passwords
from ops_gateway.kernel.authenticate import issue_session
from ops_gateway.kernel.services import Limits
from opstac import compose
from opstac.server import MetricsServer, listen
from opstac.settings import Settings


def _module(name: str) -> Any:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


kept_sessions = _module("kept")
pool.AsyncConnection = kept_sessions.KeptConnection  # type: ignore[misc]

# what is imported and collected stays: it is not gone through again and again for what does not
gc.disable()

# files that take a minute or so, most of it waiting for processes: one that began last would leave
# the other processor without work
LONGEST = (
    "test_worker.py",
    "test_job_faults.py",
    "test_examples.py",
    "test_demo.py",
    "test_money.py",
    "test_catalogue.py",
    "test_fuzz.py",
    "test_stac_api.py",
    "test_memory.py",
    "test_dask.py",
    "test_deliveries.py",
    "test_ogc.py",
    "test_worker_kills.py",
    "test_process_packages.py",
    "test_processing.py",
    "test_people.py",
    "test_astra.py",
    "test_ingest.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files begin first that take longest."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def pytest_collection_finish() -> None:
    """Let what the tests leave behind be collected from now on."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def own_cluster() -> Iterator[Any]:
    """A migrated cluster of this test process."""
    with migrated_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def dsn(own_cluster: Any) -> str:
    """The owner's connection string to a migrated database of this test process."""
    return own_cluster.dsn()


@pytest.fixture
def tamper(own_cluster: Any) -> Callable[..., None]:
    """Runs SQL as a superuser, past every trigger and constraint of the tables."""

    def run(statement: str, *params: Any) -> None:
        options = "-c search_path=opstac -c session_replication_role=replica"
        with psycopg.connect(
            own_cluster.superuser_dsn("opstac"), autocommit=True, options=options
        ) as connection:
            connection.execute(statement.encode(), params or None)

    return run


# how fast examples are made says how busy the machine is, and nothing of them
settings.register_profile("opstac", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("opstac")

_sessions: dict[tuple[str, str], psycopg.Connection[dict[str, Any]]] = {}


@contextmanager
def _session(dsn: str, role: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A session that later tests use too, unless another thread has it just now."""
    kept = _sessions.pop((dsn, role), None)
    if kept is None or kept.closed or not _answers(kept):
        options = f"-c search_path=opstac,pgstac,queue,public -c role={role}"
        kept = psycopg.connect(
            dsn, autocommit=True, row_factory=dict_row, options=options, prepare_threshold=None
        )
    try:
        yield kept
    finally:
        other = _sessions.get((dsn, role))
        if other is None:
            _sessions[dsn, role] = kept
        else:
            kept.close()


def _answers(session: psycopg.Connection[Any]) -> bool:
    try:
        session.execute("select 1")
    except psycopg.Error:
        session.close()
        return False
    return True


@pytest.fixture(scope="session", autouse=True)
def _close_sessions() -> Iterator[None]:
    yield
    for session in _sessions.values():
        session.close()
    kept_sessions.close_all()


@dataclass(frozen=True)
class Person:
    """A caller: a human with a session token, or a key."""

    token: str
    user_id: str | None = None
    organization_id: str | None = None


class Api:
    """The composed platform over HTTP (in process), and SQL as the tables' administrator."""

    def __init__(self, platform: compose.Platform, client: httpx.AsyncClient) -> None:
        self.platform = platform
        self.client = client
        self._made: list[str] = []

    def sql(self, query: str, *params: Any, role: str = "opstac_system") -> list[dict[str, Any]]:
        """Run SQL past row-level security."""
        with _session(self.platform.settings.dsn, role) as connection:
            cursor = connection.execute(query.encode(), params or None)
            return cursor.fetchall() if cursor.description else []

    def keep_slot_free(self) -> None:
        """Room in the catalogue for one more organization: no maintenance loop runs here."""
        self.sql(
            "select provision_slot() where not exists"
            " (select from organization_slot where organization_id is null and not public)"
        )

    def give_slots_back(self) -> None:
        """What its organizations never put anything in is there for the next ones: to make a slot
        takes longer than most tests.
        """
        with suppress(psycopg.OperationalError):  # the test took the database away
            self.sql(
                "update organization_slot s set organization_id = null, taken_at = null"
                " where organization_id = any(%s) and not exists"
                " (select from item i where i.organization_id = s.organization_id)"
                # items that are being removed are seen by nobody, and still there
                " and not exists"
                " (select from removal r where r.organization_id = s.organization_id)",
                self._made,
            )

    def user(self) -> Person:
        """A new person without an organization."""
        user_id = str(uuid.uuid4())
        self.sql(
            "insert into app_user (id, email) values (%s, %s)", user_id, f"{user_id}@example.org"
        )
        settings = self.platform.settings
        return Person(
            issue_session(self.platform.keys, settings.issuer, user_id, seconds=3600), user_id
        )

    def operator(self) -> Person:
        """A new person who runs the platform and is in no organization."""
        person = self.user()
        self.sql("insert into platform_operator (user_id) values (%s)", person.user_id)
        return person

    @property
    def cron(self) -> Person:
        """Whoever has the scheduler's token."""
        return Person(self.platform.settings.cron_token or "")

    async def organization(self, name: str = "Acme") -> Person:
        """The owner of a new organization."""
        self.keep_slot_free()
        owner = self.user()
        made = await self.ok("organizations.create", {"name": name}, as_=owner)
        self._made.append(made["id"])
        return Person(owner.token, owner.user_id, made["id"])

    async def member(self, owner: Person, role: str) -> Person:
        """A new person in `owner`'s organization with an organization role."""
        person = self.user()
        self.sql(
            "insert into organization_member (organization_id, user_id, role) values (%s, %s, %s)",
            owner.organization_id,
            person.user_id,
            role,
        )
        return Person(person.token, person.user_id, owner.organization_id)

    async def key(self, owner: Person, *permissions: str) -> Person:
        """A new API key of `owner`'s organization."""
        body = {"name": secrets.token_hex(4), "permissions": list(permissions)}
        made = await self.ok("api_keys.create", body, as_=owner)
        return Person(made["key"], None, owner.organization_id)

    async def project(self, owner: Person, name: str = "Harbour") -> str:
        """A new project's id."""
        return (await self.ok("projects.create", {"name": name}, as_=owner))["id"]

    async def call(
        self, op_id: str, body: Any = None, *, as_: Person | None = None, key: str | None = None
    ) -> httpx.Response:
        """POST an operation."""
        headers = {"Authorization": f"Bearer {as_.token}"} if as_ else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        return await self.client.post(f"/v1/op/{op_id}", json=body or {}, headers=headers)

    async def ok(self, op_id: str, body: Any = None, **kwargs: Any) -> Any:
        """POST an operation that must succeed; its parsed answer."""
        response = await self.call(op_id, body, **kwargs)
        assert response.status_code in (200, 201, 202), response.text
        return response.json()

    async def refused(
        self, status: int, op_id: str, body: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """POST an operation that must be refused with `status`; the problem."""
        response = await self.call(op_id, body, **kwargs)
        assert response.status_code == status, (response.status_code, response.text)
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem["status"] == status and problem["title"]
        return problem


def test_settings(dsn: str, home: Path, **changes: Any) -> Settings:
    """Settings of a test platform: no limits in the way, connections when they are needed."""
    values: dict[str, Any] = {
        "dsn": dsn,
        "home": home,
        "storage": str(home / "objects"),
        "master_secret": b"a master secret of the tests, 32+",
        "public_url": "http://testserver",
        "cron_token": "the token of the scheduler of the tests",
        "pool_idle": 0,
        "limits": Limits(10**6, 10**6, 10**6, 10**6, public_reads=0),
        **changes,
    }
    return Settings(**values)


test_settings.__test__ = False  # type: ignore[attr-defined]


_FULL_HASHER = passwords._HASHER


@pytest.fixture(scope="module", autouse=True)
def _quick_passwords(request: pytest.FixtureRequest) -> Iterator[None]:
    """A quarter of a second for each password is spent where passwords are what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        if "identity" not in request.path.parts:
            quick = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
            patch.setattr(passwords, "_HASHER", quick)
            patch.setattr(passwords, "_NOBODY", quick.hash(b"nobody's"))
        yield


@pytest.fixture
def full_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test on many guesses at once needs them to take as long as they do."""
    monkeypatch.setattr(passwords, "_HASHER", _FULL_HASHER)


@pytest.fixture
def service() -> str:
    """Which part of the platform `api` is; a folder of tests may ask for less than the whole."""
    return "all"


@asynccontextmanager
async def on_database(
    dsn: str, home: Path, service: str = "all", **changes: Any
) -> AsyncIterator[Api]:
    """The platform on a database, without workers; `changes` are settings."""
    settings = test_settings(dsn, home, **changes)
    async with compose.embedded(settings, service=service, late=True) as platform:
        transport = httpx.ASGITransport(platform.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            api = Api(platform, client)
            yield api
            api.give_slots_back()


@pytest.fixture
def platform_on() -> Any:
    """The function from a database and a folder to a platform, for tests that stop the server."""
    return on_database


@pytest.fixture
async def api(dsn: str, tmp_path: Path, service: str) -> AsyncIterator[Api]:
    """The whole platform without workers."""
    async with on_database(dsn, tmp_path, service) as api:
        yield api


@pytest.fixture
async def live(dsn: str, tmp_path: Path, service: str) -> AsyncIterator[Api]:
    """The platform on a port of its own, for clients that are programs; `client.base_url` is it."""
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = test_settings(dsn, tmp_path, public_url=url)
        async with compose.embedded(settings, service=service, late=True) as platform:
            config = uvicorn.Config(
                platform.app, log_config=None, access_log=False, lifespan="off", ws="none",
                timeout_keep_alive=30,  # as `opstac serve` has it
            )  # fmt: skip
            server = MetricsServer(config)  # leaves the signals to pytest
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            async with httpx.AsyncClient(base_url=url, timeout=60) as client:
                api = Api(platform, client)
                yield api
                api.give_slots_back()
            server.should_exit = True
            await serving


@pytest.fixture(scope="session")
def forker() -> Iterator[Any]:
    """What starts worker processes: the `Forker` of `tests/forked.py`."""
    made = _module("forked").Forker()
    yield made
    made.close()


@pytest.fixture(scope="session")
def packages() -> Any:
    """The module `tests/packages.py`: packages of other people, installed for a test."""
    return _module("packages")


@pytest.fixture(scope="session")
def ogc(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """OGC's XML schemas: `ogc.problems(document)`."""
    return _module("ogc").Schemas(tmp_path_factory.mktemp("ogc"))


@pytest.fixture(scope="session")
def node() -> Any:
    """The module `tests/typescript.py`: node, with the packages that were installed for it."""
    return _module("typescript")


@pytest.fixture(scope="session")
def typescript(node: Any) -> Any:
    """The same, with the TypeScript client built."""
    node.build()
    return node


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The fake of an S3-compatible store of `tests/s3.py`, which the environment leads to."""
    s3 = _module("s3")
    made = s3.Bucket()
    with s3.serving(made) as url:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        for name in s3.TOLD_GDAL:
            monkeypatch.setenv(name, "")  # so that what the platform sets is gone after the test
            monkeypatch.delenv(name)
        yield made

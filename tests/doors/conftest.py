"""One platform and one world for all that a test process walks through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from walk import case
from walk.server import running
from walk.world import World

from db.disposable import migrated_cluster

case.load()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="record the calls that the pages show")


@pytest.fixture
def recording(request: pytest.FixtureRequest) -> bool:
    """Whether this run records instead of comparing."""
    return bool(request.config.getoption("--record", default=False))


@pytest.fixture(scope="session")
def world(tmp_path_factory: Any, forker: Any) -> Iterator[World]:
    """The world on a cluster of its own: nothing of other tests is told of by what tells of all."""
    home: Path = tmp_path_factory.mktemp("walk")
    with migrated_cluster() as cluster:

        def tamper(statement: str, *params: Any) -> None:
            options = "-c search_path=opstac -c session_replication_role=replica"
            dsn = cluster.superuser_dsn("opstac")
            with psycopg.connect(dsn, autocommit=True, options=options) as connection:
                connection.execute(statement.encode(), params or None)

        with running(cluster.dsn(), home) as platform:
            world = World(platform, tamper, forker)
            yield world
            world.close()

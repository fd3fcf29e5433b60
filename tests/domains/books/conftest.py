"""A cluster of these tests' own: what is done to every organization is done to no other test's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from db.disposable import migrated_cluster


@pytest.fixture(scope="package")
def own_cluster() -> Iterator[Any]:
    """A migrated cluster of this folder."""
    with migrated_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="package")
def dsn(own_cluster: Any) -> str:
    """Of that cluster."""
    return own_cluster.dsn()


@pytest.fixture
def service() -> str:
    """No surface but the gateway."""
    return "gateway"

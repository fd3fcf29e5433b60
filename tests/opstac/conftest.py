"""`opstac verify` looks at every organization there is: these tests have a cluster of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from db.disposable import migrated_cluster


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """A cluster of this folder's own: no other test tampers with it."""
    with migrated_cluster() as cluster:
        yield cluster.dsn()

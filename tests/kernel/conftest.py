"""Operations made for the tests, and a look at everything a call may leave behind."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops_gateway.kernel import authenticate
from ops_gateway.kernel.authenticate import mint_key
from ops_gateway.kernel.ids import new_id

HERE = Path(__file__).parent
RECORDS = (
    "account",
    "hold",
    "journal",
    "entry",
    "idempotency_key",
    "lineage",
    "event",
    "delivery",
    "project",
    "job",
    "item",
    "upload",
    "usage_counter",
)


def load_trial() -> Any:
    """The module of the test operations."""
    spec = importlib.util.spec_from_file_location("trial", HERE / "trial.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["trial"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def service() -> str:
    """The operations alone."""
    return "gateway"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The test operations are declared, and every member may call them."""
    trial = load_trial()
    for role, scopes in authenticate.ROLE_SCOPES.items():
        monkeypatch.setitem(authenticate.ROLE_SCOPES, role, scopes | {"trial:*"})
    yield trial.declare()
    trial.retract()


class Trial:
    """An organization, its owner, and what its calls leave behind."""

    def __init__(self, api: Any, owner: Any, provider: Any) -> None:
        self.api = api
        self.owner = owner
        self.organization_id: str = owner.organization_id
        self.provider = provider

    async def call(self, op_id: str, body: Any = None, **kwargs: Any) -> Any:
        """POST `trial.<op_id>` as the owner."""
        return await self.api.call(f"trial.{op_id}", body, **{"as_": self.owner, **kwargs})

    async def ok(self, op_id: str, body: Any = None, **kwargs: Any) -> Any:
        """The answer of a call that must succeed."""
        return await self.api.ok(f"trial.{op_id}", body, **{"as_": self.owner, **kwargs})

    async def refused(self, status: int, op_id: str, body: Any = None, **kwargs: Any) -> Any:
        """The problem of a call that must be refused."""
        return await self.api.refused(
            status, f"trial.{op_id}", body, **{"as_": self.owner, **kwargs}
        )

    def effects(self, note: str = "effect") -> int:
        """How many rows calls have made."""
        found = self.api.sql(
            "select count(*) as n from project where organization_id = %s and name = %s"
            " and deleted_at is null",
            self.organization_id,
            note,
        )
        return found[0]["n"]

    def wallet(self) -> tuple[int, int]:
        """Available and held credits."""
        rows = self.api.sql(
            "select kind, balance from account where organization_id = %s", self.organization_id
        )
        balances = {row["kind"]: row["balance"] for row in rows}
        return balances["available"], balances["held"]

    def rows(self) -> dict[str, Any]:
        """How many rows each table has for the organization, and what its wallet holds."""
        counts = ", ".join(
            f"(select count(*) from {table} where organization_id = %s) as {table}"
            for table in RECORDS
        )
        queued = "(select count(*) from queue.procrastinate_jobs) as queued"
        found = self.api.sql(f"select {counts}, {queued}", *[self.organization_id] * len(RECORDS))
        return found[0] | {"wallet": self.wallet()}

    def keys(self) -> int:
        """How many idempotency keys are stored."""
        return self.rows()["idempotency_key"]

    def api_key(self, *permissions: str, **columns: Any) -> tuple[str, str]:
        """A stored API key: its token and id. `columns` are SQL: `expires_at="now()"`."""
        key, key_id = mint_key(), new_id("key")
        names = "".join(f", {name}" for name in columns)
        values = "".join(f", {value}" for value in columns.values())
        self.api.sql(
            f"insert into api_key (id, organization_id, lookup, secret_sha256, name,"
            f" permissions{names})"
            f" values (%s, %s, %s, %s, 'k', %s{values})",
            key_id,
            self.organization_id,
            key.lookup,
            key.digest,
            list(permissions),
        )
        return key.token, key_id


@pytest.fixture
async def trial(provider: Any, api: Any) -> AsyncIterator[Trial]:
    """A fresh organization with the signup credits, 1,000."""
    yield Trial(api, await api.organization(), provider)

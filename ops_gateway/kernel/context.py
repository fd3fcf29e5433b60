"""What a handler is given: the caller, its organization's rows, and places to declare effects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, LiteralString, TypeVar, overload

from psycopg import sql
from pydantic import BaseModel

from db.pool import Connection
from ops_gateway.kernel.errors import BadRequest, Forbidden, NotFound
from ops_gateway.kernel.events import published
from ops_gateway.kernel.ids import new_id

if TYPE_CHECKING:
    from ops_gateway.kernel.pipeline import Pipeline
    from ops_gateway.kernel.services import Services

M = TypeVar("M", bound=BaseModel)
Kind = Literal["user", "api_key", "service", "worker", "share", "anonymous"]
CREDITS_LIMIT = 10**12  # of one journal
CRON = "cron"
ROLE_RANK = {"viewer": 0, "editor": 1, "admin": 2, "owner": 3}


@dataclass(frozen=True)
class Principal:
    """Who calls. `projects` is None where every project of the organization is visible."""

    kind: Kind
    id: str
    organization_id: str | None = None
    scopes: frozenset[str] = frozenset()
    projects: Mapping[str, str] | None = field(default_factory=dict[str, str])
    project_role: str = "viewer"
    role: str | None = None
    slot: str | None = None
    user_id: str | None = None
    email: str | None = None
    name: str | None = None
    rate_limit: int | None = None
    job_id: str | None = None
    epoch: int | None = None

    def allows(self, scope: str) -> bool:
        """Whether a granted scope covers `scope`; `admin:*` needs an explicit grant."""
        resource, _, action = scope.partition(":")
        if scope in self.scopes or f"{resource}:*" in self.scopes:
            return True
        if resource == "admin":
            return "*" in self.scopes and self.kind == "service"
        return "*" in self.scopes or f"*:{action}" in self.scopes

    @property
    def operates(self) -> bool:
        """Whether this is an operator of the platform, or its scheduler."""
        return self.allows("admin:read")

    @property
    def is_cron(self) -> bool:
        """Whether the caller has shown the scheduler's token."""
        return self.kind == "service" and self.id == CRON

    def role_in(self, project_id: str) -> str | None:
        """The caller's role in a project of its organization; None where it has none."""
        if self.projects is None:
            return self.project_role
        return self.projects.get(project_id)


ANONYMOUS = Principal(kind="anonymous", id="anonymous")


@dataclass(frozen=True)
class Event:
    """Something that happened; published through the outbox when its transaction commits."""

    type: str
    entity_type: str
    entity_id: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    project_id: str | None = None


class Context:
    """One operation's view of the platform. Queries bind the caller's organization as `:org`."""

    def __init__(
        self,
        pipeline: Pipeline,
        principal: Principal,
        *,
        operation: str,
        request_id: str,
        base_url: str,
        read_only: bool,
    ) -> None:
        """Made by the pipeline, once for each run (and again for each retry)."""
        self._pipeline = pipeline
        self.principal = principal
        self.operation = operation
        self.request_id = request_id
        self.base_url = base_url
        self.read_only = read_only
        self.invocation_id = new_id("inv")
        self.edges: list[tuple[str, str, str, str, str]] = []
        self.events: list[Event] = []
        self.postings: list[dict[str, Any]] = []
        self.entities: list[dict[str, str]] = []
        self.inputs: list[tuple[str, str]] = []
        self.project_id: str | None = None
        self.price = 0
        self.intent: str | None = None
        self.after_commit: list[Callable[[], Awaitable[None]]] = []
        self._bound: str | None = principal.organization_id
        self._connection: Connection | None = None
        self._lease: Any = None

    # ------------------------------------------------------------ who and where

    @property
    def pipeline(self) -> Pipeline:
        """What runs operations; for duties that go through every organization, one by one."""
        return self._pipeline

    @property
    def services(self) -> Services:
        """The outside parties: object store, keys, queue, compute."""
        return self._pipeline.services

    @property
    def organization_id(self) -> str:
        """The organization this runs for; raises Forbidden where the caller has none."""
        if self._bound is None:
            raise Forbidden("User not in an organization")
        return self._bound

    def require_project_role(self, project_id: str, role: str, *, kind: str = "project") -> None:
        """Raise Forbidden unless the caller's role in the project is `role` or above."""
        held = self.principal.role_in(project_id)
        if held is None:
            raise Forbidden(f"not a member of the {kind}'s project")
        if ROLE_RANK[held] < ROLE_RANK[role]:
            raise Forbidden(f"role '{role}' in the project is needed; yours is '{held}'")
        self.project_id = project_id

    # ------------------------------------------------------------ rows

    @overload
    async def rows(
        self, model: None, query: LiteralString, /, **params: Any
    ) -> list[dict[str, Any]]: ...
    @overload
    async def rows(self, model: type[M], query: LiteralString, /, **params: Any) -> list[M]: ...
    async def rows(self, model: type[M] | None, query: LiteralString, /, **params: Any) -> Any:
        """Every row, as `model` or as dicts."""
        cursor = await self._run(query, params)
        found = await cursor.fetchall()
        return found if model is None else [model.model_validate(row) for row in found]

    @overload
    async def row(
        self, model: None, query: LiteralString, /, **params: Any
    ) -> dict[str, Any] | None: ...
    @overload
    async def row(self, model: type[M], query: LiteralString, /, **params: Any) -> M | None: ...
    async def row(self, model: type[M] | None, query: LiteralString, /, **params: Any) -> Any:
        """The first row or None."""
        cursor = await self._run(query, params)
        found = await cursor.fetchone()
        return found if model is None or found is None else model.model_validate(found)

    async def one(self, kind: str, query: LiteralString, /, **params: Any) -> dict[str, Any]:
        """The row; raises NotFound(`kind` not found) where there is none."""
        found = await self.row(None, query, **params)
        if found is None:
            raise NotFound.of(kind)
        return found

    async def execute(self, query: LiteralString, /, **params: Any) -> int:
        """Run a statement; the number of rows it touched."""
        return (await self._run(query, params)).rowcount

    async def _run(self, query: LiteralString, params: dict[str, Any]) -> Any:
        connection = await self.connection()
        params.setdefault("org", self._bound)
        return await connection.execute(query, params)

    async def connection(self) -> Connection:
        """The operation's connection, bound to its organization.

        A write has it from the pipeline, inside the one transaction. A read takes one at its first
        query and gives it back at `release()`.
        """
        if self._connection is None:
            if not self.read_only:
                raise RuntimeError(f"{self.operation}: no transaction is open here")
            self._lease = self._pipeline.pool.connection()
            connection: Connection = await self._lease.__aenter__()
            self._connection = connection
            await connection.execute(
                sql.SQL("begin read only; set local opstac.org = {}").format(
                    sql.Literal(self._bound or "")
                )
            )
        return self._connection

    async def release(self) -> None:
        """Give a read's connection back, so that none is held while pixels are computed."""
        if self._lease is not None:
            lease, connection = self._lease, self._connection
            self._lease = self._connection = None
            if connection is not None and not connection.closed:
                await connection.rollback()
            await lease.__aexit__(None, None, None)

    @property
    def holds_connection(self) -> bool:
        """Whether `release` has something to give back."""
        return self._lease is not None

    @property
    def is_bound(self) -> bool:
        """Whether this acts for an organization."""
        return self._bound is not None

    def attach(self, connection: Connection | None, *, intent: str | None = None) -> None:
        """Called by the pipeline: the connection of the write transaction, and the intent a phased
        operation carries out (the same again when it is resumed).
        """
        self._connection = connection
        if intent is not None:
            self.intent = intent

    async def bind(self, organization_id: str) -> None:
        """Act for an organization made in this very operation (organizations.create)."""
        connection = await self.connection()
        await connection.execute(
            "select set_config('opstac.org', %(org)s, true)", {"org": organization_id}
        )
        self._bound = organization_id

    # ------------------------------------------------------------ declared effects

    def used(self, entity_type: str, entity_id: str) -> None:
        """An input of what this operation produces."""
        self.inputs.append((entity_type, entity_id))

    def produced(self, entity_type: str, entity_id: str) -> None:
        """An entity this operation made or changed; recorded in the audit row."""
        self.entities.append({"type": entity_type, "id": entity_id})

    def edge(self, src: tuple[str, str], relation: str, dst: tuple[str, str]) -> None:
        """A lineage edge: `src` came from `dst`."""
        self.edges.append((*src, relation, *dst))

    def emit(self, event: Event) -> None:
        """Publish `event` when the transaction commits; it must be as `events.EVENT_TYPES` says."""
        data = published(event.type, event.entity_type, event.data, event.project_id)
        self.events.append(replace(event, data=data))

    def declared(self) -> tuple[int, int, int]:
        """How much was declared until now; for `withdraw`."""
        return len(self.edges), len(self.events), len(self.entities)

    def withdraw(self, mark: tuple[int, int, int]) -> None:
        """Forget what was declared since `mark`: its savepoint was rolled back."""
        for declared, length in zip((self.edges, self.events, self.entities), mark, strict=True):
            del declared[length:]

    def hold(
        self, amount: int, *, job_id: str | None = None, expires_at: datetime | None = None
    ) -> str | None:
        """Reserve credits; the hold's id, or None for nothing to pay."""
        if amount <= 0:
            return None
        hold_id = new_id("hold")
        self._post(
            "hold",
            amount,
            hold_id=hold_id,
            job_id=job_id,
            expires_at=expires_at.isoformat() if expires_at else None,
            reference=("processing_job", job_id) if job_id else None,
            description="credits reserved",
        )
        return hold_id

    def settle(self, hold_id: str, amount: int, *, job_id: str | None = None) -> None:
        """Charge `amount` (at most the hold) and give the rest back."""
        self._post(
            "settle",
            amount,
            hold_id=hold_id,
            reference=("processing_job", job_id) if job_id else None,
            description="credits charged",
        )

    def void(self, hold_id: str, *, job_id: str | None = None) -> None:
        """Give a whole hold back."""
        self._post(
            "void",
            0,
            hold_id=hold_id,
            reference=("processing_job", job_id) if job_id else None,
            description="reservation released",
        )

    def credit(
        self,
        kind: Literal["grant", "topup", "refund", "correction"],
        amount: int,
        description: str,
        *,
        reference: tuple[str, str | None] | None = None,
    ) -> str:
        """Add credits to the organization; the journal's id.

        A negative amount takes them away: a correction, or a topup whose money went back.

        Args:
            reference: type and id of what it was for.
        """
        return self._post(kind, amount, reference=reference, description=description)

    def expire(self, amount: int, description: str, *, reference: tuple[str, str | None]) -> str:
        """Take available credits away whose time is over; the journal's id."""
        return self._post("expiry", -amount, reference=reference, description=description)

    def _post(
        self,
        kind: str,
        amount: int,
        *,
        hold_id: str | None = None,
        job_id: str | None = None,
        expires_at: str | None = None,
        reference: tuple[str, str | None] | None = None,
        description: str,
    ) -> str:
        may_take = kind in ("correction", "expiry", "topup")
        if abs(amount) > CREDITS_LIMIT or (amount < 0 and not may_take):
            raise BadRequest(f"an amount must be 0 to {CREDITS_LIMIT} credits")
        journal_id = new_id("txn")
        self.postings.append(
            {
                "id": journal_id,
                "kind": kind,
                "amount": amount,
                "hold_id": hold_id,
                "job_id": job_id,
                "expires_at": expires_at,
                "reference_type": reference[0] if reference else None,
                "reference_id": reference[1] if reference else None,
                "description": description,
            }
        )
        return journal_id

    # ------------------------------------------------------------ other work

    async def call(self, op_id: str, body: Mapping[str, Any]) -> Any:
        """Run another operation whole inside this one: same caller, same transaction."""
        return await self._pipeline.call(self, op_id, body)

    async def compute(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run blocking raster work in the compute pool; a read gives its connection back first.

        Raises Unavailable where the pool's queue is full.
        """
        if not self.read_only and self._connection is not None:
            raise RuntimeError(f"{self.operation}: no raster work inside a transaction")
        await self.release()
        return await self.services.compute(function, *args, **kwargs)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Connection]:
        """The connection for a stretch of reads, given back at its end."""
        try:
            yield await self.connection()
        finally:
            await asyncio.shield(self.release())

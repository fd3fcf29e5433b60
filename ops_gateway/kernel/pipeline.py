"""The one pipeline behind every operation.

authenticate (the surface) → scope → validate → idempotency → reserve credits → execute →
validate output → seal lineage, audit, outbox → commit; all that writes is one transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg
from psycopg_pool import PoolTimeout
from pydantic import ValidationError

from db.pool import Connection, Pool
from ops_gateway.kernel import records
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InProgress,
    InsufficientCredits,
    Internal,
    Invalid,
    KeyReused,
    NotFound,
    OpError,
    Unavailable,
    Unauthenticated,
)
from ops_gateway.kernel.fault import fault
from ops_gateway.kernel.operation import Blob, Input, Operation, get_operation
from ops_gateway.kernel.services import Services

logger = logging.getLogger(__name__)

RETRIES = 2  # deadlocks and serialization failures: the whole transaction again
ANSWER_LIMIT = 1 << 20  # bytes an idempotent answer may have


@dataclass(frozen=True)
class Answer:
    """What a surface sends."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """What a surface knows of one request."""

    principal: Principal
    key: str | None = None
    request_id: str = ""
    base_url: str = ""


class Pipeline:
    """Runs operations on one pool."""

    def __init__(self, pool: Pool, services: Services) -> None:
        """`pool` acts as opstac_app."""
        self.pool = pool
        self.services = services
        self._flights: dict[tuple[str, str, str], asyncio.Future[None]] = {}
        # a waiting duplicate holds a connection; most of the pool must stay free for others
        self._waiters = asyncio.Semaphore(max(1, pool.max_size // 4))

    # ------------------------------------------------------------ entry

    async def run(self, op_id: str, raw: Any, call: Call) -> Answer:
        """Run `op_id` with the parsed JSON body `raw`.

        Raises:
            OpError: it was refused; nothing was written but an audit row.
        """
        op = get_operation(op_id)
        if op is None:
            raise NotFound(f"operation '{op_id[:100]}' not found")
        started = time.perf_counter()
        outcome = 200
        try:
            self.admit(op, call.principal)
            body = self.validate(op, raw)
            if op.is_read:
                answer = await self._read(op, body, call)
            else:
                answer = await self._guarded(op, body, raw, call)
            outcome = answer.status
            return answer
        except OpError as error:
            outcome = error.status
            await self._audit_refusal(op, call, error)
            raise
        except Exception as error:
            refusal = translate(error)
            outcome = refusal.status
            if refusal.status >= 500:
                logger.exception("operation failed", extra={"op": op.id, "request_id": call.request_id})
            await self._audit_refusal(op, call, refusal)
            raise refusal from error
        finally:
            logger.info(
                "operation",
                extra={
                    "op": op.id,
                    "organization": call.principal.organization_id,
                    "request_id": call.request_id,
                    "duration_ms": round((time.perf_counter() - started) * 1000, 2),
                    "outcome": outcome,
                },
            )

    def admit(self, op: Operation, principal: Principal) -> None:
        """Raise unless `principal` may call `op` at all: 401, no organization, scope, kind."""
        fault("authenticate")
        if principal.kind == "anonymous":
            if op.public:
                return
            raise Unauthenticated()
        if op.needs_organization and principal.organization_id is None:
            raise Forbidden("User not in an organization")
        fault("scope")
        if not principal.allows(op.scope):
            raise Forbidden(f"missing scope '{op.scope}' for '{op.id}'")
        if principal.kind not in op.callers and not op.public:
            raise Forbidden(f"a {principal.kind} principal may not call '{op.id}'")
        if op.human_only and principal.kind != "user":
            raise Forbidden(f"'{op.id}' needs a human user")

    def validate(self, op: Operation, raw: Any) -> Any:
        """The typed body; raises BadRequest or Invalid."""
        fault("validate")
        if raw is None:
            raw = {}
        if not isinstance(raw, dict):
            raise BadRequest("the body must be a JSON object")
        try:
            return op.input.model_validate(raw)
        except ValidationError as error:
            raise invalid(error) from None

    # ------------------------------------------------------------ reads

    async def _read(self, op: Operation, body: Input, call: Call) -> Answer:
        context = self._context(op, call, read_only=True)
        try:
            return self._answer(op, await op.handler(context, body))
        finally:
            await asyncio.shield(context.release())

    # ------------------------------------------------------------ writes

    async def _guarded(self, op: Operation, body: Input, raw: Any, call: Call) -> Answer:
        """One flight a key in this process, few waiters across processes."""
        if call.key is None:
            return await self._write(op, body, None, b"", call)
        check_key(call.key)
        fingerprint = fingerprint_of(op, raw)
        flight = (call.principal.organization_id or call.principal.id, op.alias_of or op.id, call.key)
        while (running := self._flights.get(flight)) is not None:
            await asyncio.wait({running}, timeout=5)
            if not running.done():
                raise InProgress()
            stored = await self._look_up(op, fingerprint, call)
            if stored is not None:
                return stored
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flights[flight] = done
        try:
            stored = await self._look_up(op, fingerprint, call)
            if stored is not None:
                return stored
            return await self._write(op, body, call.key, fingerprint, call)
        finally:
            del self._flights[flight]
            done.set_result(None)

    async def _look_up(self, op: Operation, fingerprint: bytes, call: Call) -> Answer | None:
        """The stored answer, read without a lock; None where the key is free."""
        if call.principal.organization_id is None:
            return None
        context = self._context(op, call, read_only=True)
        try:
            row = await records.stored(context, op.alias_of or op.id, call.key or "")
        finally:
            await asyncio.shield(context.release())
        if row is None:
            return None
        if row["fingerprint"] != fingerprint:
            raise key_reused()
        if row["state"] == "running":
            if op.phases is not None and row["lapsed"]:
                return None
            raise InProgress()
        return self._replay(row, call.principal)

    def _replay(self, row: Mapping[str, Any], principal: Principal) -> Answer:
        project = row["project_id"]
        if project is not None and principal.role_in(project) is None:
            raise Forbidden("not a member of the project this call was made in")
        body = bytes(row["body"] or b"")
        return Answer(
            row["status"],
            self.services.keys.unseal(body) if row["encrypted"] else body,
            row["content_type"] or "application/json",
            {"Idempotent-Replayed": "true"},
        )

    async def _write(
        self, op: Operation, body: Input, key: str | None, fingerprint: bytes, call: Call
    ) -> Answer:
        prepared: list[Any] = []
        amount = 0
        if op.prepare is not None or op.price is not None:
            fault("prepare")
            context = self._context(op, call, read_only=True)
            try:
                if op.prepare is not None:
                    prepared = [await op.prepare(context, body)]
                if op.price is not None:
                    amount = await op.price(context, body, *prepared)
            finally:
                await asyncio.shield(context.release())
        if op.phases is not None:
            return await self._phased(op, body, key, fingerprint, call)
        return await self._transaction(op, op.handler, body, prepared, key, fingerprint, call, amount=amount)

    async def _transaction(
        self,
        op: Operation,
        handler: Any,
        body: Input,
        arguments: list[Any],
        key: str | None,
        fingerprint: bytes,
        call: Call,
        *,
        amount: int = 0,
        intent: str | None = None,
        running: float | None = None,
    ) -> Any:
        """One transaction around `handler`; with `running` it commits the key as running and gives
        back what the handler returned, otherwise it stores and gives back the answer.
        """
        for attempt in range(RETRIES + 1):
            context = self._context(op, call, read_only=False)
            context.price = amount
            try:
                async with self.pool.connection() as connection, connection.transaction():
                    context.attach(connection)
                    replayed = await self._begin(
                        op, connection, key, fingerprint, call, amount, intent
                    )
                    if replayed is not None:
                        return replayed
                    fault("execute")
                    result = await handler(context, body, *arguments)
                    fault("output")
                    answer = self._answer(op, result) if running is None else None
                    if running is None:
                        self._require_product(op, context)
                    fault("provenance")
                    await records.finish(
                        context,
                        op,
                        connection,
                        key=key,
                        answer=answer,
                        running=running,
                    )
                    fault("commit")
                context.attach(None)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if attempt == RETRIES:
                    raise
                await asyncio.sleep(0.02 * (attempt + 1))
                continue
            for effect in context.after_commit:
                try:
                    await effect()
                except Exception:  # the sweeper does it later; the answer stands
                    logger.warning("an effect after commit failed", exc_info=True)
            return result if running is not None else answer
        raise AssertionError("unreachable")

    async def _begin(
        self,
        op: Operation,
        connection: Connection,
        key: str | None,
        fingerprint: bytes,
        call: Call,
        amount: int,
        intent: str | None,
    ) -> Answer | None:
        """Bind the organization and claim the key; an answer where the key has one already."""
        fault("idempotency")
        if call.principal.organization_id is None:
            return None  # organizations.create binds the one it makes; there is no key to claim
        waits = key is not None
        if waits and self._waiters.locked():
            raise InProgress()
        if waits:
            async with self._waiters:
                row = await records.begin(
                    connection, call.principal, op, key, fingerprint, amount, intent
                )
        else:
            row = await records.begin(connection, call.principal, op, key, fingerprint, amount, intent)
        match row["outcome"]:
            case "new":
                return None
            case "replay":
                return self._replay(row, call.principal)
            case "conflict":
                raise key_reused()
            case "running":
                raise InProgress()
            case _:
                raise InsufficientCredits(
                    f"this needs {amount} credits and fewer are available; "
                    "see billing.credits.balance"
                )

    async def _phased(
        self, op: Operation, body: Input, key: str | None, fingerprint: bytes, call: Call
    ) -> Answer:
        phases = op.phases
        assert phases is not None
        intent = getattr(body, "intent", lambda: None)() or call.request_id
        claimed = await self._transaction(
            op, phases.claim, body, [], key, fingerprint, call,
            intent=intent, running=phases.lease_seconds,
        )  # fmt: skip
        if isinstance(claimed, Answer):
            return claimed
        try:
            context = self._context(op, call, read_only=True)
            try:
                acted = await phases.act(context, body, claimed)
            finally:
                await asyncio.shield(context.release())
        except OpError as error:
            await self._undo(op, body, claimed, error, call, key)
            raise
        return await self._transaction(
            op, op.handler, body, [claimed, acted], key, fingerprint, call, intent=intent
        )

    async def _undo(
        self, op: Operation, body: Input, claimed: Any, error: OpError, call: Call, key: str | None
    ) -> None:
        assert op.phases is not None
        context = self._context(op, call, read_only=False)
        async with self.pool.connection() as connection, connection.transaction():
            context.attach(connection)
            await records.begin(connection, call.principal, op, None, b"", 0, None)
            await op.phases.undo(context, body, claimed, error)
            if key is not None:
                await records.forget(context, op.alias_of or op.id, key)
            await records.finish(context, op, connection, key=None, answer=None, running=None, error=error)

    # ------------------------------------------------------------ pieces

    def _context(self, op: Operation, call: Call, *, read_only: bool) -> Context:
        return Context(
            self,
            call.principal,
            operation=op.alias_of or op.id,
            request_id=call.request_id,
            base_url=call.base_url,
            read_only=read_only,
        )

    async def call(self, context: Context, op_id: str, raw: Mapping[str, Any]) -> Any:
        """`ctx.call`: another operation inside the same transaction."""
        op = get_operation(op_id)
        if op is None:
            raise NotFound(f"operation '{op_id}' not found")
        self.admit(op, context.principal)
        body = self.validate(op, dict(raw))
        prepared = [await op.prepare(context, body)] if op.prepare else []
        return await op.handler(context, body, *prepared)

    def _answer(self, op: Operation, result: Any) -> Answer:
        """The validated, serialized answer; an answer that breaks its own schema is our bug."""
        if isinstance(result, Blob):
            return Answer(result.status, result.content, result.media_type, result.headers)
        if op.adapter is None:
            raise Internal(f"'{op.id}' gave no bytes")
        try:
            content = op.adapter.dump_json(
                op.adapter.validate_python(result), by_alias=True, warnings="error"
            )
        except (ValidationError, ValueError) as error:
            logger.error("answer breaks its schema", extra={"op": op.id, "detail": str(error)[:500]})
            raise Internal("the answer did not match its schema") from error
        return Answer(op.status, content, op.media_type or "application/json")

    def _require_product(self, op: Operation, context: Context) -> None:
        """Fail closed: an operation that declares a product must name it, with its lineage."""
        if op.produces is None:
            return
        made = {e["id"] for e in context.entities if e["type"] == op.produces}
        if not made or not all(any(edge[1] == m for edge in context.edges) for m in made):
            raise Internal(f"'{op.id}' produced no lineage for its {op.produces}")

    async def _audit_refusal(self, op: Operation, call: Call, error: OpError) -> None:
        """Denials and failures, in a transaction of their own: the first one is gone."""
        if op.is_read or call.principal.organization_id is None:
            return
        if error.status in (400, 422, 429, 503) or isinstance(error, InProgress):
            return
        context = self._context(op, call, read_only=False)
        try:
            async with self.pool.connection() as connection, connection.transaction():
                context.attach(connection)
                await records.begin(connection, call.principal, op, None, b"", 0, None)
                await records.finish(
                    context, op, connection, key=None, answer=None, running=None, error=error
                )
        except Exception:
            logger.warning("a refusal could not be audited", exc_info=True)


def check_key(key: str) -> None:
    """Raise BadRequest unless `key` is 1 to 255 visible ASCII characters."""
    if not 1 <= len(key) <= 255 or any(not 0x21 <= ord(c) <= 0x7E for c in key):
        raise BadRequest("Idempotency-Key must be 1 to 255 visible ASCII characters")


def fingerprint_of(op: Operation, raw: Any) -> bytes:
    """SHA-256 over the operation's id and the canonical JSON of the body as it was parsed."""
    canonical = orjson.dumps(raw if raw is not None else {}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256((op.alias_of or op.id).encode() + b"\n" + canonical).digest()


def key_reused() -> OpError:
    """The 409 of a key that came again with another body."""
    return KeyReused("this Idempotency-Key was used with another body; use a new key")


def invalid(error: ValidationError) -> Invalid:
    """pydantic's errors in the wire's form."""
    return Invalid(
        [
            {"loc": ["body", *e["loc"]], "msg": e["msg"], "type": e["type"]}
            for e in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    )


def translate(error: Exception) -> OpError:
    """What a failure of the database or of ours means to the caller."""
    match error:
        case psycopg.errors.CheckViolation() if error.diag.constraint_name == "account_balance_not_negative":
            return InsufficientCredits("fewer credits are available than this needs")
        case psycopg.errors.UniqueViolation():
            return Conflict("this exists already")
        case psycopg.errors.LockNotAvailable():
            return InProgress("another call holds what this needs; try again")
        case psycopg.errors.DeadlockDetected() | psycopg.errors.SerializationFailure():
            return Unavailable("too many concurrent changes; try again", 1)
        case psycopg.errors.QueryCanceled():
            return Unavailable("the database took too long; try again", 5)
        case psycopg.Error() if error.sqlstate == "OP004":
            return Conflict("the reservation has ended already")
        case psycopg.DataError():
            return BadRequest("a value cannot be stored")
        case psycopg.OperationalError() | psycopg.InterfaceError() | PoolTimeout():
            return Unavailable("the database is unavailable", 2, slug="database-unavailable")
        case _:
            return Internal("the operation failed; the request id identifies it in the logs")

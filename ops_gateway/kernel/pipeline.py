"""The one pipeline behind every operation.

authenticate (the surface) → scope → validate → idempotency → reserve credits → execute →
validate output → seal lineage, audit, outbox → commit; all that writes is one transaction.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import psycopg
from pydantic import ValidationError

from db.pool import Pool
from ops_gateway.kernel import records, transaction
from ops_gateway.kernel.answers import Answer, Call, Claimed, Done, answer_of, replayed
from ops_gateway.kernel.context import CREDITS_LIMIT, Context, Principal
from ops_gateway.kernel.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InProgress,
    Internal,
    NotFound,
    OpError,
    OutcomeUnknown,
    Unauthenticated,
)
from ops_gateway.kernel.failures import connection_lost, invalid, translate
from ops_gateway.kernel.fault import fault
from ops_gateway.kernel.idempotency import check_key, fingerprint_of, key_reused
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import (
    Effect,
    Empty,
    Input,
    Operation,
    Phases,
    get_operation,
)
from ops_gateway.kernel.services import Services
from ops_gateway.kernel.transaction import Transactions, require_declared

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Pipeline:
    """Runs operations on one pool."""

    def __init__(
        self,
        pool: Pool,
        services: Services,
        *,
        observe: Callable[[str, int, float], None] = lambda op_id, outcome, seconds: None,
    ) -> None:
        """`pool` acts as opstac_app; `observe` is told of each run: id, status, seconds."""
        self.pool = pool
        self._observe = observe
        self.services = services
        self._transactions = Transactions(
            pool, services, lambda op, call, ro: self._context(op, call, read_only=ro)
        )
        # what runs in this process: its duplicates wait here and hold no connection
        self._flights: dict[tuple[str, str, str], asyncio.Future[Done | None]] = {}

    # ------------------------------------------------------------ entry

    async def run(self, op_id: str, body: Any, call: Call) -> Answer:
        """Run `op_id` with a parsed JSON body.

        Args:
            body: the JSON value, or a coroutine function that reads it once the caller is admitted.

        Raises:
            OpError: it was refused; nothing was written but an audit row.
        """
        op = get_operation(op_id)
        if op is None:
            raise NotFound(f"operation '{op_id[:100]}' not found")
        started = time.perf_counter()
        outcome = 499  # the caller went away
        try:
            self.admit(op, call.principal)
            raw: Any = await body() if inspect.iscoroutinefunction(body) else body
            given = self.validate(op, raw)
            bound = replace(call, principal=self.acting_for(op, call.principal, given))
            if op.is_read:
                answer = await self._read(op, given, bound)
            else:
                answer = await self._guarded(op, given, raw, bound)
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
                logger.exception(
                    "operation failed", extra={"op": op.id, "request_id": call.request_id}
                )
            await self._audit_refusal(op, call, refusal)
            raise refusal from error
        finally:
            seconds = time.perf_counter() - started
            self._observe(op.id, outcome, seconds)
            logger.info(
                "operation",
                extra={
                    "op": op.id,
                    "organization": call.principal.organization_id,
                    "request_id": call.request_id,
                    "duration_ms": round(seconds * 1000, 2),
                    "outcome": outcome,
                },
            )

    async def quote(self, op_id: str, body: Callable[[], Awaitable[Any]], call: Call) -> int | None:
        """The credits that `run` would hold for the same, None where no price is declared.

        Refuses what `run` would refuse before its transaction; nothing is written.
        """
        op = get_operation(op_id)
        if op is None:
            raise NotFound(f"operation '{op_id[:100]}' not found")
        try:
            self.admit(op, call.principal)
            given = self.validate(op, await body())
            if op.price is None:
                return None
            bound = replace(call, principal=self.acting_for(op, call.principal, given))
            return (await self._prepare(op, given, bound))[1]
        except OpError:
            raise
        except Exception as error:
            raise translate(error) from error

    def admit(self, op: Operation, principal: Principal) -> None:
        """Raise unless `principal` may call `op` at all: 401, no organization, scope, kind."""
        fault("authenticate")
        if principal.kind == "anonymous":
            if op.public:
                return
            raise Unauthenticated()
        if principal.organization_id is None and (
            op.needs_organization or (op.acts_for and not principal.operates)
        ):
            raise Forbidden("User not in an organization")
        fault("scope")
        if not principal.allows(op.scope):
            raise Forbidden(f"missing scope '{op.scope}' for '{op.id}'")
        if principal.is_cron and "cron" not in op.summary:
            raise Forbidden(f"the scheduler's token is not for '{op.id}'")
        if principal.kind not in op.callers and not op.public:
            raise Forbidden(f"a {principal.kind} principal may not call '{op.id}'")
        if op.human_only and principal.kind != "user":
            raise Forbidden(f"'{op.id}' needs a human user")

    def acting_for(self, op: Operation, principal: Principal, body: Input) -> Principal:
        """The caller, bound to the organization that the call is about; raises NotFound.

        A platform operator acts for the one the body names. What names none and changes something
        is the platform's own: it is recorded, and its key is kept, there.
        """
        named = getattr(body, op.acts_for) if op.acts_for else None
        if named is not None and named != principal.organization_id:
            if not principal.operates or not named:
                raise NotFound.of("organization")
            return replace(principal, organization_id=named, projects=None, slot=None)
        if op.scope.startswith("admin:") and principal.organization_id is None and not op.is_read:
            return replace(principal, organization_id=transaction.PLATFORM)
        return principal

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
        try:
            return await self._read_once(op, body, call)
        except psycopg.OperationalError as error:
            if not connection_lost(error):
                raise
        # nothing was sent and nothing changed: another connection may do
        return await self._read_once(op, body, call)

    async def _read_once(self, op: Operation, body: Input, call: Call) -> Answer:
        context = self._context(op, call, read_only=True)
        try:
            return answer_of(op, await op.handler(context, body))
        finally:
            await asyncio.shield(context.release())

    # ------------------------------------------------------------ writes

    async def _guarded(self, op: Operation, body: Input, raw: Any, call: Call) -> Answer:
        """Run `op` once for its key; duplicates in this process share the first one's answer."""
        if call.key is None:
            return (await self._write(op, body, None, b"", call)).answer
        check_key(call.key)
        fingerprint = fingerprint_of(op, raw)
        name = (call.principal.organization_id or call.principal.id, op.alias_of or op.id, call.key)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + transaction.WAIT_SECONDS
        while (flight := self._flights.get(name)) is not None:
            await asyncio.wait({flight}, timeout=max(0.0, deadline - loop.time()))
            if not flight.done():
                raise InProgress()
            if (first := flight.result()) is not None:
                return replayed(first, fingerprint, call.principal)
        flight = self._flights[name] = loop.create_future()
        done: Done | None = None
        try:
            # what prepares or acts outside looks first; for all others claiming the key tells
            if op.prepare is not None or op.phases is not None:
                done = await self._look_up(op, fingerprint, call)
                if done is not None:
                    return replayed(done, fingerprint, call.principal)
            done = await self._write(op, body, call.key, fingerprint, call)
            return done.answer
        finally:
            del self._flights[name]
            flight.set_result(done)

    async def _look_up(self, op: Operation, fingerprint: bytes, call: Call) -> Done | None:
        """The stored answer, read without a lock; None where the key is free."""
        if call.principal.organization_id is None:
            return None
        async with self.pool.connection() as connection:
            row = await records.stored(
                connection, call.principal.organization_id, op.alias_of or op.id, call.key or ""
            )
        if row is None:
            return None
        if row["fingerprint"] != fingerprint:
            raise key_reused()
        if row["state"] == "running":
            if op.phases is not None and row["lapsed"]:
                return None
            raise InProgress()
        return self._transactions.stored(row, fingerprint)

    async def _write(
        self, op: Operation, body: Input, key: str | None, fingerprint: bytes, call: Call
    ) -> Done:
        if op.phases is not None:
            return await self._phased(op, op.phases, body, key, fingerprint, call)
        try:
            prepared, amount = await self._prepare(op, body, call)
        except OpError:
            # what could be priced when the key was first used may be gone by now
            if key is not None and (done := await self._look_up(op, fingerprint, call)) is not None:
                replayed(done, fingerprint, call.principal)
                return done
            raise
        done = await self._transactions.run(
            op, op.handler, body, prepared, key, fingerprint, call, amount=amount
        )
        assert isinstance(done, Done)
        return done

    async def _prepare(self, op: Operation, body: Input, call: Call) -> tuple[list[Any], int]:
        """What the handler gets beside the body, and the price; before any transaction."""
        if op.prepare is None and op.price is None:
            return [], 0
        fault("prepare")
        context = self._context(op, call, read_only=True)
        try:
            prepared = [await op.prepare(context, body)] if op.prepare is not None else []
            amount = 0
            if op.price is not None:
                amount = await op.price(context, body, *prepared)
                if amount > CREDITS_LIMIT:
                    raise BadRequest(f"this would cost more than {CREDITS_LIMIT} credits")
                if call.at_most is not None and amount > call.at_most:
                    raise Conflict(f"this costs {amount} credits now; {call.at_most} were agreed")
            return prepared, amount
        finally:
            if context.holds_connection:
                await asyncio.shield(context.release())

    async def _phased(
        self,
        op: Operation,
        phases: Phases,
        body: Input,
        key: str | None,
        fingerprint: bytes,
        call: Call,
    ) -> Done:
        """Claim, act, finish. A process that dies in between leaves the key running; after the
        lease the next call with it carries out the same intent.
        """
        claimed = await self._transactions.run(
            op, phases.claim, body, [], key, fingerprint, call,
            intent=new_id("int"), lease=phases.lease_seconds,
        )  # fmt: skip
        if isinstance(claimed, Done):
            return claimed
        fault("claimed")
        context = self._context(op, call, read_only=True)
        context.attach(None, intent=claimed.intent)
        try:
            acted = await phases.act(context, body, claimed.result)
        except OutcomeUnknown:
            raise
        except OpError as error:
            await asyncio.shield(context.release())
            await self._undo(op, phases, body, claimed, error, call, key)
            raise
        finally:
            await asyncio.shield(context.release())
        fault("acted")
        done = await self._transactions.run(
            op, op.handler, body, [claimed.result, acted], key, fingerprint, call,
            intent=claimed.intent, finishing=True,
        )  # fmt: skip
        assert isinstance(done, Done)
        return done

    async def _undo(
        self,
        op: Operation,
        phases: Phases,
        body: Input,
        claimed: Claimed,
        error: OpError,
        call: Call,
        key: str | None,
    ) -> None:
        """Give back what the claim took; the key is free again."""

        async def give_back(context: Context) -> None:
            await phases.undo(context, body, claimed.result, error)
            if key is not None:
                await records.forget(context, op.alias_of or op.id, key, claimed.intent)

        await self._transactions.refuse(op, call, error, intent=claimed.intent, work=give_back)

    async def act(
        self, name: str, principal: Principal, work: Callable[[Context], Awaitable[T]]
    ) -> T:
        """A change the platform itself makes for `principal`'s organization, recorded like any
        operation: one transaction, audited under `name`, with its postings and lineage.
        """
        op = internal(name, work)
        call = Call(principal, request_id=new_id("req"))

        async def handler(context: Context, _: Input) -> T:
            return await work(context)

        # `lease` gives the result back as it is; without a key nothing is left running
        done = await self._transactions.run(op, handler, Empty(), [], None, b"", call, lease=0)
        assert isinstance(done, Claimed)
        return done.result

    async def look(
        self,
        name: str,
        principal: Principal,
        work: Callable[[Context], Awaitable[T]],
        *,
        base_url: str = "",
    ) -> T:
        """A read the platform itself makes for `principal`: no records, no transaction kept."""
        call = Call(principal, request_id=new_id("req"), base_url=base_url)
        context = self._context(internal(name, work), call, read_only=True)
        try:
            return await work(context)
        finally:
            await asyncio.shield(context.release())

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
        if op.phases is not None:
            raise Internal(f"'{op.id}' has phases and cannot run inside another operation")
        self.admit(op, context.principal)
        body = self.validate(op, dict(raw))
        prepared = [await op.prepare(context, body)] if op.prepare else []
        outer, context.price = context.price, 0
        before = len(context.postings)
        if op.price is not None:
            context.price = await op.price(context, body, *prepared)
        result = await op.handler(context, body, *prepared)
        require_declared(op, context, context.price, since=before)
        context.price = outer
        return result

    async def _audit_refusal(self, op: Operation, call: Call, error: OpError) -> None:
        """Denials and failures, in a transaction of their own: the first one is gone."""
        if op.is_read or call.principal.organization_id is None:
            return
        if error.status in (400, 405, 413, 422, 429, 503) or isinstance(error, InProgress):
            return
        try:
            await self._transactions.refuse(op, call, error)
        except Exception:
            logger.warning("a refusal could not be audited", exc_info=True)


def internal(name: str, work: Any) -> Operation:
    """A step of the platform's own, recorded under `name`; not in the registry."""
    return Operation(
        id=name,
        scope="",
        effect=Effect.COMPUTE,
        handler=work,
        input=Empty,
        output=None,
        summary=name,
        description="",
    )

"""The one transaction around a handler: begin and claim, run, write what was declared, commit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psycopg

from db.pool import Connection, Pool
from ops_gateway.kernel import records
from ops_gateway.kernel.answers import Answer, Call, Claimed, Done, answer_of, replayed
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, InProgress, InsufficientCredits, Internal, OpError
from ops_gateway.kernel.failures import connection_lost
from ops_gateway.kernel.fault import fault
from ops_gateway.kernel.idempotency import key_reused
from ops_gateway.kernel.operation import Input, Operation
from ops_gateway.kernel.services import Services

logger = logging.getLogger(__name__)

RETRIES = 2  # deadlocks and serialization failures: the whole transaction again
WAIT_SECONDS = 5.0  # how long a duplicate waits for the first call with its key
PLATFORM = "platform"  # whose chain records what callers without an organization do

MakeContext = Callable[[Operation, Call, bool], Context]


class _Busy(Exception):
    """Another process runs this key at this moment."""


class Transactions:
    """Runs handlers on one pool, each in a transaction of its own."""

    def __init__(self, pool: Pool, services: Services, make_context: MakeContext) -> None:
        """`make_context(op, call, read_only)` gives a fresh context."""
        self._pool = pool
        self._services = services
        self._make_context = make_context

    def context(self, op: Operation, call: Call, *, read_only: bool) -> Context:
        """A fresh context."""
        return self._make_context(op, call, read_only)

    async def run(
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
        lease: float | None = None,
        finishing: bool = False,
    ) -> Done | Claimed:
        """One transaction around `handler`, again after a deadlock.

        Args:
            intent, lease: of a phased operation; with `lease` (seconds) the key is committed as
                running and the handler's result given back.
            finishing: the last transaction of a phased operation.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        pause = 0.02
        failures = 0
        begun = retried = False
        while True:
            context = self.context(op, call, read_only=False)
            context.price = amount
            try:
                async with self._pool.connection() as connection:
                    claim = await self.begin(
                        op, connection, key, fingerprint, call, amount, intent, finishing
                    )
                    begun = True
                    if isinstance(claim, Done):
                        return claim
                    context.attach(connection, intent=claim)
                    fault("execute")
                    result = await handler(context, body, *arguments)
                    fault("output")
                    answer = answer_of(op, result) if lease is None else None
                    if answer is not None:
                        require_declared(op, context, amount)
                    fault("provenance")
                    await self.finish(op, context, connection, key, fingerprint, answer, lease)
            except _Busy:
                if time.monotonic() + pause > deadline:
                    raise InProgress() from None
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 0.25)
                continue
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                failures += 1
                if failures > RETRIES:
                    raise
                await asyncio.sleep(0.02 * failures)
                continue
            except psycopg.OperationalError as error:
                # where nothing was begun another connection may do; afterwards only the caller
                # may try again, with its key
                if begun or retried or not connection_lost(error):
                    raise
                retried = True
                continue
            fault("committed")
            await self._after_commit(context)
            if answer is None:
                return Claimed(result, claim or "")
            return Done(answer, fingerprint, context.project_id)

    async def refuse(
        self,
        op: Operation,
        call: Call,
        error: OpError,
        *,
        intent: str | None = None,
        work: Callable[[Context], Awaitable[None]] | None = None,
    ) -> None:
        """Record that `op` was refused, in a transaction of its own: the first one is gone.

        `work` gives back what an earlier transaction took, in the same one.
        """
        context = self.context(op, call, read_only=False)
        async with self._pool.connection() as connection:
            await self.begin(op, connection, None, b"", call, 0, intent, False)
            context.attach(connection, intent=intent)
            if work is not None:
                await work(context)
            await self.finish(op, context, connection, None, b"", None, None, error)

    async def _after_commit(self, context: Context) -> None:
        context.attach(None)
        for effect in context.after_commit:
            try:
                await effect()
            except Exception:  # the sweeper does it later; the answer stands
                logger.warning("an effect after commit failed", exc_info=True)

    async def begin(
        self,
        op: Operation,
        connection: Connection,
        key: str | None,
        fingerprint: bytes,
        call: Call,
        amount: int,
        intent: str | None,
        finishing: bool,
    ) -> Done | str | None:
        """Open the transaction, bind the organization and claim the key.

        Returns: the answer where the key has one already, else the intent that is carried out.
        """
        fault("idempotency")
        if call.principal.organization_id is None:
            # organizations.create binds the one it makes; there is no key to claim
            await connection.execute("begin")
            return intent
        row = await records.begin(
            connection,
            call.principal.organization_id,
            operation=op.alias_of or op.id,
            key=key,
            fingerprint=fingerprint,
            amount=amount,
            intent=intent,
            finishing=finishing,
        )
        match row["outcome"]:
            case "new":
                return row["intent"]
            case "replay":
                done = self.stored(row, fingerprint)
                replayed(done, fingerprint, call.principal)
                return done
            case "conflict":
                raise key_reused()
            case "busy":
                raise _Busy()
            case "running":
                raise InProgress()
            case "gone":
                raise Conflict("this call was given up while it ran; try again")
            case _:
                raise InsufficientCredits(
                    f"this needs {amount} credits and fewer are available; "
                    "see billing.credits.balance"
                )

    async def finish(
        self,
        op: Operation,
        context: Context,
        connection: Connection,
        key: str | None,
        fingerprint: bytes,
        answer: Answer | None,
        lease: float | None,
        error: OpError | None = None,
    ) -> None:
        """Write all that was declared and commit."""
        if not context.is_bound:
            # a caller without an organization that made none: recorded, but no key is kept
            await context.bind(PLATFORM)
            key = None
        fault("audit")
        await records.finish(
            context, op, connection,
            key=key, fingerprint=fingerprint, answer=answer, lease=lease, error=error,
        )  # fmt: skip

    def stored(self, row: Mapping[str, Any], fingerprint: bytes) -> Done:
        """What a committed key row holds, as it is sent again."""
        body = bytes(row["body"] or b"")
        answer = Answer(
            row["status"],
            self._services.keys.unseal(body) if row["encrypted"] else body,
            row["content_type"] or "application/json",
            {"Idempotent-Replayed": "true"},
        )
        return Done(answer, fingerprint, row["project_id"])


def require_declared(op: Operation, context: Context, price: int, *, since: int = 0) -> None:
    """Fail closed: what an operation declares it must also do, or it rolls back.

    Its product must be named with at least one lineage edge, its price reserved in full.

    Args:
        since: postings before this one are not this operation's.
    """
    if op.produces is not None:
        made = {(e["type"], e["id"]) for e in context.entities if e["type"] == op.produces}
        if not made or not made <= {edge[:2] for edge in context.edges}:
            raise Internal(f"'{op.id}' produced no lineage for its {op.produces}")
    held = sum(p["amount"] for p in context.postings[since:] if p["kind"] == "hold")
    if price > 0 and held < price:
        raise Internal(f"'{op.id}' reserved {held} of its price of {price} credits")

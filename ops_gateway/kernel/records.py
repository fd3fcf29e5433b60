"""What the kernel writes around a handler: the key, postings, lineage, audit, outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from psycopg import AsyncClientCursor

from db.pool import Connection
from db.queries import queries
from ops_gateway.kernel.errors import OpError, TooLarge
from ops_gateway.kernel.fault import fault
from ops_gateway.kernel.ids import new_id

if TYPE_CHECKING:
    from ops_gateway.kernel.answers import Answer
    from ops_gateway.kernel.context import Context
    from ops_gateway.kernel.operation import Operation

sql = queries(__file__)


async def stored(
    connection: Connection, organization_id: str, operation: str, key: str
) -> dict[str, Any] | None:
    """The committed row of an idempotency key, or None."""
    cursor = await connection.execute(
        sql.stored, {"org": organization_id, "operation": operation, "key": key}
    )
    return await cursor.fetchone()


async def forget(context: Context, operation: str, key: str, intent: str) -> None:
    """Free a key whose effect was refused, so that a retry may use it."""
    await context.execute(sql.forget, operation=operation, key=key, intent=intent)


async def begin(
    connection: Connection,
    organization_id: str,
    *,
    operation: str,
    key: str | None = None,
    fingerprint: bytes = b"",
    amount: int = 0,
    intent: str | None = None,
    finishing: bool = False,
) -> dict[str, Any]:
    """Open a transaction, bind the organization, claim the key, look at the balance without a lock.

    Returns: `outcome` (new, busy, running, gone, conflict, replay, insufficient), the stored answer
        of a replay, and the `intent` of a new run.
    """
    # one message for both statements: values are quoted by the client, as several statements
    # cannot have parameters
    cursor = AsyncClientCursor(connection)
    await cursor.execute(
        "begin;" + sql.begin,
        {
            "org": organization_id,
            "operation": operation,
            "key": key,
            "fingerprint": fingerprint,
            "amount": amount,
            "intent": intent,
            "finishing": finishing,
        },
    )
    cursor.nextset()
    row = await cursor.fetchone()
    assert row is not None
    return row


async def finish(
    context: Context,
    op: Operation,
    connection: Connection,
    *,
    key: str | None,
    fingerprint: bytes,
    answer: Answer | None,
    lease: float | None,
    error: OpError | None = None,
) -> None:
    """Write everything the operation declared, wallets and the chain head last, and commit."""
    body = answer.body if answer is not None and key is not None else None
    if body is not None and len(body) > 1 << 20:
        raise TooLarge(
            f"the answer of '{op.id}' is larger than 1 MiB and cannot be kept for a replay; "
            "send less, or send it without Idempotency-Key"
        )
    encrypted = op.secret and body is not None
    if body is not None and encrypted:
        body = context.services.keys.seal(body)
    status = error.status if error else answer.status if answer else 202
    record = {
        "operation": context.operation,
        "invocation_id": context.invocation_id,
        "request_id": context.request_id,
        "principal_kind": context.principal.kind,
        "principal_id": context.principal.id,
        "outcome": "ok" if error is None else "denied" if error.status in (401, 403) else "failed",
        "status": status,
        "detail": error.detail[:500] if error else None,
        "entities": context.entities,
        "edges": context.edges,
        "events": [
            {
                "id": new_id("evt"),
                "type": event.type,
                "entity_type": event.entity_type,
                "entity_id": event.entity_id,
                "project_id": event.project_id,
                "data": event.data,
            }
            for event in context.events
        ],
        "postings": context.postings,
        "key": key,
        "key_state": "running" if lease is not None else "done",
        "fingerprint": fingerprint.hex(),
        "lease_seconds": lease,
        "content_type": answer.media_type if answer else None,
        "encrypted": encrypted,
        "project_id": context.project_id,
    }
    fault("commit")
    # work and commit in one message: the wallet's and the chain's locks are held no longer than
    # the commit takes
    spends = context.principal.kind == "api_key" and any(
        posting["kind"] == "hold" for posting in context.postings
    )
    await AsyncClientCursor(connection).execute(
        (sql.spender + ";" if spends else "") + sql.finish + ";commit",
        {
            "record": orjson.dumps(record, default=str).decode(),
            "body": body,
            "spender": context.principal.id,
        },
    )

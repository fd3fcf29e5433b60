"""What the kernel writes around a handler: the key, postings, lineage, audit, outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from db.pool import Connection
from db.queries import queries
from ops_gateway.kernel.errors import Internal, OpError
from ops_gateway.kernel.fault import fault
from ops_gateway.kernel.ids import new_id

if TYPE_CHECKING:
    from ops_gateway.kernel.context import Context, Principal
    from ops_gateway.kernel.operation import Operation
    from ops_gateway.kernel.pipeline import Answer

sql = queries(__file__)


async def stored(context: Context, operation: str, key: str) -> dict[str, Any] | None:
    """The committed row of an idempotency key, or None."""
    return await context.row(None, sql.stored, operation=operation, key=key)


async def forget(context: Context, operation: str, key: str) -> None:
    """Free a key whose effect was refused, so that a retry may use it."""
    await context.execute(sql.forget, operation=operation, key=key)


async def begin(
    connection: Connection,
    principal: Principal,
    op: Operation,
    key: str | None,
    fingerprint: bytes,
    amount: int,
    intent: str | None,
) -> dict[str, Any]:
    """Bind the organization, claim the key, look at the balance without a lock."""
    cursor = await connection.execute(
        sql.begin,
        {
            "org": principal.organization_id,
            "operation": op.alias_of or op.id,
            "key": key,
            "fingerprint": fingerprint,
            "amount": amount,
            "intent": intent,
        },
    )
    row = await cursor.fetchone()
    assert row is not None
    return row


async def finish(
    context: Context,
    op: Operation,
    connection: Connection,
    *,
    key: str | None,
    answer: Answer | None,
    running: float | None,
    error: OpError | None = None,
) -> None:
    """Everything the operation declared, in one statement; wallets and the chain head come last."""
    body = answer.body if answer is not None and key is not None else None
    if body is not None and len(body) > 1 << 20:
        raise Internal(f"the answer of '{op.id}' is too large to be kept for a replay")
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
        "key_state": "running" if running is not None else "done",
        "lease_seconds": running,
        "content_type": answer.media_type if answer else None,
        "encrypted": encrypted,
        "project_id": context.project_id,
    }
    fault("audit")
    await connection.execute(
        sql.finish,
        {"record": orjson.dumps(record, default=str).decode(), "body": body},
    )
    fault("outbox")

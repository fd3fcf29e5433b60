"""The only writers of pgstac items and of slots.

A slot is a pgstac collection made ahead of need: one holds everything of one organization, one
holds public data. Items go straight into the slot's partition, on the connection and in the
transaction handed in, and nothing here that an operation may call runs DDL: pgstac's own writers
make all writers of an organization wait for one row, and its first item for a collection locks
every tenant's search until commit.

The connection is a psycopg one, its role `opstac_app` with the organization bound, or
`opstac_system`. Rows may come as tuples or dicts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import psycopg
from psycopg.pq import TransactionStatus

from db.queries import queries

sql = queries(__file__)

SLOTS_AHEAD = 8
LOCK_MILLISECONDS = 200


class SlotBusy(RuntimeError):
    """No slot could be made: the tables stayed locked by others. Try again later."""


class NoSuchItem(LookupError):
    """The item to be changed is not in the slot."""


async def put_items(
    conn: psycopg.AsyncConnection[Any], slot: str, items: Sequence[Mapping[str, Any]]
) -> None:
    """Store items; one that exists already (by `id`) is replaced.

    Args:
        conn: inside the operation's transaction, with the organization that owns `slot` bound.
        slot: name of the slot.
        items: STAC items as `document.item_document` makes them; `id` is the platform's id. Call
            in batches of a few hundred for bulk work.

    Raises:
        psycopg.DatabaseError: the slot is another organization's (SQLSTATE OP003); a datetime
            before 1000 or after 3000, or an unreadable geometry.
    """
    if items:
        await conn.execute(sql.put_items, {"slot": slot, "items": _json(list(items))})


async def patch_item(
    conn: psycopg.AsyncConnection[Any], slot: str, item: Mapping[str, Any]
) -> None:
    """Replace one stored item by its new document, in place.

    Raises:
        NoSuchItem: the slot holds no item of that id.
    """
    if not await _value(conn, sql.patch_item, slot=slot, item=_json(item)):
        raise NoSuchItem(str(item.get("id")))


async def remove_items(conn: psycopg.AsyncConnection[Any], slot: str, ids: Sequence[str]) -> int:
    """Delete items by platform id; how many there were."""
    return await _value(conn, sql.remove_items, slot=slot, ids=list(ids)) if ids else 0


async def provision_slot(
    conn: psycopg.AsyncConnection[Any], *, public: bool = False, attempts: int = 50
) -> str:
    """Make one slot and return its name. Maintenance only, never within an operation.

    It is DDL on tables that every search reads, so it runs in a transaction of its own, waits at
    most `LOCK_MILLISECONDS` for its locks (everybody who comes later queues behind a waiting
    exclusive lock) and tries again after a pause.

    Args:
        conn: a connection as `opstac_system`, not in a transaction.
        public: make the slot for public data instead of one for an organization.
        attempts: how often to try.

    Raises:
        SlotBusy: every attempt met a lock.
        RuntimeError: `conn` is in a transaction.
    """
    if conn.info.transaction_status != TransactionStatus.IDLE:
        raise RuntimeError("a slot is made in a transaction of its own")
    for attempt in range(attempts):
        if attempt:
            await asyncio.sleep(random.uniform(0.05, 0.3))
        try:
            async with conn.transaction():
                await conn.execute(
                    sql.wait_no_longer_than, {"milliseconds": f"{LOCK_MILLISECONDS}ms"}
                )
                return await _value(conn, sql.provision_slot, public=public)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            continue
    raise SlotBusy(f"no slot could be made in {attempts} attempts")


async def free_slots(conn: psycopg.AsyncConnection[Any]) -> int:
    """How many slots no organization has taken yet."""
    return await _value(conn, sql.free_slots)


async def keep_slots(conn: psycopg.AsyncConnection[Any], at_least: int = SLOTS_AHEAD) -> int:
    """Make slots until `at_least` are free; how many were made. For a periodic task."""
    made = 0
    while True:
        free = await free_slots(conn)
        if conn.info.transaction_status != TransactionStatus.IDLE:
            await conn.commit()  # the look-up opened one where the connection does not autocommit
        if free >= at_least:
            return made
        await provision_slot(conn)
        made += 1


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


async def _value(conn: psycopg.AsyncConnection[Any], query: Any, **parameters: Any) -> Any:
    """The one value a query gives, whatever the connection's row factory."""
    row = await (await conn.execute(query, parameters)).fetchone()
    assert row is not None
    return next(iter(row.values())) if isinstance(row, Mapping) else row[0]

"""Removing objects from storage: decided in a transaction, done after it, swept up until done."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from db.objects import Objects
from db.pool import Pool
from db.queries import queries

if TYPE_CHECKING:
    from ops_gateway.kernel.context import Context

logger = logging.getLogger(__name__)
sql = queries(__file__)

AT_ONCE = 100  # objects removed before the answer is sent; the sweeper takes the rest
SWEEP_BATCH = 500


async def remove_objects(ctx: Context, paths: Sequence[str]) -> list[str]:
    """Have objects removed when this transaction commits; those that a live asset names stay.

    Call it after the rows that named the objects are marked as deleted.

    Returns: the paths that will be removed.
    """
    if not paths:
        return []
    rows = await ctx.rows(None, sql.let_go, paths=list(paths))
    gone = [row["object_path"] for row in rows]
    objects = ctx.services.objects

    async def remove() -> None:
        for path in gone[:AT_ONCE]:
            await objects.delete(path)

    if gone:
        ctx.after_commit.append(remove)
    return gone


async def sweep_objects(pool: Pool, objects: Objects, *, after_seconds: float = 60) -> int:
    """Remove what is marked since `after_seconds`; for the maintenance loop, safe to repeat.

    Args:
        pool: acts as opstac_system.

    Returns: how many marks were dealt with.
    """
    swept = 0
    while True:
        async with pool.connection() as connection:
            cursor = await connection.execute(
                sql.due, {"seconds": after_seconds, "limit": SWEEP_BATCH}
            )
            due = await cursor.fetchall()
        done = [row["object_path"] for row in due if row["in_use"]]
        failed: list[str] = []
        for row in due:
            if row["in_use"]:
                continue
            try:
                await objects.delete(row["object_path"])
                done.append(row["object_path"])
            except Exception:  # another sweep tries it again
                logger.warning("an object could not be removed", exc_info=True)
                failed.append(row["object_path"])
        async with pool.connection() as connection:
            await connection.execute(sql.removed, {"paths": done})
            await connection.execute(sql.put_off, {"paths": failed})
        swept += len(done)
        if len(due) < SWEEP_BATCH:
            return swept

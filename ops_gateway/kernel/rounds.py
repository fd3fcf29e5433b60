"""The platform's own duties: what is due in any organization, seen to one by one."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, LiteralString, TypeVar

from db.pool import Pool

T = TypeVar("T")

logger = logging.getLogger(__name__)


async def each_due(
    system: Pool,
    query: LiteralString,
    work: Callable[[dict[str, Any]], Awaitable[T]],
    failed: str,
    **params: Any,
) -> list[T]:
    """What `work` gave for each row of `query`, in order.

    A row that fails is logged as `failed` and waits for the next round. It stops no other: one
    organization's trouble is not another's.

    Args:
        system: a pool of role opstac_system, which sees every tenant.
    """
    async with system.connection() as connection:
        rows = await (await connection.execute(query, params)).fetchall()
    done: list[T] = []
    for row in rows:
        try:
            done.append(await work(row))
        except Exception:
            logger.exception(failed, extra={"organization": row["organization_id"]})
    return done

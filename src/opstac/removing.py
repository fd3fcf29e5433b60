"""The chore that removes what is in deleted projects and collections of every organization."""

from __future__ import annotations

import logging
import time

from db.pool import Pool
from db.queries import queries
from ops_gateway.catalogue import removals
from ops_gateway.kernel.pipeline import Pipeline

logger = logging.getLogger(__name__)
sql = queries(__file__)

ROUND_SECONDS = 20


async def sweep(
    pipeline: Pipeline,
    system: Pool,
    *,
    limit: int = removals.BATCH,
    seconds: float = ROUND_SECONDS,
) -> int:
    """Remove batches of every deletion under way, in turn; how many batches there were.

    Safe to stop anywhere, to repeat and beside itself.

    Args:
        system: a pool of role opstac_system, which sees every tenant.
        limit: items of a batch.
        seconds: begins no further batch after so long.
    """
    end = time.monotonic() + seconds
    batches = 0
    left_alone: set[str] = set()
    while True:
        async with system.connection() as connection:
            cursor = await connection.execute(sql.under_way, {"besides": list(left_alone)})
            found = await cursor.fetchall()
        for row in found:
            if batches and time.monotonic() > end:
                return batches
            try:
                taken = await removals.remove_some(
                    pipeline, row["organization_id"], row["id"], limit
                )
            except Exception:  # the others need not wait for it; the next round tries again
                logger.warning("a removal waits", exc_info=True, extra={"removal": row["id"]})
                taken = False
            if taken:
                batches += 1
            else:
                left_alone.add(row["id"])
        if not found:
            return batches

"""Compares committed events with saved searches, one organization after the other."""

from __future__ import annotations

import asyncio
import logging

import psycopg
from psycopg_pool import PoolTimeout

from db.pool import Pool
from db.queries import queries
from ops_gateway.domains.saved_searches_feed import match_batch
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import OpError
from ops_gateway.kernel.pipeline import Pipeline

logger = logging.getLogger(__name__)
sql = queries(__file__)

POLL_SECONDS = 1.0


async def match_due(pipeline: Pipeline, system: Pool) -> int:
    """Compare one batch of each organization's due events; how many there were.

    Args:
        system: a pool of role opstac_system, which sees every tenant.
    """
    async with system.connection() as connection:
        rows = await (await connection.execute(sql.organizations_due)).fetchall()
    done = 0
    for row in rows:
        organization: str = row["organization_id"]
        principal = Principal(
            kind="service", id="matcher", organization_id=organization, projects=None
        )
        try:
            done += await pipeline.act("saved_searches.match", principal, match_batch)
        except (OpError, psycopg.Error):
            # one tenant's trouble keeps nobody else waiting; its batch is tried again
            logger.warning("matching failed", extra={"organization": organization}, exc_info=True)
    return done


async def match_forever(
    pipeline: Pipeline, system: Pool, *, every_seconds: float = POLL_SECONDS
) -> None:
    """Match until cancelled."""
    while True:
        try:
            if await match_due(pipeline, system):
                continue
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            logger.warning("saved searches wait: %s", error)
        await asyncio.sleep(every_seconds)

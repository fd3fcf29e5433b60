"""The worker's loop over card payments: what a crash left, automatic top-ups, expired approvals.

A loop of its own beside the chores, since a card provider may be slow and nothing else shall wait
for it. It may run in every worker: each payment and organization is taken by one at a time.
"""

from __future__ import annotations

import asyncio
import logging

import psycopg
from psycopg_pool import PoolTimeout

from db.pool import Pool
from ops_gateway.domains import billing_approvals, billing_auto_topup, payments_pursuit
from ops_gateway.kernel.pipeline import Pipeline

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0


async def pay(pipeline: Pipeline, system: Pool) -> None:
    """One round. Without a card provider there is nothing to charge.

    Args:
        system: a pool of role opstac_system.
    """
    await billing_approvals.expire_overdue(pipeline, system)
    if pipeline.services.cards is not None:
        await payments_pursuit.sweep(pipeline, system)
        await billing_auto_topup.run_due(pipeline, system)


async def pay_forever(
    pipeline: Pipeline, system: Pool, *, every_seconds: float = EVERY_SECONDS
) -> None:
    """Rounds until cancelled."""
    while True:
        try:
            await pay(pipeline, system)
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            logger.warning("payments wait: %s", error)
        except Exception:
            logger.exception("payments wait")
        await asyncio.sleep(every_seconds)

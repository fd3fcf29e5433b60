"""Who writes which message, and the loop that sends them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson

from db.pool import Pool, make_pool
from db.queries import queries
from ops_gateway.domains import astra, job_callbacks, jobs, mails, signing_secrets
from ops_gateway.domains.event_subscriptions import disable
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Gone
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.secrets import Keys
from ops_gateway.providers.addresses import parse_allowances
from ops_gateway.providers.delivery import DeliveryResult, Sender
from ops_gateway.providers.mail import Mailer
from ops_gateway.worker.deliveries import Compose, Courier, Deliveries, Due, Message, Undeliverable
from ops_gateway.worker.event_messages import EventMessages
from ops_gateway.worker.relay import BATCH, relay
from opstac import ogc_jobs
from opstac.settings import Settings

sql = queries(__file__)

Write = Callable[[Context, dict[str, Any], str], Awaitable[Any]]
"""`await write(ctx, job_row, base_url)` gives a message's JSON; None where there is no more to say.
"""

DRAIN_CONNECTIONS = 6
EVENT_TYPES = {
    "completed": "processing.completed",
    "failed": "processing.failed",
    "cancelled": "processing.failed",
}


def deliveries(pipeline: Pipeline, system: Pool, settings: Settings) -> Deliveries:
    """The sending end, over every kind of message there is.

    Args:
        system: a pool of role opstac_system.
    """
    writers: dict[str, Write] = {
        astra.CALLBACK: write_scene_status,
        "ogc.success": ogc_jobs.write_results,
        "ogc.failed": ogc_jobs.write_status,
        "ogc.progress": ogc_jobs.write_progress,
    }
    sender = Sender(allow=parse_allowances(settings.webhook_allow))
    composers: dict[str, Compose] = {
        kind: of_job(pipeline, write) for kind, write in writers.items()
    }
    return Deliveries(
        system,
        sender,
        {**composers, "event": EventMessages(system, pipeline.services.keys)},
        give_up=partial(disable, pipeline),
        couriers={"mail": by_mail(system, Mailer(settings.smtp), pipeline.services.keys)}
        if settings.smtp
        else None,
    )


async def drain(pipeline: Pipeline, settings: Settings, limit: int) -> dict[str, int]:
    """Pass on the events that wait and attempt what is due; how many ended in which state."""
    pool = make_pool(settings.dsn, "opstac_system", min_size=1, max_size=DRAIN_CONNECTIONS)
    async with pool as system:
        while await relay(system) == BATCH:
            pass
        return await deliveries(pipeline, system, settings).drain(limit)


def of_job(pipeline: Pipeline, write: Write) -> Compose:
    """A composer of messages about jobs, signed by the organization's secret.

    They hold links that open without a credential, so they are for who may see the job now.
    """

    async def compose(due: Due) -> Message | None:
        assert due.subject is not None and due.destination is not None
        job_id = due.subject

        async def look(ctx: Context) -> tuple[str, Any]:
            row = await job_callbacks.job(ctx, job_id)
            base_url = await job_callbacks.base_url(ctx, row, due.kind)
            if base_url is None:
                raise Undeliverable("not sent: whoever gave the address may not see the job")
            event_type = EVENT_TYPES.get(row["status"], "processing.progress")
            return event_type, await write(ctx, row, base_url)

        principal = jobs.platform_for(due.organization_id, "webhooks")
        event_type, document = await pipeline.look("deliveries.compose", principal, look)
        if document is None:
            return None
        secrets = await signing_secrets.current(pipeline, due.organization_id)
        return Message(due.destination, orjson.dumps(document), event_type, secrets)

    return compose


def by_mail(system: Pool, mailer: Mailer, keys: Keys) -> Courier:
    """Sends the rows of `mail`."""

    async def send(due: Due) -> DeliveryResult | None:
        async with system.connection() as connection:
            row = await (await connection.execute(sql.mail, {"id": due.subject})).fetchone()
        if row is None:
            return None
        return await mailer.send(**{**row, "text": mails.opened(row["text"], keys)})

    return send


async def write_scene_status(ctx: Context, row: dict[str, Any], base_url: str) -> Any:
    """The status document that a poll gives."""
    try:
        status = await astra.status_of(ctx, row, base_url)
    except Gone:
        return None  # late, and the file is gone: there is no status to tell
    return status.model_dump(mode="json", by_alias=True)

"""Dispatchers killed at every stage: each event arrives, under one id, signed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from standardwebhooks import Webhook

from tests.journeys.conftest import LOOPBACK

STAGES = (
    "relay.inside",
    "delivery.claimed",
    "delivery.before_send",
    "delivery.after_send",
    "delivery.recorded",
)
# what a worker runs to send events, without the rest of it
DISPATCHER = """
import asyncio, os, sys
from db.pool import make_pool
from ops_gateway.kernel.secrets import Keys
from ops_gateway.providers.addresses import parse_allowances
from ops_gateway.providers.delivery import Sender
from ops_gateway.worker import deliveries
from ops_gateway.worker.event_messages import EventMessages
from ops_gateway.worker.relay import relay

async def main():
    deliveries.LEASE_SECONDS, deliveries.SEND_SECONDS = 1.0, 0.8
    async with make_pool(os.environ["DSN"], "opstac_system", min_size=1, max_size=4) as pool:
        keys = Keys(bytes.fromhex(os.environ["SECRET"]))
        sender = Sender(allow=parse_allowances(os.environ["ALLOW"]), total_seconds=0.5)
        sending = deliveries.Deliveries(
            pool, sender, {"event": EventMessages(pool, keys)}, pauses=(0.05,) * 30
        )
        task = asyncio.create_task(sending.run(every_seconds=0.05))
        while not task.done():
            await relay(pool)
            await asyncio.sleep(0.05)
        await task

asyncio.run(main())
"""


async def test_every_event_arrives_whatever_stage_its_dispatchers_die_at(
    platform_on, dsn, tmp_path, receiving, until
):
    async with (
        platform_on(dsn, tmp_path, webhook_allow=LOOPBACK) as api,
        receiving("204 No Content", "drop", "500 No", "204 No Content") as receiver,
    ):
        api.sql("update delivery set state = 'dead' where state = 'due'")
        owner = await api.organization()
        project = await api.project(owner)
        body = {"event_type": "item.created", "endpoint_url": receiver.url}
        sub = await api.ok("event_subscriptions.create", body, as_=owner)
        environment = {
            **os.environ,
            "DSN": dsn,
            "SECRET": api.platform.settings.master_secret.hex(),
            "ALLOW": LOOPBACK,
            "OPSTAC_TESTING": "1",
        }
        wanted = set()

        async def start(stage: str | None) -> asyncio.subprocess.Process:
            fault = {"OPSTAC_FAULT": f"{stage}:kill"} if stage else {}
            return await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-c", DISPATCHER, env={**environment, **fault}
            )

        for stage in STAGES:
            for _ in range(3):
                item = {"name": "scene", "type": "user_raster", "project_id": project}
                wanted.add((await api.ok("items.create", item, as_=owner))["id"])
            killed = await start(stage)
            await asyncio.wait_for(killed.wait(), 120)
            assert killed.returncode == -signal.SIGKILL, stage
        last = await start(None)
        try:
            await until(
                lambda: {request.json["entity_id"] for request in receiver.got} == wanted, 60
            )
            await until(
                lambda: (
                    not api.sql(
                        "select from delivery where subscription_id = %s and state <> 'delivered'",
                        sub["id"],
                    )
                ),
                60,
            )
        finally:
            last.kill()
            await last.wait()
    ids: dict[str, set[str]] = {}
    for request in receiver.got:
        Webhook(sub["secret"]).verify(request.body, request.headers)
        ids.setdefault(request.json["entity_id"], set()).add(request.headers["webhook-id"])
    assert ids.keys() == wanted and all(len(found) == 1 for found in ids.values())

"""Workers killed while they evaluate alert rules: one alert event, whoever carries on."""

from __future__ import annotations

import asyncio
import signal

from db.pool import make_pool
from ops_gateway.worker.relay import relay
from opstac.alerting import Alerting


async def test_killed_workers_leave_one_alert_event(scene, workers, dsn):
    api, owner = scene.api, scene.owner
    api.sql("delete from alert_due")
    body = {
        "name": "any", "expression": "b1", "comparison": "gt", "threshold": -1e9,
        "notification_channels": ["webhook", "in_app"], "cooldown_minutes": 0,
    }  # fmt: skip
    rule = (await scene.ok("alerts.create_rule", body))["alert_rule"]
    before_commit = await workers.start(fault="alerts.measured:kill")
    copy = await scene.ok("items.duplicate", {"item_id": scene.item["id"]})
    assert await asyncio.wait_for(before_commit.wait(), 120) == -signal.SIGKILL
    assert (await scene.ok("alerts.events.list"))["count"] == 0
    claimed = "select 1 from alert_due where claimed_until > now() and organization_id = %s"
    assert len(api.sql(claimed, owner.organization_id)) == 1
    # the next process under the name knows that the one before is dead
    after_commit = await workers.start(fault="alerts.decided:kill")
    assert await asyncio.wait_for(after_commit.wait(), 120) == -signal.SIGKILL
    async with make_pool(dsn, "opstac_system", max_size=4) as system:
        while await relay(system):
            pass
        await Alerting(api.platform.pipeline, system, name="third").drain()
    [event] = (await scene.ok("alerts.events.list"))["alert_events"]
    assert (event["rule_id"], event["item_id"]) == (rule["id"], copy["id"])
    told = api.sql(
        "select entity_id from event where type = 'alert.triggered' and organization_id = %s",
        owner.organization_id,
    )
    assert [row["entity_id"] for row in told] == [event["id"]]
    assert [n["entity_id"] for n in await scene.ok("notifications.list")] == [event["id"]]

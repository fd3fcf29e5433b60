"""Committed events are passed on once, whatever is killed; events of a rollback never exist."""

from __future__ import annotations

import asyncio
import json

import pytest

from db.pool import make_pool
from ops_gateway.kernel import events
from ops_gateway.worker.relay import relay


@pytest.fixture
async def system(dsn):
    async with make_pool(dsn, "opstac_system", min_size=1, max_size=6) as pool:
        while await relay(pool):  # what other tests left
            pass
        yield pool


def subscribe(api, owner, event_type, **filters):
    row = api.sql(
        "insert into event_subscription (id, organization_id, event_type, endpoint_url,"
        " filter_config, secret) values ('sub_' || gen_random_uuid(), %s, %s, 'https://example.org',"
        " %s, '') returning id",
        owner.organization_id,
        event_type,
        json.dumps(filters),
    )
    return row[0]["id"]


def deliveries(api, owner):
    return api.sql(
        "select d.subscription_id s, e.type t, e.entity_id i from delivery d"
        " join event e on e.id = d.event_id where d.organization_id = %s order by e.id",
        owner.organization_id,
    )


async def item(api, owner, project):
    body = {"name": "scene", "type": "user_raster", "project_id": project}
    return (await api.ok("items.create", body, as_=owner))["id"]


async def test_a_committed_event_becomes_one_delivery_for_each_match(api, system):
    owner = await api.organization()
    project = await api.project(owner)
    wanted = {
        subscribe(api, owner, "item.created"),
        subscribe(api, owner, "item.*"),
        subscribe(api, owner, "*", **{"data.project_id": project}),
    }
    subscribe(api, owner, "upload.completed")
    subscribe(api, owner, "item.created", **{"data.project_id": "proj_other"})
    subscribe(api, await api.organization(), "*")
    item_id = await item(api, owner, project)
    assert deliveries(api, owner) == []  # the relay has not been by
    counts = await asyncio.gather(*(relay(system) for _ in range(4)))
    assert sum(counts) == 1
    rows = [d for d in deliveries(api, owner) if d["i"] == item_id]
    assert {r["s"] for r in rows} == wanted and len(rows) == len(wanted)
    assert await relay(system) == 0


async def test_an_operation_that_rolls_back_publishes_nothing(api, system):
    owner = await api.organization()
    project = await api.project(owner)
    subscribe(api, owner, "*")
    body = {"name": "x", "type": "user_raster", "project_id": project, "stac_id": "same"}
    await api.ok("items.create", body, as_=owner)
    await api.refused(409, "items.create", body, as_=owner)
    while await relay(system):
        pass
    assert [d["t"] for d in deliveries(api, owner)] == ["item.created"]


async def test_a_relay_that_dies_midway_leaves_the_event_for_the_next(api, system, monkeypatch):
    owner = await api.organization()
    project = await api.project(owner)
    subscribe(api, owner, "item.created")
    await item(api, owner, project)
    monkeypatch.setenv("OPSTAC_FAULT", "relay.inside:raise")
    with pytest.raises(RuntimeError):
        await relay(system)
    assert deliveries(api, owner) == []
    monkeypatch.delenv("OPSTAC_FAULT")
    assert await relay(system) == 1
    assert len(deliveries(api, owner)) == 1


async def test_each_reaction_gets_one_queue_row(api, system, monkeypatch):
    async def reaction(ctx, event):
        raise AssertionError("the relay runs no reaction")

    monkeypatch.setitem(events.REACTIONS, "test.reaction", (frozenset(["item.created"]), reaction))
    owner = await api.organization()
    await item(api, owner, await api.project(owner))
    await relay(system)
    rows = api.sql(
        "select args from queue.procrastinate_jobs where args ->> 'reaction' = 'test.reaction'"
    )
    assert len(rows) == 1


def test_a_reaction_to_an_unknown_event_is_refused():
    with pytest.raises(KeyError):
        events.on("item.exploded")

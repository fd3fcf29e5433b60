"""Rules and items: the value by plain numpy, when a rule fires, cooldown, crashes, one reading."""

from __future__ import annotations

import asyncio
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from ops_gateway.domains import alerts_evaluate, alerts_rule
from ops_gateway.kernel.services import ChildRefused
from opstac.alerting import MOST_ATTEMPTS, Alerting
from processes.analysis import align, means, quantity

NBR = "(b4 - b6) / (b4 + b6)"


# ---------------------------------------------------------------- values


async def test_test_rule_is_the_mean_by_numpy_and_persists_nothing(watch):
    values = watch.noise()
    item = await watch.item(watch.raster(values, nodata=0))
    rule = await watch.rule(expression=NBR, comparison="lt", threshold=0.9)
    answer = await watch.test(rule, item)
    four, other = values[3].astype(float), values[5].astype(float)
    wanted = ((four - other) / (four + other))[values[3] != 0].mean()
    assert answer["computed_value"] == pytest.approx(wanted, abs=1e-7)
    assert answer == {
        "computed_value": answer["computed_value"],
        "threshold": 0.9,
        "comparison": "lt",
        "would_trigger": True,
        "expression": NBR,
        "item_id": item,
    }
    await watch.run()
    assert await watch.events() == [] and watch.told() == []
    assert (await watch.rule()) and watch.due() == []


async def test_one_number_to_the_last_bit_wherever_it_is_computed(watch):
    # wider and higher than a window, so that sums are joined
    file = watch.raster(
        watch.noise(520, 4100), nodata=0, tiled=True, blockxsize=256, blockysize=256,
        scales=[0.0001] * 6, offsets=[-0.1] * 6,
    )  # fmt: skip
    mapping = {"red": 3, "nir": 4, "blue": 1}
    expressions = [
        "b1", "(nir - red) / (nir + red)", "sqrt(b1 - 0.2) + b2 + b5 + b6",
        "2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)",
    ]  # fmt: skip
    rules = [
        await watch.rule(expression=e, comparison="lt", threshold=1e9, band_mapping=mapping)
        for e in expressions
    ]
    item = await watch.item(file)
    await watch.run()
    events = {event["rule_id"]: event["computed_value"] for event in await watch.events()}
    for rule in rules:
        params = {"item_id": item, "expression": rule["expression"], "band_mapping": mapping}
        zonal = await watch.api.ok(
            "analytics.execute", {"operation": "zonal_stats", "params": params}, as_=watch.owner
        )
        dry = (await watch.test(rule, item))["computed_value"]
        assert dry == zonal["statistics"]["mean"] == events[rule["id"]], rule["expression"]


async def test_a_pixel_counts_where_every_band_that_is_used_is_valid(watch):
    values = watch.noise()
    item = await watch.item(watch.raster(values, nodata=0))
    expected = {
        "b1": values[0][values[0] != 0].astype(float).mean(),
        "b4": values[3][values[3] != 0].astype(float).mean(),
        "b2": values[1].astype(float).mean(),
        "b1 + b4": (values[0].astype(float) + values[3])[
            (values[0] != 0) & (values[3] != 0)
        ].mean(),
        "1 / (b2 - b2 + b4)": (1 / values[3][values[3] != 0].astype(float)).mean(),
    }
    for expression, wanted in expected.items():
        rule = await watch.rule(expression=expression)
        value = (await watch.test(rule, item))["computed_value"]
        assert value == pytest.approx(wanted, rel=1e-6), expression


async def test_scale_and_offset_are_applied_and_what_is_not_finite_is_left_out(watch):
    values = np.array([[[1.0, 4.0, np.nan], [9.0, np.inf, -4.0]]], "float32")
    file = watch.raster(values, scales=[2.0], offsets=[1.0])
    item = await watch.item(file)
    rule = await watch.rule(expression="sqrt(b1)")
    wanted = np.sqrt(np.array([3.0, 9.0, 19.0])).mean()
    assert (await watch.test(rule, item))["computed_value"] == pytest.approx(wanted, rel=1e-6)


async def test_a_name_of_the_mapping_goes_before_the_rasters_own(watch):
    values = watch.noise()
    file = watch.raster(values)
    with rasterio.open(file, "r+") as opened:
        opened.descriptions = ("nir", "red", "green", "b1", "swir16", "N")
    item = await watch.item(file)
    for expression, mapping, band in (
        ("nir", {"NIR": 4}, 4), ("Near_Infrared", {"near infrared": 2}, 2), ("b1", {}, 1),
        ("B4", {"B4": 3}, 3), ("N", {"N": 5}, 5), ("b4", {"B4": 3}, 4), ("min", {"min": 6}, 6),
    ):  # fmt: skip
        rule = await watch.rule(expression=expression, band_mapping=mapping)
        value = (await watch.test(rule, item))["computed_value"]
        assert value == pytest.approx(values[band - 1].astype(float).mean()), expression


async def test_why_a_rule_cannot_be_tested(watch):
    values = watch.noise()
    item = await watch.item(watch.raster(values, nodata=0))
    rule = await watch.rule()

    async def refused(status: int, item_id: str = item, **fields) -> str:
        changed = await watch.api.ok(
            "alerts.update_rule", {"rule_id": rule["id"], **fields, "active": True}, as_=watch.owner
        )
        return (await watch.test(changed["alert_rule"], item_id, status))["detail"]

    assert await refused(404, "it_missing") == "item not found"
    assert "no raster asset 'nope'" in await refused(400, asset_key="nope")
    assert "b7" in await refused(400, asset_key="data", expression="b7")
    assert "no finite value" in await refused(400, expression="sqrt(0 - b2)")
    empty = await watch.item(watch.raster(np.zeros((1, 8, 8), "uint8"), nodata=0))
    assert "no finite value" in await refused(400, empty, expression="b1")
    broken = await watch.item(watch.raster(values))
    [row] = watch.api.sql("select object_path from asset where item_id = %s", broken)
    path = Path(watch.api.platform.services.objects.gdal_path(row["object_path"]))
    path.write_bytes(path.read_bytes()[:200])
    assert "cannot be read" in await refused(400, broken)
    path.unlink()
    assert "cannot be read" in await refused(400, broken)
    missing = {**rule, "id": "ar_missing"}
    assert (await watch.test(missing, item, 404))["detail"] == "alert rule not found"
    other = await watch.api.organization()
    theirs = await watch.api.refused(
        404, "alerts.test_rule", {"rule_id": rule["id"], "item_id": item}, as_=other
    )
    assert theirs["detail"] == "alert rule not found"
    own = await watch.api.ok(
        "alerts.create_rule",
        {"name": "x", "expression": "b1", "comparison": "gt", "threshold": 0},
        as_=other,
    )
    body = {"rule_id": own["alert_rule"]["id"], "item_id": item}
    assert (await watch.api.refused(404, "alerts.test_rule", body, as_=other))[
        "detail"
    ] == "item not found"


numbers = st.floats(-1e6, 1e6, allow_nan=False) | st.sampled_from([0.0, 0.3, 1e-9, 2e-9, -1e9])


@settings(max_examples=300, deadline=None)
@given(
    value=numbers,
    threshold=numbers,
    upper=numbers,
    near=st.sampled_from([None, 0.0, 1e-10, 1e-9, 1.1e-9, 1e-8]),
    comparison=st.sampled_from(sorted(alerts_rule.COMPARISONS)),
)
def test_a_rule_trips_where_its_words_say_so(value, threshold, upper, near, comparison):
    if near is not None:
        value = threshold + near * max(1.0, abs(threshold))
    rule = {"comparison": comparison, "threshold": threshold, "threshold_upper": upper}
    gap = abs(value - threshold)
    by_hand = {
        "lt": value < threshold,
        "gt": value > threshold,
        "eq": gap <= 1e-9 or gap <= 1e-9 * max(abs(value), abs(threshold)),
        "between": not value < threshold and not value > upper,
    }
    assert alerts_rule.trips(rule, value) == by_hand[comparison]


@pytest.mark.parametrize(
    ("expression", "mapping", "name"),
    [
        ("(b4 - b3) / (b4 + b3)", {"red": 3, "nir": 4}, "NDVI"),
        ("(NIR - Red)/(red + nir)", {"red": 3, "nir": 4}, "NDVI"),
        ("(b4 - b3) / (b4 + b3)", {}, None),
        ("(b4 - b3) / (b4 + b3)", {"nir": 4}, None),
        ("(b4 - b3) / (b4 + b3) + 1", {"red": 3, "nir": 4}, None),
        ("2.5 * (n - r) / (n + 6 * r - 7.5 * b + 1)", {"n": 4, "r": 3, "b": 1}, "EVI"),
        ("(b8 - b12) / (b8 + b12)", {"nir": 8, "swir22": 12, "red": 4}, "NBR"),
        ("b1", {"red": 1}, None),
    ],
)
def test_an_index_is_known_by_what_it_computes(expression, mapping, name):
    assert alerts_rule.index_of(expression, mapping) == name


def test_the_sentences():
    rule = {
        "expression": "(b4 - b3) / (b4 + b3)", "band_mapping": {"red": 3, "nir": 4},
        "comparison": "lt", "threshold": 0.3, "threshold_upper": None,
    }  # fmt: skip
    said = alerts_rule.sentence(rule, 0.2141, "item_abc123")
    assert said == "Mean NDVI 0.214 fell below 0.3 on item_abc123"
    rule["band_mapping"] = {}
    for comparison, words in (
        ("gt", "rose above 0.3"), ("eq", "equalled 0.3"), ("between", "is between 0.3 and 1200000"),
    ):  # fmt: skip
        rule |= {"comparison": comparison, "threshold_upper": 1.2e6}
        assert alerts_rule.sentence(rule, -1.5, "it_1") == f"Mean value -1.500 {words} on it_1"
    assert alerts_rule.title("North paddock") == "Alert: North paddock"


# ---------------------------------------------------------------- firing


async def test_an_item_that_trips_a_rule_becomes_one_event_that_is_told(watch):
    values = watch.noise()
    rule = await watch.rule(name="NBR", expression=NBR, comparison="lt", threshold=0.9)
    await watch.rule(expression=NBR, comparison="gt", threshold=0.9)
    item = await watch.item(watch.raster(values, nodata=0))
    await watch.run()
    [event] = await watch.events()
    assert event == {
        "id": event["id"],
        "rule_id": rule["id"],
        "organization_id": watch.owner.organization_id,
        "item_id": item,
        "computed_value": (await watch.test(rule, item))["computed_value"],
        "threshold": 0.9,
        "comparison": "lt",
        "triggered_at": event["triggered_at"],
        "acknowledged": False,
        "acknowledged_at": None,
    }
    assert event["id"].startswith("ae_") and event["triggered_at"].endswith("Z")
    [told] = watch.told()
    assert (told["entity_type"], told["entity_id"]) == ("alert_event", event["id"])
    assert told["project_id"] == watch.project
    more = {
        "rule_name": "NBR", "expression": NBR, "threshold_upper": None,
        "project_id": watch.project, "collection_id": None,
    }  # fmt: skip
    assert told["data"] == event | more
    got = await watch.api.ok("alerts.rule.get", {"rule_id": rule["id"]}, as_=watch.owner)
    assert got["alert_rule"]["last_triggered_at"] == event["triggered_at"]
    await watch.run()
    assert await watch.events() == [event] and len(watch.told()) == 1


async def test_only_the_rules_that_an_event_is_for_are_asked(watch):
    file = watch.raster(watch.noise())
    made = await watch.api.ok(
        "collections.create", {"name": "watched", "project_id": watch.project}, as_=watch.owner
    )
    before = await watch.item(file)
    expected = {
        (await watch.rule(name=name, **fields))["id"]: wanted
        for name, fields, wanted in (
            ("created", {}, {"created"}),
            ("both", {"event_types": ["item.updated", "item.created"]}, {"created", "updated"}),
            ("updated", {"event_types": ["item.updated"]}, {"updated"}),
            ("within", {"collection_id": made["id"]}, {"created"}),
            ("elsewhere", {"collection_id": "col_a1b2c3"}, set()),
            ("off", {}, set()),
            ("gone", {}, set()),
            ("unread", {"asset_key": "visual"}, set()),
        )
    }
    ids = list(expected)
    await watch.api.ok("alerts.update_rule", {"rule_id": ids[5], "active": False}, as_=watch.owner)
    await watch.api.ok("alerts.delete_rule", {"rule_id": ids[6]}, as_=watch.owner)
    item = await watch.item(file, collection_id=made["id"])
    await watch.run()

    async def fired() -> set[str]:
        events = await watch.events()
        assert {event["item_id"] for event in events} <= {item}, f"{before} was there before"
        return {event["rule_id"] for event in events}

    assert await fired() == {one for one, wanted in expected.items() if "created" in wanted}
    await watch.api.ok("items.update", {"item_id": item, "name": "other"}, as_=watch.owner)
    await watch.run()
    assert await fired() == {one for one, wanted in expected.items() if wanted}
    assert len(await watch.events(rule_id=ids[1])) == 2


async def test_an_organization_without_a_rule_for_an_event_has_nothing_due(watch):
    file = watch.raster(watch.noise())
    await watch.rule(event_types=["item.updated"])
    await watch.rule(collection_id="col_other")
    await watch.item(file)
    await watch.relay()
    assert watch.due() == []
    await watch.rule()
    await watch.item(file)
    await watch.relay()
    assert len(watch.due()) == 1


async def test_only_the_channel_webhook_is_told_to_webhooks(watch):
    for channels in (["in_app"], [], ["webhook", "in_app"], ["webhook"]):
        await watch.rule(notification_channels=channels)
    await watch.item()
    await watch.run()
    assert len(await watch.events()) == 4 and len(watch.told()) == 2


async def test_events_are_listed_acknowledged_and_stay_when_their_rule_is_deleted(watch):
    file = watch.raster(watch.noise())
    one, two = await watch.rule(name="one"), await watch.rule(name="two")
    items = [await watch.item(file) for _ in range(3)]
    await watch.run()
    events = await watch.events()
    assert len(events) == 6 and {e["item_id"] for e in events} == set(items)
    times = [e["triggered_at"] for e in events]
    assert times == sorted(times, reverse=True)
    paged = [await watch.events(limit=2, offset=n) for n in (0, 2, 4, 6)]
    assert [e for page in paged for e in page] == events
    assert len(await watch.events(limit=-3)) == 1
    mine = await watch.events(rule_id=one["id"])
    assert mine == [e for e in events if e["rule_id"] == one["id"]] and len(mine) == 3
    first = await watch.api.ok(
        "alerts.acknowledge_event", {"event_id": mine[0]["id"]}, as_=watch.owner
    )
    taken = first["alert_event"]
    assert taken == {**mine[0], "acknowledged": True, "acknowledged_at": taken["acknowledged_at"]}
    assert taken["acknowledged_at"].endswith("Z")
    again = await watch.api.ok(
        "alerts.acknowledge_event", {"eventId": taken["id"]}, as_=watch.owner
    )
    assert again == first
    assert await watch.events(acknowledged=True) == [taken]
    assert await watch.events(rule_id=one["id"], acknowledged=False) == mine[1:]
    await watch.api.ok("alerts.delete_rule", {"rule_id": two["id"]}, as_=watch.owner)
    assert len(await watch.events(rule_id=two["id"])) == 3
    other = await watch.api.organization()
    assert (await watch.api.ok("alerts.events.list", as_=other))["count"] == 0
    for event_id in (taken["id"], "ae_missing"):
        refused = await watch.api.refused(
            404, "alerts.acknowledge_event", {"event_id": event_id}, as_=other
        )
        assert refused["detail"] == "alert event not found"


async def test_what_cannot_be_evaluated_is_logged_and_keeps_no_other_rule(watch, caplog):
    good = await watch.rule()
    bad = [await watch.rule(expression="b9"), await watch.rule(asset_key="nope")]
    await watch.rule(expression="sqrt(0 - b1 - 1)")
    await watch.item()
    with caplog.at_level(logging.WARNING):
        await watch.run()
    assert [event["rule_id"] for event in await watch.events()] == [good["id"]]
    assert watch.due() == []
    logged = [r for r in caplog.records if "could not be evaluated" in r.message]
    assert len(logged) == 3
    assert {rule["id"] for rule in bad} <= {one for r in logged for one in vars(r)["rules"]}


# ---------------------------------------------------------------- once, and not too often


async def test_the_cooldown_of_a_rule_counts_from_its_last_event(watch):
    file = watch.raster(watch.noise())
    rule = await watch.rule(cooldown_minutes=60)
    free = await watch.rule(cooldown_minutes=0)
    first = await watch.item(file)
    await watch.run()
    await watch.item(file)
    await watch.run()
    assert [e["item_id"] for e in await watch.events(rule_id=rule["id"])] == [first]
    assert len(await watch.events(rule_id=free["id"])) == 2
    back = (
        "update alert_rule set last_triggered_at = last_triggered_at - %s::interval where id = %s"
    )
    watch.api.sql(back, "59 minutes", rule["id"])
    await watch.item(file)
    await watch.run()
    assert len(await watch.events(rule_id=rule["id"])) == 1
    watch.api.sql(back, "1 minute", rule["id"])
    last = await watch.item(file)
    await watch.run()
    assert [e["item_id"] for e in await watch.events(rule_id=rule["id"])] == [last, first]


async def test_many_items_at_once_fire_a_rule_once_in_its_cooldown(watch):
    file = watch.raster(watch.noise(8, 8))
    rules = [await watch.rule(cooldown_minutes=m) for m in (60, 0, 1)]
    items = [await watch.item(file) for _ in range(8)]
    await watch.relay()
    dues = [
        alerts_evaluate.Due(**{n: row[n] for n in alerts_evaluate.Due.__dataclass_fields__})
        for row in watch.due()
    ]
    assert len(dues) == 8
    pipeline = watch.api.platform.pipeline
    # every event in three workers at once: all have measured before the first one decides
    tripped = [{**rule, "computed_value": 5.0} for rule in rules]
    principal = alerts_evaluate.Principal(
        kind="service", id="alerts", organization_id=watch.owner.organization_id, projects=None
    )

    async def one(due) -> int:
        return await pipeline.act(
            "alerts.evaluate", principal, lambda ctx: alerts_evaluate.decide(ctx, due, tripped)
        )

    counts = await asyncio.gather(*(one(due) for due in dues * 3))
    assert sum(counts) == 1 + 8 + 1 and watch.due() == []
    for rule, wanted in zip(rules, (1, 8, 1), strict=True):
        events = await watch.events(rule_id=rule["id"])
        assert len(events) == wanted and {e["item_id"] for e in events} <= set(items)
        last = await watch.api.ok("alerts.rule.get", {"rule_id": rule["id"]}, as_=watch.owner)
        assert last["alert_rule"]["last_triggered_at"] == events[0]["triggered_at"]
    assert len(watch.told()) == 10


@pytest.mark.parametrize("point", ["alerts.measured", "alerts.inside", "alerts.decided"])
async def test_an_event_is_decided_on_once_wherever_its_worker_ends(watch, point, monkeypatch):
    rule = await watch.rule(cooldown_minutes=60)
    item = await watch.item()
    await watch.relay()
    monkeypatch.setenv("OPSTAC_FAULT", f"{point}:raise")
    await watch.run()
    assert len(watch.due()) == (0 if point == "alerts.decided" else 1)
    monkeypatch.delenv("OPSTAC_FAULT")
    watch.api.sql("update alert_due set next_at = now()")
    await watch.run()
    assert [(e["rule_id"], e["item_id"]) for e in await watch.events()] == [(rule["id"], item)]
    assert len(watch.told()) == 1 and watch.due() == []


async def test_what_will_pass_is_tried_again_with_longer_pauses(watch, monkeypatch):
    await watch.rule()
    await watch.item()
    await watch.relay()
    services = watch.api.platform.pipeline.services

    async def busy(function, /, **kwargs):
        raise ChildRefused("storage_unavailable", "the store does not answer", passing=True)

    with monkeypatch.context() as patched:
        patched.setattr(type(services), "child", property(lambda self: busy), raising=False)
        waits = []
        for _ in range(3):
            watch.api.sql("update alert_due set next_at = now()")
            await watch.run()
            [row] = watch.api.sql(
                "select attempts, extract(epoch from next_at - now())::float as wait, claimed_until"
                " from alert_due"
            )
            assert row["claimed_until"] is None
            waits.append(row["wait"])
    assert [round(wait / 5) for wait in waits] == [1, 2, 4]
    assert await watch.events() == []
    watch.api.sql("update alert_due set next_at = now()")
    await watch.run()
    assert len(await watch.events()) == 1


async def test_what_was_given_up_is_listed_and_evaluated_when_somebody_asks(watch, monkeypatch):
    rule = await watch.rule()
    items = [await watch.item() for _ in range(2)]
    await watch.relay()
    services = watch.api.platform.pipeline.services

    async def away(function, /, **kwargs):
        raise ChildRefused("storage_unavailable", "the store does not answer", passing=True)

    with monkeypatch.context() as patched:
        patched.setattr(type(services), "child", property(lambda self: away), raising=False)
        for attempts in (MOST_ATTEMPTS - 1, MOST_ATTEMPTS):
            watch.api.sql("update alert_due set next_at = now(), attempts = %s", attempts)
            await watch.run()
    watch.api.sql("update alert_due set next_at = now()")
    await watch.run()
    assert await watch.events() == []

    async def listed(who=watch.owner, **page):
        return await watch.api.ok("alerts.given_up.list", page, as_=who)

    found = await listed()
    assert {e["item_id"] for e in found["events"]} == set(items)
    assert (found["count"], found["total"]) == (2, 2)
    assert {e["error"] for e in found["events"]} == {"the store does not answer"}
    assert (await listed(limit=1))["count"] == 1 and (await listed(offset=2))["total"] == 2
    # neither strangers nor colleagues who may not see the project
    stranger, blind = await watch.api.organization(), await watch.api.member(watch.owner, "member")
    ids = [event["event_id"] for event in found["events"]]
    for who in (stranger, blind):
        assert (await listed(who))["events"] == []
        for body in ({}, {"event_ids": ids}):
            done = await watch.api.ok("alerts.given_up.replay", body, as_=who)
            assert done == {"replayed": 0}
    one = {"event_ids": [ids[0], "evt_x"]}
    assert await watch.api.ok("alerts.given_up.replay", one, as_=watch.owner) == {"replayed": 1}
    await watch.run()
    assert len(await watch.events(rule_id=rule["id"])) == 1 and (await listed())["total"] == 1
    assert await watch.api.ok("alerts.given_up.replay", as_=watch.owner) == {"replayed": 1}
    assert await watch.api.ok("alerts.given_up.replay", as_=watch.owner) == {"replayed": 0}
    await watch.run()
    assert {e["item_id"] for e in await watch.events()} == set(items)
    assert watch.due() == [] and (await listed())["total"] == 0
    for body in ({"event_ids": []}, {"event_ids": ["x"] * 501}, {"event_ids": "x"}):
        await watch.api.refused(422, "alerts.given_up.replay", body, as_=watch.owner)


async def test_a_lease_keeps_other_workers_away_until_it_ends(watch):
    await watch.rule()
    await watch.item()
    await watch.relay()
    watch.api.sql(
        "update alert_due set claimed_by = 'dead', claimed_until = now() + interval '1 hour'"
    )
    await watch.run("other")
    assert await watch.events() == []
    # the next process under the same name knows that the one before has ended
    loop = asyncio.create_task(
        Alerting(watch.api.platform.pipeline, watch.system, name="dead").run(every_seconds=0.05)
    )
    for _ in range(200):
        if await watch.events():
            break
        await asyncio.sleep(0.05)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert len(await watch.events()) == 1


async def test_an_organization_with_much_to_do_keeps_no_other_waiting(watch, tmp_path):
    await watch.rule()
    for _ in range(4):
        await watch.item()
    await watch.relay()
    watch.api.sql("update alert_due set next_at = now() - interval '1 hour'")
    owner = await watch.api.organization()
    project = await watch.api.project(owner)
    other = type(watch)(watch.api, owner, project, watch.system, tmp_path)
    await other.rule()
    await other.item()
    await other.relay()
    alerting = Alerting(watch.api.platform.pipeline, watch.system, name="hand")
    running = asyncio.create_task(alerting.run(every_seconds=0.02))
    both = [owner.organization_id, watch.owner.organization_id]
    fired: list[str] = []
    async with asyncio.timeout(120):
        while len(fired) < 5:
            await asyncio.sleep(0.05)
            rows = watch.api.sql(
                "select organization_id from alert_event where organization_id = any (%s)"
                " order by triggered_at",
                both,
            )
            fired = [row["organization_id"] for row in rows]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert owner.organization_id in fired[:2]


# ---------------------------------------------------------------- one reading


async def test_a_thousand_expressions_read_each_pixel_once(watch, monkeypatch):
    values = watch.noise(520, 4200)
    file = watch.raster(values, tiled=True, blockxsize=512, blockysize=512)
    read: list[tuple] = []
    real = align.read

    def counted(source, layout, indexes, *, window, **kwargs):
        read.append((tuple(indexes), window.col_off, window.row_off, window.width, window.height))
        return real(source, layout, indexes, window=window, **kwargs)

    monkeypatch.setattr(align, "read", counted)
    source = {"item_id": "it", "asset_key": "data", "path": str(file), "asset": {}}
    expressions = [f"(b{n % 6 + 1} - {n}) / (b{n % 5 + 1} + {n})" for n in range(1, 1001)]
    made = means.execute(source, expressions[:8])
    assert len(made) == 8 and all(math.isfinite(one["mean"]) for one in made)
    assert {indexes for indexes, *_ in read} == {(1, 2, 3, 4, 5, 6)}
    assert sum(width * height for *_, width, height in read) == 520 * 4200
    assert len(read) == len(set(read))
    small = watch.raster(values[:, :64, :64])
    read.clear()
    made = means.execute({**source, "path": str(small)}, expressions)
    assert len(made) == 1000 and len(read) == 1
    alone = means.execute({**source, "path": str(small)}, expressions[500:501])
    assert alone == made[500:501]
    # bands that do not fit into memory together are read again, to the same numbers
    monkeypatch.setattr(quantity, "HELD_BYTES", 0)
    assert means.execute({**source, "path": str(small)}, expressions[:40]) == made[:40]
    assert len(read) > 3


async def test_rules_of_one_asset_are_one_call_and_equal_expressions_one(watch, monkeypatch):
    for n in range(30):
        await watch.rule(expression=f"b{n % 3 + 1}")
    await watch.rule(expression="red", band_mapping={"red": 2})
    await watch.item()
    asked = []
    services = watch.api.platform.pipeline.services
    real = services.child

    async def counted(function, /, **kwargs):
        asked.append((function, kwargs["expressions"]))
        return await real(function, **kwargs)

    monkeypatch.setattr(type(services), "child", property(lambda self: counted), raising=False)
    await watch.run()
    assert asked == [("means", ["b1", "b2", "b3"])]
    assert len(await watch.events()) == 31


async def test_what_is_too_much_for_one_child_is_divided(watch, monkeypatch, caplog):
    rules = [await watch.rule(expression=f"b1 + {n}") for n in range(5)]
    services = watch.api.platform.pipeline.services
    real = services.child
    sizes = []

    async def limited(function, /, **kwargs):
        sizes.append(len(kwargs["expressions"]))
        if len(kwargs["expressions"]) > 2 or "b1 + 4" in kwargs["expressions"]:
            raise ChildRefused("timeout", "the work took longer than it may", passing=True)
        return await real(function, **kwargs)

    monkeypatch.setattr(type(services), "child", property(lambda self: limited), raising=False)
    await watch.item()
    with caplog.at_level(logging.WARNING):
        await watch.run()
    assert sizes == [5, 2, 3, 1, 2, 1, 1]
    fired = {event["rule_id"] for event in await watch.events()}
    assert fired == {rule["id"] for rule in rules[:4]} and watch.due() == []
    [logged] = [r for r in caplog.records if "could not be evaluated" in r.message]
    assert vars(logged)["rules"] == [rules[4]["id"]]
    monkeypatch.setattr(alerts_evaluate, "MOST_SECONDS", -1.0)
    sizes.clear()
    await watch.item()
    await watch.run()
    assert sizes == [5] and watch.due() == []
    assert len(await watch.events()) == 4

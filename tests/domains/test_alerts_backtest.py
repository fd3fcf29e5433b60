"""alerts.backtest and its command: what a rule would have fired on over the items there are."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from opstac.cli import main

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def level(value: int) -> np.ndarray:
    """A raster of one value."""
    return np.full((1, 4, 4), value, "uint16")


async def fill(watch, hours: list[tuple[float, int | None]], **draft) -> list[str]:
    """Items added so many hours after the first, each of a level, None for one without a raster."""
    made = []
    for hour, value in hours:
        if value is None:
            body = {"name": "empty", "type": "user_raster", "project_id": watch.project}
            item = (await watch.api.ok("items.create", body, as_=watch.owner))["id"]
        else:
            item = await watch.item(watch.raster(level(value)), **draft)
        at = FIRST + timedelta(hours=hour)
        watch.api.sql("update item set created_at = %s where id = %s", at, item)
        made.append(item)
    return made


async def pages(watch, rule, **body) -> list[dict[str, Any]]:
    """Every page of a backtest."""
    found, cursor = [], None
    while True:
        asked = {"rule_id": rule["id"], **body, "next": cursor}
        page = await watch.api.ok("alerts.backtest", asked, as_=watch.owner)
        assert page["count"] == len(page["results"]) <= body.get("limit", 20)
        found.append(page)
        if (cursor := page["next"]) is None:
            return found


async def test_the_cooldown_is_simulated_in_the_order_of_time_over_all_pages(watch):
    rule = await watch.rule(threshold=10, cooldown_minutes=120)
    hours = [(0, 50), (1, 60), (1.5, 5), (2, 70), (3.99, None), (4, 80), (9, 10), (9.5, 11)]
    items = await fill(watch, hours)
    expected, last = [], None
    for (hour, value), item in zip(hours, items, strict=True):
        trips = value is not None and value > 10
        fires = trips and (last is None or hour - last >= 2)
        last = hour if fires else last
        expected.append((item, value, trips, fires))
    for limit in (3, 100):
        found = await pages(watch, rule, limit=limit)
        results = [result for page in found for result in page["results"]]
        got = [
            (r["item_id"], r["computed_value"], r["would_trigger"], r["would_fire"])
            for r in results
        ]
        assert got == expected
        assert sum(page["fired"] for page in found) == sum(e[3] for e in expected) == 4
        assert sum(page["triggered"] for page in found) == 5
        assert sum(page["unread"] for page in found) == 1
        [unread] = [r for r in results if r["error"] is not None]
        assert unread["item_id"] == items[4] and "no raster asset 'data'" in unread["error"]
    within = await pages(watch, rule, start="2026-01-01T01:00:00Z", end="2026-01-01T03:00:00+01:00")
    assert [r["item_id"] for r in within[0]["results"]] == items[1:4]
    assert await watch.events() == [] and watch.told() == []


async def test_only_items_that_the_rule_and_the_caller_may_see_are_read(watch):
    made = await watch.api.ok(
        "collections.create", {"name": "watched", "project_id": watch.project}, as_=watch.owner
    )
    rule = await watch.rule(collection_id=made["id"])
    await fill(watch, [(0, 5)])
    [item] = await fill(watch, [(1, 5)], collection_id=made["id"])
    [page] = await pages(watch, rule)
    assert [result["item_id"] for result in page["results"]] == [item]
    member = await watch.api.member(watch.owner, "member")
    body = {"rule_id": rule["id"]}
    assert (await watch.api.ok("alerts.backtest", body, as_=member))["results"] == []
    other = await watch.api.organization()
    problem = await watch.api.refused(404, "alerts.backtest", body, as_=other)
    assert problem["detail"] == "alert rule not found"


async def test_a_place_that_this_did_not_give_is_refused(watch):
    rule = await watch.rule()

    def packed(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()

    for cursor in (
        "x", "é", "=", packed(5), packed([]), packed([None, "it", None]), packed(["now", "it", 1]),
        packed(["2026-01-01T00:00:00", "it", None]), packed(["2026-01-01T00:00:00Z", 5, None]),
    ):  # fmt: skip
        body = {"rule_id": rule["id"], "next": cursor}
        await watch.api.refused(422, "alerts.backtest", body, as_=watch.owner)
    for field in ("start", "end"):
        body = {"rule_id": rule["id"], field: "2026-01-01T00:00:00"}
        await watch.api.refused(422, "alerts.backtest", body, as_=watch.owner)
    for limit in (0, 101):
        body = {"rule_id": rule["id"], "limit": limit}
        await watch.api.refused(422, "alerts.backtest", body, as_=watch.owner)


async def test_the_command_says_what_it_read_and_what_not(
    live, tmp_path, system, watching, monkeypatch, capfd: pytest.CaptureFixture[str]
):
    watch = await watching(live, tmp_path, system)
    rule = await watch.rule(threshold=10, cooldown_minutes=120)
    items = await fill(watch, [(0, 50), (1, 60), (2, 3), (3, None)])
    monkeypatch.setenv("OPSTAC_URL", str(live.client.base_url))
    monkeypatch.setenv("OPSTAC_TOKEN", watch.owner.token)

    async def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = await asyncio.to_thread(main, ["alerts", "backtest", *words])
        return status, *capfd.readouterr()

    status, out, _ = await run(rule["id"])
    assert status == 0
    *lines, sums = out.splitlines()
    assert lines == [
        f"2026-01-01T00:00:00Z  {items[0]}  50  fires",
        f"2026-01-01T03:00:00Z  {items[3]}  not read: the item has no raster asset 'data' stored "
        "here; it has none",
    ]
    assert sums == (
        "4 items: the rule would have fired on 1; 1 more pass its comparison while its cooldown "
        "runs; 1 could not be read"
    )
    status, out, _ = await run(rule["id"], "--all", "--items", "2")
    assert len(out.splitlines()) == 4 and "there are more items" in out
    status, _, err = await run("ar_missing")
    assert status == 2 and "alert rule not found" in err

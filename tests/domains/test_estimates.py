"""What a run may cost: of every priced process, over random inputs, and where a price changes."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from ops_gateway.domains.billing import grant_credits
from processes.process import discover
from tests.domains.test_job_reuse import Bench
from tests.domains.test_prices import operators_price

PRICED = sorted(name for name, process in discover().items() if process.unit != "FREE")
TRIES = 40
MANY_TRIES = 1000
AT_ONCE = 8
OPTIONS: dict[str, list[Any]] = {
    "index_name": ["NDVI", "EVI", "SAVI", "NDWI", "NBR", "nothing"],
    "expression": ["nir - red", "(nir - red) / (nir + red)", "b1", "b99", "import os"],
    "classes": [2, 5, 0, 10_000],
    "output_name": ["a name", "", "x" * 600, None],
    "azimuth": [0, 315, 360.5, "north"],
    "band": [1, "nir", 0, 99],
    "interval": [10, 0.5, 250, 0, "wide"],
    "colormap": ["none", "viridis", "no such"],
    "mask_asset_key": ["data", "data", "none"],
    "mask_classes": [[3, 8], [3], [-1]],
    "pan_band": [1, 2, "nir", 99],
}
LIKELY = {"mask_asset_key", "mask_classes", "pan_band", "before_item_id", "after_item_id", "zones"}
"""Not required, but nothing runs on one scene without them."""


@pytest.fixture
async def bench(api: Any, catalogue: Any) -> Bench:
    return await Bench(api, catalogue).begin()


def box(item: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A box in, across or outside an item; sometimes none at all."""
    w, s, e, n = item["bbox"]
    x0, x1 = sorted(chance.uniform(w - (e - w) / 5, e + (e - w) / 5) for _ in range(2))
    y0, y1 = sorted(chance.uniform(s - (n - s) / 5, n + (n - s) / 5) for _ in range(2))
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    return {"type": "Polygon", "coordinates": [ring if chance.random() < 0.9 else ring[:3]]}


def is_area(field: str) -> bool:
    """Whether an input says where to compute, which is what is paid for."""
    return "geometry" in field or field in ("aoi", "zones")


def random_inputs(name: str, item: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Some right, some wrong; required ones are mostly there."""
    made: dict[str, Any] = {}
    for field, info in discover()[name].inputs.model_fields.items():
        often = 0.95 if info.is_required() else 0.8 if field in LIKELY or is_area(field) else 0.4
        if chance.random() > often:
            continue
        other = item["id"] if chance.random() < 0.9 else "it_none"
        if field.endswith("item_id"):
            made[field] = other
        elif field.endswith("item_ids"):
            made[field] = [other] * chance.choice([1, 1, 1, 2, 0])
        elif is_area(field):
            made[field] = box(item, chance)
        elif field in OPTIONS:
            made[field] = chance.choice(OPTIONS[field])
        elif not info.is_required() and chance.random() < 0.5:
            made[field] = info.get_default(call_default_factory=True)
    if chance.random() < 0.05:
        made["unknown"] = 1
    return made


def wrong(problem: dict[str, Any]) -> list[dict[str, Any]]:
    """What a 422 lists."""
    return next(v for v in problem.values() if isinstance(v, list))


def told(answer: Any) -> Any:
    """Status, and what is wrong without where the inputs stood in the body."""
    if answer.status_code != 422:
        return answer.status_code
    names = {"body", "inputs", "input_params"}
    return 422, sorted(
        (*[str(part) for part in e["loc"] if part not in names], e["msg"], e["type"])
        for e in wrong(answer.json())
    )


def price_that_tells_areas(api: Any, name: str) -> AbstractContextManager[None]:
    """Per square kilometre so much that the least area costs more than the minimum does."""
    if discover()[name].unit != "SQ_KM":
        return nullcontext()
    return operators_price(api, name, "sq_km", "12345.678", 1)


@pytest.mark.parametrize("name", PRICED)
async def test_no_job_reserves_more_than_was_estimated(bench: Bench, name: str) -> None:
    await hold_together(bench, name, TRIES)


@pytest.mark.million
@pytest.mark.parametrize("name", PRICED)
async def test_no_job_reserves_more_than_was_estimated_of_many(bench: Bench, name: str) -> None:
    await hold_together(bench, name, MANY_TRIES)


async def hold_together(bench: Bench, name: str, count: int) -> None:
    """What doors say of `count` random inputs of a process, and what its jobs reserve."""
    chance = random.Random(name)
    tries = [random_inputs(name, bench.item, chance) for _ in range(count)]
    at_once = asyncio.Semaphore(AT_ONCE)

    async def reserved(inputs: dict[str, Any]) -> int | None:
        """What a job of these inputs reserves, which all doors agree on; None if all refuse it."""
        run = {"process_id": name, "inputs": inputs}
        order = {"project_id": bench.project, "job_type_id": name, "input_params": inputs}
        async with at_once:
            valid, estimate, created = await asyncio.gather(
                bench.api.call("processing.catalog.validate", run, as_=bench.owner),
                bench.api.call("processing.catalog.estimate", run, as_=bench.owner),
                bench.api.call("processing.create", order, as_=bench.owner),
            )
        assert told(valid) == told(estimate), inputs
        if created.status_code != 201:
            assert created.status_code in (404, 422), created.text
            assert told(valid) == told(created), inputs
            return None
        assert valid.status_code == 200, inputs
        # a job is charged what it reserved, and never more
        job = created.json()["job"]
        assert job["credits_reserved"] == estimate.json()["totalCredits"], inputs
        return job["credits_reserved"]

    owner = bench.owner.organization_id
    await grant_credits(bench.api.platform.pipeline, owner, 10**11, "for the tries", by="operator")
    before = await bench.ok("billing.credits.balance", {})
    with price_that_tells_areas(bench.api, name):
        found = await asyncio.gather(*map(reserved, tries))
    accepted = [credits for credits in found if credits is not None]
    areas = {
        json.dumps([inputs.get(field) for field in inputs if is_area(field)])
        for inputs, credits in zip(tries, found, strict=True)
        if credits is not None
    }
    assert len(accepted) >= count * 0.15
    if discover()[name].unit == "SQ_KM" and name != "cog_convert":
        # each area has a price of its own, unless it covers all of the item as another one does
        assert len(areas) > 5
        assert len(set(accepted)) >= len(areas) * 0.99
    after = await bench.ok("billing.credits.balance", {})
    assert after["reserved"] - before["reserved"] == sum(accepted)
    assert after["balance"] == before["balance"]


async def test_a_job_is_charged_the_price_of_when_it_was_made(bench: Bench) -> None:
    run = {"process_id": "ndvi", "inputs": {"source_item_id": bench.item["id"]}}
    before = await bench.ok("processing.catalog.estimate", run)
    job = await bench.create("ndvi")
    assert job["credits_reserved"] == before["totalCredits"]
    with operators_price(bench.api, "ndvi", "flat", "77", 0):
        after = await bench.ok("processing.catalog.estimate", run)
        assert after["totalCredits"] == 77
        done = await bench.run(job)
        assert done["status"] == "completed"
        assert done["credits_charged"] == before["totalCredits"] != 77

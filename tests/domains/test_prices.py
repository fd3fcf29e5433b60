"""What a process declares as its price, and what an operator's row makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from ops_gateway.domains.prices import Rate
from processes.process import PROCESSES, Price, process


class Inputs(BaseModel):
    """None."""


@contextmanager
def declared(**how: Any) -> Iterator[str]:
    """A process that exists for the block, declared in one place and priced nowhere else."""
    process(id="weigh", title="Weigh", inputs=Inputs, outputs={}, **how)(lambda ctx: [])
    try:
        yield "weigh"
    finally:
        del PROCESSES["weigh"]


@contextmanager
def operators_price(api: Any, subject: str, unit: str, rate: str, least: int) -> Iterator[None]:
    api.sql(
        "insert into price (subject, unit, credits_per_unit, minimum_credits, valid_from)"
        " values (%s, %s, %s, %s, now())", subject, unit, Decimal(rate), least, role="opstac_owner",
    )  # fmt: skip
    try:
        yield
    finally:
        api.sql(
            "update price set valid_until = now() where subject = %s and valid_until is null",
            subject,
            role="opstac_owner",
        )  # fmt: skip


async def shown(api: Any, owner: Any, process_id: str) -> dict[str, Any]:
    """What every place says about the price of a run."""
    types = (await api.ok("processing.job_types.list", as_=owner))["job_types"]
    body = {"process_id": process_id}
    catalogue = await api.ok("processing.catalog.get", body)
    listed = (await api.ok("processing.catalog.list"))["processes"]
    (in_list,) = (p for p in listed if p["id"] == process_id)
    words = catalogue["additionalParameters"]["parameters"][1]["value"][0]
    assert in_list["additionalParameters"]["parameters"][1]["value"] == [words]
    estimate = await api.ok("processing.catalog.estimate", body, as_=owner)
    (pricing,) = (t["pricing"] for t in types if t["id"] == process_id)
    return {"pricing": pricing, "words": words, "estimate": estimate["totalCredits"]}


async def test_a_declared_price_is_known_everywhere_at_once(api: Any) -> None:
    owner = await api.organization()
    project = await api.project(owner)
    with declared(unit="JOB", price=Price("2.5", 1)) as name:
        assert await shown(api, owner, name) == {
            "pricing": {"unit": "JOB", "credits_per_unit": 2.5, "minimum_credits": 1},
            "words": "2.5 credits per JOB, at least 1",
            "estimate": 3,
        }
        body = {"project_id": project, "job_type_id": name}
        job = (await api.ok("processing.create", body, as_=owner))["job"]
        assert job["credits_reserved"] == 3
    with declared() as name:
        assert (await shown(api, owner, name))["words"] == "free"
        assert (await shown(api, owner, name))["estimate"] == 0


async def test_an_operators_row_goes_before_the_declared_price(api: Any) -> None:
    owner = await api.organization()
    with declared(unit="JOB", price=Price(2)) as name, operators_price(api, name, "flat", "7", 9):
        assert await shown(api, owner, name) == {
            "pricing": {"unit": "JOB", "credits_per_unit": 7, "minimum_credits": 9},
            "words": "7 credits per JOB, at least 9",
            "estimate": 9,
        }


async def test_an_area_can_be_made_flat_but_not_the_other_way(api: Any) -> None:
    """A row in a unit the process does not measure is not a price of it."""
    owner = await api.organization()
    how = {"unit": "SQ_KM", "price": Price("0.5", 1), "quantity": lambda i, s: Decimal(100)}
    with declared(**how) as name:
        assert (await shown(api, owner, name))["estimate"] == 50
        with operators_price(api, name, "flat", "4", 0):
            assert await shown(api, owner, name) == {
                "pricing": {"unit": "JOB", "credits_per_unit": 4, "minimum_credits": 0},
                "words": "4 credits per JOB, at least 0",
                "estimate": 4,
            }
        with operators_price(api, name, "megapixel", "1000", 0):
            assert (await shown(api, owner, name))["estimate"] == 50
    with declared(unit="JOB", price=Price(3)) as name, operators_price(api, name, "sq_km", "1", 0):
        assert (await shown(api, owner, name))["estimate"] == 3


@pytest.mark.parametrize("price", [("-1",), ("NaN",), ("Infinity",), ("ten",), (1, -1)])
def test_what_is_no_price_is_refused_where_it_is_written(price: Any) -> None:
    with pytest.raises(ValueError, match="no price"):
        Price(*price)


def test_a_free_process_has_no_price() -> None:
    with pytest.raises(ValueError, match="no unit"), declared(price=Price(1)):
        pass


def test_credits_are_rounded_up_once() -> None:
    rate = Rate("SQ_KM", Decimal("0.05"), 1)
    areas = ("0", "0.000001", "20", "20.000001", "40")
    assert [rate.credits(Decimal(a)) for a in areas] == [1, 1, 1, 2, 2]

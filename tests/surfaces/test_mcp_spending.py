"""Spending by `/mcp`: asked first, bound to what was asked, and once."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import types
from decimal import Decimal
from typing import Any

import pytest

from ops_gateway.surfaces.mcp import confirm
from tests.conftest import Person
from tests.surfaces.agents import tool


def price(api: Any, credits: int | None) -> None:
    """What an echo takes from now on; None for nothing."""
    api.sql(
        "update price set valid_until = now() where subject = 'echo' and valid_until is null",
        role="opstac_owner",
    )
    if credits is not None:
        api.sql(
            "insert into price (subject, unit, credits_per_unit, minimum_credits, valid_from)"
            " values ('echo', 'flat', %s, %s, now())",
            Decimal(credits),
            credits,
            role="opstac_owner",
        )


@pytest.fixture
def echo_costs(api):
    """Echoing takes 10 credits here."""
    price(api, 10)
    yield
    price(api, None)


async def spender(api: Any) -> tuple[Any, dict[str, Any]]:
    """An organization with credits, and the arguments of a job that takes ten."""
    owner = await api.organization()
    body = {"project_id": await api.project(owner), "job_type_id": "echo", "use_cache": False}
    return owner, body


async def jobs_of(api: Any, owner: Any) -> int:
    return len((await api.ok("processing.jobs.list", as_=owner))["jobs"])


async def held(api: Any, owner: Any) -> int:
    return (await api.ok("billing.credits.balance", as_=owner))["reserved"]


async def test_spending_waits_for_a_confirmation_and_happens_once(api, echo_costs):
    owner, body = await spender(api)
    asked = await tool(api, "processing-create", body, as_=owner)
    question = asked["structuredContent"]
    assert asked["isError"] is False and question["confirmation_required"] is True
    assert question["credits"] == 10 and question["operation"] == "processing.create"
    assert await jobs_of(api, owner) == 0 == await held(api, owner)
    token = question["confirmation_token"]
    done = await tool(api, "processing-create", {**body, "confirmation_token": token}, as_=owner)
    assert done["_meta"]["opstac/status"] == 201
    again = await tool(
        api,
        "call_operation",
        {"operation": "processing.create", "arguments": body, "confirmation_token": token},
        as_=owner,
    )
    assert again["structuredContent"] == done["structuredContent"]
    assert again["_meta"]["opstac/headers"]["Idempotent-Replayed"] == "true"
    assert await jobs_of(api, owner) == 1 and await held(api, owner) == 10
    # whoever sends it at once is charged once, too
    token = (await tool(api, "processing-create", body, as_=owner))["structuredContent"][
        "confirmation_token"
    ]
    confirmed = {**body, "confirmation_token": token}
    many = await asyncio.gather(
        *(tool(api, "processing-create", confirmed, as_=owner) for _ in range(8))
    )
    assert len({json.dumps(one["structuredContent"], sort_keys=True) for one in many}) == 1
    assert await jobs_of(api, owner) == 2 and await held(api, owner) == 20


async def test_a_confirmation_is_for_one_caller_one_operation_and_one_body(api, echo_costs):
    owner, body = await spender(api)
    key = await api.key(owner, "processing:*", "projects:read")
    other, _ = await spender(api)
    asked = await tool(api, "processing-create", body, as_=owner)
    token = asked["structuredContent"]["confirmation_token"]
    forged = token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB")
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[16:24] = (2**62).to_bytes(8, "big")  # a later end
    later = base64.urlsafe_b64encode(raw).decode()
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[24:32] = (10**6).to_bytes(8, "big")  # a higher price
    dearer = base64.urlsafe_b64encode(raw).decode()
    for name, arguments, person in (
        ("processing-create", {**body, "use_cache": True, "confirmation_token": token}, owner),
        ("processing-create", {**body, "extra": 1, "confirmation_token": token}, owner),
        ("processing-create_and_dispatch", {**body, "confirmation_token": token}, owner),
        ("processing-create", {**body, "confirmation_token": token}, key),
        ("processing-create", {**body, "confirmation_token": token}, other),
        ("processing-create", {**body, "confirmation_token": forged}, owner),
        ("processing-create", {**body, "confirmation_token": later}, owner),
        ("processing-create", {**body, "confirmation_token": dearer}, owner),
        ("processing-create", {**body, "confirmation_token": "yes"}, owner),
        ("processing-create", {**body, "confirmation_token": "ü" * 75}, owner),
        ("processing-create", {**body, "confirmation_token": True}, owner),
        ("processing-create", {**body, "confirmation_token": {"a": 1}}, owner),
        ("processing-create", {**body, "confirmation_token": ""}, owner),
    ):
        refused = await tool(api, name, arguments, as_=person)
        assert refused["isError"] and refused["structuredContent"]["status"] == 400, arguments
        assert "confirmation_token" in refused["structuredContent"]["detail"]
    assert await jobs_of(api, owner) == 0


async def test_a_confirmation_ends(api, echo_costs, monkeypatch):
    owner, body = await spender(api)
    asked = await tool(api, "processing-create", body, as_=owner)
    token = asked["structuredContent"]["confirmation_token"]
    now = time.time()
    monkeypatch.setattr(confirm, "time", types.SimpleNamespace(time=lambda: now + 601))
    late = await tool(api, "processing-create", {**body, "confirmation_token": token}, as_=owner)
    assert late["isError"] and "expired" in late["structuredContent"]["detail"]
    assert await jobs_of(api, owner) == 0


async def test_a_price_that_rose_is_not_what_was_agreed(api, echo_costs):
    owner, body = await spender(api)
    asked = await tool(api, "processing-create", body, as_=owner)
    token = asked["structuredContent"]["confirmation_token"]
    confirmed = {**body, "confirmation_token": token}
    price(api, 11)
    refused = await tool(api, "processing-create", confirmed, as_=owner)
    assert refused["isError"] and refused["structuredContent"]["status"] == 409
    assert await jobs_of(api, owner) == 0
    price(api, 10)
    # and what was bought before it rose is answered again
    done = await tool(api, "processing-create", confirmed, as_=owner)
    price(api, 11)
    again = await tool(api, "processing-create", confirmed, as_=owner)
    assert again["structuredContent"] == done["structuredContent"]


async def test_a_question_refuses_what_the_operation_would(api, echo_costs):
    owner, body = await spender(api)
    reader = await api.key(owner, "*:read")
    for status, arguments, person in (
        (422, {}, owner),
        (404, {**body, "project_id": "proj_none"}, owner),
        (403, body, reader),
    ):
        expected = await api.refused(status, "processing.create", arguments, as_=person)
        refused = await tool(api, "processing-create", arguments, as_=person)
        assert refused["structuredContent"]["detail"] == expected["detail"]


async def test_a_key_may_be_made_to_spend_unasked(api, echo_costs):
    owner, body = await spender(api)
    made = await api.ok(
        "api_keys.create",
        {"name": "agent", "permissions": ["processing:*", "api_keys:*"], "mcp_spend": True},
        as_=owner,
    )
    free = Person(made["key"], None, owner.organization_id)
    done = await tool(api, "processing-create", body, as_=free)
    assert done["_meta"]["opstac/status"] == 201 and await jobs_of(api, owner) == 1
    # what must ask makes none that need not
    asking = await api.key(owner, "processing:*", "api_keys:*")
    wish = {"name": "wider", "permissions": ["processing:*"], "mcp_spend": True}
    await api.refused(403, "api_keys.create", wish, as_=asking)
    await api.ok("api_keys.create", wish, as_=free)
    listed = await api.ok("api_keys.list", as_=owner)
    assert sorted(key["mcp_spend"] for key in listed["api_keys"]) == [False, True, True]

"""What an organization sees of its credits, and the operator's grant."""

from __future__ import annotations

import pytest

from ops_gateway.domains.billing import REASONS, grant_credits
from ops_gateway.kernel.errors import Invalid, NotFound


async def balance(api, who):
    return await api.ok("billing.credits.balance", as_=who)


async def act(api, stock, owner, work):
    await api.platform.pipeline.act("tests.money", stock.platform_of(owner), work)


async def test_the_balance_says_what_is_owned_set_aside_and_available(api, stock):
    owner = await api.organization()

    async def reserve(ctx):
        ctx.hold(250)

    await act(api, stock, owner, reserve)
    shown = await balance(api, owner)
    assert shown | {"updated_at": ""} == {
        "organization_id": owner.organization_id,
        "balance": 1000,
        "reserved": 250,
        "available": 750,
        "credits_per_aud": 100,
        "balance_aud": 10.0,
        "updated_at": "",
    }
    assert (await api.ok("billing.balance", as_=owner)) == shown
    response = await api.client.get(
        "/v1/op/billing.credits.balance", headers={"X-API-Key": owner.token}
    )
    assert response.json() == shown


async def test_every_movement_is_listed_newest_first_and_explains_the_balance(api, stock):
    owner = await api.organization()
    held = []

    async def first(ctx):
        held.append(ctx.hold(100))
        held.append(ctx.hold(40))
        ctx.credit("refund", 5, "a mistake of ours")

    async def second(ctx):
        ctx.settle(held[0], 60)
        ctx.void(held[1])

    await act(api, stock, owner, first)
    await act(api, stock, owner, second)
    page = await api.ok("billing.credits.transactions", as_=owner)
    rows = page["transactions"]
    assert [(r["reason"], r["amount"], r["balance_after"], r["available_after"]) for r in rows] == [
        ("release", 40, 945, 945),
        ("charge", -60, 945, 905),
        ("refund", 5, 1005, 865),
        ("reservation", -40, 1000, 860),
        ("reservation", -100, 1000, 900),
        ("grant", 1000, 1000, 1000),
    ]
    assert (page["count"], page["total"], page["limit"], page["offset"]) == (6, 6, 50, 0)
    assert sum(r["amount"] for r in rows if r["reason"] not in ("reservation", "release")) == 945
    assert (await balance(api, owner))["balance"] == 945


async def test_movements_are_paged_and_filtered(api):
    owner = await api.organization()
    for n in range(1, 4):
        await grant_credits(api.platform.pipeline, owner.organization_id, n, "more", by="operator")
    grants = await api.ok(
        "billing.credits.transactions", {"reason": "grant", "limit": 2}, as_=owner
    )
    assert [r["amount"] for r in grants["transactions"]] == [3, 2] and grants["total"] == 4
    rest = await api.ok("billing.credits.transactions", {"limit": 2, "offset": 2}, as_=owner)
    assert [r["amount"] for r in rest["transactions"]] == [1, 1000]
    none = await api.ok("billing.credits.transactions", {"reason": "topup"}, as_=owner)
    assert (none["transactions"], none["total"]) == ([], 0)
    wide = await api.ok("billing.credits.transactions", {"limit": 10**9, "offset": -5}, as_=owner)
    assert (wide["limit"], wide["offset"]) == (1000, 0)
    await api.refused(422, "billing.credits.transactions", {"reason": "magic"}, as_=owner)


def test_each_kind_of_journal_has_one_name_on_the_wire():
    reasons = [reason for reason, _ in REASONS.values()]
    assert sorted(reasons) == sorted(
        ["grant", "topup", "reservation", "charge", "release", "refund", "expiry", "adjustment"]
    )


async def test_a_grant_is_recorded_like_an_operation(api):
    owner = await api.organization()
    journal = await grant_credits(
        api.platform.pipeline, owner.organization_id, 500, "pilot", by="operator"
    )
    newest = (await api.ok("billing.credits.transactions", {"limit": 1}, as_=owner))[
        "transactions"
    ][0]
    assert (newest["id"], newest["amount"], newest["description"]) == (journal, 500, "pilot")
    audit = api.sql(
        "select * from audit where organization_id = %s and operation = 'billing.credits.grant'",
        owner.organization_id,
    )
    assert [(a["principal_kind"], a["principal_id"], a["outcome"]) for a in audit] == [
        ("service", "operator", "ok")
    ]
    assert api.sql("select * from verify_chains(%s)", owner.organization_id) == []


async def test_a_grant_to_nobody_or_of_nothing_leaves_no_trace(api):
    with pytest.raises(NotFound):
        await grant_credits(api.platform.pipeline, "org_missing", 5, "x", by="operator")
    assert api.sql("select * from chain_head where organization_id = 'org_missing'") == []
    for credits in (0, -5, 10**12 + 1):
        with pytest.raises(Invalid):
            await grant_credits(api.platform.pipeline, "org_missing", credits, "x", by="operator")


async def test_no_surface_reaches_the_grant(api):
    owner = await api.organization()
    await api.refused(404, "billing.credits.grant", {"credits": 5}, as_=owner)


async def test_who_may_not_see_money_does_not(api):
    owner = await api.organization()
    await api.refused(403, "billing.credits.balance", as_=await api.member(owner, "viewer"))
    await api.ok("billing.credits.balance", as_=await api.member(owner, "billing"))

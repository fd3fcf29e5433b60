"""Approvals of purchases, and top-ups that happen by themselves."""

from __future__ import annotations

import asyncio

import pytest

from db.pool import make_pool
from ops_gateway.domains import billing_auto_topup, payments
from ops_gateway.domains.payments import platform_for
from opstac.paying import pay
from opstac.rehearsal import CHARGES


async def with_card(api, name="pm_card_visa"):
    owner = await api.organization()
    await add_card(api, owner, name)
    return owner


async def add_card(api, owner, name):
    made = await api.ok("payment_methods.attach", {"payment_method_id": name}, as_=owner)
    body = {"payment_method_row_id": made["id"]}
    await api.ok("payment_methods.set_default", body, as_=owner)
    return made["id"]


async def ask(api, who, credits=700, **more):
    return await api.ok("billing.approvals.request", {"credits": credits, **more}, as_=who)


async def approval(api, who, approval_id):
    body = {"approval_id": approval_id}
    return (await api.ok("billing.approvals.get", body, as_=who))["approval"]


async def available(api, owner):
    return (await api.ok("billing.credits.balance", as_=owner))["available"]


def events(api, owner, *types):
    rows = api.sql(
        "select type, data from event where organization_id = %s and type = any(%s)"
        " order by created_at",
        owner.organization_id,
        list(types),
    )
    return [(row["type"], row["data"]) for row in rows]


def told(api, person):
    return [
        row["title"]
        for row in api.sql(
            "select title from notification where user_id = %s order by created_at", person.user_id
        )
    ]


def charges(api, owner):
    listed = api.provider.get(f"{CHARGES}?limit=10000")["data"]
    return [
        c["status"] for c in listed if c["metadata"].get("organization_id") == owner.organization_id
    ]


async def round_of_the_worker(api, *, due=True):
    if due:
        api.sql("update payment set next_at = now() - interval '1 second'")
    settings = api.platform.settings
    async with make_pool(settings.dsn, "opstac_system", min_size=1, max_size=2) as system:
        await pay(api.platform.pipeline, system)


# ---------------------------------------------------------------- approvals


async def test_a_human_approves_once_and_the_card_is_charged(paid):
    owner = await with_card(paid)
    key = await paid.key(owner, "billing:*")
    asked = await ask(paid, key, expiry_hours=1)
    assert (asked["status"], asked["credits"], asked["amount_aud"]) == ("pending", 700, 7.0)
    body = {"approval_id": asked["id"]}
    await paid.refused(403, "billing.approvals.approve", body, as_=key)
    done = await paid.ok("billing.approvals.approve", body, as_=owner)
    assert (done["status"], done["decided_by"]) == ("approved", owner.user_id)
    assert await available(paid, owner) == 1700
    for op_id in ("billing.approvals.approve", "billing.approvals.reject"):
        await paid.refused(409, op_id, body, as_=owner)
    assert [e[0] for e in events(paid, owner, "approval.requested", "approval.decided")] == [
        "approval.requested",
        "approval.decided",
    ]
    assert events(paid, owner, "credits.topped_up")[0][1]["source"] == "approval"
    assert any("700 credits" in title for title in told(paid, owner))


async def test_many_approve_at_once_and_one_charge_is_made(paid):
    owner = await with_card(paid)
    body = {"approval_id": (await ask(paid, owner))["id"]}
    answers = await asyncio.gather(
        *(paid.call("billing.approvals.approve", body, as_=owner) for _ in range(8))
    )
    assert sorted(a.status_code for a in answers) == [200, *[409] * 7]
    assert charges(paid, owner) == ["succeeded"] and await available(paid, owner) == 1700


@pytest.mark.parametrize("name", ["pm_card_chargeDeclined", "pm_card_authenticationRequired"])
async def test_a_refused_card_leaves_the_approval_pending(paid, name):
    owner = await with_card(paid, name)
    body = {"approval_id": (await ask(paid, owner))["id"]}
    problem = await paid.refused(402, "billing.approvals.approve", body, as_=owner)
    assert problem["type"].endswith("/card-declined")
    assert (await approval(paid, owner, body["approval_id"]))["status"] == "pending"
    await add_card(paid, owner, "pm_card_visa")
    assert (await paid.ok("billing.approvals.approve", body, as_=owner))["status"] == "approved"
    assert await available(paid, owner) == 1700
    # what the holder might still have authenticated cannot succeed any more
    assert "requires_action" not in charges(paid, owner)


async def test_an_approval_that_died_on_the_way_is_finished(paid, monkeypatch):
    owner = await with_card(paid)
    body = {"approval_id": (await ask(paid, owner))["id"]}
    monkeypatch.setenv("OPSTAC_FAULT", "charged:raise")
    await paid.refused(500, "billing.approvals.approve", body, as_=owner)
    monkeypatch.delenv("OPSTAC_FAULT")
    for op_id in ("billing.approvals.approve", "billing.approvals.reject"):
        await paid.refused(409, op_id, body, as_=owner)
    await round_of_the_worker(paid)
    done = await approval(paid, owner, body["approval_id"])
    assert (done["status"], done["decided_by"]) == ("approved", owner.user_id)
    assert charges(paid, owner) == ["succeeded"] and await available(paid, owner) == 1700


async def test_approvals_expire_are_rejected_and_listed(paid):
    owner = await paid.organization()
    late, no, open_ = [await ask(paid, owner, n) for n in (100, 200, 300)]
    rejected = await paid.ok(
        "billing.approvals.reject", {"approval_id": no["id"], "reason": "too dear"}, as_=owner
    )
    assert (rejected["status"], rejected["reason"]) == ("rejected", "too dear")
    paid.sql("update approval set expires_at = now() where id = %s", late["id"])
    for _ in range(2):  # before it is swept, and afterwards
        for op_id in ("billing.approvals.approve", "billing.approvals.reject"):
            await paid.refused(410, op_id, {"approval_id": late["id"]}, as_=owner)
        for status, wanted in [("expired", late), ("rejected", no), ("pending", open_)]:
            listed = await paid.ok("billing.approvals.list", {"status": status}, as_=owner)
            assert [a["id"] for a in listed["approvals"]] == [wanted["id"]], status
        await round_of_the_worker(paid)
    listed = await paid.ok("billing.approvals.list", as_=owner)
    assert [a["id"] for a in listed["approvals"]] == [open_["id"], no["id"], late["id"]]
    decided = [d["status"] for _, d in events(paid, owner, "approval.decided")]
    assert decided == ["rejected", "expired"]
    await paid.refused(422, "billing.approvals.list", {"status": "lost"}, as_=owner)
    for body in ({"credits": 0}, {"credits": 10**20}, {"credits": 100, "expiry_hours": 721}):
        await paid.refused(422, "billing.approvals.request", body, as_=owner)


async def test_above_the_threshold_a_second_person_decides(paid):
    owner = await with_card(paid)
    other = await paid.member(owner, "billing")
    assert await paid.ok("billing.approvals.policy.get", as_=owner) == {
        "threshold_credits": None, "second_person": False,
    }  # fmt: skip
    policy = {"threshold_credits": 500, "second_person": True}
    key = await paid.key(owner, "billing:*")
    for who in (other, key):
        await paid.refused(403, "billing.approvals.policy.set", policy, as_=who)
    assert await paid.ok("billing.approvals.policy.set", policy, as_=owner) == policy
    problem = await paid.refused(409, "billing.topup", {"credits": 501}, as_=owner)
    assert problem["type"].endswith("/problems/approval-required")
    await paid.ok("billing.topup", {"credits": 500}, as_=owner)
    auto = {"enabled": True, "threshold_credits": 10, "topup_amount_credits": 501}
    await paid.refused(409, "billing.set_auto_topup", auto, as_=owner)
    for asker in (owner, key):  # a key is its maker's hand
        body = {"approval_id": (await ask(paid, asker))["id"]}
        await paid.refused(403, "billing.approvals.approve", body, as_=owner)
        await paid.ok("billing.approvals.approve", body, as_=other)
    assert await available(paid, owner) == 1000 + 500 + 1400
    foreign = await paid.organization()
    await paid.refused(404, "billing.approvals.approve", body, as_=foreign)


async def test_purchases_without_an_approval_count_together_for_a_day(paid):
    owner = await with_card(paid)
    await paid.ok("billing.approvals.policy.set", {"threshold_credits": 1000}, as_=owner)
    key = await paid.key(owner, "billing:*")
    answers = await asyncio.gather(
        *(paid.call("billing.topup", {"credits": 400}, as_=who) for who in (owner, key) * 3)
    )
    assert sorted(a.status_code for a in answers) == [201] * 2 + [409] * 4
    await paid.ok("billing.topup", {"credits": 200}, as_=key)
    # what happens by itself counts too, and waits without being switched off
    await paid.ok("billing.set_auto_topup", AUTO, as_=key)
    await spend(paid, owner, await available(paid, owner))
    for _ in range(2):
        paid.sql("update auto_topup set next_at = now() where organization_id = %s",
                 owner.organization_id)  # fmt: skip
        await round_of_the_worker(paid)
    assert await available(paid, owner) == 0 and len(charges(paid, owner)) == 3
    assert told(paid, owner).count("Automatic top-up waits") == 1
    # an approved one is none of them, and after a day they count no more
    body = {"approval_id": (await ask(paid, key, 5000))["id"]}
    await paid.ok("billing.approvals.approve", body, as_=owner)
    await spend(paid, owner, 5000)
    paid.sql("update payment set created_at = created_at - interval '1 day'"
             " where organization_id = %s", owner.organization_id)  # fmt: skip
    paid.sql("update auto_topup set next_at = now() where organization_id = %s",
             owner.organization_id)  # fmt: skip
    await round_of_the_worker(paid)
    assert await available(paid, owner) == 300


# ---------------------------------------------------------------- by itself


async def spend(api, owner, credits):
    async def hold(ctx):
        ctx.hold(credits)

    await api.platform.pipeline.act("tests.spend", platform_for(owner.organization_id), hold)


AUTO = {"enabled": True, "threshold_credits": 500, "topup_amount_credits": 300}


async def test_an_approval_that_cannot_end_keeps_nobodys_payments_waiting(paid, monkeypatch):
    stuck = await ask(paid, await paid.organization())
    owner = await with_card(paid)
    late = await ask(paid, owner)
    paid.sql("update approval set expires_at = now() where id = any(%s)", [stuck["id"], late["id"]])
    await paid.ok("billing.set_auto_topup", AUTO, as_=owner)
    await spend(paid, owner, 1000)
    decided = payments.decided

    def broken(row):
        if row["id"] == stuck["id"]:
            raise RuntimeError("broken")
        return decided(row)

    with monkeypatch.context() as patch:
        patch.setattr(payments, "decided", broken)
        await round_of_the_worker(paid)
    left = "select id from approval where id = any(%s) and status = 'pending'"
    ids = [stuck["id"], late["id"]]
    assert paid.sql(left, ids) == [{"id": stuck["id"]}]
    assert await available(paid, owner) == 300
    await round_of_the_worker(paid)
    assert paid.sql(left, ids) == []


async def test_falling_below_tops_up_once_however_many_look(paid):
    owner = await with_card(paid)
    made = await paid.ok("billing.set_auto_topup", AUTO, as_=owner)
    assert made["enabled"] and made["daily_charge_cap_aud"] is None
    pipeline = paid.platform.pipeline
    assert not await billing_auto_topup.run(pipeline, owner.organization_id)
    await spend(paid, owner, 600)
    begun = await asyncio.gather(
        *(billing_auto_topup.run(pipeline, owner.organization_id) for _ in range(10))
    )
    assert sum(begun) == 1 and charges(paid, owner) == ["succeeded"]
    assert await available(paid, owner) == 700
    low = events(paid, owner, "credits.low")
    assert [(d["available"], d["threshold"]) for _, d in low] == [(400, 500)]
    topped = events(paid, owner, "credits.topped_up")
    assert [(d["credits"], d["source"]) for _, d in topped] == [(300, "auto_topup")]


async def test_the_day_has_a_cap(paid):
    owner = await with_card(paid)
    await paid.ok("billing.set_auto_topup", AUTO | {"daily_charge_cap_aud": 7}, as_=owner)
    for _ in range(4):
        await spend(paid, owner, (await available(paid, owner)) - 100)
        await billing_auto_topup.run(paid.platform.pipeline, owner.organization_id)
    assert charges(paid, owner) == ["succeeded"] * 2 and await available(paid, owner) == 100
    assert (await paid.ok("billing.auto_topup.get", as_=owner))["enabled"]
    await round_of_the_worker(paid)
    assert len(charges(paid, owner)) == 2


async def test_three_refusals_turn_it_off_and_people_hear_of_it(paid):
    owner = await with_card(paid, "pm_card_chargeDeclined")
    await paid.ok("billing.set_auto_topup", AUTO, as_=owner)
    await spend(paid, owner, 600)
    for n in range(5):
        paid.sql("update auto_topup set next_at = now() where organization_id = %s",
                 owner.organization_id)  # fmt: skip
        await round_of_the_worker(paid)
        shown = await paid.ok("billing.auto_topup.get", as_=owner)
        assert (shown["failures"], shown["enabled"]) == (min(n + 1, 3), n < 2)
    assert shown["disabled_reason"] and len(charges(paid, owner)) == 3
    assert told(paid, owner).count("Automatic top-up is off") == 1
    assert await available(paid, owner) == 400
    shown = await paid.ok("billing.set_auto_topup", AUTO, as_=owner)
    assert (shown["failures"], shown["disabled_reason"]) == (0, None)


async def test_without_the_card_or_beyond_a_new_threshold_it_turns_itself_off(paid):
    owner = await with_card(paid)
    card = (await paid.ok("payment_methods.list", as_=owner))["payment_methods"][0]["id"]
    await paid.ok("billing.set_auto_topup", AUTO, as_=owner)
    await spend(paid, owner, 600)
    body = {"threshold_credits": 200}
    await paid.ok("billing.approvals.policy.set", body, as_=owner)
    await round_of_the_worker(paid)
    assert "approval" in (await paid.ok("billing.auto_topup.get", as_=owner))["disabled_reason"]
    await paid.ok("billing.approvals.policy.set", as_=owner)
    await paid.ok("billing.set_auto_topup", AUTO, as_=owner)
    await paid.ok("payment_methods.detach", {"payment_method_row_id": card}, as_=owner)
    await round_of_the_worker(paid)
    assert "card" in (await paid.ok("billing.auto_topup.get", as_=owner))["disabled_reason"]
    assert charges(paid, owner) == []
    await paid.refused(402, "billing.set_auto_topup", AUTO, as_=owner)
    off = AUTO | {"enabled": False}
    assert not (await paid.ok("billing.set_auto_topup", off, as_=owner))["enabled"]


IMPOSSIBLE = [
    {"threshold_credits": -1},
    {"threshold_credits": 10**30},
    {"topup_amount_credits": 10**30},
    {"topup_amount_credits": 10},
    {"daily_charge_cap_aud": 1},
    {"daily_charge_cap_aud": 1e300},
    {"daily_charge_cap_aud": 5.001},
    {"enabled": None},
]


async def test_settings_that_cannot_be_are_a_422(paid):
    owner = await paid.organization()
    for change in IMPOSSIBLE:
        body = AUTO | {"enabled": False} | change
        await paid.refused(422, "billing.set_auto_topup", body, as_=owner)

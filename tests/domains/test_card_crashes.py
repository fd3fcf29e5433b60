"""Whatever dies between a card and the ledger: one charge and one posting."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from db.pool import make_pool
from ops_gateway.domains import payments
from ops_gateway.kernel.errors import Conflict
from opstac.paying import pay
from opstac.rehearsal import CHARGES, signed

WEBHOOK = "/v1/payments/stripe/webhook"


async def with_card(api, name="pm_card_visa"):
    owner = await api.organization()
    await api.ok("payment_methods.attach", {"payment_method_id": name}, as_=owner)
    return owner


def charges_of(api, owner):
    """The provider's charges for the organization's payments: (payment, status)."""
    listed = api.provider.get(f"{CHARGES}?limit=10000")["data"]
    return [
        (c["metadata"]["payment_id"], c["status"], c["id"])
        for c in listed
        if c["metadata"].get("organization_id") == owner.organization_id
    ]


def postings(api, owner):
    rows = api.sql(
        "select reference_id, amount from journal where organization_id = %s and kind = 'topup'"
        " and reference_type = 'payment'",
        owner.organization_id,
    )
    return Counter(row["reference_id"] for row in rows)


async def sweep(api):
    """The worker's loop, as if every lease had ended."""
    api.sql("update payment set next_at = now() - interval '1 second'")
    async with make_pool(
        api.platform.settings.dsn, "opstac_system", min_size=1, max_size=2
    ) as system:
        await pay(api.platform.pipeline, system)


def sound(api, owner):
    """Charged once is posted once, and the ledger's laws hold."""
    charged = Counter(p for p, status, _ in charges_of(api, owner) if status == "succeeded")
    assert charged == postings(api, owner), (charged, postings(api, owner))
    assert not charged or max(charged.values()) == 1
    faults = api.sql("select * from ledger_faults()")
    assert all(f["faults"] == 0 for f in faults), faults


@pytest.mark.parametrize("point", ["claimed", "charged", "acted"])
@pytest.mark.parametrize("finisher", ["sweeper", "caller", "message"])
async def test_a_crash_at_any_phase_leaves_one_charge_and_one_posting(
    paid, monkeypatch, point, finisher
):
    """A fault leaves the rows and the provider just as a kill does: no transaction is open."""
    owner = await with_card(paid)
    monkeypatch.setenv("OPSTAC_FAULT", f"{point}:raise")
    await paid.refused(500, "billing.topup", {"credits": 200}, as_=owner, key="k")
    monkeypatch.delenv("OPSTAC_FAULT")
    await paid.refused(409, "billing.topup", {"credits": 200}, as_=owner, key="k")
    assert postings(paid, owner) == {}
    if finisher == "message" and point != "claimed":
        intent = charges_of(paid, owner)[0][2]
        body, signature = signed(
            "payment_intent.succeeded", {"object": "payment_intent", "id": intent}
        )
        headers = {"Stripe-Signature": signature}
        assert (await paid.client.post(WEBHOOK, content=body, headers=headers)).status_code == 200
    if finisher != "caller":
        await sweep(paid)
        assert sum(postings(paid, owner).values()) == 1
    paid.sql(
        "update idempotency_key set lease_until = now() - interval '1 second'"
        " where organization_id = %s and key = 'k'",
        owner.organization_id,
    )
    answer = await paid.ok("billing.topup", {"credits": 200}, as_=owner, key="k")
    assert (answer["status"], answer["balance"]) == ("succeeded", 1200)
    assert len(charges_of(paid, owner)) == 1
    await sweep(paid)
    sound(paid, owner)


async def test_whoever_learns_of_a_charge_at_the_same_moment_posts_it_once(paid, monkeypatch):
    owner = await with_card(paid)
    monkeypatch.setenv("OPSTAC_FAULT", "acted:raise")
    await paid.refused(500, "billing.topup", {"credits": 200}, as_=owner)
    monkeypatch.delenv("OPSTAC_FAULT")
    payment, _, intent = charges_of(paid, owner)[0]
    pipeline = paid.platform.pipeline
    charged = await pipeline.services.cards.look(intent)

    async def settle(ctx):
        return (await payments.settle(ctx, payment, charged))["journal_id"]

    principal = payments.platform_for(owner.organization_id)
    done = await asyncio.gather(
        *(pipeline.act("tests.settle", principal, settle) for _ in range(8))
    )
    assert len(set(done)) == 1
    sound(paid, owner)
    # nor is a second charge under the same payment
    other = replace(charged, provider_id="pi_other")
    with pytest.raises(Conflict):
        await pipeline.act("tests.settle", principal, partial(settle_as, payment, other))


async def settle_as(payment, charged, ctx):
    await payments.settle(ctx, payment, charged)


async def test_a_charge_that_is_not_what_was_asked_for_is_not_credited(paid, monkeypatch):
    owner = await with_card(paid)
    monkeypatch.setenv("OPSTAC_FAULT", "acted:raise")
    await paid.refused(500, "billing.topup", {"credits": 200}, as_=owner)
    monkeypatch.delenv("OPSTAC_FAULT")
    payment, _, intent = charges_of(paid, owner)[0]
    pipeline = paid.platform.pipeline
    charged = await pipeline.services.cards.look(intent)
    principal = payments.platform_for(owner.organization_id)
    for wrong in (replace(charged, received=199), replace(charged, currency="usd")):
        with pytest.raises(Conflict):
            await pipeline.act("tests.settle", principal, partial(settle_as, payment, wrong))
    assert postings(paid, owner) == {}


async def test_a_lost_answer_does_not_charge_again(paid):
    owner = await with_card(paid)
    before = paid.provider.charges
    paid.provider.lose_answers = 1
    answer = await paid.ok("billing.topup", {"credits": 200}, as_=owner)
    assert answer["balance"] == 1200 and paid.provider.charges == before + 1
    sound(paid, owner)


async def test_a_provider_that_forgot_the_key_is_looked_through_first(paid, monkeypatch):
    """Stripe keeps idempotency keys for a day; the charge is found by its metadata then."""
    owner = await with_card(paid)
    monkeypatch.setenv("OPSTAC_FAULT", "charged:raise")
    await paid.refused(500, "billing.topup", {"credits": 200}, as_=owner)
    monkeypatch.delenv("OPSTAC_FAULT")
    paid.provider.forget_keys()
    await sweep(paid)
    assert len(charges_of(paid, owner)) == 1
    sound(paid, owner)


async def test_a_provider_that_is_down_leaves_the_outcome_open(paid):
    owner = await with_card(paid)
    paid.provider.down = True
    answer = await paid.call("billing.topup", {"credits": 200}, as_=owner, key="k")
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
    await sweep(paid)
    paid.provider.down = False
    assert charges_of(paid, owner) == []
    await sweep(paid)
    assert len(charges_of(paid, owner)) == 1
    sound(paid, owner)


async def test_a_charge_that_nobody_made_for_an_hour_is_given_up(paid):
    owner = await with_card(paid)
    paid.provider.down = True
    await paid.refused(503, "billing.topup", {"credits": 200}, as_=owner)
    paid.provider.down = False
    paid.sql(
        "update payment set created_at = now() - interval '2 hours' where organization_id = %s",
        owner.organization_id,
    )
    await sweep(paid)
    assert charges_of(paid, owner) == [] and postings(paid, owner) == {}
    state = paid.sql("select state from payment where organization_id = %s", owner.organization_id)
    assert state == [{"state": "failed"}]


async def test_a_payment_nobody_authenticates_is_given_up_after_a_day(paid):
    owner = await with_card(paid, "pm_card_authenticationRequired")
    await paid.ok("billing.topup", {"credits": 200}, as_=owner)
    await sweep(paid)
    assert charges_of(paid, owner)[0][1] == "requires_action"
    paid.sql(
        "update payment set created_at = now() - interval '2 days' where organization_id = %s",
        owner.organization_id,
    )
    await sweep(paid)
    assert charges_of(paid, owner)[0][1] == "canceled"
    sound(paid, owner)


# each charge is a call to the server that plays the provider, which makes one at a time
@pytest.mark.parametrize(("same_key", "count"), [(True, 50), (False, 16)])
async def test_many_topups_at_once(paid, same_key, count):
    owner = await with_card(paid)
    answers = await asyncio.gather(
        *(
            paid.call(
                "billing.topup", {"credits": 100}, as_=owner, key="k" if same_key else f"k{n}"
            )
            for n in range(count)
        )
    )
    assert {a.status_code for a in answers} <= ({201, 409} if same_key else {201})
    assert len({a.content for a in answers if a.status_code == 201}) == (1 if same_key else count)
    wanted = 1 if same_key else count
    assert len(charges_of(paid, owner)) == wanted
    shown = await paid.ok("billing.credits.balance", as_=owner)
    assert shown["balance"] == 1000 + 100 * wanted
    sound(paid, owner)


STEP = st.one_of(
    st.tuples(st.just("topup"), st.integers(50, 400), st.integers(0, 3)),
    st.tuples(
        st.just("crash"), st.integers(50, 400), st.sampled_from(["claimed", "charged", "acted"])
    ),
    st.tuples(st.just("refund"), st.integers(1, 300), st.integers(0, 5)),
    st.tuples(st.just("message"), st.integers(0, 5), st.integers(1, 3)),
    st.tuples(st.just("spend"), st.integers(1, 900), st.just(0)),
    st.tuples(st.just("sweep"), st.just(0), st.just(0)),
    st.tuples(st.just("lost"), st.integers(50, 400), st.just(0)),
)


@given(rounds=st.lists(st.lists(STEP, min_size=1, max_size=4), min_size=1, max_size=4))
@settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_interleaving_charges_once_and_posts_once(paid, rounds):
    """Each round's steps run at once, on as many connections; after all, what is due is swept."""
    paid.provider.lose_answers = 0
    owner = await with_card(paid)
    for steps in rounds:
        points = [step[2] for step in steps if step[0] == "crash"]
        with pytest.MonkeyPatch.context() as patch:
            if points:  # every payment of the round dies there
                patch.setenv("OPSTAC_FAULT", f"{points[0]}:raise")
            await asyncio.gather(*(take(paid, owner, step) for step in steps))
    paid.provider.lose_answers = 0
    for _ in range(3):
        await sweep(paid)
    sound(paid, owner)
    shown = await paid.ok("billing.credits.balance", as_=owner)
    assert shown["available"] >= 0
    owed = paid.sql(
        "select coalesce(sum(returned_credits - taken_credits), 0) as owed from payment"
        " where organization_id = %s",
        owner.organization_id,
    )[0]["owed"]
    assert owed == 0 or shown["available"] == 0
    assert paid.sql("select * from verify_chains(%s)", owner.organization_id) == []


async def take(api, owner, step):
    """One step; refusals are as good as answers."""
    kind, number, other = step
    if kind in ("topup", "crash", "lost"):
        if kind == "lost":
            api.provider.lose_answers += 1
        key = f"k{other}" if kind == "topup" else None
        answer = await api.call("billing.topup", {"credits": number}, as_=owner, key=key)
        assert answer.status_code in (201, 409, 500, 503), answer.text
        assert answer.status_code != 500 or "Fault" not in answer.text
    elif kind == "refund":
        paid = [c for c in charges_of(api, owner) if c[1] == "succeeded"]
        if paid:
            api.provider.refund(paid[other % len(paid)][2], number)
    elif kind == "message":
        made = charges_of(api, owner)
        if made:
            about = {"object": "payment_intent", "id": made[number % len(made)][2]}
            body, signature = signed("payment_intent.succeeded", about)
            headers = {"Stripe-Signature": signature}
            sent = [api.client.post(WEBHOOK, content=body, headers=headers)] * 1
            sent += [api.client.post(WEBHOOK, content=body, headers=headers) for _ in range(other)]
            assert {r.status_code for r in await asyncio.gather(*sent)} <= {200, 503}
    elif kind == "spend":
        from ops_gateway.domains.payments import platform_for
        from ops_gateway.kernel.errors import OpError
        from ops_gateway.kernel.failures import translate

        async def hold(ctx):
            ctx.hold(number)

        principal = platform_for(owner.organization_id)
        try:
            await api.platform.pipeline.act("tests.spend", principal, hold)
        except OpError as refusal:
            assert refusal.status == 402
        except Exception as error:
            assert translate(error).status in (402, 500)
    else:
        await sweep(api)

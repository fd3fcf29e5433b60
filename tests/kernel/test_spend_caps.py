"""The spend cap of a key: what is reserved and charged never goes over it, whatever races."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ops_gateway.domains.billing_reconciliation import reconcile
from ops_gateway.kernel.context import Principal

CAP = 300
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
# what one connection does, one after the other
TURN = st.one_of(
    st.tuples(st.just("keep"), st.integers(1, 200)),
    st.tuples(st.just("settle"), st.integers(1, 200), st.integers(0, 250)),
    st.tuples(st.just("void"), st.integers(1, 200)),
    st.tuples(st.sampled_from(["end_settle", "end_void"]), st.integers(0, 9)),
    st.tuples(st.just("topup"), st.integers(1, 100)),
)
RACES = st.lists(st.lists(TURN, min_size=1, max_size=4), min_size=2, max_size=8)


async def capped(trial, *permissions: str, as_=None, **body):
    """A new key that may spend `CAP` credits, or what `body` says."""
    given = {"name": "agent", "permissions": list(permissions) or ["*"], "spend_cap_credits": CAP}
    made = await trial.api.ok("api_keys.create", given | body, as_=as_ or trial.owner)
    return type(trial.owner)(made["key"], None, trial.organization_id), made


async def standing(trial, key_id):
    """What the list says of the key, and what its reservations sum up to."""
    listed = (await trial.api.ok("api_keys.list", as_=trial.owner))["api_keys"]
    row = next(k for k in listed if k["id"] == key_id)
    [truth] = trial.api.sql(
        "select coalesce(sum(amount) filter (where state = 'open'), 0)::bigint as held,"
        " coalesce(sum(settled), 0)::bigint as spent from hold where %s = any (budgets)",
        key_id,
    )
    assert (row["held_credits"], row["spent_credits"]) == (truth["held"], truth["spent"])
    spent, held, left = (row[f"{n}_credits"] for n in ("spent", "held", "remaining"))
    assert spent + held + left == row["spend_cap_credits"] and left >= 0
    return spent, held


async def test_a_key_spends_up_to_its_cap_and_says_what_is_left(trial):
    agent, made = await capped(trial)
    assert made["spend_cap_credits"] == CAP
    await trial.ok("spend", {"amount": 100, "ending": "settle"}, as_=agent)
    kept = await trial.ok("spend", {"amount": 150}, as_=agent)
    assert await standing(trial, made["id"]) == (100, 150)
    before = trial.rows()
    problem = await trial.refused(402, "spend", {"amount": 51}, as_=agent)
    assert problem["type"].endswith("/problems/spend-cap-reached")
    assert problem["key_id"] == made["id"] and problem["needed_credits"] == 51
    assert (problem["spent_credits"], problem["held_credits"]) == (100, 150)
    assert "50 more" in problem["detail"] and trial.rows() == before
    await trial.ok("spend", {"amount": 50}, as_=agent)
    # less was charged than was reserved, by whoever: the rest may be spent
    await trial.ok("settle", {"hold_id": kept["hold_id"], "amount": 20})
    assert await standing(trial, made["id"]) == (120, 50)
    await trial.refused(402, "spend", {"amount": 131}, as_=agent)
    await trial.ok("spend", {"amount": 130}, as_=agent)


async def test_a_cap_of_nothing_spends_nothing_and_no_cap_is_the_wallet(trial):
    nothing, _ = await capped(trial, spend_cap_credits=0)
    await trial.refused(402, "spend", {"amount": 1}, as_=nothing)
    await trial.ok("spend", {"amount": 0}, as_=nothing)
    free = await trial.api.key(trial.owner, "*")
    await trial.ok("spend", {"amount": 1000}, as_=free)
    listed = (await trial.api.ok("api_keys.list", as_=trial.owner))["api_keys"]
    row = next(k for k in listed if k["name"] != "agent")
    assert [row[f"{n}_credits"] for n in ("spend_cap", "spent", "held", "remaining")] == [None] * 4


@pytest.mark.parametrize("cap", [-1, 10**13, "many", 1.5, True, [1], 10**40])
async def test_a_cap_that_is_no_number_of_credits_is_refused(trial, cap):
    body = {"name": "x", "spend_cap_credits": cap}
    response = await trial.api.call("api_keys.create", body, as_=trial.owner)
    # pydantic takes true for 1, as everywhere on this wire
    assert response.status_code == (200 if cap is True else 422), response.text


async def test_credits_that_come_in_do_not_raise_a_cap(trial):
    agent, made = await capped(trial)
    await trial.ok("spend", {"amount": CAP, "ending": "settle"}, as_=agent)
    for kind in ("grant", "topup", "refund"):
        await trial.ok("credit", {"kind": kind, "amount": 500})
        await trial.refused(402, "spend", {"amount": 1}, as_=agent)
    assert await standing(trial, made["id"]) == (CAP, 0)


async def test_a_token_the_key_was_exchanged_for_spends_from_the_same_cap(trial):
    agent, made = await capped(trial)
    response = await trial.api.client.post(
        "/realms/public/protocol/openid-connect/token",
        data={
            "grant_type": "client_credentials",
            "client_id": "geopera",
            "client_secret": agent.token,
        },
    )
    if response.status_code == 404:
        pytest.fail("the gateway has no sign-in")
    token = type(agent)(response.json()["access_token"], None, trial.organization_id)
    await trial.ok("spend", {"amount": 200}, as_=token)
    await trial.refused(402, "spend", {"amount": 101}, as_=agent)
    assert await standing(trial, made["id"]) == (0, 200)


async def test_a_repeated_call_counts_once(trial):
    agent, made = await capped(trial)
    for _ in range(3):
        await trial.ok("spend", {"amount": 200}, as_=agent, key="once")
    assert await standing(trial, made["id"]) == (0, 200)
    await trial.refused(402, "spend", {"amount": 200}, as_=agent, key="twice")
    await trial.ok("spend", {"amount": 100}, as_=agent, key="twice-less")


async def test_many_at_once_spend_no_more_than_the_cap(trial):
    agent, made = await capped(trial)
    answers = await asyncio.gather(
        *(trial.call("spend", {"amount": 45, "ending": "settle"}, as_=agent) for _ in range(24))
    )
    assert sorted(a.status_code for a in answers) == [200] * 6 + [402] * 18
    assert await standing(trial, made["id"]) == (270, 0)
    assert trial.wallet() == (730, 0)


@given(race=RACES)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=QUIET,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
async def test_no_race_goes_over_a_cap(trial, race):
    """Random turns on many connections: a capped key, its child, the owner who ends holds."""
    agent, made = await capped(trial)
    child, born = await capped(trial, as_=agent, spend_cap_credits=120)
    await trial.ok("credit", {"kind": "grant", "amount": 2000})
    holds: list[str] = []
    callers = itertools.cycle([agent, child])

    async def turns(actions, caller):
        for name, *rest in actions:
            if name in ("keep", "settle", "void"):
                body = {"amount": rest[0], "ending": name}
                if name == "settle":
                    body["charge"] = rest[1]
                answer = await trial.call("spend", body, as_=caller)
                assert answer.status_code in (200, 402), answer.text
                if answer.status_code == 200 and name == "keep":
                    holds.append(answer.json()["hold_id"])
            elif name == "topup":
                await trial.ok("credit", {"kind": "topup", "amount": rest[0]})
            elif holds:
                hold = holds.pop(rest[0] % len(holds))
                await trial.ok(name.removeprefix("end_"), {"hold_id": hold, "amount": rest[0] * 9})
            [row] = trial.api.sql(
                "select max(spent + held - spend_cap) as over from api_key where id = any (%s)",
                [made["id"], born["id"]],
            )
            assert row["over"] <= 0

    await asyncio.gather(*(turns(actions, next(callers)) for actions in race))
    spent, held = await standing(trial, made["id"])
    part = await standing(trial, born["id"])
    assert spent >= part[0] and held >= part[1] and spent + held <= CAP and sum(part) <= 120
    faults = trial.api.sql("select * from ledger_faults()")
    assert all(f["faults"] == 0 for f in faults), faults


async def test_what_a_key_mints_is_no_wider_and_spends_from_its_cap(trial):
    agent, made = await capped(trial, rate_limit=50, expires_in_days=2)
    for wider in ({"spend_cap_credits": CAP + 1}, {"rate_limit": 51}, {"expires_in_days": 3}):
        problem = await trial.api.refused(
            403, "api_keys.create", {"name": "x", "permissions": ["*"], **wider}, as_=agent
        )
        assert "maker" in problem["detail"] or "outlive" in problem["detail"]
    plain = {"name": "x", "permissions": ["*"]}
    born = await trial.api.ok("api_keys.create", plain, as_=agent)
    assert born["rate_limit"] == 50 and born["spend_cap_credits"] == CAP
    assert born["expires_at"] == made["expires_at"]
    child = type(agent)(born["key"], None, trial.organization_id)
    grandchild, _ = await capped(trial, as_=child, spend_cap_credits=250)
    await trial.ok("spend", {"amount": 200}, as_=grandchild)
    await trial.ok("spend", {"amount": 60}, as_=child)
    assert await standing(trial, made["id"]) == (0, 260)
    problem = await trial.refused(402, "spend", {"amount": 45}, as_=grandchild)
    assert problem["spend_cap_credits"] in (CAP, 250)
    # with the first all that came of it is refused
    await trial.api.ok("api_keys.revoke", {"key_id": made["id"]}, as_=trial.owner)
    for key in (agent, child, grandchild):
        await trial.refused(401, "spend", {"amount": 0}, as_=key)


async def test_a_key_cannot_mint_while_it_is_revoked(trial):
    agent, made = await capped(trial)
    plain = {"name": "x", "permissions": ["*"]}
    answers = await asyncio.gather(
        *(trial.api.call("api_keys.create", plain, as_=agent) for _ in range(6)),
        trial.api.call("api_keys.revoke", {"key_id": made["id"]}, as_=trial.owner),
    )
    assert answers[-1].status_code == 200
    for answer in answers[:-1]:
        if answer.status_code == 200:
            child = type(agent)(answer.json()["key"], None, trial.organization_id)
            await trial.refused(401, "spend", {"amount": 0}, as_=child)


async def test_a_capped_key_buys_no_credits(trial):
    agent, _ = await capped(trial)
    problem = await trial.api.refused(403, "billing.topup", {"credits": 500}, as_=agent)
    assert "spend cap" in problem["detail"]
    body = {"enabled": True, "threshold_credits": 10, "topup_amount_credits": 500}
    await trial.api.refused(403, "billing.set_auto_topup", body, as_=agent)


async def test_reconciliation_brings_the_count_to_the_reservations(trial):
    agent, made = await capped(trial)
    await trial.ok("spend", {"amount": 100}, as_=agent)
    trial.api.sql("update api_key set held = 7, spent = 500 where id = %s", made["id"])
    actor = Principal(kind="service", id="tests")
    await reconcile(trial.api.platform.pipeline, trial.organization_id, actor, 0, correct=True)
    assert await standing(trial, made["id"]) == (0, 100)

"""Credits are neither made nor lost, nor spent twice, whatever the order of calls."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

AMOUNTS = st.one_of(st.integers(1, 60), st.integers(100, 2000), st.just(10**12))
STEP = st.one_of(
    st.tuples(st.just("grant"), st.integers(1, 500)),
    st.tuples(st.just("hold"), AMOUNTS),
    st.tuples(st.just("late"), AMOUNTS),
    st.tuples(st.just("spend"), AMOUNTS),
    st.tuples(st.just("settle"), st.integers(-5, 2500), st.integers(0, 5)),
    st.tuples(st.just("void"), st.just(0), st.integers(0, 5)),
)


class Model:
    """What the ledger must say."""

    def __init__(self, available: int) -> None:
        self.available = available
        self.open: dict[str, int] = {}
        self.ended: list[str] = []

    def pick(self, which: int) -> str:
        """One of the holds, ended ones too; or none that exists."""
        every = [*self.open, *self.ended]
        return every[which % len(every)] if every else "hold_nowhere"


async def apply(trial, model: Model, step) -> None:
    name, amount, *rest = step
    if name == "grant":
        await trial.ok("grant", {"amount": amount})
        model.available += amount
    elif name in ("hold", "late", "spend"):
        body = {"amount": amount, "ending": "settle" if name == "spend" else "keep"}
        response = await trial.call("late" if name == "late" else "spend", body)
        if amount > model.available:
            assert response.status_code == 402, response.text
            assert response.json()["type"].endswith("/problems/insufficient-credits")
            return
        assert response.status_code == 200, response.text
        model.available -= amount
        hold = response.json()["hold_id"]
        if name == "spend":
            model.ended.append(hold)
        else:
            model.open[hold] = amount
    else:
        hold = model.pick(rest[0])
        response = await trial.call(name, {"hold_id": hold, "amount": amount})
        if hold not in model.open or (name == "settle" and amount < 0):
            assert response.status_code in (400, 409), response.text
            return
        assert response.status_code == 200, response.text
        held = model.open.pop(hold)
        model.ended.append(hold)
        model.available += held - (min(amount, held) if name == "settle" else 0)


@given(steps=st.lists(STEP, min_size=1, max_size=12))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
async def test_credits_are_neither_made_nor_lost(trial, steps):
    owner = await trial.api.organization()
    trial.owner, trial.organization_id = owner, owner.organization_id
    model = Model(trial.wallet()[0])
    for step in steps:
        await apply(trial, model, step)
        assert trial.wallet() == (model.available, sum(model.open.values()))
        faults = trial.api.sql("select * from ledger_faults()", role="opstac_app")
        assert len(faults) == 8 and all(f["faults"] == 0 for f in faults), faults
    broken = trial.api.sql(
        "select * from verify_chains(%s)", owner.organization_id, role="opstac_app"
    )
    assert broken == []


async def test_more_than_the_hold_is_never_charged(trial):
    hold = (await trial.ok("spend", {"amount": 100}))["hold_id"]
    await trial.ok("settle", {"hold_id": hold, "amount": 5000})
    assert trial.wallet() == (900, 0)
    journal = trial.api.sql(
        "select amount, charged from journal where hold_id = %s and kind = 'settle'", hold
    )
    assert journal == [{"amount": 100, "charged": 100}]


async def test_part_of_a_hold_is_charged_and_the_rest_given_back_in_one_journal(trial):
    hold = (await trial.ok("spend", {"amount": 100}))["hold_id"]
    await trial.ok("settle", {"hold_id": hold, "amount": 30})
    assert trial.wallet() == (970, 0)
    assert trial.api.sql("select state, settled from hold where id = %s", hold) == [
        {"state": "settled", "settled": 30}
    ]


async def test_a_hold_ends_once(trial):
    for first, second in [
        ("settle", "settle"),
        ("settle", "void"),
        ("void", "settle"),
        ("void", "void"),
    ]:
        hold = (await trial.ok("spend", {"amount": 10}))["hold_id"]
        await trial.ok(first, {"hold_id": hold, "amount": 10})
        before = trial.wallet()
        await trial.refused(409, second, {"hold_id": hold, "amount": 10})
        assert trial.wallet() == before


async def test_a_hold_of_another_organization_cannot_be_ended(trial):
    hold = (await trial.ok("spend", {"amount": 10}))["hold_id"]
    stranger = await trial.api.organization()
    await trial.refused(409, "settle", {"hold_id": hold, "amount": 10}, as_=stranger)
    await trial.refused(409, "void", {"hold_id": hold}, as_=stranger)
    assert trial.wallet() == (990, 10)


async def test_concurrent_endings_of_one_hold_end_it_once(trial):
    hold = (await trial.ok("spend", {"amount": 10}))["hold_id"]
    endings = [trial.call(n, {"hold_id": hold, "amount": 10}) for n in ["settle", "void"] * 4]
    statuses = sorted(r.status_code for r in await asyncio.gather(*endings))
    assert statuses == [200] + [409] * 7
    assert trial.wallet() in [(990, 0), (1000, 0)]


@pytest.mark.parametrize("op_id", ["spend", "late"])
async def test_many_writers_never_overspend(trial, op_id):
    calls = [trial.call(op_id, {"amount": 90, "ending": "settle"}) for _ in range(24)]
    statuses = [r.status_code for r in await asyncio.gather(*calls)]
    assert sorted(statuses) == [200] * 11 + [402] * 13
    assert trial.wallet() == (10, 0)
    assert all(f["faults"] == 0 for f in trial.api.sql("select * from ledger_faults()"))


async def test_an_amount_beyond_all_bounds_is_the_callers_fault(trial):
    for amount in (10**12 + 1, 2**53, 2**62, 2**70, 1e30):
        await trial.call("grant", {"amount": 1})
        response = await trial.call("late", {"amount": amount})
        assert response.status_code in (400, 402, 422), (amount, response.text)
    assert trial.wallet()[1] == 0


@pytest.mark.parametrize("role", ["opstac_app", "opstac_system", "opstac_tiler", "opstac_stac"])
@pytest.mark.parametrize("table", ["journal", "entry", "lineage", "audit"])
@pytest.mark.parametrize(
    "statement", ["update {} set organization_id = 'x'", "delete from {}", "truncate {}"]
)
async def test_written_records_cannot_be_changed(trial, role, table, statement):
    await trial.ok("spend", {"amount": 5, "ending": "settle"})
    bind = f"set opstac.org = '{trial.organization_id}';"
    with pytest.raises(psycopg.Error) as refusal:
        trial.api.sql(bind + statement.format(table), role=role)
    assert refusal.value.sqlstate in ("42501", "OP002")


@pytest.mark.parametrize(
    "table", ["account", "hold", "journal", "entry", "chain_head", "audit", "lineage"]
)
async def test_the_application_writes_records_only_through_the_kernel(trial, table):
    for statement in (
        f"insert into {table} select * from {table} limit 1",
        f"update {table} set organization_id = organization_id",
        f"delete from {table}",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            trial.api.sql(
                f"set opstac.org = '{trial.organization_id}';" + statement, role="opstac_app"
            )


@pytest.mark.parametrize(
    "lines",
    [[], [("available", 5)], [("available", 5), ("held", -4)], [("available", 5), ("revenue", 5)]],
)
async def test_an_unbalanced_journal_is_refused(trial, lines):
    org = trial.organization_id
    accounts = {"available": f"{org}:available", "held": f"{org}:held", "revenue": "revenue"}
    entries = "".join(
        f"insert into entry values ('txn_{org}', '{accounts[kind]}', '{org}', {amount});"
        for kind, amount in lines
    )
    post = (
        f"begin; insert into journal (id, organization_id, kind, amount, available_after,"
        " held_after, actor, invocation_id, seq, prev, hash)"
        f" values ('txn_{org}', '{org}', 'grant', 5, 5, 0, 'a', 'i', 99, '', '');"
        f"{entries} commit"
    )
    with pytest.raises(psycopg.Error) as refusal:
        trial.api.sql(post)
    assert refusal.value.sqlstate == "OP003"


async def test_lines_cannot_be_added_to_a_posted_journal(trial):
    await trial.ok("spend", {"amount": 5, "ending": "keep"})
    journal = trial.api.sql(
        "select id from journal where organization_id = %s and kind = 'hold'", trial.organization_id
    )[0]["id"]
    with pytest.raises(psycopg.Error) as refusal:
        trial.api.sql(
            "insert into entry values (%s, 'revenue', %s, 7)", journal, trial.organization_id
        )
    assert refusal.value.sqlstate == "OP003"


async def test_a_wallet_below_zero_is_refused_by_the_table_itself(trial):
    with pytest.raises(psycopg.errors.CheckViolation):
        trial.api.sql(
            "update account set balance = -1 where organization_id = %s and kind = 'available'",
            trial.organization_id,
        )

"""Plans, prices and thresholds by date; the free tier; who runs the platform."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from ops_gateway.domains import billing_plans
from ops_gateway.domains.billing_free_tier import grant_to_all
from ops_gateway.domains.billing_plans import later, month_of, start
from ops_gateway.kernel.authenticate import Authenticator
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Invalid, NotFound, Unauthenticated
from ops_gateway.kernel.operation import REGISTRY


@pytest.fixture
def service() -> str:
    return "gateway"


async def movements(api, owner, reason="grant"):
    body = {"reason": reason, "limit": 1000}
    page = await api.ok("billing.credits.transactions", body, as_=owner)
    return [(m["amount"], m["description"]) for m in page["transactions"]]


async def look(api, owner, work):
    principal = Principal(kind="service", id="tests", organization_id=owner.organization_id)
    return await api.platform.pipeline.look("tests.look", principal, work)


def waiting(answer):
    return {row["organization_id"] for row in answer["pending"]}


# ---------------------------------------------------------------- who may


async def test_the_schedulers_token_opens_what_says_so_and_nothing_else(api):
    owner = await api.organization()
    body = {"organization_id": owner.organization_id}
    assert (await api.ok("billing.free_tier.grant_all", as_=api.cron))["processed"] >= 0
    for op_id, given in [
        ("billing.free_tier.approve", body),
        ("billing.free_tier.revoke", body),
        ("billing.free_tier.list_pending", {}),
        ("billing.status.get", body),
        ("billing.plans.list", {}),
        ("billing.credits.balance", {}),
    ]:
        await api.refused(403, op_id, given, as_=api.cron)
    wrong = type(api.cron)(api.cron.token + "x")
    await api.refused(401, "billing.free_tier.grant_all", as_=wrong)


async def test_without_a_token_in_the_settings_no_token_is_the_schedulers(api):
    platform = api.platform
    for configured in (None, ""):
        without = Authenticator(
            platform.pool, platform.keys, issuer="opstac", cron_token=configured
        )
        for given in ("", "None", api.cron.token):
            with pytest.raises(Unauthenticated):
                await without.authenticate(given)


async def test_what_is_the_operators_is_nobody_elses(api):
    owner = await api.organization()
    body = {"organization_id": owner.organization_id}
    callers = [owner, await api.member(owner, "billing"), await api.key(owner, "billing:*")]
    for op_id, op in REGISTRY.items():
        if op.id.startswith("billing.") and op.scope.startswith("admin:"):
            for caller in callers:
                await api.refused(403, op_id, body, as_=caller)
            await api.refused(401, op_id, body)
    await api.refused(
        403, "api_keys.create", {"name": "x", "permissions": ["admin:write"]}, as_=owner
    )


async def test_an_operator_names_an_organization_and_others_their_own(api):
    owner, stranger = await api.organization(), await api.organization()
    body = {"organization_id": owner.organization_id}
    boss = api.operator()
    assert (await api.ok("billing.status.get", body, as_=boss))["organization_id"] in body.values()
    assert await api.ok("billing.status.get", body, as_=owner)
    await api.refused(404, "billing.status.get", body, as_=stranger)
    await api.refused(403, "billing.status.get", body, as_=await api.member(owner, "viewer"))
    await api.refused(403, "billing.status.get", body, as_=api.user())
    for wrong in ("", "org_missing", "platform", "x" * 5000, "' or 1=1"):
        given = {"organization_id": wrong}
        await api.refused(404, "billing.status.get", given, as_=boss)
        await api.refused(404, "billing.free_tier.approve", given, as_=boss)
    for wrong in (None, 5, [], {}, True):
        await api.refused(422, "billing.status.get", {"organization_id": wrong}, as_=boss)
    # what was refused has left nothing under these names
    names = ["", "org_missing", "x" * 5000]
    assert not api.sql("select * from audit where organization_id = any (%s)", names)


async def test_an_operators_call_is_kept_with_the_organization_it_is_about(api):
    owner, boss = await api.organization(), api.operator()
    body = {"organization_id": owner.organization_id}
    first = await api.call("billing.free_tier.approve", body, as_=boss, key="once")
    again = await api.call("billing.free_tier.approve", body, as_=boss, key="once")
    assert first.content == again.content and again.headers["Idempotent-Replayed"] == "true"
    audit = api.sql(
        "select principal_id from audit where organization_id = %s and operation = %s",
        owner.organization_id,
        "billing.free_tier.approve",
    )
    assert audit == [{"principal_id": boss.user_id}]
    await api.refused(409, "billing.free_tier.approve", body | {"admin_user_id": "x"}, as_=boss,
                      key="once")  # fmt: skip
    assert api.sql("select * from verify_chains(%s)", owner.organization_id) == []


# ---------------------------------------------------------------- free tier


async def test_an_organization_waits_is_admitted_once_and_is_put_out(api):
    owner, other, boss = await api.organization(), await api.organization(), api.operator()
    body = {"organization_id": owner.organization_id}
    both = {owner.organization_id, other.organization_id}
    assert both <= waiting(await api.ok("billing.free_tier.list_pending", as_=boss))
    status = await api.ok("billing.status.get", body, as_=owner)
    assert (status["plan"], status["status"]) == ("free", "pending_approval")

    said = await api.ok("billing.free_tier.approve", body, as_=boss)
    assert (said["status"], said["credits_granted"]) == ("approved", 500)
    assert (await api.ok("billing.free_tier.approve", body, as_=boss))["credits_granted"] == 0
    month = month_of(datetime.now(UTC))
    assert await movements(api, owner) == [
        (500, f"plan free: {month:%Y-%m}"),
        (1000, "signup credits"),
    ]
    assert both & waiting(await api.ok("billing.free_tier.list_pending", as_=boss)) == {
        other.organization_id
    }
    assert (await api.ok("billing.status.get", body, as_=owner))["status"] == "active"

    assert (await api.ok("billing.free_tier.revoke", body, as_=boss))["status"] == "revoked"
    assert (await api.ok("billing.status.get", body, as_=owner))["status"] == "revoked"
    done = await grant_to_all(api.platform.pipeline, start(later(month, 1)))
    assert owner.organization_id not in {g.organization_id for g in done.granted}
    assert len(await movements(api, owner)) == 2
    assert len(await movements(api, other)) == 1


async def test_everybody_admitted_has_each_month_once_whoever_asks_at_the_same_time(api):
    owner, other, boss = await api.organization(), await api.organization(), api.operator()
    await api.ok("billing.free_tier.approve", {"organization_id": owner.organization_id}, as_=boss)
    pipeline = api.platform.pipeline
    # January after a December, and a leap February
    for at in (
        datetime(2031, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2032, 2, 29, 12, tzinfo=UTC),
    ):
        done = await asyncio.gather(*(grant_to_all(pipeline, at) for _ in range(4)))
        mine = [
            g.credits for d in done for g in d.granted if g.organization_id == owner.organization_id
        ]
        assert mine == [500]
    assert [text for _, text in await movements(api, owner)][:2] == [
        "plan free: 2032-02",
        "plan free: 2031-12",
    ]
    lots = api.sql(
        "select period, expires_at from credit_lot where organization_id = %s order by period",
        owner.organization_id,
    )
    assert [(lot["period"], lot["expires_at"]) for lot in lots[1:]] == [
        (date(2031, 12, 1), datetime(2032, 1, 1, tzinfo=UTC)),
        (date(2032, 2, 1), datetime(2032, 3, 1, tzinfo=UTC)),
    ]
    assert len(await movements(api, other)) == 1
    # the operation itself is of this month, which the approval has given
    now = await api.ok("billing.free_tier.grant_all", as_=api.cron)
    assert owner.organization_id not in {g["organization_id"] for g in now["granted"]}


def test_months_are_those_of_utc():
    west = datetime.fromisoformat("2031-12-31T23:30:00-05:00")
    assert month_of(west) == date(2032, 1, 1)
    assert later(date(2031, 12, 1), 1) == date(2032, 1, 1)
    assert later(date(2032, 1, 1), -1) == date(2031, 12, 1)
    assert start(later(date(2032, 2, 1), 1)) - start(date(2032, 2, 1)) == timedelta(days=29)


# ---------------------------------------------------------------- plans


async def test_an_organization_is_put_on_a_plan_and_sees_it(api):
    owner, other = await api.organization(), await api.organization()
    pipeline = api.platform.pipeline
    plans = (await api.ok("billing.plans.list", as_=owner))["plans"]
    team = next(plan for plan in plans if plan["id"] == "team")
    assert (team["monthly_fee_cents"], team["monthly_credits"]) == (9900, 12000)
    given = await billing_plans.assign(pipeline, owner.organization_id, "team", by="boss")
    assert given == 12000
    assert await billing_plans.assign(pipeline, owner.organization_id, "team", by="boss") == 0
    shown = {
        who.organization_id: await api.ok(
            "billing.status.get", {"organization_id": who.organization_id}, as_=who
        )
        for who in (owner, other)
    }
    assert shown[owner.organization_id]["plan"] == "team"
    assert shown[owner.organization_id]["status"] == "active"
    assert shown[owner.organization_id]["limits"]["storage_bytes"] == 1 << 40
    assert shown[other.organization_id]["plan"] == "free"
    with pytest.raises(Invalid):
        await billing_plans.assign(pipeline, owner.organization_id, "none", by="boss")
    with pytest.raises(NotFound):
        await billing_plans.assign(pipeline, "org_missing", "team", by="boss")
    soon = datetime.now(UTC) + timedelta(days=3)
    await billing_plans.assign(pipeline, owner.organization_id, "payg", by="boss", at=soon)

    async def plan_then(ctx, at):
        return (await billing_plans.plan_of(ctx, at))["id"]

    before, after = soon - timedelta(seconds=1), soon + timedelta(seconds=1)
    assert await look(api, owner, lambda ctx: plan_then(ctx, before)) == "team"
    assert await look(api, owner, lambda ctx: plan_then(ctx, after)) == "payg"


async def test_a_plans_storage_binds_and_never_less_than_is_stored(api):
    owner = await api.organization()
    project = await api.project(owner)
    pipeline, org = api.platform.pipeline, owner.organization_id

    async def quota():
        shown = await api.ok("billing.status.get", {"organization_id": org}, as_=owner)
        limits = shown["limits"]
        assert (
            limits.get("storage_bytes", limits["storage_quota_bytes"])
            == (limits["storage_quota_bytes"])
        )
        return limits["storage_quota_bytes"]

    assert await quota() == 1 << 40
    await billing_plans.assign(pipeline, org, "free", by="boss")
    assert await quota() == 10 << 30
    upload = {"project_id": project, "file_count": 2, "total_bytes": (10 << 30) + 1}
    await api.refused(402, "uploads.initiate", upload, as_=owner)
    await api.ok("uploads.initiate", upload | {"total_bytes": 10 << 30}, as_=owner)
    await billing_plans.assign(pipeline, org, "payg", by="boss")
    assert await quota() == 1 << 40
    await api.ok("uploads.initiate", upload, as_=owner)
    await billing_plans.assign(pipeline, org, "free", by="boss")
    assert await quota() == (20 << 30) + 1  # what is reserved
    await api.refused(402, "uploads.initiate", upload | {"total_bytes": 1}, as_=owner)


async def test_usage_of_the_month_is_the_organizations_own(api, stock):
    owner, other = await api.organization(), await api.organization()
    project = await api.project(owner)

    async def spend(ctx):
        held = ctx.hold(70)
        ctx.settle(held, 60)

    await api.platform.pipeline.act("tests.spend", stock.platform_of(owner), spend)
    stock.job(owner, project)
    await stock.item(owner, project)
    api.sql("select count_usage(%s, 'tile_requests', 12)", owner.organization_id)

    async def usage(who):
        body = {"organization_id": who.organization_id}
        return (await api.ok("billing.status.get", body, as_=who))["usage"]

    assert await usage(owner) == {
        "storage_bytes": 1000,
        "tile_requests": 12,
        "credits_used": 60,
        "jobs": 1,
    }
    assert set((await usage(other)).values()) == {0}


# ---------------------------------------------------------------- rows with a time


async def test_a_job_costs_what_it_did_when_it_was_made(api):
    owner = await api.organization()
    project = await api.project(owner)
    insert = "insert into price (subject, unit, credits_per_unit, minimum_credits) values"
    api.sql(f"{insert} ('echo', 'flat', 7, 7)")
    body = {"project_id": project, "job_type_id": "echo"}
    job = (await api.ok("processing.create", body, as_=owner))["job"]
    api.sql(f"{insert} ('echo', 'flat', 90, 90)")
    estimate = await api.ok("processing.catalog.estimate", {"process_id": "echo"}, as_=owner)
    assert (job["credits_reserved"], estimate["totalCredits"]) == (7, 90)
    later_job = (await api.ok("processing.create", body, as_=owner))["job"]
    assert later_job["credits_reserved"] == 90
    api.sql(f"{insert} ('echo', 'flat', 0, 0)")

    from ops_gateway.domains import receipts

    kept = api.sql("select id, terms from job where id = any (%s)", [job["id"], later_job["id"]])
    assert {row["id"]: receipts.agreed(row).minimum_credits for row in kept} == {
        job["id"]: 7,
        later_job["id"]: 90,
    }
    history = api.sql(
        "select credits_per_unit, valid_until from price where subject = 'echo' order by valid_from"
    )
    assert [int(row["credits_per_unit"]) for row in history] == [0, 7, 90, 0]
    assert [row["valid_until"] is None for row in history] == [False, False, False, True]


async def test_rows_of_one_name_never_overlap_and_the_past_stays(api):
    name = f"tests_{datetime.now(UTC):%H%M%S%f}"
    insert = (
        "insert into threshold (name, value, unit, meaning, valid_from, valid_until)"
        f" values ('{name}', %s, 'x', 'of a test', coalesce(%s, now()), %s)"
    )
    now = datetime.now(UTC)
    days = [now + timedelta(days=n) for n in range(6)]
    api.sql(insert, 1, None, None)
    api.sql(insert, 2, days[2], days[4])  # for a while, then as before
    api.sql(insert, 3, days[3], None)  # in the middle of it
    api.sql(insert, 4, days[1], None)  # before what comes
    rows = api.sql(f"select * from threshold where name = '{name}' order by valid_from")
    assert [(r["value"], r["valid_until"]) for r in rows] == [
        (1, days[1]),
        (4, days[2]),
        (2, days[3]),
        (3, days[4]),
        (1, None),
    ]
    for statement, code in [
        (
            f"insert into threshold values ('{name}', 9, 'x', 'y', now() - interval '1 day')",
            "OP012",
        ),
        (f"update threshold set value = 9 where name = '{name}'", "OP002"),
        (f"delete from threshold where name = '{name}'", "OP002"),
        (
            f"insert into threshold values ('{name}', 9, 'x', 'y', now() + interval '10 days',"
            " now() + interval '9 days')",
            "23514",
        ),
    ]:
        with pytest.raises(psycopg.Error) as refusal:
            api.sql(statement)
        assert refusal.value.sqlstate == code, statement
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        api.sql("insert into price (subject, unit, credits_per_unit) values ('x', 'flat', 0)",
                role="opstac_app")  # fmt: skip

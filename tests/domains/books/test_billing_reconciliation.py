"""Drift that was planted is found alone and set right by rows more; what was written stays."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from ops_gateway.kernel.context import Principal

RECONCILE = "billing.reconciliation."


class Books:
    """An organization with a purchase, a charge, an open reservation and two stored files."""

    def __init__(self, api, stock, tamper, owner) -> None:
        self.api, self.stock, self.tamper, self.owner = api, stock, tamper, owner
        self.id, self.boss = owner.organization_id, api.operator()
        self.items: list[dict[str, str]] = []
        self.holds: list[str] = []
        self.jobs: list[str] = []

    async def fill(self) -> Books:
        project = await self.api.project(self.owner)
        self.items = [await self.stock.item(self.owner, project) for _ in range(2)]
        for status in ("completed", "running"):
            job = self.stock.job(self.owner, project, status)
            self.jobs.append(job)

            async def work(ctx, job=job, status=status):
                hold = ctx.hold(100, job_id=job)
                self.holds.append(hold)
                if status == "completed":
                    ctx.settle(hold, 60, job_id=job)

            await self.act(work)
        self.api.sql("update job set hold_id = %s where id = %s", self.holds[1], self.jobs[1])
        return self

    async def act(self, work) -> None:
        principal = Principal(kind="service", id="tests", organization_id=self.id)
        await self.api.platform.pipeline.act("tests.change", principal, work)

    async def ok(self, name: str, **body):
        body = {"organization_id": self.id, **body}
        return await self.api.ok(RECONCILE + name, body, as_=self.boss)

    async def faults(self) -> list[tuple[str, str, int]]:
        found = await self.ok("detect_drift")
        assert found["count"] == len(found["faults"])
        return [(f["kind"], f["subject"], f["difference"]) for f in found["faults"]]

    def written(self) -> list[dict]:
        """Every row of the ledger, as it is now."""
        return self.api.sql(
            "select j.id, j.hash, e.account_id, e.amount from journal j join entry e on"
            " e.journal_id = j.id where j.organization_id = %s order by 1, 3", self.id,
        )  # fmt: skip

    def wallet(self) -> tuple[int, int]:
        rows = self.api.sql("select kind, balance from account where organization_id = %s", self.id)
        balances = {row["kind"]: row["balance"] for row in rows}
        return balances["available"], balances["held"]


@pytest.fixture
async def books(api, stock, tamper) -> Books:
    return await Books(api, stock, tamper, await api.organization()).fill()


# what is planted, what is found of it, and what the wallet is after the correction
WALLET = "update account set balance = balance + %s where id = %s || ':available'"
PLANTED = {
    "a balance too high": (
        lambda b: b.tamper(WALLET, 50, b.id),
        lambda b: [("wallet", f"{b.id}:available", 50)],
        (840, 100),
    ),
    "a balance too low": (
        lambda b: b.tamper(WALLET, -800, b.id),
        lambda b: [("wallet", f"{b.id}:available", -800)],
        (840, 100),
    ),
    "held credits gone": (
        lambda b: b.tamper("update account set balance = 0 where id = %s || ':held'", b.id),
        lambda b: [("wallet", f"{b.id}:held", -100)],
        (840, 100),
    ),
    "a reservation ended without a posting": (
        lambda b: b.tamper(
            "update hold set state = 'voided', ended_at = now() where id = %s", b.holds[1]
        ),
        lambda b: [("hold", b.holds[1], -100)],
        (840, 100),  # its job runs: it is open again
    ),
    "a reservation that was never posted": (
        lambda b: b.tamper(
            "insert into hold (id, organization_id, amount) values (%s, %s, 9)", f"h_{b.id}", b.id
        ),
        lambda b: [("hold", f"h_{b.id}", 9)],
        (840, 100),
    ),
    "a reservation opened again": (
        lambda b: b.tamper(
            "update hold set state = 'open', settled = null, ended_at = null where id = %s",
            b.holds[0],
        ),
        lambda b: [("hold", b.holds[0], 100), ("job_unsettled", b.jobs[0], 100)],
        (840, 100),
    ),
    "a job that ended without its settlement": (
        lambda b: b.tamper(
            "update job set status = 'completed', credits_charged = 30, completed_at = now()"
            " where id = %s",
            b.jobs[1],
        ),
        lambda b: [("job_unsettled", b.jobs[1], 100)],
        (910, 0),
    ),
    "a line of the ledger gone": (
        lambda b: b.tamper(
            "delete from entry where account_id = 'revenue' and organization_id = %s", b.id
        ),
        lambda b: [("journal_unbalanced", None, -60)],
        (840, 100),
    ),
    "a line of the ledger altered": (
        lambda b: b.tamper(
            "update entry set amount = 2000 where account_id = %s || ':available'"
            " and amount = 1000",
            b.id,
        ),
        lambda b: [("wallet", f"{b.id}:available", -1000), ("journal_unbalanced", None, 1000)],
        (1840, 100),
    ),
    "more taken than there was": (
        lambda b: b.tamper(
            "update entry set amount = 10 where account_id = %s || ':available' and amount = 1000",
            b.id,
        ),
        lambda b: [("wallet", f"{b.id}:available", 990), ("journal_unbalanced", None, -990)],
        (0, 100),
    ),
    "a file that no entry tells of": (
        lambda b: b.tamper("delete from storage_entry where object_path = %s", b.items[0]["path"]),
        lambda b: [("storage_missing", b.items[0]["path"], -1000)],
        (840, 100),
    ),
    "an entry of a file that is gone": (
        lambda b: b.tamper(
            "insert into storage_entry (organization_id, object_path, bytes_delta, kind)"
            " values (%s, 'gone', 77, 'add')",
            b.id,
        ),
        lambda b: [("storage_stale", "gone", 77)],
        (840, 100),
    ),
    "a negative rest": (
        lambda b: b.tamper(
            "insert into storage_entry (organization_id, object_path, bytes_delta, kind)"
            " values (%s, 'less', -77, 'remove')",
            b.id,
        ),
        lambda b: [("storage_negative", "less", -77)],
        (840, 100),
    ),
    "an entry of another size": (
        lambda b: b.tamper(
            "update storage_entry set bytes_delta = 990 where object_path = %s",
            b.items[0]["path"],
        ),
        lambda b: [("storage_size", b.items[0]["path"], -10)],
        (840, 100),
    ),
    "a counter that is wrong": (
        lambda b: b.tamper(
            "update organization set storage_used_bytes = 5 where organization_id = %s", b.id
        ),
        lambda b: [("storage_counter", b.id, -1995)],
        (840, 100),
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
async def test_what_was_planted_is_found_alone_and_set_right_once(books, api, planted):
    plant, expected, wallet = PLANTED[planted]
    assert await books.faults() == []
    plant(books)
    found = await books.faults()
    wanted = expected(books)
    assert [
        (k, s if w[1] else None, d) for (k, s, d), w in zip(found, wanted, strict=True)
    ] == wanted
    before = books.written()

    looked = await books.ok("run")
    assert looked["corrections"] == [] and looked["run"]["fault_count"] == len(wanted)
    assert await books.faults() == found  # looking changes nothing
    done = await books.ok("run", correct=True)
    assert done["corrections"]
    assert await books.faults() == [] and books.wallet() == wallet
    after = books.written()
    assert [row for row in before if row not in after] == []  # rows were added alone
    assert (await books.ok("run", correct=True))["corrections"] == []
    assert books.wallet() == wallet and books.written() == after
    mine = f"organization_id = '{books.id}'"
    broken = api.sql(
        f"select from account a join entry e on e.account_id = a.id where a.{mine}"
        " and a.balance is not null group by a.id having sum(e.amount) <> a.balance"
    )
    assert broken == []
    listed = (await books.ok("list_corrections"))["corrections"]
    assert [c["id"] for c in listed] == [c["id"] for c in reversed(done["corrections"])]
    assert {c["actor"] for c in listed} == {books.boss.user_id}


async def test_runs_are_kept_and_say_what_needs_somebodys_eye(books, api, stock, tamper):
    other = await Books(api, stock, tamper, await api.organization()).fill()
    runs = {o.id: (await o.ok("run"))["run"] for o in (books, other)}
    assert not any(run["flagged"] for run in runs.values())
    books.tamper("insert into storage_entry (organization_id, object_path, bytes_delta, kind)"
                 " values (%s, 'gone', 500, 'add')", books.id)  # fmt: skip
    assert not (await books.ok("run"))["run"]["flagged"]  # below the threshold
    assert (await books.ok("run", threshold_bytes=499))["run"]["flagged"]
    other.tamper(WALLET, 1, other.id)
    done = await api.ok(RECONCILE + "run_all", {"threshold_bytes": 10**6}, as_=api.cron)
    mine = {r["organization_id"]: r for r in done["runs"]}
    assert mine[other.id]["flagged"] and not mine[books.id]["flagged"]
    assert [f["kind"] for f in mine[other.id]["faults"]] == ["wallet"]
    assert done["flagged"] >= 1 and done["processed"] >= 2

    flagged = (await books.ok("list_runs", flagged_only=True))["runs"]
    assert [r["threshold_bytes"] for r in flagged] == [499]
    every = (await books.ok("list_runs"))["runs"]
    assert len(every) == 4 and {r["organization_id"] for r in every} == {books.id}
    assert (await books.ok("list_runs", limit=-1))["count"] == 1
    everybody = (await api.ok(RECONCILE + "list_runs", {"limit": 1000}, as_=books.boss))["runs"]
    assert {books.id, other.id} <= {r["organization_id"] for r in everybody}
    assert (await other.ok("run", correct=True))["corrections"]
    for table in ("storage_entry", "reconciliation_run", "reconciliation_correction"):
        for statement in (f"update {table} set organization_id = 'x'", f"delete from {table}"):
            with pytest.raises(psycopg.Error) as refusal:
                api.sql(statement)
            assert refusal.value.sqlstate == "OP002"


async def test_each_operation_of_stored_bytes_corrects_its_own_kind(books, api):
    first, second = (item["path"] for item in books.items)
    books.tamper("delete from storage_entry where object_path = %s", first)
    insert = "insert into storage_entry (organization_id, object_path, bytes_delta, kind) values"
    books.tamper(
        f"{insert} (%s, 'gone', 77, 'add'), (%s, 'less', -5, 'remove')", books.id, books.id
    )
    books.tamper(f"{insert} (%s, %s, 30, 'add')", books.id, second)

    async def left():
        return {kind for kind, _, _ in await books.faults()}

    everything = {"storage_missing", "storage_stale", "storage_negative", "storage_size"}
    assert await left() == everything
    for name, kind, delta in [
        ("backfill_missing", "storage_missing", 1000),
        ("remove_stale", "storage_stale", -77),
        ("zero_negative_nets", "storage_negative", 5),
    ]:
        done = await books.ok(name)
        assert (done["processed"], done["bytes_delta"]) == (1, delta)
        everything -= {kind}
        assert await left() == everything
        assert (await books.ok(name))["processed"] == 0
    asset = books.items[1]["asset_id"]
    body = {"bytes_delta": -30, "reason": "counted twice", "asset_id": asset}
    done = await books.ok("correct_drift", **body)
    assert [(c["subject"], c["amount"], c["reason"]) for c in done["corrections"]] == [
        (asset, -30, "counted twice")
    ]
    assert await left() == set() and (await books.ok("detect_drift"))["drift_bytes"] == 0
    assert (await books.ok("correct_drift", bytes_delta=0, reason="x"))["processed"] == 0

    stranger = await api.organization()
    given = {"organization_id": stranger.organization_id, **body}
    await api.refused(404, RECONCILE + "correct_drift", given, as_=books.boss)
    for wrong in (
        {"bytes_delta": 10**30},
        {"bytes_delta": 1.5},
        {"bytes_delta": "many"},
        {"reason": ""},
        {"reason": None},
    ):
        given = {"organization_id": books.id, **body, **wrong}
        await api.refused(422, RECONCILE + "correct_drift", given, as_=books.boss)
    for op_id in ("run", "detect_drift", "backfill_missing", "remove_stale", "correct_drift"):
        given = {**body, "organization_id": "org_missing"}
        await api.refused(404, RECONCILE + op_id, given, as_=books.boss)
    await api.refused(403, RECONCILE + "run", {"organization_id": books.id}, as_=api.cron)


async def test_files_come_and_go_in_the_ledger_of_bytes(books, api, stock):
    """Also where several assets share one."""
    item, path = books.items[0], books.items[0]["path"]
    copy = stock.asset(books.owner, item["id"], path, key="copy")
    net = "select coalesce(sum(bytes_delta), 0)::int as n from storage_entry where object_path = %s"
    assert api.sql(net, path)[0]["n"] == 1000
    api.sql("update asset set deleted_at = now() where id = %s", item["asset_id"])
    assert api.sql(net, path)[0]["n"] == 1000
    api.sql("update asset set deleted_at = now() where id = %s", copy)
    assert api.sql(net, path)[0]["n"] == 0
    assert [kind for kind, _, _ in await books.faults()] == ["storage_counter"]
    kinds = api.sql("select kind from storage_entry where object_path = %s order by id", path)
    assert [row["kind"] for row in kinds] == ["add", "remove"]


# ---------------------------------------------------------------- dead letters


async def test_a_change_the_ledger_of_bytes_cannot_take_is_kept_and_taken_later(books, api, stock):
    boss = books.boss
    project = await api.project(books.owner)

    async def pending():
        answer = await api.ok("billing.dlq.list_pending", as_=boss)
        assert answer["total"] == sum(group["count"] for group in answer["pending"])
        return {(g["storage_type"], g["source"]): g["count"] for g in answer["pending"]}

    assert await pending() == {}
    api.sql("alter table storage_entry add constraint broken check (bytes_delta > 5000) not valid",
            role="opstac_owner")  # fmt: skip
    try:
        new = await stock.item(books.owner, project)
        gone = books.items[0]
        api.sql("update asset set deleted_at = now() where id = %s", gone["asset_id"])
        assert await pending() == {("object", "asset.added"): 1, ("object", "asset.removed"): 1}
        done = await api.ok("billing.dlq.replay", as_=api.cron)
        assert done == {"processed": 2, "resolved": 0, "failed": 2}
        assert len(await pending()) == 2
    finally:
        api.sql("alter table storage_entry drop constraint broken", role="opstac_owner")
    faults = [(kind, subject) for kind, subject, _ in await books.faults()]
    assert ("storage_missing", new["path"]) in faults and ("storage_stale", gone["path"]) in faults
    one = await api.ok("billing.dlq.replay", {"batch_size": 1}, as_=api.cron)
    assert one == {"processed": 1, "resolved": 1, "failed": 0}
    rest = [api.ok("billing.dlq.replay", as_=api.cron) for _ in range(3)]
    assert sum(done["resolved"] for done in await asyncio.gather(*rest)) == 1
    assert await pending() == {}
    assert [kind for kind, _, _ in await books.faults()] == ["storage_counter"]
    await api.refused(403, "billing.dlq.replay", as_=books.owner)
    for wrong in (10**30, "x", 1.5, []):
        answer = await api.call("billing.dlq.replay", {"batch_size": wrong}, as_=api.cron)
        assert answer.status_code in (200, 422), answer.text


# ---------------------------------------------------------------- jobs that ended


async def test_reservations_that_nobody_will_end_are_ended_once(books, api, stock, tamper):
    other = await Books(api, stock, tamper, await api.organization()).fill()
    holds = []

    async def lapse(ctx):
        holds.append(ctx.hold(5))

    await books.act(lapse)
    settle, only = "billing.jobs.settle_unsettled", {"organization_id": books.id}
    assert (await api.ok(settle, only, as_=api.cron))["processed"] == 0
    books.tamper("update hold set expires_at = now() - interval '1 s' where id = %s", holds[0])
    ended = "update job set status = %s, credits_charged = %s, completed_at = now() where id = %s"
    books.tamper(ended, "completed", 30, books.jobs[1])
    other.tamper(ended, "failed", 0, other.jobs[1])
    done = [api.ok(settle, only, as_=api.cron) for _ in range(3)]
    answers = await asyncio.gather(*done)
    jobs = [job for answer in answers for job in answer["jobs"]]
    assert sorted((j["hold_id"], j["action"], j["credits"]) for j in jobs) == sorted(
        [(books.holds[1], "settled", 30), (holds[0], "voided", 0)]
    )
    assert books.wallet() == (1000 - 60 - 30, 0) and other.wallet() == (840, 100)
    everybody = await api.ok(settle, as_=api.cron)
    assert (other.jobs[1], "voided") in {(j["job_id"], j["action"]) for j in everybody["jobs"]}
    assert other.wallet() == (940, 0)
    assert (await api.ok(settle, as_=api.cron))["processed"] == 0
    await api.refused(404, settle, {"organization_id": "org_missing"}, as_=api.cron)
    await api.refused(403, settle, only, as_=books.owner)


# ---------------------------------------------------------------- deleted organizations


async def test_a_deleted_organization_waits_and_is_purged_with_its_ledger_kept(
    books, api, stock, tamper
):
    other = await Books(api, stock, tamper, await api.organization()).fill()
    boss, key = books.boss, await api.key(books.owner, "items:read")

    async def pending():
        answer = await api.ok("billing.deletions.pending", as_=boss)
        return {o["organization_id"] for o in answer["pending"]} & {books.id, other.id}

    assert await pending() == set()
    deleted = (
        "update organization set deleted_at = now() - %s * interval '1 day'"
        " where organization_id = %s"
    )
    api.sql(deleted, 29, books.id)
    assert await pending() == {books.id}
    done = await api.ok("billing.cleanup_deleted_orgs", as_=api.cron)
    assert done["organization_ids"] == []
    api.sql(deleted, 31, books.id)
    done = await api.ok("billing.cleanup_deleted_orgs", as_=api.cron)
    assert done["organization_ids"] == [books.id] and done["failed"] == []
    assert await pending() == set()
    assert (await api.ok("billing.cleanup_deleted_orgs", as_=api.cron))["processed"] == 0

    def count(query, who):
        return api.sql(f"select count(*) as n from {query}", who.id)[0]["n"]

    live = "asset where deleted_at is null and organization_id = %s"
    assert (count(live, books), count(live, other)) == (0, 2)
    for table in ("organization_member", "project_member"):
        assert count(f"{table} where organization_id = %s", books) == 0
    assert count("api_key where revoked_at is null and organization_id = %s", books) == 0
    await api.refused(401, "items.search", {}, as_=key)
    name = api.sql("select name, details from organization where organization_id = %s", books.id)
    assert name == [{"name": "deleted", "details": {}}]
    assert count("journal where organization_id = %s", books) >= 4
    assert api.sql("select * from verify_chains(%s)", books.id) == []
    objects = api.platform.services.objects
    assert [await objects.head(item["path"]) for item in books.items] == [None, None]
    assert await objects.head(other.items[0]["path"])
    await api.refused(403, "billing.cleanup_deleted_orgs", as_=other.owner)

"""Whoever alters what was recorded, past the platform and as superuser, is found out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql as build
from psycopg.rows import dict_row

from db.disposable import migrated_cluster
from db.embedded import Cluster
from db.pool import make_pool
from ops_gateway.kernel import chain
from ops_gateway.kernel.chain_record import NotARecord, check_record, head_of
from ops_gateway.kernel.context import Principal
from opstac.commands.verify import check_database

TABLES = {"lineage": "lineage", "audit": "audit", "journal": "ledger"}
# other values of the columns that a CHECK ties
OTHER = {
    ("lineage", "relation"): "exports",
    ("audit", "outcome"): "denied",
    ("journal", "kind"): "expiry",
}
COLUMNS = {
    "lineage": "organization_id seq src_type src_id relation dst_type dst_id invocation_id"
    " operation at prev hash",
    "audit": "organization_id seq at request_id invocation_id operation principal_kind principal_id"
    " outcome status entities detail prev hash",
    "journal": "organization_id id kind hold_id amount charged available_after held_after"
    " reference_type reference_id description actor invocation_id created_at seq prev hash",
    "entry": "journal_id account_id organization_id amount",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of this module's own: its superuser is needed."""
    with migrated_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def dsn(cluster: Cluster) -> str:
    """The database all here is about."""
    return cluster.dsn()


class Attacker:
    """A superuser's connection; whatever it does is undone."""

    def __init__(self, connection: Any, organization_id: str) -> None:
        self.connection = connection
        self.org = organization_id

    async def run(self, query: str | build.Composed, *params: Any) -> list[dict[str, Any]]:
        cursor = await self.connection.execute(query, params or None)
        return await cursor.fetchall() if cursor.description else []

    async def found(self) -> list[str]:
        """What verification says of the organization, as the role it runs as."""
        await self.connection.execute("set local role opstac_system")
        findings = await chain.check_chains(self.connection, self.org)
        findings += await chain.check_ledger(self.connection)
        await self.connection.execute("reset role")
        return [str(f) for f in findings if f.organization_id in (self.org, "platform")]


@pytest.fixture
async def owner(api):
    """An organization with several rows in each chain."""
    person = await api.organization()
    principal = Principal(kind="service", id="tests", organization_id=person.organization_id)
    held: list[str | None] = []

    async def first(ctx) -> None:
        held.extend([ctx.hold(100), ctx.hold(40), ctx.hold(7)])
        ctx.credit("topup", 10, "paid")

    async def second(ctx) -> None:
        ctx.settle(held[0], 60)
        ctx.void(held[1])

    async def third(ctx) -> None:
        for n in range(4):
            ctx.edge(("item", f"it_{n}"), "derived_from", ("item", f"it_{n + 1}"))

    for work in (first, second, third):
        await api.platform.pipeline.act("tests.fill", principal, work)
    return person


@pytest.fixture
async def attacker(cluster: Cluster, owner) -> AsyncIterator[Attacker]:
    """Inside a transaction, with triggers and foreign keys off."""
    connection = await psycopg.AsyncConnection.connect(
        cluster.superuser_dsn("opstac"),
        row_factory=dict_row,
        options="-c search_path=opstac,public",
    )
    async with connection:
        await connection.execute("set local session_replication_role = replica")
        yield Attacker(connection, owner.organization_id)
        await connection.rollback()


@asynccontextmanager
async def system(dsn: str) -> AsyncIterator[Any]:
    async with make_pool(dsn, "opstac_system") as pool, pool.connection() as connection:
        yield connection


async def seqs(attacker: Attacker, table: str) -> list[int]:
    query = build.SQL("select seq from {} where organization_id = %s order by seq").format(
        build.Identifier(table)
    )
    return [row["seq"] for row in await attacker.run(query, attacker.org)]


async def column_type(attacker: Attacker, table: str, column: str) -> str:
    rows = await attacker.run(
        "select data_type from information_schema.columns where table_schema = 'opstac' and"
        " table_name = %s"
        " and column_name = %s",
        table,
        column,
    )
    return rows[0]["data_type"]


# ---------------------------------------------------------------- what is right


async def test_nothing_is_found_where_nothing_was_done(attacker):
    assert await attacker.found() == []


async def test_a_whole_database_that_nobody_touched_is_clean(api, owner):
    count, findings = await check_database(api.platform.settings, head=None, public=None)
    assert findings == [] and count >= 1


async def test_the_columns_below_are_all_there_are(attacker):
    for table, columns in COLUMNS.items():
        rows = await attacker.run(
            "select column_name from information_schema.columns where table_schema ="
            " 'opstac' and table_name = %s",
            table,
        )
        assert {row["column_name"] for row in rows} == set(columns.split()), table


# ---------------------------------------------------------------- edits


@pytest.mark.parametrize("table", TABLES)
async def test_every_edited_value_is_found(attacker, table):
    known = await seqs(attacker, table)
    for column in COLUMNS[table].split():
        for seq in (known[0], known[len(known) // 2], known[-1]):
            async with attacker.connection.transaction(force_rollback=True):
                await edit(attacker, table, column, seq)
                assert await attacker.found(), (column, seq)
    assert await attacker.found() == []


async def edit(attacker: Attacker, table: str, column: str, seq: int) -> None:
    """Give one column of one row another value."""
    change = {
        "bigint": "coalesce({c}, 0) + 1000",
        "integer": "coalesce({c}, 0) + 1",
        "jsonb": "'[\"x\"]'",
        "timestamp with time zone": "{c} + interval '1 second'",
        "bytea": "'\\x0badc0de'",
        "text": "coalesce({c}, '') || 'x'",
    }[await column_type(attacker, table, column)]
    if (table, column) in OTHER:
        change = f"'{OTHER[table, column]}'"
    query = build.SQL(
        "update {} set {} = " + change + " where organization_id = %s and seq = %s"
    ).format(build.Identifier(table), build.Identifier(column), c=build.Identifier(column))
    await attacker.run(query, attacker.org, seq)


@pytest.mark.parametrize("column", COLUMNS["entry"].split())
async def test_an_edited_entry_is_found(attacker, column):
    change = {
        "amount": "amount + 1",
        "organization_id": "organization_id || 'x'",
        "journal_id": "journal_id || 'x'",
        "account_id": "'expired'",
    }[column]
    await attacker.run(
        build.SQL(
            "update entry set {} = "
            + change
            + " where (journal_id, account_id) = (select journal_id, account_id"
            " from entry where organization_id = %s order by 1, 2 limit 1)"
        ).format(build.Identifier(column)),
        attacker.org,
    )
    assert await attacker.found()


# ---------------------------------------------------------------- deletions, insertions, swaps


@pytest.mark.parametrize("table", TABLES)
async def test_every_deleted_row_is_found(attacker, table):
    query = build.SQL("delete from {} where organization_id = %s and seq = %s").format(
        build.Identifier(table)
    )
    for seq in await seqs(attacker, table):
        async with attacker.connection.transaction(force_rollback=True):
            await attacker.run(query, attacker.org, seq)
            assert await attacker.found(), seq


@pytest.mark.parametrize("table", TABLES)
async def test_deleting_a_whole_chain_is_found(attacker, table):
    await attacker.run(
        build.SQL("delete from {} where organization_id = %s").format(build.Identifier(table)),
        attacker.org,
    )
    assert await attacker.found()


async def test_deleted_entries_are_found(attacker):
    await attacker.run(
        "delete from entry where journal_id = (select id from journal where organization_id"
        " = %s and seq = 2)",
        attacker.org,
    )
    assert await attacker.found()


@pytest.mark.parametrize("seq", ["the same", "the next"])
@pytest.mark.parametrize("table", TABLES)
async def test_an_inserted_row_is_found(attacker, table, seq):
    known = await seqs(attacker, table)
    columns = COLUMNS[table].split()
    new = {"seq": str(known[-1] + 1)} if seq == "the next" else {"at": "at + interval '1 second'"}
    if table == "journal":
        new["id"], new["kind"] = "id || 'x'", "'grant'"
    if seq == "the same" and table != "audit":
        # their keys leave no room beside a row, so it comes before the first
        new = {**new, "seq": "0"}
    query = build.SQL(
        "insert into {t} ({c}) select {v} from {t} where organization_id = %s and seq = %s"
    ).format(
        t=build.Identifier(table),
        c=build.SQL(", ").join(map(build.Identifier, columns)),
        v=build.SQL(", ").join(
            build.SQL(new[c]) if c in new else build.Identifier(c) for c in columns
        ),
    )
    await attacker.run(query, attacker.org, known[-1])
    assert await attacker.found()


@pytest.mark.parametrize("journal", ["of the organization", "of nobody"])
async def test_inserted_entries_are_found_even_where_they_balance(attacker, journal):
    target = (
        "(select id from journal where organization_id = %(o)s and seq = 1)"
        if journal != "of nobody"
        else "'txn_x'"
    )
    await attacker.connection.execute(
        f"insert into entry (journal_id, account_id, organization_id, amount)"
        f" values ({target}, 'expired', %(o)s, -5), ({target}, 'revenue', %(o)s, 5)",
        {"o": attacker.org},
    )
    assert await attacker.found()


@pytest.mark.parametrize("table", TABLES)
async def test_two_rows_that_change_places_are_found(attacker, table):
    a, b = (await seqs(attacker, table))[-2:]
    name = build.Identifier(table)
    for old, new in ((a, -1), (b, a), (-1, b)):
        await attacker.run(
            build.SQL("update {} set seq = %s where organization_id = %s and seq = %s").format(
                name
            ),
            new,
            attacker.org,
            old,
        )
    assert await attacker.found()


async def test_entries_that_change_places_are_found(attacker):
    rows = await attacker.run(
        "select id from journal where organization_id = %s and kind = 'hold' order by seq",
        attacker.org,
    )
    a, b = rows[0]["id"], rows[1]["id"]
    for old, new in ((a, "aside"), (b, a), ("aside", b)):
        await attacker.run("update entry set journal_id = %s where journal_id = %s", new, old)
    assert await attacker.found()


# ---------------------------------------------------------------- cut tails


async def cut(attacker: Attacker, table: str) -> None:
    """Remove the last row and let the head say that there never was one."""
    known = await seqs(attacker, table)
    if table == "journal":
        await attacker.run(
            "update account a set balance = balance - e.amount from entry e join journal j"
            " on j.id = e.journal_id"
            " where j.organization_id = %s and j.seq = %s and a.id = e.account_id and"
            " a.balance is not null",
            attacker.org,
            known[-1],
        )
        # the last one voided a reservation: it is open again
        await attacker.run(
            "update hold set state = 'open', ended_at = null, settled = null where id ="
            " (select hold_id from journal where organization_id = %s and seq = %s)",
            attacker.org,
            known[-1],
        )
        await attacker.run(
            "delete from entry where journal_id = (select id from journal where"
            " organization_id = %s and seq = %s)",
            attacker.org,
            known[-1],
        )
    name, column = build.Identifier(table), TABLES[table]
    await attacker.run(
        build.SQL("delete from {} where organization_id = %s and seq = %s").format(name),
        attacker.org,
        known[-1],
    )
    await attacker.run(
        build.SQL(
            "update chain_head h set {} = t.seq, {} = t.hash from {} t where h.organization_id = %s"
            " and t.organization_id = h.organization_id and t.seq = %s"
        ).format(build.Identifier(f"{column}_seq"), build.Identifier(f"{column}_hash"), name),
        attacker.org,
        known[-2],
    )


@pytest.mark.parametrize("table", TABLES)
async def test_a_cut_tail_shows_by_the_signed_end(api, attacker, owner, dsn, table):
    keys = api.platform.keys
    async with system(dsn) as connection:
        head = await chain.signed_head(connection, owner.organization_id, keys.chain)
    assert head is not None
    assert await chain.check_head(attacker.connection, head, keys.chain.public) == []
    await cut(attacker, table)
    # within the database all is well again, which is why ends are kept outside it
    assert await attacker.found() == []
    found = await chain.check_head(attacker.connection, head, keys.chain.public)
    assert [f.place.split()[0] for f in found] == [TABLES[table]]


async def test_a_chain_hashed_anew_shows_by_the_signed_end(api, attacker, owner, dsn):
    async with system(dsn) as connection:
        head = await chain.signed_head(connection, owner.organization_id, api.platform.keys.chain)
    assert head is not None
    await attacker.run(
        "update lineage set dst_id = 'it_forged' where organization_id = %s and seq = 1",
        attacker.org,
    )
    for seq in await seqs(attacker, "lineage"):
        await attacker.run(
            "update lineage l set prev = coalesce((select hash from lineage where"
            " organization_id = l.organization_id"
            " and seq = l.seq - 1), '\\x00') where organization_id = %s and seq = %s",
            attacker.org,
            seq,
        )
        await attacker.run(
            "update lineage l set hash = link(prev, lineage_text(l)) where organization_id"
            " = %s and seq = %s",
            attacker.org,
            seq,
        )
    await attacker.run(
        "update chain_head h set lineage_hash = l.hash from lineage l where h.organization_id = %s"
        " and l.organization_id = h.organization_id and l.seq = h.lineage_seq",
        attacker.org,
    )
    assert await attacker.found() == []
    found = await chain.check_head(attacker.connection, head, api.platform.keys.chain.public)
    assert len(found) == 1 and "rewritten" in found[0].problem


async def test_a_forged_head_is_no_witness(api, attacker, owner, dsn):
    async with system(dsn) as connection:
        head = await chain.signed_head(connection, owner.organization_id, api.platform.keys.chain)
    assert head is not None
    head["chains"]["audit"]["seq"] -= 1
    found = await chain.check_head(attacker.connection, head, api.platform.keys.chain.public)
    assert "signature" in found[0].problem


async def test_months_of_audit_may_go_with_a_note_of_where_they_ended(api, attacker):
    """As keep_partitions does it; the same deletion without the note is found."""
    row = (
        await attacker.run(
            "select seq, hash from audit where organization_id = %s order by seq limit 1",
            attacker.org,
        )
    )[0]
    await attacker.run(
        "delete from audit where organization_id = %s and seq = %s", attacker.org, row["seq"]
    )
    assert await attacker.found()
    await attacker.run(
        "update chain_head set audit_base_seq = %s, audit_base_hash = %s where"
        " organization_id = %s",
        row["seq"],
        row["hash"],
        attacker.org,
    )
    assert await attacker.found() == []


async def test_dropping_old_months_leaves_a_chain_that_verifies(attacker):
    await attacker.run("set local session_replication_role = origin")
    await attacker.run(
        "create table audit_200001 partition of audit for values from ('2000-01-01Z') to"
        " ('2000-02-01Z')"
    )
    await attacker.run("set local session_replication_role = replica")
    first = (
        await attacker.run(
            "select * from audit where organization_id = %s order by seq limit 1", attacker.org
        )
    )[0]
    # the chain as if its first row had been written long ago
    await attacker.run(
        "update audit set at = '2000-01-15Z' where organization_id = %s and seq = %s",
        attacker.org,
        first["seq"],
    )
    for seq in await seqs(attacker, "audit"):
        await attacker.run(
            "update audit a set prev = coalesce((select hash from audit where"
            " organization_id = a.organization_id"
            " and seq = a.seq - 1), '\\x00') where organization_id = %s and seq = %s",
            attacker.org,
            seq,
        )
        await attacker.run(
            "update audit a set hash = link(prev, audit_text(a)) where organization_id = %s"
            " and seq = %s",
            attacker.org,
            seq,
        )
    await attacker.run(
        "update chain_head h set audit_hash = a.hash from audit a where h.organization_id = %s"
        " and a.organization_id = h.organization_id and a.seq = h.audit_seq",
        attacker.org,
    )
    assert await attacker.found() == []
    await attacker.run("alter table audit_200001 owner to opstac_owner")
    await attacker.run("set local session_replication_role = origin")
    await attacker.run("select keep_partitions()")
    assert (await seqs(attacker, "audit"))[0] == first["seq"] + 1
    assert await attacker.found() == []


# ---------------------------------------------------------------- the ledger beyond its chain


@pytest.mark.parametrize(
    "attack",
    [
        "update account set balance = balance + 1 where organization_id = %s and kind ="
        " 'available'",
        "update account set balance = balance + 1 where organization_id = %s and kind = 'held'",
        "delete from account where organization_id = %s and kind = 'held'",
        "update hold set amount = amount + 1 where organization_id = %s and state = 'open'",
        "delete from hold where organization_id = %s and state = 'open'",
        "delete from hold where organization_id = %s and state = 'voided'",
        "update hold set state = 'voided', ended_at = now() where organization_id = %s and"
        " state = 'open'",
        "update hold set state = 'voided', settled = null where organization_id = %s and"
        " state = 'settled'",
        "update hold set settled = settled - 1 where organization_id = %s and state = 'settled'",
        "insert into hold (id, organization_id, amount) values ('hold_forged', %s, 5)",
        "delete from chain_head where organization_id = %s",
        "update chain_head set ledger_seq = ledger_seq - 1 where organization_id = %s",
        "update chain_head set audit_hash = '\\x01' where organization_id = %s",
    ],
)
async def test_what_the_ledger_rests_on_cannot_be_altered_unseen(attacker, attack):
    await attacker.run(attack, attacker.org)
    assert await attacker.found()


async def test_an_open_reservation_of_a_job_that_ended_is_found(api, attacker, owner):
    project = await api.project(owner)
    await attacker.run(
        "insert into job (id, organization_id, project_id, job_type_id, status, completed_at)"
        " values ('job_old', %s, %s, 'clip', 'failed', now() - interval '11 minutes')",
        attacker.org,
        project,
    )
    await attacker.run(
        "update hold set job_id = 'job_old' where organization_id = %s and state = 'open'",
        attacker.org,
    )
    assert "open though its job has ended" in (await attacker.found())[0]


# ---------------------------------------------------------------- records outside the database


async def record(api, owner, dsn) -> list[bytes]:
    async with system(dsn) as connection, connection.transaction():
        await chain.begin_snapshot(connection)
        lines = chain.export_record(connection, owner.organization_id, api.platform.keys.chain)
        return [line async for line in lines]


async def test_a_record_is_checked_without_the_database(api, owner, dsn):
    lines = await record(api, owner, dsn)
    checked = check_record(lines, api.platform.keys.chain.public)
    assert checked.findings == [] and checked.organization_id == owner.organization_id
    assert (
        checked.rows["lineage"] == 4 and checked.rows["ledger"] == 7 and checked.rows["audit"] >= 4
    )
    assert head_of(lines) == checked.head


async def test_a_record_of_another_key_is_refused(api, owner, dsn):
    lines = await record(api, owner, dsn)
    found = check_record(lines, Ed25519PrivateKey.generate().public_key()).findings
    assert "signature" in found[0].problem


async def test_whatever_is_done_to_a_record_shows(api, owner, dsn):
    lines = await record(api, owner, dsn)
    public = api.platform.keys.chain.public
    for n in range(len(lines) - 1):
        without = lines[:n] + lines[n + 1 :]
        assert check_record(without, public).findings, f"row {n} deleted"
        doubled = [*lines[: n + 1], lines[n], *lines[n + 1 :]]
        assert check_record(doubled, public).findings, f"row {n} doubled"
        row = json.loads(lines[n])
        for field, value in [
            ("text", row["text"].replace("tests", "nobody", 1)),
            ("seq", row["seq"] + 1),
            ("prev", "00" * 32),
            ("hash", "11" * 32),
            ("chain", "audit"),
        ]:
            edited = {**row, field: value}
            if edited == row:
                continue
            changed = [*lines[:n], json.dumps(edited).encode(), *lines[n + 1 :]]
            assert check_record(changed, public).findings, (n, field)
    for n in range(len(lines) - 2):
        swapped = [*lines[:n], lines[n + 1], lines[n], *lines[n + 2 :]]
        same = json.loads(lines[n])["chain"] == json.loads(lines[n + 1])["chain"]
        assert bool(check_record(swapped, public).findings) or not same, n
    assert check_record(lines[:-1], public).findings
    head = json.loads(lines[-1])
    head["chains"]["ledger"]["seq"] -= 1
    assert check_record([*lines[:-1], json.dumps(head).encode()], public).findings


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"chain":"lineage","seq":"x"}',
        b"\xff\xfe",
        b"7",
        b'{"chain":"lineage","seq":1,"prev":"zz","hash":"","text":"[]"}',
    ],
)
def test_a_file_that_is_no_record_is_said_to_be_none(line):
    with pytest.raises(NotARecord):
        check_record([line], Ed25519PrivateKey.generate().public_key())


# ---------------------------------------------------------------- ends in object storage


async def test_ends_are_stored_when_something_was_recorded_and_show_a_cut(api, owner, dsn, cluster):
    objects, keys = api.platform.services.objects, api.platform.keys
    org = owner.organization_id
    async with make_pool(dsn, "opstac_system") as pool:
        await chain.export_heads(pool, objects, keys.chain)
        first = (await chain.stored_heads(objects, org))[org]
        await chain.export_heads(pool, objects, keys.chain)
        assert (await chain.stored_heads(objects, org))[org] == first
        await api.project(owner)
        await chain.export_heads(pool, objects, keys.chain)
        second = (await chain.stored_heads(objects, org))[org]
        assert second > first
        async with pool.connection() as connection:
            assert await chain.check_stored_heads(connection, objects, keys.chain.public) == []
        async with await psycopg.AsyncConnection.connect(
            cluster.superuser_dsn("opstac"),
            row_factory=dict_row,
            options="-c search_path=opstac,public",
        ) as connection:
            await connection.execute("set local session_replication_role = replica")
            await cut(Attacker(connection, org), "audit")
        async with pool.connection() as connection:
            found = await chain.check_stored_heads(connection, objects, keys.chain.public)
            assert [f.organization_id for f in found] == [org]
        # work goes on over the cut; the witness is not replaced
        await api.project(owner)
        exported = await chain.export_heads(pool, objects, keys.chain)
        assert [f.organization_id for f in exported.findings] == [org]
        assert (await chain.stored_heads(objects, org))[org] == second

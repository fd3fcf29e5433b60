"""Writers: they store what pgstac would, and make nobody wait."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stac_api import writes
from stac_api.document import Mount, item_document
from stac_api.request import SearchRequest
from stac_api.search import Searcher

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6) | text
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(text, v, max_size=3), max_leaves=6
)
moments = st.datetimes(datetime(1001, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC))
longitudes, latitudes = st.floats(-180, 180, width=32), st.floats(-90, 90, width=32)
positions = st.tuples(longitudes, latitudes).map(list)
geometries = (
    st.builds(lambda p: {"type": "Point", "coordinates": p}, positions)
    | st.builds(
        lambda p: {"type": "LineString", "coordinates": p},
        st.lists(positions, min_size=2, max_size=5),
    )
    | st.just({"type": "GeometryCollection", "geometries": []})
)


@st.composite
def items(draw: Any) -> dict[str, Any]:
    """Any item pgstac can hold: its own properties, an instant or a span."""
    properties = draw(st.dictionaries(text, values, max_size=5))
    begin, end = sorted((draw(moments), draw(moments)))
    if draw(st.booleans()):
        properties |= {"datetime": begin.isoformat()}
    else:
        span = {"start_datetime": begin.isoformat(), "end_datetime": end.isoformat()}
        properties |= {"datetime": None, **span}
    return {
        "type": "Feature",
        "stac_version": draw(st.sampled_from(["1.0.0", "1.1.0"])),
        "geometry": draw(geometries),
        "bbox": [0, 0, 1, 1],
        "properties": properties,
        "assets": draw(
            st.dictionaries(text, st.dictionaries(text, values, max_size=2), max_size=3)
        ),
        "links": [],
        "stac_extensions": draw(st.lists(text, max_size=2)),
    }


COLUMNS = "id, geometry::text, datetime, end_datetime, content"


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(first=items(), second=items())
def test_what_is_stored_is_what_pgstac_would_store(
    dsn: str, organization: Any, first: dict[str, Any], second: dict[str, Any]
) -> None:
    acme = _one_organization(organization)
    options = f"-c search_path=opstac,pgstac,public -c opstac.org={acme.id}"
    with psycopg.connect(dsn, options=options) as conn:
        conn.execute("set role opstac_app")
        row = conn.execute("select slot_partition(%s)", (acme.slot,)).fetchone()
        assert row is not None
        table = row[0]
        conn.commit()

        def stored() -> Any:
            return conn.execute(f"select {COLUMNS} from pgstac.{table}".encode()).fetchall()

        def as_json(item: dict[str, Any]) -> str:
            return orjson.dumps(item | {"id": "one", "collection": acme.slot}).decode()

        seen = []
        for ours in (
            "select put_items(%(slot)s, jsonb_build_array(%(first)s::jsonb))",
            "select put_items(%(slot)s, jsonb_build_array(%(second)s::jsonb)),"
            " patch_item(%(slot)s, %(first)s::jsonb)",
            "set local role pgstac_ingest; select create_item(%(first)s::jsonb)",
        ):
            names = {"slot": acme.slot, "first": as_json(first), "second": as_json(second)}
            for statement in ours.split("; "):
                used = {k: v for k, v in names.items() if f"({k})" in statement}
                conn.execute(statement.encode(), used or None)
            seen.append(stored())
            conn.rollback()
            conn.execute("set role opstac_app")
        assert seen[0] == seen[1] == seen[2]
        assert len(seen[0]) == 1


_made: dict[Any, Any] = {}


def _one_organization(organization: Any) -> Any:
    """The examples of one property share an organization; each rolls back what it wrote."""
    return _made.setdefault("property", organization())


async def _seen(searcher: Searcher, acme: Any) -> list[str]:
    page = await searcher.search(acme.visibility, SearchRequest(limit=100), Mount("http://t"))
    return [feature["id"] for feature in page.features]


async def test_put_replaces_patch_changes_remove_deletes(
    organization: Any, searcher: Searcher
) -> None:
    acme = organization()
    one, two = acme.row(), acme.row()
    await acme.put(one, two)
    assert sorted(await _seen(searcher, acme)) == sorted([one["id"], two["id"]])
    async with await acme.aconnect() as conn:
        await writes.patch_item(conn, acme.slot, item_document(one | {"name": "Another"}, ()))
        found = await searcher.search(
            acme.visibility, SearchRequest(ids=(one["id"],)), Mount("http://t")
        )
        assert found.features[0]["properties"]["title"] == "Another"
        assert await writes.remove_items(conn, acme.slot, [one["id"], "it_none"]) == 1
        assert await writes.remove_items(conn, acme.slot, []) == 0
        with pytest.raises(writes.NoSuchItem):
            await writes.patch_item(conn, acme.slot, item_document(one, ()))
    assert await _seen(searcher, acme) == [two["id"]]


async def test_nothing_is_written_into_another_organizations_slot(organization: Any) -> None:
    acme, other = organization(), organization()
    async with await acme.aconnect() as conn:
        for attempt in (
            writes.put_items(conn, other.slot, [item_document(acme.row(), ())]),
            writes.patch_item(conn, other.slot, item_document(acme.row(), ())),
            writes.remove_items(conn, other.slot, ["it_x"]),
        ):
            with pytest.raises(psycopg.DatabaseError, match="does not belong"):
                await attempt


async def test_the_reader_can_write_nothing(searcher: Searcher) -> None:
    async with searcher.pool.connection() as conn:
        row = await (await conn.execute("show transaction_read_only")).fetchone()
        assert row == {"transaction_read_only": "on"}
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await conn.execute("delete from pgstac.items")
        await conn.rollback()
        # nor with the setting off: the role has no right to
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with conn.transaction():
                await conn.execute("set transaction read write")
                await conn.execute("delete from pgstac.items")


@pytest.mark.parametrize("when", ["2025-01-15T00:00:00Z", "2999-01-01T00:00:00Z"])
async def test_searches_do_not_wait_for_an_open_operation(
    organization: Any, searcher: Searcher, when: str
) -> None:
    """The first item of a new organization, and an item newer than all others."""
    acme, other = organization(), organization()
    await other.put(other.row())
    if when.startswith("2999"):
        await acme.put(acme.row())
    async with await acme.aconnect() as conn, conn.transaction():
        row = acme.row(datetime=when)
        await writes.put_items(conn, acme.slot, [item_document(row, ())])
        async with asyncio.timeout(30):  # what waited for this transaction would wait for ever
            assert len(await _seen(searcher, other)) == 1
            assert row["id"] not in await _seen(searcher, acme)
            # another operation of the same organization does not wait either
            async with await acme.aconnect() as second, second.transaction():
                await writes.put_items(second, acme.slot, [item_document(acme.row(), ())])
        held = await conn.execute(
            "select count(*) from pg_locks where pid = pg_backend_pid() and mode in"
            " ('AccessExclusiveLock', 'ShareRowExclusiveLock', 'ShareUpdateExclusiveLock')"
        )
        assert await held.fetchone() == (0,)
    assert row["id"] in await _seen(searcher, acme)


async def test_slots_are_kept_ahead(organization: Any) -> None:
    acme = organization()
    async with await acme.aconnect("opstac_system") as conn:
        before = await writes.free_slots(conn)
        assert await writes.keep_slots(conn, before + 2) == 2
        assert await writes.free_slots(conn) == before + 2
        assert await writes.keep_slots(conn, before + 2) == 0
        async with conn.transaction():
            await conn.execute("select 1")
            with pytest.raises(RuntimeError, match="transaction of its own"):
                await writes.provision_slot(conn)


async def test_making_a_slot_gives_up_quickly_rather_than_block(organization: Any) -> None:
    acme = organization()
    async with await acme.aconnect("pgstac_admin") as reader:
        async with reader.transaction():
            await reader.execute("select count(*) from pgstac.items")
            async with await acme.aconnect("opstac_system") as conn:
                with pytest.raises(writes.SlotBusy):
                    await writes.provision_slot(conn, attempts=2)
        async with await acme.aconnect("opstac_system") as conn:
            assert (await writes.provision_slot(conn)).startswith("slot_")


PARTITION = r"""
select relowner::regrole::text, pg_get_expr(relpartbound, c.oid),
       array(select regexp_replace(pg_get_indexdef(indexrelid), 'INDEX \S+', 'INDEX')
             from pg_index where indrelid = c.oid order by 1),
       array(select conname || pg_get_constraintdef(oid) || convalidated from pg_constraint
             where conrelid = c.oid order by 1),
       array(select acl::text from unnest(relacl) acl where acl::text not like 'opstac_%%'),
       array(select s::text from partition_stats s where s.partition = c.relname),
       array(select m::text from partition_catalog_meta(c.relname) m),
       (select count(*) from maintain_partition_queries(c.relname))
from pg_class c where c.oid = ('_items_' || %s)::regclass
"""


async def test_a_slot_is_the_partition_that_pgstac_makes(organization: Any) -> None:
    found = []
    options = "-c search_path=pgstac,public -c role=pgstac_admin"
    with psycopg.connect(organization().dsn, options=options) as conn:
        conn.execute("select opstac_make_slot('slot_ours')")
        conn.execute("""select create_collection('{"id": "theirs", "type": "Collection"}')""")
        time = "[1000-01-01Z,3000-01-01Z]"
        conn.execute("select check_partition('theirs', %s, %s)", (time, time))
        for name in ("slot_ours", "theirs"):
            (key,) = conn.execute("select key from collections where id = %s", [name]).fetchall()[0]
            said = str(conn.execute(PARTITION, [key]).fetchall())
            found.append(said.replace(f"_items_{key}", "partition").replace(name, "slot"))
        conn.rollback()
    assert "to_float" in found[0] and found[0] == found[1]

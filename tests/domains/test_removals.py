"""Projects and collections of many items: gone with the answer, removed in batches after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.pool import make_pool
from ops_gateway.catalogue import removals
from ops_gateway.domains import projects
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.removal import sweep_objects
from stac_api import writes
from tests.domains.many_items import BATCH, MANY, Stored

SCENE = Path(__file__).parents[1] / "data" / "rasters" / "s2-flanders_2021-06_10m.tif"
GONE = {"get": 404, "search": 0, "counted": 0, "tile": 404, "asset": 404}


@pytest.fixture
async def stored(api, monkeypatch) -> Stored:
    monkeypatch.setattr(removals, "BATCH", BATCH)
    # a round takes everybody's in turn; those that other tests left are none of ours
    api.sql("delete from removal")
    owner = await api.organization()
    project = await api.project(owner)
    body = {"name": "c", "project_id": project}
    collection = await api.ok("collections.create", body, as_=owner)
    return Stored(api, owner, project, collection["id"])


@pytest.fixture
def most(monkeypatch) -> dict[str, int]:
    """The most rows and documents that one step had in memory."""
    seen = {"rows": 0, "removed": 0, "put": 0}
    rows, remove, put = Context.rows, writes.remove_items, writes.put_items

    async def noting_rows(self, *args, **kwargs):
        found = await rows(self, *args, **kwargs)
        seen["rows"] = max(seen["rows"], len(found))
        return found

    async def noting_remove(conn, slot, ids):
        seen["removed"] = max(seen["removed"], len(ids))
        return await remove(conn, slot, ids)

    async def noting_put(conn, slot, documents):
        seen["put"] = max(seen["put"], len(documents))
        await put(conn, slot, documents)

    monkeypatch.setattr(Context, "rows", noting_rows)
    monkeypatch.setattr(writes, "remove_items", noting_remove)
    monkeypatch.setattr(writes, "put_items", noting_put)
    return seen


async def test_a_project_is_gone_with_the_answer_and_removed_in_batches(stored, most, monkeypatch):
    api, owner = stored.api, stored.owner
    stored.fill()
    other = await api.project(owner, "kept")
    stored.fill(3, "", other)
    objects = api.platform.services.objects
    one = f"it_{stored.collection}{MANY}"
    await objects.put(f"{owner.organization_id}/{one}.tif", SCENE)
    # one deleted earlier is counted no more
    await api.ok("items.delete", {"item_id": f"it_{stored.collection}1"}, as_=owner)
    shown = await stored.seen(one)
    assert shown == {
        "get": 200, "search": MANY + 2, "counted": MANY + 2, "tile": 200, "asset": 302,
    }  # fmt: skip
    answer = await api.ok("projects.delete", {"project_id": stored.project}, as_=owner)
    left = stored.count()
    # all of it is free with the answer, though most is there yet
    assert answer["storage_freed_bytes"] == 10 * (MANY - 1)
    assert left["removals"] == 1 and left["items"] > MANY // 2
    assert left["bytes"] == 30 and left["assets"] == left["items"]
    assert stored.documents() > MANY // 2
    gone = {**GONE, "search": 3, "counted": 3}
    assert await stored.seen(one) == gone
    await api.refused(404, "projects.get", {"project_id": stored.project}, as_=owner)
    await api.refused(404, "projects.delete", {"project_id": stored.project}, as_=owner)
    ids = [f"it_{stored.collection}{n}" for n in range(1, MANY + 1)]
    found = await api.ok("stac.search", {"ids": ids[:500], "limit": 500}, as_=owner)
    assert found["features"] == []
    # a round ends after its time, and one that breaks in the middle leaves its batch whole
    assert await stored.sweep(seconds=0) == 1
    before = stored.count()
    with monkeypatch.context() as patch:

        async def broken(*_):
            raise RuntimeError("killed")

        patch.setattr(writes, "remove_items", broken)
        assert await stored.sweep() == 0
    assert stored.count() == before and 0 < before["items"] < left["items"]
    assert before["bytes"] == 30
    assert await stored.seen(one) == gone
    assert await stored.sweep() > 2
    expected = {"items": 3, "assets": 3, "removals": 0, "bytes": 30, "events": MANY, "told": MANY}
    assert (stored.count(), stored.documents()) == (expected, 3)
    assert await stored.seen(one) == gone
    assert max(most["rows"], most["removed"]) <= BATCH
    async with make_pool(api.platform.settings.dsn, "opstac_system") as pool:
        await sweep_objects(pool, objects, after_seconds=0)
    assert await objects.head(f"{owner.organization_id}/{one}.tif") is None
    assert await stored.sweep() == 0


async def test_deleting_a_large_project_touches_no_more_rows_than_a_small_one(stored, monkeypatch):
    """Rows that the request reads and changes, of ten batches of items as of two. What all files
    take is read besides, from an index, once.
    """
    api, owner = stored.api, stored.owner
    counted = (
        "select relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) + n_tup_ins"
        " + n_tup_upd + n_tup_del as rows from pg_stat_xact_user_tables"
        " where schemaname in ('opstac', 'pgstac') union all"
        " select 'sizes', pg_stat_get_xact_tuples_returned('opstac.asset_stored'::regclass)"
    )
    seen: list[dict[str, int]] = []
    first, last = removals.lock_first, projects.remove_objects

    async def look(ctx: Context) -> None:
        rows = await ctx.rows(None, counted)
        seen.append({row["relname"]: row["rows"] for row in rows})

    async def at_first(ctx: Context, project_id: str) -> None:
        await look(ctx)
        await first(ctx, project_id)

    async def at_last(ctx: Context, paths: list[str]) -> list[str]:
        await look(ctx)
        return await last(ctx, paths)

    monkeypatch.setattr(removals, "lock_first", at_first)
    monkeypatch.setattr(projects, "remove_objects", at_last)

    async def touched(batches: int) -> dict[str, int]:
        project = await api.project(owner, f"of {batches}")
        stored.fill(batches * BATCH, "", project)
        # items come in by batches, not all in the same moment
        api.sql(
            "update item set created_at = created_at - substr(name, 7)::int * interval '1 second'"
            " where project_id = %s",
            project,
        )
        await stored.settle()
        seen.clear()
        gone = await api.ok("projects.delete", {"project_id": project}, as_=owner)
        assert gone["storage_freed_bytes"] == 10 * batches * BATCH
        before, after = seen
        changed = {name: rows - before.get(name, 0) for name, rows in after.items()}
        return {name: rows for name, rows in changed.items() if rows}

    small, large = await touched(2), await touched(10)
    assert (small.pop("sizes"), large.pop("sizes")) == (2 * BATCH, 10 * BATCH)
    assert small["item"] > BATCH and small["asset"] > BATCH
    assert sum(large.values()) <= 1.2 * sum(small.values()), (small, large)


async def test_counting_anew_amid_a_removal_frees_nothing_twice(stored):
    api, owner = stored.api, stored.owner
    stored.fill(BATCH * 3)
    stored.fill(3, "", await api.project(owner, "kept"))
    await api.ok("projects.delete", {"project_id": stored.project}, as_=owner)
    body = {"organization_id": owner.organization_id}
    for _ in range(2):
        put = await api.ok("usage.recalculate_storage", body, as_=owner)
        assert put["storage_bytes"] == put["previous_bytes"] == 30
        await stored.sweep(seconds=0)
    while stored.count()["removals"]:
        await stored.sweep()
    put = await api.ok("usage.recalculate_storage", body, as_=owner)
    assert put["storage_bytes"] == put["previous_bytes"] == stored.count()["bytes"] == 30


async def test_an_earlier_version_that_runs_beside_gives_nothing_back_twice(stored):
    """By the statements it makes: it finds no removal of this version, and begins others."""
    api, owner = stored.api, stored.owner
    stored.fill(BATCH * 2)
    stored.fill(3, "", await api.project(owner, "kept"))
    await api.ok("projects.delete", {"project_id": stored.project}, as_=owner)

    async def taken() -> int:
        bound = "select set_config('opstac.org', %s, true)"
        async with (
            make_pool(api.platform.settings.dsn, "opstac_app") as pool,
            pool.connection() as connection,
            connection.transaction(),
        ):
            await connection.execute(bound, [owner.organization_id])
            found = await connection.execute("select id from removal for update skip locked")
            return len(await found.fetchall())

    assert await taken() == 0
    # it gives back what a batch frees, or all of it in the request, and says nothing of that
    for given_back in (30 + 10 * BATCH, 30, 0):
        api.sql("update removal set taken_bytes = null")
        api.sql(
            "update organization set storage_used_bytes = %s where organization_id = %s",
            given_back,
            owner.organization_id,
        )
        assert await taken() == 1
        await stored.sweep(seconds=0)
        assert stored.count()["bytes"] == 30
    await stored.sweep()
    assert {k: stored.count()[k] for k in ("items", "removals", "bytes")} == {
        "items": 3, "removals": 0, "bytes": 30,
    }  # fmt: skip


async def test_an_object_shared_with_another_project_is_freed_with_the_last_that_names_it(
    stored, stock
):
    """Whether or not the batch of the removal has come to it."""
    api, owner = stored.api, stored.owner
    stored.fill(2 * BATCH)
    kept = await api.project(owner, "kept")
    shared = f"{owner.organization_id}/it_{stored.collection}1.tif"
    api.sql("update asset set created_at = now() - interval '1 day' where object_path = %s", shared)
    copy = await stock.item(owner, kept)
    asset = stock.asset(owner, copy["id"], shared, key="copy")
    late = f"{owner.organization_id}/it_{stored.collection}2.tif"
    api.sql("update asset set created_at = now() - interval '1 day' where object_path = %s", late)
    # the first two are in the last batch: one is let go of before it, and one after it
    ids = [f"it_{stored.collection}{n}" for n in (1, 2)]
    api.sql("update item set created_at = now() - interval '1 day' where id = any(%s)", ids)
    third = await api.project(owner, "third")
    stock.asset(owner, (await stock.item(owner, third))["id"], late, key="copy")
    api.sql("update asset set size_bytes = 10 where object_path = any(%s)", [shared, late])
    assert stored.count()["bytes"] == 10 * 2 * BATCH + 2000  # two files of a thousand of the stock
    freed = await api.ok("projects.delete", {"project_id": stored.project}, as_=owner)
    assert freed["storage_freed_bytes"] == 10 * (2 * BATCH - 2)
    assert stored.count()["bytes"] == 20 + 2000
    freed = await api.ok("projects.delete", {"project_id": kept}, as_=owner)
    # the removal's item still names the other, and counts no more
    assert freed["storage_freed_bytes"] == 10 + 1000
    await stored.sweep()
    assert asset and stored.count()["bytes"] == 10 + 1000
    freed = await api.ok("projects.delete", {"project_id": third}, as_=owner)
    assert freed["storage_freed_bytes"] == 10 + 1000 and stored.count()["bytes"] == 0
    for path in (shared, late):
        (row,) = api.sql("select count(*) as n from removed_object where object_path = %s", path)
        assert row["n"] == 1


async def test_a_collection_goes_with_its_items(stored, most):
    api, owner = stored.api, stored.owner
    stored.fill(BATCH * 3 + 7)
    stored.fill(2, "")
    one = f"it_{stored.collection}1"
    here = {"project_id": stored.project, "collection_id": stored.collection}
    await api.ok("collections.delete", {**here, "items": "delete"}, as_=owner)
    assert stored.count()["items"] > BATCH
    gone = {**GONE, "search": 2, "counted": 2}
    assert await stored.seen(one) == gone
    listed = await api.ok("items.list", {"project_id": stored.project}, as_=owner)
    assert listed["total"] == 2
    # who sees some projects only is answered by other queries
    person = await api.member(owner, "member")
    for name in ("One", "Two"):
        project = stored.project if name == "One" else await api.project(owner, name)
        add = {"user_id": person.user_id, "project_id": project, "role": "viewer"}
        await api.ok("projects.add_member", add, as_=owner)
    empty = {"op": "isNull", "args": [{"property": "gsd"}]}
    for body in ({}, {"filter": empty}, {"limit": 500}):
        found = await api.ok("stac.search", body, as_=person)
        assert found["numberMatched"] == len(found["features"]) == 2, body
    await stored.sweep()
    count = stored.count()
    assert (count["items"], count["removals"], stored.documents()) == (2, 0, 2)
    assert count["events"] == count["told"] == BATCH * 3 + 7
    assert most["removed"] <= BATCH and await stored.seen(one) == gone


async def test_a_collection_leaves_its_items_in_batches(stored, most):
    api, owner = stored.api, stored.owner
    count = BATCH * 2 + 9
    stored.fill(count)
    stored.fill(1, "")
    here = {"project_id": stored.project, "collection_id": stored.collection}
    # scene_1 is in no collection too
    await api.refused(409, "collections.delete", here, as_=owner)
    await api.ok("items.delete", {"item_id": f"it_{stored.project}1"}, as_=owner)
    await api.ok("collections.delete", here, as_=owner)
    await api.refused(404, "collections.get", here, as_=owner)
    (left,) = api.sql(
        "select count(*) as n, min(id) as id, min(stac_id) as taken from item"
        " where collection_id = %s and deleted_at is null and stac_id = 'scene_99'",
        stored.collection,
    )
    assert left["n"] == 1
    # an id that is taken in between does not stop the rest
    body = {"name": "x", "type": "clip", "project_id": stored.project, "stac_id": left["taken"]}
    new = await api.ok("items.create", body, as_=owner)
    await stored.sweep()
    listed = await api.ok("stac.search", {"collections": [stored.project], "limit": 1}, as_=owner)
    assert listed["numberMatched"] == count + 1
    names = {new["id"]: "scene_99", left["id"]: left["id"]}
    for item_id, stac_id in names.items():
        got = (await api.ok("items.get", {"item_id": item_id}, as_=owner))["item"]
        assert (got["stac_id"], got["collection_id"]) == (stac_id, None)
    assert stored.count()["removals"] == 0 and stored.count()["events"] == 1
    (linked,) = api.sql(
        "select count(*) as n from item where collection_id = %s", stored.collection
    )
    assert linked["n"] == 0 and most["put"] <= BATCH


async def test_an_asset_is_put_into_nothing_that_is_deleted(stored, stock):
    api, owner = stored.api, stored.owner
    stored.fill(BATCH + 5)
    await api.ok("projects.delete", {"project_id": stored.project}, as_=owner)
    for number in (1, BATCH + 5):
        with pytest.raises(Exception, match="is deleted"):
            stock.asset(owner, f"it_{stored.collection}{number}", "a/b.tif", key="late")

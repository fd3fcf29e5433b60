"""Saved searches: named, validated, run as their caller; a feed that loses and repeats nothing."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from db.pool import make_pool
from ops_gateway.domains.saved_searches import search_of
from ops_gateway.worker.relay import relay
from opstac.matching import match_due

CLEAR = {"filter": "eo:cloud_cover < 20 AND platform = 'a'"}


@pytest.fixture
async def system(dsn):
    async with make_pool(dsn, "opstac_system", min_size=1, max_size=6) as pool:
        yield pool


@pytest.fixture
def settle(api, system):
    """Pass events on and compare them, until nothing is due."""

    async def settle():
        while await relay(system) or await match_due(api.platform.pipeline, system):
            pass

    return settle


async def saved(api, owner, search=CLEAR, name="clear", **more):
    body = {"name": name, "search": search, **more}
    return await api.ok("saved_searches.create", body, as_=owner)


async def scene(catalogue, owner, project, cloud, platform="a", **more):
    fields = {"cloud_cover": cloud, "properties": {"platform": platform}, **more}
    return (await catalogue.item(owner, project, **fields))["id"]


async def feed(api, owner, search, cursor=None, **more):
    """Every entry from a cursor on: [(reason, item)], and the cursor after."""
    entries, body = [], {"search_id": search["id"], "cursor": cursor, "items": False, **more}
    while True:
        page = await api.ok("saved_searches.feed", body, as_=owner)
        entries += [(entry["reason"], entry["item_id"]) for entry in page["entries"]]
        body["cursor"] = page["cursor"]
        if not page["more"]:
            return entries, page["cursor"]


async def test_a_search_is_kept_changed_and_deleted(api):
    owner = await api.organization()
    project = await api.project(owner)
    made = await saved(api, owner, project_id=project, description="few clouds")
    assert made["search"] == {**CLEAR, "filter-lang": "cql2-text", "limit": 100}
    got = await api.ok("saved_searches.get", {"search_id": made["id"]}, as_=owner)
    assert {**got["saved_search"], "cursor": ""} == {**made, "cursor": ""}
    await saved(api, owner, name="other")
    listed = await api.ok("saved_searches.list", {}, as_=owner)
    assert [s["name"] for s in listed["saved_searches"]] == ["other", "clear"]
    of_project = await api.ok("saved_searches.list", {"project_id": project}, as_=owner)
    assert [s["id"] for s in of_project["saved_searches"]] == [made["id"]] and of_project["total"]
    changed = await api.ok(
        "saved_searches.update", {"search_id": made["id"], "search": {"limit": 5}}, as_=owner
    )
    assert changed["search"] == {"limit": 5} and changed["description"] == "few clouds"
    await api.ok("saved_searches.delete", {"search_id": made["id"]}, as_=owner)
    for op in ("get", "items", "feed", "update", "delete"):
        await api.refused(404, f"saved_searches.{op}", {"search_id": made["id"]}, as_=owner)


async def test_a_name_is_taken_once_in_its_project_or_organization(api):
    owner = await api.organization()
    project = await api.project(owner)
    first = await saved(api, owner)
    in_project = await saved(api, owner, project_id=project)
    for where in ({}, {"project_id": project}):
        body = {"name": "clear", "search": {}, **where}
        await api.refused(409, "saved_searches.create", body, as_=owner)
    other = await saved(api, owner, name="other")
    body = {"search_id": other["id"], "name": "clear"}
    await api.refused(409, "saved_searches.update", body, as_=owner)
    await api.ok("saved_searches.update", {"search_id": first["id"], "name": "clear"}, as_=owner)
    await api.ok("saved_searches.delete", {"search_id": in_project["id"]}, as_=owner)
    await saved(api, owner, project_id=project)


@pytest.mark.parametrize(
    "search",
    [
        {"filter": "eo:cloud_cover <"},
        {"filter": {"op": "explode", "args": []}},
        {"filter": "(" * 3000 + "a = 1" + ")" * 3000},
        {"datetime": "yesterday"},
        {"bbox": [1, 2, 3]},
        {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}},
        {"sortby": [{"field": "geometry"}]},
        {"limit": 0},
        {"intersects": {"type": "Circle"}},
    ],
)
async def test_a_search_that_cannot_be_run_is_refused_with_its_place(api, search):
    owner = await api.organization()
    problem = await api.refused(
        422, "saved_searches.create", {"name": "x", "search": search}, as_=owner
    )
    assert problem["detail"][0]["loc"][:2] == ["body", "search"], problem
    assert (await api.ok("saved_searches.list", {}, as_=owner))["total"] == 0


async def test_who_may_read_and_write_a_search(api):
    owner = await api.organization()
    mine, other = await api.project(owner), await api.project(owner, "Other")
    member = await api.member(owner, "member")
    body = {"project_id": mine, "user_id": member.user_id, "role": "viewer"}
    await api.ok("projects.add_member", body, as_=owner)
    whole, hidden = await saved(api, owner), await saved(api, owner, name="h", project_id=other)
    shown = await saved(api, owner, name="s", project_id=mine)
    listed = await api.ok("saved_searches.list", {}, as_=member)
    assert {s["id"] for s in listed["saved_searches"]} == {whole["id"], shown["id"]}
    await api.refused(403, "saved_searches.get", {"search_id": hidden["id"]}, as_=member)
    for search in (whole, shown):
        await api.refused(403, "saved_searches.delete", {"search_id": search["id"]}, as_=member)
    stranger = await api.organization("Globex")
    for op in ("get", "items", "feed", "update", "delete"):
        await api.refused(404, f"saved_searches.{op}", {"search_id": whole["id"]}, as_=stranger)


async def test_its_items_are_those_its_caller_may_see(api, catalogue):
    owner = await api.organization()
    mine, other = await api.project(owner), await api.project(owner, "Other")
    seen = {await scene(catalogue, owner, mine, cloud) for cloud in (1, 5, 10)}
    await scene(catalogue, owner, mine, 50)
    elsewhere = await scene(catalogue, owner, other, 5)
    member = await api.member(owner, "member")
    body = {"project_id": mine, "user_id": member.user_id, "role": "viewer"}
    await api.ok("projects.add_member", body, as_=owner)
    search = await saved(api, owner, {**CLEAR, "limit": 2})

    async def found(person, search):
        ids, body = [], {"search_id": search["id"]}
        while True:
            page = await api.ok("saved_searches.items", body, as_=person)
            ids += [f["properties"]["opstac:id"] for f in page["features"]]
            link = next((link for link in page["links"] if link["rel"] == "next"), None)
            if link is None:
                assert len(ids) == len(set(ids)) == page["numberMatched"]
                return set(ids)
            body = {**body, **link["body"]}

    assert await found(owner, search) == seen | {elsewhere}
    assert await found(member, search) == seen
    assert await found(owner, await saved(api, owner, name="p", project_id=other)) == {elsewhere}
    runnable = await api.platform.pipeline.look(
        "tests.layer", await catalogue.caller(member), lambda ctx: search_of(ctx, search["id"])
    )
    assert runnable.visibility.projects == {mine} and runnable.request.limit == 2


async def test_the_feed_tells_what_entered_changed_and_left(api, catalogue, settle):
    owner = await api.organization()
    project = await api.project(owner)
    search = await saved(api, owner)
    first = await scene(catalogue, owner, project, 5)
    await scene(catalogue, owner, project, 90)
    await settle()
    entries, cursor = await feed(api, owner, search)
    assert entries == [("entered", first)]
    later = await scene(catalogue, owner, project, 50)
    for cloud in (2, 60):
        await api.ok("items.update", {"item_id": first, "cloud_cover": cloud}, as_=owner)
        await settle()
    await api.ok("items.update", {"item_id": later, "cloud_cover": 1}, as_=owner)
    await settle()
    await api.ok("items.delete", {"item_id": later}, as_=owner)
    await settle()
    after, end = await feed(api, owner, search, cursor)
    assert after == [("changed", first), ("left", first), ("entered", later), ("left", later)]
    # a cursor gives the same again, and the end gives nothing
    assert (await feed(api, owner, search, cursor, limit=1))[0] == after
    assert (await feed(api, owner, search, end))[0] == []
    assert (await feed(api, owner, search))[0] == entries + after
    other = await saved(api, owner, name="other")
    for bad in ("x", "-1", "1", "1e3", "9" * 30, "\u00e9", end[:-4] + "AAAA", other["cursor"]):
        body = {"search_id": search["id"], "cursor": bad}
        await api.refused(422, "saved_searches.feed", body, as_=owner)


async def test_the_feed_carries_the_items_that_are_there(api, catalogue, settle):
    owner = await api.organization()
    project = await api.project(owner)
    search = await saved(api, owner)
    kept, gone = [await scene(catalogue, owner, project, cloud) for cloud in (1, 2)]
    await settle()
    await api.ok("items.delete", {"item_id": gone}, as_=owner)
    page = await api.ok("saved_searches.feed", {"search_id": search["id"]}, as_=owner)
    shown = {entry["item_id"]: entry["item"] for entry in page["entries"]}
    assert shown[gone] is None and shown[kept]["properties"]["opstac:id"] == kept


async def test_a_match_publishes_an_event_once(api, catalogue, settle, system, monkeypatch):
    owner = await api.organization()
    project = await api.project(owner)
    search = await saved(api, owner, project_id=project)
    ids = [await scene(catalogue, owner, project, cloud) for cloud in (1, 2, 80)]
    while await relay(system):
        pass
    # a matcher that dies midway leaves everything to the next
    monkeypatch.setenv("OPSTAC_FAULT", "saved_searches.taken:raise")
    with pytest.raises(RuntimeError):
        await match_due(api.platform.pipeline, system)
    monkeypatch.delenv("OPSTAC_FAULT")
    await settle()
    await settle()
    events = api.sql(
        "select entity_id, project_id, data from event where type = 'saved_search.matched'"
        " and organization_id = %s",
        owner.organization_id,
    )
    assert [(e["entity_id"], e["project_id"]) for e in events] == [(search["id"], project)]
    assert events[0]["data"]["item_ids"] == ids[:2] and events[0]["data"]["name"] == "clear"


async def test_what_commits_late_and_what_is_matched_at_once_is_never_lost(
    api, catalogue, system, settle
):
    """Writers commit in any order, several matchers run; who polls sees each item once."""
    owner = await api.organization()
    project = await api.project(owner)
    search = await saved(api, owner)
    made, seen, cursor, writing = set(), [], None, True

    async def write(n):
        await asyncio.sleep(0.01 * (n % 5))
        made.add(await scene(catalogue, owner, project, 1))

    async def match():
        while writing:
            await relay(system, limit=3)
            await match_due(api.platform.pipeline, system)

    async def read():
        nonlocal cursor
        while writing:
            entries, cursor = await feed(api, owner, search, cursor, limit=2)
            seen.extend(entries)

    # one item is written first and commits last: its event is older than all the others
    options = f"-c search_path=opstac -c role=opstac_system -c opstac.org={owner.organization_id}"
    dsn = api.platform.settings.dsn
    async with await psycopg.AsyncConnection.connect(dsn, options=options) as slow:
        late = await scene(catalogue, owner, project, 3)
        await settle()
        _, cursor = await feed(api, owner, search)
        await slow.execute(
            "insert into event (id, organization_id, type, entity_type, entity_id, project_id)"
            " values ('evt_late', %s, 'item.updated', 'item', %s, %s)",
            (owner.organization_id, late, project),
        )
        readers = [asyncio.create_task(work()) for work in (match, match, read)]
        await asyncio.gather(*(write(n) for n in range(12)))
        await slow.commit()
    writing = False
    await asyncio.gather(*readers)
    await settle()
    entries, _ = await feed(api, owner, search, cursor)
    seen += entries
    assert sorted(seen) == sorted([("changed", late), *(("entered", item) for item in made)])


async def test_one_search_that_fails_holds_up_no_other(api, catalogue, settle):
    owner = await api.organization()
    project = await api.project(owner)
    bad, good = await saved(api, owner, name="bad"), await saved(api, owner)
    # what an older version took: this one refuses it
    api.sql(
        """update saved_search set search = '{"filter": {"op": "no"}}' where id = %s""", bad["id"]
    )
    item = await scene(catalogue, owner, project, 5)
    await settle()
    assert (await feed(api, owner, good))[0] == [("entered", item)]
    got = await api.ok("saved_searches.get", {"search_id": bad["id"]}, as_=owner)
    assert "operator" in got["saved_search"]["error"]
    await api.ok("saved_searches.update", {"search_id": bad["id"], "search": CLEAR}, as_=owner)
    got = await api.ok("saved_searches.get", {"search_id": bad["id"]}, as_=owner)
    assert got["saved_search"]["error"] is None


async def test_a_search_that_the_database_fails_at_holds_up_no_other(api, catalogue, settle):
    owner = await api.organization()
    project = await api.project(owner)
    square = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
    area = {"type": "Polygon", "coordinates": square}
    bad, good = await saved(api, owner, {"intersects": area}, "bad"), await saved(api, owner)
    item = await scene(catalogue, owner, project, 5, geometry=area)
    changed = api.sql(  # of another plane than what it is compared with, an error of class XX
        "update pgstac.items set geometry = ST_SetSRID(geometry, 3857)"
        " where content::text like '%%' || %s || '%%' returning id", item, role="pgstac_admin",
    )  # fmt: skip
    assert len(changed) == 1
    await settle()
    got = await api.ok("saved_searches.get", {"search_id": bad["id"]}, as_=owner)
    assert "SRID" in got["saved_search"]["error"]
    assert (await feed(api, owner, good))[0] == [("entered", item)]


async def test_a_bulk_of_items_is_matched_in_batches(api, catalogue, settle):
    """As many events as items, but one comparison, one audit row and one event a batch."""
    owner = await api.organization()
    project = await api.project(owner)
    search = await saved(api, owner)
    ids = [await scene(catalogue, owner, project, 1) for _ in range(12)]
    before = api.sql(
        "select count(*) n from audit where organization_id = %s", owner.organization_id
    )
    await settle()
    after = api.sql(
        "select count(*) n from audit where organization_id = %s", owner.organization_id
    )
    assert after[0]["n"] - before[0]["n"] == 1
    assert (await feed(api, owner, search, limit=5))[0] == [("entered", item) for item in ids]
    told = api.sql(
        "select data from event where type = 'saved_search.matched' and organization_id = %s",
        owner.organization_id,
    )
    assert [row["data"]["item_ids"] for row in told] == [ids]


async def test_an_organization_without_searches_has_nothing_due(api, catalogue, system):
    owner = await api.organization()
    await scene(catalogue, owner, await api.project(owner), 1)
    while await relay(system):
        pass
    assert (
        api.sql("select from saved_search_due where organization_id = %s", owner.organization_id)
        == []
    )


async def test_a_cursor_tells_nothing_of_projects_its_reader_is_not_in(api, catalogue, settle):
    owner = await api.organization()
    mine, other = await api.project(owner), await api.project(owner, "Other")
    member = await api.member(owner, "member")
    body = {"project_id": mine, "user_id": member.user_id, "role": "viewer"}
    await api.ok("projects.add_member", body, as_=owner)
    search = await saved(api, owner)

    async def told(cursor=None):
        """Everything that the member is told where nothing of hers happens."""
        of_feed = {"search_id": search["id"], "cursor": cursor}
        page = await api.ok("saved_searches.feed", of_feed, as_=member)
        assert page["entries"] == [] and not page["more"]
        got = await api.ok("saved_searches.get", {"search_id": search["id"]}, as_=member)
        return [page["cursor"], got["saved_search"]["cursor"]]

    quiet = await told() + await told()
    for n in range(12):
        await scene(catalogue, owner, other, n)
    await settle()
    busy = await told() + await told()
    # as long as each other, and no two alike whether something happened or not
    assert len({len(cursor) for cursor in quiet + busy}) == 1
    assert len(set(quiet + busy)) == len(quiet + busy)
    seen = await scene(catalogue, owner, mine, 1)
    await settle()
    for cursor in quiet + busy:
        assert (await feed(api, member, search, cursor))[0] == [("entered", seen)]

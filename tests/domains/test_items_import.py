"""Imports of STAC items: one writer, an outcome for each, safe to repeat."""

from __future__ import annotations

import asyncio

import pytest

PRIVATE = ("created", "updated", "published", "opstac:id", "opstac:project", "opstac:collection")


def stac_item(name, **properties):
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "elsewhere",
        "geometry": {"type": "Point", "coordinates": [1, 2]},
        "bbox": [1, 2, 1, 2],
        "properties": {"datetime": "2026-01-01T00:00:00Z", "eo:cloud_cover": 3, **properties},
        "links": [{"rel": "self", "href": "https://other.example/items/x"}],
        "assets": {"b4": {"href": "https://other.example/b4.tif", "roles": ["data"]}},
        "stac_extensions": ["https://stac-extensions.github.io/eo/v1.1.0/schema.json"],
    }


async def place(api):
    owner = await api.organization()
    project = await api.project(owner)
    made = await api.ok(
        "collections.create",
        {"name": "C", "slug": f"c-{project}", "project_id": project},
        as_=owner,
    )
    return owner, {"project_id": project, "collection_id": made["id"]}


def ends(answer):
    return [entry["outcome"] for entry in answer["items"]]


async def events(api, owner):
    rows = api.sql(
        "select type, data from event where organization_id = %s order by created_at, id",
        owner.organization_id,
    )
    return [(row["type"], row["data"]["stac_id"]) for row in rows]


async def test_an_import_makes_items_as_items_create_does(api, catalogue):
    owner, where = await place(api)
    given = [stac_item(f"s{n}", platform="x", gsd=10) for n in range(3)]
    answer = await api.ok("items.import", {**where, "items": given}, as_=owner)
    assert {k: v for k, v in answer.items() if k != "items"} == {
        "created": 3,
        "updated": 0,
        "unchanged": 0,
        "failed": 0,
    }
    assert [(e["index"], e["id"]) for e in answer["items"]] == [(0, "s0"), (1, "s1"), (2, "s2")]
    headers = {"Authorization": f"Bearer {owner.token}"}
    address = f"/assets/stac/collections/{where['collection_id']}/items"
    single = stac_item("single", platform="x", gsd=10) | {"collection": None}
    assert (await api.client.post(address, json=single, headers=headers)).status_code == 201
    shown = {}
    for name in ("s0", "single"):
        feature = (await api.client.get(f"{address}/{name}", headers=headers)).json()
        shown[name] = {
            "assets": feature["assets"],
            "extensions": feature["stac_extensions"],
            "geometry": feature["geometry"],
            "properties": {
                k: v for k, v in feature["properties"].items() if k not in (*PRIVATE, "title")
            },
        }
    assert shown["s0"] == shown["single"]
    assert shown["s0"]["assets"]["b4"]["href"] == "https://other.example/b4.tif"
    one = answer["items"][0]["item_id"]
    lineage = await api.ok(
        "provenance.get", {"entity_type": "item", "entity_id": one, "direction": "both"}, as_=owner
    )
    relations = {(e["relation"], e["src_type"], e["dst_type"]) for e in lineage["edges"]}
    assert ("generated_by", "item", "project") in relations
    assert ("part_of", "asset", "item") in relations
    assert sorted(await events(api, owner)) == sorted(
        ("item.created", name) for name in ("s0", "s1", "s2", "single")
    )
    audited = api.sql(
        "select entities from audit where organization_id = %s and operation = 'items.import'",
        owner.organization_id,
    )
    assert [len(row["entities"]) for row in audited] == [3]
    assert api.sql("select problem from verify_chains(%s)", owner.organization_id) == []


async def test_a_repeated_import_changes_nothing(api):
    owner, where = await place(api)
    given = [stac_item(f"s{n}") for n in range(5)]
    first = await api.ok("items.import", {**where, "items": given}, as_=owner)
    happened = await events(api, owner)
    # members in another order are the same item
    again = [dict(reversed(item.items())) for item in reversed(given)]
    second = await api.ok("items.import", {**where, "items": again}, as_=owner)
    assert ends(second) == ["unchanged"] * 5 and await events(api, owner) == happened
    assert {e["item_id"] for e in second["items"]} == {e["item_id"] for e in first["items"]}


async def test_what_changed_is_updated(api, catalogue):
    owner, where = await place(api)
    await api.ok("items.import", {**where, "items": [stac_item("a"), stac_item("b")]}, as_=owner)
    changed = stac_item("a", platform="new")
    changed["assets"] = {"b5": {"href": "https://other.example/b5.tif"}}
    answer = await api.ok("items.import", {**where, "items": [changed, stac_item("b")]}, as_=owner)
    assert ends(answer) == ["updated", "unchanged"]
    path = f"/collections/{where['collection_id']}/items/a"
    shown = (await catalogue.stac(owner, path)).json()
    assert shown["properties"]["platform"] == "new"
    assert list(shown["assets"]) == ["b5"]
    assert (await events(api, owner))[-1] == ("item.updated", "a")
    item_id = answer["items"][0]["item_id"]
    kept = api.sql("select version from item_version where item_id = %s", item_id)
    assert [row["version"] for row in kept] == [1]
    # a change by another door is seen, and the import wins again
    await api.ok("items.update", {"item_id": item_id, "name": "Mine"}, as_=owner)
    third = await api.ok("items.import", {**where, "items": [changed]}, as_=owner)
    assert ends(third) == ["updated"]
    assert ends(await api.ok("items.import", {**where, "items": [changed]}, as_=owner)) == [
        "unchanged"
    ]


async def test_an_item_made_by_another_door_is_recognised(api):
    owner, where = await place(api)
    headers = {"Authorization": f"Bearer {owner.token}"}
    address = f"/assets/stac/collections/{where['collection_id']}/items"
    other = await api.client.post(address, json=stac_item("a"), headers=headers)
    assert other.status_code == 400  # it says it is in another collection
    own = {k: v for k, v in stac_item("a").items() if k != "collection"}
    assert (await api.client.post(address, json=own, headers=headers)).status_code == 201
    answer = await api.ok("items.import", {**where, "items": [stac_item("a")]}, as_=owner)
    assert ends(answer) == ["unchanged"]


BAD = {
    "no object": 5,
    "no id": {k: v for k, v in stac_item("x").items() if k != "id"},
    "no geometry": stac_item("x") | {"geometry": {"type": "Blob"}},
    "an open ring": stac_item("x")
    | {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]}},
    "no time": stac_item("x", datetime="yesterday"),
    "a time out of range": stac_item("x", datetime="0001-01-01T00:00:00Z"),
    "a NUL": stac_item("x", platform="a\0b"),
    "a huge number": stac_item("x", count=2**60),
    "deep": stac_item("x", deep=__import__("json").loads("[" * 100 + "]" * 100)),
    "a slash": stac_item("a/b"),
    "no href": stac_item("x") | {"assets": {"a": {"href": "file:///etc/passwd"}}},
    "clouds": stac_item("x", **{"eo:cloud_cover": 300}),
}


@pytest.mark.parametrize("what", BAD)
async def test_one_bad_item_fails_alone(api, what):
    owner, where = await place(api)
    given = [stac_item("a"), BAD[what], stac_item("b")]
    response = await api.call("items.import", {**where, "items": given}, as_=owner)
    answer = response.json()
    assert ends(answer) == ["created", "failed", "created"], answer
    problem = answer["items"][1]["problem"]
    assert problem["status"] in (400, 422) and problem["detail"] and problem["title"]
    atomic = {**where, "items": [stac_item("c"), BAD[what]], "atomic": True}
    refused = await api.call("items.import", atomic, as_=owner)
    assert refused.status_code in (400, 422)
    assert "1" in str(refused.json()["detail"])
    found = await api.ok("items.list", {"project_id": where["project_id"]}, as_=owner)
    assert {item["stac_id"] for item in found["items"]} == {"a", "b"}


async def test_an_id_that_comes_twice_is_stored_in_order(api, catalogue):
    owner, where = await place(api)
    given = [stac_item("a", n=1), stac_item("b"), stac_item("a", n=2), stac_item("a", n=2)]
    answer = await api.ok("items.import", {**where, "items": given}, as_=owner)
    assert ends(answer) == ["created", "created", "updated", "unchanged"]
    shown = await catalogue.stac(owner, f"/collections/{where['collection_id']}/items/a")
    assert shown.json()["properties"]["n"] == 2


async def test_insert_fails_what_is_there(api):
    owner, where = await place(api)
    await api.ok("items.import", {**where, "items": [stac_item("a")]}, as_=owner)
    body = {**where, "items": [stac_item("a", n=1), stac_item("b")], "method": "insert"}
    answer = await api.ok("items.import", body, as_=owner)
    assert ends(answer) == ["failed", "created"]
    assert answer["items"][0]["problem"]["status"] == 409
    await api.refused(409, "items.import", {**body, "atomic": True}, as_=owner)


async def test_a_file_of_ours_is_not_replaced(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    item, _ = await catalogue.scene(owner, project, stac_id="mine")
    document = stac_item("mine") | {"assets": {"data": {"href": "https://evil.example/x.tif"}}}
    body = {"project_id": project, "items": [document, stac_item("other")]}
    answer = await api.ok("items.import", body, as_=owner)
    assert ends(answer) == ["failed", "created"]
    assert answer["items"][0]["item_id"] == item["id"]
    assert "'data'" in answer["items"][0]["problem"]["detail"]


async def test_imports_at_the_same_time_make_each_item_once(api):
    owner, where = await place(api)
    given = [stac_item(f"s{n}") for n in range(40)]
    orders = [given, list(reversed(given)), given[20:] + given[:20], given]
    answers = await asyncio.gather(
        *(api.ok("items.import", {**where, "items": order}, as_=owner) for order in orders)
    )
    assert sum(answer["created"] for answer in answers) == 40
    found = await api.ok("items.list", {"project_id": where["project_id"]}, as_=owner)
    assert found["total"] == 40
    made = [event for event in await events(api, owner) if event[0] == "item.created"]
    assert len(made) == len(set(made)) == 40


async def test_a_repeated_key_is_answered_alike(api):
    owner, where = await place(api)
    body = {**where, "items": [stac_item("a")]}
    first = await api.call("items.import", body, as_=owner, key="k" * 20)
    again = await api.call("items.import", body, as_=owner, key="k" * 20)
    assert first.json() == again.json() and again.headers["Idempotent-Replayed"] == "true"


async def test_who_may_not_write_may_not_import(api):
    owner, where = await place(api)
    other = await api.organization()
    body = {**where, "items": [stac_item("a")]}
    await api.refused(404, "items.import", body, as_=other)
    reader = await api.key(owner, "*:read")
    await api.refused(403, "items.import", body, as_=reader)
    member = await api.member(owner, "member")
    await api.refused(403, "items.import", body, as_=member)
    elsewhere = await api.project(owner)
    await api.refused(404, "items.import", {**body, "project_id": elsewhere}, as_=owner)
    for items in ([], {}, None, "x", [5] * 10_001):
        response = await api.call("items.import", {**where, "items": items}, as_=owner)
        assert response.status_code in (400, 422), response.text

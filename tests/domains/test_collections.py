"""Collections: named groups that STAC clients know by a slug."""

from __future__ import annotations

import asyncio


async def test_a_collection_lives_and_leaves_its_items_behind(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    body = {"name": "Scenes", "description": "All of them", "color": "#fff", "project_id": project}
    made = await api.ok("collections.create", {**body, "layer_order": 3}, as_=owner)
    assert made["id"].startswith("col_") and made["item_count"] == 0 and made["show_on_map"]
    item = await catalogue.item(owner, project, collection_id=made["id"])
    here = {"project_id": project, "collection_id": made["id"]}
    got = (await api.ok("collections.get", here, as_=owner))["collection"]
    assert got == {**made, "item_count": 1}
    listed = await api.ok("collections.list", {"project_id": project}, as_=owner)
    assert listed == {"collections": [got], "count": 1}
    changes = {**here, "name": "New", "description": None, "show_on_map": False}
    after = await api.ok("collections.update", changes, as_=owner)
    assert (after["name"], after["description"], after["show_on_map"]) == (
        "New",
        "All of them",
        False,
    )
    shown = (await catalogue.stac(owner, f"/collections/{made['id']}")).json()
    assert shown["title"] == "New" and shown["description"] == "All of them"
    answer = await api.ok("collections.delete", here, as_=owner)
    assert answer == {"ok": True, "id": made["id"]}
    await api.refused(404, "collections.get", here, as_=owner)
    assert (await catalogue.stac(owner, f"/collections/{made['id']}")).status_code == 404
    left = (await api.ok("items.get", {"item_id": item["id"]}, as_=owner))["item"]
    assert left["collection_id"] is None and left["lifecycle_state"] == "active"
    feature = (await catalogue.stac(owner, f"/collections/{project}/items/{item['id']}")).json()
    assert feature["collection"] == project
    found = await api.ok("stac.search", {"collections": [made["id"]]}, as_=owner)
    assert found["features"] == []


async def test_a_slug_is_unique_in_the_organization_and_known_on_every_route(api, catalogue):
    owner, other = await api.organization(), await api.organization()
    project = await api.project(owner)
    body = {
        "name": "Sentinel",
        "project_id": project,
        "slug": "sentinel-2-l2a",
        "stac": {"license": "CC-BY-4.0"},
    }
    made = await api.ok("collections.create", body, as_=owner)
    second = await api.project(owner, "Second")
    await api.refused(409, "collections.create", {**body, "project_id": second}, as_=owner)
    for slug in (made["id"], project):
        await api.refused(409, "collections.create", {**body, "slug": slug}, as_=owner)
    for slug in ("", "a/b", "x" * 501):
        await api.refused(422, "collections.create", {**body, "slug": slug}, as_=owner)
    await api.ok("collections.create", {**body, "project_id": await api.project(other)}, as_=other)
    item = await catalogue.item(owner, project, collection_id=made["id"])
    for name in ("sentinel-2-l2a", made["id"]):
        shown = (await catalogue.stac(owner, f"/collections/{name}")).json()
        assert (shown["id"], shown["license"]) == ("sentinel-2-l2a", "CC-BY-4.0")
        feature = (await catalogue.stac(owner, f"/collections/{name}/items/{item['id']}")).json()
        assert feature["collection"] == "sentinel-2-l2a"
        found = await api.ok("stac.search", {"collections": [name]}, as_=owner)
        assert [f["id"] for f in found["features"]] == [item["id"]]


async def test_names_and_orders_that_cannot_be_are_refused(api):
    owner = await api.organization()
    body = {"name": "x", "project_id": await api.project(owner)}
    await api.refused(422, "collections.create", {**body, "name": ""}, as_=owner)
    await api.refused(422, "collections.create", {**body, "name": "x" * 256}, as_=owner)
    await api.refused(422, "collections.create", {**body, "layer_order": 2**40}, as_=owner)


async def test_only_a_project_admin_deletes(api):
    owner = await api.organization()
    project = await api.project(owner)
    editor = await api.member(owner, "member")
    add = {"user_id": editor.user_id, "project_id": project, "role": "editor"}
    await api.ok("projects.add_member", add, as_=owner)
    made = await api.ok("collections.create", {"name": "c", "project_id": project}, as_=editor)
    here = {"project_id": project, "collection_id": made["id"]}
    await api.refused(403, "collections.delete", here, as_=editor)
    await api.refused(403, "collections.delete", here, as_=await api.key(owner, "collections:*"))
    await api.ok("collections.delete", here, as_=owner)


async def test_no_item_is_put_into_a_collection_that_is_being_deleted(api):
    owner = await api.organization()
    project = await api.project(owner)
    made = await api.ok("collections.create", {"name": "c", "project_id": project}, as_=owner)
    item = {"name": "x", "type": "clip", "project_id": project, "collection_id": made["id"]}
    delete = {"project_id": project, "collection_id": made["id"]}
    answers = await asyncio.gather(
        *(api.call("items.create", item, as_=owner) for _ in range(6)),
        api.call("collections.delete", delete, as_=owner),
        *(api.call("items.create", item, as_=owner) for _ in range(6)),
    )
    assert {a.status_code for a in answers} <= {200, 404}
    assert answers[6].status_code == 200
    assert api.sql("select id from item where collection_id = %s", made["id"]) == []
    found = await api.ok("stac.search", {"collections": [project]}, as_=owner)
    assert found["numberMatched"] == sum(a.status_code == 200 for a in answers) - 1

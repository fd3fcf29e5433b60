"""Items: made, read, changed, copied and taken away, in our rows and in the STAC API alike."""

from __future__ import annotations

import asyncio

import pytest

SQUARE = {"type": "Polygon", "coordinates": [[[4, 51], [5, 51], [5, 52], [4, 52], [4, 51]]]}


async def test_an_item_is_read_back_as_it_was_made(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    made = await catalogue.item(
        owner,
        project,
        name="Harbour",
        geometry=SQUARE,
        datetime="2025-01-15T12:00:00+02:00",
        properties={
            "eo:cloud_cover": 12,
            "opstac:project": "proj_other",
            "updated": "never",
            "a": {"b": [1]},
        },
        stac_extensions=["https://stac-extensions.github.io/view/v1.0.0/schema.json"],
    )
    assert made["stac_id"] == made["id"] and made["id"].startswith("it_")
    assert made["bbox"] == [4, 51, 5, 52]
    assert made["datetime"] == "2025-01-15T10:00:00Z"
    assert made["cloud_cover"] == 12
    assert made["properties"] == {"eo:cloud_cover": 12, "a": {"b": [1]}}
    assert made["created_by"] == owner.user_id and made["lifecycle_state"] == "active"
    got = (await api.ok("items.get", {"item_id": made["id"]}, as_=owner))["item"]
    assert got.pop("assets") == [] and got.pop("profiles") == []
    assert got == made
    feature = (await catalogue.stac(owner, f"/collections/{project}/items/{made['id']}")).json()
    assert feature["properties"]["opstac:project"] == project
    assert feature["properties"]["eo:cloud_cover"] == 12
    assert feature["geometry"]["coordinates"] == SQUARE["coordinates"]


async def test_without_a_time_an_item_is_of_now_and_an_interval_stands_alone(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    made = await catalogue.item(owner, project)
    assert abs_seconds(made["datetime"], made["created_at"]) < 5
    interval = {"start_datetime": "2024-01-01", "end_datetime": "2024-02-01T00:00:00Z"}
    made = await catalogue.item(owner, project, **interval)
    assert made["datetime"] is None and made["start_datetime"] == "2024-01-01T00:00:00Z"
    found = await api.ok("stac.search", {"datetime": "2024-01-10T00:00:00Z"}, as_=owner)
    assert [f["id"] for f in found["features"]] == [made["id"]]


def abs_seconds(a: str, b: str) -> float:
    from datetime import datetime

    return abs((datetime.fromisoformat(a) - datetime.fromisoformat(b)).total_seconds())


POLYGON = {"type": "Polygon"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("geometry", {"type": "Point", "coordinates": [999, 999]}),
        ("geometry", {"type": "Point", "coordinates": []}),
        ("geometry", {"type": ["Point"], "coordinates": [1, 1]}),
        ("geometry", {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}}),
        ("geometry", {**POLYGON, "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}),
        ("geometry", {**POLYGON, "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}),
        ("geometry", {**POLYGON, "coordinates": [[[0, "a"], [1, 1], [1, 0], [0, "a"]]]}),
        ("geometry", {"type": "MultiPoint", "coordinates": [[0, 0]] * 10_000 + [[1, 1]]}),
        ("geometry", {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]]] * 501}),
        ("geometry", {"type": "GeometryCollection", "geometries": []}),
        ("bbox", [0, 0, 1]),
        ("bbox", [0, 5, 1, 4]),
        ("bbox", [-200, 0, 1, 1]),
        ("datetime", "yesterday"),
        ("datetime", "2024-02-30T00:00:00Z"),
        ("datetime", "0001-01-01T00:00:00+14:00"),
        ("datetime", "9999-12-31T23:59:59-14:00"),
        ("start_datetime", "2024-01-01T00:00:00Z"),
        ("stac_id", ""),
        ("stac_id", "a/b"),
        ("stac_id", "a\nb"),
        ("cloud_cover", 101),
        ("gsd", 0),
        ("properties", {"eo:cloud_cover": "much"}),
        ("stac_extensions", ["not an address"]),
        ("type", "picture"),
        ("name", ""),
    ],
)
async def test_what_cannot_be_is_refused_with_its_place(api, catalogue, field, value):
    owner = await api.organization()
    body = {
        "name": "x",
        "type": "user_raster",
        "project_id": await api.project(owner),
        field: value,
    }
    problem = await api.refused(422, "items.create", body, as_=owner)
    assert problem["detail"] and problem["detail"][0]["loc"][0] == "body"
    if field != "start_datetime":
        assert problem["detail"][0]["loc"][1] == field


async def test_numbers_beyond_64_bits_come_back(api, catalogue):
    owner = await api.organization()
    numbers = {"large": 1e308, "small": 1e-300, "whole": 2**53 - 1}
    made = await catalogue.item(owner, await api.project(owner), properties=numbers)
    got = (await api.ok("items.get", {"item_id": made["id"]}, as_=owner))["item"]
    assert got["properties"] == numbers
    feature = (await api.ok("stac.search", {}, as_=owner))["features"][0]
    assert {name: feature["properties"][name] for name in numbers} == numbers


async def test_a_box_goes_the_short_way_round_the_antimeridian(api, catalogue):
    owner = await api.organization()
    east = [[[178, -18], [180, -18], [180, -16], [178, -16], [178, -18]]]
    west = [[[-180, -18], [-179, -18], [-179, -16], [-180, -16], [-180, -18]]]
    fiji = {"type": "MultiPolygon", "coordinates": [east, west]}
    made = await catalogue.item(owner, await api.project(owner), geometry=fiji)
    assert made["bbox"] == [178, -18, -179, -16]
    for box, found in (
        ([-180, -20, -179.5, -10], 1),
        ([179, -17, -179.5, -16.5], 1),
        ([0, -20, 10, -10], 0),
    ):
        answer = await api.ok("stac.search", {"bbox": box}, as_=owner)
        assert answer["numberMatched"] == found, box


async def test_a_client_s_own_id_is_unique_in_its_collection(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    collection = await api.ok("collections.create", {"name": "c", "project_id": project}, as_=owner)
    body = {"name": "x", "type": "user_raster", "project_id": project, "stac_id": "scene-1"}
    first = await api.ok("items.create", body, as_=owner)
    assert first["stac_id"] == "scene-1"
    await api.refused(409, "items.create", body, as_=owner)
    other = await api.ok("items.create", {**body, "collection_id": collection["id"]}, as_=owner)
    await api.refused(409, "items.create", {**body, "stac_id": first["id"]}, as_=owner)
    # moving the second out of its collection would give the project two of that id
    await api.refused(
        409,
        "collections.delete",
        {"project_id": project, "collection_id": collection["id"]},
        as_=owner,
    )
    await api.ok("items.delete", {"item_id": first["id"]}, as_=owner)
    again = await api.ok("items.create", body, as_=owner)
    assert again["id"] not in (first["id"], other["id"])
    feature = await catalogue.stac(owner, f"/collections/{project}/items/scene-1")
    assert feature.json()["properties"]["opstac:id"] == again["id"]


async def test_fifty_at_once_with_one_id_make_one_item(api, catalogue):
    owner = await api.organization()
    body = {
        "name": "x",
        "type": "user_raster",
        "project_id": await api.project(owner),
        "stac_id": "one",
    }
    answers = await asyncio.gather(*(api.call("items.create", body, as_=owner) for _ in range(50)))
    assert sorted({a.status_code for a in answers}) == [200, 409]
    assert sum(a.status_code == 200 for a in answers) == 1
    assert (await api.ok("stac.search", {}, as_=owner))["numberMatched"] == 1


async def test_an_update_keeps_the_version_before(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    collection = await api.ok("collections.create", {"name": "c", "project_id": project}, as_=owner)
    made = await catalogue.item(owner, project, geometry=SQUARE, description="first")
    item = {"item_id": made["id"]}
    same = await api.ok("items.update", {**item, "name": None, "description": None}, as_=owner)
    assert same == made
    point = {"type": "Point", "coordinates": [7, 8]}
    changes = {"name": "new", "geometry": point, "cloud_cover": 3, "collectionId": collection["id"]}
    after = await api.ok("items.update", {**item, **changes}, as_=owner)
    assert (after["name"], after["bbox"], after["cloud_cover"]) == ("new", [7, 8, 7, 8], 3)
    assert after["description"] == "first" and after["collection_id"] == collection["id"]
    assert after["updated_at"] > made["updated_at"]
    kept = api.sql("select version, snapshot from item_version where item_id = %s", made["id"])
    assert [(k["version"], k["snapshot"]["name"]) for k in kept] == [(1, "scene")]
    feature = (
        await catalogue.stac(owner, f"/collections/{collection['id']}/items/{made['id']}")
    ).json()
    assert feature["geometry"] == point and feature["properties"]["title"] == "new"
    assert (
        await catalogue.stac(owner, f"/collections/{project}/items/{made['id']}")
    ).status_code == 404


@pytest.mark.parametrize(
    ("state", "wanted", "status"),
    [
        ("active", "archived", 200),
        ("archived", "active", 200),
        ("active", "active", 200),
        ("active", "deleted", 409),
        ("active", "expired", 409),
        ("expired", "active", 409),
        ("expiring", "archived", 409),
    ],
)
async def test_only_active_and_archived_are_set_by_hand(api, catalogue, state, wanted, status):
    owner = await api.organization()
    made = await catalogue.item(owner, await api.project(owner))
    api.sql("update item set lifecycle_state = %s where id = %s", state, made["id"])
    body = {"item_id": made["id"], "lifecycle_state": wanted}
    response = await api.call("items.update", body, as_=owner)
    assert response.status_code == status, response.text
    if status == 200:
        assert response.json()["lifecycle_state"] == wanted
        assert (response.json()["archived_at"] is not None) == (wanted == "archived")


async def test_a_deleted_item_is_nowhere(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    made, assets = await catalogue.scene(owner, project)
    assert await api.ok("items.delete", {"item_id": made["id"]}, as_=owner) == {
        "ok": True,
        "id": made["id"],
    }
    item, asset = {"item_id": made["id"]}, {"item_id": made["id"], "asset_id": assets[0]["id"]}
    for op_id, body in (
        ("items.get", item),
        ("items.get_stac", item),
        ("items.lineage", item),
        ("items.list_assets", item),
        ("items.update", {**item, "name": "x"}),
        ("items.duplicate", item),
        ("items.delete", item),
        ("items.asset.download", asset),
        ("items.set_asset_band_names", {**asset, "band_names": ["a"]}),
        ("assets.delete", asset),
    ):
        problem = await api.refused(404, op_id, body, as_=owner)
        assert problem["detail"] == "item not found"
    assert (await api.ok("items.list", {"project_id": project}, as_=owner))["total"] == 0
    assert (await api.ok("items.search_org", {}, as_=owner))["numberMatched"] == 0
    assert (
        await catalogue.stac(owner, f"/collections/{project}/items/{made['id']}")
    ).status_code == 404
    headers = {"Authorization": f"Bearer {owner.token}"}
    assert (
        await api.client.get(f"/v2/assets/{assets[0]['id']}", headers=headers)
    ).status_code == 404
    kept = api.sql("select lifecycle_state from item where id = %s", made["id"])
    assert kept == [{"lifecycle_state": "deleted"}]


async def test_a_copy_shares_the_file_until_the_last_lets_go(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    made, assets = await catalogue.scene(owner, project, properties={"a": 1}, cloud_cover=4)
    size = assets[0]["size_bytes"]
    copy = await api.ok("items.duplicate", {"item_id": made["id"], "new_name": "Copy"}, as_=owner)
    assert copy["name"] == "Copy" and copy["duplicated_from_id"] == made["id"]
    assert copy["id"] != made["id"] and copy["stac_id"] == copy["id"]
    for name in ("geometry", "bbox", "datetime", "properties", "cloud_cover", "type"):
        assert copy[name] == made[name]
    original = (await api.ok("items.get", {"item_id": made["id"]}, as_=owner))["item"]
    copied = (await api.ok("items.get", {"item_id": copy["id"]}, as_=owner))["item"]
    assert copied["assets"][0]["id"] != assets[0]["id"]
    assert copied["assets"][0]["bands"] == assets[0]["bands"]
    assert [p["config"] for p in copied["profiles"]] == [p["config"] for p in original["profiles"]]
    assert copied["profiles"][0]["is_default"]
    parents = (await api.ok("items.lineage", {"item_id": copy["id"]}, as_=owner))["parents"]
    assert {
        "entity_type": "item",
        "entity_id": made["id"],
        "relation": "derived_from",
        "depth": 1,
    } in parents
    children = (await api.ok("items.lineage", {"item_id": made["id"]}, as_=owner))["children"]
    assert [c["entity_id"] for c in children] == [copy["id"]]

    path = api.sql("select object_path from asset where id = %s", assets[0]["id"])[0]["object_path"]
    objects = api.platform.services.objects
    gone = {"item_id": made["id"], "asset_id": assets[0]["id"]}
    answer = await api.ok("assets.delete", gone, as_=owner)
    assert answer == {"id": assets[0]["id"], "deleted": True, "freed_bytes": 0}
    assert await objects.head(path) is not None
    await api.refused(404, "assets.delete", gone, as_=owner)
    last = {"item_id": copy["id"], "asset_id": copied["assets"][0]["id"]}
    assert (await api.ok("assets.delete", last, as_=owner))["freed_bytes"] == size
    assert await objects.head(path) is None
    used = api.sql(
        "select storage_used_bytes from organization where organization_id = %s",
        owner.organization_id,
    )
    assert used == [{"storage_used_bytes": 0}]
    stac = await api.call("items.get_stac", {"item_id": copy["id"]}, as_=owner)
    assert stac.json()["assets"] == {}


async def test_two_who_let_go_at_once_free_the_file_once(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    made, assets = await catalogue.scene(owner, project)
    copies = [await api.ok("items.duplicate", {"item_id": made["id"]}, as_=owner) for _ in range(3)]
    pairs = [(made["id"], assets[0]["id"])]
    for copy in copies:
        found = await api.ok("items.list_assets", {"item_id": copy["id"]}, as_=owner)
        pairs.append((copy["id"], found["assets"][0]["id"]))
    answers = await asyncio.gather(
        *(api.ok("assets.delete", {"item_id": i, "asset_id": a}, as_=owner) for i, a in pairs)
    )
    assert sorted(a["freed_bytes"] for a in answers) == [0, 0, 0, assets[0]["size_bytes"]]


async def test_a_copy_goes_to_another_project_where_the_caller_may_write(api, catalogue):
    owner = await api.organization()
    project, other = await api.project(owner), await api.project(owner, "Other")
    member = await api.member(owner, "member")
    add = {"user_id": member.user_id, "project_id": project, "role": "viewer"}
    await api.ok("projects.add_member", add, as_=owner)
    made = await catalogue.item(owner, project)
    body = {"item_id": made["id"], "target_project_id": other}
    await api.refused(403, "items.duplicate", body, as_=member)
    await api.refused(403, "items.duplicate", {"item_id": made["id"]}, as_=member)
    await api.ok("projects.add_member", {**add, "project_id": other, "role": "editor"}, as_=owner)
    copy = await api.ok("items.duplicate", body, as_=member)
    assert copy["project_id"] == other and copy["name"] == "scene (copy)"


async def test_items_are_listed_newest_first(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    collection = await api.ok("collections.create", {"name": "c", "project_id": project}, as_=owner)
    loose = [(await catalogue.item(owner, project))["id"] for _ in range(3)]
    kept = (await catalogue.item(owner, project, collection_id=collection["id"]))["id"]
    page = await api.ok("items.list", {"project_id": project, "limit": 2, "offset": 1}, as_=owner)
    assert [i["id"] for i in page["items"]] == [loose[2], loose[1]]
    assert {k: page[k] for k in ("count", "total", "limit", "offset")} == {
        "count": 2,
        "total": 4,
        "limit": 2,
        "offset": 1,
    }
    page = await api.ok("items.list", {"project_id": project, "uncollected": True}, as_=owner)
    assert page["total"] == 3
    page = await api.ok(
        "items.list", {"project_id": project, "collection_id": collection["id"]}, as_=owner
    )
    assert [i["id"] for i in page["items"]] == [kept]
    by_collection = {"collection_id": collection["id"], "limit": 10**12, "offset": -1}
    page = await api.ok("items.list_by_collection", by_collection, as_=owner)
    assert (page["count"], page["total"], page["limit"], page["offset"]) == (1, 1, 1000, 0)


async def test_the_stac_form_tells_where_the_item_came_from(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    made, assets = await catalogue.scene(owner, project, datetime="2021-06-01T00:00:00Z")
    copy = await api.ok("items.duplicate", {"item_id": made["id"]}, as_=owner)
    body = {"item_id": copy["id"], "base_url": "https://maps.example.org/"}
    response = await api.call("items.get_stac", body, as_=owner)
    assert response.headers["content-type"].startswith("application/geo+json")
    feature = response.json()
    assert (feature["type"], feature["stac_version"], feature["id"]) == (
        "Feature",
        "1.0.0",
        copy["id"],
    )
    provenance = feature["properties"]["opstac:provenance"]
    assert (
        provenance["derived_from"] == [made["id"]] and provenance["operation"] == "items.duplicate"
    )
    assert provenance["invocation_id"].startswith("inv_")
    assert all(link["href"].startswith("https://maps.example.org/") for link in feature["links"])
    assert {"self", "collection", "root", "tilejson"} <= {link["rel"] for link in feature["links"]}
    data = feature["assets"]["data"]
    assert data["type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert (
        data["proj:code"] == f"EPSG:{assets[0]['epsg']}"
        and data["file:size"] == assets[0]["size_bytes"]
    )
    for bad in ("ftp://x", "javascript:alert(1)", "https://x/?a=", "https://x y"):
        await api.refused(422, "items.get_stac", {**body, "base_url": bad}, as_=owner)
    import pystac

    pystac.Item.from_dict(feature)


async def test_another_organization_s_things_are_not_found(api, catalogue):
    owner, stranger = await api.organization("A"), await api.organization("B")
    project, theirs = await api.project(owner), await api.project(stranger)
    made, assets = await catalogue.scene(owner, project)
    collection = await api.ok("collections.create", {"name": "c", "project_id": project}, as_=owner)
    item, asset = {"item_id": made["id"]}, {"item_id": made["id"], "asset_id": assets[0]["id"]}
    of_project = {"project_id": project, "collection_id": collection["id"]}
    new = {"name": "x", "type": "clip", "project_id": theirs}
    for op_id, body in (
        ("items.get", item),
        ("items.get_stac", item),
        ("items.lineage", item),
        ("items.list", {"project_id": project}),
        ("items.list_by_collection", {"collection_id": collection["id"]}),
        ("items.list_assets", item),
        ("items.search", {"project_id": project}),
        ("items.update", {**item, "name": "x"}),
        ("items.duplicate", item),
        ("items.delete", item),
        ("items.set_asset_band_names", {**asset, "band_names": ["a"]}),
        ("items.asset.download", asset),
        ("assets.delete", asset),
        ("items.create", {**new, "project_id": project}),
        ("items.create", {**new, "collection_id": collection["id"]}),
        ("items.create", {**new, "upload_id": "up_0"}),
        ("items.create", {**new, "job_id": "job_0"}),
        ("items.create", {**new, "order_id": "ord_0"}),
        ("collections.create", {"name": "x", "project_id": project}),
        ("collections.get", of_project),
        ("collections.get", {**of_project, "project_id": theirs}),
        ("collections.list", {"project_id": project}),
        ("collections.update", of_project),
        ("collections.delete", of_project),
    ):
        problem = await api.refused(404, op_id, body, as_=stranger)
        assert owner.organization_id not in str(problem)
    assert (await api.ok("items.search_org", {}, as_=stranger))["features"] == []
    assert (await api.ok("stac.search", {"ids": [made["id"]]}, as_=stranger))["features"] == []
    shown = (await api.ok("stac.collections.list", {}, as_=stranger))["collections"]
    assert collection["id"] not in {c["id"] for c in shown}
    for path in (
        f"/collections/{project}",
        f"/collections/{collection['id']}",
        f"/collections/{project}/items/{made['id']}",
    ):
        assert (await catalogue.stac(stranger, path)).status_code == 404
    headers = {"Authorization": f"Bearer {stranger.token}"}
    assert (
        await api.client.get(f"/v2/assets/{assets[0]['id']}", headers=headers)
    ).status_code == 404


async def test_roles_in_the_project_decide(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    made = await catalogue.item(owner, project)
    outsider, viewer = await api.member(owner, "member"), await api.member(owner, "member")
    add = {"user_id": viewer.user_id, "project_id": project, "role": "viewer"}
    await api.ok("projects.add_member", add, as_=owner)
    item = {"item_id": made["id"]}
    await api.ok("items.get", item, as_=viewer)
    for op_id, body in (("items.update", {**item, "name": "x"}), ("items.delete", item)):
        await api.refused(403, op_id, body, as_=viewer)
    await api.refused(403, "items.get", item, as_=outsider)
    assert (await api.ok("items.search_org", {}, as_=outsider))["numberMatched"] == 0
    assert (await api.ok("items.search_org", {}, as_=viewer))["numberMatched"] == 1
    assert (
        await catalogue.stac(outsider, f"/collections/{project}/items/{made['id']}")
    ).status_code == 404
    key = await api.key(owner, "items:read")
    await api.ok("items.get", item, as_=key)
    await api.refused(403, "items.update", {**item, "name": "x"}, as_=key)


async def test_what_is_done_to_an_item_is_published_and_audited(api, catalogue):
    owner = await api.organization()
    made = await catalogue.item(owner, await api.project(owner))
    await api.ok("items.update", {"item_id": made["id"], "name": "new"}, as_=owner)
    await api.ok("items.delete", {"item_id": made["id"]}, as_=owner)
    events = api.sql(
        "select type, project_id, data from event where entity_id = %s order by created_at",
        made["id"],
    )
    assert [e["type"] for e in events] == ["item.created", "item.updated", "item.deleted"]
    assert events[1]["data"]["name"] == "new"
    audited = api.sql(
        "select operation from audit where organization_id = %s and entities @> %s::jsonb"
        " order by seq",
        owner.organization_id,
        f'[{{"type": "item", "id": "{made["id"]}"}}]',
    )
    assert [a["operation"] for a in audited] == ["items.create", "items.update", "items.delete"]

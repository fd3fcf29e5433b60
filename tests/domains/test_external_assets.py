"""Assets whose files lie elsewhere: kept, shown, led to, and never opened."""

from __future__ import annotations

import pytest

HREF = "https://scenes.example.com/S2/B04.tif?sig=a%20b"
ASSETS = {
    "visual": {
        "href": HREF,
        "type": "image/tiff; application=geotiff",
        "title": "True colour",
        "roles": ["visual"],
        "file:size": 12,
        "file:checksum": "1220" + "ab" * 32,
        "eo:bands": [{"name": "B04", "common_name": "red"}],
    },
    "archive": {"href": "s3://bucket/S2/all.zip"},
}
ITEM = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "id": "S2A",
    "geometry": {"type": "Point", "coordinates": [1, 2]},
    "bbox": [1, 2, 1, 2],
    "properties": {"datetime": "2026-01-01T00:00:00Z"},
    "links": [],
    "assets": ASSETS,
}


async def made(api, owner, project, **fields):
    body = {"name": "s", "type": "external_reference", "project_id": project, "assets": ASSETS}
    return await api.ok("items.create", body | fields, as_=owner)


async def rows(api, owner, item):
    found = await api.ok("items.list_assets", {"item_id": item["id"]}, as_=owner)
    return {asset["key"]: asset for asset in found["assets"]}


async def test_an_item_keeps_the_assets_that_lie_elsewhere(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    item = await made(api, owner, project)
    shown = (await catalogue.stac(owner, f"/collections/{project}/items/{item['id']}")).json()
    assert shown["assets"] == ASSETS
    found = await rows(api, owner, item)
    assert found["visual"]["href"] == HREF and found["visual"]["size_bytes"] == 12
    assert found["visual"]["checksum"] == "sha256:" + "ab" * 32
    assert found["archive"]["size_bytes"] is None and found["archive"]["checksum"] is None
    download = {"item_id": item["id"], "asset_id": found["visual"]["id"]}
    assert (await api.ok("items.asset.download", download, as_=owner))["url"] == HREF
    headers = {"Authorization": f"Bearer {owner.token}"}
    led = await api.client.get(f"/v2/assets/{found['visual']['id']}", headers=headers)
    assert (led.status_code, led.headers["location"]) == (302, HREF)
    nowhere = {"item_id": item["id"], "asset_id": found["archive"]["id"]}
    problem = await api.refused(409, "items.asset.download", nowhere, as_=owner)
    assert "s3://bucket/S2/all.zip" in problem["detail"]
    led = await api.client.get(f"/v2/assets/{found['archive']['id']}", headers=headers)
    assert led.status_code == 409


async def test_nothing_that_lies_elsewhere_is_opened(api):
    owner = await api.organization()
    project = await api.project(owner)
    item = await made(api, owner, project)
    tile = {"item_id": item["id"], "z": 0, "x": 0, "y": 0}
    for more in ({}, {"asset_key": "visual"}):
        problem = await api.refused(403, "items.tile.render", tile | more, as_=owner)
        assert "scenes.example.com" in problem["detail"]
    await api.refused(403, "items.tile.tilejson", {"item_id": item["id"]}, as_=owner)
    by_url = {"url": f"item://{item['id']}/visual", "z": 0, "x": 0, "y": 0, "format": "png"}
    await api.refused(403, "cog.tile.render", by_url, as_=owner)
    headers = {"Authorization": f"Bearer {owner.token}"}
    path = f"/api/v1/items/{item['id']}/tiles/0/0/0.png"
    assert (await api.client.get(path, headers=headers)).status_code == 403
    area = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 3], [0, 0]]]}
    clip = {"source_item_id": item["id"], "project_id": project, "aoi_geometry": area}
    for more in ({}, {"asset_keys": ["visual"]}):
        await api.refused(422, "clip.create_from_item", clip | more, as_=owner)
    visual = (await rows(api, owner, item))["visual"]
    names = {"item_id": item["id"], "asset_id": visual["id"], "band_names": ["red"]}
    await api.refused(422, "items.set_asset_band_names", names, as_=owner)


async def test_they_weigh_nothing_and_go_without_a_trace(api):
    owner = await api.organization()
    project = await api.project(owner)
    item = await made(api, owner, project)
    visual = (await rows(api, owner, item))["visual"]
    gone = {"item_id": item["id"], "asset_id": visual["id"]}
    assert (await api.ok("assets.delete", gone, as_=owner))["freed_bytes"] == 0
    assert set(await rows(api, owner, item)) == {"archive"}
    copy = await api.ok("items.duplicate", {"item_id": item["id"]}, as_=owner)
    assert (await rows(api, owner, copy))["archive"]["href"] == "s3://bucket/S2/all.zip"
    deleted = await api.ok("projects.delete", {"project_id": project}, as_=owner)
    assert deleted["storage_freed_bytes"] == 0
    assert (
        api.sql("select 1 from removed_object where organization_id = %s", owner.organization_id)
        == []
    )


async def test_an_update_exchanges_them_and_leaves_files_of_ours(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    item, assets = await catalogue.scene(owner, project)
    address = f"/assets/stac/collections/{project}/items/{item['id']}"
    headers = {"Authorization": f"Bearer {owner.token}"}
    document = (await api.client.get(address, headers=headers)).json()
    document["assets"]["metadata"] = {"href": "https://a.example/m.xml"}
    put = await api.client.put(address, json=document, headers=headers)
    assert put.status_code == 204, put.text
    found = await rows(api, owner, item)
    assert found["data"]["id"] == assets[0]["id"] and found["metadata"]["href"].endswith("m.xml")
    document["assets"] = {"metadata": {"href": "https://b.example/m.xml"}}
    assert (await api.client.put(address, json=document, headers=headers)).status_code == 204
    after = await rows(api, owner, item)
    assert (
        after["data"]["id"] == assets[0]["id"]
        and after["metadata"]["id"] != found["metadata"]["id"]
    )
    document["assets"] = {"data": {"href": "https://evil.example/data.tif"}}
    refused = await api.client.put(address, json=document, headers=headers)
    assert refused.status_code == 409 and "'data'" in refused.json()["detail"]
    edges = await api.ok(
        "provenance.get",
        {"entity_type": "asset", "entity_id": after["metadata"]["id"], "direction": "up"},
        as_=owner,
    )
    assert edges["edges"][0]["relation"] == "part_of"


async def test_a_relative_href_is_relative_to_the_item_s_own_address(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    headers = {"Authorization": f"Bearer {owner.token}"}
    item = ITEM | {
        "links": [{"rel": "self", "href": "https://c.example/scenes/S2A.json"}],
        "assets": {"b4": {"href": "./B04.tif"}},
    }
    address = f"/assets/stac/collections/{project}/items"
    answer = await api.client.post(address, json=item, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["assets"]["b4"]["href"] == "https://c.example/scenes/B04.tif"


@pytest.mark.parametrize(
    "href",
    [
        "",
        "B04.tif",
        "/etc/passwd",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://",
        "https://user:secret@example.com/x",
        "https://exa mple.com/x",
        "https://a.example/\u0000",
        "https://[::1",
        "https://a.example/" + "x" * 5000,
        5,
        None,
        ["https://a.example/x"],
    ],
)
async def test_what_leads_nowhere_is_refused(api, href):
    owner = await api.organization()
    body = {"name": "s", "type": "external_reference", "project_id": await api.project(owner)}
    problem = await api.refused(
        422, "items.create", body | {"assets": {"a": {"href": href}}}, as_=owner
    )
    assert "assets" in str(problem["detail"])


@pytest.mark.parametrize(
    "assets",
    [
        {"a": 5},
        {"": {"href": HREF}},
        {"a\nb": {"href": HREF}},
        {"a": {"href": HREF, "type": 5}},
        {"a": {"href": HREF, "roles": "data"}},
        {"a": {"href": HREF, "title": ["x"]}},
        {"a": {"href": HREF, "x": "y" * 60_000, "z": ["y" * 60_000] * 5}},
        {f"a{n}": {"href": HREF} for n in range(501)},
    ],
)
async def test_assets_that_are_none_are_refused(api, assets):
    owner = await api.organization()
    body = {"name": "s", "type": "external_reference", "project_id": await api.project(owner)}
    await api.refused(422, "items.create", body | {"assets": assets}, as_=owner)

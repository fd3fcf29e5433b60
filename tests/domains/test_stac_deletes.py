"""`DELETE` of a collection through STAC: what becomes of its items, and who may."""

from __future__ import annotations

import pytest

ROOT = "/assets/stac/collections"


@pytest.fixture
async def held(api):
    """An owner with two collections of one item each, and how the owner asks."""
    owner = await api.organization()
    project = await api.project(owner)
    items = {}
    for name in ("one", "two"):
        body = {"name": name, "slug": name, "project_id": project}
        collection = (await api.ok("collections.create", body, as_=owner))["id"]
        body = {"type": "user_raster", "project_id": project, "collection_id": collection}
        body |= {"name": "scene", "geometry": {"type": "Point", "coordinates": [5, 50]}}
        body["assets"] = {"data": {"href": "https://files.example/scene.tif"}}
        items[name] = (await api.ok("items.create", body, as_=owner))["id"]
    return owner, items


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_collection_goes_with_its_items_unless_told_otherwise(api, held):
    owner, items = held
    client, mine = api.client, bearer(owner.token)
    gone = await client.delete(f"{ROOT}/one", headers=mine)
    assert gone.status_code == 200 and gone.json()["id"] == "one"
    await api.refused(404, "items.get", {"item_id": items["one"]}, as_=owner)
    assert (await client.get(f"{ROOT}/one", headers=mine)).status_code == 404
    kept = await client.delete(f"{ROOT}/two?items=keep", headers=mine)
    assert kept.status_code == 200
    item = (await api.ok("items.get", {"item_id": items["two"]}, as_=owner))["item"]
    assert item["collection_id"] is None


async def test_items_go_only_where_the_caller_may_write_them(api, held):
    owner, items = held
    body = {"name": "narrow", "permissions": ["projects:*", "collections:*", "items:read"]}
    narrow = bearer((await api.ok("api_keys.create", body, as_=owner))["key"])
    refused = await api.client.delete(f"{ROOT}/one", headers=narrow)
    assert refused.status_code == 403 and "items:write" in refused.json()["detail"]
    await api.ok("items.get", {"item_id": items["one"]}, as_=owner)
    kept = await api.client.delete(f"{ROOT}/one?items=keep", headers=narrow)
    assert kept.status_code == 200, kept.text
    await api.ok("items.get", {"item_id": items["one"]}, as_=owner)

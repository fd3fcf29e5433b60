"""Items past their end: found, moved on, and not given out any more."""

from __future__ import annotations

import pytest


@pytest.fixture
async def cron(api):
    """A caller with the cron's right."""
    from ops_gateway.kernel.answers import Call
    from ops_gateway.kernel.context import Principal

    principal = Principal(kind="service", id="cron", scopes=frozenset(["admin:*"]))

    async def call(op_id: str, body=None):
        import orjson

        answer = await api.platform.pipeline.run(op_id, body or {}, Call(principal))
        return orjson.loads(answer.body)

    return call


def end(api, item_id: str, when: str) -> None:
    api.sql(f"update item set expires_at = now() + interval '{when}' where id = %s", item_id)


async def test_an_item_goes_from_active_to_expired(api, catalogue, cron):
    owner = await api.organization()
    project = await api.project(owner)
    item, (asset,) = await catalogue.scene(owner, project)
    kept = await catalogue.item(owner, project)
    end(api, item["id"], "3 days")
    listed = {i["id"]: i for i in (await cron("items.list_expiring"))["items"]}
    assert listed[item["id"]]["organization_id"] == owner.organization_id
    assert kept["id"] not in listed
    soon = {i["id"] for i in (await cron("items.list_expiring", {"days": 2}))["items"]}
    assert item["id"] not in soon

    assert item["id"] not in (await cron("items.expire_batch"))["item_ids"]
    ref = {"item_id": item["id"], "asset_id": asset["id"]}
    got = (await api.ok("items.get", {"item_id": item["id"]}, as_=owner))["item"]
    assert got["lifecycle_state"] == "expiring"
    assert (await api.ok("items.asset.download", ref, as_=owner))["url"]

    end(api, item["id"], "-1 minute")
    done = await cron("items.expire_batch")
    assert done["item_ids"] == [item["id"]] and done["expired_count"] == 1
    assert (await cron("items.expire_batch"))["expired_count"] == 0
    got = (await api.ok("items.get", {"item_id": item["id"]}, as_=owner))["item"]
    assert got["lifecycle_state"] == "expired"
    assert (await api.ok("items.get", {"item_id": kept["id"]}, as_=owner))["item"][
        "lifecycle_state"
    ] == "active"
    await api.refused(410, "items.asset.download", ref, as_=owner)
    tile = {"item_id": item["id"], "z": 0, "x": 0, "y": 0}
    await api.refused(410, "items.tile.render", tile, as_=owner)
    headers = {"Authorization": f"Bearer {owner.token}"}
    for path in (
        f"/v2/assets/{asset['id']}",
        f"/api/v1/items/{item['id']}/tiles/0/0/0.png",
        f"/api/v1/items/{item['id']}/tiles/tilejson.json",
    ):
        answer = await api.client.get(path, headers=headers)
        assert answer.status_code == 410, (path, answer.text)
    # to anybody else there is no such item
    stranger = await api.organization()
    await api.refused(404, "items.tile.render", tile, as_=stranger)
    back = {"item_id": item["id"], "lifecycle_state": "active"}
    await api.refused(409, "items.update", back, as_=owner)


async def test_only_the_platform_expires(api):
    owner = await api.organization()
    everything = await api.key(owner, "*")
    for person in (owner, everything):
        await api.refused(403, "items.list_expiring", as_=person)
        await api.refused(403, "items.expire_batch", as_=person)


async def test_every_organizations_items_are_moved_on_in_batches(api, catalogue, cron, monkeypatch):
    from ops_gateway.domains import items_expiry

    monkeypatch.setattr(items_expiry, "BATCH", 2)
    ended = set()
    for _ in range(2):
        owner = await api.organization()
        project = await api.project(owner)
        for _ in range(5):
            item = await catalogue.item(owner, project)
            end(api, item["id"], "-1 day")
            ended.add(item["id"])
    done = await cron("items.expire_batch")
    assert set(done["item_ids"]) == ended and done["expired_count"] == 10


async def test_a_tile_of_an_asset_that_is_not_there_names_those_that_are(api, catalogue):
    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner))
    body = {"item_id": item["id"], "z": 0, "x": 0, "y": 0, "asset_key": "nothing"}
    problem = await api.refused(404, "items.tile.render", body, as_=owner)
    assert "'nothing'" in problem["detail"] and "'data'" in problem["detail"]
    headers = {"Authorization": f"Bearer {owner.token}"}
    path = f"/api/v1/items/{item['id']}/tiles/0/0/0.png"
    answer = await api.client.get(path, headers=headers, params={"asset_key": "nothing"})
    assert answer.status_code == 404 and "'data'" in answer.json()["detail"]
    stranger = await api.organization()
    problem = await api.refused(404, "items.tile.render", body, as_=stranger)
    assert problem["detail"] == "item not found"
    headers = {"Authorization": f"Bearer {stranger.token}"}
    answer = await api.client.get(path, headers=headers, params={"asset_key": "nothing"})
    assert answer.status_code == 404 and "data" not in answer.json()["detail"]


async def test_an_archived_project_takes_nothing_new(api, catalogue, stock):
    owner = await api.organization()
    project, other = await api.project(owner), await api.project(owner)
    item, _ = await catalogue.scene(owner, project)
    loose = await catalogue.item(owner, other)
    upload = stock.upload(owner, project)
    await api.ok("projects.archive", {"project_id": project}, as_=owner)
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    refusals = {
        "items.create": {"name": "x", "type": "user_raster", "project_id": project},
        "items.duplicate": {"item_id": loose["id"], "target_project_id": project},
        "collections.create": {"name": "x", "project_id": project},
        "uploads.initiate": {"project_id": project, "total_bytes": 10},
        "uploads.complete": {"upload_id": upload},
        "clip.create_from_item": {
            "source_item_id": item["id"], "project_id": project, "aoi_geometry": square,
        },
        "processing.create": {"project_id": project, "job_type_id": "echo"},
    }  # fmt: skip
    for op_id, body in refusals.items():
        problem = await api.refused(409, op_id, body, as_=owner)
        assert "archived" in problem["detail"], op_id
    # what is there can be seen, changed and copied elsewhere
    copy = {"item_id": item["id"], "target_project_id": other}
    assert (await api.ok("items.duplicate", copy, as_=owner))["project_id"] == other
    await api.ok("items.update", {"item_id": item["id"], "name": "y"}, as_=owner)
    await api.ok("projects.archive", {"project_id": project, "is_archived": False}, as_=owner)
    await api.ok("items.create", refusals["items.create"], as_=owner)


async def test_an_index_whose_bands_are_missing_is_refused_before_it_is_paid(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    item, (asset,) = await catalogue.scene(owner, project)
    names = ["a", "b", "red", "d", "e", "f"]
    ref = {"item_id": item["id"], "asset_id": asset["id"]}
    await api.ok("items.set_asset_band_names", {**ref, "band_names": names}, as_=owner)
    inputs = {"source_item_id": item["id"]}
    create = {"project_id": project, "job_type_id": "ndvi", "input_params": inputs}
    for op_id, body in (
        ("processing.create", create),
        ("processing.catalog.validate", {"process_id": "ndvi", "inputs": inputs}),
    ):
        (error,) = (await api.refused(422, op_id, body, as_=owner))["detail"]
        assert error["type"] == "band_missing"
        assert "no nir band" in error["msg"] and "red" in error["msg"]
    mapped = {**inputs, "band_mapping": {"NIR": 4}}
    await api.ok("processing.create", {**create, "input_params": mapped}, as_=owner)

"""Thumbnail and overview: drawn when a raster comes in, as tiles are, and gone with the item."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from ops_gateway.catalogue import files, items, pictures

RASTERS = Path(__file__).parent.parent / "data" / "rasters"
SCENE = RASTERS / "s2-flanders_2021-06_10m.tif"


async def upload(api, owner, project, file=SCENE, **complete):
    """What uploads.complete answers for a file."""
    content = file.read_bytes()
    body = {"project_id": project, "total_bytes": len(content)}
    upload_id = (await api.ok("uploads.initiate", body, as_=owner))["id"]
    place = {"upload_id": upload_id, "file_name": file.name}
    url = (await api.ok("uploads.signed_url", place, as_=owner))["upload_url"]
    put = await api.client.put(url, content=content, headers={"content-type": "image/tiff"})
    assert put.status_code in (200, 201), put.text
    return await api.ok("uploads.complete", {"upload_id": upload_id, **complete}, as_=owner)


async def assets_of(api, owner, item_id):
    body = {"item_id": item_id, "pictures": True}
    found = (await api.ok("items.list_assets", body, as_=owner))["assets"]
    return {asset["key"]: asset for asset in found}


async def fetched(api, owner, asset_id) -> bytes:
    """The asset's bytes, as a STAC client gets them."""
    headers = {"Authorization": f"Bearer {owner.token}"}
    lead = await api.client.get(f"/v2/assets/{asset_id}", headers=headers)
    assert lead.status_code == 302
    return (await api.client.get(lead.headers["location"])).content


def stored(api, owner) -> int:
    return api.sql(
        "select storage_used_bytes as n from organization where organization_id = %s",
        owner.organization_id,
    )[0]["n"]


async def test_an_upload_has_its_pictures_when_it_is_answered(api):
    owner = await api.organization()
    project = await api.project(owner)
    answer = await upload(api, owner, project)
    assert [asset["key"] for asset in answer["assets"]] == ["data"]
    item_id = answer["items"][0]["id"]
    assets = await assets_of(api, owner, item_id)
    assert set(assets) == {"data", *pictures.SIDES}
    given = await api.ok("items.list_assets", {"item_id": item_id}, as_=owner)
    assert [asset["key"] for asset in given["assets"]] == ["data"]
    for key, side in pictures.SIDES.items():
        asset = assets[key]
        assert asset["media_type"] == "image/jpeg" and key in asset["roles"]
        assert asset["band_count"] is None and asset["epsg"] is None
        content = await fetched(api, owner, asset["id"])
        assert len(content) == asset["size_bytes"]
        picture = Image.open(io.BytesIO(content))
        assert picture.format == "JPEG" and max(picture.size) <= side
    assert stored(api, owner) == sum(asset["size_bytes"] for asset in assets.values())
    # the same picture as from the tiler
    url = f"item://{item_id}/data"
    drawn = await api.call("cog.thumbnail", {"url": url, "width": 512, "height": 512}, as_=owner)
    assert drawn.content == await fetched(api, owner, assets["thumbnail"]["id"])
    feature = (await api.ok("stac.search", {"ids": [item_id]}, as_=owner))["features"][0]
    shown = feature["assets"]["thumbnail"]
    assert shown["roles"] == ["thumbnail"] and shown["type"] == "image/jpeg"
    assert shown["file:size"] == assets["thumbnail"]["size_bytes"]
    assert feature["assets"]["overview"]["roles"] == ["overview", "visual"]


async def test_nobody_draws_or_cuts_a_picture(api):
    owner = await api.organization()
    project = await api.project(owner)
    item_id = (await upload(api, owner, project))["items"][0]["id"]
    tile = {"item_id": item_id, "z": 0, "x": 0, "y": 0}
    problem = await api.refused(
        404, "items.tile.render", {**tile, "asset_key": "thumbnail"}, as_=owner
    )
    assert problem["detail"].endswith("it has 'data'")
    bbox = (await api.ok("items.get", {"item_id": item_id}, as_=owner))["item"]["bbox"]
    west, south, east, north = bbox
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    clip = {
        "source_item_id": item_id, "project_id": project,
        "aoi_geometry": {"type": "Polygon", "coordinates": [ring]},
    }  # fmt: skip
    assert (await api.ok("clip.create_from_item", clip, as_=owner))["asset_keys"] == ["data"]
    ref = {"item_id": item_id, "asset_id": (await assets_of(api, owner, item_id))["overview"]["id"]}
    await api.refused(422, "items.set_asset_band_names", {**ref, "band_names": ["x"]}, as_=owner)
    await api.refused(422, "items.detect_asset_bands", ref, as_=owner)


async def test_pictures_follow_the_default_profile(api):
    owner = await api.organization()
    item_id = (await upload(api, owner, await api.project(owner)))["items"][0]["id"]
    before = await assets_of(api, owner, item_id)
    old = await fetched(api, owner, before["thumbnail"]["id"])
    body = {
        "item_id": item_id, "name": "infrared", "type": "rgb",
        "config": {"bands": ["nir", "red", "green"]}, "is_default": True,
    }  # fmt: skip
    await api.ok("visualization.profile.create", body, as_=owner)
    assert await draw_due(api) >= 1
    after = await assets_of(api, owner, item_id)
    new = await fetched(api, owner, after["thumbnail"]["id"])
    assert new != old and set(after) == set(before)
    assert stored(api, owner) == sum(asset["size_bytes"] for asset in after.values())
    gone = await api.client.get(
        f"/v2/assets/{before['thumbnail']['id']}",
        headers={"Authorization": f"Bearer {owner.token}"},
    )
    assert gone.status_code == 404
    # drawn again there is nothing to change
    api.sql("update item_picture set signature = null where item_id = %s", item_id)
    await draw_due(api)
    assert await assets_of(api, owner, item_id) == after


async def draw_due(api) -> int:
    """Rounds of the chore until nothing is due; other tests of this database left some."""
    from db.pool import make_pool
    from opstac.chores import draw_pictures

    async with make_pool(api.platform.settings.dsn, "opstac_system", min_size=1) as system:
        drawn = 0
        for _ in range(100):
            count = await draw_pictures(api.platform, system)
            drawn += count
            if count == 0:
                break
        return drawn


async def test_what_was_not_drawn_at_once_is_drawn_later(api, catalogue):
    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner))
    assert list(await assets_of(api, owner, item["id"])) == ["data"]
    await draw_due(api)
    assert set(await assets_of(api, owner, item["id"])) == {"data", *pictures.SIDES}
    (row,) = api.sql("select signature from item_picture where item_id = %s", item["id"])
    assert row["signature"]


async def test_a_raster_that_cannot_be_drawn_is_an_item_all_the_same(api, stock):
    owner = await api.organization()
    item = await stock.item(owner, await api.project(owner))  # its object is no raster
    await draw_due(api)
    assert list(await assets_of(api, owner, item["id"])) == ["data"]
    (row,) = api.sql("select signature from item_picture where item_id = %s", item["id"])
    assert row["signature"], "it is not tried again and again"


async def test_without_room_there_are_no_pictures(api, catalogue):
    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner))
    full = "update organization set storage_quota_bytes = storage_used_bytes"
    api.sql(full + " where organization_id = %s", owner.organization_id)
    await draw_due(api)
    assert list(await assets_of(api, owner, item["id"])) == ["data"]


async def test_pictures_go_with_the_item_and_stay_with_its_copy(api):
    owner = await api.organization()
    project = await api.project(owner)
    item_id = (await upload(api, owner, project))["items"][0]["id"]
    copy = await api.ok("items.duplicate", {"item_id": item_id}, as_=owner)
    mine = await assets_of(api, owner, item_id)
    theirs = await assets_of(api, owner, copy["id"])
    assert set(theirs) == set(mine)
    size = sum(mine[key]["size_bytes"] for key in pictures.SIDES)
    before = stored(api, owner)
    path = "select object_path from asset where id = %s"
    gone = api.sql(path, mine["thumbnail"]["id"])[0]["object_path"]
    await api.ok("items.delete", {"item_id": item_id}, as_=owner)
    assert stored(api, owner) == before - size
    assert await api.platform.services.objects.head(gone) is None
    assert (await fetched(api, owner, theirs["thumbnail"]["id"]))[:2] == b"\xff\xd8"


async def test_a_file_of_that_name_is_left_alone(api):
    owner = await api.organization()
    complete = {"files": [{"file_name": SCENE.name, "asset_key": "thumbnail"}]}
    item_id = (await upload(api, owner, await api.project(owner), **complete))["items"][0]["id"]
    assets = await assets_of(api, owner, item_id)
    assert assets["thumbnail"]["band_count"] == 6
    assert assets["overview"]["media_type"] == "image/jpeg"


@pytest.mark.parametrize("name", ["all-nodata_s2-flanders_2020-12.tif", "one-pixel_naip.tif",
                                  "rotated-30deg_naip.tif", "mask-band_colorado-rgb.tif",
                                  "nir-tagged-alpha_naip.tif"])  # fmt: skip
async def test_awkward_rasters_have_pictures_too(api, name):
    owner = await api.organization()
    answer = await upload(api, owner, await api.project(owner), RASTERS / name)
    assets = await assets_of(api, owner, answer["items"][0]["id"])
    assert {"thumbnail", "overview"} <= set(assets)


async def test_pictures_drawn_while_the_files_are_listed_are_not_among_them(
    api, catalogue, monkeypatch
):
    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner))
    read, meanwhile = items.assets_of, []

    async def drawn_meanwhile(ctx, item_id):
        """Between the two reads of which assets are pictures."""
        if meanwhile:
            await meanwhile.pop()()
        return await read(ctx, item_id)

    async def draw():
        assert await pictures.refresh(api.platform.pipeline, owner.organization_id, item["id"])

    async def take_away():
        await api.platform.pipeline.act("tests.pictures", principal, remove)

    async def remove(ctx):
        drawn = await pictures.assets_drawn(ctx, item["id"])
        await files.let_go(ctx, sorted(drawn), item["project_id"])
        await pictures.forget(ctx, item["id"])

    principal = await catalogue.caller(owner)
    monkeypatch.setattr(items, "assets_of", drawn_meanwhile)
    for change in (draw, take_away, draw):
        meanwhile.append(change)
        listed = await api.ok("items.list_assets", {"item_id": item["id"]}, as_=owner)
        assert [asset["key"] for asset in listed["assets"]] == ["data"] and not meanwhile
    assert set(await assets_of(api, owner, item["id"])) == {"data", *pictures.SIDES}

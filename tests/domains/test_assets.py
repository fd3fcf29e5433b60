"""The files of items: their looks, names and links."""

from __future__ import annotations

import pytest

BANDS = ["blue", "green", "red", "nir", "swir16", "swir22"]


async def test_an_item_with_a_file_has_its_asset_and_a_first_picture(api, catalogue):
    owner = await api.organization()
    made, assets = await catalogue.scene(owner, await api.project(owner))
    got = (await api.ok("items.get", {"item_id": made["id"]}, as_=owner))["item"]
    (asset,) = got["assets"]
    assert asset == assets[0] | {
        "created_at": asset["created_at"],
        "updated_at": asset["updated_at"],
    }
    assert (asset["key"], asset["band_names"], asset["is_cog"]) == ("data", BANDS, True)
    assert asset["bands"][0]["mean"] is not None and "object_path" not in asset
    (profile,) = got["profiles"]
    assert (profile["layer"], profile["type"], profile["is_default"]) == ("auto", "rgb", True)
    assert profile["config"] == {"bands": [3, 2, 1]} and profile["asset_key"] == "data"
    listed = await api.ok("items.list_assets", {"item_id": made["id"]}, as_=owner)
    assert listed == {"assets": [asset], "count": 1}
    lineage = await api.ok(
        "provenance.get",
        {"entity_type": "asset", "entity_id": asset["id"], "direction": "up"},
        as_=owner,
    )
    nearest = lineage["edges"][0]
    assert (nearest["relation"], nearest["dst_id"]) == ("part_of", made["id"])


async def test_names_of_bands_show_everywhere(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    made, assets = await catalogue.scene(owner, project)
    names = ["B02", "B03", "B04", "B08", "B11", "B12"]
    body = {"item_id": made["id"], "asset_id": assets[0]["id"], "band_names": names}
    asset = await api.ok("items.set_asset_band_names", body, as_=owner)
    assert asset["band_names"] == names and [b["name"] for b in asset["bands"]] == names
    feature = (await catalogue.stac(owner, f"/collections/{project}/items/{made['id']}")).json()
    shown = feature["assets"]["data"]["eo:bands"]
    assert [(b["name"], b["common_name"]) for b in shown[:3]] == [
        ("B02", "blue"),
        ("B03", "green"),
        ("B04", "red"),
    ]
    viewer = await api.member(owner, "member")
    add = {"user_id": viewer.user_id, "project_id": project, "role": "viewer"}
    await api.ok("projects.add_member", add, as_=owner)
    await api.ok("items.set_asset_band_names", {**body, "band_names": BANDS}, as_=viewer)


@pytest.mark.parametrize(
    "names", [[], BANDS[:5], [*BANDS[:5], "blue"], [*BANDS[:5], ""], [*BANDS[:5], "a\nb"]]
)
async def test_names_that_do_not_fit_are_refused(api, catalogue, names):
    owner = await api.organization()
    made, assets = await catalogue.scene(owner, await api.project(owner))
    body = {"item_id": made["id"], "asset_id": assets[0]["id"], "band_names": names}
    await api.refused(422, "items.set_asset_band_names", body, as_=owner)


async def test_a_link_opens_without_a_header(api, catalogue):
    owner = await api.organization()
    made, assets = await catalogue.scene(owner, await api.project(owner))
    body = {"item_id": made["id"], "asset_id": assets[0]["id"]}
    link = await api.ok("items.asset.download", body, as_=owner)
    assert (link["method"], link["file_name"]) == ("GET", "scene.tif")
    assert link["size_bytes"] == assets[0]["size_bytes"] and link["expires_at"].endswith("Z")
    content = await api.client.get(link["url"])
    assert content.status_code == 200 and content.content[:2] == b"II"
    part = await api.client.get(link["url"], headers={"Range": "bytes=0-3"})
    assert part.status_code == 206 and len(part.content) == 4
    counted = api.sql(
        "select value from usage_counter where organization_id = %s and metric = 'egress_bytes'",
        owner.organization_id,
    )
    assert counted == [{"value": link["size_bytes"]}]


async def test_an_href_leads_to_the_file_for_who_may_read_it(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    made, assets = await catalogue.scene(owner, project)
    feature = (await catalogue.stac(owner, f"/collections/{project}/items/{made['id']}")).json()
    href = feature["assets"]["data"]["href"]
    assert href == f"http://testserver/v2/assets/{assets[0]['id']}"
    key = await api.key(owner, "items:read")
    for person in (owner, key):
        headers = {"Authorization": f"Bearer {person.token}"}
        answer = await api.client.get(href, headers=headers)
        assert answer.status_code == 302
        assert (await api.client.get(answer.headers["location"])).content[:2] == b"II"
        given = await api.client.post(f"{href}/download-url", headers=headers)
        assert given.status_code == 200 and list(given.json()) == ["url"]
        assert (await api.client.get(given.json()["url"])).status_code == 200
    assert (await api.client.get(href)).status_code == 401
    assert (await api.client.post(f"{href}/download-url")).status_code == 401
    bad = {"Authorization": "Bearer nonsense"}
    assert (await api.client.get(href, headers=bad)).status_code == 401
    outsider = await api.member(owner, "member")
    headers = {"Authorization": f"Bearer {outsider.token}"}
    assert (await api.client.get(href, headers=headers)).status_code == 403
    billing = await api.key(owner, "billing:read")
    headers = {"Authorization": f"Bearer {billing.token}"}
    assert (await api.client.get(href, headers=headers)).status_code == 403
    for missing in ("as_0", "%00", "x" * 300):
        headers = {"Authorization": f"Bearer {owner.token}"}
        answer = await api.client.get(f"/v2/assets/{missing}", headers=headers)
        assert (
            answer.status_code == 404
            and answer.headers["content-type"] == "application/problem+json"
        )

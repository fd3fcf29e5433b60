"""Links that a client gives an item, and what an item said before it was changed."""

from __future__ import annotations

import httpx
import pytest

VIA = {"rel": "via", "href": "https://example.org/scene", "title": "Scene"}
PREVIEW = {"rel": "preview", "href": "preview.html", "type": "text/html"}
ITEM = {
    "type": "Feature",
    "id": "scene",
    "geometry": {"type": "Point", "coordinates": [1, 2]},
    "bbox": [1, 2, 1, 2],
    "properties": {"datetime": "2025-01-01T00:00:00Z", "platform": "a"},
    "links": [
        {"rel": "self", "href": "https://other.example/items/scene"},
        {"rel": "collection", "href": "https://other.example/"},
        VIA,
        PREVIEW,
    ],
    "assets": {"data": {"href": "https://example.org/a.tif"}},
}


@pytest.fixture
async def tenant(api):
    """An owner with a collection `scenes` over the STAC API."""

    class Tenant:
        root = "/assets/stac"

        async def ask(self, method: str, path: str, body=None, as_=None) -> httpx.Response:
            person = as_ or self.owner
            headers = {"Authorization": f"Bearer {person.token}"}
            return await api.client.request(method, self.root + path, json=body, headers=headers)

        async def get(self, path: str, **kwargs):
            response = await self.ask("GET", path, **kwargs)
            assert response.status_code == 200, response.text
            return response.json()

    made = Tenant()
    made.owner = await api.organization()
    made.project = await api.project(made.owner)
    body = {"name": "Scenes", "slug": "scenes", "project_id": made.project}
    made.collection = (await api.ok("collections.create", body, as_=made.owner))["id"]
    return made


def given(item) -> list[dict]:
    """The client's links of an item."""
    return [link for link in item["links"] if link in (VIA, PREVIEW) or link["rel"] == "preview"]


HERE = "/collections/scenes/items/scene"


async def test_links_of_an_item_are_kept_and_ours_do_not_become_the_clients(api, tenant):
    response = await tenant.ask("POST", "/collections/scenes/items", ITEM)
    assert response.status_code == 201, response.text
    item = await tenant.get(HERE)
    base = item["links"][0]["href"].removesuffix(HERE)
    preview = {**PREVIEW, "href": f"{base}/preview.html"}
    assert given(item) == [VIA, preview]
    assert len([link for link in item["links"] if link["rel"] == "self"]) == 1
    found = (await tenant.get("/search?ids=scene"))["features"][0]
    assert found["links"] == item["links"]
    # sent back as it came, nothing changes; with other words, the links stay
    assert (await tenant.ask("PUT", HERE, item)).status_code == 204
    assert "opstac:version" not in (await tenant.get(HERE))["properties"]
    item["properties"]["platform"] = "b"
    assert (await tenant.ask("PUT", HERE, item)).status_code == 204
    changed = await tenant.get(HERE)
    assert given(changed) == [VIA, preview] and changed["properties"]["opstac:version"] == 2
    stored = api.sql("select links from item where id = %s", item["properties"]["opstac:id"])
    assert stored == [{"links": [VIA, PREVIEW]}]
    # and once more, with the link to its first version among ours
    assert (await tenant.ask("PUT", HERE, changed)).status_code == 204
    assert (await tenant.get(HERE))["properties"]["opstac:version"] == 2
    patch = {"links": [*changed["links"], {"rel": "about", "href": "#it"}]}
    assert (await tenant.ask("PATCH", HERE, patch)).status_code == 204
    about = [link for link in (await tenant.get(HERE))["links"] if link["rel"] == "about"]
    assert about == [{"rel": "about", "href": f"{base}/#it"}]


async def test_an_import_keeps_links_and_tells_when_they_changed(api, tenant):
    body = {"project_id": tenant.project, "collection_id": tenant.collection, "items": [ITEM]}
    assert (await api.ok("items.import", body, as_=tenant.owner))["created"] == 1
    assert (await api.ok("items.import", body, as_=tenant.owner))["unchanged"] == 1
    assert len(given(await tenant.get(HERE))) == 2
    body["items"] = [{**ITEM, "links": [VIA]}]
    assert (await api.ok("items.import", body, as_=tenant.owner))["updated"] == 1
    assert given(await tenant.get(HERE)) == [VIA]
    entry = {"item_id": (await tenant.get(HERE))["properties"]["opstac:id"]}
    copy = await api.ok("items.duplicate", entry, as_=tenant.owner)
    shown = (await api.call("items.get_stac", {"item_id": copy["id"]}, as_=tenant.owner)).json()
    assert given(shown) == [VIA]


@pytest.mark.parametrize(
    "link",
    [
        {"rel": "via", "href": "javascript:alert(1)"},
        {"rel": "via", "href": "//evil.example/x"},
        {"rel": "via", "href": "https://user:secret@example.org/"},
        {"rel": "via", "href": ""},
        {"rel": "via", "href": "a b"},
        {"rel": "via", "href": 3},
        {"rel": "via"},
        {"rel": " ", "href": "https://example.org"},
        {"href": "https://example.org"},
        {"rel": "via", "href": "https://example.org", "title": "x" * 3000},
        {"rel": "via", "href": "https://example.org", "more": "x" * 70_000},
    ],
)
async def test_a_link_that_leads_nowhere_is_refused(api, tenant, link):
    body = {"type": "user_raster", "name": "x", "project_id": tenant.project, "links": [link]}
    problem = await api.refused(422, "items.create", body, as_=tenant.owner)
    assert problem["detail"][0]["loc"][1] == "links"
    many = {**body, "links": [VIA] * 201}
    await api.refused(422, "items.create", many, as_=tenant.owner)


async def test_what_an_item_said_before_is_read_by_who_may_read_it(api, tenant):
    await tenant.ask("POST", "/collections/scenes/items", ITEM)
    none = await tenant.get(f"{HERE}/versions")
    assert none["features"] == [] and none["numberReturned"] == 0
    for platform in ("b", "c"):
        change = {"properties": {"platform": platform}}
        assert (await tenant.ask("PATCH", HERE, change)).status_code == 204
    other = {"data": {"href": "https://example.org/b.tif"}}
    assert (await tenant.ask("PATCH", HERE, {"assets": other})).status_code == 204
    item = await tenant.get(HERE)
    row = api.sql("select previous_version_id as it from item where stac_id = 'scene'"
                  " and organization_id = %s", tenant.owner.organization_id)  # fmt: skip
    assert row == [{"it": f"{item['properties']['opstac:id']}@3"}]
    linked = {link["rel"]: link["href"] for link in item["links"]}
    assert linked["predecessor-version"] == f"{linked['self']}/versions/3"
    seen = []
    while "predecessor-version" in linked:
        path = linked["predecessor-version"].partition("/assets/stac")[2]
        older = await tenant.get(path)
        successor = {link["rel"]: link["href"] for link in older["links"]}["successor-version"]
        assert successor == linked["self"]
        linked = {link["rel"]: link["href"] for link in older["links"]}
        assert linked["latest-version"] == item["links"][0]["href"]
        assert linked["self"].endswith(path)
        properties, href = older["properties"], older["assets"]["data"]["href"]
        seen.append((properties["version"], properties["platform"], href[-5:]))
        assert older["geometry"] == item["geometry"] and older["collection"] == "scenes"
    assert seen == [("3", "c", "a.tif"), ("2", "b", "a.tif"), ("1", "a", "a.tif")]
    listed = await tenant.get(f"{HERE}/versions")
    assert [f["properties"]["platform"] for f in listed["features"]] == ["c", "b", "a"]
    # never in a search
    assert (await tenant.get("/search?limit=100"))["numberMatched"] == 1
    for wrong in ("0", "4", "5", "-1", "x", "1.0", "99999999999", "%00", "²"):
        response = await tenant.ask("GET", f"{HERE}/versions/{wrong}")
        assert response.status_code in (400, 404), (wrong, response.text)


async def test_nobody_else_reads_what_an_item_said_before(api, tenant):
    await tenant.ask("POST", "/collections/scenes/items", ITEM)
    await tenant.ask("PATCH", HERE, {"properties": {"platform": "b"}})
    place = {"project_id": tenant.project, "collection_id": tenant.collection}
    await api.ok("collections.update", place | {"public": True}, as_=tenant.owner)
    item_id = (await tenant.get(HERE))["properties"]["opstac:id"]
    outsider = await api.member(tenant.owner, "member")  # in the organization, not in the project
    stranger = await api.organization("Other")
    for path in (f"{HERE}/versions", f"{HERE}/versions/1"):
        # whoever sees the item without a credential does not see what it said before
        path = path.replace("scenes", tenant.collection)
        assert (await api.client.get(tenant.root + path)).status_code == 401
        for person in (outsider, stranger):
            assert (await tenant.ask("GET", path, as_=person)).status_code == 404
    public = (await api.client.get(f"{tenant.root}/search?ids={item_id}")).json()["features"][0]
    assert "opstac:version" not in public["properties"]
    assert "predecessor-version" not in {link["rel"] for link in public["links"]}


async def test_an_item_and_a_collection_are_shown_as_they_were_given(api, tenant):
    sent = {**ITEM, "stac_extensions": ["https://stac-extensions.github.io/eo/v1.0.0/schema.json"]}
    sent["properties"] = {**ITEM["properties"], "eo:cloud_cover": 3, "gsd": 10}
    await tenant.ask("POST", "/collections/scenes/items", sent)
    headers = {"Authorization": f"Bearer {tenant.owner.token}", "Prefer": "content=given"}
    usual = await tenant.get(HERE)
    shown = (await api.client.get(tenant.root + HERE, headers=headers)).json()
    assert shown["properties"] == sent["properties"] != usual["properties"]
    assert shown["stac_extensions"] == sent["stac_extensions"] != usual["stac_extensions"]
    assert shown["links"] == usual["links"] and shown["assets"] == sent["assets"]
    titled = {"properties": {"title": "Named", "version": "7"}}
    headers["Prefer"] = "return=representation, content=given"
    response = await api.client.patch(tenant.root + HERE, json=titled, headers=headers)
    assert response.json()["properties"] == sent["properties"] | titled["properties"]
    path = tenant.root + "/collections/scenes"
    collection = (await api.client.get(path, headers=headers)).json()
    assert not {name for name in collection if name.startswith("opstac:")}
    assert "created" not in collection and collection["title"] == "Scenes"

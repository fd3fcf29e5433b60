"""Public collections: who makes them so, what anybody then sees, and that nothing else shows."""

from __future__ import annotations

import httpx
import pytest

from opstac import journey

FOOTPRINT = {"type": "Point", "coordinates": [5.3, 50.6]}


@pytest.fixture
async def tenant(api):
    """An owner with a public and a private collection, an item in each and one in none."""

    async def make(slug: str):
        owner = await api.organization()
        project = await api.project(owner)
        made = {"owner": owner, "project": project}
        for name in ("open", "closed"):
            body = {"name": name, "slug": f"{slug}-{name}", "project_id": project}
            made[name] = (await api.ok("collections.create", body, as_=owner))["id"]
        for name in ("open", "closed", "loose"):
            body = {"type": "user_raster", "project_id": project, "geometry": FOOTPRINT}
            body |= {"name": f"{name} item", "collection_id": made.get(name)}
            body["assets"] = {"data": {"href": f"https://files.example/{name}.tif"}}
            made[f"{name}_item"] = (await api.ok("items.create", body, as_=owner))["id"]
        await mark(api, made, True)
        return made

    return make


async def mark(api, made, public, as_=None):
    body = {"project_id": made["project"], "collection_id": made["open"], "public": public}
    return await api.call("collections.update", body, as_=as_ or made["owner"])


def ids(response: httpx.Response) -> set[str]:
    assert response.status_code == 200, response.text
    return {feature["properties"]["opstac:id"] for feature in response.json()["features"]}


async def test_anybody_sees_what_is_public_and_nothing_else(api, tenant):
    acme, other = await tenant("acme"), await tenant("other")
    get, post = api.client.get, api.client.post
    public = {acme["open_item"], other["open_item"]}
    hidden = [made[f"{n}_item"] for made in (acme, other) for n in ("closed", "loose")]
    root = "/assets/stac"
    assert public <= ids(await get(f"{root}/search?limit=1000"))
    listed = (await get(f"{root}/collections?limit=1000")).json()["collections"]
    assert {"acme-open", "other-open"} <= {c["id"] for c in listed}
    shown = {c["opstac:id"] for c in listed}
    assert not shown & {made[n] for made in (acme, other) for n in ("closed", "project")}
    for given in ({"ids": hidden}, {"filter": {"op": "in", "args": [{"property": "id"}, hidden]}}):
        assert ids(await post(f"{root}/search", json=given)) == set()
    wider = {"op": "or", "args": [{"op": "=", "args": [1, 1]}, {"op": "=", "args": [1, 2]}]}
    seen = ids(await post(f"{root}/search", json={"filter": wider, "limit": 1000}))
    assert public <= seen and not seen & set(hidden)
    for name in ("acme-open", acme["open"]):
        assert ids(await get(f"{root}/search?collections={name}")) == {acme["open_item"]}
        assert ids(await get(f"{root}/collections/{name}/items")) == {acme["open_item"]}
    item = await get(f"{root}/collections/acme-open/items/{acme['open_item']}")
    assert item.json()["collection"] == "acme-open"
    assert "opstac:project" not in item.json()["properties"]
    for made in (acme, other):
        for path in (
            f"{root}/collections/{made['closed']}",
            f"{root}/collections/{made['closed']}/items",
            f"{root}/collections/{made['project']}",
            f"{root}/collections/{made['open']}/items/{made['closed_item']}",
            f"{root}/search?collections={made['closed']}",
            f"/api/v1/items/{made['closed_item']}/tiles/tilejson.json",
        ):
            assert (await get(path)).status_code == 401, path
    bad = {"Authorization": "Bearer gpra_wrong"}
    assert (await get(f"{root}/search", headers=bad)).status_code == 401
    # one who has an organization sees that one's alone
    mine = {"Authorization": f"Bearer {acme['owner'].token}"}
    assert other["open_item"] not in ids(await get(f"{root}/search?limit=1000", headers=mine))
    for path in (f"{root}/collections/{other['open']}", f"{root}/collections/other-open"):
        assert (await get(path, headers=mine)).status_code == 404
    # and nobody writes without a credential
    assert (await api.client.delete(f"{root}/collections/acme-open")).status_code == 401


async def test_anybody_counts_what_is_public_and_nothing_else(api, tenant):
    acme, root = await tenant("counted"), "/assets/stac"
    names = "aggregations=total_count,collection_frequency"

    async def counted(path: str) -> tuple[int, set[str]]:
        answer = await api.client.get(path)
        assert answer.status_code == 200, answer.text
        total, collections = answer.json()["aggregations"]
        return total["value"], {bucket["key"] for bucket in collections["buckets"]}

    for path in ("aggregations", "queryables", "collections/counted-open/aggregations"):
        assert (await api.client.get(f"{root}/{path}")).status_code == 200, path
    total, collections = await counted(f"{root}/aggregate?{names}")
    assert "counted-open" in collections and "counted-closed" not in collections
    matched = (await api.client.get(f"{root}/search?limit=1")).json()["numberMatched"]
    assert total == matched
    for path in (
        f"{root}/aggregate?collections=counted-open&{names}",
        f"{root}/collections/counted-open/aggregate?{names}",
    ):
        assert await counted(path) == (1, {"counted-open"})
    body = {"aggregations": ["total_count"], "ids": [acme["closed_item"], acme["loose_item"]]}
    answer = await api.client.post(f"{root}/aggregate", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["aggregations"][0]["value"] == 0
    hidden = f"{root}/collections/{acme['closed']}/aggregate?{names}"
    assert (await api.client.get(hidden)).status_code == 401


async def test_pages_of_public_items_are_the_whole(api, tenant):
    made = [await tenant(f"t{n}") for n in range(3)]
    names = ",".join(tenant["open"] for tenant in made)
    for sort in ("", "&sortby=title", "&sortby=-id"):
        seen: list[str] = []
        address = f"/assets/stac/search?limit=1&collections={names}{sort}"
        while address:
            page = (await api.client.get(address)).json()
            assert page["numberMatched"] == 3
            seen += [f["properties"]["opstac:id"] for f in page["features"]]
            links = {link["rel"]: link["href"] for link in page["links"]}
            address = links.get("next")
        assert sorted(seen) == sorted(tenant["open_item"] for tenant in made)
        back = (await api.client.get(links["prev"])).json()
        assert back["features"][0]["properties"]["opstac:id"] == seen[-2]


async def test_only_a_project_admin_makes_public_and_takes_it_back(api, tenant):
    acme = await tenant("gone")
    editor = await api.key(acme["owner"], "collections:*", "items:*")
    for public in (True, False):
        assert (await mark(api, acme, public, as_=editor)).status_code == 403
    other = await api.organization()
    assert (await mark(api, acme, True, as_=other)).status_code == 404
    path = "/assets/stac/collections/gone-open"
    assert (await api.client.get(path)).status_code == 200
    answer = await mark(api, acme, False)
    assert answer.status_code == 200 and answer.json()["public"] is False
    assert (await api.client.get(path)).status_code == 401
    assert acme["open_item"] not in ids(await api.client.get("/assets/stac/search?limit=1000"))
    await mark(api, acme, True)
    body = {"project_id": acme["project"], "collection_id": acme["open"]}
    await api.ok("collections.delete", body, as_=acme["owner"])
    assert (await api.client.get(path)).status_code == 401
    assert acme["open_item"] not in ids(await api.client.get("/assets/stac/search?limit=1000"))


async def test_whoever_may_not_publish_puts_nothing_into_a_public_collection(api, tenant):
    acme = await tenant("doors")
    editor = await api.key(
        acme["owner"], "collections:*", "items:*", "uploads:*", "processing:*", "clip:*"
    )
    item = {"type": "user_raster", "project_id": acme["project"], "name": "x"}
    import_ = {
        "type": "Feature", "stac_version": "1.0.0", "id": "brought", "geometry": FOOTPRINT,
        "bbox": [5.3, 50.6, 5.3, 50.6],
        "properties": {"datetime": "2026-01-01T00:00:00Z"}, "links": [], "assets": {},
    }  # fmt: skip
    upload = {"project_id": acme["project"], "file_count": 1, "total_bytes": 10}
    begun = (await api.ok("uploads.initiate", upload, as_=editor))["id"]

    more = {"more": {"href": "https://files.example/more.tif"}}

    def doors(where: str) -> list[tuple[str, dict]]:
        to = acme[where]
        return [
            ("items.create", {**item, "collection_id": to}),
            ("items.update", {"item_id": acme["loose_item"], "collection_id": to}),
            ("items.duplicate", {"item_id": acme["closed_item"], "target_collection_id": to}),
            ("items.duplicate", {"item_id": acme[f"{where}_item"]}),
            (
                "items.import",
                {"project_id": acme["project"], "collection_id": to, "items": [import_]},
            ),
            ("uploads.initiate", {**upload, "target_collection_id": to}),
            ("uploads.initiate", {**upload, "target_item_id": acme[f"{where}_item"]}),
            ("items.update", {"item_id": acme[f"{where}_item"], "assets": more}),
            (
                "processing.create",
                {
                    "job_type_id": "echo",
                    "project_id": acme["project"],
                    "input_params": {"message": "x"},
                    "target_collection_id": to,
                },
            ),
        ]

    for op, body in [*doors("open"), ("uploads.complete", {
        "upload_id": begun, "collection_id": acme["open"]
    })]:  # fmt: skip
        problem = await api.refused(403, op, body, as_=editor)
        assert "public collection" in problem["detail"], op
    feature = {**import_, "collection": "doors-open"}
    for path, sent in (
        ("items", feature),
        ("items", {"type": "FeatureCollection", "features": [feature]}),
        ("bulk_items", {"items": {"brought": feature}, "method": "insert"}),
    ):
        answer = await api.client.post(
            f"/assets/stac/collections/doors-open/{path}",
            json=sent,
            headers={"Authorization": f"Bearer {editor.token}"},
        )
        assert answer.status_code == 403, (path, answer.text)
    answer = await api.client.patch(
        f"/assets/stac/collections/doors-open/items/{acme['open_item']}",
        json={"assets": more},
        headers={"Authorization": f"Bearer {editor.token}"},
    )
    assert answer.status_code == 403, answer.text
    found = await api.client.get("/assets/stac/search?collections=doors-open")
    assert ids(found) == {acme["open_item"]}
    assert set(found.json()["features"][0]["assets"]) == {"data"}
    for op, body in doors("closed"):
        await api.ok(op, body, as_=editor)
    # what is in it stays theirs to describe, and an admin publishes
    body = {"item_id": acme["open_item"], "collection_id": acme["open"], "name": "described"}
    await api.ok("items.update", body, as_=editor)
    body = {"item_id": acme["open_item"], "assets": {}}
    await api.ok("items.update", body, as_=editor)
    for op, body in doors("open")[:4]:
        await api.ok(op, body, as_=acme["owner"])


async def test_files_and_tiles_of_public_items_open(api, tenant):
    acme = await tenant("files")
    with_file = {}
    for name in ("open", "closed"):
        file = journey.SAMPLES / "s2-flanders_2021-04_10m.tif"
        begun = await api.ok(
            "uploads.initiate",
            {
                "project_id": acme["project"],
                "file_count": 1,
                "total_bytes": file.stat().st_size,
                "target_collection_id": acme[name],
            },
            as_=acme["owner"],
        )
        link = await api.ok(
            "uploads.signed_url",
            {"upload_id": begun["id"], "file_name": file.name, "content_type": "image/tiff"},
            as_=acme["owner"],
        )
        sent = await api.client.put(
            link["upload_url"], content=file.read_bytes(), headers={"Content-Type": "image/tiff"}
        )
        assert sent.status_code in (200, 201), sent.text
        body = {"upload_id": begun["id"], "collection_id": acme[name]}
        done = await api.ok("uploads.complete", body, as_=acme["owner"])
        with_file[name] = done["items"][0]["id"], done["assets"][0]["id"]
    item, asset = with_file["open"]
    described = await api.client.get(f"/api/v1/items/{item}/tiles/tilejson.json")
    assert described.status_code == 200, described.text
    west, south, east, north = described.json()["bounds"]
    assert west < east and south < north
    file = await api.client.get(f"/v2/assets/{asset}")
    assert file.status_code == 302, file.text
    assert (await api.client.get(file.headers["location"])).content[:2] == b"II"
    # a copy is asked for by operation, which needs a caller
    assert (await api.client.post(f"/v2/assets/{asset}/download-url")).status_code == 401
    item, asset = with_file["closed"]
    for path in (f"/v2/assets/{asset}", f"/api/v1/items/{item}/tiles/tilejson.json"):
        assert (await api.client.get(path)).status_code == 401
    assert (await api.client.get("/v2/assets/as_none")).status_code == 401


async def test_shared_caches_keep_no_answer(api, tenant):
    acme = await tenant("cached")
    key = await api.key(acme["owner"], "items:read", "collections:read")
    paths = (
        "search",
        "collections",
        "collections/cached-open/items",
        "collections/none",
        "search?x=",
    )
    for headers in ({}, {"X-API-Key": key.token}):
        for path in paths:
            answer = await api.client.get(f"/assets/stac/{path}", headers=headers)
            assert answer.headers["cache-control"] == "private, no-cache"
            vary = {name.strip() for name in answer.headers["vary"].split(",")}
            assert {"Authorization", "X-API-Key"} <= vary


async def test_a_page_of_large_items_ends_before_it_is_too_large(api, tenant):
    acme = await tenant("large")
    asset = {"href": "https://files.example/a.tif", "description": "x" * 4000}
    for batch in range(4):
        items = [
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": f"large-{batch}-{n}",
                "geometry": FOOTPRINT,
                "bbox": [5.3, 50.6, 5.3, 50.6],
                "properties": {"datetime": "2026-01-01T00:00:00Z"},
                "links": [],
                "assets": {f"a{k}": asset for k in range(55)},
            }
            for n in range(40)
        ]
        body = {"project_id": acme["project"], "collection_id": acme["open"], "items": items}
        made = await api.ok("items.import", body, as_=acme["owner"])
        assert made["created"] == 40
    for headers in ({}, {"Authorization": f"Bearer {acme['owner'].token}"}):
        address, seen, pages = "/assets/stac/search?collections=large-open&limit=10000", [], 0
        while address:
            answer = await api.client.get(address, headers=headers)
            assert answer.status_code == 200 and len(answer.content) < 40 << 20
            seen += [f["id"] for f in answer.json()["features"]]
            links = {link["rel"]: link["href"] for link in answer.json()["links"]}
            address, pages = links.get("next"), pages + 1
        assert len(seen) == len(set(seen)) == 161 and pages == 2


async def test_nobody_is_sent_to_a_foreign_host_without_a_credential(api, tenant):
    """A public item's asset elsewhere is no open redirect of this server's."""
    acme = await tenant("elsewhere")
    body = {
        "name": "far", "type": "external_reference", "project_id": acme["project"],
        "collection_id": acme["open"],
        "assets": {"data": {"href": "https://phish.example.org/a.tif"}},
    }  # fmt: skip
    item = await api.ok("items.create", body, as_=acme["owner"])
    listed = await api.ok("items.list_assets", {"item_id": item["id"]}, as_=acme["owner"])
    path = f"/v2/assets/{listed['assets'][0]['id']}"
    answer = await api.client.get(path)
    assert answer.status_code == 403 and "location" not in answer.headers
    assert "https://phish.example.org/a.tif" in answer.json()["detail"]
    headers = {"Authorization": f"Bearer {acme['owner'].token}"}
    assert (await api.client.get(path, headers=headers)).status_code == 302


async def test_what_is_not_shown_cannot_be_asked_by(api, tenant):
    acme, root = await tenant("unshown"), "/assets/stac"
    where = {"collections": [acme["open"]]}
    for name in ("opstac:project", "opstac:version", "properties.properties.opstac:project"):
        equals = {"op": "=", "args": [{"property": name}, acme["project"]]}
        for path, body in (
            ("search", {"filter": equals}),
            ("search", {"filter": {"op": "or", "args": [{"op": "isNull", "args": [1]}, equals]}}),
            ("search", {"query": {name: {"eq": acme["project"]}}}),
            ("search", {"sortby": [{"field": name, "direction": "asc"}]}),
            ("aggregate", {"aggregations": [f"{name}_frequency"]}),
            ("aggregate", {"aggregations": ["total_count"], "filter": equals}),
        ):
            answer = await api.client.post(f"{root}/{path}", json={**where, **body})
            assert answer.status_code == 400, (path, body, answer.text)
            assert acme["project"] not in answer.text
        sorted_by = {"collections": acme["open"], "sortby": name}
        assert (await api.client.get(f"{root}/search", params=sorted_by)).status_code == 400
    for path in ("queryables", "sortables", f"collections/{acme['open']}/queryables"):
        assert "opstac:project" not in (await api.client.get(f"{root}/{path}")).text
    # its owner may
    mine = {"Authorization": f"Bearer {acme['owner'].token}"}
    body = {"aggregations": ["opstac:project_frequency"]}
    found = (await api.client.post(f"{root}/aggregate", json=body, headers=mine)).json()
    assert found["aggregations"][0]["buckets"][0]["key"] == acme["project"]


async def test_a_count_of_somebody_without_a_credential_takes_a_bounded_time(
    api, tenant, monkeypatch
):
    acme = await tenant("bounded")
    monkeypatch.setattr("stac_api.search.ANONYMOUS_SECONDS", 0.001)
    body = {"aggregations": ["total_count", "geometry_geotile_grid_frequency"]}
    answer = await api.client.post("/assets/stac/aggregate", json=body)
    assert answer.status_code == 400 and "takes too long" in answer.json()["detail"]
    mine = {"Authorization": f"Bearer {acme['owner'].token}"}
    answer = await api.client.post("/assets/stac/aggregate", json=body, headers=mine)
    assert answer.status_code == 200, answer.text

"""pystac-client, unmodified, over HTTP, and the STAC API's writes as operations."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pystac
import pystac_client
import pytest
import uvicorn
from pystac import STACObjectType, STACValidationError
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from ops_gateway.surfaces.edge import Edge

MOUNTS = ("/assets/stac", "/v2/assets/stac")
BELGIUM = {"type": "Point", "coordinates": [5.325, 50.633]}


@pytest.fixture
async def base(api):
    """Address of a server over the platform of `api`, on loopback."""
    # without a fixed public address, so that links lead to this server
    app = Edge(api.platform.app.app, api.platform.authenticator)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving
    listener.close()


@pytest.fixture
async def scenes(api, catalogue):
    """(owner, collection, winter, summer): two items with a file in one collection."""
    owner = await api.organization()
    project = await api.project(owner)
    made = await api.ok("collections.create", {"name": "stac", "project_id": project}, as_=owner)
    winter, _ = await catalogue.scene(
        owner, project, collection_id=made["id"], datetime="2025-01-15T00:00:00Z"
    )
    summer, _ = await catalogue.scene(
        owner,
        project,
        collection_id=made["id"],
        datetime="2025-06-15T00:00:00Z",
        properties={"eo:cloud_cover": 12},
    )
    return owner, made["id"], winter["id"], summer["id"]


def client_of(base: str, mount: str, token: str) -> pystac_client.Client:
    return pystac_client.Client.open(base + mount, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("mount", MOUNTS)
async def test_pystac_client_finds_reads_and_pages(api, base, scenes, mount):
    owner, collection, winter, summer = scenes
    key = await api.key(owner, "items:read")

    def read() -> None:
        catalog = client_of(base, mount, key.token)
        assert catalog.conforms_to("ITEM_SEARCH") and catalog.conforms_to("COLLECTIONS")

        def ids(**asked) -> list[str]:
            return [item.id for item in catalog.search(collections=[collection], **asked).items()]

        west, south, east, north = 5.31, 50.62, 5.34, 50.64
        assert ids() == [summer, winter]
        assert ids(datetime="2025-01-01/2025-03-01") == [winter]
        assert len(ids(bbox=[west, south, east, north])) == 2
        assert ids(bbox=[west + 40, south, east + 40, north]) == []
        assert len(ids(intersects=BELGIUM)) == 2
        assert ids(ids=[summer]) == [summer]
        clear = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}
        assert ids(filter=clear, filter_lang="cql2-json") == [summer]
        assert ids(sortby="datetime", limit=1) == [winter, summer]
        assert catalog.search(collections=[collection]).matched() == 2
        assert {c.id for c in catalog.get_collections()} == {collection}
        item = catalog.get_collection(collection).get_item(winter)
        assert item.assets["data"].media_type == pystac.MediaType.COG
        href = item.assets["data"].get_absolute_href()
        assert href.startswith(f"{base}/v2/assets/as_")
        headers = {"Authorization": f"Bearer {key.token}"}
        content = httpx.get(href, headers=headers, follow_redirects=True)
        assert content.status_code == 200 and content.content[:2] == b"II"
        assert item.get_self_href().startswith(base + mount)

    await asyncio.to_thread(read)


@pytest.mark.parametrize("mount", MOUNTS)
async def test_every_document_is_valid_stac_and_every_link_opens(api, base, scenes, mount):
    """Landing page, collections and items against STAC's JSON schemas, over HTTP.

    The schemas that pystac ships are those of 1.1.0; what 1.0.0 requires, they require.
    """
    owner, collection, _, _ = scenes
    headers = {"Authorization": f"Bearer {owner.token}"}

    def valid(document: dict[str, Any], kind: STACObjectType) -> Any:
        document = {**document, "stac_version": "1.1.0"}
        return JsonSchemaSTACValidator().validate_core(document, kind, "1.1.0")

    async with httpx.AsyncClient(base_url=base + mount, headers=headers, timeout=30) as client:

        async def read(address: str, media_type: str = "application/json") -> dict[str, Any]:
            answer = await client.get(address)
            assert answer.status_code == 200, f"{address}: {answer.text}"
            assert answer.headers["content-type"].partition(";")[0] == media_type, address
            return answer.json()

        landing = await read("/")
        collections = (await read("/collections"))["collections"]
        page = await read(f"/search?collections={collection}", "application/geo+json")
        listed = await read(f"/collections/{collection}/items", "application/geo+json")
        assert len(page["features"]) == len(listed["features"]) == 2 and collections
        kinds = [(landing, STACObjectType.CATALOG)]
        kinds += [(found, STACObjectType.COLLECTION) for found in collections]
        kinds += [(f, STACObjectType.ITEM) for f in page["features"] + listed["features"]]
        for document, kind in kinds:
            assert document["stac_version"] == "1.0.0" and valid(document, kind)
            relations = {link["rel"] for link in document["links"]}
            assert {"self", "root"} <= relations
            assert kind is STACObjectType.CATALOG or "parent" in relations
            for link in document["links"]:
                if "{" in link["href"] or link.get("method", "GET") != "GET":
                    continue
                # counting must be told what to count
                named = {"aggregations": "total_count"} if link["rel"] == "aggregate" else None
                answer = await client.get(link["href"], params=named)
                assert answer.status_code == 200, f"{link}: {answer.text[:200]}"
                if link["rel"] in ("self", "root", "parent", "collection"):
                    own = answer.headers["content-type"].partition(";")[0]
                    assert own == link["type"], link
        with pytest.raises(STACValidationError):  # the schemas are there and do refuse
            valid({**page["features"][0], "geometry": 1}, STACObjectType.ITEM)


async def test_without_a_credential_only_what_is_public_shows(api, base, scenes):
    _, collection, winter, _ = scenes
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        for path in (
            f"/assets/stac/search?collections={collection}",
            f"/assets/stac/collections/{collection}",
            f"/assets/stac/collections/{collection}/items/{winter}",
        ):
            answer = await client.get(path)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
        # other tests may have made collections public
        shown = (await client.get("/assets/stac/search?limit=1000")).json()["features"]
        assert not {winter, collection} & {v for f in shown for v in (f["id"], f["collection"])}
        bad = {"Authorization": "Bearer gpra_wrong"}
        assert (await client.get("/assets/stac/search", headers=bad)).status_code == 401


async def test_who_may_not_read_items_is_refused(api, scenes):
    owner = scenes[0]
    billing = await api.key(owner, "billing:read")
    for person, status in ((billing, 403), (api.user(), 403)):
        headers = {"Authorization": f"Bearer {person.token}"}
        answer = await api.client.get("/assets/stac/search", headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["status"] == status


async def test_a_stac_write_is_the_operation(api, scenes):
    owner, collection, _, _ = scenes
    headers = {"Authorization": f"Bearer {owner.token}"}
    reader = {"Authorization": f"Bearer {(await api.key(owner, 'items:read')).token}"}
    items = f"/assets/stac/collections/{collection}/items"
    body = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "from-a-client",
        "geometry": BELGIUM,
        "bbox": [5.325, 50.633, 5.325, 50.633],
        "properties": {"datetime": "2025-02-01T00:00:00Z", "platform": "kite"},
        "links": [],
        "assets": {},
    }
    send = api.client.post
    assert (await send(items, json=body)).status_code == 401
    assert (await send(items, json=body, headers=reader)).status_code == 403
    made = await send(items, json=body, headers=headers)
    assert made.status_code == 201, made.text
    assert made.json()["id"] == "from-a-client"
    assert (await send(items, json=body, headers=headers)).status_code == 409
    crooked = {**body, "id": "x", "geometry": {"type": "Point", "coordinates": [999, 0]}}
    refused = await send(items, json=crooked, headers=headers)
    assert refused.status_code == 422 and isinstance(refused.json()["detail"], list)
    patch = {"properties": {"platform": "balloon"}}
    wanting = {**headers, "Prefer": "return=representation"}
    changed = await api.client.patch(f"{items}/from-a-client", json=patch, headers=wanting)
    assert changed.status_code == 200 and changed.json()["properties"]["platform"] == "balloon"
    platform_id = made.json()["properties"]["opstac:id"]
    audited = api.sql(
        "select operation from audit where organization_id = %s and outcome = 'ok'"
        " and entities @> %s::jsonb order by seq",
        owner.organization_id,
        f'[{{"id": "{platform_id}"}}]',
    )
    assert [row["operation"] for row in audited] == ["items.create", "items.update"]
    absent = api.client.delete(f"{items}/none", headers=reader)
    assert (await absent).status_code == 403
    gone = await api.client.delete(f"{items}/from-a-client", headers=headers)
    assert gone.status_code in (200, 204)
    assert (await api.client.get(f"{items}/from-a-client", headers=headers)).status_code == 404


async def test_a_collection_made_by_a_stac_client_keeps_its_name(api, scenes):
    owner = scenes[0]
    headers = {"Authorization": f"Bearer {owner.token}"}
    body = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": "my-scenes",
        "title": "My scenes",
        "description": "Mine",
        "license": "CC0-1.0",
        "extent": {"spatial": {"bbox": [[0, 0, 1, 1]]}, "temporal": {"interval": [[None, None]]}},
        "links": [],
    }
    made = await api.client.post("/assets/stac/collections", json=body, headers=headers)
    assert made.status_code == 201, made.text
    assert made.json()["license"] == "CC0-1.0"
    path = "/v2/assets/stac/collections/my-scenes"
    changed = await api.client.put(path, json={**body, "title": "Ours"}, headers=headers)
    assert changed.status_code in (200, 204)
    assert (await api.client.get(path, headers=headers)).json()["title"] == "Ours"
    assert (await api.client.delete(path, headers=headers)).status_code in (200, 204)
    assert (await api.client.get(path, headers=headers)).status_code == 404

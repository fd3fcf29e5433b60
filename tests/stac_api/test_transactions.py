"""STAC writes run operations; here the operations are written down instead of run."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest


@pytest.fixture
def acme(organization: Any) -> Any:
    made = organization()
    made.collection = made.new_collection("scenes")
    made.item = made.row(made.collection, stac_id="mine", properties={"platform": "x"})
    asyncio.run(made.put(made.item))
    return made


@pytest.fixture
def http(server: Any, acme: Any) -> Any:
    server.calls.clear()
    server.run = None
    with httpx.Client(
        base_url=server.url + "/assets/stac", headers=server.caller(acme.visibility)
    ) as client:
        yield client
    server.run = None


ITEM = {
    "type": "Feature",
    "id": "new",
    "geometry": {"type": "Point", "coordinates": [1, 2]},
    "bbox": [1, 2, 1, 2],
    "properties": {
        "datetime": "2025-01-01T00:00:00Z",
        "title": "A title",
        "eo:cloud_cover": 3,
        "platform": "x",
        "opstac:project": "proj_other",
    },
}


def test_creating_an_item_is_items_create(http: httpx.Client, server: Any, acme: Any) -> None:
    async def run(request: Any, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        row = acme.row(body["collection_id"], stac_id=body["stac_id"], name=body["name"])
        await acme.put(row)
        return row

    server.run = run
    response = http.post("/collections/scenes/items", json=ITEM)
    assert response.status_code == 201, response.text
    assert response.headers["location"].endswith("/assets/stac/collections/scenes/items/new")
    assert response.json()["id"] == "new"
    assert http.get(response.headers["location"]).status_code == 200
    (operation, body), *_ = server.calls
    assert operation == "items.create"
    assert body["project_id"] == acme.project and body["collection_id"] == acme.collection
    assert body["stac_id"] == "new" and body["name"] == "A title" and body["cloud_cover"] == 3
    assert body["properties"] == {"platform": "x"} and body["datetime"] == "2025-01-01T00:00:00Z"


def imported(*outcomes: str) -> Any:
    async def run(request: Any, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        problem = {"detail": [{"loc": ["body", "geometry"], "msg": "is none"}]}
        items = [
            {"id": item["id"], "outcome": outcome, "problem": problem}
            for item, outcome in zip(body["items"], outcomes, strict=True)
        ]
        kinds = ("created", "updated", "unchanged", "failed")
        return {"items": items, **{kind: outcomes.count(kind) for kind in kinds}}

    return run


def test_a_feature_collection_is_one_import(http: httpx.Client, server: Any, acme: Any) -> None:
    server.run = imported("created", "created", "created")
    features = [ITEM | {"id": f"n{i}"} for i in range(3)]
    body = {"type": "FeatureCollection", "features": features}
    response = http.post("/collections/scenes/items", json=body)
    assert (response.status_code, response.json()["created"]) == (201, 3)
    ((operation, sent),) = server.calls
    assert operation == "items.import" and sent["items"] == features
    assert sent["atomic"] is True and sent["method"] == "insert"
    assert (sent["project_id"], sent["collection_id"]) == (acme.project, acme.collection)


def test_bulk_items_are_an_import_that_tells_of_each(http: httpx.Client, server: Any) -> None:
    server.run = imported("created", "updated", "unchanged", "failed")
    items = {name: ITEM | {"id": name} for name in "abcd"}
    body = {"items": items, "method": "upsert"}
    response = http.post("/collections/scenes/bulk_items", json=body)
    assert response.status_code == 200 and response.json() == {
        "received": 4,
        "success": 2,
        "skipped": 1,
        "errors": [{"id": "d", "msg": "geometry: is none"}],
    }
    ((_, sent),) = server.calls
    assert sent["method"] == "upsert" and "atomic" not in sent
    for wrong in (
        {"items": {}},
        {"items": [ITEM]},
        {"items": {"other": ITEM}},
        {"items": items, "method": "delete"},
        [],
    ):
        assert http.post("/collections/scenes/bulk_items", json=wrong).status_code == 400


def test_changing_an_item_is_items_update(http: httpx.Client, server: Any, acme: Any) -> None:
    address = "/collections/scenes/items/mine"
    put = http.put(address, json=ITEM | {"id": "mine"})
    assert put.status_code == 204 and "content-type" not in put.headers
    change = {"properties": {"platform": None, "gsd": 5, "title": "B"}}
    patched = http.patch(address, json=change)
    assert patched.status_code == 204 and "content-type" not in patched.headers
    steps = [
        {"op": "test", "path": "/properties/platform", "value": "x"},
        {"op": "replace", "path": "/properties/platform", "value": "y"},
        {"op": "copy", "from": "/properties/platform", "path": "/properties/a~1b"},
        {"op": "remove", "path": "/properties/title"},
    ]
    wanting = {"Prefer": "return=representation"}
    shown = http.patch(address, json=steps, headers=wanting)
    assert shown.status_code == 200 and shown.json()["id"] == "mine"
    assert shown.headers["preference-applied"] == "return=representation"
    assert shown.headers["content-type"] == "application/geo+json"
    put, merged, patched = [body for operation, body in server.calls if operation == "items.update"]
    assert put["item_id"] == merged["item_id"] == acme.item["id"] and put["name"] == "A title"
    # only what differs is said
    assert put["set_properties"] == {}
    # which the platform shows where no client said them: nothing is lost by clearing them
    assert sorted(put["clear"]) == ["properties.published", "properties.version"]
    assert put["geometry"]["type"] == "Point" and put["datetime"] == "2025-01-01T00:00:00Z"
    del merged["item_id"]
    assert merged == {
        "name": "B",
        "gsd": 5,
        "set_properties": {},
        "clear": ["properties.platform"],
    }
    assert patched["set_properties"] == {"platform": "y", "a/b": "y"}
    assert patched["name"] == "mine" and patched["clear"] == []


NINES = "9" * 5_000  # more digits than Python makes a number of


@pytest.mark.parametrize(
    "steps",
    [
        # each copies the item into itself, so that twenty would make a million of it
        [{"op": "copy", "from": "/properties", "path": f"/properties/p{n}"} for n in range(60)],
        [{"op": "copy", "from": "", "path": "/properties/whole"}] * 40,
        [{"op": "copy", "path": "/properties/a"}],
        [{"op": "add", "path": f"/links/{NINES}", "value": {}}],
        [{"op": "test", "path": f"/links/{NINES}/href", "value": 1}],
        [{"op": "remove", "path": f"/links/{NINES}"}],
        [{"op": "add", "path": "/properties" + "/a" * n, "value": {}} for n in range(1, 400)],
        [
            {"op": "add", "path": "/properties" + "/a" * n, "value": {}} for n in range(1, 400)
        ] + [{"op": "copy", "from": "/properties", "path": "/properties/b"}],
    ],
)  # fmt: skip
def test_a_patch_that_would_fill_the_memory_is_refused(
    http: httpx.Client, server: Any, steps: list[dict[str, Any]]
) -> None:
    response = http.patch("/collections/scenes/items/mine", json=steps)
    assert response.status_code == 400, response.text[:300]
    assert response.headers["content-type"] == "application/problem+json"
    assert server.calls == []


def test_deleting_an_item_is_items_delete(http: httpx.Client, server: Any, acme: Any) -> None:
    response = http.delete("/collections/scenes/items/mine")
    assert response.status_code == 204 and "content-type" not in response.headers
    assert server.calls == [("items.delete", {"item_id": acme.item["id"]})]


def test_deleting_what_is_not_there_is_done_already(http: httpx.Client, server: Any) -> None:
    address = "/collections/scenes/items/none"
    assert http.delete(address).status_code == 204
    # whether the caller may delete at all is the operation's to say
    assert server.calls == [("items.delete", {"item_id": "-"})]
    wanting = {"Prefer": "return=representation"}
    assert http.delete(address, headers=wanting).status_code == 404


def test_collections_are_written_by_their_operations(
    http: httpx.Client, server: Any, acme: Any
) -> None:
    async def run(request: Any, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        if operation == "collections.create":
            acme.new_collection(body["slug"])
        return {}

    server.run = run
    document = {
        "type": "Collection",
        "id": "fresh",
        "description": "New",
        "license": "CC0-1.0",
        "extent": {
            "spatial": {"bbox": [[0, 0, 1, 1]]},
            "temporal": {"interval": [["2025-01-01T00:00:00Z", None]]},
        },
    }
    made = http.post("/collections", json=document)
    assert made.status_code == 201 and made.json()["id"] == "fresh", made.text
    assert made.headers["location"].endswith("/assets/stac/collections/fresh")
    put = http.put("/collections/scenes", json=document | {"id": "scenes"})
    assert put.status_code == 200 and put.json()["id"] == "scenes"
    minimal = {"Prefer": "return=minimal, items=keep"}
    titled = http.patch("/collections/scenes", json={"title": "T"}, headers=minimal)
    assert titled.status_code == 204
    assert http.delete("/collections/scenes", headers=minimal).status_code == 204
    for unclear in ("?items=all", "?items="):
        assert http.delete(f"/collections/scenes{unclear}").status_code == 400
    seen = http.delete("/collections/scenes")
    assert seen.status_code == 200 and seen.json()["id"] == "scenes"
    assert http.delete(f"/collections/{acme.project}").status_code == 409  # it is no collection
    (_, create), (_, update), (_, patch), (_, delete), (_, whole) = server.calls
    assert create["slug"] == "fresh" and create["project_id"] == acme.project
    assert create["stac"]["license"] == "CC0-1.0" and create["description"] == "New"
    named = {"project_id": acme.project, "collection_id": acme.collection}
    assert update["collection_id"] == acme.collection and "slug" not in update
    assert update["set_stac"]["license"] == "CC0-1.0"
    # an extent that was found in the items is not made the collection's own by a change
    assert patch["name"] == "T" and patch["set_stac"] == {} and patch["unset_stac"] == []
    assert delete == {**named, "items": "keep"} and whole == {**named, "items": "delete"}


def test_a_refused_operation_is_its_problem(http: httpx.Client, server: Any) -> None:
    class Conflict(Exception):
        status, title, detail, headers = 409, "Conflict", "the id is taken", {"Retry-After": "1"}

    async def run(*_: Any) -> dict[str, Any]:
        raise Conflict

    server.run = run
    response = http.post("/collections/scenes/items", json=ITEM)
    assert response.status_code == 409 and response.json()["detail"] == "the id is taken"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"


def test_what_is_no_stac_document_is_422(http: httpx.Client, server: Any) -> None:
    for method, path, body, status in (
        ("POST", "/collections/scenes/items", {"type": "Feature", "id": "x"}, 422),
        ("POST", "/collections/scenes/items", ITEM | {"geometry": {"type": "Blob"}}, 422),
        ("POST", "/collections", {"id": "x"}, 422),
        ("PUT", "/collections/scenes/items/mine", ITEM, 400),
        ("PUT", "/collections/scenes/items/mine", [], 400),
        ("PATCH", "/collections/scenes/items/mine", {"id": "other"}, 400),
        ("PATCH", "/collections/scenes/items/mine", [{"op": "remove", "path": "/no"}], 400),
        ("PATCH", "/collections/scenes/items/mine", [{"op": "x", "path": "/id"}], 400),
        ("POST", "/collections/none/items", ITEM, 404),
        ("POST", "/collections/scenes/items", ITEM | {"collection": "other"}, 400),
        ("PUT", "/collections/scenes/items/mine", ITEM | {"id": "mine", "collection": "o"}, 400),
        ("DELETE", "/collections/none/items/none", None, 404),
    ):
        response = http.request(method, path, json=body)
        assert response.status_code == status, (method, path, response.text)
        assert response.headers["content-type"] == "application/problem+json"
        if status == 422:
            assert all({"loc", "msg", "type"} <= part.keys() for part in response.json()["detail"])
    assert server.calls == []

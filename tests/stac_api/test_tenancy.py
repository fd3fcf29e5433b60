"""Nobody sees what is not theirs, by any way in."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import httpx
import pytest

from stac_api.tenancy import Visibility

ROOT = "/assets/stac"


@pytest.fixture(scope="module")
def orgs(organization: Any) -> Any:
    acme, other = organization(), organization()
    for made in (acme, other):
        made.collection = made.new_collection("scenes")
        made.item = made.row(made.collection, stac_id=f"of {made.id}")
        made.second = made.new_project()
        made.elsewhere = made.row(None, project_id=made.second)
        asyncio.run(made.put(made.item, made.elsewhere))
    return acme, other


def client(server: Any, visibility: Visibility | None) -> httpx.Client:
    headers = server.caller(visibility) if visibility else {}
    return httpx.Client(base_url=server.url + ROOT, headers=headers, timeout=30)


def found(response: httpx.Response) -> set[str]:
    assert response.status_code == 200, response.text
    return {feature["properties"]["opstac:id"] for feature in response.json()["features"]}


def test_another_organization_is_not_there(server: Any, orgs: Any) -> None:
    acme, other = orgs
    stolen = (other.item["id"], other.item["stac_id"], other.elsewhere["id"])
    names = (other.collection, other.project, other.second)
    with client(server, acme.visibility) as http:
        assert found(http.get("/search?limit=100")) == {acme.item["id"], acme.elsewhere["id"]}
        for name in names:
            assert found(http.get("/search", params={"collections": name})) == set()
            for path in (f"/collections/{name}", f"/collections/{name}/items"):
                missing = http.get(path)
                assert missing.status_code == 404 and other.id not in missing.text
            assert http.get(f"/collections/{name}/queryables").status_code == 404
            for item in stolen:
                assert http.get(f"/collections/{name}/items/{item}").status_code == 404
        for item in stolen:
            assert found(http.get("/search", params={"ids": item})) == set()
            assert http.get(f"/collections/scenes/items/{item}").status_code == 404
        shown = {c["opstac:id"] for c in http.get("/collections").json()["collections"]}
        assert shown == {acme.collection, acme.second}
        for condition in (
            {"op": "=", "args": [{"property": "collection"}, other.collection]},
            {"op": "=", "args": [{"property": "opstac:project"}, other.project]},
            {"op": "=", "args": [{"property": "opstac:collection"}, other.collection]},
            {"op": "in", "args": [{"property": "id"}, list(stolen)]},
            {"op": "=", "args": [{"property": "opstac:stac_id"}, other.item["stac_id"]]},
        ):
            assert found(http.post("/search", json={"filter": condition})) == set()
        widened = {
            "op": "or",
            "args": [
                {"op": "isNull", "args": [{"property": "nothing"}]},
                {"op": "=", "args": [1, 1]},
            ],
        }
        seen = found(http.post("/search", json={"filter": widened, "limit": 100}))
        assert seen == {acme.item["id"], acme.elsewhere["id"]}
        # the same slug is another collection in each organization
        assert found(http.get("/search?collections=scenes")) == {acme.item["id"]}


def test_a_token_is_good_only_where_it_came_from(server: Any, orgs: Any) -> None:
    acme, other = orgs
    with client(server, acme.visibility) as http, client(server, other.visibility) as foreign:
        links = http.get("/search?limit=1").json()["links"]
        href = next(link["href"] for link in links if link["rel"] == "next")
        token = httpx.URL(href).params["token"]
        assert http.get("/search", params={"limit": 1, "token": token}).status_code == 200
        for bad in (
            foreign.get("/search", params={"limit": 1, "token": token}),
            http.get("/search", params={"token": token, "ids": "x"}),
            http.get("/search", params={"token": token, "sortby": "id"}),
            http.get("/search", params={"token": token[:-2]}),
            http.get("/search", params={"token": token + "A"}),
        ):
            assert bad.status_code == 400, bad.text


def test_projects_that_are_not_visible_are_not_there(server: Any, orgs: Any) -> None:
    acme, _ = orgs
    some = replace(acme.visibility, projects=frozenset([acme.second]))
    with client(server, some) as http:
        assert found(http.get("/search?limit=100")) == {acme.elsewhere["id"]}
        assert found(http.get("/search", params={"ids": acme.item["id"]})) == set()
        assert found(http.get("/search?collections=scenes")) == set()
        assert http.get("/collections/scenes").status_code == 404
        assert http.get(f"/collections/scenes/items/{acme.item['id']}").status_code == 404
        shown = {c["id"] for c in http.get("/collections").json()["collections"]}
        assert shown == {acme.second}
    for nothing in (
        replace(acme.visibility, projects=frozenset()),
        Visibility(None, None, frozenset()),
        Visibility(acme.id, None, None),
    ):
        with client(server, nothing) as http:
            body = http.get("/search").json()
            assert body["features"] == [] and body["numberMatched"] == 0
            assert http.get("/collections").json()["collections"] == []
            assert http.get("/").status_code == 200


def test_without_a_credential_only_what_is_public(server: Any, orgs: Any) -> None:
    acme, _ = orgs
    with client(server, None) as http:
        # other tests may have made collections public in this database
        assert acme.item["id"] not in found(http.get("/search", params={"limit": 10_000}))
        shown = http.get("/collections", params={"limit": 1000}).json()["collections"]
        assert acme.collection not in {c["id"] for c in shown}
        for path in ("/", "/conformance", "/api", "/queryables"):
            assert http.get(path).status_code == 200
        for path in (
            f"/search?collections={acme.collection}",
            f"/search?collections={uuid.uuid4().hex}",
            f"/collections/{acme.collection}",
            f"/collections/{acme.collection}/items",
            f"/collections/{acme.collection}/items/{acme.item['id']}",
            f"/collections/{acme.collection}/queryables",
        ):
            refused = http.get(path)
            assert refused.status_code == 401, path
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["content-type"] == "application/problem+json"
        assert http.post("/collections", json={}).status_code == 401
        assert http.delete(f"/collections/{acme.collection}").status_code == 401
        assert found(http.get("/search", params={"ids": acme.item["id"]})) == set()


def test_the_slot_of_another_organization_is_refused_by_the_database(orgs: Any, dsn: str) -> None:
    """Even if a visibility were put together wrongly."""
    import psycopg

    from stac_api.document import Mount
    from stac_api.reader import reader_pool
    from stac_api.request import SearchRequest
    from stac_api.search import Searcher

    acme, other = orgs

    async def ask() -> None:
        async with reader_pool(dsn) as pool:
            wrong = Visibility(acme.id, other.slot, None)
            await Searcher(pool, b"k").search(wrong, SearchRequest(), Mount("http://t"))

    with pytest.raises(psycopg.DatabaseError, match="does not belong"):
        asyncio.run(ask())

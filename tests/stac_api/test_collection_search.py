"""GET /collections and /children: found by text, place, time and filter, in the order asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest


def stac(west: float, east: float, begin: str | None, end: str | None, **more: Any) -> Any:
    return {
        "extent": {
            "spatial": {"bbox": [[west, 0, east, 10]]},
            "temporal": {"interval": [[begin, end]]},
        },
        **more,
    }


@pytest.fixture(scope="module")
def acme(organization: Any) -> Any:
    made = organization()
    made.new_collection(
        "a", **stac(0, 10, "2020-01-01T00:00:00Z", "2020-12-31T00:00:00Z", keywords=["Kelp, bay"])
    )
    made.new_collection("b", **stac(170, -170, "2021-01-01T00:00:00Z", None, license="CC0-1.0"))
    made.new_collection("c", **stac(-80, -70, None, "2019-01-01T00:00:00Z", license="MIT"))
    found = made.new_collection("d")
    asyncio.run(made.put(made.row(found, datetime="2022-05-01T00:00:00Z")))
    return made


@pytest.fixture
def http(server: Any, acme: Any) -> Any:
    headers = server.caller(acme.visibility)
    with httpx.Client(base_url=server.url + "/assets/stac", headers=headers) as client:
        yield client


def names(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["numberReturned"] == len(body["collections"])
    return [collection["id"] for collection in body["collections"]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "abcd"),
        ({"q": "kelp"}, "a"),
        ({"q": "kel"}, ""),
        ({"q": "nothing,BAY"}, "a"),
        ({"q": "a collection"}, "abcd"),
        ({"bbox": "5,5,6,6"}, "a"),
        ({"bbox": "175,1,176,2"}, "b"),
        ({"bbox": "-175,1,-174,2"}, "b"),
        ({"bbox": "170,-1,-60,1"}, "bc"),
        ({"bbox": "5,5,0,6,6,10"}, "a"),
        ({"bbox": "10.5,40.5,10.6,40.6"}, "d"),
        ({"bbox": "5,5,5,5"}, "a"),
        ({"bbox": "5,5,5,6"}, "a"),
        ({"bbox": "179,1,-179,1"}, "b"),
        ({"datetime": "2020-06-01T00:00:00Z"}, "a"),
        ({"datetime": "../2018-01-01T00:00:00Z"}, "c"),
        ({"datetime": "2022-01-01T00:00:00Z/.."}, "bd"),
        ({"filter": "license = 'MIT'"}, "c"),
        ({"filter": "license = 'MIT' OR id = 'a'"}, "ac"),
        ({"filter": "no_such > 3"}, ""),
        ({"filter": '{"op":"like","args":[{"property":"license"},"CC%"]}'}, "b"),
        ({"query": '{"license":{"startsWith":"M"}}'}, "c"),
        ({"sortby": "-id"}, "dcba"),
        ({"sortby": "license,id"}, "bcad"),
        ({"sortby": "-id", "limit": "2", "offset": "1"}, "cb"),
        ({"limit": "2", "offset": "3"}, "d"),
    ],
)
def test_what_fits_is_found(http: httpx.Client, asked: dict[str, str], expected: str) -> None:
    response = http.get("/collections", params=asked)
    assert "".join(names(response)) == expected
    matched = 4 if "limit" in asked else len(expected)
    assert response.json()["numberMatched"] == matched


def test_pages_lead_on_and_back(http: httpx.Client) -> None:
    seen: list[str] = []
    address: str | None = "/collections?limit=3&sortby=id&q=collection"
    while address:
        page = http.get(address)
        seen += names(page)
        links = {link["rel"]: link["href"] for link in page.json()["links"]}
        address = links.get("next")
    assert seen == ["a", "b", "c", "d"]
    assert names(http.get(links["previous"])) == ["a", "b", "c"]
    for bad in ("limit=0", "limit=x", "offset=-1", "bbox=1,2", "datetime=now", "filter=(", "q=,"):
        assert http.get(f"/collections?{bad}").status_code == 400, bad


def test_members_are_chosen(http: httpx.Client) -> None:
    some = http.get("/collections?fields=title,license").json()["collections"][0]
    assert set(some) == {"id", "links", "title", "license"}
    less = http.get("/collections?fields=-extent,-id").json()["collections"][0]
    assert "extent" not in less and "id" in less and "title" in less


def test_the_landing_page_and_children_say_the_same(http: httpx.Client) -> None:
    landing = http.get("").json()
    links = [link for link in landing["links"] if link["rel"] == "child"]
    children = http.get("/children").json()["children"]
    assert [http.get(link["href"]).json() for link in links] == children
    assert [link["title"] for link in links] == [child["title"] for child in children]
    declared = http.get("/conformance").json()["conformsTo"]
    assert declared == landing["conformsTo"]
    for part in ("browseable", "children", "item-search#free-text", "collection-search#sort"):
        assert any(uri.endswith(part) for uri in declared), part


def test_the_landing_page_and_children_go_on_where_there_are_more(http: httpx.Client) -> None:
    def walk(path: str, rel: str) -> list[list[str]]:
        pages = []
        while path:
            page = http.get(path).json()
            links = {link["rel"]: link["href"] for link in page["links"]}
            pages.append(
                [child["id"] for child in page["children"]]
                if "children" in page
                else [
                    link["href"].rpartition("/")[2]
                    for link in page["links"]
                    if link["rel"] == "child"
                ]
            )
            path = links.get(rel, "")
        return pages

    for path in ("", "/children"):
        assert walk(f"{path}?limit=3", "next") == [["a", "b", "c"], ["d"]], path
        assert walk(f"{path}?limit=2", "next") == [["a", "b"], ["c", "d"]], path
        assert walk(f"{path}?limit=2&offset=3", "previous") == [["d"], ["b", "c"], ["a", "b"]]
        assert http.get(f"{path}?limit=0").status_code == 400
    rels = [link["rel"] for link in http.get("").json()["links"]]
    assert "next" not in rels and "previous" not in rels


def test_sortables_are_listed(http: httpx.Client) -> None:
    for path in ("/sortables", "/collections/a/sortables", "/collections-sortables"):
        schema = http.get(path)
        assert schema.headers["content-type"] == "application/schema+json"
        assert "title" in schema.json()["properties"]
        assert schema.json()["$id"].endswith(path)
    assert http.get("/collections/none/sortables").status_code == 404
    assert http.get("/_mgmt/health").json()["pgstac"]["status"] == "UP"


def test_a_collection_of_one_place_is_found_there_and_nowhere_else(
    server: Any, organization: Any
) -> None:
    owner = organization()
    owner.new_collection("point", extent={"spatial": {"bbox": [[7.5, 50, 7.5, 50]]}})
    owner.new_collection("line", extent={"spatial": {"bbox": [[7, 51, 8, 51]]}})
    headers = server.caller(owner.visibility)
    with httpx.Client(base_url=server.url + "/assets/stac", headers=headers) as client:
        for box, expected in (
            ("7,49,8,50", ["point"]),
            ("7.5,50,7.5,50", ["point"]),
            ("7.5,50,7.5,51", ["point", "line"]),
            ("100,0,110,10", []),
        ):
            assert names(client.get("/collections", params={"bbox": box})) == expected, box


def test_any_filter_of_collections_is_answered_or_refused(http: httpx.Client) -> None:
    for text in (
        '{"op":"s_intersects","args":[{"property":"geometry"},{"type":"Point","coordinates":[5,5]}]}',
        '{"op":"s_within","args":[{"property":"geometry"},{"bbox":[0,0,0,180,90,1]}]}',
        '{"op":"t_after","args":[{"property":"created"},{"interval":["..","2024-01-01"]}]}',
        '{"op":"a_overlaps","args":[{"property":"keywords"},[1,"a"]]}',
        '{"op":"=","args":[{"op":"/","args":[{"property":"x"},0]},1]}',
        '{"op":"in","args":[{"property":"id"},[]]}',
        '{"op":"like","args":[{"property":"title"},"%\\\\"]}',
        '{"op":"=","args":[{"op":"^","args":[9,{"property":"n"}]},{"date":"2024-01-01"}]}',
        '{"op":"=","args":[{"op":"casei","args":[{"property":"id"}]},{"op":"accenti","args":["A"]}]}',
        '{"op":"between","args":[{"property":"extent"},"a",{"timestamp":"2024-01-01T00:00:00Z"}]}',
        '{"op":"isNull","args":[{"property":"a.b.c"}]}',
        '{"op":"=","args":[null,{"property":"id"}]}',
        "true",
        "title LIKE '" + "%a" * 2000 + "'",
    ):
        answer = http.get("/collections", params={"filter": text})
        assert answer.status_code in (200, 400), (text, answer.text)


async def test_an_extent_is_of_the_items_seen(organization: Any, server: Any) -> None:
    """Over boxes in two and three dimensions, across the antimeridian, and spans of time."""
    owner = organization()
    other = owner.new_project()
    plain, round_ = owner.new_collection("plain"), owner.new_collection("round")
    gone = owner.row(plain, bbox=[-99.0, -9.0, 99.0, 9.0], datetime="1999-01-01T00:00:00Z")
    await owner.put(
        owner.row(plain, bbox=[10.0, 40.0, 11.0, 41.0], datetime="2025-02-01T00:00:00Z"),
        owner.row(
            plain, bbox=[12.0, 38.0, -5.0, 13.0, 39.0, 500.0], datetime="2025-01-01T00:00:00Z"
        ),
        owner.row(
            plain,
            bbox=[10.5, 40.0, 10.6, 40.1],
            datetime=None,
            start_datetime="2024-12-01T00:00:00Z",
            end_datetime="2025-03-01T00:00:00Z",
        ),
        owner.row(round_, bbox=[179.0, -17.0, -179.0, -16.0]),
        owner.row(project_id=other, bbox=[1.0, 2.0, 3.0, 4.0]),
        gone,
    )
    with owner.connect() as conn:
        conn.execute("update item set deleted_at = now() where id = %s", (gone["id"],))
    headers = server.caller(owner.visibility)
    async with httpx.AsyncClient(base_url=server.url + "/assets/stac", headers=headers) as http:
        answer = (await http.get("/collections")).json()
    found = {collection["id"]: collection["extent"] for collection in answer["collections"]}
    assert found["plain"] == {
        "spatial": {"bbox": [[10, 38, 13, 41]]},
        "temporal": {"interval": [["2024-12-01T00:00:00Z", "2025-03-01T00:00:00Z"]]},
    }
    assert found["round"]["spatial"]["bbox"] == [[-180, -17, 180, -16]]
    assert found[other]["spatial"]["bbox"] == [[1, 2, 3, 4]]

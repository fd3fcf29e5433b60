"""Searches as operations: STAC's filters over the items a caller may see."""

from __future__ import annotations

import pytest


@pytest.fixture
async def stocked(api, catalogue):
    """An owner, two projects, a collection, and four items."""
    owner = await api.organization()
    first, second = await api.project(owner), await api.project(owner, "Second")
    collection = await api.ok("collections.create", {"name": "c", "project_id": first}, as_=owner)
    point = {"type": "Point", "coordinates": [5, 51]}
    made = []
    for project, fields in (
        (first, {"datetime": "2025-01-15T00:00:00Z", "cloud_cover": 80, "geometry": point}),
        (
            first,
            {
                "datetime": "2025-06-15T00:00:00Z",
                "cloud_cover": 12,
                "collection_id": collection["id"],
            },
        ),
        (second, {"datetime": "2025-03-01T00:00:00Z", "properties": {"platform": "landsat-8"}}),
        (second, {"datetime": "2024-01-01T00:00:00Z", "type": "clip"}),
    ):
        made.append((await catalogue.item(owner, project, **fields))["id"])
    return owner, (first, second), collection["id"], made


async def found(api, owner, op_id, **body):
    answer = await api.ok(op_id, body, as_=owner)
    assert answer["type"] == "FeatureCollection"
    assert answer["numberReturned"] == len(answer["features"])
    return [feature["id"] for feature in answer["features"]], answer["numberMatched"]


async def test_filters_of_the_project_and_organization_searches(api, stocked):
    owner, (first, second), collection, (a, b, c, d) = stocked
    assert await found(api, owner, "items.search", project_id=first) == ([b, a], 2)
    assert await found(api, owner, "items.search", project_id=second) == ([c, d], 2)
    for body, wanted in (
        ({}, [b, c, a, d]),
        ({"bbox": [4, 50, 6, 52]}, [a]),
        ({"datetime": "2025-02-01/2025-12-31"}, [b, c]),
        ({"datetime": "2025-06-01/.."}, [b]),
        ({"collections": [collection]}, [b]),
        ({"collections": [second]}, [c, d]),
        ({"collections": ["other"]}, []),
        ({"type": "clip"}, [d]),
        ({"query": {"eo:cloud_cover": {"lt": 20}}}, [b]),
        ({"query": {"platform": {"eq": "landsat-8"}}}, [c]),
        ({"query": {"platform": {"startsWith": "land"}}, "type": "user_raster"}, [c]),
        ({"query": {"eo:cloud_cover": {"gte": 12, "lte": 80}}}, [b, a]),
        ({"sortby": [{"field": "datetime", "direction": "asc"}]}, [d, a, c, b]),
        (
            {
                "sortby": [{"field": "properties.eo:cloud_cover", "direction": "desc"}],
                "collections": [collection, first],
            },
            [a, b],
        ),
    ):
        assert await found(api, owner, "items.search_org", **body) == (wanted, len(wanted)), body


async def test_pages_are_the_whole(api, stocked):
    owner, _, _, (a, b, c, d) = stocked
    pages, body = [], {"limit": 3}
    answer = await api.ok("items.search_org", body, as_=owner)
    while True:
        pages += [f["id"] for f in answer["features"]]
        assert answer["numberMatched"] == 4
        following = [link for link in answer["links"] if link["rel"] == "next"]
        if not following:
            break
        answer = await api.ok("items.search_org", {**body, **following[0]["body"]}, as_=owner)
    assert pages == [b, c, a, d]
    sort = [{"field": "datetime"}]
    for number, item in enumerate([d, a, c, b]):
        page = {"sortby": sort, "limit": 1, "page": number}
        assert await found(api, owner, "stac.search", **page) == ([item], 4)


async def test_an_item_may_be_asked_for_instead_of_a_feature(api, stocked):
    owner, _, _, (a, b, c, d) = stocked
    answer = await api.ok("items.search_org", {"format": "items"}, as_=owner)
    assert [f["id"] for f in answer["features"]] == [b, c, a, d]
    assert (
        answer["features"][0]
        == (await api.ok("items.list_by_collection", {"collection_id": stocked[2]}, as_=owner))[
            "items"
        ][0]
    )
    await api.refused(422, "items.search_org", {"format": "xml"}, as_=owner)


async def test_filters_in_cql2_and_geometries(api, stocked):
    owner, _, _, (a, b, _, _) = stocked
    clear = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}
    assert await found(api, owner, "stac.search", filter=clear) == ([b], 1)
    assert await found(api, owner, "stac.search", ids=[a, b]) == ([b, a], 2)
    area = {"type": "Polygon", "coordinates": [[[4, 50], [6, 50], [6, 52], [4, 52], [4, 50]]]}
    assert await found(api, owner, "stac.search", intersects=area) == ([a], 1)


@pytest.mark.parametrize(
    "body",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": [0, 10, 1, -10]},
        {"datetime": "soon"},
        {"datetime": "2025-02-01/2025-01-01"},
        {"query": {"a": 1}},
        {"query": {"a": {"resembles": 1}}},
        {"sortby": [{"direction": "asc"}]},
        {"sortby": [{"field": "geometry"}]},
        {"limit": 0},
        {"limit": 2**53},
        {"offset": 2**52},
        {"base_url": "nowhere"},
        {"type": "picture"},
    ],
)
async def test_what_has_no_meaning_is_refused(api, stocked, body):
    await api.refused(422, "items.search_org", body, as_=stocked[0])


@pytest.mark.parametrize(
    "body",
    [
        {"filter": {"op": "resembles", "args": []}},
        {"filter": {"op": "=", "args": [1]}},
        {"filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, "x"]}},
        {"intersects": {"type": "Point", "coordinates": []}},
        {"intersects": {"type": "Point", "coordinates": [0, 0]}, "bbox": [0, 0, 1, 1]},
        {"page": 2**52, "limit": 10_000},
        {"filter-lang": "sql", "filter": {"op": "=", "args": [1, 1]}},
    ],
)
async def test_what_has_no_meaning_in_stac_search_is_refused(api, stocked, body):
    await api.refused(422, "stac.search", body, as_=stocked[0])


async def test_a_member_sees_its_own_projects(api, stocked):
    owner, (first, second), collection, (_a, _b, c, d) = stocked
    member = await api.member(owner, "member")
    add = {"user_id": member.user_id, "project_id": second, "role": "viewer"}
    await api.ok("projects.add_member", add, as_=owner)
    for op_id in ("items.search_org", "stac.search"):
        assert await found(api, member, op_id) == ([c, d], 2)
        assert await found(api, member, op_id, collections=[collection]) == ([], 0)
    await api.refused(403, "items.search", {"project_id": first}, as_=member)
    shown = await api.ok("stac.collections.list", {}, as_=member)
    assert [c["id"] for c in shown["collections"]] == [second]
    assert shown["numberMatched"] == shown["numberReturned"] == 1


async def test_collections_lead_where_the_caller_says(api, stocked):
    owner, _, collection, _ = stocked
    shown = await api.ok(
        "stac.collections.list", {"base_url": "https://maps.example.org"}, as_=owner
    )
    assert collection in {c["id"] for c in shown["collections"]}
    links = [link["href"] for c in shown["collections"] for link in c["links"]]
    assert links and all(href.startswith("https://maps.example.org/assets/stac") for href in links)

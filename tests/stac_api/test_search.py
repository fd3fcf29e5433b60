"""Search over real HTTP, with httpx and pystac-client."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import httpx
import psycopg
import pystac_client
import pytest

from stac_api.document import WEB_MAP_LINKS

MOUNTS = ("/assets/stac", "/v2/assets/stac")
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


@pytest.fixture(scope="module")
def acme(organization: Any) -> Any:
    """Ten items of January 2025 in one collection, one of June, one in none."""
    made = organization()
    made.collection = made.new_collection("scenes")
    rows = [
        made.row(
            made.collection,
            datetime=f"2025-01-{day:02d}T00:00:00Z",
            cloud_cover=float(day),
            gsd=10.0,
            properties={"platform": f"sentinel-2{'ab'[day % 2]}", "nested": {"a": day}},
        )
        for day in range(1, 11)
    ]
    rows.append(made.row(made.collection, datetime="2025-06-15T00:00:00Z", stac_id="my own id"))
    rows.append(made.row(None, datetime="2025-03-01T00:00:00Z", geometry=None, bbox=None))
    asset = {
        "id": "as_one",
        "key": "data",
        "media_type": "image/tiff",
        "is_cog": True,
        "title": "T",
    }
    asyncio.run(made.put(*rows, assets=(asset,)))
    made.rows = rows
    return made


@pytest.fixture(scope="module")
def http(server: Any, acme: Any) -> Any:
    with httpx.Client(
        base_url=server.url + MOUNTS[0], headers=server.caller(acme.visibility), timeout=30
    ) as client:
        yield client


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [feature["id"] for feature in response.json()["features"]]


def search(http: httpx.Client, **body: Any) -> list[str]:
    return ids(http.post("/search", json={"limit": 100, **body}))


@pytest.mark.parametrize("prefix", MOUNTS)
def test_pystac_client_finds_what_is_there(server: Any, acme: Any, prefix: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pystac_client.warnings.PystacClientWarning)
        client = pystac_client.Client.open(
            server.url + prefix, headers=server.caller(acme.visibility)
        )
        assert client.conforms_to("ITEM_SEARCH") and client.conforms_to("COLLECTIONS")
        assert client.conforms_to("SORT") and client.conforms_to("FILTER")
        january = [row["id"] for row in acme.rows[:10]]

        def found(**query: Any) -> list[str]:
            return [item.id for item in client.search(collections=["scenes"], **query).items()]

        assert sorted(found()) == sorted([*january, "my own id"])
        assert sorted(found(datetime="2025-01-01/2025-03-01")) == sorted(january)
        assert len(found(bbox=[10.5, 40.5, 12, 42])) == 11
        assert found(bbox=[50, 40, 51, 41]) == []
        assert len(found(bbox=[170.5, 40.5, -140, 42])) == 0
        assert len(found(intersects={"type": "Point", "coordinates": [10.5, 40.5]})) == 11
        assert found(ids=["my own id"]) == ["my own id"]
        assert found(ids=[acme.rows[10]["id"]]) == ["my own id"]
        clear = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 3]}
        assert sorted(found(filter=clear, filter_lang="cql2-json")) == sorted(january[:2])
        assert found(sortby="-datetime", limit=3) == ["my own id", *reversed(january)]
        assert found(sortby="datetime", limit=4, method="GET") == [*january, "my own id"]
        assert client.search(collections=["scenes"]).matched() == 11
        collection = client.get_collection("scenes")
        assert collection.extent.temporal.intervals[0][1].month == 6
        item = collection.get_item("my own id")
        assert item is not None and item.assets["data"].media_type == COG
        assert item.assets["data"].href == f"{server.url}/v2/assets/as_one"
        assert item.get_self_href().startswith(f"{server.url}{prefix}/collections/scenes/items/")
        rels = {link.rel for link in item.links}
        assert {"self", "parent", "collection", "root", "tilejson"} <= rels
        assert {c.id for c in client.get_collections()} == {"scenes", acme.project}


@pytest.mark.parametrize("limit", [1, 3, 7, 12, 100])
@pytest.mark.parametrize("sortby", ["", "-datetime", "id", "properties.eo:cloud_cover,-datetime"])
def test_pages_are_the_whole_without_repeats(http: httpx.Client, limit: int, sortby: str) -> None:
    whole = ids(http.get("/search", params={"limit": 100, "sortby": sortby}))
    address, seen, pages = f"/search?limit={limit}&sortby={sortby}", [], []
    while address:
        response = http.get(address)
        body = response.json()
        seen += ids(response)
        pages.append(ids(response))
        assert body["numberMatched"] == 12
        links = {link["rel"]: link["href"] for link in body["links"]}
        address = links.get("next", "")
    assert seen == whole and len(set(seen)) == 12
    # and back again
    for page in reversed(pages[:-1]):
        response = http.get(links["prev"])
        assert ids(response) == page
        links = {link["rel"]: link["href"] for link in response.json()["links"]}
    assert "prev" not in links


def test_a_page_goes_on_when_its_last_item_is_gone(organization: Any, server: Any) -> None:
    own = organization()
    asyncio.run(own.put(*(own.row(datetime=f"2025-01-{day:02d}T00:00:00Z") for day in range(1, 9))))
    with httpx.Client(
        base_url=server.url + MOUNTS[0], headers=server.caller(own.visibility)
    ) as http:
        whole = search(http)
        body = http.post("/search", json={"limit": 4}).json()
        link = next(link for link in body["links"] if link["rel"] == "next")
        with own.connect() as conn:
            conn.execute("select remove_items(%s, %s)", (own.slot, [whole[3]]))
        assert ids(http.request(link["method"], link["href"], json=link["body"])) == whole[4:]


def test_an_item_without_geometry_has_none(http: httpx.Client, acme: Any) -> None:
    feature = http.get(f"/collections/{acme.project}/items/{acme.rows[11]['id']}").json()
    assert feature["geometry"] is None and "bbox" not in feature
    assert feature["collection"] == acme.project


def test_fields_are_chosen(http: httpx.Client, acme: Any) -> None:
    def one(fields: str) -> dict[str, Any]:
        response = http.get("/search", params={"limit": 1, "fields": fields})
        assert response.headers["content-type"].startswith("application/geo+json")
        return response.json()["features"][0]

    assert set(one("properties.datetime")) == {
        *("type", "stac_version", "id", "collection", "properties"),
    }
    assert set(one("properties.datetime")["properties"]) == {"datetime"}
    assert "assets" not in one("-assets") and "links" in one("-assets")
    assert set(one("-links,-assets,properties.datetime")) == {
        *("type", "stac_version", "id", "collection", "properties"),
    }
    assert set(one("properties.no_such")) == {"id", "collection", "links"}
    assert set(one("-properties,properties.datetime")["properties"]) == {"datetime"}
    # without an include it is what makes an item valid
    assert set(one("")["properties"]) == {"datetime"} and "assets" in one("")


def test_the_query_extension_knows_texts_and_lists(http: httpx.Client, acme: Any) -> None:
    def found(**operators: Any) -> int:
        return len(search(http, query={"platform": operators}))

    assert found(eq="sentinel-2a") == 5
    assert found(startsWith="sentinel") == 10
    assert found(endsWith="2b") == 5
    assert found(contains="nel-2") == 10
    assert found(contains="%") == 0
    assert found(**{"in": ["sentinel-2a", "sentinel-2b"]}) == 10
    assert len(search(http, query={"eo:cloud_cover": {"gte": 3, "lt": 5}})) == 2
    # a form sends numbers as text
    assert len(search(http, query={"eo:cloud_cover": {"gte": "3", "lt": "5.0"}})) == 2
    assert len(search(http, query={"eo:cloud_cover": {"in": ["3", 4]}})) == 2
    for wrong in ("many", "NaN", "1e999", [["3"]]):
        query = {"eo:cloud_cover": {"eq": wrong}}
        assert http.post("/search", json={"query": query}).status_code == 400, wrong
    both = {"query": {"gsd": {"lte": 4}}, "filter": {"op": "=", "args": [1, 1]}}
    assert http.post("/search", json=both).status_code == 400


P = {"property": "platform"}
CASES = [
    ("eo:cloud_cover <= 3", 3),
    ("3 >= eo:cloud_cover", 3),
    ("eo:cloud_cover = 1 + 2", 1),
    ("eo:cloud_cover BETWEEN 2 AND 4", 3),
    ("NOT (eo:cloud_cover > 3)", 3),
    ("platform LIKE 'sentinel-2_'", 10),
    ("platform IN ('sentinel-2a', 'x')", 5),
    ("CASEI(platform) = CASEI('SENTINEL-2A')", 5),
    ("platform IS NULL", 2),
    ("platform = 'sentinel-2a' AND eo:cloud_cover < 5 OR eo:cloud_cover = 9", 3),
    ("datetime > TIMESTAMP('2025-01-09T00:00:00Z')", 3),
    ("datetime = TIMESTAMP('2025-01-09T00:00:00Z')", 1),
    ("datetime <= TIMESTAMP('2025-01-02T00:00:00Z')", 2),
    ("T_BEFORE(datetime, TIMESTAMP('2025-01-03T00:00:00Z'))", 2),
    ("T_DURING(datetime, INTERVAL('2025-01-03T00:00:00Z', '2025-01-06T00:00:00Z'))", 2),
    ("T_INTERSECTS(datetime, INTERVAL('2025-06-01', '..'))", 1),
    ("S_INTERSECTS(geometry, BBOX(10.5, 40.5, 12, 42))", 11),
    ("S_INTERSECTS(POINT(10.5 40.5), geometry)", 11),
    ("S_WITHIN(geometry, POLYGON((0 0, 60 0, 60 60, 0 60, 0 0)))", 12),
    ("S_CONTAINS(POLYGON((0 0, 60 0, 60 60, 0 60, 0 0)), geometry)", 12),
    ("S_DISJOINT(geometry, GEOMETRYCOLLECTION(POINT(10.5 40.5), POINT(0 0)))", 0),
    ("collection = 'scenes'", 11),
    ("collection <> 'scenes'", 1),
    ("collection IN ('scenes', 'other')", 11),
    ("id = 'my own id'", 1),
    ("id <> 'my own id'", 11),
    ("id LIKE 'my%'", 1),
    ("gsd = 10 AND eo:cloud_cover + 1 > 9", 2),
    ("(eo:cloud_cover * 2 + 1) / 3 > 6", 2),
    ("10 - eo:cloud_cover > 7", 2),
    ("eo:cloud_cover + gsd = 13", 1),
    ("1 = 1", 12),
    ("'a' = 'b'", 0),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_cql2_text(http: httpx.Client, text: str, expected: int) -> None:
    parameters = {"filter": text, "filter-lang": "cql2-text", "limit": 100}
    found = ids(http.get("/search", params=parameters))
    if "S_WITHIN" in text or "S_CONTAINS" in text:
        expected = 11  # nothing is within without a geometry
    assert len(found) == expected


def test_collections_are_named_by_slug_or_id(http: httpx.Client, acme: Any) -> None:
    for name in ("scenes", acme.collection):
        assert len(search(http, collections=[name])) == 11
        assert len(ids(http.get(f"/collections/{name}/items?limit=50"))) == 11
        document = http.get(f"/collections/{name}").json()
        assert document["id"] == "scenes" and document["opstac:id"] == acme.collection
    assert search(http, collections="scenes") == search(http, collections=["scenes"])
    assert search(http, collections=[acme.project]) == [acme.rows[11]["id"]]
    assert search(http, collections=["none such"]) == []
    assert len(search(http, collections=[])) == 12


def test_large_counts_are_marked_as_estimates(organization: Any, server: Any) -> None:
    big = organization()
    with big.connect("opstac_system") as conn:
        table = conn.execute("select slot_partition(%s) as name", (big.slot,)).fetchone()["name"]
        conn.execute(
            f"""insert into pgstac.{table}
              (id, geometry, collection, datetime, end_datetime, content)
            select 'it_' || n, st_makepoint(0, 0)::geometry, %s, now(), now(),
              jsonb_build_object('properties', jsonb_build_object('opstac:project', %s::text,
                'opstac:collection', %s::text, 'opstac:stac_id', 'it_' || n))
            from generate_series(1, 1001) n""".encode(),
            (big.slot, big.project, big.project),
        )
    headers = server.caller(big.visibility)
    with httpx.Client(base_url=server.url + MOUNTS[0], headers=headers) as http:
        some = http.get("/search", params={"ids": "it_1,it_2"}).json()
        assert some["numberMatched"] == 2 and "numberMatchedEstimated" not in some
        page = http.get("/search").json()
        assert page["numberMatched"] > 1_000 and page["numberMatchedEstimated"] is True
        assert page["opstac:numberMatchedAtLeast"] == 1_001


def test_links_do_not_follow_what_a_client_says(server: Any, acme: Any) -> None:
    headers = server.caller(acme.visibility) | {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "geo.example.org",
        "Forwarded": "proto=https;host=geo.example.org",
    }
    for prefix in MOUNTS:
        for path in ("/", "/search", "/collections", "/collections/scenes"):
            body = httpx.get(server.url + prefix + path, headers=headers).json()
            assert body["links"]
            assert all(link["href"].startswith(server.url + prefix) for link in body["links"])


def test_the_landing_page_describes_the_api(http: httpx.Client) -> None:
    landing = http.get("/").json()
    assert landing["type"] == "Catalog" and landing["stac_version"] == "1.0.0"
    classes = set(http.get("/conformance").json()["conformsTo"])
    assert classes == set(landing["conformsTo"])
    assert "https://api.stacspec.org/v1.0.0/item-search#sort" in classes
    assert {"self", "root", "data", "conformance", "search", "service-desc", "child"} <= {
        link["rel"] for link in landing["links"]
    }
    described = http.get("/api").json()
    assert "/assets/stac/search" in described["paths"]
    assert http.get("/queryables").json()["properties"]["eo:cloud_cover"]["type"] == "number"
    queryables = http.get("/collections/scenes/queryables").json()
    assert queryables["$id"].endswith("/collections/scenes/queryables")
    assert "opstac:stac_id" not in queryables["properties"]


def test_a_database_that_is_away_is_503(organization: Any) -> None:
    from stac_api.document import Mount
    from stac_api.errors import Unavailable
    from stac_api.reader import reader_pool
    from stac_api.request import SearchRequest
    from stac_api.search import Searcher

    async def ask() -> None:
        pool = reader_pool("postgresql://nobody@127.0.0.1:1/none", min_size=0)
        pool.timeout = 0.3
        await pool.open()
        try:
            await Searcher(pool, b"k").search(
                organization().visibility, SearchRequest(), Mount("http://t")
            )
        finally:
            await pool.close()

    with pytest.raises(Unavailable):
        asyncio.run(ask())


def test_stored_and_hydrated_items_agree(http: httpx.Client, acme: Any) -> None:
    """What we merge in Python equals what pgstac hydrates in SQL."""
    ours = http.get("/search", params={"limit": 100}).json()["features"]
    with psycopg.connect(acme.dsn) as conn:
        conn.execute("set role opstac_stac")
        conn.execute("set search_path = pgstac, public; set pgstac.readonly = 'true'")
        row = conn.execute(
            "select search(jsonb_build_object('collections', array[%s::text], 'limit', 100))",
            (acme.slot,),
        ).fetchone()
    assert row is not None
    theirs = row[0]["features"]
    assert len(ours) == len(theirs) == 12
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["properties"].pop("opstac:id") == other["id"]
        assert mine["id"] == other["properties"].pop("opstac:stac_id")
        assert mine["properties"] == other["properties"]
        assert set(mine["assets"]) == set(other["assets"])
        assert mine["assets"]["data"]["href"].endswith(other["assets"]["data"]["href"])
        # map links are ours, and so is the extension that names them
        if any(link["rel"] == "tilejson" for link in mine["links"]):
            assert WEB_MAP_LINKS in mine["stac_extensions"]
            mine["stac_extensions"].remove(WEB_MAP_LINKS)
        for name in ("type", "stac_version", "stac_extensions", "bbox"):
            assert mine.get(name) == other.get(name)
        if mine["geometry"] is not None:
            assert mine["geometry"] == other["geometry"]

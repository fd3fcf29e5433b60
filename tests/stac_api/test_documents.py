"""Documents: valid STAC 1.0.0, with what a file's inspection found."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from stac_pydantic import Collection, Item
from stac_pydantic.api import ItemCollection, LandingPage

from stac_api.document import Mount, feature, item_document
from stac_api.request import SearchRequest
from stac_api.search import Searcher

BAND = {
    "index": 1,
    "name": "B04",
    "dtype": "uint16",
    "minimum": 1.0,
    "maximum": 900.0,
    "mean": 100.5,
    "stddev": math.nan,
    "p2": 2.0,
    "p98": 800.0,
    "valid_percent": 99.5,
    "common_name": "red",
}
ASSET = {
    "id": "as_1",
    "key": "data",
    "title": "The image",
    "media_type": "image/tiff",
    "is_cog": True,
    "roles": ["data"],
    "size_bytes": 1234,
    "checksum": "ab" * 32,
    "epsg": 32756,
    "width": 200,
    "height": 100,
    "transform": [10.0, 0.0, 300000.0, 0.0, -10.0, 6200000.0],
    "nodata": 0.0,
    "nodata_is_nan": False,
    "bands": [BAND, {"index": 2, "name": "odd", "common_name": "mauve", "dtype": "float32"}],
    "datetime": datetime(2025, 1, 15, tzinfo=UTC),
}


@pytest.fixture(scope="module")
def row(organization: Any) -> dict[str, Any]:
    acme = organization()
    return acme.row(
        acme.new_collection("scenes"),
        cloud_cover=12.5,
        gsd=10,
        description="Seen from above",
        properties={"platform": "x", "opstac:project": "proj_somebody_else"},
        created_at=datetime(2025, 1, 16, 3, 4, 5, 678901, tzinfo=UTC),
    )


def test_an_item_is_valid_stac(row: dict[str, Any]) -> None:
    document = feature(item_document(row, [ASSET]), "scenes", Mount("https://example.org"))
    Item.model_validate(document)
    assert document["stac_version"] == "1.0.0"
    properties = document["properties"]
    assert properties["created"] == "2025-01-16T03:04:05.678901Z"
    assert properties["eo:cloud_cover"] == 12.5 and properties["gsd"] == 10
    asset = document["assets"]["data"]
    assert asset["href"] == "https://example.org/v2/assets/as_1"
    assert asset["type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert asset["file:checksum"] == "1220" + "ab" * 32 and asset["file:size"] == 1234
    assert asset["proj:code"] == "EPSG:32756" and asset["proj:shape"] == [100, 200]
    assert asset["datetime"] == "2025-01-15T00:00:00Z"
    first, second = asset["raster:bands"]
    assert first["data_type"] == "uint16" and first["nodata"] == 0.0
    # what is no number is left out
    assert set(first["statistics"]) == {"minimum", "maximum", "mean", "valid_percent"}
    assert "statistics" not in second
    assert asset["eo:bands"] == [{"name": "B04", "common_name": "red"}, {"name": "odd"}]
    used = {uri.split("/")[3] for uri in document["stac_extensions"]}
    assert used == {"eo", "file", "projection", "raster", "timestamps", "version"}


def test_a_client_cannot_give_itself_a_project(row: dict[str, Any]) -> None:
    assert item_document(row, [])["properties"]["opstac:project"] == row["project_id"]


def test_a_span_has_no_datetime(row: dict[str, Any]) -> None:
    span = {"datetime": None, "start_datetime": "2025-01-01T00:00:00Z"}
    span["end_datetime"] = "2025-02-01T00:00:00Z"
    document = feature(item_document(row | span, []), "scenes", Mount("http://t"))
    Item.model_validate(document)
    assert document["properties"]["datetime"] is None
    assert document["properties"]["end_datetime"] == "2025-02-01T00:00:00Z"


def test_names_are_safe_in_addresses(row: dict[str, Any]) -> None:
    document = feature(item_document(row | {"stac_id": "a/b c?"}, []), "ü", Mount("http://t"))
    assert document["id"] == "a/b c?"
    assert document["links"][0]["href"].endswith("/collections/%C3%BC/items/a%2Fb%20c%3F")


def test_answers_are_valid_stac(server: Any, organization: Any) -> None:
    import asyncio

    acme = organization()
    collection = acme.new_collection("scenes", keywords=["one"], license="CC-BY-4.0")
    acme.new_collection("empty")
    asyncio.run(acme.put(acme.row(collection), acme.row(None), assets=(ASSET,)))
    headers = server.caller(acme.visibility)
    with httpx.Client(base_url=f"{server.url}/assets/stac", headers=headers) as http:
        landing = http.get("/")
        LandingPage.model_validate(landing.json())
        # without its last slash it is the same page, not a redirect
        bare = httpx.get(f"{server.url}/assets/stac", headers=headers)
        assert (bare.status_code, bare.json()) == (200, landing.json())
        page = http.get("/search").json()
        ItemCollection.model_validate(page)
        listed = http.get("/collections").json()["collections"]
        assert [c["id"] for c in listed] == [acme.project, "scenes", "empty"]
        for document in listed:
            Collection.model_validate(document)
        scenes = http.get("/collections/scenes").json()
        assert scenes["license"] == "CC-BY-4.0" and scenes["keywords"] == ["one"]
        assert scenes["extent"]["spatial"]["bbox"] == [[10, 40, 11, 41]]
        first = http.get("/collections", params={"limit": 2}).json()
        links = {link["rel"]: link["href"] for link in first["links"]}
        assert [c["id"] for c in http.get(links["next"]).json()["collections"]] == ["empty"]


async def test_what_is_stored_reads_back_the_same(
    row: dict[str, Any], searcher: Searcher, organization: Any
) -> None:
    acme = organization()
    own = acme.row(acme.new_collection(), cloud_cover=1.0)
    await acme.put(own, assets=(ASSET,))
    mount = Mount("https://example.org")
    page = await searcher.search(acme.visibility, SearchRequest(), mount)
    assert page.features == [feature(item_document(own, [ASSET]), own["collection_id"], mount)]

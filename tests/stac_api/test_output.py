"""Items as lines: one page, or everything, and honest about which."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from stac_api import output
from stac_api.reader import reader_pool
from stac_api.search import Searcher


@pytest.fixture(scope="module")
def acme(organization: Any) -> Any:
    made = organization()
    made.collection = made.new_collection("scenes")
    rows = [
        made.row(made.collection, name=f"Number {n}", properties={"keywords": ["of", f"Word{n}"]})
        for n in range(23)
    ]
    rows[3]["description"] = "50% of the Harbour"
    made.rows = rows
    asyncio.run(made.put(*rows))
    return made


@pytest.fixture
def http(server: Any, acme: Any) -> Any:
    headers = server.caller(acme.visibility)
    with httpx.Client(base_url=server.url + "/assets/stac", headers=headers) as client:
        yield client


def parsed(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    begin = "\x1e" if response.headers["content-type"] == output.SEQUENCE else ""
    *lines, last = response.text.split("\n")
    assert last == ""
    assert all(line.startswith(begin) for line in lines)
    features = [json.loads(line.removeprefix(begin)) for line in lines]
    assert all(feature["type"] == "Feature" and feature["links"] for feature in features)
    return [feature["id"] for feature in features]


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/geo+json-seq"])
def test_everything_comes_without_a_limit(
    http: httpx.Client, acme: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "STREAMED_PAGE", 5)
    wanting = {"Accept": f"{kind}, application/geo+json;q=0.5"}
    whole = {row["id"] for row in acme.rows}
    for response in (
        http.get("/search", headers=wanting),
        http.get("/collections/scenes/items", headers=wanting),
        http.post("/search", json={"collections": ["scenes"]}, headers=wanting),
    ):
        found = parsed(response)
        assert response.headers["content-type"] == kind
        assert len(found) == 23 and set(found) == whole
        assert response.headers["ogc-numbermatched"] == "23" and "link" not in response.headers


def test_a_page_says_how_it_goes_on(http: httpx.Client, acme: Any) -> None:
    seen: list[str] = []
    address = "/search?limit=10&f=ndjson"
    while True:
        page = http.get(address)
        seen += parsed(page)
        assert page.headers["ogc-numbermatched"] == "23"
        if "next" not in page.links:
            break
        address = page.links["next"]["url"]
    assert len(seen) == 23 and set(seen) == {row["id"] for row in acme.rows}
    assert len(parsed(http.get(page.links["prev"]["url"]))) == 10
    body = {"limit": 20}
    first = http.post("/search?f=geojsonseq", json=body)
    link = first.links["next"]
    assert link["method"] == "POST"
    rest = http.post("/search?f=geojsonseq", json=body | {"token": link["token"]})
    assert len(parsed(first)) == 20 and len(parsed(rest)) == 3


def test_the_format_is_negotiated(http: httpx.Client) -> None:
    for asked, kind in (
        ({"Accept": "*/*"}, "application/geo+json"),
        ({"Accept": "application/geo+json, application/x-ndjson"}, "application/geo+json"),
        ({"Accept": "text/html"}, "application/geo+json"),
    ):
        answer = http.get("/search?limit=1", headers=asked)
        assert answer.headers["content-type"] == kind and answer.json()["features"]
    seq = {"Accept": "application/geo+json-seq"}
    assert http.get("/search?f=geojson", headers=seq).json()["type"] == "FeatureCollection"
    assert http.get("/search?f=xml").status_code == 400
    bad = http.get("/search?f=ndjson&datetime=now")
    assert bad.status_code == 400 and bad.headers["content-type"] == "application/problem+json"


def test_free_text_finds_items(http: httpx.Client, acme: Any) -> None:
    def found(q: Any) -> int:
        by_post = http.post("/search", json={"q": q}).json()["numberMatched"]
        text = q if isinstance(q, str) else ",".join(q)
        assert http.get("/search", params={"q": text}).json()["numberMatched"] == by_post
        items = http.get("/collections/scenes/items", params={"q": text})
        assert items.json()["numberMatched"] == by_post
        return by_post

    assert found(["harbour"]) == 1
    assert found(["50% of"]) == 1 and found(["50_ of"]) == 0
    assert found("number 22") == 1
    assert found(["WORD7", "harbour", "no such"]) == 2


def test_older_filters_are_understood(http: httpx.Client) -> None:
    old = {"filter": {"eq": [{"property": "title"}, "Number 4"]}}
    assert http.post("/search", json=old).json()["numberMatched"] == 1
    both = {
        "filter-lang": "cql-json",
        "filter": {
            "and": [
                {"like": [{"property": "title"}, "Number 1%"]},
                {"not": [{"eq": [{"property": "title"}, "Number 1"]}]},
            ]
        },
    }
    assert http.post("/search", json=both).json()["numberMatched"] == 10
    twice = {"query": "%7B%22title%22%3A%7B%22eq%22%3A%22Number+4%22%7D%7D"}
    assert http.get("/search", params=twice).json()["numberMatched"] == 1


async def test_slow_readers_hold_no_connection_and_no_more_than_a_page(
    server: Any, acme: Any, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "STREAMED_PAGE", 5)
    headers = {**server.caller(acme.visibility), "accept": output.NDJSON}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/assets/stac/search",
        "raw_path": b"/assets/stac/search",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    async with reader_pool(dsn, max_size=2) as pool:
        searcher = Searcher(pool, b"a key")
        pages: list[str | None] = []
        asking = searcher.search

        async def noting(visibility: Any, request: Any, *given: Any, **more: Any) -> Any:
            pages.append(request.token)
            return await asking(visibility, request, *given, **more)

        monkeypatch.setattr(searcher, "search", noting)
        app, reading = server.app(searcher), asyncio.Event()

        async def reader(begun: asyncio.Event) -> bytes:
            """What a client is sent that reads the first page, and then nothing for a while."""
            body = b""

            async def receive() -> Any:
                await asyncio.Event().wait()

            async def send(message: Any) -> None:
                nonlocal body
                if message["type"] == "http.response.body" and message.get("body"):
                    body += message["body"]
                    begun.set()
                    await reading.wait()

            await app(dict(scope), receive, send)
            return body

        begun = [asyncio.Event() for _ in range(12)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(reader(event)) for event in begun]
            await asyncio.wait_for(asyncio.gather(*(event.wait() for event in begun)), 30)
            # six times as many readers as there are connections, and all of these are free
            stats = pool.get_stats()
            assert stats["pool_available"] == stats["pool_size"] and pages == [None] * 12
            reading.set()
        whole = {row["id"] for row in acme.rows}
        for task in tasks:
            found = [json.loads(line) for line in task.result().splitlines()]
            assert {feature["properties"]["opstac:id"] for feature in found} == whole
            assert len(found) == len(whole)
        assert len(pages) == 12 * 5

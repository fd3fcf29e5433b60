"""What is refused: as problem+json, quickly, and the connection goes on."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

SEARCH = "/assets/stac/search"


@pytest.fixture(scope="module")
def http(server: Any, organization: Any) -> Any:
    headers = server.caller(organization().visibility)
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
        yield client


def problem(response: httpx.Response, *statuses: int) -> dict[str, Any]:
    assert response.status_code in statuses, response.text[:300]
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code and body["title"] and body["type"]
    if response.status_code == 422:
        assert all({"loc", "msg", "type"} <= part.keys() for part in body["detail"])
    else:
        assert isinstance(body["detail"], str)
    return body


def ring(count: int) -> list[list[float]]:
    points = [[i * 180 / count - 90, 40 + (i % 7)] for i in range(count)]
    return [*points, points[0]]


def op(name: str, *args: Any) -> dict[str, Any]:
    return {"op": name, "args": list(args)}


def nested(name: str, depth: int) -> dict[str, Any]:
    node = op("=", {"property": "id"}, "x")
    for _ in range(depth):
        node = op(name, node)
    return node


BODIES: list[Any] = [
    {"limit": -1},
    {"limit": 0},
    {"limit": 1.5},
    {"limit": True},
    {"limit": "ten"},
    {"bbox": [0, 0, 1]},
    {"bbox": [0, 0, "a", 1]},
    {"bbox": [0, 50, 1, 40]},
    {"bbox": [0, 0, 5, 1, 1, 4]},
    {"bbox": [0, 0, 1, 99]},
    {"bbox": "0,0,1,1"},
    {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}},
    {"ids": ["a\0b"]},
    {"collections": ["a\0b"]},
    {"ids": [1]},
    {"ids": {"a": 1}},
    {"datetime": "yesterday"},
    {"datetime": "2024-01-02T00:00:00Z/2020-01-01T00:00:00Z"},
    {"datetime": "2024-13-02T00:00:00Z"},
    {"datetime": "2024-01-02T00:00:00"},
    {"datetime": "../.."},
    {"datetime": "a/b/c"},
    {"datetime": 5},
    {"token": "next:garbage"},
    {"token": "next:c1:i1'; drop table pgstac.items;--"},
    {"token": "AAAA"},
    {"token": "x" * 50_000},
    {"filter": op("pg_sleep", 10)},
    {"filter": {"op": "="}},
    {"filter": op("=", 1)},
    {"filter": op("between", {"property": "gsd"}, 1)},
    {"filter": op("in", {"property": "gsd"}, 1)},
    {"filter": nested("not", 150)},
    {"filter": op("and", *[nested("not", 1)] * 300)},
    {"filter": "id = 'x'"},
    {"filter": []},
    {"filter": {"property": 7}},
    {"filter": {"property": "properties"}},
    {"filter": {"wat": 1}},
    {"filter": op("t_after", {"property": "datetime"}, {"timestamp": "soon"})},
    {"filter": op("t_after", {"property": "datetime"}, {"interval": ["2020-01-01"]})},
    {"filter": op("s_intersects", {"property": "gsd"}, {"bbox": [0, 0, 1, 1]})},
    {"filter": op("s_intersects", {"property": "geometry"}, {"bbox": [0, 0, 1]})},
    {"filter": op("s_intersects", {"property": "geometry"}, {"type": "Point"})},
    {"filter": op("like", {"property": "gsd"}, "a%")},
    {"filter": op(">", {"property": "geometry"}, "a")},
    {"filter": op("=", {"property": "gsd"}, op("/", 1, 0))},
    {"filter": op("=", {"property": "gsd"}, op("^", 10, 9999))},
    {"filter": op("=", {"property": "id"}, "x"), "filter-lang": "cql-xml"},
    {"filter": op("=", {"property": "id"}, "x"), "filter-crs": "http://example.org/crs"},
    {"fields": None},
    {"q": []},
    {"q": ["x"] * 11},
    {"q": [1]},
    {"query": {"a": {"sleep": 1}}},
    {"query": {"a": 1}},
    {"query": {"a": {"startsWith": 1}}},
    {"sortby": [{"field": f"f{i}", "direction": "asc"} for i in range(9)]},
    {"sortby": [{"field": "a", "direction": "sideways"}]},
    {"sortby": [{"field": ""}]},
    {"sortby": [{"field": "geometry"}]},
    {"sortby": "a"},
    {"fields": {"include": "a"}},
    {"intersects": {"type": "Polygon", "coordinates": [ring(20_000)]}},
    {"intersects": {"type": "Polygon", "coordinates": [ring(5)[:-1]]}},
    {"intersects": {"type": "Polygon", "coordinates": [[[0, 0], "x"]]}},
    {"intersects": {"type": "Circle", "coordinates": [0, 0]}},
    {"intersects": {"type": "Point", "coordinates": []}},
    {"intersects": {"type": "GeometryCollection", "geometries": []}},
    {"intersects": "POINT(0 0)"},
    [],
    "text",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: json.dumps(body)[:60])
def test_a_bad_body_is_a_problem(http: httpx.Client, body: Any) -> None:
    begin = time.monotonic()
    problem(http.post(SEARCH, json=body), 400)
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize(
    "raw",
    [
        '{"bbox":[0,0,Infinity,1]}',
        '{"bbox":[0,0,1e999,1]}',
        '{"bbox":[0,0,NaN,1]}',
        '{"ids":["\\ud800"]}',
        "{",
        "nul",
        '{"intersects":'
        + '{"type":"GeometryCollection","geometries":[' * 200
        + '{"type":"Point","coordinates":[0,0]}'
        + "]}" * 200
        + "}",
        "[" * 100_000,
        '{"filter":' * 3_000 + "1" + "}" * 3_000,
    ],
    ids=lambda raw: raw[:40],
)
def test_bad_json_is_a_problem(http: httpx.Client, raw: str) -> None:
    problem(http.post(SEARCH, content=raw, headers={"Content-Type": "application/json"}), 400)


@pytest.mark.parametrize("limit", [10_001, 10**12])
def test_a_limit_above_the_largest_is_the_largest(http: httpx.Client, limit: int) -> None:
    for answer in (
        http.post(SEARCH, json={"limit": limit}),
        http.get(SEARCH, params={"limit": limit}),
    ):
        assert answer.status_code == 200
        assert answer.json()["numberReturned"] == answer.json()["numberMatched"]


@pytest.mark.parametrize(
    "query",
    [
        "bbox=nan,nan,nan,nan",
        "bbox=1,2",
        "bbox=a,b,c,d",
        "limit=ten",
        "limit=-1",
        "limit=99999999999999999999999",
        "ids=a%00b",
        "datetime=yesterday",
        "intersects={",
        "query=%5B%5D",
        "filter=%7B&filter-lang=cql2-json",
        "filter=id%20%3D&filter-lang=cql2-text",
        "filter=pg_sleep(5)&filter-lang=cql2-text",
        "filter-lang=cql2-text&filter=" + "(" * 3_000 + "id='x'" + ")" * 3_000,
        "filter-lang=cql2-text&filter=" + "NOT%20" * 3_000 + "id='x'",
        "filter-lang=cql2-text&filter=gsd=" + "-" * 3_000 + "1",
        "filter-lang=cql2-text&filter='" + "(" * 3_000,
        "filter-lang=cql2-text&filter=" + "a=(" * 3_000,
        "token=abc",
        "sortby=" + ",".join(f"f{i}" for i in range(500)),
    ],
    ids=lambda query: query[:40],
)
def test_a_bad_query_string_is_a_problem(http: httpx.Client, query: str) -> None:
    begin = time.monotonic()
    problem(http.get(f"{SEARCH}?{query}"), 400)
    assert time.monotonic() - begin < 3


def test_a_large_body_is_413_before_it_is_read(http: httpx.Client) -> None:
    problem(http.post(SEARCH, content=b" " * (3 * 1024**2)), 413)


def test_sql_in_names_and_values_stays_text(http: httpx.Client) -> None:
    evil = "x'); select pg_sleep(5);--"
    for body in (
        {"filter": op("=", {"property": evil}, 1)},
        {"filter": op("=", {"property": "platform"}, evil)},
        {"filter": op("like", {"property": "platform"}, evil)},
        {"ids": [evil]},
        {"collections": [evil]},
        {"sortby": [{"field": evil, "direction": "asc"}]},
        {"query": {evil: {"eq": evil}}},
        {"filter": op("=", {"property": "%s%I%L"}, "%s%(a)s")},
    ):
        begin = time.monotonic()
        response = http.post(SEARCH, json=body)
        assert response.status_code == 200 and response.json()["features"] == [], response.text
        assert time.monotonic() - begin < 3


def test_other_routes_refuse_alike(http: httpx.Client) -> None:
    root = "/assets/stac"
    problem(http.get(f"{root}/nowhere"), 404)
    problem(http.delete(f"{root}/search"), 405)
    problem(http.get(f"{root}/collections/none"), 404)
    problem(http.get(f"{root}/collections/none/items"), 404)
    problem(http.get(f"{root}/collections/none/items/none"), 404)
    problem(http.get(f"{root}/collections/none/queryables"), 404)
    problem(http.get(f"{root}/collections/%00"), 400, 404)
    problem(http.get(f"{root}/collections/a%00b/items/c%00d"), 400, 404)
    problem(http.get(f"{root}/collections?limit=0"), 400)
    problem(http.get(f"{root}/collections?offset=-1"), 400)


def test_the_connection_survives_refusals(server: Any, http: httpx.Client) -> None:
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
    opened = []

    def trace(name: str, info: Any) -> None:
        if name == "connection.connect_tcp.complete":
            opened.append(name)

    with httpx.Client(base_url=server.url, headers=http.headers, limits=limits) as client:
        for _ in range(5):
            problem(
                client.post(SEARCH, json={"filter": {"op": "x"}}, extensions={"trace": trace}), 400
            )
            assert client.get(SEARCH, extensions={"trace": trace}).status_code == 200
    assert len(opened) == 1


def test_pages_by_number_end_and_say_where_to_go_on(http: Any) -> None:
    assert http.post(SEARCH, json={"offset": 100_000}).status_code == 200
    for offset, words in ((100_001, "`next`"), (-1, "whole number"), (True, "whole number")):
        refused = http.post(SEARCH, json={"offset": offset})
        assert refused.status_code == 400 and words in refused.json()["detail"]

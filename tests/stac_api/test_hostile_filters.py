"""Filters meant to break a server: an answer or a problem that says why, and it goes on."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SEARCH = "/assets/stac/search"


@pytest.fixture(scope="module")
def http(server: Any, organization: Any) -> Any:
    import asyncio

    made = organization()
    values = [0, -1, 3, 1e300, "a", "9", True, None, [1, "a"], {"x": 1}, "2024-02-30", "2024-01-01"]
    asyncio.run(made.put(*(made.row(properties={"v": v, "w": n}) for n, v in enumerate(values))))
    headers = server.caller(made.visibility)
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
        yield client


def op(name: str, *args: Any) -> dict[str, Any]:
    return {"op": name, "args": list(args)}


V = {"property": "v"}


def chain(name: str, depth: int) -> Any:
    node: Any = V
    for _ in range(depth):
        node = op(name, node, 2)
    return op(">", node, 1)


REFUSED = {
    "3,000 brackets": "(" * 3000 + "v=1" + ")" * 3000,
    "3,000 brackets that do not close": "(" * 3000,
    "3,000 nots": "not " * 3000 + "v=1",
    "3,000 signs": "v=" + "-" * 3000 + "1",
    "400 sums": "v" + "+1" * 400 + "=1",
    "50,000 values": f"v in ({','.join('1' for _ in range(50_000))})",
    "division by zero": "v = 1/0",
    "a remainder by zero": "v = 1 % 0",
    "an endless power": "v = 9^9^9^9",
    "a root of less than nothing": "v = (0-8)^0.5",
    "half a pattern": "v like 'a\\'",
    "a day that is none": "v = date('2024-02-31')",
    "nothing": "v =",
    "an unknown function": "pg_sleep(10) = 1",
    "a geometry that is none": "s_intersects(geometry, POLYGON((0 0)))",
    "a statement": "v = 1; drop table pgstac.items",
}
ANSWERED = {
    "a property divided by zero": "v / 0 = 1",
    "a power too large": "v ^ 400 > 1",
    "a root of a property": "v ^ 0.5 > 1",
    "an overflow": "v * v * v * v > 1",
    "a quote in a name": '"v\'; drop table pgstac.items; --" = 1',
    "a quote in a text": "v = '''; drop table pgstac.items; --'",
    "a format in a name": '"%s%1$L%I" = 1',
    "9,000 values": f"v in ({','.join(str(n) for n in range(9_000))})",
    "all kinds of values": "v > 1 or v > 'a' or v = true or v > timestamp('2024-01-01T00:00:00Z')",
    "two properties of many kinds": "v < w or v >= w or v = w",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_has_no_meaning_is_refused(http: httpx.Client, text: str) -> None:
    response = http.post(SEARCH, json={"filter": text, "filter-lang": "cql2-text"})
    assert response.status_code == 400, response.text[:300]
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]
    assert http.get(SEARCH, params={"limit": 1}).json()["numberReturned"] == 1


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("v = 1 and (w >", "line 1, character 15"),
        (op("and", op("=", V, 1), op("or", op("no"), op("=", V, 1))), "args[1].args[0]"),
        (op("and", op("=", V, 1), op("not", op("=", V, None))), "args[1].args[0]"),
        (op("and", op("=", V, 1), op("s_within", {"property": "geometry"}, [1])), "args[1]"),
        (op("or", op("t_after", V, {"date": "2024-02-31"}), V), "args[0].args[1]"),
        (op("or", *[op("=", V, 1)] * 5_000), "operator or has 5000 arguments; at most"),
        (op("or"), "operator or needs its 1 argument(s)"),
    ],
)
def test_a_refusal_says_where(http: httpx.Client, condition: Any, words: str) -> None:
    language = "cql2-text" if isinstance(condition, str) else "cql2-json"
    response = http.post(SEARCH, json={"filter": condition, "filter-lang": language})
    assert response.status_code == 400 and words in response.json()["detail"], response.text


@pytest.mark.parametrize("text", ANSWERED.values(), ids=ANSWERED)
def test_what_has_meaning_is_answered(http: httpx.Client, text: str) -> None:
    body = {"filter": text, "filter-lang": "cql2-text"}
    assert http.post(SEARCH, json=body).status_code == 200
    assert http.post(SEARCH, json={**body, "filter": f"not ({text})"}).status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        '{"op": "=", "args": [{"property": "v"}, NaN]}',
        '{"op": "=", "args": [{"property": "v"}, 1e999]}',
        '{"op": "=", "args": [{"property": "v"}, "\\ud800"]}',
        '{"op": "=", "args": [{"property": "\\u0000"}, 1]}',
        json.dumps(op("=", V, "a\0b")),
        json.dumps(chain("+", 60)),
        json.dumps(op("in", V, list(range(20_000)))),
        "[" * 5000 + "]" * 5000,
        '{"op":"not","args":[' * 2000 + "true" + "]}" * 2000,
    ],
)
def test_what_no_database_holds_is_refused(http: httpx.Client, raw: str) -> None:
    response = http.post(
        SEARCH, content=f'{{"filter": {raw}}}', headers={"content-type": "application/json"}
    )
    assert response.status_code == 400, response.text[:300]
    assert response.headers["content-type"] == "application/problem+json"
    assert http.get(SEARCH, params={"limit": 1}).status_code == 200


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["2024-01-01", "2024-01-01T00:00:00Z", "..", "a%", "\\", "'", "%1$s"])
)
LEAVES = (
    SCALARS
    | st.builds(
        lambda name: {"property": name},
        st.sampled_from(
            ["v", "w", "id", "collection", "datetime", "geometry", "gsd", "updated", "a.b", "bbox"]
        )
        | st.text(max_size=4),
    )
    | SCALARS.map(lambda value: {"timestamp": value})
    | SCALARS.map(lambda value: {"date": value})
    | st.lists(SCALARS, max_size=3)
    | st.just({"bbox": [0, 0, 20, 50]})
    | st.just({"type": "Point", "coordinates": [10, 40]})
    | st.lists(SCALARS, min_size=2, max_size=2).map(lambda ends: {"interval": ends})
)
OPERATORS = st.sampled_from(
    [
        *("and", "or", "not", "like", "between", "in", "isNull", "=", "<>", "<", "<=", ">", ">="),
        *("s_intersects", "s_disjoint", "s_within", "t_after", "t_equals", "t_during", "a_equals"),
        *("a_contains", "+", "-", "*", "/", "^", "%", "div", "casei", "accenti", "avg"),
    ]
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda name, args: {"op": name, "args": args}, OPERATORS, st.lists(inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(condition=FILTERS)
def test_anything_is_answered_or_refused(http: httpx.Client, condition: Any) -> None:
    try:
        raw = json.dumps({"filter": condition, "limit": 1}, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raw = json.dumps({"filter": condition, "limit": 1}).encode()
    response = http.post(SEARCH, content=raw, headers={"content-type": "application/json"})
    assert response.status_code in (200, 400), (condition, response.text[:300])
    if response.status_code == 400:
        assert response.headers["content-type"] == "application/problem+json"

"""Walks over pages while items come, change and go; tokens; counts; and how much a read touches."""

from __future__ import annotations

import asyncio
import base64
import random
from typing import Any

import httpx
import psycopg
import pytest

from stac_api import writes
from stac_api.document import item_document
from stac_api.search import COUNTED_EXACTLY
from stac_api.tenancy import Visibility


@pytest.fixture
def client(server: Any) -> Any:
    with httpx.Client(base_url=f"{server.url}/assets/stac", timeout=60) as client:
        yield client


def ids(page: dict[str, Any]) -> list[str]:
    return [feature["properties"]["opstac:id"] for feature in page["features"]]


def link(page: dict[str, Any], rel: str) -> dict[str, Any] | None:
    return next((entry["body"] for entry in page["links"] if entry["rel"] == rel), None)


class Churn:
    """Random writes to one organization; `kept` are the items that were there from the start."""

    def __init__(self, organization: Any, brute: Any, r: random.Random) -> None:
        self.mine, self.brute, self.random = organization, brute, r
        homes = [(None, organization.project)]
        self.kept = [organization.row(**brute.random_row(r, homes)) for _ in range(40)]
        self.passing = [organization.row(**brute.random_row(r, homes)) for _ in range(20)]
        self.homes = homes

    async def begin(self) -> None:
        await self.mine.put(*self.kept, *self.passing)

    async def disturb(self) -> None:
        """One more item, one less, and one that stays changes something it is not ordered by."""
        new = self.mine.row(**self.brute.random_row(self.random, self.homes))
        await self.mine.put(new)
        changed = self.random.choice(self.kept)
        changed = {**changed, "description": "changed", "updated_at": "2026-01-01T00:00:00Z"}
        async with await self.mine.aconnect() as conn:
            await writes.put_items(conn, self.mine.slot, [item_document(changed, ())])
            if self.passing:
                gone = self.passing.pop(self.random.randrange(len(self.passing)))
                await writes.remove_items(conn, self.mine.slot, [gone["id"]])


@pytest.mark.parametrize("seed", range(4))
def test_what_stays_is_found_once_while_others_come_and_go(
    server: Any, client: Any, organization: Any, brute: Any, seed: int
) -> None:
    r = random.Random(seed)
    churn = Churn(organization(), brute, r)
    asyncio.run(churn.begin())
    headers = server.caller(churn.mine.visibility)
    order = brute.random_order(r)
    kept = {row["id"] for row in churn.kept}
    last: list[str] = []
    page = client.post(
        "/search", json={"sortby": order, "limit": r.choice([4, 6, 9])}, headers=headers
    ).json()
    for rel in ("next", "prev"):
        seen = ids(page) if rel == "next" else []
        while (following := link(page, rel)) is not None:
            asyncio.run(churn.disturb())
            page = client.post("/search", json=following, headers=headers).json()
            seen += ids(page)
            assert len(seen) < 1000
        if rel == "prev":  # the page it began on is not shown again
            seen += last
        assert len(seen) == len(set(seen)), (order, rel)
        assert kept <= set(seen), (order, rel, kept - set(seen))
        last = ids(page)


def test_a_token_is_good_only_for_its_organization_and_query(
    server: Any, client: Any, organization: Any, brute: Any
) -> None:
    r = random.Random(7)
    mine, other = organization(), organization()
    for made in (mine, other):
        rows = [made.row(**brute.random_row(r, [(None, made.project)])) for _ in range(5)]
        asyncio.run(made.put(*rows))
    here, there = server.caller(mine.visibility), server.caller(other.visibility)
    page = client.post("/search", json={"limit": 2}, headers=here).json()
    token = link(page, "next")["token"]  # type: ignore[index]
    assert client.post("/search", json={"limit": 2, "token": token}, headers=here).is_success
    for headers, body in (
        (there, {"limit": 2}),
        ({}, {"limit": 2}),
        (here, {"limit": 2, "ids": ["x"]}),
        (here, {"limit": 2, "sortby": [{"field": "n", "direction": "asc"}]}),
    ):
        refused = client.post("/search", json={**body, "token": token}, headers=headers)
        assert refused.status_code in (400, 401), refused.text
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for _ in range(40):
        forged = bytearray(raw)
        forged[r.randrange(len(forged))] ^= 1 << r.randrange(8)
        text = base64.urlsafe_b64encode(bytes(forged)).decode().rstrip("=")
        refused = client.post("/search", json={"limit": 2, "token": text}, headers=here)
        assert refused.status_code == 400, refused.text


def test_a_long_count_is_an_estimate_that_says_so(
    server: Any, client: Any, organization: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = organization()
    asyncio.run(mine.put(*(mine.row(properties={"n": n % 2}) for n in range(30))))
    headers = server.caller(mine.visibility)
    page = client.post("/search", json={"limit": 1}, headers=headers).json()
    assert page["numberMatched"] == 30 and "numberMatchedEstimated" not in page
    assert COUNTED_EXACTLY == 1_000
    monkeypatch.setattr("stac_api.search.COUNTED_EXACTLY", 10)
    odd = {"filter": {"op": "=", "args": [{"property": "n"}, 1]}, "limit": 1}
    page = client.post("/search", json=odd, headers=headers).json()
    assert page["numberMatchedEstimated"] is True
    assert page["numberMatched"] >= page["opstac:numberMatchedAtLeast"] == 11
    # the count goes along with the walk
    following = client.post("/search", json=link(page, "next"), headers=headers).json()
    assert following["numberMatched"] == page["numberMatched"]
    assert following["numberMatchedEstimated"] is True


READS = {
    "search_items": "select * from search_items(%(org)s, %(slot)s, %(projects)s, %(collections)s,"
    " null, %(search)s, 10, 0, %(after)s, false, 1000)",
    "aggregate_items": "select aggregate_items(%(org)s, %(slot)s, %(projects)s, %(collections)s,"
    ' null, %(search)s, \'[{"kind": "count"}, {"kind": "collection", "limit": 9}]\')',
    "describe_properties": "select describe_properties(%(org)s, %(slot)s, %(projects)s,"
    " %(collections)s, 1000)",
}


def tables_locked(made: Any, query: str) -> set[str]:
    """Tables and indexes that a read touched, by the locks it holds until its transaction ends."""
    place = {"type": "Polygon", "coordinates": [[[0, 0], [20, 0], [20, 50], [0, 50], [0, 0]]]}
    search = {
        "intersects": place,
        "datetime": "2020-01-01T00:00:00Z/2030-01-01T00:00:00Z",
        "filter": {"op": "=", "args": [{"property": "n"}, 1], "as": "number"},
    }
    after = {
        "id": "x",
        "datetime": "2025-01-01T00:00:00Z",
        "end_datetime": "2025-01-01T00:00:00Z",
        "content": {"properties": {}},
    }
    parameters = {
        "org": made.id,
        "slot": made.slot,
        "projects": [made.project],
        "collections": [made.project],
        "search": psycopg.types.json.Jsonb(search),
        "after": psycopg.types.json.Jsonb(after),
    }
    with made.connect("opstac_stac") as conn, conn.transaction():
        conn.execute(query.encode(), parameters)
        rows = conn.execute(
            "select relation::regclass::text as name from pg_locks"
            " where pid = pg_backend_pid() and locktype = 'relation'"
        ).fetchall()
    return {row["name"] for row in rows}


@pytest.mark.parametrize("query", READS.values(), ids=READS)
def test_a_read_touches_one_partition_however_many_there_are(
    dsn: str, organization: Any, query: str
) -> None:
    mine = organization()
    asyncio.run(mine.put(*(mine.row(properties={"n": 1}) for _ in range(3))))
    tables_locked(mine, query)  # the first time a session looks into the catalogue more
    before = tables_locked(mine, query)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("set role opstac_system")
        conn.execute("set search_path = opstac, public")
        for _ in range(5):
            conn.execute("select provision_slot()")
    after = tables_locked(mine, query)
    items = {name for name in after if name.startswith(("pgstac._items_", "_items_"))}
    partitions = {name for name in items if name.rsplit("_", 1)[-1].isdigit()}
    assert len(partitions) == 1 and "items" not in after, after
    assert after == before


def test_nothing_is_visible_beyond_the_projects_named(
    server: Any, client: Any, organization: Any
) -> None:
    mine = organization()
    hidden = mine.new_project()
    asyncio.run(mine.put(mine.row(), mine.row(project_id=hidden)))
    headers = server.caller(Visibility(mine.id, mine.slot, frozenset([mine.project])))
    for condition in (
        {"op": "=", "args": [{"property": "opstac:project"}, hidden]},
        {
            "op": "not",
            "args": [{"op": "=", "args": [{"property": "opstac:project"}, mine.project]}],
        },
        {"op": "or", "args": [True, True]},
    ):
        found = client.post("/search", json={"filter": condition}, headers=headers).json()
        assert all(f["collection"] == mine.project for f in found["features"])
        body = {"filter": condition, "aggregations": ["total_count"]}
        count = client.post("/aggregate", json=body, headers=headers).json()
        assert count["aggregations"][0]["value"] == len(found["features"]) <= 1

"""Searches and aggregations equal a plain filter over the same items, whatever is asked for."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx
import pytest

from stac_api.tenancy import Visibility

ITEMS = 120
FILTERS = 200


class World:
    """Random items of two organizations, and a caller who sees two of the first one's projects."""

    def __init__(self, server: Any, organization: Any, brute: Any) -> None:
        r = random.Random(20_24)
        mine, other = organization(), organization()
        seen, hidden = [mine.project, mine.new_project()], mine.new_project()
        homes = [(None, seen[0]), (None, seen[1]), (None, hidden)]
        self.names = {seen[0]: seen[0], seen[1]: seen[1]}
        for n, project in enumerate([*seen, hidden]):
            id_ = mine.new_collection(f"c{n}-{mine.id}", project)
            homes.append((id_, project))
            if project != hidden:
                self.names[id_] = f"c{n}-{mine.id}"
        self.mine = mine
        rows = [mine.row(**brute.random_row(r, homes)) for _ in range(ITEMS)]
        asyncio.run(mine.put(*rows))
        strangers = [
            other.row(**brute.random_row(r, [(None, other.project)])) for _ in range(ITEMS // 2)
        ]
        asyncio.run(other.put(*strangers))
        self.rows = [row for row in rows if row["project_id"] in seen]
        # in collections of two organizations that are public, one of them with a project's name
        home = other.new_collection(f"p-{other.id}", other.project)
        published = [other.row(**brute.random_row(r, [(home, other.project)])) for _ in range(30)]
        asyncio.run(other.put(*published))
        self.public_names = {id_: name for id_, name in self.names.items() if id_ != name}
        self.public_names[home] = f"p-{other.id}"
        for owner in (mine, other):
            with owner.connect("opstac_system") as conn:
                conn.execute(
                    "update collection set public = true where id = any (%s)",
                    (list(self.public_names),),
                )
        self.public = [
            row for row in [*rows, *published] if row["collection_id"] in self.public_names
        ]
        self.random = r
        headers = server.caller(Visibility(mine.id, mine.slot, frozenset(seen)))
        self.http = httpx.Client(base_url=f"{server.url}/assets/stac", headers=headers, timeout=60)

    def post(self, path: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        response = self.http.post(path, json=body, **more)
        assert response.status_code == 200, (body, response.text[:500])
        return response.json()


@pytest.fixture(scope="module")
def world(server: Any, organization: Any, brute: Any) -> Any:
    made = World(server, organization, brute)
    with made.http:
        yield made


def ids(page: dict[str, Any]) -> list[str]:
    return [feature["properties"]["opstac:id"] for feature in page["features"]]


def link(page: dict[str, Any], rel: str) -> dict[str, Any] | None:
    return next((entry["body"] for entry in page["links"] if entry["rel"] == rel), None)


def test_a_search_finds_what_a_plain_filter_finds(world: Any, brute: Any) -> None:
    telling = 0
    for _ in range(FILTERS):
        body, test = brute.random_search(world.random, world.names)
        expected = [row for row in world.rows if test(row)]
        page = world.post("/search", {**body, "limit": 1000})
        assert sorted(ids(page)) == sorted(row["id"] for row in expected), body
        assert page["numberMatched"] == len(expected)
        assert page["numberReturned"] == len(expected)
        telling += 0 < len(expected) < len(world.rows)
    assert telling > FILTERS / 3  # most random searches must find some items and not all


def test_without_a_credential_it_finds_the_same_of_what_is_public(world: Any, brute: Any) -> None:
    """Page by page, so that every way to a page is taken."""
    r = world.random
    for _ in range(60):
        body, test = brute.random_search(r, world.public_names)
        expected = [row for row in world.public if test(row)]
        # the newest first, and of one moment by id
        expected.sort(key=lambda row: row["id"], reverse=True)
        expected.sort(key=brute.first, reverse=True)
        # what others in this database have made public is not asked for
        names = list(world.public_names.values())
        body = {"collections": names, **body, "limit": r.choice([2, 5, 20])}
        pages = [world.post("/search", body, headers={"Authorization": ""})]
        while (following := link(pages[-1], "next")) is not None:
            pages.append(world.post("/search", following, headers={"Authorization": ""}))
            assert len(pages) <= len(expected) + 1, body
        got = [f["id"] for page in pages for f in page["features"]]
        assert len(got) == len(set(got)) == len(expected), body
        by_stac_id = {row["stac_id"]: row["id"] for row in world.public}
        assert [by_stac_id[name] for name in got] == [row["id"] for row in expected], body
        assert pages[0]["numberMatched"] == len(expected)


def test_pages_hold_everything_once_in_order_there_and_back(world: Any, brute: Any) -> None:
    r = world.random
    for _ in range(40):
        body, test = brute.random_search(r, world.names)
        order = brute.random_order(r)
        expected = brute.ordered([row for row in world.rows if test(row)], order)
        page = world.post("/search", {**body, "sortby": order, "limit": r.choice([1, 3, 7, 50])})
        pages = [page]
        while (following := link(pages[-1], "next")) is not None:
            pages.append(world.post("/search", following))
            assert len(pages) <= len(expected) + 1, (body, order)
        assert [i for page in pages for i in ids(page)] == expected, (body, order)
        assert {page["numberMatched"] for page in pages} == {len(expected)}
        for before in reversed(pages[:-1]):
            back = link(page := world.post("/search", link(pages[-1], "prev")), "prev")
            assert ids(page) == ids(before), (body, order)
            pages = [*pages[:-2], page]
            assert (back is None) == (len(pages) == 1)


AGGREGATIONS = (
    *("total_count", "datetime_min", "datetime_max", "collection_frequency", "datetime_frequency"),
    *("platform_frequency", "tags_frequency", "mix_frequency", "flag_frequency", "n_frequency"),
    *("eo:cloud_cover_frequency", "missing_frequency"),
    *("centroid_geohash_grid_frequency", "centroid_geotile_grid_frequency"),
    *("geometry_geohash_grid_frequency", "geometry_geotile_grid_frequency"),
)


def test_each_aggregation_equals_a_count_over_the_items(world: Any, brute: Any) -> None:
    r = world.random
    for _ in range(FILTERS):
        body, test = brute.random_search(r, world.names)
        expected = [row for row in world.rows if test(row)]
        parameters = {
            "datetime_frequency_interval": r.choice(
                ["year", "quarter", "month", "week", "day", "hour"]
            ),
            "centroid_geohash_grid_frequency_precision": r.randrange(1, 8),
            "centroid_geotile_grid_frequency_precision": r.randrange(0, 18),
            "geometry_geohash_grid_frequency_precision": r.randrange(1, 3),
            "geometry_geotile_grid_frequency_precision": r.randrange(0, 5),
            "n_frequency_ranges": r.choice([[-3, 0, 1, 5], [0, 2], [-10, -5, 0.5]]),
            "eo:cloud_cover_frequency_ranges": r.choice([[0, 5, 15, 40, 100], [10, 20]]),
        }
        answer = world.post(
            "/aggregate", {**body, **parameters, "aggregations": list(AGGREGATIONS)}
        )
        assert [a["name"] for a in answer["aggregations"]] == list(AGGREGATIONS)
        for aggregation in answer["aggregations"]:
            name = aggregation["name"]
            right = brute.counted(expected, name, parameters, world.names)
            if "buckets" not in aggregation:
                assert aggregation["value"] == right, (name, body)
                continue
            terms = any(isinstance(key, tuple) for key in right)
            found = {
                (b["key"], b["data_type"]) if terms else b["key"]: b["frequency"]
                for b in aggregation["buckets"]
                if b["frequency"]
            }
            assert found == right, (name, body, parameters)
            if f"{name}_ranges" not in parameters:
                assert aggregation["overflow"] == 0

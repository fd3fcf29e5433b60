"""What a search touches in a slot of many items: pages of the database, whatever the load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from db.pool import make_pool
from stac_api import reader
from stac_api.errors import BadRequest
from stac_api.named import named_collections
from stac_api.reader import TOO_MUCH
from stac_api.request import from_body
from stac_api.search import COUNTED_EXACTLY, Searcher, pgstac_search

ITEMS = 20_000
OLD = 300
PROJECTS = 20

# the oldest are in a collection, a project and a place of their own, as satellites leave them, and
# the newer half is cloudy
FILL = """
insert into pgstac.{} (id, geometry, collection, datetime, end_datetime, content)
select 'large_' || lpad(n::text, 6, '0'),
       st_makeenvelope(x, y, x + 0.5, y + 0.5, 4326), %(slot)s, at,
       at + case when n %% 1000 = 7 then interval '40 days' else interval '0' end,
       jsonb_build_object('bbox', jsonb_build_array(x, y, x + 0.5, y + 0.5), 'properties',
         jsonb_build_object('datetime', at, 'n', n, 'eo:cloud_cover',
           case when n > 10000 then greatest(n %% 1000 / 10.0, 20) else n %% 1000 / 10.0 end,
           'opstac:stac_id', 'large_' || lpad(n::text, 6, '0'),
           'opstac:project',
           (%(projects)s::text[])[1 + case when n <= %(old)s then 0 else 1 + n %% {} end],
           'opstac:collection',
           (%(collections)s::text[])[case when n <= %(old)s then 1 else 2 + n %% 2 end]))
from (select n, timestamptz '2001-01-01Z' + n * interval '1 hour' as at,
             case when n <= %(old)s then 100 else -60 end + n %% 40 as x, n %% 97 - 48 as y
      from generate_series(1, %(items)s) n) i
"""

SEARCH = (
    "search_items(%(org)s, %(slot)s, %(projects)s, %(collections)s, %(ids)s, %(search)s, %(limit)s,"
    " %(offset)s, %(after)s, %(reverse)s, %(count)s)"
)


class Slot:
    """A slot with many items, and what a search of it touches."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.projects = [made.project, *(made.new_project() for _ in range(PROJECTS))]
        self.collections = [
            made.new_collection("old", self.projects[0]),
            made.new_collection("even", self.projects[1]),
            made.new_collection("odd", self.projects[2]),
        ]
        with made.connect("opstac_system") as conn:
            row = conn.execute("select slot_partition(%s) as name", (made.slot,)).fetchone()
            assert row is not None
            conn.execute(
                FILL.format(row["name"], PROJECTS),
                {
                    "slot": made.slot,
                    "projects": self.projects,
                    "collections": self.collections,
                    "old": OLD,
                    "items": ITEMS,
                },
            )
            conn.execute("reset role")
            conn.execute("set role pgstac_admin")
            conn.execute(f"vacuum analyze pgstac.{row['name']}")
        self.conn = made.connect("opstac_stac")

    def parameters(self, **asked: Any) -> dict[str, Any]:
        given = {
            "org": self.made.id,
            "slot": self.made.slot,
            "projects": None,
            "collections": None,
            "ids": None,
            "limit": 11,
            "offset": 0,
            "after": None,
            "reverse": False,
            "count": COUNTED_EXACTLY,
        } | asked
        return given | {
            "search": json.dumps(asked.get("search", {})),
            "after": json.dumps(given["after"]) if given["after"] else None,
        }

    def rows(self, **asked: Any) -> list[Any]:
        found = self.conn.execute(
            f"select * from {SEARCH}".encode(), self.parameters(**asked)
        ).fetchone()
        assert found is not None
        return json.loads(found["rows"]) if found["rows"] else []

    def counted(self, **asked: Any) -> tuple[int, bool, int]:
        found = self.conn.execute(
            f"select matched, estimated, at_least from {SEARCH}".encode(), self.parameters(**asked)
        ).fetchone()
        assert found is not None
        return found["matched"], found["estimated"], found["at_least"]

    def touched(self, **asked: Any) -> int:
        """Pages of the database that the search looks at, in all its statements."""
        explain = f"explain (analyze, buffers, format json) select * from {SEARCH}"
        self.rows(**asked)  # what is looked up once a session
        found = self.conn.execute(explain.encode(), self.parameters(**asked)).fetchone()
        assert found is not None
        plan = found["QUERY PLAN"][0]["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


@pytest.fixture(scope="module")
def large(organization: Any) -> Iterator[Slot]:
    slot = Slot(organization())
    yield slot
    slot.conn.close()
    # tests that count all there is, exactly where it is little, share this database
    with slot.made.connect("opstac_system") as conn:
        row = conn.execute("select slot_partition(%s) as name", (slot.made.slot,)).fetchone()
        assert row is not None
        conn.execute("reset role")
        conn.execute("set role pgstac_admin")
        conn.execute(f"truncate pgstac.{row['name']}")
        conn.execute(f"analyze pgstac.{row['name']}")


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def place_of(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "datetime": row["datetime"],
        "end_datetime": row["end_datetime"],
        "content": {"properties": row["content"]["properties"]},
    }


OLD_PLACE = {"intersects": box(99, -60, 145, 60)}
SOMEWHERE = {"intersects": box(-55, -30, -45, 30)}
FEW_CLOUDS = {
    "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20], "as": "number"},
    "filter-lang": "cql2-json",
}


@pytest.mark.slow  # with the first, 20,000 items are stored
@pytest.mark.parametrize(
    ("asked", "pages", "found"),
    [
        ({}, 100, 11),
        ({"collections": ["old"]}, 100, 11),
        ({"collections": ["old", "even"]}, 150, 11),
        ({"collections": ["old"], "search": OLD_PLACE}, 700, 11),
        # walking along the order would pass 19,700 others first
        ({"search": OLD_PLACE}, 2_500, 11),
        ({"search": SOMEWHERE}, 1_000, 11),
        # and 10,000 cloudy ones, which are passed within an index
        ({"search": FEW_CLOUDS}, 400, 11),
        ({"search": FEW_CLOUDS, "collections": ["even"]}, 400, 11),
        # within a time, of which the earlier days alone have few clouds
        ({"search": {**FEW_CLOUDS, "datetime": "2001-11-01T00:00:00Z/.."}}, 400, 11),
        (
            {"search": {**FEW_CLOUDS, "datetime": "2001-12-15T00:00:00Z/2002-04-01T00:00:00Z"}},
            400,
            11,
        ),
        ({"search": {**FEW_CLOUDS, **SOMEWHERE}}, 1_500, 11),
        ({"search": {"datetime": "1900-01-01T00:00:00Z/1901-01-01T00:00:00Z"}}, 100, 0),
        ({"search": {"datetime": "2900-01-01T00:00:00Z/2901-01-01T00:00:00Z"}}, 100, 0),
        ({"search": {"datetime": "2900-01-01T00:00:00Z/.."}}, 100, 0),
        ({"search": {"datetime": "../1900-01-01T00:00:00Z"}}, 100, 0),
        # a day long ago, in which one began and until which another lasted
        ({"search": {"datetime": "2001-01-20T00:00:00Z/2001-01-20T00:00:00Z"}}, 100, 2),
        ({"search": {"sortby": [{"field": "datetime", "direction": "asc"}]}}, 100, 11),
        ({"search": {"sortby": [{"field": "eo:cloud_cover", "direction": "asc"}]}}, 400, 11),
        ({"ids": ["large_000123", "large_012345", "nothing"]}, 100, 2),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else str(value),
)
def test_a_page_touches_little_of_a_large_slot(
    large: Slot, asked: dict[str, Any], pages: int, found: int
) -> None:
    assert len(large.rows(**asked)) == found
    assert large.touched(**asked, count=None) <= pages
    # a few projects of many, the oldest of all, and all of them
    if "ids" not in asked:
        for projects in (large.projects[:1], large.projects[:2], large.projects):
            assert large.touched(**asked, count=None, projects=projects) <= 2 * pages + 400


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"collections": ["even"]},
        {"collections": ["even", "odd"]},
        {"search": SOMEWHERE},
        {"search": {"datetime": "2001-01-01T00:00:00Z/.."}},
        {"search": {"sortby": [{"field": "datetime", "direction": "asc"}]}},
        {"search": FEW_CLOUDS},
        {"search": {**FEW_CLOUDS, "datetime": "2001-02-01T00:00:00Z/2003-01-01T00:00:00Z"}},
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_a_page_deep_in_the_walk_touches_what_the_first_does(
    large: Slot, asked: dict[str, Any]
) -> None:
    ahead = {"offset": 1_000, "limit": 1}
    (deep,) = large.rows(**asked, **ahead, count=None)
    following = large.rows(**asked, after=place_of(deep), limit=10, count=None)
    assert [r["id"] for r in following] == [
        r["id"] for r in large.rows(**asked, offset=1_001, limit=10, count=None)
    ]
    first = large.touched(**asked, limit=10, count=None)
    later = large.touched(**asked, limit=10, count=None, after=place_of(deep))
    before = large.touched(**asked, limit=10, count=None, after=place_of(deep), reverse=True)
    assert max(later, before) <= 2 * first + 250, (first, later, before)


@pytest.mark.parametrize(
    ("asked", "exact"),
    [
        ({"collections": ["old"]}, OLD),
        ({"search": {"datetime": "2001-01-02T00:00:00Z/2001-01-02T23:00:00Z"}}, None),
        ({"search": {**SOMEWHERE, "datetime": "2001-01-01T00:00:00Z/2001-03-01T00:00:00Z"}}, None),
        ({"ids": ["large_000123"]}, 1),
        ({"collections": ["old"], "limit": 400}, OLD),
        ({"search": {"datetime": "1900-01-01T00:00:00Z/1901-01-01T00:00:00Z"}}, 0),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_what_is_cheap_is_counted_exactly(
    large: Slot, asked: dict[str, Any], exact: int | None
) -> None:
    asked = {"limit": 2, **asked}
    everything = len(large.rows(**asked | {"limit": 10_000}))
    assert large.counted(**asked) == (everything, False, everything)
    assert exact in (None, everything)
    # the same where the projects are named
    assert large.counted(**asked, projects=large.projects) == (everything, False, everything)


@pytest.mark.parametrize("projects", [False, True])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"collections": ["even", "odd"]},
        {"search": {"intersects": box(-70, -50, 0, 50)}},
        {"search": {"datetime": "2001-06-01T00:00:00Z/2003-01-01T00:00:00Z"}},
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_what_is_not_cheap_is_estimated_with_what_is_certain(
    large: Slot, asked: dict[str, Any], projects: bool
) -> None:
    named = large.projects if projects else None
    everything = len(large.rows(**asked, limit=30_000, count=None, projects=named))
    matched, estimated, at_least = large.counted(**asked, projects=named)
    assert estimated and 11 <= at_least <= everything
    assert matched >= at_least and 0.8 < matched / everything < 1.25
    # and costs no more than the page and what is counted at most
    with_count = large.touched(**asked, projects=named)
    assert with_count <= large.touched(**asked, projects=named, count=None) + 2_500


NO_INDEX = {"sortby": [{"field": "n", "direction": "desc"}]}


def test_an_order_that_no_index_has_is_refused_for_many_items(large: Slot) -> None:
    large.conn.execute("set opstac.most_sorted = 5000")
    try:
        with pytest.raises(psycopg.DatabaseError, match="in order by n: name a collection") as told:
            large.rows(search=NO_INDEX)
        assert told.value.sqlstate == TOO_MUCH and "about 20000 items match" in str(told.value)
        # no more than the plan was made
        with pytest.raises(psycopg.DatabaseError):
            large.rows(search=NO_INDEX, projects=large.projects)
        found = large.rows(search=NO_INDEX, collections=["old"])
        assert [row["content"]["properties"]["n"] for row in found] == list(
            range(OLD, OLD - 11, -1)
        )
        for field in ("datetime", "eo:cloud_cover", "opstac:stac_id"):
            for direction in ("asc", "desc"):
                sortby = [{"field": field, "direction": direction}]
                assert len(large.rows(search={"sortby": sortby})) == 11
    finally:
        large.conn.execute("reset opstac.most_sorted")
    assert len(large.rows(search=NO_INDEX)) == 11


async def test_the_refusal_names_what_is_quick(dsn: str, large: Slot, mount: Any) -> None:
    settings = reader.SETTINGS | {"statement_timeout": "30000", "opstac.most_sorted": "50"}
    async with make_pool(dsn, reader.ROLE, max_size=2, **settings) as pool:
        request = from_body({"sortby": [{"field": "n"}]})
        with pytest.raises(BadRequest, match="order by datetime, updated, eo:cloud_cover or id"):
            await Searcher(pool, b"key").search(large.made.visibility, request, mount)


@pytest.mark.parametrize(
    "text", ["collection = 'old'", "collection IN ('old') AND n > 7", "n > 7 AND collection='old'"]
)
def test_a_collection_that_a_filter_names_is_read_by_its_index(large: Slot, text: str) -> None:
    request = from_body({"filter": text, "filter-lang": "cql2-text"})
    search = pgstac_search(request, {"old": [large.collections[0]]})
    collections = named_collections(request, search)
    assert collections == [large.collections[0]]
    asked = {"collections": collections, "search": search}
    assert len(large.rows(**asked)) == 11 and large.touched(**asked, count=None) <= 250


def test_filters_that_name_more_than_collections_are_left_as_they_are() -> None:
    known = {"a": ["col_a"], "b": ["col_b", "col_c"]}
    for text, collections, rest in (
        ("collection = 'a' OR gsd = 1", None, True),
        ("NOT collection = 'a'", None, True),
        ("collection = 'a' AND collection = 'b'", [], False),
        ("collection IN ('a', 'b') AND (collection = 'b' AND gsd = 1)", ["col_b", "col_c"], True),
        ("collection <> 'a' AND collection = 'b'", ["col_b", "col_c"], True),
        ("gsd = 1", None, True),
    ):
        request = from_body({"filter": text, "filter-lang": "cql2-text"})
        search = pgstac_search(request, known)
        assert (named_collections(request, search), "filter" in search) == (collections, rest), text


def test_what_is_public_is_walked_through_as_a_member_does(large: Slot) -> None:
    with large.made.connect("opstac_system") as conn:
        conn.execute(
            "update collection set public = true where id = any (%s)", (large.collections[1:],)
        )
    public = (
        "search_public_items(%(collections)s, %(ids)s, %(search)s, %(limit)s, %(offset)s,"
        " %(after)s, %(reverse)s, %(count)s)"
    )
    explain = f"explain (analyze, buffers, format json) select * from {public}".encode()
    for search in (FEW_CLOUDS, SOMEWHERE, {**FEW_CLOUDS, **SOMEWHERE}):
        asked = {"collections": large.collections[1:], "search": search, "count": None}
        mine = large.rows(**asked)
        found = large.conn.execute(
            f"select * from {public}".encode(), large.parameters(**asked)
        ).fetchone()
        assert found is not None and json.loads(found["rows"]) == mine and len(mine) == 11
        plan = large.conn.execute(explain, large.parameters(**asked)).fetchone()
        assert plan is not None
        root = plan["QUERY PLAN"][0]["Plan"]
        pages = root["Shared Hit Blocks"] + root["Shared Read Blocks"]
        assert pages <= 2 * large.touched(**asked) + 500


def test_aggregations_read_a_document_once(large: Slot) -> None:
    """However many are asked for; a first and a last moment read no more than an index's ends."""
    wanted = [
        {"kind": "collection", "limit": 10},
        {"kind": "interval", "by": "year", "limit": 10},
        {"kind": "terms", "property": "n", "limit": 10},
        {"kind": "cells", "of": "centroid", "grid": "geohash", "precision": 2, "limit": 10},
        {"kind": "count"},
    ]

    def pages(*asked: dict[str, Any], **where: Any) -> int:
        given = large.parameters(**where) | {"asked": json.dumps(asked)}
        query = (
            "explain (analyze, buffers, format json) select aggregate_items(%(org)s, %(slot)s,"
            " %(projects)s, %(collections)s, %(ids)s, %(search)s, %(asked)s)"
        )
        large.conn.execute(query.encode(), given)
        found = large.conn.execute(query.encode(), given).fetchone()
        assert found is not None
        plan = found["QUERY PLAN"][0]["Plan"]
        return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

    one = pages(wanted[0])
    assert pages(*wanted) <= 1.1 * one + 300
    ends = [{"kind": "min"}, {"kind": "max"}]
    assert pages(*ends) <= 300 and pages(*ends, collections=["old"]) <= 300

"""Which subscription is told of which event: the relay's SQL against a matcher written out here."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.pool import make_pool
from ops_gateway.worker.relay import relay

TYPES = ("item.created", "item.updated", "upload.failed", "items_like.created")
PATTERNS = ("*", "item.*", "upload.*", "item.created", "upload.failed", "test.ping")
VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, 2.5, "", "a", "1", "é", {"x": 1}]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner),
    max_leaves=3,
)
DATA = st.dictionaries(st.sampled_from(["x", "y", "0", "a.b", "project_id"]), VALUES, max_size=3)
ENVELOPE = ["event_type", "entity_type", "entity_id", "organization_id", "event_id", "data"]
INSIDE = ["x", "y", "x.x", "x.0", "x.-1", "0", "a.b", "project_id", "missing"]
PATHS = st.sampled_from([*ENVELOPE, *(f"data.{path}" for path in INSIDE)])
WANTED = VALUES | st.sampled_from(["item.created", "p1", "item"])
EVENTS = st.lists(
    st.tuples(st.sampled_from(TYPES), st.sampled_from([None, "p1"]), DATA), min_size=1, max_size=4
)
FILTERS = st.lists(
    st.tuples(
        st.sampled_from(PATTERNS),
        st.dictionaries(
            PATHS, VALUES | st.sampled_from(["item.created", "p1", "item"]), max_size=2
        ),
    ),
    min_size=1,
    max_size=5,
)


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values: true is not 1, and 1 is 1.0."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return (type(a) is type(b) and a == b) or ({type(a), type(b)} == {int, float} and a == b)


def at(value: Any, path: list[str]) -> list[Any]:
    """The value at a path, in a list; an empty one where there is none."""
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.lstrip("-").isdigit():
            place = int(part)
            if not -len(value) <= place < len(value):
                return []
            value = value[place]
        else:
            return []
    return [value]


def matches(pattern: str, wanted: dict[str, Any], message: dict[str, Any]) -> bool:
    kind = message["event_type"]
    if pattern not in ("*", kind, kind.split(".")[0] + ".*"):
        return False
    found = {path: at(message, path.split(".")) for path in wanted}
    return all(found[path] and same(found[path][0], wanted[path]) for path in wanted)


@pytest.fixture
async def system(dsn):
    async with make_pool(dsn, "opstac_system", min_size=1, max_size=2) as pool:
        yield pool


async def test_filters_match_what_a_plain_matcher_matches(api, system):
    owner = await api.organization()
    org = owner.organization_id

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(EVENTS, FILTERS)
    def plant(events, filters):
        run = secrets.token_hex(4)
        subs = [
            {"id": f"sub_{run}_{n}", "event_type": pattern, "filter_config": wanted}
            for n, (pattern, wanted) in enumerate(filters)
        ]
        api.sql(
            "insert into event_subscription (id, organization_id, event_type, endpoint_url, secret,"
            " filter_config) select id, %s, event_type, 'https://example.org', '', filter_config"
            " from jsonb_to_recordset(%s) as s (id text, event_type text, filter_config jsonb)",
            org,
            json.dumps(subs),
        )
        happened = [
            {"id": f"evt_{run}_{n}", "type": kind, "project_id": project, "data": data}
            for n, (kind, project, data) in enumerate(events)
        ]
        api.sql(
            "insert into event (id, organization_id, type, entity_type, entity_id, project_id,"
            " data) select id, %s, type, 'item', 'it_1', project_id, data from"
            " jsonb_to_recordset(%s) as e (id text, type text, project_id text, data jsonb)",
            org,
            json.dumps(happened),
        )
        for event in happened:
            message = {
                "event_id": event["id"],
                "event_type": event["type"],
                "organization_id": org,
                "entity_type": "item",
                "entity_id": "it_1",
                "data": {**event["data"], "project_id": event["project_id"]},
            }
            for sub in subs:
                if matches(sub["event_type"], sub["filter_config"], message):
                    expected.add((sub["id"], event["id"]))
        planted.append(run)

    expected: set[tuple[str, str]] = set()
    planted: list[str] = []
    plant()
    # all examples are passed on at once; looked at are each one's events and its own subscriptions
    while await relay(system):
        pass
    rows = api.sql(
        "select subscription_id s, event_id e from delivery where organization_id = %s", org
    )
    told = [(row["s"], row["e"]) for row in rows if row["s"][4:12] == row["e"][4:12]]
    assert len(told) == len(set(told)) and set(told) == expected
    assert len(expected) > 20 and len(planted) >= 50

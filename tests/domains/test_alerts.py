"""alerts.*: the fields of a rule, what is refused and in which order, and the lists."""

from __future__ import annotations

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RULE = {
    "name": "Burn-scar NBR alert",
    "expression": "(b4 - b6) / (b4 + b6)",
    "comparison": "lt",
    "threshold": -0.1,
}
DEFAULTS = {
    "description": None,
    "collection_id": None,
    "event_types": ["item.created"],
    "threshold_upper": None,
    "asset_key": "data",
    "band_mapping": {},
    "notification_channels": ["webhook"],
    "cooldown_minutes": 60,
    "active": True,
    "last_triggered_at": None,
}
FIELDS = {
    *RULE, *DEFAULTS, "id", "organization_id", "created_by", "created_at", "updated_at",
}  # fmt: skip
OPERATIONS = [
    "alerts.create_rule",
    "alerts.update_rule",
    "alerts.delete_rule",
    "alerts.rules.list",
    "alerts.rule.get",
    "alerts.test_rule",
    "alerts.backtest",
    "alerts.events.list",
    "alerts.acknowledge_event",
]


@pytest.fixture
async def owner(api):
    return await api.organization()


async def make(api, owner, **fields):
    """A rule."""
    made = await api.ok("alerts.create_rule", {**RULE, **fields}, as_=owner)
    return made["alert_rule"]


async def test_a_rule_has_the_defaults_of_the_guide(api, owner):
    rule = await make(api, owner)
    assert set(rule) == FIELDS
    assert {name: rule[name] for name in {**RULE, **DEFAULTS}} == {**RULE, **DEFAULTS}
    assert rule["id"].startswith("ar_") and rule["organization_id"] == owner.organization_id
    assert rule["created_by"] == owner.user_id
    assert rule["created_at"].endswith("Z") and rule["updated_at"] == rule["created_at"]
    got = await api.ok("alerts.rule.get", {"rule_id": rule["id"]}, as_=owner)
    assert got == {"alert_rule": rule}


async def test_a_key_makes_a_rule_of_nobody(api, owner):
    key = await api.key(owner, "alerts:write", "alerts:read")
    assert (await make(api, key))["created_by"] is None


async def test_fields_are_taken_in_camel_case_but_not_within_maps(api, owner):
    rule = await make(
        api, owner, collectionId="col_a1b2c3", notificationChannels=["webhook", "in_app"],
        cooldownMinutes=5, bandMapping={"nearInfrared": 4}, eventTypes=["item.updated"],
    )  # fmt: skip
    assert rule["collection_id"] == "col_a1b2c3" and rule["cooldown_minutes"] == 5
    assert rule["notification_channels"] == ["webhook", "in_app"]
    assert rule["band_mapping"] == {"nearInfrared": 4} and rule["event_types"] == ["item.updated"]
    changed = await api.ok(
        "alerts.update_rule", {"ruleId": rule["id"], "cooldownMinutes": 7}, as_=owner
    )
    assert changed["alert_rule"]["cooldown_minutes"] == 7


WRONG = [
    ({"comparison": "le"}, "lt, gt, eq, between"),
    ({"comparison": ""}, "lt, gt, eq, between"),
    ({"comparison": "between"}, "threshold_upper"),
    ({"comparison": "between", "threshold_upper": None}, "threshold_upper"),
    ({"comparison": "between", "threshold": 2, "threshold_upper": 1}, "threshold_upper"),
    ({"expression": "b1 +"}, "at character 5"),
    ({"expression": ""}, "empty formula"),
    ({"expression": "1 + 2"}, "uses no band"),
    ({"expression": "(nir - red) / nir"}, "unknown band 'nir'"),
    ({"expression": "b4 - red", "band_mapping": {"nir": 4}}, "unknown band 'red'"),
    ({"expression": "B4"}, "unknown band 'B4'"),
    ({"expression": "b0"}, "unknown band 'b0'"),
    ({"expression": "b201"}, "unknown band 'b201'"),
    ({"expression": "b1; b2"}, "one value"),
    ({"expression": "__import__('os').getcwd()"}, "unknown function"),
    ({"expression": "().__class__"}, "at character"),
    ({"expression": "b1 ** 9 ** 9 ** 9"}, "exponent"),
    ({"expression": "-" * 5000 + "b1"}, "longer than"),
    ({"expression": "(" * 500 + "b1" + ")" * 500}, "nested deeper"),
    ({"expression": "+".join(["b1"] * 250)}, "more than 200"),
    ({"expression": "b1 * 1e400"}, "numbers must lie"),
]


async def test_what_the_domain_refuses_is_400(api, owner):
    rule = await make(api, owner)
    for fields, says in WRONG:
        problem = await api.refused(400, "alerts.create_rule", {**RULE, **fields}, as_=owner)
        assert says in problem["detail"]
        patch = {"rule_id": rule["id"], **fields}
        problem = await api.refused(400, "alerts.update_rule", patch, as_=owner)
        assert says in problem["detail"]
    assert (await api.ok("alerts.rules.list", as_=owner))["alert_rules"] == [rule]


UNFIT = [
    {"name": None},
    {"name": " "},
    {"name": "a\nb"},
    {"name": "x" * 201},
    {"name": 5},
    {"description": "x" * 2001},
    {"collection_id": "x" * 201},
    {"asset_key": ""},
    {"threshold": "warm"},
    {"threshold": "nan"},
    {"threshold": "1e999"},
    {"threshold_upper": "inf"},
    {"event_types": ["item.deleted"]},
    {"event_types": ["item.created", "order.placed"]},
    {"event_types": []},
    {"event_types": "item.created"},
    {"notification_channels": ["pigeon"]},
    {"notification_channels": [None]},
    {"cooldown_minutes": -1},
    {"cooldown_minutes": 10**9},
    {"cooldown_minutes": 10**30},
    {"cooldown_minutes": 1.5},
    {"band_mapping": {"red": "three"}},
    {"band_mapping": {"red": 0}},
    {"band_mapping": {"red": 201}},
    {"band_mapping": {"red": 1, "RED": 2}},
    {"band_mapping": {"b1": 2}},
    {"band_mapping": {"-": 1}},
    {"band_mapping": {"x" * 101: 1}},
    {"band_mapping": {f"n{n}": 1 for n in range(201)}},
    {"band_mapping": []},
]


async def test_what_no_field_may_hold_is_422(api, owner):
    rule = await make(api, owner)
    for fields in UNFIT:
        [field] = fields
        problem = await api.refused(422, "alerts.create_rule", {**RULE, **fields}, as_=owner)
        assert problem["detail"][0]["loc"][:2] == ["body", field]
        if fields[field] is not None:
            patch = {"rule_id": rule["id"], **fields}
            await api.refused(422, "alerts.update_rule", patch, as_=owner)
    for field in RULE:
        body = {name: value for name, value in RULE.items() if name != field}
        [error] = (await api.refused(422, "alerts.create_rule", body, as_=owner))["detail"]
        assert error["loc"] == ["body", field] and error["type"] == "missing"
    assert (await api.ok("alerts.rules.list", as_=owner))["alert_rules"] == [rule]


async def test_null_on_an_optional_field_is_the_default(api, owner):
    nulls = dict.fromkeys(name for name in DEFAULTS if name not in ("active", "last_triggered_at"))
    rule = await make(api, owner, **nulls)
    assert {name: rule[name] for name in DEFAULTS} == DEFAULTS


async def test_an_update_changes_what_is_sent_and_nothing_else(api, owner):
    rule = await make(
        api, owner, description="d", collection_id="c", threshold_upper=1, band_mapping={"red": 3}
    )
    changes = {
        "name": "other", "expression": "red", "comparison": "between", "threshold": 0,
        "event_types": ["item.updated", "item.created", "item.updated"], "asset_key": "visual",
        "notification_channels": [], "active": False, "cooldown_minutes": 0,
    }  # fmt: skip
    for field, value in changes.items():
        answer = await api.ok(
            "alerts.update_rule", {"rule_id": rule["id"], field: value}, as_=owner
        )
        after = answer["alert_rule"]
        wanted = ["item.updated", "item.created"] if field == "event_types" else value
        assert after == {**rule, field: wanted, "updated_at": after["updated_at"]}
        assert after["updated_at"] > rule["updated_at"]
        rule = after


async def test_null_clears_three_fields_and_is_nothing_for_the_others(api, owner):
    rule = await make(api, owner, description="d", collection_id="c", threshold_upper=1)
    clears = {"description": None, "collection_id": None, "threshold_upper": None}
    answer = await api.ok("alerts.update_rule", {"rule_id": rule["id"], **clears}, as_=owner)
    assert answer["alert_rule"] == {
        **rule, **clears, "updated_at": answer["alert_rule"]["updated_at"],
    }  # fmt: skip
    empty = {"name": None, "active": None, "band_mapping": None, "unknown": 5}
    for patch in ({}, empty):
        problem = await api.refused(
            400, "alerts.update_rule", {"rule_id": rule["id"], **patch}, as_=owner
        )
        assert "nothing to change" in problem["detail"]


async def test_a_patch_is_judged_by_the_rule_it_makes(api, owner):
    rule = await make(api, owner, comparison="between", threshold=1, threshold_upper=2)
    for patch in ({"threshold_upper": None}, {"threshold": 3}, {"threshold_upper": 0}):
        await api.refused(400, "alerts.update_rule", {"rule_id": rule["id"], **patch}, as_=owner)
    named = await make(api, owner, expression="red", band_mapping={"red": 1})
    problem = await api.refused(
        400, "alerts.update_rule", {"rule_id": named["id"], "band_mapping": {}}, as_=owner
    )
    assert "unknown band 'red'" in problem["detail"]
    patch = {"rule_id": rule["id"], "comparison": "gt", "threshold_upper": None}
    assert (await api.ok("alerts.update_rule", patch, as_=owner))["alert_rule"]["threshold"] == 1


async def test_mail_needs_a_server_to_send_it(api, owner):
    problem = await api.refused(
        422, "alerts.create_rule", {**RULE, "notification_channels": ["email"]}, as_=owner
    )
    assert "mail" in problem["detail"][0]["msg"]


async def test_deleting_is_once(api, owner):
    rule = await make(api, owner)
    body = {"rule_id": rule["id"]}
    assert await api.ok("alerts.delete_rule", body, as_=owner) == {"deleted": True}
    for op in ("alerts.delete_rule", "alerts.rule.get", "alerts.update_rule"):
        problem = await api.refused(404, op, body, as_=owner)
        assert problem["detail"] == "alert rule not found"
    assert await api.ok("alerts.rules.list", as_=owner) == {"alert_rules": [], "count": 0}


async def test_the_list_has_every_rule_newest_first_and_filters(api, owner):
    rules = [await make(api, owner, name=f"r{n}", collection_id=f"c{n % 2}") for n in range(5)]
    off = await api.ok(
        "alerts.update_rule", {"rule_id": rules[0]["id"], "active": False}, as_=owner
    )
    rules[0] = off["alert_rule"]
    await make(api, await api.organization(), name="foreign")

    async def listed(**filters):
        answer = await api.ok("alerts.rules.list", filters, as_=owner)
        assert answer["count"] == len(answer["alert_rules"])
        return answer["alert_rules"]

    assert await listed() == rules[::-1]
    assert await listed(active=True) == rules[:0:-1]
    assert await listed(active=False) == rules[:1]
    assert await listed(active=True, collection_id="c0") == [rules[4], rules[2]]
    assert await listed(collection_id="nowhere") == []


async def test_the_order_of_checks(api, owner):
    nobody = api.user()
    reader = await api.key(owner, "items:read")
    for op in OPERATIONS:
        problem = await api.refused(403, op, {}, as_=nobody)
        assert problem["detail"] == "User not in an organization"
        problem = await api.refused(403, op, {}, as_=reader)
        assert problem["detail"].startswith("missing scope 'alerts:")
    missing = {"rule_id": "ar_missing", "comparison": "zz"}
    await api.refused(404, "alerts.update_rule", missing, as_=owner)
    # the schema before the domain
    await api.refused(422, "alerts.create_rule", {**RULE, "name": 1, "comparison": "zz"}, as_=owner)


async def test_reads_have_paths_of_their_own(api, owner):
    rule = await make(api, owner)
    headers = {"Authorization": f"Bearer {owner.token}"}
    for path, answer in (
        ("/v1/alerts/rules?active=true", {"alert_rules": [rule], "count": 1}),
        (f"/v1/alerts/rule/{rule['id']}", {"alert_rule": rule}),
        ("/v1/alerts/events?limit=5", {"alert_events": [], "count": 0}),
    ):
        got = await api.client.get(path, headers=headers)
        assert (got.status_code, got.json()) == (200, answer), path


async def test_another_organizations_rule_looks_like_none(api, owner):
    rule = await make(api, owner)
    other = await api.organization()
    for op in ("alerts.rule.get", "alerts.update_rule", "alerts.delete_rule"):
        theirs = await api.refused(404, op, {"rule_id": rule["id"], "name": "x"}, as_=other)
        missing = await api.refused(404, op, {"rule_id": "ar_missing", "name": "x"}, as_=other)
        assert {**theirs, "instance": 0} == {**missing, "instance": 0}


async def test_limits_of_the_events_are_moved_into_range(api, owner):
    for body in (
        {"limit": 0}, {"limit": -5}, {"limit": 2**52}, {"offset": -1}, {"offset": 2**52},
        {"rule_id": "ar_missing"}, {"acknowledged": True},
    ):  # fmt: skip
        answer = await api.ok("alerts.events.list", body, as_=owner)
        assert answer == {"alert_events": [], "count": 0}
    await api.refused(404, "alerts.acknowledge_event", {"event_id": "ae_missing"}, as_=owner)


WORDS = ["b1", "b2", "b999", "red", "(", ")", "+", "-", "**", "/", ";", "1e9", "where(", ",", "\0"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.text(max_size=60),
        st.text(string.printable, max_size=60),
        st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    )
)
async def test_any_text_is_an_expression_or_is_refused(api, text):
    owner = await _shared(api)
    body = {**RULE, "expression": text, "band_mapping": {"red": 3}}
    headers = {"Authorization": f"Bearer {owner.token}"}
    answer = await api.client.post("/v1/op/alerts.create_rule", json=body, headers=headers)
    assert answer.status_code in (200, 400, 422), answer.text


async def _shared(api):
    """One organization for all examples of a test."""
    if not hasattr(api, "shared"):
        api.shared = await api.organization()
    return api.shared

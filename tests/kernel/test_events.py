"""The list of event types: what is published of them, and that nothing else is said."""

from __future__ import annotations

import re

import jsonschema
import pytest

from ops_gateway.kernel.events import EVENT_TYPES, published
from ops_gateway.surfaces import openapi

CONTRACT = {
    "item": ("created", "updated", "deleted"),
    "upload": ("completed", "failed"),
    "processing": ("completed", "failed"),
    "order": ("placed", "fulfilled", "canceled", "failed"),
    "alert": ("triggered",),
    "credits": ("low", "topped_up"),
    "approval": ("requested", "decided"),
    "share": ("created", "revoked"),
    "test": ("ping",),
}

DELETED = {"item_id": "it_1", "name": "scene", "collection_id": None}


def test_every_type_of_the_contract_is_there_under_a_name_of_two_parts():
    named = {f"{first}.{second}" for first, rest in CONTRACT.items() for second in rest}
    assert named <= EVENT_TYPES.keys()
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in EVENT_TYPES)


def test_data_goes_out_whole_and_with_its_project():
    assert published("item.deleted", "item", DELETED, "proj_1") == {
        **DELETED,
        "project_id": "proj_1",
    }
    assert published("test.ping", "event_subscription", {}, None) == {
        "project_id": None,
        "subscription_id": None,
        "note": "",
    }


@pytest.mark.parametrize(
    ("kind", "about", "said", "names"),
    [
        ("item.exploded", "item", {}, "item.exploded"),
        ("item.deleted", "upload", DELETED, "about a item"),
        ("item.deleted", "item", {"item_id": "it_1"}, "collection_id"),
        ("item.deleted", "item", {**DELETED, "secret": "x"}, "secret"),
        ("item.deleted", "item", {**DELETED, "name": 5}, "name"),
    ],
)
def test_an_event_that_is_not_as_declared_is_refused(kind, about, said, names):
    with pytest.raises((KeyError, TypeError), match=names):
        published(kind, about, said, None)


def test_openapi_describes_every_message_and_a_message_is_as_described():
    document = openapi.document()
    assert document["webhooks"].keys() == EVENT_TYPES.keys()
    body = document["webhooks"]["item.deleted"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    message = {
        "event_id": "evt_1",
        "event_type": "item.deleted",
        "timestamp": "2026-06-20T02:10:00Z",
        "organization_id": "org_1",
        "entity_type": "item",
        "entity_id": "it_1",
        "data": published("item.deleted", "item", DELETED, None),
    }
    whole = {**schema, "components": document["components"]}
    jsonschema.validate(message, whole)
    for wrong in ({"event_type": "item.created"}, {"data": {"name": 5}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**message, **wrong}, whole)

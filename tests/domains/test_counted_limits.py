"""So many and no more, also when many are asked for at once."""

from __future__ import annotations

import asyncio

import pytest

from ops_gateway.domains import alerts, band_formulas, event_subscriptions, saved_searches

ASKED = {
    "event_subscriptions.create": {"event_type": "*", "endpoint_url": "https://93.184.216.34/hook"},
    "saved_searches.create": {"search": {}},
    "alerts.create_rule": {
        "event_types": ["item.created"], "expression": "b1", "comparison": "gt", "threshold": 1,
        "asset_key": "data", "notification_channels": ["in_app"],
    },
    "band_formulas.create": {"formula": "b1 + b2"},
}  # fmt: skip


@pytest.mark.parametrize("op", ASKED)
async def test_of_many_at_once_no_more_are_made_than_there_may_be(api, monkeypatch, op):
    for module, name in (
        (event_subscriptions, "MOST_SUBSCRIPTIONS"),
        (saved_searches, "MOST_SEARCHES"),
        (alerts, "MOST_RULES"),
        (band_formulas, "MAX_FORMULAS"),
    ):
        monkeypatch.setattr(module, name, 2)
    owner = await api.organization()

    async def make(n):
        named = {} if op.startswith("event") else {"name": f"number {n}"}
        return (await api.call(op, {**ASKED[op], **named}, as_=owner)).status_code

    made = await asyncio.gather(*(make(n) for n in range(8)))
    assert sorted(made)[2:] == [409] * 6 and max(sorted(made)[:2]) < 300, made

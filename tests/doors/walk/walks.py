"""Which file walks which domains: so that the walk is spread over processes."""

from __future__ import annotations

import pytest

from ops_gateway.kernel.operation import REGISTRY

DOMAINS: dict[str, tuple[str, ...]] = {
    "catalogue": (
        "assets", "collections", "items", "projects", "provenance", "saved_searches", "stac",
        "uploads",
    ),
    "processing": ("astra", "clip", "processing"),
    "pictures": ("analytics", "band_formulas", "cog", "visualization"),
    "people": (
        "alerts", "api_keys", "event_subscriptions", "notifications", "organizations", "share",
        "webhooks",
    ),
    "money": ("billing", "payment_methods", "usage"),
}  # fmt: skip


def operations(name: str) -> pytest.MarkDecorator:
    """The operations of a file, as a test's parameter `op_id`."""
    found = sorted(op.id for op in REGISTRY.values() if op.domain in DOMAINS[name])
    return pytest.mark.parametrize("op_id", found)

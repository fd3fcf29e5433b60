"""Which file walks which domains: so that the walk is spread over processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ops_gateway.kernel.operation import REGISTRY
from walk import steps
from walk.world import World

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


def walk_through(name: str) -> tuple[Callable[..., None], Callable[..., None]]:
    """The tests of a file: of each operation the answers by every door, and the refusals."""
    found = sorted(op.id for op in REGISTRY.values() if op.domain in DOMAINS[name])

    @pytest.mark.parametrize("op_id", found)
    def test_answer(world: World, recording: bool, op_id: str) -> None:
        differences = steps.walk(world, op_id, recording=recording)
        world.leave()
        assert not differences, "\n".join(differences)

    @pytest.mark.parametrize("op_id", found)
    def test_refusal(world: World, op_id: str) -> None:
        differences = steps.refuse(world, op_id)
        world.leave()
        assert not differences, "\n".join(differences)

    return test_answer, test_refusal

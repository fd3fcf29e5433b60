"""Rounds over what is due: one organization's trouble stops no other's."""

from __future__ import annotations

import logging

from db.pool import make_pool
from ops_gateway.kernel.rounds import each_due


async def test_a_row_that_fails_stops_no_other(dsn, caplog):
    async def work(row):
        if row["organization_id"] == "org_b":
            raise RuntimeError("broken")
        return row["organization_id"]

    query = "select 'org_' || n as organization_id from unnest(%(names)s::text[]) n"
    async with make_pool(dsn, "opstac_system", min_size=1, max_size=1) as system:
        with caplog.at_level(logging.ERROR):
            done = await each_due(system, query, work, "it waits", names=["a", "b", "c"])
    assert done == ["org_a", "org_c"]
    [said] = caplog.records
    assert (said.message, said.organization) == ("it waits", "org_b") and said.exc_info

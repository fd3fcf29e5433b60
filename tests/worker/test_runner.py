"""A run in this process: what it does when its own end meets its heartbeat."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ops_gateway.worker import claim
from ops_gateway.worker.runner import Limits, Run
from ops_gateway.worker.services import Made


class Slow:
    """Services that end the job in the table and take their time to come back from it."""

    def __init__(self, platform: Any, job: Any, by: str) -> None:
        self.platform, self.job, self.by = platform, job, by
        self.came_back = False

    async def mint_token(self, job: Any) -> str:
        return "t"

    async def sources(self, job: Any) -> list[Any]:
        return []

    def recipe_key(self, job: Any, sources: Any) -> None:
        return None

    async def stamps(self, sources: Any) -> list[str]:
        return []

    async def answer(self, job: Any, sources: Any) -> bool:
        if self.by == "answer":
            await self._end()
        return self.came_back

    async def register(self, *_: Any) -> None:
        await self._end()

    async def _end(self) -> None:
        self.platform.sql("update job set status = 'completed' where id = %s", self.job.id)
        await asyncio.sleep(0.5)  # ten heartbeats
        self.came_back = True


@pytest.mark.parametrize("by", ["register", "answer"])
async def test_a_heartbeat_does_not_cut_off_the_end_that_it_meets(pool, platform, by) -> None:
    platform.job(platform.organization())
    job = await claim.claim(pool, "w", types=[("test", "1.0")], running_limit=2, lease_seconds=30)
    assert job is not None
    services = Slow(platform, job, by)

    async def compute(*_: Any, **__: Any) -> Made:
        return Made(())

    limits = Limits(beat_seconds=0.05, lease_seconds=30)
    assert await Run(pool, services, compute, limits, job)() == "completed"  # type: ignore[arg-type]
    assert services.came_back

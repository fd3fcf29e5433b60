"""Waiting for a job, for as long as a tool may take."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import orjson

from ops_gateway.kernel.answers import Call
from ops_gateway.kernel.errors import Invalid, RateLimited
from ops_gateway.kernel.operation import REGISTRY, Operation
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces.mcp.tools import or_problem

MOST_SECONDS = 50
"""Many hosts give a tool a minute."""
MOST_AT_ONCE = 8
"""Calls of one organization that wait in this process."""
FIRST_SECONDS, LONGEST_SECONDS = 0.5, 3.0
"""Between two looks at a job: longer each time."""
JOB = "processing.project_job.get"
ENDED = ("completed", "failed", "cancelled")

Report = Callable[[float, str], Awaitable[None]]
"""Is told how far a job is, from 0 to 100, and its status."""


class Waiting:
    """Looks at jobs again and again, holding nothing meanwhile."""

    TOOL: ClassVar[dict[str, Any]] = {
        "name": "wait_for_job",
        "title": "Wait for job",
        "description": "Wait until a job has ended, and see how far it is. Where it takes longer "
        "than `seconds`, `done` is false: call again.",
        "inputSchema": {
            "type": "object",
            "required": ["job_id"],
            "properties": {
                "job_id": {"type": "string"},
                "seconds": {
                    "type": "number",
                    "minimum": 0,
                    "maximum": MOST_SECONDS,
                    "default": 30,
                },
            },
        },
        "outputSchema": or_problem(
            {
                "type": "object",
                "required": ["done", "status", "progress", "job", "next"],
                "properties": {
                    "done": {"type": "boolean"},
                    "status": {"type": "string"},
                    "progress": {"type": "number", "description": "0 to 100."},
                    "job": {"type": "object"},
                    "next": {"type": "string"},
                },
            }
        ),
    }

    def __init__(self, pipeline: Pipeline, draining: Callable[[], bool]) -> None:
        """Whoever waits is answered when `draining` says so."""
        self._pipeline = pipeline
        self._draining = draining
        self._at_once: Counter[str] = Counter()

    @property
    def operation(self) -> Operation:
        """What a look at a job is."""
        return REGISTRY[JOB]

    async def wait(
        self, job_id: str, seconds: float, call: Call, report: Report | None = None
    ) -> dict[str, Any]:
        """How the job stands when it has ended or the time is over; raises OpError.

        `report` is told each time that it has come further.
        """
        if not 0 <= seconds <= MOST_SECONDS:
            raise Invalid.at("seconds", f"must be 0 to {MOST_SECONDS}")
        owner = call.principal.organization_id or call.principal.id
        if self._at_once[owner] >= MOST_AT_ONCE:
            raise RateLimited(
                f"{MOST_AT_ONCE} calls of your organization wait for jobs already; try again later",
                headers={"Retry-After": "5"},
            )
        self._at_once[owner] += 1
        try:
            return _told(await self._until(job_id, seconds, call, report))
        finally:
            self._at_once[owner] -= 1
            if not self._at_once[owner]:
                del self._at_once[owner]

    async def _until(
        self, job_id: str, seconds: float, call: Call, report: Report | None
    ) -> dict[str, Any]:
        clock = asyncio.get_running_loop().time
        deadline, pause, told = clock() + seconds, FIRST_SECONDS, -1.0
        while True:
            answer = await self._pipeline.run(JOB, {"job_id": job_id}, call)
            job = orjson.loads(answer.body)["job"]
            left = deadline - clock()
            if report is not None and job["progress"] > told:
                told = job["progress"]
                await report(told, job["status"])
            if job["status"] in ENDED or left <= 0 or self._draining():
                return job
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_SECONDS)


def _told(job: dict[str, Any]) -> dict[str, Any]:
    done = job["status"] in ENDED
    if not done:
        then = "It has not ended. Call wait_for_job again."
    elif job["status"] == "completed":
        then = (
            "It is done. Its outputs are the items of `job.output_item_ids`; see items.get, and "
            "items.asset.download for their files."
        )
    else:
        then = "It ended without a result. See `job.error` and `job.log`."
    return {
        "done": done,
        "status": job["status"],
        "progress": job["progress"],
        "job": job,
        "next": then,
    }

"""Child processes that look into strangers' files: what they may be asked, and how many at once."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

from ops_gateway.kernel.services import Child, ChildRefused
from raster.child import ChildFailed, run_child

# what a process that parses strangers' files is not given
SECRET = re.compile("AWS_|DATABASE_|PG|OPSTAC_", re.ASCII)
CHILD_FUNCTIONS = {
    "analyse": "processes.analysis.engine:execute",
    "decoded_bytes": "raster.ingest:decoded_bytes",
    "inspect": "raster.inspect:inspect",
    "mean": "processes.analysis.means:execute",
    "means": "processes.analysis.means:execute",
    "plain_file": "raster.inspect:plain_file",
    "prepare": "raster.ingest:prepare",
}
CHILD_SECONDS = {
    "analyse": 120,
    "decoded_bytes": 10,
    "inspect": 60,
    "mean": 120,
    "means": 900,
    "plain_file": 60,
    "prepare": 1800,
}
# at once: each may take two gibibytes and a core
CHILDREN = max(2, os.cpu_count() or 2)
CHILD_WAIT_SECONDS = 60.0
PASSING = ("timeout", "internal", "unavailable", "storage_unavailable", "disk_full")


def child_runner() -> Child:
    """Runs one of `CHILD_FUNCTIONS` in a child. Raises: ChildRefused."""
    turns = asyncio.Semaphore(CHILDREN)

    async def child(function: str, /, **kwargs: Any) -> Any:
        try:
            async with asyncio.timeout(CHILD_WAIT_SECONDS):
                await turns.acquire()
        except TimeoutError:
            message = "too many files are being looked into; try again shortly"
            raise ChildRefused("busy", message, passing=True) from None
        try:
            return await run_child(
                CHILD_FUNCTIONS[function], kwargs, seconds=CHILD_SECONDS[function]
            )
        except ChildFailed as failure:
            raise ChildRefused(
                failure.code, failure.message, passing=failure.code in PASSING
            ) from None
        finally:
            turns.release()

    return child

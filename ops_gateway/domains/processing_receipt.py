"""What a job cost and what it was made of."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ops_gateway.catalogue.sources import readable
from ops_gateway.domains import jobs, receipts
from ops_gateway.domains.receipts import Receipt
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Forbidden, NotFound
from ops_gateway.kernel.operation import Effect, Input, Output, operation


class JobReceiptInput(Input):
    """A job by id."""

    job_id: str


class JobReceiptOutput(Output):
    """What was charged, and what the outputs are a function of."""

    receipt: Receipt
    recipe: dict[str, Any] | None = Field(
        description="process, code, libraries, inputs, checksums of sources and outputs, those of "
        "items that you may not see left out; null for "
        "work done outside and for a job that made nothing"
    )


@operation("processing.job.receipt", scope="processing:read", effect=Effect.READ)
async def get_receipt(ctx: Context, body: JobReceiptInput) -> JobReceiptOutput:
    """Receipt of a job that ended, and the record it can be reproduced from."""
    row = await jobs.find(ctx, body.job_id)
    receipt = receipts.of(row)
    if receipt is None:
        raise Conflict(f"the job is {row['status']} and has no receipt")
    return JobReceiptOutput(receipt=receipt, recipe=await _shown(ctx, row["recipe"]))


async def _shown(ctx: Context, recipe: dict[str, Any] | None) -> dict[str, Any] | None:
    """The recipe without what tells of the files of items that the caller may not see."""
    if not recipe:
        return recipe
    seen: dict[str, bool] = {}
    for source in recipe["sources"]:
        if source["item_id"] not in seen:
            seen[source["item_id"]] = await _sees(ctx, source["item_id"])
    secret = {"checksum": None, "metadata": None}
    sources = [s if seen[s["item_id"]] else {**s, **secret} for s in recipe["sources"]]
    return {**recipe, "sources": sources}


async def _sees(ctx: Context, item_id: str) -> bool:
    try:
        await readable(ctx, item_id)
    except (NotFound, Forbidden):
        return False
    return True

"""Addresses that want word of a job: checked at the door, kept with the job, told by a worker.

The table's trigger makes the deliveries, in the transaction that changes the job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from db.queries import queries
from ops_gateway.kernel import holders
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Invalid

sql = queries(__file__)


async def check(ctx: Context, url: str, loc: str | Sequence[str | int]) -> None:
    """Raise Invalid at `loc` unless messages may be sent to `url` now. Not within a transaction."""
    await ctx.release()
    receivers = ctx.services.receivers
    if receivers is None:
        raise Invalid.at(loc, "this service sends no messages")
    try:
        await receivers.check_endpoint(url)
    except ValueError as error:
        raise Invalid.at(loc, f"nothing is sent there: {error}", "url_refused") from None


async def add(ctx: Context, job_id: str, kind: str, url: str) -> None:
    """Tell `url` of the job, in the words of `kind`; in the transaction that makes the job."""
    holder = holders.holder_of(ctx.principal)
    await ctx.execute(sql.add, job=job_id, kind=kind, url=url, base_url=ctx.base_url, holder=holder)


async def base_url(ctx: Context, job: Mapping[str, Any], kind: str) -> str | None:
    """How the client that gave the address reached the platform; None where they may not see the
    job any more, and so are not to be told of it.
    """
    row = await ctx.one("callback", sql.given, job=job["id"], project=job["project_id"], kind=kind)
    return row["base_url"] if row["stands"] else None


async def job(ctx: Context, job_id: str) -> dict[str, Any]:
    """The job's row, also where it has been deleted since: its message is owed all the same."""
    return await ctx.one("job", sql.job_even_deleted, id=job_id)

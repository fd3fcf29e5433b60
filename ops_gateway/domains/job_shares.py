"""How much of the workers an organization gets: set by the operator, over no surface."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

from db.queries import queries
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import Invalid, NotFound
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

LARGEST_WEIGHT = 100
LARGEST_LIMIT = 1000


@dataclass(frozen=True)
class Share:
    """An organization's part of the workers.

    Attributes:
        weight: turns it gets for one turn of an organization of weight 1.
        running_limit: its jobs that run at once; None for the platform's setting.
    """

    weight: int = 1
    running_limit: int | None = None


async def set_share(
    pipeline: Pipeline,
    organization_id: str,
    *,
    weight: int | None = None,
    running_limit: int | Literal["default"] | None = None,
    by: str,
) -> Share:
    """Change an organization's share, or look at it; what is None stays as it is.

    Args:
        weight: 1 to 100.
        running_limit: 0 to 1000, where 0 holds its jobs back; `default` for the platform's.
        by: who sets it, for the audit row.

    Raises:
        NotFound: there is no such organization.
        Invalid: a number is out of range.
    """
    if weight is not None and not 1 <= weight <= LARGEST_WEIGHT:
        raise Invalid.at("weight", f"a weight is 1 to {LARGEST_WEIGHT}")
    if isinstance(running_limit, int) and not 0 <= running_limit <= LARGEST_LIMIT:
        raise Invalid.at("running_limit", f"a limit is 0 to {LARGEST_LIMIT}, or default")

    async def find(ctx: Context) -> Share:
        if await ctx.row(None, sql.organization) is None:
            raise NotFound.of("organization")
        row = await ctx.row(None, sql.share)
        return Share(**row) if row else Share()

    async def change(ctx: Context) -> Share:
        share = await find(ctx)
        if weight is not None:
            share = replace(share, weight=weight)
        if running_limit is not None:
            limit = None if running_limit == "default" else running_limit
            share = replace(share, running_limit=limit)
        await ctx.execute(sql.set_share, **asdict(share))
        ctx.produced("organization", organization_id)
        return share

    operator = Principal(kind="service", id=by, organization_id=organization_id)
    if weight is None and running_limit is None:
        return await pipeline.look("jobs.share", operator, find)
    return await pipeline.act("jobs.set_share", operator, change)

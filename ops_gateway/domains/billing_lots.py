"""Credits that expire: which of them were used, and what is taken back when their time is over.

Credits that expire are used before those that do not, and of them the first to expire before the
others. What is reserved counts as used; where it comes back, the next month end takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from db.queries import queries
from ops_gateway.kernel.context import Context

sql = queries(__file__)


@dataclass(frozen=True)
class Lot:
    """Credits given together."""

    id: str
    credits: int
    granted_at: datetime
    expires_at: datetime
    expired: int = 0


def used(lots: Sequence[Lot], taken: Iterable[tuple[datetime, int]]) -> dict[str, int]:
    """How many credits of each lot were used, by its id.

    Args:
        taken: what was used from a time on, in order. No lot begins or ends between one and the
            next of them.
    """
    left = {lot.id: lot.credits for lot in lots}
    for at, credits in taken:
        for lot in sorted(lots, key=lambda lot: (lot.expires_at, lot.granted_at, lot.id)):
            if lot.granted_at <= at < lot.expires_at:
                part = min(left[lot.id], credits)
                left[lot.id] -= part
                credits -= part
    return {lot.id: lot.credits - left[lot.id] for lot in lots}


async def expire(ctx: Context, until: datetime) -> int:
    """Take back what is left of the lots that end by `until`; how many credits.

    Never more than is available: what was spent otherwise is written off. The wallet is locked.
    """
    lots = [
        Lot(r["journal_id"], r["credits"], r["granted_at"], r["expires_at"], r["expired"])
        for r in await ctx.rows(None, sql.lots)
    ]
    if not any(lot.expires_at <= until for lot in lots):
        return 0
    available = (await ctx.one("wallet", sql.wallet))["available"]
    bounds = sorted({moment for lot in lots for moment in (lot.granted_at, lot.expires_at)})
    rows = await ctx.rows(None, sql.taken, bounds=bounds, since=bounds[0])
    done = used(lots, [(bounds[row["part"] - 1], row["credits"]) for row in rows])
    total = 0
    for lot in lots:
        over = lot.credits - done[lot.id] - lot.expired
        if lot.expires_at > until or over <= 0:
            continue
        taken = min(over, available - total)
        if taken:
            ctx.expire(taken, "credits expired", reference=("credit_lot", lot.id))
        await ctx.execute(sql.write_off, credits=over, journal=lot.id)
        total += taken
    return total

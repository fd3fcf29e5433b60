"""Credits that expire: which of them were used, and what is taken back when their time is over.

Credits that expire are used before those that do not, and of them the first to expire before the
others. What is reserved counts as used; where it comes back, the next month end takes it. What is
taken away otherwise, such as a purchase that went back to the card, is taken of credits that do not
expire as long as there are any: those were bought.
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


@dataclass(frozen=True)
class Stretch:
    """A time in which no lot begins or ends, and what happened in it, in this order.

    Attributes:
        taken: credits taken away at its begin.
        came: credits that do not expire, and came in it.
        used: credits reserved or charged in it.
    """

    at: datetime
    taken: int = 0
    came: int = 0
    used: int = 0


def used(lots: Sequence[Lot], stretches: Iterable[Stretch], kept: int = 0) -> dict[str, int]:
    """How many credits of each lot are gone, by its id.

    Args:
        stretches: in order.
        kept: credits that do not expire and were there before the first stretch.
    """
    left = {lot.id: lot.credits for lot in lots}
    order = sorted(lots, key=lambda lot: (lot.expires_at, lot.granted_at, lot.id))

    def of_lots(at: datetime, credits: int) -> int:
        for lot in order:
            if lot.granted_at <= at < lot.expires_at:
                part = min(left[lot.id], credits)
                left[lot.id] -= part
                credits -= part
        return credits

    for stretch in stretches:
        of_lots(stretch.at, max(0, stretch.taken - kept))
        kept = max(0, kept - stretch.taken) + stretch.came
        kept = max(0, kept - of_lots(stretch.at, stretch.used))
    return {lot.id: lot.credits - left[lot.id] for lot in lots}


async def reach(ctx: Context) -> int:
    """Available credits, with what this transaction adds and takes so far; the wallet is locked."""
    available = (await ctx.one("wallet", sql.wallet))["available"]
    moved = (p["amount"] for p in ctx.postings if p["kind"] not in ("hold", "settle", "void"))
    return available + sum(moved)


async def left_of(ctx: Context) -> list[tuple[Lot, int]]:
    """The organization's lots that expire, each with what is left of it."""
    lots = [
        Lot(r["journal_id"], r["credits"], r["granted_at"], r["expires_at"], r["expired"])
        for r in await ctx.rows(None, sql.lots)
    ]
    if not lots:
        return []
    takings = await ctx.rows(None, sql.takings)
    moments = {moment for lot in lots for moment in (lot.granted_at, lot.expires_at)}
    bounds = sorted(moments | {row["at"] for row in takings})
    sums = {row["part"]: row for row in await ctx.rows(None, sql.moved, bounds=bounds)}
    nothing = {"came": 0, "used": 0}
    stretches = [
        Stretch(
            at,
            sum(row["credits"] for row in takings if row["at"] == at),
            sums.get(part, nothing)["came"],
            sums.get(part, nothing)["used"],
        )
        for part, at in enumerate(bounds, 1)
    ]
    before = sums.get(0, nothing)
    gone = used(lots, stretches, max(0, before["came"] - before["used"]))
    return [(lot, max(0, lot.credits - gone[lot.id] - lot.expired)) for lot in lots]


async def expire(ctx: Context, until: datetime) -> int:
    """Take back what is left of the lots that end by `until`; how many credits.

    Never more than is available: what was spent otherwise is written off. The wallet is locked.
    """
    available = await reach(ctx)
    total = 0
    for lot, over in await left_of(ctx):
        if lot.expires_at > until or over <= 0:
            continue
        taken = min(over, available - total)
        if taken:
            ctx.expire(taken, "credits expired", reference=("credit_lot", lot.id))
        await ctx.execute(sql.write_off, credits=over, journal=lot.id)
        total += taken
    return total


# ---------------------------------------------------------------- lines of credit


async def withdraw_line(ctx: Context, line: int) -> int:
    """Take back what was given as lines of credit beyond `line`; how many credits.

    What was charged or is reserved on a line and is on no invoice stays given, since it is owed.
    What cannot be taken, because it was used otherwise, is tried again at the next month end.
    """
    within = await reach(ctx)  # first: whoever reserves credits waits
    taken = min(await line_over(ctx, line), within)
    if taken > 0:
        ctx.expire(taken, "credit line withdrawn", reference=("credit_line", None))
        await end_line(ctx, taken)
    return max(0, taken)


async def line_over(ctx: Context, line: int) -> int:
    """By how much the lines given are more than `line`, and than what is owed on them."""
    given = (await ctx.one("organization", sql.lines))["given"]
    if given <= line:
        return 0
    return max(0, given - max(line, (await ctx.one("organization", sql.owed))["credits"]))


async def end_line(ctx: Context, credits: int) -> None:
    """Write off so much of the lines given, the newest first."""
    for row in await ctx.rows(None, sql.open_lines):
        part = min(credits, row["left"])
        if part:
            await ctx.execute(sql.write_off, credits=part, journal=row["journal_id"])
            credits -= part

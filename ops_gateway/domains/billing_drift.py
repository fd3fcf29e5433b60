"""What is wrong in an organization's books, and what sets it right: always by a row more.

The entries of the ledger are the truth of credits, live assets that of stored bytes.
"""

from __future__ import annotations

from typing import Any, Literal

from db.queries import queries
from ops_gateway.domains import billing_settlement
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Output
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

Storage = Literal["storage_missing", "storage_stale", "storage_negative", "storage_size"]
# what each fault of stored bytes is corrected by, as the ledger of bytes names it
KINDS: dict[str, str] = {
    "storage_missing": "backfill",
    "storage_stale": "stale",
    "storage_negative": "zero",
    "storage_size": "correction",
}


class Fault(Output):
    """One thing that is wrong: what the truth is, what was found, and the difference."""

    kind: str
    subject: str
    expected: int
    found: int
    difference: int


class Correction(Output):
    """One thing that was set right."""

    id: str
    organization_id: str
    kind: str
    subject: str | None
    unit: str
    amount: int
    reason: str
    actor: str
    created_at: Any


class Drift(Output):
    """An organization's books: stored bytes by three counts, and all that is wrong."""

    organization_id: str
    drift_bytes: int
    actual_bytes: int
    ledger_bytes: int
    counted_bytes: int
    faults: list[Fault]
    count: int


async def find(ctx: Context) -> Drift:
    """All that is wrong for the bound organization; each fault is of one moment."""
    found: list[Fault] = []
    for query in (sql.wallet, sql.journals, sql.holds, sql.objects):
        for row in await ctx.rows(None, query):
            difference = row["found"] - row["expected"]
            found.append(
                Fault(
                    kind=row["kind"],
                    subject=row["subject"],
                    expected=row["expected"],
                    found=row["found"],
                    difference=difference,
                )
            )
    bytes_ = await ctx.one("organization", sql.bytes)
    if bytes_["counted"] != bytes_["countable"]:
        found.append(
            Fault(
                kind="storage_counter",
                subject=ctx.organization_id,
                expected=bytes_["countable"],
                found=bytes_["counted"],
                difference=bytes_["counted"] - bytes_["countable"],
            )
        )
    return Drift(
        organization_id=ctx.organization_id,
        drift_bytes=bytes_["live"] - bytes_["ledger"],
        actual_bytes=bytes_["live"],
        ledger_bytes=bytes_["ledger"],
        counted_bytes=bytes_["counted"],
        faults=found,
        count=len(found),
    )


async def note(
    ctx: Context, kind: str, subject: str | None, amount: int, unit: str, reason: str
) -> Correction:
    """Write down what was set right."""
    row = await ctx.one(
        "correction",
        sql.insert_correction,
        id=new_id("corr"),
        kind=kind,
        subject=subject,
        unit=unit,
        amount=amount,
        reason=reason,
        actor=ctx.principal.id,
    )
    ctx.produced("organization", ctx.organization_id)
    return Correction(**row)


async def correct_bytes(ctx: Context, kinds: frozenset[str] = frozenset(KINDS)) -> list[Correction]:
    """Bring the ledger of bytes to what is stored, for faults of `kinds`."""
    await ctx.row(None, sql.lock)
    done: list[Correction] = []
    for row in await ctx.rows(None, sql.objects):
        if row["kind"] not in kinds:
            continue
        # a negative rest is cancelled alone; what is missing then is another fault
        target = 0 if row["kind"] == "storage_negative" else row["expected"]
        delta = target - row["found"]
        kind = KINDS[row["kind"]]
        await ctx.execute(
            sql.add_bytes, path=row["subject"], asset_id=row["asset_id"], bytes=delta, kind=kind
        )
        done.append(await note(ctx, kind, row["subject"], delta, "bytes", row["kind"]))
    return done


async def correct_all(
    pipeline: Pipeline, organization_id: str, actor: Principal
) -> list[Correction]:
    """Set right all that can be: journals, balances, reservations, stored bytes. Safe to repeat
    and to stop: each step is a transaction that leaves the books no worse.
    """
    done: list[Correction] = []

    async def balances(ctx: Context) -> list[Correction]:
        made = [
            await note(ctx, "journal", r["subject"], r["amount"], "credits", "a line was missing")
            for r in await ctx.rows(None, sql.balance_journals)
        ]
        return made + [
            await note(ctx, "wallet", r["subject"], r["amount"], "credits", "not what was posted")
            for r in await ctx.rows(None, sql.restore_wallet)
        ]

    async def owed(ctx: Context) -> list[Correction]:
        amount = (await ctx.one("wallet", sql.below_zero))["owed"]
        if amount <= 0:
            return []
        why = "more was taken than there was"
        journal = ctx.credit("correction", amount, why)
        return [await note(ctx, "debt", journal, amount, "credits", why)]

    async def holds(ctx: Context) -> list[Correction]:
        made: list[Correction] = []
        for row in await ctx.rows(None, sql.repair_holds):
            made.append(
                await note(ctx, "hold", row["subject"], row["amount"], "credits", row["problem"])
            )
            if row["open"]:
                await billing_settlement.finish(ctx, row["subject"])
        return made + [
            await note(ctx, "hold", r["subject"], r["amount"], "credits", "not what a key spent")
            for r in await ctx.rows(None, sql.restore_budgets)
        ]

    async def ended(ctx: Context) -> list[Correction]:
        return [
            await note(ctx, "settlement", e.job_id or e.hold_id, e.credits, "credits", e.action)
            for e in await billing_settlement.settle_organization(ctx)
        ]

    async def stored(ctx: Context) -> list[Correction]:
        made = await correct_bytes(ctx)
        made += await correct_bytes(ctx)  # what a negative rest had hidden
        bytes_ = await ctx.one("organization", sql.bytes)
        if bytes_["counted"] != bytes_["countable"]:
            await ctx.execute(sql.set_counter, bytes=bytes_["countable"])
            delta = bytes_["countable"] - bytes_["counted"]
            made.append(await note(ctx, "counter", None, delta, "bytes", "not what is stored"))
        return made

    principal = Principal(kind=actor.kind, id=actor.id, organization_id=organization_id)
    for step in (balances, owed, balances, holds, ended, stored):
        done += await pipeline.act("billing.reconciliation.correct", principal, step)
    return done

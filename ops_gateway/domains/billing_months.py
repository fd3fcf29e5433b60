"""The month end: credits that are over expire, charges come onto an invoice or are accrued, and the
credits of the new month are given. Once for each organization and month, in one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from db.queries import queries
from ops_gateway.domains import billing_lots, billing_plans
from ops_gateway.domains.billing_free_tier import OrgInput
from ops_gateway.domains.billing_plans import later, month_of, start, threshold
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import NotFound
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Empty, Output, Phases, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)
logger = logging.getLogger(__name__)

CENTS_PER_CREDIT = 1  # 100 credits are A$1


@dataclass(frozen=True)
class Line:
    """A line of an invoice; `credits` are those of the ledger that it names."""

    description: str
    quantity: int
    credits: int
    cents: int


class MonthlyRun(Output):
    """A month that was closed in this call."""

    organization_id: str
    month: str
    plan: str
    invoice_id: str | None
    charged_credits: int
    accrued_credits: int
    expired_credits: int
    granted_credits: int


class MonthlyOutput(Output):
    """Output of the monthly runs: how many organizations, and what was closed for them now."""

    processed: int
    runs: list[MonthlyRun]
    failed: list[str]


def tax_of(cents: int, basis_points: int) -> int:
    """Tax on an amount, in minor units, a half rounded up."""
    return (cents * basis_points + 5000) // 10000


async def make_invoice(
    ctx: Context,
    invoice_id: str,
    lines: Sequence[Line],
    *,
    kind: str,
    status: str | None,
    month: date,
    currency: str,
    at: datetime,
    reference: str | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    """Write an invoice whose charges are billed already; its total and number.

    Args:
        status: None for paid where nothing is left to pay, else open.
    """
    rate = await threshold(ctx, "tax_basis_points", start(month))
    subtotal = sum(line.cents for line in lines)
    tax = tax_of(subtotal, rate)
    count = (await ctx.one("invoice", sql.count_invoices))["count"]
    number = f"{ctx.organization_id.rpartition('_')[2][-8:].upper()}-{count + 1:04d}"
    await ctx.execute(
        sql.insert_invoice,
        id=invoice_id,
        number=number,
        kind=kind,
        status=status or ("open" if subtotal + tax else "paid"),
        month=month,
        currency=currency,
        credits=sum(line.credits for line in lines),
        subtotal=subtotal,
        tax_basis_points=rate,
        tax=tax,
        total=subtotal + tax,
        reference=reference,
        note=note,
        at=at,
    )
    for position, line in enumerate(lines, 1):
        await ctx.execute(
            sql.insert_line,
            invoice=invoice_id,
            position=position,
            description=line.description,
            quantity=line.quantity,
            credits=line.credits,
            cents=line.cents,
        )
    ctx.produced("invoice", invoice_id)
    return {"number": number, "total_cents": subtotal + tax}


async def bill(
    ctx: Context,
    invoice_id: str,
    *,
    until: datetime,
    accrued: bool,
    since: datetime | None = None,
    jobs: Sequence[str] | None = None,
) -> list[Line]:
    """Put the charges that are on no invoice onto this one; a line for each process.

    Args:
        accrued: those to be paid afterwards, or those that credits have paid.
    """
    of = {"since": since, "until": until, "jobs": jobs, "accrued": accrued}
    await ctx.execute(sql.bill_charges, invoice=invoice_id, **of)
    return [
        Line(row["subject"], row["runs"], row["credits"], row["credits"] * CENTS_PER_CREDIT)
        for row in await ctx.rows(None, sql.billed, invoice=invoice_id)
    ]


async def close_month(ctx: Context, month: date, at: datetime) -> MonthlyRun | None:
    """Close a month for the bound organization; None where it is closed.

    Args:
        month: its first day.
        at: the present time; not before the month's end.
    """
    await ctx.row(None, billing_plans.sql.lock)
    if await ctx.row(None, sql.closed, month=month) is not None:
        return None
    begin, end = start(month), start(later(month, 1))
    plan = await billing_plans.plan_of(ctx, end - timedelta(microseconds=1))
    expired = await billing_lots.expire(ctx, end)
    charged = (await ctx.one("wallet", sql.charged, since=begin, until=end))["credits"]
    rows = await ctx.rows(None, sql.unbilled, since=begin, until=end)
    accrued = sum(row["credits"] for row in rows)
    invoice_id = await month_invoice(ctx, month, plan, at)
    now = await billing_plans.plan_of(ctx, at)
    expired += await billing_lots.withdraw_line(ctx, now["credit_line"])
    granted = await billing_plans.give_month(ctx, later(month, 1), at)
    run = MonthlyRun(
        organization_id=ctx.organization_id,
        month=f"{month:%Y-%m}",
        plan=plan["id"],
        invoice_id=invoice_id,
        charged_credits=charged,
        accrued_credits=accrued,
        expired_credits=expired,
        granted_credits=granted,
    )
    await ctx.execute(
        sql.insert_run,
        month=month,
        plan=plan["id"],
        invoice=invoice_id,
        charged=charged,
        accrued=accrued,
        expired=expired,
        granted=granted,
        at=at,
    )
    ctx.produced("organization", ctx.organization_id)
    return run


async def month_invoice(
    ctx: Context, month: date, plan: dict[str, Any], at: datetime
) -> str | None:
    """The invoice of a month: the plan's fee, and what credits were used for that were there.

    The fee is that of the plan at the month's end, or of the one that gave the month's credits,
    whichever is more.
    """
    invoice_id = new_id("inv")
    used = await bill(ctx, invoice_id, until=start(later(month, 1)), accrued=False)
    gave = await ctx.row(None, sql.given_by, month=month)
    if gave is not None and gave["monthly_fee_cents"] > plan["monthly_fee_cents"]:
        plan = gave
    lines = list(used)
    if paid := sum(line.cents for line in used):
        lines.append(Line("Paid with credits", 1, 0, -paid))
    if plan["monthly_fee_cents"]:
        fee = plan["monthly_fee_cents"]
        lines.insert(0, Line(f"Plan {plan['name']}, {month:%Y-%m}", 1, 0, fee))
    if not lines:
        return None
    await make_invoice(
        ctx, invoice_id, lines,
        kind="monthly", status=None, month=month, currency=plan["currency"], at=at,
    )  # fmt: skip
    return invoice_id


async def close_organization(
    pipeline: Pipeline, organization_id: str, at: datetime
) -> list[MonthlyRun]:
    """Close every month of an organization that is over, the earliest first, each in a transaction
    of its own; safe to repeat and to stop. Raises NotFound.
    """
    principal = Principal(kind="service", id="month-end", organization_id=organization_id)

    async def find(ctx: Context) -> date:
        return (await ctx.one("organization", sql.first_open))["month"]

    month = await pipeline.look("billing.month_end", principal, find)
    runs: list[MonthlyRun] = []
    while month < month_of(at):
        closing = month

        async def close(ctx: Context, closing: date = closing) -> MonthlyRun | None:
            return await close_month(ctx, closing, at)

        run = await pipeline.act("billing.month_end", principal, close)
        if run is not None:
            runs.append(run)
        month = later(month, 1)
    return runs


async def close_all(pipeline: Pipeline, at: datetime) -> MonthlyOutput:
    """Close the months of every organization that is due. What fails for one is told and tried
    again by the next call.
    """
    principal = Principal(kind="service", id="month-end")
    last = later(month_of(at), -1)

    async def find(ctx: Context) -> list[str]:
        return [row["organization_id"] for row in await ctx.rows(None, sql.due, month=last)]

    due = await pipeline.look("billing.month_end", principal, find)
    runs: list[MonthlyRun] = []
    failed: list[str] = []
    for organization_id in due:
        try:
            runs += await close_organization(pipeline, organization_id, at)
        except NotFound:  # deleted meanwhile
            continue
        except Exception:
            logger.exception("a month could not be closed", extra={"organization": organization_id})
            failed.append(organization_id)
    return MonthlyOutput(processed=len(due) - len(failed), runs=runs, failed=failed)


# ---------------------------------------------------------------- operations


async def nothing(ctx: Context, body: Empty, *_: object) -> None:
    """There is nothing to claim: a month that is closed says so itself."""


async def all_now(ctx: Context, body: Empty, claimed: None) -> MonthlyOutput:
    """Every organization's months that are over."""
    return await close_all(ctx.pipeline, datetime.now(UTC))


async def one_now(ctx: Context, body: OrgInput, claimed: None) -> MonthlyOutput:
    """One organization's months that are over."""
    runs = await close_organization(ctx.pipeline, ctx.organization_id, datetime.now(UTC))
    return MonthlyOutput(processed=1, runs=runs, failed=[])


@operation(
    "billing.run_monthly_cron",
    scope="admin:write",
    effect=Effect.SPEND,
    needs_organization=False,
    phases=Phases(nothing, all_now, nothing),
)
async def run_monthly(
    ctx: Context, body: Empty, claimed: None, done: MonthlyOutput
) -> MonthlyOutput:
    """Run monthly billing for every org needing a run (cron).

    Each month is closed once: repeat it as often as you like, also while another one runs.
    """
    return done


@operation(
    "billing.run_monthly_for_org",
    scope="billing:write",
    effect=Effect.SPEND,
    needs_organization=False,
    acts_for="organization_id",
    phases=Phases(nothing, one_now, nothing),
)
async def run_monthly_for_org(
    ctx: Context, body: OrgInput, claimed: None, done: MonthlyOutput
) -> MonthlyOutput:
    """Run monthly billing for one org (manual; org admin)."""
    return done

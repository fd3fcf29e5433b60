"""Plans that are paid afterwards: what is not billed yet, and noting the invoice it went on."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from pydantic import Field, field_validator

from db.queries import queries
from ops_gateway.domains import billing_lots, billing_months, billing_plans
from ops_gateway.domains.billing_months import CENTS_PER_CREDIT, bill, make_invoice
from ops_gateway.domains.billing_plans import later, month_of, start
from ops_gateway.kernel.context import Context, Event
from ops_gateway.kernel.errors import Conflict, Invalid
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation

sql = queries(__file__)

MOST_CHARACTERS = 200
_PERIOD = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


class AccrualInput(Input):
    """Input of billing.enterprise.accrual."""

    organization_id: str
    period: str | None = Field(default=None, description="a month, YYYY-MM; all of them if absent")


class Order(Output):
    """A charge that is on no invoice."""

    id: str
    job_id: str | None
    description: str
    credits: int
    amount_cents: int
    settled_at: datetime


class AccrualOutput(Output):
    """Output of billing.enterprise.accrual, the oldest first. Amounts are before tax."""

    organization_id: str
    plan: str
    period: str | None
    currency: str
    credits: int
    amount_cents: int
    orders: list[Order]
    count: int


class MarkInvoicedInput(Input):
    """Input of billing.enterprise.mark_invoiced."""

    organization_id: str
    reference: str
    period: str | None = Field(default=None, description="a month, YYYY-MM; all of them if absent")
    order_ids: list[str] | None = Field(default=None, description="jobs; all if absent")
    note: str | None = None

    @field_validator("reference", "note")
    @classmethod
    def _short(cls, value: str | None) -> str | None:
        # the published schema names no bounds, so these are no part of it
        if value is not None and not 1 <= len(value) <= MOST_CHARACTERS:
            raise ValueError(f"must have 1 to {MOST_CHARACTERS} characters")
        return value


class MarkInvoicedOutput(Output):
    """The invoice that the charges are on now; `credits` are those it names."""

    organization_id: str
    invoice_id: str
    number: str
    reference: str
    processed: int
    credits: int
    total_cents: int


def bounds(period: str | None) -> tuple[date | None, dict[str, Any]]:
    """The month a text names, and its beginning and end; all time for none. Raises Invalid."""
    if period is None:
        return None, {"since": None, "until": datetime(9999, 1, 1, tzinfo=UTC)}
    match = _PERIOD.fullmatch(period)
    if match is None or not 1 < int(match[1]) < 9999:
        raise Invalid.at("period", "must be a month as YYYY-MM")
    month = date(int(match[1]), int(match[2]), 1)
    return month, {"since": start(month), "until": start(later(month, 1))}


async def unbilled(ctx: Context, span: dict[str, Any]) -> list[dict[str, Any]]:
    """The charges on no invoice that were made while the organization was paid afterwards."""
    return await ctx.rows(None, billing_months.sql.unbilled, **span)


@operation(
    "billing.enterprise.accrual",
    scope="admin:read",
    effect=Effect.READ,
    needs_organization=False,
    acts_for="organization_id",
)
async def accrual(ctx: Context, body: AccrualInput) -> AccrualOutput:
    """The org's unbilled enterprise post-pay liability (to put on a Xero invoice)."""
    await ctx.one("organization", sql.organization)
    _, span = bounds(body.period)
    plan = await billing_plans.plan_of(ctx, datetime.now(UTC))
    rows = await unbilled(ctx, span)
    credits = sum(row["credits"] for row in rows)
    return AccrualOutput(
        organization_id=ctx.organization_id,
        plan=plan["id"],
        period=body.period,
        currency=plan["currency"],
        credits=credits,
        amount_cents=credits * CENTS_PER_CREDIT,
        orders=[
            Order(
                id=row["id"],
                job_id=row["job_id"],
                description=row["subject"],
                credits=row["credits"],
                amount_cents=row["credits"] * CENTS_PER_CREDIT,
                settled_at=row["created_at"],
            )
            for row in rows
        ],
        count=len(rows),
    )


@operation(
    "billing.enterprise.mark_invoiced",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    acts_for="organization_id",
)
async def mark_invoiced(ctx: Context, body: MarkInvoicedInput) -> MarkInvoicedOutput:
    """Record a manual Xero invoice and mark the org's committed enterprise orders billed (admin).

    The credits that it names come back to the organization's line of credit, as far as it has one.
    """
    await ctx.one("organization", sql.organization)
    month, span = bounds(body.period)
    await ctx.row(None, billing_plans.sql.lock)
    if await ctx.row(None, sql.known_reference, reference=body.reference) is not None:
        raise Conflict(f"the invoice '{body.reference}' is noted already")
    if body.order_ids is not None:
        unknown = await ctx.rows(None, sql.unknown_jobs, jobs=body.order_ids, **span)
        if unknown:
            names = ", ".join(row["id"][:100] for row in unknown[:5])
            raise Conflict(f"nothing is to be billed of {names}")
    if not await unbilled(ctx, span):
        raise Conflict("nothing is to be billed: see billing.enterprise.accrual")
    now = datetime.now(UTC)
    plan = await billing_plans.plan_of(ctx, now)
    invoice_id = new_id("inv")
    since, until = span["since"], span["until"]
    lines = await bill(ctx, invoice_id, since=since, until=until, jobs=body.order_ids, accrued=True)
    if not lines:
        raise Conflict("nothing is to be billed: see billing.enterprise.accrual")
    made = await make_invoice(
        ctx,
        invoice_id,
        lines,
        kind="enterprise",
        status="invoiced",
        month=month or month_of(now),
        currency=plan["currency"],
        at=now,
        reference=body.reference,
        note=body.note,
    )
    credits = sum(line.credits for line in lines)
    # what is invoiced is owed no more: a line that ended ends by so much, another is whole again
    ended = min(credits, await billing_lots.line_over(ctx, plan["credit_line"]))
    await billing_lots.end_line(ctx, ended)
    if back := credits - ended:
        journal = ctx.credit(
            "topup", back, f"invoice {body.reference}"[:200], reference=("invoice", invoice_id)
        )
        said = {"credits": back, "transaction_id": journal, "source": "invoice"}
        ctx.emit(Event("credits.topped_up", "organization", ctx.organization_id, said))
    return MarkInvoicedOutput(
        organization_id=ctx.organization_id,
        invoice_id=invoice_id,
        number=made["number"],
        reference=body.reference,
        processed=sum(line.quantity for line in lines),
        credits=credits,
        total_cents=made["total_cents"],
    )

"""Invoices: what is listed, and one of them with its lines and as a PDF."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from db.queries import queries
from ops_gateway.catalogue.links import sign
from ops_gateway.domains import invoice_pdf
from ops_gateway.kernel import holders
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.operation import Effect, Input, Output, operation

sql = queries(__file__)

ADDRESS = ("abn", "tax_number", "billing_email", "country")


class InvoicesInput(Input):
    """Input of billing.invoices.list."""

    limit: int = 50


class Invoice(Output):
    """An invoice. Amounts are in minor units; `credits` were charged and are on no other one."""

    id: str
    number: str
    kind: str
    status: str
    month: str
    currency: str
    credits: int
    subtotal_cents: int
    tax_basis_points: int
    tax_cents: int
    total_cents: int
    reference: str | None
    note: str | None
    issued_at: datetime


class InvoicesOutput(Output):
    """Output of billing.invoices.list, newest first."""

    invoices: list[Invoice]
    count: int
    total: int


class InvoiceLine(Output):
    """A line of an invoice."""

    position: int
    description: str
    quantity: int
    credits: int
    amount_cents: int


class InvoiceDetail(Invoice):
    """An invoice with its lines, whose amounts sum to `subtotal_cents`."""

    lines: list[InvoiceLine]


class InvoiceInput(Input):
    """Input of billing.invoices.get."""

    invoice_id: str


class InvoiceOutput(Output):
    """An invoice, and where its PDF is until `expires_at`; the link needs no credential."""

    invoice: InvoiceDetail
    media_type: str = "application/pdf"
    download_url: str
    expires_at: datetime


@operation("billing.invoices.list", scope="billing:read", effect=Effect.READ)
async def list_invoices(ctx: Context, body: InvoicesInput) -> InvoicesOutput:
    """The org's enterprise invoices (grouped from settled orders).

    With them those of its months, newest first; at most 1,000.
    """
    limit = min(max(body.limit, 1), 1000)
    found = await ctx.rows(Invoice, sql.invoices, limit=limit)
    total = await ctx.one("organization", sql.count)
    return InvoicesOutput(invoices=found, count=len(found), total=total["total"])


@operation("billing.invoices.get", scope="billing:read", effect=Effect.READ)
async def get_invoice(ctx: Context, body: InvoiceInput) -> InvoiceOutput:
    """One invoice with its lines, and a link to its PDF that is good for 15 minutes."""
    invoice = await ctx.one("invoice", sql.invoice, id=body.invoice_id)
    lines = await ctx.rows(None, sql.lines, id=body.invoice_id)
    payer = await ctx.one("organization", sql.payer)
    await ctx.release()
    document = await asyncio.to_thread(
        invoice_pdf.draw,
        invoice,
        lines,
        seller=ctx.services.options.invoice_seller,
        payer=address(payer),
    )
    path = f"{ctx.organization_id}/invoices/{invoice['id']}.pdf"
    await ctx.services.objects.put(path, document)
    stored = {
        "object_path": path,
        "file_name": f"invoice-{invoice['number']}.pdf",
        "media_type": "application/pdf",
    }
    link = sign(stored, ctx.services, ctx.base_url, holder=holders.label(ctx.principal, None))
    return InvoiceOutput(
        invoice=InvoiceDetail(**invoice, lines=[InvoiceLine(**line) for line in lines]),
        download_url=link.url,
        expires_at=link.expires_at,
    )


def address(payer: dict[str, Any]) -> str:
    """Whom an invoice is for, as the organization has said of itself."""
    details: dict[str, Any] = payer["details"]
    place = details.get("billing_address")
    parts = [*(place.values() if isinstance(place, dict) else ())]
    parts += [details.get(name) for name in ADDRESS]
    return "\n".join([payer["name"], *(str(p) for p in parts if isinstance(p, (str, int)) and p)])

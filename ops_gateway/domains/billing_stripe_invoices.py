"""The card provider's own invoices, as it lists them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ops_gateway.domains import payment_methods
from ops_gateway.kernel.cards import CardRefused, CardsUnreachable
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.operation import Effect, Input, Output, operation

logger = logging.getLogger(__name__)

WAIT_SECONDS = 8.0
SHOWN = (
    "id", "number", "status", "currency", "amount_due", "amount_paid", "total", "created",
    "period_start", "period_end", "hosted_invoice_url", "invoice_pdf",
)  # fmt: skip


class StripeInvoicesInput(Input):
    """Input of billing.stripe_invoices.list."""

    limit: int = 50


class StripeInvoicesOutput(Output):
    """The provider's invoices, newest first; none where it cannot be asked."""

    invoices: list[dict[str, Any]]
    count: int


@operation("billing.stripe_invoices.list", scope="billing:read", effect=Effect.READ)
async def list_stripe_invoices(ctx: Context, body: StripeInvoicesInput) -> StripeInvoicesOutput:
    """List the card provider's invoices of the organization; empty where it does not answer."""
    cards = ctx.services.cards
    if cards is None:
        return StripeInvoicesOutput(invoices=[], count=0)
    owner = await ctx.row(None, payment_methods.sql.customer, env=cards.env)
    await ctx.release()
    if owner is None:
        return StripeInvoicesOutput(invoices=[], count=0)
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            found = await cards.invoices(owner["provider_id"], min(max(body.limit, 1), 100))
    except (CardRefused, CardsUnreachable, TimeoutError) as error:
        logger.warning("the provider's invoices cannot be listed: %s", type(error).__name__)
        found = []
    invoices = [{name: row.get(name) for name in SHOWN} for row in found]
    return StripeInvoicesOutput(invoices=invoices, count=len(invoices))

"""Credits: what an organization has, and every movement of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from db.queries import queries
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import Invalid, NotFound
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

CREDITS_PER_AUD = 100
LARGEST_GRANT = 10**12  # what one journal may move

# the ledger's kinds as the wire names them, with the sign of what is shown
REASONS = {
    "grant": ("grant", 1),
    "topup": ("topup", 1),
    "hold": ("reservation", -1),
    "settle": ("charge", -1),
    "void": ("release", 1),
    "refund": ("refund", 1),
    "expiry": ("expiry", 1),
    "correction": ("adjustment", 1),
}
KINDS = {reason: kind for kind, (reason, _) in REASONS.items()}


class CreditsBalanceOutput(Output):
    """Output of billing.credits.balance, in credits."""

    organization_id: str
    balance: int
    reserved: int
    available: int
    credits_per_aud: int = CREDITS_PER_AUD
    balance_aud: float
    updated_at: datetime


class TransactionsInput(Input):
    """Input of billing.credits.transactions."""

    limit: int = 50
    offset: int = 0
    reason: str | None = None


class CreditTransaction(Output):
    """One movement.

    `balance_after` is what the organization owned after it. A reservation sets credits aside and a
    release gives them back: these change `available_after` and leave the balance as it was. A
    charge ends its reservation; what it did not take is available again.
    """

    id: str
    reason: str
    amount: int
    balance_after: int
    available_after: int
    reference_type: str | None
    reference_id: str | None
    description: str | None
    created_at: datetime


class TransactionsOutput(Output):
    """Output of billing.credits.transactions, newest first."""

    transactions: list[CreditTransaction]
    count: int
    total: int
    limit: int
    offset: int


@operation(
    "billing.credits.balance",
    scope="billing:read",
    effect=Effect.READ,
    aliases=("billing.balance",),
)
async def read_balance(ctx: Context, body: Empty) -> CreditsBalanceOutput:
    """The organization's credits: owned, set aside and available."""
    row = await ctx.one("wallet", sql.balance)
    balance = row["available"] + row["held"]
    return CreditsBalanceOutput(
        organization_id=ctx.organization_id,
        balance=balance,
        reserved=row["held"],
        available=row["available"],
        balance_aud=balance / CREDITS_PER_AUD,
        updated_at=row["updated_at"],
    )


@operation("billing.credits.transactions", scope="billing:read", effect=Effect.READ)
async def list_transactions(ctx: Context, body: TransactionsInput) -> TransactionsOutput:
    """The org's credit ledger (paged, optionally filtered by reason)."""
    if body.reason is not None and body.reason not in KINDS:
        raise Invalid.at("reason", f"must be one of {', '.join(sorted(KINDS))}", "enum")
    kind = KINDS[body.reason] if body.reason is not None else None
    limit, offset = min(max(body.limit, 1), 1000), min(max(body.offset, 0), 2**31)
    rows = await ctx.rows(None, sql.journal, kind=kind, limit=limit, offset=offset)
    total = await ctx.one("wallet", sql.count_journal, kind=kind)
    return TransactionsOutput(
        transactions=[movement(row) for row in rows],
        count=len(rows),
        total=total["total"],
        limit=limit,
        offset=offset,
    )


def movement(row: dict[str, Any]) -> CreditTransaction:
    """A journal as the wire has it."""
    reason, sign = REASONS[row["kind"]]
    amount = row["charged"] if row["kind"] == "settle" else row["amount"]
    return CreditTransaction(
        id=row["id"],
        reason=reason,
        amount=sign * amount,
        balance_after=row["available_after"] + row["held_after"],
        available_after=row["available_after"],
        reference_type=row["reference_type"],
        reference_id=row["reference_id"],
        description=row["description"],
        created_at=row["created_at"],
    )


# ---------------------------------------------------------------- the platform's own


async def grant_credits(
    pipeline: Pipeline, organization_id: str, credits: int, description: str, *, by: str
) -> str:
    """Give an organization credits; the transaction's id.

    Not an operation: nobody can reach it over a surface. It is recorded like one, with its audit
    row and its place in the ledger's chain.

    Args:
        pipeline: runs it.
        organization_id: whose.
        credits: 1 to `LARGEST_GRANT`.
        description: why; shown in the organization's transactions.
        by: who grants, for the audit row.

    Raises:
        NotFound: there is no such organization.
        Invalid: the number is out of range.
    """
    if not 1 <= credits <= LARGEST_GRANT:
        raise Invalid.at("credits", f"must be 1 to {LARGEST_GRANT}")

    async def grant(ctx: Context) -> str:
        if await ctx.row(None, sql.organization) is None:
            raise NotFound.of("organization")
        journal = ctx.credit("grant", credits, description)
        ctx.produced("organization", organization_id)
        return journal

    operator = Principal(kind="service", id=by, organization_id=organization_id)
    return await pipeline.act("billing.credits.grant", operator, grant)

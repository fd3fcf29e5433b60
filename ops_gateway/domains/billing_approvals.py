"""Approvals: a purchase that somebody asks for and a human says yes or no to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from db.pool import Pool
from db.queries import queries
from ops_gateway.domains import payments
from ops_gateway.domains.billing_notices import tell_payers
from ops_gateway.domains.billing_topup import chargeable
from ops_gateway.kernel.cards import MOST_CREDITS, Charged
from ops_gateway.kernel.context import Context, Event
from ops_gateway.kernel.errors import CardDeclined, Conflict, Forbidden, Gone, Invalid, OpError
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, Phases, operation
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.rounds import each_due

sql = queries(__file__)

STATUSES = ("pending", "approved", "rejected", "expired")
EXPIRY_HOURS = 72
LISTED = 500
LONGEST_REASON = 2000


class RequestApprovalInput(Input):
    """Input of billing.approvals.request."""

    credits: int = Field(gt=0)
    expiry_hours: int | None = Field(None, gt=0, le=720)


class ApprovalRefInput(Input):
    """Input of billing.approvals.approve."""

    approval_id: str


class ApprovalGetInput(Input):
    """Input of billing.approvals.get."""

    approval_id: str


class RejectApprovalInput(Input):
    """Input of billing.approvals.reject."""

    approval_id: str
    reason: str | None = None


class ApprovalsListInput(Input):
    """Input of billing.approvals.list."""

    status: str | None = None


class ApprovalOutput(Output):
    """An approval: pending, approved, rejected or expired."""

    id: str
    status: str
    credits: int
    amount_aud: float
    requested_by: str
    decided_by: str | None
    reason: str | None
    expires_at: datetime
    created_at: datetime
    decided_at: datetime | None


class ApprovalGetOutput(Output):
    """Output of billing.approvals.get."""

    approval: ApprovalOutput


class ApprovalsOutput(Output):
    """Output of billing.approvals.list, newest first, at most 500."""

    approvals: list[ApprovalOutput]
    count: int


class ApprovalPolicyInput(Input):
    """Input of billing.approvals.policy.set; without `threshold_credits` there is no threshold."""

    threshold_credits: int | None = Field(None, gt=0)
    second_person: bool = False


class ApprovalPolicyOutput(Output):
    """Above how many credits billing.topup needs an approval, and who may give it.

    `second_person`: not whoever asked, nor through a key they made.
    """

    threshold_credits: int | None
    second_person: bool


def shown(row: dict[str, Any]) -> ApprovalOutput:
    """An approval as the wire has it; one whose time is over is expired before it is swept."""
    return ApprovalOutput(
        id=row["id"],
        status="expired" if row.get("lapsed") else row["status"],
        credits=row["credits"],
        amount_aud=payments.aud(row["credits"]),
        requested_by=row["requested_by"],
        decided_by=row["decided_by"],
        reason=row["reason"],
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        decided_at=row["decided_at"],
    )


# ---------------------------------------------------------------- asking and reading


@operation("billing.approvals.request", scope="billing:write", effect=Effect.COMPUTE)
async def request_approval(ctx: Context, body: RequestApprovalInput) -> ApprovalOutput:
    """Request approval for a large credit purchase."""
    row = await ctx.one(
        "approval",
        sql.insert_approval,
        id=new_id("apr"),
        credits=chargeable(body.credits),
        by=ctx.principal.id,
        by_user=ctx.principal.user_id,
        hours=body.expiry_hours or EXPIRY_HOURS,
    )
    ctx.produced("approval", row["id"])
    await tell_payers(
        ctx,
        f"A purchase of {row['credits']} credits waits for approval",
        f"A${payments.aud(row['credits']):.2f} would be charged to the default card.",
        type="approval.requested",
        entity=("approval", row["id"]),
    )
    ctx.emit(Event("approval.requested", "approval", row["id"], payments.told(row)))
    return shown(row)


@operation("billing.approvals.get", scope="billing:read", effect=Effect.READ)
async def get_approval(ctx: Context, body: ApprovalGetInput) -> ApprovalGetOutput:
    """Get one credit-purchase approval."""
    return ApprovalGetOutput(
        approval=shown(await ctx.one("approval", sql.approval, id=body.approval_id))
    )


@operation("billing.approvals.list", scope="billing:read", effect=Effect.READ)
async def list_approvals(ctx: Context, body: ApprovalsListInput) -> ApprovalsOutput:
    """List the organization's credit-purchase approvals, optionally by status."""
    if body.status is not None and body.status not in STATUSES:
        raise Invalid.at("status", f"must be one of {', '.join(STATUSES)}", "enum")
    rows = await ctx.rows(None, sql.approvals, status=body.status, limit=LISTED)
    return ApprovalsOutput(approvals=[shown(row) for row in rows], count=len(rows))


# ---------------------------------------------------------------- deciding


async def undecided(ctx: Context, approval_id: str) -> dict[str, Any]:
    """The approval, locked; raises NotFound, Gone where it expired, Conflict where it is decided
    or its card is being charged.
    """
    row = await ctx.one("approval", sql.lock_approval, id=approval_id)
    if row["lapsed"] or row["status"] == "expired":
        raise Gone("the approval has expired; request a new one")
    if row["status"] != "pending":
        raise Conflict(f"the approval is {row['status']} already")
    if await ctx.row(None, sql.charging, id=approval_id) is not None:
        raise Conflict("the card is being charged for this approval; look again in a moment")
    return row


async def claim(ctx: Context, body: ApprovalRefInput) -> dict[str, Any]:
    """Write the intent to charge the default card for what was asked."""
    if (earlier := await payments.resumed(ctx)) is not None:
        return earlier
    approval = await undecided(ctx, body.approval_id)
    policy = await ctx.row(None, payments.sql.policy)
    same = str(approval["requested_by_user"]) == ctx.principal.user_id
    if policy and policy["second_person"] and same:
        raise Forbidden("another person than the one who asked has to approve")
    card = await payments.find_card(ctx)
    return await payments.begin(
        ctx, "approval", approval["credits"], card, approval_id=approval["id"]
    )


async def act(ctx: Context, body: ApprovalRefInput, payment: dict[str, Any]) -> Charged | None:
    """Charge the card; None where somebody has finished the payment already."""
    if payment["state"] == "succeeded":
        return None
    if payment["state"] in ("failed", "canceled"):
        raise CardDeclined(payment["error"] or "the card was declined")
    return await payments.charge(payments.provider(ctx), payment)


async def undo(
    ctx: Context, body: ApprovalRefInput, payment: dict[str, Any], error: OpError
) -> None:
    """The card was declined; the approval stays pending."""
    await payments.fail(ctx, payment["id"], error)


@operation(
    "billing.approvals.approve",
    scope="billing:write",
    effect=Effect.SPEND,
    human_only=True,
    phases=Phases(claim, act, undo, lease_seconds=payments.LEASE_SECONDS),
)
async def approve(
    ctx: Context, body: ApprovalRefInput, payment: dict[str, Any], charged: Charged | None
) -> ApprovalOutput:
    """Approve a credit purchase and charge the default card; a human only.

    A declined card answers 402 and leaves the approval pending.
    """
    if charged is not None:
        await payments.settle(ctx, payment["id"], charged)
    return shown(await ctx.one("approval", sql.approval, id=body.approval_id))


@operation("billing.approvals.reject", scope="billing:write", effect=Effect.COMPUTE)
async def reject(ctx: Context, body: RejectApprovalInput) -> ApprovalOutput:
    """Reject a pending credit-purchase approval."""
    if len(body.reason or "") > LONGEST_REASON:
        raise Invalid.at("reason", f"must be at most {LONGEST_REASON} characters")
    await undecided(ctx, body.approval_id)
    row = await ctx.one(
        "approval", sql.reject, id=body.approval_id, by=ctx.principal.id, reason=body.reason
    )
    ctx.produced("approval", row["id"])
    ctx.emit(payments.decided(row))
    return shown(row)


async def expire_overdue(pipeline: Pipeline, system: Pool, *, limit: int = 100) -> int:
    """Mark approvals whose time is over, each with its event; how many there were.

    Args:
        system: a pool of role opstac_system.
    """

    async def end(due: dict[str, Any]) -> None:
        async def expire(ctx: Context) -> None:
            row = await ctx.row(None, sql.expire, id=due["id"])
            if row is not None:
                ctx.produced("approval", due["id"])
                ctx.emit(payments.decided(row))

        principal = payments.platform_for(due["organization_id"])
        await pipeline.act("billing.approvals.expire", principal, expire)

    return len(await each_due(system, sql.overdue, end, "an approval does not expire", limit=limit))


# ---------------------------------------------------------------- the policy


@operation("billing.approvals.policy.get", scope="billing:read", effect=Effect.READ)
async def get_policy(ctx: Context, body: Empty) -> ApprovalPolicyOutput:
    """Above how many credits a purchase needs an approval; no threshold where none was set."""
    row = await ctx.row(None, payments.sql.policy)
    return ApprovalPolicyOutput(**(row or {"threshold_credits": None, "second_person": False}))


@operation(
    "billing.approvals.policy.set",
    scope="billing:write",
    effect=Effect.COMPUTE,
    human_only=True,
)
async def set_policy(ctx: Context, body: ApprovalPolicyInput) -> ApprovalPolicyOutput:
    """Say above how many credits a purchase needs an approval; an owner or admin only."""
    if body.threshold_credits is not None and body.threshold_credits > MOST_CREDITS:
        raise Invalid.at("threshold_credits", f"must be at most {MOST_CREDITS}")
    member = await ctx.row(None, sql.role, user=ctx.principal.user_id)
    if member is None or member["role"] not in ("owner", "admin"):
        raise Forbidden("only an owner or admin of the organization sets its approvals")
    await ctx.execute(
        sql.set_policy,
        threshold=body.threshold_credits,
        second=body.second_person,
        by=ctx.principal.id,
    )
    ctx.produced("organization", ctx.organization_id)
    return ApprovalPolicyOutput(
        threshold_credits=body.threshold_credits, second_person=body.second_person
    )

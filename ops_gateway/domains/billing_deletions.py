"""Organizations that were deleted: which wait for their end, and the end.

Items, files, keys, people and addresses go. The ledger, the invoices and the chains of records
stay: they are what the law and other parties ask for, and they cannot be taken out.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from db.queries import queries
from ops_gateway.domains.billing_plans import threshold
from ops_gateway.kernel.answers import Call
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Empty, Output, Phases, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)
logger = logging.getLogger(__name__)


class DeletedOrganization(Output):
    """An organization that was deleted, and from when its data may be purged."""

    organization_id: str
    name: str
    deleted_at: datetime
    purge_at: datetime


class DeletionsOutput(Output):
    """Output of billing.deletions.pending, the first to go first."""

    pending: list[DeletedOrganization]
    count: int


class CleanupOutput(Output):
    """Output of billing.cleanup_deleted_orgs. What failed is tried again by the next call."""

    processed: int
    organization_ids: list[str]
    failed: list[str]


async def waiting(ctx: Context, at: datetime) -> list[dict[str, Any]]:
    """Every deleted organization that is not purged."""
    days = await threshold(ctx, "deletion_grace_days", at)
    return await ctx.rows(None, sql.deleted, days=days)


async def purge(pipeline: Pipeline, organization_id: str, slot: str | None) -> None:
    """Take out what an organization has; safe to repeat and to stop."""
    owner = Principal(
        kind="service",
        id="purge",
        organization_id=organization_id,
        scopes=frozenset(["projects:write"]),
        projects=None,
        project_role="owner",
        slot=slot,
    )

    async def find(ctx: Context) -> list[str]:
        return [row["id"] for row in await ctx.rows(None, sql.projects)]

    async def close(ctx: Context) -> None:
        for query in (
            sql.close_keys,
            sql.close_subscriptions,
            sql.forget_project_people,
            sql.forget_people,
        ):
            await ctx.execute(query)
        await ctx.execute(sql.purged)
        ctx.produced("organization", organization_id)

    for project in await pipeline.look("billing.purge", owner, find):
        call = Call(owner, request_id=new_id("req"))
        await pipeline.run("projects.delete", {"project_id": project}, call)
    await pipeline.act("billing.purge", owner, close)


async def purge_due(pipeline: Pipeline, at: datetime) -> CleanupOutput:
    """Purge those whose time has come."""
    principal = Principal(kind="service", id="purge")

    async def find(ctx: Context) -> list[dict[str, Any]]:
        return [row for row in await waiting(ctx, at) if row["purge_at"] <= at]

    done: list[str] = []
    failed: list[str] = []
    for row in await pipeline.look("billing.purge", principal, find):
        try:
            await purge(pipeline, row["organization_id"], row["slot"])
            done.append(row["organization_id"])
        except Exception:
            logger.exception(
                "an organization could not be purged",
                extra={"organization": row["organization_id"]},
            )
            failed.append(row["organization_id"])
    return CleanupOutput(processed=len(done), organization_ids=done, failed=failed)


@operation(
    "billing.deletions.pending",
    scope="admin:read",
    effect=Effect.READ,
    needs_organization=False,
)
async def list_deletions(ctx: Context, body: Empty) -> DeletionsOutput:
    """List organizations pending deletion (system admin)."""
    rows = await waiting(ctx, datetime.now(UTC))
    found = [DeletedOrganization(**{k: row[k] for k in row if k != "slot"}) for row in rows]
    return DeletionsOutput(pending=found, count=len(found))


async def nothing(ctx: Context, body: Empty, *_: object) -> None:
    """There is nothing to claim: what is purged says so itself."""


async def purge_now(ctx: Context, body: Empty, claimed: None) -> CleanupOutput:
    """Those whose time has come."""
    return await purge_due(ctx.pipeline, datetime.now(UTC))


@operation(
    "billing.cleanup_deleted_orgs",
    scope="admin:write",
    effect=Effect.DESTRUCTIVE,
    needs_organization=False,
    phases=Phases(nothing, purge_now, nothing),
)
async def cleanup(ctx: Context, body: Empty, claimed: None, done: CleanupOutput) -> CleanupOutput:
    """Purge data for organizations past their deletion date (cron, DESTRUCTIVE).

    Their items, files, keys and people go; the ledger and the invoices stay.
    """
    return done

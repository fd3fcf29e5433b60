"""Reservations that nobody will end any more: those of jobs that have ended, and of none at all."""

from __future__ import annotations

from pydantic import Field

from db.queries import queries
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import NotFound
from ops_gateway.kernel.operation import Effect, Input, Output, Phases, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

MOST = 10_000


class SettleInput(Input):
    """Input of billing.jobs.settle_unsettled."""

    limit: int = 500
    organization_id: str | None = None


class Settled(Output):
    """A reservation that was ended."""

    organization_id: str
    job_id: str | None
    hold_id: str
    action: str = Field(description="settled or voided")
    credits: int = Field(description="charged")


class SettleOutput(Output):
    """Output of billing.jobs.settle_unsettled."""

    processed: int
    settled: int
    voided: int
    jobs: list[Settled]


async def finish(ctx: Context, hold_id: str) -> Settled | None:
    """End an open reservation as its job says: charged what a completed one was, else given back.

    None where it has ended, or its job has not.
    """
    row = await ctx.row(None, sql.hold, id=hold_id)
    if row is None:
        return None
    # whoever else would end it waits, and then finds that it has ended
    if row["job_id"] is not None:
        await ctx.row(None, sql.lock_job, job=row["job_id"])
    else:
        await ctx.execute(sql.lock_reservation, id=hold_id)
    row = await ctx.one("hold", sql.hold, id=hold_id)
    if row["state"] != "open" or row["status"] in ("pending", "dispatched", "running"):
        return None
    charged = 0
    if row["status"] == "completed":
        whole: int = row["amount"]
        said = row["credits_charged"]
        charged = whole if said is None else min(said, whole)
        ctx.settle(hold_id, charged, job_id=row["job_id"])
    else:
        ctx.void(hold_id, job_id=row["job_id"])
    ctx.produced("processing_job", row["job_id"] or hold_id)
    return Settled(
        organization_id=ctx.organization_id,
        job_id=row["job_id"],
        hold_id=hold_id,
        action="settled" if row["status"] == "completed" else "voided",
        credits=charged,
    )


async def settle_organization(ctx: Context) -> list[Settled]:
    """End all of the bound organization's."""
    rows = await ctx.rows(None, sql.unsettled, only=ctx.organization_id, limit=MOST)
    ended = [await finish(ctx, row["hold_id"]) for row in rows]
    return [one for one in ended if one is not None]


async def settle_all(pipeline: Pipeline, only: str | None, limit: int) -> SettleOutput:
    """End up to `limit` of them, each in a transaction of its own; safe to repeat and to stop."""
    principal = Principal(kind="service", id="settlement")

    async def find(ctx: Context) -> list[tuple[str, str]]:
        rows = await ctx.rows(None, sql.unsettled, only=only, limit=limit)
        return [(row["organization_id"], row["hold_id"]) for row in rows]

    done: list[Settled] = []
    for organization_id, hold_id in await pipeline.look("billing.jobs.settle", principal, find):
        owner = Principal(kind="service", id="settlement", organization_id=organization_id)

        async def end(ctx: Context, hold_id: str = hold_id) -> Settled | None:
            return await finish(ctx, hold_id)

        ended = await pipeline.act("billing.jobs.settle", owner, end)
        if ended is not None:
            done.append(ended)
    settled = sum(one.action == "settled" for one in done)
    return SettleOutput(processed=len(done), settled=settled, voided=len(done) - settled, jobs=done)


async def known(ctx: Context, body: SettleInput, *_: object) -> None:
    """There is nothing to claim; raises NotFound for an organization that is not there."""
    if body.organization_id is not None:
        row = await ctx.row(None, "select from organization where organization_id = %(org)s")
        if row is None:
            raise NotFound.of("organization")


async def settle_now(ctx: Context, body: SettleInput, claimed: None) -> SettleOutput:
    """The oldest first."""
    limit = min(max(body.limit, 1), MOST)
    return await settle_all(ctx.pipeline, body.organization_id, limit)


@operation(
    "billing.jobs.settle_unsettled",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    acts_for="organization_id",
    phases=Phases(known, settle_now, known),
)
async def settle_unsettled(
    ctx: Context, body: SettleInput, claimed: None, done: SettleOutput
) -> SettleOutput:
    """Settle/register terminal processing jobs holding an unsettled reservation (cron)."""
    return done

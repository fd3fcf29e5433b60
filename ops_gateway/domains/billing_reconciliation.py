"""Reconciliation: looking through the books, noting what was found, setting it right."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from psycopg.types.json import Jsonb
from pydantic import AfterValidator, Field

from db.queries import queries
from ops_gateway.domains import billing_drift
from ops_gateway.domains.billing_drift import Correction, Drift, Fault
from ops_gateway.domains.billing_free_tier import OrgInput
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import NotFound
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, Phases, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

THRESHOLD_BYTES = 1 << 20
MOST_BYTES = 1 << 62
MOST_ROWS = 1000
MOST_CHARACTERS = 1000


def _bytes(value: int) -> int:
    if abs(value) > MOST_BYTES:
        raise ValueError(f"must be {-MOST_BYTES} to {MOST_BYTES}")
    return value


def _text(value: str) -> str:
    if not 1 <= len(value) <= MOST_CHARACTERS:
        raise ValueError(f"must have 1 to {MOST_CHARACTERS} characters")
    return value


# the published schemas name no bounds, so these are no part of them
Bytes = Annotated[int, AfterValidator(_bytes)]
Text = Annotated[str, AfterValidator(_text)]
CORRECTS = "set right what is found, by rows more; otherwise nothing is changed"


class DriftInput(Input):
    """Input of billing.reconciliation.detect_drift."""

    organization_id: str


class RunInput(Input):
    """Input of billing.reconciliation.run."""

    organization_id: str
    threshold_bytes: Bytes = THRESHOLD_BYTES
    correct: bool = Field(default=False, description=CORRECTS)


class RunAllInput(Input):
    """Input of billing.reconciliation.run_all."""

    threshold_bytes: Bytes = THRESHOLD_BYTES
    correct: bool = Field(default=False, description=CORRECTS)


class CorrectInput(Input):
    """Input of billing.reconciliation.correct_drift."""

    organization_id: str
    bytes_delta: Bytes
    reason: Text
    asset_id: str | None = None


class RunsInput(Input):
    """Input of billing.reconciliation.list_runs."""

    organization_id: str | None = None
    flagged_only: bool = False
    limit: int = 50


class CorrectionsInput(Input):
    """Input of billing.reconciliation.list_corrections."""

    organization_id: str | None = None
    limit: int = 100


class Run(Output):
    """A look through the books. `flagged`: credits are wrong, or more bytes than the threshold."""

    id: str
    organization_id: str
    drift_bytes: int
    threshold_bytes: int
    fault_count: int
    faults: list[Fault]
    corrected: int
    flagged: bool
    actor: str
    created_at: datetime


class RunOutput(Output):
    """A run as it was noted, and what it set right."""

    run: Run
    corrections: list[Correction]


class RunAllOutput(Output):
    """Output of billing.reconciliation.run_all; `runs` are those in which something was wrong."""

    processed: int
    flagged: int
    runs: list[Run]


class RunsOutput(Output):
    """Runs, newest first."""

    runs: list[Run]
    count: int


class CorrectionsOutput(Output):
    """Corrections, newest first."""

    corrections: list[Correction]
    count: int


class CorrectedOutput(Output):
    """What was set right in this call."""

    organization_id: str
    processed: int
    bytes_delta: int
    corrections: list[Correction]


def is_flagged(drift: Drift, threshold: int) -> bool:
    """Whether somebody should look."""
    credits = any(not fault.kind.startswith("storage_") for fault in drift.faults)
    return credits or abs(drift.drift_bytes) > threshold


async def reconcile(
    pipeline: Pipeline, organization_id: str, actor: Principal, threshold: int, *, correct: bool
) -> RunOutput:
    """Look through an organization's books, note what was found, and set it right if asked to."""
    principal = Principal(kind=actor.kind, id=actor.id, organization_id=organization_id)

    async def look(ctx: Context) -> Drift:
        await ctx.one("organization", sql.organization)
        return await billing_drift.find(ctx)

    drift = await pipeline.look("billing.reconciliation.run", principal, look)
    corrections: list[Correction] = []
    if correct and drift.faults:
        corrections = await billing_drift.correct_all(pipeline, organization_id, actor)

    async def keep(ctx: Context) -> Run:
        faults = [fault.model_dump() for fault in drift.faults]
        values: dict[str, Any] = {
            "id": new_id("rec"),
            "flagged": is_flagged(drift, threshold),
            "actor": actor.id,
            "corrected": len(corrections),
        }
        row = await ctx.one(
            "run",
            sql.insert_run,
            drift=drift.drift_bytes,
            threshold=threshold,
            count=drift.count,
            faults=Jsonb(faults),
            **values,
        )
        ctx.produced("organization", organization_id)
        return Run(
            organization_id=organization_id,
            drift_bytes=drift.drift_bytes,
            threshold_bytes=threshold,
            fault_count=drift.count,
            faults=drift.faults,
            created_at=row["created_at"],
            **values,
        )

    run = await pipeline.act("billing.reconciliation.run", principal, keep)
    return RunOutput(run=run, corrections=corrections)


# ---------------------------------------------------------------- looking


@operation(
    "billing.reconciliation.detect_drift",
    scope="admin:read",
    effect=Effect.READ,
    needs_organization=False,
    acts_for="organization_id",
)
async def detect_drift(ctx: Context, body: DriftInput) -> Drift:
    """Compute storage-billing drift for one org (no run recorded).

    With it what is wrong in its ledger of credits: balances beside it, journals that do not
    balance, reservations that were posted otherwise, jobs that ended without a settlement.
    """
    await ctx.one("organization", sql.organization)
    return await billing_drift.find(ctx)


@operation(
    "billing.reconciliation.list_runs",
    scope="admin:read",
    effect=Effect.READ,
    needs_organization=False,
)
async def list_runs(ctx: Context, body: RunsInput) -> RunsOutput:
    """List reconciliation runs (newest first; filter by org / flagged)."""
    limit = min(max(body.limit, 1), MOST_ROWS)
    found = await ctx.rows(
        Run, sql.runs, only=body.organization_id, flagged=body.flagged_only, limit=limit
    )
    return RunsOutput(runs=found, count=len(found))


@operation(
    "billing.reconciliation.list_corrections",
    scope="admin:read",
    effect=Effect.READ,
    needs_organization=False,
)
async def list_corrections(ctx: Context, body: CorrectionsInput) -> CorrectionsOutput:
    """Audit trail of all drift corrections applied (compliance + support)."""
    limit = min(max(body.limit, 1), MOST_ROWS)
    found = await ctx.rows(Correction, sql.corrections, only=body.organization_id, limit=limit)
    return CorrectionsOutput(corrections=found, count=len(found))


async def known(ctx: Context, body: RunInput, *_: object) -> None:
    """There is nothing to claim; raises NotFound for an organization that is not there."""
    await ctx.one("organization", sql.organization)


async def run_now(ctx: Context, body: RunInput, claimed: None) -> RunOutput:
    """Each step in a transaction of its own."""
    return await reconcile(
        ctx.pipeline,
        ctx.organization_id,
        ctx.principal,
        body.threshold_bytes,
        correct=body.correct,
    )


@operation(
    "billing.reconciliation.run",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    acts_for="organization_id",
    phases=Phases(known, run_now, known),
)
async def run_one(ctx: Context, body: RunInput, claimed: None, done: RunOutput) -> RunOutput:
    """Run reconciliation for one org + persist the result."""
    return done


async def nothing(ctx: Context, body: RunAllInput, *_: object) -> None:
    """There is nothing to claim: looking again does no harm."""


async def all_now(ctx: Context, body: RunAllInput, claimed: None) -> RunAllOutput:
    """One organization after the other; one that is deleted meanwhile is passed over."""
    rows = await ctx.rows(None, sql.everybody)
    await ctx.release()
    runs: list[Run] = []
    for row in rows:
        try:
            done = await reconcile(
                ctx.pipeline,
                row["organization_id"],
                ctx.principal,
                body.threshold_bytes,
                correct=body.correct,
            )
        except NotFound:
            continue
        runs.append(done.run)
    return RunAllOutput(
        processed=len(runs),
        flagged=sum(run.flagged for run in runs),
        runs=[run for run in runs if run.fault_count],
    )


@operation(
    "billing.reconciliation.run_all",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    phases=Phases(nothing, all_now, nothing),
)
async def run_all(
    ctx: Context, body: RunAllInput, claimed: None, done: RunAllOutput
) -> RunAllOutput:
    """Run reconciliation for every org with a subscription or credit balance (cron)."""
    return done


# ---------------------------------------------------------------- setting right


def corrected(ctx: Context, made: list[Correction]) -> CorrectedOutput:
    """What was done, summed up."""
    return CorrectedOutput(
        organization_id=ctx.organization_id,
        processed=len(made),
        bytes_delta=sum(one.amount for one in made),
        corrections=made,
    )


@operation(
    "billing.reconciliation.correct_drift",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    acts_for="organization_id",
)
async def correct_drift(ctx: Context, body: CorrectInput) -> CorrectedOutput:
    """Surgical single-asset drift correction (audited ledger entry; admin).

    Without an asset it is posted for the organization as a whole.
    """
    await ctx.one("organization", sql.organization)
    path, asset_id = f"{ctx.organization_id}/", None
    if body.asset_id is not None:
        asset = await ctx.one("asset", sql.asset, id=body.asset_id)
        path, asset_id = asset["object_path"], asset["id"]
    if body.bytes_delta == 0:
        return corrected(ctx, [])
    await ctx.execute(
        sql.add_bytes, path=path, asset_id=asset_id, bytes=body.bytes_delta, kind="correction"
    )
    subject = asset_id or ctx.organization_id
    made = await billing_drift.note(
        ctx, "correction", subject, body.bytes_delta, "bytes", body.reason
    )
    return corrected(ctx, [made])


async def correct_kind(ctx: Context, kind: str) -> CorrectedOutput:
    """Set right the faults of stored bytes of one kind."""
    await ctx.one("organization", sql.organization)
    return corrected(ctx, await billing_drift.correct_bytes(ctx, frozenset([kind])))


@operation(
    "billing.reconciliation.backfill_missing",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    acts_for="organization_id",
)
async def backfill_missing(ctx: Context, body: OrgInput) -> CorrectedOutput:
    """Backfill ledger add-events for live assets with no ledger entry (admin)."""
    return await correct_kind(ctx, "storage_missing")


@operation(
    "billing.reconciliation.remove_stale",
    scope="admin:write",
    effect=Effect.DESTRUCTIVE,
    needs_organization=False,
    acts_for="organization_id",
)
async def remove_stale(ctx: Context, body: OrgInput) -> CorrectedOutput:
    """Remove stale positive-net ledger entries for deleted assets (admin)."""
    return await correct_kind(ctx, "storage_stale")


@operation(
    "billing.reconciliation.zero_negative_nets",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    acts_for="organization_id",
)
async def zero_negative_nets(ctx: Context, body: OrgInput) -> CorrectedOutput:
    """Zero orphan negative-net ledger residue with compensating adds (admin)."""
    return await correct_kind(ctx, "storage_negative")

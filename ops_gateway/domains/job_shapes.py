"""Jobs as clients see them: the native shape, and that of the provider's API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from ops_gateway.domains import receipts
from ops_gateway.domains.receipts import Receipt
from ops_gateway.kernel.operation import Output
from processes.process import discover

Status = Literal["pending", "dispatched", "running", "completed", "failed", "cancelled"]
ENDED = ("completed", "failed", "cancelled")
PROVIDER_STATUS = {
    "pending": "created",
    "dispatched": "accepted",
    "running": "running",
    "completed": "successful",
    "failed": "failed",
    "cancelled": "rejected",
}
LOG = "What its failed runs said last, oldest first; empty where none failed, and in lists."


class JobError(Output):
    """Why a job failed."""

    code: str
    message: str


class Job(Output):
    """A processing job, native shape."""

    id: str
    organization_id: str
    project_id: str
    job_type_id: str
    job_type_name: str
    status: Status
    progress: float
    stage: str | None
    input_params: dict[str, Any]
    target_collection_id: str | None
    source_item_ids: list[str]
    output_item_ids: list[str]
    credits_reserved: int
    credits_charged: int | None
    reservation_id: str | None
    error: JobError | None
    receipt: Receipt | None = None
    cached_from: str | None = Field(
        default=None, description="the job whose outputs this one was given"
    )
    log: list[str] = Field(default=[], description=LOG)
    worker: str | None
    version: str
    created_by: str | None
    created_at: datetime
    dispatched_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime


class ProviderJob(Output):
    """A processing job in the shape of the provider's API."""

    processID: str
    jobID: str
    accountID: str
    workspaceID: str
    definition: dict[str, Any]
    results: dict[str, Any] | None
    creditConsumption: dict[str, Any] | None
    status: str
    created: str
    started: str | None
    finished: str | None
    updated: str
    progress: float
    stage: str | None
    log: list[str] = Field(default=[], description=LOG)


def native(row: Mapping[str, Any]) -> Job:
    """A job row as clients see it."""
    process = discover().get(row["job_type_id"])
    error = (
        JobError(code=row["error_code"], message=row["error_message"] or row["error_code"])
        if row["error_code"] and row["status"] == "failed"
        else None
    )
    return Job.model_validate(
        {
            **{name: row[name] for name in Job.model_fields if name in row},
            "job_type_name": process.title if process else row["job_type_id"],
            "reservation_id": row["hold_id"],
            "error": error,
            "receipt": receipts.of(row),
        }
    )


def provider(row: Mapping[str, Any], base_url: str) -> ProviderJob:
    """A job row in the provider's shape."""
    ended = row["status"] in ENDED
    results: dict[str, Any] | None = None
    if ended:
        collection = row["target_collection_id"] or row["project_id"]
        errors = None
        if row["status"] != "completed":
            code = row["error_code"] or row["status"]
            errors = [{"name": code, "message": row["error_message"] or code}]
        results = {
            "collection": f"{base_url}/assets/stac/collections/{collection}",
            "items": list(row["output_item_ids"]),
            "errors": errors,
        }
    return ProviderJob(
        processID=row["job_type_id"],
        jobID=row["id"],
        accountID=row["organization_id"],
        workspaceID=row["project_id"],
        definition={"inputs": row["input_params"]},
        results=results,
        creditConsumption={"credits": row["credits_charged"]}
        if row["credits_charged"] is not None
        else None,
        status=PROVIDER_STATUS[row["status"]],
        created=milliseconds(row["created_at"]) or "",
        started=milliseconds(row["started_at"]),
        finished=milliseconds(row["completed_at"]),
        updated=milliseconds(row["updated_at"]) or "",
        progress=row["progress"],
        stage=row["stage"],
        log=row.get("log", []),
    )


def milliseconds(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

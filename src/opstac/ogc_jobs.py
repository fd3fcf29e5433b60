"""Jobs in the words of OGC API - Processes: for its surface, and for whom a job shall tell."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ops_gateway.catalogue.links import sign
from ops_gateway.domains import job_shapes, jobs
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.holders import label
from processes.ogc_documents import status_info
from processes.ogc_request import asked_before
from processes.ogc_results import Result, document, select
from processes.process import discover

MOUNT = "/ogc"


def shape(row: Mapping[str, Any]) -> dict[str, Any]:
    """A job row in the words of `processes.manager`."""
    return {
        "id": row["id"],
        "process_id": row["job_type_id"],
        "status": row["status"],
        "progress": row["progress"],
        "message": row["error_message"] or row["stage"],
        "log": row.get("log") or [],
        "error": {"code": row["error_code"], "message": row["error_message"]}
        if row["error_code"]
        else None,
        "answer_as": row.get("answer_as"),
        "created_at": row["created_at"],
        "started_at": row["started_at"],
        "completed_at": row["completed_at"],
        "updated_at": row["updated_at"],
    }


async def results_of(
    ctx: Context, row: Mapping[str, Any], base_url: str | None = None
) -> dict[str, Result]:
    """What a completed job gave: values, and each file with a signed link and its bytes."""
    values = (row["outputs"] or {}).get("values", {})
    results = {name: Result(value=value) for name, value in values.items()}
    for item_id in row["output_item_ids"]:
        made = await ctx.rows(None, jobs.sql.made_assets, item=item_id, job=row["id"])
        for asset in made:
            holder = label(ctx.principal, row["project_id"])
            link = sign(asset, ctx.services, base_url or ctx.base_url, holder=holder)
            results[asset["key"]] = Result(
                href=link.url,
                media_type=asset["media_type"],
                title=asset["title"],
                file_name=asset["file_name"],
                size=asset["size_bytes"],
                read=partial(ctx.services.objects.stream, asset["object_path"]),
            )
    return results


async def write_results(ctx: Context, row: dict[str, Any], base_url: str) -> Any:
    """What `successUri` is sent: the results document."""
    wanted = asked_before(row["answer_as"])
    found = await results_of(ctx, row, base_url)
    return document(select(found, wanted, discover().get(row["job_type_id"])))


async def write_status(ctx: Context, row: dict[str, Any], base_url: str) -> Any:
    """What `inProgressUri` and `failedUri` are sent: the statusInfo."""
    del ctx
    return status_info(base_url + MOUNT, shape(row))


async def write_progress(ctx: Context, row: dict[str, Any], base_url: str) -> Any:
    """The statusInfo, while there is progress to tell of."""
    return None if row["status"] in job_shapes.ENDED else await write_status(ctx, row, base_url)

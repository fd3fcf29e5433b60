"""`PUT /v1/jobs/{job_id}/outputs/{file_name}`: a worker hands in one file of its run."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from db.paths import StorageFull
from ops_gateway.domains import jobs
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    OpError,
    PaymentRequired,
    Unauthenticated,
    Unavailable,
)
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.removal import remove_objects
from ops_gateway.surfaces.json_body import as_refusals
from ops_gateway.surfaces.limits import RateLimiter, client_address
from wire.body import pieces

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,150}")


def routes(pipeline: Pipeline, limiter: RateLimiter) -> list[Route]:
    """The one route, on the pipeline's services."""

    async def put(request: Request) -> Response:
        limiter.count_read(admit(request), client_address(request.scope))
        return await put_output(request, pipeline)

    return [Route("/v1/jobs/{job_id}/outputs/{file_name}", put, methods=["PUT"])]


async def put_output(request: Request, pipeline: Pipeline) -> Response:
    """Store the body under the job's current run; answers where.

    Callers: the job's worker token; for jobs of type `external` also whoever may process in the
    project. Raises OpError.
    """
    principal = admit(request)
    job_id, name = request.path_params["job_id"], request.path_params["file_name"]
    if not _NAME.fullmatch(name) or name.endswith(".part"):
        raise Invalid.at("file_name", "letters, digits, '.', '_' and '-', at most 150")
    row = await pipeline.look("jobs.outputs", principal, lambda ctx: taking(ctx, job_id))
    # a place of its own for each PUT: a slow one never replaces what is registered meanwhile
    path = f"jobs/{job_id}/{row['epoch']}/{new_id('f')}/{name}"
    body = limited(request, pipeline.services.options.upload_max_bytes)
    try:
        size = await pipeline.services.objects.put(path, body)
    except StorageFull as error:
        raise Unavailable("there is no room in the object store", 60) from error

    async def note(ctx: Context) -> None:
        again = await taking(ctx, job_id, lock=True)
        if again["epoch"] != row["epoch"]:
            raise Conflict("another run of the job has taken over")
        run = {"id": job_id, "epoch": row["epoch"]}
        before = await ctx.rows(None, jobs.sql.replace_output, file_name=name, **run)
        room = await ctx.one("organization", jobs.sql.room_for_outputs)
        if size > room["bytes"]:
            raise PaymentRequired("the organization's storage quota does not hold this file")
        await ctx.execute(jobs.sql.insert_output, path=path, file_name=name, size=size, **run)
        await remove_objects(ctx, [old["object_path"] for old in before])
        ctx.produced("processing_job", job_id)

    try:
        await pipeline.act("jobs.outputs", principal, note)
    except OpError:
        await pipeline.services.objects.delete(path)
        raise
    return JSONResponse({"object_path": path, "size_bytes": size}, 201)


def admit(request: Request) -> Principal:
    """The caller, where it may hand in files of the job at all."""
    principal: Principal = request.scope["principal"]
    if principal.kind == "anonymous":
        raise Unauthenticated()
    if principal.organization_id is None:
        raise Forbidden("User not in an organization")
    if not principal.allows("processing:process"):
        raise Forbidden("missing scope 'processing:process' for 'processing.job.register'")
    if principal.kind == "worker" and principal.job_id != request.path_params["job_id"]:
        raise NotFound.of("job")
    return principal


async def taking(ctx: Context, job_id: str, *, lock: bool = False) -> dict[str, Any]:
    """The job, where it takes files of this caller now."""
    query = jobs.sql.job_for_update if lock else jobs.sql.job
    row = await ctx.one("job", query, id=job_id)
    if ctx.principal.kind != "worker":
        if row["job_type_id"] != "external":
            raise Forbidden("only the job's own worker hands in its files")
        ctx.require_project_role(row["project_id"], "editor", kind="job")
    elif row["epoch"] != ctx.principal.epoch:
        raise Conflict("another run of the job has taken over")
    if row["status"] not in ("dispatched", "running"):
        raise Conflict(f"the job is {row['status']}; files are taken while it runs")
    return row


async def limited(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The request's body; raises TooLarge beyond `limit` bytes, BadRequest where it ends early."""
    with as_refusals():
        async for piece in pieces(request, limit):
            yield piece

"""OGC API - Processes as the platform mounts it: the same jobs the operations see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ops_gateway.domains import job_orders, job_shapes, jobs
from ops_gateway.kernel.answers import Call
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import Forbidden, OpError, Unauthenticated
from ops_gateway.kernel.failures import translate
from ops_gateway.kernel.operation import REGISTRY
from ops_gateway.surfaces.limits import client_address
from opstac.ogc_jobs import results_of, shape
from processes.ogc_request import Execution, JobFilter
from processes.ogc_results import Result
from processes.process import discover

if TYPE_CHECKING:
    from opstac.compose import Platform


JOBS = "/ogc/jobs"


def ogc_app(platform: Platform) -> ASGIApp:
    """The app below `/ogc`."""
    from processes.app import create_app  # brings pygeoapi, which a worker has no use for

    door = Door(platform)
    app = create_app(
        submit=door.submit,
        get_job=door.get_job,
        list_jobs=door.list_jobs,
        get_results=door.get_results,
        dismiss=door.dismiss,
        processes=discover(),
        translate=lambda error: error if isinstance(error, OpError) else translate(error),
    )
    return Counted(app, platform)


class Counted:
    """ASGI: counts each request once: as the operation that it is, or as a read."""

    def __init__(self, app: ASGIApp, platform: Platform) -> None:
        self._app = app
        self._pipeline = platform.pipeline
        self._limiter = platform.limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI; raises RateLimited to the edge."""
        if scope["type"] == "http" and scope["method"] != "OPTIONS":
            self._count(scope)
        await self._app(scope, receive, send)

    def _count(self, scope: Scope) -> None:
        principal, address, path = scope["principal"], client_address(scope), scope["path"]
        if scope["method"] == "POST" and path.endswith("/execution"):
            op = REGISTRY["processing.execute"]
        elif path.startswith(JOBS):
            op = REGISTRY["processing.job.get"]
        else:
            self._limiter.count_read(principal, address)
            return
        try:
            self._pipeline.admit(op, principal)
        except OpError:
            return  # the app says why, and nothing is looked at for them
        self._limiter.count(op, principal, address)


class Door:
    """The handed-in functions, each run as the request's caller."""

    def __init__(self, platform: Platform) -> None:
        """Over the platform's pipeline."""
        self._pipeline = platform.pipeline

    async def submit(
        self,
        request: Request,
        process_id: str,
        inputs: dict[str, Any],
        *,
        mode: str,
        project_id: str | None,
        wanted: Execution,
    ) -> Mapping[str, Any]:
        """Run `processing.execute`; a project that is not named is the caller's oldest one."""
        caller(request, "processing:process")
        if project_id is None:
            project_id = await self._look(request, job_orders.default_project)
        outputs = {
            name: {"transmissionMode": mode} if mode else {}
            for name, mode in (wanted.outputs or {}).items()
        }
        body = {
            "process_id": process_id,
            "workspaceId": project_id,
            "inputs": inputs,
            "response": wanted.response,
            **({"outputs": outputs} if outputs else {}),
            **({"subscriber": wanted.subscriber} if wanted.subscriber else {}),
        }
        made = await self._run(request, "processing.execute", body)
        job = await self.get_job(request, made["jobID"])
        assert job is not None
        return job

    async def get_job(self, request: Request, job_id: str) -> Mapping[str, Any] | None:
        """The job; raises NotFound."""
        caller(request, "processing:read")
        return shape(await self._look(request, lambda ctx: jobs.find(ctx, job_id)))

    async def list_jobs(
        self,
        request: Request,
        *,
        limit: int,
        offset: int,
        filter: JobFilter,
    ) -> tuple[Sequence[Mapping[str, Any]], int]:
        """One page of the caller's jobs."""
        caller(request, "processing:read")
        rows, total = await self._look(
            request,
            lambda ctx: jobs.listed(
                ctx,
                types=filter.process_ids,
                statuses=filter.statuses,
                created=filter.created,
                seconds=filter.seconds,
                limit=limit,
                offset=offset,
            ),
        )
        return [shape(row) for row in rows], total

    async def get_results(self, request: Request, job_id: str) -> Mapping[str, Result]:
        """Values, and each file with a signed link."""
        caller(request, "processing:read")

        async def find(ctx: Context) -> dict[str, Result]:
            return await results_of(ctx, await jobs.find(ctx, job_id))

        return await self._look(request, find)

    async def dismiss(self, request: Request, job_id: str) -> None:
        """Cancel a job that runs, hide one that ended."""
        caller(request, "clip:destroy")
        row = await self._look(request, lambda ctx: jobs.find(ctx, job_id))
        if row["status"] in job_shapes.ENDED:
            await self._run(request, "processing.job.delete", {"job_id": job_id})
            return

        async def work(ctx: Context) -> None:
            again = await jobs.find(ctx, job_id, "editor", lock=True)
            await jobs.cancel(ctx, again)

        await self._pipeline.act("processing.job.cancel", request.scope["principal"], work)

    async def _look(self, request: Request, work: Any) -> Any:
        principal = request.scope["principal"]
        return await self._pipeline.look(
            "ogc.jobs", principal, work, base_url=request.scope["base_url"]
        )

    async def _run(self, request: Request, op_id: str, body: dict[str, Any]) -> dict[str, Any]:
        scope = request.scope
        call = Call(
            scope["principal"],
            key=request.headers.get("idempotency-key"),
            request_id=scope["request_id"],
            base_url=scope["base_url"],
        )
        return orjson.loads((await self._pipeline.run(op_id, body, call)).body)


def caller(request: Request, scope: str) -> Principal:
    """The caller; raises Unauthenticated or Forbidden."""
    principal: Principal = request.scope["principal"]
    if principal.kind == "anonymous":
        raise Unauthenticated()
    if principal.organization_id is None:
        raise Forbidden("User not in an organization")
    if not principal.allows(scope):
        raise Forbidden(f"missing scope '{scope}'")
    return principal

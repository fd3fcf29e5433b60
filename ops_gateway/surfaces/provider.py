"""`/v2/processing/…` and `/processing/…`: the operations as the provider's clients call them.

GET  processes, processes/{id}                    the catalogue, public
POST processes/{id}/validation, …/cost            check and price inputs
POST processes/{id}/execution?workspaceId=…       start a job
GET  jobs, jobs/{id}                              jobs, with links relative to the host
GET  /v2/eulas/none                               the agreement that no process needs

Inputs that break the process's schema are answered 400 with `schema-error`, inputs that the
platform refuses for another reason 422 with `errors`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ops_gateway.catalogue.scenes import find_scene
from ops_gateway.domains import declared, job_orders
from ops_gateway.domains.processing_catalog import NO_EULA
from ops_gateway.kernel.answers import Answer, Call
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import BadRequest, Invalid
from ops_gateway.kernel.json_limits import find_fault
from ops_gateway.kernel.operation import REGISTRY
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces.http import render
from ops_gateway.surfaces.json_body import read_json
from ops_gateway.surfaces.limits import RateLimiter, client_address
from processes.process import Process

ROOTS = ("/v2/processing", "/processing")
LISTED = (
    "workspaceId", "processId", "status", "ids", "minDuration", "maxDuration", "page", "limit",
    "sort",
)  # fmt: skip

_ITEM_LINK = re.compile(r"/collections/([^/?#]+)/items/([^/?#]+)/?$")

Handler = Callable[[Request], Awaitable[Response]]


def routes(pipeline: Pipeline, limiter: RateLimiter) -> list[BaseRoute]:
    """The routes under both roots."""
    provider = Provider(pipeline, limiter)
    process = "/processes/{process_id}"
    endpoints: list[tuple[str, Handler, str]] = [
        ("/processes", provider.processes, "GET"),
        (process, provider.process, "GET"),
        (f"{process}/validation", provider.validate, "POST"),
        (f"{process}/cost", provider.cost, "POST"),
        (f"{process}/execution", provider.execute, "POST"),
        ("/jobs", provider.jobs, "GET"),
        ("/jobs/{job_id}", provider.job, "GET"),
    ]
    return [
        *(
            Route(root + path, handler, methods=[method])
            for root in ROOTS
            for path, handler, method in endpoints
        ),
        Route(f"/v2/eulas/{NO_EULA}", no_eula, methods=["GET"]),
    ]


class Provider:
    """The endpoints, each an operation in other words."""

    def __init__(self, pipeline: Pipeline, limiter: RateLimiter) -> None:
        """Over the platform's pipeline."""
        self._pipeline = pipeline
        self._limiter = limiter

    async def processes(self, request: Request) -> Response:
        """GET processes"""
        return await self._answer(request, "processing.catalog.list", {})

    async def process(self, request: Request) -> Response:
        """GET processes/{id}"""
        body = {"process_id": request.path_params["process_id"]}
        return await self._answer(request, "processing.catalog.get", body)

    async def validate(self, request: Request) -> Response:
        """POST processes/{id}/validation"""
        return await self._checked(request, "processing.catalog.validate", {})

    async def cost(self, request: Request) -> Response:
        """POST processes/{id}/cost"""
        return await self._checked(request, "processing.catalog.estimate", {})

    async def execute(self, request: Request) -> Response:
        """POST processes/{id}/execution"""
        return await self._checked(request, "processing.execute", {})

    async def jobs(self, request: Request) -> Response:
        """GET jobs"""
        query = {name: v for name, v in request.query_params.items() if name in LISTED}
        workspace = self._workspace(request)
        query = {n: v for n, v in query.items() if n != "workspaceId"} | (
            {"workspaceId": workspace} if workspace else {}
        )
        self._admit(request, "processing.jobs.list")
        answer = await self._run(request, "processing.jobs.list", query)
        document = orjson.loads(answer.body)
        at = request.url.path
        for link in document["links"]:
            page = link["href"].partition("page=")[2].partition("&")[0]
            link["href"] = f"{at}?{urlencode({**query, 'page': page})}"
        return JSONResponse(document)

    async def job(self, request: Request) -> Response:
        """GET jobs/{id}"""
        body = {"job_id": request.path_params["job_id"]}
        return await self._answer(request, "processing.job.get", body)

    def _workspace(self, request: Request) -> str | None:
        """The project asked for. The provider's client names the caller's account by default."""
        workspace = request.query_params.get("workspaceId")
        principal = request.scope["principal"]
        own = (principal.id, principal.user_id, principal.organization_id)
        return None if not workspace or workspace in own else workspace

    async def _checked(self, request: Request, op_id: str, body: Mapping[str, Any]) -> Response:
        """An operation on a process and inputs, its refusals of inputs in the provider's words."""
        self._admit(request, op_id)
        given = await read_json(request)
        if not isinstance(given, dict):
            raise BadRequest("the body must be a JSON object")
        process = job_orders.find_process(request.path_params["process_id"])
        inputs = given.get("inputs", {})
        if not isinstance(inputs, dict):
            raise _schema_error("inputs: must be an object")
        try:
            inputs = await self._named(request, process, inputs)
            declared.inputs(process, inputs, "inputs")
            whole = {"process_id": process.id, "inputs": inputs, **body}
            if op_id == "processing.execute":
                whole["workspaceId"] = await self._project(request)
            return render(await self._run(request, op_id, whole))
        except declared.BrokenSchema as error:
            words = (f"{'.'.join(map(str, e['loc'][2:]))}: {e['msg']}" for e in error.errors[:5])
            raise _schema_error("; ".join(words)) from None
        except Invalid as error:
            found = [{"name": e["type"], "message": e["msg"]} for e in error.errors]
            raise Invalid(error.errors, extra={**error.extra, "errors": found}) from None

    async def _project(self, request: Request) -> str:
        """The project to run in: the one asked for, or the caller's default."""
        principal = request.scope["principal"]
        return self._workspace(request) or await self._pipeline.look(
            "provider.project", principal, job_orders.default_project
        )

    async def _named(
        self, request: Request, process: Process, inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Inputs under the process's names: the provider's `title` and `item`, the link of a STAC
        item, for our `output_name` and `source_item_id`.
        """
        fields, found = process.inputs.model_fields, dict(inputs)
        for theirs, ours in (("title", "output_name"), ("item", "source_item_id")):
            if theirs in found and theirs not in fields and ours in fields and ours not in found:
                found[ours] = found.pop(theirs)
        link = found.get("source_item_id")
        principal: Principal = request.scope["principal"]
        if (
            not isinstance(link, str)
            or (place := _ITEM_LINK.search(link)) is None
            or principal.organization_id is None
        ):
            return found
        scene = f"{unquote(place[1])}:{unquote(place[2])}"
        if (fault := find_fault({"inputs": {"item": scene}})) is not None:  # a %00 was none before
            raise fault
        found["source_item_id"] = await self._pipeline.look(
            "provider.item", principal, lambda ctx: find_scene(ctx, scene, ["inputs", "item"])
        )
        return found

    async def _answer(self, request: Request, op_id: str, body: Mapping[str, Any]) -> Response:
        self._admit(request, op_id)
        return render(await self._run(request, op_id, body))

    def _admit(self, request: Request, op_id: str) -> None:
        """Count the call of a caller who may make it, before anything is looked at for it."""
        op, principal = REGISTRY[op_id], request.scope["principal"]
        self._pipeline.admit(op, principal)
        self._limiter.count(op, principal, client_address(request.scope))

    async def _run(self, request: Request, op_id: str, body: Mapping[str, Any]) -> Answer:
        """The answer to a call that was admitted."""
        if (fault := find_fault(dict(body))) is not None:
            raise fault
        call = Call(
            request.scope["principal"],
            key=None if REGISTRY[op_id].is_read else request.headers.get("idempotency-key"),
            request_id=request.scope["request_id"],
            base_url=request.scope["base_url"],
        )
        return await self._pipeline.run(op_id, dict(body), call)


def _schema_error(words: str) -> BadRequest:
    return BadRequest(words, extra={"schema-error": words})


async def no_eula(request: Request) -> Response:
    """GET /v2/eulas/none"""
    del request
    return JSONResponse(
        {"id": NO_EULA, "name": "No agreement is needed", "isAccepted": True, "documents": []}
    )

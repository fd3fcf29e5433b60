"""OGC API - Processes 1.0: our routes, pygeoapi's engine, and documents as the standard asks.

pygeoapi describes processes and routes executions, jobs and results through its manager; this
module answers for what it lacks: status documents, exception types, RFC 7240, results by output id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import pygeoapi.api.processes as core
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from processes.manager import (
    Dismiss,
    Exchange,
    GetJob,
    GetResults,
    Job,
    ListJobs,
    Platform,
    Submit,
)
from processes.ogc_documents import (
    ENDED,
    OPENAPI,
    STATUS,
    conformance,
    job_control_options,
    landing,
    page_links,
    process_links,
    status_info,
)
from processes.ogc_engine import LARGEST_PAGE, ask, make_api
from processes.ogc_openapi import openapi
from processes.ogc_problem import (
    Problem,
    from_error,
    no_such_job,
    no_such_process,
    not_ready,
    origin,
    render,
)
from processes.ogc_request import (
    asked_before,
    page,
    read_execution,
    read_filter,
    read_preferences,
)
from processes.ogc_results import json_response, respond
from processes.process import Process

SYNC_SECONDS = 30
POLL_SECONDS = (0.02, 0.5)

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(
    *,
    submit: Submit,
    get_job: GetJob,
    list_jobs: ListJobs,
    get_results: GetResults,
    dismiss: Dismiss | None = None,
    processes: Mapping[str, Process],
    base_path: str = "/ogc",
    sync_seconds: float = SYNC_SECONDS,
    translate: Callable[[Exception], Exception] = lambda error: error,
) -> Starlette:
    """The OGC surface as an application that serves the paths below `base_path`.

    Args:
        submit, get_job, list_jobs, get_results, dismiss: see `processes.manager`. What they raise
            may have `status`, `title`, `detail`, `slug`, `headers` and `extra`, as the gateway's
            refusals do.
        dismiss: None leaves DELETE, and the conformance class, out.
        processes: the catalogue, by id.
        sync_seconds: the longest a synchronous execution is waited for; then the answer is the
            job's status, 201, as for an asynchronous one.
        translate: what another error of a handed-in function means to the caller, e.g. that the
            database is away; the error itself where it means nothing.
    """
    surface = Surface(
        processes,
        Platform(submit, get_job, list_jobs, get_results, dismiss),
        sync_seconds=sync_seconds,
        translate=translate,
    )
    routes: list[BaseRoute] = surface.routes()
    if base_path:
        # the bare path is the landing page, not a redirect to it
        bare = Route(base_path, surface.answering(surface.bare(base_path)))
        routes = [bare, Mount(base_path, routes=routes)]
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error})


class Surface:
    """The endpoints."""

    def __init__(
        self,
        catalogue: Mapping[str, Process],
        platform: Platform,
        *,
        sync_seconds: float,
        translate: Callable[[Exception], Exception],
    ) -> None:
        self._translate = translate
        self._catalogue = catalogue
        self._platform = platform
        self._sync_seconds = sync_seconds
        self._dismiss = platform.dismiss is not None
        self._api = make_api(catalogue, platform)

    def routes(self) -> list[BaseRoute]:
        """Below the base path."""
        job_methods = ["GET", "DELETE"] if self._dismiss else ["GET"]
        endpoints: list[tuple[str, Endpoint, list[str]]] = [
            ("/", self.landing, ["GET"]),
            ("/api", self.api, ["GET"]),
            ("/conformance", self.conformance, ["GET"]),
            ("/processes", self.processes, ["GET"]),
            ("/processes/{process_id}", self.process, ["GET"]),
            ("/processes/{process_id}/execution", guarded(self.execute), ["POST"]),
            ("/jobs", guarded(self.jobs), ["GET"]),
            ("/jobs/{job_id}", guarded(self.job), job_methods),
            ("/jobs/{job_id}/results", guarded(self.results), ["GET"]),
        ]
        return [
            Route(path, self.answering(endpoint), methods=methods)
            for path, endpoint, methods in endpoints
        ]

    def answering(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint with every refusal rendered as a problem."""

        async def inner(request: Request) -> Response:
            try:
                return await endpoint(request)
            except Exception as error:
                return render(request, from_error(error, self._translate))

        return inner

    def bare(self, base_path: str) -> Endpoint:
        """The landing page at the base path without its slash."""

        async def endpoint(request: Request) -> Response:
            return json_response(landing(f"{_base(request)}{base_path}"))

        return endpoint

    async def landing(self, request: Request) -> Response:
        """GET /"""
        return json_response(landing(_base(request)))

    async def api(self, request: Request) -> Response:
        """GET /api"""
        document = openapi(_base(request), self._catalogue, dismiss=self._dismiss)
        return Response(orjson.dumps(document), media_type=OPENAPI)

    async def conformance(self, request: Request) -> Response:
        """GET /conformance"""
        return json_response(conformance(dismiss=self._dismiss))

    async def processes(self, request: Request) -> Response:
        """GET /processes"""
        limit, offset = page(request, default=100, largest=LARGEST_PAGE)
        exchange = Exchange(request, _base(request))
        _, document = await ask(self._api, core.describe_processes, exchange, query=b"limit=1000")
        found = document["processes"]
        shown = [self._mended(exchange.base, summary) for summary in found[offset : offset + limit]]
        links = page_links(
            f"{exchange.base}/processes",
            request.query_params.multi_items(),
            limit=limit,
            offset=offset,
            more=offset + limit < len(found),
        )
        return json_response({"processes": shown, "links": links})

    async def process(self, request: Request) -> Response:
        """GET /processes/{process_id}"""
        exchange = Exchange(request, _base(request))
        status, document = await ask(
            self._api, core.describe_processes, exchange, request.path_params["process_id"]
        )
        if status == 404:
            raise no_such_process()
        return json_response(self._mended(exchange.base, document))

    def _mended(self, base: str, document: dict[str, Any]) -> dict[str, Any]:
        """pygeoapi states options and links of its own; these are the process's."""
        process = self._catalogue[document["id"]]
        return {
            **document,
            "jobControlOptions": job_control_options(process, dismiss=self._dismiss),
            "outputTransmission": ["value", "reference"],
            "links": process_links(base, process.id),
        }

    async def execute(self, request: Request) -> Response:
        """POST /processes/{process_id}/execution"""
        process = self._catalogue.get(request.path_params["process_id"])
        if process is None:
            raise no_such_process()
        wanted = await read_execution(request, process)
        preferences = read_preferences(request)
        wait, applied = self._wait_seconds(process, preferences)
        mode = "sync" if wait else "async"
        exchange = Exchange(request, _base(request), mode=mode, wanted=wanted)
        status, document = await ask(
            self._api,
            core.execute_process,
            exchange,
            process.id,
            body={"inputs": wanted.inputs, "response": "raw"},
        )
        if exchange.job is None:
            raise Problem(status, (document or {}).get("description", "the request was refused"))
        job = await self._until_ended(request, exchange.job, wait) if wait else exchange.job
        headers = {"Preference-Applied": applied} if applied else {}
        if wait and job["status"] in ENDED:
            _require_results(job)
            results = await self._platform.get_results(request, job["id"])
            return await respond(results, wanted, process, headers)
        info = status_info(exchange.base, job)
        headers["Location"] = f"{exchange.base}/jobs/{job['id']}"
        return json_response(info, 201, headers)

    def _wait_seconds(self, process: Process, preferences: Any) -> tuple[float, str | None]:
        """How long to wait for the results, and the preference that says so; 0: do not wait.

        Without a preference a process that can run synchronously does (Part 1, requirement 25).
        """
        if not process.sync_allowed:
            return 0, "respond-async" if preferences.respond_async else None
        if preferences.wait_seconds is not None:
            wait = min(preferences.wait_seconds, self._sync_seconds)
            if preferences.respond_async:
                return wait, "respond-async"
            return max(wait, 0.001), f"wait={preferences.wait_seconds}"
        if preferences.respond_async:
            return 0, "respond-async"
        return self._sync_seconds, None

    async def _until_ended(self, request: Request, job: Job, seconds: float) -> Job:
        """The job once it ended, or as it is when the time is over."""
        end, (pause, longest) = time.monotonic() + seconds, POLL_SECONDS
        while job["status"] not in ENDED and (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(1.5 * pause, longest)
            job = await self._platform.get_job(request, job["id"]) or job
        return job

    async def jobs(self, request: Request) -> Response:
        """GET /jobs"""
        limit, offset = page(request, default=20, largest=LARGEST_PAGE)
        exchange = Exchange(request, _base(request))
        exchange.filter = read_filter(request)
        query = f"limit={limit}&offset={offset}".encode()
        await ask(self._api, core.get_jobs, exchange, query=query)
        links = page_links(
            f"{exchange.base}/jobs",
            request.query_params.multi_items(),
            limit=limit,
            offset=offset,
            more=offset + len(exchange.jobs) < exchange.total,
        )
        return json_response(
            {
                "jobs": [status_info(exchange.base, job) for job in exchange.jobs],
                "links": links,
                "numberMatched": exchange.total,
                "numberReturned": len(exchange.jobs),
            }
        )

    async def job(self, request: Request) -> Response:
        """GET and DELETE /jobs/{job_id}"""
        exchange = Exchange(request, _base(request))
        dismissed = request.method == "DELETE"
        function = core.delete_job if dismissed else core.get_jobs
        await ask(self._api, function, exchange, request.path_params["job_id"])
        if exchange.job is None:
            raise no_such_job()
        job = {**exchange.job, "status": "cancelled"} if dismissed else exchange.job
        return json_response(status_info(exchange.base, job))

    async def results(self, request: Request) -> Response:
        """GET /jobs/{job_id}/results"""
        job_id = request.path_params["job_id"]
        exchange = Exchange(request, _base(request))
        await ask(self._api, core.get_job_result, exchange, job_id)
        if exchange.job is None:
            raise no_such_job()
        _require_results(exchange.job)
        process = self._catalogue.get(exchange.job["process_id"])
        return await respond(
            exchange.results, asked_before(exchange.job.get("answer_as")), process, {}
        )


def guarded(endpoint: Endpoint) -> Endpoint:
    """The endpoint for callers with a credential; 401 for others."""

    async def inner(request: Request) -> Response:
        principal = request.scope.get("principal")
        if principal is None or principal.kind == "anonymous":
            raise Problem(
                401,
                "a valid credential is required",
                type="unauthenticated",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await endpoint(request)

    return inner


def _require_results(job: Job) -> None:
    """Raise the problem of a job that has no results."""
    error = job.get("error") or {}
    match job["status"]:
        case "completed":
            return
        case "failed":
            raise Problem(
                422,
                error.get("message") or "the job failed",
                type="job-failed",
                title="The job failed",
                code=error.get("code"),
            )
        case "cancelled":
            raise Problem(410, "the job was dismissed", type="job-dismissed")
        case status:
            raise not_ready(STATUS[status])


def _base(request: Request) -> str:
    """The URL of the landing page, without its slash: origin and the mount path of this app."""
    return origin(request) + str(request.scope.get("root_path", "")).rstrip("/")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return render(request, Problem(error.status_code, error.detail, headers=error.headers))

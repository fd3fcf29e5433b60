"""pygeoapi's process manager over handed-in functions: it starts and shows the platform's own jobs.

pygeoapi calls a manager synchronously, from a worker thread; each method goes back to the event
loop for the function it was handed. What the call found is also left on the `Exchange`, from which
`processes.app` writes the documents that the standard asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from anyio import from_thread
from pydantic import ValidationError
from pygeoapi.process.base import (
    BaseProcessor,
    JobNotFoundError,
    JobResultNotFoundError,
    ProcessorExecuteError,
    UnknownProcessError,
)
from pygeoapi.process.manager.base import BaseManager
from pygeoapi.util import JobStatus
from starlette.requests import Request

from processes.ogc_documents import STATUS, describe, instant
from processes.ogc_problem import Problem
from processes.ogc_request import Execution, JobFilter
from processes.ogc_results import Result
from processes.process import Process

Job = Mapping[str, Any]


class Submit(Protocol):
    """Start a job as the request's principal."""

    async def __call__(
        self,
        request: Request,
        process_id: str,
        inputs: dict[str, Any],
        *,
        mode: str,
        project_id: str | None,
        wanted: Execution,
    ) -> Job:
        """The new job. `mode` is `sync` (the caller will wait) or `async`. Of `wanted` the job
        keeps whom to tell, and as `answer_as` how its results were asked for.
        """
        ...


class GetJob(Protocol):
    """Find a job that the request's principal may see."""

    async def __call__(self, request: Request, job_id: str) -> Job | None:
        """The job; None, or a refusal with status 404, where there is none."""
        ...


class ListJobs(Protocol):
    """List the jobs that the request's principal may see, newest first."""

    async def __call__(
        self,
        request: Request,
        *,
        limit: int,
        offset: int,
        filter: JobFilter,
    ) -> tuple[Sequence[Job], int]:
        """One page, and how many there are."""
        ...


class GetResults(Protocol):
    """The outputs of a completed job."""

    async def __call__(self, request: Request, job_id: str) -> Mapping[str, Result]:
        """By output id."""
        ...


class Dismiss(Protocol):
    """Cancel a job that runs, remove one that ended."""

    async def __call__(self, request: Request, job_id: str) -> None:
        """Raises a refusal with status 404 where there is none."""
        ...


@dataclass(frozen=True)
class Platform:
    """The functions handed in."""

    submit: Submit
    get_job: GetJob
    list_jobs: ListJobs
    get_results: GetResults
    dismiss: Dismiss | None


@dataclass
class Exchange:
    """One request on its way through pygeoapi, and what was found on the way."""

    request: Request
    base: str
    mode: str = "async"
    wanted: Execution = field(default_factory=lambda: Execution({}))
    filter: JobFilter = field(default_factory=JobFilter)
    job: Job | None = None
    jobs: Sequence[Job] = ()
    total: int = 0
    results: Mapping[str, Result] = field(default_factory=dict)
    error: Exception | None = None


EXCHANGE: ContextVar[Exchange] = ContextVar("exchange")


class Refused(ProcessorExecuteError):
    """The one exception that pygeoapi lets through; the error itself is on the exchange."""


class Processor(BaseProcessor):
    """A process's description for pygeoapi. Nothing is computed here: jobs run in workers."""

    def __init__(self, process: Process) -> None:
        self.process = process
        super().__init__(
            {"name": process.id},
            {
                "id": process.id,
                "version": process.version,
                "title": process.title,
                "description": process.description,
                "keywords": list(process.keywords),
                "jobControlOptions": process.job_control_options,
                "links": [],
                **describe(process),
            },
        )
        self.supports_outputs = True


class Manager(BaseManager):
    """Processes of the registry; jobs of the platform."""

    def __init__(self, catalogue: Mapping[str, Process], platform: Platform) -> None:
        super().__init__({"name": "processes.manager.Manager"})
        self.is_async = True
        self._processors = {name: Processor(process) for name, process in catalogue.items()}
        self._platform = platform
        self.processes.update({name: {"type": "process"} for name in catalogue})

    def get_processor(self, process_id: str) -> Processor:
        """The process's description. Raises: UnknownProcessError."""
        try:
            return self._processors[process_id]
        except KeyError:
            raise UnknownProcessError(process_id) from None

    def execute_process(
        self,
        process_id: str,
        data_dict: dict[str, Any],
        execution_mode: Any = None,
        requested_outputs: Any = None,
        subscriber: Any = None,
        requested_response: Any = "raw",
    ) -> Any:
        """Check the inputs and submit the job. A synchronous answer is waited for elsewhere."""
        exchange = EXCHANGE.get()
        process = self.get_processor(process_id).process
        try:
            inputs, project_id = split_project(process, data_dict)
            _check(process, inputs)
            exchange.job = from_thread.run(
                lambda: self._platform.submit(
                    exchange.request,
                    process_id,
                    inputs,
                    mode=exchange.mode,
                    project_id=project_id,
                    wanted=exchange.wanted,
                )
            )
        except Exception as error:
            exchange.error = error
            raise Refused from error
        return exchange.job["id"], "application/json", None, JobStatus.accepted, {}

    def get_jobs(self, status: Any = None, limit: Any = None, offset: Any = None) -> dict[str, Any]:
        """One page of jobs."""
        exchange = EXCHANGE.get()
        exchange.jobs, exchange.total = from_thread.run(
            lambda: self._platform.list_jobs(
                exchange.request,
                limit=limit,
                offset=offset or 0,
                filter=exchange.filter,
            )
        )
        return {"jobs": [row(job) for job in exchange.jobs], "numberMatched": exchange.total}

    def get_job(self, job_id: str) -> dict[str, Any]:
        """One job. Raises: JobNotFoundError."""
        exchange = EXCHANGE.get()
        try:
            exchange.job = from_thread.run(self._platform.get_job, exchange.request, job_id)
        except Exception as error:
            if getattr(error, "status", None) != 404:
                raise
            exchange.job = None
        if exchange.job is None:
            raise JobNotFoundError
        return row(exchange.job)

    def get_job_result(self, job_id: str) -> tuple[str, Any]:
        """The outputs of a completed job, for the exchange. Raises: JobResultNotFoundError."""
        exchange = EXCHANGE.get()
        if exchange.job is None or exchange.job["status"] != "completed":
            raise JobResultNotFoundError
        exchange.results = from_thread.run(self._platform.get_results, exchange.request, job_id)
        return "application/json", {}

    def delete_job(self, job_id: str) -> bool:
        """Dismiss a job. Raises: JobNotFoundError."""
        exchange = EXCHANGE.get()
        self.get_job(job_id)
        assert self._platform.dismiss is not None
        from_thread.run(self._platform.dismiss, exchange.request, job_id)
        return True


def _check(process: Process, inputs: Mapping[str, Any]) -> None:
    """Raises: ValidationError. What else a process raises is told by `submit`, which asks again."""
    try:
        process.check(inputs)
    except ValidationError:
        raise
    except Exception:
        return


def split_project(process: Process, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The inputs of the process itself, and the project that the outputs shall go to.

    Raises: Problem: 400 where `project_id` is no string.
    """
    rest = dict(inputs)
    if "project_id" in process.inputs.model_fields:
        return rest, rest.get("project_id")
    project_id = rest.pop("project_id", None)
    if project_id is not None and not isinstance(project_id, str):
        loc = ["body", "inputs", "project_id"]
        message = "Input should be a valid string"
        raise Problem(
            400,
            f"inputs.project_id: {message}",
            type="validation",
            errors=[{"loc": loc, "msg": message, "type": "string_type"}],
        )
    return rest, project_id


def row(job: Job) -> dict[str, Any]:
    """A native job in pygeoapi's words; it sorts by `started`, which therefore is never null."""
    created = instant(job.get("created_at"))
    return {
        "identifier": job["id"],
        "process_id": job["process_id"],
        "status": STATUS[job["status"]],
        "message": job.get("message") or "",
        "progress": int(job.get("progress") or 0),
        "created": created,
        "started": created or "",
        "finished": instant(job.get("completed_at")),
        "updated": instant(job.get("updated_at")),
        "mimetype": "application/json",
    }

"""The documents of OGC API - Processes 1.0, from a process, a job or nothing. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from processes.process import Process

CONFORMANCE = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"
CLASSES = ("core", "ogc-process-description", "json", "oas30", "job-list", "callback")
RELATIONS = "http://www.opengis.net/def/rel/ogc/1.0/"
JSON = "application/json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
STATUS = {
    "pending": "accepted",
    "dispatched": "accepted",
    "running": "running",
    "completed": "successful",
    "failed": "failed",
    "cancelled": "dismissed",
}
ENDED = ("completed", "failed", "cancelled")
PROJECT_INPUT = {
    "title": "Project",
    "description": "The project that gets the outputs; your default project where absent.",
    "schema": {"type": "string"},
    "minOccurs": 0,
    "maxOccurs": 1,
}


def link(href: str, rel: str, title: str, type: str = JSON) -> dict[str, str]:
    """A link object."""
    return {"href": href, "rel": rel, "type": type, "title": title}


def landing(base: str) -> dict[str, Any]:
    """The landing page."""
    return {
        "title": "opstac processes",
        "description": "Run processes on the images of your projects.",
        "links": [
            link(f"{base}/", "self", "This document"),
            link(f"{base}/api", "service-desc", "The API definition", OPENAPI),
            link(f"{base}/conformance", RELATIONS + "conformance", "Conformance classes"),
            link(f"{base}/conformance", "conformance", "Conformance classes"),
            link(f"{base}/processes", RELATIONS + "processes", "The process catalogue"),
            link(f"{base}/jobs", RELATIONS + "job-list", "Your jobs"),
        ],
    }


def conformance(*, dismiss: bool) -> dict[str, Any]:
    """What this server conforms to."""
    names = (*CLASSES, *(("dismiss",) if dismiss else ()))
    common = "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/"
    return {
        "conformsTo": [
            *(common + name for name in ("core", "json", "oas30")),
            *(CONFORMANCE + name for name in names),
        ]
    }


def job_control_options(process: Process, *, dismiss: bool) -> list[str]:
    """What of the process's options this server offers."""
    return [name for name in process.job_control_options if dismiss or name != "dismiss"]


def describe(process: Process) -> dict[str, Any]:
    """Inputs and outputs of a process, each with a JSON Schema that stands alone."""
    schema = process.input_schema()
    required, definitions = set(schema.get("required", ())), schema.get("$defs", {})
    inputs = {}
    for name, member in schema.get("properties", {}).items():
        member = dict(member)
        title, description = member.pop("title", name), member.pop("description", "")
        if used := _definitions_of(member, definitions):
            member["$defs"] = used
        inputs[name] = {
            "title": title,
            "description": description,
            "schema": member,
            "minOccurs": int(name in required),
            "maxOccurs": 1,
        }
    inputs.setdefault("project_id", PROJECT_INPUT)
    outputs = {
        name: {
            "title": spec.title,
            "description": spec.description,
            "schema": dict(spec.schema),
        }
        for name, spec in process.outputs.items()
    }
    return {"inputs": inputs, "outputs": outputs}


def _definitions_of(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions that `schema` refers to, and those these refer to."""
    used: dict[str, Any] = {}
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).removeprefix("#/$defs/")
            if name in definitions and name not in used:
                used[name] = definitions[name]
                waiting.append(definitions[name])
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return used


def process_links(base: str, process_id: str) -> list[dict[str, str]]:
    """Where a process is described, run, and where its jobs are."""
    url = f"{base}/processes/{quote(process_id, safe='')}"
    return [
        link(url, "self", "Process description"),
        link(f"{url}/execution", RELATIONS + "execute", "Run this process"),
        link(
            f"{base}/jobs?{urlencode({'processID': process_id})}",
            RELATIONS + "job-list",
            "Your jobs of this process",
        ),
    ]


def status_info(base: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """The statusInfo of a native job; members without a value are left out."""
    status = STATUS[job["status"]]
    url = f"{base}/jobs/{quote(job['id'], safe='')}"
    links = [link(url, "self", "This job")]
    if status == "successful":
        links.append(link(f"{url}/results", RELATIONS + "results", "Results"))
    if status == "failed":
        links.append(link(f"{url}/results", RELATIONS + "exceptions", "Why it failed"))
    links.append(link(f"{base}/jobs", "up", "Your jobs"))
    error = job.get("error") or {}
    progress = 100 if status == "successful" else int(job.get("progress") or 0)
    info = {
        "type": "process",
        "processID": job["process_id"],
        "jobID": job["id"],
        "status": status,
        "message": error.get("message") or job.get("message"),
        "progress": min(max(progress, 0), 100),
        "created": instant(job.get("created_at")),
        "started": instant(job.get("started_at")),
        "finished": instant(job.get("completed_at")),
        "updated": instant(job.get("updated_at")),
    }
    if status == "failed" and job.get("log"):
        info["log"] = job["log"]
    return {name: value for name, value in info.items() if value is not None} | {"links": links}


def instant(value: datetime | str | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    if not isinstance(value, datetime):
        return value
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def page_links(
    url: str, query: Sequence[tuple[str, str]], *, limit: int, offset: int, more: bool
) -> list[dict[str, str]]:
    """`self`, and `next` and `prev` where there are such pages.

    Args:
        query: the parameters asked with, which every page repeats.
    """
    kept = [(name, value) for name, value in query if name not in ("limit", "offset")]

    def at(start: int) -> str:
        return f"{url}?{urlencode([*kept, ('limit', str(limit)), ('offset', str(start))])}"

    asked = f"{url}?{urlencode(query)}" if query else url
    links = [link(asked, "self", "This page")]
    if more:
        links.append(link(at(offset + limit), "next", "The next page"))
    if offset:
        links.append(link(at(max(0, offset - limit)), "prev", "The page before"))
    return links

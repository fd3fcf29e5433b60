"""The OpenAPI 3.0 document of the OGC surface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processes.ogc_documents import STATUS
from processes.ogc_request import MAX_URL, SUBSCRIBER
from processes.process import Process

_LINK = {
    "type": "object",
    "required": ["href"],
    "properties": {name: {"type": "string"} for name in ("href", "rel", "type", "title")},
}
_LINKS = {"type": "array", "items": {"$ref": "#/components/schemas/link"}}
SCHEMAS: dict[str, Any] = {
    "link": _LINK,
    "problem": {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
        },
    },
    "landingPage": {
        "type": "object",
        "required": ["links"],
        "properties": {
            "title": {"type": "string"},
            "description": {"type": "string"},
            "links": _LINKS,
        },
    },
    "confClasses": {
        "type": "object",
        "required": ["conformsTo"],
        "properties": {"conformsTo": {"type": "array", "items": {"type": "string"}}},
    },
    "processSummary": {
        "type": "object",
        "required": ["id", "version"],
        "properties": {
            "id": {"type": "string"},
            "version": {"type": "string"},
            "title": {"type": "string"},
            "description": {"type": "string"},
            "keywords": {"type": "array", "items": {"type": "string"}},
            "jobControlOptions": {
                "type": "array",
                "items": {
                    "type": "string",
                    "enum": ["sync-execute", "async-execute", "dismiss"],
                },
            },
            "outputTransmission": {
                "type": "array",
                "items": {"type": "string", "enum": ["value", "reference"]},
            },
            "links": _LINKS,
        },
    },
    "processList": {
        "type": "object",
        "required": ["processes", "links"],
        "properties": {
            "processes": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/processSummary"},
            },
            "links": _LINKS,
        },
    },
    "process": {
        "allOf": [
            {"$ref": "#/components/schemas/processSummary"},
            {
                "type": "object",
                "required": ["inputs", "outputs"],
                "properties": {"inputs": {"type": "object"}, "outputs": {"type": "object"}},
            },
        ]
    },
    "execute": {
        "type": "object",
        "properties": {
            "inputs": {"type": "object"},
            "outputs": {"type": "object"},
            "response": {"type": "string", "enum": ["raw", "document"], "default": "raw"},
            "subscriber": {"$ref": "#/components/schemas/subscriber"},
        },
    },
    "subscriber": {
        "type": "object",
        "description": "Whom to tell of the job, by POST.",
        "properties": {
            name: {"type": "string", "format": "uri", "maxLength": MAX_URL} for name in SUBSCRIBER
        },
    },
    "statusInfo": {
        "type": "object",
        "required": ["jobID", "status", "type"],
        "properties": {
            "processID": {"type": "string"},
            "jobID": {"type": "string"},
            "type": {"type": "string", "enum": ["process"]},
            "status": {"type": "string", "enum": sorted(set(STATUS.values()))},
            "message": {"type": "string"},
            "progress": {"type": "integer", "minimum": 0, "maximum": 100},
            **{
                name: {"type": "string", "format": "date-time"}
                for name in ("created", "started", "finished", "updated")
            },
            "links": _LINKS,
        },
    },
    "jobList": {
        "type": "object",
        "required": ["jobs", "links"],
        "properties": {
            "jobs": {"type": "array", "items": {"$ref": "#/components/schemas/statusInfo"}},
            "links": _LINKS,
            "numberMatched": {"type": "integer"},
            "numberReturned": {"type": "integer"},
        },
    },
    "results": {"type": "object", "additionalProperties": {}},
}
_SECURITY = [{"bearer": []}, {"key": []}]
_LIMIT = {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}}
_OFFSET = {"name": "offset", "in": "query", "schema": {"type": "integer", "minimum": 0}}
_FILTERS: list[dict[str, Any]] = [
    *(
        {
            "name": name,
            "in": "query",
            "explode": False,
            "schema": {"type": "array", "items": {"type": "string", **values}},
        }
        for name, values in (
            ("type", {"enum": ["process"]}),
            ("processID", {}),
            ("status", {"enum": sorted(set(STATUS.values()))}),
        )
    ),
    {"name": "datetime", "in": "query", "schema": {"type": "string"}},
    *(
        {"name": name, "in": "query", "schema": {"type": "integer", "minimum": 0}}
        for name in ("minDuration", "maxDuration")
    ),
]
_PROCESS = {"name": "processID", "in": "path", "required": True, "schema": {"type": "string"}}
_JOB = {"name": "jobID", "in": "path", "required": True, "schema": {"type": "string"}}


def _answer(description: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def _get(summary: str, schema: str, *parameters: Any, secured: bool = False) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "operationId": "get" + schema[0].upper() + schema[1:],
        "responses": {
            "200": _answer(summary, schema),
            "default": {"$ref": "#/components/responses/problem"},
        },
    }
    if parameters:
        operation["parameters"] = list(parameters)
    if secured:
        operation["security"] = _SECURITY
    return operation


def openapi(base: str, catalogue: Mapping[str, Process], *, dismiss: bool) -> dict[str, Any]:
    """The document, for a catalogue served at `base`."""
    prefer = {
        "name": "Prefer",
        "in": "header",
        "description": "RFC 7240: respond-async, wait=seconds",
        "schema": {"type": "string"},
    }
    path_process = {**_PROCESS, "schema": {"type": "string", "enum": sorted(catalogue)}}
    job: dict[str, Any] = {"get": _get("One job", "statusInfo", _JOB, secured=True)}
    if dismiss:
        job["delete"] = {**job["get"], "summary": "Dismiss a job", "operationId": "dismiss"}
    execute = {
        "summary": "Run a process",
        "operationId": "execute",
        "parameters": [_PROCESS | path_process, prefer],
        "security": _SECURITY,
        "requestBody": {
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/execute"}}}
        },
        "responses": {
            "200": _answer("The results", "results"),
            "201": _answer("The job that was started", "statusInfo"),
            "204": {"description": "The results, as `Link` headers"},
            "default": {"$ref": "#/components/responses/problem"},
        },
        "callbacks": {
            name: {
                f"{{$request.body#/subscriber/{name}}}": {
                    "post": {
                        "requestBody": {
                            "content": {
                                "application/json": {
                                    "schema": {"$ref": f"#/components/schemas/{schema}"}
                                }
                            }
                        },
                        "responses": {"200": {"description": "Any 2xx: the message has come"}},
                    }
                }
            }
            for name, schema in zip(SUBSCRIBER, ("results", *["statusInfo"] * 2), strict=True)
        },
    }
    return {
        "openapi": "3.0.3",
        "info": {"title": "opstac processes", "version": "1.0"},
        "servers": [{"url": base}],
        "paths": {
            "/": {"get": _get("The landing page", "landingPage")},
            "/conformance": {"get": _get("Conformance classes", "confClasses")},
            "/processes": {"get": _get("The catalogue", "processList", _LIMIT, _OFFSET)},
            "/processes/{processID}": {"get": _get("One process", "process", path_process)},
            "/processes/{processID}/execution": {"post": execute},
            "/jobs": {
                "get": _get("Your jobs", "jobList", _LIMIT, _OFFSET, *_FILTERS, secured=True)
            },
            "/jobs/{jobID}": job,
            "/jobs/{jobID}/results": {
                "get": _get("A job's results", "results", _JOB, secured=True)
            },
        },
        "components": {
            "schemas": SCHEMAS,
            "responses": {
                "problem": {
                    "description": "A refusal (RFC 9457)",
                    "content": {
                        "application/problem+json": {
                            "schema": {"$ref": "#/components/schemas/problem"}
                        }
                    },
                }
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }

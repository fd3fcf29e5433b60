"""OpenAPI 3.1 of the registry: one path an operation, schemas from the typed inputs and outputs."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops_gateway.kernel.events import EVENT_TYPES, EventType
from ops_gateway.kernel.operation import REGISTRY, Blob, Effect, Operation

DIALECT = "https://json-schema.org/draft/2020-12/schema"

PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {
            "type": "string",
            "title": "Type",
            "default": "about:blank",
            "description": "A URI reference identifying the problem type.",
        },
        "title": {"type": "string", "title": "Title", "description": "The kind of problem."},
        "status": {"type": "integer", "title": "Status", "description": "The HTTP status."},
        "detail": {
            "type": "string",
            "title": "Detail",
            "description": "What was wrong this time and what would be right.",
        },
        "instance": {
            "type": "string",
            "title": "Instance",
            "description": "The request's id, as in the X-Request-Id header.",
        },
    },
}
VALIDATION_ERROR = {
    "title": "ValidationError",
    "type": "object",
    "required": ["loc", "msg", "type"],
    "properties": {
        "loc": {
            "type": "array",
            "title": "Location",
            "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        },
        "msg": {"type": "string", "title": "Message"},
        "type": {"type": "string", "title": "Error Type"},
    },
}
HTTP_VALIDATION_ERROR = {
    "title": "HTTPValidationError",
    "type": "object",
    "properties": {
        "detail": {
            "type": "array",
            "title": "Detail",
            "items": {"$ref": "#/components/schemas/ValidationError"},
        }
    },
}
VALIDATION_PROBLEM = {
    **PROBLEM,
    "title": "ValidationProblem",
    "description": "RFC 9457 problem details of a wrong input: each fault with its place.",
    "properties": {
        **PROBLEM["properties"],
        "detail": {
            "title": "Detail",
            "anyOf": [
                {"type": "array", "items": {"$ref": "#/components/schemas/ValidationError"}},
                PROBLEM["properties"]["detail"],
            ],
        },
    },
}
ENVELOPE: dict[str, Any] = {
    "event_id": {"type": "string", "description": "The same at every attempt."},
    "event_type": {"type": "string"},
    "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
    "organization_id": {"type": "string"},
    "entity_type": {"type": "string"},
    "entity_id": {"type": "string"},
    "data": {"type": "object"},
}
SENT_HEADERS = {
    "X-Geopera-Signature": "`sha256=` and the hex HMAC-SHA256 of the body under the whole secret.",
    "X-Geopera-Event": "The event type.",
    "X-Geopera-Event-ID": "The event's id: against duplicates.",
    "X-Geopera-Delivery-ID": "Of this attempt.",
    "webhook-id": "The event's id, as Standard Webhooks names it.",
    "webhook-timestamp": "Seconds since 1970: when this attempt was signed.",
    "webhook-signature": "`v1,` and base64, one for each valid secret (Standard Webhooks).",
}
# what can also be had as Server-Sent Events: kept beside the operation, as an endless answer is no
# path that a generated client or a fuzzer could call
STREAMS = {
    "notifications.unread_count": {
        "path": "/v1/notifications/stream",
        "method": "GET",
        "media_type": "text/event-stream",
        "description": "One event on connection and one whenever the number changes, comments in "
        "between. It ends with an event `end` when the credential does; what was missed is not "
        "sent again, as each event has the whole number.",
        "events": {
            "unread_count": {"$ref": "#/components/schemas/UnreadCount"},
            "end": {"type": "object"},
        },
    },
}
STATUSES = {
    "400": "Bad Request",
    "401": "Unauthorized",
    "402": "Payment Required",
    "403": "Forbidden",
    "404": "Not Found",
    "409": "Conflict",
    "410": "Gone",
    "413": "Content Too Large",
    "429": "Too Many Requests",
    "500": "Internal Server Error",
    "503": "Service Unavailable",
}


def document() -> dict[str, Any]:
    """The whole document, from the registry as it is now."""
    operations = sorted(REGISTRY.values(), key=lambda op: op.id)
    schemas, definitions = _schemas(operations)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "opstac operations",
            "version": "2.0.0",
            "description": "Every operation of the platform: POST its input to /v1/op/{id}.",
        },
        "jsonSchemaDialect": DIALECT,
        "paths": {f"/v1/op/{op.id}": {"post": _path(op, schemas)} for op in operations},
        "webhooks": {
            event.name: {"post": _webhook(event, schemas[event.name, "event"])}
            for event in EVENT_TYPES.values()
        },
        "tags": [{"name": name} for name in sorted({op.domain for op in operations})],
        "components": {
            "schemas": dict(
                sorted(
                    {
                        **definitions,
                        "Problem": PROBLEM,
                        "ValidationProblem": VALIDATION_PROBLEM,
                        "ValidationError": VALIDATION_ERROR,
                        "HTTPValidationError": HTTP_VALIDATION_ERROR,
                    }.items()
                )
            ),
            "securitySchemes": {
                "HTTPBearer": {"type": "http", "scheme": "bearer"},
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _schemas(
    operations: list[Operation],
) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, Any]]:
    """Schema of each (operation, direction) and (event type, "event"), and the shared definitions
    they point to.
    """
    inputs: list[tuple[tuple[str, str], JsonSchemaMode, Any]] = []
    for op in operations:
        inputs.append(((op.id, "input"), "validation", op.input.__pydantic_core_schema__))
        if op.adapter is not None:
            inputs.append(((op.id, "output"), "serialization", op.adapter.core_schema))
    for event in EVENT_TYPES.values():
        schema = event.data.__pydantic_core_schema__
        inputs.append(((event.name, "event"), "serialization", schema))
    generator = GenerateJsonSchema(ref_template="#/components/schemas/{model}")
    found, definitions = generator.generate_definitions(
        [(key, mode, schema) for key, mode, schema in inputs]  # type: ignore[misc]
    )
    return {key: schema for (key, _mode), schema in found.items()}, dict(definitions)  # type: ignore[misc]


def _path(op: Operation, schemas: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    body = schemas[op.id, "input"]
    free = not any(f.is_required() for f in op.input.model_fields.values())
    if op.output is Blob:
        content: dict[str, Any] = {op.media_type or "application/octet-stream": {"schema": {}}}
        if op.media_type and op.media_type.startswith("image/"):
            content = {"application/json": {"schema": {}}, **content}
    else:
        content = {op.media_type or "application/json": {"schema": schemas[op.id, "output"]}}
    described: dict[str, Any] = {
        "tags": [op.domain],
        "summary": op.summary,
        "operationId": op.id,
        "security": [*([{}] if op.public else []), {"HTTPBearer": []}, {"ApiKey": []}],
        "parameters": [_header("x-api-key", "X-Api-Key")],
        "requestBody": {
            "required": not free,
            "content": {"application/json": {"schema": _optional(body) if free else body}},
        },
        "responses": {
            str(op.status): {"description": "Successful Response", "content": content},
            "422": {
                "description": "Validation Error",
                "content": {
                    # what published clients read of the description; what is sent is a problem
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/HTTPValidationError"}
                    },
                    "application/problem+json": {
                        "schema": {"$ref": "#/components/schemas/ValidationProblem"}
                    },
                },
            },
            **{
                status: {
                    "description": text,
                    "content": {
                        "application/problem+json": {
                            "schema": {"$ref": "#/components/schemas/Problem"}
                        }
                    },
                }
                for status, text in STATUSES.items()
            },
        },
        "x-required-scope": op.scope,
        "x-side-effect": op.effect.value,
    }
    if op.id in STREAMS:
        described["x-event-stream"] = STREAMS[op.id]
    if op.description:
        described["description"] = op.description
    if op.takes_key:
        described["parameters"].append(_header("idempotency-key", "Idempotency-Key"))
    if op.effect is Effect.READ and op.output is Blob:
        described["x-raw-response"] = True
    if op.public:
        described["x-public"] = True
    if op.alias_of:
        described["x-alias-of"] = op.alias_of
    return described


def _webhook(event: EventType, data: dict[str, Any]) -> dict[str, Any]:
    """The request that a subscription's address receives."""
    text = {"type": "string"}
    message = {
        "type": "object",
        "required": list(ENVELOPE),
        "properties": {
            **ENVELOPE,
            "event_type": {**text, "const": event.name},
            "entity_type": {**text, "const": event.entity_type},
            "data": data,
        },
    }
    return {
        "summary": event.summary,
        "operationId": f"event:{event.name}",
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": what, "schema": text}
            for name, what in SENT_HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": message}}},
        "responses": {
            "2XX": {"description": "Taken. Anything else is sent again later."},
            "410": {"description": "Never again: the subscription is disabled."},
        },
    }


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    """A body that may also be null or absent."""
    return {"anyOf": [schema, {"type": "null"}]}


def _header(name: str, title: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": title},
    }


def routes() -> list[Route]:
    """`/openapi.json`, made once."""
    made: list[bytes] = []

    async def openapi(_: Request) -> Response:
        if not made:
            made.append(orjson.dumps(document()))
        return Response(made[0], media_type="application/json")

    return [Route("/openapi.json", openapi)]


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """One model's JSON Schema on its own."""
    return model.model_json_schema(ref_template="#/$defs/{model}")

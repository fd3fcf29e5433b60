"""The tile server's OpenAPI document, made of its endpoints."""

import re
from collections.abc import Iterable
from typing import Any

from starlette.routing import BaseRoute

from tiler.draw import FORMATS
from tiler.matrix_sets import NAMES
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import PARAMETERS

_TEXT = {"type": "string", "minLength": 1}
_COUNT = {"type": "integer", "minimum": 0}
_SIDE = {"type": "integer", "minimum": 1, "maximum": 4096}
_COORDINATE = {"type": "number"}
_PATH: dict[str, dict[str, Any]] = {
    "z": _COUNT,
    "x": _COUNT,
    "y": {"type": "string", "pattern": "^[0-9]{1,10}(@2x)?$"},
    "row": _COUNT,
    "col": _COUNT,
    "tms": {"type": "string", "enum": list(NAMES)},
    "format": {"type": "string", "enum": [*FORMATS, "jpeg", "tiff"]},
    "width": _SIDE,
    "height": _SIDE,
    **dict.fromkeys(("lon", "lat", "minx", "miny", "maxx", "maxy"), _COORDINATE),
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["loc", "msg", "type"],
                        "properties": {
                            "loc": {"type": "array"},
                            "msg": {"type": "string"},
                            "type": {"type": "string"},
                        },
                    },
                },
            ]
        },
        "instance": {"type": "string"},
    },
}
_REFUSALS = {
    "401": "No credential that opens it.",
    "403": "The credential lacks the scope or the role.",
    "404": "No such item, asset, tile or format.",
    "410": "The item is past its time.",
    "422": "A parameter, or the body, cannot be.",
    "429": "Too many requests in this minute.",
    "503": "Too much to draw; see Retry-After.",
}


def describe(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """OpenAPI 3.1 of the endpoints among these routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, Endpoint):
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "opstac tiles",
            "version": "1",
            "description": "Pictures and values of items, by GET. Who may see an item is told by a "
            "header, or by `key` in the URL.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "urlKey": {"type": "apiKey", "in": "query", "name": "key"},
            },
        },
    }


def _operation(route: Endpoint) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _PATH.get(name, _TEXT)}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    for name in route.takes:
        if name == "key":
            continue  # a security scheme
        known = PARAMETERS[name]
        parameters.append(
            {
                "name": name,
                "in": "query",
                "description": known.description,
                "schema": {"maxLength": known.longest, **known.schema}
                if known.schema.get("type") == "string"
                else known.schema,
            }
        )
    parameters += [{"name": name, "in": "query", "schema": _TEXT} for name in route.kvp]
    answers: dict[str, Any] = {
        "200": {"description": "Done.", "content": {kind: {} for kind in route.gives}},
        "304": {"description": "As the caller has it already."},
    }
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, description in _REFUSALS.items():
        answers[status] = {"description": description, "content": problem}
    # the HTTP server's own refusal of an address that is longer than it reads
    answers["400"] = {"description": "Not HTTP, or too long.", "content": {"text/plain": {}}}
    if route.kvp:
        answers["400"]["content"]["application/xml"] = {}
        answers["400"]["description"] += " Else an OWS exception report."
    if route.body is not None:
        answers["413"] = {"description": "The body is too long.", "content": problem}
    found: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^0-9A-Za-z]+', '_', route.path)}",
        "summary": route.summary,
        "parameters": parameters,
        "responses": answers,
        "security": [] if route.public else [{"bearer": []}, {"apiKey": []}, {"urlKey": []}],
    }
    if route.body is not None:
        content = {"application/json": {"schema": route.body}}
        found["requestBody"] = {"required": True, "content": content}
    return found

"""The STAC API's OpenAPI document.

The routes read their requests themselves, so the library knows nothing of parameters, bodies and
answers; they are put into its document here. A test asks every operation and holds its answers
against it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from stac_api.document import GEOJSON
from stac_api.openapi_schemas import NAME, PARAMETERS, SCHEMAS, SEARCH, TEXT, ref
from stac_api.output import JSON, NDJSON, SEQUENCE

SCHEMA = "application/schema+json"
PROBLEM = "application/problem+json"
MERGE_PATCH, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"

_SEARCHED = (*SEARCH, "f")
_LISTED = ("limit", "offset", "bbox", "datetime", "q", "filter", "filter-lang", "query")
_COUNTED = tuple(n for n in SEARCH if n not in ("limit", "sortby", "fields", "token"))
_COUNTED = ("aggregations", "datetime_frequency_interval", *_COUNTED)
_LINES = {NDJSON: TEXT, SEQUENCE: TEXT}
_PATCH = {JSON: {"anyOf": [ref("MergePatch"), ref("JsonPatch")]}}
_PATCH |= {MERGE_PATCH: ref("MergePatch"), JSON_PATCH: ref("JsonPatch")}
_COLLECTION, _ITEM = "/collections/{collection_id}", "/collections/{collection_id}/items/{item_id}"

_REFUSALS = {
    "400": "The request has no meaning, as the detail says.",
    "401": "A credential is needed for what is not public, or it is not valid.",
    "403": "The credential lacks a scope or role.",
    "404": "There is no such thing that the caller may see.",
    "429": "Too many requests in this minute.",
    "503": "The database does not answer; see Retry-After.",
}
_WRITE_REFUSALS = {
    "402": "The quota of storage is used up.",
    "409": "It is there already, or in use.",
    "413": "The body is too long.",
    "422": "A member of the body cannot be; the detail says where.",
}


@dataclass(frozen=True, slots=True)
class _Operation:
    """What the description says of one method of one path.

    Attributes:
        answers: status → media type → schema; no media type, no body.
        takes: names of `PARAMETERS`.
        body: media type → schema.
    """

    answers: Mapping[int, Mapping[str, Any]]
    takes: tuple[str, ...] = ()
    body: Mapping[str, Any] | None = None
    writes: bool = False


def _read(schema: str, *takes: str, kind: str = JSON, more: Mapping[str, Any] = {}) -> _Operation:
    return _Operation({200: {kind: ref(schema), **more}}, takes)


def _ask(schema: str, body: str, *takes: str, kind: str = JSON, **more: Any) -> _Operation:
    return _Operation({200: {kind: ref(schema), **more}}, takes, {JSON: ref(body)})


def _write(
    body: Mapping[str, Any] | None, answers: Mapping[int, Mapping[str, Any]], *takes: str
) -> _Operation:
    return _Operation(answers, takes, body, writes=True)


def _changed(kind: str, schema: str) -> dict[int, dict[str, Any]]:
    """The document or nothing, as `Prefer: return=` asks for it."""
    return {200: {kind: ref(schema)}, 204: {}}


_FOUND = {"kind": GEOJSON, "more": _LINES}
_OF_COLLECTION = tuple(name for name in _SEARCHED if name != "collections")
OPERATIONS: dict[tuple[str, str], _Operation] = {
    ("get", "/"): _read("Catalog", "limit", "offset"),
    ("get", "/conformance"): _read("Conformance"),
    ("get", "/search"): _read("ItemCollection", *_SEARCHED, **_FOUND),
    ("post", "/search"): _ask("ItemCollection", "Search", "f", kind=GEOJSON, **_LINES),
    ("get", "/collections"): _read("Collections", *_LISTED, "sortby", "fields"),
    ("post", "/collections"): _write(
        {JSON: ref("NewCollection")}, {201: {JSON: ref("Collection")}}
    ),
    ("get", "/children"): _read("Children", "limit", "offset"),
    ("get", _COLLECTION): _read("Collection"),
    ("put", _COLLECTION): _write({JSON: ref("NewCollection")}, _changed(JSON, "Collection")),
    ("patch", _COLLECTION): _write(_PATCH, _changed(JSON, "Collection")),
    ("delete", _COLLECTION): _write(None, _changed(JSON, "Collection"), "items"),
    ("get", f"{_COLLECTION}/items"): _read("ItemCollection", *_OF_COLLECTION, **_FOUND),
    ("post", f"{_COLLECTION}/items"): _write(
        {JSON: {"anyOf": [ref("NewItem"), ref("NewItems")]}},
        {201: {GEOJSON: ref("Item"), JSON: ref("Outcome")}},
    ),
    ("post", f"{_COLLECTION}/bulk_items"): _write(
        {JSON: ref("BulkItems")}, {200: {JSON: ref("Outcome")}}
    ),
    ("get", _ITEM): _read("Item", kind=GEOJSON),
    ("put", _ITEM): _write({JSON: ref("NewItem")}, _changed(GEOJSON, "Item")),
    ("patch", _ITEM): _write(_PATCH, _changed(GEOJSON, "Item")),
    ("delete", _ITEM): _write(None, _changed(GEOJSON, "Item")),
    ("get", f"{_ITEM}/versions"): _read("ItemCollection", kind=GEOJSON),
    ("get", f"{_ITEM}/versions/{{version}}"): _read("Item", kind=GEOJSON),
    ("get", "/collections-sortables"): _read("Properties", kind=SCHEMA),
    ("get", "/_mgmt/ping"): _read("Health"),
    ("get", "/_mgmt/health"): _read("Health"),
}
for _above in ("", _COLLECTION):
    for _name in ("queryables", "sortables"):
        OPERATIONS["get", f"{_above}/{_name}"] = _read("Properties", kind=SCHEMA)
    OPERATIONS["get", f"{_above}/aggregations"] = _read("Aggregations")
    OPERATIONS["post", f"{_above}/aggregations"] = _read("Aggregations")
    OPERATIONS["get", f"{_above}/aggregate"] = _read("AggregationCollection", *_COUNTED)
    OPERATIONS["post", f"{_above}/aggregate"] = _ask("AggregationCollection", "Aggregate")


def described(app: FastAPI, prefix: str) -> Callable[[], dict[str, Any]]:
    """What gives the document of `app`, whose routes are below `prefix`."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        if "bearer" in document.get("components", {}).get("securitySchemes", {}):
            return document
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                known = OPERATIONS[method, path.removeprefix(prefix) or "/"]
                _complete(operation, path, known)
        document["components"] = {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        }
        return document

    return openapi


def _complete(operation: dict[str, Any], path: str, known: _Operation) -> None:
    places = [
        {"name": name, "in": "path", "required": True, "schema": NAME}
        for name in re.findall(r"{(\w+)}", path)
    ]
    asked = [PARAMETERS[name] for name in known.takes]
    asked = [
        {**entry, "required": True} if entry["name"] == "aggregations" else entry for entry in asked
    ]
    operation["parameters"] = places + asked
    operation.pop("requestBody", None)
    if known.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": schema} for kind, schema in known.body.items()},
        }
    answers: dict[str, Any] = {}
    for status, content in known.answers.items():
        answers[str(status)] = {"description": "Done." if content else "Done; nothing to say."}
        if content:
            answers[str(status)]["content"] = {k: {"schema": v} for k, v in content.items()}
    problem = {PROBLEM: {"schema": ref("Problem")}}
    refusals = {**_REFUSALS, **(_WRITE_REFUSALS if known.writes else {})}
    if known.body is not None:
        refusals["413"] = _WRITE_REFUSALS["413"]
    for status, description in refusals.items():
        answers[status] = {"description": description, "content": problem}
    # the HTTP server's own refusal of an address that is longer than it reads
    answers["400"]["content"] = {**problem, "text/plain": {}}
    operation["responses"] = answers
    # what is public is read without a credential
    operation["security"] = [*([] if known.writes else [{}]), {"bearer": []}, {"apiKey": []}]

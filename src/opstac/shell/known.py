"""The operations: those of the table that comes with us, and what a newer server has besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opstac.client import table
from opstac.shell.tables import clean

Schema = Mapping[str, Any]
PREFIX = "/v1/op/"


@dataclass(frozen=True)
class Described:
    """An operation and its input; `fields` maps a name to its plain schema.

    Attributes:
        definitions: what a `$ref` inside of a field's schema points to.
        answer: how it answers: `json`, `ndjson` or `bytes`.
    """

    id: str
    summary: str
    description: str
    scope: str
    effect: str
    fields: Mapping[str, Schema]
    required: frozenset[str]
    media_types: tuple[str, ...]
    definitions: Mapping[str, Schema]
    answer: str = "json"


def find(op_id: str) -> Described | None:
    """The operation as the table has it."""
    entry = table.entries().get(op_id)
    if entry is None:
        return None
    schemas = table.schemas(op_id)
    return Described(
        id=op_id,
        summary=entry.summary,
        description=entry.description,
        scope=entry.scope,
        effect=entry.effect,
        fields=schemas.fields,
        required=schemas.required,
        media_types=entry.media_types,
        definitions=schemas.definitions,
        answer=entry.answer,
    )


def published(document: Any) -> dict[str, Described]:
    """Every operation of an OpenAPI document, by id; none of what is no such document.

    What it says is shown in helps, so nothing in it steers a terminal.
    """
    try:
        document = harmless(document)
        schemas = document.get("components", {}).get("schemas", {})
        return {
            path.removeprefix(PREFIX): _describe(path.removeprefix(PREFIX), item["post"], schemas)
            for path, item in document["paths"].items()
            if path.startswith(PREFIX)
        }
    except (AttributeError, KeyError, TypeError, RecursionError):
        return {}


def harmless(value: Any) -> Any:
    """A JSON value whose texts are lines that a terminal can show."""
    if isinstance(value, str):
        return "\n".join(map(clean, value.splitlines()))
    if isinstance(value, list):
        return [harmless(one) for one in value]
    if isinstance(value, dict):
        return {clean(name): harmless(one) for name, one in value.items()}
    return value


def _describe(op_id: str, item: Schema, schemas: Schema) -> Described:
    shapes = table.Schemas(
        item.get("requestBody", {})
        .get("content", {})
        .get("application/json", {})
        .get("schema", {}),
        None,
        schemas,
    )
    answers = [
        kind
        for status, answer in item.get("responses", {}).items()
        if status.startswith("2")
        for kind in answer.get("content", {})
    ]
    return Described(
        id=op_id,
        summary=item.get("summary", ""),
        description=item.get("description", ""),
        scope=item.get("x-required-scope", ""),
        effect=item.get("x-side-effect", ""),
        fields=shapes.fields,
        required=shapes.required,
        media_types=tuple(answers),
        definitions=schemas,
        answer="bytes" if item.get("x-raw-response") else "json",
    )

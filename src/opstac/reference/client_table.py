"""The table of operations that the clients read without a server, from the registry.

`operations.json` is what a tree, a list or a completion needs, a line for each operation;
`schemas.json` has the JSON Schemas of inputs and answers. `opstac.client.table` reads both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ops_gateway.kernel.operation import Blob, Operation
from opstac.client.table import Schema
from opstac.reference.client_types import reached

COMPONENTS = "#/components/schemas/"
JSON = "application/json"
LINES = ("application/x-ndjson", "application/geo+json-seq")
# parts of a schema under which names are names, and not keywords
NAMED = ("properties", "$defs")


def operations_json(chosen: Iterable[Operation], document: Mapping[str, Any]) -> str:
    """The light part.

    Args:
        chosen: the operations.
        document: their OpenAPI document.
    """
    components = document["components"]["schemas"]
    lines = (
        f"{_text(op.id)}: {_text(described(op, _published(op, document), components))}"
        for op in chosen
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def schemas_json(chosen: Iterable[Operation], document: Mapping[str, Any]) -> str:
    """The schemas, and the definitions that they point to."""
    found: dict[str, dict[str, Any]] = {}
    for op in chosen:
        published = _published(op, document)
        found[op.id] = {"input": _slim(_body(published))}
        if op.output is not Blob:
            (answer,) = published["responses"][str(op.status)]["content"].values()
            found[op.id]["output"] = _slim(answer["schema"])
    components = document["components"]["schemas"]
    used = {name: _slim(components[name]) for name in reached(found, components)}
    return (
        '{"operations": {\n'
        + ",\n".join(f"{_text(name)}: {_text(one)}" for name, one in found.items())
        + '\n}, "$defs": {\n'
        + ",\n".join(f"{_text(name)}: {_text(one)}" for name, one in sorted(used.items()))
        + "\n}}\n"
    )


def described(op: Operation, published: Schema, components: Schema) -> dict[str, Any]:
    """One operation's line; what is usual is left out."""
    body = _resolve(_body(published), components)
    kinds = list(published["responses"][str(op.status)]["content"])
    path = "/v1/" + op.id.replace(".", "/")
    optional = {
        "description": " ".join(op.description.split()),
        "status": op.status if op.status != 200 else None,
        "answer": answer_of(op),
        "media_types": kinds if kinds != [JSON] else None,
        "get": get_path(op) if op.is_read else None,
        "fields": {n: type_of(s, components) for n, s in body.get("properties", {}).items()},
        "required": body.get("required"),
        "public": op.public,
        "human_only": op.human_only,
        "secret": op.secret,
        "alias_of": op.alias_of,
    }
    return {
        "summary": op.summary,
        "scope": op.scope,
        "effect": op.effect.value,
        "resource": path,
        **{name: value for name, value in optional.items() if value},
    }


def answer_of(op: Operation) -> str | None:
    """How the answer is read; None for one JSON document."""
    if op.media_type in LINES:
        return "ndjson"
    is_json = (op.media_type or JSON).endswith(("/json", "+json"))
    return "bytes" if op.output is Blob and not is_json else None


def get_path(op: Operation) -> str:
    """The shortest path that GET answers on (`ops_gateway/surfaces/http.py`)."""
    parent, _, action = op.id.rpartition(".")
    path = "/v1/" + parent.replace(".", "/")
    required = [name for name, field in op.input.model_fields.items() if field.is_required()]
    if action == "get" and len(required) == 1:
        return f"{path}/{{{required[0]}}}"
    return path if action == "list" else f"{path}/{action}"


def type_of(schema: Schema, components: Schema) -> str:
    """A field's type in short."""
    schema = _resolve(schema, components)
    if "anyOf" in schema:
        kinds = [type_of(s, components) for s in schema["anyOf"] if s.get("type") != "null"]
        return " | ".join(dict.fromkeys(kinds))
    kind = schema.get("type", "any")
    if kind == "array":
        items = type_of(schema.get("items") or {}, components)
        return f"({items})[]" if "|" in items else f"{items}[]"
    return kind


def _published(op: Operation, document: Mapping[str, Any]) -> dict[str, Any]:
    return document["paths"][f"/v1/op/{op.id}"]["post"]


def _body(published: Schema) -> dict[str, Any]:
    return published["requestBody"]["content"][JSON]["schema"]


def _resolve(schema: Schema, components: Schema) -> Schema:
    """The schema itself: without its reference, without `or null`."""
    if "$ref" in schema:
        return _resolve(components[schema["$ref"].removeprefix(COMPONENTS)], components)
    choices = [s for s in schema.get("anyOf", ()) if s.get("type") != "null"]
    return _resolve(choices[0], components) if len(choices) == 1 else schema


def _slim(schema: Any) -> Any:
    """The schema without titles, which repeat the names, and with references into `$defs`."""
    if isinstance(schema, list):
        return [_slim(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in NAMED:
            made[key] = {name: _slim(one) for name, one in value.items()}
        elif key == "$ref":
            made[key] = "#/$defs/" + value.removeprefix(COMPONENTS)
        elif key in ("default", "enum", "const", "examples"):
            made[key] = value
        elif key != "title":
            made[key] = _slim(value)
    return made


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=False)

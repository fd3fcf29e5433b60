"""Pages that are lists: events, errors, settings, processes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from ops_gateway import domains
from ops_gateway.kernel.errors import OpError
from ops_gateway.kernel.event_data import EventData
from ops_gateway.kernel.events import EVENT_TYPES
from opstac import variables
from opstac.reference.markdown import code, table
from processes.process import ERROR_CODES, NO_PRICE, Process, discover


def events() -> str:
    """Every event type, and the fields of its data."""
    rows = [
        [code(e.name), code(e.entity_type), e.summary, code(e.data.__name__)]
        for e in EVENT_TYPES.values()
    ]
    shapes = {e.data.__name__: e.data for e in EVENT_TYPES.values()}
    parts = [
        "# Events",
        "An operation writes its events in its own transaction: what rolls back was never said. "
        "A message is `{event_id, event_type, timestamp, organization_id, entity_type, entity_id, "
        "data}`; `data` is as the tables say, and also stands in `/openapi.json` under `webhooks`. "
        "How to receive them: [webhooks](../how-to/webhooks.md).",
        table(["type", "about", "when", "data"], rows),
        "Every `data` has `project_id`: the project it happened in, or null.",
    ]
    for name, shape in shapes.items():
        fields = [
            [code(field), code(type_name(info.annotation)), info.description or ""]
            for field, info in shape.model_fields.items()
            if field not in EventData.model_fields
        ]
        parts += [f"## {name}", first_line(shape), table(["field", "type", "what"], fields)]
    return "\n\n".join(parts)


def type_name(annotation: Any) -> str:
    """A field's type as it is written."""
    if get_origin(annotation) is Literal:
        return " or ".join(repr(value) for value in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inside = (f"{k}: {type_name(v.annotation)}" for k, v in annotation.model_fields.items())
        return "{" + ", ".join(inside) + "}"
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        return " or ".join(map(type_name, get_args(annotation)))
    if get_origin(annotation) is list:
        return f"list of {type_name(get_args(annotation)[0])}"
    return {NoneType: "null", datetime: "time"}.get(annotation, getattr(annotation, "__name__", ""))


def errors() -> str:
    """Every refusal."""
    domains.load()
    rows = [
        [str(kind.status), kind.title, code(kind.slug or ""), code(kind.__name__), first_line(kind)]
        for kind in sorted(refusals(OpError), key=lambda k: (k.status, k.__name__))
    ]
    return (
        "# Errors\n\n"
        "A refusal is `application/problem+json` on every surface: `type`, `title`, `status`, "
        "`detail` and `instance` (the request's id, also in `X-Request-Id`). `type` is "
        "`<url>/problems/<word>` where the table has a word, else `about:blank`. In a 422 `detail` "
        "is a list of `{loc, msg, type}`.\n\n"
        + table(["status", "title", "word", "class", "when"], rows)
        + "\n\nWhat a job can fail with, as `code` of its error: "
        + ", ".join(map(code, ERROR_CODES))
        + "."
    )


def refusals(kind: type[OpError]) -> Iterator[type[OpError]]:
    """The class's children and theirs."""
    for child in kind.__subclasses__():
        yield child
        yield from refusals(child)


def settings() -> str:
    """Every variable of the environment."""
    parts = [
        "# Settings",
        "Settings are variables of the environment, read once at start.",
    ]
    for group, members in variables.GROUPS.items():
        rows = [[code(v.name), v.in_words, v.meaning] for v in members]
        parts += [f"## {group}", table(["variable", "default", "meaning"], rows)]
    return "\n\n".join(parts)


def processes() -> str:
    """Every process."""
    parts = [
        "# Processes",
        "Run one with `processing.execute`, or by OGC API Processes under `/ogc/processes/{id}`. "
        "What a run costs is below: a rate for each unit, and a least amount. An operator's row in "
        "the table `price` of the database goes before it. "
        "[Write one](../how-to/write-a-process.md) in about 30 lines.",
    ]
    ours = [p for p in discover().values() if p.module.startswith("processes.")]
    for found in sorted(ours, key=lambda p: p.id):
        parts += process(found)
    return "\n\n".join(parts)


def process(found: Process) -> list[str]:
    """The parts of one process's entry."""
    price = found.price
    unit = {"SQ_KM": "per km²", "JOB": "per run", "FREE": ""}[found.unit]
    rate = f"{price.credits_per_unit} credits {unit}, at least {price.minimum_credits}"
    facts = [
        f"version {found.version}",
        rate if price != NO_PRICE else "free",
        "sync and async" if found.sync_allowed else "async",
        f"at most {found.max_seconds} s and {found.max_memory_bytes >> 20} MiB"
        if found.run
        else "done by a worker outside",
    ]
    schema = found.input_schema()
    inputs = [
        [
            code(name),
            type_of(field, schema.get("$defs", {})),
            "yes" if name in schema.get("required", ()) else default_of(field),
            field.get("description") or title_of(name, field),
        ]
        for name, field in schema.get("properties", {}).items()
    ]
    outputs = [[code(name), spec.title, spec.description] for name, spec in found.outputs.items()]
    return [
        f"## `{found.id}`",
        f"{found.title}: {' · '.join(facts)}.",
        found.description,
        table(["input", "type", "required", "meaning"], inputs),
        table(["output", "title", "meaning"], outputs),
    ]


def title_of(name: str, field: dict[str, Any]) -> str:
    """The title somebody wrote; pydantic makes one of the name, which says nothing more."""
    title = field.get("title", "")
    return "" if title == name.replace("_", " ").title() else title


def default_of(field: dict[str, Any]) -> str:
    """`no`, and what stands for it."""
    default = field.get("default")
    return "no" if default in (None, "", [], {}) else f"no: `{default}`"


def type_of(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """A JSON Schema's type in a word or two."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        target = definitions.get(name, {})
        if "enum" in target:
            return " | ".join(code(str(value)) for value in target["enum"])
        return name
    if "const" in schema:
        return code(str(schema["const"]))
    if "enum" in schema:
        return " | ".join(code(str(value)) for value in schema["enum"])
    choices = [s for s in schema.get("anyOf", ()) if s.get("type") != "null"]
    if choices:
        words = " or ".join(dict.fromkeys(type_of(s, definitions) for s in choices))
        return words + (" or null" if len(choices) < len(schema["anyOf"]) else "")
    kind: str | list[str] = schema.get("type", "any")
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}), definitions)}"
    if isinstance(kind, list):
        return " or ".join(kind)
    return {"date-time": "time", "binary": "bytes"}.get(schema.get("format", ""), kind)


def first_line(thing: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]

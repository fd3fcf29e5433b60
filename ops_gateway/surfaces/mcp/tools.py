"""An operation as a tool: name, text, schemas, hints; and which tools a session is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ops_gateway.kernel.errors import BadRequest
from ops_gateway.kernel.operation import REGISTRY, Effect, Operation
from ops_gateway.surfaces.openapi import schema_of

# what an agent is shown unless it asks for more: to find data, to look at it, to run a process
DEFAULT = (
    "projects.list",
    "collections.list",
    "stac.search",
    "items.search_org",
    "items.get",
    "items.list_assets",
    "items.asset.download",
    "items.tile.tilejson",
    "items.tile.statistics",
    "processing.catalog.list",
    "processing.catalog.get",
    "processing.catalog.estimate",
    "processing.execute",
    "processing.jobs.list",
    "billing.credits.balance",
)
TOKEN = "confirmation_token"
TOKEN_SCHEMA = {
    "type": "string",
    "maxLength": 200,
    "description": "Leave it out at first: the answer is the price and this token. Give it, with "
    "the same other arguments, once the person you work for agrees to the price.",
}
CONFIRMATION_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Nothing has happened yet: what it would cost, and how to go on.",
    "required": ["confirmation_required", "operation", "credits", TOKEN, "expires_in", "next"],
    "properties": {
        "confirmation_required": {"const": True},
        "operation": {"type": "string"},
        "credits": {
            "anyOf": [{"type": "integer"}, {"type": "null"}],
            "description": "Credits it takes; null where the arguments or an earlier call say it.",
        },
        TOKEN: {"type": "string"},
        "expires_in": {"type": "integer", "description": "Seconds."},
        "next": {"type": "string"},
    },
}
# clients hold the structured content of a refusal against a tool's schema too
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A refusal, of a result with isError: a problem document (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"description": "What was wrong: a text, or a fault for each place."},
    },
}
WRAPPED = "result"
JOB = "processing_job"


@dataclass(frozen=True)
class View:
    """What a session is shown, from the query of its URL.

    Attributes:
        chosen: `default`, `all`, or ids of operations.
        domains: all operations of these domains besides.
    """

    read_only: bool = False
    chosen: str | frozenset[str] = "default"
    domains: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> View:
        """From `read_only`, `tools` and `domains`; raises BadRequest."""
        flag = query.get("read_only", "false")
        if flag not in ("true", "false"):
            raise BadRequest("read_only must be true or false")
        chosen = query.get("tools", "default")
        ids = frozenset(op_id(name) for name in chosen.split(",") if name)
        if chosen not in ("default", "all") and (strange := sorted(ids - REGISTRY.keys())):
            raise BadRequest(
                f"tools must be default, all or ids of operations; '{strange[0][:100]}' is none"
            )
        domains = frozenset(filter(None, query.get("domains", "").split(",")))
        if strange := sorted(domains - {op.domain for op in REGISTRY.values()}):
            raise BadRequest(f"there is no domain '{strange[0][:100]}'")
        return cls(flag == "true", chosen if chosen in ("default", "all") else ids, domains)

    def shows(self, op: Operation) -> bool:
        """Whether the operation is among the tools that are listed."""
        if self.read_only and not op.is_read:
            return False
        if self.chosen == "all" or op.domain in self.domains:
            return True
        if self.chosen == "default":
            return not self.domains and op.id in DEFAULT
        return op.id in self.chosen


def tool_name(op: Operation) -> str:
    """`items.tile.render` → `items-tile-render`: many hosts take no dots in the name of a tool."""
    return op.id.replace(".", "-")


def op_id(name: str) -> str:
    """The id behind a tool's name. An id has no hyphen, so nothing is lost; an id is taken too."""
    return name.replace("-", ".")


def described(op: Operation) -> dict[str, Any]:
    """The tool of an operation, as `tools/list` shows it. Nothing in it comes from data."""
    return {**_described(op.id), "name": tool_name(op)}


@cache
def _described(name: str) -> dict[str, Any]:
    op = REGISTRY[name]
    tool: dict[str, Any] = {
        "title": op.id.replace(".", " ").replace("_", " ").capitalize(),
        "description": text_of(op),
        "inputSchema": input_schema(op),
        "annotations": {
            "readOnlyHint": op.is_read,
            "destructiveHint": op.effect is Effect.DESTRUCTIVE,
            "idempotentHint": op.is_read,
            "openWorldHint": op.effect in (Effect.SPEND, Effect.SHARE),
        },
        "_meta": {"opstac/operation": op.id, "opstac/scope": op.scope},
    }
    if (output := output_schema(op)) is not None:
        tool["outputSchema"] = output
    return tool


def text_of(op: Operation) -> str:
    """Its summary and description, and what only concerns agents."""
    parts = [op.summary, op.description]
    if op.effect is Effect.SPEND:
        parts.append("Spends credits: the first call answers the price and a confirmation_token.")
    if op.produces == JOB:
        parts.append("The answer is a job that has just begun: wait_for_job waits for it.")
    if op.adapter is None and not (op.media_type or "").endswith(("json", "xml")):
        parts.append(f"The answer is {op.media_type}.")
    return "\n\n".join(part for part in parts if part)


def input_schema(op: Operation) -> dict[str, Any]:
    """JSON Schema of the arguments; of a spending one with the confirmation besides."""
    schema = _object(schema_of(op.input))
    if op.effect is Effect.SPEND:
        schema["properties"] = {**schema.get("properties", {}), TOKEN: TOKEN_SCHEMA}
    return schema


def output_schema(op: Operation) -> dict[str, Any] | None:
    """JSON Schema of the structured answer; None where it may be something else than JSON."""
    if op.adapter is None or "output_format" in op.input.model_fields:  # which may ask a picture
        return None
    schema = op.adapter.json_schema(mode="serialization", ref_template="#/$defs/{model}")
    if is_wrapped(op):
        definitions = schema.pop("$defs", {})
        schema = {
            "type": "object",
            "required": [WRAPPED],
            "properties": {WRAPPED: schema},
            "$defs": definitions,
        }
    return or_problem(schema, *([CONFIRMATION_SCHEMA] if op.effect is Effect.SPEND else []))


def or_problem(schema: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer, or of another, or of a refusal."""
    inner = {name: value for name, value in schema.items() if name != "$defs"}
    made = {"type": "object", "anyOf": [inner, *others, PROBLEM_SCHEMA]}
    return made | ({"$defs": schema["$defs"]} if "$defs" in schema else {})


@cache
def _is_object(name: str) -> bool:
    adapter = REGISTRY[name].adapter
    assert adapter is not None
    schema = adapter.json_schema(mode="serialization")
    reference = schema.get("$ref")
    if reference is not None:
        schema = schema["$defs"][reference.rpartition("/")[2]]
    return schema.get("type") == "object"


def is_wrapped(op: Operation) -> bool:
    """Whether its answer is no object: a structured result must be one, so it is given one."""
    return op.adapter is not None and not _is_object(op.id)


def _object(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with `type` at its root, as the protocol wants it."""
    if schema.get("type") == "object":
        return schema
    definitions = schema.pop("$defs", {})
    return {"type": "object", "allOf": [schema], "$defs": definitions}

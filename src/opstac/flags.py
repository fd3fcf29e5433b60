"""Flags of an operation, made from its input schema in the server's OpenAPI document.

A field is a flag: `project_id` → `--project-id`. A list's flag is repeated, an object's takes JSON
or `@FILE`, a yes-or-no one has a `--no-` twin.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Schema = Mapping[str, Any]

OWN = ("json", "idempotency-key", "out", "help")
PREFIX = "/v1/op/"


@dataclass(frozen=True)
class Described:
    """An operation as the server publishes it; `fields` maps a name to its resolved schema."""

    id: str
    summary: str
    description: str
    scope: str
    effect: str
    fields: Mapping[str, Schema]
    required: frozenset[str]
    media_types: tuple[str, ...]


def operations(document: Schema) -> dict[str, Described]:
    """Every operation of an OpenAPI document, by id."""
    schemas = document.get("components", {}).get("schemas", {})
    return {
        path.removeprefix(PREFIX): describe(path.removeprefix(PREFIX), item["post"], schemas)
        for path, item in document.get("paths", {}).items()
        if path.startswith(PREFIX)
    }


def describe(op_id: str, published: Schema, schemas: Schema) -> Described:
    """One operation of the document."""
    content = published.get("requestBody", {}).get("content", {})
    body = plain(content.get("application/json", {}).get("schema", {}), schemas)
    answers = [
        kind
        for status, answer in published.get("responses", {}).items()
        if status.startswith("2")
        for kind in answer.get("content", {})
    ]
    return Described(
        id=op_id,
        summary=published.get("summary", ""),
        description=published.get("description", ""),
        scope=published.get("x-required-scope", ""),
        effect=published.get("x-side-effect", ""),
        fields={name: plain(f, schemas) for name, f in body.get("properties", {}).items()},
        required=frozenset(body.get("required", ())),
        media_types=tuple(answers),
    )


def plain(schema: Schema, schemas: Schema) -> Schema:
    """The schema without its reference and without `or null`; keeps description and default."""
    if "$ref" in schema:
        found = plain(schemas[schema["$ref"].rpartition("/")[2]], schemas)
        return {**found, **{k: v for k, v in schema.items() if k != "$ref"}}
    choices = [s for s in schema.get("anyOf", ()) if s.get("type") != "null"]
    if len(choices) == 1:
        outer = {k: v for k, v in schema.items() if k != "anyOf"}
        return {**plain(choices[0], schemas), **outer}
    if schema.get("type") == "array" and "items" in schema:
        return {**schema, "items": plain(schema["items"], schemas)}
    return schema


def flag(name: str) -> str:
    """`project_id` and `projectId` → `--project-id`."""
    return "--" + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).replace("_", "-").lower()


def make_parser(op: Described) -> argparse.ArgumentParser:
    """The parser of one operation's flags; what was not given is absent from the result."""
    answers = ", ".join(op.media_types)
    parser = argparse.ArgumentParser(
        prog=f"opstac op {op.id}",
        description=f"{op.summary}\n\n{op.description}".strip(),
        epilog=f"scope {op.scope} · {op.effect} · answers {answers}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--json",
        dest="=json",
        metavar="JSON",
        help="the whole input, @FILE or - for standard input",
    )
    parser.add_argument(
        "--idempotency-key", dest="=key", metavar="KEY", help="repeating the call changes nothing"
    )
    parser.add_argument("--out", dest="=out", metavar="FILE", help="write the answer to this file")
    group = parser.add_argument_group("input")
    for name, schema in op.fields.items():
        if flag(name)[2:] not in OWN:  # one that is can be given in --json
            add_field(group, name, schema, required=name in op.required)
    return parser


def add_field(group: Any, name: str, schema: Schema, *, required: bool) -> None:
    """The flag of one field."""
    kind = schema.get("type")
    words = [schema.get("description", "")]
    if "enum" in schema:
        words.append("one of " + ", ".join(map(str, schema["enum"])))
    if kind == "array":
        words.append("repeat it for more")
    if required:
        words.append("required")
    elif schema.get("default") is not None:
        words.append(f"default {json.dumps(schema['default'])}")
    help_text = "; ".join(filter(None, words)).replace("%", "%%") or None
    if kind == "boolean":
        group.add_argument(
            flag(name), dest=name, action=argparse.BooleanOptionalAction, help=help_text
        )
    elif kind == "array":
        item = schema.get("items") or {}
        group.add_argument(
            flag(name),
            dest=name,
            action="append",
            type=as_list(item),
            metavar=metavar(item),
            help=help_text,
        )
    else:
        group.add_argument(
            flag(name), dest=name, type=as_value(schema), metavar=metavar(schema), help=help_text
        )


def metavar(schema: Schema) -> str:
    """What a flag's value is called in the help."""
    words = {"string": "TEXT", "integer": "N", "number": "NUMBER"}
    return words.get(str(schema.get("type")), "JSON")


def as_value(schema: Schema) -> Any:
    """The function from a flag's text to the field's value."""
    kind = schema.get("type")
    if kind == "string" or "enum" in schema:
        return str
    return {"integer": int, "number": float}.get(str(kind), json_text)


def as_list(schema: Schema) -> Any:
    """The function from one flag's text to list members: one, or those of a JSON array."""
    one = as_value(schema)

    def members(text: str) -> list[Any]:
        if text.lstrip().startswith("[") or text.startswith("@"):
            found = json_text(text)
            return found if isinstance(found, list) else [found]
        return [one(text)]

    members.__name__ = getattr(one, "__name__", "value")
    return members


def json_text(text: str) -> Any:
    """JSON given as text, as @FILE, or as - for standard input."""
    try:
        if text == "-":
            return json.load(sys.stdin)
        if text.startswith("@"):
            return json.loads(Path(text[1:]).read_text())
        return json.loads(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text[1:]}: {error.strerror}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None


def parse(op: Described, words: Sequence[str]) -> tuple[dict[str, Any], str | None, str | None]:
    """(body, idempotency key, output file) from the command line behind the operation's name.

    A field's own flag wins over what `--json` says. Ends the program with status 2 on a mistake.
    """
    parser = make_parser(op)
    # --item_id is taken for --item-id
    words = [re.sub(r"^--[^=]+", lambda m: m[0].replace("_", "-"), word) for word in words]
    given = vars(parser.parse_args(words))
    body: Any = {}
    if "=json" in given:
        try:
            body = json_text(given["=json"])
        except argparse.ArgumentTypeError as error:
            parser.error(f"--json: {error}")
        if not isinstance(body, dict):
            parser.error("--json: must be an object")
    for name, value in given.items():
        if not name.startswith("="):
            is_list = op.fields[name].get("type") == "array"
            body[name] = [member for part in value for member in part] if is_list else value
    return body, given.get("=key"), given.get("=out")

"""Flags of an operation, made from the schema of its input.

A field is a flag: `project_id` → `--project-id`. A list's flag is repeated, an object's takes JSON
or `@FILE`, a yes-or-no one has a `--no-` twin. What a value may be is told in the help and judged
by the platform alone, so that every door refuses the same with the same words.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opstac.shell import words
from opstac.shell.known import Described, Schema
from opstac.shell.tree import spelled

# flags of the command line itself; a field of such a name can be given in --body
OWN = (
    "all", "body", "json", "table", "ndjson", "output", "out", "idempotency-key", "server", "help",
)  # fmt: skip
STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Given:
    """What was said behind an operation's name.

    Attributes:
        form: `json`, `table`, `ndjson`, or None for what suits where it goes.
        output: the file the answer goes to.
        server: the platform, where it was named.
        every: every page of a list, and not only the one that was asked for.
    """

    body: dict[str, Any]
    key: str | None
    form: str | None
    output: str | None
    server: str | None
    every: bool = False


def flag(name: str) -> str:
    """`project_id` and `projectId` → `--project-id`."""
    return "--" + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).replace("_", "-").lower()


def make_parser(op: Described) -> argparse.ArgumentParser:
    """The parser of one operation's flags; what was not given is absent from the result."""
    parser = argparse.ArgumentParser(
        prog=f"opstac {spelled(op.id)}",
        description=f"{op.summary}\n\n{op.description}".strip(),
        epilog=f"operation {op.id} · scope {op.scope} · {op.effect}\n"
        f"answers {', '.join(op.media_types)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    add_input(parser.add_argument_group("input"), op)
    whole = parser.add_argument_group("call")
    whole.add_argument(
        "--body",
        dest="=body",
        metavar="JSON",
        help="the whole input: JSON, @FILE, or - for standard input; a field's flag wins over it",
    )
    whole.add_argument(
        "--idempotency-key",
        dest="=key",
        metavar="KEY",
        type=words.text,
        help="repeating the call changes nothing",
    )
    whole.add_argument("--server", dest="=server", metavar="URL", help="the platform (OPSTAC_URL)")
    shown = parser.add_argument_group("answer")
    shown.add_argument(
        "--json",
        dest="=json",
        nargs="?",
        const=None,
        metavar="JSON",
        help="as JSON, as it is where it goes into a pipe; with a value, the same as --body",
    )
    shown.add_argument("--table", dest="=table", action="store_true", help="as a table")
    shown.add_argument(
        "--ndjson", dest="=ndjson", action="store_true", help="a line of JSON for each of its list"
    )
    if "offset" in op.fields and op.effect == "read":
        shown.add_argument(
            "--all",
            dest="=all",
            action="store_true",
            help="page after page of the list until its end, a line of JSON for each",
        )
    shown.add_argument(
        "-o",
        "--output",
        "--out",
        dest="=output",
        metavar="FILE",
        help="write the answer to this file",
    )
    return parser


def add_input(group: Any, op: Described) -> None:
    """The flags of the fields, those that are required first."""
    for name, schema in sorted(op.fields.items(), key=lambda one: one[0] not in op.required):
        if flag(name)[2:] not in OWN:
            add_field(group, name, schema, op)


def add_field(group: Any, name: str, schema: Schema, op: Described) -> None:
    """The flag of one field."""
    kind = schema.get("type")
    help_text = explained(schema, op, required=name in op.required).replace("%", "%%") or None
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


def explained(schema: Schema, op: Described, *, required: bool) -> str:
    """What a field is and may be."""
    said = ["required"] if required else []
    said.append(schema.get("description", ""))
    item = schema.get("items") or {}
    for one in (schema, item):
        if values := choices(one):
            said.append("one of " + ", ".join(values))
        said.append(bounds(one))
        if parts := one.get("properties"):
            inner = frozenset(one.get("required", ()))
            said.append(
                "its fields: "
                + ", ".join(
                    f"{part} ({'required ' if part in inner else ''}{kind_of(shape)})"
                    for part, shape in parts.items()
                )
            )
    if schema.get("type") == "array":
        said.append("repeat it for more")
    if not required and schema.get("default") is not None:
        said.append(f"default {json.dumps(schema['default'])}")
    return "; ".join(filter(None, said))


def choices(schema: Schema) -> list[str]:
    """The values that a field may have, where they are few."""
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    return [str(value) for value in values if value is not None]


def bounds(schema: Schema) -> str:
    """`1 to 1000`, `above 0`; of a text's length or a list's, too."""
    said = []
    for low, high, what in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " members"),
    ):
        least, most = schema.get(low), schema.get(high)
        if least is not None and most is not None:
            said.append(f"{least} to {most}{what}")
        elif least is not None and (least, low) != (1, "minLength"):
            said.append(f"at least {least}{what}")
        elif most is not None:
            said.append(f"at most {most}{what}")
    if "exclusiveMinimum" in schema:
        said.append(f"above {schema['exclusiveMinimum']}")
    return ", ".join(said)


def kind_of(schema: Schema) -> str:
    """A type in a word, of a part of an object."""
    options = [s for s in schema.get("anyOf", ()) if s.get("type") != "null"]
    if options:
        return kind_of(options[0])
    if values := choices(schema):
        return "|".join(values)
    return str(schema.get("type", "JSON"))


def metavar(schema: Schema) -> str:
    """What a flag's value is called in the help."""
    kinds = {"string": "TEXT", "integer": "N", "number": "NUMBER"}
    return kinds.get(str(schema.get("type")), "TEXT" if "enum" in schema else "JSON")


def as_value(schema: Schema) -> Any:
    """The function from a flag's text to the field's value."""
    kind = schema.get("type")
    if kind == "string" or "enum" in schema:
        return words.text
    return {"integer": words.whole, "number": words.number}.get(str(kind), words.json_text)


def as_list(schema: Schema) -> Any:
    """The function from one flag's text to list members: one, or those of a JSON array."""
    one = as_value(schema)

    def members(text: str) -> list[Any]:
        if text.lstrip().startswith("[") or text.startswith("@"):
            found = words.json_text(text)
            return found if isinstance(found, list) else [found]
        return [one(text)]

    return members


def parse(op: Described, line: Sequence[str]) -> Given:
    """What the command line behind the operation's name says.

    A field's own flag wins over what `--body` says. Ends the program with status 2 on a mistake.
    """
    parser = make_parser(op)
    # --item_id is taken for --item-id
    line = [re.sub(r"^--[^=]+", lambda m: m[0].replace("_", "-"), word) for word in line]
    given: Mapping[str, Any] = vars(parser.parse_args(line))
    whole = [given[name] for name in ("=body", "=json") if given.get(name) is not None]
    forms = [name for name in ("json", "table", "ndjson") if is_form(name, given)]
    if len(whole) > 1:
        parser.error("--body and --json are both the whole input: give one")
    every = bool(given.get("=all"))
    if every and forms not in ([], ["ndjson"]):
        parser.error("--all is written as lines of JSON")
    if len(forms) > 1:
        parser.error("give one of --json, --table and --ndjson")
    body = whole_body(parser, whole[0]) if whole else {}
    for name, value in given.items():
        if not name.startswith("="):
            is_list = op.fields[name].get("type") == "array"
            body[name] = [member for part in value for member in part] if is_list else value
    return Given(
        body,
        given.get("=key"),
        forms[0] if forms else None,
        given.get("=output"),
        given.get("=server"),
        every,
    )


def is_form(name: str, given: Mapping[str, Any]) -> bool:
    """Whether a flag asks for a form of the answer: `--json` does so without a value."""
    return f"={name}" in given and (name != "json" or given["=json"] is None)


def whole_body(parser: argparse.ArgumentParser, word: str) -> dict[str, Any]:
    """The input as a whole; ends the program where it is no object."""
    try:
        body = words.json_text(word)
    except argparse.ArgumentTypeError as error:
        parser.error(f"the input: {error}")
    if not isinstance(body, dict):
        parser.error("the input must be an object of JSON")
    return body

"""Examples of operations: how a call is written for each client, of one that was recorded.

`docs/reference/examples/<domain>.json` holds, by operation, the body that a test sent and what came
back, with ids and times replaced. The tests of `tests/doors` run these texts as they are printed,
with the ids of things that are there.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

from ops_gateway.kernel.operation import Operation
from ops_gateway.surfaces.mcp import tools
from opstac.shell.flags import flag

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "reference" / "examples"
WIDTH = 88
# what is written of an answer: so many characters of a text, a list, an object
TEXT, LIST, OBJECT = 300, 700, 3000

Body = Mapping[str, Any]


@cache
def recorded(domain: str) -> dict[str, dict[str, Any]]:
    """The recorded calls of a domain by operation: `body`, `status` and `answer` or `media`."""
    path = FOLDER / f"{domain}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def is_file(op: Operation) -> bool:
    """Whether it answers bytes: a picture, or a document that is not JSON."""
    return op.adapter is None and "json" not in (op.media_type or "")


def curl(op: Operation, body: Body) -> str:
    """A line for a shell."""
    out = "-o answer " if is_file(op) else ""
    return (
        f'curl -sS {out}"$OPSTAC_URL/v1/op/{op.id}" \\\n'
        '  -H "Authorization: Bearer $OPSTAC_TOKEN" -H "Content-Type: application/json" \\\n'
        f"  -d {shlex.quote(as_json(body))}"
    )


def python(op: Operation, body: Body) -> str:
    """A program."""
    call = f'"{op.id}"'
    if body:
        call += ", " + literal(dict(body), 4)
    return (
        "import os\n\nfrom opstac.client import Geopera\n\n"
        'with Geopera(os.environ["OPSTAC_TOKEN"], os.environ["OPSTAC_URL"]) as client:\n'
        f"    answer = client.op({call})"
    )


def typescript(op: Operation, body: Body) -> str:
    """A module; fields are written in camelCase."""
    call = f'"{op.id}"'
    if body:
        names = {info.alias or name for name, info in op.input.model_fields.items()}
        camel = {to_camel(name) if name in names else name: v for name, v in body.items()}
        call += ", " + re.sub(r'^(\s*)"([A-Za-z_]\w*)":', r"\1\2:", laid_out(camel), flags=re.M)
    shown = "answer.length" if is_file(op) else "JSON.stringify(answer)"
    return (
        'import { Geopera } from "opstac";\n\n'
        "const { OPSTAC_TOKEN: token, OPSTAC_URL: baseUrl } = process.env;\n"
        f"const answer = await new Geopera({{ token, baseUrl }}).op({call});\n"
        f"console.log({shown});"
    )


def cli(op: Operation, body: Body) -> str:
    """A line for a shell: a flag a field, or the whole body where a field is no plain value."""
    words = f"opstac op {op.id}"
    if is_file(op):
        words += " --output answer"
    if any(isinstance(value, list | dict) for value in body.values()):
        return f"{words} --body {shlex.quote(as_json(body))}"
    for name, value in body.items():
        if isinstance(value, bool):
            words += f" {flag(name) if value else flag(name).replace('--', '--no-', 1)}"
        else:
            words += f" {flag(name)} {shlex.quote(str(value))}"
    return words


def mcp(op: Operation, body: Body) -> str:
    """The parameters of `tools/call`."""
    return laid_out({"name": tools.tool_name(op), "arguments": dict(body)})


def as_json(body: Any) -> str:
    """On one line where it is short."""
    short = json.dumps(body, ensure_ascii=False)
    return short if len(short) < WIDTH else laid_out(body)


def laid_out(value: Any, indent: int = 0) -> str:
    """JSON of which what is short is on one line."""
    short = json.dumps(value, ensure_ascii=False)
    if len(short) + indent < WIDTH and not (isinstance(value, dict) and not indent and value):
        return short
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        members = [f"{json.dumps(k)}: {laid_out(v, indent + 2)}" for k, v in value.items()]
        return "{\n" + ",\n".join(inner + m for m in members) + "\n" + " " * indent + "}"
    if isinstance(value, list):
        entries = [inner + laid_out(v, indent + 2) for v in value]
        return "[\n" + ",\n".join(entries) + "\n" + " " * indent + "]"
    return short


def literal(value: Any, indent: int) -> str:
    """A value as Python writes it, laid out as JSON is."""
    short = repr(value) if not isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        members = [f"{json.dumps(k)}: {literal(v, indent + 4)}" for k, v in value.items()]
        short = "{" + ", ".join(members) + "}"
    elif isinstance(value, list):
        members = [literal(v, indent + 4) for v in value]
        short = "[" + ", ".join(members) + "]"
    else:
        return short
    if len(short) + indent < WIDTH - 20 and "\n" not in short:
        return short
    inner, end = "\n" + " " * (indent + 4), "\n" + " " * indent
    return short[0] + "".join(f"{inner}{member}," for member in members) + end + short[-1]


def shortened(value: Any) -> Any:
    """An answer with long texts, lists and objects cut, and a word where they are."""
    if isinstance(value, str):
        return value if len(value) <= TEXT else value[:TEXT] + "…"
    if isinstance(value, list):
        kept: list[Any] = []
        for entry in map(shortened, value):
            if kept and len(json.dumps([*kept, entry])) > LIST:
                return [*kept, f"… {len(value) - len(kept)} more"]
            kept.append(entry)
        return kept
    if isinstance(value, dict):
        members: dict[str, Any] = {}
        for name, entry in value.items():
            members[name] = shortened(entry)
            if len(json.dumps(members)) > OBJECT and len(members) < len(value):
                return {**members, "…": f"{len(value) - len(members)} more"}
        return members
    return value

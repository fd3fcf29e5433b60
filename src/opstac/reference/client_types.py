"""The types of the Python client, from the schemas: `models.py` of what goes in and comes out, and
`tree.pyi`, which tells an editor and a type checker of every operation and its fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from opstac.client.table import Entry, Schema
from opstac.client.tree import attribute

NOTE = "Made by `./opstac docs` from the gateway's registry; changes by hand are lost."
SIMPLE = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
}


class Types:
    """Python's names for JSON Schemas."""

    def __init__(self, definitions: Mapping[str, Schema], only_sent: set[str]) -> None:
        """`only_sent`: the definitions that stand in inputs and in no answer."""
        self.definitions = definitions
        self.only_sent = only_sent
        self.names = short_names(definitions)

    def of(self, schema: Schema, *, sent: bool, prefix: str = "") -> str:
        """A schema's type. What is only sent may be any sequence or mapping."""
        if "$ref" in schema:
            return prefix + self.names[schema["$ref"].rpartition("/")[2]]
        if "const" in schema:
            return f"Literal[{schema['const']!r}]"
        if "enum" in schema:
            return f"Literal[{', '.join(map(repr, schema['enum']))}]"
        if "anyOf" in schema:
            kinds = [self.of(one, sent=sent, prefix=prefix) for one in schema["anyOf"]]
            return "Any" if "Any" in kinds else " | ".join(dict.fromkeys(kinds))
        kind = schema.get("type")
        if kind == "array":
            items = self.of(schema.get("items") or {}, sent=sent, prefix=prefix)
            # in the tree `list` is also an operation's name
            return f"Sequence[{items}]" if sent else f"{'builtins.' if prefix else ''}list[{items}]"
        if kind == "object":
            more = schema.get("additionalProperties")
            value = self.of(more, sent=sent, prefix=prefix) if isinstance(more, dict) else "Any"
            return f"Mapping[str, {value}]" if sent else f"dict[str, {value}]"
        return SIMPLE.get(str(kind), "Any")

    def model(self, name: str) -> str:
        """The lines that define one of the definitions."""
        schema = self.definitions[name]
        sent = name in self.only_sent
        if "properties" not in schema:
            return f"{self.names[name]} = {self.of(schema, sent=sent)}"
        required = schema.get("required", ())
        fields = {
            field: self.of(s, sent=sent)
            if field in required
            else f"NotRequired[{self.of(s, sent=sent)}]"
            for field, s in schema["properties"].items()
        }
        doc = docstring(schema.get("description", ""))
        if any(attribute(field) != field for field in fields):
            members = ", ".join(f"{field!r}: {kind!r}" for field, kind in fields.items())
            return f'{self.names[name]} = TypedDict("{self.names[name]}", {{{members}}})'
        lines = [f"class {self.names[name]}(TypedDict):", *([f"    {doc}"] if doc else [])]
        for field, kind in fields.items():
            lines.append(f"    {field}: {kind}")
            if meaning := docstring(schema["properties"][field].get("description", "")):
                lines.append(f"    {meaning}")
        return "\n".join(lines if fields or doc else [*lines, "    pass"])


def short_names(definitions: Iterable[str]) -> dict[str, str]:
    """Names of classes: the last part of `module__Name` where no two have the same."""
    names = list(definitions)
    short = {name: re.sub(r"\W", "", name.rpartition("__")[2]) for name in names}
    taken = list(short.values())
    for name in names:
        if taken.count(short[name]) > 1:
            module, _, last = name.rpartition("__")
            short[name] = camel(module.rpartition("__")[2]) + re.sub(r"\W", "", last)
    return short


def models_py(types: Types) -> str:
    """The whole of `models.py`."""
    order = sorted(types.definitions, key=lambda n: "properties" in types.definitions[n])
    return "\n\n".join(
        [
            f'"""The inputs and answers of the operations, as dictionaries.\n\n{NOTE}\n"""',
            "from __future__ import annotations",
            "from collections.abc import Mapping, Sequence\n"
            "from typing import Any, Literal, NotRequired, TypedDict",
            *(types.model(name) for name in order),
        ]
    ) + "\n"  # fmt: skip


def tree_pyi(entries: Mapping[str, Entry], schemas: Mapping[str, Any], types: Types) -> str:
    """The whole of `tree.pyi`.

    Args:
        entries: the operations.
        schemas: `{"input", "output"}` of each.
        types: names of their types.
    """
    below: dict[str, dict[str, None]] = {"": {}}
    for op_id in entries:
        parts = op_id.split(".")
        for depth, part in enumerate(parts):
            below.setdefault(".".join(parts[:depth]), {})[part] = None
    chunks = [
        f'"""The tree of operations with the types of its inputs and answers.\n\n{NOTE}\n"""',
        "import builtins\nfrom collections.abc import Mapping, Sequence\n"
        "from typing import Any, Literal, overload",
        "from opstac.client.generated import models as m",
    ]
    for word in ("", "Async"):
        # a class stands behind those that it names, as a reader expects; the root last
        for node in sorted(below, key=lambda n: (-len(n.split(".")) if n else 0, n)):
            lines = [f"class {class_name(node, word)}:"]
            if node in entries:
                lines += method("__call__", entries[node], schemas[node], types, word)
            for part in below[node]:
                child = f"{node}.{part}" if node else part
                if child in below:
                    lines.append("    @property")
                    lines.append(
                        f"    def {attribute(part)}(self) -> {class_name(child, word)}: ..."
                    )
                else:
                    name = attribute(part)
                    lines += method(name, entries[child], schemas[child], types, word)
            chunks.append("\n".join(lines))
    return "\n\n".join(chunks) + "\n"


def method(name: str, entry: Entry, schemas: Any, types: Types, word: str) -> list[str]:
    """The lines of one operation: called with a body, and with fields by name."""
    body = types.of(schemas["input"], sent=True, prefix="m.").removesuffix(" | None")
    answer = "bytes"
    if "output" in schemas:
        answer = types.of(schemas["output"], sent=False, prefix="m.")
    elif any("json" in kind for kind in entry.media_types):
        answer = "Any"
    key = "idempotency_key: str | None = ..."
    fields = input_fields(schemas["input"], types)
    given = [f"{attribute(n)}: {kind}" for n, kind in fields.items() if n in entry.required]
    given += [
        f"{attribute(n)}: {kind} = ..." for n, kind in fields.items() if n not in entry.required
    ]
    define = "    async def" if word else "    def"
    default = "" if entry.required else " | None = ..."
    text = docstring(f"{entry.summary}\n\n{entry.description}".strip())
    return [
        "    @overload",
        f"{define} {name}(self, body: {body}{default}, /, *, {key}) -> {answer}: ...",
        "    @overload",
        f"{define} {name}(self, *, {', '.join([*given, key])}) -> {answer}:",
        f"        {text}",
    ]


def input_fields(schema: Schema, types: Types) -> dict[str, str]:
    """The fields of an input and their types."""
    while "properties" not in schema:
        if "$ref" in schema:
            schema = types.definitions[schema["$ref"].rpartition("/")[2]]
            continue
        choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        if len(choices) != 1:
            return {}
        schema = choices[0]
    return {n: types.of(s, sent=True, prefix="m.") for n, s in schema["properties"].items()}


def class_name(node: str, word: str) -> str:
    """`processing.job_types` → `ProcessingJobTypes`; the root is `Tree`."""
    return word + (camel(node) or "Tree")


def camel(text: str) -> str:
    """`job_types` → `JobTypes`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[._]", text))


def docstring(text: str) -> str:
    """Text between three quotes, or nothing."""
    text = text.replace("\\", "\\\\").replace('"""', "'''").strip()
    if not text:
        return ""
    return f'"""{text} """' if text.endswith('"') else f'"""{text}"""'


def files(operations_json: str, schemas_json: str) -> dict[str, str]:
    """`models.py` and `tree.pyi` for what the two tables say."""
    from opstac.client.table import parse

    entries = parse(operations_json)
    read = json.loads(schemas_json)
    operations, definitions = read["operations"], read["$defs"]
    answered = reached([one.get("output") for one in operations.values()], definitions)
    types = Types(definitions, set(definitions) - answered)
    return {"models.py": models_py(types), "tree.pyi": tree_pyi(entries, operations, types)}


def reached(roots: Any, definitions: Mapping[str, Schema]) -> set[str]:
    """Names of the definitions that the schemas use, directly or not."""
    found: set[str] = set()
    todo: list[Any] = [roots]
    while todo:
        one = todo.pop()
        if isinstance(one, list):
            todo += one
        elif isinstance(one, dict):
            ref = one.get("$ref")
            if isinstance(ref, str) and (name := ref.rpartition("/")[2]) not in found:
                found.add(name)
                todo.append(definitions[name])
            todo += one.values()
    return found

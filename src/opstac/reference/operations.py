"""The pages of operations, from the registry and the recorded examples."""

from __future__ import annotations

from typing import Any

from ops_gateway.kernel.operation import Effect, Operation
from ops_gateway.surfaces import openapi
from opstac.reference import examples
from opstac.reference.markdown import code, table
from opstac.reference.tables import default_of, type_of
from opstac.shell.flags import flag
from opstac.shell.known import Schema

INTRODUCTION = """# Operations

Everything a client can change goes through one of these. Call one with
`POST /v1/op/{id}` and a JSON body, with `POST /v1/{resource}/{action}` (dots as slashes), or from
the command line with `opstac op ID`. A `read` also answers `GET` with its input in the query.

- **Scope**: what the key or the person must hold.
- **Effect**: `read` changes nothing; `compute` changes rows of ours; `external_spend` reserves or
  spends credits; `share_export` lets something out; `destructive` takes something away.
- Every other operation than a read takes an `Idempotency-Key`: the same call again gives the first
  answer and does nothing. One that answers bytes takes none.
- Any operation may be refused with one of the [errors](errors.md); 402 where credits are spent.
- Inputs may be written in camelCase. Unknown ones are ignored.
"""


FOLDER = "operations"
EXAMPLES = """Every page shows one call that was made in a test, for each client. They read the
server's address from `OPSTAC_URL` and the credential from `OPSTAC_TOKEN`. What is recorded has
stand-ins: `it_1` is an id, `<time>` a time of the run; what is long is cut at `…`."""


def page() -> str:
    """The index."""
    return "\n\n".join([INTRODUCTION.strip(), EXAMPLES, contents(registered())])


def pages() -> dict[str, str]:
    """A page for each operation, by file name."""
    document = openapi.document()
    schemas = document["components"]["schemas"]
    made: dict[str, str] = {}
    for op in registered():
        parts = entry(op, document["paths"][f"/v1/op/{op.id}"]["post"], schemas)
        made[f"{op.id}.md"] = "\n\n".join([*parts, *example(op)])
    return made


def registered() -> list[Operation]:
    """Every operation, by id."""
    from ops_gateway import domains
    from ops_gateway.kernel.operation import REGISTRY

    domains.load()
    return [REGISTRY[op_id] for op_id in sorted(REGISTRY)]


def contents(chosen: list[Operation]) -> str:
    """A line for each operation."""
    rows = [[f"[`{op.id}`]({FOLDER}/{op.id}.md)", code(op.effect.value), op.summary]
            for op in chosen]  # fmt: skip
    return table(["operation", "effect", "what it does"], rows)


def example(op: Operation) -> list[str]:
    """The parts of a recorded call."""
    found = examples.recorded(op.domain).get(op.id)
    if found is None:
        return []
    body = found["body"]
    texts = [
        ("curl", "sh", examples.curl(op, body)),
        ("Python", "python", examples.python(op, body)),
        ("TypeScript", "ts", examples.typescript(op, body)),
        ("Command line", "sh", examples.cli(op, body)),
        ("MCP, parameters of `tools/call`", "json", examples.mcp(op, body)),
    ]
    parts = ["## Example"]
    if op.scope.startswith("admin:"):
        parts.append("Called by an operator of the platform.")
    for title, language, text in texts:
        parts += [f"{title}:", fenced(language, text)]
    if op.effect is Effect.SPEND:
        parts.append(
            "The tool answers the price and a `confirmation_token` at first, unless the key may "
            "spend without; called again with it, it answers as below."
        )
    parts.append(f"The answer, with status {found['status']}:")
    if "media" in found:
        parts.append(f"Bytes of {code(found['media'])}.")
    elif isinstance(found["answer"], str):
        parts.append(fenced("xml", found["answer"]))
    else:
        parts.append(fenced("json", examples.laid_out(found["answer"])))
    return parts


def fenced(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text}\n```"


def routes(op: Operation) -> str:
    """How it is asked over HTTP."""
    path = op.id.replace(".", "/").replace("_", "-")
    ways = [f"POST /v1/op/{op.id}", f"POST /v1/{path}"]
    if op.is_read:
        ways += [f"GET /v1/op/{op.id}", f"GET /v1/{path}"]
    return " · ".join(map(code, ways))


def entry(op: Operation, published: dict[str, Any], schemas: Schema) -> list[str]:
    """The parts of one operation's entry."""
    if op.alias_of:
        return [f"# `{op.id}`", f"Another name of [`{op.alias_of}`]({op.alias_of}.md).", routes(op)]
    facts = [f"scope `{op.scope}`", f"`{op.effect.value}`", f"answers {op.status}"]
    if op.public:
        facts.append("needs no credential")
    if op.human_only:
        facts.append("only for people, not for keys")
    if op.produces:
        facts.append(f"makes a `{op.produces}` with its lineage")
    if op.phases:
        facts.append("works outside the database in between, and can be resumed")
    if op.secret:
        facts.append("its answer holds a secret that is shown once")
    parts = [f"# `{op.id}`", op.summary, " · ".join(facts), routes(op)]
    if op.description:
        parts.append(" ".join(op.description.split()))
    body = published["requestBody"]["content"]["application/json"]["schema"]
    parts.append(fields("input", body, schemas) or "No input.")
    success = published["responses"][str(op.status)]["content"]
    for answer in success.values():
        found = fields("output", answer["schema"], schemas)
        if found:
            parts.append(found)
    kinds = [kind for kind in success if kind != "application/json"]
    if kinds:
        parts.append("Answers " + " or ".join(map(code, kinds)) + ".")
    refusals = ", ".join(status for status in published["responses"] if status >= "4")
    parts.append(f"Refused with {refusals}: see [errors](../errors.md).")
    return parts


def fields(title: str, schema: Schema, schemas: Schema) -> str:
    """A table of a schema's fields; nothing where it has none."""
    target = resolve(schema, schemas)
    required = target.get("required", ())
    rows = [
        [
            code(name) if title == "output" else f"{code(name)} {code(flag(name))}",
            type_of(field, dict(schemas)),
            "yes" if name in required else default_of(field),
            field.get("description", ""),
        ]
        for name, field in target.get("properties", {}).items()
    ]
    if title == "output":
        rows = [row[:2] for row in rows]
        return table(["output", "type"], rows) if rows else ""
    if not any(row[3] for row in rows):
        rows = [row[:3] for row in rows]
        return table(["input", "type", "required"], rows) if rows else ""
    return table(["input", "type", "required", "meaning"], rows) if rows else ""


def resolve(schema: Schema, schemas: Schema) -> Schema:
    """The schema itself: without its reference, without `or null`."""
    if "$ref" in schema:
        return resolve(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    choices = [s for s in schema.get("anyOf", ()) if s.get("type") != "null"]
    return resolve(choices[0], schemas) if len(choices) == 1 else schema

"""What operations there are, read from files beside this one: no server, no other package.

    from opstac.client import table

    table.entries()["items.get"].summary          # one Entry for each operation, by id
    table.schemas("items.get").fields["item_id"]  # JSON Schemas of its input and its answer

Both are made from the gateway's registry by `./opstac docs`, which also checks that they are not
stale. The light part is read in about a millisecond, the schemas in some more and only when one
is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).resolve().parent / "generated"

Answer = Literal["json", "ndjson", "bytes"]
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation.

    Attributes:
        id: dotted, such as `processing.job_types.list`.
        summary: one line: what it does.
        description: more lines, or nothing.
        scope: what a key or a person must hold.
        effect: `read`, `compute`, `external_spend`, `share_export` or `destructive`.
        status: the HTTP status of a success.
        answer: how its body is to be read: one JSON document, JSON lines, or bytes.
        media_types: what it may answer; for some bytes also `application/json`.
        resource: a second path for POST beside `/v1/op/{id}`.
        get: a path for GET with the other fields in the query, for reads: `/v1/items/{item_id}`.
        fields: the input's fields and their types in short: `string`, `integer[]`, `object`.
        required: which of them must be given.
        public: needs no credential.
        human_only: refuses keys.
        secret: its answer holds a secret that is shown once.
        alias_of: the operation that this is another name of.
    """

    id: str
    summary: str
    description: str
    scope: str
    effect: str
    status: int
    answer: Answer
    media_types: tuple[str, ...]
    resource: str
    get: str | None
    fields: Mapping[str, str]
    required: frozenset[str]
    public: bool
    human_only: bool
    secret: bool
    alias_of: str | None

    @property
    def path(self) -> str:
        """The path for POST."""
        return f"/v1/op/{self.id}"

    @property
    def domain(self) -> str:
        """The id's first part."""
        return self.id.partition(".")[0]

    @property
    def is_read(self) -> bool:
        """True where it changes nothing."""
        return self.effect == "read"

    @property
    def takes_key(self) -> bool:
        """True where an `Idempotency-Key` makes the call repeatable."""
        return not self.is_read and self.answer == "json"


@dataclass(frozen=True, slots=True)
class Schemas:
    """JSON Schemas of one operation; `$ref`s point into `definitions`, as `#/$defs/NAME`.

    Attributes:
        input: of the body, an object; a field's meaning is its `description`.
        output: of the answer; None where it is bytes.
        definitions: all shared definitions, by name.
    """

    input: Schema
    output: Schema | None
    definitions: Mapping[str, Schema]

    @property
    def fields(self) -> dict[str, Schema]:
        """The input's fields as plain schemas: without `$ref`, without `or null`."""
        return {n: self.plain(s) for n, s in self.plain(self.input).get("properties", {}).items()}

    @property
    def required(self) -> frozenset[str]:
        """Names of the fields that must be given."""
        return frozenset(self.plain(self.input).get("required", ()))

    def plain(self, schema: Schema) -> Schema:
        """The schema without its reference and without `or null`; keeps description, default."""
        if "$ref" in schema:
            found = self.plain(self.definitions[schema["$ref"].rpartition("/")[2]])
            return {**found, **{k: v for k, v in schema.items() if k != "$ref"}}
        choices = [s for s in schema.get("anyOf", ()) if s.get("type") != "null"]
        if len(choices) == 1:
            outer = {k: v for k, v in schema.items() if k != "anyOf"}
            return {**self.plain(choices[0]), **outer}
        if schema.get("type") == "array" and "items" in schema:
            return {**schema, "items": self.plain(schema["items"])}
        return schema


@cache
def entries() -> Mapping[str, Entry]:
    """Every operation by id, sorted."""
    return parse((FOLDER / "operations.json").read_bytes())


def parse(text: str | bytes) -> dict[str, Entry]:
    """The operations that a table's text describes."""
    return {name: _entry(name, raw) for name, raw in json.loads(text).items()}


def schemas(op_id: str) -> Schemas:
    """The schemas of one operation.

    Raises:
        KeyError: there is no such operation.
    """
    all_of_them = _schemas()
    found = all_of_them["operations"][op_id]
    return Schemas(found["input"], found.get("output"), all_of_them["$defs"])


@cache
def _schemas() -> dict[str, Any]:
    return json.loads((FOLDER / "schemas.json").read_bytes())


def _entry(name: str, raw: dict[str, Any]) -> Entry:
    return Entry(
        id=name,
        summary=raw["summary"],
        description=raw.get("description", ""),
        scope=raw["scope"],
        effect=raw["effect"],
        status=raw.get("status", 200),
        answer=raw.get("answer", "json"),
        media_types=tuple(raw.get("media_types", ("application/json",))),
        resource=raw["resource"],
        get=raw.get("get"),
        fields=raw.get("fields", {}),
        required=frozenset(raw.get("required", ())),
        public=raw.get("public", False),
        human_only=raw.get("human_only", False),
        secret=raw.get("secret", False),
        alias_of=raw.get("alias_of"),
    )

"""The tree of operations: `client.processing.job_types.list(…)` for `processing.job_types.list`.

What is typed stands in `generated/tree.pyi`; this here makes the same from the table.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Protocol

from opstac.client import table


class Caller(Protocol):
    """A client, sync or not."""

    def op(
        self,
        operation: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Any:
        """Run an operation."""


def attribute(name: str) -> str:
    """A part of an id, or a field, as Python may write it: `import_`, `filter_lang`."""
    name = name.replace("-", "_")
    return name + "_" if keyword.iskeyword(name) else name


@cache
def children() -> Mapping[str, Mapping[str, str]]:
    """The names below each prefix, as they are written and as they are in ids."""
    found: dict[str, dict[str, str]] = {"": {}}
    for op_id in table.entries():
        parts = op_id.split(".")
        for depth, part in enumerate(parts):
            found.setdefault(".".join(parts[:depth]), {})[attribute(part)] = part
    return found


@cache
def fields(op_id: str) -> Mapping[str, str]:
    """The fields of an operation's input, as they are written in Python and on the wire."""
    return {attribute(name): name for name in table.entries()[op_id].fields}


def below(client: Caller, prefix: str, name: str) -> Node:
    """The node `name` under `prefix`.

    Raises:
        AttributeError: there is none; names what comes near.
    """
    known = children().get(prefix, {})
    if name not in known:
        near = get_close_matches(name, known, n=3)
        hint = f"; is it {' or '.join(near)}?" if near else ""
        raise AttributeError(f"there is no operation {prefix}{prefix and '.'}{name}{hint}")
    return Node(client, f"{prefix}.{known[name]}" if prefix else known[name])


class Node:
    """A part of an id; where it is a whole one, it can be called."""

    __slots__ = ("_client", "_id")

    def __init__(self, client: Caller, op_id: str) -> None:
        """`op_id`: an id or the beginning of some."""
        self._client = client
        self._id = op_id

    def __getattr__(self, name: str) -> Node:
        """What is below."""
        return below(self._client, self._id, name)

    def __dir__(self) -> list[str]:
        """For completion."""
        return sorted(children().get(self._id, {}))

    def __repr__(self) -> str:
        """The id, and what it does."""
        entry = table.entries().get(self._id)
        return f"<{self._id}: {entry.summary}>" if entry else f"<{self._id}.…>"

    def __call__(
        self,
        body: Mapping[str, Any] | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        **given: Any,
    ) -> Any:
        """Run the operation with a body, with fields by name, or with both; names win.

        Raises:
            TypeError: it has no field of that name. A body is sent as it is.
        """
        if self._id not in table.entries():
            raise TypeError(f"{self._id} is no operation; there are {', '.join(dir(self))}")
        known = fields(self._id)
        for name in given:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"; is it {near[0]}?" if near else ""
                raise TypeError(f"{self._id} has no input {name}{hint}")
        named = {known[name]: value for name, value in given.items()}
        whole = {**(body or {}), **named}
        return self._client.op(self._id, whole, idempotency_key=idempotency_key)

"""Named SQL: `queries(__file__)` loads the `.sql` twin beside a module.

A twin holds blocks of the form

    -- name: fire_rule
    -- What it does, in a line.
    select ... where id = :rule_id

Parameters are written `:name`; they become the driver's placeholders here and nowhere else, so that
the driver is a matter of this one file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)
# a colon that is neither a cast (::) nor part of a time or an identifier, followed by a name;
# comments and string literals are matched first so that a colon inside one is left alone
_PARAMETER = re.compile(r"--[^\n]*|'(?:[^']|'')*'|(?<![:\w]):([a-z_][a-z0-9_]*)")


class Queries:
    """The queries of one twin, by attribute."""

    def __init__(self, path: Path) -> None:
        """Read and translate `path`; raises ValueError where a name stands twice."""
        self.path = path
        self._by_name: dict[str, str] = {}
        parts = _NAME.split(path.read_text(encoding="utf-8"))
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            if name in self._by_name:
                raise ValueError(f"{path.name}: query {name} stands twice")
            self._by_name[name] = translate(body.strip().rstrip(";"))

    def __getattr__(self, name: str) -> LiteralString:
        """One query's text, ready for the driver."""
        try:
            return cast(LiteralString, self._by_name[name])
        except KeyError:
            raise AttributeError(f"{self.path.name} has no query {name!r}") from None

    def __iter__(self) -> Iterator[tuple[str, LiteralString]]:
        """(name, text) of every query, in the order of the file."""
        for name, text in self._by_name.items():
            yield name, cast(LiteralString, text)


def translate(sql: str) -> str:
    """`:name` → `%(name)s`; a literal percent sign is doubled for the driver."""

    def place(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"%({name})s" if name else match.group(0)

    return _PARAMETER.sub(place, sql.replace("%", "%%"))


def queries(module_file: str) -> Queries:
    """The `.sql` file beside the module at `module_file`."""
    return Queries(Path(module_file).with_suffix(".sql"))

"""The page of the database, from a migrated one."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from db.queries import queries
from opstac.reference.markdown import code, table

sql = queries(__file__)

INTRODUCTION = """# Database

The tables of the schema `opstac`, as the migrations leave them. pgstac's own are in `pgstac`, the
queue's in `queue`. A *tenant table* has row-level security that holds for its owner too: a
connection of the platform sees the rows of one organisation, the one bound to its transaction."""


def page(dsn: str) -> str:
    """The whole page, from the database `dsn`."""
    with psycopg.connect(dsn) as connection, connection.cursor(row_factory=dict_row) as cursor:
        tables = read(cursor, sql.tables)
        columns = read(cursor, sql.columns)
        functions = read(cursor, sql.functions)
    parts = [INTRODUCTION]
    for found in tables:
        parts.append(f"## {found['name']}")
        facts = ["tenant table" if found["protected"] else "no tenant table"]
        if found["partitioned"]:
            facts.append("partitioned by time")
        comment = " ".join((found["comment"] or "").split())
        parts.append(f"*{', '.join(facts)}*" + (f" — {comment}" if comment else ""))
        rows = [
            [
                code(c["column"]),
                c["type"],
                "" if c["required"] else "null",
                code(c["default"] or ""),
                c["comment"] or "",
            ]
            for c in columns
            if c["name"] == found["name"]
        ]
        parts.append(table(["column", "type", "", "default", "meaning"], rows))
    parts += ["## Functions", table(["function", "meaning"], map(function, functions))]
    return "\n\n".join(parts)


def function(found: dict[str, Any]) -> list[str]:
    """One function's row."""
    return [code(f"{found['name']}({found['arguments']})"), found["comment"]]


def read(cursor: psycopg.Cursor[dict[str, Any]], query: LiteralString) -> list[dict[str, Any]]:
    """The rows of a query."""
    return cursor.execute(query).fetchall()

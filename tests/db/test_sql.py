"""Every named query is valid on the migrated schema; one on a tenant's table names the tenant."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer

from db.pool import session_options
from db.queries import Queries, translate

ROOT = Path(__file__).parents[2]
TWINS = sorted(
    path
    for folder in ("ops_gateway", "src/opstac", "stac_api")
    for path in (ROOT / folder).rglob("*.sql")
)
# loops across tenants act as opstac_system and name the tenant by what they found
ACROSS = (
    "ops_gateway/worker/", "src/opstac/", "ops_gateway/kernel/chain", "ops_gateway/kernel/removal",
    "stac_api/",
)  # fmt: skip
# and so do the queries of domains that tell such a loop what is due
DUE = {
    ("billing_approvals", "overdue"),
    ("billing_auto_topup", "due"),
    ("clip_areas", "unfinished"),
    ("jobs", "expired"),
    ("jobs", "undispatched"),
    ("payments_pursuit", "due"),
    ("uploads", "expired"),
}


def named(path):
    return [(name, text) for name, text in Queries(path)]


@pytest.fixture(scope="module")
def connection(dsn):
    with psycopg.connect(dsn, autocommit=True, options=session_options()) as connection:
        yield connection


@pytest.mark.parametrize("path", TWINS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_query_prepares(connection, path):
    for name, text in named(path):
        query = PostgresQuery(Transformer(connection))
        parameters = dict.fromkeys(re.findall(r"%\((\w+)\)s", text))
        query.convert(text, parameters or None)
        result = connection.pgconn.prepare(b"", query.query)
        message = result.error_message.decode(errors="replace")
        assert result.status == psycopg.pq.ExecStatus.COMMAND_OK, f"{path.name}: {name}: {message}"


def test_every_query_on_a_tenants_table_names_the_tenant(connection):
    rows = connection.execute(
        "select table_name from information_schema.columns "
        "where table_schema = 'opstac' and column_name = 'organization_id'"
    ).fetchall()
    tables = {name for (name,) in rows}
    without = set()
    for path in TWINS:
        if path.relative_to(ROOT).as_posix().startswith(ACROSS):
            continue
        for name, text in named(path):
            used = set(re.findall(r"\b(?:from|join|update|into)\s+([a-z_]+)", text))
            if used & tables and "%(org)s" not in text:
                without.add((path.stem, name))
    assert without == DUE


def test_colons_in_comments_casts_and_strings_are_no_parameters():
    text = "-- it's :a\nselect ':b', x::text, :c, '100%' -- don't :d\nwhere a = :e"
    assert translate(text) == (
        "-- it's :a\nselect ':b', x::text, %(c)s, '100%%' -- don't :d\nwhere a = %(e)s"
    )

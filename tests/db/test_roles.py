"""What each database role may do: the second wall behind the queries."""

from __future__ import annotations

import psycopg
import pytest

from db.pool import UnsafeRole, make_pool, session_options


def as_role(dsn, role):
    return psycopg.connect(dsn, autocommit=True, options=session_options(role=role))


@pytest.fixture(scope="module")
def tables(dsn):
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            """
            select c.relname,
                   exists (select 1 from pg_attribute a
                           where a.attrelid = c.oid and a.attname = 'organization_id'),
                   c.relrowsecurity, c.relforcerowsecurity, c.relispartition
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = 'opstac' and c.relkind in ('r', 'p')
            """
        ).fetchall()
    return rows


def test_every_tenants_table_has_row_level_security_that_holds_for_its_owner(tables):
    open_tables = [
        name
        for name, tenants, enabled, forced, partition in tables
        if tenants and not partition and not (enabled and forced)
    ]
    assert open_tables == []


def test_the_tiler_reads_no_table(dsn, tables):
    with as_role(dsn, "opstac_tiler") as connection:
        for name, *_ in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f'select * from opstac."{name}"'.encode())
        assert connection.execute("select * from resolve_asset('it_none', null)").fetchall() == []


def test_a_session_without_an_organization_sees_an_error_not_nothing(dsn):
    with as_role(dsn, "opstac_app") as connection:
        for bound in (None, ""):
            if bound is not None:
                connection.execute("select set_config('opstac.org', '', false)")
            with pytest.raises(psycopg.Error) as caught:
                connection.execute("select * from item where id = 'x'")
            assert caught.value.sqlstate == "OP001"


@pytest.mark.parametrize(
    "table", ["journal", "entry", "lineage", "audit", "hold", "account", "event"]
)
def test_the_application_writes_no_record_by_hand(dsn, table):
    with as_role(dsn, "opstac_app") as connection:
        connection.execute("select set_config('opstac.org', 'org_x', false)")
        for statement in (f"delete from {table}", f"update {table} set organization_id = 'org_x'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


async def test_a_pool_refuses_a_role_that_passes_over_the_policies(dsn):
    pool = make_pool(dsn, "opstac_owner", min_size=0)
    async with pool:
        with pytest.raises(Exception) as caught:
            await pool.open(wait=True, timeout=5)
            async with pool.connection(timeout=3):
                pass
    assert isinstance(caught.value, UnsafeRole | psycopg.OperationalError | TimeoutError) or (
        "timeout" in type(caught.value).__name__.lower()
    )

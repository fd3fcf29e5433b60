"""Connection pools. Every connection of a pool acts as one of the platform's database roles."""

from __future__ import annotations

import re
import select
from typing import Any

import orjson
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

Connection = AsyncConnection[dict[str, Any]]
Pool = AsyncConnectionPool[Connection]

ROLES = ("opstac_app", "opstac_system", "opstac_stac", "opstac_tiler", "opstac_identity")

SESSION = {
    "search_path": "opstac,pgstac,queue,public",
    "timezone": "UTC",
    "jit": "off",
    "lock_timeout": "5000",
    "statement_timeout": "30000",
    "idle_in_transaction_session_timeout": "60000",
}


class UnsafeRole(RuntimeError):
    """The database session could pass over row-level security."""


def session_options(**settings: str) -> str:
    """The `options` connection parameter that sets `SESSION` and `settings`."""
    return " ".join(
        f"-c {name}=" + re.sub(r"([ \\])", r"\\\1", value)
        for name, value in {**SESSION, **settings}.items()
    )


def make_pool(
    dsn: str, role: str, *, min_size: int = 1, max_size: int = 10, **settings: str
) -> Pool:
    """A closed pool; `async with` or `await pool.open()` opens it.

    Args:
        dsn: any libpq connection string or URL.
        role: one of `ROLES`, taken with SET ROLE on each new connection.
        min_size, max_size: connections kept and allowed.
        settings: further session settings, e.g. `pgstac.readonly`.

    Raises:
        UnsafeRole: (when a connection is made) the role is a superuser, passes over row-level
            security or owns the platform's tables.
    """

    async def configure(connection: Connection) -> None:
        # jsonb keeps 1e300 as 301 digits; read as an int it could not be written out again
        set_json_loads(orjson.loads, connection.adapters)
        await connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        await refuse_unsafe(connection)

    return AsyncConnectionPool(
        dsn,
        connection_class=AsyncConnection[dict[str, Any]],
        kwargs={
            "row_factory": dict_row,
            "autocommit": True,  # transactions are opened by name, never by accident
            "options": session_options(**settings),
        },
        min_size=min_size,
        max_size=max_size,
        timeout=5,
        max_lifetime=1800,
        # a lost server is given up soon and asked again by the next request, so that service is
        # back with it and not after a back-off that has grown to minutes
        reconnect_timeout=2,
        check=check_connection,
        configure=configure,
        open=False,
        name=role,
    )


async def check_connection(connection: Connection) -> None:
    """Raise psycopg.OperationalError where the server has closed the connection.

    A server that goes away says so, or its system closes the socket: an idle connection that has
    something to read is asked, any other is taken as it is, without a round trip.
    """
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    if poll.poll(0):
        await connection.execute("")


async def refuse_unsafe(connection: Connection) -> None:
    """Raise UnsafeRole where the connection's current role could see every tenant."""
    cursor = await connection.execute(
        """
        select current_user::text as role, r.rolsuper, r.rolbypassrls,
               exists (select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace
                       where n.nspname = 'opstac' and c.relkind in ('r', 'p')
                         and c.relowner = r.oid) as owner
        from pg_roles r where r.rolname = current_user
        """
    )
    row = await cursor.fetchone()
    assert row is not None
    if row["rolsuper"] or row["rolbypassrls"] or row["owner"]:
        raise UnsafeRole(
            f"database role {row['role']} is superuser, BYPASSRLS or the tables' owner; "
            "row-level security would not hold. Run `opstac migrate` to set up the roles"
        )

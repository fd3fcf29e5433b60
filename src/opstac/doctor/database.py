"""The database: there, new enough, with what we need in it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from opstac.doctor.findings import Finding

if TYPE_CHECKING:
    import psycopg

OLDEST = 15
CLOCK_SECONDS = 5


def find(environ: Mapping[str, str]) -> tuple[str | None, Finding | None]:
    """(connection string, what is to be said where there is none)."""
    if environ.get("DATABASE_URL"):
        return environ["DATABASE_URL"], None
    from db.embedded import Cluster, default_home

    cluster = Cluster(default_home(environ) / "postgres")
    status = cluster.status()
    if not status.exists:
        said = f"none: DATABASE_URL is not set, and there is no private one in {status.folder}"
        return None, Finding("note", "database", said)
    if not status.running:
        return None, Finding(
            "warn", "database", f"the private one in {status.folder} does not run",
            "`opstac db start`, or `opstac serve`, which starts it",
        )  # fmt: skip
    return cluster.dsn(), None


def database(environ: Mapping[str, str]) -> Iterable[Finding]:
    """Everything about the database."""
    import psycopg

    dsn, finding = find(environ)
    if dsn is None:
        yield finding or Finding("note", "database", "none")
        return
    try:
        connection = psycopg.connect(dsn, connect_timeout=5, autocommit=True)
    except psycopg.Error as error:
        said = " ".join(str(error).split()) or type(error).__name__
        yield Finding(
            "bad", "database", f"it does not answer: {said}",
            "see that it runs, and that DATABASE_URL has its host, port, user and password",
        )  # fmt: skip
        return
    with connection:
        connection.execute("set statement_timeout = '10s'")
        yield from server(connection)
        yield from extensions(connection)
        yield from schema(connection, dsn)


def server(connection: psycopg.Connection) -> Iterable[Finding]:
    """Its version and clock."""
    number = connection.info.server_version // 10000
    where = f"PostgreSQL {number} at {connection.info.host}:{connection.info.port}"
    if number < OLDEST:
        yield Finding("bad", "database", where, f"use PostgreSQL {OLDEST} or newer")
    else:
        yield Finding("ok", "database", where)
    before = time.time()
    row = connection.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
    drift = abs((row[0] if row else before) - (before + time.time()) / 2)
    if drift > CLOCK_SECONDS:
        yield Finding(
            "warn", "clock", f"this machine and the database differ by {drift:.0f} s",
            "let both keep time by NTP",
        )  # fmt: skip


def extensions(connection: psycopg.Connection) -> Iterable[Finding]:
    """PostGIS and the others."""
    from db.migrate import EXTENSIONS

    rows = connection.execute(
        "select a.name, e.extversion from pg_available_extensions a"
        " left join pg_extension e on e.extname = a.name where a.name = any(%s)",
        (list(EXTENSIONS),),
    ).fetchall()
    there = dict(rows)
    for name in EXTENSIONS:
        if name not in there:
            yield Finding(
                "bad", name, "the server does not have this extension",
                f"install it on the server's machine, as the package postgresql-*-{name}",
            )  # fmt: skip
        elif there[name] is None:
            yield Finding("warn", name, "not made in this database", "run `opstac migrate`")
        elif name == "postgis":
            yield Finding("ok", name, str(there[name]))


def schema(connection: psycopg.Connection, dsn: str) -> Iterable[Finding]:
    """pgstac's version, and our migrations."""
    from importlib.metadata import version

    from db import migrate

    wanted = version("pypgstac")
    row = connection.execute("select to_regclass('pgstac.migrations')").fetchone()
    found = None
    if row and row[0]:
        row = connection.execute(
            "select version from pgstac.migrations order by datetime desc, version desc limit 1"
        ).fetchone()
        found = row[0] if row else None
    if found is None:
        yield Finding("bad", "pgstac", "not in this database", "run `opstac migrate`")
    elif found != wanted:
        yield Finding("bad", "pgstac", f"{found}, and {wanted} is needed", "run `opstac migrate`")
    else:
        yield Finding("ok", "pgstac", wanted)
    behind = migrate.pending(dsn)
    if behind:
        said = f"{len(behind)} are missing, from {behind[0]} on"
        yield Finding("bad", "migrations", said, "run `opstac migrate`")
    else:
        yield Finding("ok", "migrations", f"all {len(migrate.files())} are applied")

"""Bring a database to this version: roles, pgstac, the job queue's tables, then our migrations.

Works for any owner of the database that may create roles (CREATEROLE); it need not be superuser.
Extensions (postgis, btree_gist, unaccent) must exist already where the owner may not create them.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import redirect_stdout
from importlib import resources
from pathlib import Path

import psycopg
from psycopg import sql

MIGRATIONS = Path(__file__).parent / "migrations"
EXTENSIONS = ("postgis", "btree_gist", "unaccent")
OWN_ROLES = (
    "opstac_owner",
    "opstac_app",
    "opstac_tiler",
    "opstac_system",
    "opstac_stac",
    "opstac_identity",
)
PGSTAC_ROLES = ("pgstac_admin", "pgstac_read", "pgstac_ingest")
LOCK = 7_205_759_403  # one migrator at a time; any constant that nothing else uses


class MigrationError(RuntimeError):
    """The database cannot be brought to this version; the message says what to do."""


def migrate(dsn: str) -> list[str]:
    """Apply what is missing; returns the names of what was applied.

    Raises:
        MigrationError: a right or an extension is missing, or an applied migration was edited.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set client_min_messages = warning; set lock_timeout = '60s'")
        connection.execute("select pg_advisory_lock(%s)", (LOCK,))
        try:
            _roles(connection)
            _extensions(connection)
            applied = _pgstac(connection, dsn)
            applied += _queue(connection)
            applied += _own(connection)
            with connection.transaction():
                connection.execute("set local role opstac_owner")
                connection.execute("select opstac.keep_partitions()")
            return applied
        finally:
            connection.execute("reset role")
            connection.execute("select pg_advisory_unlock(%s)", (LOCK,))


def pending(dsn: str) -> list[str]:
    """Names of our migrations that `dsn` lacks; all of them where nothing was ever applied."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        known = _checksums(connection)
        return [path.name for path in files() if path.name not in known]


def files() -> list[Path]:
    """Our migrations, in the order they apply."""
    return sorted(MIGRATIONS.glob("*.sql"))


def version() -> str:
    """A digest of everything a migrated database depends on; names a reusable template."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for package in ("pypgstac", "procrastinate"):
        digest.update(resources.files(package).joinpath("__init__.py").read_bytes())
        digest.update(_distribution_version(package).encode())
    for path in files():
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _distribution_version(name: str) -> str:
    from importlib.metadata import version as distribution_version

    return distribution_version(name)


def _roles(connection: psycopg.Connection) -> None:
    for role in (*PGSTAC_ROLES, *OWN_ROLES):
        exists = connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone()
        try:
            if not exists:
                connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
            # since PostgreSQL 16 who creates a role may administer it, yet not act as it
            acts = connection.execute(
                "select pg_has_role(current_user, %s, 'USAGE')", (role,)
            ).fetchone()
            if acts != (True,):
                connection.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(role)))
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(
                f"the database user may not create or take role {role}; as an administrator run: "
                f"create role {role} nologin; grant {role} to "
                f"{connection.info.user} with admin option"
            ) from error
    # opstac_owner hands functions to these two and gives out pgstac's rights
    for role in ("opstac_system", "opstac_stac", *PGSTAC_ROLES):
        connection.execute(sql.SQL("grant {} to opstac_owner").format(sql.Identifier(role)))
    for schema in ("opstac", "queue"):
        connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
        owner = connection.execute(
            "select nspowner::regrole::text from pg_namespace where nspname = %s", (schema,)
        ).fetchone()
        if owner and owner[0] != "opstac_owner":
            connection.execute(
                sql.SQL("grant create on database {} to opstac_owner").format(
                    sql.Identifier(connection.info.dbname)
                )
            )
            connection.execute(
                sql.SQL("alter schema {} owner to opstac_owner").format(sql.Identifier(schema))
            )
    connection.execute(
        "grant usage on schema opstac, queue "
        "to opstac_app, opstac_tiler, opstac_system, opstac_stac, opstac_identity"
    )
    connection.execute("grant create on schema opstac to opstac_system")


def _extensions(connection: psycopg.Connection) -> None:
    for extension in EXTENSIONS:
        if connection.execute(
            "select 1 from pg_extension where extname = %s", (extension,)
        ).fetchone():
            continue
        try:
            connection.execute(sql.SQL("create extension {}").format(sql.Identifier(extension)))
        except psycopg.Error as error:
            raise MigrationError(
                f"extension {extension} is missing and this user may not create it; as an "
                f'administrator run in this database: create extension "{extension}"'
            ) from error


def _pgstac(connection: psycopg.Connection, dsn: str) -> list[str]:
    from pypgstac.db import PgstacDB
    from pypgstac.migrate import Migrate

    wanted = _distribution_version("pypgstac")
    found = connection.execute("select to_regclass('pgstac.migrations')").fetchone()
    if found and found[0]:
        row = connection.execute(
            "select version from pgstac.migrations order by datetime desc, version desc limit 1"
        ).fetchone()
        if row and row[0] == wanted:
            return []
    with PgstacDB(dsn=dsn) as database, redirect_stdout(io.StringIO()):
        Migrate(database).run_migration(toversion=wanted)
    return [f"pgstac {wanted}"]


def _queue(connection: psycopg.Connection) -> list[str]:
    """The queue's schema as the installed procrastinate has it, in a schema of its own."""
    wanted = _distribution_version("procrastinate")
    with connection.transaction():
        connection.execute("set local role opstac_owner")
        connection.execute(
            "create table if not exists opstac.migration "
            "(name text primary key, checksum text not null, at timestamptz not null default now())"
        )
    known = _checksums(connection)
    done = sorted(name for name in known if name.startswith("procrastinate "))
    if f"procrastinate {wanted}" in done:
        return []
    folder = resources.files("procrastinate").joinpath("sql")
    with connection.transaction():
        connection.execute("set local role opstac_owner")
        connection.execute("set local search_path = queue, public")
        if not done:
            connection.execute(folder.joinpath("schema.sql").read_bytes())
        else:
            last = _numbers(done[-1].split()[1])
            for script in sorted(folder.joinpath("migrations").iterdir(), key=lambda p: p.name):
                if script.name.endswith(".sql") and _numbers(script.name) > last:
                    connection.execute(script.read_bytes())
        for role in ("opstac_app", "opstac_system"):
            name = sql.Identifier(role)
            connection.execute(
                sql.SQL("grant all on all tables in schema queue to {}").format(name)
            )
            connection.execute(
                sql.SQL("grant all on all sequences in schema queue to {}").format(name)
            )
        connection.execute(
            "insert into opstac.migration (name, checksum) values (%s, '')",
            (f"procrastinate {wanted}",),
        )
    return [f"procrastinate {wanted}"]


def _numbers(name: str) -> tuple[int, ...]:
    """The leading dotted version of a script's or release's name."""
    parts = name.split("_")[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _checksums(connection: psycopg.Connection) -> dict[str, str]:
    found = connection.execute("select to_regclass('opstac.migration')").fetchone()
    if not found or not found[0]:
        return {}
    rows = connection.execute("select name, checksum from opstac.migration").fetchall()
    return dict(rows)


def _own(connection: psycopg.Connection) -> list[str]:
    known = _checksums(connection)
    applied: list[str] = []
    for path in files():
        text = path.read_text(encoding="utf-8")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        if path.name in known:
            if known[path.name] != checksum:
                raise MigrationError(
                    f"{path.name} was applied with other text: this database was made by another "
                    "version whose migrations were edited since. Take another data folder "
                    "(OPSTAC_HOME) or another DATABASE_URL; and never edit a migration, write a "
                    "new one"
                )
            continue
        with connection.transaction():
            connection.execute("set local role opstac_owner")
            connection.execute("set local search_path = opstac, pgstac, public")
            connection.execute(text.encode())
            # a migration may act as another role for a while (pgstac's objects)
            connection.execute("set local role opstac_owner")
            connection.execute(
                "insert into opstac.migration (name, checksum) values (%s, %s)",
                (path.name, checksum),
            )
        applied.append(path.name)
    return applied

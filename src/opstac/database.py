"""Which database a command works on: DATABASE_URL, or the private cluster of the data folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opstac.cli import CommandError


@dataclass(frozen=True)
class Database:
    """A database that answers, and the platform's data folder."""

    dsn: str
    home: Path
    private: bool


def find(environ: Mapping[str, str] = os.environ, *, start: bool = True) -> Database:
    """The database to use; starts the private cluster where `start` and DATABASE_URL is not set.

    Raises CommandError: DATABASE_URL does not answer, or a private cluster does not run.
    """
    from db.embedded import default_cluster, default_home

    home = default_home()
    url = environ.get("DATABASE_URL")
    if url:
        check(url)
        return Database(url, home, private=False)
    cluster = default_cluster()
    if start:
        cluster.start()
    elif not cluster.status().running:
        raise CommandError(
            "no platform runs here: start one with `./opstac demo`, or set DATABASE_URL"
        )
    return Database(cluster.dsn(), home, private=True)


def check(url: str) -> None:
    """Raise CommandError unless `url` answers."""
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        raise CommandError(f"DATABASE_URL does not answer: {str(error).strip()}") from None


def migrate(database: Database) -> list[str]:
    """Bring the database to this version; names of what was applied."""
    from db.migrate import MigrationError
    from db.migrate import migrate as apply

    try:
        return apply(database.dsn)
    except MigrationError as error:
        raise CommandError(str(error)) from None

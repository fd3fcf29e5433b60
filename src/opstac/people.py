"""Users made by the operator: until people sign themselves up, demo and testbed make theirs."""

from __future__ import annotations

import uuid

import psycopg

from db.pool import session_options
from ops_gateway.kernel.authenticate import issue_session
from ops_gateway.kernel.secrets import Keys
from opstac.settings import Settings


def make_user(settings: Settings, name: str, email: str | None = None) -> str:
    """A new user's id; the one with `email` where there is one already."""
    options = session_options(role="opstac_system")
    with psycopg.connect(settings.dsn, options=options) as connection:
        row = connection.execute(
            "insert into app_user (id, email, name) values (%s, %s, %s) "
            "on conflict (email) do update set name = excluded.name returning id::text",
            (str(uuid.uuid4()), email, name),
        ).fetchone()
    assert row is not None
    return row[0]


def session(settings: Settings, user_id: str, seconds: int) -> str:
    """A session token for a user."""
    return issue_session(Keys(settings.master_secret), settings.issuer, user_id, seconds=seconds)

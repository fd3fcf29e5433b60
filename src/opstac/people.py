"""People as the operator makes them, and the keys that their session tokens are signed with."""

from __future__ import annotations

import uuid
from typing import Any, LiteralString

import psycopg

from db.pool import session_options
from ops_gateway.kernel.authenticate import issue_session
from ops_gateway.kernel.secrets import Keys
from opstac.settings import Settings


def ask(
    settings: Settings, query: LiteralString, *values: Any, role: str = "opstac_system"
) -> tuple[Any, ...] | None:
    """The first row that a statement gives, as one of the platform's roles."""
    with psycopg.connect(settings.dsn, options=session_options(role=role)) as connection:
        cursor = connection.execute(query, values or None)
        return cursor.fetchone() if cursor.description else None


def make_user(settings: Settings, name: str | None, email: str | None = None) -> str:
    """A new user's id; the one with `email` where there is one already."""
    row = ask(
        settings,
        "insert into app_user (id, email, name) values (%s, %s, %s) on conflict (email)"
        " do update set name = coalesce(excluded.name, app_user.name) returning id::text",
        str(uuid.uuid4()),
        email,
        name,
    )
    assert row is not None
    return row[0]


def set_password(settings: Settings, user_id: str, password: str) -> None:
    """Give a user a password; whoever is signed in as them is signed out. The operator vouches for
    the address with it.
    """
    from ops_gateway.kernel.passwords import hashed

    role = "opstac_identity"
    kept = hashed(password)
    ask(
        settings,
        "with ended as (update sign_in set ended_at = now()"
        " where user_id = %s and ended_at is null),"
        " closed as (delete from browser_session where user_id = %s),"
        " vouched as (update app_user set email_verified_at = coalesce(email_verified_at, now())"
        " where id = %s)"
        " insert into user_password (user_id, hash) values (%s, %s)"
        " on conflict (user_id) do update set hash = excluded.hash, changed_at = now()",
        user_id,
        user_id,
        user_id,
        user_id,
        kept,
        role=role,
    )


def disable(settings: Settings, email: str, *, disabled: bool) -> bool:
    """Close an account, or open it again; false where there is none with this address."""
    row = ask(
        settings,
        "update app_user set disabled_at = case when %s then coalesce(disabled_at, now()) end"
        " where lower(email) = lower(%s) returning id",
        disabled,
        email,
    )
    return row is not None


def generation(settings: Settings) -> int:
    """Which session key signs now."""
    row = ask(settings, "select generation from session_key")
    assert row is not None
    return row[0]


def rotate(settings: Settings, *, at_once: bool) -> int:
    """Sign with a new session key from now on; its generation.

    Tokens of the one before hold for ten minutes more, longer than they live, or with `at_once`
    not at all.
    """
    row = ask(
        settings,
        "update session_key set generation = generation + 1, rotated_at = now(),"
        " floor = generation + case when %s then 1 else 0 end returning generation",
        at_once,
    )
    assert row is not None
    return row[0]


def make_operator(settings: Settings, user_id: str) -> None:
    """Let a user run the platform: call what needs `admin:*`."""
    options = session_options(role="opstac_system")
    with psycopg.connect(settings.dsn, options=options) as connection:
        connection.execute(
            "insert into platform_operator (user_id) values (%s) on conflict do nothing",
            (user_id,),
        )


def session(settings: Settings, user_id: str, seconds: int) -> str:
    """A session token for a user."""
    return issue_session(
        Keys(settings.master_secret),
        settings.issuer,
        user_id,
        seconds=seconds,
        generation=generation(settings),
    )

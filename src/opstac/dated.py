"""Rows with a time that the operator sets from the command line: prices, plans, thresholds."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString

if TYPE_CHECKING:
    from opstac.settings import Settings


def configuration() -> Settings:
    """The settings of the platform that the environment names."""
    from opstac import database, settings

    found = database.find(start=False)
    return settings.read(dsn=found.dsn, home=found.home)


def rows(query: LiteralString, *values: Any) -> list[dict[str, Any]]:
    """Run one statement as the platform. Raises CommandError where a value is refused."""
    import psycopg
    from psycopg.rows import dict_row

    from db.pool import session_options
    from opstac.cli import CommandError

    options = session_options(role="opstac_system")
    try:
        with (
            psycopg.connect(configuration().dsn, options=options) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError) as error:
        raise CommandError(f"refused: {error.diag.message_primary}") from None
    except psycopg.Error as error:
        if error.sqlstate in ("OP002", "OP012"):
            raise CommandError(str(error.diag.message_primary)) from None
        raise


def insert(
    table: LiteralString,
    name: LiteralString,
    values: Mapping[str, Any],
    *,
    cleared: Sequence[str] = (),
) -> datetime:
    """Begin a row; what it does not say goes on as it was. When it begins.

    Args:
        table: one whose rows are dated.
        name: its column of the name.
        values: by column; None is left out.
        cleared: columns that are to be null.
    """
    from psycopg import sql as build
    from psycopg.types.json import Jsonb

    given = {column: value for column, value in values.items() if value is not None}
    given |= dict.fromkeys(cleared)
    query = build.SQL(
        "insert into {table} select (jsonb_populate_record(null::{table},"
        " coalesce((select to_jsonb(t) - 'valid_until' from {table} t where t.{name} = %s"
        "   and t.valid_from <= coalesce(%s::timestamptz, now())"
        "   order by t.valid_from desc limit 1),"
        "   %s::jsonb) || jsonb_build_object('valid_from', now()) || %s::jsonb)).*"
        " returning valid_from"
    ).format(table=build.Identifier(table), name=build.Identifier(name))
    at = given.get("valid_from")
    defaults = DEFAULTS[table]
    made = rows(query, given[name], at, Jsonb(defaults), Jsonb(given))  # type: ignore[arg-type]
    return made[0]["valid_from"]


# what a first row of a name says where nothing else is said
DEFAULTS: dict[str, dict[str, Any]] = {
    "price": {"minimum_credits": 0},
    "plan": {
        "description": "",
        "currency": "AUD",
        "monthly_fee_cents": 0,
        "monthly_credits": 0,
        "credit_line": 0,
        "needs_approval": False,
        "limits": {},
        "features": [],
    },
    "threshold": {},
}


def times(args: Namespace) -> dict[str, str | None]:
    """`--from` and `--until` of a command, with their zone; UTC where they name none."""
    from opstac.cli import CommandError

    def moment(text: str | None) -> str | None:
        if text is None:
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise CommandError(
                f"no time: {text!r}; write 2027-01-01 or 2027-01-01T12:00Z"
            ) from None
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()

    return {"valid_from": moment(args.begin), "valid_until": moment(getattr(args, "until", None))}


def span(row: Mapping[str, Any]) -> str:
    """From when until when a row holds."""
    until = row["valid_until"]
    return f"from {row['valid_from']:%Y-%m-%d %H:%M}Z" + (
        f" until {until:%Y-%m-%d %H:%M}Z" if until else ""
    )

"""Print a token whose only authority is one job's outputs.

For a dispatched job of type `external`, whose work is done outside the platform.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("job", help="id of the job")


def run(args: argparse.Namespace) -> int:
    """Print the token."""
    import psycopg
    from psycopg.rows import dict_row

    from db.pool import session_options
    from ops_gateway.kernel.authenticate import issue_job_token
    from ops_gateway.kernel.secrets import Keys
    from opstac import database, settings
    from opstac.cli import CommandError

    found = database.find(start=False)
    made = settings.read(dsn=found.dsn, home=found.home)
    options = session_options(role="opstac_app")
    with (
        psycopg.connect(found.dsn, options=options) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        row = cursor.execute("select * from authenticate_job(%s)", (args.job,)).fetchone()
    if row is None:
        raise CommandError(f"there is no job {args.job}")
    if row["job_type_id"] != "external":
        raise CommandError(
            f"{args.job} is a {row['job_type_id']} job; its own worker has its token"
        )
    if row["status"] not in ("dispatched", "running"):
        raise CommandError(f"the job is {row['status']}; a token is minted once it is dispatched")
    print(
        issue_job_token(
            Keys(made.master_secret),
            made.issuer,
            job_id=args.job,
            organization_id=row["organization_id"],
            epoch=row["epoch"],
            seconds=made.job_timeout_seconds,
        )
    )
    return 0

"""Say who runs the platform: people who may call the operations of `admin:*`.

They need no organisation, and are in one like anybody else.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    added = actions.add_parser("add", help="make a person an operator")
    added.add_argument("email", metavar="EMAIL", help="of the person; made where there is none")
    added.add_argument("--token", action="store_true", help="print a session token for an hour")
    removed = actions.add_parser("remove", help="at once")
    removed.add_argument("email", metavar="EMAIL", help="of the person")
    actions.add_parser("list", help="who they are")


def run(args: argparse.Namespace) -> int:
    """Add, remove or list."""
    from opstac import dated, people
    from opstac.cli import CommandError

    if args.action == "list":
        query = "select email, o.created_at from platform_operator o join app_user on id = user_id"
        for row in dated.rows(query + " order by 1"):
            print(f"{row['email']} since {row['created_at']:%Y-%m-%d}")
        return 0
    if args.action == "remove":
        gone = dated.rows(
            "delete from platform_operator o using app_user u where u.id = o.user_id"
            " and u.email = %s returning 1", args.email,
        )  # fmt: skip
        if not gone:
            raise CommandError(f"{args.email} is no operator")
        print(f"{args.email} is an operator no more")
        return 0
    configuration = dated.configuration()
    known = dated.rows("select id::text from app_user where email = %s", args.email)
    user = known[0]["id"] if known else people.make_user(configuration, args.email, args.email)
    people.make_operator(configuration, user)
    print(people.session(configuration, user, 3600) if args.token else f"{args.email}: operator")
    return 0

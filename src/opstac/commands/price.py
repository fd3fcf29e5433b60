"""Set what a process costs, from now or from a time on.

The row in force ends where the new one begins. A job costs what was in force when it was made.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    made = actions.add_parser("set", help="begin a price")
    made.add_argument("process", metavar="PROCESS", help="id of the process: clip")
    made.add_argument("credits", metavar="CREDITS", help="for one unit: 0.05")
    made.add_argument(
        "--unit", choices=["flat", "sq_km", "megapixel"],
        help="what a unit is; flat is one a run. As before where absent",
    )  # fmt: skip
    made.add_argument("--minimum", type=int, metavar="CREDITS", help="the least that a run costs")
    made.add_argument("--from", dest="begin", metavar="TIME", help="when it begins; now")
    made.add_argument("--until", metavar="TIME", help="when the price of before is back; never")
    actions.add_parser("list", help="every price there is and was")


def run(args: argparse.Namespace) -> int:
    """Set or list."""
    from opstac import dated
    from opstac.cli import CommandError

    if args.action == "list":
        for row in dated.rows("select * from price order by subject, valid_from"):
            rate = f"{row['credits_per_unit'].normalize():f} credits a {row['unit']}"
            print(f"{row['subject']}: {rate}, at least {row['minimum_credits']}, {dated.span(row)}")
        return 0
    known = dated.rows("select 1 from price where subject = %s", args.process)
    if not known and args.unit is None:
        raise CommandError("this process had no price in the table: say --unit")
    values = {
        "subject": args.process,
        "unit": args.unit,
        "credits_per_unit": args.credits,
        "minimum_credits": args.minimum,
        **dated.times(args),
    }
    begins = dated.insert("price", "subject", values)
    print(f"{args.process}: {args.credits} credits from {begins:%Y-%m-%d %H:%M:%S}Z")
    return 0

"""Set a number that money is reckoned by, such as the tax, from now or from a time on."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    made = actions.add_parser("set", help="begin a value")
    made.add_argument("name", metavar="NAME", help="one that `list` shows: tax_basis_points")
    made.add_argument("value", type=int, metavar="NUMBER", help="in its unit")
    made.add_argument("--from", dest="begin", metavar="TIME", help="when it begins; now")
    made.add_argument("--until", metavar="TIME", help="when the value of before is back; never")
    actions.add_parser("list", help="every value there is and was")


def run(args: argparse.Namespace) -> int:
    """Set or list."""
    from opstac import dated
    from opstac.cli import CommandError

    if args.action == "list":
        for row in dated.rows("select * from threshold order by name, valid_from"):
            print(f"{row['name']}: {row['value']} {row['unit']}, {dated.span(row)}")
            print(f"  {row['meaning']}")
        return 0
    if not dated.rows("select 1 from threshold where name = %s", args.name):
        raise CommandError(f"there is no threshold '{args.name}'; `opstac threshold list` has all")
    values = {"name": args.name, "value": args.value, **dated.times(args)}
    begins = dated.insert("threshold", "name", values)
    print(f"{args.name}: {args.value} from {begins:%Y-%m-%d %H:%M:%S}Z")
    return 0

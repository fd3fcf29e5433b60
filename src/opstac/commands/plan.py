"""Set what a plan is, from now or from a time on, and who is on which.

What is not said goes on as it was. An organisation's own plan is told by `opstac plan assign`.
"""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    made = actions.add_parser("set", help="begin a plan, or a change of one")
    made.add_argument("plan", metavar="PLAN", help="its id: a-z, 0-9, '_' and '-'")
    made.add_argument("--name", help="for people; the id for a new plan")
    made.add_argument("--description", help="for people")
    made.add_argument("--fee", type=int, metavar="CENTS", help="a month, before tax")
    made.add_argument("--credits", type=int, metavar="CREDITS", help="given each month")
    made.add_argument(
        "--credit-months", type=int, metavar="MONTHS",
        help="how many months a month's credits are good for; 0: they do not expire",
    )  # fmt: skip
    made.add_argument(
        "--credit-line", type=int, metavar="CREDITS",
        help="so much may be used before an invoice; more than 0 makes it a plan paid afterwards",
    )  # fmt: skip
    made.add_argument(
        "--approval", choices=["yes", "no"], help="whether its credits wait for the operator's word"
    )
    made.add_argument("--limits", type=json.loads, metavar="JSON", help='{"storage_bytes": 1000}')
    made.add_argument("--from", dest="begin", metavar="TIME", help="when it begins; now")
    made.add_argument("--until", metavar="TIME", help="when it is as before again; never")
    actions.add_parser("list", help="every plan as it is and was")
    given = actions.add_parser("assign", help="put an organisation on a plan")
    given.add_argument("organization", metavar="ORG", help="its id: org_...")
    given.add_argument("plan", metavar="PLAN", help="the plan's id")
    given.add_argument("--from", dest="begin", metavar="TIME", help="when it begins; now")


def run(args: argparse.Namespace) -> int:
    """Set, list or assign."""
    from opstac import dated

    if args.action == "list":
        for row in dated.rows("select * from plan order by id, valid_from"):
            months = row["credit_months"]
            good = f" good for {months} months" if months else ""
            print(
                f"{row['id']}: {row['monthly_fee_cents']} cents and"
                f" {row['monthly_credits']} credits{good} a month,"
                f" line {row['credit_line']}, {dated.span(row)}"
            )
        return 0
    if args.action == "assign":
        return put_on(args)
    known = dated.rows("select 1 from plan where id = %s", args.plan)
    values = {
        "id": args.plan,
        "name": args.name or (None if known else args.plan),
        "description": args.description,
        "monthly_fee_cents": args.fee,
        "monthly_credits": args.credits,
        "credit_months": args.credit_months,
        "credit_line": args.credit_line,
        "needs_approval": None if args.approval is None else args.approval == "yes",
        "limits": args.limits,
        **dated.times(args),
    }
    cleared = ("credit_months",) if args.credit_months == 0 else ()
    begins = dated.insert("plan", "id", values, cleared=cleared)
    print(f"{args.plan}: as said from {begins:%Y-%m-%d %H:%M:%S}Z")
    return 0


def put_on(args: argparse.Namespace) -> int:
    """Put an organization on a plan, and say what it was given."""
    import asyncio
    from datetime import datetime

    from ops_gateway.domains import billing_plans
    from ops_gateway.kernel.errors import OpError
    from opstac import dated
    from opstac.cli import CommandError
    from opstac.compose import core

    begin = dated.times(args)["valid_from"]
    at = datetime.fromisoformat(begin) if begin else None

    async def assign() -> int:
        async with core(dated.configuration(), pool_size=2) as platform:
            return await billing_plans.assign(
                platform.pipeline, args.organization, args.plan, by="operator", at=at
            )

    try:
        given = asyncio.run(assign())
    except OpError as error:
        raise CommandError(error.detail) from None
    print(
        f"{args.organization} is on {args.plan}{f' from {begin}' if begin else ''}: {given} credits"
    )
    return 0

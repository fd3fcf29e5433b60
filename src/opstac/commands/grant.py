"""Give an organisation credits.

It is recorded like an operation, in the ledger and the audit.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opstac.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("organization", metavar="ORG", help="id of the organisation: org_...")
    parser.add_argument("credits", metavar="CREDITS", type=int, help="how many; 100 are A$1")
    parser.add_argument("--reason", default="granted by the operator", help="shown to its people")


def run(args: argparse.Namespace) -> int:
    """Grant, and say what the transaction is."""
    import asyncio

    from ops_gateway.kernel.errors import OpError
    from opstac import database, settings
    from opstac.cli import CommandError

    found = database.find(start=False)
    configuration = settings.read(dsn=found.dsn, home=found.home)
    try:
        transaction = asyncio.run(give(configuration, args.organization, args.credits, args.reason))
    except OpError as error:
        raise CommandError(error.detail) from None
    print(f"{args.credits} credits to {args.organization}: transaction {transaction}")
    return 0


async def give(configuration: Settings, organization_id: str, credits: int, reason: str) -> str:
    """Grant credits on the platform of `configuration`; the transaction's id."""
    from ops_gateway.domains.billing import grant_credits
    from opstac.compose import core

    async with core(configuration, pool_size=2) as platform:
        return await grant_credits(
            platform.pipeline, organization_id, credits, reason, by="operator"
        )

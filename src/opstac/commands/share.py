"""Say how much of the workers an organisation gets.

Without options it says what is set. A change is recorded like an operation, and counts from the
next job that starts.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ops_gateway.domains.job_shares import Share
    from opstac.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("organization", metavar="ORG", help="id of the organisation: org_...")
    parser.add_argument(
        "--weight",
        type=int,
        help="turns it gets for one of an organisation of weight 1; 1 to 100, 1 where never set",
    )
    parser.add_argument(
        "--running",
        type=limit,
        metavar="JOBS",
        help="its jobs that run at once, 0 to 1000; `default` for OPSTAC_ORG_RUNNING",
    )


def limit(text: str) -> int | Literal["default"]:
    """A number, or `default`; raises ValueError, which argparse tells."""
    return "default" if text == "default" else int(text)


def run(args: argparse.Namespace) -> int:
    """Set, and say what is set."""
    import asyncio

    from ops_gateway.kernel.errors import OpError
    from opstac import database, settings
    from opstac.cli import CommandError

    found = database.find(start=False)
    configuration = settings.read(dsn=found.dsn, home=found.home)
    try:
        share = asyncio.run(change(configuration, args.organization, args.weight, args.running))
    except OpError as error:
        raise CommandError(error.detail) from None
    running = "default" if share.running_limit is None else share.running_limit
    print(f"{args.organization}: weight {share.weight}, running {running}")
    return 0


async def change(
    configuration: Settings,
    organization_id: str,
    weight: int | None,
    running: int | Literal["default"] | None,
) -> Share:
    """Set a share on the platform of `configuration`; the share as it is then."""
    from ops_gateway.domains.job_shares import set_share
    from opstac.compose import core

    async with core(configuration, pool_size=2) as platform:
        return await set_share(
            platform.pipeline, organization_id, weight=weight, running_limit=running, by="operator"
        )

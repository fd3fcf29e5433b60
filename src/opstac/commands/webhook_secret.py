"""Show the secret that an organisation's webhooks are signed with.

It is shown once. With --rotate a new one is made; for a day messages are signed with both.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opstac.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("organization", metavar="ORG", help="id of the organisation: org_...")
    parser.add_argument("--rotate", action="store_true", help="make a new secret")


def run(args: argparse.Namespace) -> int:
    """Print the secret."""
    import asyncio

    from ops_gateway.kernel.errors import OpError
    from opstac import database, settings
    from opstac.cli import CommandError

    found = database.find(start=False)
    configuration = settings.read(dsn=found.dsn, home=found.home)
    try:
        print(asyncio.run(show(configuration, args.organization, rotate=args.rotate)))
    except OpError as error:
        raise CommandError(error.detail.replace("rotate it", "use --rotate")) from None
    return 0


async def show(configuration: Settings, organization_id: str, *, rotate: bool) -> str:
    """The secret on the platform of `configuration`."""
    from ops_gateway.domains import signing_secrets
    from opstac.compose import core

    async with core(configuration, pool_size=2) as platform:
        return await signing_secrets.show(platform.pipeline, organization_id, rotate=rotate)

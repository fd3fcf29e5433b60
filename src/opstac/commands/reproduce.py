"""Run the job of an item again and compare every bit.

From what was recorded of the run: process, inputs, sources. Nothing is stored or charged. Prints
what is not as it was (a source, the process, the code, a library) and what differs (an asset, how
many pixels). Status 0 where every output has the same bits, else 1.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opstac.reproduce import Outcome
    from opstac.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("item", metavar="ITEM", help="id of an item that a job made: it_...")
    parser.add_argument(
        "--seconds", type=float, default=3600, metavar="N", help="the run is stopped after them"
    )


def run(args: argparse.Namespace) -> int:
    """Run, compare, print."""
    import asyncio

    from opstac import database, settings
    from opstac.cli import CommandError
    from opstac.reproduce import CannotReproduce

    found = database.find(start=False)
    configuration = settings.read(dsn=found.dsn, home=found.home)
    try:
        outcome = asyncio.run(again(configuration, args.item, args.seconds))
    except CannotReproduce as error:
        raise CommandError(str(error)) from None
    for line in outcome.causes:
        print(f"changed: {line}")
    for line in outcome.differences:
        print(f"differs: {line}")
    if outcome.equal:
        print(f"bit-equal: job {outcome.job_id} gives the same files again")
    return 0 if outcome.equal else 1


async def again(configuration: Settings, item_id: str, seconds: float) -> Outcome:
    """The outcome for one item."""
    from db.pool import make_pool
    from opstac.compose import core
    from opstac.platform_worker import PlatformWorker
    from opstac.reproduce import reproduce

    async with (
        core(configuration, pool_size=2) as platform,
        make_pool(configuration.dsn, "opstac_system", max_size=2) as system,
    ):
        worker = PlatformWorker(
            platform.pipeline, platform.authenticator, issuer=configuration.issuer
        )
        return await reproduce(system, worker, platform.services.objects, item_id, seconds=seconds)

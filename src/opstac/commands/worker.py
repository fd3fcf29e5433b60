"""Run queued jobs until a signal."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""


def run(args: argparse.Namespace) -> int:
    """Work; ends with the process that started it, where that was a supervisor."""
    import asyncio

    from ops_gateway.kernel.logs import configure_logging
    from ops_gateway.worker import worker
    from opstac import database, settings
    from opstac.variables import LOG_LEVEL
    from opstac.work import run_worker

    configure_logging(LOG_LEVEL.text())
    found = database.find(start=False)
    made = settings.read(dsn=found.dsn, home=found.home)

    async def main(stop: asyncio.Event) -> None:
        await run_worker(made, stop)

    worker.run(main)

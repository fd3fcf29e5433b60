"""Serve the platform, or one service of it.

The database is DATABASE_URL, or the private one of OPSTAC_HOME, which is started.
"""

from __future__ import annotations

import argparse

SERVICES = ("all", "gateway", "stac", "tiler", "processes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--service", choices=SERVICES, default="all")
    parser.add_argument("--host", default=None, help="address to listen on (OPSTAC_HOST)")
    parser.add_argument("--port", type=int, default=None, help="port (OPSTAC_PORT, 8080)")
    parser.add_argument(
        "--no-worker",
        action="store_true",
        help="no worker beside it; run `opstac worker` elsewhere",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    from dataclasses import replace

    from ops_gateway.kernel.logs import configure_logging
    from opstac import database, settings
    from opstac.server import listen, on_uvloop, serve, worker_environment
    from opstac.variables import LOG_LEVEL, VERIFY_KEYS

    configure_logging(LOG_LEVEL.text())

    found = database.find()
    alone = args.service == "tiler" and VERIFY_KEYS.text() is not None
    made = settings.read(dsn=found.dsn, home=found.home, signs=not alone)
    made = replace(made, host=args.host or made.host, port=args.port or made.port)
    if found.private:
        database.migrate(found)
    listener = listen(made.host, made.port, shared=made.share_port)
    worker = args.service == "all" and not args.no_worker
    on_uvloop(
        serve(
            made,
            listener,
            service=args.service,
            worker=worker,
            worker_env=worker_environment(made, found.home) if worker else None,
        )
    )
    return 0

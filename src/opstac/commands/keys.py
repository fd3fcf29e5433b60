"""Print the public keys that a tile server of its own knows callers by.

They go into OPSTAC_VERIFY_KEYS of `opstac serve --service tiler`, in place of the master secret.
With --rotate session tokens are signed with a new key from now on; the printed keys already hold
the one after, so a tile server needs them before the second rotation.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--rotate", action="store_true", help="sign with a new key from now on")
    parser.add_argument(
        "--at-once",
        action="store_true",
        help="with --rotate: tokens of the old key do not hold any more; people sign in again",
    )


def run(args: argparse.Namespace) -> int:
    """Print them."""
    import os

    from db.embedded import default_home
    from ops_gateway.kernel.secrets import Keys
    from opstac import database, people, settings
    from opstac.cli import CommandError

    if args.at_once and not args.rotate:
        raise CommandError("--at-once says how to --rotate; give both")
    generation = 1
    if args.rotate or os.environ.get("DATABASE_URL"):
        found = database.find(start=False)
        configuration = settings.read(dsn=found.dsn, home=found.home)
        if args.rotate:
            generation = people.rotate(configuration, at_once=args.at_once)
        else:
            generation = people.generation(configuration)
    master = settings.master_secret(os.environ, default_home())
    print(Keys(master).public(generation).text())
    return 0

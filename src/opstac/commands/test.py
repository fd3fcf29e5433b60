"""Install what the tests need and run them.

Arguments are pytest's: `./opstac test tests/db -k signing`.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--yes", action="store_true", help="install packages without asking")
    parser.add_argument("arguments", nargs="*", help="arguments of pytest")


def run(args: argparse.Namespace) -> int:
    """Unreachable by `./opstac test`, which starts pytest itself after installing."""
    from opstac.cli import CommandError

    raise CommandError("the tests are run by `./opstac test`, which installs what they need")

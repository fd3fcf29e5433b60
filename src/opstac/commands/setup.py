"""Install what is missing, and nothing else.

`./opstac` does this by itself before a command that needs it.
"""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--dev", action="store_true", help="also what the checks and tests need")
    parser.add_argument("--yes", action="store_true", help="install packages without asking")


def run(args: argparse.Namespace) -> int:
    """Say where things are; `./opstac` has installed them before it came here."""
    print(f"ready: {sys.executable}")
    return 0

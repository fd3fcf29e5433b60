"""Serve a disposable platform with two organisations, for flows and checks.

Its database and files are removed when it ends. FILE is written, as JSON, once it answers: `url`,
`env` (variables that aim other `opstac` commands at it), `principals` (tokens) and `vars` (ids).
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", required=True, metavar="FILE", help="written when it is ready")
    parser.add_argument("--port", type=int, default=0, help="port; a free one by default")
    parser.add_argument("--yes", action="store_true", help="install packages without asking")


def run(args: argparse.Namespace) -> int:
    """Serve until killed."""
    from opstac.testbed import run_testbed

    run_testbed(args.out, args.port)
    return 0

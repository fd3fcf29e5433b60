"""Tell who the platform takes you for, and what you may do.

Status 0 where the credential holds, 2 where there is none or it does not.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")
    parser.add_argument("--json", action="store_true", help="as JSON, as in a pipe")


def run(args: argparse.Namespace) -> int:
    """Ask."""
    from opstac.shell import answers, sign_in
    from opstac.shell.server import Refusal, Server

    server = Server(args.server)
    token = server.token
    if token is None:
        raise Refusal(f"nobody is signed in to {server.url}\n{server.advice()}", 2)
    status, said = sign_in.who(server.url, token)
    if status != 200:
        raise Refusal(f"[{status}] the credential does not hold\n{server.advice()}", 2)
    answers.show({"server": server.url, **said}, "json" if args.json else None, None)
    return 0

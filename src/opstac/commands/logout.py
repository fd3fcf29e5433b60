"""Sign out: the session ends at the platform, and its credential is forgotten."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")


def run(args: argparse.Namespace) -> int:
    """Sign out; status 0 also where nobody was signed in, 1 where the platform was not told."""
    import sys

    from opstac.shell import sign_in
    from opstac.shell.server import Server
    from opstac.shell.status import CommandError

    server = Server(args.server)
    with server.store.alone():
        kept = server.store.get(server.url)
        if kept is None:
            print(f"nobody was signed in to {server.url}", file=sys.stderr)
            return 0
        server.store.remove(server.url)
    try:
        sign_in.end(server.url, kept)
    except CommandError as error:
        raise CommandError(
            f"{error}. The credential is forgotten here; its session ends by itself"
        ) from None
    print(f"signed out of {server.url}", file=sys.stderr)
    return 0

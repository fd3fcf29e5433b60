"""Sign in to a platform, and keep the credential for later commands.

    opstac login --server https://maps.example.org
    printenv MY_KEY | opstac login --with-token

A page is shown that a person approves the sign-in on. With --with-token an API key or a token is
read from standard input instead. What is kept is readable by you alone (mode 0600), is renewed by
itself, and is sent to this platform and no other. The last platform that was signed in to is the
one that commands call where neither --server nor OPSTAC_URL is given.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opstac.shell.credentials import Credential
    from opstac.shell.server import Server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")
    parser.add_argument("--no-browser", action="store_true", help="only print the page's address")
    parser.add_argument(
        "--with-token", action="store_true", help="keep the key or token of standard input"
    )


def run(args: argparse.Namespace) -> int:
    """Sign in."""
    import sys

    from opstac.client.values import is_token
    from opstac.shell import sign_in
    from opstac.shell.credentials import Credential
    from opstac.shell.server import Server
    from opstac.shell.status import REFUSED, CommandError

    server = Server(args.server)
    if args.with_token:
        token = sys.stdin.readline().strip() if sys.stdin else ""
        if not is_token(token):
            raise CommandError("standard input holds no token", REFUSED)
        made = Credential(token)
    else:
        device = sign_in.begin(server.url)
        said = f"Approve the sign-in on {device.page}\nThe code is {device.user_code}"
        print(said, file=sys.stderr, flush=True)
        if not args.no_browser:
            sign_in.open_page(device.page)
        made = sign_in.wait(server.url, device)
    name = keep(server, made)
    print(f"signed in to {server.url} as {name}", file=sys.stderr)
    if server.from_environment:
        print("OPSTAC_TOKEN is set, and goes before it", file=sys.stderr)
    return 0


def keep(server: Server, made: Credential) -> str:
    """Keep a credential that the platform knows; whose it is."""
    from dataclasses import replace

    from opstac.shell import sign_in
    from opstac.shell.status import REFUSED, CommandError
    from opstac.shell.tables import clean

    status, said = sign_in.who(server.url, made.token)
    if status != 200:
        raise CommandError(f"{server.url} does not know this token: [{status}]", REFUSED)
    words = (said.get(key) for key in ("email", "name", "preferred_username", "sub"))
    name = clean(str(next(filter(None, words), "nobody")))
    with server.store.alone():
        server.store.put(server.url, replace(made, name=name), current=True)
    return name

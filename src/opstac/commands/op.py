"""Run an operation of a platform.

    opstac op --list [DOMAIN]
    opstac op items.get --item-id it_...
    opstac op items get --body '{"item_id": "it_..."}'
    opstac items get --item-id it_...
    opstac items get --help

`op` may be left out: `opstac processing job-types list` is the operation processing.job_types.list.
Two of our own commands have the names of such groups, `alerts` and `share`. What names an operation
is the operation, as `opstac share link list`; anything else is the command, as `opstac share ORG`;
with `op` in front it is always the operation.

The flags are the fields of the operation's input; lists repeat theirs, objects are JSON or @FILE.
The answer is a table on a terminal, JSON in a pipe or with --json, a line for each member of its
list with --ndjson, and goes to a file with --output. What this version does not know is asked of
the server. The credential is OPSTAC_TOKEN, GEOPERA_API_TOKEN or that of `opstac login`.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--list", action="store_true", help="list the operations, or a domain's")
    parser.add_argument("--server", metavar="URL", help="the platform (OPSTAC_URL)")
    parser.add_argument(
        "words",
        metavar="OPERATION",
        nargs=argparse.REMAINDER,
        help="its id, then its flags; `OPERATION --help` lists them",
    )


def run(args: argparse.Namespace) -> int:
    """Run the operation, or list what there is."""
    from opstac.shell import call
    from opstac.shell.status import CommandError

    names = call.named(args.words)
    if args.list:
        return call.listed(".".join(names))
    if not names:
        raise CommandError("name an operation, as `opstac op items.get`, or ask for `--list`")
    return call.run(args.words, args.server)

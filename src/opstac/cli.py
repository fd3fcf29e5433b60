"""The command line: argparse and nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from opstac import __version__
from opstac.variables import BadVariable

COMMANDS = (
    "demo",
    "testbed",
    "serve",
    "worker",
    "migrate",
    "verify",
    "reproduce",
    "export",
    "grant",
    "price",
    "plan",
    "threshold",
    "operator",
    "share",
    "area",
    "alerts",
    "op",
    "mcp",
    "ingest",
    "worker-token",
    "dask-worker",
    "webhook-secret",
    "user",
    "keys",
    "docs",
    "openapi",
    "db",
    "setup",
    "test",
)

# what a shell reports for a process ended by Ctrl-C
INTERRUPTED = 130


class CommandError(Exception):
    """A command cannot go on; its message says why and what to do. Shown without a traceback."""


def command_module(name: str) -> ModuleType:
    """The module of command `name`; it is light to import."""
    return importlib.import_module(f"opstac.commands.{name.replace('-', '_')}")


def make_parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser with the sub-commands `names`."""
    parser = argparse.ArgumentParser(
        prog="opstac",
        description="An open geospatial platform: STAC, tiles, processes and typed operations.",
        epilog="`opstac COMMAND --help` tells more of one command.",
    )
    parser.add_argument("--version", action="version", version=f"opstac {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in names:
        module = command_module(name)
        summary, _, rest = (module.__doc__ or "").partition("\n")
        sub = commands.add_parser(
            name,
            help=summary[:1].lower() + summary[1:].rstrip("."),
            description=f"{summary}\n{rest}".strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status.

    An error that the user can mend (`CommandError`, or one of `db.embedded`) is one line on
    standard error and status 1; anything else is a fault of ours and keeps its traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # only the command that is asked for is built; for `--help` or a misspelt one, all of them
    asked = arguments[0] if arguments and arguments[0] in COMMANDS else None
    args = make_parser([asked] if asked else COMMANDS).parse_args(arguments)
    try:
        return command_module(args.command).run(args) or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not is_for_the_user(error):
            raise
        print(f"opstac: {error}", file=sys.stderr)
        return 1


def is_for_the_user(error: Exception) -> bool:
    """True where the message alone is what a user needs."""
    if isinstance(error, CommandError | BadVariable):
        return True
    # looked up, not imported: a command that never touched the cluster has no such error
    embedded = sys.modules.get("db.embedded")
    return embedded is not None and isinstance(error, embedded.EmbeddedError)

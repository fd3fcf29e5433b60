"""The command line: argparse and nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NoReturn

from opstac import __version__
from opstac.shell.status import DONE, INTERRUPTED, MEND, CommandError
from opstac.variables import BadVariable

__all__ = ["COMMANDS", "CommandError", "command_module", "main", "make_parser"]

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
    "login",
    "logout",
    "whoami",
    "op",
    "mcp",
    "upload",
    "ingest",
    "watch",
    "doctor",
    "completion",
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


class NotTaken(Exception):
    """A parser does not take a line of words."""


class QuietParser(argparse.ArgumentParser):
    """A parser that can be asked whether it takes a line, without ending the program."""

    def error(self, message: str) -> NoReturn:
        """Raise NotTaken."""
        raise NotTaken(message)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raise NotTaken."""
        raise NotTaken(message)

    def print_help(self, file: object = None) -> None:
        """Say nothing."""


def command_module(name: str) -> ModuleType:
    """The module of command `name`; it is light to import."""
    return importlib.import_module(f"opstac.commands.{name.replace('-', '_')}")


def make_parser(
    names: Sequence[str] = COMMANDS,
    kind: type[argparse.ArgumentParser] = argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    """The parser with the sub-commands `names`."""
    parser = kind(
        prog="opstac",
        description="An open geospatial platform: STAC, tiles, processes and typed operations.",
        epilog=epilog() if len(names) > 1 else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
            epilog=operations_beside(name) if len(names) == 1 else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
    return parser


def epilog() -> str:
    """What the help says below the commands."""
    import textwrap

    from opstac.shell import tree

    domains = tree.domains()
    groups = textwrap.fill(", ".join(domains), 76, break_on_hyphens=False)
    both = " and ".join(f"`{name}`" for name in COMMANDS if name in domains)
    return (
        "`opstac COMMAND --help` tells more of one command.\n\n"
        "Every operation of a platform is a command too, as `opstac items get --item-id it_...`;\n"
        "`opstac op --list` lists them. They are in these groups, of which `--help` shows more:\n"
        + textwrap.indent(groups, "  ")
        + f"\n\nOf {both}, which are commands as well, what names an operation is the operation, as"
        "\n`opstac share link list`, and anything else the command, as `opstac share ORG`;"
        "\n`opstac op ...` is always the operation."
    )


def operations_beside(name: str) -> str | None:
    """For a command with the name of a group of operations: which there are."""
    from opstac.shell import tree

    beside = tree.below(tree.dotted(name))
    lines = "\n".join(f"  opstac {tree.spelled(one)}" for one in beside)
    return f"Operations of the same name, each with its own --help:\n{lines}" if beside else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status.

    An error that the user can mend (`CommandError`, or one of `db.embedded`) is a line on standard
    error and a status of `opstac.shell.status`; anything else is a fault of ours and keeps its
    traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        # a terminal that cannot show a letter gets its number
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = run(list(sys.argv[1:] if argv is None else argv))
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone, as with `| head`
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except CommandError as error:
        return said(f"{error.prefix}{error}", error.status)
    except Exception as error:
        if not is_for_the_user(error):
            raise
        return said(f"opstac: {error}", MEND)


def said(message: str, status: int) -> int:
    """Say why there is no more; the status. What a server said may be in it."""
    from opstac.shell.tables import clean

    print("\n".join(map(clean, message.splitlines())), file=sys.stderr)
    return status


def run(arguments: list[str]) -> int:
    """Run the command or the operation that the words name."""
    first = arguments[0] if arguments else ""
    if first == "__complete":
        from opstac.shell import completion

        print("\n".join(completion.lines(arguments[1:])))
        return DONE
    action = operation(arguments) if first and not first.startswith("-") else None
    if action is not None:
        return action()
    # only the command that is asked for is built; for `--help`, all of them
    parser = make_parser([first] if first in COMMANDS else COMMANDS)
    if first and not first.startswith("-") and first not in COMMANDS:
        parser.error(misspelt(first))
    args = parser.parse_args(arguments)
    return command_module(args.command).run(args) or DONE


def misspelt(word: str) -> str:
    """What is said of a first word that is no command and no group of operations."""
    import difflib

    from opstac.shell import tree

    near = difflib.get_close_matches(word, [*COMMANDS, *tree.domains()], n=3)
    hint = f"is it {', '.join(near)}?" if near else "`opstac --help` lists them"
    return f"there is no command {word!r}; {hint}"


def operation(arguments: list[str]) -> Callable[[], int] | None:
    """What to do where the words are an operation or a group of them, and no command of ours."""
    from opstac.shell import call, tree

    first = arguments[0]
    found = tree.follow(arguments)
    if first not in COMMANDS:
        known = found is not None or "." in first
        return (lambda: call.run(arguments)) if known else None
    if found is None or found.name == tree.dotted(first):
        return None
    behind = found.rest[:1]
    if behind and (call.is_name(behind[0]) or taken_by_command(first, arguments)):
        return None
    return lambda: call.run(arguments)


def taken_by_command(name: str, arguments: Sequence[str]) -> bool:
    """Whether our own command takes these words."""
    try:
        make_parser([name], QuietParser).parse_args(arguments)
    except NotTaken:
        return False
    return True


def is_for_the_user(error: Exception) -> bool:
    """True where the message alone is what a user needs."""
    if isinstance(error, BadVariable):
        return True
    if isinstance(error, OSError) and sys.stdout is not None and is_full(error):
        return True
    # looked up, not imported: a command that never touched the cluster has no such error
    embedded = sys.modules.get("db.embedded")
    return embedded is not None and isinstance(error, embedded.EmbeddedError)


def is_full(error: OSError) -> bool:
    """Whether there is no more room for what was written."""
    import errno

    return error.errno in (errno.ENOSPC, errno.EDQUOT)

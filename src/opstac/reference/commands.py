"""The page of the command line, from its parsers."""

from __future__ import annotations

import argparse

from opstac.cli import COMMANDS, command_module, make_parser
from opstac.reference.markdown import code, table
from opstac.shell.status import MEANINGS

INTRODUCTION = """# Command line

`./opstac COMMAND` installs what the command needs, then runs it. Every [operation](operations.md)
is a command too: `opstac items get --item-id it_...` is `items.get`. How to use both is told in
[the how-to](../how-to/command-line.md).

## Exit statuses"""


def page() -> str:
    """The whole page."""
    statuses = [[code(str(number)), meaning] for number, meaning in MEANINGS.items()]
    parts = [INTRODUCTION, table(["status", "meaning"], statuses)]
    for name in COMMANDS:
        summary, _, rest = (command_module(name).__doc__ or "").strip().partition("\n")
        parts.append(f"## `opstac {name}`")
        parts.append(summary)
        if rest.strip():
            parts.append(paragraphs(rest))
        rows = [row(action) for action in actions(name)]
        if rows:
            parts.append(table(["argument", "meaning"], rows))
    return "\n\n".join(parts)


def paragraphs(text: str) -> str:
    """A docstring's further lines; what is indented is code."""
    made: list[str] = []
    for part in text.strip("\n").split("\n\n"):
        lines = part.splitlines()
        if all(line.startswith("    ") for line in lines):
            part = "```sh\n" + "\n".join(line[4:] for line in lines) + "\n```"
        made.append(part.strip())
    return "\n\n".join(made)


def actions(name: str) -> list[argparse.Action]:
    """The arguments of a command, without `--help`."""
    commands = make_parser([name])._subparsers
    assert commands is not None
    parser = commands._group_actions[0].choices[name]  # type: ignore[index]
    return [a for a in parser._actions if not isinstance(a, argparse._HelpAction)]


def row(action: argparse.Action) -> list[str]:
    """How an argument is written, and its help."""
    choices = "|".join(map(str, action.choices)) if action.choices else ""
    value = choices or str(action.metavar or action.dest.upper())
    if not action.option_strings:
        written = value if action.choices or action.metavar else action.dest.upper()
    elif action.nargs == 0:
        written = action.option_strings[-1]
    else:
        written = f"{action.option_strings[-1]} {value}"
    words = action.help or ""
    if action.required and action.option_strings:
        words += " (required)"
    return [code(written), words]

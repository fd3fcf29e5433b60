"""What a shell may complete, from the same parsers and table that the commands are made of.

A shell's script hands over the words up to the cursor (`opstac __complete items get --it`) and is
given lines of a candidate, a tab and what it means; `:files` alone in a line asks for files as
well. Our own rather than a library: argcomplete would build the parsers of all operations at each
press of the key, shtab writes them all into one script and knows no fish.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from opstac.cli import COMMANDS, command_module, make_parser
from opstac.client import table
from opstac.shell import flags, known, tree

FILES = ":files"
SHELLS = ("bash", "zsh", "fish")
# what is a file, by the name that its value has in the help
OF_FILES = ("FILE", "SOURCE", "PATH", "FOLDER")

Candidate = tuple[str, str]


def script(shell: str) -> str:
    """The script that a shell reads."""
    folder = Path(__file__).resolve().parent / "completions"
    return (folder / f"opstac.{shell}").read_text()


def lines(words: Sequence[str]) -> list[str]:
    """The answer to a shell.

    Args:
        words: of the line behind `opstac`, up to the cursor; the last one may be unfinished.
    """
    # bash takes `--type=cl` apart
    words = [word for word in words if word != "="] + ([""] if words[-1:] == ["="] else [])
    *before, current = words or [""]
    prefix = ""
    if current.startswith("--") and "=" in current:
        name, _, current = current.partition("=")
        before, prefix = [*before, name], f"{name}="
    found = dict(candidates(before, current))
    made = [
        f"{prefix}{value}\t{first_line(meaning)}"
        for value, meaning in found.items()
        if value.startswith(current) and value != FILES
    ]
    return made + ([FILES] if FILES in found else [])


def candidates(before: Sequence[str], current: str) -> Iterable[Candidate]:
    """What may stand where the cursor is; not yet compared with what is there."""
    if not before:
        return top(current)
    if before[0] == "op":
        rest = list(before[1:])
        return of_operation(rest, current) if rest else [*every(), ("--list", "list them")]
    both: list[Candidate] = []
    if before[0] in COMMANDS:
        both += of_command(before[0], list(before[1:]), current)
    return [*both, *of_operation(list(before), current)]


def top(current: str) -> list[Candidate]:
    """Commands, and groups of operations; whole ids where a dot was typed."""
    if "." in current:
        return every()
    found = [(name, command_module(name).__doc__ or "") for name in COMMANDS]
    found += [(name, "operations") for name in tree.domains() if name not in COMMANDS]
    return [*found, ("--help", "show the help"), ("--version", "show the version")]


def every() -> list[Candidate]:
    """Every operation by its id, and the groups."""
    found = [(one.id, one.summary) for one in table.entries().values()]
    return [*found, *((name, "operations") for name in tree.domains())]


def of_operation(before: list[str], current: str) -> list[Candidate]:
    """The next part of an operation's name, its flags, or the values of one."""
    found = tree.follow(before)
    if found is None:
        return []
    made: list[Candidate] = []
    if not found.rest:
        made += parts_below(found.name)
    if found.is_operation:
        op = known.find(found.name)
        assert op is not None
        made += of_parser(flags.make_parser(op), found.rest, current, op)
    return made


def parts_below(name: str) -> list[Candidate]:
    """The words that may follow a group's name."""
    made: dict[str, str] = {}
    for one in tree.below(name):
        part, _, deeper = one[len(name) + 1 :].partition(".")
        summary = "operations" if deeper else table.entries()[one].summary
        made.setdefault(tree.spelled(part), summary)
    return list(made.items())


def of_command(name: str, before: list[str], current: str) -> list[Candidate]:
    """Actions and flags of a command of ours."""
    parser = sub_parsers(make_parser([name]))[name]
    while before and before[0] in sub_parsers(parser):
        parser = sub_parsers(parser)[before.pop(0)]
    return of_parser(parser, before, current)


def of_parser(
    parser: argparse.ArgumentParser,
    before: list[str],
    current: str,
    op: known.Described | None = None,
) -> list[Candidate]:
    """Flags of a parser that may still come, or the values of the one before the cursor."""
    by_flag = {flag: action for action in parser._actions for flag in action.option_strings}
    asked = by_flag.get(before[-1].replace("_", "-")) if before else None
    if asked is not None and asked.nargs != 0:
        made = values_of(asked, op, current)
        if asked.nargs != "?":
            return made
    else:
        made = []
    given = {by_flag[word] for word in before if word in by_flag}
    if current.startswith("-"):
        for action in parser._actions:
            repeats = isinstance(action, argparse._AppendAction)
            if action.option_strings and (action not in given or repeats):
                made += [(f, action.help or "") for f in action.option_strings if f[:2] == "--"]
        return made
    for action in parser._actions:
        if not action.option_strings:
            made += positional(action)
    return made


def positional(action: argparse.Action) -> list[Candidate]:
    """What an argument without a flag may be."""
    if isinstance(action, argparse._SubParsersAction):
        return [(one.dest, one.help or "") for one in action._choices_actions]
    if action.choices:
        return [(str(choice), "") for choice in action.choices]
    return [(FILES, "")] if str(action.metavar) in OF_FILES else []


def values_of(action: argparse.Action, op: known.Described | None, current: str) -> list[Candidate]:
    """The values that a flag may have."""
    if action.choices:
        return [(str(choice), "") for choice in action.choices]
    schema = op.fields.get(action.dest) if op is not None else None
    if schema is not None:
        values = flags.choices(schema) or flags.choices(schema.get("items") or {})
        if values:
            return [(value, "") for value in values]
    if current.startswith("@"):
        folder = Path(current[1:]).parent if not current.endswith("/") else Path(current[1:])
        return files_at(folder)
    if str(action.metavar) in OF_FILES:
        return [(FILES, "")]
    return []


def files_at(folder: Path) -> list[Candidate]:
    """Files of a folder as they are written behind @."""
    before = "@" if folder == Path() else f"@{str(folder).rstrip('/')}/"
    try:
        found = sorted(one for one in folder.iterdir() if one.name.isprintable())
        return [(f"{before}{one.name}{'/' if one.is_dir() else ''}", "") for one in found]
    except (OSError, ValueError):
        return []


def sub_parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers below, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def first_line(text: str) -> str:
    """The first line of a text, short enough for a list."""
    line = text.strip().partition("\n")[0].replace("%%", "%").replace("\t", " ")
    return line if len(line) <= 70 else line[:69] + "…"

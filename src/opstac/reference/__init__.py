"""The reference pages: made from the code, so that they cannot say something else than it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from opstac.reference import commands, methods, operations, schema, tables, tiles

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "reference"
NOTE = "<!-- Made by `./opstac docs` from the code; changes by hand are lost. -->\n\n"

MAKERS: dict[str, Callable[[], str]] = {
    "operations.md": operations.page,
    "events.md": tables.events,
    "errors.md": tables.errors,
    "settings.md": tables.settings,
    "processes.md": tables.processes,
    "methods.md": methods.page,
    "tiles.md": tiles.page,
    "cli.md": commands.page,
}


def pages(dsn: str) -> dict[str, str]:
    """Every page's text by file name.

    Args:
        dsn: a migrated database, whose tables are described.
    """
    made = {name: make() for name, make in MAKERS.items()}
    made["schema.md"] = schema.page(dsn)
    return {name: NOTE + text.rstrip() + "\n" for name, text in made.items()}


def stale(made: Mapping[str, str], folder: Path = FOLDER) -> list[str]:
    """Names of the pages that are missing, differ, or are made no more."""
    there = {path.name: path.read_text() for path in folder.glob("*.md")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def write(made: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Write every page, and remove what is made no more."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text)

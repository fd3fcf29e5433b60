"""What is made from the code, so that it cannot say something else than it does: the reference
pages, and the table of operations that the clients read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from opstac.client import table
from opstac.reference import (
    client_table,
    client_types,
    commands,
    methods,
    operations,
    schema,
    tables,
    tiles,
)

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "reference"
OPERATIONS = FOLDER / operations.FOLDER
CLIENT = table.FOLDER
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
    return noted(made)


def operation_pages() -> dict[str, str]:
    """The text of each operation's own page by file name."""
    return noted(operations.pages())


def noted(made: Mapping[str, str]) -> dict[str, str]:
    """The texts with the word on where they come from."""
    return {name: NOTE + text.rstrip() + "\n" for name, text in made.items()}


def client_files() -> dict[str, str]:
    """Every file of the client that is made, by name, from the registry as it is now."""
    from ops_gateway import domains
    from ops_gateway.kernel.operation import REGISTRY
    from ops_gateway.surfaces import openapi

    domains.load()
    chosen = [REGISTRY[name] for name in sorted(REGISTRY)]
    document = openapi.document()
    table_text = client_table.operations_json(chosen, document)
    schemas_text = client_table.schemas_json(chosen, document)
    return {
        "__init__.py": f'"""What operations there are. {client_types.NOTE}"""\n',
        "operations.json": table_text,
        "schemas.json": schemas_text,
        **client_types.files(table_text, schemas_text),
    }


def stale(made: Mapping[str, str], folder: Path = FOLDER) -> list[str]:
    """Names of the files that are missing, differ, or are made no more."""
    there = {path.name: path.read_text() for path in folder.glob("*.*")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def write(made: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Write every file, and remove what is made no more."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.*"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text)

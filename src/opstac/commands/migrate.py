"""Bring the database to this version's schema."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""


def run(args: argparse.Namespace) -> int:
    """Migrate; says what was applied."""
    from opstac import database

    applied = database.migrate(database.find())
    for name in applied:
        print(f"applied {name}")
    if not applied:
        print("the database is at this version")
    return 0

"""Print the OpenAPI document of all operations, as a platform serves it at `/openapi.json`.

    opstac openapi > openapi.json

It is made from the code: no server and no database are needed.
"""

from __future__ import annotations

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""


def run(args: argparse.Namespace) -> int:
    """Print one line of JSON."""
    from ops_gateway import domains
    from ops_gateway.surfaces import openapi

    domains.load()
    json.dump(openapi.document(), sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()
    return 0

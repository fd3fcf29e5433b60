"""Composition: puts the packages together. Holds no behaviour of its own.

`from opstac import Geopera` gives the client; nothing else is imported for it.
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The client's names, imported when they are first asked for."""
    if name in ("Client", "Geopera", "OperationError"):
        from opstac import client

        return client.Geopera if name == "Client" else getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The Python client. Needs httpx alone, and nothing at all before a client is made.

`opstac.client.table` tells what operations there are, without a server and without httpx.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opstac.client.sync import Geopera, OperationError

__all__ = ["Geopera", "OperationError"]

_HOME = {"Geopera": "sync", "OperationError": "sync"}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for: httpx takes longer than a command."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"opstac.client.{_HOME[name]}"), name)

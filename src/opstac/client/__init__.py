"""The Python client. Needs httpx alone, and nothing at all before a client is made.

`opstac.client.table` tells what operations there are, without a server and without httpx.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opstac.client.asynchronous import AsyncClient
    from opstac.client.connection import Unreachable
    from opstac.client.errors import JobFailed, OperationError, UploadFailed, WaitTimeout
    from opstac.client.sync import Client, Geopera

__all__ = [
    "AsyncClient",
    "Client",
    "Geopera",
    "JobFailed",
    "OperationError",
    "Unreachable",
    "UploadFailed",
    "WaitTimeout",
]

_HOME = {
    "AsyncClient": "asynchronous",
    "Client": "sync",
    "Geopera": "sync",
    "JobFailed": "errors",
    "OperationError": "errors",
    "Unreachable": "connection",
    "UploadFailed": "errors",
    "WaitTimeout": "errors",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for: httpx takes longer than a command."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"opstac.client.{_HOME[name]}"), name)

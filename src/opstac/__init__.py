"""Composition: puts the packages together. Holds no behaviour of its own.

`from opstac import Client` gives the client; nothing else is imported for it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opstac.client import (
        AsyncClient,
        Client,
        Geopera,
        JobFailed,
        OperationError,
        Unreachable,
        UploadFailed,
        WaitTimeout,
    )

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "Geopera",
    "JobFailed",
    "OperationError",
    "Unreachable",
    "UploadFailed",
    "WaitTimeout",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """The client's names, imported when they are first asked for."""
    if name in __all__:
        return getattr(importlib.import_module("opstac.client"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

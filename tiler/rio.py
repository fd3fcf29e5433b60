"""What is used of rio-tiler, imported without loading xarray.

rio-tiler imports xarray, and that pandas, wherever they are installed: most of a second, and much
memory, in every process, for a reader of datasets that nothing here opens. It is given a stand-in
that loads xarray once something of it is asked for, by that reader or by whoever else imports
xarray at the same moment.
"""

import importlib
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

_NAME = "xarray"


class _Later(ModuleType):
    """A module that is loaded when the first of its names is asked for."""

    _lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        self.leave()
        return getattr(importlib.import_module(_NAME), name)

    def leave(self) -> None:
        """Stand in for nobody who imports the module from now on."""
        with self._lock:
            if sys.modules.get(_NAME) is self:
                del sys.modules[_NAME]


_later = _Later(_NAME)
if _NAME not in sys.modules and (_found := importlib.util.find_spec(_NAME)) is not None:
    _later.__file__ = _found.origin  # which `inspect` asks of every module
    sys.modules.setdefault(_NAME, _later)  # unless another thread has begun to import it
try:
    from rio_tiler.colormap import cmap
    from rio_tiler.errors import RioTilerError
    from rio_tiler.models import ImageData
    from rio_tiler.reader import read
finally:
    _later.leave()

__all__ = ["ImageData", "RioTilerError", "cmap", "read"]

"""What is used of rio-tiler, imported without xarray.

rio-tiler imports xarray, and that pandas, wherever they are installed: most of a second, and much
memory, in every process, for a reader of datasets that nothing here opens.
"""

import sys

_absent = "xarray" not in sys.modules
if _absent:
    sys.modules["xarray"] = None  # type: ignore[assignment] # what is not installed looks so
try:
    from rio_tiler.colormap import cmap
    from rio_tiler.errors import RioTilerError
    from rio_tiler.models import ImageData
    from rio_tiler.reader import read
finally:
    if _absent:
        del sys.modules["xarray"]

__all__ = ["ImageData", "RioTilerError", "cmap", "read"]

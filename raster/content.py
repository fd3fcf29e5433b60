"""The bytes of a file that is no raster, such as GeoJSON."""

import os

from raster import remote
from raster.errors import RasterError


def read(path: str, most: int) -> bytes:
    """All of a file.

    Args:
        path: absolute, or one that `raster.remote` mounted.
        most: bytes that it may have.

    Raises: RasterError: `not_found`, `too_large`, `unreadable`: it ends too early.
    """
    if path.startswith(remote.PREFIX):
        file = remote.file_at(path)
        content = file.read(most + 1)
        if len(content) < min(file.size, most + 1):
            raise RasterError("unreadable", "the file cannot be read to its end")
    elif not os.path.isabs(path) or path.startswith("/vsi"):
        raise RasterError("not_found", "a file is read by its absolute path")
    else:
        try:
            with open(path, "rb") as opened:
                content = opened.read(most + 1)
        except (OSError, ValueError):
            raise RasterError("not_found", "the file cannot be read") from None
    if len(content) > most:
        raise RasterError("too_large", f"the file has more than {most:,} bytes")
    return content

"""Rasters of the platform's own store as GDAL opens them, each in the version that lies there."""

from __future__ import annotations

from dataclasses import dataclass

from db.objects import Objects
from db.paths import ObjectError, ObjectMissing
from db.pinned import Pinned
from ops_gateway.kernel.errors import Invalid, Unavailable
from raster.remote import Fetch, Mounts, RangeFile
from tiler import work
from tiler.errors import Busy

_mounts = Mounts()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What GDAL opens it by, and what changes with its bytes."""

    path: str
    version: str


async def opened(objects: Objects, path: str, told: str) -> StoredFile:
    """A file of the store; hold no database connection meanwhile.

    Args:
        told: what the database says that changes when the platform replaces the file.

    A bucket is asked for the version where it was not within the last seconds, and bytes of another
    version are never read under this name.

    Raises: Invalid: it is not in the bucket; Unavailable: the bucket does not answer.
    """
    if objects.is_local:
        return StoredFile(objects.gdal_path(path), f"{told}.{objects.stamp(path)}")
    try:
        pinned = await objects.pinned(path, told)
    except ObjectMissing:
        raise Invalid.at("asset_key", "the asset's file is not in the store") from None
    except ObjectError as error:
        raise Unavailable(str(error), 2) from None
    name = f"{path}\n{pinned.version}"
    mounted = _mounts.path(name, lambda: RangeFile(name, pinned.size, _fetch(pinned)))
    return StoredFile(mounted, f"{told}.{pinned.version}")


def _fetch(pinned: Pinned) -> Fetch:
    def fetch(start: int, end: int) -> bytes:
        doing = work.current()
        if doing is not None and doing.stopped:
            raise OSError("nobody waits for it")
        try:
            return pinned.read(start, end)
        except ObjectError as error:
            if doing is not None:  # GDAL will only say that a read failed
                doing.failure = Busy(f"{error}; try again", retry_after_seconds=1)
            raise OSError(str(error)) from None

    return fetch

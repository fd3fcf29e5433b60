"""Files that are read in ranges through a function: GDAL never sees an address, only bytes.

A file is mounted under a name that GDAL opens like any other; what it reads comes from a block
cache of the process, and what that lacks from the function that was given. So who mounts decides
which host is talked to and how, and GDAL's own network code is not involved.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

# the base of `rasterio.io.FilePath`, which warns: its successor changes GDAL's table of file
# systems at each opening, which is not safe while other threads read
from rasterio._filepath import FilePathBase

from raster.errors import RasterError

logger = logging.getLogger(__name__)

Fetch = Callable[[int, int], bytes]
"""(first byte, byte after the last) → exactly these bytes. Raises OSError."""

PREFIX = "/vsipythonfilelike/"
BLOCK_BYTES = 64 << 10
CACHE_BYTES = 64 << 20
_REQUEST_BYTES = 8 << 20  # of one call of a Fetch at most


class _Blocks:
    """The process's cache of blocks of mounted files, least recently used out first."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit = limit_bytes
        self.used = 0
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int]) -> bytes | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: tuple[str, int], data: bytes) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = data
            self.used += len(data)
            while self.used > self.limit:
                self.used -= len(self._kept.popitem(last=False)[1])


_blocks = _Blocks(CACHE_BYTES)


class RangeFile:
    """A read-only file over a Fetch. Each opening of it has a position of its own."""

    mode = "rb"

    def __init__(self, name: str, size: int, fetch: Fetch) -> None:
        """`name` tells its blocks from those of any other file and version."""
        self.name = self.path = name
        self.size = size
        self.fs = self  # rasterio opens a file again by `.fs.open(.path, .mode)`
        self._fetch = fetch
        self._at = 0

    def open(self, path: str, mode: str = "rb") -> "RangeFile":
        """The same file at its beginning."""
        return RangeFile(self.name, self.size, self._fetch)

    def tell(self) -> int:
        """The position."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; from the beginning, from here, or from the end."""
        self._at = max(0, offset + (0, self._at, self.size)[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; fewer at the end, and where a fetch failed.

        It never raises: GDAL calls it, and takes a short read for a broken file.
        """
        end = self.size if size < 0 else min(self.size, self._at + size)
        try:
            data = self.range(self._at, end) if end > self._at else b""
        except OSError as error:
            logger.info("a range of a remote file could not be read", extra={"error": str(error)})
            return b""
        self._at += len(data)
        return data

    def range(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, which lie within the file. Raises: OSError."""
        first, last = start // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        parts: list[bytes] = []
        number = first
        while number <= last:
            kept = _blocks.get((self.name, number))
            if kept is None:
                missing = number + 1
                while missing <= last and (missing - number) * BLOCK_BYTES < _REQUEST_BYTES:
                    if _blocks.get((self.name, missing)) is not None:
                        break
                    missing += 1
                kept = self._load(number, missing)
                number = missing
            else:
                number += 1
            parts.append(kept)
        data = b"".join(parts)
        return data[start - first * BLOCK_BYTES : end - first * BLOCK_BYTES]

    def keep(self, data: bytes) -> None:
        """Put the file's first bytes, which are known already, into the cache."""
        for number in range(len(data) // BLOCK_BYTES):
            at = number * BLOCK_BYTES
            _blocks.put((self.name, number), data[at : at + BLOCK_BYTES])

    def _load(self, first: int, after: int) -> bytes:
        start, end = first * BLOCK_BYTES, min(after * BLOCK_BYTES, self.size)
        data = self._fetch(start, end)
        if len(data) != end - start:
            raise OSError("not the bytes that were asked for")
        for number in range(first, after):
            at = (number - first) * BLOCK_BYTES
            _blocks.put((self.name, number), data[at : at + BLOCK_BYTES])
        return data


class _Name(FilePathBase):
    """Only a subclass has room for the attributes that the base sets."""


class Mounted:
    """A file under a name for GDAL, until it is closed; what has it open may go on reading."""

    def __init__(self, file: RangeFile) -> None:
        self._path = _Name(file)
        self.path: str = self._path.name
        with _lock:
            _files[self.path] = file

    def close(self) -> None:
        """Take the name away."""
        with _lock:
            _files.pop(self.path, None)
        self._path.close()


class Mounts:
    """Files that stay mounted by a name of their own, least recently asked for out first."""

    def __init__(self, limit: int = 2048) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, Mounted] = OrderedDict()
        self._lock = threading.Lock()

    def path(self, name: str, make: Callable[[], RangeFile]) -> str:
        """What GDAL opens the file of that name by; `make` gives it the first time.

        Args:
            name: of one file in one version.
        """
        with self._lock:
            found = self._kept.get(name)
            if found is None:
                found = self._kept[name] = Mounted(make())
            self._kept.move_to_end(name)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)[1].close()
            return found.path


_files: dict[str, RangeFile] = {}
_lock = threading.Lock()


def file_at(path: str) -> RangeFile:
    """The mounted file of a path, from its beginning. Raises: RasterError("not_found")."""
    with _lock:
        found = _files.get(path)
    if found is None:
        raise RasterError("not_found", "the file is not open any more; try again")
    return found.open(path)

"""The structure of a TIFF file, read without GDAL and checked against caps before GDAL sees it.

A few kilobytes can decode to gigabytes, in the main image as well as in an overview or a mask, so
every image directory of the file is looked at. Sources: TIFF 6.0 specification; BigTIFF as in
https://www.awaresystems.be/imaging/tiff/bigtiff.html.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from raster.errors import RasterError

MAX_FILE_BYTES = 10 * 1024**3
MAX_PIXELS = 2 * 10**10
MAX_BANDS = 200
MAX_BLOCK_BYTES = 64 * 1024**2
MAX_TAG_BYTES = 1024**2
MAX_DIRECTORIES = 128
_MAX_ENTRIES = 512

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

_WIDTH, _HEIGHT, _BITS, _STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP = 256, 257, 258, 273, 277, 278
_STRIP_COUNTS, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = 279, 284, 322, 323, 324
_TILE_COUNTS, _SUB_DIRECTORIES = 325, 330
_BLOCK_LISTS = frozenset((_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS))


class Readable(Protocol):
    """An open file, local or not."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes."""
        ...


@dataclass(frozen=True)
class Directory:
    """One image of the file: the raster itself, an overview or a mask.

    Attributes:
        block_bytes: decoded size of one tile or strip.
        tag_bytes: size of all tags but the lists of block addresses.
        end: last byte that its blocks reach in the file.
    """

    width: int
    height: int
    bands: int
    block_bytes: int
    tag_bytes: int
    end: int


@dataclass(frozen=True)
class _Entry:
    kind: int
    count: int
    at: int  # where its values stand in the file

    @property
    def size(self) -> int:
        return self.count * _SIZES.get(self.kind, 1)


def check(path: str | os.PathLike[str]) -> list[Directory]:
    """Walk the file's directories and refuse what exceeds a cap; reads no pixel.

    Raises: RasterError: `not_found`, `not_a_geotiff`, `truncated`, `too_large`,
        `too_many_pixels`, `too_many_bands`, `block_too_large`, `tags_too_large`.
    """
    try:
        with open(path, "rb") as file:
            return check_file(file, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise RasterError("not_found", "there is no such file") from None
    except OSError as error:
        raise RasterError("unreadable", f"cannot be read: {error.strerror}") from None


def check_file(file: Readable, size: int) -> list[Directory]:
    """As `check`, for an open file of `size` bytes. Raises: RasterError."""
    if size > MAX_FILE_BYTES:
        raise RasterError("too_large", f"the file is larger than {MAX_FILE_BYTES} bytes")
    found: list[Directory] = []
    tags = 0
    for directory in _walk(file, size):
        if directory.width * directory.height > MAX_PIXELS:
            raise RasterError("too_many_pixels", f"more than {MAX_PIXELS:.0e} pixels a band")
        if directory.bands > MAX_BANDS:
            raise RasterError("too_many_bands", f"more than {MAX_BANDS} bands")
        if directory.block_bytes > MAX_BLOCK_BYTES:
            raise RasterError(
                "block_too_large",
                f"one block decodes to {directory.block_bytes // 1024**2} MiB, more than "
                f"{MAX_BLOCK_BYTES // 1024**2}; write it with tiles or smaller strips",
            )
        tags += directory.tag_bytes
        if tags > MAX_TAG_BYTES:
            raise RasterError("tags_too_large", f"tags hold more than {MAX_TAG_BYTES} bytes")
        if directory.end > size:
            raise RasterError("truncated", f"the file ends at byte {size} of {directory.end}")
        found.append(directory)
    if not found:
        raise RasterError("not_a_geotiff", "the file holds no image")
    return found


def _walk(file: Readable, size: int) -> Iterator[Directory]:
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    version = struct.unpack(order + "H", head[2:4])[0] if order and len(head) >= 8 else 0
    if order is None or version not in (42, 43):
        raise RasterError("not_a_geotiff", "the file is not a TIFF")
    big = version == 43
    if big and len(head) < 16:
        raise RasterError("truncated", "the file ends inside its header")
    first = struct.unpack(order + ("Q" if big else "I"), head[8:16] if big else head[4:8])[0]
    waiting, seen = [first], set[int]()
    while waiting:
        at = waiting.pop(0)
        if at == 0 or at in seen:
            continue
        seen.add(at)
        if len(seen) > MAX_DIRECTORIES:
            raise RasterError("unsupported", f"more than {MAX_DIRECTORIES} images in one file")
        entries, following = _entries(file, size, at, order, big)
        if _SUB_DIRECTORIES in entries:
            waiting += _integers(file, size, entries[_SUB_DIRECTORIES], order, limit=64)
        waiting.append(following)
        yield _directory(file, size, entries, order)


def _take(file: Readable, size: int, at: int, length: int) -> bytes:
    if at + length > size:
        raise RasterError("truncated", f"the file ends at byte {size} of {at + length}")
    file.seek(at)
    taken = file.read(length)
    if len(taken) < length:
        raise RasterError("truncated", "the file is shorter than it says")
    return taken


def _entries(
    file: Readable, size: int, at: int, order: str, big: bool
) -> tuple[dict[int, _Entry], int]:
    """The tags of the directory at byte `at`, and where the next directory stands (0: none)."""
    head, length, inline = (8, 20, 8) if big else (2, 12, 4)
    count = struct.unpack(order + ("Q" if big else "H"), _take(file, size, at, head))[0]
    if count > _MAX_ENTRIES:
        raise RasterError("unsupported", f"more than {_MAX_ENTRIES} tags in one image")
    raw = _take(file, size, at + head, count * length + inline)
    entries: dict[int, _Entry] = {}
    for number in range(count):
        start = number * length
        tag, kind = struct.unpack_from(order + "HH", raw, start)
        values = struct.unpack_from(order + ("Q" if big else "I"), raw, start + 4)[0]
        place = at + head + start + length - inline
        entry = _Entry(kind, values, place)
        if entry.size > inline:
            place = struct.unpack_from(order + ("Q" if big else "I"), raw, start + length - inline)
            entry = _Entry(kind, values, place[0])
        entries.setdefault(tag, entry)
    following = struct.unpack_from(order + ("Q" if big else "I"), raw, count * length)[0]
    return entries, following


def _integers(
    file: Readable, size: int, entry: _Entry, order: str, *, limit: int | None = None
) -> list[int]:
    letter = _INTEGERS.get(entry.kind)
    if letter is None:
        raise RasterError("unsupported", "a tag that must hold whole numbers does not")
    count = entry.count if limit is None else min(entry.count, limit)
    raw = _take(file, size, entry.at, count * _SIZES[entry.kind])
    return list(struct.unpack(f"{order}{count}{letter}", raw))


def _directory(file: Readable, size: int, entries: dict[int, _Entry], order: str) -> Directory:
    def one(tag: int, default: int | None = None) -> int:
        if tag not in entries:
            if default is None:
                raise RasterError("not_a_geotiff", "an image without a width or height")
            return default
        values = _integers(file, size, entries[tag], order, limit=1)
        return values[0] if values else (default or 0)

    width, height, bands = one(_WIDTH), one(_HEIGHT), one(_SAMPLES, 1)
    bits = (
        max(_integers(file, size, entries[_BITS], order, limit=bands or 1), default=1)
        if (_BITS in entries)
        else 1
    )
    if _TILE_WIDTH in entries:
        block_pixels = one(_TILE_WIDTH) * one(_TILE_HEIGHT, 0)
    else:
        block_pixels = width * min(one(_ROWS_PER_STRIP, height), height)
    together = bands if one(_PLANAR, 1) == 1 else 1
    block_bytes = (block_pixels * together * bits + 7) // 8
    tag_bytes = sum(entry.size for tag, entry in entries.items() if tag not in _BLOCK_LISTS)
    return Directory(width, height, bands, block_bytes, tag_bytes, _end(file, size, entries, order))


def _end(file: Readable, size: int, entries: dict[int, _Entry], order: str) -> int:
    """The last byte any block reaches; lists are read in pieces, they can be long."""
    tiled = _TILE_OFFSETS in entries
    offsets = entries.get(_TILE_OFFSETS if tiled else _STRIP_OFFSETS)
    counts = entries.get(_TILE_COUNTS if tiled else _STRIP_COUNTS)
    if offsets is None or counts is None:
        return 0
    end, piece = 0, 65536
    for start in range(0, min(offsets.count, counts.count), piece):
        length = min(piece, offsets.count - start, counts.count - start)
        places = _part(file, size, offsets, start, length, order)
        lengths = _part(file, size, counts, start, length, order)
        # a block of no bytes is a hole, which GDAL writes for empty tiles
        reach = (place + long for place, long in zip(places, lengths, strict=True) if long)
        end = max(end, max(reach, default=0))
        if end > size:
            break
    return end


def _part(
    file: Readable, size: int, entry: _Entry, start: int, length: int, order: str
) -> list[int]:
    width = _SIZES.get(entry.kind, 1)
    return _integers(file, size, _Entry(entry.kind, length, entry.at + start * width), order)

"""Uploads that grow: bytes gather in a `.part` file and become an object at once or not at all."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from db.paths import (
    DigestMismatch,
    PartBusy,
    StorageFull,
    TooFewBytes,
    TooManyBytes,
    WrongOffset,
    check_path,
    disk_errors,
)

BUFFER_BYTES = 1024 * 1024


class Digest(Protocol):
    """A hash that grows with its input."""

    def update(self, data: memoryview, /) -> None:
        """Take more input."""


@dataclass(frozen=True)
class Received:
    """Where an upload stands: bytes that are here, and whether it has become an object."""

    offset: int
    complete: bool


@dataclass(frozen=True)
class Announced:
    """What a request said of its body.

    Attributes:
        limit: the upload may not grow beyond it.
        start: where the body begins, in bytes.
        length: how long the body is, where it was said.
        total: how long the upload will be; None where only its end will tell.
        whole: the body is the whole upload, so its end completes it.
        sha256: of the body.
    """

    limit: int
    start: int = 0
    length: int | None = None
    total: int | None = None
    whole: bool = True
    sha256: bytes | None = None


class Parts:
    """The folder of growing uploads."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made at first use."""
        self.folder = folder

    def file(self, path: str) -> Path:
        """Where upload `path` grows."""
        return self.folder / f"{check_path(path)}.part"

    def size(self, path: str) -> int | None:
        """Bytes received of upload `path`; None where it has not begun."""
        try:
            return self.file(path).stat().st_size
        except FileNotFoundError:
            return None

    def remove(self, path: str) -> bool:
        """Forget upload `path`; whether there was one."""
        try:
            self.file(path).unlink()
        except FileNotFoundError:
            return False
        return True

    def remove_older(self, seconds: float) -> int:
        """Forget uploads that nobody has written to for `seconds`; how many."""
        removed = 0
        for file in self.folder.rglob("*.part"):
            try:
                if file.stat().st_mtime < time.time() - seconds:
                    file.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
        return removed

    @contextmanager
    def open(self, path: str) -> Generator[int]:
        """A descriptor of upload `path`, held alone; the kernel lets go of it if we are killed.

        Raises:
            PartBusy: another request holds it.
        """
        file = self.file(path)
        with disk_errors():
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        held = False
        try:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # completed by another request between our two calls, this file is an object now
                held = _is_at(descriptor, file)
            if not held:
                raise PartBusy("another request is writing this upload")
            yield descriptor
        finally:
            # of a refused first body nothing remains, not even the beginning of an upload
            if held and os.fstat(descriptor).st_size == 0 and _is_at(descriptor, file):
                file.unlink()
            os.close(descriptor)

    async def receive(
        self, descriptor: int, chunks: AsyncIterator[bytes], announced: Announced
    ) -> int:
        """Append a body to an open upload; gives its size.

        What arrived before a client went away stays, safely on disk, and can be continued from. A
        body that breaks its own announcement leaves the upload as it was.

        Raises:
            WrongOffset: it does not begin where the upload ends. Beginning at 0 starts anew.
            TooManyBytes, TooFewBytes, DigestMismatch: it is not what was announced.
            StorageFull: there is no room.
        """
        size = os.fstat(descriptor).st_size
        if announced.start not in (0, size):
            raise WrongOffset(size)
        end = _end(announced)
        if announced.length is not None and announced.start + announced.length > end:
            raise TooManyBytes(f"at most {end} bytes may be stored here")
        self._require_room(announced, size)
        os.ftruncate(descriptor, announced.start)
        digest = hashlib.sha256() if announced.sha256 is not None else None
        position = announced.start
        buffer = bytearray()

        async def flush() -> None:
            nonlocal position
            await asyncio.to_thread(_write, descriptor, bytes(buffer), position, digest)
            position += len(buffer)
            buffer.clear()

        try:
            async for chunk in chunks:
                buffer += chunk
                if position + len(buffer) > end:
                    raise TooManyBytes(f"at most {end} bytes may be stored here")
                if len(buffer) >= BUFFER_BYTES:
                    await flush()
            await flush()
            received = position - announced.start
            if announced.length is not None and received < announced.length:
                raise TooFewBytes(f"{announced.length} bytes were announced, {received} came")
            if digest is not None and digest.digest() != announced.sha256:
                raise DigestMismatch("the bytes do not have the announced SHA-256")
        except (TooManyBytes, TooFewBytes, DigestMismatch):
            os.ftruncate(descriptor, announced.start)
            raise
        except StorageFull:
            # what did fit may end in the middle of a write
            os.ftruncate(descriptor, position)
            raise
        except Exception:
            # the client went away
            await flush()
            raise
        finally:
            with disk_errors():
                await asyncio.to_thread(os.fsync, descriptor)
        return position

    def _require_room(self, announced: Announced, size: int) -> None:
        # refused before the bytes travel, where the length is known
        coming = (announced.length or 0) - (size if announced.start == 0 else 0)
        if coming > shutil.disk_usage(self.folder).free:
            raise StorageFull("there is no room left in the object store")


def _is_at(descriptor: int, file: Path) -> bool:
    """Whether the open file is still the one with that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _end(announced: Announced) -> int:
    """The size that the upload may not pass with this body."""
    ends = [announced.limit]
    if announced.total is not None:
        ends.append(announced.total)
    if announced.length is not None and not announced.whole:
        ends.append(announced.start + announced.length)
    return min(ends)


def _write(descriptor: int, data: bytes, position: int, digest: Digest | None) -> None:
    view = memoryview(data)
    if digest is not None:
        digest.update(view)
    with disk_errors():
        while view:
            written = os.pwrite(descriptor, view, position)
            position += written
            view = view[written:]


def sync_folder(folder: Path) -> None:
    """Make a rename within `folder` outlive a stop of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

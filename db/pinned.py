"""Objects of a bucket pinned to a version: what is read is that version or nothing.

A store that is asked for a range of an object gives that of the object as it is now. So the
version is asked for first, counts for a bounded time, and every read names it. Whoever overwrites
the object is noticed by the next look, and a read meanwhile fails instead of mixing two files.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PreconditionError

from db.paths import ObjectChanged, ObjectMissing, StorageUnavailable

if TYPE_CHECKING:
    from obstore.store import S3Store

FRESH_SECONDS = 10.0
MAX_KNOWN = 8192


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What the store knows of an object.

    Attributes:
        etag: without quotes; its size where the store tells none.
    """

    path: str
    size: int
    etag: str
    mtime: datetime

    @property
    def version(self) -> str:
        """Changes with the object's bytes."""
        return f"{self.etag}-{self.size:x}-{self.mtime.timestamp()}"

    @property
    def has_tag(self) -> bool:
        """Whether the store's tag tells one object's bytes from any other's."""
        return self.etag != f"{self.size:x}" and not self.etag.startswith("W/")

    def same(self, other: ObjectMeta) -> bool:
        """Whether both are of the same bytes."""
        if self.has_tag:
            return (self.etag, self.size) == (other.etag, other.size)
        return self.version == other.version


def meta_of(entry: obstore.ObjectMeta) -> ObjectMeta:
    """The store's description as ours."""
    tag = (entry["e_tag"] or f"{entry['size']:x}").strip('"')
    return ObjectMeta(entry["path"], entry["size"], tag, entry["last_modified"])


@dataclass(frozen=True, slots=True)
class Pinned:
    """One version of an object.

    Attributes:
        version: changes with its bytes.
        read: (first byte, byte after the last) → these bytes. Blocks; for threads. Raises
            ObjectChanged, ObjectMissing, StorageUnavailable.
    """

    version: str
    size: int
    read: Callable[[int, int], bytes]


@dataclass(slots=True)
class _Known:
    """A version, and until when it counts."""

    told: str
    pinned: Pinned
    until: float


class Pins:
    """Versions of objects, each looked up again after `fresh_seconds`."""

    def __init__(
        self,
        store: S3Store,
        head: Callable[[str], Awaitable[ObjectMeta | None]],
        *,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        """`head` gives what the store knows of an object now."""
        self._store = store
        self._head = head
        self.fresh_seconds = fresh_seconds
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._looking: dict[tuple[str, str], asyncio.Task[Pinned]] = {}

    async def at(self, path: str, told: str) -> Pinned:
        """The version of an object.

        Args:
            told: what the database says that changes when the platform replaces the object; where
                it is not what it was, the store is asked at once.

        Raises: ObjectMissing, StorageUnavailable.
        """
        known = self._known.get(path)
        if known is not None and known.told == told and known.until > time.monotonic():
            self._known.move_to_end(path)
            return known.pinned
        task = self._looking.get((path, told))
        if task is None:
            task = asyncio.create_task(self._look(path, told))
            self._looking[path, told] = task
            task.add_done_callback(lambda done: self._ended((path, told), done))
        # one caller that goes away does not take the answer from the others
        return await asyncio.shield(task)

    def forget(self, path: str) -> None:
        """Look at an object anew the next time it is asked for."""
        self._known.pop(path, None)
        for key in [key for key in self._looking if key[0] == path]:
            del self._looking[key]  # it may have looked before

    def _stale(self, path: str) -> None:
        """As `forget`, from any thread."""
        known = self._known.get(path)
        if known is not None:
            known.until = 0.0

    def _ended(self, key: tuple[str, str], task: asyncio.Task[Pinned]) -> None:
        if self._looking.get(key) is task:
            del self._looking[key]
        if not task.cancelled():
            task.exception()  # seen, also where every caller has gone

    async def _look(self, path: str, told: str) -> Pinned:
        asked = time.monotonic()
        found = await self._head(path)
        if found is None:
            self._known.pop(path, None)
            raise ObjectMissing("there is no such object")
        pinned = Pinned(found.version, found.size, self._reader(path, found))
        if self._looking.get((path, told)) is asyncio.current_task():
            self._known[path] = _Known(told, pinned, asked + self.fresh_seconds)
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return pinned

    def _reader(self, path: str, wanted: ObjectMeta) -> Callable[[int, int], bytes]:
        def read(start: int, end: int) -> bytes:
            options: obstore.GetOptions = {"range": (start, end)}
            if wanted.has_tag:  # a change costs no bytes; stores that do not know this send them
                options["if_match"] = f'"{wanted.etag}"'
            try:
                found = obstore.get(self._store, path, options=options)
                if not wanted.same(meta_of(found.meta)):
                    raise PreconditionError
                return bytes(found.bytes())
            except PreconditionError:
                self._stale(path)
                raise ObjectChanged("the object has changed") from None
            except FileNotFoundError:
                self._stale(path)
                raise ObjectMissing("there is no such object") from None
            except (BaseError, OSError) as error:
                raise StorageUnavailable("the object store does not answer") from error

        return read

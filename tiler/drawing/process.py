"""The drawing process: it runs what it is called for in a `TilePool` until the server has gone.

It has no connection but the one to the server. Bytes of files that are not on this machine come
through that, too, so it needs no key of a bucket and reaches no other host.
"""

import asyncio
import itertools
import json
import logging
import os
import pickle
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from raster.remote import Mounts, RangeFile
from tiler import handles, work
from tiler.drawing.wire import (
    BadFrame,
    Kind,
    frame,
    pack_error,
    pack_value,
    read_frame,
    unpack_call,
    unpack_error,
)
from tiler.errors import TileError
from tiler.pool import TilePool

logger = logging.getLogger(__name__)

NICE = 3  # answers that need no drawing come first, and draw nothing
FETCH_SECONDS = 60.0


class Drawing:
    """The process's side of the connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pool: TilePool
    ) -> None:
        self._reader, self._writer, self._pool = reader, writer, pool
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._fetches: dict[int, Future[bytes]] = {}
        self._numbers = itertools.count(1)
        self._mounts = Mounts()
        self._there: dict[str, str] = {}
        self._thread = threading.local()

    async def run(self) -> None:
        """Draw until the server has gone."""
        self._send(Kind.READY, os.getpid())
        while True:
            try:
                kind, number, body = await read_frame(self._reader)
            except (asyncio.IncompleteReadError, ConnectionError, BadFrame):
                return
            if kind is Kind.CALL:
                task = asyncio.create_task(self._answer(number, body))
                self._running[number] = task
                task.add_done_callback(lambda _, number=number: self._running.pop(number, None))
            elif kind is Kind.CANCEL:
                if (running := self._running.get(number)) is not None:
                    running.cancel()
            elif (waiting := self._fetches.pop(number, None)) is not None:
                if kind is Kind.FETCHED:
                    waiting.set_result(body)
                else:
                    message, failure = pickle.loads(body)  # nosec B301: of the server, trusted
                    waiting.set_exception(_NotFetched(message, failure))

    async def _answer(self, number: int, body: bytes) -> None:
        try:
            function, lane, args, kwargs = unpack_call(body, self._mounted)
            named = work.lane(lane)(self._named(number, function))
            value = await self._pool.run(named, *args, **kwargs)
            kind, answer = pack_value(value)
        except asyncio.CancelledError:
            return
        except Exception as error:
            if not isinstance(error, TileError | ValueError | MemoryError):
                logger.info("a call failed", exc_info=True)
            kind, answer = Kind.ERROR, pack_error(error)
        self._send(kind, number, answer)

    def _named(self, number: int, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose thread knows the call's number while it runs."""

        def named(*args: Any, **kwargs: Any) -> Any:
            self._thread.call = number
            try:
                return function(*args, **kwargs)
            finally:
                self._thread.call = 0

        return named

    def _send(self, kind: Kind, number: int, body: bytes = b"") -> None:
        self._writer.write(frame(kind, number, body))

    def _mounted(self, there: str, name: str, size: int) -> str:
        """The path here of a file that the server has mounted."""

        self._there[name] = there

        def fetch(start: int, end: int) -> bytes:
            return self._fetch(self._there[name], start, end)

        return self._mounts.path(name, lambda: RangeFile(name, size, fetch))

    def _fetch(self, there: str, start: int, end: int) -> bytes:
        """Ask the server for bytes; called in a thread. Raises: OSError."""
        number, waiting = next(self._numbers), Future[bytes]()
        self._fetches[number] = waiting
        asked = pickle.dumps((getattr(self._thread, "call", 0), there, start, end))
        self._loop.call_soon_threadsafe(self._send, Kind.FETCH, number, asked)
        try:
            return waiting.result(FETCH_SECONDS)
        except _NotFetched as refused:
            doing = work.current()
            if doing is not None and refused.failure is not None:
                failure = unpack_error(refused.failure)
                doing.failure = failure if isinstance(failure, TileError) else None
            raise OSError(str(refused)) from None
        except TimeoutError:
            raise OSError("the server does not send the bytes") from None
        finally:
            self._fetches.pop(number, None)


class _NotFetched(Exception):
    """The server could not read the bytes; `failure` is, packed, what the caller is told."""

    def __init__(self, message: str, failure: bytes | None) -> None:
        super().__init__(message)
        self.failure = failure


def main(address: str, options: str) -> None:
    """Connect to the socket at `address` and draw.

    Args:
        options: JSON; `memory_bytes` of `handles.bound`, the rest of `TilePool`.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("rasterio").setLevel(logging.ERROR)  # names drivers that are not built in
    os.nice(NICE)
    asyncio.run(_main(address, json.loads(options)))
    # threads that are still in GDAL would be waited for; nobody wants what they draw
    os._exit(0)


async def _main(address: str, options: dict[str, Any]) -> None:
    from tiler import parts, render  # noqa: F401  (before the first call, which would wait)
    from tiler.mosaic import finish  # noqa: F401

    handles.bound(options.pop("memory_bytes"))
    reader, writer = await asyncio.open_unix_connection(address, limit=1 << 22)
    await Drawing(reader, writer, TilePool(**options)).run()

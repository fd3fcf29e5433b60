"""The server's side: a pool like `TilePool` whose threads are in another process.

While that process is away everything is refused with 503 and Retry-After. A supervisor starts it;
this only waits for it to connect. What was being drawn when it died may have been what killed it:
an asset that was there twice is left alone for a while, longer each time.
"""

import asyncio
import itertools
import logging
import os
import pickle
import signal
import socket
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from raster.errors import RasterError
from raster.remote import file_at
from tiler.drawing.wire import (
    BadFrame,
    Kind,
    frame,
    pack_call,
    pack_error,
    read_frame,
    unpack_error,
    unpack_value,
)
from tiler.errors import Busy, Unreadable
from tiler.pool import TIMEOUT_SECONDS
from tiler.work import Work, doing

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

FIRST_SECONDS = 30.0
"""How long the first calls wait for the process to be there at all."""

SILENT_SECONDS = 15.0
"""After a call should have ended: a process that says nothing any more is killed."""

FETCHERS = 16
MAX_PENDING = 4096
FEARED_SECONDS = (60.0, 3600.0)
_PEER = struct.Struct("3i")


class DrawerDied(Busy):
    """The drawing process ended while it drew."""

    def __init__(self) -> None:
        super().__init__("the tile could not be drawn just now; try again", retry_after_seconds=1)


@dataclass(slots=True)
class _Call:
    """One that is not answered yet."""

    future: asyncio.Future[Any]
    work: Work
    versions: frozenset[str]
    files: frozenset[str]


class _Deaths:
    """How often the process died over an asset, and until when that is left alone."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float]] = {}

    def note(self, version: str) -> None:
        count = self._known.get(version, (0, 0.0))[0] + 1
        first, longest = FEARED_SECONDS
        pause = 0.0 if count < 2 else min(longest, first * 2 ** (count - 2))
        self._known[version] = (count, time.monotonic() + pause)
        while len(self._known) > 10_000:
            del self._known[next(iter(self._known))]

    def forget(self, versions: frozenset[str]) -> None:
        if self._known:
            for version in versions:
                self._known.pop(version, None)

    def refuse(self, versions: frozenset[str]) -> None:
        """Raises: Unreadable."""
        if not self._known:
            return
        for version in versions:
            count, until = self._known.get(version, (0, 0.0))
            if count >= 2 and until > time.monotonic():
                raise Unreadable(
                    f"the file cannot be drawn: reading it has failed badly {count} times"
                )


class DrawingPool:
    """Runs functions of a module in the drawing process. Used as `TilePool` is."""

    def __init__(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """A pool without a process; see `listening`."""
        self._timeout = timeout_seconds
        self._calls: dict[int, _Call] = {}
        self._numbers = itertools.count(1)
        self._writer: asyncio.StreamWriter | None = None
        self._first = asyncio.Event()
        self._closed = False
        self._heard = 0.0
        self._deaths = _Deaths()
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="drawing-fetch")
        self._fetching: set[asyncio.Task[None]] = set()
        self.process_id: int | None = None

    @property
    def pending(self) -> int:
        """Calls that are not answered yet."""
        return len(self._calls)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Wait for the process; gives the address that it is to connect to."""
        with tempfile.TemporaryDirectory(prefix="opstac-drawing-") as folder:  # of mode 0700
            address = str(Path(folder) / "socket")
            server = await asyncio.start_unix_server(self._accept, address, limit=1 << 22)
            watching = asyncio.create_task(self._watch())
            try:
                yield address
            finally:
                self.close()
                watching.cancel()
                server.close()
                if self._writer is not None:
                    self._writer.close()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result. A cancelled call is cancelled there, too.

        Raises: Busy: the process is away, has too much to do, or took too long; what the function
            raises.
        """
        await self._ready()
        try:
            body, versions, files = pack_call(function, args, kwargs)
        except RasterError:  # its mount was given up since it was resolved
            raise Busy("the file is not open any more; try again") from None
        self._deaths.refuse(versions)
        if self._writer is None or len(self._calls) >= MAX_PENDING:
            raise Busy("too many tiles are being drawn; try again shortly")
        number = next(self._numbers)
        ends_at = time.monotonic() + self._timeout
        future = asyncio.get_running_loop().create_future()
        call = self._calls[number] = _Call(future, Work(ends_at), versions, files)
        if len(self._calls) == 1:
            self._heard = time.monotonic()
        self._writer.write(frame(Kind.CALL, number, body))
        try:
            async with asyncio.timeout(self._timeout + 1):  # the process says so itself before
                return await future
        except TimeoutError:
            raise Busy("the tile took too long to draw", retry_after_seconds=5) from None
        finally:
            call.work.stopped = True
            self._calls.pop(number, None)
            if (not future.done() or future.cancelled()) and self._writer is not None:
                self._writer.write(frame(Kind.CANCEL, number))

    def close(self) -> None:
        """Refuse new calls, and those that are not answered."""
        self._closed = True
        self._first.set()
        self._fail()
        self._fetchers.shutdown(wait=False, cancel_futures=True)

    async def _ready(self) -> None:
        if not self._first.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._first.wait(), FIRST_SECONDS)
        if self._closed:
            raise Busy("the tile server is stopping")
        if self._writer is None:
            raise Busy("the tile server is being restarted; try again shortly")

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        process_id, user = _peer(writer)
        if self._writer is not None or self._closed or user != os.geteuid():
            writer.close()
            return
        try:
            kind, _, _ = await read_frame(reader)
            if kind is Kind.READY and self._writer is None:
                await self._listen(reader, writer, process_id)
        except (asyncio.IncompleteReadError, ConnectionError, BadFrame, pickle.UnpicklingError):
            pass
        finally:
            if self._writer is writer:
                self._lost()
            writer.close()

    async def _listen(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process_id: int
    ) -> None:
        self._writer, self.process_id = writer, process_id
        self._heard = time.monotonic()
        self._first.set()
        while True:
            kind, number, body = await read_frame(reader)
            self._heard = time.monotonic()
            if kind is Kind.FETCH:
                task = asyncio.create_task(self._fetch(writer, number, body))
                self._fetching.add(task)
                task.add_done_callback(self._fetching.discard)
                continue
            call = self._calls.get(number)
            if call is None or call.future.done():
                continue
            if kind is Kind.ERROR:
                call.future.set_exception(unpack_error(body))
            else:
                call.future.set_result(body if kind is Kind.BYTES else unpack_value(body))
            self._deaths.forget(call.versions)

    def _lost(self) -> None:
        """The process has gone: what it was drawing is refused at once."""
        self._writer = self.process_id = None
        if self._closed:
            return
        logger.error("the drawing process has gone", extra={"pending": len(self._calls)})
        for version in {v for call in self._calls.values() for v in call.versions}:
            self._deaths.note(version)
        self._fail()

    def _fail(self) -> None:
        for call in self._calls.values():
            call.work.stopped = True
            if not call.future.done():
                call.future.set_exception(DrawerDied())

    async def _fetch(self, writer: asyncio.StreamWriter, number: int, body: bytes) -> None:
        """Read bytes of a mounted file for the process."""
        asked, there, start, end = unpack_value(body)
        call = self._calls.get(asked)
        work = call.work if call is not None else Work(time.monotonic() + self._timeout)

        def read() -> bytes:
            # no file but those it was asked to draw
            if not any(there in known.files for known in list(self._calls.values())):
                raise OSError("nobody waits for it")
            with doing(work):
                return file_at(there).range(start, end)

        try:
            data = await asyncio.get_running_loop().run_in_executor(self._fetchers, read)
            writer.write(frame(Kind.FETCHED, number, data))
        except (OSError, RasterError, RuntimeError) as error:
            failure, work.failure = work.failure, None
            if isinstance(error, RasterError):
                failure = Busy("the file is not open any more; try again")
            said = str(error), None if failure is None else pack_error(failure)
            writer.write(frame(Kind.NOT_FETCHED, number, pickle.dumps(said)))

    async def _watch(self) -> None:
        """Kill a process that does not answer any more; then it is as after a crash."""
        while True:
            await asyncio.sleep(5)
            silent = time.monotonic() - self._heard
            if self.process_id and self._calls and silent > self._timeout + SILENT_SECONDS:
                logger.error("the drawing process does not answer; killed")
                with suppress(ProcessLookupError):
                    os.kill(self.process_id, signal.SIGKILL)


def _peer(writer: asyncio.StreamWriter) -> tuple[int, int]:
    """(process id, user id) of who has connected."""
    connection: socket.socket = writer.get_extra_info("socket")
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    process_id, user, _ = _PEER.unpack(found)
    return process_id, user

"""Rasters of other hosts: which may be opened, and how their bytes come here.

A host must be on the operator's list. Its name is resolved and every address checked each time the
file is looked at anew; connections go to these addresses and to no other. Only https, no redirects,
no credentials; every answer must be exactly the range that was asked for, of the same version of
the file, within a bounded time and number of bytes. GDAL sees bytes, never an address.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import httpcore

from ops_gateway.kernel.errors import Forbidden, Invalid, OpError, Unavailable
from ops_gateway.providers.addresses import Allowance
from ops_gateway.providers.endpoints import (
    Endpoint,
    EndpointRefused,
    Guard,
    PinnedThread,
    Resolver,
    public_authorities,
    resolve,
)
from raster import tiff
from raster.remote import BLOCK_BYTES, Fetch, Mounted, RangeFile
from tiler import work
from tiler.errors import Busy, Unreadable

FRESH_SECONDS = 60.0
FAILED_SECONDS = 5.0
CONNECT_SECONDS = 5.0
READ_SECONDS = 5.0
FETCH_SECONDS = 10.0
MAX_WORK_BYTES = 64 << 20
"""What one picture may fetch."""

MAX_OPEN = 512
OPENERS = 8

_RANGE = re.compile(rb"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class BrokenAnswer(OSError):
    """The host answered, but not with the file's bytes; the message is for the caller."""


class _Changed(BrokenAnswer):
    """The host has another version of the file than the one that is read."""


def parse_hosts(text: str) -> tuple[str, ...]:
    """`data.example.org,*.tiles.example` → names; `*.` means every name below, not the name itself.

    Raises: ValueError: no host name. Addresses are none: a certificate belongs to a name.
    """
    found = tuple(part.strip().lower().rstrip(".") for part in text.split(",") if part.strip())
    for name in found:
        if not _HOST.fullmatch(name) or name.rsplit(".", 1)[-1].isdecimal():
            raise ValueError(f"{name!r} is not a host name, nor one with '*.' before it")
    return found


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An opened file: what GDAL opens it by, and what changes with its bytes."""

    path: str
    version: str


@dataclass(slots=True)
class _Known:
    """What was found out about a URL, and until when it counts."""

    file: RemoteFile | None
    origin: _Origin | None
    mounted: Mounted | None
    error: OpError | None
    until: float


class RemoteFiles:
    """Opens rasters of the hosts on the list."""

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        allow: Sequence[Allowance] = (),
        resolver: Resolver = resolve,
        ssl_context: ssl.SSLContext | None = None,
        fresh_seconds: float = FRESH_SECONDS,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        """Files of `hosts`, as `parse_hosts` gives them; none where there are none.

        Args:
            allow: networks and ports that the operator trusts although they are private; plain
                http may go there.
            resolver, ssl_context: for tests.
            fresh_seconds: how long a version counts before the host is asked again.
            fetch_seconds: how long one answer may take.
        """
        self._hosts = tuple(hosts)
        self._guard = Guard(allow=allow, resolver=resolver, connect_seconds=CONNECT_SECONDS)
        self._ssl_context = ssl_context
        self._fresh_seconds = fresh_seconds
        self._fetch_seconds = fetch_seconds
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._opening: dict[str, asyncio.Task[RemoteFile]] = {}
        self._threads = ThreadPoolExecutor(OPENERS, thread_name_prefix="remote")

    def close(self) -> None:
        """Forget every file."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self._known:
            self._drop(next(iter(self._known)))

    def covers(self, url: str) -> bool:
        """Whether the URL's host is on the list."""
        try:
            parsed, _ = self._guard.parse(url)
        except EndpointRefused:
            return False
        return self._listed(parsed.raw_host.decode())

    async def open(self, url: str) -> RemoteFile:
        """The file at `url`, ready for GDAL.

        Raises:
            Forbidden: the host is not on the list, or leads to an address that is not public.
            Invalid: the host answers with something that is no file to be read in ranges.
            Unavailable: it does not answer, or too much is being opened.
        """
        if not self.covers(url):
            raise Forbidden(
                "only assets of this platform and files of hosts that its operator allows are "
                "opened (OPSTAC_RASTER_HOSTS)"
            )
        known = self._known.get(url)
        if known is not None and known.until > time.monotonic():
            self._known.move_to_end(url)
            if known.error is not None:
                raise known.error
            assert known.file is not None
            return known.file
        task = self._opening.get(url)
        if task is None:
            if len(self._opening) >= 8 * OPENERS:
                raise Unavailable("too many remote files are being opened; try again shortly", 2)
            task = asyncio.create_task(self._look(url))
            self._opening[url] = task
            task.add_done_callback(lambda done: self._ended(url, done))
        # one caller that goes away does not take the answer from the others
        return await asyncio.shield(task)

    def _ended(self, url: str, task: asyncio.Task[RemoteFile]) -> None:
        self._opening.pop(url, None)
        if not task.cancelled():
            task.exception()  # seen, also where every caller has gone

    def _listed(self, host: str) -> bool:
        name = host.lower().rstrip(".")
        return any(
            name.endswith(entry[1:]) if entry.startswith("*.") else name == entry
            for entry in self._hosts
        )

    async def _look(self, url: str) -> RemoteFile:
        """Ask the host for the file's beginning, which tells its version and size."""
        origin = None
        try:
            endpoint = await self._guard.check(url)
            origin = _Origin(endpoint, self._ssl_context, self._fetch_seconds)
            loop = asyncio.get_running_loop()
            first = await loop.run_in_executor(self._threads, origin.first)
        except EndpointRefused as error:
            refused = Forbidden(f"the host cannot be opened: {error}")
            raise self._failed(url, refused, origin) from None
        except BrokenAnswer as error:
            broken = Invalid.at("url", f"the remote file: {error}")
            raise self._failed(url, broken, origin) from None
        except (OSError, httpcore.TimeoutException, httpcore.NetworkError):
            unavailable = Unavailable("the host of the remote file does not answer", 5)
            raise self._failed(url, unavailable, origin) from None
        except httpcore.ProtocolError:
            broken = Invalid.at("url", "the remote file: the host's answer is not HTTP")
            raise self._failed(url, broken, origin) from None
        version = hashlib.blake2b(f"{url}\n{first.tag}".encode(), digest_size=16).hexdigest()
        known = self._known.get(url)
        if known is None or known.file is None or known.file.version != version:
            self._drop(url)
            file = RangeFile(version, first.size, origin.fetcher(first, lambda: self._stale(url)))
            file.keep(first.data)
            mounted = Mounted(file)
            known = _Known(RemoteFile(mounted.path, version), origin, mounted, None, 0.0)
            self._known[url] = known
            while len(self._known) > MAX_OPEN:
                self._drop(next(iter(self._known)))
        else:
            origin.close()
        known.until = time.monotonic() + self._fresh_seconds
        assert known.file is not None
        return known.file

    def _stale(self, url: str) -> None:
        """Look at the file anew the next time it is opened."""
        known = self._known.get(url)
        if known is not None:
            known.until = 0.0

    def _failed(self, url: str, error: OpError, origin: _Origin | None) -> OpError:
        """Remember a failure for a moment, so that a map does not ask for it hundreds of times."""
        if origin is not None:
            origin.close()
        self._drop(url)
        self._known[url] = _Known(None, None, None, error, time.monotonic() + FAILED_SECONDS)
        while len(self._known) > MAX_OPEN:
            self._drop(next(iter(self._known)))
        return error

    def _drop(self, url: str) -> None:
        known = self._known.pop(url, None)
        if known is not None and known.mounted is not None and known.origin is not None:
            known.mounted.close()
            known.origin.close()


@dataclass(frozen=True, slots=True)
class _First:
    """The beginning of a file.

    Attributes:
        tag: what the host says changes with the bytes; with neither, a hash of the beginning.
    """

    data: bytes
    size: int
    tag: str


@dataclass(frozen=True, slots=True)
class _Answer:
    data: bytes
    size: int
    etag: bytes
    modified: bytes


class _Origin:
    """One file of one host, at addresses that were checked."""

    def __init__(
        self, endpoint: Endpoint, ssl_context: ssl.SSLContext | None, fetch_seconds: float
    ) -> None:
        url = endpoint.url
        self._target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=endpoint.port, target=url.raw_path
        )
        self._host = url.netloc
        self._seconds = fetch_seconds
        self._closed = False
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context or public_authorities(),
            network_backend=PinnedThread(endpoint.addresses),
            max_connections=8,
            max_keepalive_connections=4,
            keepalive_expiry=30,
            http1=True,
            http2=False,
        )

    def close(self) -> None:
        """End its connections; who still reads it is told that it cannot."""
        self._closed = True
        with suppress(RuntimeError):  # some are being used: they end with their answer
            self._pool.close()

    def first(self) -> _First:
        """The file's beginning; called outside any pool of tiles."""
        answer = self._ask(0, BLOCK_BYTES, time.monotonic() + self._seconds)
        if answer.size > tiff.MAX_FILE_BYTES:
            raise BrokenAnswer("it is larger than 10 GiB")
        said = answer.etag or answer.modified
        tag = said.decode("latin-1") or hashlib.blake2b(answer.data).hexdigest()
        return _First(answer.data, answer.size, f"{tag}\n{answer.size}")

    def fetcher(self, first: _First, changed: Callable[[], None]) -> Fetch:
        """A `raster.remote.Fetch` of the version that begins with `first`.

        `changed` is called where the host has another version by now.
        """

        def fetch(start: int, end: int) -> bytes:
            doing = work.current()
            try:
                return self._fetch(first, start, end, doing)
            except _Changed as error:
                changed()
                _note(doing, Busy(f"the remote file {error}"))
                raise
            except BrokenAnswer as error:
                _note(doing, Unreadable(f"the remote file cannot be read: {error}"))
                raise
            except (OSError, httpcore.TimeoutException, httpcore.NetworkError) as error:
                _note(doing, Busy("the host of the remote file does not answer"))
                raise OSError(str(error)) from None
            except httpcore.ProtocolError as error:
                _note(doing, Unreadable("the remote file cannot be read: its host breaks HTTP"))
                raise OSError(str(error)) from None

        return fetch

    def _fetch(self, first: _First, start: int, end: int, doing: work.Work | None) -> bytes:
        if self._closed:
            raise OSError("it is not open any more")
        deadline = time.monotonic() + self._seconds
        if doing is not None:
            if doing.stopped:
                raise OSError("nobody waits for it")
            deadline = min(deadline, doing.ends_at)
            doing.fetched_bytes += end - start
            if doing.fetched_bytes > MAX_WORK_BYTES:
                raise BrokenAnswer("one picture would need more than 64 MiB of it")
        answer = self._ask(start, end, deadline)
        said = answer.etag or answer.modified
        same = not said or f"{said.decode('latin-1')}\n{answer.size}" == first.tag
        if answer.size != first.size or not same:
            raise _Changed("has changed; try again")
        return answer.data

    def _ask(self, start: int, end: int, deadline: float) -> _Answer:
        """The bytes from `start` up to `end`, fewer where the file ends. Raises: BrokenAnswer and
        what httpcore raises.
        """
        headers = [
            (b"Host", self._host),
            (b"User-Agent", b"opstac-raster/1"),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),
            (b"Range", f"bytes={start}-{end - 1}".encode()),
        ]
        timeout = {
            "connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS,
            "pool": READ_SECONDS,
        }  # fmt: skip
        with self._pool.stream(
            "GET", self._target, headers=headers, extensions={"timeout": timeout}
        ) as response:
            found = {name.lower(): value for name, value in response.headers}
            length, size = _span(response.status, found, start, end)
            data = bytearray()
            for piece in response.iter_stream():
                data += piece
                if len(data) > length:
                    raise BrokenAnswer("its host sends more than was asked for")
                if time.monotonic() > deadline:
                    raise TimeoutError("too slow")
        if len(data) != length:
            raise BrokenAnswer("its host sends less than it says")
        return _Answer(bytes(data), size, found.get(b"etag", b""), found.get(b"last-modified", b""))


def _note(doing: work.Work | None, failure: Busy | Unreadable) -> None:
    """Keep why, since GDAL will only say that a read failed."""
    if doing is not None:
        doing.failure = failure


def _span(status: int, headers: dict[bytes, bytes], start: int, end: int) -> tuple[int, int]:
    """(bytes that follow, the file's size). Raises: BrokenAnswer."""
    if 300 <= status < 400:
        raise BrokenAnswer("its host redirects, which is not followed")
    if status == 200:
        raise BrokenAnswer("its host does not answer with ranges")
    if status != 206:
        raise BrokenAnswer(f"its host answered {status}")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise BrokenAnswer("its host sends it compressed")
    match = _RANGE.fullmatch(headers.get(b"content-range", b"").strip())
    if match is None:
        raise BrokenAnswer("its host does not say which range it sends")
    first, last, size = (int(number) for number in match.groups())
    if first != start or last != min(end, size) - 1 or size <= start:
        raise BrokenAnswer("its host sends another range than was asked for")
    return last - first + 1, size

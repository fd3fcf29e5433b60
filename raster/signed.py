"""Files of a bucket, read by its own signed links: what reads them needs no key.

A link opens one object, to read, for a time. So a child that a hostile file took over can reach the
sources of its own run and nothing else of the bucket. GDAL sees bytes, never the link.
"""

import hashlib
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import httpx

from raster import counting
from raster.errors import RasterError
from raster.remote import BLOCK_BYTES, Mounted, RangeFile

_ATTEMPTS = 3
_PAUSE_SECONDS = 0.5
_TIMEOUT = httpx.Timeout(30, connect=5)
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_EMPTY = 416  # of a file without a byte


class SignedFiles:
    """The files of `links`, mounted for GDAL until the end of the `with`.

    Attributes:
        paths: name of each link → what GDAL opens it by.
        failed: why a range could not be had, in words without addresses; None where none failed.
            GDAL may take it for a damaged file, or for no data: a result is good only without.
    """

    def __init__(self, links: Mapping[str, str]) -> None:
        """Nothing is opened before the `with`.

        Args:
            links: a name → the signed link of its object.
        """
        self._links = dict(links)
        self._mounted: list[Mounted] = []
        self.paths: dict[str, str] = {}
        self.failed: str | None = None

    def __enter__(self) -> Self:
        """Nothing is contacted before a file is opened: of many, only some may be read."""
        # neither proxies nor passwords of a `.netrc`: a link has all that it needs
        self._client = httpx.Client(
            verify=ssl.create_default_context(), timeout=_TIMEOUT, trust_env=False
        )
        for name, link in self._links.items():
            mounted = Mounted(_Later(link, self._found))
            self._mounted.append(mounted)
            self.paths[name] = mounted.path
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        for mounted in self._mounted:
            mounted.close()
        self._client.close()

    def _found(self, link: str) -> RangeFile:
        """Raises: RasterError: `not_found`, `not_a_geotiff`, `storage_unavailable`."""
        try:
            return self._look(link)
        except OSError as error:
            self.failed = str(error)
            raise RasterError("storage_unavailable", self.failed) from None

    def _look(self, link: str) -> RangeFile:
        first = self._get(link, 0, BLOCK_BYTES)
        found = _RANGE.fullmatch(first.headers.get("content-range", ""))
        if first.status_code == _EMPTY or found is None:
            raise RasterError("not_a_geotiff", "the file is empty, or not to be read in ranges")
        size, tag = int(found[3]), first.headers.get("etag", "")

        def fetch(start: int, end: int) -> bytes:
            try:
                answer = self._get(link, start, end)
                if answer.headers.get("etag", "") != tag:
                    raise OSError("the object was replaced while it was read")
                return _exactly(answer, start, end, size)
            except (OSError, RasterError) as error:
                self.failed = str(error)
                raise OSError(self.failed) from None

        data = _exactly(first, 0, min(BLOCK_BYTES, size), size)
        version = hashlib.blake2b(f"{link}\n{tag}".encode(), digest_size=16).hexdigest()
        file = RangeFile(version, size, fetch)
        file.keep(data)
        return file

    def _get(self, link: str, start: int, end: int) -> httpx.Response:
        """Raises: RasterError: `not_found`; OSError: no answer, after some attempts."""
        problem = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_SECONDS * 2**attempt)
            try:
                answer = self._client.get(link, headers={"Range": f"bytes={start}-{end - 1}"})
            except httpx.HTTPError as error:
                problem = f"the object store does not answer: {type(error).__name__}"
                continue
            if answer.status_code in (206, _EMPTY):
                return answer
            if answer.status_code == 404:
                raise RasterError("not_found", "the file is gone from the object store")
            problem = f"the object store answered with status {answer.status_code}"
            if answer.status_code < 500 and answer.status_code != 429:
                break
        raise OSError(problem)


def _exactly(answer: httpx.Response, start: int, end: int, size: int) -> bytes:
    """The bytes that were asked for. Raises: OSError: the answer has others, or not all."""
    said = answer.headers.get("content-range", "")
    if answer.status_code != 206 or said != f"bytes {start}-{end - 1}/{size}":
        raise OSError("the object store answered with another range than was asked for")
    if len(answer.content) != end - start:
        raise OSError("the object store did not send all bytes that were asked for")
    counting.add_fetched(end - start)
    return answer.content


def _nothing(start: int, end: int) -> bytes:
    """The bytes of a file that has none."""
    return b""


class _Later(RangeFile):
    """A file that is looked for when it is first opened."""

    def __init__(self, link: str, find: Callable[[str], RangeFile]) -> None:
        super().__init__(hashlib.blake2b(link.encode(), digest_size=16).hexdigest(), 0, _nothing)
        self._link, self._find = link, find
        self._lock = threading.Lock()
        self._file: RangeFile | None = None

    def open(self, path: str, mode: str = "rb") -> RangeFile:
        """The file at its beginning. Raises: RasterError."""
        with self._lock:
            if self._file is None:
                self._file = self._find(self._link)
        return self._file.open(path, mode)

"""The flow of a download: bytes into a file as they come, taken up again where they broke off."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from opstac.client import table
from opstac.client.calls import is_place, opened
from opstac.client.connection import Connection, log_retry, told
from opstac.client.files import replaced
from opstac.client.progress import Bar, chosen
from opstac.client.steps import Flow, Progress, Save, Sleep


@contextmanager
def begun(
    path: str | Path, what: str, progress: Progress | bool | None
) -> Generator[tuple[BinaryIO, Progress | None]]:
    """(the file to write to, what is told how far it is); the file is there in the end."""
    tell = chosen(progress, Path(path).name or what)
    try:
        with replaced(path) as file:
            yield file, tell
    finally:
        if isinstance(tell, Bar):
            tell.close()


class Written:
    """How much of a file is there, and who is told."""

    def __init__(self, progress: Progress | None) -> None:
        """Nothing yet."""
        self._progress = progress
        self.size = 0
        self.total: int | None = None

    def add(self, count: int) -> None:
        """So many bytes more."""
        self.size += count
        # of what is made as it is sent nobody knows how much there will be
        if self._progress is not None and self.total is not None:
            self._progress(self.size, self.total)


def saved(
    at: Connection,
    what: str,
    body: Mapping[str, Any] | None,
    file: BinaryIO,
    progress: Progress | None,
) -> Flow[int]:
    """Write an answer to a file; how many bytes it has.

    What breaks off goes on where it stands if it is a path or an address whose server still has the
    same file (a strong ETag says so). A read begins anew. All else could be done twice.

    Raises:
        OperationError: it was refused.
        httpx.TransportError: it broke off too often.
    """
    entry = table.entries().get(what)
    again = file.seekable() and (is_place(what) or (entry is not None and entry.is_read))
    written, etag, tries = Written(progress), "", 0
    while True:
        # as it lies there: of what is packed on the way no part can be asked for
        headers = {"Accept-Encoding": "identity"}
        if written.size and etag:
            headers |= {"Range": f"bytes={written.size}-", "If-Range": etag}
        response = yield from opened(at, what, body, headers=headers)
        if written.size and not _goes_on(response, written.size):
            file.seek(0)
            file.truncate()
            written.size = 0
        etag = _etag(response) if is_place(what) else ""
        written.total = _total(response, written.size)
        before, failure = written.size, None
        try:
            yield Save(response, file, written.add)
        except httpx.TransportError as error:
            failure = error
        if failure is None:
            return written.size
        tries = 1 if etag and written.size > before else tries + 1
        wait = at.policy.pause(tries) if again else None
        if wait is None:
            raise told(failure)
        log_retry(what.partition("?")[0], type(failure).__name__, wait, tries, at.policy)
        yield Sleep(wait)


def _goes_on(response: httpx.Response, size: int) -> bool:
    """Whether the answer is the rest of what is there already."""
    asked = response.headers.get("content-range", "")
    return response.status_code == 206 and asked.startswith(f"bytes {size}-")


def _etag(response: httpx.Response) -> str:
    """What names just these bytes; nothing where the server has no such name."""
    etag = response.headers.get("etag", "")
    return "" if etag.startswith("W/") else etag


def _total(response: httpx.Response, before: int) -> int | None:
    length = response.headers.get("content-length", "")
    packed = "content-encoding" in response.headers
    return before + int(length) if length.isdigit() and not packed else None

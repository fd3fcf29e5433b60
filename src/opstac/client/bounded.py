"""Answers as far as they are taken: a server may send more than memory holds, and may pack it."""

from __future__ import annotations

from contextlib import suppress

import httpx

from opstac.client.errors import OperationError
from opstac.client.values import printable

MAX_BYTES = 512 * 1024 * 1024
"""Of an answer that is read whole, unless the client was made with another number."""
REFUSAL_BYTES = 1024 * 1024
"""Of a refusal; the rest is left unread."""
PACKED = ("gzip", "deflate")
"""What an answer may be packed with, once. Each piece from the network is unpacked at once, to a
thousand times its size at most with these; twice packed it would be a million times."""
ACCEPTED = ", ".join(PACKED)


class Whole:
    """The body of an answer, put together piece by piece."""

    def __init__(self, response: httpx.Response, max_bytes: int) -> None:
        """`max_bytes`: of a success; one with more is refused, any other answer is cut."""
        self._response = response
        self._limit = max_bytes if response.is_success else min(max_bytes, REFUSAL_BYTES)
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> bool:
        """Take a piece; whether another one is wanted.

        Raises:
            OperationError: it is a success and has more than `max_bytes`.
        """
        self._size += len(piece)
        if self._size <= self._limit:
            self._pieces.append(piece)
            return True
        if self._response.is_success:
            raise _bad(
                self._response,
                f"the answer has more than {self._limit} bytes; take it piece by piece with"
                " pieces() or download(), or make the client with a larger max_bytes",
            )
        self._pieces.append(piece[: self._limit - self._size])
        return False

    def response(self) -> httpx.Response:
        """The answer, with the body that came, unpacked."""
        headers = self._response.headers.copy()
        for name in ("content-encoding", "content-length", "transfer-encoding"):
            with suppress(KeyError):
                del headers[name]
        return httpx.Response(
            self._response.status_code,
            headers=headers,
            content=b"".join(self._pieces),
            request=self._response.request,
            extensions=self._response.extensions,
        )


def check_packing(response: httpx.Response) -> None:
    """Raises OperationError where it is packed in a way that was not asked for."""
    packed = response.headers.get("content-encoding", "").lower()
    ways = [way.strip() for way in packed.split(",") if way.strip() not in ("", "identity")]
    if len(ways) > 1 or not set(ways) <= set(PACKED):
        said = printable(packed[:60])
        raise _bad(response, f"the answer is packed with {said}, which was not asked for")


def _bad(response: httpx.Response, detail: str) -> OperationError:
    name = response.request.url.path.removeprefix("/v1/op/")
    problem = {"title": "Bad Answer", "status": response.status_code, "detail": detail}
    return OperationError(name, problem)

"""What the requests of one process may hold at once: beyond it they are refused, not queued.

A queue of requests grows with its bodies in memory, and answers when nobody waits any more. One
that is refused with 503 and `Retry-After` can come again, or go to another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Receive, Scope

from ops_gateway.kernel.errors import OpError, Unavailable

SILENCE_SECONDS = 30
SLOWEST = 1024  # bytes a second of a body, beyond the first SILENCE_SECONDS
AGAIN_SECONDS = 1
# what tells that the process lives, and streams that last and have a limit of their own
UNCOUNTED = ("/livez", "/readyz", "/healthz", "/v1/notifications/stream")
# files, which are handed on piece by piece
STREAMED = ("/storage/", "/v1/jobs/")


class FellSilent(OpError):
    """The body stopped coming."""

    status, title = 408, "Request Timeout"


class Load:
    """Counts requests and the bytes of their bodies."""

    def __init__(
        self,
        *,
        requests: int = 1000,
        body_bytes: int = 256 << 20,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """A process at rest.

        Args:
            requests: that may be under way at once.
            body_bytes: of bodies that may be held for requests under way.
            silence_seconds: how long a body may stop coming; and how long it may take beside what
                `SLOWEST` allows for its size, so that a byte now and then holds no place for ever.
        """
        self._most, self._most_bytes = requests, body_bytes
        self.silence_seconds = silence_seconds
        self.requests = 0
        self.body_bytes = 0

    @contextmanager
    def request(self, scope: Scope, receive: Receive) -> Iterator[Incoming]:
        """One request while it lasts. Raises Unavailable."""
        incoming = Incoming(self, receive, counts=not _is_streamed(scope))
        if scope["path"].startswith(UNCOUNTED):
            yield incoming
            return
        if self.requests >= self._most:
            raise Unavailable("too many requests are under way; try again", AGAIN_SECONDS)
        self.requests += 1
        try:
            yield incoming
        finally:
            self.requests -= 1
            self.body_bytes -= incoming.held

    def hold(self, size: int) -> None:
        """Take room for `size` bytes more. Raises Unavailable."""
        if self.body_bytes + size > self._most_bytes:
            raise Unavailable("too many large requests are under way; try again", AGAIN_SECONDS)
        self.body_bytes += size


class Incoming:
    """The body of one request, counted as held until the request ends.

    What reads it may be any app: to it a refused body is a client that has gone, for which each
    has its way, and the edge gives the answer in its place.
    """

    def __init__(self, load: Load, receive: Receive, *, counts: bool) -> None:
        self._load, self._receive = load, receive
        self._counts = counts
        self._whole = False
        self._came, self._waited = 0, 0.0
        self.held = 0
        self.refusal: OpError | None = None

    async def receive(self) -> Message:
        """ASGI: the next piece of the body, and then that the client has gone."""
        if self._whole:
            return await self._receive()
        try:
            message = await self._next()
            self._whole = not message.get("more_body", False)
            self._came += (size := len(message.get("body", b"")))
            if size and self._counts:
                self._load.hold(size)
                self.held += size
        except TimeoutError:
            self.refusal = FellSilent("the body stopped coming")
        except Unavailable as error:
            self.refusal = error
        else:
            return message
        self._whole = True
        return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        """What comes next. Raises TimeoutError: nothing for too long, or too little until now."""
        silence, clock = self._load.silence_seconds, asyncio.get_running_loop().time
        if not self._counts:
            silence *= 3  # what keeps a file says sooner, and where the client may go on
        allowed = silence + self._came / SLOWEST - self._waited
        begun = clock()
        async with asyncio.timeout(min(silence, allowed)):
            message = await self._receive()
        self._waited += clock() - begun
        return message


def _is_streamed(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] == "PUT" and path.startswith(STREAMED)

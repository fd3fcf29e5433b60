"""`GET /v1/notifications/stream`: the unread count as Server-Sent Events.

A stream holds no database connection: it waits for word that the person's inbox or standing has
changed, then looks once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from db.listen import Listener
from ops_gateway.domains import notifications
from ops_gateway.kernel.authenticate import Authenticator, expiry_of
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import OpError, RateLimited, Unavailable
from ops_gateway.kernel.operation import REGISTRY
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces.edge import credential
from ops_gateway.surfaces.limits import RateLimiter, client_address

logger = logging.getLogger(__name__)

PATH = "/v1/notifications/stream"
CHANNEL = "person"
MEDIA_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 15.0
LOOK_SECONDS = 1.0  # how soon a stream notices that the server is about to stop
GATHER_SECONDS = 0.05  # what comes together is told together
MOST_OF_ONE = 6
MOST = 2000


class Places:
    """How many streams there may be in this process: of one caller, and of all."""

    def __init__(self, *, of_one: int = MOST_OF_ONE, of_all: int = MOST) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, caller: str) -> Iterator[None]:
        """A place while the block lasts. Raises RateLimited, Unavailable."""
        if self._taken[caller] >= self._of_one:
            raise RateLimited(
                f"you have {self._of_one} streams open; close one", headers={"Retry-After": "5"}
            )
        if self._taken.total() >= self._of_all:
            raise Unavailable("too many streams are open; ask for the count instead", 30)
        self._taken[caller] += 1
        try:
            yield
        finally:
            self._taken[caller] -= 1
            if not self._taken[caller]:
                del self._taken[caller]


class CountStreams:
    """Tells callers their unread count for as long as they listen."""

    def __init__(
        self,
        pipeline: Pipeline,
        limiter: RateLimiter,
        authenticator: Authenticator,
        listener: Listener,
        draining: Callable[[], bool],
    ) -> None:
        """`listener`: of `CHANNEL`; the streams end when `draining` says so."""
        self._pipeline = pipeline
        self._limiter = limiter
        self._authenticator = authenticator
        self._listener = listener
        self._draining = draining
        self._places = Places()
        self._op = REGISTRY["notifications.unread_count"]

    async def respond(self, request: Request) -> Response:
        """The stream; raises OpError for who gets none."""
        principal = request.scope["principal"]
        self._pipeline.admit(self._op, principal)
        headers = self._limiter.count(self._op, principal, client_address(request.scope))
        with self._places.taken(principal.id):
            pass  # refused with a status, while that can still be said
        headers |= {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(None, headers=headers, media_type=MEDIA_TYPE)
        stream = self._kept(principal, credential(request.headers) or "")
        return StreamingResponse(stream, headers=headers, media_type=MEDIA_TYPE)

    async def _kept(self, principal: Principal, token: str) -> AsyncGenerator[bytes]:
        with self._places.taken(principal.id):
            try:
                async with aclosing(self._events(principal, token)) as sent:
                    async for part in sent:
                        yield part
            except (psycopg.Error, PoolTimeout) as error:
                logger.warning("a stream ends, the database is away: %s", error)

    async def _events(self, principal: Principal, token: str) -> AsyncGenerator[bytes]:
        expires = expiry_of(token)
        told: int | None = None
        with self._listener.waiting(principal.user_id or principal.id) as changed:
            yield b"retry: 3000\n\n"
            while not self._draining():
                changed.clear()
                number = await self._count(principal)
                if number != told:
                    told = number
                    moment = time.time_ns() // 1_000_000
                    yield b'id: %d\nevent: unread_count\ndata: {"count":%d}\n\n' % (moment, number)
                deadline = time.time() + HEARTBEAT_SECONDS
                if expires is not None:
                    deadline = min(deadline, expires)
                await _wait(changed, deadline, self._draining)
                if expires is not None and time.time() >= expires:
                    break
                if not await self._still(principal, token):
                    break
                if not changed.is_set():
                    yield b": still here\n\n"
        # the client comes again, and is told by the answer's status whether it may
        yield b"event: end\ndata: {}\n\n"

    async def _count(self, principal: Principal) -> int:
        return await self._pipeline.look("notifications.stream", principal, notifications.unread)

    async def _still(self, principal: Principal, token: str) -> bool:
        """Whether the credential lets in the same caller, of the same organization, as before."""
        try:
            now = await self._authenticator.authenticate(token)
            self._pipeline.admit(self._op, now)
        except OpError:
            return False
        return (now.id, now.organization_id) == (principal.id, principal.organization_id)


def routes(streams: CountStreams) -> list[Route]:
    """The stream's route."""
    return [Route(PATH, streams.respond, methods=["GET"])]


async def _wait(changed: asyncio.Event, deadline: float, draining: Callable[[], bool]) -> None:
    """Until something has changed, the deadline (Unix time) is there or the server stops."""
    while not draining() and (left := deadline - time.time()) > 0:
        try:
            async with asyncio.timeout(min(left, LOOK_SECONDS)):
                await changed.wait()
        except TimeoutError:
            continue
        await asyncio.sleep(GATHER_SECONDS)
        return

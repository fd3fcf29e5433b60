"""A request's body, bounded before anything looks at it.

The apps answer with errors of their own, so what is wrong is told in plain exceptions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request


class BodyError(Exception):
    """A body that cannot be had as a whole."""

    status = 400


class BodyTooLarge(BodyError):
    """It has more bytes than are taken."""

    status = 413


class BodyCutShort(BodyError):
    """The client went away before its end. Nobody reads the answer; the log shows no fault."""


async def pieces(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it comes, at most `limit` bytes of it; one that is announced to be larger is not
    waited for.

    Raises: BodyTooLarge, BodyCutShort.
    """
    # by HTTP/1.1 the length is digits of ASCII; anything else is the server's to refuse
    announced = request.headers.get("content-length", "")
    size = int(announced[:20]) if announced.isascii() and announced.isdigit() else 0
    if size > limit:
        raise BodyTooLarge(f"the body may have at most {limit} bytes")
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise BodyTooLarge(f"the body may have at most {limit} bytes")
            yield piece
    except ClientDisconnect:
        raise BodyCutShort("the body ended early") from None


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises: BodyTooLarge, BodyCutShort."""
    return b"".join([piece async for piece in pieces(request, limit)])

"""`/storage/{object}`: downloads with ranges and resumable uploads, by signed URL.

    GET, HEAD    a URL signed for `get`: the object, or one range of it
    HEAD         a URL signed for `put`: `Upload-Offset`, where the upload stands
    PUT          the whole object; or with `Content-Range: bytes 0-99/250` the next piece of it

A finished upload is answered 201, a piece that is not the last 200; both with `Upload-Offset` and
`Upload-Complete` (`?1` or `?0`). The URL is the whole credential. One that was given to a key, a
person or a share link ends with them: each request by it asks. A file in a bucket is led to from
here, for a minute.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from db.objects import ObjectMeta, Objects, Received
from db.parts import Announced
from db.paths import (
    BadObjectPath,
    DigestMismatch,
    ObjectMissing,
    PartBusy,
    StorageFull,
    StorageUnavailable,
    TooFewBytes,
    TooManyBytes,
    WrongOffset,
)
from db.signing import BadSignature, Grant, sign, verify
from ops_gateway.catalogue.links import BUCKET_SECONDS
from ops_gateway.kernel.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    OpError,
    TooLarge,
    Unavailable,
)
from ops_gateway.surfaces.limits import client_address
from ops_gateway.surfaces.load import FellSilent

logger = logging.getLogger(__name__)

MayWrite = Callable[[str], Awaitable[bool]]
Accept = Callable[[str, int], Awaitable[None]]
Sent = Callable[[str, int], None]
Stands = Callable[[str], Awaitable[bool]]
Count = Callable[[str | None, str], None]

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_LENGTH = re.compile(r"[0-9]{1,18}")
_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/=]{44}):")
FULL_RETRY_SECONDS = 60
# a client that is gone without a word holds its upload for this long
SILENCE_SECONDS = 60.0
METHODS = ("GET", "HEAD", "PUT")


class RangeNotSatisfiable(OpError):
    """The range begins beyond the object's end."""

    status, title = 416, "Range Not Satisfiable"


class UnsupportedEncoding(OpError):
    """The body is compressed; what is stored must be what is sent."""

    status, title = 415, "Unsupported Media Type"


def storage_url(base_url: str, grant: Grant, key: bytes) -> str:
    """The signed URL of `grant`, to hand to a client."""
    return f"{base_url.rstrip('/')}/storage/{grant.path}?{sign(grant, key)}"


class Storage:
    """The ASGI application behind `/storage/{object:path}`.

    Args:
        objects: the store.
        keys: any of them may have signed a URL; the first is the current one.
        may_write: whether an object's upload is still open. A URL outlives the upload that it was
            made for; without this it could replace an object that is registered already.
        accept: told the object and its size once all its bytes are here and before it appears; it
            raises OpError where the upload was closed meanwhile or has no room for it.
        sent: told the payer of a URL that has one, and how many bytes went out.
        stands: whether the holder of a URL may use it still.
        count: told of each request whose address is right: which organization it was signed for,
            where that is known, and where it comes from; raises RateLimited.
    """

    def __init__(
        self,
        objects: Objects,
        keys: Sequence[bytes],
        *,
        may_write: MayWrite | None = None,
        accept: Accept | None = None,
        sent: Sent | None = None,
        stands: Stands | None = None,
        count: Count | None = None,
    ) -> None:
        """Nothing is touched before a request."""
        self._objects = objects
        self._keys = keys
        self._may_write = may_write
        self._accept = accept
        self._sent = sent
        self._stands = stands
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method not in METHODS:
            raise MethodNotAllowed(
                f"{request.method} is not for objects", headers={"Allow": ", ".join(METHODS)}
            )
        try:
            grant = verify(
                request.path_params["object"], request.query_params.multi_items(), self._keys
            )
        except BadSignature as error:
            raise Forbidden(str(error)) from None
        if self._count is not None:
            self._count(owner_of(grant), client_address(request.scope))
        # a holder that nobody here can ask about opens nothing
        if grant.holder is not None and not (self._stands and await self._stands(grant.holder)):
            raise Forbidden("this URL was withdrawn; ask for a new one")
        with _refusals():
            if request.method == "PUT":
                return await self._upload(request, grant)
            if grant.action == "get":
                return await self._download(request, grant)
            if request.method == "HEAD":
                return _standing(200, await self._objects.received(grant.path))
        raise Forbidden("this URL is for an upload")

    async def _download(self, request: Request, grant: Grant) -> Response:
        if request.method == "GET" and not self._objects.is_local:
            url = await self._objects.signed_download(grant.path, BUCKET_SECONDS)
            assert url is not None
            return RedirectResponse(url, 302, {"Cache-Control": "private, no-store"})
        found = await self._objects.head(grant.path)
        if found is None:
            raise NotFound.of("object")
        return answer(request, self._objects, grant, found, self._sent)

    async def _upload(self, request: Request, grant: Grant) -> Response:
        if grant.max_bytes is None:
            raise Forbidden("this URL is for a download")
        announced = _announced(request, grant.max_bytes)
        if self._may_write is not None and not await self._may_write(grant.path):
            raise Conflict("this upload is closed")

        async def accept(size: int) -> None:
            if self._accept is None:
                return
            try:
                await self._accept(grant.path, size)
            except OpError as refusal:
                if refusal.status < 500:  # else the client may try again with what is here
                    self._objects.parts.remove(grant.path)
                raise

        received = await self._objects.receive(
            grant.path, _spoken(request), announced, accept=accept
        )
        return _standing(201 if received.complete else 200, received)


def storage_routes(
    objects: Objects,
    keys: Sequence[bytes],
    *,
    may_write: MayWrite | None = None,
    accept: Accept | None = None,
    sent: Sent | None = None,
    stands: Stands | None = None,
    count: Count | None = None,
) -> list[BaseRoute]:
    """The routes; the arguments are those of `Storage`."""
    storage = Storage(
        objects, keys, may_write=may_write, accept=accept, sent=sent, stands=stands, count=count
    )
    # a route without methods takes them all, so that a wrong one is answered as a problem
    return [Route("/storage/{object:path}", storage)]


def owner_of(grant: Grant) -> str | None:
    """The organization that a URL was signed for, where it says so."""
    if grant.holder is not None:
        return grant.holder.split(" ")[1]
    if grant.action == "put":
        return grant.path.partition("/")[0]
    return grant.payer


# -- downloads ------------------------------------------------------------------------------------


def answer(
    request: Request, objects: Objects, grant: Grant, found: ObjectMeta, sent: Sent | None
) -> Response:
    """The object or the range asked for; 304 where the client has it.

    Raises RangeNotSatisfiable.
    """
    etag = f'"{found.etag}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Last-Modified": format_datetime(found.mtime, usegmt=True),
        # an object never changes in place, but its URL ends
        "Cache-Control": "private, max-age=900",
        # what people uploaded is never a page of this site
        "Content-Disposition": _disposition(grant),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    start, end, status = 0, found.size, 200
    wanted = _range(request.headers.get("range", ""), found.size)
    # a range of another version is answered with the whole of this one
    if wanted and request.headers.get("if-range", etag) == etag:
        start, end = wanted
        if start >= end:
            raise RangeNotSatisfiable(
                f"the object has {found.size} bytes",
                headers={"Content-Range": f"bytes */{found.size}"},
            )
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
    headers["Content-Length"] = str(end - start)
    media_type = grant.media_type or "application/octet-stream"
    if request.method == "HEAD":
        return Response(None, status, headers, media_type)
    content = objects.stream(grant.path, start, end)
    if sent is not None and grant.payer is not None:
        content = _counted(content, grant.payer, sent)
    return StreamingResponse(content, status, headers, media_type)


async def _counted(content: AsyncIterator[Any], payer: str, sent: Sent) -> AsyncGenerator[Any]:
    """The content; what of it went out is told to `sent`, also where the client goes away."""
    size = 0
    try:
        async for chunk in content:
            yield chunk
            size += len(chunk)
    finally:
        sent(payer, size)


def _range(header: str, size: int) -> tuple[int, int] | None:
    """(start, end) of a single range, end exclusive; None where it is to be ignored.

    Several ranges, or something unreadable, may be ignored (RFC 9110 §14.2), and so costs nothing.
    """
    match = _RANGE.fullmatch(header.replace(" ", "").lower())
    if not match or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size


def _matches(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


def _disposition(grant: Grant) -> str:
    """`attachment` with a name in plain ASCII and, for those who read it, as it is (RFC 6266)."""
    name = grant.file_name or grant.path.rpartition("/")[2]
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return f'attachment; filename="{plain}"{exact}'


# -- uploads --------------------------------------------------------------------------------------


def _announced(request: Request, limit: int) -> Announced:
    """What the headers say of the body; every contradiction is refused before it is read."""
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise UnsupportedEncoding("send the file's own bytes, without Content-Encoding")
    length = _content_length(request)
    sha256 = _digest(request)
    header = request.headers.get("content-range")
    if header is None:
        return Announced(limit, length=length, sha256=sha256)
    match = _CONTENT_RANGE.fullmatch(header)
    if not match:
        raise BadRequest("Content-Range is `bytes FIRST-LAST/TOTAL`, or `/*` before the last piece")
    first, last = int(match.group(1)), int(match.group(2))
    total = None if match.group(3) == "*" else int(match.group(3))
    if last < first or (total is not None and last >= total):
        raise BadRequest("the Content-Range contradicts itself")
    if max(last + 1, total or 0) > limit:
        raise TooLarge(f"at most {limit} bytes may be stored here")
    if length is not None and length != last + 1 - first:
        raise BadRequest(f"Content-Length {length} is not the length of the Content-Range")
    announced = Announced(limit, first, last + 1 - first, total, whole=False)
    return replace(announced, sha256=sha256)


def _content_length(request: Request) -> int | None:
    header = request.headers.get("content-length")
    if header is None:
        return None
    if not _LENGTH.fullmatch(header):
        raise BadRequest("Content-Length is not a number")
    return int(header)


def _digest(request: Request) -> bytes | None:
    """The body's SHA-256 from `Content-Digest` (RFC 9530) or `x-checksum-sha256`, where given."""
    given = request.headers.get("content-digest")
    if given is not None:
        match = _SHA256.search(given)
        if match is None:
            # another algorithm than ours may be ignored
            return None
        text = match.group(1)
    else:
        text = request.headers.get("x-checksum-sha256", "")
        if not text:
            return None
        if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
            return bytes.fromhex(text)
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise BadRequest("the SHA-256 of the body is not readable")
    return digest


async def _spoken(request: Request) -> AsyncGenerator[bytes]:
    """The body's pieces, as long as they keep coming."""
    pieces = request.stream()
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise FellSilent("the body stopped coming; HEAD tells where to go on") from None
        yield piece


def _standing(status: int, received: Received) -> Response:
    """Where an upload stands, as headers."""
    return Response(
        None,
        status,
        {
            "Upload-Offset": str(received.offset),
            "Upload-Complete": "?1" if received.complete else "?0",
            "Cache-Control": "no-store",
        },
    )


@contextmanager
def _refusals() -> Generator[None]:
    """The store's errors as the wire's."""
    try:
        yield
    except (ObjectMissing, BadObjectPath):
        raise NotFound.of("object") from None
    except WrongOffset as error:
        raise Conflict(str(error), headers={"Upload-Offset": str(error.offset)}) from None
    except PartBusy as error:
        raise Conflict(str(error), headers={"Retry-After": "1"}) from None
    except TooManyBytes as error:
        raise TooLarge(str(error)) from None
    except (TooFewBytes, DigestMismatch) as error:
        raise BadRequest(str(error)) from None
    except ClientDisconnect:
        # nobody reads this; the log shows a client that went away and not a fault of ours
        raise BadRequest("the client went away; HEAD tells where to go on") from None
    except StorageFull as error:
        logger.error("storage full", exc_info=error)
        raise Unavailable(str(error), FULL_RETRY_SECONDS, slug="storage-full") from None
    except StorageUnavailable as error:
        logger.error("storage unavailable", exc_info=error)
        raise Unavailable(str(error)) from None

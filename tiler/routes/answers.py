"""Refusals as problem+json, and what makes an answer cacheable: ETag, 304, Cache-Control."""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tiler.errors import InvalidParameter, TileError
from tiler.source import AssetSource

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

_ACTIVE = frozenset(("image/svg+xml", "application/xml"))
_INERT = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Of what a browser would run as a page: it holds names that anybody may have chosen."""

_RENDERER = "2"  # part of every ETag: raise it when the same request gives other pixels


def problem(error: TileError, request_id: str | None = None) -> Response:
    """A refusal as `application/problem+json` (RFC 9457); 422 has a list as detail."""
    body: dict[str, Any] = {"type": "about:blank", "title": error.title, "status": error.status}
    body["detail"] = error.detail
    if error.status == 422:
        single = [{"loc": ["path"], "msg": error.detail, "type": "value_error"}]
        body["detail"] = error.errors if isinstance(error, InvalidParameter) else single
    if request_id:
        body["instance"] = request_id
    return Response(
        orjson.dumps(body),
        status_code=error.status,
        headers=error.headers,
        media_type="application/problem+json",
    )


def guarded(handler: Handler, *, refuse: Callable[..., Response] = problem) -> Handler:
    """A handler whose refusals, and our own faults, are answers.

    Args:
        refuse: (error, request id) → the refusal, for protocols with a form of their own.
    """

    async def answer(request: Request) -> Response:
        request_id = request.scope.get("request_id")
        try:
            return await handler(request)
        except TileError as error:
            return refuse(error, request_id)
        except MemoryError:
            busy = TileError(503, "Service Unavailable", "not enough memory for this picture")
            busy.headers["Retry-After"] = "5"
            return refuse(busy, request_id)
        except Exception:
            # apps that mount these routes have handlers of their own, but not for engine errors
            logger.exception("tile request failed", extra={"path": request.url.path})
            bug = TileError(500, "Internal Server Error", "the picture could not be drawn")
            return refuse(bug, request_id)

    return answer


def cache_headers(
    request: Request, versions: list[AssetSource], *, body: bytes = b""
) -> dict[str, str]:
    """ETag, Cache-Control and Vary of what is drawn from these assets for this request.

    The ETag is strong: it changes with the files, their profiles, the path, the query and a
    request's body, not with the token.
    """
    # what is public may be taken back: caches keep it, and ask again before each use
    public = all(source.public for source in versions)
    return {
        "ETag": _etag(request, versions, body),
        "Cache-Control": "public, no-cache" if public else "private, max-age=3600",
        "Vary": "Authorization, X-API-Key",
    }


def _etag(request: Request, sources: list[AssetSource], body: bytes) -> str:
    query = sorted(p for p in request.query_params.multi_items() if p[0].lower() != "key")
    drawn_from = [
        (
            source.version,
            source.asset_key,
            source.nodata,
            source.is_categorical,
            source.band_names,
            source.bands,
            source.profile,
        )
        for source in sources
    ]
    parts = (_RENDERER, drawn_from, request.url.path, query)
    text = json.dumps(parts, sort_keys=True, default=str)
    return etag_of(text.encode() + body)


def etag_of(body: bytes) -> str:
    """The strong ETag of these bytes."""
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def unchanged(request: Request, etag: str) -> bool:
    """Whether If-None-Match names this answer (weak comparison, RFC 9110, 13.1.2)."""
    sent = request.headers.get("if-none-match")
    if not sent:
        return False
    tags = (tag.strip().removeprefix("W/") for tag in sent.split(","))
    return sent.strip() == "*" or etag in tags


def document(request: Request, body: bytes, media_type: str, *, public: bool = False) -> Response:
    """A text that the caller should ask for again each time, but need not be sent again.

    Args:
        public: shared caches may keep it.
    """
    headers = {
        "ETag": etag_of(body),
        "Cache-Control": "public, no-cache" if public else "private, no-cache",
        "Vary": "Authorization, X-API-Key",
        "X-Content-Type-Options": "nosniff",
    }
    if media_type in _ACTIVE:
        headers["Content-Security-Policy"] = _INERT
    if unchanged(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)

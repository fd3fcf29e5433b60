"""How a page of items leaves: as GeoJSON, or one feature a line, with the way to the next page.

As lines there are two media types: NDJSON, and GeoJSON text sequences (RFC 8142), which put a
record separator before each line. With a `limit` it is that one page, without it everything that
is found, read page by page while it is sent. What cannot be in the body stands in headers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from stac_api.document import GEOJSON, Mount
from stac_api.errors import BadRequest
from stac_api.search import Page

JSON = "application/json"
NDJSON = "application/x-ndjson"
SEQUENCE = "application/geo+json-seq"

# `f`, and what of `Accept` means something here
FORMATS = {
    "json": GEOJSON,
    "geojson": GEOJSON,
    "ndjson": NDJSON,
    "jsonl": NDJSON,
    "geojsonl": NDJSON,
    "geojsonseq": SEQUENCE,
}
_ACCEPTED = {NDJSON: NDJSON, "application/ndjson": NDJSON, SEQUENCE: SEQUENCE}
STREAMED_PAGE = 500


def format_of(request: Request) -> str:
    """The media type to answer with: by `f`, else by what `Accept` names first.

    Raises:
        BadRequest: an `f` there is not.
    """
    named = request.query_params.get("f")
    if named:
        if named.lower() not in FORMATS:
            raise BadRequest(f"f must be one of {', '.join(FORMATS)}")
        return FORMATS[named.lower()]
    for part in request.headers.get("accept", "").split(","):
        media_type = part.split(";")[0].strip().lower()
        if media_type in _ACCEPTED:
            return _ACCEPTED[media_type]
        if media_type in (GEOJSON, JSON):
            break
    return GEOJSON


def page_links(
    page: Page,
    request: Request,
    mount: Mount,
    address: str,
    body: Any,
    extra: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """The links of a page; `body` is that of a POST, None for GET."""
    links = [link("self", GEOJSON, address), link("root", JSON, mount.root), *(extra or [])]
    if body is None and request.url.query:
        links[0]["href"] += f"?{request.url.query}"
    for rel, token in (("next", page.next), ("prev", page.prev)):
        if token is None:
            continue
        if body is None:
            kept = [(k, v) for k, v in request.query_params.multi_items() if k != "token"]
            query = urlencode([*kept, ("token", token)])
            # STAC says prev, and stac-fastapi's clients look for previous
            for name in (rel,) if rel == "next" else (rel, "previous"):
                links.append(link(name, GEOJSON, f"{address}?{query}", method="GET"))
        else:
            again = {**body, "token": token}
            links.append(link(rel, GEOJSON, address, method="POST", body=again, merge=False))
    return links


def geojson(page: Page, links: list[dict[str, Any]]) -> Response:
    """The page as one FeatureCollection."""
    return Response(orjson.dumps(page.collection(links)), media_type=GEOJSON)


def lines(
    page: Page,
    media_type: str,
    links: list[dict[str, Any]],
    following: Callable[[str], Awaitable[Page]] | None,
) -> Response:
    """The features one a line.

    Args:
        page: the first page.
        media_type: NDJSON or SEQUENCE.
        links: of the page, for the header.
        following: token → page, where everything is to be sent; None for this page alone.
    """
    headers: dict[str, str] = {"Vary": "Accept"}
    if page.matched is not None:
        headers["OGC-NumberMatched"] = str(page.matched)
    if following is None:
        headers["OGC-NumberReturned"] = str(len(page.features))
        for entry in links:
            if entry["rel"] in ("next", "prev"):
                headers["Link"] = ", ".join(
                    filter(None, (headers.get("Link"), _header(entry, media_type)))
                )
    begin = b"\x1e" if media_type == SEQUENCE else b""

    def encoded(shown: Page) -> bytes:
        return b"".join(begin + orjson.dumps(f) + b"\n" for f in shown.features)

    async def chunks() -> AsyncIterator[bytes]:
        shown = page
        yield encoded(shown)
        # a page that fails breaks the connection off: a part never looks like the whole
        while following is not None and shown.next is not None:
            shown = await following(shown.next)
            yield encoded(shown)

    return StreamingResponse(chunks(), headers=headers, media_type=media_type)


def _header(entry: dict[str, Any], media_type: str) -> str:
    parts = [f"<{entry['href']}>", f'rel="{entry["rel"]}"', f'type="{media_type}"']
    if entry.get("method") == "POST":
        # the same body again, with this token
        parts += ['method="POST"', f'token="{entry["body"]["token"]}"']
    return "; ".join(parts)


def json_response(document: Any, status: int = 200, **headers: str) -> Response:
    """A finished JSON response."""
    return Response(orjson.dumps(document), status, headers=headers, media_type=JSON)


def link(rel: str, type_: str, href: str, **more: Any) -> dict[str, Any]:
    """One STAC link."""
    return {"rel": rel, "type": type_, "href": href, **more}

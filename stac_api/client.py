"""What the routes answer: our client for stac-fastapi."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import attr
import orjson
from stac_fastapi.pgstac.core import CoreCrudClient
from starlette.requests import Request
from starlette.responses import Response

from stac_api.collections import Collections, missing
from stac_api.document import GEOJSON, STAC_VERSION, Document, Mount, quoted
from stac_api.errors import BadRequest, TooLarge
from stac_api.request import SearchRequest, from_body, from_query, read_json
from stac_api.search import Page, Searcher
from stac_api.tenancy import Visibility
from stac_api.transactions import RunOperation

JSON = "application/json"
BODY_BYTES = 2 * 1024**2
COLLECTIONS_PAGE = 100
COLLECTIONS_LIMIT = 1_000
CHILDREN = 100


@dataclass(frozen=True)
class Service:
    """What every route needs: the readers, who asks, how to write, and where we are."""

    searcher: Searcher
    collections: Collections
    visibility: Callable[[Request], Awaitable[Visibility]]
    run_op: RunOperation
    mount: Callable[[Request], Mount]

    async def item(
        self, visibility: Visibility, collection: str, item: str, mount: Mount
    ) -> Document:
        """One item as a client sees it.

        Raises:
            NotFound, Unauthorized: there is none that the caller may see.
        """
        ids = (await self.searcher.ids(visibility, [collection])).get(collection)
        if not ids:
            raise missing(visibility, collection)
        wanted = SearchRequest(collections=tuple(ids), ids=(item,), limit=2)
        found = (await self.searcher.search(visibility, wanted, mount, count=False)).features
        if not found:
            raise missing(visibility, item)
        # an item whose own id is another's platform id comes first
        return next((feature for feature in found if feature["id"] == item), found[0])


@attr.s
class Client(CoreCrudClient):
    """Answers finished responses; reads requests itself."""

    service: Service = attr.ib(kw_only=True)
    more_conformance: tuple[str, ...] = attr.ib(kw_only=True, default=())

    def conformance_classes(self) -> list[str]:
        """The library's classes and those we keep beyond them."""
        return sorted({*super().conformance_classes(), *self.more_conformance})

    async def landing_page(self, **kwargs: Any) -> Any:
        """GET /: links to everything, and the first of the visible collections."""
        request: Request = kwargs["request"]
        visibility, mount = await self.service.visibility(request), self.service.mount(request)
        children, _ = await self.service.collections.page(visibility, mount, limit=CHILDREN)
        root = mount.root
        queryables = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
        description = "application/vnd.oai.openapi+json;version=3.0"
        return json_response(
            {
                "type": "Catalog",
                "id": "opstac",
                "stac_version": STAC_VERSION,
                "title": self.title,
                "description": self.description,
                "conformsTo": self.conformance_classes(),
                "links": [
                    link("self", JSON, root),
                    link("root", JSON, root),
                    link("data", JSON, f"{root}/collections"),
                    link("conformance", JSON, f"{root}/conformance"),
                    link("search", GEOJSON, f"{root}/search", method="GET"),
                    link("search", GEOJSON, f"{root}/search", method="POST"),
                    link(queryables, "application/schema+json", f"{root}/queryables"),
                    link("aggregate", JSON, f"{root}/aggregate", method="GET"),
                    link("aggregations", JSON, f"{root}/aggregations"),
                    link("service-desc", description, f"{root}/api"),
                    link("service-doc", "text/html", f"{root}/api.html"),
                    *(
                        link(
                            "child",
                            JSON,
                            f"{root}/collections/{quoted(child['id'])}",
                            title=child["title"],
                        )
                        for child in children
                    ),
                ],
            }
        )

    async def all_collections(self, request: Request, **kwargs: Any) -> Any:  # type: ignore[override]
        """GET /collections, in order of making."""
        visibility, mount = await self.service.visibility(request), self.service.mount(request)
        limit = whole(request, "limit", COLLECTIONS_PAGE, 1, COLLECTIONS_LIMIT)
        offset = whole(request, "offset", 0, 0, 1_000_000)
        shown, more = await self.service.collections.page(
            visibility, mount, limit=limit, offset=offset
        )
        here = f"{mount.root}/collections"
        links = [link("self", JSON, here), link("root", JSON, mount.root)]
        for rel, there, at in (
            ("next", more, offset + limit),
            ("prev", offset > 0, max(0, offset - limit)),
        ):
            if there:
                links.append(link(rel, JSON, f"{here}?limit={limit}&offset={at}", method="GET"))
        return json_response({"collections": shown, "links": links, "numberReturned": len(shown)})

    async def get_collection(self, collection_id: str, request: Request, **kwargs: Any) -> Any:
        """GET /collections/{id}."""
        visibility = await self.service.visibility(request)
        mount = self.service.mount(request)
        return json_response(await self.service.collections.one(visibility, collection_id, mount))

    async def item_collection(self, collection_id: str, request: Request, **kwargs: Any) -> Any:  # type: ignore[override]
        """GET /collections/{id}/items."""
        visibility = await self.service.visibility(request)
        ids = (await self.service.searcher.ids(visibility, [collection_id])).get(collection_id)
        if not ids:
            raise missing(visibility, collection_id)
        search = from_query(request.query_params, collection=collection_id)
        search = replace(search, collections=tuple(ids))
        mount = self.service.mount(request)
        page = await self.service.searcher.search(visibility, search, mount)
        parent = f"{mount.root}/collections/{quoted(collection_id)}"
        extra = [link("collection", JSON, parent), link("parent", JSON, parent)]
        return _page_response(page, request, mount, f"{parent}/items", None, extra)

    async def get_item(
        self, item_id: str, collection_id: str, request: Request, **kwargs: Any
    ) -> Any:
        """GET /collections/{id}/items/{id}."""
        visibility = await self.service.visibility(request)
        mount = self.service.mount(request)
        found = await self.service.item(visibility, collection_id, item_id, mount)
        return Response(orjson.dumps(found), media_type=GEOJSON)

    async def get_search(self, request: Request, **kwargs: Any) -> Any:  # type: ignore[override]
        """GET /search."""
        visibility = await self.service.visibility(request)
        search = from_query(request.query_params)
        mount = self.service.mount(request)
        page = await self.service.searcher.search(visibility, search, mount)
        return _page_response(page, request, mount, f"{mount.root}/search", None)

    async def post_search(self, request: Request, **kwargs: Any) -> Any:  # type: ignore[override]
        """POST /search."""
        visibility = await self.service.visibility(request)
        body = await read_body(request)
        mount = self.service.mount(request)
        page = await self.service.searcher.search(visibility, from_body(body), mount)
        return _page_response(page, request, mount, f"{mount.root}/search", body)


async def read_body(request: Request, limit: int = BODY_BYTES) -> Any:
    """The request's JSON.

    Raises:
        TooLarge: over `limit` bytes, seen before it is all read.
        BadRequest: not JSON.
    """
    announced = request.headers.get("content-length", "0")
    parts, size = [], int(announced) if announced.isdecimal() else 0
    if size > limit:
        raise TooLarge(f"the body may have {limit} bytes")
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body may have {limit} bytes")
        parts.append(part)
    return read_json(b"".join(parts))


def json_response(document: Any, status: int = 200, **headers: str) -> Response:
    """A finished JSON response."""
    return Response(orjson.dumps(document), status, headers=headers, media_type=JSON)


def link(rel: str, type_: str, href: str, **more: Any) -> dict[str, Any]:
    """One STAC link."""
    return {"rel": rel, "type": type_, "href": href, **more}


def whole(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number from the query string.

    Raises:
        BadRequest: not one, or out of range.
    """
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and low <= int(text) <= high):
        raise BadRequest(f"{name} must be a whole number from {low} to {high}")
    return int(text)


def _page_response(
    page: Page,
    request: Request,
    mount: Mount,
    address: str,
    body: Any,
    extra: list[dict[str, Any]] | None = None,
) -> Response:
    """A page with its links; `body` is that of a POST, None for GET."""
    links = [link("self", GEOJSON, address), link("root", JSON, mount.root), *(extra or [])]
    if body is None and request.url.query:
        links[0]["href"] += f"?{request.url.query}"
    for rel, token in (("next", page.next), ("prev", page.prev)):
        if token is None:
            continue
        if body is None:
            kept = [(k, v) for k, v in request.query_params.multi_items() if k != "token"]
            query = urlencode([*kept, ("token", token)])
            links.append(link(rel, GEOJSON, f"{address}?{query}", method="GET"))
        else:
            again = {**body, "token": token}
            links.append(link(rel, GEOJSON, address, method="POST", body=again, merge=False))
    return Response(orjson.dumps(page.collection(links)), media_type=GEOJSON)

"""What the routes answer: our client for stac-fastapi."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import attr
import orjson
from stac_fastapi.pgstac.core import CoreCrudClient
from starlette.requests import Request
from starlette.responses import Response

import wire.body
from db.queries import queries
from stac_api import collection_search, output
from stac_api.checked import read_json
from stac_api.collection_search import CollectionSearch
from stac_api.collections import Collections, missing
from stac_api.document import GEOJSON, STAC_VERSION, Document, Mount, quoted
from stac_api.errors import BadRequest, TooLarge
from stac_api.given import as_given, given_collection, given_item
from stac_api.output import JSON, json_response, link
from stac_api.request import SearchRequest, from_body, from_query
from stac_api.search import Page, Searcher
from stac_api.tenancy import Visibility
from stac_api.transactions import RunOperation
from wire.body import BodyCutShort, BodyTooLarge

sql = queries(__file__)

SCHEMA = "application/schema+json"
BODY_BYTES = 2 * 1024**2
CHILDREN = 1_000
_PAGE = ("limit", "offset")


@dataclass(frozen=True)
class Service:
    """What every route needs: the readers, who asks, how to write, and where we are."""

    searcher: Searcher
    collections: Collections
    visibility: Callable[[Request], Awaitable[Visibility]]
    run_op: RunOperation
    mount: Callable[[Request], Mount]

    async def health(self, request: Request) -> Response:
        """Whether the database answers, and which pgstac it has."""
        version = (await self.searcher.fetch(sql.version))[0]["version"]
        up = {"status": "UP"}
        return json_response(up | {"lifespan": up, "pgstac": up | {"pgstac_version": version}})

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

    async def given_item(self, visibility: Visibility, item: Document) -> Document:
        """An item as its owner gave it; see `given`."""
        return await given_item(self.searcher, visibility, item)


@attr.s
class Client(CoreCrudClient):
    """Answers finished responses; reads requests itself."""

    service: Service = attr.ib(kw_only=True)
    more_conformance: tuple[str, ...] = attr.ib(kw_only=True, default=())

    def conformance_classes(self) -> list[str]:
        """The library's classes and those we keep beyond them."""
        return sorted({*super().conformance_classes(), *self.more_conformance})

    async def landing_page(self, **kwargs: Any) -> Any:
        """GET /: links to everything, and to a page of the collections, as /children has."""
        request: Request = kwargs["request"]
        visibility, mount = await self.service.visibility(request), self.service.mount(request)
        asked = _page_of_children(request)
        # one more than are shown tells whether there are more
        children = await self.service.collections.names(visibility, asked.limit + 1, asked.offset)
        more, children = len(children) > asked.limit, children[: asked.limit]
        root = mount.root
        queryables = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
        sortables = "http://www.opengis.net/def/rel/ogc/1.0/sortables"
        description = "application/vnd.oai.openapi+json;version=3.0"
        return json_response(
            {
                "type": "Catalog",
                "id": "opstac",
                "stac_version": STAC_VERSION,
                "title": self.title,
                "description": self.description,
                "stac_extensions": [],
                "conformsTo": self.conformance_classes(),
                "links": [
                    link("self", JSON, root),
                    link("root", JSON, root),
                    link("data", JSON, f"{root}/collections"),
                    link("conformance", JSON, f"{root}/conformance"),
                    link("search", GEOJSON, f"{root}/search", method="GET"),
                    link("search", GEOJSON, f"{root}/search", method="POST"),
                    link("children", JSON, f"{root}/children"),
                    link(
                        queryables,
                        SCHEMA,
                        f"{root}/queryables",
                        title="Queryables available for this Catalog",
                    ),
                    link(
                        sortables,
                        SCHEMA,
                        f"{root}/sortables",
                        title="Sortables available for this Catalog",
                    ),
                    link("aggregate", JSON, f"{root}/aggregate", method="GET"),
                    link("aggregations", JSON, f"{root}/aggregations"),
                    link("service-desc", description, f"{root}/api"),
                    link("service-doc", "text/html", f"{root}/api.html"),
                    *(
                        link(
                            "child",
                            JSON,
                            f"{root}/collections/{quoted(name)}",
                            title=title,
                        )
                        for name, title in children
                    ),
                    *_beside(asked, len(children), more, root, []),
                ],
            }
        )

    async def all_collections(self, request: Request, **kwargs: Any) -> Any:  # type: ignore[override]
        """GET /collections: those that fit, in order of making unless asked otherwise."""
        return await self._collections(request, "collections")

    async def children(self, request: Request, **kwargs: Any) -> Any:
        """GET /children: what the landing page links to, whole."""
        return await self._collections(request, "children")

    async def _collections(self, request: Request, name: str) -> Response:
        visibility, mount = await self.service.visibility(request), self.service.mount(request)
        if name == "children":
            asked = _page_of_children(request)
        else:
            asked = collection_search.from_query(request.query_params)
        shown, matched = await self.service.collections.search(visibility, asked, mount)
        here, query = f"{mount.root}/{name}", request.url.query
        links = [
            link("self", JSON, f"{here}?{query}" if query else here),
            link("root", JSON, mount.root),
        ]
        kept = [(k, v) for k, v in request.query_params.multi_items() if k not in _PAGE]
        more = asked.offset + len(shown) < matched and bool(shown)
        links += _beside(asked, len(shown), more, here, kept)
        return json_response(
            {
                name: shown,
                "links": links,
                "numberMatched": matched,
                "numberReturned": len(shown),
            }
        )

    async def get_collection(self, collection_id: str, request: Request, **kwargs: Any) -> Any:
        """GET /collections/{id}."""
        visibility = await self.service.visibility(request)
        mount = self.service.mount(request)
        found = await self.service.collections.one(visibility, collection_id, mount)
        return json_response(given_collection(found) if as_given(request) else found)

    async def item_collection(self, collection_id: str, request: Request, **kwargs: Any) -> Any:  # type: ignore[override]
        """GET /collections/{id}/items."""
        visibility = await self.service.visibility(request)
        ids = (await self.service.searcher.ids(visibility, [collection_id])).get(collection_id)
        if not ids:
            raise missing(visibility, collection_id)
        search = from_query(request.query_params, collection=collection_id)
        search = replace(search, collections=tuple(ids))
        mount = self.service.mount(request)
        parent = f"{mount.root}/collections/{quoted(collection_id)}"
        extra = [link("collection", JSON, parent), link("parent", JSON, parent)]
        return await self._items(request, visibility, search, f"{parent}/items", None, extra)

    async def get_item(
        self, item_id: str, collection_id: str, request: Request, **kwargs: Any
    ) -> Any:
        """GET /collections/{id}/items/{id}."""
        visibility = await self.service.visibility(request)
        mount = self.service.mount(request)
        found = await self.service.item(visibility, collection_id, item_id, mount)
        if as_given(request):
            found = await self.service.given_item(visibility, found)
        return Response(orjson.dumps(found), media_type=GEOJSON)

    async def get_search(self, request: Request, **kwargs: Any) -> Any:  # type: ignore[override]
        """GET /search."""
        visibility = await self.service.visibility(request)
        search = from_query(request.query_params)
        address = f"{self.service.mount(request).root}/search"
        return await self._items(request, visibility, search, address, None)

    async def post_search(self, request: Request, **kwargs: Any) -> Any:  # type: ignore[override]
        """POST /search."""
        visibility = await self.service.visibility(request)
        body = await read_body(request)
        address = f"{self.service.mount(request).root}/search"
        return await self._items(request, visibility, from_body(body), address, body)

    async def _items(
        self,
        request: Request,
        visibility: Visibility,
        search: SearchRequest,
        address: str,
        body: Any,
        extra: list[dict[str, Any]] | None = None,
    ) -> Response:
        """A page of items in the format asked for."""
        given: Mapping[str, Any] = request.query_params if body is None else body
        if given.get("query") and given.get("filter"):
            raise BadRequest("query and filter cannot be sent together; put both into the filter")
        mount, media_type = self.service.mount(request), output.format_of(request)
        paged = given.get("limit") is not None
        everything = media_type != GEOJSON and not paged
        if everything:
            search = replace(search, limit=output.STREAMED_PAGE)
        page = await self.service.searcher.search(visibility, search, mount)
        links = output.page_links(page, request, mount, address, body, extra)
        if media_type == GEOJSON:
            return output.geojson(page, links)

        async def following(token: str) -> Page:
            return await self.service.searcher.search(
                visibility, replace(search, token=token), mount
            )

        return output.lines(page, media_type, links, following if everything else None)


def _page_of_children(request: Request) -> CollectionSearch:
    """The page of collections asked for; without a limit a long one. Raises BadRequest."""
    given = {k: v for k, v in request.query_params.items() if k in _PAGE}
    return collection_search.from_query({"limit": str(CHILDREN), **given})


def _beside(
    asked: CollectionSearch, shown: int, more: bool, address: str, kept: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Links to the pages of collections before and after one.

    Args:
        shown: how many the page has; `more` come after it.
        address: of the list; `kept` is the rest of its query.
    """
    links: list[dict[str, Any]] = []
    for rel, there, at in (
        ("next", more, asked.offset + asked.limit),
        ("previous", asked.offset > 0 and (asked.paged or shown), asked.offset - asked.limit),
    ):
        if there:
            page = [("limit", str(asked.limit)), ("offset", str(max(0, at)))]
            href = f"{address}?{urlencode([*kept, *page])}"
            links.append(link(rel, JSON, href, method="GET"))
    return links


async def read_body(request: Request, limit: int = BODY_BYTES) -> Any:
    """The request's JSON.

    Raises:
        TooLarge: over `limit` bytes.
        BadRequest: not JSON, or it ended early.
    """
    try:
        return read_json(await wire.body.read_body(request, limit))
    except BodyTooLarge as error:
        raise TooLarge(str(error)) from None
    except BodyCutShort as error:
        raise BadRequest(str(error)) from None

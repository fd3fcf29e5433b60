"""The STAC API: stac-fastapi-pgstac's application with our client behind it.

The library gives routes, conformance, extensions and the description; what they answer is ours:
search in one call (`search.py`), collections from the platform's table, writes as operations. Our
methods answer finished responses, so nothing passes through response models.

The application keeps its full path (`prefix`): mount it by handing over every request below the
prefix unchanged, see `Prefixed`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from brotli_asgi import BrotliMiddleware
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import CollectionUri, EmptyRequest
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions import (
    CollectionSearchExtension,
    FieldsExtension,
    FreeTextExtension,
    TokenPaginationExtension,
)
from stac_fastapi.extensions.collection_search import CollectionSearchConformanceClasses
from stac_fastapi.extensions.fields import FieldsConformanceClasses
from stac_fastapi.extensions.filter import (
    FilterConformanceClasses,
    ItemCollectionFilterExtension,
    SearchFilterExtension,
)
from stac_fastapi.extensions.free_text import FreeTextConformanceClasses
from stac_fastapi.extensions.query import QueryConformanceClasses
from stac_fastapi.extensions.sort import (
    CollectionSearchSortExtension,
    ItemCollectionSortExtension,
    SearchSortExtension,
)
from stac_fastapi.pgstac.config import Settings
from stac_fastapi.pgstac.extensions import QueryExtension
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from stac_api import openapi
from stac_api.aggregating import AggregationClient, Aggregations
from stac_api.client import Client, Service
from stac_api.collections import Collections
from stac_api.document import Mount
from stac_api.errors import problem
from stac_api.queryables import Describer, Queryables
from stac_api.search import Searcher
from stac_api.sortables import Sortables
from stac_api.tenancy import Visibility
from stac_api.transactions import RunOperation
from stac_api.versions import Versions
from stac_api.writing import Transactions

logger = logging.getLogger(__name__)

TITLE = "opstac STAC API"
DESCRIPTION = "Items and collections of one organization, searchable by place, time and property."

# what the library's extensions leave out; clients look for these names
_CONFORMANCE = (
    "https://api.stacspec.org/v1.0.0/browseable",
    "https://api.stacspec.org/v1.0.0/children",
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.0.0/item-search#filter",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#sort",
    "http://www.opengis.net/spec/cql2/1.0/conf/array-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/case-insensitive-comparison",
    "http://www.opengis.net/spec/cql2/1.0/conf/accent-insensitive-comparison",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions-plus",
)


def create_app(
    *,
    searcher: Searcher,
    visibility: Callable[[Request], Awaitable[Visibility]],
    run_op: RunOperation,
    prefix: str = "/assets/stac",
    base_url: Callable[[Request], str] | None = None,
    item_links: Callable[[Mapping[str, Any], str], list[dict[str, Any]]] | None = None,
) -> FastAPI:
    """The STAC API under one prefix.

    Args:
        searcher: over an open `search.reader_pool`; one may serve several applications.
        visibility: who asks, and what they may see. Raises what it refuses.
        run_op: (request, operation id, input) → output; runs an operation as the caller.
        prefix: path of the mount; requests arrive with it.
        base_url: scheme, host and leading path of addresses in answers; default: as asked.
        item_links: further links of an item; see `document.Mount`.

    An exception with `status`, `title` and `detail` (and `headers`, `slug`, `extra`) raised by
    `visibility` or `run_op` becomes that problem. `request_id` in the scope becomes its instance.
    """
    settings = Settings(
        stac_fastapi_title=TITLE,
        stac_fastapi_description=DESCRIPTION,
        stac_fastapi_version="1.0.0",
        stac_fastapi_landing_id="opstac",
        prefix_path=prefix,
        openapi_url=f"{prefix}/api",
        docs_url=f"{prefix}/api.html",
    )
    address = base_url or direct_address

    def mount(request: Request) -> Mount:
        if item_links is None:
            return Mount(address(request), prefix)
        return Mount(address(request), prefix, item_links)

    service = Service(searcher, Collections(searcher), visibility, run_op, mount)
    client = Client(service=service, more_conformance=_CONFORMANCE)
    describer = Describer(searcher)
    queryables, sortables = Queryables(service, describer), Sortables(service, describer)
    api = StacApi(
        app=FastAPI(
            title=TITLE,
            description=DESCRIPTION,
            version="1.0.0",
            openapi_url=settings.openapi_url,
            docs_url=settings.docs_url,
            redoc_url=None,
            lifespan=_nothing,
        ),
        router=APIRouter(prefix=prefix),
        settings=settings,
        extensions=[
            SearchSortExtension(client=sortables),
            ItemCollectionSortExtension(client=sortables),
            CollectionSearchSortExtension(client=sortables),
            FieldsExtension(conformance_classes=list(FieldsConformanceClasses)),
            QueryExtension(conformance_classes=list(QueryConformanceClasses)),
            FreeTextExtension(
                conformance_classes=[
                    FreeTextConformanceClasses.SEARCH,
                    FreeTextConformanceClasses.ITEMS,
                    FreeTextConformanceClasses.COLLECTIONS,
                ]
            ),
            TokenPaginationExtension(),
            SearchFilterExtension(client=queryables),
            ItemCollectionFilterExtension(client=queryables),
            CollectionSearchExtension(
                conformance_classes=[
                    *CollectionSearchConformanceClasses,
                    FilterConformanceClasses.COLLECTIONS,
                ]
            ),
            Transactions(service=service, settings=settings),
            Aggregations(client=AggregationClient(service=service, describer=describer)),
        ],
        client=client,
        response_class=JSONResponse,
        # our client reads requests itself: more lenient than the models, and faster
        search_get_request_model=EmptyRequest,
        search_post_request_model=EmptyRequest,  # type: ignore[arg-type]
        collections_get_request_model=EmptyRequest,
        items_get_request_model=CollectionUri,
        exceptions={},
        health_check=service.health,  # type: ignore[arg-type]
        middlewares=[
            Middleware(BrotliMiddleware, minimum_size=1024, quality=1),
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
                allow_headers=["Content-Type", "Authorization", "X-API-Key", "X-Project-Id"],
                max_age=600,
            ),
        ],
    )
    app = api.app
    # the library redirects this to its own `/`, at the host of the request; not all clients follow
    app.add_api_route(
        prefix,
        create_async_endpoint(api.client.landing_page, EmptyRequest),
        response_class=JSONResponse,
        include_in_schema=False,
    )
    app.add_api_route(
        f"{prefix}/children",
        create_async_endpoint(client.children, EmptyRequest),
        name="Children",
        response_class=JSONResponse,
    )
    versions = Versions(service)
    for path, function in (("", versions.all), ("/{version}", versions.one)):
        app.add_api_route(
            f"{prefix}/collections/{{collection_id}}/items/{{item_id}}/versions{path}",
            function,
            name=f"Versions {function.__name__}",
            response_class=JSONResponse,
        )
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.openapi = openapi.described(app, prefix)  # type: ignore[method-assign]
    app.user_middleware += [Middleware(_Private), Middleware(_Problems)]
    return app


class Prefixed:
    """Hands requests at or below a prefix to one application, all others to another.

    Starlette's own mounting strips the prefix, and with it the library's links lose it.
    """

    def __init__(self, others: ASGIApp, mounts: Mapping[str, ASGIApp]) -> None:
        """`mounts`: prefix → application."""
        self._others = others
        self._mounts = dict(mounts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            path = scope["path"]
            for prefix, app in self._mounts.items():
                if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
                    return await app(scope, receive, send)
        return await self._others(scope, receive, send)


def direct_address(request: Request) -> str:
    """Scheme and host the request came to."""
    return f"{request.url.scheme}://{request.url.netloc}"


@asynccontextmanager
async def _nothing(app: FastAPI) -> AsyncIterator[None]:
    """The pool is opened and closed by whoever made it."""
    yield


class _Private:
    """Keeps answers out of shared caches: one address answers each caller, and none, otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "private, no-cache")
                headers.add_vary_header("Authorization, X-API-Key")
            await send(message)

        await self._app(scope, receive, told)


class _Problems:
    """Answers every refusal as problem+json, so that the connection can be used again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Any) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            await _refusal(error, scope)(scope, receive, send)


def _refusal(error: Exception, scope: Scope) -> Response:
    status, title = getattr(error, "status", None), getattr(error, "title", None)
    if not isinstance(status, int) or not isinstance(title, str):
        logger.exception("unexpected error in the STAC API")
        status, title = 500, "Internal Server Error"
        error = RuntimeError("an unexpected error; it has been logged")
    slug, base = getattr(error, "slug", None), scope.get("base_url")
    return problem(
        status,
        title,
        getattr(error, "detail", str(error)),
        kind=f"{base}/problems/{slug}" if slug and base else "about:blank",
        instance=scope.get("request_id"),
        headers=getattr(error, "headers", None),
        extra=getattr(error, "extra", None),
    )


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    titles = {404: "Not Found", 405: "Method Not Allowed"}
    title = titles.get(error.status_code, "Error")
    instance = request.scope.get("request_id")
    return problem(
        error.status_code, title, str(error.detail), instance=instance, headers=error.headers
    )


async def _validation_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail = [
        {"loc": list(part["loc"]), "msg": str(part["msg"]), "type": str(part["type"])}
        for part in error.errors()
    ]
    instance = request.scope.get("request_id")
    return problem(422, "Unprocessable Content", detail, instance=instance)

"""The routes of the aggregation extension; see `aggregation.py` for what they count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import attr
from fastapi import FastAPI
from stac_fastapi.api.models import CollectionUri, EmptyRequest
from stac_fastapi.api.routes import create_async_endpoint
from stac_fastapi.extensions.aggregation import AggregationExtension
from stac_fastapi.extensions.aggregation.client import AsyncBaseAggregationClient
from starlette.requests import Request
from starlette.responses import Response

from stac_api import aggregation
from stac_api.checked import clean
from stac_api.client import JSON, Service, json_response, link, read_body
from stac_api.collections import missing
from stac_api.document import quoted
from stac_api.errors import BadRequest
from stac_api.queryables import Describer
from stac_api.request import SearchRequest, from_body, from_query
from stac_api.tenancy import Visibility


@attr.s
class AggregationClient(AsyncBaseAggregationClient):
    """Answers finished responses; reads requests itself, as the search does."""

    service: Service = attr.ib(kw_only=True)
    describer: Describer = attr.ib(kw_only=True)

    async def get_aggregations(  # type: ignore[override]
        self, request: Request, collection_id: str | None = None, **kwargs: Any
    ) -> Response:
        """GET and POST /aggregations, also below a collection: what can be counted."""
        visibility = await self.service.visibility(request)
        ids = await self._collection(visibility, collection_id)
        schema = await self.describer.schema(visibility, ids)
        return self._answer(
            request, collection_id, "aggregations", aggregation.available(schema["properties"])
        )

    async def aggregate(  # type: ignore[override]
        self, request: Request, collection_id: str | None = None, **kwargs: Any
    ) -> Response:
        """GET and POST /aggregate, also below a collection."""
        visibility = await self.service.visibility(request)
        ids = await self._collection(visibility, collection_id)
        search, parameters = await self._asked(request, collection_id)
        if ids is not None:
            search = replace(search, collections=tuple(ids))
        wanted = aggregation.asked(parameters)
        found = await aggregation.aggregate(self.service.searcher, visibility, search, wanted)
        return self._answer(request, collection_id, "aggregate", found)

    async def _asked(
        self, request: Request, collection_id: str | None
    ) -> tuple[SearchRequest, dict[str, Any]]:
        if request.method == "GET":
            parameters = dict(request.query_params)
            clean(parameters)
            return from_query(request.query_params, collection=collection_id), parameters
        body = await read_body(request)
        if not isinstance(body, dict):
            raise BadRequest("the body must be a JSON object")
        return from_body(body), body

    async def _collection(
        self, visibility: Visibility, collection_id: str | None
    ) -> list[str] | None:
        """Platform ids of the collection in the path; raises NotFound or Unauthorized."""
        if collection_id is None:
            return None
        ids = (await self.service.searcher.ids(visibility, [collection_id])).get(collection_id)
        if not ids:
            raise missing(visibility, collection_id)
        return ids

    def _answer(
        self, request: Request, collection_id: str | None, last: str, found: list[dict[str, Any]]
    ) -> Response:
        root = self.service.mount(request).root
        above = root if collection_id is None else f"{root}/collections/{quoted(collection_id)}"
        address = f"{above}/{last}"
        query = f"?{request.url.query}" if request.url.query else ""
        links = [link("self", JSON, address + query), link("root", JSON, root)]
        if collection_id is not None:
            links.append(link("collection", JSON, above))
        return json_response(
            {"type": "AggregationCollection", "aggregations": found, "links": links}
        )


@attr.s
class Aggregations(AggregationExtension):
    """Registers our client under the extension's routes, each method a route of its own: the
    library's description has two operations of one name otherwise."""

    def register(self, app: FastAPI) -> None:
        """Add the eight routes to `app`."""
        self.router.prefix = app.state.router_prefix
        for above, model in (("", EmptyRequest), ("/collections/{collection_id}", CollectionUri)):
            for last, function in (
                ("aggregations", self.client.get_aggregations),
                ("aggregate", self.client.aggregate),
            ):
                for method in ("GET", "POST"):
                    name = f"{last.capitalize()}{' collection' if above else ''} by {method}"
                    self.router.add_api_route(
                        f"{above}/{last}",
                        create_async_endpoint(function, model),
                        methods=[method],
                        name=name,
                    )
        app.include_router(self.router, tags=["Aggregation Extension"])

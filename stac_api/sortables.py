"""Sortables: what items and collections can be ordered by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attr
from stac_fastapi.extensions.sort.client import AsyncBaseSortablesClient
from starlette.requests import Request
from starlette.responses import Response

from stac_api.client import SCHEMA, Service
from stac_api.collections import missing
from stac_api.document import quoted
from stac_api.output import json_response
from stac_api.queryables import Describer
from stac_api.tenancy import Visibility

ANY = "Any other property can be named too."
OF_ITEMS = (
    f"{ANY} datetime, updated, eo:cloud_cover and id are quick whatever matches; by anything else "
    "at most about 200,000 items are put in order."
)


@attr.s
class Sortables(AsyncBaseSortablesClient):
    """GET /sortables, /collections/{id}/sortables and /collections-sortables."""

    service: Service = attr.ib()
    describer: Describer = attr.ib()

    async def get_sortables(self, request: Request, **kwargs: Any) -> Any:  # type: ignore[override]
        """What items can be ordered by; any other property can be named too."""
        visibility = await self.service.visibility(request)
        return await self._schema(request, "sortables", visibility, None)

    async def get_collection_sortables(  # type: ignore[override]
        self, collection_id: str, request: Request, **kwargs: Any
    ) -> Any:
        """What the items of a collection can be ordered by."""
        visibility = await self.service.visibility(request)
        ids = (await self.service.searcher.ids(visibility, [collection_id])).get(collection_id)
        if not ids:
            raise missing(visibility, collection_id)
        path = f"collections/{quoted(collection_id)}/sortables"
        return await self._schema(request, path, visibility, ids)

    async def get_collections_sortables(self, request: Request, **kwargs: Any) -> Any:  # type: ignore[override]
        """What collections can be ordered by."""
        properties = {
            name: {"title": title, "type": "string"}
            for name, title in (
                ("id", "Collection ID"),
                ("title", "Title"),
                ("description", "Description"),
                ("license", "License"),
                ("created", "Made"),
                ("updated", "Last change"),
            )
        }
        return self._answer(request, "collections-sortables", properties)

    async def _schema(
        self, request: Request, path: str, visibility: Visibility, ids: list[str] | None
    ) -> Response:
        schema = await self.describer.schema(visibility, ids)
        # an area has no order
        kept = {name: kind for name, kind in schema["properties"].items() if name != "geometry"}
        return self._answer(request, path, kept, OF_ITEMS)

    def _answer(
        self, request: Request, path: str, properties: Mapping[str, Any], said: str = ANY
    ) -> Response:
        response = json_response(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$id": f"{self.service.mount(request).root}/{path}",
                "type": "object",
                "title": "What can be ordered by",
                "description": said,
                "properties": properties,
                "additionalProperties": True,
            }
        )
        response.headers["content-type"] = SCHEMA
        return response

"""Queryables: what the items of a collection, or all that are visible, can be filtered by.

Types come from the items themselves: at most `SAMPLE` of them, found by the index on the collection
and remembered for half a minute, so a request costs the same at a million items. Where that is all
of the items, ranges and short lists of values are told too; otherwise those that the collection
gives in its summaries.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import attr
from stac_fastapi.extensions.filter.client import AsyncBaseFiltersClient
from starlette.requests import Request

from db.queries import queries
from stac_api.client import Service
from stac_api.collections import missing
from stac_api.document import Document, quoted
from stac_api.search import Searcher
from stac_api.tenancy import UNSHOWN, Visibility

sql = queries(__file__)

SAMPLE = 1_000
KEPT_SECONDS = 30
MAX_PROPERTIES = 500
_KEPT = 1_000

# what every item has or the platform knows of it
COMMON: Document = {
    "id": {"title": "Item ID", "type": "string"},
    "collection": {"title": "Collection ID", "type": "string"},
    "geometry": {"title": "Geometry", "$ref": "https://geojson.org/schema/Geometry.json"},
    "datetime": {"title": "Acquired", "type": "string", "format": "date-time"},
    "created": {"title": "Made", "type": "string", "format": "date-time"},
    "updated": {"title": "Last change", "type": "string", "format": "date-time"},
    "title": {"title": "Title", "type": "string"},
    "opstac:project": {"title": "Project", "type": "string"},
}
# known whatever the sample says
KNOWN: Document = {
    "start_datetime": {"title": "Start", "type": "string", "format": "date-time"},
    "end_datetime": {"title": "End", "type": "string", "format": "date-time"},
    "eo:cloud_cover": {
        "title": "Cloud cover, percent",
        "type": "number",
        "minimum": 0,
        "maximum": 100,
    },
    "gsd": {"title": "Ground sample distance, metres", "type": "number", "exclusiveMinimum": 0},
    "platform": {"title": "Platform", "type": "string"},
    "constellation": {"title": "Constellation", "type": "string"},
}


class Describer:
    """Makes the schema of what a caller may see, and remembers it for half a minute."""

    def __init__(self, searcher: Searcher) -> None:
        """Uses the searcher's pool."""
        self._searcher = searcher
        self._kept: OrderedDict[Any, tuple[float, Document]] = OrderedDict()

    async def schema(self, visibility: Visibility, ids: Sequence[str] | None) -> Document:
        """JSON Schema of the queryables.

        Args:
            ids: platform ids of the collections meant; None for all that is visible.
        """
        projects = None if visibility.projects is None else sorted(visibility.projects)
        wanted = None if ids is None else sorted(ids)
        key = (visibility.organization_id, visibility.slot, tuple(projects or ()), projects is None)
        key = (*key, visibility.anonymous, None if wanted is None else tuple(wanted))
        now = time.monotonic()
        if (kept := self._kept.get(key)) and kept[0] > now:
            return kept[1]
        made = await self._made(visibility, projects, wanted)
        self._kept[key] = (now + KEPT_SECONDS, made)
        self._kept.move_to_end(key)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return made

    async def _made(
        self, visibility: Visibility, projects: list[str] | None, ids: list[str] | None
    ) -> Document:
        found: Document = {"properties": [], "items": 0, "summaries": []}
        if visibility.anonymous:
            rows = await self._searcher.fetch_for(
                visibility, sql.describe_public, collections=ids, sample=SAMPLE
            )
            found = rows[0]["found"]
        elif not visibility.empty:
            rows = await self._searcher.fetch(
                sql.describe,
                organization=visibility.organization_id,
                slot=visibility.slot,
                projects=projects,
                collections=ids,
                sample=SAMPLE,
            )
            found = rows[0]["found"]
        complete = found["items"] < SAMPLE
        unshown = UNSHOWN if visibility.anonymous else ()
        properties = {name: schema for name, schema in COMMON.items() if name not in unshown}
        for entry in found["properties"][:MAX_PROPERTIES]:
            name = entry["name"]
            if name not in properties and not name.startswith("opstac:"):
                described = _described(entry, complete=complete)
                properties[name] = {**described, **KNOWN.get(name, {})}
        for summaries in found["summaries"]:
            for name, summary in summaries.items():
                _summarized(properties, name, summary, only=len(found["summaries"]) == 1)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "title": "What items can be filtered by",
            "properties": properties,
            "additionalProperties": True,
        }


@attr.s
class Queryables(AsyncBaseFiltersClient):
    """GET /queryables and /collections/{id}/queryables."""

    service: Service = attr.ib()
    describer: Describer = attr.ib()

    async def get_queryables(  # type: ignore[override]
        self, request: Request, collection_id: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """JSON Schema of what can be filtered by, of a collection or of all that is visible."""
        mount = self.service.mount(request)
        visibility = await self.service.visibility(request)
        address, ids = f"{mount.root}/queryables", None
        if collection_id is not None:
            found = await self.service.searcher.ids(visibility, [collection_id])
            if not (ids := found.get(collection_id)):
                raise missing(visibility, collection_id)
            address = f"{mount.root}/collections/{quoted(collection_id)}/queryables"
        return {**await self.describer.schema(visibility, ids), "$id": address}


def _described(entry: Mapping[str, Any], *, complete: bool) -> Document:
    """The schema of a property from its values; `complete`: these are all there are."""
    kinds = [kind for kind in entry["types"] if kind != "null"]
    schema: Document = {"title": entry["name"]}
    if len(kinds) != 1:
        if kinds:
            schema["type"] = [_name(kind, entry) for kind in kinds]
        return schema
    schema["type"] = _name(kinds[0], entry)
    if kinds[0] == "string" and entry["times"]:
        schema["format"] = "date-time"
    elif kinds[0] == "array":
        schema["items"] = {}
    elif complete and kinds[0] == "number":
        schema |= {"minimum": entry["minimum"], "maximum": entry["maximum"]}
    elif complete and kinds[0] == "string" and entry["texts"] is not None:
        schema["enum"] = entry["texts"]
    return schema


def _name(kind: str, entry: Mapping[str, Any]) -> str:
    return "integer" if kind == "number" and entry["integers"] else kind


def _summarized(properties: Document, name: str, summary: Any, *, only: bool) -> None:
    """What a collection says of a property: a range, a list of values, or a JSON Schema.

    `only`: no other collection is meant, so its limits are the limits.
    """
    if name in COMMON or len(properties) >= MAX_PROPERTIES or not summary:
        return
    schema = properties.setdefault(name, {"title": name, **KNOWN.get(name, {})})
    if isinstance(summary, Mapping) and {"minimum", "maximum"} <= summary.keys():
        low, high = summary["minimum"], summary["maximum"]
        if isinstance(low, (int, float)) and isinstance(high, (int, float)):
            schema.setdefault("type", "number")
            if only:
                schema.setdefault("minimum", low)
                schema.setdefault("maximum", high)
    elif isinstance(summary, Mapping):
        kind = summary.get("type")
        if isinstance(kind, str):
            schema.setdefault("type", kind)
    elif isinstance(summary, list) and all(isinstance(value, str) for value in summary):
        # an item's value may be one of these or a list of them
        schema.setdefault("type", "string")
        if only and schema["type"] == "string" and len(summary) <= 50:
            schema["enum"] = sorted({*summary, *schema.get("enum", [])})

"""`Prefer: content=given`: items and collections as their owner gave them.

A tool that keeps two catalogues alike compares what it sent with what is there; what the platform
says beside it (ids, times of making, versions, renders) would look like a difference. Links stay.
"""

from __future__ import annotations

from starlette.requests import Request

from db.queries import queries
from stac_api.document import PRIVATE, Document
from stac_api.search import Searcher
from stac_api.tenancy import Visibility

sql = queries(__file__)

_COLUMNS = frozenset(
    ("datetime", "start_datetime", "end_datetime", "description", "gsd", "eo:cloud_cover")
)


def preferences(request: Request) -> dict[str, str]:
    """`Prefer` (RFC 7240), lower case."""
    parts = ",".join(request.headers.getlist("prefer")).lower().split(",")
    pairs = (part.split(";")[0].partition("=") for part in parts)
    return {name.strip(): value.strip(' "') for name, _, value in pairs if name.strip()}


def as_given(request: Request) -> bool:
    """Whether the request prefers documents as they were given."""
    return preferences(request).get("content") == "given"


async def given_item(searcher: Searcher, visibility: Visibility, item: Document) -> Document:
    """An item that the caller sees, without what its owner did not say of it."""
    properties = item["properties"]
    rows = []
    if not visibility.anonymous:
        rows = await searcher.fetch(
            sql.given, organization=visibility.organization_id, item=properties["opstac:id"]
        )
    if not rows:  # of somebody else's item only that is known which is shown
        return item
    (own,) = rows
    said = _COLUMNS | own["properties"].keys()
    if own["name"] != item["id"]:
        said |= {"title"}
    return {
        **item,
        "stac_extensions": own["stac_extensions"],
        "properties": {name: value for name, value in properties.items() if name in said},
    }


def given_collection(collection: Document) -> Document:
    """A collection without what the platform says of it."""
    return {
        name: value
        for name, value in collection.items()
        if name not in ("created", "updated") and not name.startswith(PRIVATE)
    }

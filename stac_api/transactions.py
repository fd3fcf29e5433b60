"""STAC writes: each runs the very operation that any other door runs.

Nothing is written here. A request is checked against the STAC models, put into the operation's
words and handed to `run_op`; the answer is read back through search.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urljoin

from pydantic import BaseModel, ValidationError
from stac_pydantic import Collection, Item
from starlette.requests import Request

from stac_api import geometry, patch
from stac_api.document import PRIVATE, Document
from stac_api.errors import BadRequest, Invalid

RunOperation = Callable[[Request, str, dict[str, Any]], Awaitable[dict[str, Any]]]

# what an item is called that came through this door without saying
ITEM_TYPE = "external_reference"
# members of properties that the operation knows by another name, or makes itself
_NAMED = frozenset(
    (
        "datetime",
        "start_datetime",
        "end_datetime",
        "gsd",
        "eo:cloud_cover",
        "title",
        "description",
        "created",
        "updated",
    )
)
_COLLECTION_MEMBERS = frozenset(
    ("type", "stac_version", "id", "links", "title", "description", "created", "updated")
)


def item_input(item: Any, collection_id: str | None) -> dict[str, Any]:
    """A client's item as the input of `items.create`, without its project.

    Args:
        item: as sent; `links`, `assets` and `stac_version` may be missing.
        collection_id: the platform's id of the collection, None for items in none.

    Raises:
        Invalid: not a STAC item.
    """
    item = {"links": [], "assets": {}, "stac_version": "1.0.0", **_object(item)}
    _validate(Item, {k: v for k, v in item.items() if k != "collection"})
    properties = item["properties"]
    return {
        "stac_id": item["id"],
        "collection_id": collection_id,
        "type": properties.get("opstac:type") or ITEM_TYPE,
        **_item_fields(item),
        "stac_extensions": [str(uri) for uri in item.get("stac_extensions") or []],
        "assets": resolved(item),
    }


def item_changes(item: Any) -> dict[str, Any]:
    """A client's whole item as the input of `items.update`, without its id.

    Raises:
        Invalid: not a STAC item.
    """
    document = {"links": [], "assets": {}, "stac_version": "1.0.0", **_object(item)}
    _validate(Item, {k: v for k, v in document.items() if k != "collection"})
    changes = _item_fields(document)
    return {**changes, "assets": resolved(document)} if "assets" in item else changes


def resolved(item: Document) -> Document:
    """An item's assets; an href that is relative is so to the item's own address."""
    assets, links = item["assets"], item.get("links") or ()
    base = next((link["href"] for link in links if link.get("rel") == "self"), None)
    if base is None or not base.startswith(("http://", "https://")):
        return assets
    return {key: {**asset, "href": _joined(base, asset["href"])} for key, asset in assets.items()}


def _joined(base: str, href: str) -> str:
    try:
        return urljoin(base, href)
    except ValueError:  # the operation says what is wrong with it
        return href


def _item_fields(item: Document) -> dict[str, Any]:
    properties = item["properties"]
    return {
        "name": properties.get("title") or item["id"],
        "description": properties.get("description"),
        "geometry": geometry.repaired(item.get("geometry")),
        "bbox": item.get("bbox"),
        "datetime": properties.get("datetime"),
        "start_datetime": properties.get("start_datetime"),
        "end_datetime": properties.get("end_datetime"),
        "cloud_cover": properties.get("eo:cloud_cover"),
        "gsd": properties.get("gsd"),
        "properties": {
            key: value
            for key, value in properties.items()
            if key not in _NAMED and not key.startswith(PRIVATE)
        },
    }


def collection_input(collection: Any) -> dict[str, Any]:
    """A client's collection as the input of `collections.create`, without its project.

    Raises:
        Invalid: not a STAC collection.
    """
    collection = {"links": [], "stac_version": "1.0.0", **_object(collection)}
    _validate(Collection, collection)
    return {
        "slug": collection["id"],
        "name": collection.get("title") or collection["id"],
        "description": collection.get("description"),
        "stac": {
            key: value
            for key, value in collection.items()
            if key not in _COLLECTION_MEMBERS and not key.startswith(PRIVATE)
        },
    }


def patched(document: Document, change: Any) -> Document:
    """`document` after a JSON Patch (a list) or a merge patch (an object).

    Raises:
        BadRequest: the patch cannot be applied, or changes what the item or collection is.
    """
    made = patch.apply(document, change)
    if not isinstance(made, Mapping) or made.get("id") != document["id"]:
        raise BadRequest("a patch cannot change the id")
    return dict(made)


def project_named(document: Mapping[str, Any], request: Request) -> str | None:
    """The project a write says it is for: in the body, else in header X-Project-Id."""
    properties = document.get("properties")
    for holder in (properties, document):
        if isinstance(holder, Mapping) and isinstance(holder.get("opstac:project"), str):
            return str(holder["opstac:project"])
    return request.headers.get("x-project-id")


def _object(value: Any) -> Document:
    if not isinstance(value, Mapping):
        raise BadRequest("the body must be a JSON object")
    return dict(value)


def _validate(model: type[BaseModel], document: Document) -> None:
    try:
        model.model_validate(document)
    except ValidationError as error:
        raise Invalid(
            [
                {"loc": ["body", *part["loc"]], "msg": part["msg"], "type": part["type"]}
                for part in error.errors(include_url=False, include_input=False)
            ]
        ) from None

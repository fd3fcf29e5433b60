"""STAC writes: each runs the very operation that any other door runs.

Nothing is written here. A request is checked against the STAC models, put into the operation's
words and handed to `run_op`; the answer is read back through search.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

from pydantic import BaseModel, ValidationError
from stac_pydantic import Collection, Item
from starlette.requests import Request

from stac_api import geometry, patch
from stac_api.checked import clean
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
# links that we make ourselves
OWN_RELATIONS = frozenset(
    (
        *("self", "root", "parent", "items", "item", "child", "collection"),
        "http://www.opengis.net/def/rel/ogc/1.0/queryables",
    )
)
_OWN_OF_ITEMS = OWN_RELATIONS | {"canonical", "next", "prev"}
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
        "links": links_given(item),
    }


def links_given(
    item: Mapping[str, Any], made: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The links of an item that are the client's: without those that place it in a catalogue, which
    are ours to say, and without those that we made (`made`)."""
    return [
        dict(link)
        for link in item.get("links") or ()
        if link["rel"] not in _OWN_OF_ITEMS and link not in made
    ]


def item_changes(
    stored: Document, item: Any, made: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """What makes `stored` the client's `item`, as the input of `items.update` without its id.

    Only what differs is changed: what the platform shows beside a client's own words, such as what
    it found in the files, is not taken for the client's because it was sent back.

    Args:
        stored: as clients see it.
        item: the whole item wanted; without `assets` or `links` they stay.
        made: those of its links that we made.

    Raises:
        Invalid: not a STAC item.
        Conflict: a file of ours would go.
    """
    given = _object(item)
    kept = {"links": stored["links"], "assets": stored["assets"], "stac_version": "1.0.0"}
    document = {**kept, **given}
    _validate(Item, {k: v for k, v in document.items() if k != "collection"})
    before, after = _item_fields(stored), _item_fields(document)
    own, wanted = before.pop("properties"), after.pop("properties")
    moment = ("datetime", "start_datetime", "end_datetime")
    emptied = [k for k, v in before.items() if v is not None and after[k] is None]
    if any(before[name] != after[name] for name in moment):
        before |= dict.fromkeys(moment)  # they go together
    changes = {k: v for k, v in after.items() if v is not None and v != before[k]}
    if "geometry" in changes and after["bbox"] == stored.get("bbox"):
        changes.pop("bbox", None)  # it follows the geometry
    emptied += [f"properties.{name}" for name in own if name not in wanted]
    said = {k: v for k, v in wanted.items() if k not in own or own[k] != v}
    extensions = [str(uri) for uri in document.get("stac_extensions") or []]
    if set(extensions) != set(stored.get("stac_extensions") or []):
        changes["stac_extensions"] = extensions
    if document["assets"] != stored["assets"]:
        changes["assets"] = resolved(document)
    links = links_given(document, made)
    if links != links_given(stored, made):
        changes["links"] = links
    return {**changes, "set_properties": said, "clear": emptied}


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
        "bbox": _bbox(item),
        "datetime": properties.get("datetime"),
        "start_datetime": properties.get("start_datetime"),
        "end_datetime": properties.get("end_datetime"),
        "cloud_cover": properties.get("eo:cloud_cover"),
        "gsd": properties.get("gsd"),
        "properties": {
            key: value
            for key, value in properties.items()
            # a number spelled as text stays as it is spelled
            if (key not in _NAMED or (key == "eo:cloud_cover" and isinstance(value, str)))
            and not key.startswith(PRIVATE)
        },
    }


def _bbox(item: Document) -> Any:
    """The item's box; one that stands on its head is left to be made from the geometry."""
    bbox = item.get("bbox")
    if item.get("geometry") is None or not isinstance(bbox, list) or len(bbox) not in (4, 6):
        return bbox
    half = len(bbox) // 2
    return None if bbox[1] > bbox[half + 1] else bbox


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
        "stac": _collection_members(collection),
    }


def collection_changes(stored: Document, collection: Any) -> dict[str, Any]:
    """What makes `stored` the client's `collection`, as the input of `collections.update`.

    Only what differs: an extent that we found in the items does not become the client's because it
    was sent back.

    Raises:
        Invalid: not a STAC collection.
    """
    collection = {"links": stored["links"], "stac_version": "1.0.0", **_object(collection)}
    _validate(Collection, collection)
    before, after = _collection_members(stored), _collection_members(collection)
    return {
        "name": collection.get("title") or collection["id"],
        "description": collection.get("description"),
        "set_stac": {k: v for k, v in after.items() if k not in before or before[k] != v},
        "unset_stac": [k for k in before if k not in after],
    }


def _collection_members(collection: Document) -> Document:
    members = {
        key: value
        for key, value in collection.items()
        if key not in _COLLECTION_MEMBERS and not key.startswith(PRIVATE)
    }
    links = [link for link in collection["links"] if link.get("rel") not in OWN_RELATIONS]
    return {**members, "links": links} if links else members


def patched(document: Document, change: Any) -> Document:
    """`document` after a JSON Patch (a list) or a merge patch (an object).

    Raises:
        BadRequest: the patch cannot be applied, or changes what the item or collection is.
    """
    made = patch.apply(document, change)
    if not isinstance(made, Mapping) or made.get("id") != document["id"]:
        raise BadRequest("a patch cannot change the id")
    clean(made)  # steps that are shallow each may nest deep together
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

"""A search as sent, by query string or body, checked and in one form."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from stac_api import cql1, cql2, geometry, temporal
from stac_api.checked import clean, json_text
from stac_api.conditions import CQL2_JSON, all_of, free_text, query_conditions, terms
from stac_api.errors import BadRequest

MAX_LIMIT = 10_000
MAX_OFFSET = 100_000
MAX_SORT = 8
MAX_NAMES = 1_000

# what an answer of `fields` without an include has: enough for a valid item
DEFAULT_FIELDS = frozenset(
    (
        *("type", "stac_version", "id", "collection", "geometry", "bbox", "links", "assets"),
        *("properties.datetime", "properties.start_datetime", "properties.end_datetime"),
    )
)
# members of an item that are no single value to order by
_UNSORTABLE = frozenset(("geometry", "assets", "links", "bbox", "stac_extensions", "properties"))


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One checked search. Names are as the client knows them; `search.py` maps them.

    Attributes:
        limit: features on a page, 1 to 10,000.
        offset: features to leave out before the page; only for callers that page by number.
        filter: from `cql2.parse`, the query extension's conditions included.
        sortby: (field, descending) in order; empty is newest first.
        include, exclude: members wanted and not wanted, by dotted path.
        token: the paging token sent, unread.
    """

    collections: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None
    geometry: Mapping[str, Any] | None = None
    datetime: str | None = None
    filter: Mapping[str, Any] | None = None
    sortby: tuple[tuple[str, bool], ...] = ()
    include: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()
    limit: int = 10
    offset: int = 0
    token: str | None = None

    @property
    def digest(self) -> bytes:
        """What a paging token is bound to: everything that decides which items, in which order."""
        return hashlib.sha256(
            orjson.dumps(
                [
                    self.collections,
                    self.ids,
                    self.geometry,
                    self.datetime,
                    self.filter,
                    self.sortby,
                ],
                option=orjson.OPT_SORT_KEYS,
            )
        ).digest()


def from_body(body: Any, *, days: bool = False) -> SearchRequest:
    """A POST body, or the input of an operation that searches.

    Args:
        body: the decoded JSON object; members that are null are as if absent.
        days: see `temporal.search_datetime`.

    Raises:
        BadRequest: what is wrong, in words.
    """
    if not isinstance(body, Mapping):
        raise BadRequest("the body must be a JSON object")
    clean(body)
    given = {key: value for key, value in body.items() if value is not None}
    if "bbox" in given and "intersects" in given:
        raise BadRequest("bbox and intersects cannot be sent together")
    shape = None
    if "bbox" in given:
        if not isinstance(given["bbox"], list):
            raise BadRequest("bbox must be 4 or 6 finite numbers")
        shape = geometry.box(given["bbox"])
    elif "intersects" in given:
        shape = geometry.geometry(given["intersects"])
    conditions = []
    if "filter" in given:
        language = given.get("filter-lang") or given.get("filter_lang") or CQL2_JSON
        conditions.append(filter_condition(given["filter"], language))
    crs = given.get("filter-crs")
    if crs not in (None, "http://www.opengis.net/def/crs/OGC/1.3/CRS84"):
        raise BadRequest("filter-crs must be CRS84")
    if "query" in given:
        conditions += query_conditions(given["query"])
    if "q" in given:
        conditions.append(free_text(terms(given["q"])))
    when = given.get("datetime")
    include, exclude = fields(body["fields"]) if "fields" in body else (frozenset(), frozenset())
    return SearchRequest(
        collections=_names(given.get("collections"), "collections"),
        ids=_names(given.get("ids"), "ids"),
        geometry=shape,
        datetime=None if when is None else temporal.search_datetime(when, days=days),
        filter=all_of(conditions),
        sortby=sort_fields(given.get("sortby", [])),
        include=include,
        exclude=exclude,
        limit=_limit(given.get("limit", 10)),
        offset=_offset(given.get("offset", 0)),
        token=_token(given.get("token")),
    )


def from_query(parameters: Mapping[str, str], *, collection: str | None = None) -> SearchRequest:
    """The query string of GET /search or of GET /collections/{id}/items.

    Args:
        parameters: name → text.
        collection: the collection of the path.

    Raises:
        BadRequest: what is wrong, in words.
    """
    given = {name: text for name, text in parameters.items() if text.strip()}
    body: dict[str, Any] = {
        name: given[name] for name in ("datetime", "token", "filter-crs", "q") if name in given
    }
    for name in ("collections", "ids"):
        if name in given:
            body[name] = [part for part in given[name].split(",") if part]
    if collection is not None:
        body["collections"] = [collection]
    if "bbox" in given:
        body["bbox"] = _numbers(given["bbox"])
    for name in ("intersects", "query"):
        if name in given:
            body[name] = json_text(given[name], name)
    if "limit" in given:
        body["limit"] = _whole(given["limit"])
    if "filter" in given:
        body["filter"], body["filter-lang"] = filter_text(given)
    if "sortby" in given:
        body["sortby"] = sort_texts(given["sortby"])
    if "fields" in parameters:
        body["fields"] = field_texts(parameters["fields"])
    return from_body(body)


def sort_texts(text: str) -> list[dict[str, str]]:
    """`sortby` of a query string as in a body."""
    return [_sort_field(part.strip()) for part in text.split(",")]


def field_texts(text: str) -> dict[str, list[str]]:
    """`fields` of a query string as in a body."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    sides = {
        "include": [part.lstrip("+") for part in parts if not part.startswith("-")],
        "exclude": [part[1:] for part in parts if part.startswith("-")],
    }
    return {side: names for side, names in sides.items() if names}


def filter_text(given: Mapping[str, str]) -> tuple[Any, str]:
    """`filter` of a query string, JSON read, and its language."""
    text = given["filter"]
    guessed = "cql2-json" if text.lstrip().startswith("{") else "cql2-text"
    language = given.get("filter-lang") or given.get("filter_lang") or guessed
    is_json = language in ("cql-json", CQL2_JSON)
    return (json_text(text, "filter") if is_json else text), language


def filter_condition(value: Any, language: Any) -> Mapping[str, Any]:
    """A filter, checked; that of before CQL2 is taken too."""
    if language == "cql-json":
        language = CQL2_JSON
    return cql2.parse(cql1.modern(value) if language == CQL2_JSON else value, language)


def _sort_field(text: str) -> dict[str, str]:
    # a plus sign in a query string arrives as a space, which is stripped by now
    direction = "desc" if text.startswith("-") else "asc"
    return {"field": text[1:] if text[:1] in "+-" else text, "direction": direction}


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", text.strip(), re.ASCII):
        raise BadRequest("limit must be a whole number")
    return int(text)


def box_text(text: str) -> dict[str, Any]:
    """`bbox` of a query string; see `geometry.box`."""
    return geometry.box(_numbers(text))


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BadRequest("bbox must be 4 or 6 finite numbers") from None


def _limit(value: Any) -> int:
    """A page's length; a larger one than there is, is the largest (OGC API - Features, 7.15.2)."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadRequest(f"limit must be a whole number from 1; at most {MAX_LIMIT} come at once")
    return min(value, MAX_LIMIT)


def _offset(value: Any) -> int:
    """What is left out is read all the same, so only so much of it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRequest(f"offset must be a whole number from 0 to {MAX_OFFSET}")
    if value > MAX_OFFSET:
        raise BadRequest(
            f"pages by number end at offset {MAX_OFFSET}: narrow the search, for instance by time, "
            "or follow the links `next` of the STAC API, which are as quick at any depth"
        )
    return value


def _token(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadRequest("token must be text")
    return value


def _names(value: Any, name: str) -> tuple[str, ...] | None:
    """Absent or an empty list: no condition. A bare text is a list of one."""
    if value is None or value == []:
        return None
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise BadRequest(f"{name} must be a list of texts")
    if len(value) > MAX_NAMES:
        raise BadRequest(f"{name} has more than {MAX_NAMES} entries")
    return tuple(dict.fromkeys(value))


def sort_fields(value: Any) -> tuple[tuple[str, bool], ...]:
    """`sortby` of a body, checked: (field, descending) in order."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list) or len(value) > MAX_SORT:
        raise BadRequest(f"sortby must be a list of at most {MAX_SORT} fields")
    found: dict[str, bool] = {}
    for part in value:
        name = part.get("field") if isinstance(part, Mapping) else None
        if not isinstance(name, str) or not 0 < len(name) <= cql2.MAX_NAME:
            raise BadRequest("sortby needs a field in each entry")
        while name.startswith("properties."):
            name = name.removeprefix("properties.")
        if not name.strip(" .") or name.split(".")[0] in _UNSORTABLE:
            raise BadRequest(f"sortby cannot order by {name[:60]!r}")
        direction = part.get("direction") or "asc"
        if direction not in ("asc", "desc"):
            raise BadRequest("sortby has a direction other than asc and desc")
        found.setdefault(name, direction == "desc")
    return tuple(found.items())


def fields(value: Any) -> tuple[frozenset[str], frozenset[str]]:
    """`fields` of a body, checked: what is wanted, none for all, and what is not.

    Where an include is asked for and empty, it is what makes a valid item.
    """
    if not isinstance(value, Mapping):
        raise BadRequest("fields must be an object with include and exclude")
    sides = []
    for side in ("include", "exclude"):
        names = value.get(side) or []
        if not isinstance(names, list) or len(names) > MAX_NAMES:
            raise BadRequest(f"fields.{side} must be a list of names")
        if not all(isinstance(name, str) and name for name in names):
            raise BadRequest(f"fields.{side} must be a list of names")
        sides.append(frozenset(names))
    include, exclude = sides
    if not include and ("include" in value or not exclude):
        return DEFAULT_FIELDS - exclude, exclude
    return include, exclude

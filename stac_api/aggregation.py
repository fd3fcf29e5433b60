"""Aggregations over what a search finds: which there are, how they are asked for and answered.

Names and answers are those of the STAC API extension "Aggregation". Each is one query with the
search's own condition, tenancy included. Of buckets the most frequent `MAX_BUCKETS` come, and what
is counted in others as `overflow`; so is an item that touches more than 4,096 cells of a grid.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from db.queries import queries
from stac_api import normal_form
from stac_api.cql2 import MAX_NAME
from stac_api.document import Document
from stac_api.errors import BadRequest, Unauthorized
from stac_api.geometry import is_number
from stac_api.named import named_collections
from stac_api.request import SearchRequest
from stac_api.search import Searcher, pgstac_search, require_shown
from stac_api.tenancy import UNSHOWN, Visibility

sql = queries(__file__)

MAX_AGGREGATIONS = 20
MAX_BUCKETS = 1_000
MAX_EDGES = 100
INTERVALS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
GRIDS = {"geohash": (1, 12), "geotile": (0, 29)}

# well-known names of the extension → property, and ranges where they are asked for without
PROPERTIES: dict[str, tuple[str, list[float] | None]] = {
    "cloud_cover": ("eo:cloud_cover", [0, 5, 15, 40, 100]),
    "grid_code": ("grid:code", None),
    "platform": ("platform", None),
    "sun_elevation": ("view:sun_elevation", [-90, -30, 0, 15, 30, 45, 60, 75, 90]),
    "sun_azimuth": ("view:sun_azimuth", [0, 45, 90, 135, 180, 225, 270, 315, 360]),
    "off_nadir": ("view:off_nadir", [0, 5, 10, 15, 20, 25, 30, 45, 60, 90]),
}
VALUES = {"total_count": "integer", "datetime_min": "datetime", "datetime_max": "datetime"}
# members of an item that are beside its properties
_NO_PROPERTIES = frozenset(
    ("geometry", "assets", "links", "bbox", "stac_version", "stac_extensions")
)
_GRID = re.compile(r"(centroid|geometry)_(geohash|geotile)_grid_frequency")
_NUMBER = {"geohash": 3, "geotile": 5}


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One aggregation as asked for; `query` is what the database is told."""

    name: str
    query: Mapping[str, Any]


def available(properties: Mapping[str, Mapping[str, Any]]) -> list[Document]:
    """What can be asked for, of items with these queryables (name → JSON Schema)."""
    listed: list[Document] = [{"name": name, "data_type": kind} for name, kind in VALUES.items()]
    kinds = {"collection": "string", "datetime": "datetime"}
    kinds |= {name: "numeric" if edges else "string" for name, (_, edges) in PROPERTIES.items()}
    kinds |= {f"{of}_{grid}_grid": "string" for of in ("centroid", "geometry") for grid in GRIDS}
    named = {name for name, _ in PROPERTIES.values()}
    for name, schema in sorted(properties.items()):
        kind = schema.get("type")
        if name in named or schema.get("format") == "date-time":
            continue
        if kind in ("string", "boolean", "number", "integer"):
            numeric = kind in ("number", "integer")
            kinds.setdefault(name, "numeric" if numeric else "string")
    listed += [
        {
            "name": f"{name}_frequency",
            "data_type": "frequency_distribution",
            "frequency_distribution_data_type": kind,
        }
        for name, kind in kinds.items()
        if name not in ("id", "opstac:project")
    ]
    return listed


def asked(parameters: Mapping[str, Any]) -> list[Aggregation]:
    """The aggregations a request names, with their own parameters.

    Args:
        parameters: `aggregations`, a list or a text with commas; `datetime_frequency_interval`;
            `<name>_precision` of grids; `<name>_ranges` of properties, as a list or text.

    Raises:
        BadRequest: an aggregation that there is not, or a parameter out of range.
    """
    names = parameters.get("aggregations")
    if isinstance(names, str):
        names = [part.strip() for part in names.split(",") if part.strip()]
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise BadRequest("aggregations must name what to count; /aggregations lists them")
    names = list(dict.fromkeys(names))
    if len(names) > MAX_AGGREGATIONS:
        raise BadRequest(f"aggregations has more than {MAX_AGGREGATIONS} entries")
    return [Aggregation(name, _query(name, parameters)) for name in names]


def _query(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    if name in VALUES:
        return {"kind": {"total_count": "count"}.get(name) or name.removeprefix("datetime_")}
    query: dict[str, Any] = {"limit": MAX_BUCKETS}
    if name == "collection_frequency":
        return {**query, "kind": "collection"}
    if name == "datetime_frequency":
        by = parameters.get(f"{name}_interval") or "month"
        if by not in INTERVALS:
            raise BadRequest(f"{name}_interval must be one of {', '.join(INTERVALS)}")
        return {**query, "kind": "interval", "by": by}
    if match := _GRID.fullmatch(name):
        of, grid = match.groups()
        low, high = GRIDS[grid]
        precision = _whole(parameters.get(f"{name}_precision"), _NUMBER[grid])
        if not low <= precision <= high:
            raise BadRequest(f"{name}_precision must be a whole number from {low} to {high}")
        return {**query, "kind": "cells", "of": of, "grid": grid, "precision": precision}
    if not name.endswith("_frequency") or len(name) > MAX_NAME:
        raise BadRequest(f"there is no aggregation {name[:60]!r}; /aggregations lists them")
    subject = name.removesuffix("_frequency")
    while subject.startswith("properties."):
        subject = subject.removeprefix("properties.")
    known, edges = PROPERTIES.get(subject, (subject, None))
    if not known.strip(" .") or known.split(".")[0] in _NO_PROPERTIES:
        raise BadRequest(f"there is no aggregation {name[:60]!r}; /aggregations lists them")
    query["property"] = {"id": "opstac:stac_id"}.get(known, known)
    given = parameters.get(f"{name}_ranges")
    if given is None and edges is None:
        return {**query, "kind": "terms"}
    edges = edges if given is None else _edges(name, given)
    # all of them come, the empty ones too, and what is below and above
    return {**query, "kind": "ranges", "edges": edges, "limit": MAX_EDGES + 1}


def _whole(value: Any, default: int) -> int:
    if value is None or value == "":
        return default
    if isinstance(value, str) and re.fullmatch(r"\d{1,3}", value, re.ASCII):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _edges(name: str, value: Any) -> list[float]:
    if isinstance(value, str):
        try:
            value = [float(part) for part in value.split(",")]
        except ValueError:
            value = None
    if (
        not isinstance(value, list)
        or not 2 <= len(value) <= MAX_EDGES
        or not all(is_number(edge) for edge in value)
        or not all(a < b for a, b in itertools.pairwise(value))
    ):
        raise BadRequest(f"{name}_ranges must be 2 to {MAX_EDGES} growing numbers")
    return value


async def aggregate(
    searcher: Searcher,
    visibility: Visibility,
    request: SearchRequest,
    wanted: Sequence[Aggregation],
) -> list[Document]:
    """The aggregations over what `visibility` may see of `request`.

    Raises:
        BadRequest: the database finds the search has no meaning, or it takes too long.
        Unauthorized: without credential, a collection named is not public.
        Unavailable: the database does not answer.
    """
    require_shown(visibility, request)
    if visibility.anonymous and any(
        str(w.query.get("property")).split(".")[0] in UNSHOWN for w in wanted
    ):
        raise BadRequest("there is no aggregation of what is not shown without a credential")
    named = set(request.collections or ())
    in_filter = normal_form.collection_names(request.filter) if request.filter else set()
    known: dict[str, list[str]] = {}
    if in_filter or (visibility.anonymous and named):
        known = await searcher.ids(visibility, named | in_filter)
    if visibility.anonymous and not named <= known.keys():
        raise Unauthorized
    if visibility.empty:
        empty: Document = {"value": None, "buckets": [], "overflow": 0}
        results = [{**empty, "value": 0} if w.name == "total_count" else empty for w in wanted]
    else:
        search = pgstac_search(request, known)
        search.pop("sortby", None)
        collections = named_collections(request, search)
        place = {
            "organization": visibility.organization_id,
            "slot": visibility.slot,
            "projects": None if visibility.projects is None else sorted(visibility.projects),
        }
        rows = await searcher.fetch_for(
            visibility,
            sql.aggregate_public_items if visibility.anonymous else sql.aggregate_items,
            **({} if visibility.anonymous else place),
            collections=collections,
            ids=None if request.ids is None else list(request.ids),
            search=orjson.dumps(search).decode(),
            aggregations=orjson.dumps([w.query for w in wanted]).decode(),
        )
        results = rows[0]["found"]
    names: dict[str, str] = {}
    for one, result in zip(wanted, results, strict=True):
        if one.query["kind"] == "collection":
            names = await searcher.shown_names(visibility, [key for key, _ in result["buckets"]])
    return [_answer(one, result, names) for one, result in zip(wanted, results, strict=True)]


def _answer(one: Aggregation, result: Document, names: Mapping[str, str]) -> Document:
    """One aggregation as the extension has it."""
    if one.name in VALUES:
        value = result["value"]
        if isinstance(value, str):
            value = value.replace("+00:00", "Z")
        return {"name": one.name, "data_type": VALUES[one.name], "value": value}
    kind, buckets, overflow = one.query["kind"], result["buckets"], result["overflow"]
    if kind == "ranges":
        return _ranges(one, buckets)
    data_type = "string"
    if kind == "interval":
        data_type = "datetime"
        buckets = sorted(buckets)
    elif kind == "collection":
        buckets = [(names.get(key, key), count) for key, count in buckets]
    elif kind == "terms" and buckets and all(is_number(key) for key, _ in buckets):
        data_type = "numeric"
    return {
        "name": one.name,
        "data_type": "frequency_distribution",
        "frequency_distribution_data_type": data_type,
        "buckets": [
            {"key": _text(key), "data_type": _type(key, data_type), "frequency": count}
            for key, count in buckets
        ],
        "overflow": overflow,
    }


def _type(key: Any, of_all: str) -> str:
    """A bucket's own type: a property may hold the number 1 in one item and "1" in another."""
    if isinstance(key, bool):
        return "boolean"
    return "numeric" if is_number(key) else of_all if of_all == "datetime" else "string"


def _text(key: Any) -> str:
    """A bucket's key as the extension has it: text, whatever it is in the items."""
    return key if isinstance(key, str) else orjson.dumps(key).decode()


def _ranges(one: Aggregation, buckets: Sequence[Any]) -> Document:
    """Every range, empty ones too; what lies outside of all is the overflow."""
    edges, counts = one.query["edges"], dict(buckets)
    inside = range(1, len(edges))
    return {
        "name": one.name,
        "data_type": "frequency_distribution",
        "frequency_distribution_data_type": "numeric",
        "buckets": [
            {
                "key": f"{edges[n - 1]:g}-{edges[n]:g}",
                "data_type": "numeric",
                "frequency": counts.get(n, 0),
                "from": edges[n - 1],
                "to": edges[n],
            }
            for n in inside
        ],
        "overflow": sum(count for number, count in counts.items() if number not in inside),
    }

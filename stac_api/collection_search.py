"""Searching collections: what GET /collections is asked for, and which collections fit.

Collections are as many as a caller sees, thousands at most, so they are looked through one by one,
as the documents they are shown by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cql2 as cql2_library

from stac_api import checked, geometry, temporal
from stac_api import conditions as filters
from stac_api import request as requests
from stac_api.document import Document
from stac_api.errors import BadRequest

PAGE = 10
MAX_LIMIT = 1_000
MAX_OFFSET = 1_000_000
_ALWAYS = ("id", "links")
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)

Box = tuple[float, float, float, float]
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class CollectionSearch:
    """One checked request for collections.

    Attributes:
        limit, offset: the page; `paged` where a limit was named.
        terms: one of these is to be found in title, description or keywords.
        boxes, span: place and time that the extent is to meet.
        filter: from `cql2.parse`.
        sortby: (field, descending) in order; empty is in order of making.
    """

    limit: int = PAGE
    offset: int = 0
    paged: bool = False
    terms: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    span: Span | None = None
    filter: Mapping[str, Any] | None = None
    sortby: tuple[tuple[str, bool], ...] = ()
    include: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()

    @property
    def plain(self) -> bool:
        """Nothing but a page is asked for."""
        asked = self.terms or self.boxes or self.span or self.filter or self.sortby
        return not asked

    @property
    def needs_extents(self) -> bool:
        """Whether extents decide what is found."""
        return bool(self.boxes or self.span or self.filter or self.sortby)


def from_query(parameters: Mapping[str, str]) -> CollectionSearch:
    """The query string of GET /collections.

    Raises:
        BadRequest: what is wrong, in words.
    """
    given = {name: text for name, text in parameters.items() if text.strip()}
    checked.clean(dict(given))
    conditions: list[Mapping[str, Any]] = []
    if "filter" in given:
        conditions.append(requests.filter_condition(*requests.filter_text(given)))
    if "query" in given:
        asked = checked.json_text(given["query"], "query")
        checked.clean(asked)
        conditions += filters.query_conditions(asked)
    include, exclude = frozenset[str](), frozenset[str]()
    if "fields" in parameters:
        include, exclude = requests.fields(requests.field_texts(parameters["fields"]))
    return CollectionSearch(
        limit=_whole(given, "limit", PAGE, 1, MAX_LIMIT),
        offset=_whole(given, "offset", 0, 0, MAX_OFFSET),
        paged="limit" in given,
        terms=tuple(filters.terms(given["q"])) if "q" in given else (),
        boxes=_boxes_of(requests.box_text(given["bbox"])) if "bbox" in given else (),
        span=_span(temporal.search_datetime(given["datetime"])) if "datetime" in given else None,
        filter=filters.all_of(conditions),
        sortby=requests.sort_fields(requests.sort_texts(given["sortby"]))
        if "sortby" in given
        else (),
        include=include,
        exclude=exclude,
    )


def found(documents: Iterable[Document], asked: CollectionSearch) -> list[Document]:
    """The documents that fit, in the order asked for."""
    patterns = [_pattern(term) for term in asked.terms]
    expression = cql2_library.Expr(dict(asked.filter)) if asked.filter is not None else None
    fitting = [
        document
        for document in documents
        if (not patterns or any(pattern.search(_text(document)) for pattern in patterns))
        and (not asked.boxes or _meets(document, asked.boxes))
        and (asked.span is None or _during(document, asked.span))
        and (expression is None or _matches(expression, document))
    ]
    for name, descending in reversed(asked.sortby):
        path = name.split(".")
        # what has no such member comes last, either way
        having = [d for d in fitting if _at(d, path) is not None]
        having.sort(key=lambda d: _comparable(_at(d, path)), reverse=descending)
        fitting = having + [d for d in fitting if _at(d, path) is None]
    return fitting


def chosen(document: Document, asked: CollectionSearch) -> Document:
    """The members asked for; id and links always."""
    kept = document
    if asked.include:
        names = {name.split(".")[0] for name in asked.include}
        kept = {k: v for k, v in document.items() if k in names or k in _ALWAYS}
    dropped = asked.exclude - asked.include - set(_ALWAYS)
    return {k: v for k, v in kept.items() if k not in dropped}


def _pattern(term: str) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in term.split())
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _text(document: Document) -> str:
    keywords = document.get("keywords")
    parts = [document.get("title"), document.get("description")]
    parts += keywords if isinstance(keywords, list) else []
    return "\n".join(part for part in parts if isinstance(part, str))


def _meets(document: Document, wanted: Sequence[Box]) -> bool:
    extent = _at(document, ["extent", "spatial", "bbox"])
    boxes: list[Box] = []
    for box in extent if isinstance(extent, list) else []:
        try:
            boxes += _boxes_of(geometry.box(box))
        except (BadRequest, TypeError):
            return True  # an extent that cannot be read is no reason to hide a collection
    return any(
        a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
        for a in boxes
        for b in wanted
    )


def _boxes_of(shape: Mapping[str, Any]) -> tuple[Box, ...]:
    """The rectangles of what `geometry.box` makes: one, or two at the antimeridian; they may be
    as narrow as a line or a point.
    """
    parts = shape["coordinates"] if shape["type"].startswith("Multi") else [shape["coordinates"]]
    boxes: list[Box] = []
    for part in parts:
        positions = list(_positions(part))
        xs, ys = [x for x, _ in positions], [y for _, y in positions]
        boxes.append((min(xs), min(ys), max(xs), max(ys)))
    return tuple(boxes)


def _positions(part: Any) -> Iterator[tuple[float, float]]:
    """The positions of a point, a line or a polygon."""
    if isinstance(part[0], list):
        for inner in part:
            yield from _positions(inner)
    else:
        yield part[0], part[1]


def _during(document: Document, wanted: Span) -> bool:
    intervals = _at(document, ["extent", "temporal", "interval"])
    for interval in intervals if isinstance(intervals, list) else []:
        if not isinstance(interval, list) or len(interval) != 2:
            continue
        begin, end = _moment(interval[0]) or _EARLIEST, _moment(interval[1]) or _LATEST
        if begin <= wanted[1] and wanted[0] <= end:
            return True
    return not intervals


def _span(text: str) -> Span:
    low, _, high = text.partition("/")
    if not high:
        high = low
    return (
        _EARLIEST if low == ".." else temporal.instant(low),
        _LATEST if high == ".." else temporal.instant(high),
    )


def _moment(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _matches(expression: Any, document: Document) -> bool:
    try:
        return bool(expression.matches(_filtered_by(document)))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # the library's own panics are no Exception
        # a member that is missing or of another type: unknown, which is not true
        return False


def _filtered_by(document: Document) -> Document:
    boxes = _at(document, ["extent", "spatial", "bbox"])
    try:
        return {**document, "geometry": geometry.box(boxes[0])}  # type: ignore[index]
    except (BadRequest, TypeError, IndexError):
        return document


def _at(document: Any, path: Sequence[str]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def _comparable(value: Any) -> tuple[int, Any]:
    """Numbers before texts before all else."""
    if isinstance(value, (int, float)):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, str(value))


def _whole(given: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = given.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= low):
        raise BadRequest(f"{name} must be a whole number from {low} to {high}")
    return min(int(text), high)

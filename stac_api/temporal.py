"""RFC 3339 instants, days and intervals, as searches and filters spell them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from stac_api.errors import BadRequest

_INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def instant(text: str) -> datetime:
    """An RFC 3339 date-time; fractions beyond microseconds are cut.

    Raises:
        BadRequest: anything else.
    """
    if not _INSTANT.fullmatch(text):
        raise BadRequest(f"{text[:60]!r} is not an RFC 3339 date-time")
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        raise BadRequest(f"{text[:60]!r} is not a date and time that exist") from None


def day(text: str) -> datetime:
    """Midnight UTC of a full date."""
    try:
        if _DAY.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        pass
    raise BadRequest(f"{text[:60]!r} is not a date")


def search_datetime(text: Any, *, days: bool = False) -> str:
    """The `datetime` parameter: an instant, or an interval of which one end may be open.

    Args:
        text: as sent.
        days: take a full date too: alone the whole day, as an end its first or last moment.

    Returns: the same, with open ends written `..`.

    Raises:
        BadRequest: anything else, both ends open, or the begin after the end.
    """
    if not isinstance(text, str) or len(text) > 200:
        raise BadRequest("datetime must be an RFC 3339 date-time or interval")
    ends = text.split("/")
    if len(ends) == 1:
        _end(ends[0], days, last=False)
        return ends[0]
    if len(ends) != 2:
        raise BadRequest("datetime must be an RFC 3339 date-time or interval")
    low, high = (None if end in ("", "..") else end for end in ends)
    if low is None and high is None:
        raise BadRequest("datetime must not be open at both ends")
    if low is not None and high is not None:
        if _end(low, days, last=False) > _end(high, days, last=True):
            raise BadRequest("datetime ends before it begins")
    elif low is not None:
        _end(low, days, last=False)
    elif high is not None:
        _end(high, days, last=True)
    return f"{low or '..'}/{high or '..'}"


def _end(text: str, days: bool, *, last: bool) -> datetime:
    if days and _DAY.fullmatch(text):
        return day(text) + (timedelta(days=1, microseconds=-1) if last else timedelta())
    return instant(text)


def literal(node: Any) -> None:
    """Check a time in a CQL2 filter: text, {"timestamp": …} or {"date": …}.

    Raises:
        BadRequest: not a time.
    """
    if not isinstance(node, (str, Mapping)) or bounds(node) is None:
        raise BadRequest("filter has a time that is not RFC 3339")


def bounds(node: Any) -> tuple[datetime, datetime] | None:
    """First and last moment of a time in a filter; None for a property or an open end."""
    if isinstance(node, Mapping):
        if "timestamp" in node:
            found = instant(node["timestamp"]) if isinstance(node["timestamp"], str) else None
            return (found, found) if found else None
        node = node.get("date")
    if not isinstance(node, str) or node == "..":
        return None
    if _DAY.fullmatch(node):
        begin = day(node)
        return begin, begin + timedelta(days=1, microseconds=-1)
    found = instant(node)
    return found, found

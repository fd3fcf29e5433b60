"""Checks of what a caller says about an item; each refuses with the field's place (422)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from ops_gateway.kernel.errors import Invalid

MAX_ID = 500
MAX_PROPERTIES = 256 << 10  # bytes as JSON: a page may show a thousand items
# what the item store can hold
_FIRST, _LAST = datetime(1000, 1, 2, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CLOCK = r"[Tt ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d{2}:?\d{2})?"
_ISO = re.compile(rf"\d{{4}}-\d{{2}}-\d{{2}}(?:{_CLOCK})?", re.ASCII)


def instant(value: datetime | str | None, field: str) -> datetime | None:
    """A time, or an ISO 8601 text, in UTC; without an offset it is UTC, a date alone its midnight.

    Raises: Invalid.
    """
    if value is None:
        return None
    try:
        if isinstance(value, datetime):
            moment = value
        elif _ISO.fullmatch(value):
            moment = datetime.fromisoformat(value.upper().replace(",", "."))
        else:
            raise ValueError
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid.at(field, f"{str(value)[:60]!r} is not an ISO 8601 date-time") from None
    if not _FIRST <= moment <= _LAST:
        raise Invalid.at(field, "must be from 1000-01-02 to 2999-12-31")
    return moment


def times(
    when: datetime | str | None, start: datetime | str | None, end: datetime | str | None
) -> tuple[datetime | None, datetime | None, datetime | None]:
    """An item's datetime, begin and end: a datetime, a begin with an end, or nothing.

    Raises: Invalid: half an interval, or one that ends before it begins.
    """
    moment = instant(when, "datetime")
    begin, finish = instant(start, "start_datetime"), instant(end, "end_datetime")
    if (begin is None) != (finish is None):
        missing = "end_datetime" if finish is None else "start_datetime"
        raise Invalid.at(missing, "start_datetime and end_datetime go together")
    if begin is not None and finish is not None and begin > finish:
        raise Invalid.at("end_datetime", "ends before start_datetime")
    return moment, begin, finish


def stac_id(value: str | None, field: str = "stac_id") -> str | None:
    """A client's own id of an item, or slug of a collection. Raises: Invalid."""
    if value is None:
        return None
    if not value.strip() or len(value) > MAX_ID or _CONTROL.search(value) or "/" in value:
        raise Invalid.at(
            field, f"must be 1 to {MAX_ID} characters without '/' and control characters"
        )
    return value


def cloud_cover(value: Any, *field: str) -> float | None:
    """Percent. Raises: Invalid."""
    if value is None:
        return None
    if not _number(value) or not 0 <= value <= 100:
        raise Invalid.at(field, "cloud cover is a number from 0 to 100")
    return float(value)


def gsd(value: Any, *field: str) -> float | None:
    """Metres. Raises: Invalid."""
    if value is None:
        return None
    if not _number(value) or value <= 0:
        raise Invalid.at(field, "the ground sample distance is a number of metres above 0")
    return float(value)


def extensions(values: Sequence[str]) -> list[str]:
    """Addresses of STAC extensions, each once. Raises: Invalid."""
    if len(values) > 100:
        raise Invalid.at("stac_extensions", "more than 100 extensions")
    for n, value in enumerate(values):
        if not re.fullmatch(r"https?://\S{1,500}", value):
            raise Invalid.at(["stac_extensions", n], "an extension is named by its http(s) address")
    return list(dict.fromkeys(values))


def properties(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """An item's properties. Raises: Invalid: more than an item can hold."""
    if len(orjson.dumps(given)) > MAX_PROPERTIES:
        raise Invalid.at("properties", f"more than {MAX_PROPERTIES} bytes as JSON", "too_long")
    return given


def measured(
    properties: Mapping[str, Any], cover: float | None, distance: float | None
) -> tuple[float | None, float | None]:
    """Cloud cover and ground sample distance: the fields, else what the properties say of them.

    Raises: Invalid: a property of that name is no such number.
    """
    said = as_number(properties.get("eo:cloud_cover"))
    within_cover = cloud_cover(said, "properties", "eo:cloud_cover")
    within_distance = gsd(properties.get("gsd"), "properties", "gsd")
    return (
        cloud_cover(cover, "cloud_cover") if cover is not None else within_cover,
        gsd(distance, "gsd") if distance is not None else within_distance,
    )


def as_number(value: Any) -> Any:
    """A number spelled as text, as some writers do, as the number; all else as it is."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,3}(?:\.\d{1,20})?", value, re.ASCII):
        return float(value)
    return value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

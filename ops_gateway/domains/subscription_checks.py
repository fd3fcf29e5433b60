"""What an event subscription may say: types, filters, headers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ops_gateway.kernel.errors import Invalid
from ops_gateway.kernel.events import EVENT_TYPES
from ops_gateway.providers.delivery import check_headers
from ops_gateway.providers.endpoints import EndpointRefused

MOST_FILTERS = 20
LONGEST_PATH = 200
LONGEST_DESCRIPTION = 2000
LARGEST_FILTER = 8 << 10  # bytes of JSON
ENVELOPE = ("event_id", "event_type", "organization_id", "entity_type", "entity_id", "data")


def check_event_type(name: str) -> None:
    """Raise Invalid unless it is `*`, a type, or `item.*` for what there are types of."""
    families = sorted({known.split(".")[0] + ".*" for known in EVENT_TYPES})
    if name not in EVENT_TYPES and name not in families and name != "*":
        raise Invalid.at(
            "event_type",
            f"'{name[:60]}' is no event type; there are *, {', '.join([*families, *EVENT_TYPES])}",
        )


def check_filter(wanted: Mapping[str, Any]) -> None:
    """Raise Invalid unless every path can be in a message."""
    if len(wanted) > MOST_FILTERS:
        raise Invalid.at("filter_config", f"at most {MOST_FILTERS} paths", "too_long")
    if len(orjson.dumps(dict(wanted))) > LARGEST_FILTER:
        raise Invalid.at("filter_config", f"at most {LARGEST_FILTER} bytes of JSON", "too_long")
    for path in wanted:
        first, *rest = path.split(".")
        loc = ["filter_config", path[:LONGEST_PATH]]
        if len(path) > LONGEST_PATH or not all(rest):
            raise Invalid.at(loc, f"a dotted path of at most {LONGEST_PATH} characters is needed")
        if first not in ENVELOPE:
            raise Invalid.at(
                loc, f"a path begins with one of {', '.join(ENVELOPE)}: `data.project_id`"
            )


def check_own_headers(headers: Mapping[str, str]) -> None:
    """Raise Invalid unless the customer may have these sent along."""
    if len({name.lower() for name in headers}) < len(headers):
        raise Invalid.at("headers", "a header's name is there twice, in other letters")
    try:
        check_headers(headers)
    except EndpointRefused as error:
        raise Invalid.at("headers", str(error)) from None


def check_description(text: str | None) -> None:
    """Raise Invalid where it is too long."""
    if text is not None and len(text) > LONGEST_DESCRIPTION:
        raise Invalid.at("description", f"at most {LONGEST_DESCRIPTION} characters", "too_long")

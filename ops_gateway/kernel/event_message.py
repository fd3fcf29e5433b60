"""What a subscription's address is sent: the message, and what it is signed and headed with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from ops_gateway.kernel.secrets import Keys

MOST_DEAD, DEAD_FOR_HOURS = 5, 48
"""A subscription is disabled when so many deliveries in a row were given up, over so long."""


def message(
    *,
    id: str,
    type: str,
    created_at: datetime,
    organization_id: str,
    entity_type: str,
    entity_id: str,
    data: Mapping[str, Any],
    project_id: str | None = None,
) -> bytes:
    """An event as it is sent to a subscription; `created_at` in UTC."""
    return orjson.dumps(
        {
            "event_id": id,
            "event_type": type,
            "timestamp": created_at,
            "organization_id": organization_id,
            "entity_type": entity_type,
            "entity_id": entity_id,
            "data": {**data, "project_id": project_id},
        },
        option=orjson.OPT_UTC_Z,
    )


def secrets_of(keys: Keys, subscription: Mapping[str, Any]) -> list[str]:
    """The secrets to sign with now, newest first; `previous` is null where it is not valid."""
    sealed = (subscription["secret"], subscription["previous"])
    return [keys.unseal(bytes(token)).decode() for token in sealed if token]


def headers_of(keys: Keys, subscription: Mapping[str, Any]) -> dict[str, str]:
    """The customer's own headers."""
    sealed = subscription["sealed_headers"]
    return orjson.loads(keys.unseal(bytes(sealed))) if sealed else {}

"""Writes the messages of kind `event`: what happened, to an address that subscribed to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db.pool import Pool
from db.queries import queries
from ops_gateway.kernel.event_message import headers_of, message, secrets_of
from ops_gateway.kernel.secrets import Keys
from ops_gateway.worker.deliveries import Due, Message, Undeliverable
from ops_gateway.worker.together import Together

sql = queries(__file__)

FIELDS = ("id", "type", "created_at", "organization_id", "entity_type", "entity_id", "data")


class EventMessages:
    """The composer of kind `event`; events of many deliveries are read at once."""

    def __init__(self, pool: Pool, keys: Keys) -> None:
        """`pool` acts as opstac_system."""
        self._pool = pool
        self._keys = keys
        self._find = Together(self._read, most=100)

    async def __call__(self, due: Due) -> Message | None:
        """The message; None where the subscription or the event is no more.

        Raises Undeliverable: the subscription is disabled, or its maker may not see this any more.
        """
        row = await self._find(due)
        if row is None:
            return None
        if not row["active"]:
            raise Undeliverable("not sent: the subscription is disabled")
        if not row["told"]:
            raise Undeliverable("not sent: whoever made the subscription may not see this any more")
        event = {name: row[name] for name in FIELDS}
        return Message(
            row["endpoint_url"],
            message(**event, project_id=row["project_id"]),
            row["type"],
            secrets_of(self._keys, row),
            row["id"],
            headers_of(self._keys, row),
        )

    async def _read(self, dues: Sequence[Due]) -> list[dict[str, Any] | None]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                sql.events,
                {
                    "events": [due.event_id for due in dues],
                    "subscriptions": [due.subscription_id for due in dues],
                },
            )
            found = {row["place"]: row for row in await cursor.fetchall()}
        return [found.get(place) for place in range(1, len(dues) + 1)]

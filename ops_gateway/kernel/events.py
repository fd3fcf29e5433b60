"""Every event type there is, and reactions to them.

An operation emits an event into the outbox in its own transaction. The relay (a loop of the worker)
turns each committed event into one queued job a reaction and one delivery row a subscription; it
runs no reaction itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ops_gateway.kernel.context import Context


@dataclass(frozen=True)
class EventType:
    """A kind of event: what it is about and what its data says."""

    name: str
    entity_type: str
    summary: str


EVENT_TYPES: dict[str, EventType] = {
    event.name: event
    for event in (
        EventType("item.created", "item", "An item was added; data: type, collection and assets."),
        EventType("item.updated", "item", "An item or one of its assets changed."),
        EventType("item.deleted", "item", "An item was deleted."),
        EventType("upload.completed", "upload", "An upload became items; data: item_ids."),
        EventType("upload.failed", "upload", "An upload was given up; data: error_message."),
        EventType(
            "processing.completed", "processing_job", "A job is done; data: output_item_ids."
        ),
        EventType("processing.failed", "processing_job", "A job failed; data: error."),
        EventType(
            "saved_search.matched",
            "saved_search",
            "Items came to match a saved search; data: search_id, name, item_ids and cursor.",
        ),
        EventType("test.ping", "event_subscription", "A test delivery that was asked for."),
    )
}


@dataclass(frozen=True)
class Happened:
    """A committed event, as a reaction is given it."""

    id: str
    type: str
    organization_id: str
    entity_type: str
    entity_id: str
    project_id: str | None
    data: dict[str, Any]


Reaction = Callable[["Context", Happened], Awaitable[None]]
REACTIONS: dict[str, tuple[frozenset[str], Reaction]] = {}


def on(*types: str) -> Callable[[Reaction], Reaction]:
    """Run the decorated coroutine for each committed event of `types`, at least once.

    It runs in a transaction of its own as the platform, for the event's organization, and is
    repeated after a failure: it must be safe to repeat. Its name is the queue's name for it.
    """
    for name in types:
        if name not in EVENT_TYPES:
            raise KeyError(f"there is no event type '{name}'")

    def declare(reaction: Reaction) -> Reaction:
        name = f"{reaction.__module__.rsplit('.', 1)[-1]}.{reaction.__name__}"
        if name in REACTIONS:
            raise KeyError(f"reaction '{name}' is declared twice")
        REACTIONS[name] = (frozenset(types), reaction)
        return reaction

    return declare


def reactions_to(event_type: str) -> list[str]:
    """Names of the reactions to an event type."""
    return [name for name, (types, _) in REACTIONS.items() if event_type in types]

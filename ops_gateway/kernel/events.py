"""Every event type there is, and reactions to them.

An operation emits an event into the outbox in its own transaction. The relay (a loop of the worker)
turns each committed event into one queued job a reaction and one delivery row a subscription; it
runs no reaction itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ops_gateway.kernel import event_data as data
from ops_gateway.kernel.event_data import EventData

if TYPE_CHECKING:
    from ops_gateway.kernel.context import Context


@dataclass(frozen=True)
class EventType:
    """A kind of event: what it is about and what its data says."""

    name: str
    entity_type: str
    data: type[EventData]
    summary: str


EVENT_TYPES: dict[str, EventType] = {
    event.name: event
    for event in (
        EventType("item.created", "item", data.ItemData, "An item was added."),
        EventType("item.updated", "item", data.ItemData, "An item or an asset of it changed."),
        EventType("item.deleted", "item", data.ItemDeletedData, "An item was deleted."),
        EventType(
            "upload.completed", "upload", data.UploadCompletedData, "An upload became items."
        ),
        EventType("upload.failed", "upload", data.UploadFailedData, "An upload failed or expired."),
        EventType(
            "processing.completed", "processing_job", data.JobCompletedData, "A job is done."
        ),
        EventType(
            "processing.failed",
            "processing_job",
            data.JobFailedData,
            "A job failed or was cancelled; nothing is charged.",
        ),
        EventType("order.placed", "order", data.OrderData, "An order was placed."),
        EventType("order.fulfilled", "order", data.OrderData, "An order's items are there."),
        EventType("order.canceled", "order", data.OrderData, "An order was cancelled."),
        EventType("order.failed", "order", data.OrderData, "An order came to nothing."),
        EventType(
            "alert.triggered", "alert_event", data.AlertTriggeredData, "An alert rule fired."
        ),
        EventType(
            "credits.low",
            "organization",
            data.CreditsLowData,
            "Available credits fell below the organization's mark.",
        ),
        EventType(
            "credits.topped_up", "organization", data.CreditsToppedUpData, "Credits were bought."
        ),
        EventType(
            "approval.requested", "approval", data.ApprovalData, "A purchase waits for a person."
        ),
        EventType(
            "approval.decided", "approval", data.ApprovalData, "A person approved or rejected it."
        ),
        EventType("share.created", "share_link", data.ShareData, "A share link was made."),
        EventType("share.revoked", "share_link", data.ShareData, "A share link was revoked."),
        EventType(
            "saved_search.matched",
            "saved_search",
            data.SearchMatchedData,
            "Items came to match a saved search.",
        ),
        EventType(
            "test.ping", "event_subscription", data.PingData, "A test delivery was asked for."
        ),
    )
}


def published(
    event_type: str, entity_type: str, said: Mapping[str, Any], project_id: str | None
) -> dict[str, Any]:
    """The data of an event as it is sent: every field of its type, as JSON.

    What goes out is what is published: an operation that says something else rolls back.

    Raises:
        KeyError: there is no such type.
        TypeError: the event is about something else, or its data is not as declared.
    """
    if event_type not in EVENT_TYPES:
        raise KeyError(f"there is no event type '{event_type}'")
    declared = EVENT_TYPES[event_type]
    if entity_type != declared.entity_type:
        raise TypeError(f"'{event_type}' is about a {declared.entity_type}, not a {entity_type}")
    try:
        known = declared.data.model_validate({"project_id": project_id, **said})
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise TypeError(f"the data of '{event_type}' is not as declared: {places}") from None
    return known.model_dump(mode="json")


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

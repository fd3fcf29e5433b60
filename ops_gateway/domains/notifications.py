"""Notifications: what a person is told in the application, each in an inbox of their own.

`notify` is for other domains; it writes one row for each person, in the caller's transaction.
`mails.send_mail` tells people by mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from pydantic import Field

from db.queries import queries
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import NotFound
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, operation

sql = queries(__file__)

MAX_TITLE = 300
MAX_BODY = 2000
MAX_ROWS = 1000
MAX_OFFSET = 1_000_000


class NotificationsListInput(Input):
    """Input of notifications.list."""

    unread_only: bool = False
    limit: int = Field(default=50, description="1 to 1000; what is outside is brought inside")
    offset: int = 0


class NotificationRef(Input):
    """Input of notifications.mark_read and notifications.dismiss."""

    notification_id: str


class NotificationOutput(Output):
    """A notification; `entity_type` and `entity_id` say what it is about."""

    id: str
    title: str
    body: str
    read: bool
    dismissed: bool
    created_at: datetime
    type: str
    entity_type: str | None
    entity_id: str | None


class UnreadCount(Output):
    """How many notifications are neither read nor dismissed."""

    count: int


class MarkAllReadOutput(Output):
    """How many notifications were unread until now."""

    marked_count: int = 0


# ---------------------------------------------------------------- for other domains


async def notify(
    ctx: Context,
    *,
    title: str,
    body: str,
    type: str,
    entity_type: str | None,
    entity_id: str | None,
    users: Sequence[str] | None = None,
    dedupe_key: str | None = None,
    personal: bool = False,
) -> int:
    """Tell the people of the organization something, in the caller's transaction.

    Args:
        type: an event type, such as `alert.triggered`.
        users: ids of those to tell; by default every human member. Who is not a member is left out.
        dedupe_key: what this is about, such as an event's id. Who has one with it gets no other.
        personal: for `users` of any organization or none; theirs wherever they go.

    Returns: how many were told.
    """
    row = await ctx.row(
        None,
        sql.add,
        personal=personal,
        users=None if users is None else list(users),
        title=_clean(title, MAX_TITLE),
        body=_clean(body, MAX_BODY),
        type=type,
        entity_type=entity_type,
        entity_id=entity_id,
        dedupe_key=dedupe_key,
    )
    assert row is not None
    return row["added"]


def _clean(text: str, most: int) -> str:
    """As PostgreSQL and UTF-8 can hold it; the end of a long one is left out."""
    plain = text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    return plain if len(plain) <= most else plain[: most - 1] + "…"


async def unread(ctx: Context) -> int:
    """How many notifications of the caller are neither read nor dismissed; 0 for a key."""
    if not await _is_person(ctx):
        return 0
    return (await ctx.one("count", sql.unread_count, user=ctx.principal.user_id))["count"]


async def _is_person(ctx: Context) -> bool:
    """Whether a human calls; the queries that follow may then see that person's rows."""
    if ctx.principal.kind != "user" or ctx.principal.user_id is None:
        return False
    await ctx.execute(sql.as_person, user=ctx.principal.user_id)
    return True


# ---------------------------------------------------------------- operations


@operation(
    "notifications.list", scope="notifications:read", effect=Effect.READ, needs_organization=False
)
async def list_notifications(
    ctx: Context, body: NotificationsListInput
) -> list[NotificationOutput]:
    """List the caller's notifications, newest first, without those dismissed.

    A key has none.
    """
    if not await _is_person(ctx):
        return []
    return await ctx.rows(
        NotificationOutput,
        sql.inbox,
        user=ctx.principal.user_id,
        unread_only=body.unread_only,
        limit=min(max(body.limit, 1), MAX_ROWS),
        offset=min(max(body.offset, 0), MAX_OFFSET),
    )


@operation(
    "notifications.unread_count",
    scope="notifications:read",
    effect=Effect.READ,
    needs_organization=False,
)
async def count_unread(ctx: Context, body: Empty) -> UnreadCount:
    """Count the caller's notifications that are neither read nor dismissed.

    `GET /v1/notifications/stream` sends the same number whenever it changes.
    """
    return UnreadCount(count=await unread(ctx))


@operation(
    "notifications.mark_read",
    scope="notifications:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
)
async def mark_read(ctx: Context, body: NotificationRef) -> NotificationOutput:
    """Mark one notification as read; 404 where it is read already, or is not the caller's."""
    return await _change(ctx, sql.mark_read, body.notification_id)


@operation(
    "notifications.mark_all_read",
    scope="notifications:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
)
async def mark_all_read(ctx: Context, body: Empty) -> MarkAllReadOutput:
    """Mark every notification that counts as unread as read."""
    if not await _is_person(ctx):
        return MarkAllReadOutput()
    marked = await ctx.execute(sql.mark_all_read, user=ctx.principal.user_id)
    return MarkAllReadOutput(marked_count=marked)


@operation(
    "notifications.dismiss",
    scope="notifications:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
)
async def dismiss(ctx: Context, body: NotificationRef) -> NotificationOutput:
    """Hide one notification for good; 404 where it is hidden already, or is not the caller's."""
    return await _change(ctx, sql.dismiss, body.notification_id)


async def _change(ctx: Context, query: LiteralString, notification_id: str) -> NotificationOutput:
    if not await _is_person(ctx):
        raise NotFound.of("notification")
    row = await ctx.one("notification", query, user=ctx.principal.user_id, id=notification_id)
    ctx.produced("notification", row["id"])
    return NotificationOutput.model_validate(row)

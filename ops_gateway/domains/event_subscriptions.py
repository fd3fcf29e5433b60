"""Event subscriptions: where an organization wants to be told of what happens, and of what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import orjson
from psycopg.types.json import Jsonb
from pydantic import Field

from db.queries import queries
from ops_gateway.domains import job_callbacks
from ops_gateway.domains.notifications import notify
from ops_gateway.domains.signing_secrets import ROTATION_HOURS, new_secret
from ops_gateway.domains.subscription_checks import (
    check_description,
    check_event_type,
    check_filter,
    check_own_headers,
)
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import Conflict, Forbidden
from ops_gateway.kernel.event_message import DEAD_FOR_HOURS, MOST_DEAD
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

MOST_SUBSCRIPTIONS = 200
MOST_ROTATION_HOURS = 7 * 24


class CreateSubscriptionInput(Input):
    """Input of event_subscriptions.create."""

    event_type: str = Field(description="A type, `item.*` for all about items, or `*` for all")
    endpoint_url: str = Field(description="https, and on the public internet")
    filter_config: dict[str, Any] = Field(
        default_factory=dict,
        description="Dotted path of the message to the value it must have: "
        '`{"data.project_id": "proj_…"}`; all must match',
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="Sent with each message; never shown again"
    )
    description: str | None = None


class UpdateSubscriptionInput(Input):
    """Input of event_subscriptions.update; what is absent or null stays."""

    subscription_id: str
    endpoint_url: str | None = None
    filter_config: dict[str, Any] | None = None
    headers: dict[str, str] | None = Field(default=None, description="Replaces all there were")
    active: bool | None = Field(
        default=None, description="false: nothing is sent, what waits is given up; true: from now"
    )
    description: str | None = None


class SubscriptionInput(Input):
    """Which subscription."""

    subscription_id: str


class ListSubscriptionsInput(Input):
    """Input of event_subscriptions.list."""

    event_type: str | None = None
    active: bool | None = None


class RotateSecretInput(Input):
    """Input of event_subscriptions.rotate_secret."""

    subscription_id: str
    valid_hours: int = Field(
        default=ROTATION_HOURS,
        ge=0,
        le=MOST_ROTATION_HOURS,
        description="For so long messages carry a signature by the secret before, too",
    )


class Subscription(Output):
    """A subscription; of its headers the names."""

    id: str
    organization_id: str
    event_type: str
    endpoint_url: str
    filter_config: dict[str, Any]
    headers: list[str]
    description: str | None
    active: bool
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None = None
    disabled_reason: str | None = None


class SubscriptionOutput(Subscription):
    """A subscription as it is after a change; `secret` is shown when it is made, and never again.

    Secrets are `whsec_` and base64, as Standard Webhooks writes them.
    """

    secret: str | None = None


class SubscriptionGetOutput(Output):
    """Output of event_subscriptions.get."""

    subscription: Subscription


class SubscriptionListOutput(Output):
    """Output of event_subscriptions.list, newest first."""

    subscriptions: list[Subscription]
    count: int


class DeleteSubscriptionOutput(Output):
    """Output of event_subscriptions.delete."""

    deleted: bool = True


class RotateSecretOutput(Output):
    """The new secret, shown this once."""

    id: str
    secret: str
    previous_valid_until: datetime | None


# ---------------------------------------------------------------- rules


def require_may_change(ctx: Context, row: Mapping[str, Any]) -> None:
    """Raise Forbidden where the subscription is told of projects that the caller does not see."""
    principal = ctx.principal
    if principal.projects is not None and row["created_by"] != principal.user_id:
        raise Forbidden(
            "you see some of the organization's projects only: you change the subscriptions that "
            "you made yourself"
        )


async def find(ctx: Context, subscription_id: str, *, lock: bool = False) -> dict[str, Any]:
    """A subscription that the caller may change. Raises NotFound or Forbidden."""
    query = sql.subscription_for_update if lock else sql.subscription
    row = await ctx.one("subscription", query, id=subscription_id)
    require_may_change(ctx, row)
    return row


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def sealed_headers(ctx: Context, headers: Mapping[str, str]) -> dict[str, Any]:
    """Headers as the table keeps them."""
    sealed = ctx.services.keys.seal(orjson.dumps(dict(headers))) if headers else None
    return {"sealed_headers": sealed, "header_names": list(headers)}


async def check_new(ctx: Context, body: CreateSubscriptionInput) -> None:
    """Before the transaction: the address's name is resolved."""
    check_event_type(body.event_type)
    check_filter(body.filter_config)
    check_own_headers(body.headers)
    check_description(body.description)
    await job_callbacks.check(ctx, body.endpoint_url, "endpoint_url")


async def check_change(ctx: Context, body: UpdateSubscriptionInput) -> None:
    """The same for what is changed, of a subscription that is there."""
    await find(ctx, body.subscription_id)
    check_description(body.description)
    if body.filter_config is not None:
        check_filter(body.filter_config)
    if body.headers is not None:
        check_own_headers(body.headers)
    if body.endpoint_url is not None:
        await job_callbacks.check(ctx, body.endpoint_url, "endpoint_url")


# ---------------------------------------------------------------- operations


@operation(
    "event_subscriptions.create",
    scope="event_subscriptions:write",
    effect=Effect.COMPUTE,
    prepare=check_new,
    secret=True,
)
async def create_subscription(
    ctx: Context, body: CreateSubscriptionInput, checked: None
) -> SubscriptionOutput:
    """Create a webhook subscription for the caller's organization.

    Events from now on are sent to the address; the secret that signs them is shown this once. Who
    sees some of the organization's projects only is told of events in those.
    """
    await access.count_alone(ctx, "event_subscriptions")
    if (await ctx.one("organization", sql.count_all))["total"] >= MOST_SUBSCRIPTIONS:
        raise Conflict(f"an organization has at most {MOST_SUBSCRIPTIONS} subscriptions")
    secret = new_secret()
    row = await ctx.one(
        "subscription",
        sql.insert,
        id=new_id("sub"),
        event_type=body.event_type,
        endpoint_url=body.endpoint_url,
        filter_config=Jsonb(body.filter_config),
        description=body.description,
        secret=ctx.services.keys.seal(secret.encode()),
        everywhere=ctx.principal.projects is None,
        user=access.human(ctx),
        key=await access.calling_key(ctx),
        **sealed_headers(ctx, body.headers),
    )
    ctx.produced("event_subscription", row["id"])
    return SubscriptionOutput.model_validate({**row, "secret": secret})


@operation("event_subscriptions.get", scope="event_subscriptions:read", effect=Effect.READ)
async def get_subscription(ctx: Context, body: SubscriptionInput) -> SubscriptionGetOutput:
    """Get a single webhook subscription (org-scoped; secret redacted)."""
    row = await ctx.one("subscription", sql.subscription, id=body.subscription_id)
    return SubscriptionGetOutput(subscription=Subscription.model_validate(row))


@operation("event_subscriptions.list", scope="event_subscriptions:read", effect=Effect.READ)
async def list_subscriptions(ctx: Context, body: ListSubscriptionsInput) -> SubscriptionListOutput:
    """List the caller's organization's webhook subscriptions (secret redacted)."""
    rows = await ctx.rows(
        Subscription, sql.list_subscriptions, event_type=body.event_type, active=body.active
    )
    return SubscriptionListOutput(subscriptions=rows, count=len(rows))


@operation(
    "event_subscriptions.update",
    scope="event_subscriptions:write",
    effect=Effect.COMPUTE,
    prepare=check_change,
)
async def update_subscription(
    ctx: Context, body: UpdateSubscriptionInput, checked: None
) -> SubscriptionOutput:
    """Update a webhook subscription (org-scoped).

    One that is enabled again begins with the events from then; what was given up meanwhile can be
    replayed. Where its maker has left or may see less than it tells, who enables it takes it over.
    Another host is not sent the headers of the one before: give them again where it needs them.
    """
    row = await find(ctx, body.subscription_id, lock=True)
    changes = sealed_headers(ctx, body.headers or {})
    moves = body.endpoint_url is not None and _origin(body.endpoint_url) != _origin(
        row["endpoint_url"]
    )
    new = await ctx.one(
        "subscription",
        sql.update,
        id=row["id"],
        endpoint_url=body.endpoint_url,
        filter_config=None if body.filter_config is None else Jsonb(body.filter_config),
        description=body.description,
        active=body.active,
        user=access.human(ctx),
        key=await access.calling_key(ctx),
        everywhere=ctx.principal.projects is None,
        new_headers=body.headers is not None or moves,
        **changes,
    )
    if row["active"] and not new["active"]:
        await ctx.execute(sql.give_up, id=row["id"])
    ctx.produced("event_subscription", row["id"])
    return SubscriptionOutput.model_validate(new)


@operation(
    "event_subscriptions.delete",
    scope="event_subscriptions:write",
    effect=Effect.DESTRUCTIVE,
)
async def delete_subscription(ctx: Context, body: SubscriptionInput) -> DeleteSubscriptionOutput:
    """Delete a webhook subscription (org-scoped); what waits to be sent is dropped."""
    row = await find(ctx, body.subscription_id, lock=True)
    await ctx.execute(sql.drop_deliveries, id=row["id"])
    await ctx.execute(sql.delete, id=row["id"])
    ctx.produced("event_subscription", row["id"])
    return DeleteSubscriptionOutput()


@operation(
    "event_subscriptions.rotate_secret",
    scope="event_subscriptions:write",
    effect=Effect.COMPUTE,
    secret=True,
)
async def rotate_secret(ctx: Context, body: RotateSecretInput) -> RotateSecretOutput:
    """Give a subscription a new secret; for a time messages are signed with both.

    Standard Webhooks' header then has two signatures, X-Geopera-Signature is by the new one. A
    third secret ends the validity of the first.
    """
    row = await find(ctx, body.subscription_id, lock=True)
    secret = new_secret()
    rotated = await ctx.one(
        "subscription",
        sql.rotate,
        id=row["id"],
        secret=ctx.services.keys.seal(secret.encode()),
        hours=body.valid_hours,
    )
    ctx.produced("event_subscription", row["id"])
    return RotateSecretOutput(
        id=row["id"], secret=secret, previous_valid_until=rotated["previous_until"]
    )


# ---------------------------------------------------------------- for the worker


async def disable(pipeline: Pipeline, organization_id: str, subscription_id: str) -> bool:
    """Disable a subscription whose receiver is gone or takes nothing for days, and tell its owner.

    Safe to repeat; False where it is not so (any more).
    """

    async def work(ctx: Context) -> bool:
        row = await ctx.row(
            None, sql.disable, id=subscription_id, dead=MOST_DEAD, hours=DEAD_FOR_HOURS
        )
        if row is None:
            return False
        await ctx.execute(sql.give_up, id=subscription_id)
        ctx.produced("event_subscription", subscription_id)
        tell = partial(
            notify,
            ctx,
            title="Webhook disabled",
            body=f"{row['endpoint_url']} {row['disabled_reason']}. Nothing is sent there until "
            "you enable the subscription again; what was given up can be replayed.",
            type="event_subscription.disabled",
            entity_type="event_subscription",
            entity_id=subscription_id,
        )
        # who made it may have left, and a key is nobody: then everybody is told
        if row["created_by"] is None or not await tell(users=[row["created_by"]]):
            await tell()
        return True

    principal = Principal(
        kind="service", id="webhooks", organization_id=organization_id, projects=None
    )
    return await pipeline.act("event_subscriptions.disable", principal, work)

"""What became of messages to subscriptions: a test now, the list, a replay, and a pass by cron."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from db.queries import queries
from ops_gateway.domains import event_subscriptions as subscriptions
from ops_gateway.domains.event_subscriptions import SubscriptionInput
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, NotFound, Unavailable
from ops_gateway.kernel.event_message import headers_of, message, secrets_of
from ops_gateway.kernel.events import EVENT_TYPES, published
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, Phases, operation

sql = queries(__file__)

State = Literal["due", "delivered", "dead", "dropped"]
MOST_ROWS = 200
MOST_OFFSET = 10_000
MOST_REPLAYED = 10_000
MOST_IDS = 1000
DRAINED = 200
PING = EVENT_TYPES["test.ping"]


class DeliveriesListInput(Input):
    """Input of event_subscriptions.deliveries.list."""

    subscription_id: str
    state: State | None = Field(
        default=None,
        description="due: waits, or is tried again; dead: given up, can be replayed; "
        "dropped: there was nothing to send any more",
    )
    limit: int = Field(default=50, ge=1, le=MOST_ROWS)
    offset: int = Field(default=0, ge=0, le=MOST_OFFSET)


class Delivery(Output):
    """A message to a subscription; `http_status` and `error` are of the last attempt."""

    id: str
    subscription_id: str
    event_id: str
    event_type: str | None
    entity_type: str | None
    entity_id: str | None
    state: State
    attempts: int
    next_attempt_at: datetime | None
    http_status: int | None
    error: str | None
    created_at: datetime
    delivered_at: datetime | None


class DeliveriesListOutput(Output):
    """Output of event_subscriptions.deliveries.list, newest first."""

    deliveries: list[Delivery]
    count: int
    limit: int
    offset: int


class ReplayInput(Input):
    """Input of event_subscriptions.deliveries.replay."""

    subscription_id: str
    delivery_ids: list[str] | None = Field(
        default=None,
        max_length=MOST_IDS,
        description="These, dead or delivered; by default all that are dead",
    )


class ReplayOutput(Output):
    """How many will be sent again; `remaining` are dead still: call once more."""

    replayed: int
    remaining: int


class TestSubscriptionOutput(Output):
    """What became of a test delivery."""

    status: str = Field(description="delivered or failed")
    delivered: bool
    http_status: int | None = None
    error: str | None = None
    event_id: str
    event_type: str


class DrainInput(Input):
    """Input of webhooks.drain."""

    limit: int | None = Field(
        default=None, ge=1, le=2000, description="Max deliveries to attempt this pass."
    )


class DrainOutput(Output):
    """What a pass came to: `failed` ones are tried again later."""

    attempted: int
    delivered: int
    failed: int
    dead: int


# ---------------------------------------------------------------- a test


async def find_target(ctx: Context, body: SubscriptionInput) -> dict[str, Any]:
    """The subscription with all that a message needs."""
    await subscriptions.find(ctx, body.subscription_id)
    return await ctx.one("subscription", sql.target, id=body.subscription_id)


async def send_ping(
    ctx: Context, body: SubscriptionInput, target: dict[str, Any]
) -> TestSubscriptionOutput:
    """Outside any transaction."""
    receivers, keys = ctx.services.receivers, ctx.services.keys
    if receivers is None:
        raise Unavailable("this process sends no messages")
    event_id = new_id("evt")
    said = {"subscription_id": target["id"], "note": "A test delivery, asked for by you."}
    result = await receivers.send(
        target["endpoint_url"],
        message(
            id=event_id,
            type=PING.name,
            created_at=datetime.now(UTC),
            organization_id=ctx.organization_id,
            entity_type=PING.entity_type,
            entity_id=target["id"],
            data=published(PING.name, PING.entity_type, said, None),
        ),
        event_type=PING.name,
        event_id=event_id,
        delivery_id=new_id("dlv"),
        secrets=secrets_of(keys, target),
        headers=headers_of(keys, target),
    )
    return TestSubscriptionOutput(
        status="delivered" if result.delivered else "failed",
        delivered=result.delivered,
        http_status=result.status,
        error=result.error,
        event_id=event_id,
        event_type=PING.name,
    )


async def nothing(ctx: Context, *_: object) -> None:
    """There is nothing to claim or to give back."""


@operation(
    "event_subscriptions.test",
    scope="event_subscriptions:write",
    effect=Effect.COMPUTE,
    phases=Phases(find_target, send_ping, nothing, lease_seconds=60),
)
async def test_subscription(
    ctx: Context,
    body: SubscriptionInput,
    target: dict[str, Any],
    done: TestSubscriptionOutput,
) -> TestSubscriptionOutput:
    """Send a test event to a webhook subscription and return the delivery result.

    A real one: signed, with the subscription's headers, whether it is active or not. It is tried
    once.
    """
    ctx.produced("event_subscription", target["id"])
    return done


test_subscription.__test__ = False  # type: ignore[attr-defined]
TestSubscriptionOutput.__test__ = False  # type: ignore[attr-defined]


# ---------------------------------------------------------------- what was sent


@operation(
    "event_subscriptions.deliveries.list", scope="event_subscriptions:read", effect=Effect.READ
)
async def list_deliveries(ctx: Context, body: DeliveriesListInput) -> DeliveriesListOutput:
    """List the deliveries of a webhook subscription, with what became of each."""
    await subscriptions.find(ctx, body.subscription_id)
    rows = await ctx.rows(
        Delivery,
        sql.list_deliveries,
        subscription=body.subscription_id,
        state=body.state,
        limit=body.limit,
        offset=body.offset,
    )
    return DeliveriesListOutput(
        deliveries=rows, count=len(rows), limit=body.limit, offset=body.offset
    )


@operation(
    "event_subscriptions.deliveries.replay",
    scope="event_subscriptions:write",
    effect=Effect.COMPUTE,
)
async def replay_deliveries(ctx: Context, body: ReplayInput) -> ReplayOutput:
    """Send deliveries of a webhook subscription again, under the same event ids.

    They have the whole schedule of retries before them. At most 10,000 a call, the oldest first.
    """
    row = await subscriptions.find(ctx, body.subscription_id, lock=True)
    if not row["active"]:
        raise Conflict(
            "the subscription is disabled; enable it with event_subscriptions.update first"
        )
    which = {"subscription": row["id"]}
    if body.delivery_ids is not None:
        wanted = sorted(set(body.delivery_ids))
        known = await ctx.rows(None, sql.known, ids=wanted, **which)
        if len(known) != len(wanted):
            raise NotFound.of("delivery")
        replayed = await ctx.execute(sql.replay, ids=wanted, **which)
    else:
        replayed = await ctx.execute(sql.replay_dead, limit=MOST_REPLAYED, **which)
    ctx.produced("event_subscription", row["id"])
    left = (await ctx.one("subscription", sql.count_dead, **which))["total"]
    return ReplayOutput(replayed=replayed, remaining=left)


# ---------------------------------------------------------------- by cron


async def drain_now(ctx: Context, body: DrainInput, claimed: None) -> DrainOutput:
    """Outside any transaction."""
    if ctx.services.drain is None:
        raise Unavailable("this process sends no messages")
    counts = await ctx.services.drain(body.limit or DRAINED)
    ended = {"delivered": counts["delivered"], "failed": counts["due"], "dead": counts["dead"]}
    return DrainOutput(attempted=sum(ended.values()), **ended)


@operation(
    "webhooks.drain",
    scope="admin:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    phases=Phases(nothing, drain_now, nothing, lease_seconds=60),
)
async def drain(ctx: Context, body: DrainInput, claimed: None, done: DrainOutput) -> DrainOutput:
    """Deliver due/retryable webhook deliveries (cron drainer).

    Events that nobody has passed on are passed on first. Workers do the same all the time.
    """
    return done

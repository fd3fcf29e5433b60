"""What an alert rule would have fired on over the items that are there already."""

from __future__ import annotations

import base64
import binascii
import time
from datetime import datetime, timedelta

import orjson
from pydantic import Field

from db.queries import queries
from ops_gateway.domains import alerts_evaluate, alerts_rule
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import BadRequest, Invalid
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from ops_gateway.kernel.services import ChildRefused
from stac_api.document import time_text

sql = queries(__file__)

MOST_ITEMS = 100  # of a page
PAGE_SECONDS = 20.0


class BacktestInput(Input):
    """Input of alerts.backtest."""

    rule_id: str
    start: datetime | None = Field(None, description="Items added from then on.")
    end: datetime | None = Field(None, description="Items added until then.")
    limit: int = Field(20, ge=1, le=MOST_ITEMS, description="Items read at most.")
    next: str | None = Field(None, description="`next` of the page before; all else as there.")


class BacktestResult(Output):
    """One item: its value, or `error` where it could not be read.

    `would_trigger` is the comparison alone, `would_fire` also that the cooldown is over.
    """

    item_id: str
    created_at: datetime
    computed_value: float | None
    would_trigger: bool
    would_fire: bool
    error: str | None


class BacktestOutput(Output):
    """A page of items in the order in which they were added, and sums over the page.

    `next` is null at the end.
    """

    rule_id: str
    results: list[BacktestResult]
    count: int
    triggered: int
    fired: int
    unread: int
    next: str | None


@operation("alerts.backtest", scope="alerts:read", effect=Effect.READ)
async def backtest(ctx: Context, body: BacktestInput) -> BacktestOutput:
    """What a rule would have fired on over the items that are there, as they are now.

    Items are read oldest first, each as if it were added at its `created_at`, with the rule's
    collection, asset and cooldown; whether the rule is active does not count. A page ends after
    `limit` items or 20 seconds; go on with `next`. What an item was before it changed is not known.
    """
    rule = await ctx.one("alert rule", sql.rule, id=body.rule_id)
    after, after_id, last = place_of(body.next)
    rows = await ctx.rows(
        None,
        sql.items,
        projects=access.visible_projects(ctx.principal),
        collection=rule["collection_id"],
        start=_aware(body.start, "start"),
        end=_aware(body.end, "end"),
        after=after,
        after_id=after_id,
        limit=body.limit + 1,
    )
    expression = alerts_rule.plain(rule["expression"], rule["band_mapping"])
    cooldown = timedelta(minutes=rule["cooldown_minutes"])
    until = time.monotonic() + PAGE_SECONDS
    results: list[BacktestResult] = []
    for row in rows[: body.limit]:
        if results and time.monotonic() > until:
            break
        value, error = await _value(ctx, row["id"], rule["asset_key"], expression)
        trips = value is not None and alerts_rule.trips(rule, value)
        fires = trips and (last is None or row["created_at"] - last >= cooldown)
        if fires:
            last = row["created_at"]
        results.append(
            BacktestResult(
                item_id=row["id"],
                created_at=row["created_at"],
                computed_value=value,
                would_trigger=trips,
                would_fire=fires,
                error=error,
            )
        )
    more = len(results) < len(rows)
    return BacktestOutput(
        rule_id=rule["id"],
        results=results,
        count=len(results),
        triggered=sum(result.would_trigger for result in results),
        fired=sum(result.would_fire for result in results),
        unread=sum(result.error is not None for result in results),
        next=place(results[-1], last) if more else None,
    )


async def _value(
    ctx: Context, item_id: str, asset_key: str, expression: str
) -> tuple[float | None, str | None]:
    """The mean over an item's asset, or why there is none. Raises: Unavailable, Internal."""
    try:
        source = await alerts_evaluate.source_of(ctx, item_id, asset_key)
        [made] = await alerts_evaluate.means(ctx, "mean", source, [expression])
    except BadRequest as error:
        return None, error.detail
    except ChildRefused as error:
        refusal = alerts_evaluate.refusal(error)
        if not isinstance(refusal, BadRequest):
            raise refusal from None
        return None, refusal.detail
    return (made["mean"], None) if "mean" in made else (None, made["message"])


def _aware(moment: datetime | None, field: str) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise Invalid.at(field, "needs an offset from UTC, as in 2026-11-21T00:00:00Z")
    return moment


def place(last_read: BacktestResult, last_fired: datetime | None) -> str:
    """Where a page ended and when the rule would have fired last."""
    said = [time_text(last_read.created_at), last_read.item_id, time_text(last_fired)]
    return base64.urlsafe_b64encode(orjson.dumps(said)).decode().rstrip("=")


def place_of(cursor: str | None) -> tuple[datetime | None, str | None, datetime | None]:
    """The created_at and id of the last item read, and when the rule would have fired last.

    A cursor is no secret: it only says where its sender goes on. Raises Invalid.
    """
    if not cursor:
        return None, None, None
    try:
        after, after_id, last = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * 3))
        moments = [None if at is None else datetime.fromisoformat(at) for at in (after, last)]
        if not isinstance(after_id, str) or moments[0] is None:
            raise ValueError
        if any(at is not None and at.tzinfo is None for at in moments):
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        raise Invalid.at("next", "is not a `next` that this operation gave") from None
    return moments[0], after_id, moments[1]

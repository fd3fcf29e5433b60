"""Evaluating alert rules: what an item's asset says, and which rules fire on it.

The relay notes each event about an item that a rule is for in `alert_due`; the worker's loop
(`opstac.alerting`) hands them to `evaluate`. The asset is read in a bounded child, once for all
rules, while no connection is held. Then one transaction takes the row of `alert_due` and makes what
the rules fired: killed before it, the row is still due; killed after it, it is gone.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from db.queries import queries
from ops_gateway.domains import alerts_rule, analytics_run, mails, notifications
from ops_gateway.kernel import assets
from ops_gateway.kernel.context import Context, Event, Principal
from ops_gateway.kernel.errors import BadRequest, Internal, OpError, Unavailable
from ops_gateway.kernel.fault import fault
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.services import ChildRefused
from processes.method import Item
from processes.process import Source
from stac_api.document import time_text

logger = logging.getLogger(__name__)
sql = queries(__file__)

PASSING = frozenset(("busy", "unavailable", "storage_unavailable", "disk_full"))
"""Why a child gave no answer, where a later one may."""
TOO_MUCH = frozenset(("timeout", "out_of_memory"))
MOST_SECONDS = 1800.0  # of one item's asset; a child that has begun may end its own time
NO_TIME = "all rules together took longer than they may on one item"
LINK_SECONDS = 3600  # longer than a child may take, and what waits before it
SHOWN = 20  # rules named in a line of the log

Row = Mapping[str, Any]


class Later(Exception):
    """The event cannot be evaluated now; it stays due."""


@dataclasses.dataclass(frozen=True)
class Due:
    """An event about an item that rules have not been compared with."""

    event_id: str
    organization_id: str
    item_id: str
    event_type: str
    project_id: str | None
    collection_id: str | None
    happened_at: datetime


# ---------------------------------------------------------------- values


async def value_of(ctx: Context, rule: Row, item: Row) -> float:
    """The mean of a rule's expression over an item's asset.

    Raises: BadRequest: there is none; Gone: the item's time is over; Unavailable.
    """
    if item["lifecycle_state"] == "expired":
        raise assets.expired(item)
    try:
        expression = alerts_rule.plain(rule["expression"], rule["band_mapping"])
        source = await source_of(ctx, item["id"], rule["asset_key"])
        [made] = await means(ctx, "mean", source, [expression])
    except ChildRefused as error:
        raise refusal(error) from None
    if "mean" not in made:
        raise BadRequest(made["message"])
    return made["mean"]


def refusal(error: ChildRefused) -> OpError:
    """Why there is no value, in the wire's words."""
    if error.code in ("busy", "unavailable", "storage_unavailable"):
        return Unavailable(error.message, 5)
    if error.code in ("internal", "disk_full"):
        return Internal("the operation failed; the request id identifies it in the logs")
    return BadRequest(f"the asset cannot be read: {error.message}")


async def source_of(ctx: Context, item_id: str, asset_key: str) -> Source:
    """The raster asset with that key. Raises: BadRequest: the item has none."""
    rows = await ctx.rows(None, analytics_run.sql.assets, ids=[item_id])
    for row in rows:
        if row["key"] == asset_key:
            return analytics_run.source_of(ctx, row)
    known = ", ".join(f"'{row['key']}'" for row in rows[:SHOWN]) or "none"
    raise BadRequest(f"the item has no raster asset '{asset_key}' stored here; it has {known}")


async def means(
    ctx: Context,
    function: str,
    source: Source,
    expressions: Sequence[str],
    until: float | None = None,
) -> list[dict[str, Any]]:
    """The mean of each expression over a raster; see `processes.analysis.means`.

    The raster is read once. Where that is too much for one child, the expressions are divided.

    Args:
        function: the child's, which says how long it may take.
        until: of `time.monotonic`; later no further child is started. `MOST_SECONDS` from now.

    Raises: ChildRefused.
    """
    until = time.monotonic() + MOST_SECONDS if until is None else until
    await ctx.release()
    links = await analytics_run.links_of(
        ctx, [Item(source.item_id, None, sources=(source,))], LINK_SECONDS
    )
    try:
        return await ctx.services.child(
            function,
            source=dataclasses.asdict(source),
            expressions=list(expressions),
            links=links,
        )
    except ChildRefused as error:
        if error.code not in TOO_MUCH or len(expressions) == 1:
            raise
    half = len(expressions) // 2
    made: list[dict[str, Any]] = []
    for part in (expressions[:half], expressions[half:]):
        if time.monotonic() > until:
            made += [{"code": "timeout", "message": NO_TIME}] * len(part)
            continue
        try:
            made += await means(ctx, function, source, part, until)
        except ChildRefused as error:
            if error.code in PASSING:
                raise
            made += [{"code": error.code, "message": error.message}] * len(part)
    return made


# ---------------------------------------------------------------- an event


async def evaluate(pipeline: Pipeline, due: Due) -> int:
    """Compare an event about an item with its organization's rules; how many fired.

    Raises: Later: something that will pass is in the way.
    """
    principal = Principal(
        kind="service", id="alerts", organization_id=due.organization_id, projects=None
    )

    async def look(ctx: Context) -> list[dict[str, Any]]:
        return await measure(ctx, due)

    async def work(ctx: Context) -> int:
        return await decide(ctx, due, tripped)

    tripped = await pipeline.look("alerts.measure", principal, look)
    fault("alerts.measured")
    fired = await pipeline.act("alerts.evaluate", principal, work)
    fault("alerts.decided")
    return fired


async def measure(ctx: Context, due: Due) -> list[dict[str, Any]]:
    """The rules that an item trips, each with its `computed_value`. Raises: Later."""
    rules = await ctx.rows(
        None,
        sql.matching,
        event_type=due.event_type,
        collection=due.collection_id,
        project=due.project_id,
        happened_at=due.happened_at,
    )
    tripped: list[dict[str, Any]] = []
    for key in sorted({rule["asset_key"] for rule in rules}):
        group = [rule for rule in rules if rule["asset_key"] == key]
        texts = [alerts_rule.plain(rule["expression"], rule["band_mapping"]) for rule in group]
        found = await _found(ctx, due, key, list(dict.fromkeys(texts)))
        failed: dict[str, list[str]] = {}
        for rule, text in zip(group, texts, strict=True):
            made = found[text]
            if "mean" not in made:
                failed.setdefault(f"{made['code']}: {made['message']}", []).append(rule["id"])
            elif alerts_rule.trips(rule, made["mean"]):
                tripped.append({**rule, "computed_value": made["mean"]})
        for reason, ids in failed.items():
            extra = {"item": due.item_id, "asset": key, "rules": ids[:SHOWN], "count": len(ids)}
            logger.warning("alert rules could not be evaluated: %s", reason, extra=extra)
    return tripped


async def _found(
    ctx: Context, due: Due, key: str, expressions: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """What each expression is on the item's asset: {mean}, or why not. Raises: Later."""
    try:
        source = await source_of(ctx, due.item_id, key)
        made = await means(ctx, "means", source, expressions)
    except BadRequest as error:
        made = [{"code": "no_asset", "message": error.detail}] * len(expressions)
    except ChildRefused as error:
        if error.code in PASSING:
            raise Later(error.message) from None
        made = [{"code": error.code, "message": error.message}] * len(expressions)
    return dict(zip(expressions, made, strict=True))


async def decide(ctx: Context, due: Due, tripped: Sequence[Row]) -> int:
    """Take the event and fire the rules that still may; in one transaction."""
    if await ctx.row(None, sql.take_due, event=due.event_id) is None:
        return 0  # another worker has decided on it
    if not tripped:
        return 0
    rules = {rule["id"]: rule for rule in tripped}
    given = [
        {"id": new_id("ae"), "rule_id": rule["id"], "rule_name": rule["name"]}
        | {name: rule[name] for name in SNAPSHOT}
        for rule in tripped
    ]
    fired = await ctx.rows(
        None,
        sql.fire,
        rows=orjson.dumps(given).decode(),
        event=due.event_id,
        item=due.item_id,
        project=due.project_id,
        collection=due.collection_id,
    )
    viewers = [row["user_id"] for row in await ctx.rows(None, sql.viewers, project=due.project_id)]
    mailed: list[tuple[str, str, str]] = []
    for row in fired:
        ctx.produced("alert_event", row["id"])
        rule = rules[row["rule_id"]]
        channels = rule["notification_channels"]
        said = alerts_rule.sentence(rule, row["computed_value"], row["item_id"])
        title = alerts_rule.title(rule["name"])
        if "webhook" in channels:
            ctx.emit(Event(TRIGGERED, "alert_event", row["id"], told(row), due.project_id))
        if "in_app" in channels:
            await notifications.notify(
                ctx,
                title=title,
                body=said,
                type=TRIGGERED,
                entity_type="alert_event",
                entity_id=row["id"],
                users=viewers,
                dedupe_key=row["id"],
            )
        if "email" in channels:
            mailed.append((title, said, row["id"]))
    if mailed:
        await mail(ctx, mailed, await mails.member_addresses(ctx, viewers))
    fault("alerts.inside")
    return len(fired)


async def mail(
    ctx: Context, alerts: Sequence[tuple[str, str, str]], addresses: Sequence[str]
) -> None:
    """Mail alerts of one item (title, sentence, id) to each address: one mail each, and where they
    are many, one more for all the rest of them.
    """
    letters = [(title, f"{said}.\n", key) for title, said, key in alerts[:MOST_MAILS]]
    if rest := alerts[MOST_MAILS:]:
        shown = "".join(f"{title}: {said}.\n" for title, said, _ in rest[:MOST_LINES])
        more = f"and {len(rest) - MOST_LINES} more.\n" if len(rest) > MOST_LINES else ""
        letters.append((f"{len(rest)} more alerts of one item", shown + more, rest[0][2]))
    for address in addresses:
        for subject, text, key in letters:
            await mails.send_mail(ctx, to=address, subject=subject, text=text, dedupe_key=key)


TRIGGERED = "alert.triggered"
MOST_MAILS = 10  # of one item to one person
MOST_LINES = 100  # of the mail about the rest
SNAPSHOT = ("expression", "comparison", "threshold", "threshold_upper", "computed_value")
TOLD = (
    *("id", "rule_id", "organization_id", "item_id", "computed_value", "threshold", "comparison"),
    *("acknowledged", "rule_name", "expression", "threshold_upper", "project_id", "collection_id"),
)


def told(row: Row) -> dict[str, Any]:
    """The data of `alert.triggered`: the alert event, and what it takes to understand it."""
    return {name: row[name] for name in TOLD} | {
        "triggered_at": time_text(row["triggered_at"]),
        "acknowledged_at": time_text(row["acknowledged_at"]),
    }

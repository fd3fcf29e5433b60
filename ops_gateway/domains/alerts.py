"""Alert rules: what an organization wants to hear of new items, and what it has heard.

A rule is an expression over the bands of an item's asset, compared with a threshold. It is
evaluated after an item was added or changed (see `alerts_evaluate`); each time it fires is an alert
event.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import Field

from db.queries import queries
from ops_gateway.domains import alerts_evaluate, alerts_rule
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import BadRequest, Conflict
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation

sql = queries(__file__)

MOST_RULES = 10_000  # of an organization: the list is not paged
MOST_EVENTS = 200  # of a page
Finite = Annotated[float, Field(allow_inf_nan=False)]


class CreateAlertRuleInput(Input):
    """Input of alerts.create_rule."""

    name: str
    description: str | None = None
    collection_id: str | None = None
    event_types: list[str] = Field(default_factory=lambda: ["item.created"])
    expression: str = Field(description="Over `b1`, `b2` … and the names in `band_mapping`.")
    comparison: str = Field(description="lt, gt, eq or between.")
    threshold: Finite
    threshold_upper: Finite | None = None
    asset_key: str = "data"
    band_mapping: dict[str, int] = Field(default_factory=dict)
    notification_channels: list[str] = Field(default_factory=lambda: ["webhook"])
    cooldown_minutes: int = 60


class UpdateAlertRuleInput(Input):
    """Input of alerts.update_rule: what is absent stays, and null clears where that is possible."""

    clearable: ClassVar[frozenset[str]] = frozenset(
        ("description", "collection_id", "threshold_upper")
    )

    rule_id: str
    name: str | None = None
    description: str | None = None
    collection_id: str | None = None
    event_types: list[str] | None = None
    expression: str | None = None
    comparison: str | None = None
    threshold: Finite | None = None
    threshold_upper: Finite | None = None
    asset_key: str | None = None
    band_mapping: dict[str, int] | None = None
    notification_channels: list[str] | None = None
    active: bool | None = None
    cooldown_minutes: int | None = None


class DeleteAlertRuleInput(Input):
    """Input of alerts.delete_rule."""

    rule_id: str


class AlertRuleGetInput(Input):
    """Input of alerts.rule.get."""

    rule_id: str


class AlertRulesListInput(Input):
    """Input of alerts.rules.list."""

    active: bool | None = None
    collection_id: str | None = None


class TestAlertRuleInput(Input):
    """Input of alerts.test_rule."""

    rule_id: str
    item_id: str


class AlertEventsListInput(Input):
    """Input of alerts.events.list; a limit or offset out of range is moved into it."""

    rule_id: str | None = None
    acknowledged: bool | None = None
    limit: int = Field(50, description="1 to 200")
    offset: int = 0


class AcknowledgeEventInput(Input):
    """Input of alerts.acknowledge_event."""

    event_id: str


class AlertRule(Output):
    """A rule; `created_by` is null where no human made it."""

    id: str
    organization_id: str
    name: str
    description: str | None
    collection_id: str | None
    event_types: list[str]
    expression: str
    comparison: str
    threshold: float
    threshold_upper: float | None
    asset_key: str
    band_mapping: dict[str, int]
    notification_channels: list[str]
    cooldown_minutes: int
    active: bool
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    last_triggered_at: datetime | None


class AlertEvent(Output):
    """Once that a rule fired; threshold and comparison are those it had then."""

    id: str
    rule_id: str
    organization_id: str
    item_id: str
    computed_value: float
    threshold: float
    comparison: str
    triggered_at: datetime
    acknowledged: bool
    acknowledged_at: datetime | None


class AlertRuleOutput(Output):
    """One rule."""

    alert_rule: AlertRule


class AlertRulesOutput(Output):
    """Every rule, newest first."""

    alert_rules: list[AlertRule]
    count: int


class DeleteAlertRuleOutput(Output):
    """Output of alerts.delete_rule."""

    deleted: bool = True


class TestAlertRuleOutput(Output):
    """What a rule makes of an item."""

    computed_value: float
    threshold: float
    comparison: str
    would_trigger: bool
    expression: str
    item_id: str


class AlertEventOutput(Output):
    """One alert event."""

    alert_event: AlertEvent


class AlertEventsOutput(Output):
    """A page of alert events, newest first."""

    alert_events: list[AlertEvent]
    count: int


# ---------------------------------------------------------------- rules


def rule_of(row: dict[str, Any]) -> AlertRule:
    """A rule from its row."""
    shown = {name: row[name] for name in AlertRule.model_fields}
    by = row["created_by"]
    return AlertRule.model_validate({**shown, "created_by": None if by is None else str(by)})


def event_of(row: dict[str, Any]) -> AlertEvent:
    """An alert event from its row."""
    return AlertEvent.model_validate({name: row[name] for name in AlertEvent.model_fields})


def columns(rule: dict[str, Any]) -> dict[str, Any]:
    """A checked rule as values of columns; words that are said twice count once."""
    return {
        **rule,
        "band_mapping": orjson.dumps(rule["band_mapping"]).decode(),
        "event_types": list(dict.fromkeys(rule["event_types"])),
        "notification_channels": list(dict.fromkeys(rule["notification_channels"])),
    }


@operation("alerts.create_rule", scope="alerts:write", effect=Effect.COMPUTE)
async def create_rule(ctx: Context, body: CreateAlertRuleInput) -> AlertRuleOutput:
    """Create an alert rule for the caller's organization.

    It fires on items that are added or changed from now on, in projects that whoever set it last
    may see: test it on one that is there with `alerts.test_rule`, on all of them with
    `alerts.backtest`.
    """
    rule = body.model_dump()
    alerts_rule.check_fields(ctx, rule)
    alerts_rule.check_rule(rule)
    await access.count_alone(ctx, "alerts")
    row = await ctx.row(
        None,
        sql.insert_rule,
        id=new_id("ar"),
        by=access.human(ctx),
        most=MOST_RULES,
        **columns(rule),
    )
    if row is None:
        raise Conflict(f"an organization has at most {MOST_RULES} rules; delete one first")
    ctx.produced("alert_rule", row["id"])
    return AlertRuleOutput(alert_rule=rule_of(row))


@operation("alerts.update_rule", scope="alerts:write", effect=Effect.COMPUTE)
async def update_rule(ctx: Context, body: UpdateAlertRuleInput) -> AlertRuleOutput:
    """Update an alert rule (org-scoped). From then on it watches what the caller may see.

    Only the fields that are sent change. Null clears `description`, `collection_id` and
    `threshold_upper`; of any other field it is the same as leaving it out.
    """
    row = await ctx.one("alert rule", sql.rule_for_update, id=body.rule_id)
    patch = body.model_dump(exclude={"rule_id"}, exclude_unset=True)
    if not patch:
        raise BadRequest("nothing to change: send at least one field beside rule_id")
    alerts_rule.check_fields(ctx, patch)
    rule = {name: row[name] for name in CHANGEABLE} | patch
    alerts_rule.check_rule(rule)
    row = await ctx.one(
        "alert rule", sql.update_rule, id=row["id"], by=access.human(ctx), **columns(rule)
    )
    ctx.produced("alert_rule", row["id"])
    return AlertRuleOutput(alert_rule=rule_of(row))


CHANGEABLE = tuple(name for name in UpdateAlertRuleInput.model_fields if name != "rule_id")


@operation("alerts.delete_rule", scope="alerts:write", effect=Effect.DESTRUCTIVE)
async def delete_rule(ctx: Context, body: DeleteAlertRuleInput) -> DeleteAlertRuleOutput:
    """Delete an alert rule (org-scoped); what it fired on stays listed."""
    row = await ctx.one("alert rule", sql.delete_rule, id=body.rule_id)
    ctx.produced("alert_rule", row["id"])
    return DeleteAlertRuleOutput()


@operation("alerts.rules.list", scope="alerts:read", effect=Effect.READ)
async def list_rules(ctx: Context, body: AlertRulesListInput) -> AlertRulesOutput:
    """List the caller's organization's alert rules (org-scoped)."""
    rows = await ctx.rows(None, sql.rules, active=body.active, collection=body.collection_id)
    return AlertRulesOutput(alert_rules=[rule_of(row) for row in rows], count=len(rows))


@operation("alerts.rule.get", scope="alerts:read", effect=Effect.READ)
async def get_rule(ctx: Context, body: AlertRuleGetInput) -> AlertRuleOutput:
    """Get a single alert rule by id (org-scoped; 404 cross-org)."""
    return AlertRuleOutput(
        alert_rule=rule_of(await ctx.one("alert rule", sql.rule, id=body.rule_id))
    )


@operation("alerts.test_rule", scope="alerts:read", effect=Effect.READ)
async def test_rule(ctx: Context, body: TestAlertRuleInput) -> TestAlertRuleOutput:
    """Test-evaluate an alert rule against an item without persisting.

    The mean is that of an alert event and of `zonal_stats` over the whole item.
    """
    rule = await ctx.one("alert rule", sql.rule, id=body.rule_id)
    item = await access.item(ctx, body.item_id)
    value = await alerts_evaluate.value_of(ctx, rule, item)
    return TestAlertRuleOutput(
        computed_value=value,
        threshold=rule["threshold"],
        comparison=rule["comparison"],
        would_trigger=alerts_rule.trips(rule, value),
        expression=rule["expression"],
        item_id=item["id"],
    )


test_rule.__test__ = False  # type: ignore[attr-defined]


# ---------------------------------------------------------------- alert events


@operation("alerts.events.list", scope="alerts:read", effect=Effect.READ)
async def list_events(ctx: Context, body: AlertEventsListInput) -> AlertEventsOutput:
    """List the alert events of the projects the caller sees (org-scoped, triggered_at desc)."""
    rows = await ctx.rows(
        None,
        sql.events,
        rule=body.rule_id,
        acknowledged=body.acknowledged,
        projects=access.visible_projects(ctx.principal),
        limit=min(max(body.limit, 1), MOST_EVENTS),
        offset=min(max(body.offset, 0), 2**62),
    )
    return AlertEventsOutput(alert_events=[event_of(row) for row in rows], count=len(rows))


@operation("alerts.acknowledge_event", scope="alerts:write", effect=Effect.COMPUTE)
async def acknowledge_event(ctx: Context, body: AcknowledgeEventInput) -> AlertEventOutput:
    """Mark an alert event acknowledged (org-scoped); again changes nothing."""
    projects = access.visible_projects(ctx.principal)
    row = await ctx.one("alert event", sql.acknowledge, id=body.event_id, projects=projects)
    ctx.produced("alert_event", row["id"])
    return AlertEventOutput(alert_event=event_of(row))

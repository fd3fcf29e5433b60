"""The inputs and answers of the operations, as dictionaries.

Made by `./opstac docs` from the gateway's registry; changes by hand are lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

AstraStatus = dict[str, Any]

GcsRegion = Literal['australia-southeast1', 'asia-southeast1', 'us-west1', 'europe-west1']

ImportMethod = Literal['insert', 'upsert']

ItemType = Literal['satellite_capture', 'derived_raster', 'derived_vector', 'clip', 'user_raster', 'user_vector', 'external_reference']

LifecycleState = Literal['active', 'expiring', 'archived', 'expired', 'deleted']

ProfileLayer = Literal['sensor', 'auto', 'user']

ProfileType = Literal['rgb', 'singleband', 'multiband', 'expression']

SharePermission = Literal['view', 'download']

ShareTargetType = Literal['item', 'collection']

class AccrualInput(TypedDict):
    """Input of billing.enterprise.accrual."""
    organization_id: str
    period: NotRequired[str | None]
    """a month, YYYY-MM; all of them if absent"""

class AccrualOutput(TypedDict):
    """Output of billing.enterprise.accrual, the oldest first. Amounts are before tax."""
    organization_id: str
    plan: str
    period: str | None
    currency: str
    credits: int
    amount_cents: int
    orders: list[Order]
    count: int

class AcknowledgeEventInput(TypedDict):
    """Input of alerts.acknowledge_event."""
    event_id: str

class AddMemberInput(TypedDict):
    """Input of projects.add_member."""
    project_id: str
    user_id: str
    """UUID of the person to add"""
    role: NotRequired[str]
    """owner, admin, editor or viewer"""

class AlertEvent(TypedDict):
    """Once that a rule fired; threshold and comparison are those it had then."""
    id: str
    rule_id: str
    organization_id: str
    item_id: str
    computed_value: float
    threshold: float
    comparison: str
    triggered_at: str
    acknowledged: bool
    acknowledged_at: str | None

class AlertEventOutput(TypedDict):
    """One alert event."""
    alert_event: AlertEvent

class AlertEventsListInput(TypedDict):
    """Input of alerts.events.list; a limit or offset out of range is moved into it."""
    rule_id: NotRequired[str | None]
    acknowledged: NotRequired[bool | None]
    limit: NotRequired[int]
    """1 to 200"""
    offset: NotRequired[int]

class AlertEventsOutput(TypedDict):
    """A page of alert events, newest first."""
    alert_events: list[AlertEvent]
    count: int

class AlertRule(TypedDict):
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
    created_at: str
    updated_at: str
    last_triggered_at: str | None

class AlertRuleGetInput(TypedDict):
    """Input of alerts.rule.get."""
    rule_id: str

class AlertRuleOutput(TypedDict):
    """One rule."""
    alert_rule: AlertRule

class AlertRulesListInput(TypedDict):
    """Input of alerts.rules.list."""
    active: NotRequired[bool | None]
    collection_id: NotRequired[str | None]

class AlertRulesOutput(TypedDict):
    """Every rule, newest first."""
    alert_rules: list[AlertRule]
    count: int

class AnalyticsExecuteOutput(TypedDict):
    """What the method answers, with the name of the method."""
    operation: str

class ApiKey(TypedDict):
    """A key without its secret.

What counts to its spend cap is what is charged (`spent_credits`) and what is reserved for work
that has not ended (`held_credits`); all four are null for a key without a cap."""
    id: str
    name: str
    prefix: str
    permissions: list[str]
    rate_limit: int | None
    spend_cap_credits: int | None
    spent_credits: int | None
    held_credits: int | None
    remaining_credits: int | None
    created_by: str | None
    last_used_at: str | None
    expires_at: str | None
    revoked_at: str | None
    mcp_spend: NotRequired[bool]
    created_at: str

class ApiKeyCreateInput(TypedDict):
    """Input of api_keys.create."""
    name: str
    permissions: NotRequired[Sequence[str]]
    rate_limit: NotRequired[int | None]
    expires_in_days: NotRequired[int | None]
    spend_cap_credits: NotRequired[int | None]
    mcp_spend: NotRequired[bool]
    """agents with this key spend by MCP without a confirmation"""

class ApiKeyCreateOutput(TypedDict):
    """A new key; `key` is shown this once."""
    id: str
    key: NotRequired[str | None]
    prefix: str
    name: str
    permissions: list[str]
    rate_limit: NotRequired[int | None]
    spend_cap_credits: NotRequired[int | None]
    expires_at: NotRequired[str | None]
    mcp_spend: NotRequired[bool]
    created_at: str

class ApiKeyListInput(TypedDict):
    """Input of api_keys.list."""

class ApiKeyListOutput(TypedDict):
    """Output of api_keys.list, newest first; revoked and expired keys stay listed."""
    api_keys: list[ApiKey]
    count: int

class ApiKeyRevokeInput(TypedDict):
    """Input of api_keys.revoke."""
    key_id: str
    keep_set_up: NotRequired[bool]
    """webhooks and share links that it made go on: for a key that is replaced, and not for one that somebody else knows"""

class ApiKeyRevokeOutput(TypedDict):
    """Output of api_keys.revoke."""
    ok: NotRequired[bool]
    id: str

class ApprovalGetInput(TypedDict):
    """Input of billing.approvals.get."""
    approval_id: str

class ApprovalGetOutput(TypedDict):
    """Output of billing.approvals.get."""
    approval: ApprovalOutput

class ApprovalOutput(TypedDict):
    """An approval: pending, approved, rejected or expired."""
    id: str
    status: str
    credits: int
    amount_aud: float
    requested_by: str
    decided_by: str | None
    reason: str | None
    expires_at: str
    created_at: str
    decided_at: str | None

class ApprovalPolicyInput(TypedDict):
    """Input of billing.approvals.policy.set; without `threshold_credits` there is no threshold."""
    threshold_credits: NotRequired[int | None]
    second_person: NotRequired[bool]

class ApprovalPolicyOutput(TypedDict):
    """Above how many credits billing.topup needs an approval, and who may give it.

`second_person`: not whoever asked, nor through a key they made."""
    threshold_credits: int | None
    second_person: bool

class ApprovalRefInput(TypedDict):
    """Input of billing.approvals.approve."""
    approval_id: str

class ApprovalsListInput(TypedDict):
    """Input of billing.approvals.list."""
    status: NotRequired[str | None]

class ApprovalsOutput(TypedDict):
    """Output of billing.approvals.list, newest first, at most 500."""
    approvals: list[ApprovalOutput]
    count: int

class ApproveInput(TypedDict):
    """Input of billing.free_tier.approve."""
    organization_id: str
    admin_user_id: NotRequired[str | None]

class AreaInput(TypedDict):
    """An area by name."""
    area: str

class AreaMetadata(TypedDict):
    """When and how finely an area was captured; `gsd` in metres."""
    datetime: str | None
    start_datetime: str | None
    end_datetime: str | None
    gsd: float | None
    mosaics: list[CaptureDate]

class AreaMetadataOutput(TypedDict):
    """Capture dates of an area."""
    area: str
    metadata: AreaMetadata

class AssetDeleteInput(TypedDict):
    """Input of assets.delete."""
    item_id: str
    asset_id: str

class AssetDeleteOutput(TypedDict):
    """Output of assets.delete; nothing is freed while a copy of the item shares the file, and by
an asset that lies elsewhere."""
    id: NotRequired[str | None]
    deleted: bool
    freed_bytes: int

class AssetDownloadInput(TypedDict):
    """Input of items.asset.download."""
    item_id: str
    asset_id: str

class AssetDownloadOutput(TypedDict):
    """A link that opens without a credential until it expires."""
    url: str
    expires_at: str
    file_name: str
    media_type: str
    size_bytes: int | None
    method: NotRequired[Literal['GET']]

class AssetOutput(TypedDict):
    """A file of an item."""
    id: str
    item_id: str
    key: str
    title: str | None
    file_name: str | None
    media_type: str
    roles: list[str]
    href: NotRequired[str | None]
    """where it lies, if not in our store"""
    size_bytes: int | None
    checksum: str | None
    epsg: int | None
    width: int | None
    height: int | None
    dtype: str | None
    nodata: float | str | None
    band_count: int | None
    band_names: list[str]
    bands: list[dict[str, Any]]
    is_cog: bool
    is_categorical: bool
    datetime: str | None
    created_at: str
    updated_at: str

class AstraProcessGetInput(TypedDict):
    """Input of astra.process.get."""
    job_id: str

class AstraProcessInput(TypedDict):
    """Input of astra.process."""
    operation: Literal['ndvi', 'change_detection']
    scene_ids: Sequence[str]
    """1 for ndvi; before and after for change_detection."""
    params: NotRequired[Mapping[str, Any]]
    webhook_url: NotRequired[str | None]
    project_id: NotRequired[str | None]
    """Default: your oldest project."""

class AstraSubmitted(TypedDict):
    """A job that was just asked for."""
    job_id: str
    status: Literal['queued']
    operation: str
    scene_ids: list[str]
    params: dict[str, Any]
    created_at: str

class AttachInput(TypedDict):
    """Input of payment_methods.attach: the provider's id of a confirmed card."""
    payment_method_id: str

class AutoTopupOutput(TypedDict):
    """Output of billing.auto_topup.get; enabled is false where nothing was ever set."""
    enabled: bool
    threshold_credits: NotRequired[int | None]
    topup_amount_credits: NotRequired[int | None]
    daily_charge_cap_aud: NotRequired[float | None]
    failures: NotRequired[int]
    disabled_reason: NotRequired[str | None]

class BacktestInput(TypedDict):
    """Input of alerts.backtest."""
    rule_id: str
    start: NotRequired[str | None]
    """Items added from then on."""
    end: NotRequired[str | None]
    """Items added until then."""
    limit: NotRequired[int]
    """Items read at most."""
    next: NotRequired[str | None]
    """`next` of the page before; all else as there."""

class BacktestOutput(TypedDict):
    """A page of items in the order in which they were added, and sums over the page.

`next` is null at the end."""
    rule_id: str
    results: list[BacktestResult]
    count: int
    triggered: int
    fired: int
    unread: int
    next: str | None

class BacktestResult(TypedDict):
    """One item: its value, or `error` where it could not be read.

`would_trigger` is the comparison alone, `would_fire` also that the cooldown is over."""
    item_id: str
    created_at: str
    computed_value: float | None
    would_trigger: bool
    would_fire: bool
    error: str | None

class BandFormulaCreateInput(TypedDict):
    """Input of band_formulas.create."""
    name: str
    formula: str
    display_name: NotRequired[str | None]
    description: NotRequired[str | None]
    colormap: NotRequired[str]
    value_range: NotRequired[Sequence[float]]
    category: NotRequired[str]

class BandFormulaDeleteInput(TypedDict):
    """A formula by id."""
    formula_id: str

class BandFormulaDeleteOutput(TypedDict):
    """Output of band_formulas.delete."""
    ok: NotRequired[bool]
    id: str

class BandFormulaDetails(TypedDict):
    """Output of band_formulas.get."""
    band_formula: BandFormulaOutput

class BandFormulaGetInput(TypedDict):
    """A formula by id."""
    formula_id: str

class BandFormulaOutput(TypedDict):
    """A named formula; `required_bands` are the bands it needs, as it writes them."""
    id: str
    organization_id: str
    name: str
    display_name: str | None
    formula: str
    description: str | None
    required_bands: NotRequired[list[str]]
    colormap: str
    value_range: list[float]
    category: str
    is_template: bool
    created_at: str
    updated_at: str

class BandFormulaUpdateInput(TypedDict):
    """Input of band_formulas.update; what is absent or null stays."""
    formula_id: str
    name: NotRequired[str | None]
    formula: NotRequired[str | None]
    display_name: NotRequired[str | None]
    description: NotRequired[str | None]
    colormap: NotRequired[str | None]
    value_range: NotRequired[Sequence[float] | None]
    category: NotRequired[str | None]

class BandFormulasListInput(TypedDict):
    """Input of band_formulas.list."""
    category: NotRequired[str | None]
    include_templates: NotRequired[bool]

class BandFormulasOutput(TypedDict):
    """The organization's formulas, newest first, then the templates."""
    band_formulas: list[BandFormulaOutput]
    count: int

class BandMathInput(TypedDict):
    """Input of analytics.band_math."""
    cog_url: str
    bbox: Mapping[str, Any]
    sensor: str
    max_size: NotRequired[int]
    output_format: NotRequired[str]
    formula: str
    colormap: NotRequired[str]
    vmin: NotRequired[float | None]
    vmax: NotRequired[float | None]

class BandMathOutput(TypedDict):
    """Of a formula."""
    statistics: dict[str, Any]
    sensor: str
    bbox: dict[str, float]
    bands: NotRequired[dict[str, int]]
    width: int
    height: int
    formula: str

class CalculateIndexInput(TypedDict):
    """Input of analytics.calculate_index."""
    cog_url: str
    bbox: Mapping[str, Any]
    sensor: str
    max_size: NotRequired[int]
    output_format: NotRequired[str]
    index_name: str
    colormap: NotRequired[str | None]

class CalculateIndexOutput(TypedDict):
    """Of an index."""
    statistics: dict[str, Any]
    sensor: str
    bbox: dict[str, float]
    bands: NotRequired[dict[str, int]]
    width: int
    height: int
    index_name: str
    formula: str

class CaptureDate(TypedDict):
    """When one mosaic was captured; null where only the area's dates are known."""
    mosaic_type: str
    datetime: str | None

class CleanupOutput(TypedDict):
    """Output of billing.cleanup_deleted_orgs. What failed is tried again by the next call."""
    processed: int
    organization_ids: list[str]
    failed: list[str]

class ClipArea(TypedDict):
    """An area, and which mosaics it has."""
    area: str
    title: str
    description: str | None
    geometry: dict[str, Any] | None
    bbox: list[float] | None
    mosaic_types: list[str]

class ClipAreasOutput(TypedDict):
    """The areas that the caller's organization may clip."""
    areas: list[ClipArea]
    count: int

class ClipCreateFromAreaInput(TypedDict):
    """Input of clip.create_from_area. Without `project_id` the oldest project gets the clip."""
    area: str
    mosaic_types: Sequence[str]
    """at most 100"""
    aoi_geometry: Mapping[str, Any]
    aoi_name: NotRequired[str | None]
    """at most 200 characters"""
    project_id: NotRequired[str | None]
    organization_id: str
    use_cache: NotRequired[bool]
    """false clips even what an earlier job of yours has clipped"""

class ClipCreateFromItemInput(TypedDict):
    """Input of clip.create_from_item."""
    source_item_id: str
    project_id: str
    aoi_geometry: Mapping[str, Any]
    asset_keys: NotRequired[Sequence[str] | None]
    output_name: NotRequired[str | None]
    target_collection_id: NotRequired[str | None]
    use_cache: NotRequired[bool]
    """false clips even what an earlier job of yours has clipped"""

class ClipCreateOutput(TypedDict):
    """The job, and what it will cut."""
    job: Job
    assets_to_clip: int
    asset_keys: list[str]

class ClipDownload(TypedDict):
    """One file and where to fetch it."""
    asset_key: str
    mosaic_type: str
    file_name: str
    size_bytes: int
    url: str
    expires_at: str

class ClipDownloadInput(TypedDict):
    """One file of a clip job; `mosaic_type` is the asset's key."""
    job_id: str
    mosaic_type: str
    user_agent: NotRequired[str | None]
    requester_ip: NotRequired[str | None]

class ClipDownloadsOutput(TypedDict):
    """The files of a clip job."""
    downloads: list[ClipDownload]
    count: int

class ClipJobDeleteInput(TypedDict):
    """A clip job by id."""
    job_id: str

class ClipJobInput(TypedDict):
    """A clip job by id."""
    job_id: str

class ClipJobsListInput(TypedDict):
    """Input of clip.jobs.list."""
    organization_id: str
    status: NotRequired[str | None]
    limit: NotRequired[int]
    offset: NotRequired[int]

class CogEmptyInput(TypedDict):
    """No parameters."""

class CogStatsInput(TypedDict):
    """Input of cog.statistics."""
    url: str
    geometry: Mapping[str, Any]
    expression: NotRequired[str | None]
    bands: NotRequired[str | None]
    percentiles: NotRequired[Sequence[Any]]

class CogStatsOutput(TypedDict):
    """Statistics of each band or block inside a polygon."""
    bands: dict[str, dict[str, Any]]
    rescale: list[list[float | None]]

class CogTerrainInput(TypedDict):
    """Input of cog.tile.terrain."""
    url: str
    z: int
    x: int
    y: int
    invert: NotRequired[bool]
    aoi: NotRequired[str | None]

class CogThumbnailInput(TypedDict):
    """Input of cog.thumbnail."""
    url: str
    width: NotRequired[int]
    height: NotRequired[int]

class CogTileInput(TypedDict):
    """Input of cog.tile.render."""
    url: str
    z: int
    x: int
    y: int
    format: str
    bands: NotRequired[str | None]
    expression: NotRequired[str | None]
    rescale: NotRequired[str | None]
    colormap: NotRequired[str | None]
    quality: NotRequired[int]
    aoi: NotRequired[str | None]

class CollectionCreateInput(TypedDict):
    """CollectionCreate + the project it lives in.

`slug` and `stac` are what a STAC client says of a collection it makes; the slug is taken as it
is, and is the collection's id where there is none."""
    name: str
    description: NotRequired[str | None]
    color: NotRequired[str | None]
    show_on_map: NotRequired[bool]
    layer_order: NotRequired[int]
    project_id: str
    slug: NotRequired[str | None]
    stac: NotRequired[Mapping[str, Any]]

class CollectionDeleteInput(TypedDict):
    """Input of collections.delete; with `items` = delete its items are deleted with it."""
    project_id: str
    collection_id: str
    items: NotRequired[Literal['keep', 'delete']]

class CollectionDeleteOutput(TypedDict):
    """Output of collections.delete."""
    ok: NotRequired[bool]
    id: str

class CollectionGetOutput(TypedDict):
    """Output of collections.get."""
    collection: CollectionResponse

class CollectionResponse(TypedDict):
    """Collection as returned from the API."""
    id: str
    project_id: str
    name: str
    description: NotRequired[str | None]
    color: NotRequired[str | None]
    show_on_map: NotRequired[bool]
    layer_order: NotRequired[int]
    auto_created: NotRequired[bool]
    source_type: NotRequired[str | None]
    source_id: NotRequired[str | None]
    item_count: NotRequired[int]
    public: NotRequired[bool]
    deleted_at: NotRequired[str | None]
    created_at: str
    updated_at: str

class CollectionUpdateInput(TypedDict):
    """Input of collections.update; what is absent or null stays.

`stac` replaces what STAC clients said of the collection, `set_stac` and `unset_stac` change it
member by member. `public` lets anybody find, draw and download what is in it."""
    name: NotRequired[str | None]
    description: NotRequired[str | None]
    color: NotRequired[str | None]
    show_on_map: NotRequired[bool | None]
    layer_order: NotRequired[int | None]
    project_id: str
    collection_id: str
    stac: NotRequired[Mapping[str, Any] | None]
    set_stac: NotRequired[Mapping[str, Any]]
    unset_stac: NotRequired[Sequence[str]]
    public: NotRequired[bool | None]

class CollectionsGetInput(TypedDict):
    """Input of collections.get."""
    project_id: str
    collection_id: str

class CollectionsListOutput(TypedDict):
    """The collections of a project, by layer order, then newest first."""
    collections: list[CollectionResponse]
    count: int

class CorrectInput(TypedDict):
    """Input of billing.reconciliation.correct_drift."""
    organization_id: str
    bytes_delta: int
    reason: str
    asset_id: NotRequired[str | None]

class CorrectedOutput(TypedDict):
    """What was set right in this call."""
    organization_id: str
    processed: int
    bytes_delta: int
    corrections: list[Correction]

class Correction(TypedDict):
    """One thing that was set right."""
    id: str
    organization_id: str
    kind: str
    subject: str | None
    unit: str
    amount: int
    reason: str
    actor: str
    created_at: Any

class CorrectionsInput(TypedDict):
    """Input of billing.reconciliation.list_corrections."""
    organization_id: NotRequired[str | None]
    limit: NotRequired[int]

class CorrectionsOutput(TypedDict):
    """Corrections, newest first."""
    corrections: list[Correction]
    count: int

class CreateAlertRuleInput(TypedDict):
    """Input of alerts.create_rule."""
    name: str
    description: NotRequired[str | None]
    collection_id: NotRequired[str | None]
    event_types: NotRequired[Sequence[str]]
    expression: str
    """Over `b1`, `b2` … and the names in `band_mapping`."""
    comparison: str
    """lt, gt, eq or between."""
    threshold: float
    threshold_upper: NotRequired[float | None]
    asset_key: NotRequired[str]
    band_mapping: NotRequired[Mapping[str, int]]
    notification_channels: NotRequired[Sequence[str]]
    cooldown_minutes: NotRequired[int]

class CreateSubscriptionInput(TypedDict):
    """Input of event_subscriptions.create."""
    event_type: str
    """A type, `item.*` for all about items, or `*` for all"""
    endpoint_url: str
    """https, and on the public internet"""
    filter_config: NotRequired[Mapping[str, Any]]
    """Dotted path of the message to the value it must have: `{"data.project_id": "proj_…"}`; all must match"""
    headers: NotRequired[Mapping[str, str]]
    """Sent with each message; never shown again"""
    description: NotRequired[str | None]

class CreditTransaction(TypedDict):
    """One movement.

`balance_after` is what the organization owned after it. A reservation sets credits aside and a
release gives them back: these change `available_after` and leave the balance as it was. A
charge ends its reservation; what it did not take is available again."""
    id: str
    reason: str
    amount: int
    balance_after: int
    available_after: int
    reference_type: str | None
    reference_id: str | None
    description: str | None
    created_at: str

class CreditsBalanceOutput(TypedDict):
    """Output of billing.credits.balance, in credits."""
    organization_id: str
    balance: int
    reserved: int
    available: int
    credits_per_aud: NotRequired[int]
    balance_aud: float
    updated_at: str

class DeleteAlertRuleInput(TypedDict):
    """Input of alerts.delete_rule."""
    rule_id: str

class DeleteAlertRuleOutput(TypedDict):
    """Output of alerts.delete_rule."""
    deleted: NotRequired[bool]

class DeleteSubscriptionOutput(TypedDict):
    """Output of event_subscriptions.delete."""
    deleted: NotRequired[bool]

class DeletedOrganization(TypedDict):
    """An organization that was deleted, and from when its data may be purged."""
    organization_id: str
    name: str
    deleted_at: str
    purge_at: str

class DeletionsOutput(TypedDict):
    """Output of billing.deletions.pending, the first to go first."""
    pending: list[DeletedOrganization]
    count: int

class DeliveriesListInput(TypedDict):
    """Input of event_subscriptions.deliveries.list."""
    subscription_id: str
    state: NotRequired[Literal['due', 'delivered', 'dead', 'dropped'] | None]
    """due: waits, or is tried again; dead: given up, can be replayed; dropped: there was nothing to send any more"""
    limit: NotRequired[int]
    offset: NotRequired[int]

class DeliveriesListOutput(TypedDict):
    """Output of event_subscriptions.deliveries.list, newest first."""
    deliveries: list[Delivery]
    count: int
    limit: int
    offset: int

class Delivery(TypedDict):
    """A message to a subscription; `http_status` and `error` are of the last attempt."""
    id: str
    subscription_id: str
    event_id: str
    event_type: str | None
    entity_type: str | None
    entity_id: str | None
    state: Literal['due', 'delivered', 'dead', 'dropped']
    attempts: int
    next_attempt_at: str | None
    http_status: int | None
    error: str | None
    created_at: str
    delivered_at: str | None

class DetachInput(TypedDict):
    """Input of payment_methods.detach."""
    payment_method_row_id: str

class DetachOutput(TypedDict):
    """Output of payment_methods.detach."""
    ok: NotRequired[bool]

class DetectBandsInput(TypedDict):
    """Input of items.detect_asset_bands."""
    item_id: str
    asset_id: str

class DetectBandsOutput(TypedDict):
    """Names that fit the pixels; the current ones where none do."""
    suggested_band_names: NotRequired[list[Any]]
    current_band_names: NotRequired[list[Any]]
    method: NotRequired[str]
    confidence: NotRequired[float]
    """0 to 1; 0 where nothing is suggested"""

class DrainInput(TypedDict):
    """Input of webhooks.drain."""
    limit: NotRequired[int | None]
    """Max deliveries to attempt this pass."""

class DrainOutput(TypedDict):
    """What a pass came to: `failed` ones are tried again later."""
    attempted: int
    delivered: int
    failed: int
    dead: int

class Drift(TypedDict):
    """An organization's books: stored bytes by three counts, and all that is wrong."""
    organization_id: str
    drift_bytes: int
    actual_bytes: int
    ledger_bytes: int
    counted_bytes: int
    faults: list[Fault]
    count: int

class DriftInput(TypedDict):
    """Input of billing.reconciliation.detect_drift."""
    organization_id: str

class Empty(TypedDict):
    """No parameters."""

class EstimateOutput(TypedDict):
    """What a run would cost."""
    pricingStrategy: str
    totalCredits: int
    totalSize: float
    unit: str

class ExecuteRequest(TypedDict):
    """Input of analytics.execute."""
    operation: str
    """Name of the registered operation"""
    params: Mapping[str, Any]
    """Operation-specific parameters"""

class ExpireOutput(TypedDict):
    """What has become of items."""
    expired_count: int
    item_ids: list[str]
    expiring_count: NotRequired[int]
    """items that end within a week, newly so"""

class ExpiringInput(TypedDict):
    """Input of items.list_expiring."""
    days: NotRequired[int]

class ExpiringItem(TypedDict):
    """An item near its end, and whose it is."""
    id: str
    project_id: str
    collection_id: NotRequired[str | None]
    stac_id: str
    type: ItemType
    geometry: NotRequired[dict[str, Any] | None]
    bbox: NotRequired[list[float] | None]
    datetime: NotRequired[str | None]
    start_datetime: NotRequired[str | None]
    end_datetime: NotRequired[str | None]
    cloud_cover: NotRequired[float | None]
    gsd: NotRequired[float | None]
    name: str
    description: NotRequired[str | None]
    properties: NotRequired[dict[str, Any]]
    stac_extensions: NotRequired[list[str]]
    lifecycle_state: NotRequired[LifecycleState]
    expires_at: NotRequired[str | None]
    archived_at: NotRequired[str | None]
    previous_version_id: NotRequired[str | None]
    duplicated_from_id: NotRequired[str | None]
    order_id: NotRequired[str | None]
    upload_id: NotRequired[str | None]
    job_id: NotRequired[str | None]
    deleted_at: NotRequired[str | None]
    created_by: NotRequired[str | None]
    created_at: str
    updated_at: str
    organization_id: str

class ExpiringOutput(TypedDict):
    """Items that end within the days asked for, the first to end first; at most 1,000."""
    items: list[ExpiringItem]
    count: int

class Fault(TypedDict):
    """One thing that is wrong: what the truth is, what was found, and the difference."""
    kind: str
    subject: str
    expected: int
    found: int
    difference: int

class FeatureCollectionOutput(TypedDict):
    """Items as GeoJSON features, and how many match in all."""
    type: NotRequired[str]
    features: NotRequired[list[Any]]
    numberMatched: NotRequired[int]
    numberReturned: NotRequired[int]
    links: NotRequired[list[dict[str, Any]]]

class FeedEntry(TypedDict):
    """One thing that happened: an item `entered`, was `changed` while it matched, or `left`.

`item` is the STAC item as it is now, null where it is gone or was not asked for."""
    cursor: str
    reason: str
    item_id: str
    project_id: str
    at: str
    item: NotRequired[dict[str, Any] | None]

class Formula(TypedDict):
    """A ready-made index."""
    formula: str
    bands: list[str]
    colormap: str
    range: list[float]

class FreeTierOutput(TypedDict):
    """What was said of an organization, and the credits it was given now."""
    organization_id: str
    status: str
    plan: str
    decided_by: str
    decided_at: str
    credits_granted: int

class GivenUpEvent(TypedDict):
    """An event about an item that no rule was compared with; `error` was in the way at last."""
    event_id: str
    event_type: str
    item_id: str
    project_id: str | None
    happened_at: str
    attempts: int
    error: str | None
    given_up_at: str

class GivenUpListInput(TypedDict):
    """Input of alerts.given_up.list."""
    limit: NotRequired[int]
    offset: NotRequired[int]

class GivenUpListOutput(TypedDict):
    """A page of them, the last given up first; `total` is of all."""
    events: list[GivenUpEvent]
    count: int
    total: int

class GivenUpReplayInput(TypedDict):
    """Input of alerts.given_up.replay; without `event_ids` all that the caller sees."""
    event_ids: NotRequired[Sequence[str] | None]

class GivenUpReplayOutput(TypedDict):
    """How many are evaluated again, in a moment. What is none of them is left out."""
    replayed: int

class GrantAllOutput(TypedDict):
    """Output of billing.free_tier.grant_all; organizations that had theirs are not listed."""
    processed: int
    granted: list[GrantedOrganization]
    credits: int

class GrantedOrganization(TypedDict):
    """Credits that were given in this call."""
    organization_id: str
    credits: int

class ImportedItem(TypedDict):
    """What became of one item."""
    index: int
    """its place in `items`"""
    id: str | None
    """its own id"""
    item_id: NotRequired[str | None]
    outcome: Literal['created', 'updated', 'unchanged', 'failed']
    problem: NotRequired[dict[str, Any] | None]

class IndexGetInput(TypedDict):
    """Input of analytics.index.get."""
    index_name: str

class IndexGetOutput(TypedDict):
    """One index."""
    index: IndexOutput

class IndexOutput(TypedDict):
    """A spectral index.

`formula` can be used as an expression, but for constants that have no usual value; `original`
is the published one."""
    name: str
    long_name: str
    formula: str
    original: str
    bands: list[str]
    constants: dict[str, float | None]
    category: str
    value_range: list[float] | None
    colormap: str
    reference: str
    compatible_sensors: list[str]

class IndicesListInput(TypedDict):
    """Input of analytics.indices.list."""
    category: NotRequired[str | None]
    sensor: NotRequired[str | None]

class IndicesListOutput(TypedDict):
    """The indices that fit."""
    indices: list[IndexOutput]
    count: int

class Invitation(TypedDict):
    """An invitation, without what opens it."""
    id: str
    email: str
    role: str
    state: Literal['pending', 'accepted', 'revoked', 'expired']
    invited_by: str | None
    created_at: str
    expires_at: str

class InvitationAcceptInput(TypedDict):
    """Input of organizations.invitations.accept."""
    token: str

class InvitationAcceptOutput(TypedDict):
    """The organization that the caller is in now."""
    organization_id: str
    role: str

class InvitationCreateInput(TypedDict):
    """Input of organizations.invitations.create."""
    email: str
    role: NotRequired[Literal['owner', 'admin', 'member', 'billing', 'viewer']]
    expires_in_days: NotRequired[int]

class InvitationCreateOutput(TypedDict):
    """A new invitation; `url` is shown here and never again."""
    invitation: Invitation
    url: str

class InvitationRevokeInput(TypedDict):
    """Input of organizations.invitations.revoke."""
    invitation_id: str

class InvitationRevokeOutput(TypedDict):
    """Done."""
    ok: bool
    id: str

class InvitationsListInput(TypedDict):
    """Input of organizations.invitations.list."""
    limit: NotRequired[int]
    offset: NotRequired[int]

class InvitationsListOutput(TypedDict):
    """Invitations, newest first."""
    invitations: list[Invitation]
    count: int
    total: int
    limit: int
    offset: int

class Invoice(TypedDict):
    """An invoice. Amounts are in minor units; `credits` were charged and are on no other one."""
    id: str
    number: str
    kind: str
    status: str
    month: str
    currency: str
    credits: int
    subtotal_cents: int
    tax_basis_points: int
    tax_cents: int
    total_cents: int
    reference: str | None
    note: str | None
    issued_at: str

class InvoiceDetail(TypedDict):
    """An invoice with its lines, whose amounts sum to `subtotal_cents`."""
    id: str
    number: str
    kind: str
    status: str
    month: str
    currency: str
    credits: int
    subtotal_cents: int
    tax_basis_points: int
    tax_cents: int
    total_cents: int
    reference: str | None
    note: str | None
    issued_at: str
    lines: list[InvoiceLine]

class InvoiceInput(TypedDict):
    """Input of billing.invoices.get."""
    invoice_id: str

class InvoiceLine(TypedDict):
    """A line of an invoice."""
    position: int
    description: str
    quantity: int
    credits: int
    amount_cents: int

class InvoiceOutput(TypedDict):
    """An invoice, and where its PDF is until `expires_at`; the link needs no credential."""
    invoice: InvoiceDetail
    media_type: NotRequired[str]
    download_url: str
    expires_at: str

class InvoicesInput(TypedDict):
    """Input of billing.invoices.list."""
    limit: NotRequired[int]

class InvoicesOutput(TypedDict):
    """Output of billing.invoices.list, newest first."""
    invoices: list[Invoice]
    count: int
    total: int

class ItemAssetsInput(TypedDict):
    """Input of items.list_assets."""
    item_id: str
    pictures: NotRequired[bool]
    """true lists the pictures that the platform drew of them too"""

class ItemAssetsOutput(TypedDict):
    """The files of an item, in the order they came."""
    assets: list[AssetOutput]
    count: int

class ItemCreateInput(TypedDict):
    """Input of items.create."""
    collection_id: NotRequired[str | None]
    stac_id: NotRequired[str | None]
    type: ItemType
    geometry: NotRequired[Mapping[str, Any] | None]
    bbox: NotRequired[Sequence[float] | None]
    datetime: NotRequired[str | None]
    """ISO 8601 datetime"""
    start_datetime: NotRequired[str | None]
    end_datetime: NotRequired[str | None]
    cloud_cover: NotRequired[float | None]
    gsd: NotRequired[float | None]
    name: str
    description: NotRequired[str | None]
    properties: NotRequired[Mapping[str, Any]]
    stac_extensions: NotRequired[Sequence[str]]
    order_id: NotRequired[str | None]
    upload_id: NotRequired[str | None]
    job_id: NotRequired[str | None]
    assets: NotRequired[Mapping[str, Any]]
    """STAC assets whose files stay where they are"""
    links: NotRequired[Sequence[Mapping[str, Any]]]
    """STAC links, beside those that the platform makes"""
    project_id: str

class ItemDeleteInput(TypedDict):
    """Input of items.delete."""
    item_id: str

class ItemDeleteOutput(TypedDict):
    """Output of items.delete."""
    ok: NotRequired[bool]
    id: str

class ItemDetails(TypedDict):
    """An item with its files and looks."""
    id: str
    project_id: str
    collection_id: NotRequired[str | None]
    stac_id: str
    type: ItemType
    geometry: NotRequired[dict[str, Any] | None]
    bbox: NotRequired[list[float] | None]
    datetime: NotRequired[str | None]
    start_datetime: NotRequired[str | None]
    end_datetime: NotRequired[str | None]
    cloud_cover: NotRequired[float | None]
    gsd: NotRequired[float | None]
    name: str
    description: NotRequired[str | None]
    properties: NotRequired[dict[str, Any]]
    stac_extensions: NotRequired[list[str]]
    lifecycle_state: NotRequired[LifecycleState]
    expires_at: NotRequired[str | None]
    archived_at: NotRequired[str | None]
    previous_version_id: NotRequired[str | None]
    duplicated_from_id: NotRequired[str | None]
    order_id: NotRequired[str | None]
    upload_id: NotRequired[str | None]
    job_id: NotRequired[str | None]
    deleted_at: NotRequired[str | None]
    created_by: NotRequired[str | None]
    created_at: str
    updated_at: str
    assets: list[AssetOutput]
    profiles: list[ProfileResponse]

class ItemDuplicateInput(TypedDict):
    """Input of items.duplicate."""
    item_id: str
    new_name: NotRequired[str | None]
    """Name for the copy"""
    target_collection_id: NotRequired[str | None]
    target_project_id: NotRequired[str | None]

class ItemGetInput(TypedDict):
    """Input of items.get."""
    item_id: str

class ItemGetOutput(TypedDict):
    """Output of items.get."""
    item: ItemDetails

class ItemLineageInput(TypedDict):
    """Input of items.lineage."""
    item_id: str

class ItemLineageOutput(TypedDict):
    """Output of items.lineage, nearest first; `depth` 1 is direct."""
    item_id: str
    parents: list[Relative]
    children: list[Relative]

class ItemResponse(TypedDict):
    """Item as returned from the API."""
    id: str
    project_id: str
    collection_id: NotRequired[str | None]
    stac_id: str
    type: ItemType
    geometry: NotRequired[dict[str, Any] | None]
    bbox: NotRequired[list[float] | None]
    datetime: NotRequired[str | None]
    start_datetime: NotRequired[str | None]
    end_datetime: NotRequired[str | None]
    cloud_cover: NotRequired[float | None]
    gsd: NotRequired[float | None]
    name: str
    description: NotRequired[str | None]
    properties: NotRequired[dict[str, Any]]
    stac_extensions: NotRequired[list[str]]
    lifecycle_state: NotRequired[LifecycleState]
    expires_at: NotRequired[str | None]
    archived_at: NotRequired[str | None]
    previous_version_id: NotRequired[str | None]
    duplicated_from_id: NotRequired[str | None]
    order_id: NotRequired[str | None]
    upload_id: NotRequired[str | None]
    job_id: NotRequired[str | None]
    deleted_at: NotRequired[str | None]
    created_by: NotRequired[str | None]
    created_at: str
    updated_at: str

class ItemStacInput(TypedDict):
    """Input of items.get_stac."""
    item_id: str
    base_url: NotRequired[str | None]

class ItemStatisticsInput(TypedDict):
    """Input of items.tile.statistics."""
    item_id: str
    expression: str
    asset_key: NotRequired[str | None]
    profile: NotRequired[str | None]

class ItemStatisticsOutput(TypedDict):
    """Statistics of an expression; `rescale` is the range the default picture uses."""
    expression: str
    asset_key: str
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    p2: float | None
    p98: float | None
    rescale: list[float]

class ItemTileRenderInput(TypedDict):
    """Input of items.tile.render."""
    item_id: str
    z: int
    x: int
    y: int
    format: NotRequired[str]
    profile: NotRequired[str | None]
    asset_key: NotRequired[str | None]
    expression: NotRequired[str | None]
    bands: NotRequired[str | None]
    rescale: NotRequired[str | None]
    colormap: NotRequired[str | None]
    quality: NotRequired[int]

class ItemTilejsonInput(TypedDict):
    """Input of items.tile.tilejson."""
    item_id: str
    profile: NotRequired[str | None]
    asset_key: NotRequired[str | None]

class ItemUpdateInput(TypedDict):
    """Input of items.update; what is absent or null stays, `properties` are replaced as a whole,
and so are `links` and those of `assets` whose files lie elsewhere.

`set_properties` changes properties one by one and leaves the others; `clear` names fields to be
emptied, and properties to be taken away as `properties.<name>`."""
    collection_id: NotRequired[str | None]
    name: NotRequired[str | None]
    description: NotRequired[str | None]
    geometry: NotRequired[Mapping[str, Any] | None]
    bbox: NotRequired[Sequence[float] | None]
    datetime: NotRequired[str | None]
    start_datetime: NotRequired[str | None]
    end_datetime: NotRequired[str | None]
    cloud_cover: NotRequired[float | None]
    gsd: NotRequired[float | None]
    properties: NotRequired[Mapping[str, Any] | None]
    lifecycle_state: NotRequired[LifecycleState | None]
    stac_extensions: NotRequired[Sequence[str] | None]
    assets: NotRequired[Mapping[str, Any] | None]
    links: NotRequired[Sequence[Mapping[str, Any]] | None]
    set_properties: NotRequired[Mapping[str, Any] | None]
    clear: NotRequired[Sequence[str]]
    item_id: str

class ItemWmtsCapabilitiesInput(TypedDict):
    """Input of items.tile.wmts_capabilities."""
    item_id: str
    base_url: str
    key: NotRequired[str]
    profile: NotRequired[str | None]

class ItemWmtsGetTileInput(TypedDict):
    """Input of items.tile.wmts_get_tile."""
    item_id: str
    z: int
    x: int
    y: int
    profile: NotRequired[str | None]

class ItemsByCollectionInput(TypedDict):
    """Input of items.list_by_collection."""
    collection_id: str
    limit: NotRequired[int]
    offset: NotRequired[int]

class ItemsImportInput(TypedDict):
    """Input of items.import."""
    project_id: str
    collection_id: NotRequired[str | None]
    items: Sequence[Any]
    """STAC items; their collection is ignored"""
    method: NotRequired[ImportMethod]
    """`upsert` brings an item of the same id up to date, `insert` fails it"""
    atomic: NotRequired[bool]
    """store all of them or none"""

class ItemsImportOutput(TypedDict):
    """How many items met which end, and which."""
    created: int
    updated: int
    unchanged: int
    failed: int
    items: list[ImportedItem]

class ItemsListInput(TypedDict):
    """Input of items.list."""
    project_id: str
    collection_id: NotRequired[str | None]
    uncollected: NotRequired[bool]
    limit: NotRequired[int]
    offset: NotRequired[int]

class ItemsPage(TypedDict):
    """Some of the items of a project or collection, newest first."""
    items: list[ItemResponse]
    count: int
    total: int
    limit: int
    offset: int

class Job(TypedDict):
    """A processing job, native shape."""
    id: str
    organization_id: str
    project_id: str
    job_type_id: str
    job_type_name: str
    status: Literal['pending', 'dispatched', 'running', 'completed', 'failed', 'cancelled']
    progress: float
    stage: str | None
    input_params: dict[str, Any]
    target_collection_id: str | None
    source_item_ids: list[str]
    output_item_ids: list[str]
    credits_reserved: int
    credits_charged: int | None
    reservation_id: str | None
    error: JobError | None
    receipt: NotRequired[Receipt | None]
    cached_from: NotRequired[str | None]
    """the job whose outputs this one was given"""
    log: NotRequired[list[str]]
    """What its failed runs said last, oldest first; empty where none failed, and in lists."""
    worker: str | None
    version: str
    created_by: str | None
    created_at: str
    dispatched_at: str | None
    started_at: str | None
    completed_at: str | None
    updated_at: str

class JobDeletedOutput(TypedDict):
    """A job that is gone."""
    deleted: bool
    id: str

class JobGetInput(TypedDict):
    """A job by id."""
    job_id: str

class JobOutput(TypedDict):
    """One job, native shape."""
    job: Job

class JobReceiptInput(TypedDict):
    """A job by id."""
    job_id: str

class JobReceiptOutput(TypedDict):
    """What was charged, and what the outputs are a function of."""
    receipt: Receipt
    recipe: dict[str, Any] | None
    """process, code, libraries, inputs, checksums of sources and outputs, those of items that you may not see left out; null for work done outside and for a job that made nothing"""

class JobRegisterInput(TypedDict):
    """Input of processing.job.register."""
    job_id: str
    outputs: NotRequired[Sequence[Any] | None]
    record: NotRequired[RunRecord | None]
    """of the platform's own workers; nobody else's counts"""

class JobRegisterOutput(TypedDict):
    """A completed job, its items and what was charged."""
    job: Job
    items: list[ItemResponse]
    settlement: dict[str, int]
    values: NotRequired[dict[str, Any]]

class JobType(TypedDict):
    """A kind of job."""
    id: str
    name: str
    category: str
    description: str
    input_schema: dict[str, Any]
    pricing: Pricing
    runner: str
    version: str

class JobTypesInput(TypedDict):
    """Input of processing.job_types.list."""
    category: NotRequired[str | None]

class JobTypesOutput(TypedDict):
    """The kinds of job there are."""
    job_types: list[JobType]
    count: int

class JobsListInput(TypedDict):
    """Input of processing.jobs.list; ids and statuses are comma lists, durations are seconds."""
    workspaceId: NotRequired[str | None]
    processId: NotRequired[str | None]
    status: NotRequired[str | None]
    ids: NotRequired[str | None]
    minDuration: NotRequired[int | None]
    maxDuration: NotRequired[int | None]
    page: NotRequired[int]
    limit: NotRequired[int]
    sort: NotRequired[str]

class JobsListOutput(TypedDict):
    """A page of jobs in the provider's shape."""
    jobs: list[ProviderJob]
    links: list[dict[str, Any]]
    count: int
    total: int

class LineageEdge(TypedDict):
    """`src` is the derived entity, `dst` what it came from; `depth` is 1 at the root."""
    depth: int
    src_type: NotRequired[str | None]
    src_id: NotRequired[str | None]
    dst_type: NotRequired[str | None]
    dst_id: NotRequired[str | None]
    relation: NotRequired[str | None]
    invocation_id: NotRequired[str | None]

class LineageGetInput(TypedDict):
    """Input of provenance.get."""
    entity_type: str
    """Root node type: item | asset | processing_job | upload | collection | project | share_link"""
    entity_id: str
    """Root entity id"""
    direction: NotRequired[str]
    """up=ancestors, down=descendants, both"""
    max_depth: NotRequired[int]

class LineageGetOutput(TypedDict):
    """Output of provenance.get."""
    root: dict[str, str]
    direction: str
    edges: NotRequired[list[LineageEdge]]
    nodes: NotRequired[list[LineageNode]]
    truncated: NotRequired[bool]

class LineageNode(TypedDict):
    """An entity and its least distance from the root, which has 0."""
    entity_type: str
    entity_id: str
    depth: int

class ListSubscriptionsInput(TypedDict):
    """Input of event_subscriptions.list."""
    event_type: NotRequired[str | None]
    active: NotRequired[bool | None]

class MarkAllReadOutput(TypedDict):
    """How many notifications were unread until now."""
    marked_count: NotRequired[int]

class MarkInvoicedInput(TypedDict):
    """Input of billing.enterprise.mark_invoiced."""
    organization_id: str
    reference: str
    period: NotRequired[str | None]
    """a month, YYYY-MM; all of them if absent"""
    order_ids: NotRequired[Sequence[str] | None]
    """jobs; all if absent"""
    note: NotRequired[str | None]

class MarkInvoicedOutput(TypedDict):
    """The invoice that the charges are on now; `credits` are those it names."""
    organization_id: str
    invoice_id: str
    number: str
    reference: str
    processed: int
    credits: int
    total_cents: int

class MemberRemoveInput(TypedDict):
    """Input of organizations.members.remove."""
    user_id: str

class MemberRemoveOutput(TypedDict):
    """Done."""
    ok: bool
    user_id: str

class MemberUpdateInput(TypedDict):
    """Input of organizations.members.update."""
    user_id: str
    role: Literal['owner', 'admin', 'member', 'billing', 'viewer']

class MembersListInput(TypedDict):
    """Input of projects.members.list."""
    project_id: str

class MembersListOutput(TypedDict):
    """Output of projects.members.list, oldest first."""
    members: list[ProjectMember]
    count: int

class MethodDetail(TypedDict):
    """The same with examples of its parameters."""
    name: str
    title: str
    description: str
    version: str
    data_types: list[str]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    examples: list[dict[str, Any]]

class MethodOutput(TypedDict):
    """A method and the JSON Schemas of what it takes and gives."""
    name: str
    title: str
    description: str
    version: str
    data_types: list[str]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]

class MonthlyOutput(TypedDict):
    """Output of the monthly runs: how many organizations, and what was closed for them now."""
    processed: int
    runs: list[MonthlyRun]
    failed: list[str]

class MonthlyRun(TypedDict):
    """A month that was closed in this call."""
    organization_id: str
    month: str
    plan: str
    invoice_id: str | None
    charged_credits: int
    accrued_credits: int
    expired_credits: int
    granted_credits: int

class Mosaic(TypedDict):
    """One raster of an area."""
    mosaic_type: str
    title: str | None
    band_count: int
    band_names: list[str]
    epsg: int | None
    width: int | None
    height: int | None
    dtype: str | None
    size_bytes: int | None
    datetime: str | None

class MosaicsOutput(TypedDict):
    """The mosaics of an area."""
    area: str
    mosaics: list[Mosaic]
    count: int

class NotificationOutput(TypedDict):
    """A notification; `entity_type` and `entity_id` say what it is about."""
    id: str
    title: str
    body: str
    read: bool
    dismissed: bool
    created_at: str
    type: str
    entity_type: str | None
    entity_id: str | None

class NotificationRef(TypedDict):
    """Input of notifications.mark_read and notifications.dismiss."""
    notification_id: str

class NotificationsListInput(TypedDict):
    """Input of notifications.list."""
    unread_only: NotRequired[bool]
    limit: NotRequired[int]
    """1 to 1000; what is outside is brought inside"""
    offset: NotRequired[int]

class OkOutput(TypedDict):
    """It is done, to the one with this id."""
    ok: NotRequired[bool]
    id: str

class OperationGetInput(TypedDict):
    """Input of analytics.operations.get."""
    operation_name: str

class OperationGetOutput(TypedDict):
    """One method."""
    operation: MethodDetail

class OperationsListInput(TypedDict):
    """Input of analytics.operations.list."""
    data_type: NotRequired[str | None]

class OperationsListOutput(TypedDict):
    """Every method."""
    operations: list[MethodOutput]
    count: int

class Order(TypedDict):
    """A charge that is on no invoice."""
    id: str
    job_id: str | None
    description: str
    credits: int
    amount_cents: int
    settled_at: str

class OrgInput(TypedDict):
    """One organization."""
    organization_id: str

class OrgItemSearchInput(TypedDict):
    """Input of items.search_org."""
    bbox: NotRequired[Sequence[float] | None]
    datetime: NotRequired[str | None]
    limit: NotRequired[int]
    offset: NotRequired[int]
    collections: NotRequired[Sequence[str] | None]
    type: NotRequired[ItemType | None]
    query: NotRequired[Mapping[str, Any] | None]
    sortby: NotRequired[Sequence[Mapping[str, str]] | None]
    format: NotRequired[str | None]
    """'stac' for full STAC features"""
    base_url: NotRequired[str | None]
    """Base URL for STAC links (stac format only)"""

class OrgStatusInput(TypedDict):
    """Input of billing.status.get."""
    organization_id: str

class OrgStatusOutput(TypedDict):
    """What an organization is on. `usage` is of `period`, the present month in UTC."""
    organization_id: str
    plan: str
    status: str
    period: str
    usage: dict[str, int]
    limits: dict[str, Any]

class OrganizationCreateInput(TypedDict):
    """Input of organizations.create."""
    name: str
    description: NotRequired[str | None]
    website: NotRequired[str | None]
    industry: NotRequired[str | None]
    size: NotRequired[str | None]
    country: NotRequired[str | None]
    abn: NotRequired[str | None]
    tax_number: NotRequired[str | None]
    billing_email: NotRequired[str | None]
    billing_admin_id: NotRequired[str | None]
    billing_address: NotRequired[Mapping[str, Any] | None]
    enterprise_billing: NotRequired[bool]

class OrganizationCreateOutput(TypedDict):
    """An organization."""
    id: str
    name: str
    slug: str
    enterprise_billing: bool
    created_at: str

class OrganizationGetOutput(TypedDict):
    """The caller's organization."""
    organization: OrganizationCreateOutput

class OrganizationMember(TypedDict):
    """A person of the organization."""
    user_id: str
    email: str | None
    name: str | None
    role: str
    created_at: str

class OrganizationMembersOutput(TypedDict):
    """The people of the organization, oldest first."""
    members: list[OrganizationMember]
    count: int

class OutputWish(TypedDict):
    """How one output is wanted."""
    transmissionMode: NotRequired[Literal['value', 'reference'] | None]

class PaymentMethodOutput(TypedDict):
    """A saved card; `id` is what the other operations call payment_method_row_id."""
    id: str | None
    isDefault: NotRequired[bool]
    brand: str | None
    last4: str | None
    expMonth: int | None
    expYear: int | None
    paymentMethodId: str

class PaymentMethodsOutput(TypedDict):
    """Output of payment_methods.list, the default card first."""
    payment_methods: list[PaymentMethodOutput]
    count: int

class PendingGroup(TypedDict):
    """Failures that are not resolved, of one kind."""
    storage_type: str
    source: str
    count: int
    oldest_at: str

class Plan(TypedDict):
    """A plan as it is offered. Fees are in minor units of the currency."""
    id: str
    name: str
    description: str
    currency: str
    monthly_fee_cents: int
    monthly_credits: int
    credit_months: int | None
    credit_line: int
    needs_approval: bool
    limits: dict[str, Any]
    features: list[Any]
    valid_from: str
    valid_until: str | None

class PlansOutput(TypedDict):
    """Output of billing.plans.list."""
    plans: list[Plan]
    count: int

class Pricing(TypedDict):
    """What a run costs."""
    unit: str
    credits_per_unit: float
    minimum_credits: int

class ProcessDescription(TypedDict):
    """A process with its inputs and outputs as JSON Schemas."""
    id: str
    title: str
    description: str
    version: str
    keywords: list[str]
    jobControlOptions: list[str]
    outputTransmission: list[str]
    links: list[dict[str, Any]]
    additionalParameters: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, Any]

class ProcessExecuteInput(TypedDict):
    """Input of processing.execute. `response` and `outputs`, in the words of OGC API - Processes,
say what `/ogc/jobs/{id}/results` will answer."""
    process_id: str
    workspaceId: str
    inputs: NotRequired[Mapping[str, Any]]
    use_cache: NotRequired[bool]
    """false computes even what an earlier job of yours has computed"""
    subscriber: NotRequired[Subscriber | None]
    response: NotRequired[Literal['raw', 'document'] | None]
    outputs: NotRequired[Mapping[str, OutputWish] | None]

class ProcessExecuteOutput(TypedDict):
    """A job in the provider's shape."""
    processID: str
    jobID: str
    accountID: str
    workspaceID: str
    definition: dict[str, Any]
    results: dict[str, Any] | None
    creditConsumption: dict[str, Any] | None
    status: str
    created: str
    started: str | None
    finished: str | None
    updated: str
    progress: float
    stage: str | None
    log: NotRequired[list[str]]
    """What its failed runs said last, oldest first; empty where none failed, and in lists."""

class ProcessGetInput(TypedDict):
    """A process by id."""
    process_id: str

class ProcessList(TypedDict):
    """Every process."""
    processes: list[ProcessSummary]
    links: list[dict[str, Any]]

class ProcessRunInput(TypedDict):
    """A process and the inputs of a run."""
    process_id: str
    inputs: NotRequired[Mapping[str, Any]]

class ProcessSummary(TypedDict):
    """A process in the list."""
    id: str
    title: str
    description: str
    version: str
    keywords: list[str]
    jobControlOptions: list[str]
    outputTransmission: list[str]
    links: list[dict[str, Any]]
    additionalParameters: dict[str, Any]

class ProcessingCreateInput(TypedDict):
    """Input of processing.create and processing.create_and_dispatch."""
    project_id: str
    job_type_id: str
    input_params: NotRequired[Mapping[str, Any]]
    target_collection_id: NotRequired[str | None]
    use_cache: NotRequired[bool]
    """false computes even what an earlier job of yours has computed"""

class ProcessingDispatchInput(TypedDict):
    """Input of processing.dispatch."""
    job_id: str
    version: NotRequired[str]

class ProcessingDispatchOutput(TypedDict):
    """A dispatched job and who has it."""
    job: Job
    dispatch: dict[str, Any]

class ProcessingJobInput(TypedDict):
    """A job by id."""
    job_id: str

class ProfileCreateInput(TypedDict):
    """Input of visualization.profile.create."""
    item_id: str
    name: str
    layer: NotRequired[ProfileLayer]
    type: ProfileType
    is_default: NotRequired[bool]
    sort_order: NotRequired[int]
    config: Mapping[str, Any]
    """Render configuration."""
    asset_key: NotRequired[str | None]

class ProfileGetInput(TypedDict):
    """Input of visualization.profile.get."""
    item_id: str
    profile_id: str

class ProfileOutput(TypedDict):
    """Output of visualization.profile.get."""
    profile: ProfileResponse

class ProfileRef(TypedDict):
    """A profile of an item."""
    item_id: str
    profile_id: str

class ProfileResponse(TypedDict):
    """How an item is drawn."""
    id: str
    item_id: str
    name: str
    layer: ProfileLayer
    type: ProfileType
    is_default: NotRequired[bool]
    sort_order: NotRequired[int]
    config: dict[str, Any]
    asset_key: NotRequired[str | None]
    version: NotRequired[int]
    created_by: NotRequired[str | None]
    created_at: str
    updated_at: str

class ProfileUpdateInput(TypedDict):
    """Input of visualization.profile.update; what is absent or null stays."""
    item_id: str
    profile_id: str
    name: NotRequired[str | None]
    type: NotRequired[ProfileType | None]
    is_default: NotRequired[bool | None]
    sort_order: NotRequired[int | None]
    config: NotRequired[Mapping[str, Any] | None]
    asset_key: NotRequired[str | None]

class ProfilesListInput(TypedDict):
    """Input of visualization.profiles.list."""
    item_id: str

class ProfilesOutput(TypedDict):
    """The profiles of an item, by sort_order, then by age."""
    profiles: list[ProfileResponse]
    count: int

class ProjectArchiveInput(TypedDict):
    """Input of projects.archive; `is_archived` false brings the project back."""
    name: NotRequired[str | None]
    description: NotRequired[str | None]
    is_archived: NotRequired[bool | None]
    project_id: str

class ProjectCreate(TypedDict):
    """Input for creating a project."""
    name: str
    description: NotRequired[str | None]
    gcs_region: NotRequired[GcsRegion]

class ProjectDeleteInput(TypedDict):
    """Input of projects.delete."""
    project_id: str

class ProjectDeleteOutput(TypedDict):
    """Output of projects.delete."""
    deleted: NotRequired[bool]
    project_id: str
    storage_freed_bytes: NotRequired[int]

class ProjectGetInput(TypedDict):
    """Input of projects.get."""
    project_id: str

class ProjectGetOutput(TypedDict):
    """Output of projects.get."""
    project: ProjectResponse

class ProjectItemSearchInput(TypedDict):
    """Input of items.search."""
    bbox: NotRequired[Sequence[float] | None]
    datetime: NotRequired[str | None]
    limit: NotRequired[int]
    offset: NotRequired[int]
    collections: NotRequired[Sequence[str] | None]
    type: NotRequired[ItemType | None]
    query: NotRequired[Mapping[str, Any] | None]
    sortby: NotRequired[Sequence[Mapping[str, str]] | None]
    format: NotRequired[str | None]
    """'stac' for full STAC features"""
    base_url: NotRequired[str | None]
    """Base URL for STAC links (stac format only)"""
    project_id: str

class ProjectJobGetInput(TypedDict):
    """A job by id."""
    job_id: str

class ProjectJobsInput(TypedDict):
    """Input of processing.project_jobs.list."""
    project_id: str
    status: NotRequired[str | None]
    job_type_name: NotRequired[str | None]
    limit: NotRequired[int]
    offset: NotRequired[int]

class ProjectJobsOutput(TypedDict):
    """A page of jobs, native shape."""
    jobs: list[Job]
    count: int
    total: int
    limit: int
    offset: int

class ProjectListInput(TypedDict):
    """Input of projects.list."""
    limit: NotRequired[int]
    offset: NotRequired[int]
    include_archived: NotRequired[bool]

class ProjectListOutput(TypedDict):
    """Output of projects.list, newest first."""
    projects: list[ProjectResponse]
    count: int
    total: int
    limit: int
    offset: int

class ProjectMember(TypedDict):
    """A person's role in a project, with who that is."""
    project_id: str
    user_id: str
    role: str
    added_by: str | None
    created_at: str
    email: str | None
    name: str | None

class ProjectResponse(TypedDict):
    """Project as returned from the API."""
    id: str
    organization_id: str
    name: str
    description: NotRequired[str | None]
    gcs_region: NotRequired[GcsRegion | None]
    gcs_bucket_name: NotRequired[str | None]
    """Prefix of the objects in storage"""
    is_archived: NotRequired[bool]
    created_at: str
    updated_at: str

class ProjectUpdateInput(TypedDict):
    """Input of projects.update; what is absent stays."""
    name: NotRequired[str | None]
    description: NotRequired[str | None]
    is_archived: NotRequired[bool | None]
    project_id: str

class ProviderJob(TypedDict):
    """A processing job in the shape of the provider's API."""
    processID: str
    jobID: str
    accountID: str
    workspaceID: str
    definition: dict[str, Any]
    results: dict[str, Any] | None
    creditConsumption: dict[str, Any] | None
    status: str
    created: str
    started: str | None
    finished: str | None
    updated: str
    progress: float
    stage: str | None
    log: NotRequired[list[str]]
    """What its failed runs said last, oldest first; empty where none failed, and in lists."""

class RecalculateInput(TypedDict):
    """Input of usage.recalculate_storage."""
    organization_id: str

class RecalculateOutput(TypedDict):
    """Output of usage.recalculate_storage."""
    organization_id: str
    storage_bytes: int
    previous_bytes: int

class Receipt(TypedDict):
    """What a job that ended was charged, and for what.

`credits` is `quantity` times `credits_per_unit`, rounded up, or `minimum_credits` where that is
more; never more than was reserved. A job that was answered from an earlier one, that failed or
was cancelled costs nothing."""
    job_id: str
    process: str
    version: str
    unit: str | None
    """SQ_KM or JOB"""
    quantity: float | None
    """units of the run"""
    credits_per_unit: float | None
    minimum_credits: int | None
    minimum_applied: bool
    """the least amount was charged, being more"""
    credits: int
    """charged"""
    released: int
    """reserved and not charged"""
    samples_read: NotRequired[int | None]
    """of the sources, a pixel of a band each, as often as they were read; null for work done outside"""
    pixels: int
    """of the rasters made: width times height times data bands"""
    bytes_written: int
    """of the files made"""
    bytes_read: int | None
    """by the run's process: from files, its scratch files among them, or of sources in a bucket what came over the network; null where that was not counted: work done outside, or on Dask workers"""
    seconds: float | None
    """the run, by the clock; null for work done outside"""
    processor_seconds: float | None
    """of all its threads"""
    cached_from: str | None
    """the job whose outputs were given out again"""
    output_item_ids: list[str]
    lineage: dict[str, str]
    """the entity to ask provenance.get for"""
    settled_at: str | None

class RejectApprovalInput(TypedDict):
    """Input of billing.approvals.reject."""
    approval_id: str
    reason: NotRequired[str | None]

class Relative(TypedDict):
    """What an item came from, or what came from it."""
    entity_type: str
    entity_id: str
    relation: str
    depth: int

class RemoveMemberInput(TypedDict):
    """Input of projects.remove_member."""
    project_id: str
    user_id: str

class RemoveMemberOutput(TypedDict):
    """Output of projects.remove_member."""
    ok: NotRequired[bool]

class RequestApprovalInput(TypedDict):
    """Input of billing.approvals.request."""
    credits: int
    expiry_hours: NotRequired[int | None]

class RotateSecretInput(TypedDict):
    """Input of event_subscriptions.rotate_secret."""
    subscription_id: str
    valid_hours: NotRequired[int]
    """For so long messages carry a signature by the secret before, too"""

class RotateSecretOutput(TypedDict):
    """The new secret, shown this once."""
    id: str
    secret: str
    previous_valid_until: str | None

class Run(TypedDict):
    """A look through the books. `flagged`: credits are wrong, or more bytes than the threshold."""
    id: str
    organization_id: str
    drift_bytes: int
    threshold_bytes: int
    fault_count: int
    faults: list[Fault]
    corrected: int
    flagged: bool
    actor: str
    created_at: str

class RunAllInput(TypedDict):
    """Input of billing.reconciliation.run_all."""
    threshold_bytes: NotRequired[int]
    correct: NotRequired[bool]
    """set right what is found, by rows more; otherwise nothing is changed"""

class RunAllOutput(TypedDict):
    """Output of billing.reconciliation.run_all; `runs` are those in which something was wrong."""
    processed: int
    flagged: int
    runs: list[Run]

class RunInput(TypedDict):
    """Input of billing.reconciliation.run."""
    organization_id: str
    threshold_bytes: NotRequired[int]
    correct: NotRequired[bool]
    """set right what is found, by rows more; otherwise nothing is changed"""

class RunOutput(TypedDict):
    """A run as it was noted, and what it set right."""
    run: Run
    corrections: list[Correction]

class RunRecord(TypedDict):
    """What the platform's own worker says of a run beside its outputs."""
    recipe: NotRequired[Mapping[str, Any]]
    work: NotRequired[Mapping[str, Any]]

class RunsInput(TypedDict):
    """Input of billing.reconciliation.list_runs."""
    organization_id: NotRequired[str | None]
    flagged_only: NotRequired[bool]
    limit: NotRequired[int]

class RunsOutput(TypedDict):
    """Runs, newest first."""
    runs: list[Run]
    count: int

class SavedSearch(TypedDict):
    """A saved search.

`cursor` is the place in its feed after the newest entry; `error` says why items could not be
compared with it last time."""
    id: str
    project_id: str | None
    name: str
    description: str | None
    search: dict[str, Any]
    cursor: str
    error: str | None
    created_by: str | None
    created_at: str
    updated_at: str

class SavedSearchCreateInput(TypedDict):
    """Input of saved_searches.create."""
    name: str
    project_id: NotRequired[str | None]
    """Search this project; without one the whole organization"""
    description: NotRequired[str | None]
    search: SearchDocument

class SavedSearchDeleteInput(TypedDict):
    """Input of saved_searches.delete."""
    search_id: str

class SavedSearchDeleteOutput(TypedDict):
    """Output of saved_searches.delete."""
    ok: NotRequired[bool]
    id: str

class SavedSearchFeedInput(TypedDict):
    """Input of saved_searches.feed."""
    search_id: str
    cursor: NotRequired[str | None]
    """go on after this place; without one from the beginning"""
    limit: NotRequired[int]
    items: NotRequired[bool]
    """with the items as they are now"""
    base_url: NotRequired[str | None]

class SavedSearchFeedOutput(TypedDict):
    """Entries in order; ask again with `cursor`, at once where there is `more`."""
    entries: list[FeedEntry]
    cursor: str
    more: bool

class SavedSearchGetInput(TypedDict):
    """Input of saved_searches.get."""
    search_id: str

class SavedSearchGetOutput(TypedDict):
    """Output of saved_searches.get."""
    saved_search: SavedSearch

class SavedSearchItemsInput(TypedDict):
    """Input of saved_searches.items."""
    search_id: str
    limit: NotRequired[int | None]
    """default: the search's own"""
    token: NotRequired[str | None]
    """from the link `next` or `prev`"""
    base_url: NotRequired[str | None]

class SavedSearchListInput(TypedDict):
    """Input of saved_searches.list."""
    project_id: NotRequired[str | None]
    limit: NotRequired[int]
    offset: NotRequired[int]

class SavedSearchListOutput(TypedDict):
    """Output of saved_searches.list, newest first."""
    saved_searches: list[SavedSearch]
    count: int
    total: int
    limit: int
    offset: int

class SavedSearchUpdateInput(TypedDict):
    """Input of saved_searches.update; what is absent or null stays, `search` is replaced whole."""
    search_id: str
    name: NotRequired[str | None]
    description: NotRequired[str | None]
    search: NotRequired[SearchDocument | None]

SearchDocument = TypedDict("SearchDocument", {'collections': 'NotRequired[Sequence[str] | None]', 'ids': 'NotRequired[Sequence[str] | None]', 'bbox': 'NotRequired[Sequence[float] | None]', 'intersects': 'NotRequired[Mapping[str, Any] | None]', 'datetime': 'NotRequired[str | None]', 'query': 'NotRequired[Mapping[str, Any] | None]', 'filter': 'NotRequired[Mapping[str, Any] | str | None]', 'filter-lang': 'NotRequired[str | None]', 'sortby': 'NotRequired[Sequence[Mapping[str, str]] | None]', 'limit': 'NotRequired[int]'})

SearchInput = TypedDict("SearchInput", {'base_url': 'NotRequired[str]', 'collections': 'NotRequired[Sequence[str] | None]', 'ids': 'NotRequired[Sequence[str] | None]', 'datetime': 'NotRequired[str | None]', 'sortby': 'NotRequired[Sequence[SortClause] | None]', 'limit': 'NotRequired[int]', 'page': 'NotRequired[int]', 'filter': 'NotRequired[Mapping[str, Any] | None]', 'filter-lang': 'NotRequired[str | None]', 'bbox': 'NotRequired[Sequence[float] | None]', 'intersects': 'NotRequired[Mapping[str, Any] | None]'})

class SensorBandOutput(TypedDict):
    """A band of a sensor; `index` is its 1-based place among the sensor's bands."""
    index: int
    name: str
    title: str
    wavelength_nm: float

class SensorOutput(TypedDict):
    """A sensor and its bands by role."""
    id: str
    name: str
    bands: dict[str, SensorBandOutput]

class SensorsListOutput(TypedDict):
    """Every sensor."""
    sensors: list[SensorOutput]
    count: int

class SetAutoTopupInput(TypedDict):
    """Input of billing.set_auto_topup; without a cap the day has none."""
    enabled: bool
    threshold_credits: int
    topup_amount_credits: int
    daily_charge_cap_aud: NotRequired[float | str | None]

class SetAutoTopupOutput(TypedDict):
    """The settings. `disabled_reason` says why the platform itself turned it off."""
    enabled: bool
    threshold_credits: int
    topup_amount_credits: int
    daily_charge_cap_aud: NotRequired[float | None]
    failures: NotRequired[int]
    disabled_reason: NotRequired[str | None]

class SetBandNamesInput(TypedDict):
    """Input of items.set_asset_band_names."""
    item_id: str
    asset_id: str
    band_names: Sequence[str]

class SetDefaultInput(TypedDict):
    """Input of payment_methods.set_default."""
    payment_method_row_id: str

class SettleInput(TypedDict):
    """Input of billing.jobs.settle_unsettled."""
    limit: NotRequired[int]
    organization_id: NotRequired[str | None]

class SettleOutput(TypedDict):
    """Output of billing.jobs.settle_unsettled."""
    processed: int
    settled: int
    voided: int
    jobs: list[Settled]

class Settled(TypedDict):
    """A reservation that was ended."""
    organization_id: str
    job_id: str | None
    hold_id: str
    action: str
    """settled or voided"""
    credits: int
    """charged"""

class SetupIntentInput(TypedDict):
    """No parameters."""

class SetupIntentOutput(TypedDict):
    """What the client needs to collect a card: confirm the intent, then call attach."""
    client_secret: str
    setup_intent_id: str
    customer_id: str
    env: str

class ShareLink(TypedDict):
    """A share link without its token."""
    id: str
    target_type: str
    target_id: str
    permission: str
    organization_id: str
    project_id: str
    expires_at: str
    revoked_at: NotRequired[str | None]
    access_count: NotRequired[int]
    last_accessed_at: NotRequired[str | None]
    created_by: str | None
    created_at: str

class ShareLinkCreate(TypedDict):
    """Input of share.link.create."""
    target_type: ShareTargetType
    target_id: str
    permission: NotRequired[SharePermission]
    password: str
    """At most 1024 characters; kept as argon2id"""
    expires_at: str
    """In the future; UTC where it names no zone"""

class ShareLinkCreateOutput(TypedDict):
    """A new share link; `token` is told this once."""
    id: str
    target_type: str
    target_id: str
    permission: str
    organization_id: str
    project_id: str
    expires_at: str
    revoked_at: NotRequired[str | None]
    access_count: NotRequired[int]
    last_accessed_at: NotRequired[str | None]
    created_by: str | None
    created_at: str
    token: str

class ShareLinkRef(TypedDict):
    """Input of share.link.revoke."""
    link_id: str

class ShareLinkRevokeOutput(TypedDict):
    """Output of share.link.revoke."""
    ok: NotRequired[bool]
    id: str

class ShareLinkValidateInput(TypedDict):
    """Input of share.link.validate."""
    token: str
    password: NotRequired[str]

class ShareLinkValidateOutput(TypedDict):
    """What is shared: an item as a STAC Feature, or `{collection, items}`."""
    permission: str
    target_type: str
    target: dict[str, Any]

class ShareLinksListInput(TypedDict):
    """Input of share.link.list."""
    project_id: NotRequired[str | None]
    limit: NotRequired[int]
    offset: NotRequired[int]

class ShareLinksOutput(TypedDict):
    """Output of share.link.list, newest first."""
    share_links: list[ShareLink]
    count: int
    total: int
    limit: int
    offset: int

class ShareTileInput(TypedDict):
    """Input of share.tile.render; `item_id` says which item of a shared collection."""
    token: str
    password: NotRequired[str]
    z: int
    x: int
    y: int
    format: NotRequired[str]
    profile: NotRequired[str | None]
    item_id: NotRequired[str | None]

class ShareTilejsonInput(TypedDict):
    """Input of share.tilejson; `item_id` says which item of a shared collection."""
    token: str
    password: NotRequired[str]
    profile: NotRequired[str | None]
    item_id: NotRequired[str | None]

class SignedUrlInput(TypedDict):
    """Input of uploads.signed_url."""
    upload_id: str
    file_name: str
    content_type: NotRequired[str]

class SignedUrlOutput(TypedDict):
    """Where to PUT one file, and what to call it in uploads.complete."""
    upload_url: str
    object_path: str

class SortClause(TypedDict):
    """One field to order by."""
    field: str
    direction: NotRequired[str]

class StacCollectionsOutput(TypedDict):
    """Collections as the STAC API shows them."""
    collections: list[dict[str, Any]]
    links: list[dict[str, Any]]
    numberMatched: int
    numberReturned: int

class StripeInvoicesInput(TypedDict):
    """Input of billing.stripe_invoices.list."""
    limit: NotRequired[int]

class StripeInvoicesOutput(TypedDict):
    """The provider's invoices, newest first; none where it cannot be asked."""
    invoices: list[dict[str, Any]]
    count: int

class Subscriber(TypedDict):
    """Where to POST what becomes of a job, in the words of OGC API - Processes."""
    successUri: NotRequired[str | None]
    inProgressUri: NotRequired[str | None]
    failedUri: NotRequired[str | None]

class Subscription(TypedDict):
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
    created_at: str
    updated_at: str
    disabled_at: NotRequired[str | None]
    disabled_reason: NotRequired[str | None]

class SubscriptionGetOutput(TypedDict):
    """Output of event_subscriptions.get."""
    subscription: Subscription

class SubscriptionInput(TypedDict):
    """Which subscription."""
    subscription_id: str

class SubscriptionListOutput(TypedDict):
    """Output of event_subscriptions.list, newest first."""
    subscriptions: list[Subscription]
    count: int

class SubscriptionOutput(TypedDict):
    """A subscription as it is after a change; `secret` is shown when it is made, and never again.

Secrets are `whsec_` and base64, as Standard Webhooks writes them."""
    id: str
    organization_id: str
    event_type: str
    endpoint_url: str
    filter_config: dict[str, Any]
    headers: list[str]
    description: str | None
    active: bool
    created_by: str | None
    created_at: str
    updated_at: str
    disabled_at: NotRequired[str | None]
    disabled_reason: NotRequired[str | None]
    secret: NotRequired[str | None]

class TestAlertRuleInput(TypedDict):
    """Input of alerts.test_rule."""
    rule_id: str
    item_id: str

class TestAlertRuleOutput(TypedDict):
    """What a rule makes of an item."""
    computed_value: float
    threshold: float
    comparison: str
    would_trigger: bool
    expression: str
    item_id: str

class TestSubscriptionOutput(TypedDict):
    """What became of a test delivery."""
    status: str
    """delivered or failed"""
    delivered: bool
    http_status: NotRequired[int | None]
    error: NotRequired[str | None]
    event_id: str
    event_type: str

class TileInfo(TypedDict):
    """How to show one output."""
    item_id: str
    asset_key: str
    tilejson_url: str
    tile_url: str
    bounds: list[float]
    minzoom: int
    maxzoom: int

class TileInfoOutput(TypedDict):
    """How to show a job's outputs."""
    job_id: str
    tiles: list[TileInfo]

class TileJSON(TypedDict):
    """TileJSON 3.0.0."""
    tilejson: str
    name: str
    tiles: list[str]
    bounds: list[float]
    center: list[float]
    minzoom: int
    maxzoom: int
    scheme: str
    vector_layers: list[dict[str, Any]]

class TopupInput(TypedDict):
    """Input of billing.topup: `credits` or `amount_aud`; without a card the default one pays."""
    credits: NotRequired[int | None]
    amount_aud: NotRequired[float | str | None]
    payment_method_row_id: NotRequired[str | None]

class TopupOutput(TypedDict):
    """A top-up.

`requires_action`: the card wants 3-D Secure; confirm the payment with `client_secret`, and the
credits come when the provider says that it was paid. `processing`: it has not decided yet."""
    status: str
    credits: int
    amount_aud: float
    balance: int
    transaction_id: str | None
    payment_id: str
    payment_intent_id: str | None
    client_secret: str | None

class TransactionsInput(TypedDict):
    """Input of billing.credits.transactions."""
    limit: NotRequired[int]
    offset: NotRequired[int]
    reason: NotRequired[str | None]

class TransactionsOutput(TypedDict):
    """Output of billing.credits.transactions, newest first."""
    transactions: list[CreditTransaction]
    count: int
    total: int
    limit: int
    offset: int

class UnreadCount(TypedDict):
    """How many notifications are neither read nor dismissed."""
    count: int

class UpdateAlertRuleInput(TypedDict):
    """Input of alerts.update_rule: what is absent stays, and null clears where that is possible."""
    rule_id: str
    name: NotRequired[str | None]
    description: NotRequired[str | None]
    collection_id: NotRequired[str | None]
    event_types: NotRequired[Sequence[str] | None]
    expression: NotRequired[str | None]
    comparison: NotRequired[str | None]
    threshold: NotRequired[float | None]
    threshold_upper: NotRequired[float | None]
    asset_key: NotRequired[str | None]
    band_mapping: NotRequired[Mapping[str, int] | None]
    notification_channels: NotRequired[Sequence[str] | None]
    active: NotRequired[bool | None]
    cooldown_minutes: NotRequired[int | None]

class UpdateMemberInput(TypedDict):
    """Input of projects.update_member."""
    project_id: str
    user_id: str
    role: str

class UpdateSubscriptionInput(TypedDict):
    """Input of event_subscriptions.update; what is absent or null stays."""
    subscription_id: str
    endpoint_url: NotRequired[str | None]
    filter_config: NotRequired[Mapping[str, Any] | None]
    headers: NotRequired[Mapping[str, str] | None]
    """Replaces all there were"""
    active: NotRequired[bool | None]
    """false: nothing is sent, what waits is given up; true: from now"""
    description: NotRequired[str | None]

class UploadCompleteInput(TypedDict):
    """Input of uploads.complete; without `files` every file of the session is taken."""
    upload_id: str
    files: NotRequired[Sequence[UploadedFile] | None]
    name: NotRequired[str | None]
    description: NotRequired[str | None]
    datetime: NotRequired[str | None]
    start_datetime: NotRequired[str | None]
    end_datetime: NotRequired[str | None]
    collection_id: NotRequired[str | None]
    properties: NotRequired[Mapping[str, Any]]
    stac_id: NotRequired[str | None]
    type: NotRequired[ItemType]

class UploadCompleteOutput(TypedDict):
    """What the session became."""
    upload: UploadOutput
    items: list[ItemResponse]
    assets: list[AssetOutput]

class UploadFailInput(TypedDict):
    """Input of uploads.fail."""
    upload_id: str
    error_message: str
    error_step: NotRequired[str | None]

class UploadGetInput(TypedDict):
    """Input of uploads.get."""
    upload_id: str

class UploadGetOutput(TypedDict):
    """Output of uploads.get."""
    upload: UploadOutput

class UploadInitiate(TypedDict):
    """Input of uploads.initiate."""
    project_id: str
    transfer_method: NotRequired[str]
    file_count: NotRequired[int]
    total_bytes: NotRequired[int]
    target_collection_id: NotRequired[str | None]
    target_item_id: NotRequired[str | None]
    asset_key: NotRequired[str | None]
    is_categorical: NotRequired[bool]

class UploadOutput(TypedDict):
    """An upload session."""
    id: str
    project_id: str
    status: Literal['pending', 'uploading', 'processing', 'completed', 'failed', 'expired']
    transfer_method: str
    file_count: int
    total_bytes: int
    bytes_uploaded: int
    target_collection_id: str | None
    target_item_id: str | None
    asset_key: str | None
    is_categorical: bool
    error_message: str | None
    error_step: str | None
    item_ids: list[str]
    created_by: str | None
    created_at: str
    updated_at: str

class UploadProgressInput(TypedDict):
    """Input of uploads.progress; with only the id it changes nothing and tells the state."""
    upload_id: str
    status: NotRequired[str | None]
    bytes_uploaded: NotRequired[int | None]

class UploadedFile(TypedDict):
    """One of the session's files and what becomes of it."""
    file_name: NotRequired[str | None]
    object_path: NotRequired[str | None]
    asset_key: NotRequired[str | None]
    title: NotRequired[str | None]
    band_names: NotRequired[Sequence[str] | None]
    datetime: NotRequired[str | None]

class UsageCurrentInput(TypedDict):
    """Input of usage.current."""
    organization_id: str

class UsageCurrentOutput(TypedDict):
    """Output of usage.current; `period` is the month, as `2026-11`."""
    storage_bytes: int
    peak_storage_bytes: int
    tile_requests: int
    public_search_requests: int
    public_file_requests: int
    egress_bytes: int
    jobs: int
    compute_seconds: int
    credits_used: int
    organization_id: str
    period: str

class UsageHistoryInput(TypedDict):
    """Input of usage.history."""
    organization_id: str
    months: NotRequired[int]
    """months, this one the first; 1 to 36, what is outside is brought inside"""

class UsageHistoryOutput(TypedDict):
    """Output of usage.history, newest first."""
    organization_id: str
    months: list[UsageMonth]

class UsageMonth(TypedDict):
    """A month, as `2026-11`."""
    storage_bytes: int
    peak_storage_bytes: int
    tile_requests: int
    public_search_requests: int
    public_file_requests: int
    egress_bytes: int
    jobs: int
    compute_seconds: int
    credits_used: int
    month: str

class ValidOutput(TypedDict):
    """The inputs are valid; there is nothing more to say."""

class ValidateFormulaInput(TypedDict):
    """Input of analytics.validate_formula."""
    formula: str
    sensor: str

class ValidateFormulaOutput(TypedDict):
    """Whether a formula can be used with a sensor's bands."""
    formula: str
    sensor: str
    valid: bool
    error: NotRequired[str | None]
    position: NotRequired[int | None]
    required_bands: NotRequired[list[str]]
    available_bands: NotRequired[list[str]]

class VisualizationListInput(TypedDict):
    """Input of visualization.list_for."""
    band_roles: NotRequired[Mapping[str, int]]
    """role or name: band, from 1"""
    data_type: NotRequired[str]
    render_params: NotRequired[Mapping[str, Any]]
    """rescale and colormap to use where a look has none"""
    asset: NotRequired[str | None]

class VisualizationListOutput(TypedDict):
    """The looks, the best one first."""
    visualizations: list[VisualizationSpec]
    default_id: NotRequired[str]

class VisualizationSpec(TypedDict):
    """One look; bands, expression, colormap and rescale are parameters of a tile."""
    id: str
    label: str
    kind: Literal['rgb', 'index', 'elevation', 'raw']
    asset: NotRequired[str | None]
    bands: NotRequired[list[int] | None]
    expression: NotRequired[str | None]
    colormap: NotRequired[str | None]
    rescale: NotRequired[str | None]
    is_default: NotRequired[bool]
    category: NotRequired[str | None]
    description: NotRequired[str]

class WaitingOrganization(TypedDict):
    """An organization on the free plan that nothing was said of."""
    organization_id: str
    name: str
    created_at: str

class BillingDlqPendingOutput(TypedDict):
    """Output of billing.dlq.list_pending; `total` is of all groups."""
    pending: list[PendingGroup]
    total: int

class BillingDlqReplayInput(TypedDict):
    """Input of billing.dlq.replay."""
    batch_size: NotRequired[int]

class BillingDlqReplayOutput(TypedDict):
    """Output of billing.dlq.replay."""
    processed: int
    resolved: int
    failed: int

class BillingFreeTierPendingOutput(TypedDict):
    """Output of billing.free_tier.list_pending, the oldest first."""
    pending: list[WaitingOrganization]
    count: int

class CollectionsCollectionsListInput(TypedDict):
    """Input of collections.list."""
    project_id: str

class EventDeliveriesReplayInput(TypedDict):
    """Input of event_subscriptions.deliveries.replay."""
    subscription_id: str
    delivery_ids: NotRequired[Sequence[str] | None]
    """These, dead or delivered; by default all that are dead"""

class EventDeliveriesReplayOutput(TypedDict):
    """How many will be sent again; `remaining` are dead still: call once more."""
    replayed: int
    remaining: int

class JobError(TypedDict):
    """Why a job failed."""
    code: str
    message: str

class OrganizationsMembersMemberOutput(TypedDict):
    """A person's role in the organization."""
    user_id: str
    role: str

class ProjectsMemberOutput(TypedDict):
    """A person's role in a project."""
    project_id: str
    user_id: str
    role: str
    added_by: str | None
    created_at: str

class StacCollectionsListInput(TypedDict):
    """Input of stac.collections.list."""
    base_url: NotRequired[str]

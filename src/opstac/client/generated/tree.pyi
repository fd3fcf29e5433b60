"""The tree of operations with the types of its inputs and answers.

Made by `./opstac docs` from the gateway's registry; changes by hand are lost.
"""

import builtins
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from opstac.client.generated import models as m

class BillingApprovalsPolicy:
    @overload
    def get(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.ApprovalPolicyOutput: ...
    @overload
    def get(self, *, idempotency_key: str | None = ...) -> m.ApprovalPolicyOutput:
        """Above how many credits a purchase needs an approval; no threshold where none was set."""
    @overload
    def set(self, body: m.ApprovalPolicyInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ApprovalPolicyOutput: ...
    @overload
    def set(self, *, threshold_credits: int | None = ..., second_person: bool = ..., idempotency_key: str | None = ...) -> m.ApprovalPolicyOutput:
        """Say above how many credits a purchase needs an approval; an owner or admin only."""

class AlertsEvents:
    @overload
    def list(self, body: m.AlertEventsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.AlertEventsOutput: ...
    @overload
    def list(self, *, rule_id: str | None = ..., acknowledged: bool | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.AlertEventsOutput:
        """List the alert events of the projects the caller sees (org-scoped, triggered_at desc)."""

class AlertsGivenUp:
    @overload
    def list(self, body: m.GivenUpListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.GivenUpListOutput: ...
    @overload
    def list(self, *, limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.GivenUpListOutput:
        """List the item events that could not be compared with the alert rules, however often tried."""
    @overload
    def replay(self, body: m.GivenUpReplayInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.GivenUpReplayOutput: ...
    @overload
    def replay(self, *, event_ids: Sequence[str] | None = ..., idempotency_key: str | None = ...) -> m.GivenUpReplayOutput:
        """Have item events that were given up compared with the alert rules again.

With the rules as they are then; each rule fires once on an event at most, as always."""

class AlertsRule:
    @overload
    def get(self, body: m.AlertRuleGetInput, /, *, idempotency_key: str | None = ...) -> m.AlertRuleOutput: ...
    @overload
    def get(self, *, rule_id: str, idempotency_key: str | None = ...) -> m.AlertRuleOutput:
        """Get a single alert rule by id (org-scoped; 404 cross-org)."""

class AlertsRules:
    @overload
    def list(self, body: m.AlertRulesListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.AlertRulesOutput: ...
    @overload
    def list(self, *, active: bool | None = ..., collection_id: str | None = ..., idempotency_key: str | None = ...) -> m.AlertRulesOutput:
        """List the caller's organization's alert rules (org-scoped)."""

class AnalyticsIndex:
    @overload
    def get(self, body: m.IndexGetInput, /, *, idempotency_key: str | None = ...) -> m.IndexGetOutput: ...
    @overload
    def get(self, *, index_name: str, idempotency_key: str | None = ...) -> m.IndexGetOutput:
        """One spectral index, with the sensors that have its bands."""

class AnalyticsIndices:
    @overload
    def list(self, body: m.IndicesListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.IndicesListOutput: ...
    @overload
    def list(self, *, category: str | None = ..., sensor: str | None = ..., idempotency_key: str | None = ...) -> m.IndicesListOutput:
        """List spectral indices, all or those of a category or that a sensor has the bands for."""

class AnalyticsOperations:
    @overload
    def get(self, body: m.OperationGetInput, /, *, idempotency_key: str | None = ...) -> m.OperationGetOutput: ...
    @overload
    def get(self, *, operation_name: str, idempotency_key: str | None = ...) -> m.OperationGetOutput:
        """One analytics method, with examples of its parameters."""
    @overload
    def list(self, body: m.OperationsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.OperationsListOutput: ...
    @overload
    def list(self, *, data_type: str | None = ..., idempotency_key: str | None = ...) -> m.OperationsListOutput:
        """List all registered analytics methods and the schemas of their parameters."""

class AnalyticsSensors:
    @overload
    def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.SensorsListOutput: ...
    @overload
    def list(self, *, idempotency_key: str | None = ...) -> m.SensorsListOutput:
        """List known sensors and their bands."""

class AstraProcess:
    @overload
    def __call__(self, body: m.AstraProcessInput, /, *, idempotency_key: str | None = ...) -> m.AstraSubmitted: ...
    @overload
    def __call__(self, *, operation: Literal['ndvi', 'change_detection'], scene_ids: Sequence[str], params: Mapping[str, Any] = ..., webhook_url: str | None = ..., project_id: str | None = ..., idempotency_key: str | None = ...) -> m.AstraSubmitted:
        """Run NDVI or change detection on scenes; the answer is a job to ask for.

A scene is an item's id, or `collection:item` with the item's STAC id or the beginning of it."""
    @overload
    def get(self, body: m.AstraProcessGetInput, /, *, idempotency_key: str | None = ...) -> m.AstraStatus: ...
    @overload
    def get(self, *, job_id: str, idempotency_key: str | None = ...) -> m.AstraStatus:
        """How a job stands, and where its file is.

Any processing job is found, by whichever door it came in."""

class BillingApprovals:
    @overload
    def approve(self, body: m.ApprovalRefInput, /, *, idempotency_key: str | None = ...) -> m.ApprovalOutput: ...
    @overload
    def approve(self, *, approval_id: str, idempotency_key: str | None = ...) -> m.ApprovalOutput:
        """Approve a credit purchase and charge the default card; a human only.

A declined card answers 402 and leaves the approval pending."""
    @overload
    def get(self, body: m.ApprovalGetInput, /, *, idempotency_key: str | None = ...) -> m.ApprovalGetOutput: ...
    @overload
    def get(self, *, approval_id: str, idempotency_key: str | None = ...) -> m.ApprovalGetOutput:
        """Get one credit-purchase approval."""
    @overload
    def list(self, body: m.ApprovalsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ApprovalsOutput: ...
    @overload
    def list(self, *, status: str | None = ..., idempotency_key: str | None = ...) -> m.ApprovalsOutput:
        """List the organization's credit-purchase approvals, optionally by status."""
    @property
    def policy(self) -> BillingApprovalsPolicy: ...
    @overload
    def reject(self, body: m.RejectApprovalInput, /, *, idempotency_key: str | None = ...) -> m.ApprovalOutput: ...
    @overload
    def reject(self, *, approval_id: str, reason: str | None = ..., idempotency_key: str | None = ...) -> m.ApprovalOutput:
        """Reject a pending credit-purchase approval."""
    @overload
    def request(self, body: m.RequestApprovalInput, /, *, idempotency_key: str | None = ...) -> m.ApprovalOutput: ...
    @overload
    def request(self, *, credits: int, expiry_hours: int | None = ..., idempotency_key: str | None = ...) -> m.ApprovalOutput:
        """Request approval for a large credit purchase."""

class BillingAutoTopup:
    @overload
    def get(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.AutoTopupOutput: ...
    @overload
    def get(self, *, idempotency_key: str | None = ...) -> m.AutoTopupOutput:
        """Read the organization's settings of automatic top-up."""

class BillingCredits:
    @overload
    def balance(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.CreditsBalanceOutput: ...
    @overload
    def balance(self, *, idempotency_key: str | None = ...) -> m.CreditsBalanceOutput:
        """The organization's credits: owned, set aside and available."""
    @overload
    def transactions(self, body: m.TransactionsInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.TransactionsOutput: ...
    @overload
    def transactions(self, *, limit: int = ..., offset: int = ..., reason: str | None = ..., idempotency_key: str | None = ...) -> m.TransactionsOutput:
        """The org's credit ledger (paged, optionally filtered by reason)."""

class BillingDeletions:
    @overload
    def pending(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.DeletionsOutput: ...
    @overload
    def pending(self, *, idempotency_key: str | None = ...) -> m.DeletionsOutput:
        """List organizations pending deletion (system admin)."""

class BillingDlq:
    @overload
    def list_pending(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.BillingDlqPendingOutput: ...
    @overload
    def list_pending(self, *, idempotency_key: str | None = ...) -> m.BillingDlqPendingOutput:
        """Unresolved tracking-failure DLQ counts, grouped by storage_type + source."""
    @overload
    def replay(self, body: m.BillingDlqReplayInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.BillingDlqReplayOutput: ...
    @overload
    def replay(self, *, batch_size: int = ..., idempotency_key: str | None = ...) -> m.BillingDlqReplayOutput:
        """Replay up to N unresolved tracking_failures rows (cron)."""

class BillingEnterprise:
    @overload
    def accrual(self, body: m.AccrualInput, /, *, idempotency_key: str | None = ...) -> m.AccrualOutput: ...
    @overload
    def accrual(self, *, organization_id: str, period: str | None = ..., idempotency_key: str | None = ...) -> m.AccrualOutput:
        """The org's unbilled enterprise post-pay liability (to put on a Xero invoice)."""
    @overload
    def mark_invoiced(self, body: m.MarkInvoicedInput, /, *, idempotency_key: str | None = ...) -> m.MarkInvoicedOutput: ...
    @overload
    def mark_invoiced(self, *, organization_id: str, reference: str, period: str | None = ..., order_ids: Sequence[str] | None = ..., note: str | None = ..., idempotency_key: str | None = ...) -> m.MarkInvoicedOutput:
        """Record a manual Xero invoice and mark the org's committed enterprise orders billed (admin).

The credits that it names come back to the organization's line of credit, as far as it has one."""

class BillingFreeTier:
    @overload
    def approve(self, body: m.ApproveInput, /, *, idempotency_key: str | None = ...) -> m.FreeTierOutput: ...
    @overload
    def approve(self, *, organization_id: str, admin_user_id: str | None = ..., idempotency_key: str | None = ...) -> m.FreeTierOutput:
        """Approve an org for the free tier + grant its credits immediately (admin).

Once more changes nothing. `admin_user_id` is kept as who decided; by default the caller."""
    @overload
    def grant_all(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.GrantAllOutput: ...
    @overload
    def grant_all(self, *, idempotency_key: str | None = ...) -> m.GrantAllOutput:
        """Grant the signup + monthly free credits to every FREE org (idempotent; cron).

The signup credits came with the organization. Those that are admitted and have not had this month's credits are given them."""
    @overload
    def list_pending(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.BillingFreeTierPendingOutput: ...
    @overload
    def list_pending(self, *, idempotency_key: str | None = ...) -> m.BillingFreeTierPendingOutput:
        """Orgs awaiting free-tier approval (the operator review queue)."""
    @overload
    def revoke(self, body: m.OrgInput, /, *, idempotency_key: str | None = ...) -> m.FreeTierOutput: ...
    @overload
    def revoke(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.FreeTierOutput:
        """Revoke an org's free-tier approval (stops future grants; admin).

What was given stays."""

class BillingInvoices:
    @overload
    def get(self, body: m.InvoiceInput, /, *, idempotency_key: str | None = ...) -> m.InvoiceOutput: ...
    @overload
    def get(self, *, invoice_id: str, idempotency_key: str | None = ...) -> m.InvoiceOutput:
        """One invoice with its lines, and a link to its PDF that is good for 15 minutes."""
    @overload
    def list(self, body: m.InvoicesInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.InvoicesOutput: ...
    @overload
    def list(self, *, limit: int = ..., idempotency_key: str | None = ...) -> m.InvoicesOutput:
        """The org's enterprise invoices (grouped from settled orders).

With them those of its months, newest first; at most 1,000."""

class BillingJobs:
    @overload
    def settle_unsettled(self, body: m.SettleInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.SettleOutput: ...
    @overload
    def settle_unsettled(self, *, limit: int = ..., organization_id: str | None = ..., idempotency_key: str | None = ...) -> m.SettleOutput:
        """Settle/register terminal processing jobs holding an unsettled reservation (cron)."""

class BillingPlans:
    @overload
    def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.PlansOutput: ...
    @overload
    def list(self, *, idempotency_key: str | None = ...) -> m.PlansOutput:
        """List all available plans with their quota/feature limits (public catalog)."""

class BillingReconciliation:
    @overload
    def backfill_missing(self, body: m.OrgInput, /, *, idempotency_key: str | None = ...) -> m.CorrectedOutput: ...
    @overload
    def backfill_missing(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.CorrectedOutput:
        """Backfill ledger add-events for live assets with no ledger entry (admin)."""
    @overload
    def correct_drift(self, body: m.CorrectInput, /, *, idempotency_key: str | None = ...) -> m.CorrectedOutput: ...
    @overload
    def correct_drift(self, *, organization_id: str, bytes_delta: int, reason: str, asset_id: str | None = ..., idempotency_key: str | None = ...) -> m.CorrectedOutput:
        """Surgical single-asset drift correction (audited ledger entry; admin).

Without an asset it is posted for the organization as a whole."""
    @overload
    def detect_drift(self, body: m.DriftInput, /, *, idempotency_key: str | None = ...) -> m.Drift: ...
    @overload
    def detect_drift(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.Drift:
        """Compute storage-billing drift for one org (no run recorded).

With it what is wrong in its ledger of credits: balances beside it, journals that do not balance, reservations that were posted otherwise, jobs that ended without a settlement."""
    @overload
    def list_corrections(self, body: m.CorrectionsInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.CorrectionsOutput: ...
    @overload
    def list_corrections(self, *, organization_id: str | None = ..., limit: int = ..., idempotency_key: str | None = ...) -> m.CorrectionsOutput:
        """Audit trail of all drift corrections applied (compliance + support)."""
    @overload
    def list_runs(self, body: m.RunsInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.RunsOutput: ...
    @overload
    def list_runs(self, *, organization_id: str | None = ..., flagged_only: bool = ..., limit: int = ..., idempotency_key: str | None = ...) -> m.RunsOutput:
        """List reconciliation runs (newest first; filter by org / flagged)."""
    @overload
    def remove_stale(self, body: m.OrgInput, /, *, idempotency_key: str | None = ...) -> m.CorrectedOutput: ...
    @overload
    def remove_stale(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.CorrectedOutput:
        """Remove stale positive-net ledger entries for deleted assets (admin)."""
    @overload
    def run(self, body: m.RunInput, /, *, idempotency_key: str | None = ...) -> m.RunOutput: ...
    @overload
    def run(self, *, organization_id: str, threshold_bytes: int = ..., correct: bool = ..., idempotency_key: str | None = ...) -> m.RunOutput:
        """Run reconciliation for one org + persist the result."""
    @overload
    def run_all(self, body: m.RunAllInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.RunAllOutput: ...
    @overload
    def run_all(self, *, threshold_bytes: int = ..., correct: bool = ..., idempotency_key: str | None = ...) -> m.RunAllOutput:
        """Run reconciliation for every org with a subscription or credit balance (cron)."""
    @overload
    def zero_negative_nets(self, body: m.OrgInput, /, *, idempotency_key: str | None = ...) -> m.CorrectedOutput: ...
    @overload
    def zero_negative_nets(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.CorrectedOutput:
        """Zero orphan negative-net ledger residue with compensating adds (admin)."""

class BillingStatus:
    @overload
    def get(self, body: m.OrgStatusInput, /, *, idempotency_key: str | None = ...) -> m.OrgStatusOutput: ...
    @overload
    def get(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.OrgStatusOutput:
        """An org's billing status + current usage (org membership required).

The status is `active`; on a plan that the operator admits to, `pending_approval` or `revoked`. Of the limits `storage_quota_bytes` binds, and `storage_bytes` is the same; others inform."""

class BillingStripeInvoices:
    @overload
    def list(self, body: m.StripeInvoicesInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.StripeInvoicesOutput: ...
    @overload
    def list(self, *, limit: int = ..., idempotency_key: str | None = ...) -> m.StripeInvoicesOutput:
        """List the card provider's invoices of the organization; empty where it does not answer."""

class ClipArea:
    @overload
    def metadata(self, body: m.AreaInput, /, *, idempotency_key: str | None = ...) -> m.AreaMetadataOutput: ...
    @overload
    def metadata(self, *, area: str, idempotency_key: str | None = ...) -> m.AreaMetadataOutput:
        """Get the capture dates of an area and of its mosaics."""
    @overload
    def mosaics(self, body: m.AreaInput, /, *, idempotency_key: str | None = ...) -> m.MosaicsOutput: ...
    @overload
    def mosaics(self, *, area: str, idempotency_key: str | None = ...) -> m.MosaicsOutput:
        """List the mosaics of an area."""

class ClipAreas:
    @overload
    def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.ClipAreasOutput: ...
    @overload
    def list(self, *, idempotency_key: str | None = ...) -> m.ClipAreasOutput:
        """List the areas that your organization may clip, by name."""

class ClipJob:
    @overload
    def delete(self, body: m.ClipJobDeleteInput, /, *, idempotency_key: str | None = ...) -> m.JobDeletedOutput: ...
    @overload
    def delete(self, *, job_id: str, idempotency_key: str | None = ...) -> m.JobDeletedOutput:
        """Delete a clip job; one that has not ended is cancelled first."""
    @overload
    def download(self, body: m.ClipDownloadInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    def download(self, *, job_id: str, mosaic_type: str, user_agent: str | None = ..., requester_ip: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """Bytes of one clip file; clip.job.downloads gives a link, which suits large ones better."""
    @overload
    def downloads(self, body: m.ClipJobInput, /, *, idempotency_key: str | None = ...) -> m.ClipDownloadsOutput: ...
    @overload
    def downloads(self, *, job_id: str, idempotency_key: str | None = ...) -> m.ClipDownloadsOutput:
        """Files of a clip job, each with a signed link."""
    @overload
    def get(self, body: m.ClipJobInput, /, *, idempotency_key: str | None = ...) -> m.JobOutput: ...
    @overload
    def get(self, *, job_id: str, idempotency_key: str | None = ...) -> m.JobOutput:
        """Get a clip job."""
    @overload
    def tile_info(self, body: m.ClipJobInput, /, *, idempotency_key: str | None = ...) -> m.TileInfoOutput: ...
    @overload
    def tile_info(self, *, job_id: str, idempotency_key: str | None = ...) -> m.TileInfoOutput:
        """How to show a clip job's output."""

class ClipJobs:
    @overload
    def list(self, body: m.ClipJobsListInput, /, *, idempotency_key: str | None = ...) -> m.ProjectJobsOutput: ...
    @overload
    def list(self, *, organization_id: str, status: str | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.ProjectJobsOutput:
        """List clip jobs of the organization."""

class CogTile:
    @overload
    def render(self, body: m.CogTileInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    def render(self, *, url: str, z: int, x: int, y: int, format: str, bands: str | None = ..., expression: str | None = ..., rescale: str | None = ..., colormap: str | None = ..., quality: int = ..., aoi: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """Render a map tile from a raster's URL."""
    @overload
    def terrain(self, body: m.CogTerrainInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    def terrain(self, *, url: str, z: int, x: int, y: int, invert: bool = ..., aoi: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """Render an elevation tile in Mapbox's Terrain-RGB."""

class EventSubscriptionsDeliveries:
    @overload
    def list(self, body: m.DeliveriesListInput, /, *, idempotency_key: str | None = ...) -> m.DeliveriesListOutput: ...
    @overload
    def list(self, *, subscription_id: str, state: Literal['due', 'delivered', 'dead', 'dropped'] | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.DeliveriesListOutput:
        """List the deliveries of a webhook subscription, with what became of each."""
    @overload
    def replay(self, body: m.EventDeliveriesReplayInput, /, *, idempotency_key: str | None = ...) -> m.EventDeliveriesReplayOutput: ...
    @overload
    def replay(self, *, subscription_id: str, delivery_ids: Sequence[str] | None = ..., idempotency_key: str | None = ...) -> m.EventDeliveriesReplayOutput:
        """Send deliveries of a webhook subscription again, under the same event ids.

They have the whole schedule of retries before them. At most 10,000 a call, the oldest first."""

class ItemsAsset:
    @overload
    def download(self, body: m.AssetDownloadInput, /, *, idempotency_key: str | None = ...) -> m.AssetDownloadOutput: ...
    @overload
    def download(self, *, item_id: str, asset_id: str, idempotency_key: str | None = ...) -> m.AssetDownloadOutput:
        """Mint a signed link to an item's file; good for 15 minutes.

For an asset that lies elsewhere it is the asset's own address."""

class ItemsTile:
    @overload
    def render(self, body: m.ItemTileRenderInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    def render(self, *, item_id: str, z: int, x: int, y: int, format: str = ..., profile: str | None = ..., asset_key: str | None = ..., expression: str | None = ..., bands: str | None = ..., rescale: str | None = ..., colormap: str | None = ..., quality: int = ..., idempotency_key: str | None = ...) -> Any:
        """Render a map tile for one of our catalog items (profile or direct-param)."""
    @overload
    def statistics(self, body: m.ItemStatisticsInput, /, *, idempotency_key: str | None = ...) -> m.ItemStatisticsOutput: ...
    @overload
    def statistics(self, *, item_id: str, expression: str, asset_key: str | None = ..., profile: str | None = ..., idempotency_key: str | None = ...) -> m.ItemStatisticsOutput:
        """Stretch values for an expression over an item."""
    @overload
    def tilejson(self, body: m.ItemTilejsonInput, /, *, idempotency_key: str | None = ...) -> m.TileJSON: ...
    @overload
    def tilejson(self, *, item_id: str, profile: str | None = ..., asset_key: str | None = ..., idempotency_key: str | None = ...) -> m.TileJSON:
        """TileJSON for an item; its tile URLs hold a token and need no header."""
    @overload
    def wmts_capabilities(self, body: m.ItemWmtsCapabilitiesInput, /, *, idempotency_key: str | None = ...) -> bytes: ...
    @overload
    def wmts_capabilities(self, *, item_id: str, base_url: str, key: str = ..., profile: str | None = ..., idempotency_key: str | None = ...) -> bytes:
        """OGC WMTS 1.0.0 service document of an item.

Its URLs begin with `base_url` and hold `key`; without one they hold a tile token."""
    @overload
    def wmts_get_tile(self, body: m.ItemWmtsGetTileInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    def wmts_get_tile(self, *, item_id: str, z: int, x: int, y: int, profile: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """A WebMercatorQuad tile of an item, as its WMTS gives it."""

class OrganizationsInvitations:
    @overload
    def accept(self, body: m.InvitationAcceptInput, /, *, idempotency_key: str | None = ...) -> m.InvitationAcceptOutput: ...
    @overload
    def accept(self, *, token: str, idempotency_key: str | None = ...) -> m.InvitationAcceptOutput:
        """Join the organization of an invitation.

Where the platform sends mail, only who has confirmed their address joins (403)."""
    @overload
    def create(self, body: m.InvitationCreateInput, /, *, idempotency_key: str | None = ...) -> m.InvitationCreateOutput: ...
    @overload
    def create(self, *, email: str, role: Literal['owner', 'admin', 'member', 'billing', 'viewer'] = ..., expires_in_days: int = ..., idempotency_key: str | None = ...) -> m.InvitationCreateOutput:
        """Invite a person to the organization; whoever opens the URL may join it once.

Owners and admins invite, and nobody to more than they are themselves. Where the platform sends mail, the person is sent the URL too; an organization mails 200 invitations in 24 hours, and 3 to one address (429)."""
    @overload
    def list(self, body: m.InvitationsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.InvitationsListOutput: ...
    @overload
    def list(self, *, limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.InvitationsListOutput:
        """List the organization's invitations."""
    @overload
    def revoke(self, body: m.InvitationRevokeInput, /, *, idempotency_key: str | None = ...) -> m.InvitationRevokeOutput: ...
    @overload
    def revoke(self, *, invitation_id: str, idempotency_key: str | None = ...) -> m.InvitationRevokeOutput:
        """Withdraw an invitation that was not accepted yet; again is no error."""

class OrganizationsMembers:
    @overload
    def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.OrganizationMembersOutput: ...
    @overload
    def list(self, *, idempotency_key: str | None = ...) -> m.OrganizationMembersOutput:
        """List the people of the caller's organization."""
    @overload
    def remove(self, body: m.MemberRemoveInput, /, *, idempotency_key: str | None = ...) -> m.MemberRemoveOutput: ...
    @overload
    def remove(self, *, user_id: str, idempotency_key: str | None = ...) -> m.MemberRemoveOutput:
        """Remove a person from the organization and its projects.

Their session says nothing here from the next request on. The invitations, webhooks and share links that they made end, and the owners are told. Keys belong to the organization and stay; revoke those that the person knows."""
    @overload
    def update(self, body: m.MemberUpdateInput, /, *, idempotency_key: str | None = ...) -> m.OrganizationsMembersMemberOutput: ...
    @overload
    def update(self, *, user_id: str, role: Literal['owner', 'admin', 'member', 'billing', 'viewer'], idempotency_key: str | None = ...) -> m.OrganizationsMembersMemberOutput:
        """Change a person's role in the organization; it holds with their next request.

Their invitations, webhooks and share links that go beyond the new role end with it, and the owners are told."""

class ProcessingCatalog:
    @overload
    def estimate(self, body: m.ProcessRunInput, /, *, idempotency_key: str | None = ...) -> m.EstimateOutput: ...
    @overload
    def estimate(self, *, process_id: str, inputs: Mapping[str, Any] = ..., idempotency_key: str | None = ...) -> m.EstimateOutput:
        """Estimate the cost of running a process with the given inputs."""
    @overload
    def get(self, body: m.ProcessGetInput, /, *, idempotency_key: str | None = ...) -> m.ProcessDescription: ...
    @overload
    def get(self, *, process_id: str, idempotency_key: str | None = ...) -> m.ProcessDescription:
        """Get one process description (public)."""
    @overload
    def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.ProcessList: ...
    @overload
    def list(self, *, idempotency_key: str | None = ...) -> m.ProcessList:
        """List available processes (OGC process catalog, public)."""
    @overload
    def validate(self, body: m.ProcessRunInput, /, *, idempotency_key: str | None = ...) -> m.ValidOutput: ...
    @overload
    def validate(self, *, process_id: str, inputs: Mapping[str, Any] = ..., idempotency_key: str | None = ...) -> m.ValidOutput:
        """Validate process inputs (an empty object means they are valid)."""

class ProcessingJob:
    @overload
    def delete(self, body: m.ProcessingJobInput, /, *, idempotency_key: str | None = ...) -> m.JobDeletedOutput: ...
    @overload
    def delete(self, *, job_id: str, idempotency_key: str | None = ...) -> m.JobDeletedOutput:
        """Delete any processing job by id; one that has not ended is cancelled first."""
    @overload
    def get(self, body: m.JobGetInput, /, *, idempotency_key: str | None = ...) -> m.ProviderJob: ...
    @overload
    def get(self, *, job_id: str, idempotency_key: str | None = ...) -> m.ProviderJob:
        """Get a processing job by id, provider shape (org-scoped)."""
    @overload
    def receipt(self, body: m.JobReceiptInput, /, *, idempotency_key: str | None = ...) -> m.JobReceiptOutput: ...
    @overload
    def receipt(self, *, job_id: str, idempotency_key: str | None = ...) -> m.JobReceiptOutput:
        """Receipt of a job that ended, and the record it can be reproduced from."""
    @overload
    def register(self, body: m.JobRegisterInput, /, *, idempotency_key: str | None = ...) -> m.JobRegisterOutput: ...
    @overload
    def register(self, *, job_id: str, outputs: Sequence[Any] | None = ..., record: m.RunRecord | None = ..., idempotency_key: str | None = ...) -> m.JobRegisterOutput:
        """Register a job's outputs as items and settle its credits; once, however often it is sent."""
    @overload
    def tile_info(self, body: m.ProcessingJobInput, /, *, idempotency_key: str | None = ...) -> m.TileInfoOutput: ...
    @overload
    def tile_info(self, *, job_id: str, idempotency_key: str | None = ...) -> m.TileInfoOutput:
        """How to show the outputs of a completed job on a map."""

class ProcessingJobTypes:
    @overload
    def list(self, body: m.JobTypesInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.JobTypesOutput: ...
    @overload
    def list(self, *, category: str | None = ..., idempotency_key: str | None = ...) -> m.JobTypesOutput:
        """List available processing job types (optionally by category)."""

class ProcessingJobs:
    @overload
    def get(self, body: m.JobGetInput, /, *, idempotency_key: str | None = ...) -> m.ProviderJob: ...
    @overload
    def get(self, *, job_id: str, idempotency_key: str | None = ...) -> m.ProviderJob:
        """Get a processing job by id, provider shape (org-scoped)."""
    @overload
    def list(self, body: m.JobsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.JobsListOutput: ...
    @overload
    def list(self, *, workspaceId: str | None = ..., processId: str | None = ..., status: str | None = ..., ids: str | None = ..., minDuration: int | None = ..., maxDuration: int | None = ..., page: int = ..., limit: int = ..., sort: str = ..., idempotency_key: str | None = ...) -> m.JobsListOutput:
        """List the org's processing jobs, provider shape (org-scoped)."""

class ProcessingProjectJob:
    @overload
    def get(self, body: m.ProjectJobGetInput, /, *, idempotency_key: str | None = ...) -> m.JobOutput: ...
    @overload
    def get(self, *, job_id: str, idempotency_key: str | None = ...) -> m.JobOutput:
        """Get a processing job by id, native shape (org match + project access)."""

class ProcessingProjectJobs:
    @overload
    def list(self, body: m.ProjectJobsInput, /, *, idempotency_key: str | None = ...) -> m.ProjectJobsOutput: ...
    @overload
    def list(self, *, project_id: str, status: str | None = ..., job_type_name: str | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.ProjectJobsOutput:
        """List a project's processing jobs (project member access)."""

class ProjectsMembers:
    @overload
    def list(self, body: m.MembersListInput, /, *, idempotency_key: str | None = ...) -> m.MembersListOutput: ...
    @overload
    def list(self, *, project_id: str, idempotency_key: str | None = ...) -> m.MembersListOutput:
        """List the people of a project with their roles."""

class ShareLink:
    @overload
    def create(self, body: m.ShareLinkCreate, /, *, idempotency_key: str | None = ...) -> m.ShareLinkCreateOutput: ...
    @overload
    def create(self, *, target_type: m.ShareTargetType, target_id: str, password: str, expires_at: str, permission: m.SharePermission = ..., idempotency_key: str | None = ...) -> m.ShareLinkCreateOutput:
        """Make a link to an item or a collection, with a password and an end (project editor).

Whoever has both reads it without an account: at `/share/{token}` as JSON, as TileJSON, as a STAC API. The token is told this once."""
    @overload
    def list(self, body: m.ShareLinksListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ShareLinksOutput: ...
    @overload
    def list(self, *, project_id: str | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.ShareLinksOutput:
        """List the links of the projects the caller may see, revoked ones included."""
    @overload
    def revoke(self, body: m.ShareLinkRef, /, *, idempotency_key: str | None = ...) -> m.ShareLinkRevokeOutput: ...
    @overload
    def revoke(self, *, link_id: str, idempotency_key: str | None = ...) -> m.ShareLinkRevokeOutput:
        """Withdraw a link for good; it opens nothing any more, nor do tiles that it led to.

Takes a project editor. What is revoked already is a 404."""
    @overload
    def validate(self, body: m.ShareLinkValidateInput, /, *, idempotency_key: str | None = ...) -> m.ShareLinkValidateOutput: ...
    @overload
    def validate(self, *, token: str, password: str = ..., idempotency_key: str | None = ...) -> m.ShareLinkValidateOutput:
        """Tell what a link shares, for who knows its password.

An unknown or revoked link is a 404, a wrong password a 403, ten of them within 15 minutes a 429, and an expired link with the right password a 410. Files have addresses that open for an hour, where the link allows to download."""

class ShareTile:
    @overload
    def render(self, body: m.ShareTileInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    def render(self, *, token: str, z: int, x: int, y: int, password: str = ..., format: str = ..., profile: str | None = ..., item_id: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """Render a map tile of a shared item; counted for the organization that shares it."""

class StacCollections:
    @overload
    def list(self, body: m.StacCollectionsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.StacCollectionsOutput: ...
    @overload
    def list(self, *, base_url: str = ..., idempotency_key: str | None = ...) -> m.StacCollectionsOutput:
        """List STAC collections of the organization that the caller may see."""

class VisualizationProfile:
    @overload
    def create(self, body: m.ProfileCreateInput, /, *, idempotency_key: str | None = ...) -> m.ProfileResponse: ...
    @overload
    def create(self, *, item_id: str, name: str, type: m.ProfileType, config: Mapping[str, Any], layer: m.ProfileLayer = ..., is_default: bool = ..., sort_order: int = ..., asset_key: str | None = ..., idempotency_key: str | None = ...) -> m.ProfileResponse:
        """Create a visualization profile for an item (editor/admin).

The first profile of an item is its default, whatever `is_default` says."""
    @overload
    def delete(self, body: m.ProfileRef, /, *, idempotency_key: str | None = ...) -> m.OkOutput: ...
    @overload
    def delete(self, *, item_id: str, profile_id: str, idempotency_key: str | None = ...) -> m.OkOutput:
        """Delete a visualization profile (editor/admin).

Where it was the default, the next one by sort_order is; an item without a profile is drawn as its file says."""
    @overload
    def get(self, body: m.ProfileGetInput, /, *, idempotency_key: str | None = ...) -> m.ProfileOutput: ...
    @overload
    def get(self, *, item_id: str, profile_id: str, idempotency_key: str | None = ...) -> m.ProfileOutput:
        """Get a single visualization profile for an item."""
    @overload
    def set_default(self, body: m.ProfileRef, /, *, idempotency_key: str | None = ...) -> m.ProfileResponse: ...
    @overload
    def set_default(self, *, item_id: str, profile_id: str, idempotency_key: str | None = ...) -> m.ProfileResponse:
        """Set a profile as the item's default (editor/admin)."""
    @overload
    def update(self, body: m.ProfileUpdateInput, /, *, idempotency_key: str | None = ...) -> m.ProfileResponse: ...
    @overload
    def update(self, *, item_id: str, profile_id: str, name: str | None = ..., type: m.ProfileType | None = ..., is_default: bool | None = ..., sort_order: int | None = ..., config: Mapping[str, Any] | None = ..., asset_key: str | None = ..., idempotency_key: str | None = ...) -> m.ProfileResponse:
        """Update a visualization profile (editor/admin).

A profile of ours whose picture somebody changes is theirs: its layer becomes `user`, and it is not made anew when the bands are named."""

class VisualizationProfiles:
    @overload
    def list(self, body: m.ProfilesListInput, /, *, idempotency_key: str | None = ...) -> m.ProfilesOutput: ...
    @overload
    def list(self, *, item_id: str, idempotency_key: str | None = ...) -> m.ProfilesOutput:
        """List all visualization profiles for an item (ordered by sort_order, created_at)."""

class Alerts:
    @overload
    def acknowledge_event(self, body: m.AcknowledgeEventInput, /, *, idempotency_key: str | None = ...) -> m.AlertEventOutput: ...
    @overload
    def acknowledge_event(self, *, event_id: str, idempotency_key: str | None = ...) -> m.AlertEventOutput:
        """Mark an alert event acknowledged (org-scoped); again changes nothing."""
    @overload
    def backtest(self, body: m.BacktestInput, /, *, idempotency_key: str | None = ...) -> m.BacktestOutput: ...
    @overload
    def backtest(self, *, rule_id: str, start: str | None = ..., end: str | None = ..., limit: int = ..., next: str | None = ..., idempotency_key: str | None = ...) -> m.BacktestOutput:
        """What a rule would have fired on over the items that are there, as they are now.

Items are read oldest first, each as if it were added at its `created_at`, with the rule's collection, asset and cooldown; whether the rule is active does not count. A page ends after `limit` items or 20 seconds; go on with `next`. What an item was before it changed is not known."""
    @overload
    def create_rule(self, body: m.CreateAlertRuleInput, /, *, idempotency_key: str | None = ...) -> m.AlertRuleOutput: ...
    @overload
    def create_rule(self, *, name: str, expression: str, comparison: str, threshold: float, description: str | None = ..., collection_id: str | None = ..., event_types: Sequence[str] = ..., threshold_upper: float | None = ..., asset_key: str = ..., band_mapping: Mapping[str, int] = ..., notification_channels: Sequence[str] = ..., cooldown_minutes: int = ..., idempotency_key: str | None = ...) -> m.AlertRuleOutput:
        """Create an alert rule for the caller's organization.

It fires on items that are added or changed from now on, in projects that whoever set it last may see: test it on one that is there with `alerts.test_rule`, on all of them with `alerts.backtest`."""
    @overload
    def delete_rule(self, body: m.DeleteAlertRuleInput, /, *, idempotency_key: str | None = ...) -> m.DeleteAlertRuleOutput: ...
    @overload
    def delete_rule(self, *, rule_id: str, idempotency_key: str | None = ...) -> m.DeleteAlertRuleOutput:
        """Delete an alert rule (org-scoped); what it fired on stays listed."""
    @property
    def events(self) -> AlertsEvents: ...
    @property
    def given_up(self) -> AlertsGivenUp: ...
    @property
    def rule(self) -> AlertsRule: ...
    @property
    def rules(self) -> AlertsRules: ...
    @overload
    def test_rule(self, body: m.TestAlertRuleInput, /, *, idempotency_key: str | None = ...) -> m.TestAlertRuleOutput: ...
    @overload
    def test_rule(self, *, rule_id: str, item_id: str, idempotency_key: str | None = ...) -> m.TestAlertRuleOutput:
        """Test-evaluate an alert rule against an item without persisting.

The mean is that of an alert event and of `zonal_stats` over the whole item."""
    @overload
    def update_rule(self, body: m.UpdateAlertRuleInput, /, *, idempotency_key: str | None = ...) -> m.AlertRuleOutput: ...
    @overload
    def update_rule(self, *, rule_id: str, name: str | None = ..., description: str | None = ..., collection_id: str | None = ..., event_types: Sequence[str] | None = ..., expression: str | None = ..., comparison: str | None = ..., threshold: float | None = ..., threshold_upper: float | None = ..., asset_key: str | None = ..., band_mapping: Mapping[str, int] | None = ..., notification_channels: Sequence[str] | None = ..., active: bool | None = ..., cooldown_minutes: int | None = ..., idempotency_key: str | None = ...) -> m.AlertRuleOutput:
        """Update an alert rule (org-scoped). From then on it watches what the caller may see.

Only the fields that are sent change. Null clears `description`, `collection_id` and `threshold_upper`; of any other field it is the same as leaving it out."""

class Analytics:
    @overload
    def band_math(self, body: m.BandMathInput, /, *, idempotency_key: str | None = ...) -> m.BandMathOutput: ...
    @overload
    def band_math(self, *, cog_url: str, bbox: Mapping[str, Any], sensor: str, formula: str, max_size: int = ..., output_format: str = ..., colormap: str = ..., vmin: float | None = ..., vmax: float | None = ..., idempotency_key: str | None = ...) -> m.BandMathOutput:
        """Apply a formula to a box of a raster: statistics, or with `output_format` png a picture."""
    @overload
    def calculate_index(self, body: m.CalculateIndexInput, /, *, idempotency_key: str | None = ...) -> m.CalculateIndexOutput: ...
    @overload
    def calculate_index(self, *, cog_url: str, bbox: Mapping[str, Any], sensor: str, index_name: str, max_size: int = ..., output_format: str = ..., colormap: str | None = ..., idempotency_key: str | None = ...) -> m.CalculateIndexOutput:
        """Calculate a spectral index on a box of a raster: statistics, or a picture."""
    @overload
    def execute(self, body: m.ExecuteRequest, /, *, idempotency_key: str | None = ...) -> m.AnalyticsExecuteOutput: ...
    @overload
    def execute(self, *, operation: str, params: Mapping[str, Any], idempotency_key: str | None = ...) -> m.AnalyticsExecuteOutput:
        """Run a registered analytics method.

The parameters are checked against the method's own schema; a 422 carries it as `expected_schema`. Where the method is unknown, `available_operations` names those there are."""
    @property
    def index(self) -> AnalyticsIndex: ...
    @property
    def indices(self) -> AnalyticsIndices: ...
    @property
    def operations(self) -> AnalyticsOperations: ...
    @property
    def sensors(self) -> AnalyticsSensors: ...
    @overload
    def validate_formula(self, body: m.ValidateFormulaInput, /, *, idempotency_key: str | None = ...) -> m.ValidateFormulaOutput: ...
    @overload
    def validate_formula(self, *, formula: str, sensor: str, idempotency_key: str | None = ...) -> m.ValidateFormulaOutput:
        """Check a formula against a sensor's bands without running it."""

class ApiKeys:
    @overload
    def create(self, body: m.ApiKeyCreateInput, /, *, idempotency_key: str | None = ...) -> m.ApiKeyCreateOutput: ...
    @overload
    def create(self, *, name: str, permissions: Sequence[str] = ..., rate_limit: int | None = ..., expires_in_days: int | None = ..., spend_cap_credits: int | None = ..., mcp_spend: bool = ..., idempotency_key: str | None = ...) -> m.ApiKeyCreateOutput:
        """Mint an organization API key (the secret is returned once).

A key can do no more than who makes it; without permissions it reads. It can spend no more credits than `spend_cap_credits`, reserved and charged together, over its whole life. What a key mints has no higher rate, no later end and no higher cap than itself, counts to its cap, and is revoked with it."""
    @overload
    def list(self, body: m.ApiKeyListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ApiKeyListOutput: ...
    @overload
    def list(self, *, idempotency_key: str | None = ...) -> m.ApiKeyListOutput:
        """List an organization's API keys (metadata only, never the secret)."""
    @overload
    def revoke(self, body: m.ApiKeyRevokeInput, /, *, idempotency_key: str | None = ...) -> m.ApiKeyRevokeOutput: ...
    @overload
    def revoke(self, *, key_id: str, keep_set_up: bool = ..., idempotency_key: str | None = ...) -> m.ApiKeyRevokeOutput:
        """Revoke an API key, and all that it minted; the next call with any of them is refused.

The webhooks and share links that they made end too, and the owners are told."""

class Assets:
    @overload
    def delete(self, body: m.AssetDeleteInput, /, *, idempotency_key: str | None = ...) -> m.AssetDeleteOutput: ...
    @overload
    def delete(self, *, item_id: str, asset_id: str, idempotency_key: str | None = ...) -> m.AssetDeleteOutput:
        """Delete an asset (file) from an item (item access required)."""

class Astra:
    @property
    def process(self) -> AstraProcess: ...

class BandFormulas:
    @overload
    def create(self, body: m.BandFormulaCreateInput, /, *, idempotency_key: str | None = ...) -> m.BandFormulaOutput: ...
    @overload
    def create(self, *, name: str, formula: str, display_name: str | None = ..., description: str | None = ..., colormap: str = ..., value_range: Sequence[float] = ..., category: str = ..., idempotency_key: str | None = ...) -> m.BandFormulaOutput:
        """Create a custom band-math formula for the caller's organization (write scope)."""
    @overload
    def delete(self, body: m.BandFormulaDeleteInput, /, *, idempotency_key: str | None = ...) -> m.BandFormulaDeleteOutput: ...
    @overload
    def delete(self, *, formula_id: str, idempotency_key: str | None = ...) -> m.BandFormulaDeleteOutput:
        """Delete a custom band-math formula (write scope; templates are protected)."""
    @overload
    def get(self, body: m.BandFormulaGetInput, /, *, idempotency_key: str | None = ...) -> m.BandFormulaDetails: ...
    @overload
    def get(self, *, formula_id: str, idempotency_key: str | None = ...) -> m.BandFormulaDetails:
        """Get a single custom band-math formula by id (org-scoped; cross-org → 404)."""
    @overload
    def list(self, body: m.BandFormulasListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.BandFormulasOutput: ...
    @overload
    def list(self, *, category: str | None = ..., include_templates: bool = ..., idempotency_key: str | None = ...) -> m.BandFormulasOutput:
        """List the caller-org's custom band-math formulas (optional category/template filters)."""
    @overload
    def update(self, body: m.BandFormulaUpdateInput, /, *, idempotency_key: str | None = ...) -> m.BandFormulaOutput: ...
    @overload
    def update(self, *, formula_id: str, name: str | None = ..., formula: str | None = ..., display_name: str | None = ..., description: str | None = ..., colormap: str | None = ..., value_range: Sequence[float] | None = ..., category: str | None = ..., idempotency_key: str | None = ...) -> m.BandFormulaOutput:
        """Update a custom band-math formula (write scope; org-scoped)."""

class Billing:
    @property
    def approvals(self) -> BillingApprovals: ...
    @property
    def auto_topup(self) -> BillingAutoTopup: ...
    @overload
    def balance(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.CreditsBalanceOutput: ...
    @overload
    def balance(self, *, idempotency_key: str | None = ...) -> m.CreditsBalanceOutput:
        """The organization's credits: owned, set aside and available."""
    @overload
    def cleanup_deleted_orgs(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.CleanupOutput: ...
    @overload
    def cleanup_deleted_orgs(self, *, idempotency_key: str | None = ...) -> m.CleanupOutput:
        """Purge data for organizations past their deletion date (cron, DESTRUCTIVE).

Their items, files, keys and people go; the ledger and the invoices stay."""
    @property
    def credits(self) -> BillingCredits: ...
    @property
    def deletions(self) -> BillingDeletions: ...
    @property
    def dlq(self) -> BillingDlq: ...
    @property
    def enterprise(self) -> BillingEnterprise: ...
    @property
    def free_tier(self) -> BillingFreeTier: ...
    @property
    def invoices(self) -> BillingInvoices: ...
    @property
    def jobs(self) -> BillingJobs: ...
    @property
    def plans(self) -> BillingPlans: ...
    @property
    def reconciliation(self) -> BillingReconciliation: ...
    @overload
    def run_monthly_cron(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.MonthlyOutput: ...
    @overload
    def run_monthly_cron(self, *, idempotency_key: str | None = ...) -> m.MonthlyOutput:
        """Run monthly billing for every org needing a run (cron).

Each month is closed once: repeat it as often as you like, also while another one runs."""
    @overload
    def run_monthly_for_org(self, body: m.OrgInput, /, *, idempotency_key: str | None = ...) -> m.MonthlyOutput: ...
    @overload
    def run_monthly_for_org(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.MonthlyOutput:
        """Run monthly billing for one org (manual; org admin)."""
    @overload
    def set_auto_topup(self, body: m.SetAutoTopupInput, /, *, idempotency_key: str | None = ...) -> m.SetAutoTopupOutput: ...
    @overload
    def set_auto_topup(self, *, enabled: bool, threshold_credits: int, topup_amount_credits: int, daily_charge_cap_aud: float | str | None = ..., idempotency_key: str | None = ...) -> m.SetAutoTopupOutput:
        """Configure automatic top-up; enabling it needs a default card (else 402).

An amount above the organization's approval threshold answers 409 `approval-required`: nobody would approve what is bought by itself."""
    @property
    def status(self) -> BillingStatus: ...
    @property
    def stripe_invoices(self) -> BillingStripeInvoices: ...
    @overload
    def topup(self, body: m.TopupInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.TopupOutput: ...
    @overload
    def topup(self, *, credits: int | None = ..., amount_aud: float | str | None = ..., payment_method_row_id: str | None = ..., idempotency_key: str | None = ...) -> m.TopupOutput:
        """Charge a saved card without its holder and add the credits.

A card that wants 3-D Secure answers `requires_action`. Above the organization's threshold the answer is 409 `approval-required`, without a card or with one that is declined 402. After a 503 nobody knows yet whether the card was charged: repeat the call with the same Idempotency-Key."""

class Clip:
    @property
    def area(self) -> ClipArea: ...
    @property
    def areas(self) -> ClipAreas: ...
    @overload
    def create_from_area(self, body: m.ClipCreateFromAreaInput, /, *, idempotency_key: str | None = ...) -> m.ClipCreateOutput: ...
    @overload
    def create_from_area(self, *, area: str, mosaic_types: Sequence[str], aoi_geometry: Mapping[str, Any], organization_id: str, aoi_name: str | None = ..., project_id: str | None = ..., use_cache: bool = ..., idempotency_key: str | None = ...) -> m.ClipCreateOutput:
        """Clip mosaics of an area to an AOI as a processing job."""
    @overload
    def create_from_item(self, body: m.ClipCreateFromItemInput, /, *, idempotency_key: str | None = ...) -> m.ClipCreateOutput: ...
    @overload
    def create_from_item(self, *, source_item_id: str, project_id: str, aoi_geometry: Mapping[str, Any], asset_keys: Sequence[str] | None = ..., output_name: str | None = ..., target_collection_id: str | None = ..., use_cache: bool = ..., idempotency_key: str | None = ...) -> m.ClipCreateOutput:
        """Clip a source item to an AOI as a processing job."""
    @property
    def job(self) -> ClipJob: ...
    @property
    def jobs(self) -> ClipJobs: ...

class Cog:
    @overload
    def colormaps(self, body: m.CogEmptyInput | None = ..., /, *, idempotency_key: str | None = ...) -> dict[str, builtins.list[str]]: ...
    @overload
    def colormaps(self, *, idempotency_key: str | None = ...) -> dict[str, builtins.list[str]]:
        """Colormaps by group."""
    @overload
    def formulas(self, body: m.CogEmptyInput | None = ..., /, *, idempotency_key: str | None = ...) -> dict[str, m.Formula]: ...
    @overload
    def formulas(self, *, idempotency_key: str | None = ...) -> dict[str, m.Formula]:
        """Ready-made index formulas."""
    @overload
    def statistics(self, body: m.CogStatsInput, /, *, idempotency_key: str | None = ...) -> m.CogStatsOutput: ...
    @overload
    def statistics(self, *, url: str, geometry: Mapping[str, Any], expression: str | None = ..., bands: str | None = ..., percentiles: Sequence[Any] = ..., idempotency_key: str | None = ...) -> m.CogStatsOutput:
        """Percentiles of a raster inside an area."""
    @overload
    def thumbnail(self, body: m.CogThumbnailInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    def thumbnail(self, *, url: str, width: int = ..., height: int = ..., idempotency_key: str | None = ...) -> Any:
        """Small preview image of a raster."""
    @property
    def tile(self) -> CogTile: ...

class Collections:
    @overload
    def create(self, body: m.CollectionCreateInput, /, *, idempotency_key: str | None = ...) -> m.CollectionResponse: ...
    @overload
    def create(self, *, name: str, project_id: str, description: str | None = ..., color: str | None = ..., show_on_map: bool = ..., layer_order: int = ..., slug: str | None = ..., stac: Mapping[str, Any] = ..., idempotency_key: str | None = ...) -> m.CollectionResponse:
        """Create an organizing collection within a project (editor/admin required)."""
    @overload
    def delete(self, body: m.CollectionDeleteInput, /, *, idempotency_key: str | None = ...) -> m.CollectionDeleteOutput: ...
    @overload
    def delete(self, *, project_id: str, collection_id: str, items: Literal['keep', 'delete'] = ..., idempotency_key: str | None = ...) -> m.CollectionDeleteOutput:
        """Soft-delete a collection, unlinking or deleting its items (project admin required).

To delete them takes the scope `items:write` too. Items that are deleted with it are gone with the answer. Of more than 500 items the rows follow in batches, and with each its events `item.deleted` and its bytes; until then those that stay still name it."""
    @overload
    def get(self, body: m.CollectionsGetInput, /, *, idempotency_key: str | None = ...) -> m.CollectionGetOutput: ...
    @overload
    def get(self, *, project_id: str, collection_id: str, idempotency_key: str | None = ...) -> m.CollectionGetOutput:
        """Read a project's collection."""
    @overload
    def list(self, body: m.CollectionsCollectionsListInput, /, *, idempotency_key: str | None = ...) -> m.CollectionsListOutput: ...
    @overload
    def list(self, *, project_id: str, idempotency_key: str | None = ...) -> m.CollectionsListOutput:
        """List a project's collections."""
    @overload
    def update(self, body: m.CollectionUpdateInput, /, *, idempotency_key: str | None = ...) -> m.CollectionResponse: ...
    @overload
    def update(self, *, project_id: str, collection_id: str, name: str | None = ..., description: str | None = ..., color: str | None = ..., show_on_map: bool | None = ..., layer_order: int | None = ..., stac: Mapping[str, Any] | None = ..., set_stac: Mapping[str, Any] = ..., unset_stac: Sequence[str] = ..., public: bool | None = ..., idempotency_key: str | None = ...) -> m.CollectionResponse:
        """Update a collection's metadata (editor/admin required; admin to make it public or not)."""

class EventSubscriptions:
    @overload
    def create(self, body: m.CreateSubscriptionInput, /, *, idempotency_key: str | None = ...) -> m.SubscriptionOutput: ...
    @overload
    def create(self, *, event_type: str, endpoint_url: str, filter_config: Mapping[str, Any] = ..., headers: Mapping[str, str] = ..., description: str | None = ..., idempotency_key: str | None = ...) -> m.SubscriptionOutput:
        """Create a webhook subscription for the caller's organization.

Events from now on are sent to the address; the secret that signs them is shown this once. Who sees some of the organization's projects only is told of events in those."""
    @overload
    def delete(self, body: m.SubscriptionInput, /, *, idempotency_key: str | None = ...) -> m.DeleteSubscriptionOutput: ...
    @overload
    def delete(self, *, subscription_id: str, idempotency_key: str | None = ...) -> m.DeleteSubscriptionOutput:
        """Delete a webhook subscription (org-scoped); what waits to be sent is dropped."""
    @property
    def deliveries(self) -> EventSubscriptionsDeliveries: ...
    @overload
    def get(self, body: m.SubscriptionInput, /, *, idempotency_key: str | None = ...) -> m.SubscriptionGetOutput: ...
    @overload
    def get(self, *, subscription_id: str, idempotency_key: str | None = ...) -> m.SubscriptionGetOutput:
        """Get a single webhook subscription (org-scoped; secret redacted)."""
    @overload
    def list(self, body: m.ListSubscriptionsInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.SubscriptionListOutput: ...
    @overload
    def list(self, *, event_type: str | None = ..., active: bool | None = ..., idempotency_key: str | None = ...) -> m.SubscriptionListOutput:
        """List the caller's organization's webhook subscriptions (secret redacted)."""
    @overload
    def rotate_secret(self, body: m.RotateSecretInput, /, *, idempotency_key: str | None = ...) -> m.RotateSecretOutput: ...
    @overload
    def rotate_secret(self, *, subscription_id: str, valid_hours: int = ..., idempotency_key: str | None = ...) -> m.RotateSecretOutput:
        """Give a subscription a new secret; for a time messages are signed with both.

Standard Webhooks' header then has two signatures, X-Geopera-Signature is by the new one. A third secret ends the validity of the first."""
    @overload
    def test(self, body: m.SubscriptionInput, /, *, idempotency_key: str | None = ...) -> m.TestSubscriptionOutput: ...
    @overload
    def test(self, *, subscription_id: str, idempotency_key: str | None = ...) -> m.TestSubscriptionOutput:
        """Send a test event to a webhook subscription and return the delivery result.

A real one: signed, with the subscription's headers, whether it is active or not. It is tried once."""
    @overload
    def update(self, body: m.UpdateSubscriptionInput, /, *, idempotency_key: str | None = ...) -> m.SubscriptionOutput: ...
    @overload
    def update(self, *, subscription_id: str, endpoint_url: str | None = ..., filter_config: Mapping[str, Any] | None = ..., headers: Mapping[str, str] | None = ..., active: bool | None = ..., description: str | None = ..., idempotency_key: str | None = ...) -> m.SubscriptionOutput:
        """Update a webhook subscription (org-scoped).

One that is enabled again begins with the events from then; what was given up meanwhile can be replayed. Where its maker has left or may see less than it tells, who enables it takes it over. Another host is not sent the headers of the one before: give them again where it needs them."""

class Items:
    @property
    def asset(self) -> ItemsAsset: ...
    @overload
    def create(self, body: m.ItemCreateInput, /, *, idempotency_key: str | None = ...) -> m.ItemResponse: ...
    @overload
    def create(self, *, type: m.ItemType, name: str, project_id: str, collection_id: str | None = ..., stac_id: str | None = ..., geometry: Mapping[str, Any] | None = ..., bbox: Sequence[float] | None = ..., datetime: str | None = ..., start_datetime: str | None = ..., end_datetime: str | None = ..., cloud_cover: float | None = ..., gsd: float | None = ..., description: str | None = ..., properties: Mapping[str, Any] = ..., stac_extensions: Sequence[str] = ..., order_id: str | None = ..., upload_id: str | None = ..., job_id: str | None = ..., assets: Mapping[str, Any] = ..., links: Sequence[Mapping[str, Any]] = ..., idempotency_key: str | None = ...) -> m.ItemResponse:
        """Create an item within a project (editor/admin on the project)."""
    @overload
    def delete(self, body: m.ItemDeleteInput, /, *, idempotency_key: str | None = ...) -> m.ItemDeleteOutput: ...
    @overload
    def delete(self, *, item_id: str, idempotency_key: str | None = ...) -> m.ItemDeleteOutput:
        """Soft-delete an item (admin/editor on the item's project required).

Its assets go with it; a file is removed, and its bytes are free, with the last asset that names it."""
    @overload
    def detect_asset_bands(self, body: m.DetectBandsInput, /, *, idempotency_key: str | None = ...) -> m.DetectBandsOutput: ...
    @overload
    def detect_asset_bands(self, *, item_id: str, asset_id: str, idempotency_key: str | None = ...) -> m.DetectBandsOutput:
        """Auto-detect band names for an asset from its reflectance statistics.

Changes nothing: items.set_asset_band_names takes the names over."""
    @overload
    def duplicate(self, body: m.ItemDuplicateInput, /, *, idempotency_key: str | None = ...) -> m.ItemResponse: ...
    @overload
    def duplicate(self, *, item_id: str, new_name: str | None = ..., target_collection_id: str | None = ..., target_project_id: str | None = ..., idempotency_key: str | None = ...) -> m.ItemResponse:
        """Duplicate an item with its assets + viz profiles (admin/editor on the project).

The copy shares the objects of the original; each object goes when the last asset that names it does."""
    @overload
    def expire_batch(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.ExpireOutput: ...
    @overload
    def expire_batch(self, *, idempotency_key: str | None = ...) -> m.ExpireOutput:
        """Transition all past-expiry items to 'expired' (the hourly retention cron).

Their files are not given out any more. Items that end within a week become 'expiring'."""
    @overload
    def get(self, body: m.ItemGetInput, /, *, idempotency_key: str | None = ...) -> m.ItemGetOutput: ...
    @overload
    def get(self, *, item_id: str, idempotency_key: str | None = ...) -> m.ItemGetOutput:
        """Fetch a single catalog item by id."""
    @overload
    def get_stac(self, body: m.ItemStacInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    def get_stac(self, *, item_id: str, base_url: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """Read an item as a STAC Feature, with its provenance."""
    @overload
    def import_(self, body: m.ItemsImportInput, /, *, idempotency_key: str | None = ...) -> m.ItemsImportOutput: ...
    @overload
    def import_(self, *, project_id: str, items: Sequence[Any], collection_id: str | None = ..., method: m.ImportMethod = ..., atomic: bool = ..., idempotency_key: str | None = ...) -> m.ItemsImportOutput:
        """Store up to 10,000 STAC items, each with an outcome of its own.

An item that is there with the same content is left as it is, so an import may be repeated. Assets keep their hrefs. One bad item fails alone, unless `atomic` is set."""
    @overload
    def lineage(self, body: m.ItemLineageInput, /, *, idempotency_key: str | None = ...) -> m.ItemLineageOutput: ...
    @overload
    def lineage(self, *, item_id: str, idempotency_key: str | None = ...) -> m.ItemLineageOutput:
        """Get the lineage tree (parents + children) for an item."""
    @overload
    def list(self, body: m.ItemsListInput, /, *, idempotency_key: str | None = ...) -> m.ItemsPage: ...
    @overload
    def list(self, *, project_id: str, collection_id: str | None = ..., uncollected: bool = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.ItemsPage:
        """List a project's items, newest first."""
    @overload
    def list_assets(self, body: m.ItemAssetsInput, /, *, idempotency_key: str | None = ...) -> m.ItemAssetsOutput: ...
    @overload
    def list_assets(self, *, item_id: str, pictures: bool = ..., idempotency_key: str | None = ...) -> m.ItemAssetsOutput:
        """List the files of an item: what it was given, without the pictures drawn of it."""
    @overload
    def list_by_collection(self, body: m.ItemsByCollectionInput, /, *, idempotency_key: str | None = ...) -> m.ItemsPage: ...
    @overload
    def list_by_collection(self, *, collection_id: str, limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.ItemsPage:
        """List a collection's items, newest first."""
    @overload
    def list_expiring(self, body: m.ExpiringInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ExpiringOutput: ...
    @overload
    def list_expiring(self, *, days: int = ..., idempotency_key: str | None = ...) -> m.ExpiringOutput:
        """List items approaching retention expiry (system-wide, for the notification cron)."""
    @overload
    def search(self, body: m.ProjectItemSearchInput, /, *, idempotency_key: str | None = ...) -> m.FeatureCollectionOutput: ...
    @overload
    def search(self, *, project_id: str, bbox: Sequence[float] | None = ..., datetime: str | None = ..., limit: int = ..., offset: int = ..., collections: Sequence[str] | None = ..., type: m.ItemType | None = ..., query: Mapping[str, Any] | None = ..., sortby: Sequence[Mapping[str, str]] | None = ..., format: str | None = ..., base_url: str | None = ..., idempotency_key: str | None = ...) -> m.FeatureCollectionOutput:
        """Search a project's items with STAC-compatible filters (project member access)."""
    @overload
    def search_org(self, body: m.OrgItemSearchInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.FeatureCollectionOutput: ...
    @overload
    def search_org(self, *, bbox: Sequence[float] | None = ..., datetime: str | None = ..., limit: int = ..., offset: int = ..., collections: Sequence[str] | None = ..., type: m.ItemType | None = ..., query: Mapping[str, Any] | None = ..., sortby: Sequence[Mapping[str, str]] | None = ..., format: str | None = ..., base_url: str | None = ..., idempotency_key: str | None = ...) -> m.FeatureCollectionOutput:
        """Search all items across the caller's organization (STAC-compatible)."""
    @overload
    def set_asset_band_names(self, body: m.SetBandNamesInput, /, *, idempotency_key: str | None = ...) -> m.AssetOutput: ...
    @overload
    def set_asset_band_names(self, *, item_id: str, asset_id: str, band_names: Sequence[str], idempotency_key: str | None = ...) -> m.AssetOutput:
        """Rename the bands on an item's asset (project member access).

The item's own profile `auto` follows the names. A profile that draws a band by a name that would be gone stands in the way."""
    @property
    def tile(self) -> ItemsTile: ...
    @overload
    def update(self, body: m.ItemUpdateInput, /, *, idempotency_key: str | None = ...) -> m.ItemResponse: ...
    @overload
    def update(self, *, item_id: str, collection_id: str | None = ..., name: str | None = ..., description: str | None = ..., geometry: Mapping[str, Any] | None = ..., bbox: Sequence[float] | None = ..., datetime: str | None = ..., start_datetime: str | None = ..., end_datetime: str | None = ..., cloud_cover: float | None = ..., gsd: float | None = ..., properties: Mapping[str, Any] | None = ..., lifecycle_state: m.LifecycleState | None = ..., stac_extensions: Sequence[str] | None = ..., assets: Mapping[str, Any] | None = ..., links: Sequence[Mapping[str, Any]] | None = ..., set_properties: Mapping[str, Any] | None = ..., clear: Sequence[str] = ..., idempotency_key: str | None = ...) -> m.ItemResponse:
        """Update an item's mutable metadata (editor/admin on its project)."""

class Notifications:
    @overload
    def dismiss(self, body: m.NotificationRef, /, *, idempotency_key: str | None = ...) -> m.NotificationOutput: ...
    @overload
    def dismiss(self, *, notification_id: str, idempotency_key: str | None = ...) -> m.NotificationOutput:
        """Hide one notification for good; 404 where it is hidden already, or is not the caller's."""
    @overload
    def list(self, body: m.NotificationsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> builtins.list[m.NotificationOutput]: ...
    @overload
    def list(self, *, unread_only: bool = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> builtins.list[m.NotificationOutput]:
        """List the caller's notifications, newest first, without those dismissed.

A key has none."""
    @overload
    def mark_all_read(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.MarkAllReadOutput: ...
    @overload
    def mark_all_read(self, *, idempotency_key: str | None = ...) -> m.MarkAllReadOutput:
        """Mark every notification that counts as unread as read."""
    @overload
    def mark_read(self, body: m.NotificationRef, /, *, idempotency_key: str | None = ...) -> m.NotificationOutput: ...
    @overload
    def mark_read(self, *, notification_id: str, idempotency_key: str | None = ...) -> m.NotificationOutput:
        """Mark one notification as read; 404 where it is read already, or is not the caller's."""
    @overload
    def unread_count(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.UnreadCount: ...
    @overload
    def unread_count(self, *, idempotency_key: str | None = ...) -> m.UnreadCount:
        """Count the caller's notifications that are neither read nor dismissed.

`GET /v1/notifications/stream` sends the same number whenever it changes."""

class Organizations:
    @overload
    def create(self, body: m.OrganizationCreateInput, /, *, idempotency_key: str | None = ...) -> m.OrganizationCreateOutput: ...
    @overload
    def create(self, *, name: str, description: str | None = ..., website: str | None = ..., industry: str | None = ..., size: str | None = ..., country: str | None = ..., abn: str | None = ..., tax_number: str | None = ..., billing_email: str | None = ..., billing_admin_id: str | None = ..., billing_address: Mapping[str, Any] | None = ..., enterprise_billing: bool = ..., idempotency_key: str | None = ...) -> m.OrganizationCreateOutput:
        """Create an organization; the caller becomes its owner and it receives the signup credits."""
    @overload
    def get(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.OrganizationGetOutput: ...
    @overload
    def get(self, *, idempotency_key: str | None = ...) -> m.OrganizationGetOutput:
        """Read the caller's organization."""
    @property
    def invitations(self) -> OrganizationsInvitations: ...
    @property
    def members(self) -> OrganizationsMembers: ...

class PaymentMethods:
    @overload
    def attach(self, body: m.AttachInput, /, *, idempotency_key: str | None = ...) -> m.PaymentMethodOutput: ...
    @overload
    def attach(self, *, payment_method_id: str, idempotency_key: str | None = ...) -> m.PaymentMethodOutput:
        """Keep a confirmed card; the first one is the default."""
    @overload
    def create_setup_intent(self, body: m.SetupIntentInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.SetupIntentOutput: ...
    @overload
    def create_setup_intent(self, *, idempotency_key: str | None = ...) -> m.SetupIntentOutput:
        """Begin to save a card for charges without its holder; answers a Stripe SetupIntent."""
    @overload
    def detach(self, body: m.DetachInput, /, *, idempotency_key: str | None = ...) -> m.DetachOutput: ...
    @overload
    def detach(self, *, payment_method_row_id: str, idempotency_key: str | None = ...) -> m.DetachOutput:
        """Forget a saved card. Where it was the default there is none until another is chosen."""
    @overload
    def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.PaymentMethodsOutput: ...
    @overload
    def list(self, *, idempotency_key: str | None = ...) -> m.PaymentMethodsOutput:
        """List the organization's saved cards."""
    @overload
    def set_default(self, body: m.SetDefaultInput, /, *, idempotency_key: str | None = ...) -> m.PaymentMethodOutput: ...
    @overload
    def set_default(self, *, payment_method_row_id: str, idempotency_key: str | None = ...) -> m.PaymentMethodOutput:
        """Choose the card that is charged where none is named."""

class Processing:
    @property
    def catalog(self) -> ProcessingCatalog: ...
    @overload
    def create(self, body: m.ProcessingCreateInput, /, *, idempotency_key: str | None = ...) -> m.JobOutput: ...
    @overload
    def create(self, *, project_id: str, job_type_id: str, input_params: Mapping[str, Any] = ..., target_collection_id: str | None = ..., use_cache: bool = ..., idempotency_key: str | None = ...) -> m.JobOutput:
        """Create a processing job, reserving its credits; it waits for processing.dispatch."""
    @overload
    def create_and_dispatch(self, body: m.ProcessingCreateInput, /, *, idempotency_key: str | None = ...) -> m.ProcessingDispatchOutput: ...
    @overload
    def create_and_dispatch(self, *, project_id: str, job_type_id: str, input_params: Mapping[str, Any] = ..., target_collection_id: str | None = ..., use_cache: bool = ..., idempotency_key: str | None = ...) -> m.ProcessingDispatchOutput:
        """Create a processing job and hand it to a worker in one step."""
    @overload
    def dispatch(self, body: m.ProcessingDispatchInput, /, *, idempotency_key: str | None = ...) -> m.ProcessingDispatchOutput: ...
    @overload
    def dispatch(self, *, job_id: str, version: str = ..., idempotency_key: str | None = ...) -> m.ProcessingDispatchOutput:
        """Dispatch an existing pending processing job to its registered worker."""
    @overload
    def execute(self, body: m.ProcessExecuteInput, /, *, idempotency_key: str | None = ...) -> m.ProcessExecuteOutput: ...
    @overload
    def execute(self, *, process_id: str, workspaceId: str, inputs: Mapping[str, Any] = ..., use_cache: bool = ..., subscriber: m.Subscriber | None = ..., response: Literal['raw', 'document'] | None = ..., outputs: Mapping[str, m.OutputWish] | None = ..., idempotency_key: str | None = ...) -> m.ProcessExecuteOutput:
        """Execute a process (reserve credits + dispatch a job)."""
    @property
    def job(self) -> ProcessingJob: ...
    @property
    def job_types(self) -> ProcessingJobTypes: ...
    @property
    def jobs(self) -> ProcessingJobs: ...
    @property
    def project_job(self) -> ProcessingProjectJob: ...
    @property
    def project_jobs(self) -> ProcessingProjectJobs: ...

class Projects:
    @overload
    def add_member(self, body: m.AddMemberInput, /, *, idempotency_key: str | None = ...) -> m.ProjectsMemberOutput: ...
    @overload
    def add_member(self, *, project_id: str, user_id: str, role: str = ..., idempotency_key: str | None = ...) -> m.ProjectsMemberOutput:
        """Add a person of the organization to a workspace (project admin or owner)."""
    @overload
    def archive(self, body: m.ProjectArchiveInput, /, *, idempotency_key: str | None = ...) -> m.ProjectResponse: ...
    @overload
    def archive(self, *, project_id: str, name: str | None = ..., description: str | None = ..., is_archived: bool | None = ..., idempotency_key: str | None = ...) -> m.ProjectResponse:
        """Archive a workspace, hiding it from the default list (project admin or owner)."""
    @overload
    def create(self, body: m.ProjectCreate, /, *, idempotency_key: str | None = ...) -> m.ProjectResponse: ...
    @overload
    def create(self, *, name: str, description: str | None = ..., gcs_region: m.GcsRegion = ..., idempotency_key: str | None = ...) -> m.ProjectResponse:
        """Create a workspace in the caller's organization; its creator becomes owner."""
    @overload
    def delete(self, body: m.ProjectDeleteInput, /, *, idempotency_key: str | None = ...) -> m.ProjectDeleteOutput: ...
    @overload
    def delete(self, *, project_id: str, idempotency_key: str | None = ...) -> m.ProjectDeleteOutput:
        """Delete a workspace with its collections, items, assets and objects (project admin or owner).

All of it is gone with the answer, and `storage_freed_bytes` are free: the bytes of all files that nothing outside of the project names. Of more than 500 items the rows and objects follow in batches, and with each its events `item.deleted`. Jobs that wait are cancelled and their reservations released; a running one is told to stop and can register nothing any more."""
    @overload
    def get(self, body: m.ProjectGetInput, /, *, idempotency_key: str | None = ...) -> m.ProjectGetOutput: ...
    @overload
    def get(self, *, project_id: str, idempotency_key: str | None = ...) -> m.ProjectGetOutput:
        """Read one project."""
    @overload
    def list(self, body: m.ProjectListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ProjectListOutput: ...
    @overload
    def list(self, *, limit: int = ..., offset: int = ..., include_archived: bool = ..., idempotency_key: str | None = ...) -> m.ProjectListOutput:
        """List the projects the caller sees, newest first; archived ones only where asked for."""
    @property
    def members(self) -> ProjectsMembers: ...
    @overload
    def remove_member(self, body: m.RemoveMemberInput, /, *, idempotency_key: str | None = ...) -> m.RemoveMemberOutput: ...
    @overload
    def remove_member(self, *, project_id: str, user_id: str, idempotency_key: str | None = ...) -> m.RemoveMemberOutput:
        """Remove a person from a workspace (project admin or owner).

Share links of it that they made end, where they do not see it as an owner or admin of the organization."""
    @overload
    def update(self, body: m.ProjectUpdateInput, /, *, idempotency_key: str | None = ...) -> m.ProjectResponse: ...
    @overload
    def update(self, *, project_id: str, name: str | None = ..., description: str | None = ..., is_archived: bool | None = ..., idempotency_key: str | None = ...) -> m.ProjectResponse:
        """Change a workspace's name, description or archived flag (project admin or owner)."""
    @overload
    def update_member(self, body: m.UpdateMemberInput, /, *, idempotency_key: str | None = ...) -> m.ProjectsMemberOutput: ...
    @overload
    def update_member(self, *, project_id: str, user_id: str, role: str, idempotency_key: str | None = ...) -> m.ProjectsMemberOutput:
        """Change a member's role in a workspace (project admin or owner)."""

class Provenance:
    @overload
    def get(self, body: m.LineageGetInput, /, *, idempotency_key: str | None = ...) -> m.LineageGetOutput: ...
    @overload
    def get(self, *, entity_type: str, entity_id: str, direction: str = ..., max_depth: int = ..., idempotency_key: str | None = ...) -> m.LineageGetOutput:
        """Walk the ancestors or descendants of one entity."""

class SavedSearches:
    @overload
    def create(self, body: m.SavedSearchCreateInput, /, *, idempotency_key: str | None = ...) -> m.SavedSearch: ...
    @overload
    def create(self, *, name: str, search: m.SearchDocument, project_id: str | None = ..., description: str | None = ..., idempotency_key: str | None = ...) -> m.SavedSearch:
        """Save a search under a name (project editor, or organization admin).

From then on its feed tells what comes to match it, and `saved_search.matched` is published."""
    @overload
    def delete(self, body: m.SavedSearchDeleteInput, /, *, idempotency_key: str | None = ...) -> m.SavedSearchDeleteOutput: ...
    @overload
    def delete(self, *, search_id: str, idempotency_key: str | None = ...) -> m.SavedSearchDeleteOutput:
        """Delete a saved search and its feed (project editor, or organization admin)."""
    @overload
    def feed(self, body: m.SavedSearchFeedInput, /, *, idempotency_key: str | None = ...) -> m.SavedSearchFeedOutput: ...
    @overload
    def feed(self, *, search_id: str, cursor: str | None = ..., limit: int = ..., items: bool = ..., base_url: str | None = ..., idempotency_key: str | None = ...) -> m.SavedSearchFeedOutput:
        """What came to match a saved search since a cursor, in order, each entry at least once.

Entries do not change and their order is final: the same cursor gives the same entries again."""
    @overload
    def get(self, body: m.SavedSearchGetInput, /, *, idempotency_key: str | None = ...) -> m.SavedSearchGetOutput: ...
    @overload
    def get(self, *, search_id: str, idempotency_key: str | None = ...) -> m.SavedSearchGetOutput:
        """Read a saved search."""
    @overload
    def items(self, body: m.SavedSearchItemsInput, /, *, idempotency_key: str | None = ...) -> m.FeatureCollectionOutput: ...
    @overload
    def items(self, *, search_id: str, limit: int | None = ..., token: str | None = ..., base_url: str | None = ..., idempotency_key: str | None = ...) -> m.FeatureCollectionOutput:
        """The items a saved search finds now, of those the caller may see."""
    @overload
    def list(self, body: m.SavedSearchListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.SavedSearchListOutput: ...
    @overload
    def list(self, *, project_id: str | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.SavedSearchListOutput:
        """List the saved searches the caller may see: of one project, or all."""
    @overload
    def update(self, body: m.SavedSearchUpdateInput, /, *, idempotency_key: str | None = ...) -> m.SavedSearch: ...
    @overload
    def update(self, *, search_id: str, name: str | None = ..., description: str | None = ..., search: m.SearchDocument | None = ..., idempotency_key: str | None = ...) -> m.SavedSearch:
        """Change a saved search (project editor, or organization admin).

The feed goes on with the new search; it does not go back over items that did not change."""

class Share:
    @property
    def link(self) -> ShareLink: ...
    @property
    def tile(self) -> ShareTile: ...
    @overload
    def tilejson(self, body: m.ShareTilejsonInput, /, *, idempotency_key: str | None = ...) -> m.TileJSON: ...
    @overload
    def tilejson(self, *, token: str, password: str = ..., profile: str | None = ..., item_id: str | None = ..., idempotency_key: str | None = ...) -> m.TileJSON:
        """TileJSON of a shared item; its tile URLs hold a key for an hour, and not the password."""

class Stac:
    @property
    def collections(self) -> StacCollections: ...
    @overload
    def search(self, body: m.SearchInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.FeatureCollectionOutput: ...
    @overload
    def search(self, *, base_url: str = ..., collections: Sequence[str] | None = ..., ids: Sequence[str] | None = ..., datetime: str | None = ..., sortby: Sequence[m.SortClause] | None = ..., limit: int = ..., page: int = ..., filter: Mapping[str, Any] | None = ..., filter_lang: str | None = ..., bbox: Sequence[float] | None = ..., intersects: Mapping[str, Any] | None = ..., idempotency_key: str | None = ...) -> m.FeatureCollectionOutput:
        """Search the items the caller may see, as the STAC API's search does."""

class Uploads:
    @overload
    def complete(self, body: m.UploadCompleteInput, /, *, idempotency_key: str | None = ...) -> m.UploadCompleteOutput: ...
    @overload
    def complete(self, *, upload_id: str, files: Sequence[m.UploadedFile] | None = ..., name: str | None = ..., description: str | None = ..., datetime: str | None = ..., start_datetime: str | None = ..., end_datetime: str | None = ..., collection_id: str | None = ..., properties: Mapping[str, Any] = ..., stac_id: str | None = ..., type: m.ItemType = ..., idempotency_key: str | None = ...) -> m.UploadCompleteOutput:
        """Finalize an upload session — ingest the uploaded file(s) into items + assets."""
    @overload
    def fail(self, body: m.UploadFailInput, /, *, idempotency_key: str | None = ...) -> m.UploadOutput: ...
    @overload
    def fail(self, *, upload_id: str, error_message: str, error_step: str | None = ..., idempotency_key: str | None = ...) -> m.UploadOutput:
        """Mark an upload session failed, releasing its storage reservation."""
    @overload
    def get(self, body: m.UploadGetInput, /, *, idempotency_key: str | None = ...) -> m.UploadGetOutput: ...
    @overload
    def get(self, *, upload_id: str, idempotency_key: str | None = ...) -> m.UploadGetOutput:
        """Read an upload session."""
    @overload
    def initiate(self, body: m.UploadInitiate, /, *, idempotency_key: str | None = ...) -> m.UploadOutput: ...
    @overload
    def initiate(self, *, project_id: str, transfer_method: str = ..., file_count: int = ..., total_bytes: int = ..., target_collection_id: str | None = ..., target_item_id: str | None = ..., asset_key: str | None = ..., is_categorical: bool = ..., idempotency_key: str | None = ...) -> m.UploadOutput:
        """Start an upload session, reserving storage quota (editor/admin on the project)."""
    @overload
    def progress(self, body: m.UploadProgressInput, /, *, idempotency_key: str | None = ...) -> m.UploadOutput: ...
    @overload
    def progress(self, *, upload_id: str, status: str | None = ..., bytes_uploaded: int | None = ..., idempotency_key: str | None = ...) -> m.UploadOutput:
        """Update an upload session's progress."""
    @overload
    def signed_url(self, body: m.SignedUrlInput, /, *, idempotency_key: str | None = ...) -> m.SignedUrlOutput: ...
    @overload
    def signed_url(self, *, upload_id: str, file_name: str, content_type: str = ..., idempotency_key: str | None = ...) -> m.SignedUrlOutput:
        """Mint a signed URL for uploading a file into an upload session."""

class Usage:
    @overload
    def current(self, body: m.UsageCurrentInput, /, *, idempotency_key: str | None = ...) -> m.UsageCurrentOutput: ...
    @overload
    def current(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.UsageCurrentOutput:
        """Tell what the organization has used in this month (UTC).

Reads are counted within seconds of their answer, everything else at once."""
    @overload
    def history(self, body: m.UsageHistoryInput, /, *, idempotency_key: str | None = ...) -> m.UsageHistoryOutput: ...
    @overload
    def history(self, *, organization_id: str, months: int = ..., idempotency_key: str | None = ...) -> m.UsageHistoryOutput:
        """Tell what the organization used in each of the last months (UTC), this one included."""
    @overload
    def recalculate_storage(self, body: m.RecalculateInput, /, *, idempotency_key: str | None = ...) -> m.RecalculateOutput: ...
    @overload
    def recalculate_storage(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.RecalculateOutput:
        """Set the count of stored bytes to what the files take (organization admin).

A file that several items share counts once. `previous_bytes` is what was counted before."""

class Visualization:
    @overload
    def list_for(self, body: m.VisualizationListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.VisualizationListOutput: ...
    @overload
    def list_for(self, *, band_roles: Mapping[str, int] = ..., data_type: str = ..., render_params: Mapping[str, Any] = ..., asset: str | None = ..., idempotency_key: str | None = ...) -> m.VisualizationListOutput:
        """The visualizations available for an item — RGB/index/elevation — backend-owned + resolved.

Give the bands by their roles, as in `{"red": 3, "green": 2, "blue": 1}`; spellings such as `B04` or `Near Infrared` are understood."""
    @property
    def profile(self) -> VisualizationProfile: ...
    @property
    def profiles(self) -> VisualizationProfiles: ...

class Webhooks:
    @overload
    def drain(self, body: m.DrainInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.DrainOutput: ...
    @overload
    def drain(self, *, limit: int | None = ..., idempotency_key: str | None = ...) -> m.DrainOutput:
        """Deliver due/retryable webhook deliveries (cron drainer).

Events that nobody has passed on are passed on first. Workers do the same all the time."""

class Tree:
    @property
    def alerts(self) -> Alerts: ...
    @property
    def analytics(self) -> Analytics: ...
    @property
    def api_keys(self) -> ApiKeys: ...
    @property
    def assets(self) -> Assets: ...
    @property
    def astra(self) -> Astra: ...
    @property
    def band_formulas(self) -> BandFormulas: ...
    @property
    def billing(self) -> Billing: ...
    @property
    def clip(self) -> Clip: ...
    @property
    def cog(self) -> Cog: ...
    @property
    def collections(self) -> Collections: ...
    @property
    def event_subscriptions(self) -> EventSubscriptions: ...
    @property
    def items(self) -> Items: ...
    @property
    def notifications(self) -> Notifications: ...
    @property
    def organizations(self) -> Organizations: ...
    @property
    def payment_methods(self) -> PaymentMethods: ...
    @property
    def processing(self) -> Processing: ...
    @property
    def projects(self) -> Projects: ...
    @property
    def provenance(self) -> Provenance: ...
    @property
    def saved_searches(self) -> SavedSearches: ...
    @property
    def share(self) -> Share: ...
    @property
    def stac(self) -> Stac: ...
    @property
    def uploads(self) -> Uploads: ...
    @property
    def usage(self) -> Usage: ...
    @property
    def visualization(self) -> Visualization: ...
    @property
    def webhooks(self) -> Webhooks: ...

class AsyncBillingApprovalsPolicy:
    @overload
    async def get(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.ApprovalPolicyOutput: ...
    @overload
    async def get(self, *, idempotency_key: str | None = ...) -> m.ApprovalPolicyOutput:
        """Above how many credits a purchase needs an approval; no threshold where none was set."""
    @overload
    async def set(self, body: m.ApprovalPolicyInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ApprovalPolicyOutput: ...
    @overload
    async def set(self, *, threshold_credits: int | None = ..., second_person: bool = ..., idempotency_key: str | None = ...) -> m.ApprovalPolicyOutput:
        """Say above how many credits a purchase needs an approval; an owner or admin only."""

class AsyncAlertsEvents:
    @overload
    async def list(self, body: m.AlertEventsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.AlertEventsOutput: ...
    @overload
    async def list(self, *, rule_id: str | None = ..., acknowledged: bool | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.AlertEventsOutput:
        """List the alert events of the projects the caller sees (org-scoped, triggered_at desc)."""

class AsyncAlertsGivenUp:
    @overload
    async def list(self, body: m.GivenUpListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.GivenUpListOutput: ...
    @overload
    async def list(self, *, limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.GivenUpListOutput:
        """List the item events that could not be compared with the alert rules, however often tried."""
    @overload
    async def replay(self, body: m.GivenUpReplayInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.GivenUpReplayOutput: ...
    @overload
    async def replay(self, *, event_ids: Sequence[str] | None = ..., idempotency_key: str | None = ...) -> m.GivenUpReplayOutput:
        """Have item events that were given up compared with the alert rules again.

With the rules as they are then; each rule fires once on an event at most, as always."""

class AsyncAlertsRule:
    @overload
    async def get(self, body: m.AlertRuleGetInput, /, *, idempotency_key: str | None = ...) -> m.AlertRuleOutput: ...
    @overload
    async def get(self, *, rule_id: str, idempotency_key: str | None = ...) -> m.AlertRuleOutput:
        """Get a single alert rule by id (org-scoped; 404 cross-org)."""

class AsyncAlertsRules:
    @overload
    async def list(self, body: m.AlertRulesListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.AlertRulesOutput: ...
    @overload
    async def list(self, *, active: bool | None = ..., collection_id: str | None = ..., idempotency_key: str | None = ...) -> m.AlertRulesOutput:
        """List the caller's organization's alert rules (org-scoped)."""

class AsyncAnalyticsIndex:
    @overload
    async def get(self, body: m.IndexGetInput, /, *, idempotency_key: str | None = ...) -> m.IndexGetOutput: ...
    @overload
    async def get(self, *, index_name: str, idempotency_key: str | None = ...) -> m.IndexGetOutput:
        """One spectral index, with the sensors that have its bands."""

class AsyncAnalyticsIndices:
    @overload
    async def list(self, body: m.IndicesListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.IndicesListOutput: ...
    @overload
    async def list(self, *, category: str | None = ..., sensor: str | None = ..., idempotency_key: str | None = ...) -> m.IndicesListOutput:
        """List spectral indices, all or those of a category or that a sensor has the bands for."""

class AsyncAnalyticsOperations:
    @overload
    async def get(self, body: m.OperationGetInput, /, *, idempotency_key: str | None = ...) -> m.OperationGetOutput: ...
    @overload
    async def get(self, *, operation_name: str, idempotency_key: str | None = ...) -> m.OperationGetOutput:
        """One analytics method, with examples of its parameters."""
    @overload
    async def list(self, body: m.OperationsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.OperationsListOutput: ...
    @overload
    async def list(self, *, data_type: str | None = ..., idempotency_key: str | None = ...) -> m.OperationsListOutput:
        """List all registered analytics methods and the schemas of their parameters."""

class AsyncAnalyticsSensors:
    @overload
    async def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.SensorsListOutput: ...
    @overload
    async def list(self, *, idempotency_key: str | None = ...) -> m.SensorsListOutput:
        """List known sensors and their bands."""

class AsyncAstraProcess:
    @overload
    async def __call__(self, body: m.AstraProcessInput, /, *, idempotency_key: str | None = ...) -> m.AstraSubmitted: ...
    @overload
    async def __call__(self, *, operation: Literal['ndvi', 'change_detection'], scene_ids: Sequence[str], params: Mapping[str, Any] = ..., webhook_url: str | None = ..., project_id: str | None = ..., idempotency_key: str | None = ...) -> m.AstraSubmitted:
        """Run NDVI or change detection on scenes; the answer is a job to ask for.

A scene is an item's id, or `collection:item` with the item's STAC id or the beginning of it."""
    @overload
    async def get(self, body: m.AstraProcessGetInput, /, *, idempotency_key: str | None = ...) -> m.AstraStatus: ...
    @overload
    async def get(self, *, job_id: str, idempotency_key: str | None = ...) -> m.AstraStatus:
        """How a job stands, and where its file is.

Any processing job is found, by whichever door it came in."""

class AsyncBillingApprovals:
    @overload
    async def approve(self, body: m.ApprovalRefInput, /, *, idempotency_key: str | None = ...) -> m.ApprovalOutput: ...
    @overload
    async def approve(self, *, approval_id: str, idempotency_key: str | None = ...) -> m.ApprovalOutput:
        """Approve a credit purchase and charge the default card; a human only.

A declined card answers 402 and leaves the approval pending."""
    @overload
    async def get(self, body: m.ApprovalGetInput, /, *, idempotency_key: str | None = ...) -> m.ApprovalGetOutput: ...
    @overload
    async def get(self, *, approval_id: str, idempotency_key: str | None = ...) -> m.ApprovalGetOutput:
        """Get one credit-purchase approval."""
    @overload
    async def list(self, body: m.ApprovalsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ApprovalsOutput: ...
    @overload
    async def list(self, *, status: str | None = ..., idempotency_key: str | None = ...) -> m.ApprovalsOutput:
        """List the organization's credit-purchase approvals, optionally by status."""
    @property
    def policy(self) -> AsyncBillingApprovalsPolicy: ...
    @overload
    async def reject(self, body: m.RejectApprovalInput, /, *, idempotency_key: str | None = ...) -> m.ApprovalOutput: ...
    @overload
    async def reject(self, *, approval_id: str, reason: str | None = ..., idempotency_key: str | None = ...) -> m.ApprovalOutput:
        """Reject a pending credit-purchase approval."""
    @overload
    async def request(self, body: m.RequestApprovalInput, /, *, idempotency_key: str | None = ...) -> m.ApprovalOutput: ...
    @overload
    async def request(self, *, credits: int, expiry_hours: int | None = ..., idempotency_key: str | None = ...) -> m.ApprovalOutput:
        """Request approval for a large credit purchase."""

class AsyncBillingAutoTopup:
    @overload
    async def get(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.AutoTopupOutput: ...
    @overload
    async def get(self, *, idempotency_key: str | None = ...) -> m.AutoTopupOutput:
        """Read the organization's settings of automatic top-up."""

class AsyncBillingCredits:
    @overload
    async def balance(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.CreditsBalanceOutput: ...
    @overload
    async def balance(self, *, idempotency_key: str | None = ...) -> m.CreditsBalanceOutput:
        """The organization's credits: owned, set aside and available."""
    @overload
    async def transactions(self, body: m.TransactionsInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.TransactionsOutput: ...
    @overload
    async def transactions(self, *, limit: int = ..., offset: int = ..., reason: str | None = ..., idempotency_key: str | None = ...) -> m.TransactionsOutput:
        """The org's credit ledger (paged, optionally filtered by reason)."""

class AsyncBillingDeletions:
    @overload
    async def pending(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.DeletionsOutput: ...
    @overload
    async def pending(self, *, idempotency_key: str | None = ...) -> m.DeletionsOutput:
        """List organizations pending deletion (system admin)."""

class AsyncBillingDlq:
    @overload
    async def list_pending(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.BillingDlqPendingOutput: ...
    @overload
    async def list_pending(self, *, idempotency_key: str | None = ...) -> m.BillingDlqPendingOutput:
        """Unresolved tracking-failure DLQ counts, grouped by storage_type + source."""
    @overload
    async def replay(self, body: m.BillingDlqReplayInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.BillingDlqReplayOutput: ...
    @overload
    async def replay(self, *, batch_size: int = ..., idempotency_key: str | None = ...) -> m.BillingDlqReplayOutput:
        """Replay up to N unresolved tracking_failures rows (cron)."""

class AsyncBillingEnterprise:
    @overload
    async def accrual(self, body: m.AccrualInput, /, *, idempotency_key: str | None = ...) -> m.AccrualOutput: ...
    @overload
    async def accrual(self, *, organization_id: str, period: str | None = ..., idempotency_key: str | None = ...) -> m.AccrualOutput:
        """The org's unbilled enterprise post-pay liability (to put on a Xero invoice)."""
    @overload
    async def mark_invoiced(self, body: m.MarkInvoicedInput, /, *, idempotency_key: str | None = ...) -> m.MarkInvoicedOutput: ...
    @overload
    async def mark_invoiced(self, *, organization_id: str, reference: str, period: str | None = ..., order_ids: Sequence[str] | None = ..., note: str | None = ..., idempotency_key: str | None = ...) -> m.MarkInvoicedOutput:
        """Record a manual Xero invoice and mark the org's committed enterprise orders billed (admin).

The credits that it names come back to the organization's line of credit, as far as it has one."""

class AsyncBillingFreeTier:
    @overload
    async def approve(self, body: m.ApproveInput, /, *, idempotency_key: str | None = ...) -> m.FreeTierOutput: ...
    @overload
    async def approve(self, *, organization_id: str, admin_user_id: str | None = ..., idempotency_key: str | None = ...) -> m.FreeTierOutput:
        """Approve an org for the free tier + grant its credits immediately (admin).

Once more changes nothing. `admin_user_id` is kept as who decided; by default the caller."""
    @overload
    async def grant_all(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.GrantAllOutput: ...
    @overload
    async def grant_all(self, *, idempotency_key: str | None = ...) -> m.GrantAllOutput:
        """Grant the signup + monthly free credits to every FREE org (idempotent; cron).

The signup credits came with the organization. Those that are admitted and have not had this month's credits are given them."""
    @overload
    async def list_pending(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.BillingFreeTierPendingOutput: ...
    @overload
    async def list_pending(self, *, idempotency_key: str | None = ...) -> m.BillingFreeTierPendingOutput:
        """Orgs awaiting free-tier approval (the operator review queue)."""
    @overload
    async def revoke(self, body: m.OrgInput, /, *, idempotency_key: str | None = ...) -> m.FreeTierOutput: ...
    @overload
    async def revoke(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.FreeTierOutput:
        """Revoke an org's free-tier approval (stops future grants; admin).

What was given stays."""

class AsyncBillingInvoices:
    @overload
    async def get(self, body: m.InvoiceInput, /, *, idempotency_key: str | None = ...) -> m.InvoiceOutput: ...
    @overload
    async def get(self, *, invoice_id: str, idempotency_key: str | None = ...) -> m.InvoiceOutput:
        """One invoice with its lines, and a link to its PDF that is good for 15 minutes."""
    @overload
    async def list(self, body: m.InvoicesInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.InvoicesOutput: ...
    @overload
    async def list(self, *, limit: int = ..., idempotency_key: str | None = ...) -> m.InvoicesOutput:
        """The org's enterprise invoices (grouped from settled orders).

With them those of its months, newest first; at most 1,000."""

class AsyncBillingJobs:
    @overload
    async def settle_unsettled(self, body: m.SettleInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.SettleOutput: ...
    @overload
    async def settle_unsettled(self, *, limit: int = ..., organization_id: str | None = ..., idempotency_key: str | None = ...) -> m.SettleOutput:
        """Settle/register terminal processing jobs holding an unsettled reservation (cron)."""

class AsyncBillingPlans:
    @overload
    async def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.PlansOutput: ...
    @overload
    async def list(self, *, idempotency_key: str | None = ...) -> m.PlansOutput:
        """List all available plans with their quota/feature limits (public catalog)."""

class AsyncBillingReconciliation:
    @overload
    async def backfill_missing(self, body: m.OrgInput, /, *, idempotency_key: str | None = ...) -> m.CorrectedOutput: ...
    @overload
    async def backfill_missing(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.CorrectedOutput:
        """Backfill ledger add-events for live assets with no ledger entry (admin)."""
    @overload
    async def correct_drift(self, body: m.CorrectInput, /, *, idempotency_key: str | None = ...) -> m.CorrectedOutput: ...
    @overload
    async def correct_drift(self, *, organization_id: str, bytes_delta: int, reason: str, asset_id: str | None = ..., idempotency_key: str | None = ...) -> m.CorrectedOutput:
        """Surgical single-asset drift correction (audited ledger entry; admin).

Without an asset it is posted for the organization as a whole."""
    @overload
    async def detect_drift(self, body: m.DriftInput, /, *, idempotency_key: str | None = ...) -> m.Drift: ...
    @overload
    async def detect_drift(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.Drift:
        """Compute storage-billing drift for one org (no run recorded).

With it what is wrong in its ledger of credits: balances beside it, journals that do not balance, reservations that were posted otherwise, jobs that ended without a settlement."""
    @overload
    async def list_corrections(self, body: m.CorrectionsInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.CorrectionsOutput: ...
    @overload
    async def list_corrections(self, *, organization_id: str | None = ..., limit: int = ..., idempotency_key: str | None = ...) -> m.CorrectionsOutput:
        """Audit trail of all drift corrections applied (compliance + support)."""
    @overload
    async def list_runs(self, body: m.RunsInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.RunsOutput: ...
    @overload
    async def list_runs(self, *, organization_id: str | None = ..., flagged_only: bool = ..., limit: int = ..., idempotency_key: str | None = ...) -> m.RunsOutput:
        """List reconciliation runs (newest first; filter by org / flagged)."""
    @overload
    async def remove_stale(self, body: m.OrgInput, /, *, idempotency_key: str | None = ...) -> m.CorrectedOutput: ...
    @overload
    async def remove_stale(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.CorrectedOutput:
        """Remove stale positive-net ledger entries for deleted assets (admin)."""
    @overload
    async def run(self, body: m.RunInput, /, *, idempotency_key: str | None = ...) -> m.RunOutput: ...
    @overload
    async def run(self, *, organization_id: str, threshold_bytes: int = ..., correct: bool = ..., idempotency_key: str | None = ...) -> m.RunOutput:
        """Run reconciliation for one org + persist the result."""
    @overload
    async def run_all(self, body: m.RunAllInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.RunAllOutput: ...
    @overload
    async def run_all(self, *, threshold_bytes: int = ..., correct: bool = ..., idempotency_key: str | None = ...) -> m.RunAllOutput:
        """Run reconciliation for every org with a subscription or credit balance (cron)."""
    @overload
    async def zero_negative_nets(self, body: m.OrgInput, /, *, idempotency_key: str | None = ...) -> m.CorrectedOutput: ...
    @overload
    async def zero_negative_nets(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.CorrectedOutput:
        """Zero orphan negative-net ledger residue with compensating adds (admin)."""

class AsyncBillingStatus:
    @overload
    async def get(self, body: m.OrgStatusInput, /, *, idempotency_key: str | None = ...) -> m.OrgStatusOutput: ...
    @overload
    async def get(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.OrgStatusOutput:
        """An org's billing status + current usage (org membership required).

The status is `active`; on a plan that the operator admits to, `pending_approval` or `revoked`. Of the limits `storage_quota_bytes` binds, and `storage_bytes` is the same; others inform."""

class AsyncBillingStripeInvoices:
    @overload
    async def list(self, body: m.StripeInvoicesInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.StripeInvoicesOutput: ...
    @overload
    async def list(self, *, limit: int = ..., idempotency_key: str | None = ...) -> m.StripeInvoicesOutput:
        """List the card provider's invoices of the organization; empty where it does not answer."""

class AsyncClipArea:
    @overload
    async def metadata(self, body: m.AreaInput, /, *, idempotency_key: str | None = ...) -> m.AreaMetadataOutput: ...
    @overload
    async def metadata(self, *, area: str, idempotency_key: str | None = ...) -> m.AreaMetadataOutput:
        """Get the capture dates of an area and of its mosaics."""
    @overload
    async def mosaics(self, body: m.AreaInput, /, *, idempotency_key: str | None = ...) -> m.MosaicsOutput: ...
    @overload
    async def mosaics(self, *, area: str, idempotency_key: str | None = ...) -> m.MosaicsOutput:
        """List the mosaics of an area."""

class AsyncClipAreas:
    @overload
    async def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.ClipAreasOutput: ...
    @overload
    async def list(self, *, idempotency_key: str | None = ...) -> m.ClipAreasOutput:
        """List the areas that your organization may clip, by name."""

class AsyncClipJob:
    @overload
    async def delete(self, body: m.ClipJobDeleteInput, /, *, idempotency_key: str | None = ...) -> m.JobDeletedOutput: ...
    @overload
    async def delete(self, *, job_id: str, idempotency_key: str | None = ...) -> m.JobDeletedOutput:
        """Delete a clip job; one that has not ended is cancelled first."""
    @overload
    async def download(self, body: m.ClipDownloadInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    async def download(self, *, job_id: str, mosaic_type: str, user_agent: str | None = ..., requester_ip: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """Bytes of one clip file; clip.job.downloads gives a link, which suits large ones better."""
    @overload
    async def downloads(self, body: m.ClipJobInput, /, *, idempotency_key: str | None = ...) -> m.ClipDownloadsOutput: ...
    @overload
    async def downloads(self, *, job_id: str, idempotency_key: str | None = ...) -> m.ClipDownloadsOutput:
        """Files of a clip job, each with a signed link."""
    @overload
    async def get(self, body: m.ClipJobInput, /, *, idempotency_key: str | None = ...) -> m.JobOutput: ...
    @overload
    async def get(self, *, job_id: str, idempotency_key: str | None = ...) -> m.JobOutput:
        """Get a clip job."""
    @overload
    async def tile_info(self, body: m.ClipJobInput, /, *, idempotency_key: str | None = ...) -> m.TileInfoOutput: ...
    @overload
    async def tile_info(self, *, job_id: str, idempotency_key: str | None = ...) -> m.TileInfoOutput:
        """How to show a clip job's output."""

class AsyncClipJobs:
    @overload
    async def list(self, body: m.ClipJobsListInput, /, *, idempotency_key: str | None = ...) -> m.ProjectJobsOutput: ...
    @overload
    async def list(self, *, organization_id: str, status: str | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.ProjectJobsOutput:
        """List clip jobs of the organization."""

class AsyncCogTile:
    @overload
    async def render(self, body: m.CogTileInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    async def render(self, *, url: str, z: int, x: int, y: int, format: str, bands: str | None = ..., expression: str | None = ..., rescale: str | None = ..., colormap: str | None = ..., quality: int = ..., aoi: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """Render a map tile from a raster's URL."""
    @overload
    async def terrain(self, body: m.CogTerrainInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    async def terrain(self, *, url: str, z: int, x: int, y: int, invert: bool = ..., aoi: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """Render an elevation tile in Mapbox's Terrain-RGB."""

class AsyncEventSubscriptionsDeliveries:
    @overload
    async def list(self, body: m.DeliveriesListInput, /, *, idempotency_key: str | None = ...) -> m.DeliveriesListOutput: ...
    @overload
    async def list(self, *, subscription_id: str, state: Literal['due', 'delivered', 'dead', 'dropped'] | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.DeliveriesListOutput:
        """List the deliveries of a webhook subscription, with what became of each."""
    @overload
    async def replay(self, body: m.EventDeliveriesReplayInput, /, *, idempotency_key: str | None = ...) -> m.EventDeliveriesReplayOutput: ...
    @overload
    async def replay(self, *, subscription_id: str, delivery_ids: Sequence[str] | None = ..., idempotency_key: str | None = ...) -> m.EventDeliveriesReplayOutput:
        """Send deliveries of a webhook subscription again, under the same event ids.

They have the whole schedule of retries before them. At most 10,000 a call, the oldest first."""

class AsyncItemsAsset:
    @overload
    async def download(self, body: m.AssetDownloadInput, /, *, idempotency_key: str | None = ...) -> m.AssetDownloadOutput: ...
    @overload
    async def download(self, *, item_id: str, asset_id: str, idempotency_key: str | None = ...) -> m.AssetDownloadOutput:
        """Mint a signed link to an item's file; good for 15 minutes.

For an asset that lies elsewhere it is the asset's own address."""

class AsyncItemsTile:
    @overload
    async def render(self, body: m.ItemTileRenderInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    async def render(self, *, item_id: str, z: int, x: int, y: int, format: str = ..., profile: str | None = ..., asset_key: str | None = ..., expression: str | None = ..., bands: str | None = ..., rescale: str | None = ..., colormap: str | None = ..., quality: int = ..., idempotency_key: str | None = ...) -> Any:
        """Render a map tile for one of our catalog items (profile or direct-param)."""
    @overload
    async def statistics(self, body: m.ItemStatisticsInput, /, *, idempotency_key: str | None = ...) -> m.ItemStatisticsOutput: ...
    @overload
    async def statistics(self, *, item_id: str, expression: str, asset_key: str | None = ..., profile: str | None = ..., idempotency_key: str | None = ...) -> m.ItemStatisticsOutput:
        """Stretch values for an expression over an item."""
    @overload
    async def tilejson(self, body: m.ItemTilejsonInput, /, *, idempotency_key: str | None = ...) -> m.TileJSON: ...
    @overload
    async def tilejson(self, *, item_id: str, profile: str | None = ..., asset_key: str | None = ..., idempotency_key: str | None = ...) -> m.TileJSON:
        """TileJSON for an item; its tile URLs hold a token and need no header."""
    @overload
    async def wmts_capabilities(self, body: m.ItemWmtsCapabilitiesInput, /, *, idempotency_key: str | None = ...) -> bytes: ...
    @overload
    async def wmts_capabilities(self, *, item_id: str, base_url: str, key: str = ..., profile: str | None = ..., idempotency_key: str | None = ...) -> bytes:
        """OGC WMTS 1.0.0 service document of an item.

Its URLs begin with `base_url` and hold `key`; without one they hold a tile token."""
    @overload
    async def wmts_get_tile(self, body: m.ItemWmtsGetTileInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    async def wmts_get_tile(self, *, item_id: str, z: int, x: int, y: int, profile: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """A WebMercatorQuad tile of an item, as its WMTS gives it."""

class AsyncOrganizationsInvitations:
    @overload
    async def accept(self, body: m.InvitationAcceptInput, /, *, idempotency_key: str | None = ...) -> m.InvitationAcceptOutput: ...
    @overload
    async def accept(self, *, token: str, idempotency_key: str | None = ...) -> m.InvitationAcceptOutput:
        """Join the organization of an invitation.

Where the platform sends mail, only who has confirmed their address joins (403)."""
    @overload
    async def create(self, body: m.InvitationCreateInput, /, *, idempotency_key: str | None = ...) -> m.InvitationCreateOutput: ...
    @overload
    async def create(self, *, email: str, role: Literal['owner', 'admin', 'member', 'billing', 'viewer'] = ..., expires_in_days: int = ..., idempotency_key: str | None = ...) -> m.InvitationCreateOutput:
        """Invite a person to the organization; whoever opens the URL may join it once.

Owners and admins invite, and nobody to more than they are themselves. Where the platform sends mail, the person is sent the URL too; an organization mails 200 invitations in 24 hours, and 3 to one address (429)."""
    @overload
    async def list(self, body: m.InvitationsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.InvitationsListOutput: ...
    @overload
    async def list(self, *, limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.InvitationsListOutput:
        """List the organization's invitations."""
    @overload
    async def revoke(self, body: m.InvitationRevokeInput, /, *, idempotency_key: str | None = ...) -> m.InvitationRevokeOutput: ...
    @overload
    async def revoke(self, *, invitation_id: str, idempotency_key: str | None = ...) -> m.InvitationRevokeOutput:
        """Withdraw an invitation that was not accepted yet; again is no error."""

class AsyncOrganizationsMembers:
    @overload
    async def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.OrganizationMembersOutput: ...
    @overload
    async def list(self, *, idempotency_key: str | None = ...) -> m.OrganizationMembersOutput:
        """List the people of the caller's organization."""
    @overload
    async def remove(self, body: m.MemberRemoveInput, /, *, idempotency_key: str | None = ...) -> m.MemberRemoveOutput: ...
    @overload
    async def remove(self, *, user_id: str, idempotency_key: str | None = ...) -> m.MemberRemoveOutput:
        """Remove a person from the organization and its projects.

Their session says nothing here from the next request on. The invitations, webhooks and share links that they made end, and the owners are told. Keys belong to the organization and stay; revoke those that the person knows."""
    @overload
    async def update(self, body: m.MemberUpdateInput, /, *, idempotency_key: str | None = ...) -> m.OrganizationsMembersMemberOutput: ...
    @overload
    async def update(self, *, user_id: str, role: Literal['owner', 'admin', 'member', 'billing', 'viewer'], idempotency_key: str | None = ...) -> m.OrganizationsMembersMemberOutput:
        """Change a person's role in the organization; it holds with their next request.

Their invitations, webhooks and share links that go beyond the new role end with it, and the owners are told."""

class AsyncProcessingCatalog:
    @overload
    async def estimate(self, body: m.ProcessRunInput, /, *, idempotency_key: str | None = ...) -> m.EstimateOutput: ...
    @overload
    async def estimate(self, *, process_id: str, inputs: Mapping[str, Any] = ..., idempotency_key: str | None = ...) -> m.EstimateOutput:
        """Estimate the cost of running a process with the given inputs."""
    @overload
    async def get(self, body: m.ProcessGetInput, /, *, idempotency_key: str | None = ...) -> m.ProcessDescription: ...
    @overload
    async def get(self, *, process_id: str, idempotency_key: str | None = ...) -> m.ProcessDescription:
        """Get one process description (public)."""
    @overload
    async def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.ProcessList: ...
    @overload
    async def list(self, *, idempotency_key: str | None = ...) -> m.ProcessList:
        """List available processes (OGC process catalog, public)."""
    @overload
    async def validate(self, body: m.ProcessRunInput, /, *, idempotency_key: str | None = ...) -> m.ValidOutput: ...
    @overload
    async def validate(self, *, process_id: str, inputs: Mapping[str, Any] = ..., idempotency_key: str | None = ...) -> m.ValidOutput:
        """Validate process inputs (an empty object means they are valid)."""

class AsyncProcessingJob:
    @overload
    async def delete(self, body: m.ProcessingJobInput, /, *, idempotency_key: str | None = ...) -> m.JobDeletedOutput: ...
    @overload
    async def delete(self, *, job_id: str, idempotency_key: str | None = ...) -> m.JobDeletedOutput:
        """Delete any processing job by id; one that has not ended is cancelled first."""
    @overload
    async def get(self, body: m.JobGetInput, /, *, idempotency_key: str | None = ...) -> m.ProviderJob: ...
    @overload
    async def get(self, *, job_id: str, idempotency_key: str | None = ...) -> m.ProviderJob:
        """Get a processing job by id, provider shape (org-scoped)."""
    @overload
    async def receipt(self, body: m.JobReceiptInput, /, *, idempotency_key: str | None = ...) -> m.JobReceiptOutput: ...
    @overload
    async def receipt(self, *, job_id: str, idempotency_key: str | None = ...) -> m.JobReceiptOutput:
        """Receipt of a job that ended, and the record it can be reproduced from."""
    @overload
    async def register(self, body: m.JobRegisterInput, /, *, idempotency_key: str | None = ...) -> m.JobRegisterOutput: ...
    @overload
    async def register(self, *, job_id: str, outputs: Sequence[Any] | None = ..., record: m.RunRecord | None = ..., idempotency_key: str | None = ...) -> m.JobRegisterOutput:
        """Register a job's outputs as items and settle its credits; once, however often it is sent."""
    @overload
    async def tile_info(self, body: m.ProcessingJobInput, /, *, idempotency_key: str | None = ...) -> m.TileInfoOutput: ...
    @overload
    async def tile_info(self, *, job_id: str, idempotency_key: str | None = ...) -> m.TileInfoOutput:
        """How to show the outputs of a completed job on a map."""

class AsyncProcessingJobTypes:
    @overload
    async def list(self, body: m.JobTypesInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.JobTypesOutput: ...
    @overload
    async def list(self, *, category: str | None = ..., idempotency_key: str | None = ...) -> m.JobTypesOutput:
        """List available processing job types (optionally by category)."""

class AsyncProcessingJobs:
    @overload
    async def get(self, body: m.JobGetInput, /, *, idempotency_key: str | None = ...) -> m.ProviderJob: ...
    @overload
    async def get(self, *, job_id: str, idempotency_key: str | None = ...) -> m.ProviderJob:
        """Get a processing job by id, provider shape (org-scoped)."""
    @overload
    async def list(self, body: m.JobsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.JobsListOutput: ...
    @overload
    async def list(self, *, workspaceId: str | None = ..., processId: str | None = ..., status: str | None = ..., ids: str | None = ..., minDuration: int | None = ..., maxDuration: int | None = ..., page: int = ..., limit: int = ..., sort: str = ..., idempotency_key: str | None = ...) -> m.JobsListOutput:
        """List the org's processing jobs, provider shape (org-scoped)."""

class AsyncProcessingProjectJob:
    @overload
    async def get(self, body: m.ProjectJobGetInput, /, *, idempotency_key: str | None = ...) -> m.JobOutput: ...
    @overload
    async def get(self, *, job_id: str, idempotency_key: str | None = ...) -> m.JobOutput:
        """Get a processing job by id, native shape (org match + project access)."""

class AsyncProcessingProjectJobs:
    @overload
    async def list(self, body: m.ProjectJobsInput, /, *, idempotency_key: str | None = ...) -> m.ProjectJobsOutput: ...
    @overload
    async def list(self, *, project_id: str, status: str | None = ..., job_type_name: str | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.ProjectJobsOutput:
        """List a project's processing jobs (project member access)."""

class AsyncProjectsMembers:
    @overload
    async def list(self, body: m.MembersListInput, /, *, idempotency_key: str | None = ...) -> m.MembersListOutput: ...
    @overload
    async def list(self, *, project_id: str, idempotency_key: str | None = ...) -> m.MembersListOutput:
        """List the people of a project with their roles."""

class AsyncShareLink:
    @overload
    async def create(self, body: m.ShareLinkCreate, /, *, idempotency_key: str | None = ...) -> m.ShareLinkCreateOutput: ...
    @overload
    async def create(self, *, target_type: m.ShareTargetType, target_id: str, password: str, expires_at: str, permission: m.SharePermission = ..., idempotency_key: str | None = ...) -> m.ShareLinkCreateOutput:
        """Make a link to an item or a collection, with a password and an end (project editor).

Whoever has both reads it without an account: at `/share/{token}` as JSON, as TileJSON, as a STAC API. The token is told this once."""
    @overload
    async def list(self, body: m.ShareLinksListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ShareLinksOutput: ...
    @overload
    async def list(self, *, project_id: str | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.ShareLinksOutput:
        """List the links of the projects the caller may see, revoked ones included."""
    @overload
    async def revoke(self, body: m.ShareLinkRef, /, *, idempotency_key: str | None = ...) -> m.ShareLinkRevokeOutput: ...
    @overload
    async def revoke(self, *, link_id: str, idempotency_key: str | None = ...) -> m.ShareLinkRevokeOutput:
        """Withdraw a link for good; it opens nothing any more, nor do tiles that it led to.

Takes a project editor. What is revoked already is a 404."""
    @overload
    async def validate(self, body: m.ShareLinkValidateInput, /, *, idempotency_key: str | None = ...) -> m.ShareLinkValidateOutput: ...
    @overload
    async def validate(self, *, token: str, password: str = ..., idempotency_key: str | None = ...) -> m.ShareLinkValidateOutput:
        """Tell what a link shares, for who knows its password.

An unknown or revoked link is a 404, a wrong password a 403, ten of them within 15 minutes a 429, and an expired link with the right password a 410. Files have addresses that open for an hour, where the link allows to download."""

class AsyncShareTile:
    @overload
    async def render(self, body: m.ShareTileInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    async def render(self, *, token: str, z: int, x: int, y: int, password: str = ..., format: str = ..., profile: str | None = ..., item_id: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """Render a map tile of a shared item; counted for the organization that shares it."""

class AsyncStacCollections:
    @overload
    async def list(self, body: m.StacCollectionsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.StacCollectionsOutput: ...
    @overload
    async def list(self, *, base_url: str = ..., idempotency_key: str | None = ...) -> m.StacCollectionsOutput:
        """List STAC collections of the organization that the caller may see."""

class AsyncVisualizationProfile:
    @overload
    async def create(self, body: m.ProfileCreateInput, /, *, idempotency_key: str | None = ...) -> m.ProfileResponse: ...
    @overload
    async def create(self, *, item_id: str, name: str, type: m.ProfileType, config: Mapping[str, Any], layer: m.ProfileLayer = ..., is_default: bool = ..., sort_order: int = ..., asset_key: str | None = ..., idempotency_key: str | None = ...) -> m.ProfileResponse:
        """Create a visualization profile for an item (editor/admin).

The first profile of an item is its default, whatever `is_default` says."""
    @overload
    async def delete(self, body: m.ProfileRef, /, *, idempotency_key: str | None = ...) -> m.OkOutput: ...
    @overload
    async def delete(self, *, item_id: str, profile_id: str, idempotency_key: str | None = ...) -> m.OkOutput:
        """Delete a visualization profile (editor/admin).

Where it was the default, the next one by sort_order is; an item without a profile is drawn as its file says."""
    @overload
    async def get(self, body: m.ProfileGetInput, /, *, idempotency_key: str | None = ...) -> m.ProfileOutput: ...
    @overload
    async def get(self, *, item_id: str, profile_id: str, idempotency_key: str | None = ...) -> m.ProfileOutput:
        """Get a single visualization profile for an item."""
    @overload
    async def set_default(self, body: m.ProfileRef, /, *, idempotency_key: str | None = ...) -> m.ProfileResponse: ...
    @overload
    async def set_default(self, *, item_id: str, profile_id: str, idempotency_key: str | None = ...) -> m.ProfileResponse:
        """Set a profile as the item's default (editor/admin)."""
    @overload
    async def update(self, body: m.ProfileUpdateInput, /, *, idempotency_key: str | None = ...) -> m.ProfileResponse: ...
    @overload
    async def update(self, *, item_id: str, profile_id: str, name: str | None = ..., type: m.ProfileType | None = ..., is_default: bool | None = ..., sort_order: int | None = ..., config: Mapping[str, Any] | None = ..., asset_key: str | None = ..., idempotency_key: str | None = ...) -> m.ProfileResponse:
        """Update a visualization profile (editor/admin).

A profile of ours whose picture somebody changes is theirs: its layer becomes `user`, and it is not made anew when the bands are named."""

class AsyncVisualizationProfiles:
    @overload
    async def list(self, body: m.ProfilesListInput, /, *, idempotency_key: str | None = ...) -> m.ProfilesOutput: ...
    @overload
    async def list(self, *, item_id: str, idempotency_key: str | None = ...) -> m.ProfilesOutput:
        """List all visualization profiles for an item (ordered by sort_order, created_at)."""

class AsyncAlerts:
    @overload
    async def acknowledge_event(self, body: m.AcknowledgeEventInput, /, *, idempotency_key: str | None = ...) -> m.AlertEventOutput: ...
    @overload
    async def acknowledge_event(self, *, event_id: str, idempotency_key: str | None = ...) -> m.AlertEventOutput:
        """Mark an alert event acknowledged (org-scoped); again changes nothing."""
    @overload
    async def backtest(self, body: m.BacktestInput, /, *, idempotency_key: str | None = ...) -> m.BacktestOutput: ...
    @overload
    async def backtest(self, *, rule_id: str, start: str | None = ..., end: str | None = ..., limit: int = ..., next: str | None = ..., idempotency_key: str | None = ...) -> m.BacktestOutput:
        """What a rule would have fired on over the items that are there, as they are now.

Items are read oldest first, each as if it were added at its `created_at`, with the rule's collection, asset and cooldown; whether the rule is active does not count. A page ends after `limit` items or 20 seconds; go on with `next`. What an item was before it changed is not known."""
    @overload
    async def create_rule(self, body: m.CreateAlertRuleInput, /, *, idempotency_key: str | None = ...) -> m.AlertRuleOutput: ...
    @overload
    async def create_rule(self, *, name: str, expression: str, comparison: str, threshold: float, description: str | None = ..., collection_id: str | None = ..., event_types: Sequence[str] = ..., threshold_upper: float | None = ..., asset_key: str = ..., band_mapping: Mapping[str, int] = ..., notification_channels: Sequence[str] = ..., cooldown_minutes: int = ..., idempotency_key: str | None = ...) -> m.AlertRuleOutput:
        """Create an alert rule for the caller's organization.

It fires on items that are added or changed from now on, in projects that whoever set it last may see: test it on one that is there with `alerts.test_rule`, on all of them with `alerts.backtest`."""
    @overload
    async def delete_rule(self, body: m.DeleteAlertRuleInput, /, *, idempotency_key: str | None = ...) -> m.DeleteAlertRuleOutput: ...
    @overload
    async def delete_rule(self, *, rule_id: str, idempotency_key: str | None = ...) -> m.DeleteAlertRuleOutput:
        """Delete an alert rule (org-scoped); what it fired on stays listed."""
    @property
    def events(self) -> AsyncAlertsEvents: ...
    @property
    def given_up(self) -> AsyncAlertsGivenUp: ...
    @property
    def rule(self) -> AsyncAlertsRule: ...
    @property
    def rules(self) -> AsyncAlertsRules: ...
    @overload
    async def test_rule(self, body: m.TestAlertRuleInput, /, *, idempotency_key: str | None = ...) -> m.TestAlertRuleOutput: ...
    @overload
    async def test_rule(self, *, rule_id: str, item_id: str, idempotency_key: str | None = ...) -> m.TestAlertRuleOutput:
        """Test-evaluate an alert rule against an item without persisting.

The mean is that of an alert event and of `zonal_stats` over the whole item."""
    @overload
    async def update_rule(self, body: m.UpdateAlertRuleInput, /, *, idempotency_key: str | None = ...) -> m.AlertRuleOutput: ...
    @overload
    async def update_rule(self, *, rule_id: str, name: str | None = ..., description: str | None = ..., collection_id: str | None = ..., event_types: Sequence[str] | None = ..., expression: str | None = ..., comparison: str | None = ..., threshold: float | None = ..., threshold_upper: float | None = ..., asset_key: str | None = ..., band_mapping: Mapping[str, int] | None = ..., notification_channels: Sequence[str] | None = ..., active: bool | None = ..., cooldown_minutes: int | None = ..., idempotency_key: str | None = ...) -> m.AlertRuleOutput:
        """Update an alert rule (org-scoped). From then on it watches what the caller may see.

Only the fields that are sent change. Null clears `description`, `collection_id` and `threshold_upper`; of any other field it is the same as leaving it out."""

class AsyncAnalytics:
    @overload
    async def band_math(self, body: m.BandMathInput, /, *, idempotency_key: str | None = ...) -> m.BandMathOutput: ...
    @overload
    async def band_math(self, *, cog_url: str, bbox: Mapping[str, Any], sensor: str, formula: str, max_size: int = ..., output_format: str = ..., colormap: str = ..., vmin: float | None = ..., vmax: float | None = ..., idempotency_key: str | None = ...) -> m.BandMathOutput:
        """Apply a formula to a box of a raster: statistics, or with `output_format` png a picture."""
    @overload
    async def calculate_index(self, body: m.CalculateIndexInput, /, *, idempotency_key: str | None = ...) -> m.CalculateIndexOutput: ...
    @overload
    async def calculate_index(self, *, cog_url: str, bbox: Mapping[str, Any], sensor: str, index_name: str, max_size: int = ..., output_format: str = ..., colormap: str | None = ..., idempotency_key: str | None = ...) -> m.CalculateIndexOutput:
        """Calculate a spectral index on a box of a raster: statistics, or a picture."""
    @overload
    async def execute(self, body: m.ExecuteRequest, /, *, idempotency_key: str | None = ...) -> m.AnalyticsExecuteOutput: ...
    @overload
    async def execute(self, *, operation: str, params: Mapping[str, Any], idempotency_key: str | None = ...) -> m.AnalyticsExecuteOutput:
        """Run a registered analytics method.

The parameters are checked against the method's own schema; a 422 carries it as `expected_schema`. Where the method is unknown, `available_operations` names those there are."""
    @property
    def index(self) -> AsyncAnalyticsIndex: ...
    @property
    def indices(self) -> AsyncAnalyticsIndices: ...
    @property
    def operations(self) -> AsyncAnalyticsOperations: ...
    @property
    def sensors(self) -> AsyncAnalyticsSensors: ...
    @overload
    async def validate_formula(self, body: m.ValidateFormulaInput, /, *, idempotency_key: str | None = ...) -> m.ValidateFormulaOutput: ...
    @overload
    async def validate_formula(self, *, formula: str, sensor: str, idempotency_key: str | None = ...) -> m.ValidateFormulaOutput:
        """Check a formula against a sensor's bands without running it."""

class AsyncApiKeys:
    @overload
    async def create(self, body: m.ApiKeyCreateInput, /, *, idempotency_key: str | None = ...) -> m.ApiKeyCreateOutput: ...
    @overload
    async def create(self, *, name: str, permissions: Sequence[str] = ..., rate_limit: int | None = ..., expires_in_days: int | None = ..., spend_cap_credits: int | None = ..., mcp_spend: bool = ..., idempotency_key: str | None = ...) -> m.ApiKeyCreateOutput:
        """Mint an organization API key (the secret is returned once).

A key can do no more than who makes it; without permissions it reads. It can spend no more credits than `spend_cap_credits`, reserved and charged together, over its whole life. What a key mints has no higher rate, no later end and no higher cap than itself, counts to its cap, and is revoked with it."""
    @overload
    async def list(self, body: m.ApiKeyListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ApiKeyListOutput: ...
    @overload
    async def list(self, *, idempotency_key: str | None = ...) -> m.ApiKeyListOutput:
        """List an organization's API keys (metadata only, never the secret)."""
    @overload
    async def revoke(self, body: m.ApiKeyRevokeInput, /, *, idempotency_key: str | None = ...) -> m.ApiKeyRevokeOutput: ...
    @overload
    async def revoke(self, *, key_id: str, keep_set_up: bool = ..., idempotency_key: str | None = ...) -> m.ApiKeyRevokeOutput:
        """Revoke an API key, and all that it minted; the next call with any of them is refused.

The webhooks and share links that they made end too, and the owners are told."""

class AsyncAssets:
    @overload
    async def delete(self, body: m.AssetDeleteInput, /, *, idempotency_key: str | None = ...) -> m.AssetDeleteOutput: ...
    @overload
    async def delete(self, *, item_id: str, asset_id: str, idempotency_key: str | None = ...) -> m.AssetDeleteOutput:
        """Delete an asset (file) from an item (item access required)."""

class AsyncAstra:
    @property
    def process(self) -> AsyncAstraProcess: ...

class AsyncBandFormulas:
    @overload
    async def create(self, body: m.BandFormulaCreateInput, /, *, idempotency_key: str | None = ...) -> m.BandFormulaOutput: ...
    @overload
    async def create(self, *, name: str, formula: str, display_name: str | None = ..., description: str | None = ..., colormap: str = ..., value_range: Sequence[float] = ..., category: str = ..., idempotency_key: str | None = ...) -> m.BandFormulaOutput:
        """Create a custom band-math formula for the caller's organization (write scope)."""
    @overload
    async def delete(self, body: m.BandFormulaDeleteInput, /, *, idempotency_key: str | None = ...) -> m.BandFormulaDeleteOutput: ...
    @overload
    async def delete(self, *, formula_id: str, idempotency_key: str | None = ...) -> m.BandFormulaDeleteOutput:
        """Delete a custom band-math formula (write scope; templates are protected)."""
    @overload
    async def get(self, body: m.BandFormulaGetInput, /, *, idempotency_key: str | None = ...) -> m.BandFormulaDetails: ...
    @overload
    async def get(self, *, formula_id: str, idempotency_key: str | None = ...) -> m.BandFormulaDetails:
        """Get a single custom band-math formula by id (org-scoped; cross-org → 404)."""
    @overload
    async def list(self, body: m.BandFormulasListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.BandFormulasOutput: ...
    @overload
    async def list(self, *, category: str | None = ..., include_templates: bool = ..., idempotency_key: str | None = ...) -> m.BandFormulasOutput:
        """List the caller-org's custom band-math formulas (optional category/template filters)."""
    @overload
    async def update(self, body: m.BandFormulaUpdateInput, /, *, idempotency_key: str | None = ...) -> m.BandFormulaOutput: ...
    @overload
    async def update(self, *, formula_id: str, name: str | None = ..., formula: str | None = ..., display_name: str | None = ..., description: str | None = ..., colormap: str | None = ..., value_range: Sequence[float] | None = ..., category: str | None = ..., idempotency_key: str | None = ...) -> m.BandFormulaOutput:
        """Update a custom band-math formula (write scope; org-scoped)."""

class AsyncBilling:
    @property
    def approvals(self) -> AsyncBillingApprovals: ...
    @property
    def auto_topup(self) -> AsyncBillingAutoTopup: ...
    @overload
    async def balance(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.CreditsBalanceOutput: ...
    @overload
    async def balance(self, *, idempotency_key: str | None = ...) -> m.CreditsBalanceOutput:
        """The organization's credits: owned, set aside and available."""
    @overload
    async def cleanup_deleted_orgs(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.CleanupOutput: ...
    @overload
    async def cleanup_deleted_orgs(self, *, idempotency_key: str | None = ...) -> m.CleanupOutput:
        """Purge data for organizations past their deletion date (cron, DESTRUCTIVE).

Their items, files, keys and people go; the ledger and the invoices stay."""
    @property
    def credits(self) -> AsyncBillingCredits: ...
    @property
    def deletions(self) -> AsyncBillingDeletions: ...
    @property
    def dlq(self) -> AsyncBillingDlq: ...
    @property
    def enterprise(self) -> AsyncBillingEnterprise: ...
    @property
    def free_tier(self) -> AsyncBillingFreeTier: ...
    @property
    def invoices(self) -> AsyncBillingInvoices: ...
    @property
    def jobs(self) -> AsyncBillingJobs: ...
    @property
    def plans(self) -> AsyncBillingPlans: ...
    @property
    def reconciliation(self) -> AsyncBillingReconciliation: ...
    @overload
    async def run_monthly_cron(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.MonthlyOutput: ...
    @overload
    async def run_monthly_cron(self, *, idempotency_key: str | None = ...) -> m.MonthlyOutput:
        """Run monthly billing for every org needing a run (cron).

Each month is closed once: repeat it as often as you like, also while another one runs."""
    @overload
    async def run_monthly_for_org(self, body: m.OrgInput, /, *, idempotency_key: str | None = ...) -> m.MonthlyOutput: ...
    @overload
    async def run_monthly_for_org(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.MonthlyOutput:
        """Run monthly billing for one org (manual; org admin)."""
    @overload
    async def set_auto_topup(self, body: m.SetAutoTopupInput, /, *, idempotency_key: str | None = ...) -> m.SetAutoTopupOutput: ...
    @overload
    async def set_auto_topup(self, *, enabled: bool, threshold_credits: int, topup_amount_credits: int, daily_charge_cap_aud: float | str | None = ..., idempotency_key: str | None = ...) -> m.SetAutoTopupOutput:
        """Configure automatic top-up; enabling it needs a default card (else 402).

An amount above the organization's approval threshold answers 409 `approval-required`: nobody would approve what is bought by itself."""
    @property
    def status(self) -> AsyncBillingStatus: ...
    @property
    def stripe_invoices(self) -> AsyncBillingStripeInvoices: ...
    @overload
    async def topup(self, body: m.TopupInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.TopupOutput: ...
    @overload
    async def topup(self, *, credits: int | None = ..., amount_aud: float | str | None = ..., payment_method_row_id: str | None = ..., idempotency_key: str | None = ...) -> m.TopupOutput:
        """Charge a saved card without its holder and add the credits.

A card that wants 3-D Secure answers `requires_action`. Above the organization's threshold the answer is 409 `approval-required`, without a card or with one that is declined 402. After a 503 nobody knows yet whether the card was charged: repeat the call with the same Idempotency-Key."""

class AsyncClip:
    @property
    def area(self) -> AsyncClipArea: ...
    @property
    def areas(self) -> AsyncClipAreas: ...
    @overload
    async def create_from_area(self, body: m.ClipCreateFromAreaInput, /, *, idempotency_key: str | None = ...) -> m.ClipCreateOutput: ...
    @overload
    async def create_from_area(self, *, area: str, mosaic_types: Sequence[str], aoi_geometry: Mapping[str, Any], organization_id: str, aoi_name: str | None = ..., project_id: str | None = ..., use_cache: bool = ..., idempotency_key: str | None = ...) -> m.ClipCreateOutput:
        """Clip mosaics of an area to an AOI as a processing job."""
    @overload
    async def create_from_item(self, body: m.ClipCreateFromItemInput, /, *, idempotency_key: str | None = ...) -> m.ClipCreateOutput: ...
    @overload
    async def create_from_item(self, *, source_item_id: str, project_id: str, aoi_geometry: Mapping[str, Any], asset_keys: Sequence[str] | None = ..., output_name: str | None = ..., target_collection_id: str | None = ..., use_cache: bool = ..., idempotency_key: str | None = ...) -> m.ClipCreateOutput:
        """Clip a source item to an AOI as a processing job."""
    @property
    def job(self) -> AsyncClipJob: ...
    @property
    def jobs(self) -> AsyncClipJobs: ...

class AsyncCog:
    @overload
    async def colormaps(self, body: m.CogEmptyInput | None = ..., /, *, idempotency_key: str | None = ...) -> dict[str, builtins.list[str]]: ...
    @overload
    async def colormaps(self, *, idempotency_key: str | None = ...) -> dict[str, builtins.list[str]]:
        """Colormaps by group."""
    @overload
    async def formulas(self, body: m.CogEmptyInput | None = ..., /, *, idempotency_key: str | None = ...) -> dict[str, m.Formula]: ...
    @overload
    async def formulas(self, *, idempotency_key: str | None = ...) -> dict[str, m.Formula]:
        """Ready-made index formulas."""
    @overload
    async def statistics(self, body: m.CogStatsInput, /, *, idempotency_key: str | None = ...) -> m.CogStatsOutput: ...
    @overload
    async def statistics(self, *, url: str, geometry: Mapping[str, Any], expression: str | None = ..., bands: str | None = ..., percentiles: Sequence[Any] = ..., idempotency_key: str | None = ...) -> m.CogStatsOutput:
        """Percentiles of a raster inside an area."""
    @overload
    async def thumbnail(self, body: m.CogThumbnailInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    async def thumbnail(self, *, url: str, width: int = ..., height: int = ..., idempotency_key: str | None = ...) -> Any:
        """Small preview image of a raster."""
    @property
    def tile(self) -> AsyncCogTile: ...

class AsyncCollections:
    @overload
    async def create(self, body: m.CollectionCreateInput, /, *, idempotency_key: str | None = ...) -> m.CollectionResponse: ...
    @overload
    async def create(self, *, name: str, project_id: str, description: str | None = ..., color: str | None = ..., show_on_map: bool = ..., layer_order: int = ..., slug: str | None = ..., stac: Mapping[str, Any] = ..., idempotency_key: str | None = ...) -> m.CollectionResponse:
        """Create an organizing collection within a project (editor/admin required)."""
    @overload
    async def delete(self, body: m.CollectionDeleteInput, /, *, idempotency_key: str | None = ...) -> m.CollectionDeleteOutput: ...
    @overload
    async def delete(self, *, project_id: str, collection_id: str, items: Literal['keep', 'delete'] = ..., idempotency_key: str | None = ...) -> m.CollectionDeleteOutput:
        """Soft-delete a collection, unlinking or deleting its items (project admin required).

To delete them takes the scope `items:write` too. Items that are deleted with it are gone with the answer. Of more than 500 items the rows follow in batches, and with each its events `item.deleted` and its bytes; until then those that stay still name it."""
    @overload
    async def get(self, body: m.CollectionsGetInput, /, *, idempotency_key: str | None = ...) -> m.CollectionGetOutput: ...
    @overload
    async def get(self, *, project_id: str, collection_id: str, idempotency_key: str | None = ...) -> m.CollectionGetOutput:
        """Read a project's collection."""
    @overload
    async def list(self, body: m.CollectionsCollectionsListInput, /, *, idempotency_key: str | None = ...) -> m.CollectionsListOutput: ...
    @overload
    async def list(self, *, project_id: str, idempotency_key: str | None = ...) -> m.CollectionsListOutput:
        """List a project's collections."""
    @overload
    async def update(self, body: m.CollectionUpdateInput, /, *, idempotency_key: str | None = ...) -> m.CollectionResponse: ...
    @overload
    async def update(self, *, project_id: str, collection_id: str, name: str | None = ..., description: str | None = ..., color: str | None = ..., show_on_map: bool | None = ..., layer_order: int | None = ..., stac: Mapping[str, Any] | None = ..., set_stac: Mapping[str, Any] = ..., unset_stac: Sequence[str] = ..., public: bool | None = ..., idempotency_key: str | None = ...) -> m.CollectionResponse:
        """Update a collection's metadata (editor/admin required; admin to make it public or not)."""

class AsyncEventSubscriptions:
    @overload
    async def create(self, body: m.CreateSubscriptionInput, /, *, idempotency_key: str | None = ...) -> m.SubscriptionOutput: ...
    @overload
    async def create(self, *, event_type: str, endpoint_url: str, filter_config: Mapping[str, Any] = ..., headers: Mapping[str, str] = ..., description: str | None = ..., idempotency_key: str | None = ...) -> m.SubscriptionOutput:
        """Create a webhook subscription for the caller's organization.

Events from now on are sent to the address; the secret that signs them is shown this once. Who sees some of the organization's projects only is told of events in those."""
    @overload
    async def delete(self, body: m.SubscriptionInput, /, *, idempotency_key: str | None = ...) -> m.DeleteSubscriptionOutput: ...
    @overload
    async def delete(self, *, subscription_id: str, idempotency_key: str | None = ...) -> m.DeleteSubscriptionOutput:
        """Delete a webhook subscription (org-scoped); what waits to be sent is dropped."""
    @property
    def deliveries(self) -> AsyncEventSubscriptionsDeliveries: ...
    @overload
    async def get(self, body: m.SubscriptionInput, /, *, idempotency_key: str | None = ...) -> m.SubscriptionGetOutput: ...
    @overload
    async def get(self, *, subscription_id: str, idempotency_key: str | None = ...) -> m.SubscriptionGetOutput:
        """Get a single webhook subscription (org-scoped; secret redacted)."""
    @overload
    async def list(self, body: m.ListSubscriptionsInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.SubscriptionListOutput: ...
    @overload
    async def list(self, *, event_type: str | None = ..., active: bool | None = ..., idempotency_key: str | None = ...) -> m.SubscriptionListOutput:
        """List the caller's organization's webhook subscriptions (secret redacted)."""
    @overload
    async def rotate_secret(self, body: m.RotateSecretInput, /, *, idempotency_key: str | None = ...) -> m.RotateSecretOutput: ...
    @overload
    async def rotate_secret(self, *, subscription_id: str, valid_hours: int = ..., idempotency_key: str | None = ...) -> m.RotateSecretOutput:
        """Give a subscription a new secret; for a time messages are signed with both.

Standard Webhooks' header then has two signatures, X-Geopera-Signature is by the new one. A third secret ends the validity of the first."""
    @overload
    async def test(self, body: m.SubscriptionInput, /, *, idempotency_key: str | None = ...) -> m.TestSubscriptionOutput: ...
    @overload
    async def test(self, *, subscription_id: str, idempotency_key: str | None = ...) -> m.TestSubscriptionOutput:
        """Send a test event to a webhook subscription and return the delivery result.

A real one: signed, with the subscription's headers, whether it is active or not. It is tried once."""
    @overload
    async def update(self, body: m.UpdateSubscriptionInput, /, *, idempotency_key: str | None = ...) -> m.SubscriptionOutput: ...
    @overload
    async def update(self, *, subscription_id: str, endpoint_url: str | None = ..., filter_config: Mapping[str, Any] | None = ..., headers: Mapping[str, str] | None = ..., active: bool | None = ..., description: str | None = ..., idempotency_key: str | None = ...) -> m.SubscriptionOutput:
        """Update a webhook subscription (org-scoped).

One that is enabled again begins with the events from then; what was given up meanwhile can be replayed. Where its maker has left or may see less than it tells, who enables it takes it over. Another host is not sent the headers of the one before: give them again where it needs them."""

class AsyncItems:
    @property
    def asset(self) -> AsyncItemsAsset: ...
    @overload
    async def create(self, body: m.ItemCreateInput, /, *, idempotency_key: str | None = ...) -> m.ItemResponse: ...
    @overload
    async def create(self, *, type: m.ItemType, name: str, project_id: str, collection_id: str | None = ..., stac_id: str | None = ..., geometry: Mapping[str, Any] | None = ..., bbox: Sequence[float] | None = ..., datetime: str | None = ..., start_datetime: str | None = ..., end_datetime: str | None = ..., cloud_cover: float | None = ..., gsd: float | None = ..., description: str | None = ..., properties: Mapping[str, Any] = ..., stac_extensions: Sequence[str] = ..., order_id: str | None = ..., upload_id: str | None = ..., job_id: str | None = ..., assets: Mapping[str, Any] = ..., links: Sequence[Mapping[str, Any]] = ..., idempotency_key: str | None = ...) -> m.ItemResponse:
        """Create an item within a project (editor/admin on the project)."""
    @overload
    async def delete(self, body: m.ItemDeleteInput, /, *, idempotency_key: str | None = ...) -> m.ItemDeleteOutput: ...
    @overload
    async def delete(self, *, item_id: str, idempotency_key: str | None = ...) -> m.ItemDeleteOutput:
        """Soft-delete an item (admin/editor on the item's project required).

Its assets go with it; a file is removed, and its bytes are free, with the last asset that names it."""
    @overload
    async def detect_asset_bands(self, body: m.DetectBandsInput, /, *, idempotency_key: str | None = ...) -> m.DetectBandsOutput: ...
    @overload
    async def detect_asset_bands(self, *, item_id: str, asset_id: str, idempotency_key: str | None = ...) -> m.DetectBandsOutput:
        """Auto-detect band names for an asset from its reflectance statistics.

Changes nothing: items.set_asset_band_names takes the names over."""
    @overload
    async def duplicate(self, body: m.ItemDuplicateInput, /, *, idempotency_key: str | None = ...) -> m.ItemResponse: ...
    @overload
    async def duplicate(self, *, item_id: str, new_name: str | None = ..., target_collection_id: str | None = ..., target_project_id: str | None = ..., idempotency_key: str | None = ...) -> m.ItemResponse:
        """Duplicate an item with its assets + viz profiles (admin/editor on the project).

The copy shares the objects of the original; each object goes when the last asset that names it does."""
    @overload
    async def expire_batch(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.ExpireOutput: ...
    @overload
    async def expire_batch(self, *, idempotency_key: str | None = ...) -> m.ExpireOutput:
        """Transition all past-expiry items to 'expired' (the hourly retention cron).

Their files are not given out any more. Items that end within a week become 'expiring'."""
    @overload
    async def get(self, body: m.ItemGetInput, /, *, idempotency_key: str | None = ...) -> m.ItemGetOutput: ...
    @overload
    async def get(self, *, item_id: str, idempotency_key: str | None = ...) -> m.ItemGetOutput:
        """Fetch a single catalog item by id."""
    @overload
    async def get_stac(self, body: m.ItemStacInput, /, *, idempotency_key: str | None = ...) -> Any: ...
    @overload
    async def get_stac(self, *, item_id: str, base_url: str | None = ..., idempotency_key: str | None = ...) -> Any:
        """Read an item as a STAC Feature, with its provenance."""
    @overload
    async def import_(self, body: m.ItemsImportInput, /, *, idempotency_key: str | None = ...) -> m.ItemsImportOutput: ...
    @overload
    async def import_(self, *, project_id: str, items: Sequence[Any], collection_id: str | None = ..., method: m.ImportMethod = ..., atomic: bool = ..., idempotency_key: str | None = ...) -> m.ItemsImportOutput:
        """Store up to 10,000 STAC items, each with an outcome of its own.

An item that is there with the same content is left as it is, so an import may be repeated. Assets keep their hrefs. One bad item fails alone, unless `atomic` is set."""
    @overload
    async def lineage(self, body: m.ItemLineageInput, /, *, idempotency_key: str | None = ...) -> m.ItemLineageOutput: ...
    @overload
    async def lineage(self, *, item_id: str, idempotency_key: str | None = ...) -> m.ItemLineageOutput:
        """Get the lineage tree (parents + children) for an item."""
    @overload
    async def list(self, body: m.ItemsListInput, /, *, idempotency_key: str | None = ...) -> m.ItemsPage: ...
    @overload
    async def list(self, *, project_id: str, collection_id: str | None = ..., uncollected: bool = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.ItemsPage:
        """List a project's items, newest first."""
    @overload
    async def list_assets(self, body: m.ItemAssetsInput, /, *, idempotency_key: str | None = ...) -> m.ItemAssetsOutput: ...
    @overload
    async def list_assets(self, *, item_id: str, pictures: bool = ..., idempotency_key: str | None = ...) -> m.ItemAssetsOutput:
        """List the files of an item: what it was given, without the pictures drawn of it."""
    @overload
    async def list_by_collection(self, body: m.ItemsByCollectionInput, /, *, idempotency_key: str | None = ...) -> m.ItemsPage: ...
    @overload
    async def list_by_collection(self, *, collection_id: str, limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.ItemsPage:
        """List a collection's items, newest first."""
    @overload
    async def list_expiring(self, body: m.ExpiringInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ExpiringOutput: ...
    @overload
    async def list_expiring(self, *, days: int = ..., idempotency_key: str | None = ...) -> m.ExpiringOutput:
        """List items approaching retention expiry (system-wide, for the notification cron)."""
    @overload
    async def search(self, body: m.ProjectItemSearchInput, /, *, idempotency_key: str | None = ...) -> m.FeatureCollectionOutput: ...
    @overload
    async def search(self, *, project_id: str, bbox: Sequence[float] | None = ..., datetime: str | None = ..., limit: int = ..., offset: int = ..., collections: Sequence[str] | None = ..., type: m.ItemType | None = ..., query: Mapping[str, Any] | None = ..., sortby: Sequence[Mapping[str, str]] | None = ..., format: str | None = ..., base_url: str | None = ..., idempotency_key: str | None = ...) -> m.FeatureCollectionOutput:
        """Search a project's items with STAC-compatible filters (project member access)."""
    @overload
    async def search_org(self, body: m.OrgItemSearchInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.FeatureCollectionOutput: ...
    @overload
    async def search_org(self, *, bbox: Sequence[float] | None = ..., datetime: str | None = ..., limit: int = ..., offset: int = ..., collections: Sequence[str] | None = ..., type: m.ItemType | None = ..., query: Mapping[str, Any] | None = ..., sortby: Sequence[Mapping[str, str]] | None = ..., format: str | None = ..., base_url: str | None = ..., idempotency_key: str | None = ...) -> m.FeatureCollectionOutput:
        """Search all items across the caller's organization (STAC-compatible)."""
    @overload
    async def set_asset_band_names(self, body: m.SetBandNamesInput, /, *, idempotency_key: str | None = ...) -> m.AssetOutput: ...
    @overload
    async def set_asset_band_names(self, *, item_id: str, asset_id: str, band_names: Sequence[str], idempotency_key: str | None = ...) -> m.AssetOutput:
        """Rename the bands on an item's asset (project member access).

The item's own profile `auto` follows the names. A profile that draws a band by a name that would be gone stands in the way."""
    @property
    def tile(self) -> AsyncItemsTile: ...
    @overload
    async def update(self, body: m.ItemUpdateInput, /, *, idempotency_key: str | None = ...) -> m.ItemResponse: ...
    @overload
    async def update(self, *, item_id: str, collection_id: str | None = ..., name: str | None = ..., description: str | None = ..., geometry: Mapping[str, Any] | None = ..., bbox: Sequence[float] | None = ..., datetime: str | None = ..., start_datetime: str | None = ..., end_datetime: str | None = ..., cloud_cover: float | None = ..., gsd: float | None = ..., properties: Mapping[str, Any] | None = ..., lifecycle_state: m.LifecycleState | None = ..., stac_extensions: Sequence[str] | None = ..., assets: Mapping[str, Any] | None = ..., links: Sequence[Mapping[str, Any]] | None = ..., set_properties: Mapping[str, Any] | None = ..., clear: Sequence[str] = ..., idempotency_key: str | None = ...) -> m.ItemResponse:
        """Update an item's mutable metadata (editor/admin on its project)."""

class AsyncNotifications:
    @overload
    async def dismiss(self, body: m.NotificationRef, /, *, idempotency_key: str | None = ...) -> m.NotificationOutput: ...
    @overload
    async def dismiss(self, *, notification_id: str, idempotency_key: str | None = ...) -> m.NotificationOutput:
        """Hide one notification for good; 404 where it is hidden already, or is not the caller's."""
    @overload
    async def list(self, body: m.NotificationsListInput | None = ..., /, *, idempotency_key: str | None = ...) -> builtins.list[m.NotificationOutput]: ...
    @overload
    async def list(self, *, unread_only: bool = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> builtins.list[m.NotificationOutput]:
        """List the caller's notifications, newest first, without those dismissed.

A key has none."""
    @overload
    async def mark_all_read(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.MarkAllReadOutput: ...
    @overload
    async def mark_all_read(self, *, idempotency_key: str | None = ...) -> m.MarkAllReadOutput:
        """Mark every notification that counts as unread as read."""
    @overload
    async def mark_read(self, body: m.NotificationRef, /, *, idempotency_key: str | None = ...) -> m.NotificationOutput: ...
    @overload
    async def mark_read(self, *, notification_id: str, idempotency_key: str | None = ...) -> m.NotificationOutput:
        """Mark one notification as read; 404 where it is read already, or is not the caller's."""
    @overload
    async def unread_count(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.UnreadCount: ...
    @overload
    async def unread_count(self, *, idempotency_key: str | None = ...) -> m.UnreadCount:
        """Count the caller's notifications that are neither read nor dismissed.

`GET /v1/notifications/stream` sends the same number whenever it changes."""

class AsyncOrganizations:
    @overload
    async def create(self, body: m.OrganizationCreateInput, /, *, idempotency_key: str | None = ...) -> m.OrganizationCreateOutput: ...
    @overload
    async def create(self, *, name: str, description: str | None = ..., website: str | None = ..., industry: str | None = ..., size: str | None = ..., country: str | None = ..., abn: str | None = ..., tax_number: str | None = ..., billing_email: str | None = ..., billing_admin_id: str | None = ..., billing_address: Mapping[str, Any] | None = ..., enterprise_billing: bool = ..., idempotency_key: str | None = ...) -> m.OrganizationCreateOutput:
        """Create an organization; the caller becomes its owner and it receives the signup credits."""
    @overload
    async def get(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.OrganizationGetOutput: ...
    @overload
    async def get(self, *, idempotency_key: str | None = ...) -> m.OrganizationGetOutput:
        """Read the caller's organization."""
    @property
    def invitations(self) -> AsyncOrganizationsInvitations: ...
    @property
    def members(self) -> AsyncOrganizationsMembers: ...

class AsyncPaymentMethods:
    @overload
    async def attach(self, body: m.AttachInput, /, *, idempotency_key: str | None = ...) -> m.PaymentMethodOutput: ...
    @overload
    async def attach(self, *, payment_method_id: str, idempotency_key: str | None = ...) -> m.PaymentMethodOutput:
        """Keep a confirmed card; the first one is the default."""
    @overload
    async def create_setup_intent(self, body: m.SetupIntentInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.SetupIntentOutput: ...
    @overload
    async def create_setup_intent(self, *, idempotency_key: str | None = ...) -> m.SetupIntentOutput:
        """Begin to save a card for charges without its holder; answers a Stripe SetupIntent."""
    @overload
    async def detach(self, body: m.DetachInput, /, *, idempotency_key: str | None = ...) -> m.DetachOutput: ...
    @overload
    async def detach(self, *, payment_method_row_id: str, idempotency_key: str | None = ...) -> m.DetachOutput:
        """Forget a saved card. Where it was the default there is none until another is chosen."""
    @overload
    async def list(self, body: m.Empty | None = ..., /, *, idempotency_key: str | None = ...) -> m.PaymentMethodsOutput: ...
    @overload
    async def list(self, *, idempotency_key: str | None = ...) -> m.PaymentMethodsOutput:
        """List the organization's saved cards."""
    @overload
    async def set_default(self, body: m.SetDefaultInput, /, *, idempotency_key: str | None = ...) -> m.PaymentMethodOutput: ...
    @overload
    async def set_default(self, *, payment_method_row_id: str, idempotency_key: str | None = ...) -> m.PaymentMethodOutput:
        """Choose the card that is charged where none is named."""

class AsyncProcessing:
    @property
    def catalog(self) -> AsyncProcessingCatalog: ...
    @overload
    async def create(self, body: m.ProcessingCreateInput, /, *, idempotency_key: str | None = ...) -> m.JobOutput: ...
    @overload
    async def create(self, *, project_id: str, job_type_id: str, input_params: Mapping[str, Any] = ..., target_collection_id: str | None = ..., use_cache: bool = ..., idempotency_key: str | None = ...) -> m.JobOutput:
        """Create a processing job, reserving its credits; it waits for processing.dispatch."""
    @overload
    async def create_and_dispatch(self, body: m.ProcessingCreateInput, /, *, idempotency_key: str | None = ...) -> m.ProcessingDispatchOutput: ...
    @overload
    async def create_and_dispatch(self, *, project_id: str, job_type_id: str, input_params: Mapping[str, Any] = ..., target_collection_id: str | None = ..., use_cache: bool = ..., idempotency_key: str | None = ...) -> m.ProcessingDispatchOutput:
        """Create a processing job and hand it to a worker in one step."""
    @overload
    async def dispatch(self, body: m.ProcessingDispatchInput, /, *, idempotency_key: str | None = ...) -> m.ProcessingDispatchOutput: ...
    @overload
    async def dispatch(self, *, job_id: str, version: str = ..., idempotency_key: str | None = ...) -> m.ProcessingDispatchOutput:
        """Dispatch an existing pending processing job to its registered worker."""
    @overload
    async def execute(self, body: m.ProcessExecuteInput, /, *, idempotency_key: str | None = ...) -> m.ProcessExecuteOutput: ...
    @overload
    async def execute(self, *, process_id: str, workspaceId: str, inputs: Mapping[str, Any] = ..., use_cache: bool = ..., subscriber: m.Subscriber | None = ..., response: Literal['raw', 'document'] | None = ..., outputs: Mapping[str, m.OutputWish] | None = ..., idempotency_key: str | None = ...) -> m.ProcessExecuteOutput:
        """Execute a process (reserve credits + dispatch a job)."""
    @property
    def job(self) -> AsyncProcessingJob: ...
    @property
    def job_types(self) -> AsyncProcessingJobTypes: ...
    @property
    def jobs(self) -> AsyncProcessingJobs: ...
    @property
    def project_job(self) -> AsyncProcessingProjectJob: ...
    @property
    def project_jobs(self) -> AsyncProcessingProjectJobs: ...

class AsyncProjects:
    @overload
    async def add_member(self, body: m.AddMemberInput, /, *, idempotency_key: str | None = ...) -> m.ProjectsMemberOutput: ...
    @overload
    async def add_member(self, *, project_id: str, user_id: str, role: str = ..., idempotency_key: str | None = ...) -> m.ProjectsMemberOutput:
        """Add a person of the organization to a workspace (project admin or owner)."""
    @overload
    async def archive(self, body: m.ProjectArchiveInput, /, *, idempotency_key: str | None = ...) -> m.ProjectResponse: ...
    @overload
    async def archive(self, *, project_id: str, name: str | None = ..., description: str | None = ..., is_archived: bool | None = ..., idempotency_key: str | None = ...) -> m.ProjectResponse:
        """Archive a workspace, hiding it from the default list (project admin or owner)."""
    @overload
    async def create(self, body: m.ProjectCreate, /, *, idempotency_key: str | None = ...) -> m.ProjectResponse: ...
    @overload
    async def create(self, *, name: str, description: str | None = ..., gcs_region: m.GcsRegion = ..., idempotency_key: str | None = ...) -> m.ProjectResponse:
        """Create a workspace in the caller's organization; its creator becomes owner."""
    @overload
    async def delete(self, body: m.ProjectDeleteInput, /, *, idempotency_key: str | None = ...) -> m.ProjectDeleteOutput: ...
    @overload
    async def delete(self, *, project_id: str, idempotency_key: str | None = ...) -> m.ProjectDeleteOutput:
        """Delete a workspace with its collections, items, assets and objects (project admin or owner).

All of it is gone with the answer, and `storage_freed_bytes` are free: the bytes of all files that nothing outside of the project names. Of more than 500 items the rows and objects follow in batches, and with each its events `item.deleted`. Jobs that wait are cancelled and their reservations released; a running one is told to stop and can register nothing any more."""
    @overload
    async def get(self, body: m.ProjectGetInput, /, *, idempotency_key: str | None = ...) -> m.ProjectGetOutput: ...
    @overload
    async def get(self, *, project_id: str, idempotency_key: str | None = ...) -> m.ProjectGetOutput:
        """Read one project."""
    @overload
    async def list(self, body: m.ProjectListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.ProjectListOutput: ...
    @overload
    async def list(self, *, limit: int = ..., offset: int = ..., include_archived: bool = ..., idempotency_key: str | None = ...) -> m.ProjectListOutput:
        """List the projects the caller sees, newest first; archived ones only where asked for."""
    @property
    def members(self) -> AsyncProjectsMembers: ...
    @overload
    async def remove_member(self, body: m.RemoveMemberInput, /, *, idempotency_key: str | None = ...) -> m.RemoveMemberOutput: ...
    @overload
    async def remove_member(self, *, project_id: str, user_id: str, idempotency_key: str | None = ...) -> m.RemoveMemberOutput:
        """Remove a person from a workspace (project admin or owner).

Share links of it that they made end, where they do not see it as an owner or admin of the organization."""
    @overload
    async def update(self, body: m.ProjectUpdateInput, /, *, idempotency_key: str | None = ...) -> m.ProjectResponse: ...
    @overload
    async def update(self, *, project_id: str, name: str | None = ..., description: str | None = ..., is_archived: bool | None = ..., idempotency_key: str | None = ...) -> m.ProjectResponse:
        """Change a workspace's name, description or archived flag (project admin or owner)."""
    @overload
    async def update_member(self, body: m.UpdateMemberInput, /, *, idempotency_key: str | None = ...) -> m.ProjectsMemberOutput: ...
    @overload
    async def update_member(self, *, project_id: str, user_id: str, role: str, idempotency_key: str | None = ...) -> m.ProjectsMemberOutput:
        """Change a member's role in a workspace (project admin or owner)."""

class AsyncProvenance:
    @overload
    async def get(self, body: m.LineageGetInput, /, *, idempotency_key: str | None = ...) -> m.LineageGetOutput: ...
    @overload
    async def get(self, *, entity_type: str, entity_id: str, direction: str = ..., max_depth: int = ..., idempotency_key: str | None = ...) -> m.LineageGetOutput:
        """Walk the ancestors or descendants of one entity."""

class AsyncSavedSearches:
    @overload
    async def create(self, body: m.SavedSearchCreateInput, /, *, idempotency_key: str | None = ...) -> m.SavedSearch: ...
    @overload
    async def create(self, *, name: str, search: m.SearchDocument, project_id: str | None = ..., description: str | None = ..., idempotency_key: str | None = ...) -> m.SavedSearch:
        """Save a search under a name (project editor, or organization admin).

From then on its feed tells what comes to match it, and `saved_search.matched` is published."""
    @overload
    async def delete(self, body: m.SavedSearchDeleteInput, /, *, idempotency_key: str | None = ...) -> m.SavedSearchDeleteOutput: ...
    @overload
    async def delete(self, *, search_id: str, idempotency_key: str | None = ...) -> m.SavedSearchDeleteOutput:
        """Delete a saved search and its feed (project editor, or organization admin)."""
    @overload
    async def feed(self, body: m.SavedSearchFeedInput, /, *, idempotency_key: str | None = ...) -> m.SavedSearchFeedOutput: ...
    @overload
    async def feed(self, *, search_id: str, cursor: str | None = ..., limit: int = ..., items: bool = ..., base_url: str | None = ..., idempotency_key: str | None = ...) -> m.SavedSearchFeedOutput:
        """What came to match a saved search since a cursor, in order, each entry at least once.

Entries do not change and their order is final: the same cursor gives the same entries again."""
    @overload
    async def get(self, body: m.SavedSearchGetInput, /, *, idempotency_key: str | None = ...) -> m.SavedSearchGetOutput: ...
    @overload
    async def get(self, *, search_id: str, idempotency_key: str | None = ...) -> m.SavedSearchGetOutput:
        """Read a saved search."""
    @overload
    async def items(self, body: m.SavedSearchItemsInput, /, *, idempotency_key: str | None = ...) -> m.FeatureCollectionOutput: ...
    @overload
    async def items(self, *, search_id: str, limit: int | None = ..., token: str | None = ..., base_url: str | None = ..., idempotency_key: str | None = ...) -> m.FeatureCollectionOutput:
        """The items a saved search finds now, of those the caller may see."""
    @overload
    async def list(self, body: m.SavedSearchListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.SavedSearchListOutput: ...
    @overload
    async def list(self, *, project_id: str | None = ..., limit: int = ..., offset: int = ..., idempotency_key: str | None = ...) -> m.SavedSearchListOutput:
        """List the saved searches the caller may see: of one project, or all."""
    @overload
    async def update(self, body: m.SavedSearchUpdateInput, /, *, idempotency_key: str | None = ...) -> m.SavedSearch: ...
    @overload
    async def update(self, *, search_id: str, name: str | None = ..., description: str | None = ..., search: m.SearchDocument | None = ..., idempotency_key: str | None = ...) -> m.SavedSearch:
        """Change a saved search (project editor, or organization admin).

The feed goes on with the new search; it does not go back over items that did not change."""

class AsyncShare:
    @property
    def link(self) -> AsyncShareLink: ...
    @property
    def tile(self) -> AsyncShareTile: ...
    @overload
    async def tilejson(self, body: m.ShareTilejsonInput, /, *, idempotency_key: str | None = ...) -> m.TileJSON: ...
    @overload
    async def tilejson(self, *, token: str, password: str = ..., profile: str | None = ..., item_id: str | None = ..., idempotency_key: str | None = ...) -> m.TileJSON:
        """TileJSON of a shared item; its tile URLs hold a key for an hour, and not the password."""

class AsyncStac:
    @property
    def collections(self) -> AsyncStacCollections: ...
    @overload
    async def search(self, body: m.SearchInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.FeatureCollectionOutput: ...
    @overload
    async def search(self, *, base_url: str = ..., collections: Sequence[str] | None = ..., ids: Sequence[str] | None = ..., datetime: str | None = ..., sortby: Sequence[m.SortClause] | None = ..., limit: int = ..., page: int = ..., filter: Mapping[str, Any] | None = ..., filter_lang: str | None = ..., bbox: Sequence[float] | None = ..., intersects: Mapping[str, Any] | None = ..., idempotency_key: str | None = ...) -> m.FeatureCollectionOutput:
        """Search the items the caller may see, as the STAC API's search does."""

class AsyncUploads:
    @overload
    async def complete(self, body: m.UploadCompleteInput, /, *, idempotency_key: str | None = ...) -> m.UploadCompleteOutput: ...
    @overload
    async def complete(self, *, upload_id: str, files: Sequence[m.UploadedFile] | None = ..., name: str | None = ..., description: str | None = ..., datetime: str | None = ..., start_datetime: str | None = ..., end_datetime: str | None = ..., collection_id: str | None = ..., properties: Mapping[str, Any] = ..., stac_id: str | None = ..., type: m.ItemType = ..., idempotency_key: str | None = ...) -> m.UploadCompleteOutput:
        """Finalize an upload session — ingest the uploaded file(s) into items + assets."""
    @overload
    async def fail(self, body: m.UploadFailInput, /, *, idempotency_key: str | None = ...) -> m.UploadOutput: ...
    @overload
    async def fail(self, *, upload_id: str, error_message: str, error_step: str | None = ..., idempotency_key: str | None = ...) -> m.UploadOutput:
        """Mark an upload session failed, releasing its storage reservation."""
    @overload
    async def get(self, body: m.UploadGetInput, /, *, idempotency_key: str | None = ...) -> m.UploadGetOutput: ...
    @overload
    async def get(self, *, upload_id: str, idempotency_key: str | None = ...) -> m.UploadGetOutput:
        """Read an upload session."""
    @overload
    async def initiate(self, body: m.UploadInitiate, /, *, idempotency_key: str | None = ...) -> m.UploadOutput: ...
    @overload
    async def initiate(self, *, project_id: str, transfer_method: str = ..., file_count: int = ..., total_bytes: int = ..., target_collection_id: str | None = ..., target_item_id: str | None = ..., asset_key: str | None = ..., is_categorical: bool = ..., idempotency_key: str | None = ...) -> m.UploadOutput:
        """Start an upload session, reserving storage quota (editor/admin on the project)."""
    @overload
    async def progress(self, body: m.UploadProgressInput, /, *, idempotency_key: str | None = ...) -> m.UploadOutput: ...
    @overload
    async def progress(self, *, upload_id: str, status: str | None = ..., bytes_uploaded: int | None = ..., idempotency_key: str | None = ...) -> m.UploadOutput:
        """Update an upload session's progress."""
    @overload
    async def signed_url(self, body: m.SignedUrlInput, /, *, idempotency_key: str | None = ...) -> m.SignedUrlOutput: ...
    @overload
    async def signed_url(self, *, upload_id: str, file_name: str, content_type: str = ..., idempotency_key: str | None = ...) -> m.SignedUrlOutput:
        """Mint a signed URL for uploading a file into an upload session."""

class AsyncUsage:
    @overload
    async def current(self, body: m.UsageCurrentInput, /, *, idempotency_key: str | None = ...) -> m.UsageCurrentOutput: ...
    @overload
    async def current(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.UsageCurrentOutput:
        """Tell what the organization has used in this month (UTC).

Reads are counted within seconds of their answer, everything else at once."""
    @overload
    async def history(self, body: m.UsageHistoryInput, /, *, idempotency_key: str | None = ...) -> m.UsageHistoryOutput: ...
    @overload
    async def history(self, *, organization_id: str, months: int = ..., idempotency_key: str | None = ...) -> m.UsageHistoryOutput:
        """Tell what the organization used in each of the last months (UTC), this one included."""
    @overload
    async def recalculate_storage(self, body: m.RecalculateInput, /, *, idempotency_key: str | None = ...) -> m.RecalculateOutput: ...
    @overload
    async def recalculate_storage(self, *, organization_id: str, idempotency_key: str | None = ...) -> m.RecalculateOutput:
        """Set the count of stored bytes to what the files take (organization admin).

A file that several items share counts once. `previous_bytes` is what was counted before."""

class AsyncVisualization:
    @overload
    async def list_for(self, body: m.VisualizationListInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.VisualizationListOutput: ...
    @overload
    async def list_for(self, *, band_roles: Mapping[str, int] = ..., data_type: str = ..., render_params: Mapping[str, Any] = ..., asset: str | None = ..., idempotency_key: str | None = ...) -> m.VisualizationListOutput:
        """The visualizations available for an item — RGB/index/elevation — backend-owned + resolved.

Give the bands by their roles, as in `{"red": 3, "green": 2, "blue": 1}`; spellings such as `B04` or `Near Infrared` are understood."""
    @property
    def profile(self) -> AsyncVisualizationProfile: ...
    @property
    def profiles(self) -> AsyncVisualizationProfiles: ...

class AsyncWebhooks:
    @overload
    async def drain(self, body: m.DrainInput | None = ..., /, *, idempotency_key: str | None = ...) -> m.DrainOutput: ...
    @overload
    async def drain(self, *, limit: int | None = ..., idempotency_key: str | None = ...) -> m.DrainOutput:
        """Deliver due/retryable webhook deliveries (cron drainer).

Events that nobody has passed on are passed on first. Workers do the same all the time."""

class AsyncTree:
    @property
    def alerts(self) -> AsyncAlerts: ...
    @property
    def analytics(self) -> AsyncAnalytics: ...
    @property
    def api_keys(self) -> AsyncApiKeys: ...
    @property
    def assets(self) -> AsyncAssets: ...
    @property
    def astra(self) -> AsyncAstra: ...
    @property
    def band_formulas(self) -> AsyncBandFormulas: ...
    @property
    def billing(self) -> AsyncBilling: ...
    @property
    def clip(self) -> AsyncClip: ...
    @property
    def cog(self) -> AsyncCog: ...
    @property
    def collections(self) -> AsyncCollections: ...
    @property
    def event_subscriptions(self) -> AsyncEventSubscriptions: ...
    @property
    def items(self) -> AsyncItems: ...
    @property
    def notifications(self) -> AsyncNotifications: ...
    @property
    def organizations(self) -> AsyncOrganizations: ...
    @property
    def payment_methods(self) -> AsyncPaymentMethods: ...
    @property
    def processing(self) -> AsyncProcessing: ...
    @property
    def projects(self) -> AsyncProjects: ...
    @property
    def provenance(self) -> AsyncProvenance: ...
    @property
    def saved_searches(self) -> AsyncSavedSearches: ...
    @property
    def share(self) -> AsyncShare: ...
    @property
    def stac(self) -> AsyncStac: ...
    @property
    def uploads(self) -> AsyncUploads: ...
    @property
    def usage(self) -> AsyncUsage: ...
    @property
    def visualization(self) -> AsyncVisualization: ...
    @property
    def webhooks(self) -> AsyncWebhooks: ...

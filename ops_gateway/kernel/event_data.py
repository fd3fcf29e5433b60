"""What the data of each kind of event says: the shapes receivers can rely on.

A field is never taken away and never changes its meaning; new ones may come.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EventData(BaseModel):
    """What every event's data has."""

    model_config = ConfigDict(extra="forbid")

    project_id: str | None = Field(default=None, description="The project it happened in.")


class AssetName(BaseModel):
    """An asset that came to an item."""

    model_config = ConfigDict(extra="forbid")

    id: str
    key: str


class ItemData(EventData):
    """An item that was added or changed."""

    item_id: str
    name: str
    type: str = Field(description="The item's type, such as `user_raster`.")
    stac_id: str | None
    collection_id: str | None
    upload_id: str | None = Field(description="The upload it came from.")
    job_id: str | None = Field(description="The job it came from.")
    assets: list[AssetName] = Field(description="The assets that came with this change.")


class ItemDeletedData(EventData):
    """An item that is gone."""

    item_id: str
    name: str
    collection_id: str | None


class UploadCompletedData(EventData):
    """An upload that became items."""

    item_ids: list[str]


class UploadFailedData(EventData):
    """An upload that failed, or that nobody went on with."""

    error_message: str


class JobCompletedData(EventData):
    """A job that is done."""

    job_type_id: str
    output_item_ids: list[str]


class JobError(BaseModel):
    """Why a job ended without a result."""

    model_config = ConfigDict(extra="forbid")

    code: str
    message: str


class JobFailedData(EventData):
    """A job that ended without a result; `error.code` is `cancelled` where somebody ended it."""

    job_type_id: str
    error: JobError


class OrderData(EventData):
    """An order as it is now."""

    order_id: str
    status: str = Field(description="The order's status, such as `FULFILLED`.")
    display_name: str | None = None
    credits: int | None = Field(default=None, description="What it costs.")
    item_ids: list[str] = Field(default=[], description="The items it was fulfilled with.")


class AlertTriggeredData(EventData):
    """A rule that fired, once for each item event."""

    id: str = Field(description="Of the alert event.")
    rule_id: str
    rule_name: str
    organization_id: str
    item_id: str
    collection_id: str | None
    expression: str
    computed_value: float
    comparison: str
    threshold: float
    threshold_upper: float | None
    triggered_at: datetime
    acknowledged: bool
    acknowledged_at: datetime | None


class CreditsLowData(EventData):
    """Available credits fell below the organization's mark."""

    available: int
    threshold: int


class CreditsToppedUpData(EventData):
    """Credits were bought."""

    credits: int = Field(description="How many came.")
    available: int | None = Field(default=None, description="Available credits afterwards.")
    transaction_id: str
    source: str = Field(description="What brought them: `topup`, `auto_topup`, `invoice` …")


class ApprovalData(EventData):
    """A purchase that a person has to decide, or has decided."""

    approval_id: str
    status: Literal["pending", "approved", "rejected", "expired"]
    credits: int
    amount_aud: str | float | None = Field(default=None, description="In Australian dollars.")
    requested_by: str | None = None
    decided_by: str | None = None
    reason: str | None = None
    expires_at: datetime | None = None


class ShareData(EventData):
    """A share link; never its token or password."""

    share_link_id: str
    target_type: Literal["item", "collection"]
    target_id: str
    permission: str
    expires_at: datetime | None = None


class SearchMatchedData(EventData):
    """Items that came to match a saved search."""

    search_id: str
    name: str
    item_ids: list[str]
    cursor: str = Field(description="The place in the search's feed up to which this tells.")


class PingData(EventData):
    """A delivery that somebody asked for, to see whether it arrives."""

    subscription_id: str | None = None
    note: str = ""

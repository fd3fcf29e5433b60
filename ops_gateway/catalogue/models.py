"""Items, assets, profiles and collections as the API gives them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime as DateTime  # fields are called datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from ops_gateway.kernel.operation import Output


class ItemType(StrEnum):
    """What an item is."""

    satellite_capture = "satellite_capture"
    derived_raster = "derived_raster"
    derived_vector = "derived_vector"
    clip = "clip"
    user_raster = "user_raster"
    user_vector = "user_vector"
    external_reference = "external_reference"


class LifecycleState(StrEnum):
    """Where an item is in its life."""

    active = "active"
    expiring = "expiring"
    archived = "archived"
    expired = "expired"
    deleted = "deleted"


class ProfileLayer(StrEnum):
    """Where a profile comes from."""

    sensor = "sensor"
    auto = "auto"
    user = "user"


class ProfileType(StrEnum):
    """What a profile's `config` describes."""

    rgb = "rgb"
    singleband = "singleband"
    multiband = "multiband"
    expression = "expression"


class ItemResponse(Output):
    """Item as returned from the API."""

    id: str
    project_id: str
    collection_id: str | None = None
    stac_id: str
    type: ItemType
    geometry: dict[str, Any] | None = None
    bbox: list[float] | None = None
    datetime: DateTime | None = None
    start_datetime: DateTime | None = None
    end_datetime: DateTime | None = None
    cloud_cover: float | None = None
    gsd: float | None = None
    name: str
    description: str | None = None
    properties: dict[str, Any] = Field(default_factory=dict)
    stac_extensions: list[str] = Field(default_factory=list)
    lifecycle_state: LifecycleState = LifecycleState.active
    expires_at: DateTime | None = None
    archived_at: DateTime | None = None
    previous_version_id: str | None = None
    duplicated_from_id: str | None = None
    order_id: str | None = None
    upload_id: str | None = None
    job_id: str | None = None
    deleted_at: DateTime | None = None
    created_by: str | None = None
    created_at: DateTime
    updated_at: DateTime


class AssetOutput(Output):
    """A file of an item."""

    id: str
    item_id: str
    key: str
    title: str | None
    file_name: str | None
    media_type: str
    roles: list[str]
    href: str | None = Field(default=None, description="where it lies, if not in our store")
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
    datetime: DateTime | None
    created_at: DateTime
    updated_at: DateTime


class ProfileResponse(Output):
    """How an item is drawn."""

    id: str
    item_id: str
    name: str
    layer: ProfileLayer
    type: ProfileType
    is_default: bool = False
    sort_order: int = 0
    config: dict[str, Any]
    asset_key: str | None = None
    version: int = 1
    created_by: str | None = None
    created_at: DateTime
    updated_at: DateTime


class CollectionResponse(Output):
    """Collection as returned from the API."""

    id: str
    project_id: str
    name: str
    description: str | None = None
    color: str | None = None
    show_on_map: bool = True
    layer_order: int = 0
    auto_created: bool = False
    source_type: str | None = None
    source_id: str | None = None
    item_count: int = 0
    public: bool = False
    deleted_at: DateTime | None = None
    created_at: DateTime
    updated_at: DateTime


def item_response(row: Mapping[str, Any]) -> ItemResponse:
    """A row of table `item` as the API gives it; other columns stay inside."""
    return ItemResponse.model_validate({k: row[k] for k in ItemResponse.model_fields if k in row})


def asset_output(row: Mapping[str, Any]) -> AssetOutput:
    """A row of table `asset` as the API gives it; where its object lies stays inside."""
    known = {k: row[k] for k in AssetOutput.model_fields if k in row}
    if row["nodata_is_nan"]:
        known["nodata"] = "nan"
    return AssetOutput.model_validate(known)

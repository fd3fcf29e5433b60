"""What a new item or asset is to be, before it has a row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC  # a field is called datetime
from datetime import datetime as DateTime
from typing import Any

from ops_gateway.catalogue import checks, geometry
from ops_gateway.kernel.ids import new_id
from stac_api.document import PRIVATE, RESERVED

COG = "image/tiff; application=geotiff; profile=cloud-optimized"

Row = dict[str, Any]
Moment = DateTime | str | None

# properties that are columns of ours: they are given by name, never inside
_TIMES = frozenset(("datetime", "start_datetime", "end_datetime", "created", "updated"))
_RASTER_COLUMNS = ("epsg", "width", "height", "transform", "dtype", "band_count", "bands", "is_cog")
_BEYOND = (
    *("alpha", "crs_wkt", "footprint", "bbox", "georeferencing", "has_colormap", "proj"),
    "classes",
)
_COPIED = (
    *(
        "key",
        "object_path",
        "href",
        "stac",
        "title",
        "file_name",
        "media_type",
        "roles",
        "size_bytes",
        "checksum",
    ),
    *("epsg", "width", "height", "transform", "dtype", "nodata", "nodata_is_nan", "band_count"),
    *("band_names", "bands", "raster", "is_cog", "is_categorical", "datetime"),
)


@dataclass(frozen=True, kw_only=True)
class ItemDraft:
    """A new item.

    Attributes:
        geometry: GeoJSON, checked by `geometry.checked` or made by us.
        bbox: from the geometry where absent.
        datetime, start_datetime, end_datetime: aware, or ISO 8601 text; with none of them the
            item's time is now.
        cloud_cover, gsd: percent and metres; else what the properties say.
        item_id: chosen beforehand where its objects are named by it; else made.
        stac_id: the id clients know; the item's own where None.
        properties: a client's, in which names of ours (`opstac:`) do not count.
        statements: what the platform itself says of the item, by such names.
    """

    project_id: str
    name: str
    type: str
    item_id: str | None = None
    collection_id: str | None = None
    stac_id: str | None = None
    description: str | None = None
    geometry: Mapping[str, Any] | None = None
    bbox: Sequence[float] | None = None
    datetime: Moment = None
    start_datetime: Moment = None
    end_datetime: Moment = None
    cloud_cover: float | None = None
    gsd: float | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    statements: Mapping[str, Any] = field(default_factory=dict)
    stac_extensions: Sequence[str] = ()
    links: Sequence[Mapping[str, Any]] = ()
    order_id: str | None = None
    upload_id: str | None = None
    job_id: str | None = None
    duplicated_from_id: str | None = None

    def row(self, created_by: str | None) -> Row:
        """The columns of table `item`.

        Raises:
            Invalid: a time, id, cloud cover or distance that cannot be, at its field.
        """
        row = dict(vars(self))
        item_id = row.pop("item_id") or new_id("it")
        statements = stated(row.pop("statements"))
        cover, distance = checks.measured(self.properties, self.cloud_cover, self.gsd)
        row |= {
            "id": item_id,
            "created_by": created_by,
            "stac_id": checks.stac_id(self.stac_id) or item_id,
            "properties": own_properties(self.properties) | statements,
            "cloud_cover": cover,
            "gsd": distance,
        }
        row["datetime"], row["start_datetime"], row["end_datetime"] = checks.times(
            self.datetime, self.start_datetime, self.end_datetime
        )
        if row["datetime"] is None and row["start_datetime"] is None:
            row["datetime"] = DateTime.now(UTC)
        if self.geometry is not None and self.bbox is None:
            row["bbox"] = geometry.bbox_of(self.geometry)
        return row


@dataclass(frozen=True, kw_only=True)
class AssetDraft:
    """A new file of an item; its object exists already. `external.drafts` makes those that lie
    elsewhere.

    Attributes:
        info: what `raster.inspect` says of it.
        asset_id: chosen beforehand where its object is named by it; else made.
        columns: of an asset it is a copy of, instead of `info`.
    """

    key: str
    object_path: str | None
    info: Mapping[str, Any] = field(default_factory=dict)
    asset_id: str | None = None
    title: str | None = None
    file_name: str | None = None
    roles: Sequence[str] = ("data",)
    is_categorical: bool = False
    datetime: Moment = None
    columns: Mapping[str, Any] | None = None

    @classmethod
    def copy_of(cls, row: Mapping[str, Any]) -> AssetDraft:
        """An asset with the same object as another's row."""
        columns = {name: row[name] for name in _COPIED}
        return cls(key=row["key"], object_path=row["object_path"], columns=columns)

    def row(self, item_id: str) -> Row:
        """The columns of table `asset`. Raises Invalid: a time that is none."""
        row: Row = {"id": self.asset_id or new_id("as"), "item_id": item_id}
        if self.columns is not None:
            return row | dict(self.columns)
        info = self.info
        nodata = info.get("nodata")
        is_nan = nodata == "nan" or (isinstance(nodata, float) and math.isnan(nodata))
        names = info.get("band_names") or ()
        return {
            **row,
            "key": self.key,
            "object_path": self.object_path,
            "title": self.title,
            "file_name": self.file_name,
            "media_type": COG if info.get("is_cog") else info.get("media_type") or "image/tiff",
            "roles": list(self.roles),
            "size_bytes": info["size_bytes"],
            "checksum": info["checksum"],
            **{name: info.get(name) for name in _RASTER_COLUMNS},
            "nodata": None if is_nan else nodata,
            "nodata_is_nan": is_nan,
            "band_names": [name or f"b{n}" for n, name in enumerate(names, 1)],
            "raster": {"gsd_m": info.get("gsd"), **{k: info[k] for k in _BEYOND if k in info}},
            "is_categorical": self.is_categorical,
            "datetime": checks.instant(self.datetime, "datetime"),
        }


def stated(properties: Mapping[str, Any]) -> dict[str, Any]:
    """What the platform itself said among an item's properties, such as the rule of a clip."""
    return {
        name: value
        for name, value in properties.items()
        if name.startswith(PRIVATE) and name not in RESERVED
    }


def own_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A client's properties without those that are the platform's to say. Raises: Invalid."""
    checks.properties(properties)
    return {k: v for k, v in properties.items() if k not in _TIMES and not k.startswith(PRIVATE)}

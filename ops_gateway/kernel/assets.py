"""From an item's asset to what the tiler draws from, for whoever may see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from db.objects import Objects
from db.pool import Connection
from db.queries import queries
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Forbidden, Invalid, NotFound
from tiler.source import AssetSource

sql = queries(__file__)


async def resolve(connection: Connection, item_id: str, asset_key: str | None) -> dict[str, Any]:
    """The asset's row, whoever's it is; raises NotFound. The caller checks who may see it."""
    cursor = await connection.execute(sql.resolve, {"item": item_id, "key": asset_key})
    row = await cursor.fetchone()
    if row is None:
        raise NotFound.of("item")
    return row


def require_visible(row: Mapping[str, Any], principal: Principal) -> None:
    """Raise NotFound for another organization's asset, Forbidden outside the caller's projects."""
    if row["organization_id"] != principal.organization_id:
        raise NotFound.of("item")
    if principal.role_in(row["project_id"]) is None:
        raise Forbidden("not a member of the item's project")


def require_own(href: str | None, key: str) -> None:
    """Raise Forbidden for an asset that lies elsewhere: nothing foreign is opened."""
    if href is not None:
        host = urlsplit(href).netloc[:200]
        raise Forbidden(
            f"asset '{key}' lies at {host}, which this platform does not open; upload the file"
        )


def source_of(row: Mapping[str, Any], profile: str | None, objects: Objects) -> AssetSource:
    """The asset with its display profile: the one named (id or name), else the item's default.

    Raises:
        Forbidden: the asset lies elsewhere.
        Invalid: the item has no such profile.
    """
    require_own(row["href"], row["asset_key"])
    bbox = row["bbox"]
    return AssetSource(
        path=objects.gdal_path(row["object_path"]),
        version=f"{row['checksum'][:32]}.{row['version']}.{objects.stamp(row['object_path'])}",
        asset_key=row["asset_key"],
        name=row["item_name"],
        band_names=tuple(row["band_names"]),
        bands=tuple(row["bands"]),
        nodata=float("nan") if row["nodata_is_nan"] else row["nodata"],
        profile=_profile(row, profile),
        epsg=row["epsg"],
        bounds=tuple(bbox) if bbox and len(bbox) == 4 else None,
        is_categorical=row["is_categorical"],
    )


def _profile(row: Mapping[str, Any], wanted: str | None) -> dict[str, Any] | None:
    fitting = [p for p in row["profiles"] if p["asset_key"] in (None, row["asset_key"])]
    if wanted is not None:
        found = next((p for p in row["profiles"] if wanted in (p["id"], p["name"])), None)
        if found is None:
            names = ", ".join(p["name"] for p in row["profiles"]) or "none"
            raise Invalid.at("profile", f"the item has no profile '{wanted[:100]}'; it has {names}")
    else:
        found = next((p for p in fitting if p["is_default"]), None)
    return {"type": found["type"], "config": found["config"]} if found else None

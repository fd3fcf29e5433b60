"""From an item's asset to what the tiler draws from, for whoever may see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from db.objects import Objects
from db.pool import Connection
from db.queries import queries
from ops_gateway.kernel import stored
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Forbidden, Gone, Invalid, NotFound, OpError
from ops_gateway.kernel.services import Remote
from tiler.source import AssetSource

sql = queries(__file__)


class NothingToDraw(NotFound):
    """The item is there and has no such raster. Says "item not found"; `told` says more.

    `row` has organization_id, project_id, lifecycle_state, expires_at and the keys of its rasters.
    """

    def __init__(self, row: Mapping[str, Any], asset_key: str | None) -> None:
        """`asset_key`: the one that was asked for, None for any."""
        super().__init__("item not found")
        self.row = row
        self.asset_key = asset_key

    def told(self) -> OpError:
        """The refusal for a caller that may see the item."""
        if self.row["lifecycle_state"] == "expired":
            return expired(self.row)
        keys = ", ".join(f"'{key}'" for key in self.row["keys"][:20])
        if not keys:
            return NotFound("the item has no raster to draw")
        named = "" if self.asset_key is None else f" '{self.asset_key[:100]}'"
        return NotFound(f"the item has no raster asset{named}; it has {keys}")


def expired(row: Mapping[str, Any]) -> Gone:
    """The refusal of what an item that is past its time held."""
    since = "" if row["expires_at"] is None else f" on {row['expires_at']:%Y-%m-%d}"
    return Gone(f"the item expired{since}: its files are not given out any more")


async def resolve(
    connection: Connection,
    item_id: str,
    asset_key: str | None,
    profile: str | None = None,
    *,
    holder: str = "",
) -> dict[str, Any]:
    """The asset's row, whoever's it is. The caller checks who may see it.

    Without a key it is the one that the profile is of: the profile named, else the default. Whether
    the `holder` of a token may read it still is told as `stands`.

    Raises:
        NotFound: no such item; NothingToDraw: an item without such a raster.
    """
    row = await _resolved(connection, item_id, asset_key, holder)
    if row is None:
        cursor = await connection.execute(sql.rasters, {"item": item_id, "holder": holder})
        known = await cursor.fetchone()
        if known is None:
            raise NotFound.of("item")
        raise NothingToDraw(known, asset_key)
    if asset_key is None and (chosen := chosen_profile(row, profile)) is not None:
        key = chosen["asset_key"]
        if key not in (None, row["asset_key"]):
            row = await _resolved(connection, item_id, key, holder) or row
    return row


async def _resolved(
    connection: Connection, item_id: str, asset_key: str | None, holder: str
) -> dict[str, Any] | None:
    asked = {"item": item_id, "key": asset_key, "holder": holder}
    cursor = await connection.execute(sql.resolve, asked)
    return await cursor.fetchone()


def chosen_profile(row: Mapping[str, Any], wanted: str | None) -> dict[str, Any] | None:
    """The profile of that id or name, or the item's default; None where there is none such."""
    profiles = row["profiles"]
    if wanted is None:
        return next((p for p in profiles if p["is_default"]), None)
    named = next((p for p in profiles if p["id"] == wanted), None)
    return named or next((p for p in profiles if p["name"] == wanted), None)


async def public_owner(
    connection: Connection, *, item_id: str | None = None, asset_id: str | None = None
) -> str | None:
    """Whose the item, or the asset's item, is where it is in a public collection; else None."""
    cursor = await connection.execute(sql.public_owner, {"item": item_id, "asset": asset_id})
    row = await cursor.fetchone()
    return row["organization_id"] if row else None


def require_visible(row: Mapping[str, Any], principal: Principal) -> None:
    """Raise NotFound for another organization's asset, Forbidden outside the caller's projects."""
    if row["organization_id"] != principal.organization_id:
        raise NotFound.of("item")
    if principal.role_in(row["project_id"]) is None:
        raise Forbidden("not a member of the item's project")


def require_own(href: str | None, key: str) -> None:
    """Raise Forbidden for an asset that lies elsewhere, where only files of ours will do."""
    if href is not None:
        host = urlsplit(href).netloc[:200]
        raise Forbidden(
            f"asset '{key}' lies at {host}: only files that are stored here are opened for this, "
            "and those of hosts that the operator allows for pictures; upload the file"
        )


async def opened(
    row: Mapping[str, Any], profile: str | None, objects: Objects, remote: Remote | None
) -> AssetSource:
    """The asset with its display profile: the one named (id or name), else the item's default.

    One that lies elsewhere is opened where `remote` allows its host; hold no connection meanwhile.

    Raises:
        Forbidden: the asset lies elsewhere, at a host that is not allowed.
        Invalid: the item has no such profile, or there is no raster at the asset's href.
        Unavailable: the other host does not answer.
    """
    href = row["href"]
    if href is None or remote is None or not remote.covers(href):
        require_own(row["href"], row["asset_key"])
        own = await stored.opened(objects, row["object_path"], _told(row))
        source = _source(row, profile, own.path, own.version)
        return source if objects.is_local else replace(source, is_stored=True)
    file = await remote.open(href)
    return _source(row, profile, file.path, f"{file.version}.{row['version']}")


def unopened(
    row: Mapping[str, Any], profile: str | None, objects: Objects, remote: Remote | None
) -> AssetSource:
    """As `opened` without asking any other host: a file that is not on this machine has no path.

    Raises: Forbidden, Invalid.
    """
    href = row["href"]
    if href is None or remote is None or not remote.covers(href):
        source = source_of(row, profile, objects)
        return source if objects.is_local else replace(source, path="", version="")
    return _source(row, profile, "", "")


def source_of(row: Mapping[str, Any], profile: str | None, objects: Objects) -> AssetSource:
    """As `opened`, for files of ours alone, as the database knows them. Raises: Forbidden, Invalid.

    For what is read once: a bucket is not asked whether the file is still that one.
    """
    require_own(row["href"], row["asset_key"])
    path = row["object_path"]
    return _source(row, profile, objects.gdal_path(path), f"{_told(row)}.{objects.stamp(path)}")


def _told(row: Mapping[str, Any]) -> str:
    """Changes when the platform replaces the asset's file."""
    return f"{row['checksum'][:32]}.{row['version']}"


def _source(row: Mapping[str, Any], profile: str | None, path: str, version: str) -> AssetSource:
    bbox = row["bbox"]
    return AssetSource(
        path=path,
        version=version,
        asset_key=row["asset_key"],
        name=row["item_name"],
        band_names=tuple(row["band_names"] or ()),
        bands=tuple(row["bands"] or ()),
        nodata=float("nan") if row["nodata_is_nan"] else row["nodata"],
        profile=_profile(row, profile),
        profiles=tuple({"id": p["id"], "name": p["name"]} for p in row["profiles"]),
        epsg=row["epsg"],
        bounds=tuple(bbox) if bbox and len(bbox) == 4 else None,
        is_categorical=bool(row["is_categorical"]),
    )


def _profile(row: Mapping[str, Any], wanted: str | None) -> dict[str, Any] | None:
    found = chosen_profile(row, wanted)
    if wanted is not None and found is None:
        names = ", ".join(p["name"] for p in row["profiles"][:20]) or "none"
        raise Invalid.at("profile", f"the item has no profile '{wanted[:100]}'; it has {names}")
    if found is None or (wanted is None and found["asset_key"] not in (None, row["asset_key"])):
        return None  # the default of another asset says nothing of this one
    return {"type": found["type"], "config": found["config"]}

"""The files of items: list, name their bands, download."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb
from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue import items, pictures, profile_config
from ops_gateway.catalogue.links import SignedLink, signed_asset
from ops_gateway.catalogue.models import AssetOutput, asset_output
from ops_gateway.catalogue.profiles import auto_profile
from ops_gateway.domains import visualization
from ops_gateway.kernel import access
from ops_gateway.kernel.assets import expired
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Invalid
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from raster import bands as band_roles

sql = queries(__file__)
profiles_sql = queries(visualization.__file__)

MAX_NAME = 100


class ItemAssetsInput(Input):
    """Input of items.list_assets."""

    item_id: str
    pictures: bool = Field(
        default=False, description="true lists the pictures that the platform drew of them too"
    )


class SetBandNamesInput(Input):
    """Input of items.set_asset_band_names."""

    item_id: str
    asset_id: str
    band_names: list[str]


class AssetDownloadInput(Input):
    """Input of items.asset.download."""

    item_id: str
    asset_id: str


class ItemAssetsOutput(Output):
    """The files of an item, in the order they came."""

    assets: list[AssetOutput]
    count: int


class AssetDownloadOutput(Output):
    """A link that opens without a credential until it expires."""

    url: str
    expires_at: datetime
    file_name: str
    media_type: str
    size_bytes: int | None
    method: Literal["GET"] = "GET"


async def find_asset(
    ctx: Context, item_id: str, asset_id: str, role: str = "viewer", *, lock: bool = False
) -> dict[str, Any]:
    """The row of an item's asset; `lock` keeps other writers of the item away."""
    return (await find_both(ctx, item_id, asset_id, role, lock=lock))[1]


async def find_both(
    ctx: Context, item_id: str, asset_id: str, role: str = "viewer", *, lock: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of an item and of an asset of it."""
    item = await access.item(ctx, item_id, role, lock=lock)
    return item, await ctx.one("asset", sql.asset, item=item["id"], id=asset_id)


async def find_file(ctx: Context, item_id: str, asset_id: str) -> dict[str, Any]:
    """The row of an asset whose file is given out. Raises Gone: its item expired."""
    item, asset = await find_both(ctx, item_id, asset_id)
    if item["lifecycle_state"] == "expired":
        raise expired(item)
    return {**asset, "project_id": item["project_id"]}


def check_band_names(names: list[str], band_count: int) -> list[str]:
    """One distinct, printable name a band. Raises Invalid."""
    if len(names) != band_count:
        raise Invalid.at("band_names", f"the asset has {band_count} bands, not {len(names)}")
    seen: set[str] = set()
    for n, name in enumerate(names):
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise Invalid.at(["band_names", n], f"a name has 1 to {MAX_NAME} printable characters")
        if name.lower() in seen:
            raise Invalid.at(["band_names", n], f"{name!r} names two bands")
        seen.add(name.lower())
    return [name.strip() for name in names]


async def follow_names(ctx: Context, asset: dict[str, Any]) -> None:
    """Bring the profiles of an asset whose bands have new names up to date.

    Raises Conflict: one of them could not be drawn any more.
    """
    rasters = await ctx.rows(None, profiles_sql.drawable, item=asset["item_id"])
    first = bool(rasters) and rasters[0]["id"] == asset["id"]
    made = auto_profile(asset["item_id"], [asset], None)
    for profile in await ctx.rows(None, profiles_sql.profiles, item=asset["item_id"]):
        if profile["asset_key"] != asset["key"] and not (first and profile["asset_key"] is None):
            continue
        if profile["layer"] == "auto" and made is not None:
            new = {"type": made["type"], "config": made["config"]}
            if any(profile[name] != value for name, value in new.items()):
                kept = ("name", "layer", "sort_order", "asset_key", "is_default")
                columns = {name: profile[name] for name in kept}
                columns |= {"type": made["type"], "config": Jsonb(made["config"])}
                await ctx.execute(profiles_sql.update_profile, id=profile["id"], **columns)
            continue
        try:
            profile_config.checked(profile["type"], profile["config"], asset)
        except Invalid as error:
            raise Conflict(
                f"profile '{profile['name'][:100]}' could not be drawn with these names: "
                f"{error.detail}; change or delete it first"
            ) from None


@operation("items.list_assets", scope="items:read", effect=Effect.READ)
async def list_assets(ctx: Context, body: ItemAssetsInput) -> ItemAssetsOutput:
    """List the files of an item: what it was given, without the pictures drawn of it."""
    item = await access.item(ctx, body.item_id)
    # drawn or exchanged meanwhile: what was a picture before or is one after is not listed
    drawn = await pictures.assets_drawn(ctx, item["id"])
    rows = await items.assets_of(ctx, item["id"])
    drawn |= await pictures.assets_drawn(ctx, item["id"])
    found = [asset_output(row) for row in rows if body.pictures or row["id"] not in drawn]
    return ItemAssetsOutput(assets=found, count=len(found))


@operation("items.set_asset_band_names", scope="items:write", effect=Effect.COMPUTE)
async def set_band_names(ctx: Context, body: SetBandNamesInput) -> AssetOutput:
    """Rename the bands on an item's asset (project member access).

    The item's own profile `auto` follows the names. A profile that draws a band by a name that
    would be gone stands in the way.
    """
    asset = await find_asset(ctx, body.item_id, body.asset_id, lock=True)
    if asset["band_count"] is None:
        raise Invalid.at("asset_id", f"asset '{asset['key'][:100]}' is no raster: it has no bands")
    names = check_band_names(body.band_names, asset["band_count"] or 0)
    bands = [
        {**band, "name": name, "common_name": band_roles.role(name)}
        for band, name in zip(asset["bands"], names, strict=False)
    ]
    row = await ctx.one("asset", sql.name_bands, id=asset["id"], names=names, bands=Jsonb(bands))
    await follow_names(ctx, row)
    await pictures.outdated(ctx, asset["item_id"])
    changed = await items.touch(ctx, asset["item_id"])
    ctx.produced("asset", asset["id"])
    ctx.emit(items.event("item.updated", changed, [row]))
    return asset_output(row)


async def sign_download(ctx: Context, body: AssetDownloadInput) -> SignedLink:
    """The link, made before the transaction: a bucket may be asked for the signature."""
    return signed_asset(ctx, await find_file(ctx, body.item_id, body.asset_id))


@operation("items.asset.download", scope="items:read", effect=Effect.SHARE, prepare=sign_download)
async def download_asset(
    ctx: Context, body: AssetDownloadInput, link: SignedLink
) -> AssetDownloadOutput:
    """Mint a signed link to an item's file; good for 15 minutes.

    For an asset that lies elsewhere it is the asset's own address.
    """
    asset = await find_file(ctx, body.item_id, body.asset_id)
    if asset["href"] is None:
        await ctx.execute(sql.count_egress, bytes=asset["size_bytes"])
    ctx.produced("asset", asset["id"])
    return AssetDownloadOutput(
        url=link.url,
        expires_at=link.expires_at,
        file_name=asset["file_name"] or f"{asset['key']}.tif",
        media_type=asset["media_type"],
        size_bytes=asset["size_bytes"],
    )

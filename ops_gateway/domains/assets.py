"""Assets: the files of items, by themselves."""

from __future__ import annotations

from db.queries import queries
from ops_gateway.catalogue import items, pictures
from ops_gateway.domains.items_asset import find_asset
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from ops_gateway.kernel.removal import remove_objects

sql = queries(__file__)


class AssetDeleteInput(Input):
    """Input of assets.delete."""

    item_id: str
    asset_id: str


class AssetDeleteOutput(Output):
    """Output of assets.delete; nothing is freed while a copy of the item shares the file, and by
    an asset that lies elsewhere.
    """

    id: str | None = None
    deleted: bool
    freed_bytes: int


@operation("assets.delete", scope="items:write", effect=Effect.DESTRUCTIVE)
async def delete_asset(ctx: Context, body: AssetDeleteInput) -> AssetDeleteOutput:
    """Delete an asset (file) from an item (item access required)."""
    asset = await find_asset(ctx, body.item_id, body.asset_id, "editor", lock=True)
    # what lies elsewhere stays there
    paths = [asset["object_path"]] if asset["object_path"] is not None else []
    # whoever lets go of the same object at the same time waits here, so one of them is the last
    for path in paths:
        await ctx.execute(sql.lock_sharers, path=path)
    await ctx.execute(sql.delete_asset, id=asset["id"])
    removed = await remove_objects(ctx, paths)
    freed = asset["size_bytes"] if removed else 0
    if freed:
        await ctx.execute(sql.free_storage, bytes=freed)
    changed = await items.touch(ctx, asset["item_id"])
    if asset["band_count"]:
        await pictures.outdated(ctx, asset["item_id"])
        pictures.soon(ctx, asset["item_id"])
    ctx.produced("asset", asset["id"])
    ctx.emit(items.event("item.updated", changed, await items.assets_of(ctx, asset["item_id"])))
    return AssetDeleteOutput(id=asset["id"], deleted=True, freed_bytes=freed)

"""Assets: the files of items, by themselves."""

from __future__ import annotations

from ops_gateway.catalogue import files, items, pictures
from ops_gateway.domains.items_asset import find_both
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.operation import Effect, Input, Output, operation


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
    item, asset = await find_both(ctx, body.item_id, body.asset_id, "editor", lock=True)
    freed = await files.let_go(ctx, [asset["id"]], item["project_id"])
    changed = await items.touch(ctx, asset["item_id"])
    if asset["band_count"]:
        await pictures.outdated(ctx, asset["item_id"])
        pictures.soon(ctx, asset["item_id"])
    ctx.produced("asset", asset["id"])
    ctx.emit(items.event("item.updated", changed, await items.assets_of(ctx, asset["item_id"])))
    return AssetDeleteOutput(id=asset["id"], deleted=True, freed_bytes=freed)

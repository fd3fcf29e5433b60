"""Items that a job may read: the caller's own, and those that others share with everybody."""

from __future__ import annotations

from typing import Any

from db.queries import queries
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import NotFound

sql = queries(__file__)

Row = dict[str, Any]


async def readable(ctx: Context, item_id: str, *, files: bool = False) -> tuple[Row, list[Row]]:
    """The item and its raster assets that are files of ours, where the caller may see it.

    Args:
        files: every file counts, whatever is in it.

    Raises: NotFound, and Forbidden for an own item of a project that the caller is not in.
    """
    item, assets = await of_organization(ctx, item_id, files=files)
    if item["organization_id"] == ctx.organization_id:
        ctx.require_project_role(item["project_id"], "viewer", kind="item")
    return item, assets


async def of_organization(
    ctx: Context, item_id: str, *, files: bool = False
) -> tuple[Row, list[Row]]:
    """The same for the platform itself, in whatever project the item is. Raises: NotFound."""
    own = await ctx.row(None, access.sql.item, id=item_id)
    if own is not None:
        return own, await ctx.rows(None, sql.assets, item=item_id, files=files)
    shared = await ctx.row(None, sql.shared_item, item=item_id)
    if shared is None:
        raise NotFound.of("item")
    return shared, await ctx.rows(None, sql.shared_assets, item=item_id, files=files)


async def of_area(ctx: Context, item_id: str) -> tuple[Row, list[Row]]:
    """The item and the mosaics of an area that the caller's organization may clip, whoever has it.
    Raises: NotFound.
    """
    item = await ctx.row(None, sql.area_item, item=item_id)
    if item is None:
        raise NotFound.of("item")
    return item, await ctx.rows(None, sql.area_assets, item=item_id)

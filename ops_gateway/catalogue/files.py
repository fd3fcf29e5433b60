"""Files that go: their assets, their objects and their bytes, in one transaction.

An object is counted once however many assets name it, and goes with the last of them. Of a deleted
project (see `removals`) nothing counts any more, though its assets keep their objects until the
batch that removes them.
"""

from __future__ import annotations

from collections.abc import Sequence

from db.queries import queries
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import NotFound
from ops_gateway.kernel.removal import remove_objects

sql = queries(__file__)


async def let_go_of_item(ctx: Context, item_id: str, project_id: str) -> int:
    """Delete all assets of an item; the bytes that are free now. Lock the item first."""
    ids = [row["id"] for row in await ctx.rows(None, sql.of_item, item=item_id)]
    return await let_go(ctx, ids, project_id)


async def let_go(ctx: Context, asset_ids: Sequence[str], project_id: str) -> int:
    """Delete assets of an item; the bytes that are free now. Lock the item first.

    Raises NotFound: the project was deleted meanwhile, and all of it with it.
    """
    if not asset_ids:
        return 0
    # a deletion of the project is waited for: the item is the removal's then
    if await ctx.row(None, sql.hold_project, id=project_id) is None:
        raise NotFound.of("item")
    freed = await drop(ctx, asset_ids)
    await free(ctx, freed)
    return freed


async def project_bytes(ctx: Context, project_id: str) -> int:
    """Bytes of the objects that nothing outside of a project names; lock the project alone first.

    They are read from an index, those apart that several assets name.
    """
    await ctx.execute(sql.take_turns_of_project, project=project_id)
    return int((await ctx.one("project", sql.project_bytes, project=project_id))["bytes"])


async def let_go_of_removed(ctx: Context, item_ids: Sequence[str]) -> int:
    """Delete all assets of items that a removal has locked; the bytes that `free` is to free.

    What is removed has to be seen, see `removals`.
    """
    rows = await ctx.rows(None, sql.of_items, items=list(item_ids))
    return await drop(ctx, [row["id"] for row in rows]) if rows else 0


async def drop(ctx: Context, asset_ids: Sequence[str]) -> int:
    """Delete assets and have the objects removed that no other names; the bytes that count no more:
    of the objects that no other asset names but those of deleted projects.
    """
    # whoever lets go of the same object at the same time waits here, so one of them is the last
    shared = await ctx.row(None, sql.take_turns, ids=list(asset_ids)) is not None
    await ctx.execute(sql.lock_sharers, ids=list(asset_ids))
    gone = await ctx.rows(None, sql.delete_assets, ids=list(asset_ids))
    sizes = {row["object_path"]: row["size_bytes"] for row in gone if row["object_path"]}
    if not shared:
        return sum(sizes[path] or 0 for path in await remove_objects(ctx, list(sizes)))
    before = await see(ctx, removed=False)
    free_now = await ctx.rows(None, sql.counted_no_more, paths=list(sizes))
    await see(ctx, removed=True)
    removed = await remove_objects(ctx, list(sizes))
    await ctx.execute(sql.forget_shared, paths=removed)
    await see(ctx, removed=before)
    return sum(sizes[row["object_path"]] or 0 for row in free_now)


async def see(ctx: Context, *, removed: bool) -> bool:
    """See what is being removed, or not, until this is called again; what it was before."""
    row = await ctx.one("setting", sql.see, removed=removed)
    return row["before"]


async def free(ctx: Context, used: int, reserved: int = 0) -> None:
    """Take bytes off the count of what is stored, and of what is reserved."""
    if used or reserved:
        await ctx.execute(sql.free_storage, used=used, reserved=reserved)

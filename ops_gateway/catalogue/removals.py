"""Removing the items of deleted projects and collections, in batches, from wherever the last ended.

The operation that deletes says so in one transaction, with a row of `removal`: from then on nobody
sees the items, whatever they ask and by whichever door. The first batch goes with it, the chore
takes the rest. A batch is one transaction: rows, documents, objects and events go together, and the
bytes that it frees are taken off the count with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from db.queries import queries
from ops_gateway.catalogue import files, items
from ops_gateway.kernel.context import Context, Event, Principal
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.pipeline import Pipeline
from stac_api import document, writes

sql = queries(__file__)

BATCH = 500

Row = Mapping[str, Any]


async def lock_first(ctx: Context, project_id: str, collection_id: str | None = None) -> None:
    """Lock the items that `begin` removes at once, before the project's row is locked.

    Operations lock an item and then its project's row, so who has that row may not wait for items.
    """
    await ctx.execute(sql.in_order, on=True)
    query = sql.lock_first_of_project if collection_id is None else sql.lock_first_of_collection
    await ctx.execute(query, project=project_id, collection=collection_id, limit=BATCH)
    await ctx.execute(sql.in_order, on=False)


async def begin(
    ctx: Context,
    project_id: str,
    collection_id: str | None = None,
    what: Literal["delete", "unlink"] = "delete",
) -> int:
    """Hide what a deleted project or collection holds, and remove the first batch of it.

    Args:
        collection_id: the collection, where not all of the project goes.
        what: whether its items are deleted too, or stay in the project, in no collection.

    Returns: the bytes that the first batch freed.
    """
    row = await ctx.one(
        "project",
        sql.begin,
        id=new_id("rm"),
        project=project_id,
        collection=collection_id,
        items=what,
        passed="" if collection_id is None else None,
    )
    return await remove_batch(ctx, row, BATCH)


async def remove_batch(ctx: Context, removal: Row, limit: int) -> int:
    """Remove some of the items, or end the removal where there are no more; the bytes freed."""
    freed = 0
    await ctx.execute(sql.see_removed, on="on")
    try:
        if removal["items"] == "unlink":
            passed, done = None, await _unlink(ctx, removal, limit)
        elif removal["passed"] is not None:
            # only the deleted ones of before are there now: the others become deleted after this
            passed, done, freed = await _let_go(ctx, removal, limit)
            if done < limit:
                deleted, more = await _delete(ctx, removal, limit - done)
                passed, done, freed = None, done + deleted, freed + more
        else:
            passed = None
            done, freed = await _delete(ctx, removal, limit)
    finally:
        await ctx.execute(sql.see_removed, on="off")
    if done < limit:
        await ctx.execute(sql.end, id=removal["id"])
    else:
        await ctx.execute(sql.pass_on, id=removal["id"], passed=passed)
    await files.free(ctx, freed)
    return freed


async def _let_go(ctx: Context, removal: Row, limit: int) -> tuple[str, int, int]:
    """The last of the items deleted earlier whose assets went, how many, and bytes to be freed."""
    rows = await ctx.rows(
        None,
        sql.deleted_earlier,
        project=removal["project_id"],
        passed=removal["passed"],
        limit=limit,
    )
    ids = [row["id"] for row in rows]
    freed = await files.let_go_of_removed(ctx, ids)
    return (ids[-1] if ids else removal["passed"]), len(ids), freed


async def _delete(ctx: Context, removal: Row, limit: int) -> tuple[int, int]:
    """How many items went, and bytes to be freed."""
    of = {"project": removal["project_id"], "collection": removal["collection_id"]}
    whole = removal["collection_id"] is None
    query = sql.delete_of_project if whole else sql.delete_of_collection
    await ctx.execute(sql.in_order, on=True)
    gone = await ctx.rows(None, query, limit=limit, **of)
    await ctx.execute(sql.in_order, on=False)
    ids = [row["id"] for row in gone]
    if not ids:
        return 0, 0
    freed = await files.let_go_of_removed(ctx, ids)
    await writes.remove_items(await ctx.connection(), await items.slot_of(ctx), ids)
    for row in gone:
        ctx.produced("item", row["id"])
        data = {
            "item_id": row["id"],
            "name": row["name"],
            "collection_id": row["collection_id"],
        }
        ctx.emit(Event("item.deleted", "item", row["id"], data, removal["project_id"]))
    return len(ids), freed


async def _unlink(ctx: Context, removal: Row, limit: int) -> int:
    """Leave items of a collection in its project, rows and documents alike."""
    await ctx.execute(sql.in_order, on=True)
    rows = await ctx.rows(None, sql.unlink, collection=removal["collection_id"], limit=limit)
    await ctx.execute(sql.in_order, on=False)
    if not rows:
        return 0
    assets: dict[str, list[dict[str, Any]]] = {row["id"]: [] for row in rows}
    for asset in await ctx.rows(None, items.sql.assets_of_items, items=list(assets)):
        assets[asset["item_id"]].append(asset)
    looks = await items.profiles_of(ctx, list(assets))
    documents = [
        document.item_document(row, assets[row["id"]], looks.get(row["id"], ())) for row in rows
    ]
    await writes.put_items(await ctx.connection(), await items.slot_of(ctx), documents)
    return len(rows)


async def remove_some(
    pipeline: Pipeline, organization_id: str, removal_id: str, limit: int = BATCH
) -> bool:
    """Remove a batch of a deletion under way; False where another process has it or ended it."""
    owner = Principal(kind="service", id="removals", organization_id=organization_id)

    async def work(ctx: Context) -> bool:
        row = await ctx.row(None, sql.take, id=removal_id)
        if row is not None:
            await remove_batch(ctx, row, limit)
        return row is not None

    return await pipeline.act("items.remove", owner, work)

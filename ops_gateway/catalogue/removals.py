"""Removing the items of deleted projects and collections, in batches, from wherever the last ended.

The operation that deletes says so in one transaction, with a row of `removal`: from then on nobody
sees the items, whatever they ask and by whichever door. The first batch goes with it, the chore
takes the rest. A batch is one transaction: rows, documents, objects and events go together.

The bytes of a project are free with the answer, all of them, and its batches free nothing: those
who count see no files of a project whose removal has `taken_bytes`. A collection's are freed by its
batches, each its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from db.queries import queries
from ops_gateway.catalogue import files, items
from ops_gateway.kernel.context import Context, Event, Principal
from ops_gateway.kernel.errors import NotFound
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
    if collection_id is not None and not await _counts(ctx, project_id):
        raise NotFound.of("project")


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

    Returns: the bytes that are free now: of a project all, of a collection none to tell.
    """
    freed = 0
    if collection_id is None:
        await ctx.execute(sql.by_indexes, on=True)
        freed = await files.project_bytes(ctx, project_id)
        await ctx.execute(sql.by_indexes, on=False)
    row = await ctx.one(
        "project",
        sql.begin,
        id=new_id("rm"),
        project=project_id,
        collection=collection_id,
        items=what,
        passed="" if collection_id is None else None,
        taken=freed,
    )
    await remove_batch(ctx, row, BATCH)
    await files.free(ctx, freed)
    return freed


async def remove_batch(ctx: Context, removal: Row, limit: int) -> None:
    """Remove some of the items, or end the removal where there are no more."""
    # the project before its items, as all lock them who hold it from being deleted; where nothing
    # is freed, nobody is
    frees = removal["collection_id"] is not None and removal["items"] == "delete"
    counts = frees and await _counts(ctx, removal["project_id"])
    freed = 0
    await files.see(ctx, removed=True)
    await ctx.execute(sql.by_indexes, on=True)
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
        if done < limit:
            await ctx.execute(sql.end, id=removal["id"])
        else:
            await ctx.execute(sql.pass_on, id=removal["id"], passed=passed)
    finally:
        await ctx.execute(sql.by_indexes, on=False)
        await files.see(ctx, removed=False)
    if counts:
        await files.free(ctx, freed)


async def _counts(ctx: Context, project_id: str) -> bool:
    """Whether what a project stores counts, and does until this transaction ends."""
    return await ctx.row(None, files.sql.hold_project, id=project_id) is not None


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
        await files.see(ctx, removed=True)
        row = await ctx.row(None, sql.take, id=removal_id)
        if row is not None and row["taken_bytes"] is None:
            await _adopt(ctx, removal_id)
        elif row is not None:
            await remove_batch(ctx, row, limit)
        return row is not None

    return await pipeline.act("items.remove", owner, work)


async def _adopt(ctx: Context, removal_id: str) -> None:
    """Go on with what an earlier version began: however much it gave back, all is counted anew."""
    await ctx.execute(sql.adopt, id=removal_id)
    await ctx.execute(sql.lock_storage)
    await files.see(ctx, removed=False)
    await ctx.execute(sql.count_anew)

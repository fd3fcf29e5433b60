"""Item and asset rows together with the documents that searches read.

Whoever makes, changes or takes away an item does it here, so that our rows, the STAC document, the
lineage and the event are one transaction's work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from psycopg.types.json import Jsonb

from db.queries import queries
from ops_gateway.catalogue.drafts import AssetDraft, ItemDraft
from ops_gateway.catalogue.models import AssetOutput, ItemResponse, asset_output, item_response
from ops_gateway.catalogue.profiles import auto_profile
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context, Event
from ops_gateway.kernel.errors import Conflict, NotFound, Unavailable
from stac_api import document, writes

sql = queries(__file__)

Row = dict[str, Any]
BATCH = 500


async def insert_item(
    ctx: Context, draft: ItemDraft, assets: Sequence[AssetDraft] = ()
) -> tuple[ItemResponse, list[AssetOutput]]:
    """Make one item with its assets; see `insert_items`."""
    return (await insert_items(ctx, [(draft, assets)]))[0]


async def insert_items(
    ctx: Context, drafts: Sequence[tuple[ItemDraft, Sequence[AssetDraft]]]
) -> list[tuple[ItemResponse, list[AssetOutput]]]:
    """Make items: rows, the profile `auto`, STAC documents and `item.created`.

    Runs in the operation's transaction. The caller has checked rights on the project and the
    collection, and adds the lineage edges of the items (those of their assets are made here).

    Raises:
        Invalid: see `ItemDraft.row`.
        Conflict: a stac_id is taken in the collection (or the project, where there is none).
    """
    made: list[tuple[ItemResponse, list[AssetOutput]]] = []
    for first in range(0, len(drafts), BATCH):
        made += await _insert_batch(ctx, drafts[first : first + BATCH])
    return made


async def _insert_batch(
    ctx: Context, drafts: Sequence[tuple[ItemDraft, Sequence[AssetDraft]]]
) -> list[tuple[ItemResponse, list[AssetOutput]]]:
    by = ctx.principal.user_id
    rows = [draft.row(by) for draft, _ in drafts]
    asset_rows: list[Row] = []
    profile_rows: list[Row] = []
    for row, (draft, assets) in zip(rows, drafts, strict=True):
        own = [asset.row(row["id"]) for asset in assets]
        asset_rows += own
        if draft.duplicated_from_id is None and (profile := auto_profile(row["id"], own, by)):
            profile_rows.append(profile)
    await hold_collections(ctx, [draft.collection_id for draft, _ in drafts])
    chosen = [draft.stac_id for draft, _ in drafts if draft.stac_id is not None]
    if chosen and (other := await ctx.row(None, sql.id_is_taken, ids=chosen)):
        raise taken([other["id"]])
    made = await store_new(ctx, rows, asset_rows, profile_rows)
    if len(made) != len(rows):
        raise taken([row["stac_id"] for row in rows if row["id"] not in made])
    return [
        (item_response(row), [asset_output(asset) for asset in own]) for row, own in made.values()
    ]


async def store_new(
    ctx: Context,
    rows: Sequence[Row],
    asset_rows: Sequence[Row],
    profile_rows: Sequence[Row] = (),
) -> dict[str, tuple[Row, list[Row]]]:
    """Insert items with their assets and documents, and publish `item.created` for each.

    Args:
        rows, asset_rows: of `ItemDraft.row` and `AssetDraft.row`.
        profile_rows: of `visualization_profile`.

    Returns: id → the item's row and those of its assets; without the items whose stac_id is taken,
        of which nothing is stored.
    """
    stored = {r["id"]: r for r in await ctx.rows(None, sql.insert_items, rows=_json(rows))}
    made: dict[str, tuple[Row, list[Row]]] = {
        row["id"]: ({**row, **stored[row["id"]]}, []) for row in rows if row["id"] in stored
    }
    for asset in await insert_assets(ctx, [row for row in asset_rows if row["item_id"] in made]):
        made[asset["item_id"]][1].append(asset)
    looks: dict[str, list[Row]] = {}
    for profile in profile_rows:
        if profile["item_id"] in made:
            looks.setdefault(profile["item_id"], []).append(profile)
    await insert_profiles(ctx, [profile for own in looks.values() for profile in own])
    documents = [
        document.item_document(row, assets, looks.get(row["id"], ()))
        for row, assets in made.values()
    ]
    await writes.put_items(await ctx.connection(), await slot_of(ctx), documents)
    for row, assets in made.values():
        ctx.produced("item", row["id"])
        ctx.emit(event("item.created", row, assets))
    return made


async def hold_collections(ctx: Context, ids: Iterable[str | None]) -> None:
    """Keep collections from being deleted until this transaction ends. Raises NotFound."""
    wanted = sorted({collection_id for collection_id in ids if collection_id is not None})
    if wanted and len(await ctx.rows(None, sql.hold_collections, ids=wanted)) != len(wanted):
        raise NotFound.of("collection")


async def insert_assets(ctx: Context, rows: Sequence[Row]) -> list[Row]:
    """Insert asset rows, each `part_of` its item. Raises Conflict: a key is taken."""
    if not rows:
        return []
    stored = {row["id"]: row for row in await ctx.rows(None, sql.insert_assets, rows=_json(rows))}
    for row in rows:
        if row["id"] not in stored:
            raise Conflict(f"the item has an asset '{row['key']}' already")
        ctx.edge(("asset", row["id"]), "part_of", ("item", row["item_id"]))
    return [{**row, **stored[row["id"]]} for row in rows]


async def exchange_assets(
    ctx: Context, item_id: str, new: Sequence[AssetDraft], gone: Sequence[str]
) -> None:
    """Take assets that lie elsewhere away from an item and give it others."""
    if gone:
        await ctx.execute(sql.drop_assets, ids=list(gone))
    await insert_assets(ctx, [asset.row(item_id) for asset in new])


async def insert_profiles(ctx: Context, rows: Sequence[Row]) -> None:
    """Insert rows of `visualization_profile`."""
    if rows:
        await ctx.execute(sql.insert_profiles, rows=_json(rows))


async def add_assets(
    ctx: Context, item_id: str, assets: Sequence[AssetDraft]
) -> tuple[ItemResponse, list[AssetOutput]]:
    """Add files to an item that exists, and publish `item.updated`.

    Raises:
        Conflict: the item has an asset of that key already.
        NotFound: there is no such item.
    """
    item = await ctx.one("item", access.sql.item_for_update, id=item_id)
    made = await insert_assets(ctx, [asset.row(item_id) for asset in assets])
    profile = auto_profile(item_id, made, ctx.principal.user_id)
    if profile and await ctx.row(None, sql.any_profile, item=item_id) is None:
        await insert_profiles(ctx, [profile])
    box = next((asset.info for asset in assets if asset.info.get("footprint")), None)
    if item["geometry"] is None and box is not None:
        place = {"geometry": Jsonb(box["footprint"]), "bbox": box["bbox"]}
        await ctx.execute(sql.place_item, id=item_id, **place)
    changed = await touch(ctx, item_id)
    ctx.produced("item", item_id)
    ctx.emit(event("item.updated", changed, made))
    return item_response(changed), [asset_output(row) for row in made]


async def touch(ctx: Context, item_id: str) -> Row:
    """Mark an item changed and store its document anew; its row."""
    row = await ctx.one("item", sql.touch_item, id=item_id)
    await store_document(ctx, row)
    return row


async def store_document(ctx: Context, item: Mapping[str, Any]) -> None:
    """Bring the STAC document of an item's row up to date, assets included."""
    assets = await assets_of(ctx, item["id"])
    looks = await profiles_of(ctx, [item["id"]])
    stored = document.item_document(item, assets, looks.get(item["id"], ()))
    await writes.patch_item(await ctx.connection(), await slot_of(ctx), stored)


async def profiles_of(ctx: Context, ids: Sequence[str]) -> dict[str, list[Row]]:
    """Item id → the rows of its profiles, for the items that have any."""
    found: dict[str, list[Row]] = {}
    for row in await ctx.rows(None, sql.profiles_of_items, items=list(ids)):
        found.setdefault(row["item_id"], []).append(row)
    return found


async def rebuild_documents(ctx: Context, limit: int) -> int:
    """Write documents of an earlier form anew; how many. The items stay as they are."""
    rows = await ctx.rows(None, sql.earlier_form, format=document.FORMAT, limit=limit)
    for row in rows:
        await store_document(ctx, row)
        ctx.produced("item", row["id"])
    return len(rows)


async def assets_of(ctx: Context, item_id: str) -> list[Row]:
    """The rows of an item's assets, in the order they came."""
    return await ctx.rows(None, sql.assets, item=item_id)


async def slot_of(ctx: Context) -> str:
    """Where the organization's documents are kept. Raises Unavailable: it has no place yet."""
    if ctx.principal.slot is not None:
        return ctx.principal.slot
    found = await ctx.row(None, sql.slot)
    if found is None:
        raise Unavailable("the organization has no catalogue space yet; try again", 5)
    return found["slot"]


def event(kind: str, item: Mapping[str, Any], assets: Sequence[Mapping[str, Any]]) -> Event:
    """An event about an item."""
    names = ("name", "type", "stac_id", "project_id", "collection_id", "upload_id", "job_id")
    data = {"item_id": item["id"], **{name: item[name] for name in names}}
    data["assets"] = [{"id": asset["id"], "key": asset["key"]} for asset in assets]
    return Event(kind, "item", item["id"], data, item["project_id"])


def taken(names: Sequence[str]) -> Conflict:
    """The refusal of ids that other items have."""
    named = ", ".join(repr(name[:60]) for name in names[:3])
    return Conflict(f"an item with the stac_id {named} is in that collection or project already")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()

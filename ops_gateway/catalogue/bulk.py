"""Many items at once: made, changed or left as they are, with an outcome for each.

Statements are for hundreds of items, never one each. One that the database refuses is found by
halving its batch, so it takes no other with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import psycopg

from db.queries import queries
from ops_gateway.catalogue import external, items
from ops_gateway.catalogue.drafts import AssetDraft
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, OpError
from ops_gateway.kernel.failures import translate
from stac_api import document, writes

sql = queries(__file__)

Row = dict[str, Any]
BATCH = 500

# what an import says of an item anew
CHANGED = (
    *("type", "name", "description", "geometry", "bbox", "datetime", "start_datetime"),
    *("end_datetime", "cloud_cover", "gsd", "properties", "stac_extensions", "links"),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that was checked.

    Attributes:
        row: of `ItemDraft.row`, with `import_hash`.
        assets: its STAC assets as they came.
        drafts: the same as assets that lie elsewhere.
    """

    row: Row
    assets: Mapping[str, Any]
    drafts: Sequence[AssetDraft]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a candidate; `error` where it failed."""

    outcome: Literal["created", "updated", "unchanged", "failed"]
    item_id: str | None = None
    error: OpError | None = None


async def store(
    ctx: Context, candidates: Sequence[Candidate], home: str, *, replace: bool
) -> list[Outcome]:
    """Store items of one collection, or of a project's uncollected ones.

    Runs in the operation's transaction. The caller has checked rights on project and collection
    and holds them; what is made is `generated_by` its project.

    Args:
        home: id of the collection, or of the project for items in none.
        replace: bring items that are there up to date, instead of failing them.

    Returns: outcomes in the order of the candidates.
    """
    outcomes: dict[int, Outcome] = {}
    waiting = list(enumerate(candidates))
    while waiting:
        # an id that comes twice is stored in the order it came
        now: dict[str, tuple[int, Candidate]] = {}
        later: list[tuple[int, Candidate]] = []
        for entry in waiting:
            if now.setdefault(entry[1].row["stac_id"], entry) is not entry:
                later.append(entry)
        chosen = list(now.values())
        for first in range(0, len(chosen), BATCH):
            part = chosen[first : first + BATCH]
            found = await _attempt(ctx, [candidate for _, candidate in part], home, replace)
            outcomes |= {index: made for (index, _), made in zip(part, found, strict=True)}
        waiting = later
    return [outcomes[index] for index in range(len(candidates))]


async def _attempt(
    ctx: Context, part: Sequence[Candidate], home: str, replace: bool
) -> list[Outcome]:
    """`_write` whole, or in halves where the database refuses a value of one of them."""
    connection = await ctx.connection()
    mark = ctx.declared()
    try:
        async with connection.transaction():
            return await _write(ctx, part, home, replace)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        ctx.withdraw(mark)
        if len(part) == 1:
            return [Outcome("failed", error=translate(error))]
    middle = len(part) // 2
    before = await _attempt(ctx, part[:middle], home, replace)
    return before + await _attempt(ctx, part[middle:], home, replace)


async def _write(
    ctx: Context, part: Sequence[Candidate], home: str, replace: bool
) -> list[Outcome]:
    ids = [candidate.row["stac_id"] for candidate in part]
    # a client's id may not be the platform's id of another item: a look-up takes both
    reserved = {row["id"] for row in await ctx.rows(None, items.sql.id_is_taken, ids=ids)}
    known = {row["stac_id"]: row for row in await ctx.rows(None, sql.known, home=home, ids=ids)}
    found: dict[str, Outcome] = {}
    new: list[Candidate] = []
    changed: list[tuple[str, Candidate]] = []
    for candidate in part:
        stac_id = candidate.row["stac_id"]
        there = known.get(stac_id)
        if stac_id in reserved and (there is None or there["id"] != stac_id):
            found[stac_id] = Outcome("failed", error=items.taken([stac_id]))
        elif there is None:
            new.append(candidate)
        elif there["import_hash"] == candidate.row["import_hash"]:
            found[stac_id] = Outcome("unchanged", there["id"])
        elif not replace:
            found[stac_id] = Outcome("failed", there["id"], items.taken([stac_id]))
        else:
            changed.append((there["id"], candidate))
    found |= await _insert(ctx, new)
    found |= await _update(ctx, changed)
    return [found[stac_id] for stac_id in ids]


async def _insert(ctx: Context, new: Sequence[Candidate]) -> dict[str, Outcome]:
    if not new:
        return {}
    asset_rows = [draft.row(each.row["id"]) for each in new for draft in each.drafts]
    made = await items.store_new(ctx, [each.row for each in new], asset_rows)
    found: dict[str, Outcome] = {}
    for each in new:
        item_id, stac_id = each.row["id"], each.row["stac_id"]
        if item_id in made:
            ctx.edge(("item", item_id), "generated_by", ("project", each.row["project_id"]))
            found[stac_id] = Outcome("created", item_id)
        else:
            error = Conflict("another call made this item at the same time; send it again")
            found[stac_id] = Outcome("failed", error=error)
    return found


async def _update(ctx: Context, changed: Sequence[tuple[str, Candidate]]) -> dict[str, Outcome]:
    if not changed:
        return {}
    ids = sorted(item_id for item_id, _ in changed)
    before = {row["id"]: row for row in await ctx.rows(None, sql.items_for_update, ids=ids)}
    assets: dict[str, list[Row]] = {item_id: [] for item_id in ids}
    for asset in await ctx.rows(None, items.sql.assets_of_items, items=ids):
        assets[asset["item_id"]].append(asset)
    found: dict[str, Outcome] = {}
    rows: list[Row] = []
    same: list[Row] = []
    new_assets: list[Row] = []
    gone: list[str] = []
    for item_id, candidate in changed:
        stac_id = candidate.row["stac_id"]
        old = before.get(item_id)
        if old is None:  # deleted at this moment
            found[stac_id] = Outcome("failed", error=Conflict("the item was deleted meanwhile"))
            continue
        try:
            added, dropped = external.split(candidate.assets, assets[item_id])
        except OpError as error:
            found[stac_id] = Outcome("failed", item_id, error)
            continue
        row = {"id": item_id, "import_hash": candidate.row["import_hash"]}
        row |= {name: candidate.row[name] for name in CHANGED}
        if not added and not dropped and all(_equal(old[name], row[name]) for name in CHANGED):
            same.append(row)
            found[stac_id] = Outcome("unchanged", item_id)
            continue
        rows.append(row)
        new_assets += [draft.row(item_id) for draft in added]
        gone += dropped
        found[stac_id] = Outcome("updated", item_id)
    if same:
        await ctx.execute(sql.mark_imported, rows=_json(same))
    if rows:
        await _replace(ctx, rows, new_assets, gone)
    return found


async def _replace(
    ctx: Context, rows: Sequence[Row], new_assets: Sequence[Row], gone: Sequence[str]
) -> None:
    ids = [row["id"] for row in rows]
    await ctx.execute(sql.keep_versions, ids=ids)
    after = await ctx.rows(None, sql.update_items, rows=_json(rows))
    if gone:
        await ctx.execute(items.sql.drop_assets, ids=list(gone))
    await items.insert_assets(ctx, new_assets)
    assets: dict[str, list[Row]] = {item_id: [] for item_id in ids}
    for asset in await ctx.rows(None, items.sql.assets_of_items, items=ids):
        assets[asset["item_id"]].append(asset)
    looks = await items.profiles_of(ctx, ids)
    documents = [
        document.item_document(row, assets[row["id"]], looks.get(row["id"], ())) for row in after
    ]
    await writes.put_items(await ctx.connection(), await items.slot_of(ctx), documents)
    for row in after:
        ctx.produced("item", row["id"])
        ctx.emit(items.event("item.updated", row, assets[row["id"]]))


def _equal(stored: Any, given: Any) -> bool:
    if isinstance(given, tuple):
        given = list(given)
    return stored == given


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()

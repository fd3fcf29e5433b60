"""What a saved search finds, and the feed of what came to match it.

The relay notes every event about an item in `saved_search_due`, for organizations that have saved
searches. `match_batch` compares many at once: current documents, one query a search, and in the
same transaction the log, its numbers and the event `saved_search.matched`. So whatever is killed,
an entry and its event exist once, and an item committed after its search is in the feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime as DateTime
from typing import Any

import orjson
import psycopg
from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue import items, search
from ops_gateway.domains import saved_searches
from ops_gateway.domains.items_search import FeatureCollectionOutput
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context, Event
from ops_gateway.kernel.errors import Invalid
from ops_gateway.kernel.fault import fault
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from stac_api import errors, normal_form, reader, request
from stac_api.request import SearchRequest
from stac_api.search import pgstac_search

sql = queries(__file__)

BATCH = 500
MOST_ENTRIES = 500


class SavedSearchItemsInput(Input):
    """Input of saved_searches.items."""

    search_id: str
    limit: int | None = Field(default=None, ge=1, le=10000, description="default: the search's own")
    token: str | None = Field(default=None, description="from the link `next` or `prev`")
    base_url: str | None = None


class SavedSearchFeedInput(Input):
    """Input of saved_searches.feed."""

    search_id: str
    cursor: str | None = Field(
        default=None, description="go on after this place; without one from the beginning"
    )
    limit: int = Field(default=100, ge=1, le=MOST_ENTRIES)
    items: bool = Field(default=True, description="with the items as they are now")
    base_url: str | None = None


class FeedEntry(Output):
    """One thing that happened: an item `entered`, was `changed` while it matched, or `left`.

    `item` is the STAC item as it is now, null where it is gone or was not asked for.
    """

    cursor: str
    reason: str
    item_id: str
    project_id: str
    at: DateTime
    item: dict[str, Any] | None = None


class SavedSearchFeedOutput(Output):
    """Entries in order; ask again with `cursor`, at once where there is `more`."""

    entries: list[FeedEntry]
    cursor: str
    more: bool


@operation("saved_searches.items", scope="items:read", effect=Effect.READ)
async def find_items(ctx: Context, body: SavedSearchItemsInput) -> FeatureCollectionOutput:
    """The items a saved search finds now, of those the caller may see."""
    row = await saved_searches.visible(ctx, body.search_id)
    given = {"limit": body.limit, "token": body.token}
    asked = {**row["search"], **{name: value for name, value in given.items() if value is not None}}
    seen = search.visibility_of(ctx.principal, project_id=row["project_id"])
    page = await search.run(ctx, seen, asked, search.mount_of(ctx, body.base_url))
    href = f"{ctx.base_url}/v1/op/{ctx.operation}"
    links = [
        {"rel": rel, "href": href, "method": "POST", "merge": True, "body": {"token": token}}
        for rel, token in (("next", page.next), ("prev", page.prev))
        if token is not None
    ]
    return FeatureCollectionOutput.model_validate({"numberMatched": 0, **page.collection(links)})


@operation("saved_searches.feed", scope="items:read", effect=Effect.READ)
async def read_feed(ctx: Context, body: SavedSearchFeedInput) -> SavedSearchFeedOutput:
    """What came to match a saved search since a cursor, in order, each entry at least once.

    Entries do not change and their order is final: the same cursor gives the same entries again.
    """
    row = await saved_searches.visible(ctx, body.search_id)
    after = place_of(ctx, row["id"], body.cursor)
    # the newest number is read before the entries: they may then be more, never fewer
    newest = row["last_seq"]
    rows = await ctx.rows(
        None,
        sql.entries,
        id=row["id"],
        after=after,
        projects=access.visible_projects(ctx.principal),
        limit=body.limit + 1,
    )
    more, rows = len(rows) > body.limit, rows[: body.limit]
    last = rows[-1]["seq"] if rows else after
    found = await current_items(ctx, row, rows, body.base_url) if body.items and rows else {}
    return SavedSearchFeedOutput(
        entries=[
            FeedEntry(
                cursor=saved_searches.cursor(ctx, row["id"], entry["seq"]),
                item=found.get(entry["item_id"]),
                **entry,
            )
            for entry in rows
        ],
        cursor=saved_searches.cursor(ctx, row["id"], last if more else max(last, newest)),
        more=more,
    )


def place_of(ctx: Context, search_id: str, cursor: str | None) -> int:
    """The number behind a cursor of this feed; raises Invalid."""
    if not cursor:
        return 0
    try:
        return ctx.services.keys.open_place(search_id, cursor)
    except ValueError:
        raise Invalid.at("cursor", "is not a cursor that this feed gave") from None


async def current_items(
    ctx: Context, row: Mapping[str, Any], entries: list[dict[str, Any]], base_url: str | None
) -> dict[str, dict[str, Any]]:
    """STAC items by platform id, of those that are there and visible."""
    ids = list(dict.fromkeys(entry["item_id"] for entry in entries))
    seen = search.visibility_of(ctx.principal, project_id=row["project_id"])
    asked = {"ids": ids, "limit": 2 * len(ids)}
    page = await search.run(ctx, seen, asked, search.mount_of(ctx, base_url), count=False)
    return {feature["properties"]["opstac:id"]: feature for feature in page.features}


# ---------------------------------------------------------------- matching


async def match_batch(ctx: Context) -> int:
    """Compare up to `BATCH` due events of the organization; how many there were."""
    # whoever else matches for this organization waits here, so that numbers commit in order
    searches = await ctx.rows(None, sql.lock_searches)
    due = await ctx.rows(None, sql.take_due, limit=BATCH)
    fault("saved_searches.taken")
    changes = {row["item_id"]: row["event_id"] for row in due}  # the newest of each item
    for row in searches if changes else ():
        await match_one(ctx, row, changes)
    return len(due)


async def match_one(ctx: Context, row: Mapping[str, Any], changes: Mapping[str, str]) -> None:
    """Bring one search's log up to date with the items of `changes` (item id → event id)."""
    connection = await ctx.connection()
    error: str | None = None
    matching: set[str] = set()
    try:
        asked = request.from_body(row["search"], days=True)
        prepared = pgstac_search(asked, await known_names(ctx, asked))
        async with connection.transaction():
            found = await ctx.rows(
                None,
                sql.match,
                slot=await items.slot_of(ctx),
                projects=None if row["project_id"] is None else [row["project_id"]],
                collections=None if asked.collections is None else list(asked.collections),
                ids=None if asked.ids is None else list(asked.ids),
                search=orjson.dumps(prepared).decode(),
                among=list(changes),
            )
            matching = {match["id"] for match in found}
    except (errors.BadRequest, psycopg.errors.QueryCanceled, *reader.MEANINGLESS) as refused:
        # a document the filter cannot be applied to: this search waits, the others go on
        error = str(getattr(refused, "detail", "") or refused)[:500]
    if error is not None or row["error"] is not None:
        await ctx.execute(sql.note_error, id=row["id"], error=error)
    if error is not None:
        return
    given = [
        {"item_id": item, "event_id": event, "matches": item in matching, "place": place}
        for place, (item, event) in enumerate(changes.items())
    ]
    noted = await ctx.rows(None, sql.note, id=row["id"], rows=orjson.dumps(given).decode())
    entered = [entry["item_id"] for entry in noted if entry["reason"] == "entered"]
    if entered:
        last = saved_searches.cursor(ctx, row["id"], max(entry["seq"] for entry in noted))
        told = {"search_id": row["id"], "name": row["name"], "cursor": last}
        told |= {"item_ids": entered, "project_id": row["project_id"]}
        ctx.emit(Event("saved_search.matched", "saved_search", row["id"], told, row["project_id"]))


async def known_names(ctx: Context, asked: SearchRequest) -> dict[str, list[str]]:
    """Collection ids that the names in a filter stand for."""
    names = sorted(normal_form.collection_names(asked.filter)) if asked.filter else []
    known: dict[str, list[str]] = {}
    for row in await ctx.rows(None, sql.names, names=names) if names else ():
        known.setdefault(row["name"], []).append(row["id"])
    return known

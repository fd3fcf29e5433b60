"""Saved searches: a search with a name, of a project or of the whole organization.

What it finds is asked for with `saved_searches.items`, what came to match it with
`saved_searches.feed` (both in `saved_searches_feed.py`); `search_of` gives it to whoever draws it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime as DateTime  # a field is called datetime
from typing import Any

from psycopg.types.json import Jsonb
from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue import search
from ops_gateway.kernel import access
from ops_gateway.kernel.context import ROLE_RANK, Context
from ops_gateway.kernel.errors import Conflict, Forbidden, Invalid
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from stac_api import errors, request
from stac_api.request import SearchRequest
from stac_api.tenancy import Visibility

sql = queries(__file__)

MOST_SEARCHES = 200  # of an organization: each is compared with every item that changes
MOST_ROWS = 1000
MOST_OFFSET = 1_000_000


class SearchDocument(Input):
    """What is searched for, in the words of a STAC API search."""

    collections: list[str] | None = None
    ids: list[str] | None = None
    bbox: list[float] | None = None
    intersects: dict[str, Any] | None = None
    datetime: str | None = None
    query: dict[str, Any] | None = None
    filter: dict[str, Any] | str | None = Field(default=None, description="CQL2")
    filter_lang: str | None = Field(
        default=None,
        alias="filter-lang",
        description="'cql2-json' or 'cql2-text'; by default what the filter looks like",
    )
    sortby: list[dict[str, str]] | None = None
    limit: int = Field(default=100, ge=1, le=10000)

    def document(self) -> dict[str, Any]:
        """As it is kept, and as `request.from_body` reads it."""
        kept = self.model_dump(by_alias=True, exclude_none=True)
        if self.filter is not None and self.filter_lang is None:
            kept["filter-lang"] = "cql2-text" if isinstance(self.filter, str) else "cql2-json"
        return kept


class SavedSearchCreateInput(Input):
    """Input of saved_searches.create."""

    name: str = Field(min_length=1, max_length=200)
    project_id: str | None = Field(
        default=None, description="Search this project; without one the whole organization"
    )
    description: str | None = Field(default=None, max_length=2000)
    search: SearchDocument


class SavedSearchGetInput(Input):
    """Input of saved_searches.get."""

    search_id: str


class SavedSearchListInput(Input):
    """Input of saved_searches.list."""

    project_id: str | None = None
    limit: int = Field(default=100, ge=1, le=MOST_ROWS)
    offset: int = Field(default=0, ge=0, le=MOST_OFFSET)


class SavedSearchUpdateInput(Input):
    """Input of saved_searches.update; what is absent or null stays, `search` is replaced whole."""

    search_id: str
    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=2000)
    search: SearchDocument | None = None


class SavedSearchDeleteInput(Input):
    """Input of saved_searches.delete."""

    search_id: str


class SavedSearch(Output):
    """A saved search.

    `cursor` is the place in its feed after the newest entry; `error` says why items could not be
    compared with it last time.
    """

    id: str
    project_id: str | None
    name: str
    description: str | None
    search: dict[str, Any]
    cursor: str
    error: str | None
    created_by: str | None
    created_at: DateTime
    updated_at: DateTime


class SavedSearchGetOutput(Output):
    """Output of saved_searches.get."""

    saved_search: SavedSearch


class SavedSearchListOutput(Output):
    """Output of saved_searches.list, newest first."""

    saved_searches: list[SavedSearch]
    count: int
    total: int
    limit: int
    offset: int


class SavedSearchDeleteOutput(Output):
    """Output of saved_searches.delete."""

    ok: bool = True
    id: str


# ---------------------------------------------------------------- for whoever runs or draws one


@dataclass(frozen=True, slots=True)
class RunnableSearch:
    """A saved search, ready for `Searcher.search`: what is asked, and whose items it may find."""

    id: str
    name: str
    project_id: str | None
    request: SearchRequest
    visibility: Visibility


async def search_of(ctx: Context, search_id: str) -> RunnableSearch:
    """The saved search as its caller may run it.

    Raises:
        NotFound: there is none, or it is another organization's.
        Forbidden: it is of a project that the caller is not in.
    """
    row = await visible(ctx, search_id)
    asked = request.from_body(row["search"], days=True)
    seen = search.visibility_of(ctx.principal, project_id=row["project_id"])
    return RunnableSearch(row["id"], row["name"], row["project_id"], asked, seen)


async def visible(ctx: Context, search_id: str) -> dict[str, Any]:
    """The row of a saved search that the caller may see. Raises NotFound or Forbidden."""
    row = await ctx.one("saved search", sql.saved_search, id=search_id)
    if row["project_id"] is not None:
        ctx.require_project_role(row["project_id"], "viewer", kind="saved search")
    return row


# ---------------------------------------------------------------- rules


async def require_may_write(ctx: Context, project_id: str | None) -> None:
    """Editors of the project write its searches, who edits every project the organization's."""
    if project_id is not None:
        await access.project(ctx, project_id, "editor")
        return
    principal = ctx.principal
    if principal.projects is not None or (
        ROLE_RANK[principal.project_role] < ROLE_RANK["editor"] and principal.kind == "user"
    ):
        raise Forbidden(
            "a search of the whole organization is written by its owners and admins; "
            "name a project_id"
        )


async def check(ctx: Context, body: SavedSearchCreateInput | SavedSearchUpdateInput) -> None:
    """Refuse a search that cannot be read or run, by running it once."""
    if body.search is None:
        return
    try:
        asked = request.from_body(body.search.document(), days=True)
        # what exists does not matter, only whether the database understands it
        seen = search.visibility_of(ctx.principal)
        await search.searcher_of(ctx).search(
            seen, replace(asked, limit=1), search.mount_of(ctx, None), count=False
        )
    except errors.BadRequest as error:
        raise Invalid.at("search", str(error.detail)) from None
    except errors.StacError as error:
        raise search.refusal(error) from None


def cursor(ctx: Context, search_id: str, seq: int) -> str:
    """The place in a feed behind an entry.

    Sealed: who sees some of an organization's projects must not count by it what happens in others.
    """
    return ctx.services.keys.seal_place(search_id, seq)


def respond(ctx: Context, row: dict[str, Any]) -> SavedSearch:
    """A row as the wire has it."""
    place = cursor(ctx, row["id"], row["last_seq"])
    return SavedSearch.model_validate({**row, "cursor": place})


def taken(name: str) -> Conflict:
    """The refusal of a name that is there already."""
    return Conflict(f"a saved search {name[:60]!r} is there already; choose another name")


# ---------------------------------------------------------------- operations


@operation("saved_searches.create", scope="items:write", effect=Effect.COMPUTE, prepare=check)
async def create_saved_search(
    ctx: Context, body: SavedSearchCreateInput, checked: None
) -> SavedSearch:
    """Save a search under a name (project editor, or organization admin).

    From then on its feed tells what comes to match it, and `saved_search.matched` is published.
    """
    await require_may_write(ctx, body.project_id)
    await access.count_alone(ctx, "saved_searches")
    if (await ctx.one("organization", sql.count_all))["total"] >= MOST_SEARCHES:
        raise Conflict(f"an organization has at most {MOST_SEARCHES} saved searches")
    row = await ctx.row(
        None,
        sql.insert,
        id=new_id("ss"),
        project=body.project_id,
        name=body.name,
        description=body.description,
        search=Jsonb(body.search.document()),
        user=access.human(ctx),
    )
    if row is None:
        raise taken(body.name)
    ctx.project_id = body.project_id
    ctx.produced("saved_search", row["id"])
    return respond(ctx, row)


@operation("saved_searches.get", scope="items:read", effect=Effect.READ)
async def get_saved_search(ctx: Context, body: SavedSearchGetInput) -> SavedSearchGetOutput:
    """Read a saved search."""
    return SavedSearchGetOutput(saved_search=respond(ctx, await visible(ctx, body.search_id)))


@operation("saved_searches.list", scope="items:read", effect=Effect.READ)
async def list_saved_searches(ctx: Context, body: SavedSearchListInput) -> SavedSearchListOutput:
    """List the saved searches the caller may see: of one project, or all."""
    if body.project_id is not None:
        await access.project(ctx, body.project_id)
    where = {"project": body.project_id, "projects": access.visible_projects(ctx.principal)}
    rows = await ctx.rows(None, sql.list_searches, limit=body.limit, offset=body.offset, **where)
    total = (await ctx.one("organization", sql.count_searches, **where))["total"]
    found = [respond(ctx, row) for row in rows]
    return SavedSearchListOutput(
        saved_searches=found, count=len(found), total=total, limit=body.limit, offset=body.offset
    )


@operation("saved_searches.update", scope="items:write", effect=Effect.COMPUTE, prepare=check)
async def update_saved_search(
    ctx: Context, body: SavedSearchUpdateInput, checked: None
) -> SavedSearch:
    """Change a saved search (project editor, or organization admin).

    The feed goes on with the new search; it does not go back over items that did not change.
    """
    row = await visible(ctx, body.search_id)
    await require_may_write(ctx, row["project_id"])
    await ctx.one("saved search", sql.lock, id=row["id"])
    name = body.name or row["name"]
    if await ctx.row(None, sql.other, id=row["id"], project=row["project_id"], name=name):
        raise taken(name)
    new = await ctx.one(
        "saved search",
        sql.update,
        id=row["id"],
        name=name,
        description=body.description,
        search=None if body.search is None else Jsonb(body.search.document()),
    )
    ctx.produced("saved_search", row["id"])
    return respond(ctx, new)


@operation("saved_searches.delete", scope="items:write", effect=Effect.DESTRUCTIVE)
async def delete_saved_search(
    ctx: Context, body: SavedSearchDeleteInput
) -> SavedSearchDeleteOutput:
    """Delete a saved search and its feed (project editor, or organization admin)."""
    row = await visible(ctx, body.search_id)
    await require_may_write(ctx, row["project_id"])
    await ctx.one("saved search", sql.delete, id=row["id"])
    ctx.produced("saved_search", row["id"])
    return SavedSearchDeleteOutput(id=row["id"])

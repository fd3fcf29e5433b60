"""Collections: groups of a project's items, known to STAC clients by a slug."""

from __future__ import annotations

from typing import Any, Literal

from psycopg.types.json import Jsonb
from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue import checks, removals
from ops_gateway.catalogue.models import CollectionResponse
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Forbidden, Invalid
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation

sql = queries(__file__)


class CollectionCreateInput(Input):
    """CollectionCreate + the project it lives in.

    `slug` and `stac` are what a STAC client says of a collection it makes; the slug is taken as it
    is, and is the collection's id where there is none.
    """

    name: str = Field(min_length=1, max_length=255)
    description: str | None = None
    color: str | None = None
    show_on_map: bool = True
    layer_order: int = 0
    project_id: str
    slug: str | None = None
    stac: dict[str, Any] = Field(default_factory=dict)


class CollectionUpdateInput(Input):
    """Input of collections.update; what is absent or null stays.

    `stac` replaces what STAC clients said of the collection, `set_stac` and `unset_stac` change it
    member by member. `public` lets anybody find, draw and download what is in it.
    """

    name: str | None = Field(default=None, min_length=1, max_length=255)
    description: str | None = None
    color: str | None = None
    show_on_map: bool | None = None
    layer_order: int | None = None
    project_id: str
    collection_id: str
    stac: dict[str, Any] | None = None
    set_stac: dict[str, Any] = Field(default_factory=dict)
    unset_stac: list[str] = Field(default_factory=list)
    public: bool | None = None


class CollectionDeleteInput(Input):
    """Input of collections.delete; with `items` = delete its items are deleted with it."""

    project_id: str
    collection_id: str
    items: Literal["keep", "delete"] = "keep"


class CollectionsGetInput(Input):
    """Input of collections.get."""

    project_id: str
    collection_id: str


class CollectionsListInput(Input):
    """Input of collections.list."""

    project_id: str


class CollectionGetOutput(Output):
    """Output of collections.get."""

    collection: CollectionResponse


class CollectionsListOutput(Output):
    """The collections of a project, by layer order, then newest first."""

    collections: list[CollectionResponse]
    count: int


class CollectionDeleteOutput(Output):
    """Output of collections.delete."""

    ok: bool = True
    id: str


def check_order(layer_order: int | None) -> None:
    """Raise Invalid where a layer order is too far out to be kept."""
    if layer_order is not None and abs(layer_order) >= 2**31:
        raise Invalid.at("layer_order", "must be between -2^31 and 2^31")


async def read(ctx: Context, collection_id: str) -> CollectionResponse:
    """A collection with the number of its items."""
    row = await ctx.one("collection", sql.get_collection, id=collection_id)
    return CollectionResponse.model_validate(row)


@operation("collections.create", scope="collections:write", effect=Effect.COMPUTE)
async def create_collection(ctx: Context, body: CollectionCreateInput) -> CollectionResponse:
    """Create an organizing collection within a project (editor/admin required)."""
    check_order(body.layer_order)
    access.require_open(await access.project(ctx, body.project_id, "editor"))
    collection_id = new_id("col")
    slug = checks.stac_id(body.slug, "slug") or collection_id
    fields = body.model_dump(exclude={"slug", "stac"})
    if await ctx.row(None, sql.name_is_taken, slug=slug) or not await ctx.execute(
        sql.insert_collection, id=collection_id, slug=slug, stac=Jsonb(body.stac), **fields
    ):
        raise Conflict(f"a collection {slug[:60]!r} is in the organization already")
    ctx.produced("collection", collection_id)
    return await read(ctx, collection_id)


@operation("collections.get", scope="collections:read", effect=Effect.READ)
async def get_collection(ctx: Context, body: CollectionsGetInput) -> CollectionGetOutput:
    """Read a project's collection."""
    await access.project(ctx, body.project_id)
    row = await access.collection(ctx, body.collection_id, project_id=body.project_id)
    return CollectionGetOutput(collection=await read(ctx, row["id"]))


@operation("collections.list", scope="collections:read", effect=Effect.READ)
async def list_collections(ctx: Context, body: CollectionsListInput) -> CollectionsListOutput:
    """List a project's collections."""
    await access.project(ctx, body.project_id)
    found = await ctx.rows(CollectionResponse, sql.list_collections, project=body.project_id)
    return CollectionsListOutput(collections=found, count=len(found))


@operation("collections.update", scope="collections:write", effect=Effect.COMPUTE)
async def update_collection(ctx: Context, body: CollectionUpdateInput) -> CollectionResponse:
    """Update a collection's metadata (editor/admin required; admin to make it public or not)."""
    check_order(body.layer_order)
    role = "editor" if body.public is None else access.PUBLISHER
    await access.project(ctx, body.project_id, role)
    row = await access.collection(ctx, body.collection_id, role, project_id=body.project_id)
    fields = body.model_dump(include={"name", "description", "color", "show_on_map", "layer_order"})
    await ctx.execute(
        sql.update_collection,
        id=row["id"],
        stac=None if body.stac is None else Jsonb(body.stac),
        set_stac=Jsonb(body.set_stac),
        unset_stac=body.unset_stac,
        public=body.public,
        **fields,
    )
    ctx.produced("collection", row["id"])
    return await read(ctx, row["id"])


@operation("collections.delete", scope="collections:write", effect=Effect.DESTRUCTIVE)
async def delete_collection(ctx: Context, body: CollectionDeleteInput) -> CollectionDeleteOutput:
    """Soft-delete a collection, unlinking or deleting its items (project admin required).

    To delete them takes the scope `items:write` too. Items that are deleted with it are gone with
    the answer. Of more than 500 items the rows follow in batches, and with each its events
    `item.deleted` and its bytes; until then those that stay still name it.
    """
    if body.items == "delete" and not ctx.principal.allows("items:write"):
        raise Forbidden("missing scope 'items:write' for the items; with items=keep they stay")
    await access.project(ctx, body.project_id, "admin")
    row = await access.collection(ctx, body.collection_id, "admin", project_id=body.project_id)
    if body.items == "delete":
        await removals.lock_first(ctx, row["project_id"], row["id"])
    # who puts an item into it holds this row (`items.hold_collections`) or finds it gone
    await ctx.one("collection", sql.lock_collection, id=row["id"])
    await ctx.execute(sql.delete_collection, id=row["id"])
    if body.items == "delete":
        await removals.begin(ctx, row["project_id"], row["id"])
    else:
        await refuse_clash(ctx, row["id"])
        await removals.begin(ctx, row["project_id"], row["id"], "unlink")
    ctx.produced("collection", row["id"])
    return CollectionDeleteOutput(id=row["id"])


async def refuse_clash(ctx: Context, collection_id: str) -> None:
    """Raise Conflict where an item's stac_id is taken among those that are in no collection."""
    clash = await ctx.row(None, sql.clash, id=collection_id)
    if clash is not None:
        raise Conflict(
            f"the project has an uncollected item with the stac_id {clash['stac_id'][:60]!r} too; "
            "change or delete one of them first"
        )

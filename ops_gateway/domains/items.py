"""Items: what lies in a project, each with its assets, versions and STAC document."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue import checks, external, files, geometry, items, pictures, search
from ops_gateway.catalogue.drafts import AssetDraft, ItemDraft, stated
from ops_gateway.catalogue.models import (
    AssetOutput,
    ItemResponse,
    ItemType,
    ProfileResponse,
    asset_output,
    item_response,
)
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context, Event
from ops_gateway.kernel.errors import NotFound
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Blob, Effect, Input, Output, operation
from stac_api import document, writes

sql = queries(__file__)

MAX_ROWS = 1000
MAX_OFFSET = 10**9


class ItemCreateInput(Input):
    """Input of items.create."""

    collection_id: str | None = None
    stac_id: str | None = None
    type: ItemType
    geometry: dict[str, Any] | None = None
    bbox: list[float] | None = None
    datetime: str | None = Field(default=None, description="ISO 8601 datetime")
    start_datetime: str | None = None
    end_datetime: str | None = None
    cloud_cover: float | None = None
    gsd: float | None = None
    name: str = Field(min_length=1, max_length=500)
    description: str | None = None
    properties: dict[str, Any] = Field(default_factory=dict)
    stac_extensions: list[str] = Field(default_factory=list)
    order_id: str | None = None
    upload_id: str | None = None
    job_id: str | None = None
    assets: dict[str, Any] = Field(
        default_factory=dict, description="STAC assets whose files stay where they are"
    )
    links: list[dict[str, Any]] = Field(
        default_factory=list, description="STAC links, beside those that the platform makes"
    )
    project_id: str


class ItemGetInput(Input):
    """Input of items.get."""

    item_id: str


class ItemStacInput(Input):
    """Input of items.get_stac."""

    item_id: str
    base_url: str | None = None


class ItemsListInput(Input):
    """Input of items.list."""

    project_id: str
    collection_id: str | None = None
    uncollected: bool = False
    limit: int = 100
    offset: int = 0


class ItemsByCollectionInput(Input):
    """Input of items.list_by_collection."""

    collection_id: str
    limit: int = 100
    offset: int = 0


class ItemDeleteInput(Input):
    """Input of items.delete."""

    item_id: str


class ItemDuplicateInput(Input):
    """Input of items.duplicate."""

    item_id: str
    new_name: str | None = Field(default=None, description="Name for the copy")
    target_collection_id: str | None = None
    target_project_id: str | None = None


class ItemDetails(ItemResponse):
    """An item with its files and looks."""

    assets: list[AssetOutput]
    profiles: list[ProfileResponse]


class ItemGetOutput(Output):
    """Output of items.get."""

    item: ItemDetails


class ItemsPage(Output):
    """Some of the items of a project or collection, newest first."""

    items: list[ItemResponse]
    count: int
    total: int
    limit: int
    offset: int


class ItemDeleteOutput(Output):
    """Output of items.delete."""

    ok: bool = True
    id: str


# ---------------------------------------------------------------- plain functions


async def origin_of(ctx: Context, body: ItemCreateInput) -> tuple[str, str]:
    """What an item made by hand says it came from; its project where it says nothing.

    Raises NotFound: there is no such upload, job or order that the caller may see.
    """
    origin = "project", body.project_id
    if body.order_id is not None:
        raise NotFound.of("order")
    # each is kept with the item, so each is looked at; the job says most of where it came from
    if body.upload_id is not None:
        upload = await ctx.one("upload", sql.upload_project, id=body.upload_id)
        require_sight(ctx, upload["project_id"], "upload")
        origin = "upload", body.upload_id
    if body.job_id is not None:
        job = await ctx.one("job", sql.job_project, id=body.job_id)
        require_sight(ctx, job["project_id"], "job")
        origin = "processing_job", body.job_id
    return origin


def draft_of(body: ItemCreateInput) -> ItemDraft:
    """The new item that a caller describes. Raises Invalid."""
    given = {name: getattr(body, name) for name in DRAFTED}
    return ItemDraft(
        type=body.type.value,
        geometry=None if body.geometry is None else geometry.checked(body.geometry),
        bbox=None if body.bbox is None else geometry.checked_bbox(body.bbox),
        stac_extensions=checks.extensions(body.stac_extensions),
        links=external.related(body.links),
        **given,
    )


DRAFTED = (
    *("collection_id", "stac_id", "datetime", "start_datetime", "end_datetime", "cloud_cover"),
    *("gsd", "name", "description", "properties", "order_id", "upload_id", "job_id", "project_id"),
)


def require_sight(ctx: Context, project_id: str, kind: str) -> None:
    """Raise NotFound where the caller is not in the project of what it names."""
    if ctx.principal.role_in(project_id) is None:
        raise NotFound.of(kind)


async def page_of(
    ctx: Context,
    body: ItemsListInput | ItemsByCollectionInput,
    *,
    project_id: str,
    uncollected: bool = False,
) -> ItemsPage:
    """One page of a project's items; limit and offset are clamped."""
    limit, offset = min(max(body.limit, 1), MAX_ROWS), min(max(body.offset, 0), MAX_OFFSET)
    where = {"project": project_id, "collection": body.collection_id, "uncollected": uncollected}
    rows = await ctx.rows(None, sql.list_items, limit=limit, offset=offset, **where)
    total = (await ctx.one("project", sql.count_items, **where))["total"]
    found = [item_response(row) for row in rows]
    return ItemsPage(items=found, count=len(found), total=total, limit=limit, offset=offset)


# ---------------------------------------------------------------- operations


@operation("items.create", scope="items:write", effect=Effect.COMPUTE, produces="item")
async def create_item(ctx: Context, body: ItemCreateInput) -> ItemResponse:
    """Create an item within a project (editor/admin on the project)."""
    access.require_open(await access.project(ctx, body.project_id, "editor"))
    if body.collection_id is not None:
        await access.target(ctx, body.collection_id, project_id=body.project_id)
    origin = await origin_of(ctx, body)
    made, _ = await items.insert_item(ctx, draft_of(body), external.drafts(body.assets))
    ctx.edge(("item", made.id), "generated_by", origin)
    return made


@operation("items.get", scope="items:read", effect=Effect.READ)
async def get_item(ctx: Context, body: ItemGetInput) -> ItemGetOutput:
    """Fetch a single catalog item by id."""
    row = await access.item(ctx, body.item_id)
    assets = [asset_output(asset) for asset in await items.assets_of(ctx, row["id"])]
    profiles = await ctx.rows(ProfileResponse, sql.profiles, item=row["id"])
    details = ItemDetails(**dict(item_response(row)), assets=assets, profiles=profiles)
    return ItemGetOutput(item=details)


@operation("items.get_stac", scope="items:read", effect=Effect.READ, media_type=document.GEOJSON)
async def get_stac_item(ctx: Context, body: ItemStacInput) -> Blob:
    """Read an item as a STAC Feature, with its provenance."""
    mount = search.mount_of(ctx, body.base_url)
    row = await access.item(ctx, body.item_id)
    looks = await ctx.rows(None, sql.profiles, item=row["id"])
    stored = document.item_document(row, await items.assets_of(ctx, row["id"]), looks)
    named = await ctx.row(None, sql.slug, id=row["collection_id"])
    feature = document.feature(stored, named["slug"] if named else row["project_id"], mount)
    made = await ctx.row(None, sql.made_by, id=row["id"])
    if made is not None:
        feature["properties"]["opstac:provenance"] = made
    return Blob(orjson.dumps(feature), document.GEOJSON)


@operation("items.list", scope="items:read", effect=Effect.READ)
async def list_items(ctx: Context, body: ItemsListInput) -> ItemsPage:
    """List a project's items, newest first."""
    await access.project(ctx, body.project_id)
    if body.collection_id is not None:
        await access.collection(ctx, body.collection_id, project_id=body.project_id)
    return await page_of(ctx, body, project_id=body.project_id, uncollected=body.uncollected)


@operation("items.list_by_collection", scope="items:read", effect=Effect.READ)
async def list_items_of_collection(ctx: Context, body: ItemsByCollectionInput) -> ItemsPage:
    """List a collection's items, newest first."""
    row = await access.collection(ctx, body.collection_id)
    return await page_of(ctx, body, project_id=row["project_id"])


@operation("items.delete", scope="items:write", effect=Effect.DESTRUCTIVE)
async def delete_item(ctx: Context, body: ItemDeleteInput) -> ItemDeleteOutput:
    """Soft-delete an item (admin/editor on the item's project required).

    Its assets go with it; a file is removed, and its bytes are free, with the last asset that
    names it.
    """
    row = await access.item(ctx, body.item_id, "editor", lock=True)
    await ctx.execute(sql.delete_item, id=row["id"])
    await files.let_go_of_item(ctx, row["id"], row["project_id"])
    await pictures.forget(ctx, row["id"])
    await writes.remove_items(await ctx.connection(), await items.slot_of(ctx), [row["id"]])
    ctx.produced("item", row["id"])
    ctx.emit(
        Event(
            "item.deleted",
            "item",
            row["id"],
            {"item_id": row["id"], "name": row["name"], "collection_id": row["collection_id"]},
            row["project_id"],
        )
    )
    return ItemDeleteOutput(id=row["id"])


@operation("items.duplicate", scope="items:write", effect=Effect.COMPUTE, produces="item")
async def duplicate_item(ctx: Context, body: ItemDuplicateInput) -> ItemResponse:
    """Duplicate an item with its assets + viz profiles (admin/editor on the project).

    The copy shares the objects of the original; each object goes when the last asset that names it
    does.
    """
    target = body.target_project_id
    source = await access.item(ctx, body.item_id, "viewer" if target else "editor", lock=True)
    project_id = target or source["project_id"]
    access.require_open(await access.project(ctx, project_id, "editor"))
    collection_id = body.target_collection_id
    if collection_id is None and project_id == source["project_id"]:
        collection_id = source["collection_id"]
    if collection_id is not None:
        await access.target(ctx, collection_id, project_id=project_id)
    drawn = await pictures.assets_drawn(ctx, source["id"])  # the copy is drawn for itself
    same = (
        *("type", "description", "geometry", "bbox", "datetime", "start_datetime", "end_datetime"),
        *("cloud_cover", "gsd", "properties", "stac_extensions", "links"),
    )
    made, _ = await items.insert_item(
        ctx,
        ItemDraft(
            project_id=project_id,
            collection_id=collection_id,
            name=(body.new_name or "").strip()[:500] or f"{source['name'][:493]} (copy)",
            duplicated_from_id=source["id"],
            statements=stated(source["properties"]),
            **{name: source[name] for name in same},
        ),
        [
            AssetDraft.copy_of(asset)
            for asset in await items.assets_of(ctx, source["id"])
            if asset["id"] not in drawn
        ],
    )
    profiles = await ctx.rows(None, sql.profiles, item=source["id"])
    by = ctx.principal.user_id
    await items.insert_profiles(
        ctx, [{**p, "id": new_id("vp"), "item_id": made.id, "created_by": by} for p in profiles]
    )
    ctx.edge(("item", made.id), "derived_from", ("item", source["id"]))
    pictures.soon(ctx, made.id)
    return made

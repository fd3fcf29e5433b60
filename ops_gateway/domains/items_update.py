"""Changing what an item says; what it said before is kept as a version."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue import checks, external, geometry, items
from ops_gateway.catalogue.drafts import own_properties, stated
from ops_gateway.catalogue.models import ItemResponse, LifecycleState, item_response
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Invalid
from ops_gateway.kernel.operation import Effect, Input, operation

sql = queries(__file__)


class ItemUpdateInput(Input):
    """Input of items.update; what is absent or null stays, `properties` are replaced as a whole,
    and so are `links` and those of `assets` whose files lie elsewhere.

    `set_properties` changes properties one by one and leaves the others; `clear` names fields to be
    emptied, and properties to be taken away as `properties.<name>`.
    """

    collection_id: str | None = None
    name: str | None = Field(default=None, min_length=1, max_length=500)
    description: str | None = None
    geometry: dict[str, Any] | None = None
    bbox: list[float] | None = None
    datetime: str | None = None
    start_datetime: str | None = None
    end_datetime: str | None = None
    cloud_cover: float | None = None
    gsd: float | None = None
    properties: dict[str, Any] | None = None
    lifecycle_state: LifecycleState | None = None
    stac_extensions: list[str] | None = None
    assets: dict[str, Any] | None = None
    links: list[dict[str, Any]] | None = None
    set_properties: dict[str, Any] | None = None
    clear: list[str] = Field(default_factory=list)
    item_id: str


def next_state(current: str, wanted: LifecycleState) -> str:
    """The state after an update; raises Conflict where it cannot be set by hand."""
    if wanted == current:
        return current
    if {current, wanted.value} != {"active", "archived"}:
        raise Conflict(f"an item that is {current} cannot be made {wanted.value}")
    return wanted.value


def changed(row: dict[str, Any], body: ItemUpdateInput) -> dict[str, Any]:
    """The columns of an item after an update; raises Invalid or Conflict."""
    given = body.model_fields_set
    new = {name: row[name] for name in UPDATED}
    emptied, dropped = cleared(body.clear)
    new |= emptied
    for name in ("name", "description", "collection_id"):
        if name in given:
            new[name] = getattr(body, name)
    if body.geometry is not None:
        new["geometry"] = geometry.checked(body.geometry)
        new["bbox"] = geometry.bbox_of(new["geometry"])
    if body.bbox is not None:
        new["bbox"] = geometry.checked_bbox(body.bbox)
    moment, begin, end = checks.times(body.datetime, body.start_datetime, body.end_datetime)
    if begin is not None:
        # an interval alone takes the place of the moment
        new |= {"datetime": moment, "start_datetime": begin, "end_datetime": end}
    elif moment is not None:
        new["datetime"] = moment
    if body.properties is not None:
        new["properties"] = body.properties
    said = {**(body.properties or {}), **(body.set_properties or {})}
    cover, distance = checks.measured(said, body.cloud_cover, body.gsd)
    new["cloud_cover"] = new["cloud_cover"] if cover is None else cover
    new["gsd"] = new["gsd"] if distance is None else distance
    properties = {**new["properties"], **(body.set_properties or {})}
    own = own_properties({k: v for k, v in properties.items() if k not in dropped})
    new["properties"] = own | stated(row["properties"])
    if body.stac_extensions is not None:
        new["stac_extensions"] = checks.extensions(body.stac_extensions)
    if body.links is not None:
        new["links"] = external.related(body.links)
    if emptied and new["datetime"] is None and new["start_datetime"] is None:
        raise Invalid.at(
            "clear", "an item keeps its datetime, or a start_datetime and end_datetime"
        )
    if body.lifecycle_state is not None:
        new["lifecycle_state"] = next_state(row["lifecycle_state"], body.lifecycle_state)
    return new


def cleared(names: list[str]) -> tuple[dict[str, Any], set[str]]:
    """The columns that `clear` empties, and the properties it takes away. Raises Invalid."""
    emptied: dict[str, Any] = {}
    dropped: set[str] = set()
    for n, name in enumerate(names):
        if name.startswith("properties."):
            dropped.add(name.removeprefix("properties."))
        elif name in CLEARABLE:
            emptied |= dict.fromkeys(CLEARABLE[name])
            dropped |= SAID_AS.get(name, set())
        else:
            can = ", ".join(CLEARABLE)
            raise Invalid.at(["clear", n], f"what can be cleared is {can} and properties.<name>")
    return emptied, dropped


# field → the columns it stands for
CLEARABLE = {
    "collection_id": ("collection_id",),
    "description": ("description",),
    "geometry": ("geometry", "bbox"),
    "bbox": ("bbox",),
    "datetime": ("datetime",),
    "start_datetime": ("start_datetime", "end_datetime"),
    "end_datetime": ("start_datetime", "end_datetime"),
    "cloud_cover": ("cloud_cover",),
    "gsd": ("gsd",),
}
# the same said as a property
SAID_AS = {"cloud_cover": {"eo:cloud_cover"}, "gsd": {"gsd"}}
UPDATED = (
    *("collection_id", "name", "description", "geometry", "bbox", "datetime", "start_datetime"),
    *("end_datetime", "cloud_cover", "gsd", "properties", "stac_extensions", "links"),
    "lifecycle_state",
)


@operation("items.update", scope="items:write", effect=Effect.COMPUTE)
async def update_item(ctx: Context, body: ItemUpdateInput) -> ItemResponse:
    """Update an item's mutable metadata (editor/admin on its project)."""
    row = await access.item(ctx, body.item_id, "editor", lock=True)
    if body.collection_id is not None and body.collection_id != row["collection_id"]:
        await access.target(ctx, body.collection_id, project_id=row["project_id"])
    new = changed(row, body)
    assets, gone = [], []
    if body.assets is not None:
        assets, gone = external.split(body.assets, await items.assets_of(ctx, row["id"]))
    if assets:
        await access.require_files_may_come(ctx, row)
    if not assets and not gone and all(new[name] == row[name] for name in UPDATED):
        return item_response(row)
    await ctx.execute(sql.keep_version, id=row["id"])
    new["geometry"] = None if new["geometry"] is None else Jsonb(new["geometry"])
    new["properties"], new["links"] = Jsonb(new["properties"]), Jsonb(new["links"])
    try:
        if row["collection_id"] not in (None, new["collection_id"]):
            # who deletes the one it leaves counts what goes with it, and waits
            await ctx.execute(items.sql.hold_collections, ids=[row["collection_id"]])
        await items.hold_collections(ctx, [new["collection_id"]])
        await ctx.execute(sql.update_item, id=row["id"], **new)
    except psycopg.errors.UniqueViolation:
        raise items.taken([row["stac_id"]]) from None
    await items.exchange_assets(ctx, row["id"], assets, gone)
    after = await items.touch(ctx, row["id"])
    ctx.produced("item", row["id"])
    ctx.emit(items.event("item.updated", after, await items.assets_of(ctx, row["id"])))
    return item_response(after)

"""How items are drawn: their saved profiles, exactly one of which is the default."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb
from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue import items, pictures, profile_config
from ops_gateway.catalogue.models import ProfileLayer, ProfileResponse, ProfileType
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Invalid, NotFound
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation

sql = queries(__file__)

MAX_PROFILES = 100  # of an item: every tile reads them
MAX_ORDER = 2**31 - 1


class ProfileCreateInput(Input):
    """Input of visualization.profile.create."""

    item_id: str
    name: str = Field(min_length=1, max_length=255)
    layer: ProfileLayer = ProfileLayer.user
    type: ProfileType
    is_default: bool = False
    sort_order: int = 0
    config: dict[str, Any] = Field(description="Render configuration.")
    asset_key: str | None = None


class ProfileUpdateInput(Input):
    """Input of visualization.profile.update; what is absent or null stays."""

    item_id: str
    profile_id: str
    name: str | None = Field(default=None, min_length=1, max_length=255)
    type: ProfileType | None = None
    is_default: bool | None = None
    sort_order: int | None = None
    config: dict[str, Any] | None = None
    asset_key: str | None = None


class ProfileRef(Input):
    """A profile of an item."""

    item_id: str
    profile_id: str


class ProfileGetInput(Input):
    """Input of visualization.profile.get."""

    item_id: str
    profile_id: str


class ProfilesListInput(Input):
    """Input of visualization.profiles.list."""

    item_id: str


class ProfileOutput(Output):
    """Output of visualization.profile.get."""

    profile: ProfileResponse


class ProfilesOutput(Output):
    """The profiles of an item, by sort_order, then by age."""

    profiles: list[ProfileResponse]
    count: int


class OkOutput(Output):
    """It is done, to the one with this id."""

    ok: bool = True
    id: str


# ---------------------------------------------------------------- plain functions


async def asset_to_draw(ctx: Context, item_id: str, key: str | None) -> dict[str, Any]:
    """The row of the asset that a profile is drawn from. Raises Invalid: there is none such."""
    rasters = await ctx.rows(None, sql.drawable, item=item_id)
    if not rasters:
        raise Invalid.at("asset_key", "the item has no raster to draw")
    if key is None:
        return rasters[0]
    found = next((row for row in rasters if row["key"] == key), None)
    if found is None:
        keys = ", ".join(f"'{row['key']}'" for row in rasters[:20])
        raise Invalid.at("asset_key", f"the item has no raster asset '{key[:100]}'; it has {keys}")
    return found


def check_name(name: str, taken: set[str]) -> str:
    """A name that tells a profile from the item's others. Raises Invalid or Conflict."""
    name = name.strip()
    if not name or not name.isprintable():
        raise Invalid.at("name", "must have a printable character, and no others")
    if name in taken:
        raise Conflict(f"the item has a profile '{name[:100]}' already")
    return name


def check_order(sort_order: int) -> int:
    """A place in the list that the column can hold. Raises Invalid."""
    if abs(sort_order) > MAX_ORDER:
        raise Invalid.at("sort_order", f"must be from -{MAX_ORDER} to {MAX_ORDER}")
    return sort_order


def by_id(profiles: list[dict[str, Any]], profile_id: str) -> dict[str, Any]:
    """One of an item's profiles. Raises NotFound."""
    found = next((p for p in profiles if p["id"] == profile_id), None)
    if found is None:
        raise NotFound.of("profile")
    return found


async def locked(ctx: Context, item_id: str) -> list[dict[str, Any]]:
    """The profiles of an item that nobody else changes until this transaction ends."""
    await access.item(ctx, item_id, "editor", lock=True)
    return await ctx.rows(None, sql.profiles, item=item_id)


async def published(ctx: Context, item_id: str, profile_id: str) -> None:
    """Bring the item's document up to date and say that it changed."""
    row = await items.touch(ctx, item_id)
    await pictures.outdated(ctx, item_id)
    ctx.produced("visualization_profile", profile_id)
    ctx.emit(items.event("item.updated", row, []))


# ---------------------------------------------------------------- operations


@operation("visualization.profiles.list", scope="items:read", effect=Effect.READ)
async def list_profiles(ctx: Context, body: ProfilesListInput) -> ProfilesOutput:
    """List all visualization profiles for an item (ordered by sort_order, created_at)."""
    item = await access.item(ctx, body.item_id)
    found = await ctx.rows(ProfileResponse, sql.profiles, item=item["id"])
    return ProfilesOutput(profiles=found, count=len(found))


@operation("visualization.profile.get", scope="items:read", effect=Effect.READ)
async def get_profile(ctx: Context, body: ProfileGetInput) -> ProfileOutput:
    """Get a single visualization profile for an item."""
    item = await access.item(ctx, body.item_id)
    row = by_id(await ctx.rows(None, sql.profiles, item=item["id"]), body.profile_id)
    return ProfileOutput(profile=ProfileResponse.model_validate(row))


@operation(
    "visualization.profile.create",
    scope="items:write",
    effect=Effect.COMPUTE,
)
async def create_profile(ctx: Context, body: ProfileCreateInput) -> ProfileResponse:
    """Create a visualization profile for an item (editor/admin).

    The first profile of an item is its default, whatever `is_default` says.
    """
    profiles = await locked(ctx, body.item_id)
    if len(profiles) >= MAX_PROFILES:
        raise Conflict(f"an item has at most {MAX_PROFILES} profiles; delete one first")
    name = check_name(body.name, {p["name"] for p in profiles})
    asset = await asset_to_draw(ctx, body.item_id, body.asset_key)
    config = profile_config.checked(body.type.value, body.config, asset)
    is_default = body.is_default or not profiles
    if is_default:
        await ctx.execute(sql.clear_default, item=body.item_id)
    row = await ctx.one(
        "item",
        sql.insert_profile,
        id=new_id("vp"),
        item=body.item_id,
        name=name,
        layer=body.layer.value,
        type=body.type.value,
        is_default=is_default,
        sort_order=check_order(body.sort_order),
        config=Jsonb(config),
        asset_key=body.asset_key,
        by=access.human(ctx),
    )
    await published(ctx, body.item_id, row["id"])
    return ProfileResponse.model_validate(row)


@operation("visualization.profile.update", scope="items:write", effect=Effect.COMPUTE)
async def update_profile(ctx: Context, body: ProfileUpdateInput) -> ProfileResponse:
    """Update a visualization profile (editor/admin).

    A profile of ours whose picture somebody changes is theirs: its layer becomes `user`, and it is
    not made anew when the bands are named.
    """
    profiles = await locked(ctx, body.item_id)
    row = by_id(profiles, body.profile_id)
    if body.is_default is False and row["is_default"]:
        raise Conflict("an item has one default profile: make another one the default instead")
    new = {n: row[n] for n in ("name", "type", "sort_order", "config", "asset_key", "layer")}
    if body.name is not None:
        others = {p["name"] for p in profiles if p["id"] != row["id"]}
        new["name"] = check_name(body.name, others)
    if body.sort_order is not None:
        new["sort_order"] = check_order(body.sort_order)
    if body.type is not None or body.config is not None or body.asset_key is not None:
        new["type"] = row["type"] if body.type is None else body.type.value
        new["asset_key"] = row["asset_key"] if body.asset_key is None else body.asset_key
        given = row["config"] if body.config is None else body.config
        asset = await asset_to_draw(ctx, body.item_id, new["asset_key"])
        new["config"] = profile_config.checked(new["type"], given, asset)
        if any(new[n] != row[n] for n in ("type", "config", "asset_key")):
            new["layer"] = ProfileLayer.user.value
    becomes_default = bool(body.is_default) and not row["is_default"]
    if not becomes_default and all(new[name] == row[name] for name in new):
        return ProfileResponse.model_validate(row)
    if becomes_default:
        await ctx.execute(sql.clear_default, item=body.item_id)
    is_default = row["is_default"] or becomes_default
    new["config"] = Jsonb(new["config"])
    row = await ctx.one("profile", sql.update_profile, id=row["id"], is_default=is_default, **new)
    await published(ctx, body.item_id, row["id"])
    return ProfileResponse.model_validate(row)


@operation("visualization.profile.set_default", scope="items:write", effect=Effect.COMPUTE)
async def set_default_profile(ctx: Context, body: ProfileRef) -> ProfileResponse:
    """Set a profile as the item's default (editor/admin)."""
    row = by_id(await locked(ctx, body.item_id), body.profile_id)
    if row["is_default"]:
        return ProfileResponse.model_validate(row)
    await ctx.execute(sql.clear_default, item=body.item_id)
    row = await ctx.one("profile", sql.make_default, id=row["id"])
    await published(ctx, body.item_id, row["id"])
    return ProfileResponse.model_validate(row)


@operation("visualization.profile.delete", scope="items:write", effect=Effect.DESTRUCTIVE)
async def delete_profile(ctx: Context, body: ProfileRef) -> OkOutput:
    """Delete a visualization profile (editor/admin).

    Where it was the default, the next one by sort_order is; an item without a profile is drawn as
    its file says.
    """
    profiles = await locked(ctx, body.item_id)
    row = by_id(profiles, body.profile_id)
    await ctx.execute(sql.delete_profile, id=row["id"])
    others = [p for p in profiles if p["id"] != row["id"]]
    if row["is_default"] and others:
        await ctx.one("profile", sql.make_default, id=others[0]["id"])
    await published(ctx, body.item_id, row["id"])
    return OkOutput(id=row["id"])

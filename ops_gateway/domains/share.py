"""Share links: an item or a collection for whoever has the link and its password.

What a link opens is in `share_access.py`, what of it is shown in `share_target.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field

from db.queries import queries
from ops_gateway.domains import items_tile, share_access, share_target
from ops_gateway.domains.share_access import MAX_PASSWORD, Link
from ops_gateway.kernel import access, passwords
from ops_gateway.kernel.context import Context, Event
from ops_gateway.kernel.errors import Forbidden, Invalid
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Blob, Effect, Input, Output, operation
from tiler import encode, matrix_sets, render, wmts

sql = queries(__file__)

LONGEST = timedelta(days=36_525)
MAX_ROWS = 1000
MAX_OFFSET = 1_000_000


class ShareTargetType(StrEnum):
    """What a link is of."""

    ITEM = "item"
    COLLECTION = "collection"


class SharePermission(StrEnum):
    """What a link allows."""

    VIEW = "view"
    DOWNLOAD = "download"


class ShareLinkCreate(Input):
    """Input of share.link.create."""

    target_type: ShareTargetType
    target_id: str
    permission: SharePermission = SharePermission.VIEW
    password: str = Field(min_length=8, description="At most 1024 characters; kept as argon2id")
    expires_at: datetime = Field(description="In the future; UTC where it names no zone")


class ShareLinkRef(Input):
    """Input of share.link.revoke."""

    link_id: str


class ShareLinksListInput(Input):
    """Input of share.link.list."""

    project_id: str | None = None
    limit: int = 100
    offset: int = 0


class ShareLinkValidateInput(Input):
    """Input of share.link.validate."""

    token: str
    password: str = ""


class ShareTilejsonInput(Input):
    """Input of share.tilejson; `item_id` says which item of a shared collection."""

    token: str
    password: str = ""
    profile: str | None = None
    item_id: str | None = None


class ShareTileInput(Input):
    """Input of share.tile.render; `item_id` says which item of a shared collection."""

    token: str
    password: str = ""
    z: int
    x: int
    y: int
    format: str = "png"
    profile: str | None = None
    item_id: str | None = None


class ShareLink(Output):
    """A share link without its token."""

    id: str
    target_type: str
    target_id: str
    permission: str
    organization_id: str
    project_id: str
    expires_at: datetime
    revoked_at: datetime | None = None
    access_count: int = 0
    last_accessed_at: datetime | None = None
    created_by: str | None
    created_at: datetime


class ShareLinkCreateOutput(ShareLink):
    """A new share link; `token` is told this once."""

    token: str


class ShareLinksOutput(Output):
    """Output of share.link.list, newest first."""

    share_links: list[ShareLink]
    count: int
    total: int
    limit: int
    offset: int


class ShareLinkRevokeOutput(Output):
    """Output of share.link.revoke."""

    ok: bool = True
    id: str


class ShareLinkValidateOutput(Output):
    """What is shared: an item as a STAC Feature, or `{collection, items}`."""

    permission: str
    target_type: str
    target: dict[str, Any]


# ---------------------------------------------------------------- those who share


async def check(ctx: Context, body: ShareLinkCreate) -> str:
    """What to keep of the password. Raises Invalid for a time that is over."""
    now = datetime.now(UTC)
    if _utc(body.expires_at) <= now:
        raise Invalid.at("expires_at", "must be in the future")
    if _utc(body.expires_at) > now + LONGEST:
        raise Invalid.at("expires_at", "must be within the next hundred years")
    if len(body.password) > MAX_PASSWORD:
        raise Invalid.at("password", f"a password has at most {MAX_PASSWORD} characters")
    await _target(ctx, body)  # a stranger is told before the password is hashed
    await ctx.release()
    return await passwords.hash_password(body.password)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


async def _target(ctx: Context, body: ShareLinkCreate) -> dict[str, Any]:
    """The row of what is to be shared, where the caller edits its project."""
    if body.target_type is ShareTargetType.ITEM:
        return await access.item(ctx, body.target_id, "editor")
    return await access.collection(ctx, body.target_id, "editor")


@operation(
    "share.link.create",
    scope="shares:write",
    effect=Effect.SHARE,
    produces="share_link",
    prepare=check,
    secret=True,
)
async def create_link(ctx: Context, body: ShareLinkCreate, kept: str) -> ShareLinkCreateOutput:
    """Make a link to an item or a collection, with a password and an end (project editor).

    Whoever has both reads it without an account: at `/share/{token}` as JSON, as TileJSON, as a
    STAC API. The token is told this once.
    """
    target = await _target(ctx, body)
    token = secrets.token_urlsafe(32)
    row = await ctx.one(
        "share link",
        sql.insert,
        id=new_id("sh"),
        project=target["project_id"],
        target_type=body.target_type.value,
        target=target["id"],
        permission=body.permission.value,
        sha256=share_access.digest(token),
        password_hash=kept,
        expires_at=_utc(body.expires_at),
        user=access.human(ctx),
        key=await access.calling_key(ctx),
    )
    ctx.produced("share_link", row["id"])
    ctx.edge(("share_link", row["id"]), "exports", (body.target_type.value, target["id"]))
    ctx.emit(link_event("share.created", row))
    return ShareLinkCreateOutput(**row, token=token)


def link_event(name: str, row: dict[str, Any]) -> Event:
    """An event about a link, from its row."""
    told = ("target_type", "target_id", "permission")
    data = {key: row[key] for key in told}
    data |= {"share_link_id": row["id"], "expires_at": row["expires_at"].isoformat()}
    return Event(name, "share_link", row["id"], data, project_id=row["project_id"])


@operation("share.link.list", scope="shares:read", effect=Effect.READ)
async def list_links(ctx: Context, body: ShareLinksListInput) -> ShareLinksOutput:
    """List the links of the projects the caller may see, revoked ones included."""
    if body.project_id is not None:
        await access.project(ctx, body.project_id)
    where = {"project": body.project_id, "projects": access.visible_projects(ctx.principal)}
    limit, offset = min(max(body.limit, 1), MAX_ROWS), min(max(body.offset, 0), MAX_OFFSET)
    rows = await ctx.rows(ShareLink, sql.links, limit=limit, offset=offset, **where)
    total = (await ctx.one("organization", sql.count_links, **where))["total"]
    return ShareLinksOutput(
        share_links=rows, count=len(rows), total=total, limit=limit, offset=offset
    )


@operation("share.link.revoke", scope="shares:write", effect=Effect.DESTRUCTIVE)
async def revoke_link(ctx: Context, body: ShareLinkRef) -> ShareLinkRevokeOutput:
    """Withdraw a link for good; it opens nothing any more, nor do tiles that it led to.

    Takes a project editor. What is revoked already is a 404.
    """
    found = await ctx.one("share link", sql.link_for_update, id=body.link_id)
    ctx.require_project_role(found["project_id"], "editor", kind="share link")
    row = await ctx.one("share link", sql.revoke, id=body.link_id)
    ctx.produced("share_link", row["id"])
    ctx.emit(link_event("share.revoked", row))
    return ShareLinkRevokeOutput(id=row["id"])


# ---------------------------------------------------------------- those who are shared with


@operation("share.link.validate", scope="shares:read", effect=Effect.READ, public=True)
async def validate_link(ctx: Context, body: ShareLinkValidateInput) -> ShareLinkValidateOutput:
    """Tell what a link shares, for who knows its password.

    An unknown or revoked link is a 404, a wrong password a 403, ten of them within 15 minutes a
    429, and an expired link with the right password a 410. Files have addresses that open for an
    hour, where the link allows to download.
    """
    link = await share_access.redeem(ctx.pipeline, body.token, body.password, counts=True)
    return await shown(ctx, link)


async def shown(ctx: Context, link: Link) -> ShareLinkValidateOutput:
    """The target of a link that was opened."""

    async def look(inner: Context) -> dict[str, Any]:
        return await share_target.whole(inner, link)

    target = await ctx.pipeline.look("share.target", link.principal, look, base_url=ctx.base_url)
    return ShareLinkValidateOutput(
        permission=link.permission, target_type=link.target_type, target=target
    )


@operation("share.tilejson", scope="shares:read", effect=Effect.READ, public=True)
async def share_tilejson(ctx: Context, body: ShareTilejsonInput) -> items_tile.TileJSON:
    """TileJSON of a shared item; its tile URLs hold a key for an hour, and not the password."""
    link = await share_access.redeem(ctx.pipeline, body.token, body.password, counts=True)
    return await tilejson_of(ctx, link, body.item_id, body.profile)


async def tilejson_of(
    ctx: Context, link: Link, item_id: str | None, profile: str | None
) -> items_tile.TileJSON:
    """TileJSON for a link that was opened."""

    async def look(inner: Context) -> items_tile.TileJSON:
        shared = await _shared(inner, link, item_id)
        source = await items_tile.find(inner, shared, None, profile)
        template = share_target.tile_template(inner, link, shared, profile)
        made = await items_tile.draw(inner, render.tilejson, source, template)
        return items_tile.TileJSON.model_validate(made)

    return await ctx.pipeline.look("share.tilejson", link.principal, look, base_url=ctx.base_url)


@operation(
    "share.tile.render",
    scope="shares:read",
    effect=Effect.READ,
    public=True,
    media_type="image/png",
)
async def share_tile(ctx: Context, body: ShareTileInput) -> Blob:
    """Render a map tile of a shared item; counted for the organization that shares it."""
    link = await share_access.redeem(ctx.pipeline, body.token, body.password, counts=False)
    return await tile_of(ctx, link, body)


async def wmts_of(
    ctx: Context, link: Link, item_id: str | None, parameters: Sequence[tuple[str, str]]
) -> bytes:
    """The WMTS document of a shared item, for a link that was opened; its tiles' addresses hold a
    key for an hour.

    Args:
        parameters: `profile`, where it is asked for.
    """

    async def look(inner: Context) -> bytes:
        shared = await _shared(inner, link, item_id)
        source = await items_tile.find(inner, shared, None, dict(parameters).get("profile"))
        return await items_tile.draw(
            inner,
            wmts.capabilities,
            replace(source, profiles=()),  # what they are called is not shared
            shared,
            inner.base_url,
            key=share_target.tile_key(inner, link),
            parameters=parameters,
            service=f"{share_target.place_of(inner, link, shared)}/wmts",
            has_values=False,
        )

    return await ctx.pipeline.look("share.wmts", link.principal, look, base_url=ctx.base_url)


async def tile_of(
    ctx: Context, link: Link, body: ShareTileInput, tms: str = matrix_sets.DEFAULT
) -> Blob:
    """A tile for a link that was opened, of a tile matrix set."""

    async def look(inner: Context) -> bytes:
        shared = await _shared(inner, link, body.item_id)
        source = await items_tile.find(inner, shared, None, body.profile)
        return await items_tile.draw(
            inner, render.render_tile, source, body.z, body.x, body.y, format=body.format, tms=tms
        )

    picture = await ctx.pipeline.look("share.tile", link.principal, look)
    ctx.services.count_tile(link.organization_id)
    return Blob(
        picture,
        encode.MEDIA_TYPES[body.format],
        # a link that is revoked opens nothing, so what a browser has must be asked for again soon
        {"Cache-Control": "private, no-cache"},
    )


async def _shared(ctx: Context, link: Link, item_id: str | None) -> str:
    """The id of the item that is meant. Raises NotFound, Invalid: the link is of several."""
    if item_id is None:
        if link.target_type != ShareTargetType.ITEM:
            raise Invalid.at("item_id", "the link is of a collection: say which item of it")
        item_id = link.target_id
    await share_target.require_shared(ctx, link, item_id)
    return item_id


def require_download(link: Link) -> None:
    """Raise Forbidden where a link is for looking only."""
    if link.permission != SharePermission.DOWNLOAD:
        raise Forbidden("this link is for looking, not for downloading")

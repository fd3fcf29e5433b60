"""The one place of visibility: what of its organization a caller may see and change.

What is missing and what belongs to another organization raise the same NotFound; a member of the
organization who is not in the project gets Forbidden.
"""

from __future__ import annotations

from typing import Any

from db.queries import queries
from ops_gateway.kernel.context import ROLE_RANK, Context, Principal
from ops_gateway.kernel.errors import Conflict, Forbidden, NotFound, Unauthenticated

sql = queries(__file__)

Row = dict[str, Any]

PUBLISHER = "admin"
"""The role in a project that makes its items public."""


def visible_projects(principal: Principal) -> list[str] | None:
    """Ids of the projects the caller sees; None for every project of its organization."""
    return None if principal.projects is None else sorted(principal.projects)


async def project(ctx: Context, project_id: str, role: str = "viewer") -> Row:
    """The project, where the caller's role in it is at least `role`."""
    row = await ctx.one("project", sql.project, id=project_id)
    ctx.require_project_role(row["id"], role)
    return row


def require_open(project: Row) -> None:
    """Raise Conflict for an archived project: nothing new goes into it."""
    if project["is_archived"]:
        raise Conflict("the project is archived; bring it back with projects.archive first")


async def collection(
    ctx: Context, collection_id: str, role: str = "viewer", *, project_id: str | None = None
) -> Row:
    """The collection; with `project_id` it must be that project's."""
    row = await ctx.one("collection", sql.collection, id=collection_id)
    if project_id is not None and row["project_id"] != project_id:
        raise NotFound.of("collection")
    ctx.require_project_role(row["project_id"], role, kind="collection")
    return row


async def target(ctx: Context, collection_id: str, *, project_id: str) -> Row:
    """The project's collection, where the caller may put items into it.

    An editor may; where it is public that publishes them, which takes what publishing takes.
    """
    row = await collection(ctx, collection_id, "editor", project_id=project_id)
    if row["public"] and not _may_publish(ctx, row["project_id"]):
        raise Forbidden(
            "what is put into a public collection is published, which takes a project admin; "
            "choose another collection"
        )
    return row


async def require_files_may_come(ctx: Context, item: Row) -> None:
    """Raise Forbidden where a new file of the item would be published by one who may not."""
    if _may_publish(ctx, item["project_id"]) or item["collection_id"] is None:
        return
    home = await ctx.row(None, sql.collection, id=item["collection_id"])
    if home is not None and home["public"]:
        raise Forbidden(
            "what is added to an item of a public collection is published, which takes a project "
            "admin; take the item out of the collection first, or ask one"
        )


def _may_publish(ctx: Context, project_id: str) -> bool:
    return ROLE_RANK[ctx.principal.role_in(project_id) or "viewer"] >= ROLE_RANK[PUBLISHER]


async def item(ctx: Context, item_id: str, role: str = "viewer", *, lock: bool = False) -> Row:
    """The item; `lock` keeps other writers of it away until the transaction ends."""
    row = await ctx.one("item", sql.item_for_update if lock else sql.item, id=item_id)
    ctx.require_project_role(row["project_id"], role, kind="item")
    return row


def own_organization(ctx: Context, organization_id: str) -> None:
    """Raise NotFound where a body names another organization than the caller's."""
    if organization_id != ctx.organization_id and not ctx.principal.allows("admin:read"):
        raise NotFound.of("organization")


async def calling_key(ctx: Context) -> str | None:
    """The id of the key that calls, which stays as it is until this is written; None for others.

    Raises Unauthenticated: it was revoked since the call began.
    """
    if ctx.principal.kind != "api_key":
        return None
    row = await ctx.row(None, sql.live_key, id=ctx.principal.id)
    if row is None:
        raise Unauthenticated("the API key was revoked")
    return row["id"]


def human(ctx: Context) -> str | None:
    """The caller's user id for `created_by`; None for keys, services and workers."""
    return ctx.principal.user_id


async def count_alone(ctx: Context, what: str) -> None:
    """Be the only one of the organization, until this transaction ends, to count `what` and add to
    it; so that many at once do not all find room.
    """
    await ctx.execute(sql.count_alone, what=what)

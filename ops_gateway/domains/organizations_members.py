"""The people of an organization: their role, and their leaving."""

from __future__ import annotations

from typing import Literal

from db.queries import queries
from ops_gateway.domains import departures
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Forbidden, NotFound
from ops_gateway.kernel.operation import Effect, Input, Output, operation

sql = queries(__file__)

Role = Literal["owner", "admin", "member", "billing", "viewer"]


class MemberUpdateInput(Input):
    """Input of organizations.members.update."""

    user_id: str
    role: Role


class MemberRemoveInput(Input):
    """Input of organizations.members.remove."""

    user_id: str


class MemberOutput(Output):
    """A person's role in the organization."""

    user_id: str
    role: str


class MemberRemoveOutput(Output):
    """Done."""

    ok: bool
    user_id: str


def require_may_give(ctx: Context, role: str) -> None:
    """Raise Forbidden unless the caller may make somebody a `role`: an owner, or an admin for
    every role but that.
    """
    own = ctx.principal.role
    if own != "owner" and (own != "admin" or role == "owner"):
        raise Forbidden("owners and admins of the organization do this; only an owner makes owners")


@operation(
    "organizations.members.update",
    scope="organizations:write",
    effect=Effect.COMPUTE,
    human_only=True,
)
async def update_member(ctx: Context, body: MemberUpdateInput) -> MemberOutput:
    """Change a person's role in the organization; it holds with their next request.

    Their invitations, webhooks and share links that go beyond the new role end with it, and the
    owners are told.
    """
    roles = await _roles(ctx, body.user_id)
    require_may_give(ctx, body.role)
    require_may_give(ctx, roles[body.user_id])
    _keep_an_owner(roles, body.user_id, body.role)
    name = await departures.name_of(ctx, body.user_id)
    await ctx.execute(sql.set_role, user=body.user_id, role=body.role)
    await departures.withdraw(ctx, body.user_id, name)
    ctx.produced("organization", ctx.organization_id)
    return MemberOutput(user_id=body.user_id, role=body.role)


@operation(
    "organizations.members.remove",
    scope="organizations:write",
    effect=Effect.DESTRUCTIVE,
    human_only=True,
)
async def remove_member(ctx: Context, body: MemberRemoveInput) -> MemberRemoveOutput:
    """Remove a person from the organization and its projects.

    Their session says nothing here from the next request on. The invitations, webhooks and share
    links that they made end, and the owners are told. Keys belong to the organization and stay;
    revoke those that the person knows.
    """
    roles = await _roles(ctx, body.user_id)
    if body.user_id != ctx.principal.user_id:
        require_may_give(ctx, roles[body.user_id])
    _keep_an_owner(roles, body.user_id, None)
    name = await departures.name_of(ctx, body.user_id)
    await ctx.execute(sql.remove_from_projects, user=body.user_id)
    await ctx.execute(sql.remove, user=body.user_id)
    await departures.withdraw(ctx, body.user_id, name)
    ctx.produced("organization", ctx.organization_id)
    return MemberRemoveOutput(ok=True, user_id=body.user_id)


async def _roles(ctx: Context, user_id: str) -> dict[str, str]:
    """Everybody's role. Raises NotFound where the person is not of the organization."""
    roles = {row["user_id"]: row["role"] for row in await ctx.rows(None, sql.members)}
    if user_id not in roles:
        raise NotFound.of("member")
    return roles


def _keep_an_owner(roles: dict[str, str], user_id: str, role: str | None) -> None:
    others = (held for user, held in roles.items() if user != user_id)
    if roles[user_id] == "owner" and role != "owner" and "owner" not in others:
        raise Conflict("the organization needs an owner; make somebody else one first")

"""Organizations: the tenant. A user makes one and becomes its owner."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from pydantic import Field

from db.queries import queries
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Forbidden, Unavailable
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Empty, Input, Output, operation

sql = queries(__file__)


class OrganizationCreateInput(Input):
    """Input of organizations.create."""

    name: str = Field(min_length=1)
    description: str | None = None
    website: str | None = None
    industry: str | None = None
    size: str | None = None
    country: str | None = None
    abn: str | None = None
    tax_number: str | None = None
    billing_email: str | None = None
    billing_admin_id: str | None = None
    billing_address: dict[str, Any] | None = None
    enterprise_billing: bool = False


class OrganizationCreateOutput(Output):
    """An organization."""

    id: str
    name: str
    slug: str
    enterprise_billing: bool
    created_at: datetime


class OrganizationGetOutput(Output):
    """The caller's organization."""

    organization: OrganizationCreateOutput


class OrganizationMember(Output):
    """A person of the organization."""

    user_id: str
    email: str | None
    name: str | None
    role: str
    created_at: datetime


class OrganizationMembersOutput(Output):
    """The people of the organization, oldest first."""

    members: list[OrganizationMember]
    count: int


def slug_of(name: str) -> str:
    """A URL-safe short form of a name; `organization` where nothing is left of it."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:48] or "organization"


@operation(
    "organizations.create",
    scope="organizations:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    human_only=True,
)
async def create_organization(
    ctx: Context, body: OrganizationCreateInput
) -> OrganizationCreateOutput:
    """Create an organization; the caller becomes its owner and it receives the signup credits."""
    if ctx.principal.organization_id is not None:
        raise Conflict("you are in an organization already")
    if ctx.principal.user_id is None:
        raise Forbidden("an organization is made by a human user")
    organization_id = new_id("org")
    await ctx.bind(organization_id)
    slug = slug_of(body.name)
    details = body.model_dump(exclude={"name", "enterprise_billing"}, exclude_none=True)
    row = await ctx.row(
        None,
        sql.insert_organization,
        name=body.name,
        slug=slug,
        suffix=organization_id[-6:],
        details=Jsonb(details),
        enterprise=body.enterprise_billing,
        quota=ctx.services.options.storage_quota_bytes,
    )
    assert row is not None
    await ctx.execute(sql.open_wallet)
    await ctx.execute(sql.insert_owner, user=ctx.principal.user_id)
    if (await ctx.row(None, sql.take_slot) or {}).get("slot") is None:
        raise Unavailable("no catalogue space is free for a new organization; try again", 5)
    ctx.produced("organization", organization_id)
    if ctx.services.options.signup_credits:
        ctx.credit("grant", ctx.services.options.signup_credits, "signup credits")
    return OrganizationCreateOutput.model_validate(row)


@operation("organizations.get", scope="organizations:read", effect=Effect.READ)
async def get_organization(ctx: Context, body: Empty) -> OrganizationGetOutput:
    """Read the caller's organization."""
    row = await ctx.one("organization", sql.get_organization)
    return OrganizationGetOutput(organization=OrganizationCreateOutput.model_validate(row))


@operation("organizations.members.list", scope="organizations:read", effect=Effect.READ)
async def list_members(ctx: Context, body: Empty) -> OrganizationMembersOutput:
    """List the people of the caller's organization."""
    members = await ctx.rows(OrganizationMember, sql.people)
    return OrganizationMembersOutput(members=members, count=len(members))

"""Invitations: how a person comes into an organization."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from db.queries import queries
from ops_gateway.domains.mails import send_mail
from ops_gateway.domains.organizations_members import Role, require_may_give
from ops_gateway.kernel.context import ANONYMOUS, Context
from ops_gateway.kernel.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    RateLimited,
)
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

MOST_A_DAY = 200
MOST_TO_ONE = 3
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


class InvitationCreateInput(Input):
    """Input of organizations.invitations.create."""

    email: str = Field(max_length=320)
    role: Role = "member"
    expires_in_days: int = Field(default=7, ge=1, le=90)


class Invitation(Output):
    """An invitation, without what opens it."""

    id: str
    email: str
    role: str
    state: Literal["pending", "accepted", "revoked", "expired"]
    invited_by: str | None
    created_at: datetime
    expires_at: datetime


class InvitationCreateOutput(Output):
    """A new invitation; `url` is shown here and never again."""

    invitation: Invitation
    url: str


class InvitationsListInput(Input):
    """Input of organizations.invitations.list."""

    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=10**6)


class InvitationsListOutput(Output):
    """Invitations, newest first."""

    invitations: list[Invitation]
    count: int
    total: int
    limit: int
    offset: int


class InvitationRevokeInput(Input):
    """Input of organizations.invitations.revoke."""

    invitation_id: str


class InvitationRevokeOutput(Output):
    """Done."""

    ok: bool
    id: str


class InvitationAcceptInput(Input):
    """Input of organizations.invitations.accept."""

    token: str = Field(max_length=200)


class InvitationAcceptOutput(Output):
    """The organization that the caller is in now."""

    organization_id: str
    role: str


@dataclass(frozen=True)
class Invited:
    """What somebody who holds an invitation's token may know."""

    id: str
    organization_id: str
    organization: str
    email: str
    role: str
    state: str


INVITED = """You are invited to {organization} as {role}. This address is yours alone and lets one
person join:

{url}
"""


def mailed_proof(key: bytes, token: str) -> str:
    """What the mailed URL of an invitation holds and the inviter's does not: 64 hex digits."""
    return hmac.new(key, b"invitation mail 1 " + token.encode(), hashlib.sha256).hexdigest()


def is_mailed_proof(key: bytes, token: str, proof: str) -> bool:
    """Whether somebody comes by the mailed URL."""
    return hmac.compare_digest(mailed_proof(key, token).encode(), proof.encode("utf-8", "replace"))


def digest(token: str) -> bytes:
    """What is kept of a token of 256 random bits."""
    return hashlib.sha256(token.encode()).digest()


@operation(
    "organizations.invitations.create",
    scope="organizations:write",
    effect=Effect.COMPUTE,
    human_only=True,
    secret=True,
)
async def create_invitation(ctx: Context, body: InvitationCreateInput) -> InvitationCreateOutput:
    """Invite a person to the organization; whoever opens the URL may join it once.

    Owners and admins invite, and nobody to more than they are themselves. Where the platform sends
    mail, the person is sent the URL too; an organization mails 200 invitations in 24 hours, and 3
    to one address (429).
    """
    require_may_give(ctx, body.role)
    email = body.email.strip().casefold()
    if not _EMAIL.fullmatch(email):
        raise Invalid.at("email", "must be an e-mail address, as name@example.org")
    if ctx.services.options.mails_links:
        await require_few(ctx, email)
    token = secrets.token_urlsafe(32)
    row = await ctx.row(
        Invitation,
        sql.insert_invitation,
        id=new_id("invt"),
        digest=digest(token),
        email=email,
        role=body.role,
        by=ctx.principal.user_id,
        days=body.expires_in_days,
    )
    assert row is not None
    ctx.produced("invitation", row.id)
    options = ctx.services.options
    if options.mails_links:
        inviting = await ctx.one("organization", sql.inviting)
        # what only the mailbox is told shows whose it is to whoever comes with it
        proof = mailed_proof(ctx.services.keys.forms, token)
        site = (options.public_url or "").rstrip("/")
        mailed = f"{site}/invitations/{token}?mailed={proof}"
        text = INVITED.format(organization=inviting["name"], role=body.role, url=mailed)
        subject = f"Invitation to {inviting['name']}"
        await send_mail(ctx, email, subject, text, secret=True)
    return InvitationCreateOutput(invitation=row, url=f"{ctx.base_url}/invitations/{token}")


async def require_few(ctx: Context, email: str) -> None:
    """Raise RateLimited where another mail would be one too many: for who gets it, or of who sends
    them. One at a time counts and adds.
    """
    await ctx.execute(sql.lock_count)
    sent = await ctx.one("organization", sql.recent, email=email)
    if sent["to_one"] >= MOST_TO_ONE or sent["in_all"] >= MOST_A_DAY:
        raise RateLimited(
            f"an organization mails {MOST_A_DAY} invitations in 24 hours, and {MOST_TO_ONE} to one "
            "address; try again tomorrow",
            headers={"Retry-After": str(24 * 3600)},
        )


@operation("organizations.invitations.list", scope="organizations:read", effect=Effect.READ)
async def list_invitations(ctx: Context, body: InvitationsListInput) -> InvitationsListOutput:
    """List the organization's invitations."""
    rows = await ctx.rows(Invitation, sql.invitations, limit=body.limit, offset=body.offset)
    total = await ctx.one("organization", sql.count_invitations)
    return InvitationsListOutput(
        invitations=rows,
        count=len(rows),
        total=total["total"],
        limit=body.limit,
        offset=body.offset,
    )


@operation(
    "organizations.invitations.revoke", scope="organizations:write", effect=Effect.COMPUTE,
    human_only=True,
)  # fmt: skip
async def revoke_invitation(ctx: Context, body: InvitationRevokeInput) -> InvitationRevokeOutput:
    """Withdraw an invitation that was not accepted yet; again is no error."""
    require_may_give(ctx, "viewer")
    row = await ctx.one("invitation", sql.revoke_invitation, id=body.invitation_id)
    ctx.produced("invitation", row["id"])
    return InvitationRevokeOutput(ok=True, id=row["id"])


@operation(
    "organizations.invitations.accept",
    scope="organizations:write",
    effect=Effect.COMPUTE,
    needs_organization=False,
    human_only=True,
)
async def accept_invitation(ctx: Context, body: InvitationAcceptInput) -> InvitationAcceptOutput:
    """Join the organization of an invitation.

    Where the platform sends mail, only who has confirmed their address joins (403).
    """
    user = ctx.principal.user_id
    if user is None:
        raise Forbidden("an organization is joined by a human user")
    if ctx.principal.organization_id is not None:
        raise Conflict("you are in an organization already; leave it before you join another")
    found = await ctx.row(None, sql.find, digest=digest(body.token))
    if found is None:
        raise NotFound.of("invitation")
    asks = ctx.services.options.mails_links
    if asks and not (await ctx.one("user", sql.confirmed, user=user))["is_it"]:
        raise Forbidden("confirm your e-mail address first: your account page sends you a mail")
    await ctx.bind(found["organization_id"])
    if found["state"] != "pending":  # also where who invited may not invite any more
        raise Gone("the invitation was used, withdrawn or has expired")
    row = await ctx.row(None, sql.use_invitation, id=found["id"], user=user)
    if row is None:
        raise Gone("the invitation was used, withdrawn or has expired")
    if await ctx.row(None, sql.join_organization, user=user, role=row["role"]) is None:
        raise Conflict("you are in an organization already; leave it before you join another")
    ctx.produced("invitation", found["id"])
    return InvitationAcceptOutput(organization_id=found["organization_id"], role=row["role"])


async def invitation_of(pipeline: Pipeline, token: str) -> Invited | None:
    """The invitation that a token opens, for the page it is accepted on."""

    async def look(ctx: Context) -> Invited | None:
        row = await ctx.row(None, sql.find, digest=digest(token))
        return Invited(**row) if row else None

    return await pipeline.look("invitations.find", ANONYMOUS, look)

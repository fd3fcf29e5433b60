"""API keys of an organization: minted once, stored as a hash, revoked at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from db.queries import queries
from ops_gateway.domains import departures
from ops_gateway.kernel import access
from ops_gateway.kernel.authenticate import RESOURCES, mint_key
from ops_gateway.kernel.context import CREDITS_LIMIT, Context, Principal
from ops_gateway.kernel.errors import Forbidden, Invalid, Unauthenticated
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

ACTIONS = ("read", "write", "process", "destroy")
DEFAULT_PERMISSIONS = ["*:read"]
MOST_PERMISSIONS = 100
LONGEST_DAYS = 36_500
HIGHEST_RATE = 1_000_000  # calls a minute

_PERMISSION = re.compile(r"\*|(\*|[a-z_]+):(\*|[a-z]+)")


class ApiKeyCreateInput(Input):
    """Input of api_keys.create."""

    name: str = Field(min_length=1, max_length=200)
    permissions: list[str] = Field(default_factory=list)
    rate_limit: int | None = Field(None, gt=0)
    expires_in_days: int | None = Field(None, gt=0)
    spend_cap_credits: int | None = Field(None, ge=0)
    mcp_spend: bool = Field(
        default=False,
        description="agents with this key spend by MCP without a confirmation",
    )


class ApiKeyCreateOutput(Output):
    """A new key; `key` is shown this once."""

    id: str
    key: str | None = None
    prefix: str
    name: str
    permissions: list[str]
    rate_limit: int | None = None
    spend_cap_credits: int | None = None
    expires_at: datetime | None = None
    mcp_spend: bool = False
    created_at: datetime


class ApiKey(Output):
    """A key without its secret.

    What counts to its spend cap is what is charged (`spent_credits`) and what is reserved for work
    that has not ended (`held_credits`); all four are null for a key without a cap.
    """

    id: str
    name: str
    prefix: str
    permissions: list[str]
    rate_limit: int | None
    spend_cap_credits: int | None
    spent_credits: int | None
    held_credits: int | None
    remaining_credits: int | None
    created_by: str | None
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    mcp_spend: bool = False
    created_at: datetime


class ApiKeyListInput(Input):
    """Input of api_keys.list."""


class ApiKeyListOutput(Output):
    """Output of api_keys.list, newest first; revoked and expired keys stay listed."""

    api_keys: list[ApiKey]
    count: int


class ApiKeyRevokeInput(Input):
    """Input of api_keys.revoke."""

    key_id: str
    keep_set_up: bool = Field(
        default=False,
        description="webhooks and share links that it made go on: for a key that is replaced, and "
        "not for one that somebody else knows",
    )


class ApiKeyRevokeOutput(Output):
    """Output of api_keys.revoke."""

    ok: bool = True
    id: str


# ---------------------------------------------------------------- rules


def check_permissions(permissions: Sequence[str]) -> list[str]:
    """The permissions without repeats, `*:read` where there are none; raises Invalid."""
    if len(permissions) > MOST_PERMISSIONS:
        raise Invalid.at("permissions", f"at most {MOST_PERMISSIONS} permissions", "too_long")
    for place, permission in enumerate(permissions):
        if (problem := permission_problem(permission)) is not None:
            raise Invalid.at(["permissions", place], problem)
    return list(dict.fromkeys(permissions)) or DEFAULT_PERMISSIONS


def permission_problem(permission: str) -> str | None:
    """What is wrong with `*` or `resource:action`; None where nothing is."""
    if len(permission) > 100 or not (match := _PERMISSION.fullmatch(permission)):
        return "must be `*` or `resource:action`, each part a name or `*`"
    resource, action = match.groups()
    if resource == action == "*":
        return "must be `*`, which says the same"
    if resource not in (None, "*", "admin", *RESOURCES):
        return f"'{resource}' is no resource; there are {', '.join(sorted(RESOURCES))}"
    if action not in (None, "*", *ACTIONS):
        return f"'{action}' is no action; there are {', '.join(ACTIONS)}"
    return None


def covers(principal: Principal, permission: str) -> bool:
    """Whether everything `permission` allows is allowed to `principal`.

    `*` and `*:action` never reach the platform's own `admin` scopes, so nothing covers those but a
    grant that names them.
    """
    resource, _, action = permission.partition(":")
    if resource == "admin":
        # not Principal.allows: there a service's `*` is enough, here the grant must be written out
        return permission in principal.scopes or "admin:*" in principal.scopes
    resources = RESOURCES if resource == "*" else (resource,)
    actions = ACTIONS if action in ("*", "") else (action,)
    return all(principal.allows(f"{r}:{a}") for r in resources for a in actions)


async def spends_unasked(pipeline: Pipeline, principal: Principal) -> bool:
    """Whether the caller is a key that was made to spend by MCP without a confirmation."""
    if principal.kind != "api_key":
        return False

    async def look(ctx: Context) -> bool:
        row = await ctx.row(None, sql.mcp_spend, id=principal.id)
        return row is not None and row["mcp_spend"]

    return await pipeline.look("api_keys.mcp_spend", principal, look)


# ---------------------------------------------------------------- operations


@operation("api_keys.create", scope="api_keys:write", effect=Effect.SHARE, secret=True)
async def create_key(ctx: Context, body: ApiKeyCreateInput) -> ApiKeyCreateOutput:
    """Mint an organization API key (the secret is returned once).

    A key can do no more than who makes it; without permissions it reads. It can spend no more
    credits than `spend_cap_credits`, reserved and charged together, over its whole life. What a
    key mints has no higher rate, no later end and no higher cap than itself, counts to its cap,
    and is revoked with it.
    """
    permissions = check_permissions(body.permissions)
    for name, highest in (
        ("expires_in_days", LONGEST_DAYS),
        ("rate_limit", HIGHEST_RATE),
        ("spend_cap_credits", CREDITS_LIMIT),
    ):
        if (getattr(body, name) or 0) > highest:
            raise Invalid.at(name, f"at most {highest}", "less_than_equal")
    for permission in permissions:
        if not covers(ctx.principal, permission):
            raise Forbidden(f"a key may not exceed its maker's scopes: you lack '{permission}'")
    mother = await minting_key(ctx, body)
    minted = mint_key()
    key_id = new_id("key")
    cap = mother.get("spend_cap") if body.spend_cap_credits is None else body.spend_cap_credits
    row = await ctx.row(
        None,
        sql.insert_key,
        id=key_id,
        lookup=minted.lookup,
        digest=minted.digest,
        name=body.name,
        permissions=permissions,
        rate_limit=body.rate_limit or mother.get("rate_limit"),
        days=body.expires_in_days,
        ends=mother.get("expires_at"),
        spend_cap=cap,
        budgets=[*mother.get("budgets", ()), *([] if cap is None else [key_id])],
        minted_by=mother.get("id"),
        mcp_spend=body.mcp_spend,
        user=access.human(ctx),
    )
    assert row is not None
    ctx.produced("api_key", row["id"])
    return ApiKeyCreateOutput.model_validate({**row, "key": minted.token})


async def minting_key(ctx: Context, body: ApiKeyCreateInput) -> Mapping[str, Any]:
    """The row of the key that calls, which stays as it is until the new one is there; else empty.

    Raises Forbidden where `body` asks for more than that key has.
    """
    if ctx.principal.kind != "api_key":
        return {}
    row = await ctx.row(None, sql.minting_key, id=ctx.principal.id, days=body.expires_in_days)
    if row is None:
        raise Unauthenticated("the API key was revoked")  # since this call began
    if row["expires_at"] is not None and row["outlived"]:
        raise Forbidden("a key may not outlive the key that makes it")
    for name, own in (("rate_limit", row["rate_limit"]), ("spend_cap_credits", row["spend_cap"])):
        if own is not None and (getattr(body, name) or 0) > own:
            raise Forbidden(f"a key may not exceed its maker's {name}: yours is {own}")
    if body.mcp_spend and not row["mcp_spend"]:
        raise Forbidden("a key that must confirm what it spends makes none that need not")
    return row


@operation("api_keys.list", scope="api_keys:read", effect=Effect.READ)
async def list_keys(ctx: Context, body: ApiKeyListInput) -> ApiKeyListOutput:
    """List an organization's API keys (metadata only, never the secret)."""
    keys = await ctx.rows(ApiKey, sql.list_keys)
    return ApiKeyListOutput(api_keys=keys, count=len(keys))


@operation("api_keys.revoke", scope="api_keys:write", effect=Effect.DESTRUCTIVE)
async def revoke_key(ctx: Context, body: ApiKeyRevokeInput) -> ApiKeyRevokeOutput:
    """Revoke an API key, and all that it minted; the next call with any of them is refused.

    The webhooks and share links that they made end too, and the owners are told.
    """
    row = await ctx.one("api key", sql.revoke_key, id=body.key_id)
    # a statement of its own: what the key minted just before it was revoked is seen by now
    minted = await ctx.rows(None, sql.revoke_minted, id=body.key_id)
    keys = [ended["id"] for ended in (row, *minted)]
    for key_id in keys:
        ctx.produced("api_key", key_id)
    if body.keep_set_up:
        await departures.keep_of_keys(ctx, keys)
    else:
        await departures.withdraw_of_keys(ctx, keys, row["name"])
    return ApiKeyRevokeOutput(id=row["id"])

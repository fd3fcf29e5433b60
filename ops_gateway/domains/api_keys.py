"""API keys of an organization: minted once, stored as a hash, revoked at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from db.queries import queries
from ops_gateway.kernel import access
from ops_gateway.kernel.authenticate import RESOURCES, mint_key
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import Forbidden, Invalid
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation

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


class ApiKeyCreateOutput(Output):
    """A new key; `key` is shown this once."""

    id: str
    key: str | None = None
    prefix: str
    name: str
    permissions: list[str]
    rate_limit: int | None = None
    expires_at: datetime | None = None
    created_at: datetime


class ApiKey(Output):
    """A key without its secret."""

    id: str
    name: str
    prefix: str
    permissions: list[str]
    rate_limit: int | None
    created_by: str | None
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
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


# ---------------------------------------------------------------- operations


@operation("api_keys.create", scope="api_keys:write", effect=Effect.SHARE, secret=True)
async def create_key(ctx: Context, body: ApiKeyCreateInput) -> ApiKeyCreateOutput:
    """Mint an organization API key (the secret is returned once).

    A key can do no more than who makes it; without permissions it reads.
    """
    permissions = check_permissions(body.permissions)
    if body.expires_in_days is not None and body.expires_in_days > LONGEST_DAYS:
        raise Invalid.at("expires_in_days", f"at most {LONGEST_DAYS}", "less_than_equal")
    if body.rate_limit is not None and body.rate_limit > HIGHEST_RATE:
        raise Invalid.at("rate_limit", f"at most {HIGHEST_RATE}", "less_than_equal")
    for permission in permissions:
        if not covers(ctx.principal, permission):
            raise Forbidden(f"a key may not exceed its maker's scopes: you lack '{permission}'")
    minted = mint_key()
    row = await ctx.row(
        None,
        sql.insert_key,
        id=new_id("key"),
        lookup=minted.lookup,
        digest=minted.digest,
        name=body.name,
        permissions=permissions,
        rate_limit=body.rate_limit,
        days=body.expires_in_days,
        user=access.human(ctx),
    )
    assert row is not None
    ctx.produced("api_key", row["id"])
    return ApiKeyCreateOutput.model_validate({**row, "key": minted.token})


@operation("api_keys.list", scope="api_keys:read", effect=Effect.READ)
async def list_keys(ctx: Context, body: ApiKeyListInput) -> ApiKeyListOutput:
    """List an organization's API keys (metadata only, never the secret)."""
    keys = await ctx.rows(ApiKey, sql.list_keys)
    return ApiKeyListOutput(api_keys=keys, count=len(keys))


@operation("api_keys.revoke", scope="api_keys:write", effect=Effect.DESTRUCTIVE)
async def revoke_key(ctx: Context, body: ApiKeyRevokeInput) -> ApiKeyRevokeOutput:
    """Revoke an API key; the next call with it is refused."""
    row = await ctx.one("api key", sql.revoke_key, id=body.key_id)
    ctx.produced("api_key", row["id"])
    return ApiKeyRevokeOutput(id=row["id"])

"""The secret that an organization's webhooks are signed with: made at first use, shown once."""

from __future__ import annotations

import base64
import secrets

from db.queries import queries
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import Conflict, NotFound
from ops_gateway.kernel.pipeline import Pipeline

sql = queries(__file__)

ROTATION_HOURS = 24
"""For so long messages carry a signature by the secret before, too."""


def new_secret() -> str:
    """`whsec_` and 32 random bytes, as Standard Webhooks writes one."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _sealed(ctx: Context) -> bytes:
    return ctx.services.keys.seal(new_secret().encode())


async def current(pipeline: Pipeline, organization_id: str) -> list[str]:
    """The secrets to sign with now, newest first; made where there was none."""
    principal = _platform(organization_id)

    async def find(ctx: Context) -> list[str]:
        row = await ctx.row(None, sql.secrets)
        found = [row[name] for name in ("secret", "previous") if row[name]] if row else []
        return [ctx.services.keys.unseal(bytes(token)).decode() for token in found]

    async def make(ctx: Context) -> None:
        await ctx.execute(sql.make, secret=_sealed(ctx))

    if not (known := await pipeline.look("signing_secrets.find", principal, find)):
        await pipeline.act("signing_secrets.make", principal, make)
        known = await pipeline.look("signing_secrets.find", principal, find)
    return known


async def show(pipeline: Pipeline, organization_id: str, *, rotate: bool = False) -> str:
    """The secret, once; with `rotate` a new one, beside which the old one signs for a day.

    Raises: NotFound: no such organization. Conflict: it was shown before.
    """

    async def work(ctx: Context) -> str:
        if await ctx.row(None, sql.organization) is None:
            raise NotFound.of("organization")
        await ctx.execute(sql.make, secret=_sealed(ctx))
        row = await ctx.one("secret", sql.find_for_update)
        ctx.produced("organization", organization_id)
        if rotate:
            token = _sealed(ctx)
            await ctx.execute(sql.rotate, secret=token, hours=ROTATION_HOURS)
        elif row["shown_at"] is not None:
            raise Conflict(
                f"the secret was shown on {row['shown_at']:%Y-%m-%d}; rotate it for a new one"
            )
        else:
            token = bytes(row["secret"])
            await ctx.execute(sql.mark_shown)
        return ctx.services.keys.unseal(token).decode()

    return await pipeline.act("signing_secrets.show", _platform(organization_id), work)


def _platform(organization_id: str) -> Principal:
    return Principal(kind="service", id="webhooks", organization_id=organization_id, projects=None)

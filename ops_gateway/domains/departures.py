"""What a person leaves behind who loses rights in an organization or a project, and a key that is
revoked: withdrawn at once.

Invitations, subscriptions and share links are worth what their maker may do. Who may do less takes
along what goes beyond it, so that nothing that only they know leads back in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db.queries import queries
from ops_gateway.domains.notifications import notify
from ops_gateway.domains.share import link_event
from ops_gateway.kernel.context import Context

sql = queries(__file__)
Rows = Sequence[dict[str, Any]]

SHOWN = 10


async def name_of(ctx: Context, user_id: str) -> str:
    """What a member is called; to be asked for while they are one."""
    row = await ctx.row(None, sql.person, user=user_id)
    return row["name"] if row is not None else user_id


async def withdraw(ctx: Context, user_id: str, name: str) -> None:
    """End what a person may not have any more, in the transaction that takes their rights.

    The organization's owners are told what ended, and how many API keys the person has made: keys
    are the organization's and stay.
    """
    invitations = await ctx.rows(None, sql.end_invitations, user=user_id)
    for row in invitations:
        ctx.produced("invitation", row["id"])
    told = await _ended(
        ctx,
        await ctx.rows(None, sql.disable_subscriptions, user=user_id),
        await ctx.rows(None, sql.revoke_links, user=user_id),
    )
    if not (invitations or told):
        return
    keys = (await ctx.one("organization", sql.count_keys, user=user_id))["total"]
    if invitations:
        told.append(f"{len(invitations)} invitations were withdrawn.")
    if keys:
        told.append(f"{keys} API keys that they made stay; revoke those that they know.")
    await _tell_owners(ctx, f"{name[:200]} has fewer rights now", told)


async def withdraw_of_keys(ctx: Context, keys: Sequence[str], name: str) -> None:
    """End what revoked keys have set up, in the transaction that revokes them: who had one knows
    the receivers and passwords. The organization's owners are told what ended.

    Args:
        name: of the key that was revoked; the others were minted by it.
    """
    told = await _ended(
        ctx,
        await ctx.rows(None, sql.disable_subscriptions_of_keys, keys=list(keys)),
        await ctx.rows(None, sql.revoke_links_of_keys, keys=list(keys)),
    )
    if told:
        await _tell_owners(ctx, f"What the API key '{name[:150]}' set up has ended", told)


async def keep_of_keys(ctx: Context, keys: Sequence[str]) -> None:
    """Let what keys have set up go on without them."""
    await ctx.execute(sql.keep_subscriptions, keys=list(keys))
    await ctx.execute(sql.keep_links, keys=list(keys))
    await ctx.execute(sql.keep_callbacks, keys=list(keys))


async def _ended(ctx: Context, subscriptions: Rows, links: Rows) -> list[str]:
    """Record what ended; what is to be said of it."""
    told: list[str] = []
    if subscriptions:
        await ctx.execute(sql.give_up, ids=[row["id"] for row in subscriptions])
    for row in subscriptions:
        ctx.produced("event_subscription", row["id"])
    for row in links:
        ctx.produced("share_link", row["id"])
        ctx.emit(link_event("share.revoked", row))
    if subscriptions:
        where = ", ".join(row["endpoint_url"][:100] for row in subscriptions[:SHOWN])
        told.append(
            f"{len(subscriptions)} webhooks were disabled ({where}); who enables one again makes "
            "it their own."
        )
    if links:
        of = ", ".join(row["target_id"] for row in links[:SHOWN])
        told.append(f"{len(links)} share links were revoked (of {of}); make new ones where needed.")
    return told


async def _tell_owners(ctx: Context, title: str, told: Sequence[str]) -> None:
    await notify(
        ctx,
        title=title,
        body=" ".join(told),
        type="organization.rights_withdrawn",
        entity_type="organization",
        entity_id=ctx.organization_id,
        users=[row["user_id"] for row in await ctx.rows(None, sql.owners)],
    )

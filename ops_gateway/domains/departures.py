"""What a person leaves behind who loses rights in an organization or a project: withdrawn at once.

Invitations, subscriptions and share links are worth what their maker may do. Who may do less takes
along what goes beyond it, so that nothing that only they know leads back in.
"""

from __future__ import annotations

from db.queries import queries
from ops_gateway.domains.notifications import notify
from ops_gateway.domains.share import link_event
from ops_gateway.kernel.context import Context

sql = queries(__file__)

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
    subscriptions = await ctx.rows(None, sql.disable_subscriptions, user=user_id)
    if subscriptions:
        await ctx.execute(sql.give_up, ids=[row["id"] for row in subscriptions])
    links = await ctx.rows(None, sql.revoke_links, user=user_id)
    for kind, rows in (("invitation", invitations), ("event_subscription", subscriptions)):
        for row in rows:
            ctx.produced(kind, row["id"])
    for row in links:
        ctx.produced("share_link", row["id"])
        ctx.emit(link_event("share.revoked", row))
    if not (invitations or subscriptions or links):
        return
    keys = (await ctx.one("organization", sql.count_keys, user=user_id))["total"]
    told: list[str] = []
    if subscriptions:
        where = ", ".join(row["endpoint_url"][:100] for row in subscriptions[:SHOWN])
        told.append(
            f"{len(subscriptions)} webhooks were disabled ({where}); who enables one again makes "
            "it their own."
        )
    if links:
        of = ", ".join(row["target_id"] for row in links[:SHOWN])
        told.append(f"{len(links)} share links were revoked (of {of}); make new ones where needed.")
    if invitations:
        told.append(f"{len(invitations)} invitations were withdrawn.")
    if keys:
        told.append(f"{keys} API keys that they made stay; revoke those that they know.")
    await notify(
        ctx,
        title=f"{name[:200]} has fewer rights now",
        body=" ".join(told),
        type="organization.rights_withdrawn",
        entity_type="organization",
        entity_id=ctx.organization_id,
        users=[row["user_id"] for row in await ctx.rows(None, sql.owners)],
    )

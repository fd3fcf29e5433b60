"""What the people who look after an organization's money are told in the application."""

from __future__ import annotations

from db.queries import queries
from ops_gateway.domains.notifications import notify
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.events import Happened, on

sql = queries(__file__)


async def tell_payers(
    ctx: Context,
    title: str,
    body: str,
    *,
    type: str,
    entity: tuple[str, str],
    dedupe_key: str | None = None,
) -> None:
    """Tell the owners, admins and billing people, in the caller's transaction."""
    payers = [row["user_id"] for row in await ctx.rows(None, sql.payers)]
    await notify(
        ctx,
        title=title,
        body=body,
        type=type,
        entity_type=entity[0],
        entity_id=entity[1],
        users=payers,
        dedupe_key=dedupe_key,
    )


@on("credits.low")
async def tell_of_low_credits(ctx: Context, event: Happened) -> None:
    """Each fall below the mark is told once."""
    available, threshold = event.data["available"], event.data["threshold"]
    await tell_payers(
        ctx,
        f"{available} credits are left",
        f"Fewer than {threshold} credits are available. Top up, or have it done automatically.",
        type="credits.low",
        entity=("organization", event.organization_id),
        dedupe_key=event.id,
    )

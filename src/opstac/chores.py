"""Periodic duties that one worker at a time sees to; each is safe to repeat."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from db.pool import Pool
from db.queries import queries
from ops_gateway.catalogue import items, pictures
from ops_gateway.domains import analytics_run, event_subscriptions, items_expiry, jobs, uploads
from ops_gateway.kernel.chain import export_heads
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.event_message import DEAD_FOR_HOURS, MOST_DEAD
from ops_gateway.kernel.removal import sweep_objects
from ops_gateway.kernel.rounds import each_due
from ops_gateway.worker.reaper import Chore
from opstac import removing
from stac_api.writes import keep_slots

if TYPE_CHECKING:
    from opstac.compose import Platform

sql = queries(__file__)

PART_SECONDS = 24 * 3600
REBUILT_AT_ONCE = 200
PICTURES_AT_ONCE = 50


async def rebuild_batch(ctx: Context) -> None:
    """Some of an organization's documents, in one transaction."""
    await items.rebuild_documents(ctx, REBUILT_AT_ONCE)


async def rebuild_documents(platform: Platform, system: Pool) -> None:
    """Write a batch of every organization's documents anew that an earlier version wrote."""

    async def rebuild(row: dict[str, Any]) -> None:
        owner = Principal(kind="service", id="documents", organization_id=row["organization_id"])
        await platform.pipeline.act("items.rebuild", owner, rebuild_batch)

    await each_due(system, sql.earlier_documents, rebuild, "documents wait to be written anew")


async def draw_pictures(platform: Platform, system: Pool, *, limit: int = PICTURES_AT_ONCE) -> int:
    """Draw the pictures that are asked for, oldest first; how many items were seen to."""

    async def draw(row: dict[str, Any]) -> bool:
        return await pictures.refresh(platform.pipeline, row["organization_id"], row["item_id"])

    return len(await each_due(system, sql.due_pictures, draw, "a picture waits", limit=limit))


async def disable_hopeless(platform: Platform, system: Pool) -> None:
    """Disable the subscriptions that a dispatcher noted as hopeless, and died."""
    given = {"dead": MOST_DEAD, "hours": DEAD_FOR_HOURS}

    async def disable(row: dict[str, Any]) -> None:
        await event_subscriptions.disable(platform.pipeline, row["organization_id"], row["id"])

    failed = "a subscription is not disabled"
    await each_due(system, sql.hopeless_subscriptions, disable, failed, **given)


def all_of(platform: Platform, system: Pool) -> list[Chore]:
    """The chores of a platform.

    Args:
        system: a pool of role opstac_system, which sees every tenant.
    """

    async def statement(query: str) -> None:
        async with system.connection() as connection:
            await connection.execute(query.encode())

    async def sweep_messages() -> None:
        await statement(sql.sweep_notifications)
        await statement(sql.sweep_mails)
        await statement(sql.sweep_alerts)

    async def objects() -> None:
        await sweep_objects(system, platform.services.objects)
        platform.services.objects.parts.remove_older(PART_SECONDS)

    async def sweep_renders() -> None:
        await analytics_run.sweep(platform.services.objects)

    async def expire_uploads() -> None:
        await statement(sql.reopen_uploads)
        await uploads.expire(platform.pipeline, system)

    async def expire_jobs() -> None:
        await jobs.expire(platform.pipeline, system)

    async def expire_items() -> None:
        await items_expiry.expire_overdue(platform.pipeline)

    async def heads() -> None:
        await export_heads(system, platform.services.objects, platform.keys.chain)

    async def slots() -> None:
        async with system.connection() as connection:
            await keep_slots(connection)

    return [
        Chore("expire uploads", 60, expire_uploads),
        Chore(
            "dispatch waiting jobs", 10, partial(jobs.dispatch_waiting, platform.pipeline, system)
        ),
        Chore("expire jobs", 60, expire_jobs),
        Chore("expire items", 3600, expire_items),
        Chore("draw pictures", 20, partial(draw_pictures, platform, system)),
        Chore("rebuild documents", 10, partial(rebuild_documents, platform, system)),
        Chore("forget idempotency keys", 3600, partial(statement, sql.forget_keys)),
        Chore("forget sign-ins", 3600, partial(statement, sql.forget_sign_ins)),
        Chore("keep partitions", 6 * 3600, partial(statement, sql.keep_partitions)),
        Chore("sweep outputs", 3600, partial(statement, sql.sweep_outputs)),
        Chore("sweep logs of saved searches", 60, partial(statement, sql.sweep_logs)),
        Chore("sweep notifications and mails", 3600, sweep_messages),
        Chore("sweep renders", 600, sweep_renders),
        Chore("remove items", 5, partial(removing.sweep, platform.pipeline, system)),
        Chore("disable subscriptions", 300, partial(disable_hopeless, platform, system)),
        Chore("sweep objects", 300, objects),
        Chore("keep free slots", 30, slots),
        Chore("sign chain heads", 3600, heads),
    ]

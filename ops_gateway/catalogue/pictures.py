"""The pictures that stand for an item: its thumbnail and overview, drawn as its tiles are.

Rows of `item_picture` ask for them. They are drawn right after the transaction that brought the
raster, and by a chore where that was not done; a raster that cannot be drawn is not tried again
until it or its profile changes.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

import orjson

from db.queries import queries
from ops_gateway.catalogue import files, items
from ops_gateway.catalogue.drafts import AssetDraft
from ops_gateway.kernel import access, assets
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import Forbidden, NotFound, OpError
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.removal import remove_objects
from ops_gateway.kernel.services import Services
from tiler import render
from tiler.errors import TileError

sql = queries(__file__)
logger = logging.getLogger(__name__)

SIDES = {"thumbnail": 512, "overview": 1024}
"""Asset key and role → longest side in pixels."""

TITLES = {"thumbnail": "Thumbnail", "overview": "Overview"}
MEDIA_TYPE = "image/jpeg"

_NONE = ("epsg", "width", "height", "transform", "dtype", "nodata", "band_count", "datetime")


def soon(ctx: Context, item_id: str) -> None:
    """Draw an item's pictures once this transaction is committed, before the caller is answered."""
    pipeline, organization_id = ctx.pipeline, ctx.organization_id

    async def effect() -> None:
        await refresh(pipeline, organization_id, item_id)

    ctx.after_commit.append(effect)


async def outdated(ctx: Context, item_id: str) -> None:
    """Ask for an item's pictures anew: what they show is drawn otherwise now."""
    await ctx.execute(sql.outdated, item=item_id)


async def assets_drawn(ctx: Context, item_id: str) -> frozenset[str]:
    """Ids of the assets of an item that are pictures of ours."""
    row = await ctx.row(None, sql.picture, item=item_id)
    return frozenset(row["asset_ids"] if row else ())


async def forget(ctx: Context, item_id: str) -> None:
    """No pictures are asked for any more; those that are there are assets like others."""
    await ctx.execute(sql.forget, item=item_id)


async def refresh(pipeline: Pipeline, organization_id: str, item_id: str) -> bool:
    """Draw an item's pictures and make them assets of it; whether it has them now.

    Safe to repeat, and to stop anywhere. Never raises for what cannot be drawn: that is logged, and
    the item is as good without.
    """
    principal = Principal(kind="service", id="pictures", organization_id=organization_id,
                          projects=None, project_role="owner")  # fmt: skip

    services = pipeline.services

    async def look(ctx: Context) -> tuple[dict[str, Any] | None, str]:
        return await _default_picture(ctx, item_id)

    async def gone(ctx: Context) -> None:
        await forget(ctx, item_id)

    try:
        row, signature = await pipeline.look("items.picture", principal, look)
    except NotFound:
        await pipeline.act("items.picture", principal, gone)
        return False
    made = {} if row is None else await _draw(services, row, item_id)
    if made is None:
        return False  # another round does it
    drafts = {key: _draft(organization_id, item_id, key, content) for key, content in made.items()}
    for key, draft in drafts.items():
        assert draft.object_path is not None
        await services.objects.put(draft.object_path, made[key])

    async def keep(ctx: Context) -> bool:
        return await _keep(ctx, item_id, signature, drafts)

    try:
        return await pipeline.act("items.picture", principal, keep)
    except NotFound:  # deleted meanwhile
        for draft in drafts.values():
            assert draft.object_path is not None
            await services.objects.delete(draft.object_path)
        return False


async def _draw(
    services: Services, row: Mapping[str, Any], item_id: str
) -> dict[str, bytes] | None:
    """The pictures by key; none of them where they cannot be drawn, None where not just now."""
    try:
        source = await assets.opened(row, None, services.objects, None)
        return {
            key: await services.compute(render.thumbnail, source, side, side)
            for key, side in SIDES.items()
        }
    except (OpError, TileError) as error:
        if error.status == 503:
            return None
        logger.warning("no picture of an item", extra={"item": item_id, "why": str(error)})
    except MemoryError:
        return None
    except Exception:
        logger.exception("no picture of an item", extra={"item": item_id})
    return {}


async def _default_picture(ctx: Context, item_id: str) -> tuple[dict[str, Any] | None, str]:
    """The row of what an item's tiles are drawn from by default, None without a raster; and the
    signature of it as the database knows it.
    """
    try:
        row = await assets.resolve(await ctx.connection(), item_id, None)
        assets.require_visible(row, ctx.principal)
        source = assets.source_of(row, None, ctx.services.objects)
    except (assets.NothingToDraw, Forbidden):
        return None, "nothing to draw"
    told = orjson.dumps([source.version, source.asset_key, source.profile, source.band_names])
    return row, hashlib.sha256(told).hexdigest()


async def _keep(
    ctx: Context, item_id: str, signature: str, drafts: Mapping[str, AssetDraft]
) -> bool:
    """Exchange an item's pictures for those drawn; whether it has any."""
    item = await ctx.one("item", access.sql.item_for_update, id=item_id)
    _, now = await _default_picture(ctx, item_id)
    if now != signature:  # it is drawn otherwise by now, and asked for again
        await remove_objects(ctx, [str(draft.object_path) for draft in drafts.values()])
        return False
    known = await ctx.row(None, sql.picture, item=item_id)
    before = list(known["asset_ids"]) if known else []
    stored = await items.assets_of(ctx, item_id)
    taken = {asset["key"] for asset in stored if asset["id"] not in before}
    wanted = [draft for key, draft in drafts.items() if key not in taken]
    same = {asset["object_path"]: asset["id"] for asset in stored if asset["id"] in before}
    new = [draft for draft in wanted if draft.object_path not in same]
    kept = [same[draft.object_path] for draft in wanted if draft.object_path in same]
    old = [asset_id for asset_id in before if asset_id not in kept]
    await files.let_go(ctx, old, item["project_id"])
    size = sum(len_of(draft) for draft in new)
    if size and not await ctx.execute(sql.use_storage, bytes=size):
        logger.warning("no room for the pictures of an item", extra={"item": item_id})
        await remove_objects(ctx, [str(draft.object_path) for draft in new])
        new = []
    made = await items.insert_assets(ctx, [draft.row(item_id) for draft in new])
    ids = kept + [row["id"] for row in made]
    await ctx.execute(sql.drawn, item=item_id, signature=signature, ids=ids)
    if set(ids) != set(before):
        await items.store_document(ctx, item)
    ctx.produced("item", item_id)
    return bool(ids)


def len_of(draft: AssetDraft) -> int:
    """Bytes of a draft's object."""
    return (draft.columns or {})["size_bytes"]


def _draft(organization_id: str, item_id: str, key: str, content: bytes) -> AssetDraft:
    """A picture as an asset; its path follows from its bytes, so that a repeat stores it again."""
    checksum = hashlib.sha256(content).hexdigest()
    path = f"{organization_id}/{item_id}/{key}-{checksum[:32]}.jpg"
    columns = {
        "key": key,
        "object_path": path,
        "title": TITLES[key],
        "file_name": f"{key}.jpg",
        "media_type": MEDIA_TYPE,
        "roles": [key] if key == "thumbnail" else [key, "visual"],
        "size_bytes": len(content),
        "checksum": checksum,
        "nodata_is_nan": False,
        "band_names": [],
        "bands": [],
        "raster": {},
        "is_cog": False,
        "is_categorical": False,
        **dict.fromkeys(_NONE),
    }
    return AssetDraft(key=key, object_path=path, columns=columns)

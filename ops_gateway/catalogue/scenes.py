"""Scenes as other catalogues name them: `collection:item` → an item that the caller may read."""

from __future__ import annotations

from collections.abc import Sequence

from db.queries import queries
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Invalid, NotFound

sql = queries(__file__)

ALIASES = {"sentinel-2": "sentinel-2-l2a", "landsat": "landsat-c2-l2"}
"""Provider → the collection that its scenes are in."""


async def find_scene(ctx: Context, scene_id: str, loc: Sequence[str | int]) -> str:
    """The id of the item that `scene_id` names: an item's id, or `collection:item`.

    The collection goes by its id, its short name, its name or a provider's alias; the item by its
    id, its STAC id or the beginning of it. Own items go before public ones, and of several with
    the same STAC id the newest is meant.

    Raises: NotFound. Invalid: at `loc`, where scenes with different ids begin so.
    """
    if scene_id.startswith("it_") and ":" not in scene_id:
        return scene_id
    collection, _, scene = scene_id.partition(":")
    if not collection or not scene:
        raise NotFound.of("scene")
    wanted = {"collections": [ALIASES.get(collection, collection), collection], "scene": scene}
    found = await ctx.rows(
        None, sql.scenes, projects=access.visible_projects(ctx.principal), **wanted
    ) or await ctx.rows(None, sql.public_scenes, **wanted)
    if not found:
        raise NotFound.of("scene")
    names = list(dict.fromkeys(row["stac_id"] for row in found))
    if not found[0]["exact"] and len(names) > 1:
        shown = ", ".join(names[:5])
        raise Invalid.at(loc, f"several scenes begin so; give the whole id of one: {shown}")
    return found[0]["id"]

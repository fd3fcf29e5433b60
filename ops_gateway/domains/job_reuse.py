"""Results are kept by what they were made of: the same job again is given the earlier outputs.

The answer is new items of the job's own project, collection and name, whose assets share the
objects of the earlier ones; an object goes when the last asset that names it does, so either
outlives the other. A job is answered only from projects that its creator sees, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from db.queries import queries
from ops_gateway.catalogue.drafts import AssetDraft, ItemDraft, stated
from ops_gateway.catalogue.items import insert_item
from ops_gateway.catalogue.models import ItemResponse
from ops_gateway.domains import job_shapes, jobs, receipts, registration
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.pipeline import Pipeline
from processes import recipe as recipes

sql = queries(__file__)

Row = Mapping[str, Any]


async def answer(
    pipeline: Pipeline,
    organization_id: str,
    job_id: str,
    epoch: int,
    recipe: Mapping[str, Any],
) -> bool:
    """End the run `epoch` with the outputs of an earlier job of the same recipe; whether there was.

    Raises jobs.StaleRun where the job does not run at `epoch`.
    """
    key = recipes.key(recipe)
    if key is None:
        return False

    async def work(ctx: Context) -> bool:
        row = await ctx.row(None, jobs.sql.job_for_update, id=job_id)
        if row is None or row["status"] in job_shapes.ENDED:
            raise jobs.StaleRun(ended=True)
        if row["epoch"] != epoch:
            raise jobs.StaleRun(ended=False)
        scope = row["reuse_from"]
        if scope == []:
            return False
        name = row["input_params"].get("output_name")
        for earlier in await ctx.rows(None, sql.same_recipe, key=key, projects=scope, name=name):
            assets = await _outputs(ctx, earlier, scope)
            if assets is not None:  # nobody changed them since they were found
                await _give(ctx, row, earlier, assets, recipe, key)
                return True
        return False

    worker = jobs.platform_for(organization_id, "worker")
    name = recipe["inputs"].get("output_name")
    if not await pipeline.look("jobs.same", worker, lambda ctx: _exists(ctx, key, name)):
        return False  # the common case takes no transaction
    return await pipeline.act("jobs.reuse", worker, work)


async def _exists(ctx: Context, key: str, name: str | None) -> bool:
    return bool(await ctx.rows(None, sql.same_recipe, key=key, projects=None, name=name))


async def _outputs(
    ctx: Context, earlier: Row, projects: Sequence[str] | None
) -> list[dict[str, Any]] | None:
    """The earlier job's files, in the order they were made; None where one is not as it was."""
    made = earlier["recipe"]["outputs"]
    items = sorted({output["item_id"] for output in made})
    rows = await ctx.rows(None, sql.live_outputs, items=items, projects=projects)
    found = {(row["item_id"], row["key"]): row for row in rows}
    assets: list[dict[str, Any]] = []
    for output in made:
        asset = found.get((output["item_id"], output["asset_key"]))
        if asset is None or asset["checksum"] != output["checksum"]:
            return None
        assets.append(asset)
    return assets


async def _give(
    ctx: Context,
    row: Row,
    earlier: Row,
    assets: Sequence[Mapping[str, Any]],
    recipe: Mapping[str, Any],
    key: str,
) -> None:
    """Make the items, as they were registered and not as somebody may have changed them since."""
    items: list[ItemResponse] = []
    made: list[dict[str, Any]] = []
    sources = await registration.shown_sources(ctx, row)
    names = {output["item_id"]: output for output in earlier["recipe"]["outputs"]}
    given = [item for item in earlier["outputs"]["items"] if item["id"] in names]
    for old in given:
        own = [asset for asset in assets if asset["item_id"] == old["id"]]
        draft = _draft(row, old, earlier, recipe, sources, alone=len(given) == 1)
        item, copies = await insert_item(ctx, draft, [AssetDraft.copy_of(asset) for asset in own])
        items.append(item)
        made += [
            {
                "item_id": item.id,
                "asset_key": asset["key"],
                "file_name": asset["file_name"],
                "checksum": asset["checksum"],
            }
            for asset in own
        ]
        registration.tell_lineage(ctx, row, item, copies)
        ctx.edge(("item", item.id), "cached_from", ("item", old["id"]))
    ctx.edge(("processing_job", row["id"]), "cached_from", ("processing_job", earlier["id"]))
    receipt = receipts.made(row, 0, items=[i.id for i in items], cached_from=earlier["id"])
    await registration.complete(
        ctx,
        row,
        items,
        receipt,
        values=earlier["outputs"].get("values", {}),
        recipe={**recipe, "seed": earlier["recipe"].get("seed"), "outputs": made},
        key=key,
    )


def _draft(
    row: Row,
    old: Row,
    earlier: Row,
    recipe: Mapping[str, Any],
    sources: Mapping[str, Any],
    *,
    alone: bool,
) -> ItemDraft:
    same = (
        *("type", "geometry", "bbox", "datetime", "start_datetime", "end_datetime"),
        *("cloud_cover", "gsd", "stac_extensions"),
    )
    own = {k: v for k, v in old["properties"].items() if not k.startswith("processing:")}
    name = row["input_params"].get("output_name") or f"{row['job_type_id']} {row['id'][-6:]}"
    return ItemDraft(
        project_id=row["project_id"],
        collection_id=row["target_collection_id"],
        name=name if alone else old["name"],
        properties={**own, **registration.processing(row, recipe, sources)},
        statements={**stated(own), "opstac:cached_from": earlier["id"], **sources},
        job_id=row["id"],
        **{field: old[field] for field in same},
    )

"""Completing an upload: its files become an item, in phases, since looking into them takes long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb
from pydantic import Field

from db.paths import StorageUnavailable
from db.queries import queries
from ops_gateway.catalogue import checks, pictures
from ops_gateway.catalogue.drafts import AssetDraft, ItemDraft
from ops_gateway.catalogue.items import add_assets, insert_item
from ops_gateway.catalogue.models import AssetOutput, ItemResponse, ItemType
from ops_gateway.domains import ingest, uploads
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context, Event, Principal
from ops_gateway.kernel.errors import (
    Conflict,
    Invalid,
    NotFound,
    OpError,
    PaymentRequired,
    Unavailable,
)
from ops_gateway.kernel.operation import Effect, Input, Output, Phases, operation
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.removal import remove_objects

sql = queries(uploads.__file__)

LEASE_SECONDS = 900
CONVERSION_LEASE_SECONDS = 6 * 3600
CONVERT_REACTION = "uploads.convert"
PROVISIONAL_SECONDS = 24 * 3600  # longer than any completion takes


class UploadCompleteInput(Input):
    """Input of uploads.complete; without `files` every file of the session is taken."""

    upload_id: str
    files: list[ingest.UploadedFile] | None = Field(default=None, min_length=1, max_length=100)
    name: str | None = Field(default=None, min_length=1, max_length=500)
    description: str | None = None
    datetime: str | None = None
    start_datetime: str | None = None
    end_datetime: str | None = None
    collection_id: str | None = None
    properties: dict[str, Any] = Field(default_factory=dict)
    stac_id: str | None = Field(default=None, min_length=1, max_length=255)
    type: ItemType = ItemType.user_raster


class UploadCompleteOutput(Output):
    """What the session became."""

    upload: uploads.UploadOutput
    items: list[ItemResponse]
    assets: list[AssetOutput]


async def claim(ctx: Context, body: UploadCompleteInput) -> ingest.Plan:
    """Take the session for this call: nobody else completes, fails or feeds it meanwhile."""
    upload = await uploads.find(ctx, body.upload_id, lock=True)
    if upload["status"] == "processing" and not upload["lapsed"]:
        raise Conflict("the upload is being completed by another call")
    if upload["status"] not in (*uploads.OPEN, "processing"):
        raise Conflict(f"the upload is {upload['status']} already")
    access.require_open(await access.project(ctx, upload["project_id"], "editor"))
    if body.collection_id is not None:
        await access.target(ctx, body.collection_id, project_id=upload["project_id"])
    # what the call says of the item is checked before the files are looked into
    checks.times(body.datetime, body.start_datetime, body.end_datetime)
    checks.stac_id(body.stac_id)
    checks.measured(checks.properties(body.properties), None, None)
    files = await ctx.rows(None, sql.files, id=upload["id"])
    plan = ingest.plan(upload, files, body.files)
    await mark(ctx, plan)
    await ctx.execute(
        sql.claim,
        id=upload["id"],
        request=Jsonb(body.model_dump(mode="json")),
        lease=LEASE_SECONDS,
    )
    return plan


async def mark(ctx: Context, plan: ingest.Plan) -> None:
    """Have the objects of `plan` swept up, should they never become assets."""
    paths = [file.kept_path for file in plan.files]
    await ctx.execute(sql.mark_provisional, paths=paths, seconds=PROVISIONAL_SECONDS)


async def require_room(
    ctx: Context, upload_id: str, done: Sequence[ingest.Ingested]
) -> Sequence[ingest.Ingested]:
    """`done`, where the quota holds it; rewritten files may be larger than what was reserved.

    Raises PaymentRequired.
    """
    room = await ctx.one("upload", sql.room, id=upload_id)
    await ctx.release()
    if sum(file.info["size_bytes"] for file in done) > room["bytes"]:
        raise PaymentRequired("the organization's storage quota does not hold these files")
    return done


async def act(
    ctx: Context, body: UploadCompleteInput, plan: ingest.Plan
) -> Sequence[ingest.Ingested] | None:
    """Look into each file in a bounded child and rewrite what is not a valid COG.

    None where a file is too large to be rewritten while the caller waits.
    """
    try:
        if await ingest.takes_long(ctx, plan):
            return None
        done = await ingest.carry_out(ctx, plan)
    except StorageUnavailable:
        raise Unavailable("the object store is unavailable", 5) from None
    return await require_room(ctx, plan.upload_id, done)


async def undo(ctx: Context, body: UploadCompleteInput, plan: ingest.Plan, error: OpError) -> None:
    """An unreadable file ends the session; what can be mended (a missing file) leaves it open."""
    upload = await uploads.find(ctx, body.upload_id, lock=True)
    if upload["status"] != "processing":
        return
    if isinstance(error, Invalid):
        await uploads.end_failed(ctx, upload, error.detail[:2000], "inspect")
    else:
        await ctx.execute(sql.reopen, id=upload["id"])


@operation(
    "uploads.complete",
    scope="uploads:write",
    effect=Effect.COMPUTE,
    phases=Phases(claim, act, undo, lease_seconds=LEASE_SECONDS),
)
async def complete_upload(
    ctx: Context,
    body: UploadCompleteInput,
    plan: ingest.Plan,
    done: Sequence[ingest.Ingested] | None,
) -> UploadCompleteOutput:
    """Finalize an upload session — ingest the uploaded file(s) into items + assets."""
    upload = await uploads.find(ctx, body.upload_id, lock=True)
    if upload["status"] != "processing":
        raise Conflict(f"the upload is {upload['status']} already")
    if done is not None:
        return await finish(ctx, body, upload, done)
    await ctx.execute(sql.queue, id=upload["id"], lease=CONVERSION_LEASE_SECONDS)
    await ctx.services.defer(await ctx.connection(), CONVERT_REACTION, upload["id"])
    ctx.produced("upload", upload["id"])
    return UploadCompleteOutput(
        upload=uploads.UploadOutput.model_validate(upload), items=[], assets=[]
    )


async def finish(
    ctx: Context,
    body: UploadCompleteInput,
    upload: dict[str, Any],
    done: Sequence[ingest.Ingested],
) -> UploadCompleteOutput:
    """The session's files as an item with assets; runs in the caller's transaction."""
    await uploads.release(ctx, upload, used=sum(file.info["size_bytes"] for file in done))
    drafts = [draft(file, upload) for file in done]
    source = ("upload", upload["id"])
    if upload["target_item_id"] is not None:
        target = await access.item(ctx, upload["target_item_id"], "editor", lock=True)
        # it may have become public since the upload began
        await access.require_files_may_come(ctx, target)
        item, assets = await add_assets(ctx, upload["target_item_id"], drafts)
    else:
        item, assets = await insert_item(ctx, item_draft(body, upload, done[0]), drafts)
        ctx.edge(("item", item.id), "generated_by", source)
    for asset in assets:
        ctx.edge(("asset", asset.id), "generated_by", source)
    ctx.edge(source, "used", ("project", upload["project_id"]))
    row = await ctx.row(None, sql.complete, id=upload["id"], items=[item.id])
    pictures.soon(ctx, item.id)
    ctx.produced("upload", upload["id"])
    ctx.emit(
        Event(
            "upload.completed",
            "upload",
            upload["id"],
            {"item_ids": [item.id]},
            upload["project_id"],
        )
    )
    await remove_objects(ctx, [file.original_path for file in done])
    return UploadCompleteOutput(
        upload=uploads.UploadOutput.model_validate(row), items=[item], assets=assets
    )


async def convert_queued(pipeline: Pipeline, organization_id: str, upload_id: str) -> None:
    """The queued task behind a large upload: rewrite its files, then finish; safe to repeat.

    Raises Unavailable where another try may help; the queue tries again.
    """
    principal = Principal(
        kind="service", id="uploads", organization_id=organization_id,
        projects=None, project_role="owner",
    )  # fmt: skip

    async def look(ctx: Context) -> dict[str, Any]:
        return await uploads.find(ctx, upload_id)

    upload = await pipeline.look("uploads.convert", principal, look)
    if upload["status"] != "processing":
        return
    body = UploadCompleteInput.model_validate(upload["request"])

    async def set_out(ctx: Context) -> ingest.Plan:
        files = await ctx.rows(None, sql.files, id=upload_id)
        plan = ingest.plan(upload, files, body.files)
        await mark(ctx, plan)
        return plan

    async def carry_out(ctx: Context) -> Sequence[ingest.Ingested]:
        return await require_room(ctx, upload_id, await ingest.carry_out(ctx, plan))

    async def conclude(ctx: Context) -> None:
        locked = await uploads.find(ctx, upload_id, lock=True)
        if locked["status"] == "processing":
            await finish(ctx, body, locked, done)

    async def give_up(ctx: Context) -> None:
        locked = await uploads.find(ctx, upload_id, lock=True)
        if locked["status"] == "processing":
            await uploads.end_failed(ctx, locked, refusal[:2000], "convert")

    try:
        plan = await pipeline.act("uploads.convert", principal, set_out)
        done = await pipeline.look("uploads.convert", principal, carry_out)
        await pipeline.act("uploads.convert", principal, conclude)
    except (Invalid, Conflict, NotFound, PaymentRequired) as error:
        refusal = error.detail
        await pipeline.act("uploads.convert", principal, give_up)


def item_draft(
    body: UploadCompleteInput, upload: dict[str, Any], first: ingest.Ingested
) -> ItemDraft:
    """The item that a session becomes: where its first file lies, and what the call says of it."""
    return ItemDraft(
        project_id=upload["project_id"],
        collection_id=body.collection_id or upload["target_collection_id"],
        stac_id=body.stac_id,
        type=body.type.value,
        name=body.name or first.stem,
        description=body.description,
        geometry=first.info["footprint"],
        bbox=first.info["bbox"],
        datetime=body.datetime or (None if body.start_datetime else first.datetime),
        start_datetime=body.start_datetime,
        end_datetime=body.end_datetime,
        gsd=first.info["gsd"],
        properties=body.properties,
        upload_id=upload["id"],
    )


def draft(file: ingest.Ingested, upload: dict[str, Any]) -> AssetDraft:
    """The asset that a file becomes."""
    return AssetDraft(
        key=file.asset_key,
        object_path=file.object_path,
        info=file.info,
        title=file.title,
        file_name=file.file_name,
        is_categorical=upload["is_categorical"],
        datetime=file.datetime,
    )

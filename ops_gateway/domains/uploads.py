"""Uploads: a session reserves room, files are PUT to signed URLs, completing makes an item of them.

initiate → (signed_url → PUT)* → [progress]* → complete | fail
"""

from __future__ import annotations

import time
import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from db.pool import Pool
from db.queries import queries
from db.signing import Grant, sign
from ops_gateway.kernel import access, holders
from ops_gateway.kernel.context import Context, Event, Principal
from ops_gateway.kernel.errors import Conflict, Invalid, NotFound, PaymentRequired, TooLarge
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.removal import remove_objects
from ops_gateway.kernel.rounds import each_due

sql = queries(__file__)

URL_SECONDS = 15 * 60
SUFFIXES = (".tif", ".tiff", ".gtif", ".gtiff", ".geotiff")
MEDIA_TYPES = ("image/tiff", "image/geotiff", "image/x-geotiff", "application/octet-stream")
OPEN = ("pending", "uploading")
MAX_FILES = 100
EXPIRED = "nothing came for 24 hours"


def _transfer(value: object) -> object:
    """The documentation says signed_url where the schema says browser."""
    return "browser" if value == "signed_url" else value


class UploadInitiate(Input):
    """Input of uploads.initiate."""

    project_id: str
    transfer_method: Annotated[
        str, Field(pattern="^(browser|cli|cloud_transfer)$"), BeforeValidator(_transfer)
    ] = "browser"
    file_count: int = Field(default=1, ge=1)
    total_bytes: int = Field(default=0, ge=0)
    target_collection_id: str | None = None
    target_item_id: str | None = None
    asset_key: str | None = None
    is_categorical: bool = False


class SignedUrlInput(Input):
    """Input of uploads.signed_url."""

    upload_id: str
    file_name: str = Field(min_length=1)
    content_type: str = "application/octet-stream"


class SignedUrlOutput(Output):
    """Where to PUT one file, and what to call it in uploads.complete."""

    upload_url: str
    object_path: str


class UploadProgressInput(Input):
    """Input of uploads.progress; with only the id it changes nothing and tells the state."""

    upload_id: str
    status: str | None = None
    bytes_uploaded: int | None = None


class UploadFailInput(Input):
    """Input of uploads.fail."""

    upload_id: str
    error_message: str
    error_step: str | None = None


class UploadGetInput(Input):
    """Input of uploads.get."""

    upload_id: str


class UploadOutput(Output):
    """An upload session."""

    id: str
    project_id: str
    status: Literal["pending", "uploading", "processing", "completed", "failed", "expired"]
    transfer_method: str
    file_count: int
    total_bytes: int
    bytes_uploaded: int
    target_collection_id: str | None
    target_item_id: str | None
    asset_key: str | None
    is_categorical: bool
    error_message: str | None
    error_step: str | None
    item_ids: list[str]
    created_by: str | None
    created_at: datetime
    updated_at: datetime


class UploadGetOutput(Output):
    """Output of uploads.get."""

    upload: UploadOutput


# ---------------------------------------------------------------- plain functions


async def find(
    ctx: Context, upload_id: str, role: str = "editor", *, lock: bool = False
) -> dict[str, Any]:
    """The session, where the caller has `role` in its project."""
    row = await ctx.one("upload", sql.upload_for_update if lock else sql.upload, id=upload_id)
    ctx.require_project_role(row["project_id"], role, kind="upload")
    return row


def require_open(row: dict[str, Any]) -> None:
    """Raise Conflict where the session takes no more files."""
    if row["status"] not in OPEN:
        raise Conflict(f"the upload is {row['status']}; it takes no more changes")


def check_file_name(name: str) -> str:
    """The name as a label: one path segment without control or direction characters."""
    label = unicodedata.normalize("NFC", name)
    if len(label.encode("utf-8", "surrogatepass")) > 255:
        raise Invalid.at("file_name", "a file name has at most 255 bytes")
    if any(c in "/\\" or unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") for c in label):
        raise Invalid.at(
            "file_name", "a file name holds no '/', '\\', control or direction characters"
        )
    if not label.lower().endswith(SUFFIXES):
        raise Invalid.at(
            "file_name", f"only GeoTIFF is taken; the name must end in one of {', '.join(SUFFIXES)}"
        )
    return label


def check_media_type(media_type: str) -> str:
    """A media type a GeoTIFF may come with."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in MEDIA_TYPES:
        raise Invalid.at(
            "content_type",
            f"only GeoTIFF is taken, as {' or '.join(MEDIA_TYPES)}; archives are not",
        )
    return media_type


async def release(ctx: Context, row: dict[str, Any], used: int = 0) -> None:
    """Give the session's reservation back, and count `used` bytes instead."""
    await ctx.execute(sql.move_quota, reserved=row["reserved_bytes"], used=used)


async def accept_file(pool: Pool, path: str, size: int) -> None:
    """Count a file that is here whole, before it becomes an object.

    The files of a session share its reservation; one that said no size reserves what arrives.

    Raises:
        Conflict: the session was closed while the bytes travelled.
        TooLarge: with this file it holds more than it reserved.
        PaymentRequired: the organization's quota has no room for it.
    """
    bound = {"org": path.split("/", 1)[0]}
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(sql.bind, bound)
        file = {**bound, "path": path, "size": size}
        upload = await (await connection.execute(sql.open_upload_of, file)).fetchone()
        if upload is None:
            raise Conflict("this upload is closed")
        await connection.execute(sql.keep_size, file)
        session = {**bound, "id": upload["id"]}
        row = await (await connection.execute(sql.total_size, session)).fetchone()
        more = (row["total"] if row else 0) - upload["reserved_bytes"]
        if more <= 0:
            return
        if upload["total_bytes"]:
            raise TooLarge(f"the session reserved {upload['total_bytes']} bytes for all its files")
        room = await connection.execute(sql.reserve_quota, {**bound, "bytes": more})
        if not room.rowcount:
            raise PaymentRequired("the storage quota does not leave room for this file")
        await connection.execute(sql.reserve_more, {**session, "bytes": more})


# ---------------------------------------------------------------- operations


@operation("uploads.initiate", scope="uploads:write", effect=Effect.COMPUTE)
async def initiate_upload(ctx: Context, body: UploadInitiate) -> UploadOutput:
    """Start an upload session, reserving storage quota (editor/admin on the project)."""
    access.require_open(await access.project(ctx, body.project_id, "editor"))
    if body.target_collection_id is not None:
        await access.target(ctx, body.target_collection_id, project_id=body.project_id)
    if body.target_item_id is not None:
        item = await access.item(ctx, body.target_item_id, "editor")
        if item["project_id"] != body.project_id:
            raise NotFound.of("item")
        await access.require_files_may_come(ctx, item)
    if body.file_count > MAX_FILES:
        raise Invalid.at("file_count", f"a session takes at most {MAX_FILES} files")
    limit = ctx.services.options.upload_max_bytes
    if body.total_bytes > limit * body.file_count:
        raise PaymentRequired(f"a file may have at most {limit} bytes here")
    if not await ctx.execute(sql.reserve_quota, bytes=body.total_bytes):
        raise PaymentRequired("the storage quota does not leave room for this upload")
    upload_id = new_id("up")
    row = await ctx.row(
        None,
        sql.insert_upload,
        id=upload_id,
        **body.model_dump(),
        user=access.human(ctx),
    )
    ctx.produced("upload", upload_id)
    return UploadOutput.model_validate(row)


@operation("uploads.signed_url", scope="uploads:write", effect=Effect.COMPUTE)
async def sign_upload(ctx: Context, body: SignedUrlInput) -> SignedUrlOutput:
    """Mint a signed URL for uploading a file into an upload session."""
    upload = await find(ctx, body.upload_id, lock=True)
    require_open(upload)
    name = check_file_name(body.file_name)
    media_type = check_media_type(body.content_type)
    known = await ctx.rows(None, sql.files, id=upload["id"])
    path = next((f["object_path"] for f in known if f["file_name"] == name), None)
    if path is None:
        if len(known) >= upload["file_count"]:
            raise Conflict(f"the session was opened for {upload['file_count']} file(s)")
        path = f"{ctx.organization_id}/{upload['id']}/{new_id('f')}.tif"
        await ctx.execute(
            sql.insert_file, id=upload["id"], path=path, name=name, media_type=media_type
        )
    await ctx.execute(sql.start_uploading, id=upload["id"])
    limit = ctx.services.options.upload_max_bytes
    if upload["total_bytes"]:
        limit = min(limit, upload["total_bytes"])
    grant = Grant(
        "put",
        path,
        int(time.time()) + URL_SECONDS,
        max_bytes=limit,
        holder=holders.label(ctx.principal, upload["project_id"]),
    )
    query = sign(grant, ctx.services.keys.storage)
    return SignedUrlOutput(upload_url=f"{ctx.base_url}/storage/{path}?{query}", object_path=path)


@operation("uploads.progress", scope="uploads:write", effect=Effect.COMPUTE)
async def report_progress(ctx: Context, body: UploadProgressInput) -> UploadOutput:
    """Update an upload session's progress."""
    upload = await find(ctx, body.upload_id, lock=True)
    if body.status is None and body.bytes_uploaded is None:
        return UploadOutput.model_validate(upload)
    require_open(upload)
    if body.status not in (None, "uploading", upload["status"]):
        raise Invalid.at("status", "only 'uploading' can be reported; use complete or fail to end")
    if body.bytes_uploaded is not None and not 0 <= body.bytes_uploaded <= 1 << 50:
        raise Invalid.at("bytes_uploaded", "must be at least 0 and below 2^50")
    row = await ctx.row(None, sql.report, id=upload["id"], bytes=body.bytes_uploaded)
    return UploadOutput.model_validate(row)


@operation("uploads.fail", scope="uploads:write", effect=Effect.COMPUTE)
async def fail_upload(ctx: Context, body: UploadFailInput) -> UploadOutput:
    """Mark an upload session failed, releasing its storage reservation."""
    upload = await find(ctx, body.upload_id, lock=True)
    require_open(upload)
    return await end_failed(ctx, upload, body.error_message[:2000], body.error_step)


async def end_failed(
    ctx: Context, upload: dict[str, Any], message: str, step: str | None
) -> UploadOutput:
    """End the session as failed: the reservation is free and its files are forgotten."""
    return await _give_up(ctx, upload, "failed", message, (step or "")[:200] or None)


async def _give_up(
    ctx: Context, upload: dict[str, Any], status: str, message: str, step: str | None = None
) -> UploadOutput:
    await release(ctx, upload)
    row = await ctx.row(
        None, sql.give_up, id=upload["id"], status=status, message=message, step=step
    )
    files = await ctx.rows(None, sql.files, id=upload["id"])
    await remove_objects(ctx, [file["object_path"] for file in files])
    ctx.produced("upload", upload["id"])
    ctx.emit(failed(upload["id"], upload["project_id"], message))
    return UploadOutput.model_validate(row)


def failed(upload_id: str, project_id: str, message: str) -> Event:
    """The event of a session that became nothing, whoever gave it up."""
    return Event("upload.failed", "upload", upload_id, {"error_message": message}, project_id)


async def expire(pipeline: Pipeline, system: Pool, *, limit: int = 500) -> int:
    """End the sessions that nobody touched for a day; how many. For the maintenance loop, safe to
    repeat: each ends in a transaction of its own, like any other change of an organization.

    Args:
        system: a pool of role opstac_system, which sees every tenant.
    """

    async def end(row: dict[str, Any]) -> bool:
        async def work(ctx: Context) -> bool:
            # whoever has it now touches it
            upload = await ctx.row(None, sql.expired_for_update, id=row["id"])
            if upload is not None:
                await _give_up(ctx, upload, "expired", EXPIRED)
            return upload is not None

        owner = Principal(kind="service", id="uploads", organization_id=row["organization_id"])
        return await pipeline.act("uploads.expire", owner, work)

    return sum(await each_due(system, sql.expired, end, "an upload does not expire", limit=limit))


@operation("uploads.get", scope="uploads:read", effect=Effect.READ)
async def get_upload(ctx: Context, body: UploadGetInput) -> UploadGetOutput:
    """Read an upload session."""
    row = await find(ctx, body.upload_id, "viewer")
    return UploadGetOutput(upload=UploadOutput.model_validate(row))

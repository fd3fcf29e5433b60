"""From uploaded bytes to a described COG: planned in a transaction, carried out outside of one."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from pydantic import Field

from db.paths import ObjectMissing, StorageFull
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Invalid, Unavailable
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Input
from ops_gateway.kernel.services import ChildRefused

UNPACKED = 8  # times the limit that a file may come to once it is unpacked


class UploadedFile(Input):
    """One of the session's files and what becomes of it."""

    file_name: str | None = None
    object_path: str | None = None
    asset_key: str | None = Field(default=None, min_length=1, max_length=100)
    title: str | None = None
    band_names: list[str] | None = None
    datetime: str | None = None


@dataclass(frozen=True)
class PlannedFile:
    """One file of a session and the asset it shall become, with `kept_path` as its object.

    No URL was ever signed for that one, so what was looked at is what stays.
    """

    object_path: str
    kept_path: str
    file_name: str
    asset_key: str
    title: str | None
    band_names: list[str] | None
    datetime: str | None


@dataclass(frozen=True)
class Plan:
    """The files of one call of uploads.complete."""

    upload_id: str
    files: list[PlannedFile]
    is_categorical: bool


@dataclass(frozen=True)
class Ingested:
    """A file that is a valid COG in the object store; `info` is `raster.inspect.AssetInfo`."""

    object_path: str
    original_path: str
    file_name: str
    asset_key: str
    title: str | None
    datetime: str | None
    info: dict[str, Any]

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return PurePath(self.file_name).stem or self.file_name


def plan(
    upload: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
    wanted: Sequence[UploadedFile] | None,
) -> Plan:
    """Match what the call names with the session's files and settle the asset keys."""
    if not files:
        raise Conflict("no file was put into this session; ask uploads.signed_url for a place")
    by_path = {f["object_path"]: f for f in files}
    by_name = {f["file_name"]: f for f in files}
    chosen: list[tuple[Mapping[str, Any], UploadedFile | None]] = []
    if wanted is None:
        chosen = [(file, None) for file in files]
    else:
        for index, entry in enumerate(wanted):
            found = by_path.get(entry.object_path or "") or by_name.get(entry.file_name or "")
            if found is None:
                raise Invalid.at(["files", index], "no such file in this session")
            if any(found is other for other, _ in chosen):
                raise Invalid.at(["files", index], "this file is named twice")
            chosen.append((found, entry))
    planned: list[PlannedFile] = []
    taken: set[str] = set()
    for index, (file, entry) in enumerate(chosen):
        first_key = upload["asset_key"] or "data"
        key = (entry.asset_key if entry else None) or (
            first_key if index == 0 else PurePath(file["file_name"]).stem
        )
        if key in taken:
            raise Invalid.at(["files", index, "asset_key"], f"two files would become asset '{key}'")
        taken.add(key)
        planned.append(
            PlannedFile(
                file["object_path"],
                f"{file['object_path'].rpartition('/')[0]}/{new_id('f')}.tif",
                file["file_name"],
                key,
                entry.title if entry else None,
                entry.band_names if entry else None,
                entry.datetime if entry else None,
            )
        )
    return Plan(upload["id"], planned, upload["is_categorical"])


async def takes_long(ctx: Context, plan: Plan) -> bool:
    """Whether the files are so large, packed or unpacked, that rewriting them is the worker's task.

    Raises:
        Conflict: a file was never put.
        Invalid: it is not a GeoTIFF we can take.
    """
    limit = ctx.services.options.convert_inline_bytes
    objects = ctx.services.objects
    total = unpacked = 0
    for file in plan.files:
        found = await objects.head(file.object_path)
        if found is None:
            raise never_put(file)
        total += found.size
        local = objects.local_file(file.object_path)
        if local is not None and total <= limit:
            with refusing(file):
                unpacked += await ctx.services.child("decoded_bytes", path=str(local))
    return total > limit or unpacked > UNPACKED * limit


@contextmanager
def refusing(file: PlannedFile) -> Generator[None]:
    """What a child refuses, as the caller reads it: Invalid at the file, or Unavailable."""
    try:
        yield
    except ChildRefused as error:
        message = f"'{file.file_name}': {error.message}"
        if error.passing:
            raise Unavailable(message, 30) from None
        place = ["body", "files", file.file_name]
        raise Invalid([{"loc": place, "msg": message, "type": error.code}]) from None


def never_put(file: PlannedFile) -> Conflict:
    """The refusal for a file that is not in the store."""
    return Conflict(f"'{file.file_name}' was not uploaded; PUT it to its signed URL first")


async def carry_out(ctx: Context, plan: Plan) -> list[Ingested]:
    """Every planned file as a COG in the store.

    Raises:
        Conflict: a file was never put. Invalid: it is not a GeoTIFF we can take.
        Unavailable: the store or the child could not do it now.
    """
    objects = ctx.services.objects
    for file in plan.files:
        if await objects.head(file.object_path) is None:
            raise never_put(file)
    return [await ingest_file(ctx, file, plan.is_categorical) for file in plan.files]


async def ingest_file(ctx: Context, file: PlannedFile, is_categorical: bool) -> Ingested:
    """Inspect one file; rewrite it where it is not a valid COG with statistics."""
    objects = ctx.services.objects
    with tempfile.TemporaryDirectory(prefix="opstac-ingest-") as folder:
        # from here on nobody's PUT reaches the bytes
        local = objects.local_file(file.kept_path)
        try:
            if local is not None:
                await objects.copy(file.object_path, file.kept_path)
            else:
                local = Path(folder) / "original.tif"
                await objects.download(file.object_path, local)
        except ObjectMissing:
            raise never_put(file) from None
        converted = Path(folder) / "converted.tif"
        with refusing(file):
            result = await ctx.services.child(
                "prepare",
                path=str(local),
                target=str(converted),
                band_names=file.band_names,
                is_categorical=is_categorical,
            )
        result_file = converted if result["converted"] else local
        if result["converted"] or not objects.is_local:
            try:
                await objects.take(file.kept_path, result_file)
            except StorageFull as error:
                raise Unavailable("there is no room in the object store", 60) from error
    return Ingested(
        file.kept_path, file.object_path, file.file_name, file.asset_key, file.title,
        file.datetime, result["info"],
    )  # fmt: skip

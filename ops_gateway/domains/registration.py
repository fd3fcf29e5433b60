"""Outputs of a job become items: looked into outside the transaction, registered inside one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from psycopg.types.json import Jsonb
from pydantic import Field, ValidationError

from db.queries import queries
from ops_gateway.catalogue import geometry, pictures
from ops_gateway.catalogue.drafts import AssetDraft, ItemDraft
from ops_gateway.catalogue.items import insert_item
from ops_gateway.catalogue.models import AssetOutput, ItemResponse, ItemType
from ops_gateway.domains import job_orders, job_shapes, jobs, receipts
from ops_gateway.domains.job_shapes import Job
from ops_gateway.domains.receipts import Receipt
from ops_gateway.kernel.context import Context, Event
from ops_gateway.kernel.errors import Invalid, NotFound, Unavailable
from ops_gateway.kernel.fault import fault
from ops_gateway.kernel.operation import Input, Output
from ops_gateway.kernel.services import ChildRefused
from processes import recipe as recipes
from processes.process import FILE_MEDIA_TYPES, SourceRef

sql = queries(jobs.__file__)

ITEM_TYPES = {"clip": ItemType.clip}
MAX_OUTPUTS = 100  # each is looked into by a child process


class RasterClass(Input):
    """One class of a categorical raster, as STAC's classification extension has it."""

    value: int = Field(ge=-(2**31), le=2**32)
    name: str = Field(min_length=1, max_length=200, pattern=r"^[0-9A-Za-z_-]+$")
    title: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=1000)
    color_hint: str | None = Field(default=None, pattern=r"^[0-9A-Fa-f]{6}$")
    nodata: bool | None = None
    percentage: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    count: int | None = Field(default=None, ge=0)


class RegisteredOutput(Input):
    """One file a worker made, or a value."""

    name: str | None = Field(default=None, min_length=1, max_length=500)
    asset_key: str = Field(default="data", min_length=1, max_length=100)
    object_path: str | None = None
    value: Any = None
    media_type: str | None = None
    type: ItemType | None = None
    title: str | None = None
    band_names: list[str] | None = None
    datetime: str | None = None
    properties: dict[str, Any] = Field(default_factory=dict)
    info: dict[str, Any] | None = None
    geometry: dict[str, Any] | None = None
    bbox: Annotated[list[float], Field(min_length=4, max_length=4)] | None = None
    categorical: bool = False
    classes: list[RasterClass] = Field(default_factory=list, max_length=1000)
    roles: list[Annotated[str, Field(min_length=1, max_length=50)]] = Field(
        default_factory=lambda: ["data"], min_length=1, max_length=10
    )


class RunRecord(Input):
    """What the platform's own worker says of a run beside its outputs."""

    recipe: dict[str, Any] = Field(default_factory=dict)
    work: dict[str, Any] = Field(default_factory=dict)


class JobRegisterOutput(Output):
    """A completed job, its items and what was charged."""

    job: Job
    items: list[ItemResponse]
    settlement: dict[str, int]
    values: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class File:
    """A described file of a job."""

    output: RegisteredOutput
    object_path: str
    file_name: str
    info: dict[str, Any]


@dataclass(frozen=True)
class Handed:
    """What a run hands in, checked."""

    epoch: int
    files: list[File]
    values: dict[str, Any] = field(default_factory=dict)
    record: RunRecord | None = None


async def look_into(
    ctx: Context,
    job: Mapping[str, Any],
    epoch: int,
    outputs: Sequence[Any],
    record: RunRecord | None = None,
) -> Handed:
    """Check each output and inspect its file in a bounded child.

    Raises Invalid: not a file of this run, or not a GeoTIFF.
    """
    if len(outputs) > MAX_OUTPUTS:
        raise Invalid.at("outputs", f"a run hands in at most {MAX_OUTPUTS} outputs", "too_long")
    typed = [_typed(index, output) for index, output in enumerate(outputs)]
    known = {
        row["object_path"]: row["file_name"]
        for row in await ctx.rows(None, sql.output_paths, id=job["id"], epoch=epoch)
    }
    await ctx.release()
    own = (
        ctx.principal.kind == "worker"
        and job_orders.find_process(job["job_type_id"]).run is not None
    )
    files: list[File] = []
    values: dict[str, Any] = {}
    seen: set[str] = set()
    for index, output in enumerate(typed):
        if output.object_path is None:
            if output.value is None:
                raise Invalid.at(["outputs", index, "object_path"], "Field required", "missing")
            values[output.asset_key] = output.value
            continue
        if output.object_path not in known:
            raise Invalid.at(
                ["outputs", index, "object_path"],
                "not a file that was PUT for this run of the job; use the object_path that "
                "PUT /v1/jobs/{job_id}/outputs/{file_name} answered",
            )
        if output.object_path in seen:
            raise Invalid.at(["outputs", index, "object_path"], "this file is named twice")
        seen.add(output.object_path)
        # our own worker's child has described the file already; anybody else's word is not taken
        info = output.info if own and output.info else await _inspect(ctx, index, output)
        if output.classes:
            info = {**info, "classes": [c.model_dump(exclude_none=True) for c in output.classes]}
        files.append(File(output, output.object_path, known[output.object_path], info))
    return Handed(epoch, files, values, record if own else None)


def _typed(index: int, output: Any) -> RegisteredOutput:
    try:
        return RegisteredOutput.model_validate(output)
    except ValidationError as error:
        raise Invalid(
            [
                {"loc": ["body", "outputs", index, *e["loc"]], "msg": e["msg"], "type": e["type"]}
                for e in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


async def _inspect(ctx: Context, index: int, output: RegisteredOutput) -> dict[str, Any]:
    objects = ctx.services.objects
    assert output.object_path is not None
    if await objects.head(output.object_path) is None:
        raise Invalid.at(["outputs", index, "object_path"], "the file is not in the store")
    with tempfile.TemporaryDirectory(prefix="opstac-register-") as folder:
        local = objects.local_file(output.object_path)
        if local is None:
            local = Path(folder) / "output.tif"
            await objects.download(output.object_path, local)
        try:
            if output.media_type in FILE_MEDIA_TYPES:
                found = await ctx.services.child(
                    "plain_file", path=str(local), media_type=output.media_type
                )
                return {**found, **_place(index, output)}
            return await ctx.services.child(
                "inspect", path=str(local), band_names=output.band_names
            )
        except ChildRefused as error:
            if error.passing:
                raise Unavailable(error.message, 10) from None
            raise Invalid.at(["outputs", index], error.message, error.code) from None


def _place(index: int, output: RegisteredOutput) -> dict[str, Any]:
    """Where a file that is no raster lies, as its worker says."""
    if output.geometry is None:
        return {"footprint": None, "bbox": None}
    place = geometry.checked(output.geometry, f"outputs.{index}.geometry")
    return {"footprint": place, "bbox": output.bbox or geometry.bbox_of(place)}


async def register(ctx: Context, job: Mapping[str, Any], handed: Handed) -> JobRegisterOutput:
    """Items, lineage, storage, settlement and receipt of a run, in the caller's transaction."""
    items: list[ItemResponse] = []
    made: list[dict[str, Any]] = []
    sources = await shown_sources(ctx, job)
    record = handed.record or RunRecord()
    by_name: dict[str | None, list[File]] = {}
    for file in handed.files:
        by_name.setdefault(file.output.name, []).append(file)
    source_times = await _times(ctx, job)
    for name, files in by_name.items():
        rasters = [file for file in files if file.info["bands"]]
        first = (rasters or [file for file in files if file.info["footprint"]] or files)[0]
        kind = ItemType.derived_raster if rasters else ItemType.derived_vector
        when = first.output.datetime
        times: dict[str, Any] = {"datetime": when} if when else source_times
        item, assets = await insert_item(
            ctx,
            ItemDraft(
                project_id=job["project_id"],
                collection_id=job["target_collection_id"],
                type=(first.output.type or ITEM_TYPES.get(job["job_type_id"], kind)).value,
                name=name or f"{job['job_type_id']} {job['id'][-6:]}",
                geometry=first.info["footprint"],
                bbox=first.info["bbox"],
                gsd=first.info["gsd"],
                properties={**made_by(files), **processing(job, record.recipe, sources)},
                statements={**of_platform(handed, files), **sources},
                job_id=job["id"],
                **times,
            ),
            [
                AssetDraft(
                    key=file.output.asset_key,
                    object_path=file.object_path,
                    info=file.info,
                    title=file.output.title,
                    file_name=file.file_name,
                    is_categorical=file.output.categorical,
                    roles=file.output.roles,
                )
                for file in files
            ],
        )
        items.append(item)
        made += [
            {
                "item_id": item.id,
                "asset_key": file.output.asset_key,
                "file_name": file.file_name,
                "checksum": file.info["checksum"],
            }
            for file in files
        ]
        tell_lineage(ctx, job, item, assets)
    stored = sum(file.info["size_bytes"] for file in handed.files)
    if stored:
        await ctx.execute(sql.add_storage, bytes=stored)
    receipt = receipts.made(
        job,
        job["credits_reserved"],
        files=[file.info for file in handed.files],
        work=record.work,
        items=[item.id for item in items],
    )
    recipe = None
    if record.recipe:
        recipe = {**record.recipe, "seed": seed(handed.files), "outputs": made}
    key = recipes.key(record.recipe) if record.recipe else None
    return await complete(ctx, job, items, receipt, values=handed.values, recipe=recipe, key=key)


def tell_lineage(
    ctx: Context, job: Mapping[str, Any], item: ItemResponse, assets: Sequence[AssetOutput]
) -> None:
    """Where an output came from."""
    node = ("processing_job", job["id"])
    pictures.soon(ctx, item.id)
    ctx.edge(("item", item.id), "generated_by", node)
    for source in job["source_item_ids"]:
        ctx.edge(("item", item.id), "derived_from", ("item", source))
    for asset in assets:
        ctx.edge(("asset", asset.id), "generated_by", node)


async def complete(
    ctx: Context,
    job: Mapping[str, Any],
    items: Sequence[ItemResponse],
    receipt: Receipt,
    *,
    values: Mapping[str, Any],
    recipe: Mapping[str, Any] | None,
    key: str | None,
) -> JobRegisterOutput:
    """Settle the job as its receipt says, end it, and keep the answer for a repeat.

    Args:
        recipe: with its `outputs`; None where nobody knows what was computed.
        key: of the recipe, where its outputs may answer other jobs.
    """
    if job["hold_id"]:
        ctx.settle(job["hold_id"], receipt.credits, job_id=job["id"])
    ctx.produced("processing_job", job["id"])
    ctx.project_id = job["project_id"]
    ctx.emit(
        Event(
            "processing.completed",
            "processing_job",
            job["id"],
            {"output_item_ids": [i.id for i in items], "job_type_id": job["job_type_id"]},
            job["project_id"],
        )
    )
    fault("register.inside")
    await ctx.execute(
        sql.complete,
        id=job["id"],
        items=[item.id for item in items],
        outputs=Jsonb({}),
        charged=receipt.credits,
        receipt=Jsonb(receipt.model_dump(mode="json")),
        recipe=None if recipe is None else Jsonb(dict(recipe)),
        recipe_key=key,
        cached_from=receipt.cached_from,
    )
    done = await ctx.one("job", sql.job, id=job["id"])
    answer = JobRegisterOutput(
        job=job_shapes.native(done),
        items=list(items),
        settlement={"charged": receipt.credits, "released": receipt.released},
        values=dict(values),
    )
    await ctx.execute(sql.keep_answer, id=job["id"], outputs=Jsonb(answer.model_dump(mode="json")))
    return answer


async def _times(ctx: Context, job: Mapping[str, Any]) -> dict[str, Any]:
    """An output has the time of its first source; now where there is none."""
    for item_id in job["source_item_ids"][:1]:
        with suppress(NotFound):
            row, _ = await job_orders.source_of(ctx, job["job_type_id"], SourceRef(item_id))
            return {name: row[name] for name in ("datetime", "start_datetime", "end_datetime")}
    return {}


async def shown_sources(ctx: Context, job: Mapping[str, Any]) -> dict[str, Any]:
    """The sources an item names: those that everybody who sees the item may see too."""
    if not job["source_item_ids"]:
        return {}
    rows = await ctx.rows(
        None, sql.items_of_project, ids=job["source_item_ids"], project_id=job["project_id"]
    )
    near = {row["id"] for row in rows}
    shown = [source for source in job["source_item_ids"] if source in near]
    return {"opstac:derived_from": shown} if shown else {}


def processing(
    job: Mapping[str, Any], recipe: Mapping[str, Any], shown: Mapping[str, Any]
) -> dict[str, Any]:
    """What made an output, as STAC's processing extension says it; nothing of what others ran.

    Args:
        shown: what `shown_sources` gave.
    """
    process = job_orders.find_process(job["job_type_id"])
    if process.run is None:
        return {}
    sources = ", ".join(shown.get("opstac:derived_from", ()))
    return {
        "processing:lineage": f"{process.title}" + (f" of {sources}" if sources else ""),
        "processing:software": {
            f"opstac-{process.id}": process.version,
            **recipe.get("libraries", {}),
        },
        "processing:datetime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }


def made_by(files: Sequence[File]) -> dict[str, Any]:
    """Properties the run set, a later file's over an earlier one's."""
    return {name: v for file in files for name, v in file.output.properties.items()}


def seed(files: Sequence[File]) -> int | None:
    """What the run's random numbers began with; None where it drew none."""
    return made_by(files).get("opstac:seed")


def of_platform(handed: Handed, files: Sequence[File]) -> dict[str, Any]:
    """Those of them that have names of ours: what our own processes say, nobody else."""
    return {} if handed.record is None else made_by(files)

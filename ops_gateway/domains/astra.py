"""Scenes in, a picture out: the ASTRA API's two calls, over ordinary processing jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_serializer
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from db.queries import queries
from ops_gateway.catalogue.links import sign
from ops_gateway.catalogue.scenes import find_scene
from ops_gateway.domains import job_callbacks, job_orders, job_shapes, jobs
from ops_gateway.domains.job_orders import default_project
from ops_gateway.domains.job_shapes import milliseconds
from ops_gateway.kernel import holders
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Gone, Invalid
from ops_gateway.kernel.operation import Effect, Input, Output, operation

sql = queries(__file__)

CALLBACK = "scene"
RESULT_HOURS = 24
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
STATUS = {
    "pending": "queued",
    "dispatched": "queued",
    "running": "processing",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "failed",
}
ERRORS = frozenset(
    {
        "scene_unreadable",
        "band_missing",
        "no_overlap",
        "out_of_memory",
        "timeout",
        "attempts_exhausted",
        "cancelled",
        "internal",
    }
)
# the platform's other words for why a job failed, in these
OTHER_ERRORS = {"grid_mismatch": "scene_unreadable", "deadline_exceeded": "timeout"}

Colormap = Literal["none", "rdylgn", "viridis", "greens"]
SceneId = Annotated[str, Field(min_length=1, max_length=400)]
Band = Annotated[str, Field(min_length=1, max_length=100)]


class NdviParams(BaseModel):
    """Params of `ndvi`."""

    model_config = ConfigDict(extra="forbid")

    colormap: Colormap | None = None


class ChangeParams(BaseModel):
    """Params of `change_detection`."""

    model_config = ConfigDict(extra="forbid")

    threshold: float = Field(default=0.1, ge=0, le=1, allow_inf_nan=False)
    bands: list[Band] = Field(default=["red", "nir"], min_length=1, max_length=20)


@dataclass(frozen=True)
class Recipe:
    """How an operation is asked of its process."""

    params: type[BaseModel]
    scenes: int
    sources: tuple[str, ...]


OPERATIONS = {
    "ndvi": Recipe(params=NdviParams, scenes=1, sources=("source_item_id",)),
    "change_detection": Recipe(
        params=ChangeParams, scenes=2, sources=("before_item_id", "after_item_id")
    ),
}


class AstraProcessInput(Input):
    """Input of astra.process."""

    operation: Literal["ndvi", "change_detection"]
    scene_ids: list[SceneId] = Field(
        min_length=1, max_length=2, description="1 for ndvi; before and after for change_detection."
    )
    params: dict[str, Any] = Field(default_factory=dict)
    webhook_url: str | None = Field(default=None, min_length=1, max_length=2048)
    project_id: str | None = Field(default=None, description="Default: your oldest project.")


class AstraProcessGetInput(Input):
    """Input of astra.process.get."""

    job_id: str


class AstraSubmitted(Output):
    """A job that was just asked for."""

    job_id: str
    status: Literal["queued"]
    operation: str
    scene_ids: list[str]
    params: dict[str, Any]
    created_at: str


class AstraResult(Output):
    """The file made; `href` opens without a credential until `expires_at`."""

    href: str
    type: str
    file_size: int = Field(serialization_alias="file:size")
    expires_at: str


class AstraError(Output):
    """Why a job failed."""

    code: str
    message: str


class AstraStatus(Output):
    """A job as it stands; what is not known yet is left out."""

    job_id: str
    status: Literal["queued", "processing", "completed", "failed"]
    operation: str
    scene_ids: list[str]
    created_at: str
    completed_at: str | None = None
    duration_ms: int | None = None
    result: AstraResult | None = None
    error: AstraError | None = None

    @model_serializer(mode="wrap")
    def _without_unknowns(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class ResultExpired(Gone):
    """The output of the job is not kept any more."""

    slug = "expired"

    def __init__(self) -> None:
        """Says so, for machines too."""
        super().__init__(
            "the job's output is not kept any more; submit the job again",
            extra={"code": "expired"},
        )


# ---------------------------------------------------------------- submit


@dataclass(frozen=True)
class Submission:
    """A request that was checked and priced."""

    order: job_orders.Order
    params: dict[str, Any]


async def prepare(ctx: Context, body: AstraProcessInput) -> Submission:
    """Find the scenes; check and price the job."""
    recipe = OPERATIONS[body.operation]
    if len(body.scene_ids) != recipe.scenes:
        raise Invalid.at(
            "scene_ids",
            f"{body.operation} takes exactly {recipe.scenes} scene"
            f"{'s: before and after' if recipe.scenes > 1 else ''}, not {len(body.scene_ids)}",
        )
    params = _params(recipe, body.params)
    if body.webhook_url is not None:
        await job_callbacks.check(ctx, body.webhook_url, "webhook_url")
    project_id = body.project_id or await default_project(ctx)
    found = [
        await find_scene(ctx, scene, ["scene_ids", place])
        for place, scene in enumerate(body.scene_ids)
    ]
    inputs = {**dict(zip(recipe.sources, found, strict=True)), **params}
    order = await job_orders.prepare(ctx, body.operation, project_id, inputs, None, at="params")
    return Submission(order=order, params=body.params)


def _params(recipe: Recipe, params: dict[str, Any]) -> dict[str, Any]:
    try:
        typed = recipe.params.model_validate(params)
    except ValidationError as error:
        raise Invalid(
            [
                {"loc": ["body", "params", *e["loc"]], "msg": e["msg"], "type": e["type"]}
                for e in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None
    return typed.model_dump(exclude_none=True)


async def price(_: Context, __: AstraProcessInput, submission: Submission) -> int:
    """What the kernel checks the balance for."""
    return submission.order.credits


@operation(
    "astra.process",
    scope="processing:process",
    effect=Effect.SPEND,
    status=202,
    produces="processing_job",
    prepare=prepare,
    price=price,
)
async def process_scenes(
    ctx: Context, body: AstraProcessInput, submission: Submission
) -> AstraSubmitted:
    """Run NDVI or change detection on scenes; the answer is a job to ask for.

    A scene is an item's id, or `collection:item` with the item's STAC id or the beginning of it.
    """
    row = await jobs.create(ctx, submission.order)
    await ctx.execute(
        sql.keep_request,
        job=row["id"],
        scene_ids=body.scene_ids,
        params=Jsonb(submission.params),
        holder=holders.holder_of(ctx.principal),
    )
    if body.webhook_url is not None:
        await job_callbacks.add(ctx, row["id"], CALLBACK, body.webhook_url)
    # the answer shows the job queued; a task of this very transaction dispatches it
    await jobs.ask_dispatch(ctx, row["id"])
    return AstraSubmitted(
        job_id=row["id"],
        status="queued",
        operation=row["job_type_id"],
        scene_ids=body.scene_ids,
        params=submission.params,
        created_at=milliseconds(row["created_at"]) or "",
    )


# ---------------------------------------------------------------- poll


@operation("astra.process.get", scope="processing:read", effect=Effect.READ)
async def get_processed(ctx: Context, body: AstraProcessGetInput) -> AstraStatus:
    """How a job stands, and where its file is.

    Any processing job is found, by whichever door it came in.
    """
    return await status_of(ctx, await jobs.find(ctx, body.job_id), ctx.base_url)


async def status_of(ctx: Context, row: dict[str, Any], base_url: str) -> AstraStatus:
    """The status document of a job's row.

    Raises: ResultExpired: it completed, and its file is gone.
    """
    request = await ctx.row(None, sql.request, job=row["id"], project=row["project_id"])
    end: datetime | None = row["completed_at"] if row["status"] in job_shapes.ENDED else None
    status = AstraStatus(
        job_id=row["id"],
        status=STATUS[row["status"]],  # type: ignore[arg-type]
        operation=row["job_type_id"],
        scene_ids=request["scene_ids"] if request else row["source_item_ids"],
        created_at=milliseconds(row["created_at"]) or "",
        completed_at=milliseconds(end),
        duration_ms=_duration(row["created_at"], end) if end else None,
    )
    if status.status == "failed":
        return status.model_copy(update={"error": _error(row)})
    if status.status == "completed" and (row["output_item_ids"] or request):
        return status.model_copy(update={"result": await _result(ctx, row, request, base_url)})
    return status


def _duration(begin: datetime, end: datetime) -> int:
    """Milliseconds between two times as they are shown."""
    return int(end.timestamp() * 1000) - int(begin.timestamp() * 1000)


def _error(row: dict[str, Any]) -> AstraError:
    if row["status"] == "cancelled":
        return AstraError(code="cancelled", message=row["error_message"] or "the job was cancelled")
    code = OTHER_ERRORS.get(row["error_code"], row["error_code"])
    return AstraError(
        code=code if code in ERRORS else "internal",
        message=row["error_message"] or "the job failed",
    )


async def _result(
    ctx: Context, row: dict[str, Any], request: Mapping[str, Any] | None, base_url: str
) -> AstraResult:
    # the same address at each poll and in the message: it is its submitter's, while they may read
    holder = holders.label(ctx.principal, row["project_id"])
    if request is not None and request["stands"]:
        holder = holders.labelled(request["holder"], ctx.organization_id, row["project_id"])
    asset = await ctx.row(None, sql.result, items=row["output_item_ids"])
    await ctx.release()
    if asset is None or await ctx.services.objects.head(asset["object_path"]) is None:
        raise ResultExpired
    until = expiry(row["completed_at"], datetime.now(UTC))
    link = sign(asset, ctx.services, base_url, holder=holder, until=until)
    return AstraResult(
        href=link.url,
        type=COG,
        file_size=asset["size_bytes"],
        expires_at=until.isoformat().replace("+00:00", "Z"),
    )


def expiry(completed_at: datetime, now: datetime) -> datetime:
    """When a link handed out `now` ends: a day after the job's end, or the next such day after.

    So it is the same at each poll, and a poll after it gives a new link.
    """
    day = timedelta(hours=RESULT_HOURS)
    days = max(0, (now - completed_at.replace(microsecond=0)) // day) + 1
    return completed_at.astimezone(UTC).replace(microsecond=0) + days * day

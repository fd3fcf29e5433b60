"""The worker's side of the platform: what `ops_gateway.worker` is handed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import psycopg

from db.pool import Pool
from db.queries import queries
from ops_gateway.domains import job_orders, job_reuse, jobs, uploads_complete
from ops_gateway.kernel.authenticate import Authenticator, issue_job_token
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import (
    Conflict,
    Invalid,
    NotFound,
    OpError,
    PaymentRequired,
    Unauthenticated,
)
from ops_gateway.kernel.events import REACTIONS
from ops_gateway.kernel.pipeline import Call, Pipeline
from ops_gateway.worker.claim import ClaimedJob, JobEnded, LeaseLost
from ops_gateway.worker.relay import find_event
from ops_gateway.worker.services import JobFailed, PassingError
from ops_gateway.worker.transient import DATABASE_AWAY
from opstac import __version__
from processes import recipe as recipes
from processes.process import Source, discover

logger = logging.getLogger(__name__)
sql = queries(__file__)

TOKEN_MARGIN_SECONDS = 600


class PlatformWorker:
    """`WorkerServices` on one pipeline: the worker acts with its job's token and nothing else."""

    def __init__(self, pipeline: Pipeline, authenticator: Authenticator, *, issuer: str) -> None:
        """`issuer`: of the job tokens."""
        self._pipeline = pipeline
        self._authenticator = authenticator
        self._issuer = issuer

    async def mint_token(self, job: ClaimedJob) -> str:
        """A token for this run, living as long as the run may."""
        services = self._pipeline.services
        return issue_job_token(
            services.keys,
            self._issuer,
            job_id=job.id,
            organization_id=job.organization_id,
            epoch=job.epoch,
            seconds=services.options.job_timeout_seconds + TOKEN_MARGIN_SECONDS,
        )

    async def sources(self, job: ClaimedJob) -> Sequence[Source]:
        """Every asset the job's process asks for, as far as who ordered it may still see it."""
        process = discover()[job.job_type_id]
        typed = process.check(job.input_params)
        objects = self._pipeline.services.objects
        by = await self._creator(job)

        async def find(ctx: Context) -> list[Source]:
            found: list[Source] = []
            for ref in process.sources(typed):
                try:
                    item, rows = await job_orders.source_of(ctx, job.job_type_id, ref)
                except NotFound:
                    raise JobFailed("scene_unreadable", f"item {ref.item_id} is gone") from None
                if job.created_by and item["organization_id"] == job.organization_id:
                    require_sight(by, item)
                by_key = {row["key"]: row for row in rows}
                for key in ref.asset_keys or tuple(by_key):
                    if key not in by_key:
                        raise JobFailed("scene_unreadable", f"asset '{key}' is gone")
                    path = objects.gdal_path(by_key[key]["object_path"])
                    found.append(Source(ref.item_id, key, path, plain(item), plain(by_key[key])))
            return found

        principal = jobs.platform_for(job.organization_id, "worker")
        return await self._pipeline.look("jobs.sources", principal, find)

    async def _creator(self, job: ClaimedJob) -> Principal | None:
        """Who ordered the job, as they are now; None who may not come in any more."""
        if job.created_by is None:
            return None
        try:
            return await self._authenticator.user(str(job.created_by))
        except Unauthenticated:
            return None

    async def stamps(self, sources: Sequence[Source]) -> Sequence[str]:
        """Size and time, or the store's tag, of each source's file."""
        objects = self._pipeline.services.objects
        return await asyncio.gather(
            *(objects.version(source.asset["object_path"]) for source in sources)
        )

    async def put_output(self, token: str, job: ClaimedJob, file_name: str, path: Path) -> str:
        """Store a file under the run's own prefix and note it as the job's."""
        principal = await self._principal(token)
        object_path = f"jobs/{job.id}/{job.epoch}/{file_name}"
        size = path.stat().st_size

        async def note(ctx: Context) -> None:
            row = await ctx.row(None, jobs.sql.job_for_update, id=job.id)
            if row is None or row["status"] != "running":
                raise JobEnded(job.id)
            if row["epoch"] != job.epoch:
                raise LeaseLost(job.id)
            await ctx.execute(
                jobs.sql.insert_output,
                id=job.id,
                epoch=job.epoch,
                path=object_path,
                file_name=file_name,
                size=size,
            )

        # noted first: a file whose worker dies here is known to the sweeper
        await self._pipeline.act("jobs.outputs", principal, note)
        await self._pipeline.services.objects.put(object_path, path)
        return object_path

    def recipe_key(self, job: ClaimedJob, sources: Sequence[Source]) -> str | None:
        """The key of what the job's outputs are a function of."""
        return recipes.key(recipe_of(job, sources))

    async def answer(self, job: ClaimedJob, sources: Sequence[Source]) -> bool:
        """Complete the job with what an earlier one of the same recipe made; whether there was."""
        recipe = recipe_of(job, sources)
        try:
            return await job_reuse.answer(
                self._pipeline, job.organization_id, job.id, job.epoch, recipe
            )
        except jobs.StaleRun as error:
            raise (JobEnded if error.ended else LeaseLost)(job.id) from error
        except (OpError, psycopg.Error) as error:
            if isinstance(error, DATABASE_AWAY):
                raise
            # the run goes on, and its registration says what is in the way
            logger.warning("job %s is not answered from an earlier one: %s", job.id, error)
            return False

    async def register(
        self,
        token: str,
        job: ClaimedJob,
        sources: Sequence[Source],
        outputs: Sequence[dict[str, Any]],
        work: Mapping[str, Any],
    ) -> None:
        """`processing.job.register` with the job's token, like any worker.

        Raises JobFailed where who ordered the job may not read its sources any more.
        """
        await self.sources(job)
        record = {"recipe": recipe_of(job, sources), "work": dict(work)}
        call = Call(await self._principal(token), request_id=f"job-{job.id}-{job.epoch}")
        try:
            await self._pipeline.run(
                "processing.job.register",
                {"job_id": job.id, "outputs": list(outputs), "record": record},
                call,
            )
        except OpError as error:
            raise refused(error) from error

    async def fail(self, job: ClaimedJob, code: str, message: str, log: Sequence[str] = ()) -> None:
        """End the run as failed, keep the end of its log and give the credits back."""
        await self._end(job, code=code, message=message, log=log)

    async def cancel(self, job: ClaimedJob) -> None:
        """End the run as cancelled and give the credits back."""
        await self._end(job)

    async def _end(self, job: ClaimedJob, **how: Any) -> None:
        try:
            await jobs.end(self._pipeline, job.organization_id, job.id, job.epoch, **how)
        except jobs.StaleRun as error:
            raise (JobEnded if error.ended else LeaseLost)(job.id) from error

    async def _principal(self, token: str) -> Any:
        try:
            return await self._authenticator.authenticate(token)
        except Unauthenticated as error:
            raise LeaseLost(str(error)) from error


def refused(error: OpError) -> Exception:
    """What a refusal of the registration is to the run."""
    match error:
        case Conflict() if "Retry-After" not in error.headers:
            return LeaseLost(error.detail)
        case Invalid():
            return JobFailed("internal", error.detail)
        case NotFound():  # a job that was deleted has ended, and is not failed by this
            gone = "the project or collection that its outputs were to go to is gone"
            return JobFailed("target_gone", f"{gone}: {error.detail}")
        case PaymentRequired() if type(error) is PaymentRequired:  # credits were reserved before
            return JobFailed("storage_full", error.detail)
        case _ if error.status == 503 or "Retry-After" in error.headers:
            return PassingError("busy", error.detail)
        case _:
            return error


def require_sight(by: Principal | None, item: Mapping[str, Any]) -> None:
    """Raise JobFailed where a person may not see an item of the job's organization any more."""
    member = by is not None and by.organization_id == item["organization_id"]
    if by is None or not member or by.role_in(item["project_id"]) is None:
        message = f"who ordered the job may not see item {item['id']} any more"
        raise JobFailed("scene_unreadable", message)


def recipe_of(job: ClaimedJob, sources: Sequence[Source]) -> dict[str, Any]:
    """What the job's outputs are a function of, here and now."""
    return recipes.recipe(
        discover()[job.job_type_id], job.input_params, sources, platform=__version__
    )


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON values, for the child."""
    return orjson.loads(orjson.dumps(dict(row), default=str))


async def react(pipeline: Pipeline, system: Pool, subject: str, reaction: str) -> None:
    """Run one queued reaction: to an event, to a job that waits, to an upload that takes long."""
    if reaction == jobs.DISPATCH_REACTION:
        async with system.connection() as connection:
            cursor = await connection.execute(sql.job_organization, {"id": subject})
            row = await cursor.fetchone()
        if row is not None:
            await jobs.dispatch_pending(pipeline, row["organization_id"], subject)
        return
    if reaction == uploads_complete.CONVERT_REACTION:
        async with system.connection() as connection:
            cursor = await connection.execute(sql.upload_organization, {"id": subject})
            row = await cursor.fetchone()
        if row is not None:
            await uploads_complete.convert_queued(pipeline, row["organization_id"], subject)
        return
    event = await find_event(system, subject)
    if event is None or reaction not in REACTIONS:
        return  # dropped with its month, or by a version that has the reaction no more
    _, function = REACTIONS[reaction]

    async def work(ctx: Context) -> None:
        await function(ctx, event)

    principal = jobs.platform_for(event.organization_id, "relay")
    await pipeline.act(f"reaction.{reaction}", principal, work)

"""The worker process: jobs, reactions, the reaper and the platform's chores."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Mapping

from db.pool import make_pool
from ops_gateway.worker import worker
from ops_gateway.worker.compute import make_compute
from ops_gateway.worker.relay import relay_forever
from ops_gateway.worker.runner import Limits
from opstac import chores, platform_worker
from opstac.alerting import Alerting
from opstac.compose import core
from opstac.deliveries import deliveries
from opstac.matching import match_forever
from opstac.paying import pay_forever
from opstac.settings import Settings
from opstac.variables import BLOCK_THREADS, DASK_SCHEDULER
from processes.process import Source, discover


def blocks_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The part of the environment that a job's child needs for it; see `processes.blocks`."""
    kept = {BLOCK_THREADS.name: str(BLOCK_THREADS.number(environ))}
    if address := DASK_SCHEDULER.text(environ):
        kept[DASK_SCHEDULER.name] = address
        kept |= {name: value for name, value in environ.items() if name.startswith("DASK_")}
    return kept


async def run_worker(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop` is set."""
    async with (
        core(settings, pool_size=settings.worker_concurrency + 4) as platform,
        make_pool(settings.dsn, "opstac_system", min_size=1, max_size=8) as system,
    ):
        services = platform_worker.PlatformWorker(
            platform.pipeline, platform.authenticator, issuer=settings.issuer
        )
        types = [(p.id, p.version) for p in discover().values() if p.run is not None]

        async def react(subject: str, reaction: str) -> None:
            await platform_worker.react(platform.pipeline, system, subject, reaction)

        async def link(source: Source, seconds: float) -> str | None:
            objects = platform.services.objects
            return await objects.signed_download(source.asset["object_path"], math.ceil(seconds))

        async with asyncio.TaskGroup() as side:
            relaying = side.create_task(relay_forever(system))
            matching = side.create_task(match_forever(platform.pipeline, system))
            alerting = side.create_task(Alerting(platform.pipeline, system).run())
            paying = side.create_task(pay_forever(platform.pipeline, system))
            sending = side.create_task(deliveries(platform.pipeline, system, settings).run())
            await worker.work(
                system,
                services,
                make_compute(link, blocks_environment()),
                worker.Settings(
                    types=types,
                    slots=settings.worker_concurrency,
                    limits=Limits(
                        running_per_organization=settings.org_running,
                        job_seconds=settings.job_timeout_seconds,
                    ),
                ),
                react=react,
                chores=chores.all_of(platform, system),
                stop=stop,
            )
            relaying.cancel()
            matching.cancel()
            alerting.cancel()
            paying.cancel()
            sending.cancel()

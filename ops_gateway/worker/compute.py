"""A process of the catalogue, run in its bounded child for a claimed job."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from processes import engine
from processes.process import JobError, Source

from .claim import ClaimedJob
from .services import Compute, JobFailed, Log, Made, PassingError, Progress
from .transient import TRANSIENT

Link = Callable[[Source, float], Awaitable[str | None]]
"""A signed link to read a source by, good for so many seconds; None for a file of this machine."""

LINK_MARGIN_SECONDS = 60


def make_compute(link: Link | None = None, env: Mapping[str, str] | None = None) -> Compute:
    """The `Compute` that runs `processes.engine`.

    Args:
        link: for sources in a bucket: a child holds no key, and reads only what its job may.
        env: settings for the children, never a key or a secret.
    """
    # importing the processes takes seconds, in which no heartbeat could be sent: not during a job
    catalogue = engine.discover()

    async def compute(
        job: ClaimedJob,
        sources: Sequence[Source],
        out_dir: Path,
        *,
        progress: Progress,
        log: Log,
        seconds: float,
    ) -> Made:
        process = catalogue.get(job.job_type_id)
        bound = min(seconds, process.max_seconds) if process else seconds
        took: list[engine.Work] = []
        links: dict[str, str] = {}
        if link is not None:
            for source in sources:
                if signed := await link(source, bound + LINK_MARGIN_SECONDS):
                    links[source.path] = signed
        try:
            outputs = await engine.run(
                job.job_type_id,
                job.input_params,
                sources,
                out_dir,
                on_progress=progress,
                on_log=log,
                seconds=bound,
                env=env,
                links=links,
                on_work=took.append,
            )
        except JobError as error:
            if error.code in TRANSIENT:
                raise PassingError(error.code, error.message) from error
            raise JobFailed(error.code, error.message) from error
        return Made(outputs, dataclasses.asdict(took[0]) if took else {})

    return compute

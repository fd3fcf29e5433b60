"""A process of the catalogue, run in its bounded child for a claimed job."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from processes import engine
from processes.process import JobError, Source

from .claim import ClaimedJob
from .services import Compute, JobFailed, Log, Made, PassingError, Progress
from .transient import TRANSIENT


def make_compute(env: Mapping[str, str] | None = None) -> Compute:
    """The `Compute` that runs `processes.engine`.

    Args:
        env: for the children, e.g. read-only storage keys; never a signing or database secret.
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
                on_work=took.append,
            )
        except JobError as error:
            if error.code in TRANSIENT:
                raise PassingError(error.code, error.message) from error
            raise JobFailed(error.code, error.message) from error
        return Made(outputs, dataclasses.asdict(took[0]) if took else {})

    return compute

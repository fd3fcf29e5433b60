"""Following a job until it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from opstac.shell.server import Refusal, Server, no_platform
from opstac.shell.status import LATER, REFUSED, CommandError
from opstac.shell.tables import clean

SOONEST, LATEST = 0.3, 5.0
# how long a platform may be away, as while it is started again
PATIENCE_SECONDS = 120
WIDTH = 24
ENDED = ("completed", "failed", "cancelled")


class NotEnded(Exception):
    """The job has not ended in the time given."""


class Follower:
    """Asks how a job stands, ever more seldom, and tells it."""

    def __init__(
        self,
        server: Server,
        job_id: str,
        *,
        shown: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`shown`: tell on standard error how far it is."""
        self._server, self._job_id = server, job_id
        self._shown = shown and sys.stderr is not None
        self._bar = shown and sys.stderr is not None and sys.stderr.isatty()
        self._told = ""
        self._sleep = sleep

    def follow(self, timeout: float | None = None) -> dict[str, Any]:
        """The job's record, once it has ended.

        Raises:
            NotEnded: it has not after `timeout` seconds.
            CommandError: it is refused, or the platform is away for too long.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause = SOONEST
        job = self._ask(end)
        while job["status"] not in ENDED:
            self._tell(job)
            left = LATEST if end is None else end - time.monotonic()
            if left <= 0:
                self._end_line()
                raise NotEnded(clean(f"{self._job_id} is still {job['status']}"))
            self._sleep(min(pause, left))
            pause = min(pause * 1.3, LATEST)
            job = self._ask(end)
        self._tell(job)
        self._end_line()
        return job

    def _ask(self, end: float | None) -> dict[str, Any]:
        away = None
        body = {"job_id": self._job_id}
        while True:
            try:
                answer = self._server.calling(
                    lambda client: client.op("processing.project_job.get", body)
                )
                job = answer.get("job") if isinstance(answer, dict) else None
                if not isinstance(job, dict) or not isinstance(job.get("status"), str):
                    raise no_platform(self._server.url)
                return job
            except CommandError as error:
                if isinstance(error, Refusal) and error.status == REFUSED:
                    raise
                now = time.monotonic()
                away = away or now
                first = not self._told  # what never answered is not waited for
                if (first and error.status != LATER) or now - away > PATIENCE_SECONDS:
                    raise
                if end is not None and now > end:
                    raise
                self._sleep(1)

    def _tell(self, job: dict[str, Any]) -> None:
        percent = job.get("progress")
        share = min(100.0, max(0.0, percent)) / 100 if isinstance(percent, int | float) else 0.0
        stage = clean(str(job.get("stage") or ""))[:40]
        said = f"{share:4.0%}  {clean(str(job['status']))}  {stage}".rstrip()
        if self._bar:
            bar = "#" * int(share * WIDTH)
            sys.stderr.write(f"\r\x1b[2K[{bar:<{WIDTH}}] {said}")
            sys.stderr.flush()
        elif self._shown and said != self._told:
            print(said, file=sys.stderr, flush=True)
        self._told = said

    def _end_line(self) -> None:
        if self._bar:
            sys.stderr.write("\n")
            sys.stderr.flush()

"""Keeps one child process running: restarts it with growing pauses, takes it down with itself."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress

logger = logging.getLogger(__name__)

HEALTHY_SECONDS = 60


class Supervisor:
    """A process and its successors, one at a time: a worker under one name, or another.

    The child finds the name in `OPSTAC_WORKER_NAME` and its parent in `OPSTAC_PARENT_PID`; a worker
    calls `worker.run`, which makes it die with this process.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        name: str | None = None,
        what: str = "the worker",
        stop_seconds: float = 25,
        first_pause_seconds: float = 0.2,
        longest_pause_seconds: float = 30,
    ) -> None:
        """A supervisor at rest.

        Args:
            argv: the child's command line.
            env: its environment; this process's where None.
            what: it is, in the log.
            stop_seconds: how long it may take to stop after SIGTERM.
        """
        self._argv = list(argv)
        self._what = what
        self._env = dict(os.environ if env is None else env)
        self._env["OPSTAC_WORKER_NAME"] = name or f"{socket.gethostname()}:{os.getpid()}:worker"
        self._env["OPSTAC_PARENT_PID"] = str(os.getpid())
        self._stop_seconds = stop_seconds
        self._pauses = (first_pause_seconds, longest_pause_seconds)
        self._stopping = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self.child: asyncio.subprocess.Process | None = None
        self.starts = 0

    async def __aenter__(self) -> Supervisor:
        """Start; the first child is being started when this returns."""
        self._loop = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the child: SIGTERM, and SIGKILL where it takes too long."""
        self._stopping.set()
        assert self._loop is not None
        await self._loop

    async def _keep(self) -> None:
        pause, longest = self._pauses
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            try:
                # a group of its own: Ctrl-C reaches this process, which stops the child in order
                self.child = await asyncio.create_subprocess_exec(
                    *self._argv, env=self._env, start_new_session=True
                )
                self.starts += 1
                status = await self._until_ended(self.child)
            except OSError as error:
                status = str(error)
            if self._stopping.is_set():
                return
            if asyncio.get_running_loop().time() - began > HEALTHY_SECONDS:
                pause = self._pauses[0]
            told = {"exit_status": status}
            logger.error("%s ended, restarting in %.1f s", self._what, pause, extra=told)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, longest)

    async def _until_ended(self, child: asyncio.subprocess.Process) -> int:
        ended = asyncio.create_task(child.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                with suppress(ProcessLookupError):
                    child.send_signal(signal.SIGTERM)
                await asyncio.wait((ended,), timeout=self._stop_seconds)
            if not ended.done():
                logger.error("%s did not stop in time; killed", self._what)
                with suppress(ProcessLookupError):
                    child.kill()
            return await ended
        finally:
            stopping.cancel()

"""A worker process: takes wake rows, runs jobs on a few slots, reacts to events, reaps."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import NoReturn

from procrastinate import App

from db.pool import Pool
from db.queries import queries
from ops_gateway.kernel.fault import fault

from . import claim, queue
from .reaper import Chore, reap_forever
from .runner import Limits, Run
from .scratch import Scratch
from .services import Compute, React, WorkerServices
from .transient import DATABASE_AWAY

logger = logging.getLogger(__name__)
sql = queries(__file__)

PR_SET_PDEATHSIG = 1
SWEEP_SECONDS = 600
HARD_STOP_SECONDS = 40  # longer than a stop in order may take


@dataclass(frozen=True)
class Settings:
    """One worker process.

    Attributes:
        name: unique among processes alive; kept over restarts, so that the next process under the
            name knows that the one before is dead.
        types: (job type, version) pairs it can run.
        slots: jobs at once.
        reactions: event reactions at once.
    """

    types: Sequence[tuple[str, str]]
    name: str = field(default_factory=lambda: default_name())
    slots: int = 2
    reactions: int = 4
    limits: Limits = field(default_factory=Limits)
    poll_seconds: float = 5
    reap_seconds: float = 5
    stop_seconds: float = 20


def default_name() -> str:
    """`OPSTAC_WORKER_NAME`, which the supervisor sets, or host and process id."""
    return os.environ.get("OPSTAC_WORKER_NAME") or f"{socket.gethostname()}:{os.getpid()}"


class Worker:
    """The runtime behind the queue's tasks. Jobs belong to it, not to the queue's rows: losing the
    queue's connection stops no job."""

    def __init__(
        self,
        pool: Pool,
        services: WorkerServices,
        compute: Compute,
        settings: Settings,
        *,
        react: React | None = None,
    ) -> None:
        """A worker at rest."""
        self._pool = pool
        self._services = services
        self._compute = compute
        self._settings = settings
        self._react = react
        self._slots = asyncio.Semaphore(settings.slots)
        self._serving: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()

    async def serve(self) -> None:
        """Claim and run jobs until none may start now; waits for a free slot first."""
        await self._slots.acquire()
        task = asyncio.create_task(self._serve())
        self._serving.add(task)
        task.add_done_callback(self._served)
        # the row that woke us may be cancelled (its connection broke); the job goes on
        await asyncio.shield(task)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()):
            logger.error("serving stopped", exc_info=error)

    async def _serve(self) -> None:
        fault("worker.before_start")
        while not self.stopping.is_set():
            try:
                job = await claim.claim(
                    self._pool,
                    self._settings.name,
                    types=self._settings.types,
                    running_limit=self._settings.limits.running_per_organization,
                    lease_seconds=self._settings.limits.lease_seconds,
                )
            except DATABASE_AWAY as error:
                logger.warning("no claim: %s", error)  # the reaper wakes us again
                return
            if job is None:
                return
            await Run(self._pool, self._services, self._compute, self._settings.limits, job)()

    async def react(self, event_id: str, reaction: str) -> None:
        """Run one reaction to one event."""
        if self._react is None:
            raise RuntimeError(f"this worker runs no reactions; {reaction} was asked for")
        await self._react(event_id, reaction)

    async def stop(self) -> None:
        """Start nothing new, give running jobs the time allowed, put the rest back in line."""
        self.stopping.set()
        serving = set(self._serving)
        if serving:
            await asyncio.wait(serving, timeout=self._settings.stop_seconds)
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def work(
    pool: Pool,
    services: WorkerServices,
    compute: Compute,
    settings: Settings,
    *,
    react: React | None = None,
    chores: Sequence[Chore] = (),
    stop: asyncio.Event,
) -> None:
    """Run one worker until `stop` is set.

    Args:
        pool: open, as role opstac_system.
        chores: periodic duties that run in one process at a time (see `reaper`).
    """
    worker = Worker(pool, services, compute, settings, react=react)
    await _patiently(lambda: claim.disown(pool, settings.name), stop)
    async with queue.opened(_dsn(pool)) as rows, AsyncExitStack() as stack:
        tasks = [
            asyncio.create_task(_consume(rows, queue.JOBS, worker, settings.slots, settings)),
            asyncio.create_task(_stay_registered(pool, settings)),
            asyncio.create_task(_sweep_scratch(Scratch(settings.limits.scratch))),
            asyncio.create_task(
                reap_forever(
                    pool,
                    services,
                    running_limit=settings.limits.running_per_organization,
                    every_seconds=settings.reap_seconds,
                    chores=chores,
                )
            ),
        ]
        if react is not None:
            name, count = queue.REACTIONS, settings.reactions
            tasks.append(asyncio.create_task(_consume(rows, name, worker, count, settings)))
        stack.push_async_callback(_unregister, pool, settings)
        stack.push_async_callback(_cancel, tasks)
        stack.push_async_callback(worker.stop)
        logger.info("worker ready", extra={"worker": settings.name, "slots": settings.slots})
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        for task in tasks:
            if task.done():
                task.result()  # none ends by itself: a bug ends the process, and it is restarted


def _dsn(pool: Pool) -> str:
    assert isinstance(pool.conninfo, str)  # as db.pool makes it
    return pool.conninfo


async def _patiently(step: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
    """Repeat `step` until the database answers."""
    while not stop.is_set():
        try:
            await step()
            return
        except DATABASE_AWAY as error:
            logger.warning("waiting for the database: %s", error)
            await asyncio.sleep(1)


async def _consume(
    rows: App, name: str, worker: Worker, concurrency: int, settings: Settings
) -> None:
    """Take rows for ever: Procrastinate's worker ends when a connection breaks."""
    pause = 0.2
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await queue.consume(
                rows, name, worker, concurrency=concurrency, poll_seconds=settings.poll_seconds
            )
            logger.warning("the queue's reader ended, beginning anew", extra={"queue": name})
        except asyncio.CancelledError:
            raise
        except Exception as error:
            logger.warning("the queue is not readable: %s", error, extra={"queue": name})
        if asyncio.get_running_loop().time() - began > 60:
            pause = 0.2
        await asyncio.sleep(pause)
        pause = min(2 * pause, 10)


async def _stay_registered(pool: Pool, settings: Settings) -> None:
    """Keep the rows that say what this worker can run; processing.dispatch looks for them."""
    while True:
        try:
            async with pool.connection() as connection, connection.cursor() as cursor:
                await cursor.executemany(
                    sql.register_worker,
                    [
                        {"type": name, "version": version, "name": settings.name}
                        for name, version in settings.types
                    ],
                )
        except DATABASE_AWAY as error:
            logger.warning("not registered: %s", error)
            await asyncio.sleep(1)
            continue
        await asyncio.sleep(10)


async def _sweep_scratch(scratch: Scratch) -> None:
    """Remove what killed workers of this machine left, at the start and now and then."""
    while True:
        swept = await asyncio.to_thread(scratch.sweep)
        if swept:
            logger.info("scratch folders of dead workers removed", extra={"count": swept})
        await asyncio.sleep(SWEEP_SECONDS)


async def _unregister(pool: Pool, settings: Settings) -> None:
    with suppress(*DATABASE_AWAY):
        async with pool.connection() as connection:
            await connection.execute(sql.unregister_worker, {"name": settings.name})


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def run(main: Callable[[asyncio.Event], Awaitable[None]], *, nice: int = 10) -> NoReturn:
    """Run `main(stop)` as the whole process: low priority, dies with its parent, stops on SIGTERM.

    Args:
        main: coroutine function taking the event that is set when the process should stop.

    A second signal ends the process at once. Exit status 0 after a stop that was asked for.
    """
    die_with_parent()
    with suppress(OSError):
        os.nice(nice)

    async def under_signals() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if stop.is_set():
                os._exit(130)
            stop.set()
            # whatever hangs on a database that is gone: what it held is found by its lease
            last = threading.Timer(HARD_STOP_SECONDS, os._exit, (1,))
            last.daemon = True
            last.start()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        await main(stop)

    asyncio.run(under_signals())
    sys.exit(0)


def die_with_parent() -> None:
    """Be killed when the process that started this one ends (Linux); no effect elsewhere.

    `OPSTAC_PARENT_PID`, set by the supervisor, closes the gap in which the parent died before this
    was called.
    """
    parent = os.environ.get("OPSTAC_PARENT_PID")
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit(0)

"""The queue: two tasks on Procrastinate, deferred in the transaction of the caller's connection.

`wake` says that some job may be waiting; whoever takes it claims whichever job is fair next.
`react` runs one reaction to one event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from psycopg import AsyncConnection

from db.pool import Connection, session_options
from db.queries import queries

JOBS, REACTIONS = "jobs", "reactions"

sql = queries(__file__)
app = App(connector=PsycopgConnector(), import_paths=["ops_gateway.worker.queue"])


class Runtime(Protocol):
    """What a worker process hands to the tasks it runs."""

    async def serve(self) -> None:
        """Claim and run jobs until none may start now."""
        ...

    async def react(self, event_id: str, reaction: str) -> None:
        """Run the reaction named to the event with this id."""
        ...


@app.task(name="wake", queue=JOBS, pass_context=True)
async def wake(context: JobContext) -> None:
    """Some job may be waiting."""
    runtime: Runtime = context.additional_context["runtime"]
    await runtime.serve()


@app.task(
    name="react",
    queue=REACTIONS,
    pass_context=True,
    retry=RetryStrategy(max_attempts=5, exponential_wait=4),
)
async def react(context: JobContext, *, event_id: str, reaction: str) -> None:
    """Run one reaction to one event; repeated after a failure, so reactions are safe to repeat."""
    runtime: Runtime = context.additional_context["runtime"]
    await runtime.react(event_id, reaction)


async def defer_wake(connection: Connection, *, at: datetime | None = None) -> int:
    """Wake a worker once the connection's transaction commits, or `at` a later time.

    Returns: the queue row's id.
    """
    # what `wake.configure(…).defer_async()` sends, at a quarter of its cost: it is part of every
    # dispatch and the arguments are always the same
    cursor = await connection.execute(sql.defer_wake, {"at": at})
    row = await cursor.fetchone()
    assert row is not None
    return row["id"]


async def defer_react(connection: Connection, *, event_id: str, reaction: str) -> int:
    """Run `reaction` to the event once the connection's transaction commits.

    Returns: the queue row's id.
    """
    task = react.configure(connection=connection)
    return await task.defer_async(event_id=event_id, reaction=reaction)


@asynccontextmanager
async def opened(dsn: str, *, max_size: int = 4) -> AsyncIterator[App]:
    """The queue with connections of its own, for a process that takes rows from it.

    Procrastinate decides itself when its connections commit, so the platform's pool is not lent.
    """

    async def configure(connection: AsyncConnection[Any]) -> None:
        await connection.execute("set role opstac_system")
        if not connection.autocommit:
            await connection.commit()

    connector = PsycopgConnector(
        conninfo=dsn,
        kwargs={"options": session_options()},
        configure=configure,
        min_size=1,
        max_size=max_size,
        timeout=5,
        max_lifetime=1800,
        name="queue",
    )
    with app.replace_connector(connector) as queue:
        async with queue.open_async():
            yield queue


async def consume(
    queue: App, name: str, runtime: Runtime, *, concurrency: int, poll_seconds: float = 5
) -> None:
    """Take the rows of queue `name` until cancelled, or until the database goes away.

    Args:
        queue: what `opened` gave.
        concurrency: rows at once.
        poll_seconds: how often to look without having been notified.
    """
    await queue.run_worker_async(
        queues=[name],
        concurrency=concurrency,
        additional_context={"runtime": runtime},
        install_signal_handlers=False,
        delete_jobs="successful",
        fetch_job_polling_interval=poll_seconds,
        shutdown_graceful_timeout=1,
    )

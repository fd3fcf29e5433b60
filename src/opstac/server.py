"""Serving: a socket of our own, readiness that ends first, a worker under a supervisor."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from ops_gateway.surfaces.metrics import Metrics
from opstac.cli import CommandError
from opstac.compose import Platform, Served, embedded, tiler_alone
from opstac.connections import Bounded
from opstac.settings import Settings, smtp_environment

DRAIN_SECONDS = 3.0
FINISH_SECONDS = 25
MOST_FILES = 65_536


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket; raises CommandError where the port is taken.

    `shared`: other processes of the same user may listen on it too, each for its connections.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CommandError(
            f"cannot listen on {host}:{port}: {error.strerror}; another program has the port, "
            "choose one with --port or OPSTAC_PORT"
        ) from None
    listener.set_inheritable(False)
    return listener


class Server(uvicorn.Server):
    """uvicorn that stops in order: not ready any more, then no new requests, then the end."""

    def __init__(self, config: uvicorn.Config, *, drain_seconds: float) -> None:
        """`drain_seconds`: how long load balancers have to notice."""
        super().__init__(config)
        self.draining = False
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second ends at once."""
        if self.draining or not self._drain_seconds:
            super().handle_exit(sig, frame)
            return
        self.draining = True
        loop = asyncio.get_running_loop()
        loop.call_later(self._drain_seconds, super().handle_exit, sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A SIGTERM has done its work once the server has stopped. Raised again, as uvicorn does,
        it would end the process before pools, worker and database are closed.
        """
        with super().capture_signals():
            yield
            self._captured_signals = [s for s in self._captured_signals if s != signal.SIGTERM]


def on_uvloop(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` on uvloop: a statement costs the server half of what it does on asyncio's loop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


async def serve(
    settings: Settings,
    listener: socket.socket,
    *,
    service: str = "all",
    worker: bool = True,
    worker_env: Mapping[str, str] | None = None,
    drain_seconds: float = DRAIN_SECONDS,
    ready: Callable[[Platform], Awaitable[bool | None]] | None = None,
) -> None:
    """Serve until a signal; `ready` runs once requests are answered, beside them.

    Args:
        service: `all`, or the one app to serve alone.
        worker: keep a worker process under a supervisor.
        worker_env: environment of the worker beside this process's own.
        ready: what to do when the server answers; it may ask for the end by giving True, and its
            failure stops the server and is raised.
    """
    from ops_gateway.worker.supervisor import Supervisor

    open_files()
    server: Server | None = None
    async with AsyncExitStack() as stack:

        def draining() -> bool:
            return bool(server and (server.draining or server.should_exit))

        platform: Platform | None = None
        if service == "tiler" and settings.verify_keys:
            served: Served | Platform = await stack.enter_async_context(
                tiler_alone(settings, draining=draining)
            )
        else:
            served = platform = await stack.enter_async_context(
                embedded(settings, service=service, draining=draining, apart=True)
            )
        if settings.metrics_port is not None:
            await stack.enter_async_context(
                metrics_served(served.metrics, settings.metrics_port, platform)
            )
        if worker:
            argv = [sys.executable, "-P", "-m", "opstac", "worker"]
            await stack.enter_async_context(
                Supervisor(argv, env={**os.environ, **(worker_env or {})})
            )
        server = Server(
            uvicorn.Config(
                served.app,
                http=Bounded,
                ws="none",
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=True,
                # uvicorn believes what the client wrote of itself; the edge what the proxy adds
                proxy_headers=False,
                timeout_graceful_shutdown=FINISH_SECONDS,
                timeout_keep_alive=30,
            ),
            drain_seconds=drain_seconds,
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        errors: list[BaseException] = []
        beside: asyncio.Task[None] | None = None
        if ready is not None and platform is not None:
            whole = platform

            async def then() -> None:
                while not server.started and not serving.done():
                    await asyncio.sleep(0.01)
                if await ready(whole):
                    server.should_exit = True

            beside = asyncio.create_task(then())

            def ended(task: asyncio.Task[None]) -> None:
                if not task.cancelled() and (error := task.exception()) is not None:
                    errors.append(error)
                    server.should_exit = True

            beside.add_done_callback(ended)
        await serving
        if beside is not None and not beside.done():
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
    if errors:
        raise errors[0]


@asynccontextmanager
async def metrics_served(
    metrics: Metrics, port: int, platform: Platform | None
) -> AsyncIterator[None]:
    """`/metrics` on a loopback port of its own, and a look at the ledger now and then."""
    with listen("127.0.0.1", port) as listener:
        config = uvicorn.Config(metrics.app(), log_config=None, access_log=False, lifespan="off")
        server = MetricsServer(config)
        tasks = [asyncio.create_task(server.serve(sockets=[listener]))]
        if platform is not None:
            tasks.append(asyncio.create_task(metrics.watch_ledger(platform.pool)))
        try:
            yield
        finally:
            server.should_exit = True
            for watching in tasks[1:]:
                watching.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class MetricsServer(uvicorn.Server):
    """A server beside the main one, which alone answers to signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to the main server."""
        yield


def worker_environment(settings: Settings, home: Path) -> dict[str, str]:
    """What a process started by this one needs to find the same platform."""
    return {
        "DATABASE_URL": settings.dsn,
        "OPSTAC_HOME": str(home),
        "OPSTAC_STORAGE": settings.storage,
        "OPSTAC_SECRET_KEY": settings.master_secret.decode(),
        "OPSTAC_ISSUER": settings.issuer,
        "OPSTAC_ORG_RUNNING": str(settings.org_running),
        "OPSTAC_WORKER_CONCURRENCY": str(settings.worker_concurrency),
        "OPSTAC_JOB_TIMEOUT_SECONDS": str(settings.job_timeout_seconds),
        "OPSTAC_CONVERT_INLINE_BYTES": str(settings.convert_inline_bytes),
        **({"OPSTAC_WEBHOOK_ALLOW": settings.webhook_allow} if settings.webhook_allow else {}),
        **(smtp_environment(settings.smtp) if settings.smtp else {}),
        **stripe_environment(settings),
    }


def stripe_environment(settings: Settings) -> dict[str, str]:
    """The settings of card payments that are set."""
    found = {
        "OPSTAC_STRIPE_KEY": settings.stripe_key,
        "OPSTAC_STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret,
        "OPSTAC_STRIPE_API_BASE": settings.stripe_api_base,
    }
    return {name: value for name, value in found.items() if value}


def open_files() -> None:
    """As many open files as this process may have: a connection is one, and the usual first limit
    is reached by a thousand that ask for nothing.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # a system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def ignore_pipe() -> None:
    """A reader of our output that goes away must not end the server."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)

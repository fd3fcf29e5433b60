"""A platform of its own on a port of its own, served by a thread: the tests block as clients do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from db.pool import Pool, make_pool
from ops_gateway.kernel.services import Limits
from opstac import compose, rehearsal
from opstac.server import MetricsServer, listen
from opstac.settings import Settings

CRON = "the-token-of-the-scheduler-of-the-walk"


@dataclass(frozen=True)
class Running:
    """The platform, the pool of its chores, the loop of both, and what steers the cards."""

    url: str
    platform: compose.Platform
    system: Pool
    loop: asyncio.AbstractEventLoop
    cards: rehearsal.Rehearsal

    def run(self, work: Awaitable[Any]) -> Any:
        """Wait for a coroutine in the platform's loop."""

        async def whole() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(whole(), self.loop).result(120)


@contextmanager
def running(dsn: str, home: Path) -> Iterator[Running]:
    """Serve while the block lasts."""
    with rehearsal.rehearsing() as (endpoint, cards), listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings(
            dsn=dsn,
            home=home,
            storage=str(home / "objects"),
            master_secret=b"a master secret of the walk, 32+",
            public_url=url,
            cron_token=CRON,
            webhook_allow="127.0.0.1/32:1024-65535",
            stripe_key=rehearsal.KEY,
            stripe_webhook_secret=rehearsal.WEBHOOK_SECRET,
            stripe_api_base=endpoint,
            limits=Limits(10**6, 10**6, 10**6, 10**6, public_reads=0),
        )
        ready: list[Any] = []
        up, down = threading.Event(), asyncio.Event()

        async def serve() -> None:
            async with (
                compose.embedded(settings, late=True) as platform,
                make_pool(dsn, "opstac_system", min_size=1, max_size=4) as system,
            ):
                config = uvicorn.Config(
                    platform.app, log_config=None, access_log=False, lifespan="off", ws="none",
                    timeout_keep_alive=30,  # as `opstac serve` has it: clients wait for each other
                )  # fmt: skip
                server = MetricsServer(config)  # leaves the signals to pytest
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                while not server.started and not serving.done():
                    await asyncio.sleep(0.01)
                ready.append((platform, system, asyncio.get_running_loop()))
                up.set()
                await down.wait()
                server.should_exit = True
                await serving

        def thread() -> None:
            try:
                asyncio.run(serve())
            except BaseException as error:
                ready.append(error)
                raise
            finally:
                up.set()

        served = threading.Thread(target=thread, daemon=True)
        served.start()
        up.wait(60)
        if not ready or isinstance(ready[0], BaseException):
            raise RuntimeError("the platform of the walk did not start") from ready[0]
        platform, system, loop = ready[0]
        try:
            yield Running(url, platform, system, loop, cards)
        finally:
            loop.call_soon_threadsafe(down.set)
            served.join(30)


Work = Callable[[Any], Awaitable[Any]]

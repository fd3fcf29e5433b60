"""The tiler: told who may see what, and where its pictures are drawn."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from db.pool import make_pool
from ops_gateway.surfaces.limits import Limited
from ops_gateway.worker.supervisor import Supervisor
from opstac import mosaics, tiles
from opstac.children import SECRET
from opstac.settings import Settings
from opstac.usage import Counted, counting
from tiler import handles
from tiler.app import create_app as create_tiler
from tiler.drawing import DrawingPool
from tiler.pool import TilePool

if TYPE_CHECKING:
    from opstac.compose import Platform

DrawnIn = TilePool | DrawingPool


async def tiler_app(platform: Platform, stack: AsyncExitStack, pool: DrawnIn) -> ASGIApp:
    """Tiles, resolved by a role that may do nothing else."""
    settings = platform.settings
    readers = await stack.enter_async_context(
        make_pool(settings.dsn, "opstac_tiler", min_size=min(1, settings.pool_idle), max_size=4)
    )
    count = await stack.enter_async_context(counting(readers))
    resolving = (
        readers,
        platform.authenticator,
        platform.services.objects,
        platform.keys.tile.public_bytes(),
        platform.services.remote,
    )
    app = create_tiler(
        tiles.Resolver(*resolving),
        sign_tile_token=tiles.signer(platform.keys.tile.private_bytes()),
        pool=pool,
        base_url=settings.public_url,
        resolve_mosaic=mosaics.MosaicResolver(*resolving),
        sign_mosaic_token=mosaics.signer(platform.keys.tile.private_bytes()),
    )
    return Limited(Counted(app, count), platform.limiter)


def make_tile_pool(settings: Settings) -> TilePool:
    """Where rasters are drawn, and how much memory that may take."""
    handles.bound(settings.tile_memory_mb << 20)
    return TilePool(
        settings.tile_threads or None,
        timeout_seconds=settings.tile_seconds,
        max_wait_seconds=settings.tile_wait_seconds,
    )


@asynccontextmanager
async def drawing(settings: Settings) -> AsyncIterator[DrawingPool]:
    """As `make_tile_pool` in a process under a supervisor, which has no key and no connection."""
    pool = DrawingPool(timeout_seconds=settings.tile_seconds)
    options = {
        "memory_bytes": settings.tile_memory_mb << 20,
        "workers": settings.tile_threads or None,
        "timeout_seconds": settings.tile_seconds,
        "max_wait_seconds": settings.tile_wait_seconds,
    }
    async with pool.listening() as address:
        argv = [sys.executable, "-P", "-m", "tiler.drawing", address, json.dumps(options)]
        env = {name: value for name, value in os.environ.items() if not SECRET.match(name)}
        async with Supervisor(argv, env=env, what="the drawing process", stop_seconds=2):
            try:
                yield pool
            finally:
                pool.close()

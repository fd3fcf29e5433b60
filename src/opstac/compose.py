"""Composition: the one place that knows every package and hands each what it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from db.pool import Pool, make_pool
from ops_gateway.app import create_app
from ops_gateway.kernel.authenticate import Authenticator
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.secrets import Keys
from ops_gateway.kernel.services import Options, Services
from ops_gateway.surfaces.edge import Edge
from opstac.settings import Settings


@dataclass(frozen=True)
class Platform:
    """The parts of a running platform."""

    settings: Settings
    keys: Keys
    pool: Pool
    services: Services
    pipeline: Pipeline
    authenticator: Authenticator
    app: ASGIApp


@asynccontextmanager
async def embedded(settings: Settings) -> AsyncIterator[Platform]:
    """Everything in one process: the four apps on one ASGI application."""
    keys = Keys(settings.master_secret)
    async with make_pool(settings.dsn, "opstac_app", min_size=2, max_size=settings.pool_size) as pool:
        services = make_services(settings, keys)
        pipeline = Pipeline(pool, services)
        authenticator = Authenticator(
            pool, keys, issuer=settings.issuer, cron_token=settings.cron_token
        )

        async def database() -> None:
            async with pool.connection(timeout=1) as connection:
                await connection.execute("select 1")

        gateway = create_app(pipeline, checks={"database": database})
        app = Edge(gateway, authenticator, public_url=settings.public_url)
        yield Platform(settings, keys, pool, services, pipeline, authenticator, app)


def make_services(settings: Settings, keys: Keys) -> Services:
    """The outside parties of `settings`."""

    async def compute(function: Any, /, *args: Any, **kwargs: Any) -> Any:
        import asyncio

        return await asyncio.to_thread(function, *args, **kwargs)

    async def child(function: str, /, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def wake(_: Any) -> int | None:
        return None

    return Services(
        objects=None,  # type: ignore[arg-type]
        keys=keys,
        compute=compute,
        child=child,
        wake=wake,
        options=Options(
            signup_credits=settings.signup_credits,
            storage_quota_bytes=settings.storage_quota_bytes,
            upload_max_bytes=settings.upload_max_bytes,
            job_timeout_seconds=settings.job_timeout_seconds,
            limits=settings.limits,
        ),
    )

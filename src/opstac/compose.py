"""Composition: the one place that knows every package and hands each what it needs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from db.listen import Listener
from db.objects import Objects
from db.pool import Pool, make_pool
from db.queries import queries
from ops_gateway import domains
from ops_gateway.app import create_app, health_app
from ops_gateway.domains import uploads
from ops_gateway.identity.server import Server as IdentityServer
from ops_gateway.kernel import holders
from ops_gateway.kernel.authenticate import Authenticator
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.kernel.secrets import Keys, PublicKeys
from ops_gateway.kernel.services import Options, Services
from ops_gateway.providers.addresses import parse_allowances
from ops_gateway.providers.delivery import Sender
from ops_gateway.providers.payments import StripeCards
from ops_gateway.providers.remote import RemoteFiles, parse_hosts
from ops_gateway.surfaces import (
    assets,
    astra,
    job_outputs,
    notifications,
    pages,
    provider,
    share,
    storage,
    stripe,
)
from ops_gateway.surfaces.edge import Edge
from ops_gateway.surfaces.limits import Limited, RateLimiter
from ops_gateway.surfaces.load import Load
from ops_gateway.surfaces.mcp import door as mcp
from ops_gateway.surfaces.metrics import Metrics
from ops_gateway.worker import queue
from opstac import deliveries, mosaics, tiles
from opstac.agents import agents_door
from opstac.children import child_runner
from opstac.drawn import DrawnIn, drawing, make_tile_pool, tiler_app
from opstac.identity import identity_routes, identity_server
from opstac.ogc import ogc_app
from opstac.settings import Settings
from opstac.stac import PREFIXES as STAC_PREFIXES
from opstac.stac import searching, stac_app
from opstac.usage import EGRESS, FILES, SEARCHES, Counted, counting
from tiler.app import PREFIXES as TILE_PREFIXES
from tiler.app import create_app as create_tiler

sql = queries(__file__)

OGC_PREFIX = "/ogc"


@dataclass(frozen=True)
class Served:
    """An app and its figures, of a process that has nothing else."""

    app: ASGIApp
    metrics: Metrics


@dataclass(frozen=True)
class Platform:
    """The parts of a running platform."""

    settings: Settings
    keys: Keys
    pool: Pool
    services: Services
    pipeline: Pipeline
    authenticator: Authenticator
    metrics: Metrics
    limiter: RateLimiter
    app: ASGIApp
    identity: IdentityServer | None = None


class Dispatch:
    """Sends a request to the app whose prefix its path has; paths are not stripped, so that every
    app builds its links from the whole path.
    """

    def __init__(self, mounted: Sequence[tuple[str, ASGIApp]], rest: ASGIApp) -> None:
        """`mounted`: (prefix, app), longest first where one begins another."""
        self._mounted = mounted
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path = scope["path"]
        for prefix, app in self._mounted:
            if path == prefix or path.startswith(prefix + "/"):
                await app(scope, receive, send)
                return
        await self._rest(scope, receive, send)


class Late:
    """An app that is made when it is first asked."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        """`make` is called once."""
        self.make = cache(make)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self.make()(scope, receive, send)


@asynccontextmanager
async def core(
    settings: Settings,
    *,
    pool_size: int | None = None,
    readers: int = 0,
    tile_pool: DrawnIn | None = None,
) -> AsyncIterator[Platform]:
    """Pool, services and pipeline without a surface: what a worker and a command need.

    Args:
        readers: connections for searches, none where the process answers none.
        tile_pool: where rasters are drawn; threads of this process where None.
    """
    domains.load()
    keys = Keys(settings.master_secret)
    size = pool_size or settings.pool_size
    with closing(tile_pool or make_tile_pool(settings)) as tile_pool:
        async with (
            make_pool(
                settings.dsn, "opstac_app", min_size=settings.pool_idle, max_size=size
            ) as pool,
            AsyncExitStack() as stack,
        ):
            remote = remote_files(settings)
            stack.callback(remote.close)
            cards = card_provider(settings)
            if cards is not None:
                stack.push_async_callback(cards.close)
            count = await stack.enter_async_context(counting(pool))
            searcher = await stack.enter_async_context(
                searching(settings, keys, readers, lambda owner: count.note(owner, SEARCHES))
            )

            async def drain(limit: int) -> dict[str, int]:
                return await deliveries.drain(pipeline, settings, limit)

            services = replace(
                make_services(settings, keys, tile_pool),
                drain=drain,
                searcher=searcher,
                remote=remote,
                cards=cards,
                count_tile=count.note,
                count_file=lambda owner: count.note(owner, FILES),
                count_egress=lambda owner, size: count.note(owner, EGRESS, size),
            )
            metrics = Metrics({"opstac_app": pool})
            pipeline = Pipeline(pool, services, observe=metrics.operation)
            authenticator = Authenticator(
                pool, keys, issuer=settings.issuer, cron_token=settings.cron_token
            )

            async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
                raise RuntimeError("this process serves no requests")

            yield Platform(
                settings,
                keys,
                pool,
                services,
                pipeline,
                authenticator,
                metrics,
                RateLimiter(settings.limits),
                nothing,
            )


def make_objects(settings: Settings) -> Objects:
    """The object store; GDAL is told how to reach it."""
    objects = Objects(settings.storage, spool=settings.home / "spool")
    os.environ.update(objects.gdal_options())
    return objects


@asynccontextmanager
async def tiler_alone(
    settings: Settings, *, draining: Callable[[], bool] = lambda: False
) -> AsyncIterator[Served]:
    """The tiler as a process that parses hostile files and must reach nothing else.

    Its database role may resolve an asset and no more, its keys verify and sign nothing.
    """
    keys = PublicKeys.parse(settings.verify_keys or "")
    objects = make_objects(settings)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            make_pool(settings.dsn, "opstac_tiler", min_size=1, max_size=4)
        )
        authenticator = Authenticator(pool, keys, issuer=settings.issuer, notes_use=False)
        tile_pool = await stack.enter_async_context(drawing(settings))
        remote = remote_files(settings)
        stack.callback(remote.close)
        count = await stack.enter_async_context(counting(pool))
        tiler = create_tiler(
            tiles.Resolver(pool, authenticator, objects, keys.tile.public_bytes(), remote),
            pool=tile_pool,
            base_url=settings.public_url,
            resolve_mosaic=mosaics.MosaicResolver(
                pool, authenticator, objects, keys.tile.public_bytes(), remote
            ),
        )
        tiles_app = Limited(Counted(tiler, count), RateLimiter(settings.limits))
        health = health_app({"database": lambda: ping(pool)}, draining)
        metrics = Metrics({"opstac_tiler": pool})
        app = Edge(
            Dispatch([(prefix, tiles_app) for prefix in TILE_PREFIXES], health),
            authenticator,
            public_url=settings.public_url,
            trusted_proxy=settings.trusted_proxy,
            observe=metrics.request,
            any_origin=TILE_PREFIXES,
            load=load_of(settings),
        )
        yield Served(app, metrics)


@asynccontextmanager
async def embedded(
    settings: Settings,
    *,
    service: str = "all",
    draining: Callable[[], bool] = lambda: False,
    late: bool = False,
    apart: bool = False,
) -> AsyncIterator[Platform]:
    """The four apps on one ASGI application, or one of them alone.

    Args:
        service: `all`, `gateway`, `stac`, `tiler` or `processes`; health is answered by each.
        draining: the process is about to stop; it is not ready any more.
        late: STAC and OGC apps are made when first asked, for a platform that lives for seconds.
        apart: rasters are drawn in a process of its own, which may crash.
    """
    async with AsyncExitStack() as stack:
        tile_pool = (
            await stack.enter_async_context(drawing(settings))
            if apart
            else make_tile_pool(settings)
        )
        platform = await stack.enter_async_context(
            core(settings, readers=max(2, settings.pool_size // 2), tile_pool=tile_pool)
        )
        wanted = {"stac", "tiler", "processes", "gateway"} if service == "all" else {service}
        engines: list[tuple[str, Late]] = []
        if "stac" in wanted:
            engines += [(at, Late(partial(stac_app, platform, at))) for at in STAC_PREFIXES]
        if "processes" in wanted:
            engines.append((OGC_PREFIX, Late(partial(ogc_app, platform))))
        mounted: list[tuple[str, ASGIApp]] = [
            (at, engine if late else engine.make()) for at, engine in engines
        ]
        if "tiler" in wanted:
            tiler = await tiler_app(platform, stack, tile_pool)
            mounted += [(prefix, tiler) for prefix in TILE_PREFIXES]
        checks = {
            "database": lambda: ping(platform.pool),
            "storage": platform.services.objects.check,
        }
        people = Listener(settings.dsn, notifications.CHANNEL)
        stack.push_async_callback(people.close)
        if "gateway" in wanted:
            platform = replace(platform, identity=await identity_server(platform, stack))
            agents = await agents_door(platform, draining, stack)
            gateway = gateway_app(platform, checks, draining, people, agents)
        else:
            gateway = health_app(checks, draining)
        app = Edge(
            Dispatch(mounted, gateway),
            platform.authenticator,
            public_url=settings.public_url,
            trusted_proxy=settings.trusted_proxy,
            observe=platform.metrics.request,
            any_origin=[prefix for prefix, _ in mounted if prefix != OGC_PREFIX],
            challenges={mcp.AT: mcp.challenge, f"{mcp.AT}/": mcp.challenge},
            load=load_of(settings),
        )
        yield replace(platform, app=app)


def load_of(settings: Settings) -> Load:
    """What the requests of this process may hold at once."""
    return Load(requests=settings.max_requests, body_bytes=settings.max_body_bytes)


def remote_files(settings: Settings) -> RemoteFiles:
    """What opens rasters of other hosts; none where no host is allowed. Raises: ValueError."""
    return RemoteFiles(
        parse_hosts(settings.raster_hosts), allow=parse_allowances(settings.raster_allow)
    )


def card_provider(settings: Settings) -> StripeCards | None:
    """What charges cards; None where the operator has set no key."""
    if settings.stripe_key is None:
        return None
    return StripeCards(
        settings.stripe_key,
        webhook_secret=settings.stripe_webhook_secret,
        api_base=settings.stripe_api_base,
    )


def gateway_app(
    platform: Platform,
    checks: dict[str, Any],
    draining: Callable[[], bool],
    people: Listener,
    agents: mcp.Door,
) -> ASGIApp:
    """The operations and what belongs to them."""
    return create_app(
        platform.pipeline,
        limiter=platform.limiter,
        checks=checks,
        draining=draining,
        extra=[
            *storage.storage_routes(
                platform.services.objects,
                [platform.keys.storage],
                may_write=lambda path: upload_is_open(platform.pool, path),
                accept=lambda path, size: uploads.accept_file(platform.pool, path, size),
                sent=platform.services.count_egress,
                stands=lambda holder: holders.label_stands(platform.pool, holder),
                count=platform.limiter.count_signed,
            ),
            *job_outputs.routes(platform.pipeline, platform.limiter),
            *assets.routes(platform.pipeline, platform.limiter),
            *astra.routes(platform.pipeline, platform.limiter),
            *provider.routes(platform.pipeline, platform.limiter),
            *notifications.routes(
                notifications.CountStreams(
                    platform.pipeline, platform.limiter, platform.authenticator, people, draining
                )
            ),
            *stripe.routes(platform.pipeline),
            *identity_routes(platform),
            *share.routes(platform.pipeline, platform.limiter),
            *agents.routes(),
            *pages.routes(),
        ],
    )


async def ping(pool: Pool) -> None:
    """Raise unless the database answers."""
    async with pool.connection(timeout=1) as connection:
        await connection.execute("select 1")


async def upload_is_open(pool: Pool, path: str) -> bool:
    """Whether the session an object belongs to still takes files."""
    organization = path.split("/", 1)[0]
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(sql.bind, {"org": organization})
        cursor = await connection.execute(sql.upload_is_open, {"org": organization, "path": path})
        return await cursor.fetchone() is not None


def make_services(settings: Settings, keys: Keys, pool: DrawnIn) -> Services:
    """The outside parties of `settings`."""

    async def defer(connection: Any, reaction: str, subject: str) -> int:
        return await queue.defer_react(connection, event_id=subject, reaction=reaction)

    return Services(
        objects=make_objects(settings),
        keys=keys,
        compute=pool.run,
        child=child_runner(),
        wake=queue.defer_wake,
        defer=defer,
        receivers=Sender(allow=parse_allowances(settings.webhook_allow)),
        options=Options(
            signup_credits=settings.signup_credits,
            storage_quota_bytes=settings.storage_quota_bytes,
            upload_max_bytes=settings.upload_max_bytes,
            convert_inline_bytes=settings.convert_inline_bytes,
            job_timeout_seconds=settings.job_timeout_seconds,
            invoice_seller=settings.invoice_seller,
            mail=settings.smtp is not None,
            public_url=settings.public_url,
            limits=settings.limits,
        ),
    )

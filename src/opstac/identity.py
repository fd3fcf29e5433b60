"""Who people are: their database role, the token endpoints and the pages of accounts."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Route

from db.pool import make_pool
from ops_gateway.identity.clients import parse_clients
from ops_gateway.identity.forms import Forms
from ops_gateway.identity.later import Later
from ops_gateway.identity.server import Server as IdentityServer
from ops_gateway.identity.store import Store as IdentityStore
from ops_gateway.identity.tokens import Tokens
from ops_gateway.providers.openid import OpenIdProvider
from ops_gateway.surfaces import oidc, sign_in
from ops_gateway.surfaces.limits import Limited

if TYPE_CHECKING:
    from opstac.compose import Platform


async def identity_server(platform: Platform, stack: AsyncExitStack) -> IdentityServer:
    """Who people are, kept by a database role that reaches no tenant's table."""
    settings = platform.settings
    pool = await stack.enter_async_context(
        make_pool(settings.dsn, "opstac_identity", min_size=1, max_size=4)
    )
    store, later = IdentityStore(pool), Later()
    stack.push_async_callback(later.close)
    return IdentityServer(
        store,
        Tokens(store, platform.keys, settings.issuer),
        later,
        registered=parse_clients(settings.oauth_clients),
    )


def identity_routes(platform: Platform) -> list[BaseRoute]:
    """Tokens, and the pages where people sign in and approve; each request of them is counted."""
    server, limiter = platform.identity, platform.limiter
    assert server is not None
    shown = sign_in.routes(
        server,
        platform.authenticator,
        platform.pipeline,
        limiter,
        Forms(platform.keys.forms),
        open_to_all=platform.settings.sign_up == "open",
        public_url=platform.settings.public_url,
        provider=OpenIdProvider(platform.settings.oidc) if platform.settings.oidc else None,
    )
    for page in shown:
        if isinstance(page, Route):
            page.app = Limited(page.app, limiter)
    return [*oidc.routes(server, platform.authenticator, platform.keys, limiter), *shown]

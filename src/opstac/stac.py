"""The STAC API wired to the gateway: who asks, and which operation a write runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.types import ASGIApp

from ops_gateway.catalogue.search import item_links, visibility_of
from ops_gateway.kernel.answers import Call
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Forbidden, Invalid, NotFound
from ops_gateway.kernel.operation import REGISTRY
from ops_gateway.kernel.secrets import Keys
from ops_gateway.surfaces.limits import Limited, client_address
from opstac.settings import Settings
from stac_api import errors
from stac_api.reader import reader_pool
from stac_api.search import Searcher
from stac_api.tenancy import PUBLIC, Visibility

if TYPE_CHECKING:
    from opstac.compose import Platform

PREFIXES = ("/assets/stac", "/v2/assets/stac")


@asynccontextmanager
async def searching(
    settings: Settings, keys: Keys, readers: int, note_public: Callable[[str], None]
) -> AsyncIterator[Searcher | None]:
    """What answers searches, over at most `readers` connections; None for 0."""
    if not readers:
        yield None
        return
    idle = min(1, settings.pool_idle)
    async with reader_pool(settings.dsn, min_size=idle, max_size=readers) as pool:
        yield Searcher(pool, keys.paging, note_public=note_public)


def stac_app(platform: Platform, prefix: str) -> ASGIApp:
    """The STAC API under one of its prefixes."""
    searcher = platform.services.searcher
    assert searcher is not None, "a server has a searcher"
    from stac_api.app import create_app  # brings FastAPI, which a worker has no use for

    async def visibility(request: Request) -> Visibility:
        principal: Principal = request.scope["principal"]
        if principal.kind == "anonymous":
            return PUBLIC
        if principal.organization_id is None:
            raise Forbidden("User not in an organization")
        if not principal.allows("items:read"):
            raise Forbidden("missing scope 'items:read' for the STAC API")
        return visibility_of(principal)

    async def run_op(request: Request, op_id: str, body: dict[str, Any]) -> dict[str, Any]:
        op, principal = REGISTRY[op_id], request.scope["principal"]
        platform.pipeline.admit(op, principal)
        # its key was counted with the request
        counted = replace(principal, rate_limit=None)
        platform.limiter.count(op, counted, client_address(request.scope))
        call = Call(
            principal,
            request_id=request.scope["request_id"],
            base_url=request.scope["base_url"],
        )
        try:
            answer = await platform.pipeline.run(op_id, body, call)
        except Invalid as error:
            raise errors.Invalid(error.errors) from None  # type: ignore[arg-type]
        except NotFound as error:
            raise errors.NotFound(str(error.detail)) from None
        return orjson.loads(answer.body)

    app = create_app(
        searcher=searcher,
        visibility=visibility,
        run_op=run_op,
        prefix=prefix,
        base_url=lambda request: request.scope["base_url"],
        item_links=item_links,
    )
    return Limited(app, platform.limiter)

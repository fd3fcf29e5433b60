"""The gateway as an ASGI application: the surfaces over one pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ops_gateway import domains
from ops_gateway.kernel.errors import MethodNotAllowed, NotFound, OpError
from ops_gateway.kernel.failures import translate
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces import health, http, openapi, problems
from ops_gateway.surfaces.edge import problem_response
from ops_gateway.surfaces.limits import RateLimiter


def create_app(
    pipeline: Pipeline,
    *,
    limiter: RateLimiter,
    checks: Mapping[str, health.Check],
    draining: Callable[[], bool] = lambda: False,
    extra: Sequence[BaseRoute] = (),
) -> Starlette:
    """The operations, OpenAPI and health on one app; `extra` routes come first.

    The caller wraps it in `surfaces.edge.Edge`, which authenticates.
    """
    domains.load()
    app = Starlette(
        routes=[
            *health.routes(checks, draining),
            *openapi.routes(),
            *problems.routes(),
            *extra,
            *http.routes(pipeline, limiter),
        ],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False  # the published client follows no redirect
    return app


def health_app(
    checks: Mapping[str, health.Check], draining: Callable[[], bool] = lambda: False
) -> Starlette:
    """Liveness and readiness alone, for a service that serves another app."""
    return Starlette(
        routes=health.routes(checks, draining),
        exception_handlers=HANDLERS,
    )


async def refuse(request: Request, error: Exception) -> Response:
    """An OpError as problem+json."""
    assert isinstance(error, OpError)
    return problem_response(
        error, base_url=request.scope["base_url"], instance=request.scope["request_id"]
    )


async def refuse_http(request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405 as problem+json."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        refusal: OpError = MethodNotAllowed(
            f"{request.method} is not allowed here", headers=dict(error.headers or {})
        )
    else:
        refusal = NotFound("no such resource")
    return await refuse(request, refusal)


async def refuse_any(request: Request, error: Exception) -> Response:
    """What nobody expected, or the database gone away; the edge logs it."""
    return await refuse(request, translate(error))


HANDLERS = {OpError: refuse, HTTPException: refuse_http, Exception: refuse_any}

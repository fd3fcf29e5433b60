"""`GET /problems/{slug}`: what a problem's `type` means, for whoever follows the link."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ops_gateway.kernel.errors import NotFound, OpError


def kinds(base: type[OpError] = OpError) -> Iterator[type[OpError]]:
    """Every kind of refusal there is, a kind before its special cases."""
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def described() -> dict[str, dict[str, object]]:
    """Slug → what it means, once for each slug: the most general kind that has it."""
    found: dict[str, dict[str, object]] = {}
    for kind in kinds():
        if kind.slug is not None:
            found.setdefault(
                kind.slug,
                {"status": kind.status, "title": kind.title, "detail": inspect.getdoc(kind) or ""},
            )
    return found


def routes() -> list[BaseRoute]:
    """The one route."""

    async def explain(request: Request) -> Response:
        slug = request.path_params["slug"]
        found = described().get(slug)
        if found is None:
            raise NotFound("no problem has this name")
        return JSONResponse({"type": str(request.scope["base_url"]) + f"/problems/{slug}", **found})

    return [Route("/problems/{slug}", explain)]

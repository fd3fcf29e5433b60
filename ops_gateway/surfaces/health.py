"""Liveness, readiness and who-am-I: unauthenticated but for userinfo, outside rate limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops_gateway.kernel.errors import Unauthenticated

Check = Callable[[], Awaitable[None]]


def routes(checks: Mapping[str, Check], draining: Callable[[], bool]) -> list[Route]:
    """`/livez`, `/readyz`, `/healthz` and the OIDC userinfo."""

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    async def readyz(_: Request) -> Response:
        failed = ["draining"] if draining() else []
        for name, check in checks.items():
            try:
                await asyncio.wait_for(check(), 1)
            except Exception:
                failed.append(name)
        headers = {"Cache-Control": "no-store"}
        if not failed:
            return JSONResponse({"status": "ok"}, headers=headers)
        body = {"type": "about:blank", "title": "Service Unavailable", "status": 503,
                "detail": "not ready: " + ", ".join(failed), "failed": failed}  # fmt: skip
        return Response(
            orjson.dumps(body), 503, {**headers, "Retry-After": "2"}, "application/problem+json"
        )

    async def userinfo(request: Request) -> Response:
        principal = request.scope["principal"]
        if principal.kind == "anonymous":
            raise Unauthenticated()
        body = {
            "sub": principal.user_id or principal.id,
            "geopera_principal_type": principal.kind,
            "geopera_principal_id": principal.id,
            "geopera_org_id": principal.organization_id,
            "scope": " ".join(sorted(principal.scopes)),
        }
        if principal.email:
            body |= {"email": principal.email, "preferred_username": principal.email}
        if principal.name:
            body["name"] = principal.name
        return JSONResponse(body)

    return [
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/healthz", readyz),
        Route("/realms/public/protocol/openid-connect/userinfo", userinfo),
    ]

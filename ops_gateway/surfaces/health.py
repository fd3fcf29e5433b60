"""Liveness and readiness: unauthenticated, outside rate limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Check = Callable[[], Awaitable[None]]


def routes(checks: Mapping[str, Check], draining: Callable[[], bool]) -> list[Route]:
    """`/livez`, `/readyz` and `/healthz`."""

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    looking: asyncio.Task[list[str]] | None = None

    async def look() -> list[str]:
        failed: list[str] = []
        for name, check in checks.items():
            try:
                await asyncio.wait_for(check(), 1)
            except Exception:
                failed.append(name)
        return failed

    async def readyz(_: Request) -> Response:
        nonlocal looking
        # nobody counts who asks: all who do at one time are told of one look
        if looking is None or looking.done():
            looking = asyncio.create_task(look())
        failed = [*(["draining"] if draining() else []), *await asyncio.shield(looking)]
        headers = {"Cache-Control": "no-store"}
        if not failed:
            return JSONResponse({"status": "ok"}, headers=headers)
        body = {"type": "about:blank", "title": "Service Unavailable", "status": 503,
                "detail": "not ready: " + ", ".join(failed), "failed": failed}  # fmt: skip
        return Response(
            orjson.dumps(body), 503, {**headers, "Retry-After": "2"}, "application/problem+json"
        )

    return [
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/healthz", readyz),
    ]

"""Rate limits: fixed windows of a minute, counted after authentication.

Counted in the process: what comes in by several has so many times the limit, and a count that all
share would cost each read a trip to it. Where that matters, the proxy in front limits too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import RateLimited
from ops_gateway.kernel.networks import network
from ops_gateway.kernel.operation import Operation
from ops_gateway.kernel.services import Limits

WINDOW = 60
Bucket = tuple[str, str, int]  # family, owner and limit


class RateLimiter:
    """Counts in this process."""

    def __init__(self, limits: Limits) -> None:
        """`limits`: calls a minute by family."""
        self.limits = limits
        self._window = 0
        self._counts: dict[tuple[str, str], int] = {}

    def count(self, op: Operation, principal: Principal, address: str) -> dict[str, str]:
        """Count one call; the headers that tell what is left. Raises RateLimited."""
        if principal.kind == "anonymous":
            return self._count([("public", network(address), self.limits.public)])
        owner = principal.organization_id or principal.id
        buckets = [("organization", owner, self.limits.organization)]
        if op.limit == "spend":
            buckets.append(("spend", owner, self.limits.spend))
        elif op.limit == "placement":
            buckets.append(("placement", owner, self.limits.placement))
        if principal.rate_limit:
            buckets.append(("key", principal.id, principal.rate_limit))
        return self._count(buckets)

    def count_public(self, address: str) -> None:
        """Count one call that anybody may make and no operation stands for. Raises RateLimited."""
        self._count([("public", network(address), self.limits.public)])

    def count_password(self, address: str) -> None:
        """Count one password of a person that is to be looked at. Raises RateLimited."""
        self._count([("passwords", network(address), self.limits.public)])

    def count_token(self, address: str) -> None:
        """Count one request to the endpoints of OAuth. Raises RateLimited."""
        if self.limits.public_reads:
            self._count([("tokens", network(address), self.limits.public_reads)])

    def count_read(self, principal: Principal, address: str) -> None:
        """Count one search, tile or file, which no operation stands for. Raises RateLimited.

        A request whose credential is in its address is counted by where it comes from.
        """
        if principal.kind == "anonymous":
            buckets = [("public reads", network(address), self.limits.public_reads)]
        else:
            owner = principal.organization_id or principal.id
            buckets = [("reads", owner, self.limits.reads)]
            if principal.rate_limit:
                buckets.append(("key", principal.id, principal.rate_limit))
        if given := [bucket for bucket in buckets if bucket[2]]:
            self._count(given)

    def count_signed(self, owner: str | None, address: str) -> None:
        """Count one request by a signed address, for the organization that it was made for, or by
        where it comes from. Raises RateLimited.
        """
        kind, who, limit = "reads", owner, self.limits.reads
        if who is None:
            kind, who, limit = "public reads", network(address), self.limits.public_reads
        if limit:
            self._count([(kind, who, limit)])

    def _count(self, buckets: Sequence[Bucket]) -> dict[str, str]:
        now = time.time()
        window = int(now // WINDOW)
        if window != self._window:
            self._window = window
            self._counts.clear()
        reset = WINDOW - int(now % WINDOW)
        tightest: tuple[int, int] | None = None
        for family, owner, limit in buckets:
            used = self._counts.get((family, owner), 0) + 1
            self._counts[family, owner] = used
            if tightest is None or limit - used < tightest[0]:
                tightest = (limit - used, limit)
        assert tightest is not None
        left, limit = tightest
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, left)),
            "X-RateLimit-Reset": str(reset),
        }
        if left < 0:
            raise RateLimited(
                f"more than {limit} calls in this minute; try again in {reset} s",
                headers={**headers, "Retry-After": str(reset)},
            )
        return headers


class Limited:
    """ASGI: counts the requests of an app that has no operations, before it does anything."""

    def __init__(self, app: ASGIApp, limiter: RateLimiter) -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI; raises RateLimited to the edge."""
        if scope["type"] == "http" and scope["method"] != "OPTIONS":
            self._limiter.count_read(scope["principal"], client_address(scope))
        await self._app(scope, receive, send)


def client_address(scope: Scope) -> str:
    """Where a request comes from; empty where that is not known."""
    client = scope.get("client")
    return client[0] if client else ""

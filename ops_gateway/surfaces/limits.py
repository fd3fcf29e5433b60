"""Rate limits: fixed windows of a minute, counted after authentication."""

from __future__ import annotations

import time

from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import RateLimited
from ops_gateway.kernel.operation import Operation
from ops_gateway.kernel.services import Limits

WINDOW = 60


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
            buckets = [("public", address, self.limits.public)]
        else:
            owner = principal.organization_id or principal.id
            buckets = [("organization", owner, self.limits.organization)]
            if op.limit == "spend":
                buckets.append(("spend", owner, self.limits.spend))
            elif op.limit == "placement":
                buckets.append(("placement", owner, self.limits.placement))
            if principal.rate_limit:
                buckets.append(("key", principal.id, principal.rate_limit))
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

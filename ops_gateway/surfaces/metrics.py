"""Figures of a running process in Prometheus' text format, served on a port of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db.pool import Pool
from db.queries import queries

logger = logging.getLogger(__name__)
sql = queries(__file__)

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Pools(Collector):
    """What the connection pools say of themselves, asked when the figures are."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = pools

    def collect(self) -> Iterable[Metric]:
        """One gauge: connections by pool and state."""
        family = GaugeMetricFamily(
            "opstac_pool_connections", "Connections and waiting requests.", labels=["pool", "state"]
        )
        for name, pool in self._pools.items():
            stats = pool.get_stats()
            for state in ("pool_max", "pool_size", "pool_available", "requests_waiting"):
                family.add_metric([name, state.removeprefix("pool_")], stats.get(state, 0))
        yield family


class Metrics:
    """The figures of one process. Labels take few values: no id and no path ever is one."""

    def __init__(self, pools: Mapping[str, Pool] | None = None) -> None:
        """`pools` by the role they act as."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "opstac_requests", "HTTP requests.", ["method", "status"], registry=self.registry
        )
        self._request_seconds = Histogram(
            "opstac_request_seconds", "Time to answer.", buckets=SECONDS, registry=self.registry
        )
        self._operations = Counter(
            "opstac_operations", "Operations run.", ["operation", "outcome"], registry=self.registry
        )
        self._operation_seconds = Histogram(
            "opstac_operation_seconds", "Time an operation took.", ["operation"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._ledger = Gauge(
            "opstac_ledger_faults", "Broken laws of the ledger; must be 0.", ["invariant"],
            registry=self.registry,
        )  # fmt: skip
        if pools:
            self.registry.register(Pools(pools))

    def request(self, method: str, status: int, seconds: float) -> None:
        """Count one HTTP request."""
        self._requests.labels(method if method in METHODS else "other", str(status)).inc()
        self._request_seconds.observe(seconds)

    def operation(self, op_id: str, outcome: int, seconds: float) -> None:
        """Count one run of an operation; `outcome` is its status."""
        self._operations.labels(op_id, str(outcome)).inc()
        self._operation_seconds.labels(op_id).observe(seconds)

    async def look_at_ledger(self, pool: Pool) -> int:
        """Check every law of the ledger; how many times one is broken."""
        async with pool.connection() as connection:
            rows = await (await connection.execute(sql.ledger_faults)).fetchall()
        for row in rows:
            self._ledger.labels(row["invariant"]).set(row["faults"])
            if row["faults"]:
                logger.error(
                    "the ledger is broken",
                    extra={"finding": row["invariant"], "count": row["faults"]},
                )
        return sum(row["faults"] for row in rows)

    async def watch_ledger(self, pool: Pool, *, every_seconds: float = 300) -> None:
        """Look at the ledger again and again, until cancelled."""
        while True:
            try:
                await self.look_at_ledger(pool)
            except Exception:
                logger.warning("the ledger could not be looked at", exc_info=True)
            await asyncio.sleep(every_seconds)

    def text(self) -> bytes:
        """The figures as they are now."""
        return generate_latest(self.registry)

    def app(self) -> Starlette:
        """`GET /metrics`; for a port that the outside does not reach."""

        async def show(_: Request) -> Response:
            return Response(
                self.text(), headers={"Content-Type": TEXT, "Cache-Control": "no-store"}
            )

        return Starlette(routes=[Route("/metrics", show)])

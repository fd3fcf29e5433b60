"""The ASTRA API's paths: `POST /api/v1/process` and `GET /api/v1/process/{jobId}`.

The header `X-Project-Id` says which project the outputs go to.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from ops_gateway.kernel.operation import REGISTRY, Operation
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces.http import Endpoint
from ops_gateway.surfaces.limits import RateLimiter


def routes(pipeline: Pipeline, limiter: RateLimiter) -> list[BaseRoute]:
    """The two routes."""

    def submit(request: Request) -> tuple[Operation | None, dict[str, Any]]:
        project = request.headers.get("x-project-id")
        return REGISTRY["astra.process"], {"project_id": project} if project else {}

    def poll(request: Request) -> tuple[Operation | None, dict[str, Any]]:
        return REGISTRY["astra.process.get"], {"job_id": request.path_params["job_id"]}

    return [
        Route("/api/v1/process", Endpoint(pipeline, limiter, submit), methods=["POST"]),
        Route("/api/v1/process/{job_id}", Endpoint(pipeline, limiter, poll), methods=["GET"]),
    ]

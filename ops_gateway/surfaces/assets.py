"""`/v2/assets/{asset_id}`: where the hrefs of STAC assets lead.

GET    302 to a signed URL of the file, which needs no credential and takes ranges; for an asset
       that lies elsewhere, to its href. Callers without a credential are led elsewhere only to
       hosts that the operator allows: anybody could make this address lead anywhere otherwise.
POST   …/download-url: the same URL as JSON, as an `items.asset.download`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from db.queries import queries
from ops_gateway.catalogue import links
from ops_gateway.kernel import assets
from ops_gateway.kernel.assets import expired
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Forbidden, NotFound, Unauthenticated
from ops_gateway.kernel.operation import REGISTRY
from ops_gateway.kernel.pipeline import Call, Pipeline
from ops_gateway.surfaces.limits import RateLimiter, client_address

sql = queries(__file__)

# less than a signed URL lives, so that a remembered redirect still opens
REDIRECT_SECONDS = 30


def routes(pipeline: Pipeline, limiter: RateLimiter) -> list[BaseRoute]:
    """The two routes."""

    async def redirect(request: Request) -> Response:
        asset_id = request.path_params["asset_id"]
        principal: Principal = request.scope["principal"]
        limiter.count_read(principal, client_address(request.scope))
        if principal.kind == "anonymous":
            asset = await find_public(pipeline, asset_id)
            require_known_host(asset, pipeline)
            pipeline.services.count_file(asset["organization_id"])
        else:
            asset = await find(pipeline, reader(request), asset_id)
        url = await links.leads_to(
            asset,
            pipeline.services,
            request.scope["base_url"],
            for_=principal,
            payer=asset["organization_id"],
        )
        headers = {"Cache-Control": f"private, max-age={REDIRECT_SECONDS}"}
        return RedirectResponse(url, 302, headers)

    async def download_url(request: Request) -> Response:
        principal = reader(request)
        op = REGISTRY["items.asset.download"]
        pipeline.admit(op, principal)
        limiter.count(op, principal, client_address(request.scope))
        asset = await find(pipeline, principal, request.path_params["asset_id"])
        call = Call(
            principal,
            request_id=request.scope["request_id"],
            base_url=request.scope["base_url"],
        )
        body = {"item_id": asset["item_id"], "asset_id": asset["id"]}
        answer = await pipeline.run(op.id, body, call)
        return Response(
            orjson.dumps({"url": orjson.loads(answer.body)["url"]}), media_type=answer.media_type
        )

    return [
        Route("/v2/assets/{asset_id}", redirect, methods=["GET"]),
        Route("/v2/assets/{asset_id}/download-url", download_url, methods=["POST"]),
    ]


def reader(request: Request) -> Principal:
    """The caller; raises Unauthenticated or Forbidden unless it may read items."""
    principal: Principal = request.scope["principal"]
    if principal.kind == "anonymous":
        raise Unauthenticated()
    if principal.organization_id is None:
        raise Forbidden("User not in an organization")
    if not principal.allows("items:read"):
        raise Forbidden("missing scope 'items:read' for an asset's file")
    return principal


async def find(pipeline: Pipeline, principal: Principal, asset_id: str) -> dict[str, Any]:
    """The asset's row.

    Raises NotFound, Forbidden where its project is not the caller's, Gone where its item expired.
    """
    if "\0" in asset_id:
        raise NotFound.of("asset")
    row = await read(pipeline, principal.organization_id, asset_id)
    if principal.role_in(row["project_id"]) is None:
        raise Forbidden("not a member of the asset's project")
    if row["lifecycle_state"] == "expired":
        raise expired(row)
    return row


async def find_public(pipeline: Pipeline, asset_id: str) -> dict[str, Any]:
    """The row of an asset that anybody may read; raises Unauthenticated for any other."""
    if "\0" in asset_id:
        raise NotFound.of("asset")
    async with pipeline.pool.connection() as connection:
        owner = await assets.public_owner(connection, asset_id=asset_id)
    if owner is None:
        raise Unauthenticated()
    row = await read(pipeline, owner, asset_id)
    if row["lifecycle_state"] == "expired":
        raise expired(row)
    return row


def require_known_host(asset: Mapping[str, Any], pipeline: Pipeline) -> None:
    """Raise Forbidden for an asset at a host that the operator did not list."""
    href, remote = asset["href"], pipeline.services.remote
    if href is not None and (remote is None or not remote.covers(href)):
        raise Forbidden(
            f"the asset lies at {href[:500]}, to which nobody is sent without a credential; "
            "fetch it there"
        )


async def read(pipeline: Pipeline, organization: str | None, asset_id: str) -> dict[str, Any]:
    """The row of an organization's asset; raises NotFound."""
    bound = {"org": organization}
    async with pipeline.pool.connection() as connection, connection.transaction():
        await connection.execute(sql.bind, bound)
        cursor = await connection.execute(sql.asset, {**bound, "id": asset_id})
        row = await cursor.fetchone()
    if row is None:
        raise NotFound.of("asset")
    return row

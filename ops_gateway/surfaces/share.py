"""`/share/{token}/…`: what a share link shows, for browsers, maps, GIS and STAC clients.

What opens it is in `share_visit.py`; `share_stac.py` shows it as a STAC API, `share_wmts.py` as a
WMTS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from db.signing import Grant
from ops_gateway.catalogue import links
from ops_gateway.domains import share, share_target
from ops_gateway.kernel.assets import expired
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import NotFound, OpError
from ops_gateway.kernel.failures import invalid, translate
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces import share_stac as stac
from ops_gateway.surfaces import share_wmts as wmts
from ops_gateway.surfaces import storage
from ops_gateway.surfaces.edge import EXPOSED, problem_response
from ops_gateway.surfaces.limits import RateLimiter, client_address
from ops_gateway.surfaces.share_visit import Show, Visit, document, opened

CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "X-Share-Password, Authorization, Content-Type",
    "Access-Control-Max-Age": "86400",
}


def routes(pipeline: Pipeline, limiter: RateLimiter) -> list[BaseRoute]:
    """The routes of share links."""

    def route(
        path: str,
        show: Show,
        *,
        counts: bool = False,
        piece: Callable[[Request], bool] = lambda _: False,
        post: bool = False,
        tiles: bool = False,
    ) -> Route:
        """`counts`: who asks is a visit, but for a `piece` of what an earlier request opened."""

        async def respond(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(None, 204, PREFLIGHT)
            try:
                limiter.count_read(request.scope["principal"], client_address(request.scope))
                visit = counts and not piece(request)
                link = await opened(pipeline, request, counts=visit, tiles=tiles)
                response = await show(Visit(request, pipeline, link))
            except Exception as error:
                if not isinstance(error, OpError) and (refused := translate(error)).status >= 500:
                    if refused.status == 500:
                        raise
                    error = refused
                assert isinstance(error, OpError)
                response = problem_response(
                    error,
                    base_url=request.scope["base_url"],
                    instance=request.scope["request_id"],
                )
            response.headers.update(CORS)
            response.headers["Referrer-Policy"] = "no-referrer"  # the address is half of the secret
            return response

        methods = ["GET", "OPTIONS", *(["POST"] if post else [])]
        return Route(f"/share/{{token}}{path}", respond, methods=methods)

    tile = "/tiles/{z}/{x}/{y}.{format}"
    collection = "/stac/collections/{collection}"
    return [
        route("", validate, counts=True),
        route("/tilejson.json", tilejson, counts=True, tiles=True),
        route("/items/{item}/tilejson.json", tilejson, counts=True, tiles=True),
        route(tile, render, tiles=True),
        route(f"/items/{{item}}{tile}", render, tiles=True),
        *(
            each
            for place in ("", "/items/{item}")
            for each in (
                route(f"{place}/wmts", wmts.kvp, counts=True, piece=wmts.is_tile, tiles=True),
                route(
                    f"{place}/wmts/1.0.0/WMTSCapabilities.xml",
                    wmts.capabilities,
                    counts=True,
                    tiles=True,
                ),
                route(
                    f"{place}/wmts/{{style}}/{{tms}}/{{z}}/{{row}}/{{col}}.{{format}}",
                    wmts.tile,
                    tiles=True,
                ),
            )
        ),
        route("/assets/{asset}", download, counts=True, piece=is_range),
        route("/stac", stac.landing, counts=True),
        route("/stac/conformance", stac.conformance),
        route("/stac/collections", stac.collections),
        route(collection, stac.one_collection),
        route(f"{collection}/items", stac.items),
        route(f"{collection}/items/{{item:path}}", stac.one_item),
        route("/stac/search", stac.search, post=True),
    ]


def is_range(request: Request) -> bool:
    """Whether it is for a part of a file."""
    return "range" in request.headers


async def validate(visit: Visit) -> Response:
    """What is shared."""

    async def look(ctx: Context) -> Any:
        return await share.shown(ctx, visit.link)

    return document((await visit.look(look)).model_dump(mode="json"))


async def tilejson(visit: Visit) -> Response:
    """TileJSON of the item, or of one of the collection."""
    item, profile = visit.request.path_params.get("item"), visit.request.query_params.get("profile")

    async def look(ctx: Context) -> Any:
        return await share.tilejson_of(ctx, visit.link, item, profile)

    return document((await visit.look(look)).model_dump(mode="json"))


async def render(visit: Visit) -> Response:
    """A tile."""
    given = {
        "token": visit.link.token,
        "item_id": visit.request.path_params.get("item"),
        "profile": visit.request.query_params.get("profile"),
        **{name: visit.path(name) for name in ("z", "x", "y", "format")},
    }
    try:
        body = share.ShareTileInput.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from None

    async def look(ctx: Context) -> Any:
        return await share.tile_of(ctx, visit.link, body)

    blob = await visit.look(look)
    return Response(blob.content, media_type=blob.media_type, headers=blob.headers)


async def download(visit: Visit) -> Response:
    """A file, or where it is; what is sent counts for the organization that shares it.

    Where files lie with us they are sent by this address, which is asked for again for each range:
    so that nothing more is sent once the link is revoked. Else it leads to the bucket's own
    address, which holds for a minute and cannot be taken back.
    """
    share.require_download(visit.link)

    async def look(ctx: Context) -> Any:
        return await share_target.shared_asset(ctx, visit.link, visit.path("asset"))

    row = await visit.look(look)
    if row["lifecycle_state"] == "expired":
        raise expired(row)
    services, payer = visit.pipeline.services, row["organization_id"]
    if row["href"] is None and services.objects.is_local:
        found = await services.objects.head(row["object_path"])
        if found is None:
            raise NotFound.of("file")
        file = Grant(
            "get",
            row["object_path"],
            0,
            file_name=row["file_name"] or f"{row['key']}.tif",
            media_type=row["media_type"],
            payer=payer,
        )
        sent = storage.answer(visit.request, services.objects, file, found, services.count_egress)
        sent.headers["Cache-Control"] = "private, no-cache"
        return sent
    base_url = visit.request.scope["base_url"]
    url = await links.leads_to(row, services, base_url, for_=visit.link.principal, payer=payer)
    return RedirectResponse(url, 302, {"Cache-Control": "private, no-store"})

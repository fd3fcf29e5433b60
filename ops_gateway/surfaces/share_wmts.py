"""A shared item as a Web Map Tile Service, which QGIS and GDAL open.

As the tiler's of an item (`tiler/routes/wmts.py`), with the link's addresses. Its one style is
the look that it was asked for with, or the item's default: what other profiles are called is not
shared.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from ops_gateway.domains import share
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import NotFound
from ops_gateway.kernel.failures import invalid
from ops_gateway.surfaces.share_visit import Visit
from tiler import matrix_sets, wmts
from tiler.errors import OutOfRange, TileError
from tiler.routes.wmts import Refused, asked_of, format_asked, refusal, split, tile_address

XML = "application/xml"


def is_tile(request: Request) -> bool:
    """Whether one of `kvp` is for a tile of what an earlier one described."""
    texts, _, _ = split(request)
    return texts.get("request", "").lower() == "gettile"


async def kvp(visit: Visit) -> Response:
    """By key and value; what breaks the protocol is an OWS exception report."""
    try:
        texts, others, faults = split(visit.request)
        if faults:
            raise faults[0]
        query = dict(others)
        named = texts.get("style", "")
        profile = query.get("profile") if named in ("", wmts.DEFAULT_STYLE) else named
        asked = asked_of(texts)
        if asked == "getcapabilities":
            return await _capabilities(visit, profile)
        if asked != "gettile":
            raise Refused(
                "OperationNotSupported", "request", "REQUEST is GetCapabilities or GetTile"
            )
        layer = visit.request.path_params.get("item") or visit.link.target_id
        tms, z, x, y = tile_address(texts, layer)
        return await _drawn(visit, tms, profile, z=z, x=x, y=y, format=format_asked(texts))
    except TileError as error:
        return refusal(error, visit.request.scope["request_id"])


async def capabilities(visit: Visit) -> Response:
    """The service document."""
    return await _capabilities(visit, visit.request.query_params.get("profile"))


async def tile(visit: Visit) -> Response:
    """A tile as the document names it."""
    tms, style = visit.path("tms"), visit.path("style")
    profile = visit.request.query_params.get("profile") if style == wmts.DEFAULT_STYLE else style
    given = {"z": visit.path("z"), "x": visit.path("col"), "y": visit.path("row")}
    return await _drawn(visit, tms, profile, format=visit.path("format"), **given)


async def _capabilities(visit: Visit, profile: str | None) -> Response:
    parameters = [("profile", profile)] if profile is not None else []

    async def look(ctx: Context) -> bytes:
        item = visit.request.path_params.get("item")
        return await share.wmts_of(ctx, visit.link, item, parameters)

    body = await visit.look(look)
    return Response(body, media_type=XML, headers={"Cache-Control": "private, no-store"})


async def _drawn(visit: Visit, tms: str, profile: str | None, **place: Any) -> Response:
    item = visit.request.path_params.get("item")
    given = {"token": visit.link.token, "item_id": item, "profile": profile, **place}
    try:
        body = share.ShareTileInput.model_validate(given)
        matrix_sets.bounds(tms, body.z, body.x, body.y)
    except ValidationError as error:
        raise invalid(error) from None
    except OutOfRange as error:
        raise NotFound(error.detail) from None

    async def look(ctx: Context) -> Any:
        return await share.tile_of(ctx, visit.link, body, tms)

    blob = await visit.look(look)
    return Response(blob.content, media_type=blob.media_type, headers=blob.headers)

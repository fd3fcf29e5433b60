"""What an item's asset is and holds, as JSON.

GET  /api/v1/items/{item_id}/info[.geojson]
GET  /api/v1/items/{item_id}/style
GET  /api/v1/items/{item_id}/point/{lon},{lat}
GET  /api/v1/items/{item_id}/statistics
POST /api/v1/items/{item_id}/statistics
"""

import asyncio
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import describe, geojson
from tiler.routes.body import GEOMETRY, read_json
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import ACCESS, TILE
from tiler.routes.parts import named_crs, number
from tiler.routes.query import Query
from tiler.routes.service import Service
from tiler.routes.tiles import ITEM
from tiler.shown import shown as shown_of
from tiler.source import AssetSource
from tiler.target import GEOGRAPHIC
from tiler.work import lane

VALUES = (*ACCESS, "bands", "expression", "unscale")
STATISTICS = (*VALUES, "p", "categorical", "histogram_bins", "histogram_range")


def _json(function: Any, *args: Any, **kwargs: Any) -> bytes:
    return orjson.dumps(function(*args, **kwargs))


def routes(service: Service) -> list[Route]:
    """The family's routes."""

    async def info(request: Request) -> Response:
        source, _ = await service.asset(request, ACCESS)
        return await service.drawn(
            request, source, "application/json", _json, describe.info, source
        )

    async def info_geojson(request: Request) -> Response:
        source, _ = await service.asset(request, ACCESS)
        return await service.drawn(
            request, source, "application/geo+json", _json, describe.outline, source
        )

    async def shown(request: Request) -> Response:
        source, query = await service.asset(request, TILE)
        return await service.drawn(
            request, source, "application/json", _json, shown_of, source, **query.style
        )

    async def point(request: Request) -> Response:
        x = number(request.path_params["lon"], "lon")
        y = number(request.path_params["lat"], "lat")
        source, query = await service.asset(request, (*VALUES, "coord_crs"))
        return await service.drawn(
            request,
            source,
            "application/json",
            _json,
            describe.point,
            source,
            x,
            y,
            crs=named_crs(query, "coord_crs") or GEOGRAPHIC,
            **_values(query),
        )

    async def whole(request: Request) -> Response:
        source, query = await service.asset(request, STATISTICS)
        return await service.drawn(
            request,
            source,
            "application/json",
            _json,
            describe.statistics,
            source,
            **_values(query),
            **_counting(query),
        )

    async def within(request: Request) -> Response:
        source, query = await service.asset(request, STATISTICS)
        found: Any = await read_json(request)
        features = await asyncio.to_thread(geojson.features, found)
        body = await service.pool.run(_each, source, features, query)
        single = found.get("type") != "FeatureCollection"
        answer = body[0] if single else {"type": "FeatureCollection", "features": body}
        return Response(
            orjson.dumps(answer),
            headers={"Cache-Control": "no-store"},
            media_type="application/geo+json",
        )

    return [
        Endpoint(f"{ITEM}/info", info, summary="What the file is.", takes=ACCESS),
        Endpoint(
            f"{ITEM}/info.geojson",
            info_geojson,
            summary="What the file is, as a Feature.",
            takes=ACCESS,
            gives=("application/geo+json",),
        ),
        Endpoint(f"{ITEM}/style", shown, summary="How the picture is made: a legend.", takes=TILE),
        Endpoint(
            f"{ITEM}/point/{{lon}},{{lat}}",
            point,
            summary="The values at a place.",
            takes=(*VALUES, "coord_crs"),
        ),
        Endpoint(
            f"{ITEM}/statistics",
            whole,
            summary="Statistics of the whole raster.",
            takes=STATISTICS,
        ),
        Endpoint(
            f"{ITEM}/statistics",
            within,
            summary="Statistics within polygons.",
            takes=STATISTICS,
            gives=("application/geo+json",),
            method="POST",
            body=GEOMETRY,
        ),
    ]


@lane("slow")
def _each(
    source: AssetSource, features: list[dict[str, Any]], query: Query
) -> list[dict[str, Any]]:
    """The features, each with `statistics` among its properties."""
    for feature in features:
        feature["properties"]["statistics"] = describe.statistics(
            source, geometry=feature["geometry"], **_values(query), **_counting(query)
        )
    return features


def _values(query: Query) -> dict[str, Any]:
    return {name: query.get(name) for name in ("bands", "expression")} | {
        "unscale": query.get("unscale", False)
    }


def _counting(query: Query) -> dict[str, Any]:
    between = query.get("histogram_range")
    return {
        "percentiles": tuple(query.get("p", (2.0, 98.0))),
        "categorical": query.get("categorical", False),
        "bins": query.get("histogram_bins", 10),
        "value_range": tuple(between) if between else None,
    }

"""What there is to choose from: tile matrix sets and colour maps. Public.

GET /api/v1/tileMatrixSets[/{id}]
GET /api/v1/colorMaps[/{id}]
"""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler import colormaps, matrix_sets
from tiler.errors import InvalidParameter, OutOfRange
from tiler.routes import answers
from tiler.routes.endpoint import Endpoint
from tiler.routes.query import read_query
from tiler.routes.service import Service

PREFIXES = ("/api/v1/tileMatrixSets", "/api/v1/colorMaps")


def routes(service: Service) -> list[Route]:
    """The family's routes."""

    def answer(request: Request, body: object) -> Response:
        read_query(request, ()).refuse()
        encoded = orjson.dumps(body)
        headers = {"ETag": answers.etag_of(encoded), "Cache-Control": "public, max-age=3600"}
        if answers.unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(encoded, headers=headers, media_type="application/json")

    def entry(request: Request, folder: str, name: str) -> dict[str, object]:
        href = f"{service.origin(request)}/api/v1/{folder}/{name}"
        link = {"rel": "data", "href": href, "type": "application/json"}
        return {"id": name, "title": name, "links": [link]}

    async def sets(request: Request) -> Response:
        found = [
            {
                **entry(request, "tileMatrixSets", name),
                "crs": matrix_sets.crs_uri(name),
            }
            for name in matrix_sets.NAMES
        ]
        return answer(request, {"tileMatrixSets": found})

    async def one_set(request: Request) -> Response:
        return answer(request, matrix_sets.definition(request.path_params["id"]))

    async def maps(request: Request) -> Response:
        names = [name for group in colormaps.GROUPS.values() for name in group]
        found = [entry(request, "colorMaps", name) for name in names]
        return answer(request, {"colorMaps": found, "groups": colormaps.colormaps()})

    async def one_map(request: Request) -> Response:
        try:
            table = colormaps.table(request.path_params["id"])
        except InvalidParameter as error:
            raise OutOfRange(error.errors[0]["msg"]) from None
        return answer(request, {str(value): color.tolist() for value, color in enumerate(table)})

    return [
        Endpoint(PREFIXES[0], sets, summary="The tile matrix sets.", public=True),
        Endpoint(f"{PREFIXES[0]}/{{id}}", one_set, summary="A tile matrix set.", public=True),
        Endpoint(PREFIXES[1], maps, summary="The colour maps.", public=True),
        Endpoint(f"{PREFIXES[1]}/{{id}}", one_map, summary="A colour map's colours.", public=True),
    ]

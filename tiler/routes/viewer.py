"""A page with an item on a map; it holds nothing of the item and asks with the visitor's key.

GET /api/v1/items/{item_id}/viewer

Its scripts are those of the start page, below `/static/`. What it asks for and how it is drawn is
in the query, as a tile's; `key` too.
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiler.routes import answers
from tiler.routes.endpoint import Endpoint
from tiler.routes.parameters import TILE
from tiler.routes.query import read_query
from tiler.routes.service import Service
from tiler.routes.tiles import ITEM

PAGE = Path(__file__).resolve().parents[2] / "web" / "page" / "viewer.html"

# as the start page: nobody is asked but this server; MapLibre decodes in a worker, into blobs
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def routes(service: Service) -> list[Route]:
    """The family's route."""
    body = PAGE.read_bytes()
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "ETag": answers.etag_of(body),
        "Cache-Control": "no-cache",
    }

    async def viewer(request: Request) -> Response:
        read_query(request, TILE).refuse()
        if answers.unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="text/html; charset=utf-8")

    return [
        Endpoint(
            f"{ITEM}/viewer",
            viewer,
            summary="A page with the item on a map.",
            takes=TILE,
            gives=("text/html",),
            public=True,
        )
    ]

"""`/share/{token}/…`: what a share link shows, for browsers, maps, GIS and STAC clients.

The password comes as `X-Share-Password`, as that of HTTP Basic (with any user name), or as
`?password=`; addresses that we give hold `?key=` instead, for an hour: those of tiles and TileJSON
one that opens nothing else. In those of the STAC documents it stands behind the token,
`/share/{token}.{key}/stac/…`: a GIS puts its own query there.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from db.signing import Grant
from ops_gateway.catalogue import links
from ops_gateway.catalogue.search import refusal
from ops_gateway.domains import share, share_access, share_target
from ops_gateway.domains.share_access import Link
from ops_gateway.kernel.assets import expired
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Forbidden, NotFound, OpError
from ops_gateway.kernel.failures import invalid, translate
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces import storage
from ops_gateway.surfaces.edge import EXPOSED, problem_response
from ops_gateway.surfaces.json_body import BODY_LIMIT, read_json
from ops_gateway.surfaces.limits import RateLimiter, client_address
from stac_api import errors
from stac_api import request as stac_request
from stac_api.document import GEOJSON, STAC_VERSION
from stac_api.request import SearchRequest

JSON = "application/json"
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "X-Share-Password, Authorization, Content-Type",
    "Access-Control-Max-Age": "86400",
}
CONFORMS_TO = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]
NO_ZONE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", re.ASCII)
MADE_BY_US = ("password", "key")  # query names that are no parameters of a search

Show = Callable[["Visit"], Awaitable[Response]]


class Visit:
    """One request of who opened a link."""

    def __init__(self, request: Request, pipeline: Pipeline, link: Link) -> None:
        self.request = request
        self.pipeline = pipeline
        self.link = link

    async def look(self, work: Callable[[Context], Awaitable[Any]]) -> Any:
        """Read as the link's viewer."""
        return await self.pipeline.look(
            "share.read", self.link.principal, work, base_url=self.request.scope["base_url"]
        )

    def path(self, name: str) -> str:
        """A part of the path."""
        return self.request.path_params[name]

    @property
    def root(self) -> str:
        """The link's STAC landing page."""
        return f"{self.request.scope['base_url']}/share/{self.link.token}/stac"

    def address(self, href: str) -> str:
        """An address of the link's that goes on with what this one was opened by, if that was in
        its address.
        """
        query = self.request.query_params
        if "key" not in query and "password" not in query and not named(self.request)[1]:
            return href
        key = share_access.key_of(self.link, self.pipeline.services.keys.share)
        here = f"/share/{self.link.token}"
        return href.replace(here, f"{here}.{key}", 1)


def routes(pipeline: Pipeline, limiter: RateLimiter) -> list[BaseRoute]:
    """The routes of share links."""

    def route(
        path: str, show: Show, *, counts: bool = False, post: bool = False, tiles: bool = False
    ) -> Route:
        async def respond(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(None, 204, PREFLIGHT)
            try:
                limiter.count_read(request.scope["principal"], client_address(request.scope))
                whole = "range" not in request.headers
                link = await opened(pipeline, request, counts=counts and whole, tiles=tiles)
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
        route("/assets/{asset}", download, counts=True),
        route("/stac", landing, counts=True),
        route("/stac/conformance", conformance),
        route("/stac/collections", collections),
        route(collection, one_collection),
        route(f"{collection}/items", items),
        route(f"{collection}/items/{{item:path}}", one_item),
        route("/stac/search", search, post=True),
    ]


async def opened(pipeline: Pipeline, request: Request, *, counts: bool, tiles: bool) -> Link:
    """The link, by the key or the password that came; `tiles`: one of tiles will do. Raises
    OpError.
    """
    token, key = named(request)
    password = password_of(request)
    if key := request.query_params.get("key") or key:
        try:
            found = await share_access.open_by_key(pipeline, token, key)
            if found.tiles_only and not tiles:
                raise Forbidden("the key in this address opens tiles alone")
            return found
        except Forbidden:
            # an address of an hour ago, sent with the password
            if not password:
                raise
    return await share_access.redeem(pipeline, token, password, counts=counts)


def named(request: Request) -> tuple[str, str]:
    """(the token of the path, the key behind it or nothing)."""
    token, _, key = request.path_params["token"].partition(".")
    return token, key


def password_of(request: Request) -> str:
    """The password that came with a request; empty for none."""
    header = request.headers.get("x-share-password")
    if header is not None:
        return as_utf8(header)
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            return base64.b64decode(text, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return request.query_params.get("password", "")


def as_utf8(header: str) -> str:
    """A header that a client wrote in UTF-8; one of single bytes stays as it is."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


# ---------------------------------------------------------------- the operations by GET


def document(value: Any, media_type: str = JSON) -> Response:
    """An answer that holds addresses for an hour and is nobody else's."""
    return Response(
        orjson.dumps(value), media_type=media_type, headers={"Cache-Control": "private, no-store"}
    )


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


# ---------------------------------------------------------------- the link as a STAC API


async def landing(visit: Visit) -> Response:
    """The landing page: what pystac-client and QGIS open."""
    shown = await shared_collection(visit)
    root = visit.root
    child = f"{root}/collections/{quote(shown['id'], safe='')}"
    related = [
        ("self", JSON, root, None),
        ("root", JSON, root, None),
        ("conformance", JSON, f"{root}/conformance", None),
        ("data", JSON, f"{root}/collections", None),
        ("search", GEOJSON, f"{root}/search", "GET"),
        ("search", GEOJSON, f"{root}/search", "POST"),
        ("child", JSON, child, None),
    ]
    return document(
        {
            "type": "Catalog",
            "stac_version": STAC_VERSION,
            "id": visit.link.id,
            "title": shown.get("title") or shown["id"],
            "description": f"Shared until {visit.link.expires_at:%Y-%m-%d %H:%M} UTC",
            "conformsTo": CONFORMS_TO,
            "links": [
                {"rel": rel, "type": kind, "href": visit.address(href)}
                | ({"method": method} if method else {})
                for rel, kind, href, method in related
            ],
        }
    )


async def conformance(visit: Visit) -> Response:
    """What the STAC API conforms to."""
    return document({"conformsTo": CONFORMS_TO})


async def shared_collection(visit: Visit) -> dict[str, Any]:
    """The one collection there is."""

    async def look(ctx: Context) -> Any:
        return await share_target.collection(ctx, visit.link)

    return with_keys(visit, await visit.look(look))


def with_keys(visit: Visit, shown: dict[str, Any]) -> dict[str, Any]:
    """A document whose links are opened as this request was."""
    for link in shown["links"]:
        if "key=" not in link["href"]:
            link["href"] = visit.address(link["href"])
    return shown


async def collections(visit: Visit) -> Response:
    """The list of the one collection there is."""
    root = visit.root
    related = [("self", f"{root}/collections"), ("root", root)]
    return document(
        {
            "collections": [await shared_collection(visit)],
            "links": [
                {"rel": rel, "type": JSON, "href": visit.address(href)} for rel, href in related
            ],
            "numberMatched": 1,
            "numberReturned": 1,
        }
    )


async def named_collection(visit: Visit) -> dict[str, Any]:
    """The collection of the path. Raises NotFound for any other."""
    shown = await shared_collection(visit)
    if visit.path("collection") not in (shown["id"], visit.link.target_id):
        raise NotFound.of("collection")
    return shown


async def one_collection(visit: Visit) -> Response:
    """The collection."""
    return document(await named_collection(visit))


async def items(visit: Visit) -> Response:
    """A page of the collection's items."""
    shown = await named_collection(visit)
    here = f"{visit.root}/collections/{quote(shown['id'], safe='')}/items"
    return await page(visit, from_query(visit), here)


async def one_item(visit: Visit) -> Response:
    """One item, by its STAC id or the platform's."""
    await named_collection(visit)
    name = visit.path("item")
    found = (await find(visit, SearchRequest(ids=(name,), limit=2)))["features"]
    if not found:
        raise NotFound.of("item")
    return document(found[0], GEOJSON)


async def search(visit: Visit) -> Response:
    """Item search, by GET and POST."""
    here = f"{visit.root}/search"
    if visit.request.method != "POST":
        return await page(visit, from_query(visit), here)
    read: Any = await read_json(visit.request, BODY_LIMIT)
    body = {} if read is None else read
    try:
        asked = stac_request.from_body(body)
    except errors.StacError as error:
        raise refusal(error) from None
    return await page(visit, asked, here, body)


def from_query(visit: Visit) -> SearchRequest:
    """What the query string asks for. Raises OpError.

    Times may be without a zone, as QGIS writes them, and are UTC then.
    """
    given = {k: v for k, v in visit.request.query_params.items() if k not in MADE_BY_US}
    if "datetime" in given:
        given["datetime"] = "/".join(
            f"{end}Z" if NO_ZONE.fullmatch(end) else end for end in given["datetime"].split("/")
        )
    try:
        return stac_request.from_query(given)
    except errors.StacError as error:
        raise refusal(error) from None


async def find(visit: Visit, asked: SearchRequest) -> dict[str, Any]:
    """The features of a page, and the token of the next one."""

    async def look(ctx: Context) -> Any:
        return await share_target.find(ctx, visit.link, asked)

    found = await visit.look(look)
    features = [with_keys(visit, feature) for feature in found.features]
    return {"features": features, "next": found.next, "matched": found.matched}


async def page(
    visit: Visit, asked: SearchRequest, here: str, body: dict[str, Any] | None = None
) -> Response:
    """A FeatureCollection with the way to the next page."""
    found = await find(visit, asked)
    related = [{"rel": "root", "type": JSON, "href": visit.address(visit.root)}]
    if found["next"] is not None and body is None:
        given = [
            (k, v)
            for k, v in visit.request.query_params.multi_items()
            if k not in (*MADE_BY_US, "token")
        ]
        href = visit.address(f"{here}?{urlencode([*given, ('token', found['next'])])}")
        related.append({"rel": "next", "type": GEOJSON, "href": href, "method": "GET"})
    elif found["next"] is not None and body is not None:
        following: Any = {**body, "token": found["next"]}
        related.append(
            {"rel": "next", "type": GEOJSON, "href": visit.address(here), "method": "POST",
             "body": following}
        )  # fmt: skip
    shown: dict[str, Any] = {
        "type": "FeatureCollection",
        "features": found["features"],
        "numberReturned": len(found["features"]),
        "links": related,
    }
    if found["matched"] is not None:
        shown["numberMatched"] = found["matched"]
    return document(shown, GEOJSON)

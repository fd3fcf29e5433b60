"""A share link as a read-only STAC API, which pystac-client and QGIS open."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import Response

from ops_gateway.catalogue.search import refusal
from ops_gateway.domains import share_target
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import NotFound
from ops_gateway.surfaces.json_body import BODY_LIMIT, read_json
from ops_gateway.surfaces.share_visit import JSON, MADE_BY_US, Visit, document
from stac_api import errors
from stac_api import request as stac_request
from stac_api.document import GEOJSON, STAC_VERSION
from stac_api.request import SearchRequest

CONFORMS_TO = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]
NO_ZONE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", re.ASCII)


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

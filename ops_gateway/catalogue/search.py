"""Searches as operations ask them: the caller's visibility, the mount, refusals in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import (
    Internal,
    Invalid,
    NotFound,
    OpError,
    Unauthenticated,
    Unavailable,
)
from stac_api import errors, request
from stac_api.collections import Collections
from stac_api.document import GEOJSON, Mount
from stac_api.search import Page, Searcher
from stac_api.tenancy import Visibility

PREFIX = "/assets/stac"
PROVENANCE = "http://www.w3.org/ns/prov#has_provenance"  # W3C PROV-AQ


def visibility_of(principal: Principal, *, project_id: str | None = None) -> Visibility:
    """What a caller with a credential may see; with `project_id` only that project's items."""
    projects = None if principal.projects is None else frozenset(principal.projects)
    if project_id is not None:
        projects = frozenset([project_id])
    return Visibility(principal.organization_id, principal.slot, projects)


def item_links(stored: Mapping[str, Any], base: str) -> list[dict[str, Any]]:
    """Further links of an item: where it came from and, of one with a raster, its maps."""
    item_id = stored["id"]
    links = [
        {
            "rel": PROVENANCE,
            "type": "application/json",
            "href": f"{base}/v1/items/lineage?item_id={item_id}",
            "title": "Lineage",
        },
        *(
            {
                "rel": "derived_from",
                "type": GEOJSON,
                "href": f"{base}/v1/items/get_stac?item_id={source}",
                "title": "Made from",
            }
            for source in stored["properties"].get("opstac:derived_from", ())
        ),
    ]
    # what lies elsewhere is not drawn, whatever its catalogue says of its bands
    if not any("raster:bands" in a and "/" not in a["href"] for a in stored["assets"].values()):
        return links
    place = f"{base}/api/v1/items/{item_id}"
    shown = stored["properties"].get("opstac:render")
    render = {} if shown is None else {"render": shown}
    return [
        *links,
        {
            "rel": "tilejson",
            "type": "application/json",
            "href": f"{place}/tiles/tilejson.json",
            "title": "TileJSON",
            **render,
        },
        {
            "rel": "wmts",
            "type": "application/xml",
            "href": f"{place}/wmts/1.0.0/WMTSCapabilities.xml",
            "title": "WMTS",
            "wmts:layer": item_id,
        },
        {
            "rel": "xyz",
            "type": "image/webp",
            "href": f"{place}/tiles/{{z}}/{{x}}/{{y}}.webp",
            "title": "Tiles",
            **render,
        },
        {"rel": "preview", "type": "image/png", "href": f"{place}/preview.png", "title": "Preview"},
    ]


def mount_of(ctx: Context, base_url: str | None) -> Mount:
    """Where the links of an answer lead: here, or below the base a caller names.

    Raises: Invalid: not an http(s) address.
    """
    base = ctx.base_url
    if base_url:
        base = base_url.rstrip("/")
        well_formed = base.startswith(("http://", "https://")) and base.isprintable()
        if len(base) > 2000 or not well_formed or any(c in base for c in ' ?#"<>'):
            raise Invalid.at("base_url", "must be an http(s) address without query")
    return Mount(base, PREFIX, item_links)


def searcher_of(ctx: Context) -> Searcher:
    """The platform's searcher; raises Unavailable in a process that was given none."""
    if ctx.services.searcher is None:
        raise Unavailable("this process answers no searches")
    return ctx.services.searcher


def collections_of(ctx: Context) -> Collections:
    """Reads collections as STAC shows them."""
    return Collections(searcher_of(ctx))


async def run(
    ctx: Context, visible: Visibility, body: Mapping[str, Any], mount: Mount, *, count: bool = True
) -> Page:
    """One page of a search in the STAC API's words; `count` as in `Searcher.search`.

    Raises:
        Invalid: a parameter cannot be read or has no meaning.
    """
    try:
        asked = request.from_body(body, days=True)
        # the operation's own connection is not needed while the search runs on the reader's
        await ctx.release()
        return await searcher_of(ctx).search(visible, asked, mount, count=count)
    except errors.StacError as error:
        raise refusal(error) from None


def refusal(error: errors.StacError) -> OpError:
    """What a refusal of the STAC package is to an operation's caller."""
    if isinstance(error, errors.BadRequest):
        return Invalid([{"loc": ["body"], "msg": error.detail, "type": "value_error"}])
    if isinstance(error, errors.NotFound):
        return NotFound(str(error.detail))
    if isinstance(error, errors.Unauthorized):
        return Unauthenticated()
    if isinstance(error, errors.Unavailable):
        return Unavailable(str(error.detail))
    return Internal("the search failed")

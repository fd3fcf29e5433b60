"""What a share link shows: its items and collection in STAC's words, and nothing beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from db.queries import queries
from ops_gateway.catalogue import search
from ops_gateway.domains.share_access import TILES, Link, key_of
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Invalid, NotFound
from stac_api import errors
from stac_api.document import GEOJSON, STAC_VERSION, Mount
from stac_api.normal_form import property_names
from stac_api.request import SearchRequest
from stac_api.search import Page
from stac_api.tenancy import Visibility

sql = queries(__file__)

Document = dict[str, Any]

JSON = "application/json"
ITEMS_SHOWN = 1000  # by validate; the STAC root has them all, page by page
ALONE = "shared"
"""The collection that a single shared item is said to be in: its own is not shared."""

_PRIVATE = re.compile(r"[\s.\"']*opstac:", re.IGNORECASE)
_TOLD = ("opstac:id", "opstac:type")
# of the platform's own properties a viewer is told no others: whose project an item is in, what
# other items it came from
_COLLECTION = (
    "type", "stac_version", "stac_extensions", "id", "title", "description", "license", "extent",
    "keywords", "providers", "summaries",
)  # fmt: skip


def base_of(ctx: Context, link: Link) -> str:
    """Where everything of the link begins."""
    return f"{ctx.base_url}/share/{link.token}"


def root_of(ctx: Context, link: Link) -> str:
    """The link's STAC landing page."""
    return f"{base_of(ctx, link)}/stac"


def tile_template(ctx: Context, link: Link, item_id: str, profile: str | None) -> str:
    """The address of tiles, with `{z}/{x}/{y}`, good for an hour."""
    query = {"key": tile_key(ctx, link)} | ({"profile": profile} if profile is not None else {})
    return f"{place_of(ctx, link, item_id)}/tiles/{{z}}/{{x}}/{{y}}.png?{urlencode(query)}"


def tile_key(ctx: Context, link: Link) -> str:
    """What opens tiles of the link for an hour, and nothing else."""
    return key_of(link, ctx.services.keys.share, TILES)


def place_of(ctx: Context, link: Link, item_id: str) -> str:
    """The address below which a shared item's pictures are."""
    place = "" if link.target_type == "item" else f"/items/{quote(item_id, safe='')}"
    return f"{base_of(ctx, link)}{place}"


async def require_shared(ctx: Context, link: Link, item_id: str) -> None:
    """Raise NotFound unless the link shares the item."""
    alone = link.target_type == "item"
    if "\x00" in item_id or (alone and item_id != link.target_id):
        raise NotFound.of("item")
    collection = None if alone else link.target_id
    await ctx.one(
        "item", sql.shared_item, id=item_id, project=link.project_id, collection=collection
    )


async def shared_asset(ctx: Context, link: Link, asset_id: str) -> dict[str, Any]:
    """The row of an asset of a shared item. Raises NotFound."""
    if "\x00" in asset_id:
        raise NotFound.of("asset")
    row = await ctx.one("asset", sql.asset, id=asset_id)
    await require_shared(ctx, link, row["item_id"])
    return row


async def find(ctx: Context, link: Link, asked: SearchRequest) -> Page:
    """A page of the shared items that fit what is asked for, as the link shows them.

    Raises: OpError, for what cannot be read.
    """
    require_told(link, asked)
    names: set[str] = {ALONE}
    # members are left out by a client's wish only once what is shared has been told from the rest
    narrowed = replace(asked, include=frozenset(), exclude=frozenset())
    if link.target_type == "item":
        narrowed = replace(narrowed, ids=(link.target_id,), collections=None)
    else:
        names = {link.target_id, (await collection(ctx, link))["id"]}
        narrowed = replace(narrowed, collections=(link.target_id,))
    await ctx.release()
    if asked.collections is not None and not names & set(asked.collections):
        return Page([], 0, False, None, None)
    visible = Visibility(link.organization_id, link.slot, frozenset([link.project_id]))
    mount = Mount(ctx.base_url, item_links=search.item_links)
    try:
        page = await search.searcher_of(ctx).search(visible, narrowed, mount)
    except errors.StacError as error:
        raise search.refusal(error) from None
    if link.target_type == "item":
        # an id given by a client may be that of the platform for another item
        fit = [f for f in page.features if f["properties"]["opstac:id"] == link.target_id]
        if asked.ids is not None:
            fit = [f for f in fit if {f["id"], link.target_id} & set(asked.ids)]
        page = Page(fit, len(fit), False, None, None)
    return replace(page, features=[present(ctx, link, f) for f in page.features])


def require_told(link: Link, asked: SearchRequest) -> None:
    """Raise Invalid for a search by what a viewer is not told.

    What can be compared or ordered by can be found out. Names are read as the search reads them.
    """
    named = {name for name, _ in asked.sortby}
    if asked.filter is not None:
        named |= property_names(asked.filter)
    hidden = {name for name in named if _PRIVATE.match(name)} - set(_TOLD)
    if link.target_type == "item":  # it is said to be in a collection of its own
        hidden |= named & {"collection"}
    if hidden:
        raise Invalid.at("filter", f"there is no property {sorted(hidden)[0][:100]!r} here")


def present(ctx: Context, link: Link, feature: Document) -> Document:
    """A feature with the link's own addresses, and with files where it allows to download."""
    secret = ctx.services.keys.share
    properties = {
        name: value
        for name, value in feature["properties"].items()
        if not name.startswith("opstac:") or name in _TOLD
    }
    item_id = properties["opstac:id"]
    named = ALONE if link.target_type == "item" else feature["collection"]
    root, parent = root_of(ctx, link), f"{root_of(ctx, link)}/collections/{quote(named, safe='')}"
    here = f"{parent}/items/{quote(feature['id'], safe='')}"
    place = "" if link.target_type == "item" else f"/items/{quote(item_id, safe='')}"
    links = [
        {"rel": "self", "type": GEOJSON, "href": here},
        {"rel": "parent", "type": JSON, "href": parent},
        {"rel": "collection", "type": JSON, "href": parent},
        {"rel": "root", "type": JSON, "href": root},
    ]
    if any(one["rel"] == "tilejson" for one in feature["links"]):
        key = urlencode({"key": key_of(link, secret, TILES)})
        href = f"{base_of(ctx, link)}{place}/tilejson.json?{key}"
        links.append({"rel": "tilejson", "type": JSON, "href": href, "title": "TileJSON"})
        tiles = tile_template(ctx, link, item_id, None)
        links.append({"rel": "xyz", "type": "image/png", "href": tiles, "title": "Tiles"})
    return {
        **feature,
        "collection": named,
        "properties": properties,
        "links": links,
        "assets": _assets(ctx, link, feature["assets"], key_of(link, secret))
        if link.permission == "download"
        else {},
    }


def _assets(ctx: Context, link: Link, assets: Mapping[str, Any], key: str) -> Document:
    ours = f"{ctx.base_url}/v2/assets/"
    shared: Document = {}
    for name, asset in assets.items():
        told = {k: v for k, v in asset.items() if k != "alternate"}
        if told["href"].startswith(ours):
            asset_id = told["href"].removeprefix(ours)
            told["href"] = f"{base_of(ctx, link)}/assets/{asset_id}?{urlencode({'key': key})}"
        shared[name] = told
    return shared


async def collection(ctx: Context, link: Link) -> Document:
    """The collection that the link shows. Raises NotFound: what was shared is gone."""
    if link.target_type == "item":
        page = await find(ctx, link, SearchRequest(limit=1))
        if not page.features:
            raise NotFound.of("item")
        found = _alone(page.features[0])
    else:
        await ctx.one(
            "collection", sql.shared_collection, id=link.target_id, project=link.project_id
        )
        await ctx.release()
        visible = Visibility(link.organization_id, link.slot, frozenset([link.project_id]))
        try:
            found = await search.collections_of(ctx).one(
                visible, link.target_id, Mount(ctx.base_url)
            )
        except errors.StacError as error:
            raise search.refusal(error) from None
    root = root_of(ctx, link)
    here = f"{root}/collections/{quote(found['id'], safe='')}"
    return {
        **{name: found[name] for name in _COLLECTION if name in found},
        "links": [
            {"rel": "self", "type": JSON, "href": here},
            {"rel": "parent", "type": JSON, "href": root},
            {"rel": "root", "type": JSON, "href": root},
            {"rel": "items", "type": GEOJSON, "href": f"{here}/items"},
        ],
    }


def _alone(feature: Document) -> Document:
    """A collection around one item."""
    properties = feature["properties"]
    begin = properties.get("start_datetime") or properties.get("datetime")
    end = properties.get("end_datetime") or properties.get("datetime")
    title = properties.get("title") or feature["id"]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "id": ALONE,
        "title": title,
        "description": f"The shared item {title}",
        "license": properties.get("license") or "other",
        "extent": {
            "spatial": {"bbox": [feature.get("bbox") or [-180, -90, 180, 90]]},
            "temporal": {"interval": [[begin, end]]},
        },
    }


async def whole(ctx: Context, link: Link) -> Document:
    """The target: a Feature, or `{collection, items}` with the newest thousand items.

    Raises NotFound: what was shared is gone.
    """
    if link.target_type == "item":
        page = await find(ctx, link, SearchRequest(limit=1))
        if not page.features:
            raise NotFound.of("item")
        return page.features[0]
    shown = await collection(ctx, link)
    page = await find(ctx, link, SearchRequest(limit=ITEMS_SHOWN))
    return {"collection": shown, "items": page.features}

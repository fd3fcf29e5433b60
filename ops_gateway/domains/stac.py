"""The STAC API's search and collections as operations."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ops_gateway.catalogue import search
from ops_gateway.domains.items_search import FeatureCollectionOutput, collection_of, next_link
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from stac_api import errors

MAX_COLLECTIONS = 10_000


class SortClause(Input):
    """One field to order by."""

    field: str
    direction: str = "asc"


class SearchInput(Input):
    """Input of stac.search."""

    base_url: str = ""
    collections: list[str] | None = None
    ids: list[str] | None = None
    datetime: str | None = None
    sortby: list[SortClause] | None = None
    limit: int = Field(default=10, ge=1, le=10000)
    page: int = Field(default=0, ge=0)
    filter: dict[str, Any] | None = None
    filter_lang: str | None = Field(default="cql2-json", alias="filter-lang")
    bbox: list[float] | None = None
    intersects: dict[str, Any] | None = None


class CollectionsListInput(Input):
    """Input of stac.collections.list."""

    base_url: str = ""


class StacCollectionsOutput(Output):
    """Collections as the STAC API shows them."""

    collections: list[dict[str, Any]]
    links: list[dict[str, Any]]
    numberMatched: int
    numberReturned: int


@operation("stac.search", scope="items:read", effect=Effect.READ)
async def stac_search(ctx: Context, body: SearchInput) -> FeatureCollectionOutput:
    """Search the items the caller may see, as the STAC API's search does."""
    asked = body.model_dump(by_alias=True, exclude={"base_url", "page"})
    asked["offset"] = body.page * body.limit
    mount = search.mount_of(ctx, body.base_url)
    page = await search.run(ctx, search.visibility_of(ctx.principal), asked, mount)
    links = [{"rel": "root", "type": "application/json", "href": mount.root}]
    links += next_link(ctx, page, {"page": body.page + 1})
    return collection_of(page, links)


@operation("stac.collections.list", scope="items:read", effect=Effect.READ)
async def list_stac_collections(ctx: Context, body: CollectionsListInput) -> StacCollectionsOutput:
    """List STAC collections of the organization that the caller may see."""
    mount = search.mount_of(ctx, body.base_url)
    reader = search.collections_of(ctx)
    try:
        found, _ = await reader.page(
            search.visibility_of(ctx.principal), mount, limit=MAX_COLLECTIONS
        )
    except errors.StacError as error:
        raise search.refusal(error) from None
    links = [
        {"rel": "self", "type": "application/json", "href": f"{mount.root}/collections"},
        {"rel": "root", "type": "application/json", "href": mount.root},
    ]
    return StacCollectionsOutput(
        collections=found, links=links, numberMatched=len(found), numberReturned=len(found)
    )

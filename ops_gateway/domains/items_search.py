"""Searching items with STAC's filters: within a project, or over the organization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue import search
from ops_gateway.catalogue.models import ItemType, item_response
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Invalid
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from stac_api.search import Page
from stac_api.tenancy import Visibility

sql = queries(__file__)


class OrgItemSearchInput(Input):
    """Input of items.search_org."""

    bbox: list[float] | None = None
    datetime: str | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0)
    collections: list[str] | None = None
    type: ItemType | None = None
    query: dict[str, Any] | None = None
    sortby: list[dict[str, str]] | None = None
    format: str | None = Field(default=None, description="'stac' for full STAC features")
    base_url: str | None = Field(
        default=None, description="Base URL for STAC links (stac format only)"
    )


class ProjectItemSearchInput(OrgItemSearchInput):
    """Input of items.search."""

    project_id: str


class FeatureCollectionOutput(Output):
    """Items as GeoJSON features, and how many match in all."""

    type: str = "FeatureCollection"
    features: list[Any] = Field(default_factory=list)
    numberMatched: int = 0
    numberReturned: int = 0
    links: list[dict[str, Any]] = Field(default_factory=list)


def next_link(ctx: Context, page: Page, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How to ask for the page after this one: the same call with `body`; none at the end."""
    if page.next is None:
        return []
    href = f"{ctx.base_url}/v1/op/{ctx.operation}"
    return [{"rel": "next", "href": href, "method": "POST", "merge": True, "body": dict(body)}]


def collection_of(page: Page, links: list[dict[str, Any]]) -> FeatureCollectionOutput:
    """A page as the operations give it."""
    return FeatureCollectionOutput.model_validate({"numberMatched": 0, **page.collection(links)})


async def find(
    ctx: Context, visible: Visibility, body: OrgItemSearchInput
) -> FeatureCollectionOutput:
    """One page of the items that are visible and match."""
    if body.format not in (None, "stac", "items"):
        raise Invalid.at("format", "must be 'stac' or 'items'")
    asked = body.model_dump(
        include={"bbox", "datetime", "limit", "offset", "collections", "query", "sortby"}
    )
    if body.type is not None:
        typed = {"op": "=", "args": [{"property": "opstac:type"}, body.type.value]}
        asked["filter"] = typed
    mount = search.mount_of(ctx, body.base_url)
    page = await search.run(ctx, visible, asked, mount)
    following = {"offset": body.offset + len(page.features)}
    answer = collection_of(page, next_link(ctx, page, following))
    if body.format == "items":
        ids = [feature["properties"]["opstac:id"] for feature in page.features]
        rows = {row["id"]: row for row in await ctx.rows(None, sql.items, ids=ids)}
        answer.features = [item_response(rows[i]).model_dump() for i in ids if i in rows]
        answer.numberReturned = len(answer.features)
    return answer


@operation("items.search", scope="items:read", effect=Effect.READ)
async def search_project(ctx: Context, body: ProjectItemSearchInput) -> FeatureCollectionOutput:
    """Search a project's items with STAC-compatible filters (project member access)."""
    await access.project(ctx, body.project_id)
    return await find(ctx, search.visibility_of(ctx.principal, project_id=body.project_id), body)


@operation("items.search_org", scope="items:read", effect=Effect.READ)
async def search_organization(ctx: Context, body: OrgItemSearchInput) -> FeatureCollectionOutput:
    """Search all items across the caller's organization (STAC-compatible)."""
    return await find(ctx, search.visibility_of(ctx.principal), body)

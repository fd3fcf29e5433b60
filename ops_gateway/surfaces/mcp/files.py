"""Files in results: links that a host fetches by itself, as the protocol's `resource_link`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ops_gateway.catalogue import items, pictures
from ops_gateway.catalogue.links import sign
from ops_gateway.kernel import access, holders
from ops_gateway.kernel.answers import Call
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import NotFound, OpError
from ops_gateway.kernel.operation import REGISTRY, Operation
from ops_gateway.kernel.pipeline import Pipeline

MOST = 20
"""Links in a result."""
DOWNLOAD = "items.asset.download"
_LINKED = frozenset(["url", "file_name"])

Link = dict[str, Any]


def links_in(op: Operation, value: Mapping[str, Any]) -> list[Link]:
    """The files that an answer holds signed addresses of, as its type says and not its data."""
    found: list[Link] = []
    for place in _places(op.id):
        entries = [value] if place == "" else value.get(place) or []
        found += [
            link_to(one["url"], one["file_name"], one.get("media_type"), one.get("size_bytes"))
            for one in entries
            if one.get("url")
        ]
    return found[:MOST]


def link_to(url: str, name: str, media_type: str | None, size: int | None, **more: Any) -> Link:
    """A link as results hold it."""
    link: Link = {"type": "resource_link", "uri": url, "name": name, **more}
    if media_type:
        link["mimeType"] = media_type
    if size is not None:
        link["size"] = size
    return link


@cache
def _places(op_id: str) -> tuple[str, ...]:
    """Where an answer has files: the names of its lists of them, or `""` for the answer itself."""
    adapter = REGISTRY[op_id].adapter
    if adapter is None:  # documents of another standard, such as an item of STAC
        return ()
    schema = adapter.json_schema(mode="serialization")
    definitions = schema.get("$defs", {})

    def plain(part: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = part.get("$ref")
        return definitions[reference.rpartition("/")[2]] if reference else part

    whole = plain(schema)
    members = whole.get("properties", {})
    places = [""] if members.keys() >= _LINKED else []
    places += [
        name
        for name, part in members.items()
        if plain(part.get("items") or {}).get("properties", {}).keys() >= _LINKED
    ]
    return tuple(places)


async def outputs(pipeline: Pipeline, job: Mapping[str, Any], call: Call) -> list[Link]:
    """Links to the files that a job made, for who may fetch them; what is sent is counted then.

    There are none where files lie in a bucket: that is counted when a link is made, which is what
    `items.asset.download` is for.
    """
    services = pipeline.services
    made: list[str] = job.get("output_item_ids") or []
    if not made or not services.objects.is_local:
        return []
    try:
        pipeline.admit(REGISTRY[DOWNLOAD], call.principal)
    except OpError:
        return []

    async def work(ctx: Context) -> list[Link]:
        found: list[Link] = []
        for item_id in made:
            if len(found) >= MOST:
                break
            try:
                item = await access.item(ctx, item_id)
            except NotFound:  # deleted since
                continue
            if item["lifecycle_state"] == "expired":
                continue
            drawn = await pictures.assets_drawn(ctx, item_id)
            holder = holders.label(ctx.principal, item["project_id"])
            for row in await items.assets_of(ctx, item_id):
                if row["id"] in drawn or row["href"]:
                    continue
                link = sign(
                    row, services, ctx.base_url, holder=holder, payer=ctx.principal.organization_id
                )
                name = row["file_name"] or f"{row['key']}.tif"
                title = f"{item['name']}: {row['key']}"
                found.append(
                    link_to(link.url, name, row["media_type"], row["size_bytes"], title=title)
                )
        return found[:MOST]

    return await pipeline.look("mcp.outputs", call.principal, work, base_url=call.base_url)

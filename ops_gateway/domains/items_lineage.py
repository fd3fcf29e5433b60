"""What an item was made from, and what was made from it."""

from __future__ import annotations

from typing import Literal

from ops_gateway.domains import provenance
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.operation import Effect, Input, Output, operation

MAX_DEPTH = 20


class ItemLineageInput(Input):
    """Input of items.lineage."""

    item_id: str


class Relative(Output):
    """What an item came from, or what came from it."""

    entity_type: str
    entity_id: str
    relation: str
    depth: int


class ItemLineageOutput(Output):
    """Output of items.lineage, nearest first; `depth` 1 is direct."""

    item_id: str
    parents: list[Relative]
    children: list[Relative]


async def relatives(ctx: Context, item_id: str, direction: Literal["up", "down"]) -> list[Relative]:
    """The entities up or down from an item that the caller may see; files are not told."""
    found = []
    for edge in await provenance.walk(
        ctx, ("item", item_id), direction=direction, max_depth=MAX_DEPTH
    ):
        kind, entity_id = provenance.far_end(edge, direction)
        if edge.relation != "part_of":
            found.append(
                Relative(
                    entity_type=kind,
                    entity_id=entity_id,
                    relation=edge.relation or "",
                    depth=edge.depth,
                )
            )
    return found


@operation("items.lineage", scope="items:read", effect=Effect.READ)
async def get_item_lineage(ctx: Context, body: ItemLineageInput) -> ItemLineageOutput:
    """Get the lineage tree (parents + children) for an item."""
    row = await access.item(ctx, body.item_id)
    return ItemLineageOutput(
        item_id=row["id"],
        parents=await relatives(ctx, row["id"], "up"),
        children=await relatives(ctx, row["id"], "down"),
    )

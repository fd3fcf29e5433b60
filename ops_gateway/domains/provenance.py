"""Provenance: what an entity was made from, and what was made from it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from db.queries import queries
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import NotFound
from ops_gateway.kernel.operation import Effect, Input, Output, operation

sql = queries(__file__)

MOST_EDGES = 10_000  # of one walk; the answer says where it was cut

Node = tuple[str, str]
"""An entity's type and id."""


class LineageGetInput(Input):
    """Input of provenance.get."""

    entity_type: str = Field(
        description="Root node type: item | asset | processing_job | upload | collection | project "
        "| share_link"
    )
    entity_id: str = Field(description="Root entity id")
    direction: str = Field(
        "up", pattern="^(up|down|both)$", description="up=ancestors, down=descendants, both"
    )
    max_depth: int = Field(20, ge=1, le=50)


class LineageEdge(Output):
    """`src` is the derived entity, `dst` what it came from; `depth` is 1 at the root."""

    depth: int
    src_type: str | None = None
    src_id: str | None = None
    dst_type: str | None = None
    dst_id: str | None = None
    relation: str | None = None
    invocation_id: str | None = None


class LineageNode(Output):
    """An entity and its least distance from the root, which has 0."""

    entity_type: str
    entity_id: str
    depth: int


class LineageGetOutput(Output):
    """Output of provenance.get."""

    root: dict[str, str]
    direction: str
    edges: list[LineageEdge] = Field(default_factory=list)
    nodes: list[LineageNode] = Field(default_factory=list)
    truncated: bool = False


async def walk(
    ctx: Context, root: Node, *, direction: Literal["up", "down"], max_depth: int
) -> list[LineageEdge]:
    """The edges reached from `root`, each once, at its least depth, nearest first.

    Nothing of a project that the caller is not in appears, and nothing is reached through it.
    At most `MOST_EDGES` + 1 edges, so that a caller can tell that there were more.
    """
    return await ctx.rows(
        LineageEdge,
        sql.ancestors if direction == "up" else sql.descendants,
        type=root[0],
        id=root[1],
        max_depth=max_depth,
        projects=access.visible_projects(ctx.principal),
        most=MOST_EDGES + 1,
    )


def far_end(edge: LineageEdge, direction: Literal["up", "down"]) -> Node:
    """The entity that an edge of a walk leads to."""
    if direction == "up":
        return str(edge.dst_type), str(edge.dst_id)
    return str(edge.src_type), str(edge.src_id)


@operation("provenance.get", scope="provenance:read", effect=Effect.READ)
async def get_lineage(ctx: Context, body: LineageGetInput) -> LineageGetOutput:
    """Walk the ancestors or descendants of one entity."""
    root = body.entity_type, body.entity_id
    found = await ctx.row(None, sql.live_entity, type=root[0], id=root[1])
    if found is None:
        raise NotFound.of("entity")
    ctx.require_project_role(found["project_id"], "viewer", kind="entity")
    edges: list[LineageEdge] = []
    depths: dict[Node, int] = {root: 0}
    directions: tuple[Literal["up", "down"], ...] = ("up", "down")
    truncated = False
    for direction in directions:
        if body.direction not in (direction, "both"):
            continue
        walked = await walk(ctx, root, direction=direction, max_depth=body.max_depth)
        truncated = truncated or len(walked) > MOST_EDGES
        for edge in walked[:MOST_EDGES]:
            edges.append(edge)
            node = far_end(edge, direction)
            depths[node] = min(edge.depth, depths.get(node, edge.depth))
    nodes = [
        LineageNode(entity_type=kind, entity_id=entity_id, depth=depth)
        for (kind, entity_id), depth in sorted(depths.items(), key=lambda entry: entry[1])
    ]
    return LineageGetOutput(
        root={"entity_type": root[0], "entity_id": root[1]},
        direction=body.direction,
        edges=edges,
        nodes=nodes,
        truncated=truncated,
    )

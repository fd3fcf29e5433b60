"""Who a signed address was given to: it opens nothing any more once they may not read.

A holder is the id of a key, a person or a share link. What else signs, such as a run of a job, has
none: its addresses end by their time alone.
"""

from __future__ import annotations

from db.pool import Pool
from db.queries import queries
from ops_gateway.kernel.context import Principal

sql = queries(__file__)

_KINDS = ("api_key", "user", "share")


def holder_of(principal: Principal) -> str:
    """Whose end is the end of what is signed for this caller; empty for nobody's."""
    return principal.id if principal.kind in _KINDS else ""


def label(principal: Principal, project_id: str | None) -> str | None:
    """The holder as a signed file address names it: with what it must be able to read."""
    return labelled(holder_of(principal), principal.organization_id, project_id)


def labelled(holder: str, organization_id: str | None, project_id: str | None) -> str | None:
    """As `label`, of a holder by id."""
    if not holder or organization_id is None:
        return None
    return " ".join((holder, organization_id, *([project_id] if project_id else [])))


async def label_stands(pool: Pool, text: str) -> bool:
    """Whether who `label` named may read that still."""
    holder, organization, *projects = text.split(" ")
    return await still_reads(pool, holder, organization, projects)


async def still_reads(
    pool: Pool, holder: str, organization_id: str, projects: list[str] | None
) -> bool:
    """Whether a holder may read in these projects; None for the whole organization."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            sql.still_reads, {"holder": holder, "org": organization_id, "projects": projects}
        )
        row = await cursor.fetchone()
    return row is not None and row["stands"]

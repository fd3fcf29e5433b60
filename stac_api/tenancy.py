"""Whose items a request may see.

The one predicate of visibility: a search always runs in one slot and, unless the caller may see the
whole of it, only over the projects listed. `search.py` pushes it into the query.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Visibility:
    """What one caller may see.

    Attributes:
        organization_id: owner of the collections shown; None where there is none (a caller without
            organization, or public data that belongs to nobody).
        slot: the pgstac collection searched: the organization's, or the public one for an
            anonymous caller; None sees nothing.
        projects: ids of the visible projects; None means all of the slot.
        anonymous: no credential was sent. What is not public is then 401, not 404 or empty.
    """

    organization_id: str | None
    slot: str | None
    projects: frozenset[str] | None
    anonymous: bool = False

    @property
    def empty(self) -> bool:
        """True where nothing can be seen, so that the database need not be asked."""
        return self.slot is None or (self.projects is not None and not self.projects)

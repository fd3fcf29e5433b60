"""Whose items a request may see.

The one predicate of visibility: a search runs in one slot and, unless the caller may see the whole
of it, only over the projects listed; without a credential it runs over the collections that are
marked public, wherever they are. `search.py` pushes it into the query.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Visibility:
    """What one caller may see.

    Attributes:
        organization_id: owner of the collections shown; None where there is none (a caller without
            organization, or one without a credential).
        slot: the pgstac collection searched: the organization's; None sees nothing that is not
            public.
        projects: ids of the visible projects; None means all of the slot.
        anonymous: no credential was sent: what is public is seen, and what is not is 401, not 404.
    """

    organization_id: str | None
    slot: str | None
    projects: frozenset[str] | None
    anonymous: bool = False

    @property
    def empty(self) -> bool:
        """True where nothing can be seen, so that the database need not be asked."""
        if self.anonymous:
            return False
        return self.slot is None or (self.projects is not None and not self.projects)


PUBLIC = Visibility(None, None, None, anonymous=True)

UNSHOWN = frozenset(("opstac:project", "opstac:version"))
"""Properties that a caller without a credential is not shown, nor may ask by: whose project an item
is in is nobody else's business, nor that it said something else before it was made public."""

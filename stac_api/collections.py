"""Collections as STAC shows them, from the platform's own table.

A collection is known by its slug. Items in no collection are shown in one named after their
project.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from db.queries import queries
from stac_api.document import STAC_VERSION, Document, Mount, quoted, time_text
from stac_api.errors import NotFound, Unauthorized
from stac_api.search import Searcher
from stac_api.tenancy import Visibility

sql = queries(__file__)

EXTENT_SECONDS = 30
_EXTENTS_KEPT = 20_000
_WORLD = [-180.0, -90.0, 180.0, 90.0]
# what the platform says itself, whatever a client has stored beside it
_OURS = frozenset(("type", "stac_version", "id", "links", "title", "description"))

Extent = tuple[list[float], list[str | None]]


class Collections:
    """Reads collections and their extents; extents are remembered for half a minute."""

    def __init__(self, searcher: Searcher) -> None:
        """Uses the searcher's pool."""
        self._searcher = searcher
        self._extents: OrderedDict[tuple[str, str], tuple[float, Extent]] = OrderedDict()

    async def page(
        self, visibility: Visibility, mount: Mount, *, limit: int, offset: int = 0
    ) -> tuple[list[Document], bool]:
        """One page in order of making, and whether there are more."""
        rows = await self._rows(visibility, None, limit + 1, offset)
        return await self._documents(visibility, rows[:limit], mount), len(rows) > limit

    async def one(self, visibility: Visibility, name: str, mount: Mount) -> Document:
        """The collection of that slug or id.

        Raises:
            NotFound: there is none that the caller may see.
            Unauthorized: the same, without a credential.
        """
        rows = await self._rows(visibility, [name], 2, 0)
        if not rows:
            raise missing(visibility, name)
        # a slug that looks like another collection's id loses against it
        row = next((r for r in rows if r["id"] == name), rows[0])
        return (await self._documents(visibility, [row], mount))[0]

    async def default_project(self, visibility: Visibility) -> str | None:
        """Where a write goes that names no project: the oldest visible one in use."""
        rows = await self._searcher.fetch(
            sql.default_project,
            organization=visibility.organization_id,
            projects=_listed(visibility),
        )
        return rows[0]["id"]

    async def queryables(self) -> Document:
        """JSON Schema of what can be filtered by, less what is internal."""
        document: Document = (await self._searcher.fetch(sql.queryables))[0]["document"]
        properties = document["properties"]
        for name in ("opstac:stac_id", "opstac:collection"):
            properties.pop(name, None)
        properties["collection"] = {"title": "Collection ID", "type": "string"}
        document["title"] = "What items can be filtered by"
        return document

    async def _rows(
        self, visibility: Visibility, names: Sequence[str] | None, limit: int, offset: int
    ) -> list[dict[str, Any]]:
        if visibility.organization_id is None or visibility.empty:
            return []
        return await self._searcher.fetch(
            sql.collections,
            organization=visibility.organization_id,
            projects=_listed(visibility),
            names=None if names is None else list(names),
            limit=limit,
            offset=offset,
        )

    async def _documents(
        self, visibility: Visibility, rows: Sequence[Mapping[str, Any]], mount: Mount
    ) -> list[Document]:
        given = {row["id"]: row["stac"].get("extent") for row in rows}
        extents = await self._found_extents(
            visibility, [id_ for id_, extent in given.items() if not extent]
        )
        return [
            _document(row, given[row["id"]] or _extent(extents.get(row["id"])), mount)
            for row in rows
        ]

    async def _found_extents(self, visibility: Visibility, ids: Sequence[str]) -> dict[str, Extent]:
        """Extents of the items; a collection without items has none."""
        slot, now = visibility.slot or "", time.monotonic()
        found, wanted = {}, []
        for id_ in ids:
            kept = self._extents.get((slot, id_))
            if kept and kept[0] > now:
                found[id_] = kept[1]
            else:
                wanted.append(id_)
        if wanted:
            rows = await self._searcher.fetch(
                sql.extents,
                organization=visibility.organization_id,
                slot=slot,
                projects=_listed(visibility),
                ids=wanted,
            )
            for row in rows:
                box = [row["west"], row["south"], row["east"], row["north"]]
                span: list[str | None] = [time_text(row["first_at"]), time_text(row["last_at"])]
                found[row["id"]] = (_WORLD if None in box else box, span)
                self._extents[slot, row["id"]] = (now + EXTENT_SECONDS, found[row["id"]])
            while len(self._extents) > _EXTENTS_KEPT:
                self._extents.popitem(last=False)
        return found


def missing(visibility: Visibility, name: str) -> NotFound | Unauthorized:
    """What to raise for a collection or item the caller may not see, or that is not there."""
    return Unauthorized() if visibility.anonymous else NotFound(f"{name[:100]!r} not found")


def _listed(visibility: Visibility) -> list[str] | None:
    return None if visibility.projects is None else sorted(visibility.projects)


def _extent(found: Extent | None) -> Document:
    box, span = found or (_WORLD, [None, None])
    return {"spatial": {"bbox": [box]}, "temporal": {"interval": [span]}}


def _document(row: Mapping[str, Any], extent: Document, mount: Mount) -> Document:
    here = f"{mount.root}/collections/{quoted(row['slug'])}"
    json, geojson = "application/json", "application/geo+json"
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": row["slug"],
        "title": row["title"],
        "description": row["description"] or row["title"],
        "license": "proprietary",
        **{key: value for key, value in row["stac"].items() if key not in _OURS},
        "extent": extent,
        "created": time_text(row["created_at"]),
        "updated": time_text(row["updated_at"]),
        "opstac:id": row["id"],
        "opstac:project": row["project_id"],
        "links": [
            {"rel": "self", "type": json, "href": here},
            {"rel": "parent", "type": json, "href": mount.root},
            {"rel": "root", "type": json, "href": mount.root},
            {"rel": "items", "type": geojson, "href": f"{here}/items"},
            {
                "rel": "http://www.opengis.net/def/rel/ogc/1.0/queryables",
                "type": "application/schema+json",
                "href": f"{here}/queryables",
            },
        ],
    }

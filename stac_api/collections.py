"""Collections as STAC shows them, from the platform's own table.

A collection is known by its slug. Items in no collection are shown in one named after their
project.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from db.queries import queries
from stac_api import collection_search
from stac_api.collection_search import CollectionSearch
from stac_api.document import STAC_VERSION, Document, Mount, quoted, time_text
from stac_api.errors import NotFound, Unauthorized
from stac_api.search import Searcher
from stac_api.tenancy import Visibility

sql = queries(__file__)

SEARCHED = 20_000  # collections looked through at most
_WORLD = [-180.0, -90.0, 180.0, 90.0]
# what the platform says itself, whatever a client has stored beside it
_OURS = frozenset(("type", "stac_version", "id", "links", "title", "description"))

Extent = tuple[list[float], list[str | None]]


class Collections:
    """Reads collections and their extents."""

    def __init__(self, searcher: Searcher) -> None:
        """Uses the searcher's pool."""
        self._searcher = searcher

    async def page(
        self, visibility: Visibility, mount: Mount, *, limit: int, offset: int = 0
    ) -> tuple[list[Document], int]:
        """One page in order of making, and how many there are in all."""
        rows = await self._rows(visibility, None, limit + 1, offset)
        if len(rows) <= limit and (rows or not offset):
            matched = offset + len(rows)
        else:
            matched = await self._count(visibility)
        return await self._documents(visibility, rows[:limit], mount), matched

    async def search(
        self, visibility: Visibility, asked: CollectionSearch, mount: Mount
    ) -> tuple[list[Document], int]:
        """One page of the collections that fit, and how many do."""
        if asked.plain:
            shown, matched = await self.page(
                visibility, mount, limit=asked.limit, offset=asked.offset
            )
        else:
            rows = await self._rows(visibility, None, SEARCHED, 0)
            everything = await self._documents(visibility, rows, mount, extents=asked.needs_extents)
            fitting = await asyncio.to_thread(collection_search.found, everything, asked)
            wanted = {d["opstac:id"] for d in fitting[asked.offset : asked.offset + asked.limit]}
            matched = len(fitting)
            if asked.needs_extents:
                shown = [d for d in fitting if d["opstac:id"] in wanted]
            else:
                order = {d["opstac:id"]: n for n, d in enumerate(fitting)}
                rows = [row for row in rows if row["id"] in wanted]
                rows.sort(key=lambda row: order[row["id"]])
                shown = await self._documents(visibility, rows, mount)
        if asked.include or asked.exclude:
            shown = [collection_search.chosen(document, asked) for document in shown]
        return shown, matched

    async def names(self, visibility: Visibility, limit: int, offset: int) -> list[tuple[str, str]]:
        """(slug, title) of a page of the visible collections, in order of making."""
        rows = await self._rows(visibility, None, limit, offset)
        return [(row["slug"], row["title"]) for row in rows]

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

    async def _rows(
        self, visibility: Visibility, names: Sequence[str] | None, limit: int, offset: int
    ) -> list[dict[str, Any]]:
        if visibility.anonymous:
            return await self._searcher.fetch(
                sql.public_collections,
                names=None if names is None else list(names),
                limit=limit,
                offset=offset,
            )
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

    async def _count(self, visibility: Visibility) -> int:
        if visibility.anonymous:
            return (await self._searcher.fetch(sql.public_count))[0]["matched"]
        found = await self._searcher.fetch(
            sql.count, organization=visibility.organization_id, projects=_listed(visibility)
        )
        return found[0]["matched"]

    async def _documents(
        self,
        visibility: Visibility,
        rows: Sequence[Mapping[str, Any]],
        mount: Mount,
        *,
        extents: bool = True,
    ) -> list[Document]:
        given = {row["id"]: row["stac"].get("extent") for row in rows}
        wanted = [id_ for id_, extent in given.items() if not extent] if extents else []
        found = await self._found_extents(visibility, wanted)
        return [
            _document(row, given[row["id"]] or _extent(found.get(row["id"])), mount) for row in rows
        ]

    async def _found_extents(self, visibility: Visibility, ids: Sequence[str]) -> dict[str, Extent]:
        """Extents of the items; a collection without items has none."""
        if not ids:
            return {}
        if visibility.anonymous:
            rows = await self._searcher.fetch(sql.public_extents, ids=list(ids))
        else:
            rows = await self._searcher.fetch(
                sql.extents,
                organization=visibility.organization_id,
                projects=_listed(visibility),
                ids=list(ids),
            )
        return {row["id"]: _found(row) for row in rows}


def _found(row: Mapping[str, Any]) -> Extent:
    box = [row["west"], row["south"], row["east"], row["north"]]
    return _WORLD if None in box else box, [time_text(row["first_at"]), time_text(row["last_at"])]


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
        **({"opstac:project": row["project_id"]} if row["project_id"] else {}),
        "links": [
            {"rel": "self", "type": json, "href": here},
            {"rel": "parent", "type": json, "href": mount.root},
            {"rel": "root", "type": json, "href": mount.root},
            {"rel": "items", "type": geojson, "href": f"{here}/items"},
            {
                "rel": "http://www.opengis.net/def/rel/ogc/1.0/queryables",
                "type": "application/schema+json",
                "title": "Queryables",
                "href": f"{here}/queryables",
            },
            *row["stac"].get("links", ()),
        ],
    }

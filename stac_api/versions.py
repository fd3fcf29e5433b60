"""What an item said before each change of it, as STAC items (version extension).

Earlier versions are in no search. They are shown to who may read the item, with a credential: what
was said before an item was made public is not public.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from db.queries import queries
from stac_api import document
from stac_api.client import Service
from stac_api.document import GEOJSON, Document, Mount, quoted, version_link
from stac_api.errors import NotFound, Unauthorized
from stac_api.output import link

sql = queries(__file__)

AT_ONCE = 100
_MOMENTS = (
    *("datetime", "start_datetime", "end_datetime", "expires_at", "created_at", "updated_at"),
)


class Versions:
    """The routes below an item."""

    def __init__(self, service: Service) -> None:
        """Reads what the STAC API reads."""
        self._service = service

    async def all(self, request: Request, collection_id: str, item_id: str) -> Response:
        """The last hundred earlier versions of an item, newest first."""
        found = await self._earlier(request, collection_id, item_id, None)
        here = f"{_address(self._service.mount(request), collection_id, item_id)}/versions"
        links = [link("self", GEOJSON, here)]
        body = {"type": "FeatureCollection", "features": found, "links": links}
        return Response(orjson.dumps({**body, "numberReturned": len(found)}), media_type=GEOJSON)

    async def one(
        self, request: Request, collection_id: str, item_id: str, version: str
    ) -> Response:
        """What an item said at a version that was replaced."""
        number = int(version) if version.isascii() and version.isdecimal() else 0
        missing = NotFound(f"the item has no earlier version {version[:20]!r}")
        if not 0 < number < 2**31 - 1:
            raise missing
        found = await self._earlier(request, collection_id, item_id, number)
        if not found:
            raise missing
        return Response(orjson.dumps(found[0]), media_type=GEOJSON)

    async def _earlier(
        self, request: Request, collection: str, item: str, version: int | None
    ) -> list[Document]:
        visibility = await self._service.visibility(request)
        if visibility.anonymous:
            raise Unauthorized("a credential is needed to read earlier versions")
        mount = self._service.mount(request)
        now = await self._service.item(visibility, collection, item, mount)
        current = now["properties"].get("opstac:version", 1)
        if version is not None and version >= current:
            return []
        rows = await self._service.searcher.fetch(
            sql.item_versions,
            organization=visibility.organization_id,
            item=now["properties"]["opstac:id"],
            before=current if version is None else version + 1,
            exact=version is not None,
            limit=AT_ONCE,
        )
        return [_shown(row, current, now["collection"], mount) for row in rows]


def _shown(row: Mapping[str, Any], current: int, collection: str, mount: Mount) -> Document:
    """A row of `item_versions` as the item it was, linked to those before and after it."""
    number = row["version"]
    item = dict(row["snapshot"])
    for name in _MOMENTS:
        if item.get(name) is not None:
            item[name] = datetime.fromisoformat(item[name])
    # maps and lineage are those of the item as it is
    bare = Mount(mount.base, mount.prefix)
    shown = document.feature(document.item_document(item, row["assets"]), collection, bare)
    latest = _address(mount, collection, shown["id"])
    kept = [entry for entry in shown["links"] if entry["rel"] not in ("self", "canonical")]
    after = (
        version_link("successor-version", latest, number + 1)
        if number + 1 < current
        else link("successor-version", GEOJSON, latest)
    )
    shown["links"] = [
        link("self", GEOJSON, f"{latest}/versions/{number}"),
        link("latest-version", GEOJSON, latest),
        after,
        *kept,
    ]
    return shown


def _address(mount: Mount, collection: str, item: str) -> str:
    return f"{mount.root}/collections/{quoted(collection)}/items/{quoted(item)}"

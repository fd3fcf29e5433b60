"""Who may see which mosaic, and what it is drawn from: functions that the tiler app is given."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request

from db.objects import Objects
from db.pool import Pool
from db.queries import queries
from ops_gateway.kernel import assets
from ops_gateway.kernel.authenticate import Authenticator
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Forbidden, OpError, Unauthenticated
from ops_gateway.kernel.holders import holder_of
from ops_gateway.kernel.services import Remote
from opstac.usage import PAYER
from stac_api import errors, normal_form
from stac_api import request as stac_request
from stac_api.reader import MEANINGLESS
from stac_api.request import SearchRequest
from stac_api.search import pgstac_search
from tiler.errors import Busy, InvalidParameter, ResolveError, TileError
from tiler.mosaic.source import Bounds, Candidates, MosaicSource, Patch, Selection, Skipped
from tiler.source import AssetSource
from tiler.tokens import (
    PREFIX,
    TileGrant,
    TokenError,
    expiry,
    sign_tile_token,
    verify_tile_token,
)

sql = queries(__file__)

_ORDERS: dict[Selection, str] = {"oldest": "oldest", "least_cloudy": "cloud", "first": "first"}
_WHAT = {"collections": "collection", "searches": "saved search"}


@dataclass(frozen=True)
class Seen:
    """What a caller may see: an organization, and projects of it (None: all)."""

    organization: str
    projects: tuple[str, ...] | None


@dataclass(frozen=True)
class Sought:
    """A mosaic's items as the database is asked for them."""

    seen: Seen
    collections: list[str] | None
    ids: list[str] | None
    searches: list[dict[str, Any]]
    asset_key: str | None
    profile: str | None


class MosaicResolver:
    """`resolve_mosaic` for the tiler: by header, by `key=<tile token>` or by `key=<API key>`."""

    def __init__(
        self,
        pool: Pool,
        authenticator: Authenticator,
        objects: Objects,
        verify_key: bytes,
        remote: Remote | None = None,
    ) -> None:
        """Over a pool of role opstac_tiler; the rest as in `opstac.tiles.Resolver`."""
        self._remote = remote
        self._pool = pool
        self._authenticator = authenticator
        self._objects = objects
        self._verify_key = verify_key

    async def __call__(
        self, request: Request, kind: str, mosaic_id: str, wish: Mapping[str, Any]
    ) -> MosaicSource:
        """The mosaic; raises ResolveError, InvalidParameter and their like."""
        try:
            principal: Principal = request.scope["principal"]
            if principal.kind == "anonymous" and "key" not in request.query_params:
                row = await self._published(kind, mosaic_id)
                seen, known = Seen(row["organization_id"], None), row["collection_id"]
            else:
                seen, granted = await self._seen(request)
                row = await self._owned(kind, mosaic_id, seen, granted)
                known = row["collection_id"] or mosaic_id
                subject = None if granted is None else granted.item_id.partition("/")[0]
                if subject not in (None, f"{kind}:{known}"):
                    raise ResolveError.not_found(_WHAT[kind])
            request.scope[PAYER] = seen.organization
            return await self._mosaic(kind, known, seen, row, wish)
        except Unauthenticated:
            raise ResolveError.unauthorized() from None
        except OpError as error:
            raise TileError(error.status, error.title, error.detail) from None

    async def _seen(self, request: Request) -> tuple[Seen, TileGrant | None]:
        """What the caller may see, and what its tile token grants if it has one."""
        principal: Principal = request.scope["principal"]
        key = request.query_params.get("key")
        if principal.kind == "anonymous" and key is not None and key.startswith(PREFIX):
            try:
                grant = verify_tile_token(self._verify_key, key)
            except TokenError as error:
                raise Unauthenticated(str(error)) from None
            _, limited, projects = grant.item_id.partition("/")
            listed = tuple(filter(None, projects.split(","))) if limited else None
            return Seen(grant.organization_id, listed), grant
        if principal.kind == "anonymous":
            principal = await self._authenticator.authenticate(key or "")
        if principal.organization_id is None:
            raise Forbidden("User not in an organization")
        if not principal.allows("items:read"):
            raise Forbidden("missing scope 'items:read' for the tiles of items")
        projects = None if principal.projects is None else tuple(sorted(principal.projects))
        return Seen(principal.organization_id, projects), None

    async def _published(self, kind: str, mosaic_id: str) -> Mapping[str, Any]:
        """A public collection's row. Raises: Unauthenticated: there is none such."""
        if kind != "collections" or not _sound(mosaic_id):
            raise Unauthenticated()
        found = await self._rows(sql.public_target, id=mosaic_id)
        if not found:
            raise Unauthenticated()
        return found[0]

    async def _owned(
        self, kind: str, mosaic_id: str, seen: Seen, granted: TileGrant | None
    ) -> Mapping[str, Any]:
        """The row of what the caller may see.

        Raises: ResolveError (404); Unauthenticated: the token's holder may not read any more.
        """
        if not _sound(mosaic_id):
            raise ResolveError.not_found(_WHAT[kind])
        found = await self._rows(
            sql.target,
            org=seen.organization,
            projects=_listed(seen.projects),
            kind="search" if kind == "searches" else kind[:-1],
            id=mosaic_id,
            holder="" if granted is None else granted.holder,
        )
        if not found:
            raise ResolveError.not_found(_WHAT[kind])
        if not found[0]["stands"]:
            raise Unauthenticated("the tile token was withdrawn")
        return found[0]

    async def _mosaic(
        self, kind: str, known: str, seen: Seen, row: Mapping[str, Any], wish: Mapping[str, Any]
    ) -> MosaicSource:
        if row["project_id"] is not None:
            seen = replace(seen, projects=(row["project_id"],))
        sought = await self._sought(seen, row, wish)
        key = sought.asset_key, sought.profile
        identity = orjson.dumps(
            [kind, known, *map(str, (seen, sought.collections, sought.ids)), sought.searches, key],
            option=orjson.OPT_SORT_KEYS,
        )

        async def find(
            bounds: Bounds | None, selection: Selection, limit: int, count: bool
        ) -> Candidates:
            return await self._find(sought, bounds, selection, limit, count=count)

        async def drawn_from(items: Sequence[str], *, opened: bool) -> list[AssetSource | Skipped]:
            return await self._assets(sought, items, opened=opened)

        async def sketched(items: Sequence[str], tolerance: float) -> list[Patch]:
            return await self._patches(sought, items, tolerance)

        return MosaicSource(
            kind=kind,
            id=known,
            name=row["name"],
            identity=hashlib.sha256(identity).hexdigest(),
            find=find,
            assets=drawn_from,
            patches=sketched,
            public="organization_id" in row,
        )

    async def _sought(self, seen: Seen, row: Mapping[str, Any], wish: Mapping[str, Any]) -> Sought:
        try:
            own = SearchRequest()
            if row["search"] is not None:
                own = stac_request.from_body(row["search"], days=True)
            told = ("datetime", "filter", "bbox", "sortby")
            narrowed = stac_request.from_query({n: wish[n] for n in told if n in wish})
            searches = [pgstac_search(one, await self._names(seen, one)) for one in (own, narrowed)]
        except errors.StacError as error:
            name = next(
                (n for n in ("filter", "bbox", "datetime", "sortby") if n in wish), "search"
            )
            raise InvalidParameter.of(name, str(error.detail)) from None
        collections = None if own.collections is None else list(own.collections)
        if row["collection_id"] is not None:
            collections = [row["collection_id"]]
        key, profile = wish.get("asset_key"), wish.get("profile")
        if not (_sound(key or "") and _sound(profile or "")):
            raise InvalidParameter.of("asset_key", "holds half a character")
        return Sought(
            seen, collections, None if own.ids is None else list(own.ids), searches, key, profile
        )

    async def _names(self, seen: Seen, search: SearchRequest) -> dict[str, list[str]]:
        """What collections that a filter names are to the database."""
        names = normal_form.collection_names(search.filter) if search.filter else set()
        found: dict[str, list[str]] = {}
        if names:
            for row in await self._rows(
                sql.names,
                org=seen.organization,
                projects=_listed(seen.projects),
                names=sorted(names),
            ):
                found.setdefault(row["name"], []).append(row["id"])
        return found

    async def _find(
        self,
        sought: Sought,
        bounds: Bounds | None,
        selection: Selection,
        limit: int,
        *,
        count: bool,
    ) -> Candidates:
        row = (
            await self._rows(
                sql.items,
                org=sought.seen.organization,
                projects=_listed(sought.seen.projects),
                collections=sought.collections,
                ids=sought.ids,
                searches=orjson.dumps(sought.searches).decode(),
                key=sought.asset_key,
                bounds=None if bounds is None else list(bounds),
                order=_ORDERS.get(selection, "newest"),
                limit=limit,
                count=count,
            )
        )[0]
        return Candidates(
            tuple(row["items"]),
            tuple(row["covers"]),
            tuple((box[0], box[1], box[2], box[3]) for box in row["boxes"]),
            row["versions"],
            row["matched"],
        )

    async def _assets(
        self, sought: Sought, items: Sequence[str], *, opened: bool
    ) -> list[AssetSource | Skipped]:
        rows = await self._rows(
            sql.assets, org=sought.seen.organization, items=list(items), key=sought.asset_key
        )
        by_item = {row["item_id"]: row for row in rows}
        return list(
            await asyncio.gather(
                *(self._asset(item, by_item.get(item), sought.profile, opened) for item in items)
            )
        )

    async def _asset(
        self, item: str, row: Mapping[str, Any] | None, profile: str | None, opened: bool
    ) -> AssetSource | Skipped:
        if row is None:
            return Skipped(item, "has no raster to draw")
        try:
            if opened:
                return await assets.opened(row, profile, self._objects, self._remote)
            return assets.unopened(row, profile, self._objects, self._remote)
        except OpError as error:
            return Skipped(item, error.detail, may_pass=error.status >= 500)

    async def _patches(self, sought: Sought, items: Sequence[str], tolerance: float) -> list[Patch]:
        organization, listed = sought.seen.organization, list(items)
        outlines = await self._rows(
            sql.outlines, org=organization, items=listed, tolerance=tolerance
        )
        means = await self._rows(sql.means, org=organization, items=listed, key=sought.asset_key)
        known = {row["place"]: row for row in means}
        return [
            Patch(
                bytes(row["outline"]),
                tuple(known[row["place"]]["names"] or ()),
                tuple(map(tuple, known[row["place"]]["bands"] or ())),
            )
            for row in outlines
            if row["place"] in known
        ]

    async def _rows(self, query: Any, **parameters: Any) -> list[dict[str, Any]]:
        try:
            async with self._pool.connection() as connection:
                return await (await connection.execute(query, parameters)).fetchall()
        except psycopg.errors.QueryCanceled:
            raise InvalidParameter.of("filter", "the search takes too long; narrow it") from None
        except MEANINGLESS:
            message = "has no meaning: an operator does not fit the values it is given"
            raise InvalidParameter.of("filter", message) from None
        except (psycopg.OperationalError, PoolTimeout):
            raise Busy("the database is unavailable", retry_after_seconds=2) from None


def _sound(text: str) -> bool:
    """Whether the database takes it: no NUL, no half of a character."""
    return "\0" not in text and text.isprintable() and len(text) <= 256


def _listed(projects: tuple[str, ...] | None) -> list[str] | None:
    return None if projects is None else list(projects)


def signer(signing_key: bytes) -> Callable[[Request, MosaicSource], str | None]:
    """`sign_mosaic_token` for the tiler: an hour, for callers with a header of their own.

    The token holds the projects of a caller who does not see all; one of too many gets none.
    """

    def sign(request: Request, mosaic: MosaicSource) -> str | None:
        principal: Principal = request.scope["principal"]
        if principal.organization_id is None:
            return None  # came with a token in the URL; it goes on with that one
        subject = f"{mosaic.kind}:{mosaic.id}"
        if principal.projects is not None:
            subject += "/" + ",".join(sorted(principal.projects))
        if len(subject) > 1000:
            return None
        return sign_tile_token(
            signing_key,
            subject,
            organization_id=principal.organization_id,
            expires_at=expiry(time.time()),
            holder=holder_of(principal),
        )

    return sign

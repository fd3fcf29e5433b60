"""Who may see which tile: the function that the tiler app is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request

from db.objects import Objects
from db.pool import Pool
from ops_gateway.kernel import assets, holders, stored
from ops_gateway.kernel.authenticate import Authenticator
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Forbidden, Invalid, NotFound, OpError, Unauthenticated
from ops_gateway.kernel.services import Remote
from opstac.usage import PAYER
from tiler.errors import Busy, InvalidParameter, ResolveError, TileError
from tiler.routes import renders
from tiler.source import AssetSource
from tiler.tokens import (
    PREFIX,
    TileGrant,
    TokenError,
    expiry,
    sign_tile_token,
    verify_tile_token,
)


class Resolver:
    """`resolve_asset` for the tiler: by header, by `key=<tile token>` or by `key=<API key>`."""

    def __init__(
        self,
        pool: Pool,
        authenticator: Authenticator,
        objects: Objects,
        verify_key: bytes,
        remote: Remote | None = None,
    ) -> None:
        """Over a pool that may do no more than resolve an asset (role opstac_tiler).

        Args:
            verify_key: public half of the key that tile tokens are signed with.
            remote: opens assets that lie at other hosts, where that is allowed.
        """
        self._remote = remote
        self._pool = pool
        self._authenticator = authenticator
        self._objects = objects
        self._verify_key = verify_key

    async def __call__(
        self, request: Request, item_id: str, asset_key: str | None, profile: str | None
    ) -> AssetSource:
        """The asset to draw; raises ResolveError and its like."""
        try:
            if item_id.startswith(renders.KIND):
                return await self._render(item_id.removeprefix(renders.KIND))
            row = await self._find(request, item_id, asset_key, profile)
            request.scope[PAYER] = row["organization_id"]
            source = await assets.opened(row, profile, self._objects, self._remote)
            without = request.scope["principal"].kind == "anonymous"
            return replace(source, public=without and "key" not in request.query_params)
        except assets.NothingToDraw as missing:
            told = missing.told()  # `_find` lets it out for those who may see the item
            raise TileError(told.status, told.title, told.detail) from None
        except NotFound:
            raise ResolveError.not_found() from None
        except Unauthenticated:
            raise ResolveError.unauthorized() from None
        except Invalid as error:
            errors = [{**fault, "loc": ["query", *fault["loc"][1:]]} for fault in error.errors]
            raise InvalidParameter(errors) from None
        except OpError as error:
            raise TileError(
                error.status, error.title, error.detail, headers=error.headers
            ) from None
        except (psycopg.OperationalError, PoolTimeout):
            raise Busy("the database is unavailable", retry_after_seconds=2) from None

    async def _find(
        self, request: Request, item_id: str, asset_key: str | None, profile: str | None
    ) -> dict[str, Any]:
        if "\x00" in item_id or "\x00" in (asset_key or ""):
            raise NotFound.of("item")
        principal: Principal = request.scope["principal"]
        key = request.query_params.get("key")
        if principal.kind == "anonymous" and key is not None and key.startswith(PREFIX):
            grant = self._granted(key, item_id)

            def may_see(row: Mapping[str, Any]) -> None:
                if row["organization_id"] != grant.organization_id:
                    raise NotFound.of("item")
                if not row["stands"]:
                    raise withdrawn()

            return await self._row(item_id, asset_key, profile, may_see, holder=grant.holder)
        if principal.kind == "anonymous" and key is None:
            async with self._pool.connection() as connection:
                owner = await assets.public_owner(connection, item_id=item_id)
            if owner is None:
                raise Unauthenticated()

            def is_public(row: Mapping[str, Any]) -> None:
                if row["organization_id"] != owner:
                    raise NotFound.of("item")

            return await self._row(item_id, asset_key, profile, is_public)
        if principal.kind == "anonymous" and key is not None:
            principal = await self._authenticator.authenticate(key)
        if not principal.allows("items:read"):
            raise Forbidden("missing scope 'items:read' for 'items.tile.render'")
        caller = principal
        return await self._row(
            item_id, asset_key, profile, lambda row: assets.require_visible(row, caller)
        )

    async def _render(self, token: str) -> AssetSource:
        """What a method drew; raises NotFound where the token opens none, or its day is over."""
        try:
            grant = verify_tile_token(self._verify_key, token)
        except TokenError:
            raise NotFound.of("render") from None
        if grant.holder and not await holders.still_reads(
            self._pool, grant.holder, grant.organization_id, []
        ):
            raise withdrawn()
        name = grant.item_id.removeprefix(renders.KIND)
        path = renders.path_of(grant.organization_id, name)
        if name == grant.item_id or await self._objects.head(path) is None:
            raise NotFound.of("render")
        file = await stored.opened(self._objects, path, name)
        return AssetSource(
            path=file.path,
            version=file.version,
            name="render",
            is_stored=not self._objects.is_local,
        )

    def _granted(self, token: str, item_id: str) -> TileGrant:
        """What a tile token of the item grants."""
        try:
            return verify_tile_token(self._verify_key, token, item_id=item_id)
        except TokenError as error:
            raise Unauthenticated(str(error)) from None

    async def _row(
        self,
        item_id: str,
        asset_key: str | None,
        profile: str | None,
        may_see: Callable[[Mapping[str, Any]], None],
        *,
        holder: str = "",
    ) -> dict[str, Any]:
        """The asset's row; raises what `may_see` does, for what is missing as for what is there."""
        try:
            async with self._pool.connection() as connection:
                row = await assets.resolve(connection, item_id, asset_key, profile, holder=holder)
        except assets.NothingToDraw as missing:
            may_see(missing.row)
            raise
        may_see(row)
        return row


def withdrawn() -> Unauthenticated:
    """The refusal of a token whose holder may not read any more."""
    return Unauthenticated("the tile token was withdrawn")


def signer(signing_key: bytes) -> Callable[[Request, str], str | None]:
    """`sign_tile_token` for the tiler: an hour, for callers with a header of their own."""

    def sign(request: Request, item_id: str) -> str | None:
        principal: Principal = request.scope["principal"]
        if principal.organization_id is None:
            return None  # came with a token in the URL; it goes on with that one
        return sign_tile_token(
            signing_key,
            item_id,
            organization_id=principal.organization_id,
            expires_at=expiry(time.time()),
            holder=holders.holder_of(principal),
        )

    return sign

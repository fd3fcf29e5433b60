"""Who may see which tile: the function that the tiler app is given."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request

from db.objects import Objects
from db.pool import Pool
from ops_gateway.kernel import assets
from ops_gateway.kernel.authenticate import Authenticator
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Forbidden, Invalid, NotFound, OpError, Unauthenticated
from tiler.errors import Busy, InvalidParameter, ResolveError, TileError
from tiler.source import AssetSource
from tiler.tokens import PREFIX, TokenError, sign_tile_token, verify_tile_token

TOKEN_SECONDS = 3600


def resolver(
    pool: Pool, authenticator: Authenticator, objects: Objects, verify_key: bytes
) -> Callable[[Request, str, str | None, str | None], Awaitable[AssetSource]]:
    """`resolve_asset` for the tiler: by header, by `key=<tile token>` or by `key=<API key>`.

    Args:
        pool: may do no more than resolve an asset (role opstac_tiler) or act as the gateway.
        verify_key: public half of the key that tile tokens are signed with.
    """

    async def resolve(
        request: Request, item_id: str, asset_key: str | None, profile: str | None
    ) -> AssetSource:
        try:
            row = await find(request, item_id, asset_key)
            return assets.source_of(row, profile, objects)
        except NotFound:
            raise ResolveError.not_found() from None
        except Unauthenticated:
            raise ResolveError.unauthorized() from None
        except Invalid as error:
            raise InvalidParameter.of("profile", error.detail) from None
        except OpError as error:
            raise TileError(error.status, error.title, error.detail) from None
        except (psycopg.OperationalError, PoolTimeout):
            raise Busy("the database is unavailable", retry_after_seconds=2) from None

    async def find(request: Request, item_id: str, asset_key: str | None) -> dict:
        principal: Principal = request.scope["principal"]
        key = request.query_params.get("key")
        granted: str | None = None
        if principal.kind == "anonymous":
            if key is None:
                raise Unauthenticated()
            if key.startswith(PREFIX):
                try:
                    granted = verify_tile_token(verify_key, key, item_id=item_id).organization_id
                except TokenError as error:
                    raise Unauthenticated(str(error)) from None
            else:
                principal = await authenticator.authenticate(key)
        if granted is None and not principal.allows("items:read"):
            raise Forbidden("missing scope 'items:read' for 'items.tile.render'")
        if "\x00" in item_id or "\x00" in (asset_key or ""):
            raise NotFound.of("item")
        async with pool.connection() as connection:
            row = await assets.resolve(connection, item_id, asset_key)
        if granted is None:
            assets.require_visible(row, principal)
        elif row["organization_id"] != granted:
            raise NotFound.of("item")
        return row

    return resolve


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
            expires_at=int(time.time()) + TOKEN_SECONDS,
        )

    return sign

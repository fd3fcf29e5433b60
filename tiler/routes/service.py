"""What the families of routes share: whose asset it is, where it is drawn, how it is answered."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tiler.mosaic.source import MosaicSource
from tiler.pool import Pool
from tiler.routes import answers
from tiler.routes.query import Query, read_query
from tiler.source import AssetSource

ResolveAsset = Callable[[Request, str, str | None, str | None], Awaitable[AssetSource]]
"""(request, item id, asset key, profile id or name) → the asset. Raises ResolveError: 401, 404."""

SignTileToken = Callable[[Request, str], str | None]
"""(request, item id) → the token to put in tile URLs, or None where the item is public."""

ResolveMosaic = Callable[[Request, str, str, Mapping[str, Any]], Awaitable[MosaicSource]]
"""(request, `collections` or `searches`, id, restrictions) → the mosaic as its caller may see it.

Restrictions: `datetime`, `filter`, `bbox`, `sortby`, `asset_key`, `profile`, as far as given.
Raises ResolveError, then InvalidParameter.
"""

SignMosaicToken = Callable[[Request, MosaicSource], str | None]
"""(request, mosaic) → the token to put in its tile URLs, or None."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a route works with.

    Attributes:
        resolve_asset: who may see what; called for every request, cached answers are its business.
        pool: where pictures are drawn.
        sign_tile_token: makes the token of a document's tile URLs; without it they hold none.
        base_url: scheme and host of a document's URLs; default those of the request.
        resolve_mosaic, sign_mosaic_token: the same two for mosaics; without the first there are
            none.
    """

    resolve_asset: ResolveAsset
    pool: Pool
    sign_tile_token: SignTileToken | None = None
    base_url: str | None = None
    resolve_mosaic: ResolveMosaic | None = None
    sign_mosaic_token: SignMosaicToken | None = None

    async def asset(
        self, request: Request, allowed: Iterable[str], *, profile: str | None = None
    ) -> tuple[AssetSource, Query]:
        """The asset of a route with `{item_id}`, and its checked query.

        Args:
            profile: that the path names; wins over the query's.

        Raises: ResolveError first, so that who may not see the item learns nothing of it;
            InvalidParameter.
        """
        query = read_query(request, allowed)
        source = await self.resolve_asset(
            request,
            request.path_params["item_id"],
            query.get("asset_key"),
            profile or query.get("profile"),
        )
        query.refuse()
        return source, query

    async def drawn(
        self,
        request: Request,
        source: AssetSource,
        media_type: str,
        function: Callable[..., bytes],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Response:
        """What `function` draws from the asset; 304 where the caller has it already."""
        headers = answers.cache_headers(request, [source])
        if answers.unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        body = await self.pool.run(function, *args, **kwargs)
        return Response(body, headers=headers, media_type=media_type)

    def key_for(self, request: Request, source: AssetSource, given: str | None) -> str | None:
        """What opens the asset's tiles without a header: a new token, else what came in the URL."""
        if self.sign_tile_token is None or source.public:
            return given
        return self.sign_tile_token(request, request.path_params["item_id"]) or given

    def origin(self, request: Request) -> str:
        """Scheme and host that clients reach this at."""
        return str(
            self.base_url
            or request.scope.get("base_url")
            or f"{request.url.scheme}://{request.url.netloc}"
        )

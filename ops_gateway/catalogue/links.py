"""Addresses that carry their own right to one object."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db import signing
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict
from ops_gateway.kernel.services import Services

SECONDS = 15 * 60


@dataclass(frozen=True)
class SignedLink:
    """A URL that opens without a credential until it expires."""

    url: str
    expires_at: datetime


async def signed_asset(ctx: Context, asset: Mapping[str, Any]) -> SignedLink:
    """A download link of an asset's row; see `sign`."""
    return await sign(asset, ctx.services, ctx.base_url)


async def sign(
    asset: Mapping[str, Any],
    services: Services,
    base_url: str,
    *,
    until: datetime | None = None,
    payer: str | None = None,
) -> SignedLink:
    """A download link of an asset's row: the bucket's own, ours where objects are local, or the
    asset's href where it lies elsewhere. It holds `until` then, or for a quarter of an hour.

    What is sent by it is counted for `payer`: as it is sent, or where a bucket sends it, which does
    not tell, as the whole file. By default the caller has counted it.

    May ask the bucket's account for a signature: call it outside transactions.

    Raises:
        Conflict: it lies where a browser cannot fetch it.
    """
    now = int(time.time())
    expires_at = now + SECONDS if until is None else int(until.timestamp())
    if asset.get("href") is not None:
        if not asset["href"].startswith(("http://", "https://")):
            raise Conflict(
                f"the asset lies at {asset['href'][:500]}; fetch it with a tool for that"
            )
        return SignedLink(asset["href"], datetime.fromtimestamp(expires_at, UTC))
    path = asset["object_path"]
    url = await services.objects.signed_download(path, max(1, expires_at - now))
    if url is None:
        grant = signing.Grant(
            "get",
            path,
            expires_at,
            file_name=asset["file_name"] or f"{asset['key']}.tif",
            media_type=asset["media_type"],
            payer=payer,
        )
        url = f"{base_url}/storage/{path}?{signing.sign(grant, services.keys.storage)}"
    elif payer is not None:
        services.count_egress(payer, asset["size_bytes"])
    return SignedLink(url, datetime.fromtimestamp(expires_at, UTC))

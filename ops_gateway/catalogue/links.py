"""Addresses that carry their own right to one object."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db import signing
from ops_gateway.kernel import holders
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import Conflict
from ops_gateway.kernel.services import Services

SECONDS = 15 * 60
BUCKET_SECONDS = 60  # how long a bucket's own address holds, which cannot be taken back


@dataclass(frozen=True)
class SignedLink:
    """A URL that opens without a credential until it expires."""

    url: str
    expires_at: datetime


def signed_asset(ctx: Context, asset: Mapping[str, Any]) -> SignedLink:
    """A download link of an asset's row for the caller; see `sign`."""
    holder = holders.label(ctx.principal, asset.get("project_id"))
    return sign(asset, ctx.services, ctx.base_url, holder=holder)


def sign(
    asset: Mapping[str, Any],
    services: Services,
    base_url: str,
    *,
    holder: str | None,
    until: datetime | None = None,
    payer: str | None = None,
) -> SignedLink:
    """A download link of an asset's row: ours, or the asset's href where it lies elsewhere.

    It holds `until` then, or for a quarter of an hour, and no longer than its holder may read: each
    request by it asks. A file in a bucket is led to from there, see `leads_to`.

    What is sent by it is counted for `payer`: as it is sent, or where a bucket sends it, which does
    not tell, as the whole file. By default the caller has counted it.

    Args:
        holder: `holders.label` of who it is given to; None for a link that ends by its time alone.

    Raises:
        Conflict: it lies where a browser cannot fetch it.
    """
    now = int(time.time())
    expires_at = now + SECONDS if until is None else int(until.timestamp())
    if (href := elsewhere(asset)) is not None:
        return SignedLink(href, datetime.fromtimestamp(expires_at, UTC))
    path = asset["object_path"]
    grant = signing.Grant(
        "get",
        path,
        expires_at,
        file_name=asset["file_name"] or f"{asset['key']}.tif",
        media_type=asset["media_type"],
        payer=payer,
        holder=holder,
    )
    if payer is not None and not services.objects.is_local:
        services.count_egress(payer, asset["size_bytes"])
    url = f"{base_url}/storage/{path}?{signing.sign(grant, services.keys.storage)}"
    return SignedLink(url, datetime.fromtimestamp(expires_at, UTC))


async def leads_to(
    asset: Mapping[str, Any], services: Services, base_url: str, *, for_: Principal, payer: str
) -> str:
    """Where a request for an asset is sent that was let in just now: as `sign`, but to a bucket at
    once.

    May ask the bucket's account for a signature: call it outside transactions. Raises Conflict.
    """
    if elsewhere(asset) is None:
        url = await services.objects.signed_download(asset["object_path"], BUCKET_SECONDS)
        if url is not None:
            services.count_egress(payer, asset["size_bytes"])
            return url
    holder = holders.label(for_, asset.get("project_id"))
    return sign(asset, services, base_url, holder=holder, payer=payer).url


def elsewhere(asset: Mapping[str, Any]) -> str | None:
    """The href of an asset that lies at another host. Raises Conflict: no browser can fetch it."""
    href = asset.get("href")
    if href is not None and not href.startswith(("http://", "https://")):
        raise Conflict(f"the asset lies at {href[:500]}; fetch it with a tool for that")
    return href

"""One run of an analytics method: its items as the caller may see them, the child, the renders."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel

from db import signing
from db.objects import Objects
from db.queries import queries
from ops_gateway.catalogue import search
from ops_gateway.kernel import access, assets, holders
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import (
    BadRequest,
    Internal,
    Invalid,
    NotFound,
    OpError,
    Unavailable,
)
from ops_gateway.kernel.services import ChildRefused
from processes.analysis.context import RENDER
from processes.analysis.series import bounds
from processes.method import ERROR_CODES, Item, Registered, Selection
from processes.process import COG_MEDIA_TYPE, Source
from tiler.routes import renders

sql = queries(__file__)

LINK_SECONDS = 600  # longer than any method may take
RENDER_SECONDS = 24 * 3600
MAX_ITEMS = 500
"""Items that a collection or a search may give one call."""


def schema_of(found: Registered) -> dict[str, Any]:
    """What a 422 of a method carries beside its errors."""
    return {"operation": found.name, "expected_schema": found.input_schema()}


async def run(
    ctx: Context, found: Registered, params: BaseModel, raw: Mapping[str, Any]
) -> dict[str, Any]:
    """The method's answer, its renders stored and linked.

    Raises: OpError: an item is not there, or the method gives no answer.
    """
    items = await load(ctx, found.selection(params), found)
    await ctx.release()
    with tempfile.TemporaryDirectory(prefix="opstac-analytics-") as folder:
        try:
            made = await ctx.services.child(
                "analyse",
                operation=found.name,
                params=dict(raw),
                items=[dataclasses.asdict(item) for item in items],
                out_dir=folder,
                links=await links_of(ctx, items),
            )
        except ChildRefused as error:
            raise refusal(error, found) from None
        if not made["renders"]:
            return made["answer"]
        name = _name(found, raw, items)
        links = [await _store(ctx, name, n, r) for n, r in enumerate(made["renders"])]
    return _with_links(made["answer"], links)


async def links_of(
    ctx: Context, items: Sequence[Item], seconds: int = LINK_SECONDS
) -> dict[str, str]:
    """Path of a source in a bucket → what the child reads it by; nothing for files of ours."""
    objects = ctx.services.objects
    links: dict[str, str] = {}
    for item in items:
        for source in item.sources:
            path = str(source.asset["object_path"])
            if link := await objects.signed_download(path, seconds):
                links[source.path] = link
    return links


def refusal(error: ChildRefused, found: Registered) -> OpError:
    """Why there is no answer, in the wire's words."""
    if error.code in ERROR_CODES:
        errors = [{"loc": ["body", "params"], "msg": error.message, "type": error.code}]
        return Invalid(errors, extra=schema_of(found))
    if error.code in ("busy", "unavailable", "storage_unavailable"):
        return Unavailable(error.message, 5)
    if error.code in ("timeout", "out_of_memory"):
        message = f"{error.message}: choose a smaller geometry or fewer items, or run a process"
        errors = [{"loc": ["body", "params"], "msg": message, "type": error.code}]
        return Invalid(errors, extra=schema_of(found))
    if error.code in ("internal", "disk_full"):
        return Internal("the operation failed; the request id identifies it in the logs")
    return BadRequest(f"an asset cannot be read: {error.message}")


# ---------------------------------------------------------------- items


async def load(ctx: Context, chosen: Selection, found: Registered) -> list[Item]:
    """The items that a method is to read, where the caller may see every one.

    Raises: NotFound, Forbidden; Invalid: too many, or none.
    """
    ids = list(dict.fromkeys(chosen.item_ids))
    if chosen.collection_id is not None:
        ids = await _of_collection(ctx, chosen)
    elif chosen.search is not None:
        ids = await _of_search(ctx, chosen.search)
    if not ids:
        raise _invalid(found, "no item matches", "no_valid_pixel")
    if len(ids) > MAX_ITEMS:
        raise _invalid(found, f"more than {MAX_ITEMS} items match: narrow it", "too_many_items")
    rows = {row["id"]: row for row in await ctx.rows(None, sql.items, ids=ids)}
    for name in ids:
        if name not in rows:
            raise NotFound.of("item")
        ctx.require_project_role(rows[name]["project_id"], "viewer", kind="item")
        if rows[name]["lifecycle_state"] == "expired":
            raise assets.expired(rows[name])
    sources: dict[str, list[Source]] = {}
    for row in await ctx.rows(None, sql.assets, ids=ids):
        sources.setdefault(row["item_id"], []).append(source_of(ctx, row))
    return [
        Item(
            id=name,
            datetime=_text(rows[name]["datetime"] or rows[name]["start_datetime"]),
            properties=rows[name]["properties"] or {},
            sources=tuple(sources.get(name, ())),
        )
        for name in ids
    ]


def source_of(ctx: Context, row: Mapping[str, Any]) -> Source:
    """A raster asset, from a row of `sql.assets`."""
    return Source(
        item_id=row["item_id"],
        asset_key=row["key"],
        path=ctx.services.objects.gdal_path(row["object_path"]),
        asset={
            "object_path": row["object_path"],
            "checksum": row["checksum"],
            "band_count": row["band_count"],
            "band_names": list(row["band_names"]),
            "bands": list(row["bands"]),
            "is_categorical": row["is_categorical"],
            "datetime": _text(row["datetime"]),
        },
    )


async def _of_collection(ctx: Context, chosen: Selection) -> list[str]:
    found = await access.collection(ctx, str(chosen.collection_id))
    low, high = bounds(chosen.start, chosen.end)
    rows = await ctx.rows(
        None,
        sql.collection_items,
        collection=found["id"],
        low=low,
        high=high,
        limit=MAX_ITEMS + 1,
    )
    return [row["id"] for row in rows]


async def _of_search(ctx: Context, body: Mapping[str, Any]) -> list[str]:
    """The ids of what a STAC search finds, in the search's own order."""
    asked = {**body, "limit": MAX_ITEMS + 1}
    asked.pop("fields", None)
    visible = search.visibility_of(ctx.principal)
    page = await search.run(ctx, visible, asked, search.mount_of(ctx, None))
    ids = [feature["properties"]["opstac:id"] for feature in page.features]
    if page.next is not None and len(ids) <= MAX_ITEMS:
        raise BadRequest("what the search finds is too large to be read at once: narrow it")
    return ids


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _invalid(found: Registered, message: str, kind: str) -> Invalid:
    errors = [{"loc": ["body", "params"], "msg": message, "type": kind}]
    return Invalid(errors, extra=schema_of(found))


# ---------------------------------------------------------------- renders


def _name(found: Registered, raw: Mapping[str, Any], items: Sequence[Item]) -> str:
    """The same for the same question about the same files."""
    sums = [[s.item_id, s.asset_key, s.asset["checksum"]] for i in items for s in i.sources]
    text = json.dumps([found.name, found.version, raw, sums], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


async def _store(ctx: Context, name: str, number: int, render: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a raster for a day; how to fetch and to draw it."""
    services = ctx.services
    stem = name if number == 0 else hashlib.sha256(f"{name}/{number}".encode()).hexdigest()
    path = renders.path_of(ctx.organization_id, stem)
    await services.objects.put(path, Path(render["path"]))
    expires_at = int(time.time()) + RENDER_SECONDS
    grant = signing.Grant(
        "get",
        path,
        expires_at,
        file_name=Path(render["path"]).name,
        media_type=COG_MEDIA_TYPE,
        holder=holders.label(ctx.principal, None),
    )
    url = f"{ctx.base_url}/storage/{path}?{signing.sign(grant, services.keys.storage)}"
    token = renders.sign_render_token(
        services.keys.tile.private_bytes(),
        stem,
        organization_id=ctx.organization_id,
        expires_at=expires_at,
        holder=holders.holder_of(ctx.principal),
    )
    low, high = render["rescale"]
    style = urlencode({"colormap": render["colormap"], "rescale": f"{low:.9g},{high:.9g}"})
    return {
        "href": url,
        "media_type": COG_MEDIA_TYPE,
        "tilejson_url": f"{ctx.base_url}{renders.PREFIX}/{token}/tilejson.json?{style}",
        "expires_at": datetime.fromtimestamp(expires_at, UTC).isoformat().replace("+00:00", "Z"),
    }


async def sweep(objects: Objects, *, now: float | None = None) -> int:
    """Delete the renders whose day is over; how many."""
    limit = (time.time() if now is None else now) - RENDER_SECONDS
    old = [o.path async for o in objects.list(renders.FOLDER) if o.mtime.timestamp() < limit]
    for path in old:
        await objects.delete(path)
    return len(old)


def _with_links(value: Any, links: Sequence[Mapping[str, Any]]) -> Any:
    """The answer with each render's place taken by its links."""
    if isinstance(value, dict):
        if set(value) == {RENDER}:
            return dict(links[value[RENDER]])
        return {key: _with_links(inner, links) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_links(inner, links) for inner in value]
    return value

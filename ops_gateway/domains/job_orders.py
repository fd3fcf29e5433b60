"""What a job needs before it is made: its process, its inputs, its sources and its price, checked.

Plain functions that the processing, clip, ASTRA and OGC doors share; nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from db.queries import queries
from ops_gateway.catalogue.sources import of_area, of_organization, readable
from ops_gateway.domains import declared, prices
from ops_gateway.domains.prices import Rate
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Invalid, NotFound
from processes.process import PROCESSES, Process, Source, SourceRef, discover

sql = queries(__file__)


@dataclass(frozen=True)
class SourceItem:
    """An item a job reads, with the raster assets chosen."""

    item: Mapping[str, Any]
    assets: Sequence[Mapping[str, Any]]


Found = tuple[dict[str, Any], list[dict[str, Any]]]
"""An item's row and its assets' rows, as `catalogue.sources` gives them."""


@dataclass(frozen=True)
class Order:
    """A job that has been checked and priced and not yet made."""

    process: Process
    project_id: str
    inputs: dict[str, Any]
    sources: list[SourceItem]
    target_collection_id: str | None
    quantity: Decimal
    rate: Rate
    use_cache: bool = True

    @property
    def credits(self) -> int:
        """What the run may cost at most."""
        return self.rate.credits(self.quantity)


def find_process(process_id: str, kind: str = "process") -> Process:
    """The declared process; raises NotFound."""
    found = discover().get(process_id)
    if found is None:
        raise NotFound(f"{kind} '{process_id[:100]}' not found; there are {', '.join(PROCESSES)}")
    return found


async def prepare(
    ctx: Context,
    process_id: str,
    project_id: str,
    inputs: Mapping[str, Any],
    target_collection_id: str | None,
    *,
    at: str,
    kind: str = "process",
    use_cache: bool = True,
    opened: Mapping[str, Found] | None = None,
) -> Order:
    """Check everything a job needs and say what it costs; changes nothing.

    Args:
        opened: items that this job may read whoever has them, by id.
    """
    access.require_open(await access.project(ctx, project_id, "editor"))
    process = find_process(process_id, kind)
    if target_collection_id is not None:
        await access.target(ctx, target_collection_id, project_id=project_id)
    typed = declared.inputs(process, inputs, at)
    sources = await find_sources(ctx, process, typed, at, opened)
    quantity, rate = await price_of(ctx, process, typed, sources, at)
    return Order(
        process,
        project_id,
        declared.plain(process, typed, at),
        sources,
        target_collection_id,
        quantity,
        rate,
        use_cache,
    )


async def default_project(ctx: Context) -> str:
    """The caller's oldest project that is not archived; raises Conflict where there is none."""
    row = await ctx.row(None, sql.oldest_project, projects=access.visible_projects(ctx.principal))
    if row is None:
        raise Conflict("there is no project to run in; make one or name one")
    return row["id"]


async def find_sources(
    ctx: Context,
    process: Process,
    typed: Any,
    at: str,
    opened: Mapping[str, Found] | None = None,
) -> list[SourceItem]:
    """The items the inputs name, each visible to the caller and with the assets asked for."""
    found: list[SourceItem] = []
    for ref in declared.sources(process, typed, at):
        given = (opened or {}).get(ref.item_id)
        item, assets = given or await readable(ctx, ref.item_id, files=ref.files)
        if ref.asset_keys is not None:
            by_key = {a["key"]: a for a in assets}
            missing = [k for k in ref.asset_keys if k not in by_key]
            if missing:
                known = ", ".join(by_key) or "none"
                raise Invalid.at(
                    [at, "asset_keys"] if at else ["asset_keys"],
                    f"the item has no {'' if ref.files else 'raster '}asset "
                    f"{', '.join(missing)}; it has {known}",
                )
            assets = [by_key[k] for k in ref.asset_keys]
        if not assets:
            raise Invalid.at([at] if at else [], f"item {ref.item_id} has no raster asset")
        found.append(SourceItem(item, assets))
    several = len(found) > 1
    sources = {
        f"{source.item['id']}/{asset['key']}" if several else asset["key"]: Source(
            source.item["id"], asset["key"], "", source.item, asset
        )
        for source in found
        for asset in source.assets
    }
    declared.check(process, typed, sources, at)
    return found


async def source_of(ctx: Context, process_id: str, ref: SourceRef) -> Found:
    """An item that a job of the platform's own reads, checked at the door. Raises: NotFound."""
    with suppress(NotFound):
        return await of_organization(ctx, ref.item_id, files=ref.files)
    if process_id != "clip":
        raise NotFound.of("item")
    return await of_area(ctx, ref.item_id)


async def price_of(
    ctx: Context, process: Process, typed: Any, sources: Sequence[SourceItem], at: str
) -> tuple[Decimal, Rate]:
    """How much of its unit a run takes, and what that costs."""
    quantity = declared.quantity(process, typed, [s.item for s in sources], at)
    return quantity, await prices.rate(ctx, process)


async def price_order(_: Context, __: Any, order: Order) -> int:
    """What the kernel checks the balance for."""
    return order.credits

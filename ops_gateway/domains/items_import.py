"""Imports: STAC items by the thousand, each with an outcome of its own."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

import orjson
from pydantic import Field, ValidationError

from ops_gateway.catalogue import bulk, external, items
from ops_gateway.catalogue.bulk import Candidate, Outcome
from ops_gateway.domains.items import ItemCreateInput, draft_of
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import BadRequest, Conflict, Invalid, OpError, problem
from ops_gateway.kernel.failures import invalid
from ops_gateway.kernel.json_limits import find_fault
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from stac_api import errors as stac_errors
from stac_api.transactions import item_input

MAX_ITEMS = 10_000
CHECKED_AT_ONCE = 20  # items between two looks at who else waits


class ImportMethod(StrEnum):
    """What becomes of an item that is there already."""

    insert = "insert"
    upsert = "upsert"


class ItemsImportInput(Input):
    """Input of items.import."""

    project_id: str
    collection_id: str | None = None
    items: list[Any] = Field(
        min_length=1, max_length=MAX_ITEMS, description="STAC items; their collection is ignored"
    )
    method: ImportMethod = Field(
        default=ImportMethod.upsert,
        description="`upsert` brings an item of the same id up to date, `insert` fails it",
    )
    atomic: bool = Field(default=False, description="store all of them or none")


class ImportedItem(Output):
    """What became of one item."""

    index: int = Field(description="its place in `items`")
    id: str | None = Field(description="its own id")
    item_id: str | None = None
    outcome: Literal["created", "updated", "unchanged", "failed"]
    problem: dict[str, Any] | None = None


class ItemsImportOutput(Output):
    """How many items met which end, and which."""

    created: int
    updated: int
    unchanged: int
    failed: int
    items: list[ImportedItem]


async def check_items(ctx: Context, body: ItemsImportInput) -> list[Candidate | OpError]:
    """Each item as it will be stored, or why it will not; before any transaction."""
    by = ctx.principal.user_id
    found: list[Candidate | OpError] = []
    for index, item in enumerate(body.items):
        if index % CHECKED_AT_ONCE == 0:
            await asyncio.sleep(0)
        try:
            found.append(candidate(item, body.project_id, body.collection_id, by))
        except OpError as error:
            found.append(error)
    return found


def candidate(item: Any, project_id: str, collection_id: str | None, by: str | None) -> Candidate:
    """A STAC item checked as items.create checks its input. Raises BadRequest or Invalid."""
    if (fault := find_fault(item)) is not None:
        raise fault
    try:
        entry = item_input(item, collection_id) | {"project_id": project_id}
        given = ItemCreateInput.model_validate(entry)
    except ValidationError as error:
        raise invalid(error) from None
    except stac_errors.Invalid as error:
        raise Invalid(error.detail) from None  # type: ignore[arg-type]
    except stac_errors.BadRequest as error:
        raise BadRequest(str(error.detail)) from None
    row = draft_of(given).row(by)
    row["import_hash"] = fingerprint(entry)
    return Candidate(row, given.assets, external.drafts(given.assets))


def fingerprint(entry: dict[str, Any]) -> str:
    """SHA-256 of what an item says, whatever the order of its members."""
    return hashlib.sha256(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)).hexdigest()


@operation(
    "items.import", scope="items:write", effect=Effect.COMPUTE, prepare=check_items, bulk="items"
)
async def import_items(
    ctx: Context, body: ItemsImportInput, checked: Sequence[Candidate | OpError]
) -> ItemsImportOutput:
    """Store up to 10,000 STAC items, each with an outcome of its own.

    An item that is there with the same content is left as it is, so an import may be repeated.
    Assets keep their hrefs. One bad item fails alone, unless `atomic` is set.
    """
    await access.project(ctx, body.project_id, "editor")
    if body.collection_id is not None:
        await access.target(ctx, body.collection_id, project_id=body.project_id)
    await items.hold_collections(ctx, [body.collection_id])
    good = [entry for entry in checked if isinstance(entry, Candidate)]
    if body.atomic and len(good) != len(checked):
        refuse_whole(checked)
    home = body.collection_id or body.project_id
    replace = body.method is ImportMethod.upsert
    stored = iter(await bulk.store(ctx, good, home, replace=replace))
    outcomes = [
        next(stored) if isinstance(entry, Candidate) else Outcome("failed", error=entry)
        for entry in checked
    ]
    if body.atomic and any(outcome.error for outcome in outcomes):
        refuse_whole([outcome.error for outcome in outcomes])
    return answer(ctx, body.items, outcomes)


def refuse_whole(errors: Sequence[Any]) -> None:
    """Raise the refusal of an atomic import: that of its first bad item, and where it is."""
    index, error = next((n, e) for n, e in enumerate(errors) if isinstance(e, OpError))
    if isinstance(error, Invalid):
        raise Invalid([{**e, "loc": ["body", "items", index, *e["loc"][1:]]} for e in error.errors])
    kind = Conflict if isinstance(error, Conflict) else BadRequest
    raise kind(f"items[{index}]: {error.detail}; nothing was stored")


def answer(ctx: Context, given: Sequence[Any], outcomes: Sequence[Outcome]) -> ItemsImportOutput:
    """The outcomes as the wire has them."""
    shown = []
    for index, (item, outcome) in enumerate(zip(given, outcomes, strict=True)):
        own = item.get("id") if isinstance(item, dict) else None
        shown.append(
            ImportedItem(
                index=index,
                id=own[:500] if isinstance(own, str) else None,
                item_id=outcome.item_id,
                outcome=outcome.outcome,
                problem=problem(outcome.error, base_url=ctx.base_url) if outcome.error else None,
            )
        )
    counts = {
        kind: sum(outcome.outcome == kind for outcome in outcomes)
        for kind in ("created", "updated", "unchanged", "failed")
    }
    return ItemsImportOutput(items=shown, **counts)

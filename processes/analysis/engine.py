"""Running a method: JSON in, JSON out, in a bounded child beside the caller.

`execute` is what the child calls. A method that takes its items one by one is called once an item;
an item that fails has its reason in the answer, and only where every one fails the call does.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from processes.analysis.context import MethodContext
from processes.links import by_link, opened
from processes.method import Item, MethodError, Registered, discover, first_error
from processes.process import Source
from raster.env import keep_memory
from raster.errors import RasterError


def execute(
    operation: str,
    params: dict[str, Any],
    items: Sequence[Mapping[str, Any]],
    out_dir: str,
    links: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a method here and now.

    Args:
        items: fields of `processes.method.Item`, with fields of `Source` in `sources`.
        links: path of a source in a bucket → a signed link that it is read by.

    Returns: {answer, renders: [{path, name, colormap, rescale}]}.

    Raises: MethodError, RasterError; JobError("storage_unavailable").
    """
    found = discover().get(operation)
    if found is None:
        raise MethodError("invalid_params", f"nothing here runs method {operation!r}")
    try:
        typed = found.check(params)
    except ValidationError as error:
        raise MethodError("invalid_params", first_error(error)) from None
    keep_memory()
    with opened(links or {}) as paths:
        ctx = MethodContext([_by_links(item_of(fields), paths) for fields in items], Path(out_dir))
        many = getattr(typed, "item_ids", None) is not None
        if many and not found.together:
            answer = _one_by_one(found, typed, ctx)
        else:
            with ctx.opened():
                answer = dict(found.made.execute(typed, ctx))
    answer = {"operation": operation, **answer}
    return {
        "answer": finite(answer),
        "renders": [
            {**dataclasses.asdict(render), "path": str(render.path)} for render in ctx.renders
        ],
    }


def _one_by_one(found: Registered, params: BaseModel, ctx: MethodContext) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    first: MethodError | RasterError | None = None
    for name in dict.fromkeys(getattr(params, "item_ids", ())):
        single = params.model_copy(update={"item_id": name, "item_ids": None})
        try:
            with ctx.opened():
                results.append({"item_id": name, **found.made.execute(single, ctx)})
        except (MethodError, RasterError) as error:
            if error.code == "too_many_pixels":
                raise
            first = first or error
            results.append(
                {"item_id": name, "error": {"code": error.code, "message": error.message}}
            )
    failed = sum("error" in result for result in results)
    if first is not None and failed == len(results):
        raise first
    summary: dict[str, Any] = {"items": len(results), "failed": failed}
    summarize = getattr(found.made, "summarize", None)
    if summarize is not None:
        summary |= summarize([r for r in results if "error" not in r])
    return {"results": results, "summary": summary}


def _by_links(item: Item, paths: Mapping[str, str]) -> Item:
    sources = tuple(by_link(source, paths) for source in item.sources)
    return dataclasses.replace(item, sources=sources)


def item_of(fields: Mapping[str, Any]) -> Item:
    """An item from its JSON."""
    sources = tuple(Source(**source) for source in fields.get("sources", ()))
    return Item(**{**fields, "sources": sources})


def finite(value: Any) -> Any:
    """The same with plain numbers, and null for each that is not finite."""
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, BaseModel):
        return finite(value.model_dump(mode="json"))
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, np.generic):
        return finite(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value

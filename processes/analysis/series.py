"""Values through time: the steps of items, and what a place or area holds at each."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from processes.analysis.context import MethodContext
from processes.analysis.params import MAX_ITEMS, ItemId, Mask, Measure, require_items
from processes.analysis.quantity import Quantity
from processes.method import Item, MethodError, Selection
from processes.process import Source
from raster.errors import RasterError


class SeriesParams(Measure):
    """Which items make up the series, and the time that counts."""

    item_id: ItemId | None = Field(
        default=None,
        description="The item: its assets with a time each, or its bands where they are times.",
    )
    item_ids: list[ItemId] | None = Field(
        default=None, min_length=1, max_length=MAX_ITEMS, description="Several items."
    )
    collection_id: ItemId | None = Field(
        default=None, description="All items of a collection from `start` to `end`."
    )
    search: dict[str, Any] | None = Field(
        default=None,
        description="A STAC search: bbox, intersects, datetime, collections, filter (CQL2), query.",
    )
    start: str | None = Field(default=None, max_length=40, description="ISO 8601, inclusive.")
    end: str | None = Field(
        default=None, max_length=40, description="ISO 8601, inclusive; a date means all of its day."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "SeriesParams":
        given = [n for n in ("band", "index_name", "expression") if getattr(self, n) is not None]
        if len(given) > 1:
            raise PydanticCustomError(
                "value_error", "only one of band, index_name and expression may be given"
            )
        require_items(self.item_id, self.item_ids, self.collection_id, self.search)
        bounds(self.start, self.end)
        return self

    def selection(self) -> Selection:
        """The items."""
        one = [self.item_id] if self.item_id is not None else []
        return Selection(
            item_ids=tuple(self.item_ids or one),
            collection_id=self.collection_id,
            search=self.search,
            start=self.start,
            end=self.end,
        )


@dataclass(frozen=True)
class Step:
    """One time of a series, and what to read for it."""

    at: datetime
    item: Item
    measure: Measure


@dataclass(frozen=True)
class Gap:
    """A time without a value, and why."""

    datetime: str
    item_id: str
    asset_key: str | None
    reason: str

    def row(self) -> dict[str, Any]:
        """As the answer has it."""
        return {
            "datetime": self.datetime,
            "item_id": self.item_id,
            "asset_key": self.asset_key,
            "reason": self.reason,
        }


def parse_time(text: str, *, end: bool = False) -> datetime:
    """A date or time in ISO 8601 as UTC; a date means its first moment, or its last.

    Raises: ValueError.
    """
    if len(text) == 7 and text[4:5] == "-":
        text += "-01"
    made = datetime.fromisoformat(text.strip())
    if end and len(text.strip()) == 10:
        made = made.replace(hour=23, minute=59, second=59, microsecond=999999)
    if made.tzinfo is None:
        return made.replace(tzinfo=UTC)
    try:
        return made.astimezone(UTC)
    except OverflowError:
        raise ValueError("before the year 1 or after 9999 in UTC") from None


def bounds(start: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
    """Both as times. Raises: ValueError: one is none, or start is after end."""
    try:
        low = None if start is None else parse_time(start)
        high = None if end is None else parse_time(end, end=True)
    except ValueError:
        raise ValueError("start and end must be ISO 8601 dates or times") from None
    if low is not None and high is not None and low > high:
        raise ValueError("start must not be after end")
    return low, high


def text_of(at: datetime) -> str:
    """ISO 8601 in UTC with `Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def steps(ctx: MethodContext, params: SeriesParams) -> list[Step]:
    """Every time of every item within start and end, by time.

    Raises: MethodError: an item has no time, or nothing says which value is meant.
    """
    low, high = bounds(params.start, params.end)
    found = [step for item in ctx.items.values() for step in _of(item, params)]
    kept = [s for s in found if (low is None or s.at >= low) and (high is None or s.at <= high)]
    if not kept:
        raise MethodError("no_valid_pixel", "there is nothing between start and end")
    return sorted(kept, key=lambda step: (step.at, step.item.id))


def _of(item: Item, params: SeriesParams) -> Iterator[Step]:
    dated = [s for s in item.sources if s.asset.get("datetime") and _wanted(s, params)]
    if dated:
        for source in dated:
            at = parse_time(str(source.asset["datetime"]))
            yield Step(at, item, _measure(params, asset_key=source.asset_key))
        return
    times = band_times(item, params.asset_key) if params.index_name is None else []
    if times:
        for number, at in enumerate(times, start=1):
            if params.expression is not None:
                # b1 is the band of the time at hand
                text = re.sub(r"\b[bB]1\b", f"b{number}", params.expression)
                yield Step(at, item, _measure(params, expression=text))
            else:
                yield Step(at, item, _measure(params, band=number))
        return
    if item.datetime is None:
        raise MethodError("invalid_params", f"item {item.id} has no time")
    yield Step(parse_time(item.datetime), item, _measure(params))


def _wanted(source: Source, params: SeriesParams) -> bool:
    mask = params.mask.asset_key if params.mask else None
    return source.asset_key == params.asset_key if params.asset_key else source.asset_key != mask


def band_times(item: Item, asset_key: str | None) -> list[datetime]:
    """The times of an asset's bands, where they are times: by the item's `cube:dimensions` (one
    value a band), or because every band is named by a date.
    """
    source = next((s for s in item.sources if asset_key is None or s.asset_key == asset_key), None)
    if source is None:
        return []
    names = list(source.asset.get("band_names") or ())
    count = source.asset.get("band_count") or len(names)
    dimensions = item.properties.get("cube:dimensions")
    if isinstance(dimensions, Mapping):
        for dimension in dimensions.values():
            if isinstance(dimension, Mapping) and dimension.get("type") == "temporal":
                values = dimension.get("values")
                if isinstance(values, list) and len(values) == count:
                    return _times(values)
    return _times(names) if len(names) > 1 and len(names) == count else []


def _times(values: Sequence[object]) -> list[datetime]:
    try:
        return [parse_time(str(value)) for value in values]
    except ValueError:
        return []


def _measure(params: SeriesParams, **changes: Any) -> Measure:
    fields: dict[str, Any] = {
        name: getattr(params, name)
        for name in Measure.model_fields
        if name in params.model_fields_set
    }
    if "expression" in changes or "band" in changes:
        for name in ("band", "index_name", "expression"):
            fields.pop(name, None)
    fields |= changes
    if not any(fields.get(name) is not None for name in ("band", "index_name", "expression")):
        raise MethodError(
            "invalid_params", "exactly one of band, index_name and expression is required"
        )
    mask = fields.pop("mask", None)
    made = Measure.model_validate(fields)
    return made.model_copy(update={"mask": mask}) if isinstance(mask, Mask) else made


def visit(
    ctx: MethodContext, params: SeriesParams
) -> Iterator[tuple[Step, Quantity | None, Gap | None]]:
    """Each step with what it reads, or the reason why nothing can be read; files stay open only
    for the steps of one item.
    """
    ordered = steps(ctx, params)
    for step in ordered:
        with ctx.opened():
            try:
                yield step, ctx.quantity(step.item, step.measure), None
            except (MethodError, RasterError) as error:
                yield step, None, gap(step, error.message)


def gap(step: Step, reason: str) -> Gap:
    """A gap at a step."""
    return Gap(text_of(step.at), step.item.id, step.measure.asset_key, reason)


def trend(times: Sequence[datetime], values: Sequence[float]) -> float | None:
    """Slope a day of the least-squares line; None for fewer than two times."""
    days = np.array([(at - times[0]).total_seconds() / 86_400 for at in times])
    if len(days) < 2 or float(np.ptp(days)) == 0:
        return None
    return float(np.polyfit(days - days.mean(), np.asarray(values, float), 1)[0])


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`n`, `min`, `max`, `mean`, `slope_per_day` and the longest time between two values."""
    values = [float(row["value"]) for row in rows]
    times = [parse_time(str(row["datetime"])) for row in rows]
    distances = [(b - a).total_seconds() / 86_400 for a, b in pairwise(times)]
    return {
        "n": len(values),
        "min": min(values, default=None),
        "max": max(values, default=None),
        "mean": float(np.mean(values)) if values else None,
        "slope_per_day": trend(times, values) if values else None,
        "longest_gap_days": max(distances, default=None),
    }

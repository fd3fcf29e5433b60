"""`time_series`: one number a date, over an item's times or over many items."""

from typing import Any

import numpy as np
from pydantic import Field

from processes.analysis import points, series
from processes.analysis.context import MethodContext
from processes.analysis.params import MAX_PIXELS, Statistic, ZonesOrPoint
from processes.analysis.params import Zone as Place
from processes.analysis.quantity import Quantity
from processes.method import MethodError, Selection, method
from raster.errors import RasterError


class TimeSeriesParams(series.SeriesParams):
    """What is sampled, where and how."""

    geometry: ZonesOrPoint | None = Field(
        default=None, description="Area, or a Point for its pixel; default the whole item."
    )
    statistic: Statistic = "mean"
    min_valid_percent: float = Field(
        default=0,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="A date with less of the area valid, such as under clouds, is a gap.",
    )
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=MAX_PIXELS)


def sample(
    ctx: MethodContext, what: Quantity, params: TimeSeriesParams
) -> tuple[float, float, float]:
    """(value, count, valid percent) of one date. Raises: MethodError."""
    places: list[Place] | None = params.geometry
    if places is not None and places[0][1]["type"] == "Point":
        degrees = np.array([place["coordinates"] for _, place in places], float)
        if not points.covered(what, degrees.tolist()):
            raise MethodError("no_overlap", "the point lies outside the raster")
        found = points.values_at(ctx, what, degrees).compressed()
        if not found.size:
            raise MethodError("no_valid_pixel", "no valid pixel")
        return float(found[0]), float(found.size), 100.0
    zone = ctx.zone(what.grid, places)
    found = ctx.summarize(what, zone, limit=params.max_pixels)
    if not found["count"]:
        raise MethodError("no_valid_pixel", "no valid pixel")
    return float(found[params.statistic]), found["count"], found["valid_percent"]


def collect(
    ctx: MethodContext, params: TimeSeriesParams
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, str]]]:
    """(values, gaps, inputs). Raises: MethodError: there is not one value."""
    rows: list[dict[str, Any]] = []
    gaps: list[dict[str, Any]] = []
    inputs: dict[tuple[str, str], dict[str, str]] = {}
    codes: list[str] = []
    for step, what, missing in series.visit(ctx, params):
        if what is None:
            assert missing is not None
            codes.append("band_missing")
            gaps.append(missing.row())
            continue
        for entry in what.checksums:
            inputs[entry["item_id"], entry["asset_key"]] = entry
        try:
            value, count, percent = sample(ctx, what, params)
            if percent < params.min_valid_percent:
                raise MethodError("no_valid_pixel", f"only {percent:.1f} % of the area is valid")
        except (MethodError, RasterError) as error:
            if error.code == "too_many_pixels":
                raise
            codes.append(error.code)
            gaps.append(series.gap(step, error.message).row())
            continue
        rows.append(
            {
                "datetime": series.text_of(step.at),
                "value": value,
                "count": count,
                "valid_percent": percent,
                "asset_key": what.asset_key,
                "item_id": step.item.id,
            }
        )
    if not rows:
        raise MethodError(codes[0], f"no date has a value: {gaps[0]['reason']}")
    return rows, gaps, list(inputs.values())


@method
class TimeSeries:
    """A statistic of a band, an index or an expression at each time: of an item's assets that have
    a time of their own, of its bands where they are times, of several items, of a collection or of
    a search. Dates without a valid pixel (clouds masked by `mask`) are listed as gaps.
    """

    name = "time_series"
    title = "Time series"
    together = True
    input_model = TimeSeriesParams
    examples = (
        {"collection_id": "col_…", "index_name": "NDVI", "start": "2026-01-01"},
        {"item_id": "it_…", "statistic": "median"},
    )

    def items(self, params: TimeSeriesParams) -> Selection:
        """As the parameters say."""
        return params.selection()

    def execute(self, params: TimeSeriesParams, ctx: MethodContext) -> dict[str, Any]:
        """The series. Raises: MethodError."""
        rows, gaps, inputs = collect(ctx, params)
        answer: dict[str, Any] = {}
        if params.item_id is not None:
            answer["item_id"] = params.item_id
        for name in ("band", "index_name", "expression"):
            if getattr(params, name) is not None:
                answer[name] = getattr(params, name)
        answer |= {
            "statistic": params.statistic,
            "series": rows,
            "gaps": gaps,
            "summary": series.summary(rows),
            "inputs": inputs,
        }
        if params.item_ids is not None:
            answer["results"] = [_of_item(name, rows, gaps) for name in params.item_ids]
        return answer


def _of_item(name: str, rows: list[dict[str, Any]], gaps: list[dict[str, Any]]) -> dict[str, Any]:
    own = [row for row in rows if row["item_id"] == name]
    if own:
        return {"item_id": name, "series": own, "summary": series.summary(own)}
    reasons = [g["reason"] for g in gaps if g["item_id"] == name]
    message = reasons[0] if reasons else "nothing between start and end"
    return {"item_id": name, "error": {"code": "no_valid_pixel", "message": message}}

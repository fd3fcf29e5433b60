"""`phenology`: start, peak and end of the season that a series of an index shows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from pydantic import Field

from processes.analysis import series
from processes.analysis.context import MethodContext
from processes.method import MethodError, Selection, method
from processes.methods.time_series import TimeSeriesParams, collect

MIN_DATES = 5


class PhenologyParams(TimeSeriesParams):
    """The series, and what counts as a season."""

    amplitude_fraction: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="The season lasts while the value is above its base by this part of the rise.",
    )


def season(times: Sequence[datetime], values: Sequence[float], fraction: float) -> dict[str, Any]:
    """The season around the highest value.

    It starts where the value, interpolated linearly, last rises through base + fraction * rise
    before the peak, and ends where it first falls through the same on the other side. The base is
    the lowest value on that side. A side that never crosses has no date.

    Source: the amplitude method of Jönsson and Eklundh, Computers & Geosciences 30 (2004).
    """
    days = np.array([(at - times[0]).total_seconds() / 86_400 for at in times])
    level = np.asarray(values, float)
    peak = int(np.argmax(level))
    left, right = float(level[: peak + 1].min()), float(level[peak:].min())
    start = _crossing(days, level, range(peak, 0, -1), -1, left, fraction)
    end = _crossing(days, level, range(peak, len(level) - 1), 1, right, fraction)

    def date(day: float | None) -> str | None:
        return None if day is None else series.text_of(times[0] + timedelta(days=day))

    top = float(level[peak])
    return {
        "start": date(start),
        "peak": date(float(days[peak])),
        "end": date(end),
        "length_days": None if start is None or end is None else end - start,
        "base_before": left,
        "base_after": right,
        "peak_value": top,
        "amplitude": top - (left + right) / 2,
        "integral": _integral(days, level, start, end),
    }


def _crossing(
    days: np.ndarray, level: np.ndarray, order: range, way: int, base: float, fraction: float
) -> float | None:
    top = float(level[order.start]) if len(order) else base
    limit = base + fraction * (top - base)
    if top <= base:
        return None
    for n in order:
        inner, outer = float(level[n]), float(level[n + way])
        if inner >= limit > outer:
            share = (inner - limit) / (inner - outer)
            return float(days[n] + share * (days[n + way] - days[n]))
    return None


def _integral(
    days: np.ndarray, level: np.ndarray, start: float | None, end: float | None
) -> float | None:
    """Area under the value from start to end, in value times days."""
    if start is None or end is None:
        return None
    inner = days[(days > start) & (days < end)]
    at = np.concatenate([[start], inner, [end]])
    return float(np.trapezoid(np.interp(at, days, level), at))


@method
class Phenology:
    """Start, peak and end of the growing season, from a series of an index (see `time_series`): the
    highest value is the peak; the season lasts while the value is above its base by a part of the
    rise (the amplitude method of TIMESAT). At least five dates are needed.
    """

    name = "phenology"
    title = "Season start, peak and end"
    together = True
    input_model = PhenologyParams
    examples = ({"collection_id": "col_…", "index_name": "NDVI", "start": "2025-09-01"},)

    def items(self, params: PhenologyParams) -> Selection:
        """As the parameters say."""
        return params.selection()

    def execute(self, params: PhenologyParams, ctx: MethodContext) -> dict[str, Any]:
        """The season and the series it was found in. Raises: MethodError."""
        rows, gaps, inputs = collect(ctx, params)
        if len(rows) < MIN_DATES:
            raise MethodError(
                "invalid_params",
                f"a season needs {MIN_DATES} dates with a value; there are {len(rows)}",
            )
        times = [series.parse_time(row["datetime"]) for row in rows]
        values = [row["value"] for row in rows]
        return {
            "season": season(times, values, params.amplitude_fraction),
            "amplitude_fraction": params.amplitude_fraction,
            "statistic": params.statistic,
            "series": rows,
            "gaps": gaps,
            "summary": series.summary(rows),
            "inputs": inputs,
        }

"""`point_series`: the value of the pixel under each of some points, through time."""

from typing import Any

import numpy as np
from pydantic import Field

from processes.analysis import points, series
from processes.analysis.context import MethodContext
from processes.analysis.params import Points
from processes.method import MethodError, Selection, method


class PointSeriesParams(series.SeriesParams):
    """Which points of which items."""

    geometry: Points = Field(description="Point, MultiPoint, Feature or FeatureCollection.")


@method
class PointSeries:
    """For each point the value of the pixel it lies in at each time, with the times without one."""

    name = "point_series"
    title = "Series at points"
    together = True
    input_model = PointSeriesParams
    examples = (
        {
            "item_ids": ["it_…", "it_…"],
            "band": "nir",
            "geometry": {"type": "Point", "coordinates": [3.2, 51.1]},
        },
    )

    def items(self, params: PointSeriesParams) -> Selection:
        """As the parameters say."""
        return params.selection()

    def execute(self, params: PointSeriesParams, ctx: MethodContext) -> dict[str, Any]:
        """A series a point. Raises: MethodError."""
        degrees = np.array([place["coordinates"] for _, place in params.geometry], float)
        rows: list[list[dict[str, Any]]] = [[] for _ in degrees]
        gaps: list[list[dict[str, Any]]] = [[] for _ in degrees]
        hit = False
        for step, what, missing in series.visit(ctx, params):
            if what is None:
                assert missing is not None
                for own in gaps:
                    own.append(missing.row())
                continue
            hit = hit or points.covered(what, degrees.tolist())
            found = points.values_at(ctx, what, degrees)
            empty = np.ma.getmaskarray(found)
            for n in range(len(degrees)):
                if empty[n]:
                    gaps[n].append(series.gap(step, "no valid pixel").row())
                    continue
                rows[n].append(
                    {
                        "datetime": series.text_of(step.at),
                        "value": float(found.data[n]),
                        "item_id": step.item.id,
                        "asset_key": what.asset_key,
                    }
                )
        if not any(rows):
            if hit:
                raise MethodError("no_valid_pixel", "no point has a value at any time")
            reasons = [own[0]["reason"] for own in gaps if own]
            other = [r for r in reasons if r != "no valid pixel"]
            raise MethodError("no_overlap", other[0] if other else "no point lies on a raster")
        return {
            "points": [
                {
                    "id": name,
                    "longitude": place["coordinates"][0],
                    "latitude": place["coordinates"][1],
                    "series": rows[n],
                    "gaps": gaps[n],
                    "summary": series.summary(rows[n]),
                }
                for n, (name, place) in enumerate(params.geometry)
            ]
        }

"""`spectral_index`: a catalogue index of an item, as numbers and as a raster."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field
from rasterio.windows import Window

from processes.analysis import write, zones
from processes.analysis.context import MethodContext
from processes.analysis.params import ItemParams, Percentile
from processes.analysis.summary import Summary
from processes.method import MethodError, method
from raster import indices


class SpectralIndexParams(ItemParams):
    """Which index of which item."""

    index_name: str = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        min_length=1, max_length=100, description="E.g. NDVI; see `analytics.indices.list`."
    )
    percentiles: list[Percentile] = Field(default=[2, 25, 50, 75, 98], max_length=50)
    render: bool = Field(default=True, description="Whether the raster is made.")


@method
class SpectralIndex:
    """A spectral index of an item: its statistics, pixels weighed by their covered part, and the
    index as a raster that can be drawn for a day.
    """

    name = "spectral_index"
    title = "Spectral index"
    input_model = SpectralIndexParams
    examples = ({"item_id": "it_…", "index_name": "NDWI"},)

    def execute(self, params: SpectralIndexParams, ctx: MethodContext) -> dict[str, Any]:
        """Statistics and the raster. Raises: MethodError."""
        what = ctx.quantity(ctx.item(params), params)
        zone = ctx.zone(what.grid, params.geometry)
        ctx.spend(zone.pixels * what.bands_read, params.max_pixels)
        total = Summary()

        def parts() -> Iterator[tuple[Window, np.ma.MaskedArray]]:
            for window in zones.windows(zone):
                weights = zones.coverage(zone, window)
                if weights is not None and not weights.any():
                    continue
                values = what.read(window)
                total.add(values, weights)
                if weights is not None:
                    values = np.ma.MaskedArray(
                        values.data, mask=np.ma.getmaskarray(values) | (weights <= 0)
                    )
                yield window, values

        path = ctx.out_dir / f"{what.item_id}_index.tif"
        if params.render:
            write.raster(path, what.grid, zone, params.index_name.lower(), parts())
        else:
            for _ in parts():
                pass
        statistics = total.result(params.percentiles, lambda: ctx.parts(what, zone))
        if not statistics["count"]:
            raise MethodError("no_valid_pixel", "no pixel of the area holds a value")
        answer = {**ctx.describe(what), "statistics": statistics, "inputs": what.checksums}
        if params.render:
            index = indices.find(params.index_name)
            low, high = index.value_range
            if not index.known_range:
                low, high = statistics["min"], statistics["max"]
            answer["raster"] = ctx.render(
                path, name=index.name, colormap=index.colormap, rescale=(low, high)
            )
        return answer

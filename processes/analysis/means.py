"""The mean of many expressions over one raster, which is read once for all of them.

A mean is that of `zonal_stats` over the whole item, to the last bit: the same bands, formula,
windows and sums.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from processes.analysis import zonal, zones
from processes.analysis.context import MethodContext
from processes.analysis.engine import item_of
from processes.analysis.params import Measure
from processes.analysis.quantity import Quantity
from processes.links import by_link, opened
from processes.method import Item, MethodError

NO_PIXEL = "the expression gives no finite value anywhere"


def execute(
    source: Mapping[str, Any],
    expressions: Sequence[str],
    links: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The mean of each expression over all pixels where it has a value, at full resolution.

    A pixel counts where every band that the expression uses is valid and the result is finite.

    Args:
        source: fields of `processes.process.Source`.
        expressions: in the grammar of `raster.formula`, over `b1`, `b2` …; each once.
        links: path of a source in a bucket → a signed link that it is read by.

    Returns: for each expression `{mean}`, or `{code, message}` where it has none.

    Raises: MethodError, RasterError: nothing can be said of the raster as a whole;
        JobError("storage_unavailable").
    """
    made: list[dict[str, Any]] = [{} for _ in expressions]
    with opened(links or {}) as paths:
        item = item_of({"id": source["item_id"], "datetime": None, "sources": [source]})
        item = Item(item.id, None, sources=tuple(by_link(one, paths) for one in item.sources))
        ctx = MethodContext([item], Path())
        with ctx.opened():
            ctx.open(item.sources[0])
            found: dict[int, Quantity] = {}
            for place, text in enumerate(expressions):
                try:
                    found[place] = ctx.quantity(item, Measure(expression=text))
                except MethodError as error:
                    made[place] = {"code": error.code, "message": error.message}
            # those that read the same bands one after the other
            order = sorted(found, key=lambda place: [band.index for band in found[place].inputs])
            if order:
                quantities = [found[place] for place in order]
                area = zones.whole(quantities[0].grid)
                sums = zonal.statistics(quantities, [area], ranked=False)[0]
                for place, result in zip(order, sums, strict=True):
                    made[place] = (
                        {"mean": result["mean"]}
                        if result["mean"] is not None
                        else {"code": "no_valid_pixel", "message": NO_PIXEL}
                    )
    return made

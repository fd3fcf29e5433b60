"""Display statistics: of an expression over the raster, of bands within a polygon."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tiler import datasets, fast, rescale, sample
from tiler.errors import InvalidParameter
from tiler.render import area_of
from tiler.source import AssetSource
from tiler.style import style
from tiler.work import lane


@lane("slow")
def statistics(source: AssetSource, expression: str) -> dict[str, Any]:
    """Statistics of an expression over the whole raster, and the range it is drawn in.

    Percentiles come from an overview; so do the rest, unless the expression merely names a band
    that has embedded statistics. A band's numbers are as stored, a formula's computed from scaled
    values; None where nothing is valid.

    Returns: {expression, asset_key, min, max, mean, std, p2, p98, rescale: [low, high]}.
    Raises: InvalidParameter, Unreadable, TileError.
    """
    header = datasets.header_of(source)
    chosen = style(source, header, expression=expression)
    if len(chosen.rescale) != 1:
        raise InvalidParameter.of("expression", "must give one band here")
    if chosen.formula is None:
        band = chosen.bidx[0]
        pixels = fast.overview(
            header,
            (band,),
            rescale.STATISTICS_SIDE,
            nodata=chosen.nodata,
            alpha_bidx=chosen.alpha_bidx,
        )
        values = pixels.band(0).compressed()
        found = rescale.band_statistics(
            header,
            band,
            metadata=source.bands,
            nodata=chosen.nodata,
            alpha_bidx=chosen.alpha_bidx,
        )
    else:
        values = rescale.overview_values(
            header, chosen.formula, nodata=chosen.nodata, alpha_bidx=chosen.alpha_bidx
        )[0].compressed()
        found = rescale.of_values(values)
    empty = not values.size
    p2, p98 = (None, None) if empty else map(float, np.percentile(values, (2, 98)))
    return {
        "expression": expression,
        "asset_key": source.asset_key,
        "min": None if empty else found.minimum,
        "max": None if empty else found.maximum,
        "mean": None if empty else found.mean,
        "std": None if empty else found.stddev,
        "p2": p2,
        "p98": p98,
        "rescale": list(chosen.rescale[0]),
    }


@lane("slow")
def cog_statistics(
    source: AssetSource,
    geometry: Mapping[str, Any],
    *,
    expression: str | None = None,
    bands: str | None = None,
    percentiles: Sequence[float] = (2.0, 98.0),
) -> dict[str, Any]:
    """Statistics of pixels whose centre lies in a polygon, read on the raster's own grid.

    Args:
        geometry: GeoJSON Polygon, MultiPolygon or a Feature of one; EPSG:4326.
        expression: up to 8 blocks, of scaled values; or
        bands: numbers or names, up to 16, as stored; default all that hold data.
        percentiles: two, ascending, 0 to 100.

    Returns: {"bands": {"1": {"percentiles": {"2": …, "98": …}, min, max, mean, std, count}},
        "rescale": [[low, high], …]}: bands by number, blocks of an expression counted from 1;
        `rescale` is their percentiles. Values are None where no pixel is valid.

    Raises: InvalidParameter, Unreadable, TileError (422: the polygon misses the raster).
    """
    low, high = _percentiles(percentiles)
    header = datasets.header_of(source)
    indexes, formula, _ = sample.wanted(source, header, bands, expression)
    found = sample.sample(source, header, area_of(geometry), indexes, formula)
    numbers = sample.numbers(indexes, formula)
    described = {
        str(number): _describe(values, low, high)
        for number, values in zip(numbers, found.values, strict=True)
    }
    return {
        "bands": described,
        "rescale": [list(band["percentiles"].values()) for band in described.values()],
    }


def _percentiles(percentiles: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = (float(value) for value in percentiles)
    except (TypeError, ValueError):
        raise InvalidParameter.of("percentiles", "must be two numbers") from None
    if not (math.isfinite(low) and 0 <= low < high <= 100):
        raise InvalidParameter.of("percentiles", "must be two ascending numbers of 0 to 100")
    return low, high


def _describe(values: np.ndarray, low: float, high: float) -> dict[str, Any]:
    names = [f"{value:g}" for value in (low, high)]
    if not values.size:
        empty: dict[str, Any] = dict.fromkeys(("min", "max", "mean", "std"))
        return {"percentiles": dict.fromkeys(names), **empty, "count": 0}
    exact = rescale.of_values(values)
    cuts = (float(value) for value in np.percentile(values, (low, high)))
    return {
        "percentiles": dict(zip(names, cuts, strict=True)),
        "min": exact.minimum,
        "max": exact.maximum,
        "mean": exact.mean,
        "std": exact.stddev,
        "count": int(values.size),
    }

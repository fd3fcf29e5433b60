"""What range of values is shown: mean ± 2 standard deviations within the extremes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raster.formula import Formula
from tiler import fast
from tiler.cache import known
from tiler.datasets import BandStatistics, Header
from tiler.errors import InvalidParameter

Range = tuple[float, float]

STATISTICS_SIDE = 512
"""Statistics that no tag holds come from the coarsest overview at least this long."""

NARROWEST = 1e-30
"""A narrower range cannot be spread over 0 to 255 in float32."""

_STATISTICS_BYTES = 600  # with the key


def default_range(found: BandStatistics) -> Range:
    """mean ± 2 standard deviations within the extremes; around the value of a constant band."""
    low = max(found.minimum, found.mean - 2 * found.stddev)
    high = min(found.maximum, found.mean + 2 * found.stddev)
    return (low, high) if high - low >= NARROWEST else (found.mean - 1, found.mean + 1)


def band_statistics(
    header: Header,
    bidx: int,
    *,
    metadata: Sequence[Mapping[str, Any]] = (),
    nodata: float | None = None,
    alpha_bidx: int | None = None,
) -> BandStatistics:
    """Statistics of a band in stored numbers.

    From the file's STATISTICS tags, else the item's metadata, else computed once from an overview.
    """
    found = header.statistics[bidx - 1]
    if found is None and bidx <= len(metadata):
        found = of_metadata(metadata[bidx - 1])
    if found is None:
        found = _computed(header, bidx, nodata, alpha_bidx)
    return found


def of_metadata(band: Mapping[str, Any]) -> BandStatistics | None:
    """What the item says of a band; None unless it says all of it."""
    values = [band.get(name) for name in ("minimum", "maximum", "mean", "stddev")]
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return None
    return BandStatistics(*(float(value) for value in values if value is not None))


def _computed(
    header: Header, bidx: int, nodata: float | None, alpha_bidx: int | None
) -> BandStatistics:
    """Of an overview, once a version of the file however many tiles ask at a time."""

    def make() -> BandStatistics:
        pixels = fast.overview(
            header, (bidx,), STATISTICS_SIDE, nodata=nodata, alpha_bidx=alpha_bidx
        )
        return of_values(pixels.band(0).compressed())

    key = ("statistics", header.path, header.version, bidx, nodata, alpha_bidx)
    return known.get(key, make, lambda _: _STATISTICS_BYTES)


def of_values(values: np.ndarray) -> BandStatistics:
    """Statistics of an array's finite values; of nothing, those of a band that is 0."""
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not values.size:
        return BandStatistics(0.0, 0.0, 0.0, 0.0)
    exact = values.astype(np.float64)
    return BandStatistics(
        float(exact.min()), float(exact.max()), float(exact.mean()), float(exact.std())
    )


def overview_values(
    header: Header,
    formula: Formula,
    *,
    nodata: float | None,
    alpha_bidx: int | None,
) -> np.ma.MaskedArray:
    """The formula on an overview, of scaled values: float32, shape (blocks, rows, columns)."""
    pixels = fast.overview(
        header, formula.bands, STATISTICS_SIDE, nodata=nodata, alpha_bidx=alpha_bidx
    )
    return fast.evaluate(formula, header, pixels)


def formula_statistics(
    header: Header, formula: Formula, nodata: float | None, alpha_bidx: int | None
) -> tuple[BandStatistics, ...]:
    """Statistics of each block of a formula, from an overview, computed once a version."""

    def make() -> tuple[BandStatistics, ...]:
        values = overview_values(header, formula, nodata=nodata, alpha_bidx=alpha_bidx)
        return tuple(of_values(block.compressed()) for block in values)

    programs = tuple((block.program, block.constants) for block in formula.blocks)
    key = ("formula statistics", *header.identity, programs, nodata, alpha_bidx)
    return known.get(key, make, lambda _: _STATISTICS_BYTES * 8)


def parse(text: str, outputs: int) -> tuple[Range, ...]:
    """`low,high` for every band, or one pair a band: `0,3000` or `0,3000,0,2500,0,2000`.

    Raises: InvalidParameter.
    """
    try:
        numbers = [float(part) for part in text.replace(";", ",").split(",")]
    except ValueError:
        raise InvalidParameter.of("rescale", "must be numbers: low,high for each band") from None
    if len(numbers) % 2:
        raise InvalidParameter.of("rescale", "must be pairs of numbers: low,high for each band")
    return ranges(list(zip(numbers[::2], numbers[1::2], strict=True)), outputs)


def ranges(pairs: Sequence[Sequence[float]], outputs: int) -> tuple[Range, ...]:
    """One checked range an output band; a single one is used for all. Raises: InvalidParameter."""
    if len(pairs) not in (1, outputs):
        raise InvalidParameter.of(
            "rescale", f"must hold one pair or {outputs}, one a band; there are {len(pairs)}"
        )
    for low, high in pairs:
        if not (abs(low) <= 1e38 and abs(high) <= 1e38 and high - low >= NARROWEST):
            raise InvalidParameter.of("rescale", "each low must be a number below its high")
    found = tuple((float(low), float(high)) for low, high in pairs)
    return found * outputs if len(found) == 1 else found

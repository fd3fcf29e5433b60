"""Display statistics: of an expression over the raster, of bands within a polygon."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from affine import Affine
from rasterio.features import rasterize
from rasterio.io import DatasetReader

from raster import bands as band_roles
from raster import reader
from raster.errors import RasterError
from raster.formula import Formula
from tiler import datasets, fast, rescale
from tiler.errors import InvalidParameter, TileError, Unreadable
from tiler.render import area_of
from tiler.source import AssetSource
from tiler.style import band_index, names_of, parse_expression, style

MAX_VALUES = 64_000_000
"""Values held at once; an area with more is read from overviews."""


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
    if expression:
        if bands:
            raise InvalidParameter.of("expression", "is not combined with bands")
        formula = parse_expression(expression, names_of(source.band_names, header), header)
        indexes = formula.bands
        labels = [str(i) for i in range(1, len(formula.blocks) + 1)]
    else:
        formula, indexes = None, _bands(source, header, bands)
        labels = [str(index) for index in indexes]
    area = area_of(geometry)
    try:
        with reader.open_guarded(source.path) as dataset:
            values = _values(dataset, source, area, indexes, formula)
    except RasterError as error:
        if error.code == "no_overlap":
            raise TileError(422, "Unprocessable Content", error.message) from None
        raise Unreadable(f"the asset cannot be read: {error.message}") from None
    found = {label: _describe(band, low, high) for label, band in zip(labels, values, strict=True)}
    return {
        "bands": found,
        "rescale": [list(band["percentiles"].values()) for band in found.values()],
    }


def _percentiles(percentiles: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = (float(value) for value in percentiles)
    except (TypeError, ValueError):
        raise InvalidParameter.of("percentiles", "must be two numbers") from None
    if not (math.isfinite(low) and 0 <= low < high <= 100):
        raise InvalidParameter.of("percentiles", "must be two ascending numbers of 0 to 100")
    return low, high


def _bands(source: AssetSource, header: datasets.Header, bands: str | None) -> tuple[int, ...]:
    names = names_of(source.band_names, header)
    if bands:
        wanted = [part.strip() for part in bands.split(",")]
        if len(wanted) > 16:
            raise InvalidParameter.of("bands", "at most 16 at once")
        return tuple(dict.fromkeys(band_index(band, names, header) for band in wanted))
    alpha = band_roles.alpha_band(header.color_interpretation, names)
    return tuple(i for i in range(1, header.count + 1) if i != alpha)[:16]


def _values(
    dataset: DatasetReader,
    source: AssetSource,
    area: Mapping[str, Any],
    indexes: Sequence[int],
    formula: Formula | None,
) -> list[np.ndarray]:
    """The valid values of each output band within the area."""
    layout = reader.layout(dataset, band_names=list(source.band_names), metadata=source.bands)
    if layout.alpha in indexes:
        raise InvalidParameter.of("bands", f"band {layout.alpha} is the alpha band")
    outputs = len(formula.blocks) if formula else len(indexes)
    found: list[list[np.ndarray]] = [[] for _ in range(outputs)]
    for inside, read in _pieces(
        dataset, layout, reader.area(dataset, area), indexes, scaled=formula is not None
    ):
        if formula is not None:
            read = formula.evaluate({index: read[i] for i, index in enumerate(indexes)})
        keep = inside & ~np.ma.getmaskarray(read)
        for position, values in enumerate(found):
            values.append(read.data[position][keep[position]])
    return [np.concatenate(parts) if parts else np.empty(0, np.float32) for parts in found]


def _pieces(
    dataset: DatasetReader,
    layout: reader.Layout,
    area: reader.Area,
    indexes: Sequence[int],
    *,
    scaled: bool,
) -> Iterator[tuple[np.ndarray, np.ma.MaskedArray]]:
    """(True where a pixel is inside, the bands' values), piece by piece."""
    width, height = int(area.window.width), int(area.window.height)
    pixels = width * height
    if pixels * len(indexes) <= MAX_VALUES:
        for piece in reader.windows(dataset, area.window):
            inside = area.inside(piece)
            if inside.any():
                read = reader.read(dataset, indexes, window=piece, layout=layout, scaled=scaled)
                yield inside, read
        return
    shrink = math.sqrt(pixels * len(indexes) / MAX_VALUES)
    shape = max(1, int(height / shrink)), max(1, int(width / shrink))
    steps = Affine.scale(width / shape[1], height / shape[0])
    inside = rasterize(
        [(area.geometry, 1)],
        out_shape=shape,
        transform=Affine.translation(area.window.col_off, area.window.row_off) * steps,
        dtype="uint8",
    )
    yield (
        np.asarray(inside, dtype=bool),
        reader.read(
            dataset, indexes, window=area.window, layout=layout, scaled=scaled, out_shape=shape
        ),
    )


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

"""Pixels as they lie in the file: of bands or a formula, at a place or within an area."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from rasterio.windows import Window

from raster import reader, reflectance
from raster.errors import RasterError
from raster.formula import Formula
from tiler import datasets, geojson, handles
from tiler.datasets import Header
from tiler.errors import InvalidParameter, TileError
from tiler.source import AssetSource
from tiler.style import band_index, names_of, parse_expression
from tiler.work import checkpoint

MAX_VALUES = 32_000_000
"""Values held at once; an area with more is read from overviews."""

MAX_BANDS = 16


@dataclass(frozen=True)
class Sample:
    """The valid values of an area.

    Attributes:
        values: one array for each band, or block of a formula.
        pixels: how many there are in the area, valid or not.
        exact: False where an overview was read.
    """

    values: list[np.ndarray]
    pixels: int
    exact: bool


def sample(
    source: AssetSource,
    header: Header,
    geometry: Mapping[str, Any] | None,
    indexes: Sequence[int],
    formula: Formula | None,
    *,
    unscale: bool = False,
) -> Sample:
    """Read the pixels whose centre lies in a polygon, or all.

    Args:
        geometry: GeoJSON, EPSG:4326.
        indexes: bands to read; `formula.bands` for a formula.
        unscale: bands with scale and offset applied, as formulas see them.

    Raises: InvalidParameter, Unreadable, TileError (422: the polygon misses the raster).
    """
    handle = handles.dataset(header, 0)
    area = _area(handle, header, geometry)
    layout = layout_of(handle, source)
    exact = area.window.width * area.window.height * len(indexes) <= MAX_VALUES
    outputs = len(indexes) if formula is None else len(formula.blocks)
    found: list[list[np.ndarray]] = [[] for _ in range(outputs)]
    pixels = 0
    scaled = unscale or formula is not None
    for inside, values in _pieces(handle, layout, area, indexes, scaled=scaled, exact=exact):
        checkpoint()
        if formula is not None:
            values = evaluated(formula, handle, layout, values)
        pixels += int(inside.sum())
        keep = inside & ~np.ma.getmaskarray(values)
        for position, parts in enumerate(found):
            parts.append(values.data[position][keep[position]])
    joined = [np.concatenate(parts) if parts else np.empty(0, np.float32) for parts in found]
    return Sample(joined, pixels, exact)


def _area(handle: DatasetReader, header: Header, geometry: Mapping[str, Any] | None) -> reader.Area:
    if geometry is None:
        whole = reader.pixels(0, 0, header.width, header.height)
        return reader.Area(whole, shapely.box(0, 0, header.width, header.height))
    try:
        found = reader.area(handle, geometry)
    except shapely.errors.GEOSException:
        raise TileError(422, "Unprocessable Content", "the polygon crosses itself") from None
    except RasterError as error:
        if error.code in ("no_overlap", "too_complex"):
            raise TileError(422, "Unprocessable Content", error.message) from None
        raise datasets.unreadable(f"the asset cannot be read: {error.message}") from None
    top, rows = found.window.row_off, int(found.window.height)
    geojson.check_fill(found.geometry, top, top + rows, rows, "geometry")
    return found


def wanted(
    source: AssetSource, header: Header, bands: str | None, expression: str | None
) -> tuple[tuple[int, ...], Formula | None, list[str]]:
    """(bands to read, formula, a label for each value). Raises: InvalidParameter."""
    names = names_of(source.band_names, header)
    if expression:
        if bands:
            raise InvalidParameter.of("expression", "is not combined with bands")
        formula = parse_expression(expression, names, header)
        labels = [text.strip() for text in expression.split(";")][: len(formula.blocks)]
        return formula.bands, formula, labels
    layout = layout_of(handles.dataset(header, 0), source)
    indexes = layout.data[:MAX_BANDS]
    if bands:
        wanted = [part.strip() for part in bands.split(",")]
        if len(wanted) > MAX_BANDS:
            raise InvalidParameter.of("bands", f"at most {MAX_BANDS} at once")
        indexes = tuple(dict.fromkeys(band_index(band, names, header) for band in wanted))
        if layout.alpha in indexes:
            raise InvalidParameter.of("bands", f"band {layout.alpha} is the alpha band")
    return indexes, None, [names[index - 1] or f"b{index}" for index in indexes]


def evaluated(
    formula: Formula, handle: DatasetReader, layout: reader.Layout, read: np.ma.MaskedArray
) -> np.ma.MaskedArray:
    """A formula of its bands, read in their order."""
    divisors = reflectance.divisors(handle, layout, formula.bands)
    return reflectance.evaluate(formula, dict(zip(formula.bands, read, strict=True)), divisors)


def numbers(indexes: Sequence[int], formula: Formula | None) -> Sequence[int]:
    """What the values are counted by: bands by their own number, blocks of a formula from 1."""
    return indexes if formula is None else range(1, len(formula.blocks) + 1)


def layout_of(handle: DatasetReader, source: AssetSource) -> reader.Layout:
    """How the file's bands are to be understood, with what the item says of them."""
    return reader.layout(handle, band_names=list(source.band_names), metadata=source.bands)


def read(
    handle: DatasetReader,
    layout: reader.Layout,
    indexes: Sequence[int],
    window: Window,
    *,
    scaled: bool,
    out_shape: tuple[int, int] | None = None,
) -> np.ma.MaskedArray:
    """As `raster.reader.read`. Raises: Unreadable."""
    try:
        return reader.read(
            handle, indexes, window=window, layout=layout, scaled=scaled, out_shape=out_shape
        )
    except (RasterError, RasterioError, ValueError) as error:
        raise datasets.unreadable("the asset's pixels cannot be read") from error


def _pieces(
    handle: DatasetReader,
    layout: reader.Layout,
    area: reader.Area,
    indexes: Sequence[int],
    *,
    scaled: bool,
    exact: bool,
) -> Iterator[tuple[np.ndarray, np.ma.MaskedArray]]:
    """(True where a pixel is meant, the bands' values), piece by piece."""
    if exact:
        for piece in reader.windows(handle, area.window):
            inside = area.inside(piece)
            if inside.any():
                yield inside, read(handle, layout, indexes, piece, scaled=scaled)
        return
    width, height = area.window.width, area.window.height
    shrink = math.sqrt(width * height * len(indexes) / MAX_VALUES)
    shape = max(1, int(height / shrink)), max(1, int(width / shrink))
    steps = Affine.scale(width / shape[1], height / shape[0])
    inside = rasterize(
        [(area.geometry, 1)],
        out_shape=shape,
        transform=Affine.translation(area.window.col_off, area.window.row_off) * steps,
        dtype="uint8",
    )
    values = read(handle, layout, indexes, area.window, scaled=scaled, out_shape=shape)
    yield np.asarray(inside, dtype=bool), values

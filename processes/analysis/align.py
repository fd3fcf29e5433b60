"""Values of one raster on the grid of another, window by window.

Rasters are compared on the coarser of their grids. Where both have the same pixels, moved by whole
pixels, nothing is resampled. Otherwise a finer raster is averaged onto a coarser grid, rasters of
about one resolution are interpolated bilinearly, and classes take the nearest or the most frequent
value. Only pixels that are valid take part, so no-data does not bleed into its neighbours.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import shapely
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from processes.method import MethodError
from raster import fill, reader
from raster.reader import Gridded, Layout

AnyGrid = TypeVar("AnyGrid", bound=Gridded)
Convert = Callable[[np.ma.MaskedArray], np.ma.MaskedArray]

SOURCE_PIXELS = 4_000_000
"""A target window is cut up where more source pixels (times bands) would be read at once."""
_COARSER = 1.5  # from this ratio of resolutions on, a finer raster is averaged
_TOLERANCE = 1e-3  # source pixels: how far from its exact place a value may be taken
_WHOLE = 1e-3  # pixels: how far from a whole pixel a shift may be
_REACH = {"nearest": 0, "bilinear": 1, "cubic": 2, "cubic_spline": 2, "lanczos": 3}
"""How many pixels a kernel reaches, of the source or, where that is coarser, of the target."""


def gsd(dataset: Gridded) -> float:
    """Size of the middle pixel on the ground, in metres: the square root of its area."""
    return math.sqrt(float(pixel_area(dataset, np.array([dataset.height / 2]))[0]))


def pixel_area(dataset: Gridded, rows: np.ndarray, column: float | None = None) -> np.ndarray:
    """Ground area in m² of the pixels that begin at `rows` in one column (default the middle).

    By an equal-area projection of the pixel's corners; the ellipsoid is that of WGS 84.
    """
    column = dataset.width / 2 if column is None else column
    t = dataset.transform
    corners = []
    for dc, dr in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)):
        c, r = column + dc - 0.5, rows + dr
        corners.append(np.column_stack([t.a * c + t.b * r + t.c, t.d * c + t.e * r + t.f]))
    try:
        flat = reader.move(dataset.crs, "EPSG:4326", np.concatenate(corners))
    except CPLE_BaseError:
        flat = np.full((4 * len(rows), 2), np.nan)
    if not np.isfinite(flat).all():
        raise MethodError("not_georeferenced", "the raster's position on the Earth is not known")
    x, y = _equal_area(flat).reshape(4, len(rows), 2).transpose(2, 0, 1)
    x = x - np.round((x - x[:1]) / _WORLD) * _WORLD  # a pixel across the antimeridian
    area = np.zeros(len(rows))
    for i in range(4):
        j = (i + 1) % 4
        area += x[i] * y[j] - x[j] * y[i]
    return np.abs(area) / 2


_WORLD = 2 * 17_367_530.445161372  # width of EPSG:6933 in metres


def _equal_area(points: np.ndarray) -> np.ndarray:
    import pyproj

    transformer = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True)
    return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))


def shift(source: Gridded, target: Gridded) -> tuple[int, int] | None:
    """(columns, rows) to add to a target pixel for the source's, where both have one grid but for
    a shift by whole pixels; else None. In degrees the same place may be a turn further on.
    """
    if source.crs != target.crs:
        return None
    inverse = ~source.transform
    t = target.transform
    both = _times(inverse, t)
    if not np.allclose([both.a, both.b, both.d, both.e], [1, 0, 0, 1], rtol=0, atol=1e-7):
        return None
    column = both.c
    if source.crs.is_geographic and t.b == 0 and t.d == 0:
        middles = [g.transform.c + g.transform.a * g.width / 2 for g in (source, target)]
        column -= 360.0 / t.a * round((middles[1] - middles[0]) / 360.0)
    if abs(column - round(column)) > _WHOLE or abs(both.f - round(both.f)) > _WHOLE:
        return None
    return round(column), round(both.f)


def _turned(source: DatasetReader, moved: tuple[int, int]) -> list[tuple[int, int]]:
    """The same shift, and those a turn of the Earth further on where it is whole pixels."""
    t = source.transform
    if not source.crs.is_geographic or t.b or t.d:
        return [moved]
    turn = 360.0 / abs(t.a)
    if abs(turn - round(turn)) > _WHOLE:
        return [moved]
    return [(moved[0] + k * round(turn), moved[1]) for k in (0, -1, 1)]


def _times(a: Affine, b: Affine) -> Affine:
    made: Any = np.array(a).reshape(3, 3) @ np.array(b).reshape(3, 3)
    return Affine(*made[:2].ravel())


def same_grid(one: Gridded, other: Gridded) -> bool:
    """Whether both have the same pixels."""
    return one is other or (shift(one, other) == (0, 0) and _shape(one) == _shape(other))


def _shape(grid: Gridded) -> tuple[int, int]:
    return grid.height, grid.width


def coarser(one: AnyGrid, other: AnyGrid) -> AnyGrid:
    """The one whose pixels are larger on the ground; the first where they are about equal."""
    return other if gsd(other) > gsd(one) * 1.01 else one


def resampling_for(source: Gridded, target: Gridded, *, categorical: bool = False) -> str:
    """How values of `source` come onto the grid of `target`: `none`, `nearest`, `bilinear`,
    `average` or `mode`.
    """
    if shift(source, target) is not None:
        return "none"
    finer = gsd(target) / gsd(source) >= _COARSER
    if categorical:
        return "mode" if finer else "nearest"
    return "average" if finer else "bilinear"


def overlaps(one: Gridded, other: Gridded) -> bool:
    """Whether two rasters share ground."""
    return not ground_of(other, one).is_empty


def ground_of(source: Any, target: Gridded) -> Any:
    """The part of `target`'s grid that `source` lies on: a geometry in target pixels."""
    from raster import footprint

    degrees = footprint.full_area(source)
    geometry, _ = footprint.to_geojson(degrees)
    placed = reader.to_pixels(target, shapely.geometry.shape(geometry))
    full = shapely.box(0, 0, target.width, target.height)
    inside = placed.intersection(full)
    return shapely.union_all([p for p in shapely.get_parts(inside) if p.area > 0])


def read(
    source: DatasetReader,
    layout: Layout,
    indexes: Sequence[int],
    *,
    onto: Gridded,
    window: Window,
    resampling: str,
    scaled: bool = True,
    dtype: str = "float32",
    convert: Convert | None = None,
    zeroed: bool = True,
) -> np.ma.MaskedArray:
    """Bands of `source` on a window of `onto`'s grid.

    Args:
        dtype: of the answer, `float32` or, for numbers that float32 cannot hold, `float64`.
        convert: what is made of the source's pixels before they come onto the grid.
        zeroed: put 0 below the mask; else anything may be left there.

    Returns: shape (bands, rows, columns); masked where the source has no value.

    Raises: MethodError("grid_mismatch"), RasterError.
    """
    moved = shift(source, onto)

    def pixels(some: Sequence[int], there: Window) -> np.ma.MaskedArray:
        found = reader.read(source, some, window=there, layout=layout, scaled=scaled)
        return found if convert is None else convert(found)

    if moved is not None:
        out, *others = (
            _moved(source, pixels, indexes, window, turn, dtype, zeroed)
            for number, turn in enumerate(_turned(source, moved))
            if not number or _meets(source, window, turn)
        )
        for other in others:
            shown = ~np.ma.getmaskarray(other) & np.ma.getmaskarray(out)
            out.data[shown] = other.data[shown]
            out.mask = np.ma.getmaskarray(out) & ~shown
        return out
    height, width = int(window.height), int(window.width)
    out = _nothing(dtype, len(indexes), height, width)
    hidden = np.ma.getmaskarray(out)
    reach = _REACH.get(resampling, 1)
    for piece, part in _pieces(source, onto, window, len(indexes), reach):
        rows, columns = _slices(piece, window)
        # a single pixel may need more of a fine source than all bands of it at once
        together = max(1, int(SOURCE_PIXELS // (part.width * part.height)))
        for first in range(0, len(indexes), together):
            some = slice(first, first + together)
            values = pixels(indexes[some], part)
            found = _warp(values, source, onto, piece, part, resampling, dtype)
            valid = ~np.isnan(found)
            out.data[some, rows, columns] = np.where(valid, found, 0)
            hidden[some, rows, columns] = ~valid
    return out


def _meets(source: DatasetReader, window: Window, moved: tuple[int, int]) -> bool:
    """Whether a shifted window has columns of the source."""
    left = int(window.col_off) + moved[0]
    return left < source.width and left + int(window.width) > 0


def _nothing(dtype: str, *shape: int) -> np.ma.MaskedArray:
    """Masked everywhere, and 0 below the mask."""
    return np.ma.MaskedArray(np.zeros(shape, dtype), mask=np.ones(shape, bool))


def _moved(
    source: DatasetReader,
    pixels: Callable[[Sequence[int], Window], np.ma.MaskedArray],
    indexes: Sequence[int],
    window: Window,
    moved: tuple[int, int],
    dtype: str,
    zeroed: bool,
) -> np.ma.MaskedArray:
    """The same pixels, which may lie outside the source."""
    left, top = int(window.col_off) + moved[0], int(window.row_off) + moved[1]
    height, width = int(window.height), int(window.width)
    x0, x1 = max(left, 0), min(left + width, source.width)
    y0, y1 = max(top, 0), min(top + height, source.height)
    if (x0, x1, y0, y1) == (left, left + width, top, top + height):
        there = reader.pixels(left, top, width, height)
        return _typed(pixels(indexes, there), dtype, zeroed)
    out = _nothing(dtype, len(indexes), height, width)
    hidden = np.ma.getmaskarray(out)
    if x0 < x1 and y0 < y1:
        there = reader.pixels(x0, y0, x1 - x0, y1 - y0)
        rows, columns = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        kept = _typed(pixels(indexes, there), dtype, zeroed)
        out.data[:, rows, columns] = kept.data
        hidden[:, rows, columns] = np.ma.getmaskarray(kept)
    return out


def _typed(values: np.ma.MaskedArray, dtype: str, zeroed: bool) -> np.ma.MaskedArray:
    """In that dtype, with 0 below the mask where that is asked for."""
    mask = np.ma.getmaskarray(values)
    data = values.data.astype(dtype, copy=False)
    if zeroed:
        fill.put(data, mask, 0)
    return np.ma.MaskedArray(data, mask=mask)


def _slices(piece: Window, window: Window) -> tuple[slice, slice]:
    top, left = int(piece.row_off - window.row_off), int(piece.col_off - window.col_off)
    return slice(top, top + int(piece.height)), slice(left, left + int(piece.width))


def _pieces(
    source: DatasetReader, onto: Gridded, window: Window, bands: int, reach: int
) -> Iterator[tuple[Window, Window]]:
    """(target window, source window) wherever they meet, none of them too large."""
    todo = [window]
    while todo:
        piece = todo.pop()
        part = _source_window(source, onto, piece, reach)
        if part is None:
            continue
        height, width = int(piece.height), int(piece.width)
        if part.width * part.height * bands <= SOURCE_PIXELS or height * width == 1:
            yield piece, part
            continue
        left, top = int(piece.col_off), int(piece.row_off)
        if width >= height:
            half = width // 2
            todo.append(reader.pixels(left, top, half, height))
            todo.append(reader.pixels(left + half, top, width - half, height))
        else:
            half = height // 2
            todo.append(reader.pixels(left, top, width, half))
            todo.append(reader.pixels(left, top + half, width, height - half))


def _source_window(
    source: DatasetReader, onto: Gridded, piece: Window, reach: int
) -> Window | None:
    """What of the source a target window needs, with a margin for interpolation."""
    left, top = float(piece.col_off), float(piece.row_off)
    right, bottom = left + piece.width, top + piece.height
    along, down = np.linspace(left, right, 21), np.linspace(top, bottom, 21)
    columns, rows = (grid.ravel() for grid in np.meshgrid(along, down))
    t = onto.transform
    places = np.column_stack([t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f])
    moved = _each(onto.crs, source.crs, places)
    moved = moved[np.isfinite(moved).all(axis=1)]
    if not len(moved):
        return None
    inverse = ~source.transform
    if source.crs.is_geographic:
        # the same place may be written a turn further east or west
        middle = reader.place(source.transform, source.width / 2, source.height / 2)[0]
        moved[:, 0] += 360.0 * np.round((middle - moved[:, 0]) / 360.0)
    c = inverse.a * moved[:, 0] + inverse.b * moved[:, 1] + inverse.c
    r = inverse.d * moved[:, 0] + inverse.e * moved[:, 1] + inverse.f
    scale = max(np.ptp(c) / piece.width, np.ptp(r) / piece.height, 1.0)
    margin = math.ceil(reach * scale) + 2
    x0, x1 = max(math.floor(c.min()) - margin, 0), min(math.ceil(c.max()) + margin, source.width)
    y0, y1 = max(math.floor(r.min()) - margin, 0), min(math.ceil(r.max()) + margin, source.height)
    return reader.pixels(x0, y0, x1 - x0, y1 - y0) if x0 < x1 and y0 < y1 else None


def _each(from_crs: Any, to_crs: Any, places: np.ndarray) -> np.ndarray:
    """As `reader.move`, of few places: those that are nowhere on Earth keep no other one back."""
    try:
        return reader.move(from_crs, to_crs, places)
    except CPLE_BaseError:
        if len(places) == 1:
            return np.full((1, 2), np.inf)
        half = len(places) // 2
        return np.concatenate([_each(from_crs, to_crs, p) for p in (places[:half], places[half:])])


def _warp(
    values: np.ma.MaskedArray,
    source: DatasetReader,
    onto: Gridded,
    piece: Window,
    part: Window,
    resampling: str,
    dtype: str,
) -> np.ndarray:
    given = values.data.astype(dtype, copy=False)
    given = np.where(np.ma.getmaskarray(values), given.dtype.type(np.nan), given)
    out = np.full((len(values), int(piece.height), int(piece.width)), np.nan, dtype)
    across, down = _ratios(source, onto)
    options = {
        "crs": onto.crs,
        "transform": _at(onto.transform, piece),
        "width": int(piece.width),
        "height": int(piece.height),
        "resampling": Resampling[resampling],
        "tolerance": _TOLERANCE,
        "XSCALE": across,
        "YSCALE": down,
    }
    place = _at(source.transform, part)
    for band, target in zip(given, out, strict=True):
        try:
            for turned in _turns(source, place, part):
                if turned == place:
                    _warp_band(band, turned, source.crs, target, options)
                else:
                    beyond = np.full_like(target, np.nan)
                    _warp_band(band, turned, source.crs, beyond, options)
                    np.copyto(target, beyond, where=np.isnan(target))
        except RasterioError as error:
            raise MethodError("grid_mismatch", f"the rasters cannot be aligned: {error}") from None
    return out


def _turns(source: DatasetReader, place: Affine, part: Window) -> list[Affine]:
    """Where a part lies, and a turn of the Earth from there what of it is beyond ±180°."""
    if not source.crs.is_geographic:
        return [place]
    ends = [reader.place(place, c, r)[0] for c in (0, part.width) for r in (0, part.height)]
    turns = [0.0, *([-360.0] if max(ends) > 180 else []), *([360.0] if min(ends) < -180 else [])]
    t = place
    return [Affine(t.a, t.b, t.c + turn, t.d, t.e, t.f) for turn in turns]


def _warp_band(
    values: np.ndarray, transform: Affine, crs: Any, target: np.ndarray, options: dict[str, Any]
) -> None:
    """Warp one band, NaN where there is no value; `reproject` of rasterio has a fixed tolerance."""
    rows, columns = values.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=columns, height=rows, count=1, dtype=values.dtype.name,
            crs=crs, transform=transform, nodata=np.nan,
        ) as held:  # fmt: skip
            held.write(values, 1)
        with memory.open() as held, WarpedVRT(held, **options) as warped:
            warped.read(1, out=target)


def _ratios(source: Gridded, onto: Gridded) -> tuple[float, float]:
    """Target pixels for one source pixel, along the source's columns and rows, at its middle.

    GDAL widens a kernel by this where it is below 1. Left to itself it takes the ratio of the
    windows at hand, so a picture warped in pieces would have seams.
    """
    c, r = source.width / 2, source.height / 2
    x, y = reader.place(source.transform, c, r)
    there = _each(source.crs, onto.crs, np.array([[x, y]]))[0]
    if not np.isfinite(there).all():
        return 1.0, 1.0
    t = onto.transform
    inverse = ~t
    column = inverse.a * there[0] + inverse.b * there[1] + inverse.c
    row = inverse.d * there[0] + inverse.e * there[1] + inverse.f
    steps = ((-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5))
    places = np.array([reader.place(t, column + x, row + y) for x, y in steps])
    back = _each(onto.crs, source.crs, places)
    if not np.isfinite(back).all():
        return 1.0, 1.0
    own = ~source.transform
    moved = np.array([back[1] - back[0], back[3] - back[2]])
    columns = np.hypot(*(own.a * moved[:, 0] + own.b * moved[:, 1]))
    rows = np.hypot(*(own.d * moved[:, 0] + own.e * moved[:, 1]))
    return _ratio(columns), _ratio(rows)


def _ratio(source_pixels: float) -> float:
    """1 for n; a number near a whole one is taken as that, as GDAL does."""
    whole = round(source_pixels)
    if source_pixels <= 1 or abs(source_pixels - whole) < 0.05:
        return 1.0 / max(whole, 1)
    return 1.0 / float(source_pixels)


def _at(transform: Affine, window: Window) -> Affine:
    x, y = reader.place(transform, window.col_off, window.row_off)
    return Affine(transform.a, transform.b, x, transform.d, transform.e, y)

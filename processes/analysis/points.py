"""Values at places: the pixel that a point lies in, read in few windows."""

from collections.abc import Sequence

import numpy as np
from rasterio.io import DatasetReader

from processes.analysis.context import MethodContext
from processes.analysis.quantity import Quantity
from processes.method import MethodError
from raster import reader

_TILE = 256


def pixels_of(dataset: DatasetReader, degrees: np.ndarray) -> np.ndarray:
    """Pixel coordinates (column, row), fractions included, of longitudes and latitudes (n, 2)."""
    if dataset.crs is None:
        raise MethodError("not_georeferenced", "the raster has no coordinate reference system")
    moved = reader.move("EPSG:4326", dataset.crs, np.asarray(degrees, float))
    if dataset.crs.is_geographic:
        middle = reader.place(dataset.transform, dataset.width / 2, dataset.height / 2)[0]
        moved[:, 0] += 360.0 * np.round((middle - moved[:, 0]) / 360.0)
    t = ~dataset.transform
    return np.column_stack(
        [
            t.a * moved[:, 0] + t.b * moved[:, 1] + t.c,
            t.d * moved[:, 0] + t.e * moved[:, 1] + t.f,
        ]
    )


def values_at(ctx: MethodContext, what: Quantity, degrees: np.ndarray) -> np.ma.MaskedArray:
    """The value of the pixel that each point lies in; masked outside and where there is none."""
    placed = np.floor(pixels_of(what.grid, degrees))
    known = np.isfinite(placed).all(axis=1)
    columns = np.where(known, placed[:, 0], -1).astype(np.int64)
    rows = np.where(known, placed[:, 1], -1).astype(np.int64)
    inside = (columns >= 0) & (columns < what.grid.width) & (rows >= 0) & (rows < what.grid.height)
    out = np.ma.MaskedArray(np.zeros(len(placed), np.float32), mask=np.ones(len(placed), bool))
    tiles: dict[tuple[int, int], list[int]] = {}
    for n in np.flatnonzero(inside):
        tiles.setdefault((int(rows[n]) // _TILE, int(columns[n]) // _TILE), []).append(int(n))
    for members in tiles.values():
        c, r = columns[members], rows[members]
        left, top = int(c.min()), int(r.min())
        window = reader.pixels(left, top, int(c.max()) - left + 1, int(r.max()) - top + 1)
        ctx.spend(int(window.width) * int(window.height) * what.bands_read)
        found = what.read(window)
        out[members] = found[r - top, c - left]
    return out


def covered(what: Quantity, degrees: Sequence[Sequence[float]]) -> bool:
    """Whether any of the points lies on the raster."""
    placed = pixels_of(what.grid, np.asarray(degrees, float))
    size = (what.grid.width, what.grid.height)
    return bool(((placed >= 0) & (placed < size)).all(axis=1).any())

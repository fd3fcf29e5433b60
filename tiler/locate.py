"""Where a map picture lies in a raster: exact coordinates on a coarse grid, refined as needed."""

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pyproj import Transformer

from tiler.datasets import Header

TOLERANCE_PIXELS = 0.005
_GRIDS = (9, 17, 33, 65)  # nodes a side, for one tile
_GEOGRAPHIC_GRIDS = (*_GRIDS, 129, 257)  # cheap there: columns and rows are independent


class NotCovered(Exception):
    """The fast read does not handle this raster or tile; the general one does."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is read.

    Attributes:
        bounds: west, south, east, north in EPSG:3857 metres.
        size: pixels a side.
        bidx: 1-based bands, in the order of the picture.
        nodata: overrides the file's.
        alpha_bidx: the band that is alpha, if one is.
        resampling: `bilinear` or `nearest`.
    """

    bounds: tuple[float, float, float, float]
    size: int
    bidx: tuple[int, ...]
    nodata: float | None = None
    alpha_bidx: int | None = None
    resampling: str = "bilinear"


@dataclass(slots=True)
class Located:
    """Where a request lies in the raster: full-resolution pixel coordinates on a node grid."""

    columns: np.ndarray
    rows: np.ndarray
    scale: float  # source pixels a picture pixel


def locate(header: Header, request: Request) -> Located:
    """Coordinates of the picture on a grid fine enough to interpolate in. Raises: NotCovered."""
    if header.is_web_mercator:
        columns, rows = _nodes(header, request, 2)
        return Located(columns, rows, _scale(columns, rows, request.size))
    for nodes in _GEOGRAPHIC_GRIDS if header.is_geographic else _GRIDS:
        columns, rows = _nodes(header, request, nodes)
        scale = _scale(columns, rows, request.size)
        if _error(columns, rows) <= TOLERANCE_PIXELS * max(1.0, scale):
            return Located(columns, rows, scale)
    raise NotCovered


def _nodes(
    header: Header, request: Request, nodes: int, *, partly: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Exact pixel coordinates (columns, rows) of a grid of nodes over the picture, square.

    Raises: NotCovered: a node lies where the raster's projection does not reach.
    """
    west, south, east, north = request.bounds
    along, down = np.linspace(west, east, nodes), np.linspace(north, south, nodes)
    if header.is_geographic:  # longitude depends on x alone, latitude on y alone
        along, down = _transformer(header.crs_text).transform(along, down)
        along = along + _turn(header, float(along[nodes // 2]))
    x, y = np.meshgrid(along, down)
    if not (header.is_web_mercator or header.is_geographic):
        x, y = _transformer(header.crs_text).transform(x.ravel(), y.ravel())
        known = np.isfinite(x) & np.isfinite(y)
        if not known.all():
            if not partly:
                raise NotCovered
            x, y = np.where(known, x, np.nan), np.where(known, y, np.nan)
        x, y = x.reshape(nodes, nodes), y.reshape(nodes, nodes)
    if header.control_points is not None:
        return header.control_points.to_pixel(x, y)
    inverse = header.inverse
    return (
        inverse.a * x + inverse.b * y + inverse.c,
        inverse.d * x + inverse.e * y + inverse.f,
    )


def _turn(header: Header, longitude: float) -> float:
    """Degrees to add so that the picture meets a raster that runs past the antimeridian."""
    middle = (header.transform * (header.width / 2, header.height / 2))[0]
    return 360.0 * round((middle - longitude) / 360.0)


def _scale(columns: np.ndarray, rows: np.ndarray, size: int) -> float:
    steps = (columns.shape[0] - 1) / size
    across = np.hypot(np.diff(columns, axis=1), np.diff(rows, axis=1))
    down = np.hypot(np.diff(columns, axis=0), np.diff(rows, axis=0))
    return float(min(np.median(across), np.median(down))) * steps


def _error(columns: np.ndarray, rows: np.ndarray) -> float:
    """Bound on the interpolation error, in full-resolution pixels.

    Every second node is compared with the mean of its neighbours; linear interpolation's error
    goes with the square of the spacing, so on the full grid it is a quarter of that.
    """
    worst = 0.0
    for grid in (columns, rows):
        worst = max(
            worst,
            float(np.abs((grid[:, :-2:2] + grid[:, 2::2]) / 2 - grid[:, 1::2]).max()),
            float(np.abs((grid[:-2:2] + grid[2::2]) / 2 - grid[1::2]).max()),
        )
    return worst / 4 * 2  # the two axes add up


def inside(header: Header, request: Request) -> np.ndarray:
    """True where a pixel's centre lies in the raster, each located exactly: (rows, columns).

    Where the raster's projection does not reach, nothing lies in it.
    """
    half = (request.bounds[2] - request.bounds[0]) / request.size / 2
    west, south, east, north = request.bounds
    centers = Request((west + half, south + half, east - half, north - half), 0, ())
    columns, rows = _nodes(header, centers, request.size, partly=True)
    within = (columns >= 0) & (columns < header.width) & (rows >= 0)
    return within & (rows < header.height)


_transformers = threading.local()


def _transformer(crs_text: str) -> Transformer:
    """EPSG:3857 → CRS; one a thread, since pyproj's are not shared between threads."""
    known: dict[str, Transformer] = _transformers.__dict__.setdefault("known", {})
    if crs_text not in known:
        if len(known) > 256:
            known.clear()
        known[crs_text] = Transformer.from_crs(3857, crs_text, always_xy=True)
    return known[crs_text]


@lru_cache(64)
def _upsampler(nodes: int, size: int) -> np.ndarray:
    """Weights of shape (size, nodes): from nodes at picture corners to pixel centres."""
    at = (np.arange(size) + 0.5) / size * (nodes - 1)
    low = np.minimum(at.astype(int), nodes - 2)
    weights = np.zeros((size, nodes), np.float32)
    weights[np.arange(size), low] = 1 - (at - low)
    weights[np.arange(size), low + 1] = at - low
    return weights


def spread(grid: np.ndarray, size: int) -> np.ndarray:
    """Node values → float32 values at the pixel centres: (size, size)."""
    weights = _upsampler(grid.shape[0], size)
    return weights @ grid.astype(np.float32) @ weights.T

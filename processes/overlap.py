"""Whether an area of interest meets the rasters of a run, told by their grids.

It is what a run finds too: `raster.reader.area` divides and projects the area in the same way.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from affine import Affine

from processes.method import MethodError
from processes.process import JobError, Source
from raster.errors import RasterError

_MANY = 200  # vertices
_SLIVER = 1e-9  # square degrees


@dataclass(frozen=True)
class Placed:
    """The grid of an asset, as the platform keeps it."""

    crs: Any
    transform: Affine
    width: int
    height: int


def require(
    geometry: Mapping[str, Any] | None, sources: Iterable[Source], *, every: bool = False
) -> None:
    """Refuse an area that a run could make nothing of.

    A raster whose grid is not known, or not by an EPSG code, may lie anywhere.

    Args:
        geometry: GeoJSON Polygon or MultiPolygon, EPSG:4326; None is all there is.
        every: whether each raster is cut to it; else it is enough that it meets one.

    Raises: JobError("no_overlap").
    """
    if geometry is None:
        return
    met = (_meets(geometry, source.asset) for source in sources)
    if not (all(met) if every else any(met)):
        raise JobError("no_overlap", "the area of interest lies outside the raster")


def require_bands(geometry: Mapping[str, Any] | None, read: Iterable[Source]) -> None:
    """Refuse bands that are brought onto the coarsest of their grids, and an area beside it.

    Args:
        geometry: as for `require`.
        read: the raster of each band, in the order of the run. Where one of them may lie anywhere,
            nothing is said.

    Raises: JobError("no_overlap").
    """
    from processes.analysis import align

    grids = known(read)
    if not grids:
        return
    with suppress(RasterError, MethodError):
        grid = grids[0]
        for other in grids[1:]:
            if align.same_grid(grid, other):
                continue
            if not align.overlaps(grid, other):
                raise JobError("no_overlap", "the bands do not lie in the same place")
            grid = align.coarser(grid, other)
        _require_on(grid, geometry)


def require_pair(geometry: Mapping[str, Any] | None, before: Source, after: Source) -> None:
    """Refuse two rasters that are compared on the grid of the first where they lie apart, and an
    area where not both are.

    Raises: JobError("no_overlap").
    """
    import shapely
    from shapely.geometry import shape

    from processes.analysis import align
    from raster import reader

    grids = known((before, after))
    if not grids:
        return
    one, other = grids
    with suppress(RasterError, MethodError):
        common = align.ground_of(other, one)
        if common.is_empty:
            raise JobError("no_overlap", "the two items do not overlap")
        _require_on(one, geometry)
        if geometry is None:
            return
        # a value at the edge reaches a pixel further on, of the coarser of the two
        reach = 2 * max(1.0, align.gsd(other) / align.gsd(one))
        if shapely.distance(common, reader.on_grid(one, shape(dict(geometry)))) > reach:
            raise JobError("no_overlap", "no pixel of the area lies in both items")


def known(read: Iterable[Source]) -> list["Placed"]:
    """The grid of each; none at all where one is not known."""
    found = [placed(source.asset) for source in read]
    made = [grid for grid in found if grid is not None]
    return made if len(made) == len(found) else []


def _require_on(grid: "Placed", geometry: Mapping[str, Any] | None) -> None:
    from shapely.geometry import shape

    from raster import reader

    if geometry is not None:
        made = shape(dict(geometry))
        if not _reaches_in(made, grid) and reader.on_grid(grid, made).is_empty:
            raise JobError("no_overlap", "the area of interest lies outside the raster")


def placed(asset: Mapping[str, Any]) -> Placed | None:
    """The grid of an asset; None where it is not known, or not by an EPSG code."""
    epsg, transform = asset.get("epsg"), asset.get("transform")
    width, height = asset.get("width"), asset.get("height")
    if not (epsg and transform and width and height):
        return None
    return Placed(_system(epsg), Affine(*transform[:6]), width, height)


def _reaches_in(polygons: Any, grid: Placed) -> bool:
    """Whether a vertex lies on the grid, asked of outlines that take long to be cut to it."""
    import numpy as np
    import shapely
    from rasterio._err import CPLE_BaseError

    from raster import reader

    points = shapely.get_coordinates(polygons)
    if len(points) < _MANY or polygons.area < _SLIVER:
        return False
    try:
        moved = reader.move("EPSG:4326", grid.crs, points)
    except CPLE_BaseError:
        return False
    t: Any = ~grid.transform
    columns = t.a * moved[:, 0] + t.b * moved[:, 1] + t.c
    rows = t.d * moved[:, 0] + t.e * moved[:, 1] + t.f
    inside = (columns > 0) & (columns < grid.width) & (rows > 0) & (rows < grid.height)
    return bool(np.any(inside & np.isfinite(columns) & np.isfinite(rows)))


@lru_cache(64)
def _system(epsg: int) -> Any:
    from rasterio.crs import CRS

    return CRS.from_epsg(epsg)


def has_area_on(geometry: Mapping[str, Any], grid: Any) -> bool:
    """Whether some of an area lies on a grid, as the statistics of an area see it.

    Raises: RasterError, MethodError.
    """
    import shapely.geometry

    from processes.analysis import zones

    made = shapely.geometry.shape(dict(geometry))
    return _reaches_in(made, grid) or zones.place(grid, "", geometry) is not None


def _meets(geometry: Mapping[str, Any], asset: Mapping[str, Any]) -> bool:
    import shapely.geometry

    from raster import reader

    grid = placed(asset)
    if grid is None:
        return True
    made = shapely.geometry.shape(dict(geometry))
    try:
        return _reaches_in(made, grid) or not reader.on_grid(grid, made).is_empty
    except RasterError as error:
        if error.code == "too_complex":
            raise JobError("invalid_inputs", error.message) from None
        return True  # the run says what is wrong with the grid

"""Whether an area of interest meets the rasters of a run, told by their grids.

It is what a run finds too: `raster.reader.area` divides and projects the area in the same way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from affine import Affine

from processes.process import JobError, Source


@dataclass(frozen=True)
class _Placed:
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


def _meets(geometry: Mapping[str, Any], asset: Mapping[str, Any]) -> bool:
    import shapely.geometry
    from rasterio.crs import CRS

    from raster import reader
    from raster.errors import RasterError

    epsg, transform = asset.get("epsg"), asset.get("transform")
    width, height = asset.get("width"), asset.get("height")
    if not (epsg and transform and width and height):
        return True
    grid = _Placed(CRS.from_epsg(epsg), Affine(*transform[:6]), width, height)
    try:
        return not reader.on_grid(grid, shapely.geometry.shape(dict(geometry))).is_empty
    except RasterError:
        return True  # the run says what is wrong with the grid

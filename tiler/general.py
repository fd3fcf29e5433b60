"""The general read, through rio-tiler and GDAL's warper: whatever the fast read does not cover.

Cubic resampling, projections that a coarse grid does not follow, and pictures of half the world.
"""

from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import from_bounds
from rio_tiler.errors import RioTilerError
from rio_tiler.models import ImageData
from rio_tiler.reader import read as rio_tiler_read

from tiler import datasets
from tiler.datasets import Header
from tiler.errors import Unreadable
from tiler.fast import Request, choose_level, to_byte
from tiler.grid import HALF_WORLD_M
from tiler.pixels import Pixels

_WEB_MERCATOR = CRS.from_epsg(3857)


def read(header: Header, request: Request) -> Pixels:
    """The pixels of a map picture, fully masked where the raster has none.

    The overview is chosen by the raster's zoom range and warped once, straight onto the picture.
    Raises: Unreadable.
    """
    west, _, east, _ = request.bounds
    native_m = 2 * HALF_WORLD_M / 256 / (1 << header.maxzoom)
    scale = (east - west) / request.size / native_m
    handle = datasets.dataset(header, choose_level(header, scale))
    # a fourth band flagged alpha that is not: its values must not hide anything
    false_alpha = "alpha" in header.color_interpretation and request.alpha_bidx is None
    try:
        image: ImageData = rio_tiler_read(
            handle,
            dst_crs=_WEB_MERCATOR,
            height=request.size,
            width=request.size,
            indexes=list(request.bidx),
            nodata=request.nodata,
            vrt_options=_warp_options(header, request),
            reproject_method=request.resampling,  # type: ignore[arg-type]
        )
    except (RasterioError, RioTilerError):
        datasets.forget(header)
        raise Unreadable("the asset's pixels cannot be read") from None
    data = np.ascontiguousarray(image.array.data.transpose(1, 2, 0))
    if request.alpha_bidx is not None:
        alpha = image.alpha_mask if image.alpha_mask is not None else image.mask
        return Pixels(data, None, to_byte(np.asarray(alpha)))
    masked = np.ascontiguousarray(np.ma.getmaskarray(image.array).transpose(1, 2, 0))
    if false_alpha:
        masked = np.zeros_like(masked)
    if data.dtype.kind == "f":
        masked = masked | np.isnan(data)
    return Pixels(data, masked if masked.any() else None, None)


def _warp_options(header: Header, request: Request) -> dict[str, Any]:
    """A warp whose target grid is the picture itself, so that nothing is resampled twice."""
    options: dict[str, Any] = {
        "crs": _WEB_MERCATOR,
        "transform": from_bounds(*request.bounds, request.size, request.size),
        "width": request.size,
        "height": request.size,
    }
    if header.has_gcps:
        options["src_crs"] = CRS.from_wkt(header.crs_text)
        options["src_transform"] = header.transform
    return options

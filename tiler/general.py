"""The general read, through rio-tiler and GDAL's warper: whatever the fast read does not cover.

Cubic resampling, projections that a coarse grid does not follow, and pictures of half the world.
"""

from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds
from rio_tiler.errors import RioTilerError
from rio_tiler.models import ImageData
from rio_tiler.reader import read as rio_tiler_read

from tiler import datasets
from tiler.datasets import Header
from tiler.errors import TileError
from tiler.fast import MAX_SOURCE_PIXELS, choose_level, to_byte
from tiler.locate import Request, inside
from tiler.pixels import Pixels
from tiler.work import checkpoint

_WEB_MERCATOR = CRS.from_epsg(3857)


def read(header: Header, request: Request) -> Pixels:
    """The pixels of a map picture, fully masked where the raster has none.

    The overview is chosen by the raster's resolution and warped once, straight onto the picture.
    Raises: Unreadable, TileError (422: too many pixels for one picture).
    """
    west, _, east, _ = request.bounds
    scale = (east - west) / request.size / header.web_mercator_m
    handle = datasets.dataset(header, choose_level(header, scale))
    ratio = scale * handle.width / header.width
    side = max(1.0, ratio) * request.size
    if min(handle.width, side) * min(handle.height, side) > MAX_SOURCE_PIXELS:
        raise TileError(
            422,
            "Unprocessable Content",
            "this zoom level needs more than 100 million pixels of a raster without overviews",
        )
    checkpoint()
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
            vrt_options=_warp_options(header, request, handle),
            reproject_method=request.resampling,  # type: ignore[arg-type]
        )
    except (RasterioError, RioTilerError):
        datasets.forget(header)
        raise datasets.unreadable("the asset's pixels cannot be read") from None
    data = np.ascontiguousarray(image.array.data.transpose(1, 2, 0))
    if request.alpha_bidx is not None:
        alpha = image.alpha_mask if image.alpha_mask is not None else image.mask
        return Pixels(data, None, to_byte(np.asarray(alpha)))
    masked = np.ascontiguousarray(np.ma.getmaskarray(image.array).transpose(1, 2, 0))
    if false_alpha:
        masked[:] = ~inside(header, request)[..., None]
    if data.dtype.kind == "f":
        masked = masked | np.isnan(data)
    return Pixels(data, masked if masked.any() else None, None)


def _warp_options(header: Header, request: Request, handle: DatasetReader) -> dict[str, Any]:
    """A warp whose target grid is the picture itself, so that nothing is resampled twice."""
    options: dict[str, Any] = {
        "crs": _WEB_MERCATOR,
        "transform": from_bounds(*request.bounds, request.size, request.size),
        "width": request.size,
        "height": request.size,
        "tolerance": 0.01,  # of the warp's own grid of coordinates, in pixels
        # the overview is chosen here: no second, wider filter on top of it
        "XSCALE": "1",
        "YSCALE": "1",
    }
    if header.control_points is not None:
        # rasterio takes no polynomial; far out, where this is reached, the affine fit does
        options["src_crs"] = CRS.from_wkt(header.crs_text)
        shrink = Affine.scale(header.width / handle.width, header.height / handle.height)
        options["src_transform"] = header.transform * shrink
    return options

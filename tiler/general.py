"""The general read, through rio-tiler and GDAL's warper: whatever the fast read does not cover.

Other grids than square ones of Web Mercator, other resampling than bilinear and nearest,
projections that a coarse grid does not follow, and pictures of half the world.
"""

import math
from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds

from tiler import datasets, handles
from tiler import target as targets
from tiler.datasets import Header
from tiler.errors import TileError
from tiler.fast import MAX_SOURCE_PIXELS, choose_level, to_byte
from tiler.locate import Request
from tiler.pixels import Pixels
from tiler.rio import ImageData, RioTilerError
from tiler.rio import read as rio_tiler_read
from tiler.target import Target
from tiler.work import checkpoint


def read(header: Header, request: Request) -> Pixels:
    """The pixels of what the fast read does not cover. Raises: Unreadable."""
    return warp(
        header,
        Target(targets.WEB_MERCATOR, request.bounds, request.size, request.size),
        bidx=request.bidx,
        nodata=request.nodata,
        alpha_bidx=request.alpha_bidx,
        resampling=request.resampling,
    )


def warp(
    header: Header,
    target: Target,
    *,
    bidx: tuple[int, ...],
    nodata: float | None = None,
    alpha_bidx: int | None = None,
    resampling: str = "bilinear",
) -> Pixels:
    """The pixels of a grid, fully masked where the raster has none.

    The overview is chosen by the raster's resolution and warped once, straight onto the picture.
    Raises: Unreadable, TileError (422: too many pixels for one picture).
    """
    scale = _scale(header, target)
    handle = handles.dataset(header, choose_level(header, scale))
    ratio = max(1.0, scale * handle.width / header.width)
    read = min(handle.width, ratio * target.width) * min(handle.height, ratio * target.height)
    if read > MAX_SOURCE_PIXELS:
        raise TileError(
            422,
            "Unprocessable Content",
            "this zoom level needs more than 100 million pixels of a raster without overviews",
        )
    checkpoint()
    # a fourth band flagged alpha that is not: its values must not hide anything
    false_alpha = "alpha" in header.color_interpretation and alpha_bidx is None
    try:
        image: ImageData = rio_tiler_read(
            handle,
            dst_crs=CRS.from_user_input(target.crs),
            height=target.height,
            width=target.width,
            indexes=list(bidx),
            nodata=_in_type(nodata, header.dtype),
            vrt_options=_warp_options(header, target, handle),
            reproject_method=resampling,  # type: ignore[arg-type]
        )
    except (RasterioError, RioTilerError):
        handles.forget(header)
        raise datasets.unreadable("the asset's pixels cannot be read") from None
    data = np.ascontiguousarray(image.array.data.transpose(1, 2, 0))
    if alpha_bidx is not None:
        alpha = image.alpha_mask if image.alpha_mask is not None else image.mask
        return Pixels(data, None, to_byte(np.asarray(alpha)))
    masked = np.ascontiguousarray(np.ma.getmaskarray(image.array).transpose(1, 2, 0))
    if false_alpha:
        masked[:] = ~targets.inside(header, target)[..., None]
    if data.dtype.kind == "f":
        masked = masked | np.isnan(data)
    return Pixels(data, masked if masked.any() else None, None)


def _in_type(nodata: float | None, dtype: np.dtype) -> float | None:
    """The number that means no value, or None where no pixel of the type can be it."""
    if nodata is None or math.isnan(nodata):
        return nodata if dtype.kind == "f" else None
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    if not limits.min <= nodata <= limits.max:
        return None
    return nodata if dtype.kind == "f" or nodata == int(nodata) else None


def _scale(header: Header, target: Target) -> float:
    if target.crs == targets.WEB_MERCATOR:
        west, _, east, _ = target.bounds
        return (east - west) / target.width / header.web_mercator_m
    return targets.scale(header, target)


def _warp_options(header: Header, target: Target, handle: DatasetReader) -> dict[str, Any]:
    """A warp whose target grid is the picture itself, so that nothing is resampled twice."""
    options: dict[str, Any] = {
        "crs": CRS.from_user_input(target.crs),
        "transform": from_bounds(*target.bounds, target.width, target.height),
        "width": target.width,
        "height": target.height,
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

"""Values to bytes, for notebooks and GIS: NumPy's own format and GeoTIFF."""

import io
import math
from collections.abc import Sequence

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds

from tiler.target import Target

FORMATS = ("npy", "tif")


def npy(values: np.ma.MaskedArray, *, mask: bool = True) -> bytes:
    """A `.npy` file of shape (bands + 1, rows, columns): the last is 255 where there are values.

    Args:
        values: (bands, rows, columns).
        mask: False to leave that last band out.
    """
    data = _filled(values, None)
    if mask:
        data = np.concatenate((data, _shown(values)))
    out = io.BytesIO()
    np.save(out, data)
    return out.getvalue()


def geotiff(
    values: np.ma.MaskedArray,
    target: Target,
    *,
    nodata: float | None = None,
    names: Sequence[str] = (),
    scaling: Sequence[tuple[float, float]] = (),
    colors: bool = False,
    mask: bool = True,
) -> bytes:
    """A GeoTIFF on the target's grid, compressed without loss.

    Args:
        values: (bands, rows, columns).
        nodata: written where a band has no value, and as the file's tag; without it NaN for
            fractions, and a mask in the file for whole numbers.
        names: of the bands.
        scaling: (scale, offset) of each band.
        colors: the bands are grey or red, green, blue; a mask is then alpha.
        mask: False to write no mask.
    """
    bands, rows, columns = values.shape
    if nodata is None and values.dtype.kind == "f":
        nodata = math.nan
    hidden = np.ma.getmaskarray(values)
    data = _filled(values, nodata)
    shown = _shown(values)
    alpha = colors and mask and hidden.any()
    if alpha:
        data, nodata = np.concatenate((data, shown)), None
    profile = {
        "driver": "GTiff",
        "width": columns,
        "height": rows,
        "count": bands + alpha,
        "dtype": data.dtype.name,
        "crs": CRS.from_user_input(target.crs),
        "transform": from_bounds(*target.bounds, target.width, target.height),
        "nodata": nodata,
        "compress": "deflate",
        "predictor": 3 if data.dtype.kind == "f" else 2,
        "photometric": "rgb" if colors and bands == 3 else "minisblack",
    }
    if alpha:
        profile["alpha"] = "yes"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
        with memory.open(**profile) as out:
            out.write(data)
            if nodata is None and mask and not alpha and hidden.any():
                out.write_mask(shown[0])
            for index, name in enumerate(names, start=1):
                out.set_band_description(index, name)
            if any(pair != (1.0, 0.0) for pair in scaling):
                out.scales = tuple(scale for scale, _ in scaling)
                out.offsets = tuple(offset for _, offset in scaling)
        return memory.read()


def _shown(values: np.ma.MaskedArray) -> np.ndarray:
    """255 where any band has a value: uint8 (1, rows, columns)."""
    hidden = np.asarray(np.ma.getmaskarray(values).all(axis=0, keepdims=True))
    return np.where(hidden, 0, 255).astype(np.uint8)


def _filled(values: np.ma.MaskedArray, nodata: float | None) -> np.ndarray:
    """The values, with nodata (NaN, or 0 for whole numbers) where there is none."""
    if nodata is None:
        nodata = math.nan if values.dtype.kind == "f" else 0
    hidden = np.ma.getmaskarray(values)
    data = np.array(values.data)
    if hidden.any():
        data[hidden] = nodata
    return data

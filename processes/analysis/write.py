"""Rasters that a method makes: float32 with NaN where nothing is known, as a COG."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.windows import Window

from processes.analysis.zones import Zone
from raster import cog, reader


def raster(
    path: Path,
    grid: DatasetReader,
    zone: Zone,
    name: str,
    parts: Iterator[tuple[Window, np.ma.MaskedArray]],
) -> Path:
    """Write the windows of a zone as one file on the grid; what is not given is no data.

    Args:
        name: of the band.
        parts: (window on `grid`, values of it).
    """
    left, top = int(zone.window.col_off), int(zone.window.row_off)
    x, y = reader.place(grid.transform, left, top)
    t = grid.transform
    temporary = path.with_suffix(".part.tif")
    try:
        with cog.tiled_writer(
            temporary,
            width=int(zone.window.width),
            height=int(zone.window.height),
            dtype="float32",
            count=1,
            crs=grid.crs,
            transform=Affine(t.a, t.b, x, t.d, t.e, y),
            nodata=float("nan"),
            band_names=[name],
        ) as out:
            for window, values in parts:
                masked = np.ma.getmaskarray(values)
                data = np.where(masked, np.float32("nan"), values.data)
                there = reader.pixels(
                    window.col_off - left, window.row_off - top, window.width, window.height
                )
                out.write(data[np.newaxis], there, valid=~masked[np.newaxis])
        cog.write_cog(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path

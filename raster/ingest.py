"""An uploaded GeoTIFF made ready: described as it is, or rewritten as a COG and then described."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import raster.env  # noqa: F401  (before rasterio)
from raster.cog import Progress, convert_to_cog
from raster.inspect import inspect
from raster.reader import open_guarded


def decoded_bytes(path: str) -> int:
    """How much the pixels of all bands come to once they are decompressed; reads the header only.

    A file can be small and hold a great many pixels: blocks that are not there count as nodata.

    Raises: InspectError, RasterError.
    """
    with open_guarded(path) as dataset:
        sample = max(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
        return dataset.width * dataset.height * dataset.count * sample


def prepare(
    path: str,
    target: str,
    band_names: Sequence[str] | None = None,
    is_categorical: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Inspect the file at `path`; write it to `target` as a COG with statistics if it is not one.

    Returns: `converted` (whether `target` was written), `done` (what was done, in words) and
        `info`, the `raster.inspect.AssetInfo` of the file to keep.

    Raises: InspectError, RasterError.
    """
    info = inspect(path, band_names)
    if not info["needs_conversion"]:
        return {"converted": False, "done": [], "info": info}
    done = convert_to_cog(
        path, target, categorical=is_categorical, band_names=band_names, progress=progress
    )
    return {"converted": True, "done": done, "info": inspect(target, band_names)}

"""Rasters written on the spot: small, with one trait each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

Make = Callable[..., Path]
DATA = Path(__file__).parents[1] / "data" / "rasters"


@pytest.fixture
def data() -> Path:
    return DATA


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write an array (bands, rows, columns) as a GeoTIFF in UTM 32N, 10 m, and return its path."""

    def write(array: np.ndarray, name: str = "made.tif", **options: Any) -> Path:
        names = options.pop("band_names", ())
        scales, offsets = options.pop("scales", None), options.pop("offsets", None)
        colors, mask = options.pop("colors", None), options.pop("mask", None)
        profile = {
            "driver": "GTiff",
            "count": array.shape[0],
            "height": array.shape[1],
            "width": array.shape[2],
            "dtype": array.dtype.name,
            "crs": "EPSG:32632",
            "transform": from_origin(500_000, 5_400_000, 10, 10),
            **options,
        }
        path = tmp_path / name
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path, "w", **profile) as file,
        ):
            file.write(array)
            for index, label in enumerate(names, start=1):
                file.set_band_description(index, label)
            if scales:
                file.scales, file.offsets = scales, offsets
            if colors:
                file.colorinterp = colors
            if mask is not None:
                file.write_mask(mask)
        return path

    return write

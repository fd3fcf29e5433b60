"""A run of one process on files written on the spot."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from processes.engine import execute
from processes.process import Source

DATA = Path(__file__).parents[1] / "data" / "rasters"
CORNER = (500_000, 5_400_000)  # UTM 32N; pixels of 10 m


@pytest.fixture
def data() -> Path:
    return DATA


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write an array (bands, rows, columns) as a GeoTIFF and return its path."""

    def write(array: np.ndarray, name: str = "source.tif", **options: Any) -> Path:
        names, mask = options.pop("band_names", ()), options.pop("mask", None)
        colors, scales = options.pop("colors", None), options.pop("scales", None)
        profile = {
            "driver": "GTiff",
            "count": array.shape[0],
            "height": array.shape[1],
            "width": array.shape[2],
            "dtype": array.dtype.name,
            "crs": "EPSG:32632",
            "transform": from_origin(*CORNER, 10, 10),
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
            if colors:
                file.colorinterp = colors
            if scales:
                file.scales, file.offsets = scales
            if mask is not None:
                file.write_mask(mask)
        return path

    return write


@pytest.fixture
def gdal() -> Callable[..., str]:
    """Run one of GDAL's programs, another build than rasterio's; what it prints."""

    def call(*command: Any) -> str:
        bare = {k: v for k, v in os.environ.items() if not k.startswith(("GDAL_", "PROJ_", "CPL_"))}
        done = subprocess.run(
            [str(part) for part in command],
            check=True, timeout=120, env=bare, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    return call


@pytest.fixture
def execute_on(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Run a process in this process: `execute_on("clip", inputs, data=path)`."""

    def call(process_id: str, inputs: dict[str, Any], **assets: Any) -> list[dict[str, Any]]:
        sources = []
        for key, value in assets.items():
            path, asset = value if isinstance(value, tuple) else (value, {})
            sources.append(vars(Source("it_1", key, str(path), {}, asset)))
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        inputs = inputs if process_id == "echo" else {"source_item_id": "it_1", **inputs}
        return execute(process_id, inputs, sources, str(out), lambda fraction, stage: None)

    return call

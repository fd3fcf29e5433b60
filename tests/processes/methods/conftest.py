"""Methods run on files, without a platform: on real ones, and on real ones with holes in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from processes.analysis import engine

ROOT = Path(__file__).parents[3]
RASTERS = ROOT / "tests/data/rasters"
SAMPLES = ROOT / "src/opstac/sampledata"
HOLE = (slice(10, 60), slice(20, 90))
"""Rows and columns that `holed` makes invalid."""


@pytest.fixture
def files() -> dict[str, Path]:
    """Real files by a short name."""
    return {
        "april": SAMPLES / "s2-flanders_2021-04_10m.tif",
        "june": RASTERS / "s2-flanders_2021-06_10m.tif",
        "july": SAMPLES / "s2-flanders_2021-07_10m.tif",
        "naip": SAMPLES / "naip_north-dakota_2019-09-04.tif",
        "stack": RASTERS / "s2-flanders_ndvi_2020-11_2021-10_10m.tif",
        "scaled": RASTERS / "int16-scale-offset_ndvi.tif",
        "antimeridian": RASTERS / "antimeridian_landsat8_utm60.tif",
        "masked": RASTERS / "mask-band_colorado-rgb.tif",
        "alpha": RASTERS / "colorado-hro_2014-04_rgba_0.15m.tif",
        "world": RASTERS / "modis-ndvi-global_0.4deg.tif",
        "rotated": RASTERS / "rotated-30deg_naip.tif",
        "dsm": RASTERS / "washington-dc_dsm_2m.tif",
        "empty": RASTERS / "all-nodata_s2-flanders_2020-12.tif",
    }


@pytest.fixture
def holed(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of a raster with nodata in every band of `HOLE`."""

    def make(path: Path) -> Path:
        made = tmp_path / f"holed-{path.name}"
        with rasterio.open(path) as file:
            values, profile = file.read(), file.profile
            names, scales, offsets = file.descriptions, file.scales, file.offsets
        values[:, *HOLE] = profile["nodata"]
        with rasterio.open(made, "w", **{**profile, "driver": "GTiff"}) as out:
            out.write(values)
            out.descriptions, out.scales, out.offsets = names, scales, offsets
        return made

    return make


def item(path: Path, name: str = "it_a", at: str | None = None, **asset: Any) -> dict[str, Any]:
    """An item as the platform hands it to a method, with one asset `data`."""
    return {
        "id": name,
        "datetime": at,
        "properties": {},
        "sources": [
            {
                "item_id": name,
                "asset_key": "data",
                "path": str(path),
                "asset": {"checksum": "sha256:1", **asset},
            }
        ],
    }


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """Run a method: (name, items, params) → answer; renders lie in `tmp_path`."""

    def call(operation: str, items: list[dict[str, Any]], **params: Any) -> Any:
        made = engine.execute(operation, params, items, str(tmp_path))
        call.renders = made["renders"]  # type: ignore[attr-defined]
        return made["answer"]

    return call


def read(path: Path, name: str | int) -> np.ma.MaskedArray:
    """A band as numbers on the ground: scale and offset applied, float64, nodata masked."""
    with rasterio.open(path) as file:
        index = name if isinstance(name, int) else list(file.descriptions).index(name) + 1
        values = file.read(index, masked=True).astype(np.float64)
        return values * file.scales[index - 1] + file.offsets[index - 1]


def ndvi(path: Path) -> np.ma.MaskedArray:
    """By plain numpy."""
    red, nir = read(path, "red"), read(path, "nir")
    return (nir - red) / (nir + red)


@pytest.fixture
def truth() -> Any:
    """Independent readings: `truth.read`, `truth.ndvi`, `truth.item`, `truth.HOLE`."""

    class Truth:
        pass

    found = Truth()
    found.read, found.ndvi, found.item, found.HOLE = read, ndvi, item, HOLE  # type: ignore[attr-defined]
    return found

"""Formulas as rasters: against gdal_calc on a real scene."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError

from processes.process import JobError, Source, discover
from raster import cog

ITEM = {"source_item_id": "it_1"}


def source(path: Path, key: str = "data", **asset: Any) -> Source:
    return Source("it_1", key, str(path), {}, asset)


@pytest.mark.proves("band_math", "values")
def test_values_are_gdal_calcs(rasters, process_on, tmp_path):
    text = "sqrt(b4 * red) + where(nir > 0.3, blue, -1); nir * 2"
    output = process_on("band_math", {**ITEM, "expression": text}, source(rasters["june"]))
    with rasterio.open(output["path"]) as made:
        values = made.read()
        assert made.descriptions == ("value_1", "value_2")
    assert cog.validate(output["path"]) == cog.Report(True, (), True)
    path = str(rasters["june"])
    given = []
    for name, band in (("A", 4), ("B", 3), ("C", 1)):
        given += [f"-{name}", path, f"--{name}_band={band}"]
    peers = (
        "numpy.sqrt(A.astype(float)*B)/1e4+numpy.where(A/1e4>0.3,C/1e4,-1)",
        "A.astype(float)/1e4*2",
    )
    for part, calc in zip(values, peers, strict=True):
        out = tmp_path / "peer.tif"
        command = ["gdal_calc.py", *given, f"--calc={calc}", "--type=Float64", "--overwrite"]
        subprocess.run([*command, "--quiet", f"--outfile={out}"], check=True, timeout=60)
        with rasterio.open(out) as file:
            assert np.allclose(part, file.read(1), rtol=1e-5)


@pytest.mark.proves("band_math", "nodata")
def test_each_part_is_masked_by_its_own_bands(process_on, make):
    values = np.array([[[1, -9, 3, 4]], [[5, 6, -9, 0]]], "float32")
    path = make(values, nodata=-9)
    output = process_on("band_math", {**ITEM, "expression": "b1 + 1; b1 / b2"}, source(path))
    with rasterio.open(output["path"]) as made:
        one, two = made.read()[:, 0]
    assert np.isnan(one).tolist() == [False, True, False, False]
    assert np.isnan(two).tolist() == [False, True, True, True]  # 4 / 0 is no number
    assert one[0] == 2 and two[0] == pytest.approx(0.2)


def test_the_mask_of_a_file_counts(rasters, process_on):
    output = process_on("band_math", {**ITEM, "expression": "b1 * 1"}, source(rasters["masked"]))
    with rasterio.open(output["path"]) as made, rasterio.open(rasters["masked"]) as file:
        expected = file.read(1, masked=True)
        assert np.array_equal(np.isnan(made.read(1)), np.ma.getmaskarray(expected))
        assert 0 < expected.count() < expected.size


def test_numbers_mean_places_and_names_win_over_them(process_on, make):
    # Landsat's B4 is the third band of this file, b4 the fourth
    array = np.arange(1, 6, dtype="uint8").reshape(5, 1, 1)
    path = make(array, band_names=["B2", "B3", "B4", "B5", "B6"])
    output = process_on("band_math", {**ITEM, "expression": "B4; b4; B1"}, source(path))
    with rasterio.open(output["path"]) as made:
        assert made.read()[:, 0, 0].tolist() == [3, 4, 1]


def test_across_the_antimeridian_an_area_is_cut(rasters, process_on):
    with rasterio.open(rasters["antimeridian"]) as file:
        west, south, east, north = rasterio.warp.transform_bounds(file.crs, 4326, *file.bounds)
        assert west > east
        first = file.read(1).astype(float)
    middle = (south + north) / 2
    east_side = [[170, middle], [180, middle], [180, north + 1], [170, north + 1], [170, middle]]
    west_side = [[x - 360 if x == 180 else -170, y] for x, y in east_side]
    half = {"type": "MultiPolygon", "coordinates": [[east_side], [west_side]]}
    inputs = {**ITEM, "expression": "b1 * 2", "geometry": half}
    output = process_on("band_math", inputs, source(rasters["antimeridian"]))
    with rasterio.open(output["path"]) as made:
        values = made.read(1, masked=True)
    rows = values.shape[0]
    assert 0.4 * first.shape[0] < rows < 0.62 * first.shape[0]
    whole = 2 * first[:rows, :]
    assert np.array_equal(values.compressed(), whole[~values.mask]) and values.count() > 100


@pytest.mark.parametrize(
    "text", ["", "1 + 1", "b1 +", "b0", "__import__('os')", "b1 ** b2", "b1\0", "\ud800", "b1;" * 9]
)
def test_what_is_no_formula_is_refused_at_the_door(text):
    with pytest.raises(ValidationError):
        discover()["band_math"].check({**ITEM, "expression": text})


def test_a_missing_band_is_named(rasters, process_on):
    for text in ("thermal + 1", "b9 * 2", "B99 * 2"):
        with pytest.raises(JobError) as error:
            process_on("band_math", {**ITEM, "expression": text}, source(rasters["june"]))
        assert error.value.code == "band_missing"

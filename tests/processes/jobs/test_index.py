"""Spectral indices as rasters: against gdal_calc on real scenes."""

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


def gdal_calc(path: Path, formula: str, out: Path, **bands: int) -> np.ndarray:
    given = []
    for name, band in bands.items():
        given += [f"-{name}", str(path), f"--{name}_band={band}"]
    command = ["gdal_calc.py", *given, f"--calc={formula}", "--type=Float64", "--quiet"]
    subprocess.run([*command, "--NoDataValue=-9999", f"--outfile={out}"], check=True, timeout=60)
    with rasterio.open(out) as file:
        return file.read(1)


@pytest.mark.proves("index", "values")
@pytest.mark.parametrize(
    ("name", "formula", "bands"),
    [
        ("NDMI", "(A.astype(float)-B)/(A.astype(float)+B)", {"A": 4, "B": 5}),
        ("EVI", "2.5*(A/1e4-B/1e4)/(A/1e4+6*B/1e4-7.5*C/1e4+1)", {"A": 4, "B": 3, "C": 1}),
        ("BAIS2", None, {}),
    ],
)
def test_values_are_gdal_calcs(name, formula, bands, rasters, process_on, tmp_path):
    if formula is None:
        with pytest.raises(JobError) as error:
            process_on("index", {**ITEM, "index_name": name}, source(rasters["june"]))
        assert error.value.code == "band_missing"
        return
    output = process_on("index", {**ITEM, "index_name": name.lower()}, source(rasters["june"]))
    with rasterio.open(output["path"]) as made:
        values = made.read(1)
        assert made.dtypes == ("float32",) and np.isnan(made.nodata)
        assert made.descriptions == (name.lower(),)
    expected = gdal_calc(rasters["june"], formula, tmp_path / "peer.tif", **bands)
    assert np.isfinite(values).all() and np.allclose(values, expected, rtol=1e-5, atol=1e-6)
    assert cog.validate(output["path"]) == cog.Report(True, (), True)
    properties = output["properties"]
    assert properties["opstac:index"] == name
    assert "opstac:reflectance" not in properties  # the file has a scale


@pytest.mark.proves("index", "nodata")
def test_what_is_masked_has_no_value(rasters, process_on, tmp_path, make):
    with rasterio.open(rasters["june"]) as file:
        values = file.read([3, 4]).astype("float64")
    values[0, 10:20] = values[1, :, 30:35] = -1
    values[:, 50, 50] = 0  # 0 / 0
    path = make(values.astype("int32"), nodata=-1, band_names=["red", "nir"])
    output = process_on("index", {**ITEM, "index_name": "NDVI"}, source(path))
    with rasterio.open(output["path"]) as made:
        found = made.read(1)
    hidden = (values == -1).any(axis=0)
    hidden[50, 50] = True
    assert np.array_equal(np.isnan(found), hidden)
    assert output["info"]["bands"][0]["valid_percent"] == pytest.approx(100 * (~hidden).mean())


def test_scale_and_offset_come_first_and_no_divisor_with_them(process_on, make):
    array = np.array([[[2000]], [[4000]], [[1500]]], "uint16")
    options = {"scales": ((0.0001,) * 3, (-0.1,) * 3), "band_names": ["red", "nir", "blue"]}
    output = process_on("index", {**ITEM, "index_name": "EVI"}, source(make(array, **options)))
    red, nir, blue = 0.1, 0.3, 0.05
    with rasterio.open(output["path"]) as made:
        expected = 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)
        assert made.read(1)[0, 0] == pytest.approx(expected, rel=1e-5)
    assert "opstac:reflectance" not in output["properties"]


def test_bands_of_two_resolutions_meet_on_the_coarser_grid(process_on, make):
    rng = np.random.default_rng(1)
    fine = rng.integers(1, 200, (1, 40, 60)).astype("uint8")
    coarse = rng.integers(1, 200, (1, 20, 30)).astype("uint8")
    place = rasterio.transform.from_origin(500_000, 5_400_000, 20, 20)
    files = [make(fine, "nir.tif"), make(coarse, "swir.tif", transform=place)]
    output = process_on(
        "index", {**ITEM, "index_name": "NDMI"}, source(files[0], "B08"), source(files[1], "B11")
    )
    with rasterio.open(output["path"]) as made:
        found, transform = made.read(1), made.transform
    mean = fine[0].reshape(20, 2, 30, 2).mean(axis=(1, 3))
    assert transform == place and found.shape == (20, 30)
    assert np.allclose(found, (mean - coarse[0]) / (mean + coarse[0]), atol=1e-5)
    assert output["properties"]["opstac:resampling"] == "average"
    assert output["properties"]["opstac:bands"]["swir16"] == {"asset": "B11", "band": 1}


def test_whole_numbers_without_a_scale_are_taken_as_reflectance(process_on, make):
    array = np.array([[[1000]], [[3000]]], "uint16")
    path = make(array, band_names=["red", "nir"])
    output = process_on("index", {**ITEM, "index_name": "EVI2"}, source(path))
    with rasterio.open(output["path"]) as made:
        assert made.read(1)[0, 0] == pytest.approx(2.5 * 0.2 / (0.3 + 2.4 * 0.1 + 1), rel=1e-5)
    assert output["properties"]["opstac:reflectance"] == "stored values divided by 10000"


def test_a_mapping_wins_and_constants_are_taken(process_on, make):
    path = make(np.array([[[9]], [[1]], [[3]]], "uint8"), band_names=["red", "nir", "x"])
    inputs = {**ITEM, "index_name": "SAVI", "index_constants": {}, "band_mapping": {"N": 3, "R": 2}}
    output = process_on("index", inputs, source(path))
    with rasterio.open(output["path"]) as made:
        red, nir = 1 / 255, 3 / 255
        assert made.read(1)[0, 0] == pytest.approx(1.5 * (nir - red) / (nir + red + 0.5), rel=1e-5)


@pytest.mark.parametrize(
    "inputs",
    [
        {"index_name": "NDXX"},
        {"index_name": "NDVI\0"},
        {"index_name": "NDVI", "index_constants": {"L": 1}},
        {"index_name": "NDVI", "index_constants": {"L": float("nan")}},
        {"index_name": "NDVI", "band_mapping": {"RED": 0}},
        {"index_name": "NDVI", "extra": 1},
        {"index_name": "TVI", "geometry": {"type": "Point", "coordinates": [0, 0]}},
    ],
)
def test_what_cannot_be_computed_is_refused_at_the_door(inputs):
    with pytest.raises(ValidationError):
        discover()["index"].check({**ITEM, **inputs})


def test_a_missing_band_is_known_before_the_run():
    process = discover()["index"]
    named = {"data": Source("it_1", "data", "/none.tif", {}, {"band_names": ["red", "green"]})}
    with pytest.raises(JobError) as error:
        process.check_sources(process.check({**ITEM, "index_name": "NDVI"}), named)
    assert error.value.code == "band_missing" and "nir" in error.value.message
    process.check_sources(process.check({**ITEM, "index_name": "NGRDI"}), named)

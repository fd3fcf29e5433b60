"""Depth by Stumpf's ratio against plain numpy, and where the ratio means nothing."""

import math

import numpy as np
import pytest
import rasterio

from processes.process import JobError, discover
from raster import cog

FIELDS = "s2-flanders_2021-06_10m.tif"


def depth(execute_on, inputs=None, **assets):
    (output,) = execute_on("bathymetry", inputs or {}, **assets)
    report = cog.validate(output["path"])
    assert report.valid and report.statistics
    with rasterio.open(output["path"]) as file:
        assert file.dtypes == ("float32",) and np.isnan(file.nodata)
        return np.ma.masked_invalid(file.read(1)), output, file.profile


def stored(path):
    with rasterio.open(path) as file:
        named = dict(zip(file.descriptions, file.read().astype(np.float64), strict=True))
        return named, file.profile


@pytest.mark.proves("bathymetry", "values")
@pytest.mark.parametrize(("m0", "m1", "n"), [(None, None, 1000.0), (52.1, 54.7, 1500.0)])
def test_it_is_the_published_formula(data, execute_on, m0, m1, n):
    bands, profile = stored(data / FIELDS)
    inputs = {k: v for k, v in {"m0": m0, "m1": m1, "n": n}.items() if v is not None}
    ours, output, made = depth(execute_on, inputs, data=data / FIELDS)
    ratio = np.log(n * bands["blue"] / 10_000) / np.log(n * bands["green"] / 10_000)
    expected = ratio if m1 is None else m1 * ratio - m0
    assert ours.count() == ours.size == 100 * 100
    assert np.abs(ours - expected).max() < 1e-5 * (m1 or 1)
    assert made["transform"] == profile["transform"] and made["crs"] == profile["crs"]
    properties = output["properties"]
    assert properties["calibrated"] is (m1 is not None)
    assert properties["opstac:coefficients"] == {"m0": m0, "m1": m1, "n": n}
    assert properties["opstac:reflectance_divisor"] is None  # the file has a scale of 1/10,000
    assert "Stumpf, Holderied and Sinclair (2003)" in properties["opstac:method"]
    assert output["band_names"] == (("relative_depth",) if m1 is None else ("depth",))


@pytest.mark.proves("bathymetry", "nodata")
def test_there_is_no_depth_without_two_positive_logarithms(data, tmp_path, execute_on):
    with rasterio.open(data / FIELDS) as file:
        values, profile = file.read(), {**file.profile, "driver": "GTiff"}
        names = file.descriptions
    values[0, :10] = profile["nodata"]  # blue
    values[1, 10:20] = profile["nodata"]  # green
    values[:2, 20:30] = 0
    values[1, 30:40] = 10  # n times reflectance is 1
    values[0, 40:50] = 11
    path = tmp_path / "holed.tif"
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
        file.descriptions = names
    ours, _, _ = depth(execute_on, data=path)
    hidden = np.ma.getmaskarray(ours)
    assert hidden[:40].all() and not hidden[40:].any()
    assert np.allclose(ours[40:50], math.log(1.1) / np.log(values[1, 40:50] / 10), rtol=1e-6)


def test_bands_may_lie_in_two_assets_of_unlike_resolution(make, execute_on):
    noise = np.random.default_rng(3)
    blue = noise.integers(300, 900, (1, 40, 60)).astype("uint16")
    green = noise.integers(300, 900, (1, 20, 30)).astype("uint16")
    coarse = rasterio.transform.from_origin(500_000, 5_400_000, 20, 20)
    assets = {"B02": make(blue, "b.tif"), "B03": make(green, "g.tif", transform=coarse)}
    ours, output, made = depth(execute_on, **assets)
    assert output["properties"]["opstac:reflectance_divisor"] == 10_000  # nothing says a scale
    averaged = blue[0].reshape(20, 2, 30, 2).mean(axis=(1, 3))
    assert made["transform"] == coarse
    expected = np.log(averaged / 10) / np.log(green[0] / 10)
    assert np.abs(ours - expected).max() < 1e-5


def test_reflectance_that_is_said_is_taken(make, execute_on):
    stored_values = np.full((2, 20, 20), 2000, "uint16")
    stored_values[1] = 3000
    scaled = make(stored_values, scales=((1e-4, 1e-4), (-0.1, -0.1)), band_names=["blue", "green"])
    ours, output, _ = depth(execute_on, data=scaled)
    assert np.allclose(ours, math.log(100) / math.log(200), rtol=1e-5)
    assert output["properties"]["opstac:reflectance_divisor"] is None


def test_an_explicit_mapping_wins(data, execute_on):
    bands, _ = stored(data / FIELDS)
    ours, _, _ = depth(execute_on, {"band_mapping": {"BLUE": 3, "GREEN": 4}}, data=data / FIELDS)
    expected = np.log(bands["red"] / 10) / np.log(bands["nir"] / 10)
    assert np.abs(ours - expected).max() < 1e-5


@pytest.mark.parametrize(
    "wrong",
    [
        {"m0": 1.0}, {"m1": 1.0}, {"m0": 1.0, "m1": 0.0}, {"n": 0}, {"n": -5},
        {"m0": float("nan"), "m1": 1.0}, {"m0": 1.0, "m1": float("inf")}, {"n": 1e300},
        {"band_mapping": {"BLUE": 0}}, {"asset_key": ""}, {"more": 1},
    ],
)  # fmt: skip
def test_what_no_run_can_do_is_refused(wrong):
    with pytest.raises(ValueError):
        discover()["bathymetry"].check({"source_item_id": "it_1", **wrong})


def test_a_missing_band_is_named(data, execute_on):
    dsm = data / "washington-dc_dsm_2m.tif"
    for inputs in ({}, {"band_mapping": {"BLUE": 1, "GREEN": 2}}):
        with pytest.raises(JobError, match=r"no (blue|green) band") as refused:
            execute_on("bathymetry", inputs, data=dsm)
        assert refused.value.code == "band_missing"

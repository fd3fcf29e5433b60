"""Slope against `gdaldem`, and where a height is missing."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin

from processes.process import discover
from raster import cog

DSM = "washington-dc_dsm_2m.tif"


def steepness(execute_on, path, **inputs):
    (output,) = execute_on("slope", inputs, data=path)
    report = cog.validate(output["path"])
    assert report.valid and report.statistics
    with rasterio.open(output["path"]) as file:
        assert file.dtypes == ("float32",) and np.isnan(file.nodata)
        assert file.descriptions == ("slope",)
        return np.ma.masked_invalid(file.read(1))


def read(path):
    with rasterio.open(path) as file:
        return file.read(1, masked=True)


@pytest.mark.proves("slope", "values")
@pytest.mark.parametrize("kind", ["horn", "zevenbergen_thorne"])
@pytest.mark.parametrize("unit", ["degrees", "percent"])
@pytest.mark.parametrize("edges", [True, False])
def test_it_is_that_of_gdaldem(data, tmp_path, execute_on, gdal, kind, unit, edges):
    told = ["-alg", "Horn" if kind == "horn" else "ZevenbergenThorne"]
    told += ["-p"] * (unit == "percent") + ["-compute_edges"] * edges
    gdal("gdaldem", "slope", data / DSM, tmp_path / "their.tif", *told)
    theirs = read(tmp_path / "their.tif")
    ours = steepness(execute_on, data / DSM, algorithm=kind, unit=unit, edges=edges)
    assert np.array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs))
    off = np.abs(ours.data - theirs.data)[~np.ma.getmaskarray(ours)]
    # gdaldem computes in 32 bits; nearly level ground shows it most, as the root of a difference
    assert off.max() < 0.01 and np.quantile(off / (theirs.compressed() + 0.01), 0.999) < 1e-4


@pytest.mark.proves("slope", "nodata")
def test_a_missing_height_is_missing_and_level_for_its_neighbours(data, tmp_path, execute_on, gdal):
    with rasterio.open(data / DSM) as file:
        heights, profile = file.read(1), {**file.profile, "driver": "GTiff"}
    heights[100:140, 50:90] = profile["nodata"]
    with rasterio.open(tmp_path / "holed.tif", "w", **profile) as file:
        file.write(heights, 1)
    gdal("gdaldem", "slope", tmp_path / "holed.tif", tmp_path / "their.tif", "-compute_edges")
    theirs = read(tmp_path / "their.tif")
    ours = steepness(execute_on, tmp_path / "holed.tif")
    hidden = np.ma.getmaskarray(ours)
    assert np.array_equal(hidden, heights == profile["nodata"])
    assert np.abs(ours.data - theirs.data)[~hidden].max() < 0.01


def test_heights_have_scale_and_offset_and_a_mask(make, execute_on):
    heights = np.tile(np.arange(0, 600, 10, dtype="int16"), (50, 1))[None]
    hidden = np.zeros((50, 60), bool)
    hidden[10:20, 10:20] = True
    path = make(heights, scales=((0.5,), (-3.0,)), mask=~hidden)
    ours = steepness(execute_on, path)
    assert np.array_equal(np.ma.getmaskarray(ours), hidden)
    # 10 stored are 5 m on 10 m
    far = np.s_[30:, 1:-1]
    assert np.allclose(ours[far], np.degrees(np.arctan(0.5)), atol=1e-5)


@pytest.mark.parametrize("latitude", [0.0, 45.0, -70.0])
def test_a_degree_is_as_long_as_on_the_ellipsoid(make, execute_on, latitude):
    """A slope of one in one to the north, in degrees of WGS 84, by geodesics between the pixels."""
    import pyproj

    step = 1e-4
    _, _, side = pyproj.Geod(ellps="WGS84").inv(10, latitude - step / 2, 10, latitude + step / 2)
    rows = np.arange(50, dtype="float64")[:, None] * np.ones(40) * -side
    path = make(
        rows.astype("float32")[None], crs="EPSG:4326",
        transform=from_origin(10, latitude + 25 * step, step, step),
    )  # fmt: skip
    assert np.allclose(steepness(execute_on, path), 45.0, atol=2e-3)


def test_pixels_need_not_be_square(make, execute_on):
    rows, columns = np.mgrid[0:40, 0:40]
    heights = (rows * 5.0 + columns * 3.0).astype("float32")[None]  # a rise of 0.5 and of 1 a metre
    path = make(heights, transform=Affine(3, 0, 0, 0, -10, 0))
    ours = steepness(execute_on, path, unit="percent")
    assert np.allclose(ours[1:-1], 100 * np.hypot(0.5, 1), rtol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"z_factor": float("nan")}, {"z_factor": 0}, {"z_factor": 1e300}, {"band": 0},
        {"band": ""}, {"band": True}, {"algorithm": "other"}, {"unit": "m"}, {"more": 1},
        {"asset_key": ""}, {"geometry": {"type": "Point", "coordinates": [0, 0]}},
    ],
)  # fmt: skip
def test_what_no_run_can_do_is_refused(wrong):
    with pytest.raises(ValueError):
        discover()["slope"].check({"source_item_id": "it_1", **wrong})

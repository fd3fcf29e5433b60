"""Aspect against `gdaldem`, and where there is none."""

import numpy as np
import pytest
import rasterio

from raster import cog

DSM = "washington-dc_dsm_2m.tif"


def direction(execute_on, path, **inputs):
    (output,) = execute_on("aspect", inputs, data=path)
    report = cog.validate(output["path"])
    assert report.valid and report.statistics
    with rasterio.open(output["path"]) as file:
        return np.ma.masked_invalid(file.read(1))


def read(path):
    with rasterio.open(path) as file:
        return file.read(1, masked=True)


@pytest.mark.proves("aspect", "values")
@pytest.mark.proves("aspect", "nodata")
@pytest.mark.parametrize("kind", ["horn", "zevenbergen_thorne"])
@pytest.mark.parametrize("edges", [True, False])
@pytest.mark.parametrize("holes", [True, False])
def test_it_is_that_of_gdaldem(data, tmp_path, execute_on, gdal, kind, edges, holes):
    with rasterio.open(data / DSM) as file:
        heights, profile = file.read(1), {**file.profile, "driver": "GTiff"}
    if holes:
        heights[100:140, 50:90] = profile["nodata"]
        heights[0, 7:12] = profile["nodata"]
    with rasterio.open(tmp_path / "dem.tif", "w", **profile) as file:
        file.write(heights, 1)
    border = ["-compute_edges"] * edges
    told = ["-alg", "Horn" if kind == "horn" else "ZevenbergenThorne", *border]
    gdal("gdaldem", "aspect", tmp_path / "dem.tif", tmp_path / "their.tif", *told)
    gdal("gdaldem", "slope", tmp_path / "dem.tif", tmp_path / "slope.tif", *told)
    theirs, slopes = read(tmp_path / "their.tif"), read(tmp_path / "slope.tif")
    ours = direction(execute_on, tmp_path / "dem.tif", algorithm=kind, edges=edges)
    # where the ground is level to a hair, its direction is what rounding makes of it
    steep = np.ma.filled(slopes > 0.1, True)
    hidden = np.ma.getmaskarray(ours)
    assert np.array_equal(hidden[steep], np.ma.getmaskarray(theirs)[steep])
    seen = steep & ~hidden
    assert seen.mean() > 0.8
    off = np.abs(ours.data - theirs.data)[seen]
    assert np.minimum(off, 360 - off).max() < 0.05


def test_level_ground_has_no_aspect(make, execute_on):
    heights = np.full((1, 40, 40), 7, "float32")
    heights[0, 20:, :] += np.arange(20, dtype="float32")[:, None]
    ours = direction(execute_on, make(heights))
    assert np.ma.getmaskarray(ours)[:19].all()
    assert (ours[22:-1] == 0).all()  # falls to the north

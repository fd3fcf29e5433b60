"""NDVI: the values, what is invalid, and the picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from processes.process import JobError
from raster import cog

Make = Any
Run = Any


def open_output(run: Run, inputs: dict[str, Any], **assets: Any) -> rasterio.DatasetReader:
    (output,) = run("ndvi", inputs, **assets)
    assert Path(output["path"]).name == "ndvi_output.tif"
    assert cog.validate(output["path"]).valid
    assert cog.validate(output["path"]).statistics
    return rasterio.open(output["path"])


@pytest.mark.proves("ndvi", "values")
def test_values_equal_the_definition(execute_on: Run, data: Path) -> None:
    source = data / "s2-flanders_2021-06_10m.tif"
    with open_output(execute_on, {}, data=source) as made, rasterio.open(source) as file:
        red, nir = file.read(3).astype("float64"), file.read(4).astype("float64")
        assert made.dtypes == ("float32",)
        assert np.isnan(made.nodata)
        assert np.allclose(made.read(1), (nir - red) / (nir + red), atol=1e-6)
        assert made.descriptions == ("ndvi",)


def test_scale_and_offset_come_first(make: Make, execute_on: Run) -> None:
    array = np.array([[[2000]], [[4000]]], "uint16")
    source = make(array, band_names=["red", "nir"], scales=((0.0001,) * 2, (-0.1,) * 2))
    with open_output(execute_on, {}, data=source) as made:
        assert made.read(1)[0, 0] == pytest.approx((0.3 - 0.1) / (0.3 + 0.1), rel=1e-5)


@pytest.mark.proves("ndvi", "nodata")
def test_holes_and_a_mask_in_either_band_have_no_value(
    make: Make, execute_on: Run, data: Path
) -> None:
    with rasterio.open(data / "s2-flanders_2021-06_10m.tif") as file:
        both = file.read([3, 4])
    shown = np.ones(both.shape[1:], bool)
    shown[60:75, 5:95] = False
    names = {"band_names": ["red", "nir"]}
    for options, hidden in (({"mask": shown}, ~shown), ({"nodata": 0}, np.zeros_like(shown))):
        values = both.copy()
        if "nodata" in options:
            values[0, 10:20, 30:40] = values[1, 15:25, 35:45] = 0
            hidden = (values == 0).any(axis=0)
        red, nir = values.astype("float64")
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = np.where(hidden, np.nan, (nir - red) / (nir + red))
        path = make(values, f"{len(options)}-{hidden.sum()}.tif", **names, **options)
        with open_output(execute_on, {}, data=path) as made:
            assert 0 < hidden.sum() < hidden.size
            assert np.allclose(made.read(1), expected, atol=1e-6, equal_nan=True)


def test_invalid_pixels_are_nan_and_values_are_clipped(make: Make, execute_on: Run) -> None:
    red = [[0, -9999, 5, -1, 3]]
    nir = [[0, 5, -9999, 3, -1]]
    source = make(np.array([red, nir], "float32"), nodata=-9999, band_names=["B04", "B08"])
    with open_output(execute_on, {}, data=source) as made:
        values = made.read(1)[0]
    assert np.isnan(values[:3]).all()
    assert values[3:].tolist() == [1, -1]


def test_an_explicit_mapping_is_followed(make: Make, execute_on: Run) -> None:
    source = make(np.array([[[3]], [[1]]], "uint8"))
    inputs = {"band_mapping": {"NIR": 1, "RED": 2}}
    with open_output(execute_on, inputs, data=source) as made:
        assert made.read(1)[0, 0] == 0.5


def test_one_file_a_band(make: Make, execute_on: Run) -> None:
    red = make(np.full((1, 4, 4), 1, "uint8"), "red.tif")
    nir = make(np.full((1, 4, 4), 3, "uint8"), "nir.tif")
    with open_output(execute_on, {}, B04=red, B08=nir, visual=red) as made:
        assert (made.read(1) == 0.5).all()


def test_different_grids_are_refused(make: Make, execute_on: Run) -> None:
    red = make(np.full((1, 4, 4), 1, "uint8"), "red.tif")
    nir = make(np.full((1, 2, 2), 3, "uint8"), "nir.tif")
    with pytest.raises(JobError) as error:
        execute_on("ndvi", {}, B04=red, B08=nir)
    assert error.value.code == "grid_mismatch"


def test_a_missing_band_is_named(make: Make, execute_on: Run) -> None:
    source = make(np.ones((2, 4, 4), "uint8"), band_names=["red", "green"])
    with pytest.raises(JobError, match="no nir band") as error:
        execute_on("ndvi", {}, data=source)
    assert error.value.code == "band_missing"
    with pytest.raises(JobError) as error:
        execute_on("ndvi", {"band_mapping": {"RED": 1, "NIR": 9}}, data=source)
    assert error.value.code == "band_missing"


@pytest.mark.parametrize("name", ["rdylgn", "viridis", "greens"])
def test_a_picture_is_rgba_and_transparent_where_there_is_no_data(
    name: str, make: Make, execute_on: Run
) -> None:
    array = np.array([[[0, 10, 1]], [[0, 1, 10]]], "uint8")
    source = make(array, band_names=["red", "nir"])
    with open_output(execute_on, {"colormap": name}, data=source) as made:
        assert made.colorinterp[3] == ColorInterp.alpha
        assert made.dtypes == ("uint8",) * 4
        picture = made.read()
    assert picture[3].tolist() == [[0, 255, 255]]
    assert picture[:3, 0, 1].tolist() != picture[:3, 0, 2].tolist()


def test_only_the_area_is_computed(make: Make, execute_on: Run) -> None:
    array = np.stack([np.full((80, 90), 1, "uint8"), np.full((80, 90), 3, "uint8")])
    ring = [[9.0, 48.751], [9.003, 48.751], [9.003, 48.749], [9.0, 48.749], [9.0, 48.751]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    inputs = {"geometry": geometry, "band_mapping": {"RED": 1, "NIR": 2}}
    with open_output(execute_on, inputs, data=make(array)) as made:
        assert made.width < 30
        assert np.nanmax(made.read(1)) == 0.5

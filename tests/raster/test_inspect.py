"""What inspection says about a file."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely import get_num_coordinates
from shapely.geometry import shape

from raster import cog
from raster.errors import InspectError
from raster.inspect import inspect

Make = Any


def look(path: Path) -> dict[str, Any]:
    info = inspect(path)
    json.dumps(info, allow_nan=False)
    footprint = shape(info["footprint"])
    assert footprint.is_valid
    assert footprint.area > 0
    return info


def test_a_plain_scene(data: Path) -> None:
    info = look(data / "s2-flanders_2021-06_10m.tif")
    assert info["epsg"] == 32631
    assert info["gsd"] == 10
    assert info["is_cog"]
    assert info["needs_conversion"] == []
    assert info["band_names"] == ["blue", "green", "red", "nir", "swir16", "swir22"]
    assert info["bands"][3]["common_name"] == "nir"
    assert info["proj"]["proj:shape"] == [100, 100]
    assert info["proj"]["proj:code"] == "EPSG:32631"
    # as the STAC item of this scene has them
    assert info["bbox"] == pytest.approx([5.318868, 50.6285761, 5.33344, 50.6378439], abs=1e-6)
    band = info["bands"][0]
    assert band["minimum"] <= band["p2"] <= band["p98"] <= band["maximum"]


def test_a_scene_across_the_antimeridian(data: Path) -> None:
    info = look(data / "antimeridian_landsat8_utm60.tif")
    west, _, east, _ = info["bbox"]
    assert west == pytest.approx(178, abs=0.01)
    assert east == pytest.approx(-178.51, abs=0.01)
    assert info["footprint"]["type"] == "MultiPolygon"
    assert shape(info["footprint"]).bounds[0] == -180
    assert shape(info["footprint"]).bounds[2] == 180


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rotated-30deg_naip.tif", "rotated"),
        ("one-pixel_naip.tif", "grid"),
        ("mask-band_colorado-rgb.tif", "grid"),
        ("nir-tagged-alpha_naip.tif", "grid"),
        ("all-nodata_s2-flanders_2020-12.tif", "grid"),
    ],
)
def test_awkward_files_are_understood(name: str, kind: str, data: Path) -> None:
    info = look(data / name)
    assert info["georeferencing"] == kind
    assert info["alpha"] is None


def test_no_valid_pixel_gives_the_whole_grid_and_no_statistics(data: Path) -> None:
    info = look(data / "all-nodata_s2-flanders_2020-12.tif")
    assert info["bands"][0]["valid_percent"] == 0
    assert info["bands"][0]["mean"] is None
    assert len(info["footprint"]["coordinates"][0]) >= 5


def test_the_footprint_follows_the_valid_pixels(make: Make) -> None:
    array = np.zeros((1, 40, 40), "uint8")
    array[0, :20, :20] = 1
    info = look(make(array, nodata=0))
    whole = look(make(np.ones((1, 40, 40), "uint8")))
    ratio = shape(info["footprint"]).area / shape(whole["footprint"]).area
    assert ratio == pytest.approx(0.25, abs=0.001)


def test_a_speckled_mask_gives_few_vertices(make: Make) -> None:
    array = (np.random.default_rng(3).random((1, 600, 600)) > 0.5).astype("uint8")
    start = time.monotonic()
    info = look(make(array, nodata=0))
    assert get_num_coordinates(shape(info["footprint"])) <= 520
    assert time.monotonic() - start < 5


def test_missing_statistics_are_computed_exactly(make: Make) -> None:
    array = np.arange(1, 3001, dtype="float32").reshape(1, 50, 60)
    array[0, 0, 0] = np.nan
    info = look(make(array, nodata=np.nan))
    band = info["bands"][0]
    assert info["nodata"] == "nan"
    assert (band["minimum"], band["maximum"]) == (2, 3000)
    assert band["mean"] == pytest.approx(np.nanmean(array), rel=1e-6)
    assert band["valid_percent"] == pytest.approx(100 * 2999 / 3000, abs=1e-4)
    assert "no embedded statistics" in info["needs_conversion"]


def test_what_a_mask_hides_is_not_valid_whatever_the_tags_say(make: Make) -> None:
    mask = np.zeros((10, 10), "uint8")
    mask[:3] = 255
    path = make(np.full((1, 10, 10), 5, "uint8"), mask=mask)
    with rasterio.open(path, "r+") as file:
        usual = {"MINIMUM": 5, "MAXIMUM": 5, "MEAN": 5, "STDDEV": 0, "VALID_PERCENT": 100}
        file.update_tags(1, **{f"STATISTICS_{k}": str(v) for k, v in usual.items()})
    band = look(path)["bands"][0]
    assert (band["valid_percent"], band["mean"]) == (30, 5)


def test_statistics_that_cannot_be_true_are_ignored(make: Make) -> None:
    path = make(np.full((1, 4, 4), 5, "uint8"))
    with rasterio.open(path, "r+") as file:
        lies = {"MINIMUM": "nan", "MAXIMUM": "x", "MEAN": "1e999", "STDDEV": "-1"}
        file.update_tags(1, **{f"STATISTICS_{k}": v for k, v in lies.items()})
    assert look(path)["bands"][0]["mean"] == 5


def test_a_global_raster_stays_in_one_piece(make: Make) -> None:
    transform = from_origin(-180, 90, 10, 10)
    path = make(np.ones((1, 18, 36), "uint8"), crs="EPSG:4326", transform=transform)
    info = look(path)
    assert info["bbox"] == [-180, -90, 180, 90]
    assert info["footprint"]["type"] == "Polygon"
    assert info["gsd"] == pytest.approx(1_110_000, rel=0.01)


def test_a_raster_from_0_to_360_is_cut(make: Make) -> None:
    transform = from_origin(170, 10, 1, 1)
    path = make(np.ones((1, 20, 20), "uint8"), crs="EPSG:4326", transform=transform)
    info = look(path)
    assert info["bbox"] == [170, -10, -170, 10]
    assert info["footprint"]["type"] == "MultiPolygon"


def test_a_raster_over_the_pole_reaches_it(make: Make) -> None:
    transform = from_origin(-2_000_000, 2_000_000, 40_000, 40_000)
    path = make(np.ones((1, 100, 100), "uint8"), crs="EPSG:3413", transform=transform)
    info = look(path)
    assert info["bbox"][3] == 90
    assert (info["bbox"][0], info["bbox"][2]) == (-180, 180)


def test_web_mercator_pixels_are_measured_on_the_ground(make: Make) -> None:
    transform = from_origin(0, 8_399_737.9, 10, 10)  # 60° north
    path = make(np.ones((1, 10, 10), "uint8"), crs="EPSG:3857", transform=transform)
    assert look(path)["gsd"] == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"crs": None}, "not_georeferenced"),
        ({"transform": from_origin(1e12, 1e12, 10, 10)}, "not_georeferenced"),
    ],
)
def test_a_file_without_a_place_is_refused(make: Make, options: dict, code: str) -> None:
    with pytest.raises(InspectError) as error:
        inspect(make(np.ones((1, 4, 4), "uint8"), **options))
    assert error.value.code == code


def test_hostile_files_have_clear_codes(tmp_path: Path, data: Path) -> None:
    (tmp_path / "text.tif").write_text("hello")
    for path, code in [
        (tmp_path / "text.tif", "not_a_geotiff"),
        (data / "truncated.tif", "truncated"),
        (tmp_path / "none.tif", "not_found"),
    ]:
        with pytest.raises(InspectError) as error:
            inspect(path)
        assert error.value.code == code


def test_what_conversion_makes_needs_no_conversion(make: Make, tmp_path: Path) -> None:
    source = make(np.ones((3, 600, 20), "uint8"), transform=from_origin(5e5, 5e6, 10, -10))
    assert look(source)["georeferencing"] == "south_up"
    cog.convert_to_cog(source, tmp_path / "out.tif")
    assert look(tmp_path / "out.tif")["needs_conversion"] == []

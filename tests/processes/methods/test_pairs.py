"""Methods over several items: change_detection, anomaly, correlation; alignment of unlike grids."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine, from_bounds
from rasterio.warp import reproject, transform_bounds

from processes.analysis import context
from processes.method import MethodError


def written(path: Path, values: np.ndarray, like: Path, **profile) -> Path:
    """Bands red and nir as float32 with NaN, on a grid of its own."""
    with rasterio.open(like) as file:
        base = {**file.profile, "driver": "GTiff", "count": 2, "dtype": "float32", "nodata": np.nan}
    with rasterio.open(path, "w", **{**base, **profile}) as out:
        out.write(values.astype("float32"))
        out.descriptions = ("red", "nir")
    return path


@pytest.mark.proves("change_detection", "value")
def test_change_equals_numpys_on_one_grid(run, files, truth, tmp_path):
    before, after = truth.item(files["april"], "it_a"), truth.item(files["july"], "it_b")
    answer = run("change_detection", [before, after], before_item_id="it_a", after_item_id="it_b",
                 change_threshold=0.2)  # fmt: skip
    one, two = truth.ndvi(files["april"]), truth.ndvi(files["july"])
    change, found = two - one, answer["statistics"]
    for name, value in {
        "mean_before": one.mean(), "mean_after": two.mean(), "mean_change": change.mean(),
        "min_change": change.min(), "max_change": change.max(), "std_change": change.std(),
    }.items():  # fmt: skip
        assert math.isclose(found[name], value, abs_tol=1e-5), name
    assert found["pixels_total"] == 10_000
    assert found["pixels_increase"] == (change >= 0.2).sum()
    assert found["pixels_decrease"] == (change <= -0.2).sum()
    parts = [found[f"pixels_{n}"] for n in ("increase", "decrease", "unchanged")]
    assert sum(parts) == 10_000
    assert math.isclose(found["increase_percent"], parts[0] / 100)
    # UTM's scale near its middle is 0.9996: a pixel covers a little more than 100 m²
    assert math.isclose(found["increase_area_m2"], parts[0] * 100, rel_tol=1e-3)
    assert answer["alignment"]["resampling"] == {"before": "none", "after": "none"}
    assert answer["band_mapping"]["before"] == {"RED": 3, "NIR": 4}
    with rasterio.open(tmp_path / "change_detection_output.tif") as file:
        assert np.allclose(file.read(1), change, atol=1e-5)
        assert file.profile["compress"] == "zstd" and np.isnan(file.nodata)
    assert answer["change_raster"] == {context.RENDER: 0}


@pytest.mark.proves("change_detection", "validity")
def test_a_pixel_invalid_in_one_item_does_not_count(run, files, truth, holed, tmp_path):
    before, after = truth.item(files["april"], "it_a"), truth.item(holed(files["july"]), "it_b")
    answer = run("change_detection", [before, after], item_ids=["it_a", "it_b"])
    valid = np.ones((100, 100), bool)
    valid[truth.HOLE] = False
    one = truth.ndvi(files["april"]).filled(0)[valid]
    assert answer["statistics"]["pixels_total"] == valid.sum()
    assert math.isclose(answer["statistics"]["mean_before"], one.mean(), abs_tol=1e-6)
    with rasterio.open(tmp_path / "change_detection_output.tif") as file:
        assert (np.isnan(file.read(1)) == ~valid).all()
    with pytest.raises(MethodError) as refusal:
        run("change_detection", [before, truth.item(files["empty"], "it_e")],
            item_ids=["it_a", "it_e"])  # fmt: skip
    assert refusal.value.code == "no_valid_pixel"
    with pytest.raises(MethodError) as refusal:
        run("change_detection", [before, truth.item(files["naip"], "it_n")],
            item_ids=["it_a", "it_n"])  # fmt: skip
    assert refusal.value.code == "no_overlap"


def test_a_finer_raster_is_averaged_onto_the_coarser_grid(run, files, truth, tmp_path):
    red, nir = (truth.read(files["july"], n).filled(0) for n in ("red", "nir"))
    with rasterio.open(files["july"]) as file:
        transform = file.transform
    coarse = np.stack([red, nir]).reshape(2, 20, 5, 20, 5).mean(axis=(2, 4))
    path = written(tmp_path / "coarse.tif", coarse, files["july"], width=20, height=20,
                   transform=transform * Affine.scale(5))  # fmt: skip
    items = [truth.item(files["april"], "it_a"), truth.item(path, "it_c")]
    answer = run("change_detection", items, item_ids=["it_a", "it_c"])
    fine = np.stack([truth.read(files["april"], n).filled(0) for n in ("red", "nir")])
    mean = fine.reshape(2, 20, 5, 20, 5).mean(axis=(2, 4))
    before, after = ((b[1] - b[0]) / (b[1] + b[0]) for b in (mean, coarse))
    assert answer["statistics"]["pixels_total"] == 400
    assert math.isclose(answer["statistics"]["mean_before"], before.mean(), abs_tol=1e-6)
    assert math.isclose(answer["statistics"]["std_change"], (after - before).std(), abs_tol=1e-6)
    assert answer["alignment"] == {
        "grid": "it_c", "epsg": 32631, "resolution": [50.0, 50.0],
        "resampling": {"before": "average", "after": "none"},
    }  # fmt: skip
    # the same the other way round: the order decides nothing about the grid
    turned = run("change_detection", items, item_ids=["it_c", "it_a"])
    assert turned["alignment"]["grid"] == "it_c"
    assert math.isclose(
        turned["statistics"]["mean_change"], -answer["statistics"]["mean_change"], abs_tol=1e-6
    )


def test_another_crs_is_warped_as_gdal_warps_it(run, files, truth, tmp_path):
    values = np.stack([truth.read(files["july"], n).filled(np.nan) for n in ("red", "nir")])
    with rasterio.open(files["july"]) as file:
        crs, bounds, own = file.crs, file.bounds, file.transform
    edges = transform_bounds(crs, "EPSG:3857", *bounds)
    width, height = (round((edges[n + 2] - edges[n]) / 15.8) for n in (0, 1))
    target = from_bounds(*edges, width, height)
    other = np.full((2, height, width), np.nan)
    reproject(values, other, src_transform=own, src_crs=crs, dst_transform=target,
              dst_crs="EPSG:3857", src_nodata=np.nan, dst_nodata=np.nan,
              resampling=Resampling.bilinear)  # fmt: skip
    path = written(tmp_path / "other.tif", other, files["july"], width=width, height=height,
                   transform=target, crs="EPSG:3857")  # fmt: skip
    items = [truth.item(files["april"], "it_a"), truth.item(path, "it_b")]
    answer = run("change_detection", items, item_ids=["it_a", "it_b"])
    back = np.full((2, 100, 100), np.nan)
    reproject(other.astype("float32"), back, src_transform=target, src_crs="EPSG:3857",
              dst_transform=own, dst_crs=crs, src_nodata=np.nan, dst_nodata=np.nan,
              resampling=Resampling.bilinear, tolerance=0.0)  # fmt: skip
    after = (back[1] - back[0]) / (back[1] + back[0])
    change = after - truth.ndvi(files["april"]).filled(np.nan)
    assert answer["alignment"]["resampling"] == {"before": "none", "after": "bilinear"}
    assert answer["statistics"]["pixels_total"] == np.isfinite(change).sum() > 9000
    assert math.isclose(answer["statistics"]["mean_change"], np.nanmean(change), abs_tol=1e-5)
    assert math.isclose(answer["statistics"]["std_change"], np.nanstd(change), abs_tol=1e-5)


def test_grids_that_differ_by_whole_pixels_are_not_resampled(run, files, truth, tmp_path):
    values = np.stack([truth.read(files["july"], n).filled(0) for n in ("red", "nir")])
    with rasterio.open(files["july"]) as file:
        transform = file.transform
    path = written(tmp_path / "moved.tif", values[:, 30:, 40:], files["july"], width=60, height=70,
                   transform=transform * Affine.translation(40, 30))  # fmt: skip
    items = [truth.item(files["april"], "it_a"), truth.item(path, "it_b")]
    answer = run("change_detection", items, item_ids=["it_a", "it_b"])
    change = (truth.ndvi(files["july"]) - truth.ndvi(files["april"]))[30:, 40:]
    assert answer["statistics"]["pixels_total"] == 4200
    assert math.isclose(answer["statistics"]["mean_change"], change.mean(), abs_tol=1e-6)
    assert answer["alignment"]["resampling"]["after"] == "none"


@pytest.mark.proves("anomaly", "value")
def test_an_anomaly_is_the_departure_from_the_mean_of_others(run, files, truth, tmp_path):
    items = [truth.item(files[n], f"it_{n}") for n in ("july", "april", "june")]
    stack = np.stack([truth.ndvi(files[n]).filled(0) for n in ("april", "june")])
    own = truth.ndvi(files["july"]).filled(0)
    given = {"item_id": "it_july", "baseline_item_ids": ["it_april", "it_june"]}
    answer = run("anomaly", items, index_name="NDVI", **given)
    departure = own - stack.mean(axis=0)
    assert math.isclose(answer["statistics"]["mean"], departure.mean(), abs_tol=1e-6)
    assert math.isclose(answer["statistics"]["std"], departure.std(), abs_tol=1e-6)
    assert math.isclose(answer["baseline_mean"], stack.mean(), abs_tol=1e-6)
    with rasterio.open(tmp_path / "it_july_anomaly.tif") as file:
        assert np.allclose(file.read(1), departure, atol=1e-5)
    answer = run("anomaly", items, index_name="NDVI", kind="zscore", **given)
    spread = stack.std(axis=0, ddof=1)
    score = departure[spread > 0] / spread[spread > 0]
    assert math.isclose(answer["statistics"]["median"], np.median(score), rel_tol=1e-3)


@pytest.mark.proves("anomaly", "validity")
def test_a_baseline_with_holes_counts_where_enough_is_valid(run, files, truth, holed):
    items = [truth.item(files["july"], "it_july"), truth.item(files["april"], "it_april"),
             truth.item(holed(files["june"]), "it_june")]  # fmt: skip
    given = {"item_id": "it_july", "baseline_item_ids": ["it_april", "it_june"], "band": "nir"}
    hole = 50 * 70
    assert run("anomaly", items, **given)["statistics"]["count"] == 10_000
    assert run("anomaly", items, min_baseline=2, **given)["statistics"]["count"] == 10_000 - hole
    answer = run("anomaly", items, kind="zscore", **given)
    assert answer["statistics"]["count"] <= 10_000 - hole
    with pytest.raises(MethodError) as refusal:
        run("anomaly", [items[0], truth.item(files["empty"], "it_e")], item_id="it_july",
            baseline_item_ids=["it_e"], band="nir")  # fmt: skip
    assert refusal.value.code == "no_valid_pixel"


@pytest.mark.proves("correlation", "value")
def test_correlation_equals_numpys(run, files, truth):
    red, nir = (truth.read(files["april"], n).filled(0).ravel() for n in ("red", "nir"))
    answer = run("correlation", [truth.item(files["april"])], item_id="it_a", band="red",
                 other={"band": "nir"})  # fmt: skip
    assert math.isclose(answer["pearson_r"], np.corrcoef(red, nir)[0, 1], rel_tol=1e-6)
    slope, intercept = np.polyfit(red, nir, 1)
    assert math.isclose(answer["slope"], slope, rel_tol=1e-5)
    assert math.isclose(answer["intercept"], intercept, rel_tol=1e-5)
    items = [truth.item(files[n], f"it_{n}") for n in ("april", "june", "july")]
    answer = run("correlation", items, item_ids=[i["id"] for i in items], index_name="NDVI")
    table = np.stack([truth.ndvi(files[n]).filled(0).ravel() for n in ("april", "june", "july")])
    assert np.allclose(answer["matrix"], np.corrcoef(table), atol=1e-6)


@pytest.mark.proves("correlation", "validity")
def test_correlation_uses_what_is_valid_in_all(run, files, truth, holed):
    items = [truth.item(files["april"], "it_a"), truth.item(holed(files["july"]), "it_b")]
    answer = run("correlation", items, item_id="it_a", other_item_id="it_b", band="nir")
    valid = np.ones((100, 100), bool)
    valid[truth.HOLE] = False
    one, two = (truth.read(files[n], "nir").filled(0)[valid] for n in ("april", "july"))
    assert answer["count"] == valid.sum()
    assert math.isclose(answer["pearson_r"], np.corrcoef(one, two)[0, 1], rel_tol=1e-6)
    with pytest.raises(MethodError) as refusal:
        run("correlation", [items[0], truth.item(files["empty"], "it_b")], item_id="it_a",
            other_item_id="it_b", band="nir")  # fmt: skip
    assert refusal.value.code == "no_valid_pixel"

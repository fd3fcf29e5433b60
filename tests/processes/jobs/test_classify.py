"""Unsupervised classes against scikit-learn on the whole array, and where there are none."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from pydantic import ValidationError
from rasterio.warp import transform_geom
from sklearn.cluster import KMeans

from processes.process import JobError, Source, discover
from raster import cog


@pytest.fixture
def classes(execute_on):
    def call(path, **inputs):
        raster, model = execute_on("classify", inputs, data=path)
        report = cog.validate(raster["path"])
        assert report.valid and report.statistics
        assert raster["categorical"] and model["media_type"] == "application/json"
        with rasterio.open(raster["path"]) as file:
            assert file.nodata == 255 and file.dtypes == ("uint8",)
            made = file.read(1)
        return made, json.loads(Path(model["path"]).read_text()), raster

    return call


def pixels_of(path):
    with rasterio.open(path) as file:
        values = file.read(masked=True).astype("float32")
        scales, offsets = np.float32(file.scales), np.float32(file.offsets)
    values = values * scales[:, None, None] + offsets[:, None, None]
    return values.reshape(len(values), -1).T.astype("float64")


@pytest.mark.proves("classify", "values")
@pytest.mark.parametrize("standardize", [True, False])
def test_classes_are_those_of_scikit_learn_on_all_pixels(rasters, classes, standardize):
    pixels = pixels_of(rasters["june"])
    scale = pixels.std(axis=0) if standardize else 1.0
    theirs = KMeans(5, n_init=4, random_state=3).fit(pixels / scale)
    centers = theirs.cluster_centers_ * scale
    order = np.argsort(centers.mean(axis=1))
    rank = np.argsort(order)
    made, model, raster = classes(rasters["june"], classes=5, seed=3, standardize=standardize)
    assert np.allclose(model["centers"], centers[order], rtol=1e-9)
    assert (
        np.mean(made.ravel() == rank[theirs.labels_]) > 0.9999
    )  # a pixel midway may go either way
    brightness = np.mean(model["centers"], axis=1)
    assert (np.diff(brightness) > 0).all()
    assert [b["name"] for b in model["bands"]] == [
        "blue",
        "green",
        "red",
        "nir",
        "swir16",
        "swir22",
    ]
    assert model["sampled_pixels"] == len(pixels) and model["seed"] == 3
    assert raster["properties"]["opstac:inertia"] == pytest.approx(theirs.inertia_)
    assert [c["value"] for c in raster["classes"]] == [0, 1, 2, 3, 4]


def test_a_sample_finds_nearly_as_good_classes(rasters, classes):
    path = rasters["naip"]
    with rasterio.open(path) as file:
        pixels = file.read().reshape(4, -1).T.astype("float64")
        pixels = pixels[(pixels != file.nodata).all(axis=1)]
    made, model, _ = classes(path, classes=6, sample=5_000, standardize=False)
    assert model["sampled_pixels"] == 5_000

    def spread(centers):
        return ((pixels[:, None] - np.array(centers)[None]) ** 2).sum(axis=2).min(axis=1).sum()

    best = KMeans(6, n_init=2, random_state=1).fit(pixels)
    assert spread(model["centers"]) < 1.03 * best.inertia_
    assert set(np.unique(made)) <= {*range(6), 255}


@pytest.mark.proves("classify", "nodata")
def test_a_pixel_without_one_of_its_bands_has_no_class(rasters, classes, make):
    with rasterio.open(rasters["june"]) as file:
        values = file.read([1, 3, 4]).astype("float32")
    values[0, 10:20] = -1
    values[2, :, 70:75] = -1
    values[1, 50, 50] = np.nan
    hidden = (values == -1).any(axis=0)
    hidden[50, 50] = True
    shown = np.ones(hidden.shape, bool)
    shown[90:] = False
    values[:, 90:] = 1e6  # below the mask: neither a class nor part of the sample
    made, model, _ = classes(make(values, mask=shown), classes=4)
    # NaN and the mask hide; -1 is a value without a nodata tag
    assert np.array_equal(made == 255, ~shown | np.isnan(values).any(axis=0))
    assert np.max(model["centers"]) < 1e5
    made, model, _ = classes(make(values[:, :90], nodata=-1), classes=4)
    assert np.array_equal(made == 255, hidden[:90])
    assert model["sampled_pixels"] == (~hidden[:90]).sum()
    assert np.min(model["centers"]) > 0


def test_the_area_alone_is_sampled_and_classified(rasters, classes):
    with rasterio.open(rasters["june"]) as file:
        left, top = file.bounds.left, file.bounds.top
        square = shapely.box(left + 100, top - 500, left + 600, top - 200)
        geometry = transform_geom(file.crs, "EPSG:4326", square.__geo_interface__, precision=12)
    made, model, _ = classes(rasters["june"], classes=3, geometry=geometry, bands=["nir", 3])
    assert made.shape == (30, 50) and model["sampled_pixels"] == 1500
    pixels = pixels_of(rasters["june"]).reshape(100, 100, 6)[20:50, 10:60, [3, 2]].reshape(-1, 2)
    scale = pixels.std(axis=0)
    theirs = KMeans(3, n_init=4, random_state=0).fit(pixels / scale)
    found = np.sort(theirs.cluster_centers_ * scale, axis=0)
    assert np.allclose(np.sort(model["centers"], axis=0), found)


def test_the_same_seed_gives_the_same_bytes_in_any_number_of_threads(rasters, classes, monkeypatch):
    made = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OPSTAC_BLOCK_THREADS", threads)
        _, model, raster = classes(rasters["naip"], classes=4, sample=2_000, seed=9)
        made.append((model, Path(raster["path"]).read_bytes()))
    assert made[0] == made[1]


def test_many_blocks_are_sampled_evenly(make, classes):
    columns = np.arange(5_000, dtype="float32")
    image = np.tile(columns, (600, 1))[None]
    _, model, _ = classes(make(image), classes=2, sample=20_000)
    # of a ramp the best two centres lie at its quarters
    assert np.ravel(model["centers"]) == pytest.approx([1249.5, 3749.5], rel=0.03)


@pytest.mark.parametrize("colors", [1, 2])
def test_fewer_values_than_classes_are_said(make, classes, colors):
    image = (np.arange(400).reshape(1, 20, 20) % colors).astype("uint8")
    with pytest.raises(JobError, match=f"has {colors} different") as error:
        classes(make(image), classes=3)
    assert error.value.code == "invalid_inputs"


def test_nothing_valid_is_said(rasters, classes):
    with pytest.raises(JobError, match="no pixel of the area") as error:
        classes(rasters["empty"])
    assert error.value.code == "no_overlap"


def test_bands_of_several_files_are_brought_together(make, execute_on, tmp_path):
    red = np.arange(400, dtype="uint16").reshape(1, 20, 20)
    nir = red[:, ::2, ::2] * 2
    coarse = rasterio.transform.from_origin(500_000, 5_400_000, 20, 20)
    a, b = make(red, "red.tif"), make(nir, "nir.tif", transform=coarse)
    raster, model = execute_on("classify", {"bands": ["red", "nir"], "classes": 2}, red=a, nir=b)
    with rasterio.open(raster["path"]) as file:
        assert file.shape == (10, 10)
    bands = json.loads(Path(model["path"]).read_text())["bands"]
    assert [(x["asset"], x["band"]) for x in bands] == [("red", 1), ("nir", 1)]


def test_huge_numbers_do_no_harm(make, classes):
    rng = np.random.default_rng(1)
    image = (rng.random((2, 30, 30)) * 3e38).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        made, _, _ = classes(make(image), classes=3, standardize=False)
    assert set(np.unique(made)) == {0, 1, 2}


def test_a_missing_band_is_refused_before_the_run():
    process = discover()["classify"]
    for bands in ([3], ["swir99"]):
        typed = process.check({"source_item_id": "it_1", "bands": bands})
        asset = {"band_names": ["red", "nir"], "band_count": 2}
        with pytest.raises(JobError) as error:
            process.check_sources(typed, {"data": Source("it_1", "data", "", {}, asset)})
        assert error.value.code == "band_missing"


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 1}, {"classes": 101}, {"sample": 10}, {"seed": -1}, {"seed": 2**32},
        {"bands": [0]}, {"bands": [""]}, {"model": "x"}, {"standardize": "perhaps"},
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(ValidationError):
        discover()["classify"].check({"source_item_id": "it_1", **wrong})

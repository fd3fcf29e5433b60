"""Pansharpening against `gdal_pansharpen`, of a real image and its own coarser copy."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError
from rasterio.transform import from_origin

from processes.process import JobError, Source, discover
from raster import cog

SIDE = 4  # fine pixels along a coarse one
AWAY = 3 * SIDE  # from the edge and from holes, where the kernels of both are whole


@pytest.fixture
def pair(rasters, make):
    """(panchromatic, colours) of an aerial image: weights 0.2, 0.3, 0.5 and a four times coarser
    copy, of fields without a hole."""

    def of(dtype="uint8", **options):
        with rasterio.open(rasters["naip"]) as file:
            image = file.read((1, 2, 3))[:, 100:500, 200:600].astype("float64")
        image = np.maximum(image, 1) * (1 if dtype == "uint8" else 37)
        pan = np.tensordot([0.2, 0.3, 0.5], image, axes=1)[None]
        coarse = image.reshape(3, 100, SIDE, 100, SIDE).mean(axis=(2, 4))
        wide = from_origin(500_000, 5_400_000, 10 * SIDE, 10 * SIDE)
        return (
            make(np.rint(pan).astype(dtype), "pan.tif", **options),
            make(np.rint(coarse).astype(dtype), "color.tif", transform=wide, **options),
        )

    return of


def sharpened(execute_on, pan, color, **inputs):
    given = {"pan_asset_key": "pan", **inputs}
    (output,) = execute_on("pansharpen", given, pan=pan, color=color)
    report = cog.validate(output["path"])
    assert report.valid and report.statistics
    with rasterio.open(output["path"]) as file, rasterio.open(pan) as fine:
        assert (file.transform, file.shape) == (fine.transform, fine.shape)
        return file.read(masked=True), file.profile, output


def by_gdal(gdal, pan, color, out, *words):
    gdal("gdal_pansharpen.py", "-q", pan, color, out, *words)
    with rasterio.open(out) as file:
        return file.read(masked=True)


@pytest.mark.proves("pansharpen", "values")
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("kind", ["nearest", "bilinear", "cubic"])
@pytest.mark.parametrize("weights", [None, [0.2, 0.3, 0.5]])
def test_it_is_that_of_gdal(pair, execute_on, gdal, tmp_path, dtype, kind, weights):
    pan, color = pair(dtype)
    words = ["-r", kind]
    for weight in weights or ():
        words += ["-w", str(weight)]
    theirs = by_gdal(gdal, pan, color, tmp_path / "their.tif", *words)
    given = {"weights": weights} if weights else {}
    ours, profile, output = sharpened(execute_on, pan, color, resampling=kind, **given)
    assert profile["dtype"] == dtype and ours.shape == theirs.shape
    inner = np.s_[:, AWAY:-AWAY, AWAY:-AWAY]
    off = np.abs(ours[inner].astype(float) - theirs[inner].astype(float))
    # GDAL rounds the colours once more, after it has brought them onto the fine grid
    assert off.max() <= (3 if kind != "nearest" else 0)
    assert off.mean() < 0.4
    assert output["properties"]["opstac:method"] == "weighted Brovey"


def test_the_weighted_sum_of_what_comes_out_is_the_panchromatic_band(pair, execute_on):
    pan, color = pair("uint16")
    weights = [0.2, 0.3, 0.5]
    ours, _, _ = sharpened(execute_on, pan, color, weights=weights)
    with rasterio.open(pan) as file:
        assert np.abs(np.tensordot(weights, ours.data, axes=1) - file.read(1)).max() <= 1


@pytest.mark.proves("pansharpen", "nodata")
def test_a_hole_in_one_of_them_is_a_hole_in_all(pair, execute_on, gdal, tmp_path):
    pan, color = pair("uint8", nodata=0)
    with rasterio.open(pan, "r+") as file:
        fine = file.read(1)
        fine[40:60, 50:90] = 0
        file.write(fine, 1)
    with rasterio.open(color, "r+") as file:
        colors = file.read()
        colors[1, 50:60, 30:40] = 0
        file.write(colors)
    ours, profile, _ = sharpened(execute_on, pan, color, resampling="nearest")
    theirs = by_gdal(gdal, pan, color, tmp_path / "their.tif", "-r", "nearest")
    hidden = fine == 0
    hidden[200:240, 120:160] = True
    assert profile["nodata"] == 0
    for band in range(3):
        assert np.array_equal(np.ma.getmaskarray(ours)[band], hidden)
    seen = ~hidden
    assert np.array_equal(ours.data[:, seen], theirs.data[:, seen])


def test_without_a_nodata_value_a_mask_says_it(pair, execute_on):
    pan, color = pair("uint8")
    with rasterio.open(pan) as file:
        shown = np.ones(file.shape, bool)
        shown[:30] = False
        image = file.read()
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(pan, "r+") as file:
        file.write(image)
        file.write_mask(shown)
    ours, profile, _ = sharpened(execute_on, pan, color)
    assert profile["nodata"] is None
    assert np.array_equal(~np.ma.getmaskarray(ours)[0], shown)


def test_black_stays_black_and_bright_stays_in_range(make, execute_on):
    wide = from_origin(500_000, 5_400_000, 20, 20)
    color = np.zeros((2, 10, 10), "uint8")
    color[:, :, 5:] = 250
    color[1, :, 5:] = 10
    pan = np.full((1, 20, 20), 255, "uint8")
    ours, _, _ = sharpened(
        execute_on, make(pan, "pan.tif"), make(color, "color.tif", transform=wide),
        resampling="nearest",
    )  # fmt: skip
    assert (ours[:, :, :10] == 0).all()
    assert (ours[0, :, 10:] == 255).all() and (ours[1, :, 10:] == 20).all()


def test_bands_with_a_scale_become_fractions(make, execute_on):
    wide = from_origin(500_000, 5_400_000, 20, 20)
    color = make(
        np.array([[[2000]], [[4000]]], "uint16").repeat(5, 1).repeat(5, 2), "color.tif",
        transform=wide, scales=((1e-4,) * 2, (-0.1,) * 2), band_names=["red", "nir"],
    )  # fmt: skip
    pan = make(np.full((1, 10, 10), 0.4, "float32"), "pan.tif", band_names=["pan"])
    ours, profile, output = sharpened(execute_on, pan, color, pan_asset_key=None)
    assert profile["dtype"] == "float32" and np.isnan(profile["nodata"])
    assert np.allclose(ours[0], 0.2) and np.allclose(ours[1], 0.6)
    assert output["band_names"] == ("red", "nir")


def test_two_items_and_chosen_bands(pair, tmp_path):
    from processes.engine import execute

    pan, color = pair()
    (tmp_path / "out").mkdir()
    given = [Source("it_1", "data", str(color)), Source("it_2", "data", str(pan))]
    inputs = {"source_item_id": "it_1", "pan_item_id": "it_2", "pan_band": 1, "bands": [3, 1]}
    given = [vars(source) for source in given]
    (output,) = execute("pansharpen", inputs, given, str(tmp_path / "out"), lambda f, s: None)
    assert output["band_names"] == ("b3", "b1")


def test_a_coarser_panchromatic_band_is_refused(pair, execute_on):
    pan, color = pair()
    with pytest.raises(JobError) as error:
        execute_on(
            "pansharpen", {"pan_asset_key": "pan", "asset_key": "color"}, pan=color, color=pan
        )
    assert error.value.code == "grid_mismatch"


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, None), ({"bands": ["red"]}, None), ({"weights": [1, 2]}, None),
        ({"weights": [1, 2, 3]}, "invalid_inputs"), ({"bands": ["swir16"]}, "band_missing"),
        ({"bands": [9]}, "band_missing"), ({"pan_band": "none"}, "band_missing"),
        ({"pan_asset_key": "color", "pan_band": 3}, "band_missing"),
        ({"asset_key": "pan"}, "band_missing"),
    ],
)  # fmt: skip
def test_what_is_known_is_refused_before_the_run(inputs, code):
    process = discover()["pansharpen"]
    typed = process.check({"source_item_id": "it_1", **inputs})
    given = {
        "pan": Source("it_1", "pan", "", {}, {"band_names": ["pan"]}),
        "color": Source("it_1", "color", "", {}, {"band_names": ["red", "nir"]}),
    }
    if code is None:
        process.check_sources(typed, given)
        return
    with pytest.raises(JobError) as error:
        process.check_sources(typed, given)
    assert error.value.code == code


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": []}, {"weights": [0, 0]}, {"weights": [-1]}, {"weights": [float("inf")]},
        {"bands": ["red"], "weights": [1, 2]}, {"resampling": "mode"}, {"pan_band": 0}, {"x": 1},
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(ValidationError):
        discover()["pansharpen"].check({"source_item_id": "it_1", **wrong})

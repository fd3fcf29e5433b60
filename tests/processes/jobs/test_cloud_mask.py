"""Cloud masks: the classes and bits as plain numpy and gdal_calc read them, on real scenes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError
from rasterio.transform import from_origin

from processes.analysis import clouds
from processes.process import JobError, Source, discover
from raster import cog

ITEM = {"source_item_id": "it_1"}
Run = Callable[..., dict[str, Any]]


def source(path: Path, key: str = "data", **asset: Any) -> Source:
    return Source("it_1", key, str(path), {}, asset)


def made_of(output: dict[str, Any]) -> np.ndarray:
    with rasterio.open(output["path"]) as file:
        values = file.read()
    Path(output["path"]).unlink()
    return values


@pytest.mark.proves("cloud_mask", "values")
@pytest.mark.parametrize("day", ["10", "18", "20"])
def test_the_map_is_that_of_gdal_calc(
    day: str, clouded: Any, process_on: Run, gdal: Any, tmp_path: Path
):
    bands, scl = clouded[day]
    output = process_on("cloud_mask", ITEM, source(bands), source(scl, "scl"))
    peer = tmp_path / "peer.tif"
    formula = "numpy.where(A==0,255,(A==1)|(A==3)|((A>=8)&(A<=10)))"
    gdal(
        "gdal_calc.py", "-A", scl, f"--calc={formula}", "--type=Byte", "--quiet", "--hideNoData",
        "--NoDataValue=255", f"--outfile={peer}",
    )  # fmt: skip
    with rasterio.open(output["path"]) as file, rasterio.open(peer) as other:
        found, expected = file.read(1), other.read(1)
        assert file.transform == other.transform and file.nodata == 255
        assert file.colormap(1)[1] == (0xF7, 0xF7, 0xF7, 255)
    assert np.array_equal(found, expected) and set(np.unique(found)) >= {0, 1}
    assert cog.validate(output["path"]) == cog.Report(True, (), True)
    share = 100 * (expected == 1).sum() / (expected != 255).sum()
    assert output["properties"]["opstac:cloud_percent"] == pytest.approx(share, abs=1e-3)
    assert output["properties"]["opstac:cloud_band"] == {
        "asset": "scl", "band": 1, "classes": [0, 1, 3, 8, 9, 10],
    }  # fmt: skip
    assert output["categorical"] and [c["value"] for c in output["classes"]] == [0, 1]


@pytest.mark.proves("cloud_mask", "nodata")
def test_what_has_no_value_is_no_cloud(clouded: Any, process_on: Run):
    bands, scl = clouded["15"]
    with rasterio.open(scl) as file:
        empty = file.read(1) == 0
    assert 0.1 < empty.mean() < 0.2
    plain = made_of(process_on("cloud_mask", ITEM, source(bands), source(scl, "SCL")))[0]
    assert ((plain == 255) == empty).all()
    # a cloud that spreads does not spread from where there is nothing, nor into it
    wide = process_on("cloud_mask", {**ITEM, "dilate": 5}, source(bands), source(scl, "SCL"))
    found = made_of(wide)[0]
    assert ((found == 255) == empty).all()
    near = np.zeros(plain.shape, bool)
    for row, column in np.argwhere(plain == 1):
        rows, columns = np.ogrid[: plain.shape[0], : plain.shape[1]]
        near |= (rows - row) ** 2 + (columns - column) ** 2 <= 25
    assert np.array_equal(found == 1, near & ~empty)
    masked = process_on(
        "cloud_mask", {**ITEM, "output": "masked"}, source(bands), source(scl, "scl")
    )
    with rasterio.open(bands) as file:
        values = file.read()
    shown = made_of(masked)
    assert masked["asset_key"] == "data" and masked["band_names"] == (
        "blue", "green", "red", "nir",
    )  # fmt: skip
    assert np.array_equal(shown, np.where(plain == 0, values, 0))


def test_bits_of_landsat(process_on: Run, make: Any):
    # as in the guide of Collection 2: clear land, fill, high-confidence cloud, shadow, cirrus,
    # dilated cloud, snow, water
    stored = [21824, 1, 22280, 23888, 55052, 21826, 30048, 21952]
    path = make(np.array([[stored]], "uint16"), nodata=1)
    found = made_of(process_on("cloud_mask", ITEM, source(path, "qa_pixel")))[0, 0]
    assert found.tolist() == [0, 255, 1, 1, 1, 1, 0, 0]
    snow = {**ITEM, "mask_bits": [5]}
    found = made_of(process_on("cloud_mask", snow, source(path, "QA_PIXEL")))[0, 0]
    assert found.tolist() == [0, 255, 0, 0, 0, 0, 1, 0]
    # without a nodata value bit 0 still says that there is nothing
    bare = make(np.array([[stored]], "uint16"), "bare.tif", band_names=["QA_PIXEL"])
    found = made_of(process_on("cloud_mask", ITEM, source(bare)))[0, 0]
    assert found.tolist() == [0, 255, 1, 1, 1, 1, 0, 0]


def test_chosen_classes_and_a_band_of_another_name(clouded: Any, process_on: Run):
    _, scl = clouded["18"]
    with rasterio.open(scl) as file:
        values = file.read(1)
    inputs = {**ITEM, "mask_asset_key": "quality", "mask_classes": [4, 11]}
    found = made_of(process_on("cloud_mask", inputs, source(scl, "quality", band_names=["q"])))[0]
    assert np.array_equal(found == 1, np.isin(values, [4, 11]))


def test_a_band_of_the_same_file(make: Any, process_on: Run):
    array = np.array([[[5, 6, 7]], [[4, 9, 3]]], "uint8")
    path = make(array, band_names=["red", "SCL"])
    assert made_of(process_on("cloud_mask", ITEM, source(path))).tolist() == [[[0, 1, 1]]]
    output = process_on("cloud_mask", {**ITEM, "output": "masked"}, source(path))
    with rasterio.open(output["path"]) as file:
        assert file.nodata is None and file.read_masks(1).tolist() == [[255, 0, 0]]
        assert file.read(1).tolist() == [[5, 0, 0]]


def test_grids_of_two_resolutions(make: Any, process_on: Run):
    """A finer raster goes by the nearest pixel, a coarser one is hidden by any."""
    rng = np.random.default_rng(4)
    scl = rng.choice([4, 9], (1, 30, 40), p=[0.9, 0.1]).astype("uint8")
    quality = make(scl, "scl.tif", transform=from_origin(500_000, 5_400_000, 20, 20))
    fine = make(np.full((1, 60, 80), 7, "uint8"), "fine.tif", nodata=0)
    coarse = make(
        np.full((1, 10, 13), 7, "float32"),
        "coarse.tif",
        transform=from_origin(500_000, 5_400_000, 60, 60),
    )
    inputs = {**ITEM, "output": "masked", "asset_keys": ["fine"]}
    found = made_of(process_on("cloud_mask", inputs, source(fine, "fine"), source(quality, "scl")))[
        0
    ]
    assert np.array_equal(found == 0, np.kron(scl[0] == 9, np.ones((2, 2), bool)))
    inputs["asset_keys"] = ["coarse"]
    found = made_of(
        process_on("cloud_mask", inputs, source(coarse, "coarse"), source(quality, "scl"))
    )[0]
    cloudy = (scl[0] == 9)[:30, :39].reshape(10, 3, 13, 3).any(axis=(1, 3))
    assert np.array_equal(np.isnan(found), cloudy)


def test_a_bit_that_is_neither_least_nor_greatest_hides_a_coarse_pixel(make: Any):
    """Of 1, 2 and 4 in one pixel the middle one counts: neither their least nor their most."""
    quality = make(np.array([[[1, 2], [4, 4]]], "uint8"))
    with rasterio.open(quality) as file:
        from processes.grid import Grid
        from raster import reader

        grid = Grid(file.crs, from_origin(500_000, 5_400_000, 20, 20), 1, 1)
        layout, window = reader.layout(file), reader.pixels(0, 0, 1, 1)
        hidden = [
            clouds.hidden_on(file, layout, 1, clouds.Rule(bits=(bit,)), onto=grid, window=window)
            for bit in (0, 1, 2, 3)
        ]
    assert [bool(h[0, 0]) for h in hidden] == [True, True, True, False]


def test_no_quality_band_is_known_before_the_run():
    process = discover()["cloud_mask"]
    named = {"data": source(Path("/none.tif"), band_names=["red", "nir"])}
    for inputs, code in (
        ({}, "band_missing"),
        ({"mask_classes": [3]}, "band_missing"),
        ({"mask_asset_key": "scl"}, "band_missing"),
        ({"mask_band": "quality"}, "band_missing"),
        ({"mask_band": 3}, "band_missing"),
        ({"mask_band": 2}, "invalid_inputs"),
        ({"output": "masked", "asset_keys": ["x"]}, "invalid_inputs"),
    ):
        with pytest.raises(JobError) as error:
            process.check_sources(process.check({**ITEM, **inputs}), named)
        assert error.value.code == code, inputs
    process.check_sources(process.check({**ITEM, "mask_band": 2, "mask_bits": [1]}), named)


@pytest.mark.parametrize(
    "inputs",
    [
        {"mask_classes": []},
        {"mask_classes": [-1]},
        {"mask_classes": [70_000]},
        {"mask_bits": [32]},
        {"mask_bits": list(range(31)) * 2},
        {"mask_band": 0},
        {"mask_band": True},
        {"dilate": 65},
        {"dilate": -1},
        {"output": "picture"},
        {"asset_keys": ["data"]},
        {"extra": 1},
    ],
)
def test_what_cannot_be_is_refused_at_the_door(inputs: dict[str, Any]):
    with pytest.raises(ValidationError):
        discover()["cloud_mask"].check({**ITEM, **inputs})

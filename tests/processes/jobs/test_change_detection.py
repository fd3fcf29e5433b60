"""The change map: against the rules in plain numpy, and gdalwarp for what lies on another grid."""

from __future__ import annotations

import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError

from processes.engine import execute
from processes.process import JobError, Source, discover
from raster import cog

ROOT = Path(__file__).parents[3]
JUNE = ROOT / "tests/data/rasters/s2-flanders_2021-06_10m.tif"
APRIL = ROOT / "src/opstac/sampledata/s2-flanders_2021-04_10m.tif"
JULY = ROOT / "src/opstac/sampledata/s2-flanders_2021-07_10m.tif"
EMPTY = ROOT / "tests/data/rasters/all-nodata_s2-flanders_2020-12.tif"
NAIP = ROOT / "src/opstac/sampledata/naip_north-dakota_2019-09-04.tif"
BANDS = {"blue": 1, "green": 2, "red": 3, "nir": 4, "swir16": 5, "swir22": 6}


@pytest.fixture
def change(tmp_path: Path) -> Any:
    """Run on two files; the open output."""

    def call(before: Path, after: Path, **inputs: Any) -> Any:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        sources = [
            vars(Source(name, "data", str(path)))
            for name, path in (("it_before", before), ("it_after", after))
        ]
        named = {"before_item_id": "it_before", "after_item_id": "it_after"}
        call.output = execute(
            "change_detection", {**named, **inputs}, sources, str(out), lambda f, s: None
        )[0]
        return rasterio.open(call.output["path"])

    return call


def reflectance(path: Path) -> dict[str, np.ndarray]:
    with rasterio.open(path) as file:
        values = file.read().astype(np.float64) / 10_000
        return {name: values[band - 1] for name, band in BANDS.items()}


def by_rule(
    before: dict[str, Any], after: dict[str, Any], threshold: float, bands: tuple[str, ...]
) -> np.ndarray:
    """The contract's sentence, one pixel at a time."""
    made = np.zeros(before["red"].shape, np.uint8)
    t = threshold - 1e-9
    for at in np.ndindex(made.shape):
        one = {k: float(v[at]) for k, v in before.items()}
        two = {k: float(v[at]) for k, v in after.items()}

        def ndvi(p: dict[str, float]) -> float:
            return (p["nir"] - p["red"]) / (p["nir"] + p["red"])

        def water(p: dict[str, float]) -> bool:
            if "green" in bands:
                return (p["green"] - p["nir"]) / (p["green"] + p["nir"]) > 0 and p["nir"] < 0.1
            return ndvi(p) < 0 and p["nir"] < 0.1

        def built(p: dict[str, float]) -> float:
            if "swir16" in bands:
                return (p["swir16"] - p["nir"]) / (p["swir16"] + p["nir"])
            return (p["red"] + p["nir"]) / 2

        rise = ndvi(two) - ndvi(one)
        if max([abs(rise)] + [abs(two[b] - one[b]) for b in bands]) < t:
            made[at] = 0
        elif water(one) != water(two):
            made[at] = 4
        elif rise >= t:
            made[at] = 1
        elif ndvi(two) < 0.2 and built(two) - built(one) >= t:
            made[at] = 3
        elif rise <= -t:
            made[at] = 2
    return made


@pytest.mark.proves("change_detection", "values")
@pytest.mark.parametrize(
    ("bands", "threshold"),
    [(("red", "nir"), 0.1), (("red", "nir", "swir16"), 0.05), (("green", "swir16"), 0.02)],
)
def test_classes_are_those_of_the_rule(change: Any, bands: tuple[str, ...], threshold: float):
    for before, after in ((APRIL, JULY), (JULY, JUNE), (JULY, APRIL)):
        with change(before, after, bands=list(bands), threshold=threshold) as made:
            found = made.read(1)
        wanted = by_rule(reflectance(before), reflectance(after), threshold, bands)
        assert (found == wanted).all()
        assert set(np.unique(found)) >= {0, 1, 2}


def test_each_class_occurs_with_the_default_bands(change: Any, make: Any):
    # red and nir of one pixel a class, stored as hundredths of a percent
    before = np.array([[[3000, 3000, 500, 1000, 900]], [[3100, 3100, 4000, 1200, 3000]]], "uint16")
    after = np.array([[[3000, 500, 3000, 2500, 900]], [[3100, 4000, 3100, 2800, 300]]], "uint16")
    one = make(before, "one.tif", band_names=["red", "nir"])
    two = make(after, "two.tif", band_names=["red", "nir"])
    with change(one, two) as made:
        assert made.read(1).tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.proves("change_detection", "nodata")
def test_what_is_invalid_on_either_date_has_no_data(change: Any, make: Any):
    ones = np.full((2, 3, 4), 2000, "uint16")
    before, after = ones.copy(), ones.copy()
    before[0, 0, 0] = after[1, 1, 1] = 65535  # nodata
    before[:, 2, 2] = 0  # NDVI is 0 / 0
    mask = np.full((3, 4), 255, "uint8")
    mask[2, 3] = 0
    names = ["red", "nir"]
    one = make(before, "one.tif", band_names=names, nodata=65535)
    two = make(np.minimum(after, 65534), "two.tif", band_names=names, mask=mask)
    wanted = np.zeros((3, 4), "uint8")
    wanted[[0, 2, 2], [0, 2, 3]] = 255
    with change(one, two) as made:
        found = made.read(1)
    assert found[1, 1] != 255  # 65534 is a number
    wanted[1, 1] = found[1, 1]
    assert (found == wanted).all()
    with change(one, make(after, "three.tif", band_names=names, nodata=65535)) as made:
        assert made.read(1)[1, 1] == 255


def test_scale_and_offset_come_first_and_the_file_says_so(change: Any, make: Any):
    # stored 5000 and 6000 with an offset of -0.1: NDVI of the same numbers would be smaller
    array = np.array([[[1500]], [[3500]]], "uint16")
    before = make(array, "b.tif", band_names=["red", "nir"], scales=((1e-4,) * 2, (-0.1,) * 2))
    after = make(array, "a.tif", band_names=["red", "nir"])
    with change(before, after) as made:
        # 0.05 and 0.25 before, 0.15 and 0.35 after
        assert made.read(1)[0, 0] == 2
        tags = made.tags()
    assert tags["REFLECTANCE_BEFORE"] == "scale and offset of the bands"
    assert tags["REFLECTANCE_AFTER"] == "stored integers / 10000 (red, nir)"


def test_a_difference_of_exactly_the_threshold_is_a_change(change: Any, make: Any):
    # 0.5 - 0.4 is less than 0.1 in binary
    one = make(np.full((2, 1, 1), 4000, "uint16"), "one.tif", band_names=["red", "nir"])
    two = make(np.full((2, 1, 1), 5000, "uint16"), "two.tif", band_names=["red", "nir"])
    with change(one, two, threshold=0.1) as made:
        assert made.read(1)[0, 0] == 3
    with change(one, two, threshold=0.1001) as made:
        assert made.read(1)[0, 0] == 0


def test_the_later_item_comes_onto_the_earlier_ones_grid(change: Any, tmp_path: Path):
    """gdalwarp brings it there for the comparison; it lies in degrees, and shifted."""
    far, back = tmp_path / "far.tif", tmp_path / "back.tif"
    warp = ["gdalwarp", "-q", "-overwrite", "-r", "bilinear", "-et", "0"]
    subprocess.run([*warp, "-t_srs", "EPSG:4326", "-srcnodata", "65535", JULY, far], check=True)
    with rasterio.open(JUNE) as file:
        west, south, east, north = map(str, file.bounds)
    subprocess.run(
        [*warp, "-t_srs", "EPSG:32631", "-te", west, south, east, north, "-tr", "10", "10",
         "-ot", "Float32", far, back],
        check=True,
    )  # fmt: skip
    with rasterio.open(back) as file:
        values = file.read().astype(np.float64)
    valid = (values != 65535).all(axis=0)
    after = {name: np.where(valid, values[band - 1], 1) / 10_000 for name, band in BANDS.items()}
    wanted = by_rule(reflectance(JUNE), after, 0.05, ("red", "nir"))
    mapping = {name.upper(): band for name, band in BANDS.items()}  # gdalwarp drops the names
    with change(JUNE, far, threshold=0.05, band_mapping=mapping) as made, rasterio.open(JUNE) as on:
        assert (made.crs, made.transform, made.shape) == (on.crs, on.transform, on.shape)
        found = made.read(1)
    assert valid.mean() > 0.9
    assert ((found == 255) == ~valid).mean() > 0.999
    # single precision of the interpolation moves a pixel that lies on a boundary
    assert (found[valid] == wanted[valid]).mean() > 0.998


def test_the_file_names_its_classes_and_colours(change: Any):
    with change(JULY, JUNE, output_name="Summer") as made:
        assert Path(made.name).name == "change_detection_output.tif"
        assert made.dtypes == ("uint8",) and made.nodata == 255
        assert made.descriptions == ("change",)
        assert made.colormap(1)[1] == (26, 152, 80, 255)
        tags = made.tags()
        counts = np.bincount(made.read(1).ravel(), minlength=5)
        report = cog.validate(made.name)
    assert report.valid and report.statistics
    assert [tags[f"CLASS_{n}"] for n in range(5)] == [
        "no change", "vegetation gain", "vegetation loss", "built-up gain", "water change",
    ]  # fmt: skip
    said = change.output
    assert said["name"] == "Summer" and said["categorical"]
    assert [c["value"] for c in said["classes"]] == [0, 1, 2, 3, 4]
    assert said["properties"]["change:pixels"]["vegetation gain"] == counts[1]


def test_only_the_area_is_compared(change: Any):
    with change(JUNE, JULY) as whole:
        everything, bounds = whole.read(1), whole.bounds
    from rasterio.warp import transform_bounds

    west, south, east, north = transform_bounds("EPSG:32631", "EPSG:4326", *bounds)
    w, e = west + (east - west) / 4, east - (east - west) / 4
    s, n = south + (north - south) / 4, north - (north - south) / 4
    ring = [[w, s], [e, s], [e, n], [w, s]]
    with change(JUNE, JULY, geometry={"type": "Polygon", "coordinates": [ring]}) as part:
        x, y = part.transform.c, part.transform.f
        column, row = round((x - bounds.left) / 10), round((bounds.top - y) / 10)
        found = part.read(1)
    there = everything[row : row + found.shape[0], column : column + found.shape[1]]
    inside = found != 255
    assert 0.3 < inside.mean() < 0.7
    assert (found[inside] == there[inside]).all()


def test_no_overlap_and_nothing_valid_are_said(change: Any):
    mapping = {"RED": 1, "NIR": 4}
    with pytest.raises(JobError) as error:
        change(JUNE, NAIP, band_mapping=mapping)
    assert error.value.code == "no_overlap"
    with pytest.raises(JobError, match="no pixel is valid") as error:
        change(JUNE, EMPTY)
    assert error.value.code == "no_overlap"
    far = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    with pytest.raises(JobError) as error:
        change(JUNE, JULY, geometry={"type": "Polygon", "coordinates": [far]})
    assert error.value.code == "no_overlap"


def test_an_item_against_itself_has_not_changed(tmp_path: Path):
    source = vars(Source("it_1", "data", str(JUNE)))
    inputs = {"source_item_ids": ["it_1", "it_1"]}
    (made,) = execute("change_detection", inputs, [source], str(tmp_path), lambda f, s: None)
    with rasterio.open(made["path"]) as file:
        assert not file.read(1).any()


def test_a_missing_band_is_refused_before_it_runs():
    process = discover()["change_detection"]
    names = {"band_names": ["blue", "green", "red", "nir"]}
    sources = {f"{i}/data": Source(i, "data", "", {}, names) for i in ("it_1", "it_2")}
    inputs = {"before_item_id": "it_1", "after_item_id": "it_2", "bands": ["B11"]}
    with pytest.raises(JobError, match="no swir16 band") as error:
        process.check_sources(process.check(inputs), sources)
    assert error.value.code == "band_missing"
    process.check_sources(process.check({**inputs, "bands": ["b4", "Green", "B02"]}), sources)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"before_item_id": "a"},
        {"source_item_ids": ["a"]},
        {"source_item_ids": ["a", "b", "c"]},
        {"source_item_ids": ["a", "b"], "before_item_id": "a"},
        {"source_item_ids": ["a", "b"], "threshold": 1.01},
        {"source_item_ids": ["a", "b"], "threshold": float("nan")},
        {"source_item_ids": ["a", "b"], "bands": []},
        {"source_item_ids": ["a", "b"], "bands": [1]},
        {"source_item_ids": ["a", "b"], "bands": ["x" * 101]},
        {"source_item_ids": ["a", "b"], "band_mapping": {"red": 0}},
        {"source_item_ids": ["a", "b"], "index": "NDVI"},
    ],
)
def test_inputs_that_cannot_be_are_refused(inputs: dict[str, Any]):
    with pytest.raises(ValidationError):
        discover()["change_detection"].check(inputs)


def test_the_price_is_of_the_earlier_items_area():
    process = discover()["change_detection"]
    box = {"type": "Polygon", "coordinates": [[[5, 50], [6, 50], [6, 51], [5, 51], [5, 50]]]}
    far = {"type": "Polygon", "coordinates": [[[5, 0], [6, 0], [6, 1], [5, 1], [5, 0]]]}
    typed = process.check({"source_item_ids": ["a", "b"]})
    alone = process.quantity(typed, [{"geometry": box}])
    assert process.quantity(typed, [{"geometry": box}, {"geometry": far}]) == alone > Decimal(7000)

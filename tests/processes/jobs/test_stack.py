"""Temporal composites of real, clouded scenes: against plain numpy over their scene classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError

from processes.process import JobError, Source, discover
from raster import cog

Run = Callable[..., dict[str, Any]]
DAYS = ("10", "13", "15", "18", "20")
ITEMS = {"source_item_ids": [f"it_{day}" for day in DAYS]}
HIDDEN = (0, 1, 3, 8, 9, 10)


@pytest.fixture
def dates(clouded: Any) -> list[Source]:
    """Five items of two assets."""
    made = []
    for day in DAYS:
        item = {"datetime": f"2023-08-{day}T10:00:00Z"}
        made += [
            Source(f"it_{day}", key, str(path), item)
            for key, path in zip(("data", "scl"), clouded[day], strict=True)
        ]
    return made


@pytest.fixture
def truth(clouded: Any) -> np.ma.MaskedArray:
    """(dates, bands, rows, columns), masked where there is no value or a cloud."""
    every = []
    for day in DAYS:
        bands, scl = clouded[day]
        with rasterio.open(bands) as file, rasterio.open(scl) as classes:
            values, hidden = file.read(), np.isin(classes.read(1), HIDDEN)
        hidden |= (values == 0).any(axis=0)
        every.append(np.ma.MaskedArray(values, mask=np.broadcast_to(hidden, values.shape)))
    return np.ma.stack(every)


def composite(process_on: Run, sources: list[Source], **inputs: Any) -> Any:
    output = process_on("stack", {**ITEMS, **inputs}, *sources)
    with rasterio.open(output["path"]) as file:
        values = file.read()
        assert file.nodata == 0 and file.dtypes[0] == "uint16" and file.scales[0] == 0.0001
        assert file.descriptions == ("blue", "green", "red", "nir")
    report = cog.validate(output["path"])
    assert report == cog.Report(True, (), True)
    return output, values


@pytest.mark.proves("stack", "values")
@pytest.mark.proves("stack", "nodata")
@pytest.mark.parametrize("method", ["median", "mean", "min", "max"])
def test_statistics_leave_clouds_out(
    method: str, dates: list[Source], truth: np.ma.MaskedArray, process_on: Run
):
    output, found = composite(process_on, dates, method=method)
    expected = getattr(np.ma, method)(truth.astype("float64"), axis=0)
    assert np.array_equal(found, np.where(expected.mask, 0, np.rint(expected.data)))
    assert expected.mask.any() and len(np.unique(truth.count(axis=0)[0])) >= 4
    assert output["properties"]["opstac:cloud_bands"]["it_18"]["classes"] == list(HIDDEN)


@pytest.mark.proves("stack", "values")
def test_the_highest_ndvi_gives_all_bands(
    dates: list[Source], truth: np.ma.MaskedArray, process_on: Run
):
    _, found = composite(process_on, dates, method="max_ndvi")
    red, nir = (truth[:, band].astype("float64") * 1e-4 for band in (2, 3))
    index = np.ma.filled((nir - red) / (nir + red), -np.inf)
    best = index.argmax(axis=0)  # of equal ones the first
    expected = np.take_along_axis(truth.data, best[np.newaxis, np.newaxis], 0)[0]
    nowhere = np.isneginf(index).all(axis=0)
    assert np.array_equal(found, np.where(nowhere, 0, expected))
    assert len(np.unique(best[~nowhere])) >= 4


def filled(truth: np.ma.MaskedArray, order: list[int]) -> np.ndarray:
    made = np.zeros(truth.shape[1:], truth.dtype)
    for n in reversed(order):
        made = np.where(np.ma.getmaskarray(truth)[n], made, truth.data[n])
    return made


def test_the_least_cloudy_by_what_items_say_or_by_their_pixels(
    dates: list[Source], truth: np.ma.MaskedArray, process_on: Run, clouded: Any
):
    output, found = composite(process_on, dates, method="least_cloudy")
    shares = []
    for day in DAYS:
        with rasterio.open(clouded[day][1]) as file:
            classes = file.read(1)
        shares.append(100 * np.isin(classes[classes > 0], HIDDEN).mean())
    order = list(np.argsort(shares, kind="stable"))
    assert np.array_equal(found, filled(truth, order))
    said = output["properties"]["opstac:cloud_percent"]
    assert list(said) == [f"it_{DAYS[n]}" for n in order]
    assert list(said.values()) == pytest.approx(sorted(shares), abs=1e-3)
    covers = {"it_10": 1.0, "it_13": 2, "it_15": 9.5, "it_18": 0.0, "it_20": 50}
    stated = [
        Source(s.item_id, s.asset_key, s.path, {**s.item, "cloud_cover": covers[s.item_id]})
        for s in dates
    ]
    _, found = composite(process_on, stated, method="least_cloudy")
    assert np.array_equal(found, filled(truth, [3, 0, 1, 2, 4]))


def test_without_masks_clouds_are_part_of_it(dates: list[Source], process_on: Run, clouded: Any):
    _, found = composite(process_on, dates, method="newest", cloud_mask="none")
    with rasterio.open(clouded["20"][0]) as newest, rasterio.open(clouded["18"][0]) as next_one:
        first, second = newest.read(), next_one.read()
    assert np.array_equal(found, np.where((first == 0).any(axis=0), second, first))


def test_own_classes_and_a_part(dates: list[Source], truth: np.ma.MaskedArray, process_on: Run):
    with rasterio.open(dates[0].path) as file:
        left, bottom, right, top = file.bounds
    inputs = {"crs": "EPSG:32633", "bounds": [left + 1200, bottom, right, top - 2400]}
    _, found = composite(process_on, dates, method="median", **inputs)
    expected = np.ma.median(truth.astype("float64"), axis=0)[:, 20:, 10:]
    assert np.array_equal(found, np.where(expected.mask, 0, np.rint(expected.data)))
    _, all_but_vegetation = composite(process_on, dates, method="max", mask_classes=[4])
    assert not np.array_equal(all_but_vegetation[:, 20:, 10:], found)


def test_quality_of_another_resolution_and_system(
    dates: list[Source], truth: np.ma.MaskedArray, process_on: Run, gdal: Any, tmp_path: Path
):
    """Scene classes in degrees, twice as fine: nearly the same composite."""
    moved = []
    for source in dates:
        path = Path(source.path)
        if source.asset_key == "scl":
            path = tmp_path / path.name
            gdal("gdalwarp", "-q", "-t_srs", "EPSG:4326", "-tr", "0.0007", "0.0005",
                 "-r", "near", source.path, path)  # fmt: skip
        moved.append(Source(source.item_id, source.asset_key, str(path), source.item))
    _, found = composite(process_on, moved, method="median")
    expected = np.ma.median(truth.astype("float64"), axis=0)
    expected = np.where(expected.mask, 0, np.rint(expected.data))
    # of the finer classes any hides, so edges of clouds grow a little
    assert ((found == expected).all(axis=0)).mean() > 0.75
    assert ((found == 0) & (expected != 0)).mean() < 0.03


def test_what_no_run_can_do_is_known_before():
    process = discover()["stack"]
    names = {"band_names": ["blue", "green"]}
    scl = {"band_names": ["SCL"]}
    given = {
        "it_1/data": Source("it_1", "data", "", {}, names),
        "it_1/scl": Source("it_1", "scl", "", {}, scl),
        "it_2/data": Source("it_2", "data", "", {}, names),
    }
    base = {"source_item_ids": ["it_1", "it_2"]}
    for inputs, code in (
        ({"method": "max_ndvi"}, "band_missing"),
        ({"method": "least_cloudy"}, "invalid_inputs"),
        ({"cloud_mask": "required"}, "band_missing"),
        ({"mask_asset_key": "scl"}, "band_missing"),
        ({"mask_classes": [3]}, "band_missing"),
    ):
        with pytest.raises(JobError) as error:
            process.check_sources(process.check(base | inputs), given)
        assert error.value.code == code, inputs
    process.check_sources(process.check(base), given)


@pytest.mark.parametrize(
    "inputs",
    [
        {"method": "first"},
        {"cloud_mask": True},
        {"mask_classes": []},
        {"mask_bits": [40]},
        {"source_item_ids": None},
        {"extra": 1},
    ],
)
def test_what_cannot_be_is_refused_at_the_door(inputs: dict[str, Any]):
    with pytest.raises(ValidationError):
        discover()["stack"].check({**ITEMS, **inputs})

"""Methods through time: time_series, point_series, phenology."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform as transform_points

from processes.analysis import series
from processes.method import MethodError
from processes.methods.phenology import season

DATES = ["2020-11-01", *(f"2021-{month:02}-01" for month in range(2, 11))]


def stack(path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(masked=True).astype(np.float64).filled(np.nan)


def at_pixel(path, column: int, row: int) -> list[float]:
    with rasterio.open(path) as file:
        x, y = file.transform * (column + 0.5, row + 0.5)
        lon, lat = transform_points(file.crs, "EPSG:4326", [x], [y])
    return [lon[0], lat[0]]


@pytest.mark.proves("time_series", "value")
def test_bands_that_are_times_make_a_series(run, files, truth):
    values = stack(files["stack"])
    named = truth.item(files["stack"], band_names=DATES, band_count=10)
    cube = truth.item(files["stack"], band_count=10)
    cube["properties"] = {"cube:dimensions": {"t": {"type": "temporal", "values": DATES}}}
    for item in (named, cube):
        answer = run("time_series", [item], item_id="it_a", statistic="mean")
        assert [row["datetime"][:10] for row in answer["series"]] == DATES
        found = [row["value"] for row in answer["series"]]
        assert np.allclose(found, np.nanmean(values, axis=(1, 2)), atol=1e-6)
    days = (np.array(DATES, "datetime64[D]") - np.datetime64(DATES[0])).astype(float)
    slope = np.polyfit(days, found, 1)[0]
    assert math.isclose(answer["summary"]["slope_per_day"], slope, rel_tol=1e-6)
    assert answer["summary"]["n"] == 10 and answer["summary"]["longest_gap_days"] == 92
    point = {"type": "Point", "coordinates": at_pixel(files["stack"], 33, 44)}
    answer = run("time_series", [named], item_id="it_a", geometry=point, start="2021-03-01",
                 end="2021-05-01", expression="b1 * 2")  # fmt: skip
    found = [row["value"] for row in answer["series"]]
    assert np.allclose(found, 2 * values[2:5, 44, 33], atol=1e-6)


@pytest.mark.proves("time_series", "validity")
def test_dates_without_enough_valid_pixels_are_gaps(run, files, truth, holed):
    items = [
        truth.item(files["empty"], "it_0", "2020-12-01T00:00:00Z"),
        truth.item(holed(files["april"]), "it_1", "2021-04-01T00:00:00Z"),
        truth.item(files["july"], "it_2", "2021-07-01T00:00:00Z"),
    ]
    given = {"item_ids": ["it_2", "it_0", "it_1"], "index_name": "NDVI"}
    answer = run("time_series", items, **given)
    assert [row["item_id"] for row in answer["series"]] == ["it_1", "it_2"]
    assert [gap["item_id"] for gap in answer["gaps"]] == ["it_0"]
    assert [row["valid_percent"] for row in answer["series"]] == [65.0, 100.0]
    assert [r["item_id"] for r in answer["results"]] == given["item_ids"]
    assert "error" in answer["results"][1]
    answer = run("time_series", items, min_valid_percent=80, **given)
    assert [row["item_id"] for row in answer["series"]] == ["it_2"]
    assert "65.0 %" in answer["gaps"][1]["reason"]
    with pytest.raises(MethodError) as refusal:
        run("time_series", items[:1], item_id="it_0", band=1)
    assert refusal.value.code == "no_valid_pixel"
    with pytest.raises(MethodError) as refusal:
        run("time_series", items, start="2030-01-01", **given)
    assert refusal.value.code == "no_valid_pixel"


@pytest.mark.proves("point_series", "value")
def test_each_point_has_the_series_of_its_pixel(run, files, truth):
    values = stack(files["stack"])
    item = truth.item(files["stack"], band_names=DATES, band_count=10)
    pixels = [(3, 5), (99, 0), (50, 77)]
    places = {"type": "MultiPoint", "coordinates": [at_pixel(files["stack"], *p) for p in pixels]}
    answer = run("point_series", [item], item_id="it_a", geometry=places)
    for (column, row), found in zip(pixels, answer["points"], strict=True):
        assert np.allclose([r["value"] for r in found["series"]], values[:, row, column], atol=1e-6)


@pytest.mark.proves("point_series", "validity")
def test_points_in_holes_and_outside_have_gaps(run, files, truth, holed):
    path = holed(files["april"])
    items = [
        truth.item(path, "it_1", "2021-04-01"),
        truth.item(files["july"], "it_2", "2021-07-01"),
    ]
    given = {"item_ids": ["it_1", "it_2"], "band": "nir"}
    places = {"type": "MultiPoint", "coordinates": [at_pixel(path, 30, 20), [0, 0]]}
    answer = run("point_series", items, geometry=places, **given)
    inside, outside = answer["points"]
    assert [row["item_id"] for row in inside["series"]] == ["it_2"]
    assert [gap["item_id"] for gap in inside["gaps"]] == ["it_1"]
    assert outside["series"] == [] and outside["summary"]["mean"] is None
    for at, kind in (([0, 0], "no_overlap"), (at_pixel(path, 30, 20), "no_valid_pixel")):
        with pytest.raises(MethodError) as refusal:
            run("point_series", items[:1], item_id="it_1", band="nir",
                geometry={"type": "Point", "coordinates": at})  # fmt: skip
        assert refusal.value.code == kind


@pytest.mark.proves("phenology", "value")
def test_the_season_of_a_real_stack(run, files, truth):
    item = truth.item(files["stack"], band_names=DATES, band_count=10)
    answer = run("phenology", [item], item_id="it_a", amplitude_fraction=0.5)
    level = np.nanmean(stack(files["stack"]), axis=(1, 2))
    days = (np.array(DATES, "datetime64[D]") - np.datetime64(DATES[0])).astype(float)
    peak = int(level.argmax())
    found = answer["season"]
    assert found["peak"][:10] == DATES[peak]
    # by a fine grid instead of by crossing lines
    fine = np.arange(0, days[-1], 0.01)
    curve = np.interp(fine, days, level)
    low = level[: peak + 1].min()
    rising = fine[(fine <= days[peak]) & (curve < low + 0.5 * (level[peak] - low))].max()
    start = (
        series.parse_time(found["start"]) - series.parse_time(DATES[0])
    ).total_seconds() / 86400
    assert math.isclose(start, rising, abs_tol=0.05)
    assert math.isclose(found["peak_value"], level[peak], abs_tol=1e-6)


@pytest.mark.proves("phenology", "validity")
def test_a_season_needs_dates_with_values(run, files, truth, holed):
    paths = [files["empty"], holed(files["april"]), files["june"], files["july"]]
    items = [truth.item(p, f"it_{n}", f"2021-0{n + 3}-01") for n, p in enumerate(paths)]
    with pytest.raises(MethodError, match="there are 3") as refusal:
        run("phenology", items, item_ids=[i["id"] for i in items], index_name="NDVI")
    assert refusal.value.code == "invalid_params"
    more = [*items, truth.item(files["july"], "it_8", "2021-08-01"),
            truth.item(files["april"], "it_9", "2021-09-01")]  # fmt: skip
    answer = run("phenology", more, item_ids=[i["id"] for i in more], index_name="NDVI")
    assert len(answer["series"]) == 5 and len(answer["gaps"]) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=5, max_size=20), st.floats(0.1, 0.9))
def test_a_season_lies_round_its_peak(values, fraction):
    times = [
        series.parse_time(f"2021-{1 + n // 28:02}-{1 + n % 28:02}") for n in range(len(values))
    ]
    found = season(times, values, fraction)
    peak = series.parse_time(found["peak"])
    assert values[times.index(peak)] == max(values)
    if found["start"]:
        assert series.parse_time(found["start"]) <= peak
    if found["end"]:
        assert series.parse_time(found["end"]) >= peak
    if found["length_days"] is not None:
        assert found["length_days"] >= 0
        assert found["integral"] >= -1e-9

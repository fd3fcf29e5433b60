"""Reprojection: the pixels of gdalwarp on real files, and what has no value stays without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError
from rasterio.enums import ColorInterp

from processes import engine, target
from processes.analysis import align
from processes.process import JobError, Source, discover
from raster import cog

ITEM = {"source_item_id": "it_1"}
Run = Callable[..., dict[str, Any]]


def source(path: Path, key: str = "data", **asset: Any) -> Source:
    return Source("it_1", key, str(path), {}, asset)


def peer(gdal: Any, path: Path, made: Any, out: Path, method: str, *more: Any) -> np.ndarray:
    """gdalwarp onto the same grid, from full resolution, to the exact place."""
    left, bottom, right, top = made.bounds
    gdal(
        "gdalwarp", "-q", "-overwrite", "-ovr", "NONE", "-et", "0", "-r", method,
        "-t_srs", made.crs.to_string(),
        "-te", repr(left), repr(bottom), repr(right), repr(top),
        "-ts", made.width, made.height, *more, path, out,
    )  # fmt: skip
    with rasterio.open(out) as file:
        return file.read(masked=True)


@pytest.mark.proves("reproject", "values")
@pytest.mark.parametrize(
    ("name", "crs", "resolution", "method"),
    [
        ("june", "EPSG:3035", 10, "nearest"),
        ("june", "EPSG:3035", 10, "bilinear"),
        ("june", "EPSG:4326", [1.2e-4, 8e-5], "cubic"),
        ("june", "EPSG:3857", 50, "average"),
        ("naip", "EPSG:32615", 5, "bilinear"),
        ("naip", "EPSG:26914", 12.5, "cubic"),
        ("scaled", "EPSG:4326", None, "bilinear"),
    ],
)
def test_pixels_are_those_of_gdalwarp(
    name: str, crs: str, resolution: Any, method: str, rasters: Any, process_on: Run, gdal: Any,
    tmp_path: Path,
):  # fmt: skip
    inputs = {**ITEM, "crs": crs, "resampling": method}
    if resolution:
        inputs["resolution"] = resolution
    output = process_on("reproject", inputs, source(rasters[name]))
    assert cog.validate(output["path"]) == cog.Report(True, (), True)
    with rasterio.open(output["path"]) as made, rasterio.open(rasters[name]) as given:
        ours = made.read(masked=True)
        assert made.crs.to_string() == crs
        assert (made.dtypes, made.nodata, made.descriptions, made.scales, made.offsets) == (
            given.dtypes, given.nodata, given.descriptions, given.scales, given.offsets,
        )  # fmt: skip
        # gdalwarp widens kernels by the ratio of its chunks, which depends on their number
        across, down = align._ratios(given, made)
        scale = ("-wo", f"XSCALE={across!r}", "-wo", f"YSCALE={down!r}")
        theirs = peer(gdal, rasters[name], made, tmp_path / "peer.tif", method, *scale)
        spread = float(np.std(given.read(masked=True).astype("float64")))
    both = ~np.ma.getmaskarray(ours) & ~np.ma.getmaskarray(theirs)
    either = ~np.ma.getmaskarray(ours) | ~np.ma.getmaskarray(theirs)
    assert both.sum() > 0.97 * either.sum() > 1000
    off = np.abs(ours.data[both].astype("float64") - theirs.data[both])
    # our places are within a thousandth of a pixel; whole numbers are rounded by both
    if method == "nearest":
        assert (off > 0).mean() < 3e-3
    else:
        assert np.percentile(off, 99) <= max(1, 0.01 * spread)
    assert output["properties"]["opstac:resampling"] == method


def test_the_same_grid_keeps_every_bit(rasters: Any, process_on: Run):
    for name in ("june", "naip", "masked", "scaled", "antimeridian"):
        output = process_on("reproject", ITEM, source(rasters[name]))
        with rasterio.open(output["path"]) as made, rasterio.open(rasters[name]) as given:
            assert (made.transform, made.crs) == (given.transform, given.crs)
            assert np.array_equal(made.read_masks(), given.read_masks())
            shown = given.read_masks() > 0
            assert np.array_equal(made.read()[shown], given.read()[shown])
        assert output["properties"]["opstac:resampling"] == "none"
        Path(output["path"]).unlink()


@pytest.mark.proves("reproject", "nodata")
def test_what_has_no_value_takes_no_part(process_on: Run, make: Any, gdal: Any, tmp_path: Path):
    values = np.full((1, 60, 60), 1000, "int16")
    values[:, 20:30, 20:30] = -32768
    path = make(values, nodata=-32768)
    output = process_on(
        "reproject", {**ITEM, "crs": "EPSG:3857", "resampling": "bilinear"}, source(path)
    )
    with rasterio.open(output["path"]) as made:
        ours = made.read(1, masked=True)
        theirs = peer(gdal, path, made, tmp_path / "peer.tif", "bilinear")[0]
    assert (ours.compressed() == 1000).all() and made.nodata == -32768
    assert (ours.mask == theirs.mask).mean() > 0.995
    assert ours.mask[ours.shape[0] * 5 // 12, ours.shape[1] * 5 // 12]


def test_without_a_nodata_value_an_internal_mask_or_nan_hides(
    rasters: Any, process_on: Run, make: Any, gdal: Any, tmp_path: Path
):
    inputs = {**ITEM, "crs": "EPSG:4326", "resampling": "nearest"}
    output = process_on("reproject", inputs, source(rasters["masked"]))
    with rasterio.open(output["path"]) as made:
        assert made.nodata is None
        assert rasterio.enums.MaskFlags.per_dataset in made.mask_flag_enums[0]
        ours = made.read_masks(1) > 0
        theirs = peer(gdal, rasters["masked"], made, tmp_path / "p.tif", "nearest", "-dstalpha")
    assert (ours == (theirs.data[-1] > 0)).mean() > 0.995 and 0.3 < ours.mean() < 0.99
    Path(output["path"]).unlink()
    plain = make(np.ones((2, 40, 40), "float32"))
    output = process_on("reproject", inputs, source(plain))
    with rasterio.open(output["path"]) as made:
        assert np.isnan(made.nodata) and np.isnan(made.read(1)).any()
        assert np.nanmin(made.read()) == 1 == np.nanmax(made.read())


def test_an_alpha_band_stays_one(process_on: Run, make: Any):
    array = np.zeros((4, 50, 50), "uint8")
    array[:3], array[3, 10:40, 10:40] = 90, 255
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    path = make(array, colors=colors)
    output = process_on("reproject", {**ITEM, "crs": "EPSG:3857"}, source(path))
    assert output["band_names"] == ["", "", ""] or output["band_names"] == ("", "", "")
    with rasterio.open(output["path"]) as made:
        assert made.colorinterp == colors and made.nodata is None
        values = made.read()
        shown = values[3] > 0
        assert (values[:3][:, shown] == 90).all() and not values[:, ~shown].any()
        assert 0.3 < shown.mean() < 0.45


def test_classes_and_palettes_are_never_mixed(rasters: Any, process_on: Run, data: Path):
    path = data / "modis-ndvi-global_0.4deg.tif"
    inputs = {**ITEM, "crs": "EPSG:3857", "resolution": 100_000}
    output = process_on("reproject", inputs, source(path))
    with rasterio.open(output["path"]) as made, rasterio.open(path) as given:
        assert made.colormap(1) == given.colormap(1)
        assert set(np.unique(made.read(1))) <= set(np.unique(given.read(1)))
        assert abs(made.bounds.top) < 20_200_000  # cut to where web mercator is meant
    assert output["categorical"] and output["properties"]["opstac:resampling"] == "mode"
    Path(output["path"]).unlink()
    with pytest.raises(JobError, match="holds classes") as error:
        process_on("reproject", {**inputs, "resampling": "cubic"}, source(path))
    assert error.value.code == "invalid_inputs"


def test_the_antimeridian_is_crossed(rasters: Any, process_on: Run, gdal: Any, tmp_path: Path):
    inputs = {**ITEM, "crs": "EPSG:4326", "resampling": "nearest"}
    output = process_on("reproject", inputs, source(rasters["antimeridian"]))
    with rasterio.open(output["path"]) as made, rasterio.open(rasters["antimeridian"]) as given:
        assert made.bounds.left < 180 < made.bounds.right < 185
        valid = made.read(1, masked=True).count() * abs(made.transform.a * made.transform.e)
        middle = np.cos(np.radians((made.bounds.top + made.bounds.bottom) / 2))
        ground = valid * 111_320**2 * middle
        expected = given.read(1, masked=True).count() * abs(given.transform.a * given.transform.e)
        assert ground == pytest.approx(expected, rel=0.02)
        assert made.read(1, masked=True).max() == given.read(1, masked=True).max()
    assert output["geometry"]["type"] == "MultiPolygon"  # cut at 180°
    back = {**ITEM, "crs": "EPSG:32660", "resampling": "nearest"}
    far = tmp_path / "far.tif"
    Path(output["path"]).rename(far)
    again = process_on("reproject", back, source(far))
    with rasterio.open(again["path"]) as made, rasterio.open(rasters["antimeridian"]) as given:
        theirs = peer(gdal, rasters["antimeridian"], made, tmp_path / "p.tif", "nearest")[0]
        ours = made.read(1, masked=True)
    both = ~ours.mask & ~theirs.mask
    assert both.sum() > 0.96 * (~theirs.mask).sum()
    assert np.corrcoef(ours.data[both], theirs.data[both])[0, 1] > 0.9


def test_a_rotated_raster_becomes_upright(data: Path, process_on: Run, gdal: Any, tmp_path: Path):
    path = data / "rotated-30deg_naip.tif"
    output = process_on("reproject", {**ITEM, "resampling": "nearest"}, source(path))
    with rasterio.open(output["path"]) as made:
        assert made.transform.b == 0 and made.transform.a == pytest.approx(5)
        assert made.bounds.left % made.transform.a == pytest.approx(0, abs=1e-6)
        theirs = peer(gdal, path, made, tmp_path / "p.tif", "nearest")
        ours = made.read(masked=True)
    assert (ours.mask == theirs.mask).mean() > 0.995
    both = ~np.ma.getmaskarray(ours) & ~np.ma.getmaskarray(theirs)
    assert (ours.data[both] != theirs.data[both]).mean() < 5e-3


def test_bounds_and_resolution_are_kept_as_they_are(rasters: Any, process_on: Run, gdal: Any):
    with rasterio.open(rasters["june"]) as file:
        left, bottom, right, top = file.bounds
    bounds = [left + 103, bottom + 51, right - 107, top - 51]
    inputs = {**ITEM, "crs": "EPSG:32631", "bounds": bounds, "resolution": [20, 10]}
    output = process_on("reproject", inputs, source(rasters["june"]))
    with rasterio.open(output["path"]) as made:
        assert (made.bounds.left, made.bounds.top) == (bounds[0], bounds[3])
        assert made.transform.a == 20 and made.transform.e == -10
        assert made.width == int((bounds[2] - bounds[0]) / 20 + 0.5)
    Path(output["path"]).unlink()
    # without a resolution: the item's own pixels around the bounds
    output = process_on("reproject", {**inputs, "resolution": None}, source(rasters["june"]))
    with rasterio.open(output["path"]) as made, rasterio.open(rasters["june"]) as file:
        window = rasterio.windows.from_bounds(*made.bounds, transform=file.transform)
        assert np.array_equal(made.read(), file.read(window=window.round()))
        assert made.bounds.left == left + 100 and made.bounds.right == right - 100
    Path(output["path"]).unlink()
    for beside in ([0, 0, 100, 100], [left - 90_000, bottom, left - 80_000, top]):
        with pytest.raises(JobError) as error:
            process_on("reproject", {**inputs, "bounds": beside}, source(rasters["june"]))
        assert error.value.code == "no_overlap"


def test_a_nodata_value_of_ones_own_is_no_value(process_on: Run, make: Any):
    path = make(np.full((1, 30, 30), 7, "uint8"))
    inputs = {**ITEM, "crs": "EPSG:3857", "nodata": 7}
    output = process_on("reproject", inputs, source(path))
    with rasterio.open(output["path"]) as made:
        assert made.nodata == 7
        assert set(np.unique(made.read(1))) == {7, 8}  # what was 7 moves aside, as with gdalwarp
    process = discover()["reproject"]
    known = {"data": source(path, bands=[{"dtype": "uint8"}])}
    for nodata in (-1, 256, 0.5):
        with pytest.raises(JobError, match="no number of type uint8"):
            process.check_sources(process.check({**ITEM, "nodata": nodata}), known)


def test_whole_numbers_beyond_float32_and_overshoot(process_on: Run, make: Any):
    path = make(np.full((1, 30, 30), 2**31 - 2, "int32"), nodata=-1)
    output = process_on("reproject", {**ITEM, "crs": "EPSG:3857"}, source(path))
    with rasterio.open(output["path"]) as made:
        assert set(np.unique(made.read(1))) == {-1, 2**31 - 2}
    Path(output["path"]).unlink()
    steps = np.where(np.indices((1, 60, 60))[2] < 30, 0, 255).astype("uint8")
    inputs = {**ITEM, "crs": "EPSG:3857", "resampling": "lanczos"}
    output = process_on("reproject", inputs, source(make(steps)))
    with rasterio.open(output["path"]) as made:
        shown = made.read(1, masked=True).compressed()
        low, high = (shown < 100).sum(), (shown > 155).sum()
    assert abs(low - high) < 0.2 * len(shown)  # nothing wrapped around


async def test_threads_and_children_give_the_same_bytes(rasters: Any, tmp_path: Path):
    made = []
    for threads in ("1", "2"):
        out = tmp_path / threads
        out.mkdir()
        inputs = {**ITEM, "crs": "EPSG:3857", "resolution": 4}
        env = {"OPSTAC_BLOCK_THREADS": threads}
        (output,) = await asyncio.wait_for(
            engine.run("reproject", inputs, [source(rasters["june"])], out, env=env), 60
        )
        made.append(Path(str(output.path)).read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "inputs",
    [
        {"crs": "EPSG:0"},
        {"crs": "EPSG:4978"},  # geocentric
        {"crs": "EPSG:5773"},  # heights
        {"crs": "+proj=utm"},
        {"crs": "EPSG:4326\0"},
        {"crs": "EPSG:" + "9" * 50},
        {"resolution": 0},
        {"resolution": -1},
        {"resolution": float("nan")},
        {"resolution": [1]},
        {"resolution": [1, 2, 3]},
        {"bounds": [0, 0, 1, 1]},
        {"bounds": [0, 0, 1, 0], "crs": "EPSG:4326"},
        {"bounds": [10, 0, 5, 1], "crs": "EPSG:3857"},
        {"bounds": [0, 0, 1e6, 1e6], "crs": "EPSG:3857", "resolution": 0.01},
        {"resampling": "sum"},
        {"nodata": float("inf")},
        {"geometry": {"type": "Point", "coordinates": [0, 0]}},
        {"source_item_id": ""},
        {"extra": 1},
    ],
)
def test_what_cannot_be_is_refused_at_the_door(inputs: dict[str, Any]):
    with pytest.raises(ValidationError):
        discover()["reproject"].check({**ITEM, **inputs})


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"resolution": 0.001}, "invalid_inputs"),
        ({"resolution": 1e-300}, "invalid_inputs"),
        ({"crs": "EPSG:4326", "resolution": 5e-324}, "invalid_inputs"),
        ({"resolution": 1e7}, "invalid_inputs"),
        ({"crs": "EPSG:32631", "bounds": [8e8, 8e8, 9e8, 9e8], "resolution": 1e6}, "no_overlap"),
        ({"crs": "EPSG:32760"}, None),
    ],
)
def test_a_grid_that_no_run_makes_is_refused_before_the_run(
    rasters: Any, process_on: Run, inputs: dict[str, Any], code: str | None
):
    """What is known of the asset's grid is enough, and says no more than the run does."""
    process = discover()["reproject"]
    with rasterio.open(rasters["june"]) as file:
        known = {"epsg": file.crs.to_epsg(), "transform": list(file.transform)[:6],
                 "width": file.width, "height": file.height}  # fmt: skip
    given = process.check({**ITEM, **inputs})
    if code is None:
        process.check_sources(given, {"data": source(rasters["june"], **known)})
        return
    for ask in (
        lambda: process.check_sources(given, {"data": source(rasters["june"], **known)}),
        lambda: process_on("reproject", {**ITEM, **inputs}, source(rasters["june"])),
    ):
        with pytest.raises(JobError) as error:
            ask()
        assert error.value.code == code
    process.check_sources(given, {"data": source(rasters["june"])})  # may lie anywhere


def test_the_price_is_of_the_ground_within_bounds_and_area():
    process = discover()["reproject"]
    box = {"type": "Polygon", "coordinates": [[[5, 50], [6, 50], [6, 51], [5, 51], [5, 50]]]}
    half = {"type": "Polygon", "coordinates": [[[5, 50], [5.5, 50], [5.5, 51], [5, 51], [5, 50]]]}
    item = {"geometry": box}
    whole = process.quantity(process.check(ITEM), [item])
    bounded = {"crs": "EPSG:4326", "bounds": [5, 50, 5.5, 60]}
    parts = [
        process.quantity(process.check({**ITEM, **inputs}), [item])
        for inputs in (bounded, {"geometry": half}, {**bounded, "geometry": half})
    ]
    assert all(float(part) == pytest.approx(float(whole) / 2, rel=1e-3) for part in parts)
    across = {"crs": "EPSG:4326", "bounds": [179, 0, -179, 1]}
    wide = {"type": "Polygon", "coordinates": [[[-180, 0], [-178, 0], [-178, 1], [-180, 1],
            [-180, 0]]]}  # fmt: skip
    found = process.quantity(process.check({**ITEM, **across}), [{"geometry": wide}])
    assert float(found) == pytest.approx(111.3 * 110.6, rel=0.01)
    assert target.system("epsg:4326") == target.system("EPSG:4326")

"""Mosaics: the pixels of gdalwarp and numpy where real items overlap, in one CRS and in several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError
from rasterio.transform import from_origin

from processes.process import JobError, Source, discover
from raster import cog

Run = Callable[..., dict[str, Any]]


def named(paths: Sequence[Path], days: Sequence[str] = (), **asset: Any) -> list[Source]:
    """An item for each path; `days` of August 2023 say when."""
    items = [{"datetime": f"2023-08-{day}T10:00:00Z"} for day in days] or [{}] * len(paths)
    return [
        Source(f"it_{n}", "data", str(path), item, asset)
        for n, (path, item) in enumerate(zip(paths, items, strict=True))
    ]


def ids(sources: Sequence[Source]) -> dict[str, list[str]]:
    return {"source_item_ids": list(dict.fromkeys(s.item_id for s in sources))}


def cut(gdal: Any, path: Path, out: Path, *window: int) -> Path:
    """A part of a file as gdal_translate cuts it: column, row, columns, rows."""
    gdal("gdal_translate", "-q", "-srcwin", *window, path, out)
    return out


@pytest.fixture
def parts(clouded: Any, gdal: Any, tmp_path: Path) -> list[Path]:
    """Three pieces of three dates that overlap."""
    windows = {"13": (0, 0, 100, 90), "18": (60, 40, 100, 90), "20": (20, 70, 110, 90)}
    return [
        cut(gdal, clouded[day][0], tmp_path / f"part{day}.tif", *window)
        for day, window in windows.items()
    ]


@pytest.mark.proves("mosaic", "values")
@pytest.mark.parametrize(
    ("method", "order"),
    # gdalwarp keeps what comes last
    [("first", (2, 1, 0)), ("last", (0, 1, 2)), ("newest", (2, 0, 1)), ("oldest", (1, 0, 2))],
)
def test_choices_are_those_of_gdalwarp(
    method: str, order: Any, parts: list[Path], process_on: Run, gdal: Any, tmp_path: Path
):
    sources = named(parts, ("15", "20", "10"))
    output = process_on("mosaic", {**ids(sources), "method": method}, *sources)
    with rasterio.open(output["path"]) as made:
        ours = made.read()
        left, bottom, right, top = made.bounds
        assert made.nodata == 0 and made.dtypes[0] == "uint16"
        assert made.descriptions == ("blue", "green", "red", "nir")
        assert made.scales == (0.0001,) * 4
    peer = tmp_path / "peer.tif"
    gdal("gdalwarp", "-q", "-wo", "UNIFIED_SRC_NODATA=YES", *(parts[n] for n in order), peer)
    with rasterio.open(peer) as file:
        assert (left, bottom, right, top) == tuple(file.bounds)
        assert np.array_equal(ours, file.read())
    assert cog.validate(output["path"]) == cog.Report(True, (), True)
    assert output["properties"]["opstac:method"] == method
    assert output["properties"]["opstac:resampling"] == ["none"]


@pytest.mark.proves("mosaic", "nodata")
@pytest.mark.parametrize("method", ["mean", "median", "min", "max"])
def test_statistics_are_those_of_what_is_valid(
    method: str, parts: list[Path], process_on: Run, clouded: Any
):
    sources = named(parts)
    output = process_on("mosaic", {**ids(sources), "method": method}, *sources)
    with rasterio.open(output["path"]) as made:
        ours, place, shape = made.read(), made.transform, made.shape
    every = np.ma.masked_all((3, 4, *shape), "float64")
    for layer, path in zip(every, parts, strict=True):
        with rasterio.open(path) as file:
            column = round((file.transform.c - place.c) / 120)
            row = round((place.f - file.transform.f) / 120)
            values = file.read(masked=True)
            values[:, np.ma.getmaskarray(values).any(axis=0)] = np.ma.masked
            layer[:, row : row + file.height, column : column + file.width] = values
    expected = getattr(np.ma, method)(every, axis=0)
    expected = np.where(np.ma.getmaskarray(expected), 0, np.rint(expected.data))
    assert np.array_equal(ours, expected)
    count = every.count(axis=0)
    assert {0, 1, 2, 3} <= set(np.unique(count))


def test_items_of_other_systems_come_onto_the_grid_of_the_first(
    parts: list[Path], process_on: Run, gdal: Any, tmp_path: Path
):
    far = tmp_path / "far.tif"
    gdal("gdalwarp", "-q", "-t_srs", "EPSG:4326", "-r", "near", parts[1], far)
    plain = named(parts[:2])
    mapped = [plain[0], Source("it_1", "data", str(far), {}, {"band_names": list("abcd")})]
    inputs = {**ids(plain), "method": "first", "resampling": "nearest", "bands": [1, 2, 3, 4]}
    outputs = []
    for sources in (plain, mapped):
        with rasterio.open(process_on("mosaic", inputs, *sources)["path"]) as made:
            outputs.append((made.crs, made.transform.a, made.bounds, made.read()))
    (crs, side, bounds, one), (other_crs, other_side, other_bounds, two) = outputs
    assert crs == other_crs and side == other_side == 120
    column = round((bounds.left - other_bounds.left) / 120)
    row = round((other_bounds.top - bounds.top) / 120)
    two = two[:, row : row + one.shape[1], column : column + one.shape[2]]
    # what the first item shows is the same to the bit, the rest has been moved twice
    with rasterio.open(parts[0]) as file:
        assert np.array_equal(two[:, : file.height, : file.width], file.read())
    both = (one[0] > 0) & (two[0] > 0)
    assert both.sum() > 0.97 * (one[0] > 0).sum()
    assert np.corrcoef(one[0][both], two[0][both])[0, 1] > 0.95


def test_a_given_grid_and_area(parts: list[Path], process_on: Run):
    sources = named(parts)
    inputs = {
        **ids(sources), "crs": "EPSG:3857", "resolution": 200,
        "bounds": [1_690_000, 5_840_000, 1_700_000, 5_850_000],
        "geometry": {"type": "Polygon", "coordinates": [
            [[15.2, 46.35], [15.25, 46.35], [15.25, 46.4], [15.2, 46.35]]]},
    }  # fmt: skip
    output = process_on("mosaic", inputs | {"method": "first"}, *sources)
    with rasterio.open(output["path"]) as made:
        assert made.crs.to_epsg() == 3857 and made.transform.a == 200
        assert made.bounds.left >= 1_690_000 and made.bounds.top <= 5_850_000
        shown = made.read_masks(1) > 0
        assert 0.1 < shown.mean() < 0.9
    assert output["properties"]["opstac:resampling"] == ["bilinear"]


def test_items_of_several_types_and_scales_become_float32(process_on: Run, make: Any):
    place = from_origin(500_200, 5_400_000, 10, 10)
    one = make(np.full((1, 20, 20), 2000, "uint16"), "a.tif", scales=((1e-4,), (-0.1,)), nodata=0)
    two = make(np.full((1, 20, 20), 0.3, "float32"), "b.tif", transform=place)
    output = process_on("mosaic", {**ids(named([one, two])), "method": "first"}, *named([one, two]))
    with rasterio.open(output["path"]) as made:
        assert made.dtypes == ("float32",) and made.scales == (1.0,) and np.isnan(made.nodata)
        assert made.read(1)[5].tolist() == pytest.approx([0.1] * 20 + [0.3] * 20)


def test_masks_and_alpha_hide(process_on: Run, make: Any):
    mask = np.full((20, 20), 255, "uint8")
    mask[:, :10] = 0
    one = make(np.full((1, 20, 20), 5, "uint8"), "a.tif", mask=mask)
    two = make(np.full((1, 20, 10), 9, "uint8"), "b.tif")
    three = make(np.full((1, 5, 30), 7, "uint8"), "c.tif")
    sources = named([one, two, three])
    output = process_on("mosaic", {**ids(sources), "method": "first"}, *sources)
    with rasterio.open(output["path"]) as made:
        assert made.nodata is None and made.shape == (20, 30)
        found, shown = made.read(1), made.read_masks(1) > 0
    assert (found[:, :10] == 9).all() and (found[:, 10:20] == 5).all()
    assert (found[:5, 20:] == 7).all() and not shown[5:, 20:].any() and shown[:5].all()


def test_the_antimeridian_is_crossed(process_on: Run, make: Any):
    """Two items in degrees on both sides of 180° lie beside each other."""
    options = {"crs": "EPSG:4326", "nodata": 0}
    west = make(np.full((1, 10, 10), 1, "uint8"), "w.tif",
                transform=from_origin(179.0, 1, 0.1, 0.1), **options)  # fmt: skip
    east = make(np.full((1, 10, 10), 2, "uint8"), "e.tif",
                transform=from_origin(-180.0, 1, 0.1, 0.1), **options)  # fmt: skip
    for order, left in (((west, east), 179), ((east, west), -181)):
        sources = named(order)
        output = process_on("mosaic", {**ids(sources), "method": "first"}, *sources)
        with rasterio.open(output["path"]) as made:
            assert made.shape == (10, 20) and made.bounds.left == pytest.approx(left)
            assert made.read(1)[4].tolist() == [1] * 10 + [2] * 10
        assert output["geometry"]["type"] == "MultiPolygon"


def test_blocks_and_threads_give_the_same_bytes(
    parts: list[Path], process_on: Run, monkeypatch: pytest.MonkeyPatch
):
    sources = named(parts)
    inputs = {**ids(sources), "method": "median", "crs": "EPSG:3857", "resolution": 30}
    made = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OPSTAC_BLOCK_THREADS", threads)
        made.append(Path(process_on("mosaic", inputs, *sources)["path"]).read_bytes())
    assert made[0] == made[1]


def test_bands_by_name_over_items_of_different_order(process_on: Run, make: Any):
    one = make(np.array([[[1]], [[2]]], "uint8"), "a.tif", band_names=["red", "nir"])
    two = make(np.array([[[4]], [[3]]], "uint8"), "b.tif", band_names=["B08", "B04"],
               transform=from_origin(500_010, 5_400_000, 10, 10))  # fmt: skip
    sources = named([one, two])
    for bands, expected in ((None, [[1, 3], [2, 4]]), (["nir"], [[2, 4]])):
        inputs = {**ids(sources), "method": "first"} | ({"bands": bands} if bands else {})
        with rasterio.open(process_on("mosaic", inputs, *sources)["path"]) as made:
            assert made.read()[:, 0].tolist() == expected


def test_what_no_run_can_do_is_known_before(parts: list[Path], process_on: Run):
    process = discover()["mosaic"]
    full, short = {"band_names": ["red", "nir"]}, {"band_names": ["red"]}
    two = [Source("it_0", "data", "", {}, full), Source("it_1", "data", "", {}, short)]
    given = {f"{s.item_id}/data": s for s in two}
    base = {"source_item_ids": ["it_0", "it_1"]}
    for inputs, code in (
        ({"method": "first"}, "band_missing"),
        ({"method": "first", "bands": ["nir"]}, "band_missing"),
        ({"method": "first", "bands": [2]}, "band_missing"),
        ({"method": "first", "asset_key": "x"}, "band_missing"),
        ({"method": "newest", "bands": ["red"]}, "invalid_inputs"),  # no time
    ):
        with pytest.raises(JobError) as error:
            process.check_sources(process.check(base | inputs), given)
        assert error.value.code == code, inputs
    process.check_sources(process.check(base | {"method": "first", "bands": ["red"]}), given)
    classes = {k: Source(s.item_id, "data", "", {}, {**short, "is_categorical": True})
               for k, s in given.items()}  # fmt: skip
    with pytest.raises(JobError, match="holds classes"):
        process.check_sources(process.check(base | {"method": "mean"}), classes)
    far = {"crs": "EPSG:32633", "bounds": [0, 0, 1000, 1000], "method": "first"}
    sources = named(parts)
    grids = {"epsg": 32631, "transform": [10, 0, 5e5, 0, -10, 5.6e6], "width": 9, "height": 9}
    known = [Source(s.item_id, "data", s.path, {}, {"band_names": ["red", "nir"], **grids})
             for s in sources]  # fmt: skip
    inputs = {**ids(sources), **far}
    for ask in (
        lambda: process_on("mosaic", inputs, *sources),
        lambda: process.check_sources(
            process.check(inputs), {f"{s.item_id}/data": s for s in known}
        ),
    ):
        with pytest.raises(JobError) as error:
            ask()
        assert error.value.code == "no_overlap"


@pytest.mark.parametrize(
    "inputs",
    [
        {"source_item_ids": []},
        {"source_item_ids": ["a"] * 101},
        {"source_item_ids": [""]},
        {"source_item_ids": ["a"], "method": "sum"},
        {"source_item_ids": ["a"], "bands": []},
        {"source_item_ids": ["a"], "bands": [0]},
        {"source_item_ids": ["a"], "bands": ["x" * 101]},
        {"source_item_ids": ["a"], "bounds": [0, 0, 1, 1]},
        {"source_item_ids": ["a"], "extra": 1},
    ],
)
def test_what_cannot_be_is_refused_at_the_door(inputs: dict[str, Any]):
    with pytest.raises(ValidationError):
        discover()["mosaic"].check(inputs)


def test_the_price_counts_each_item():
    process = discover()["mosaic"]
    box = {"type": "Polygon", "coordinates": [[[5, 50], [6, 50], [6, 51], [5, 51], [5, 50]]]}
    one = process.quantity(process.check({"source_item_ids": ["a"]}), [{"geometry": box}])
    two = process.check({"source_item_ids": ["a", "b"]})
    assert process.quantity(two, [{"geometry": box}, {"geometry": box}]) == 2 * one > 7000

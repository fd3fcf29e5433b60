"""What is told before a run of areas and items that lie apart is what the run finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError
from rasterio.transform import from_origin
from rasterio.warp import transform_geom

from processes import engine
from processes.process import JobError, Source, discover
from raster.inspect import inspect

SIDE = 64
WEST, NORTH = 500_000, 5_400_000
NAMES = ["blue", "green", "red", "nir"]


def image(path: Path, east: float = 0, count: int = 4, side: int = SIDE) -> Path:
    """Noise of 640 m, so far east of the first."""
    noise = np.random.default_rng(7)
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=count, dtype="uint16", nodata=0,
        crs="EPSG:32632", transform=from_origin(WEST + east, NORTH, 640 / side, 640 / side),
    ) as file:  # fmt: skip
        file.write(noise.integers(1, 3000, (count, side, side)).astype("uint16"))
        for index, name in enumerate(NAMES[:count], start=1):
            file.set_band_description(index, name)
    return path


def source(path: Path, item: str = "it_a", key: str = "data") -> Source:
    return Source(item, key, str(path), asset=inspect(path), item={"id": item})


def square(left: float, right: float) -> dict[str, Any]:
    """From so many metres east of the first image to so many."""
    x0, x1, y0, y1 = WEST + left, WEST + right, NORTH - 500, NORTH - 100
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    return transform_geom("EPSG:32632", "EPSG:4326", {"type": "Polygon", "coordinates": [ring]})


INSIDE, ACROSS, BESIDE = square(100, 400), square(500, 900), square(700, 900)
AREAS = {"inside": INSIDE, "across": ACROSS, "beside": BESIDE}
ONE: dict[str, dict[str, Any]] = {
    "index": {"index_name": "NDVI"},
    "band_math": {"expression": "b1 + b2"},
    "ndvi": {},
    "classify": {"bands": [1, 2], "classes": 2},
    "hillshade": {},
    "slope": {},
    "aspect": {},
    "contour": {"interval": 500},
    "vectorize": {"breaks": [1500]},
    "bathymetry": {},
    "reproject": {"resolution": 20},
    "clip": {},
    "cloud_mask": {"mask_band": 1, "mask_classes": [3]},
    "pansharpen": {"pan_band": 1, "bands": [2, 3]},
    "zonal_table": {"index_names": ["NDVI"]},
}
AREA = {"clip": "aoi_geometry", "zonal_table": "zones"}


def refusals(process_id: str, inputs: dict[str, Any], sources: list[Source], out: Path) -> Any:
    """The code of the refusal before the run, and that of the run."""
    process = discover()[process_id]
    several = len({one.item_id for one in sources}) > 1
    given = {f"{s.item_id}/{s.asset_key}" if several else s.asset_key: s for s in sources}
    before = during = None
    try:
        process.check_sources(process.check(inputs), given)
    except JobError as error:
        before = error.code
    out.mkdir(exist_ok=True)
    fields = [vars(one) for one in sources]
    try:
        engine.execute(process_id, inputs, fields, str(out), lambda fraction, stage: None)
    except JobError as error:
        during = error.code
    return before, during


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("process_id", ONE)
def test_an_area_is_refused_before_the_run_as_in_it(process_id, area, tmp_path):
    name = AREA.get(process_id, "geometry")
    inputs = {"source_item_id": "it_a", name: AREAS[area], **ONE[process_id]}
    found = refusals(process_id, inputs, [source(image(tmp_path / "a.tif"))], tmp_path / "out")
    assert found == (("no_overlap",) * 2 if area == "beside" else (None, None))


@pytest.mark.parametrize("process_id", ["reproject", "mosaic", "stack"])
@pytest.mark.parametrize("east", [100, 600, 700, 90_000])
def test_bounds_beside_the_items_are_refused_before_the_run_as_in_it(process_id, east, tmp_path):
    bounds = [WEST + east, NORTH - 500, WEST + east + 200, NORTH - 100]
    grid = {"crs": "EPSG:32632", "bounds": bounds, "resolution": 10}
    one = process_id == "reproject"
    ids = {"source_item_id": "it_a"} if one else {"source_item_ids": ["it_a"]}
    more = {"stack": {"method": "median"}, "mosaic": {"method": "first"}}.get(process_id, {})
    sources = [source(image(tmp_path / "a.tif"))]
    found = refusals(process_id, {**ids, **grid, **more}, sources, tmp_path / "out")
    assert found == ((None, None) if east < 640 else ("no_overlap", "no_overlap"))


@pytest.mark.parametrize(
    ("east", "area", "refused"),
    [
        (0, None, False),
        (400, None, False),
        (640, None, True),
        (5000, None, True),
        (400, INSIDE, True),  # 100 m to 400 m of the first, which end where the second begins
        (380, INSIDE, False),
        (400, ACROSS, False),
        (300, BESIDE, True),
    ],
)
def test_items_that_lie_apart_are_not_compared(east, area, refused, tmp_path):
    sources = [
        source(image(tmp_path / "a.tif"), "it_a"), source(image(tmp_path / "b.tif", east), "it_b")
    ]  # fmt: skip
    inputs = {"before_item_id": "it_a", "after_item_id": "it_b"}
    if area is not None:
        inputs["geometry"] = area
    before, during = refusals("change_detection", inputs, sources, tmp_path / "out")
    assert during == ("no_overlap" if refused else None)
    if east == 400 and area is INSIDE:  # bare contact is left to the run
        return
    assert before == during


@pytest.mark.parametrize(
    ("process_id", "more"),
    [
        ("index", {"index_name": "NDVI"}),
        ("ndvi", {}),
        ("bathymetry", {}),
        ("classify", {"bands": ["red", "nir", "blue", "green"], "classes": 2}),
    ],
)
@pytest.mark.parametrize("east", [0, 320, 5000])
def test_bands_in_assets_that_lie_apart_are_refused(process_id, more, east, tmp_path):
    """One asset has red and blue, the other one the rest."""
    sources = []
    for key, at, names in (("left", 0, ["red", "blue"]), ("right", east, ["nir", "green"])):
        path = image(tmp_path / f"{key}.tif", at, 2)
        with rasterio.open(path, "r+") as file:
            file.descriptions = names
        sources.append(source(path, key=key))
    found = refusals(process_id, {"source_item_id": "it_a", **more}, sources, tmp_path / "out")
    assert found[0] == found[1]
    wanted = {"ndvi": {320: "grid_mismatch", 5000: "grid_mismatch"}}.get(
        process_id, {5000: "no_overlap"}
    )
    assert found[0] == wanted.get(east)


def test_every_process_with_an_area_is_asked_here():
    """A new process with a geometry has to be tried as the others are."""
    tried = {*ONE, "mosaic", "stack", "change_detection"}
    with_area = {
        name
        for name, process in discover().items()
        if {"geometry", "bounds", *AREA.values()} & process.inputs.model_fields.keys()
        and process.module.startswith("processes.")
    }
    assert with_area <= tried


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, None),
        ({"output": "masked"}, "no_overlap"),  # the other raster lies beside the area
        ({"output": "masked", "asset_keys": ["near"]}, None),
        ({"output": "masked", "asset_keys": ["scl", "far"]}, "no_overlap"),
        ({"output": "masked", "asset_keys": ["none"]}, "invalid_inputs"),
        ({"mask_asset_key": "far", "mask_classes": [3]}, "no_overlap"),
    ],
)
def test_each_raster_that_is_masked_lies_in_the_area(inputs, code, tmp_path):
    sources = [
        source(image(tmp_path / f"{key}.tif", east, count), key=key)
        for key, east, count in (("near", 0, 4), ("far", 5000, 4), ("scl", 0, 1))
    ]
    asked = {"source_item_id": "it_a", "geometry": INSIDE, "mask_asset_key": "scl", **inputs}
    assert refusals("cloud_mask", asked, sources, tmp_path / "out") == (code, code)


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"bands": ["b9"]}, "band_missing"),
        ({"bands": ["red", "swir"]}, "band_missing"),
        ({"bands": ["swir22"]}, "no_overlap"),  # it is in the other one, which lies beside
        ({"bands": ["swir22"], "zones": BESIDE}, None),
        ({"index_names": ["EVI"]}, None),
        ({"index_names": ["NBR"]}, None),
        ({"index_names": ["NDMI"]}, "band_missing"),
        ({"expressions": {"q": "1"}}, "invalid_inputs"),
        ({"expressions": {"q": "b9 + b1"}}, "band_missing"),
        ({"mask": {"band": 9, "bits": [1]}}, "band_missing"),
        ({"mask": {"asset_key": "none", "bits": [1]}}, "band_missing"),
        ({"mask": {"asset_key": "other", "bits": [1]}}, None),
        ({"asset_key": "other", "bands": [1], "zones": BESIDE}, None),
        ({"asset_key": "other", "bands": [1]}, "no_overlap"),
        ({"bands": ["swir22", 1], "zones": BESIDE}, None),
        ({"bands": [1], "zones": BESIDE}, "no_overlap"),
    ],
)
def test_what_is_measured_is_looked_for_before_the_run_as_in_it(inputs, code, tmp_path):
    sources = [source(image(tmp_path / "a.tif"))]
    path = image(tmp_path / "b.tif", 650, 1)
    with rasterio.open(path, "r+") as file:
        file.set_band_description(1, "swir22")
    sources.append(source(path, key="other"))
    if key := inputs.get("asset_key"):
        sources = [one for one in sources if one.asset_key == key]
    asked = {"source_item_id": "it_a", "zones": INSIDE, **inputs}
    assert refusals("zonal_table", asked, sources, tmp_path / "out") == (code, code)


@pytest.mark.parametrize(
    ("grid", "code"),
    [
        ({"resolution": 1000}, "invalid_inputs"),  # degrees
        ({"resolution": 360}, "invalid_inputs"),
        ({"resolution": 0.001, "bounds": [8, 40, 10, 1000]}, "schema"),
        ({"resolution": 0.001, "bounds": [-1e6, 48, 1e6, 49]}, "schema"),
        ({"crs": "IAU_2015:30100"}, "schema"),  # the Moon
        ({"crs": "EPSG:4047", "resolution": 0.0001}, None),  # a sphere
        ({"resolution": 0.0001}, None),
    ],
)
@pytest.mark.parametrize("process_id", ["reproject", "mosaic"])
def test_a_grid_beyond_the_earth_is_refused(process_id, grid, code, tmp_path):
    ids = {"source_item_id": "it_a"} if process_id == "reproject" else {"source_item_ids": ["it_a"]}
    method = {"method": "first"} if process_id == "mosaic" else {}
    asked = {**ids, **method, "crs": "EPSG:4326", **grid}
    if code == "schema":
        with pytest.raises(ValidationError):
            discover()[process_id].check(asked)
        return
    sources = [source(image(tmp_path / "a.tif"))]
    assert refusals(process_id, asked, sources, tmp_path / "out") == (code, code)


def test_the_last_pixels_may_reach_beyond_the_pole(tmp_path):
    """Edges of pixels are multiples of the resolution: there is no place there, and no mistake."""
    path = tmp_path / "pole.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=20, height=20, count=1, dtype="uint8", crs="EPSG:3413",
        transform=from_origin(-1e6, 1e6, 1e5, 1e5),
    ) as file:  # fmt: skip
        file.write(np.full((1, 20, 20), 7, "uint8"))
    asked = {"source_item_id": "it_a", "crs": "EPSG:4326", "resolution": 0.7}
    assert refusals("reproject", asked, [source(path)], tmp_path / "out") == (None, None)


@pytest.mark.parametrize(("dtype", "code"), [("uint16", "invalid_inputs"), ("int16", None)])
@pytest.mark.parametrize("process_id", ["mosaic", "stack"])
def test_nodata_is_a_number_of_what_is_stored(process_id, dtype, code, tmp_path):
    """Items of different types become fractions, which hold it."""
    one, other = image(tmp_path / "a.tif"), tmp_path / "b.tif"
    with (
        rasterio.open(one) as file,
        rasterio.open(other, "w", **file.profile | {"dtype": dtype}) as made,
    ):
        made.write(file.read().astype(dtype))
        made.descriptions = file.descriptions
    sources = [source(one, "it_a"), source(other, "it_b")]
    asked = {"source_item_ids": ["it_a", "it_b"], "nodata": 1e6, "method": "mean"}
    assert refusals(process_id, asked, sources, tmp_path / "out") == (code, code)

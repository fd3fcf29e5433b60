"""What is told before a run of areas and items that lie apart is what the run finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
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
}


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
    name = "aoi_geometry" if process_id == "clip" else "geometry"
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
    elsewhere = {"pansharpen", "cloud_mask", "zonal_table", "echo"}  # in their own tests
    with_area = {
        name
        for name, process in discover().items()
        if {"geometry", "aoi_geometry", "bounds"} & process.inputs.model_fields.keys()
        and process.module.startswith("processes.")
    }
    assert with_area <= tried | elsewhere

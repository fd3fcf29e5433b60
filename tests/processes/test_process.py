"""The catalogue, the declaration, and running in a child."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from processes import engine, overlap
from processes.process import PROCESSES, JobError, Source, discover, process
from raster import reader

Make = Any
SQUARE = {"type": "Polygon", "coordinates": [[[9, 48], [9.1, 48], [9.1, 48.1], [9, 48.1], [9, 48]]]}


def test_the_catalogue_holds_the_jobs_of_its_folder() -> None:
    assert {"echo", "clip", "ndvi", "external"} <= set(discover())
    assert discover() is PROCESSES


def test_every_process_describes_itself() -> None:
    for declared in discover().values():
        Draft202012Validator.check_schema(json.loads(json.dumps(declared.input_schema())))
        assert declared.title
        assert declared.description
        assert declared.outputs
        assert (declared.run is None) == (declared.id == "external")
        assert ("sync-execute" in declared.job_control_options) == declared.sync_allowed


def test_an_id_is_declared_once() -> None:
    declare = process(id="echo", title="Again", inputs=BaseModel, outputs={})
    with pytest.raises(ValueError, match="twice"):
        declare(lambda ctx: [])


def test_an_area_is_priced_by_what_it_covers() -> None:
    clip = discover()["clip"]
    inputs = clip.check({"source_item_id": "it_1", "aoi_geometry": SQUARE})
    half = {"type": "Polygon", "coordinates": [[[9, 47], [9.05, 47], [9.05, 49], [9, 49], [9, 47]]]}
    whole_km2 = clip.quantity(inputs, [{}])
    # a tenth of a degree at 48° north: 7.456 by 11.119 km
    assert float(whole_km2) == pytest.approx(82.9, rel=0.005)
    assert clip.quantity(inputs, [{"geometry": half}]) == pytest.approx(
        whole_km2 / 2, rel=Decimal("0.001")
    )
    assert clip.quantity(inputs, [{"geometry": half}]) == clip.quantity(
        inputs, [{"geometry": half}]
    )
    assert clip.unit == "SQ_KM"


@pytest.mark.parametrize(
    ("west", "south", "east", "north", "km2"),
    [
        # 2 pi R² (sin north - sin south) (east - west) / 360°, on the authalic sphere
        (-180, -90, 180, 90, 510_065_622),
        (0, -90, 180, 90, 255_032_811),
        (-90, -45, 90, 45, 179_931_170),
        (-180, 60, 180, 61, 2_203_000),
    ],
)
def test_a_wide_area_is_priced_by_its_parallels(
    west: float, south: float, east: float, north: float, km2: float
) -> None:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    aoi = {"type": "Polygon", "coordinates": [ring]}
    clip = discover()["clip"]
    inputs = clip.check({"source_item_id": "it_1", "aoi_geometry": aoi})
    assert float(clip.quantity(inputs, [{}])) == pytest.approx(km2, rel=0.002)
    assert clip.quantity(inputs, [{"geometry": aoi}]) == clip.quantity(inputs, [{}])


def test_an_area_outside_is_nothing_to_price() -> None:
    far = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    clip = discover()["clip"]
    inputs = clip.check({"source_item_id": "it_1", "aoi_geometry": SQUARE})
    assert clip.quantity(inputs, [{"geometry": far}]) == 0


def test_a_jagged_area_is_judged_without_being_cut(monkeypatch) -> None:
    """To cut it takes seconds, in the process that answers everybody."""
    grid = {"epsg": 32631, "transform": [10, 0, 5e5, 0, -10, 5.6e6], "width": 900, "height": 900}
    there = [Source("it", "data", "", {}, grid)]

    def spikes(west: float) -> dict[str, Any]:
        ring = [[west + n / 5e5, 50.5 + (n % 2) / 100] for n in range(5000)]
        return {"type": "Polygon", "coordinates": [[*ring, [west, 50.4], ring[0]]]}

    with monkeypatch.context() as patch:
        patch.delattr(reader, "on_grid")
        overlap.require(spikes(3.05), there)
    with pytest.raises(JobError, match="outside the raster"):
        overlap.require(spikes(8.0), there)


def test_sources_name_items_and_assets() -> None:
    clip = discover()["clip"]
    inputs = clip.check(
        {"source_item_id": "it_1", "aoi_geometry": SQUARE, "asset_keys": ["b", "a", "b"]}
    )
    (source,) = clip.sources(inputs)
    assert (source.item_id, source.asset_keys) == ("it_1", ("b", "a"))
    external = discover()["external"]
    inputs = external.check({"source_item_id": "it_1", "source_item_ids": ["it_2", "it_1"]})
    assert [source.item_id for source in external.sources(inputs)] == ["it_1", "it_2"]


async def test_echo_returns_any_json_value(tmp_path: Path) -> None:
    message = {"deep": [1, None, "x", {"y": 2.5}]}
    (output,) = await engine.run("echo", {"message": message}, [], tmp_path)
    assert output.value == message
    assert output.path is None


async def test_a_paused_echo_tells_its_progress_and_can_be_cancelled(tmp_path: Path) -> None:
    seen: list[float] = []
    task = asyncio.create_task(
        engine.run("echo", {"pause": 60}, [], tmp_path, on_progress=lambda f, _: seen.append(f))
    )
    while not seen:
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_clip_in_a_child_brings_its_inspection(make: Make, tmp_path: Path) -> None:
    source = make(np.ones((1, 40, 40), "uint8"), band_names=["red"])
    geometry = {
        "type": "Feature",
        "properties": {},
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[9, 48.6], [10, 48.6], [10, 49], [8, 49], [9, 48.6]]],
        },
    }
    seen: list[str] = []
    (output,) = await engine.run(
        "clip",
        {"source_item_id": "it_1", "aoi_geometry": geometry, "output_name": "mine"},
        [Source("it_1", "data", str(source))],
        tmp_path,
        on_progress=lambda _, stage: seen.append(stage),
    )
    assert output.path is not None
    assert output.path.exists()
    assert output.name == "mine"
    assert output.info is not None
    assert output.info["checksum"]
    assert output.geometry is not None
    assert seen


async def test_failures_carry_the_codes_of_jobs(data: Path, tmp_path: Path) -> None:
    inputs = {"source_item_id": "it_1", "aoi_geometry": SQUARE}
    damaged = [Source("it_1", "data", str(data / "truncated.tif"))]
    with pytest.raises(JobError) as error:
        await engine.run("clip", inputs, damaged, tmp_path)
    assert error.value.code == "scene_unreadable"
    with pytest.raises(JobError) as error:
        await engine.run("echo", {"pause": 60}, [], tmp_path, seconds=0.2)
    assert error.value.code == "timeout"
    with pytest.raises(JobError) as error:
        await engine.run("echo", {"pause": -1}, [], tmp_path)
    assert error.value.code == "invalid_inputs"
    with pytest.raises(JobError) as error:
        await engine.run("external", {}, [], tmp_path)
    assert error.value.code == "internal"

"""`opstac reproduce`: the job of an item again, to the bit; and what is named where it is not."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
import rasterio

from db.pool import make_pool
from opstac import reproduce as again
from opstac.journey import SAMPLES, area_inside
from opstac.platform_worker import PlatformWorker
from processes.process import PROCESSES, discover
from tests.domains.test_job_reuse import Bench

INPUTS: dict[str, dict[str, Any]] = {
    "index": {"index_name": "NDVI"},
    "band_math": {"expression": "nir - red"},
    "classify": {"classes": 3},
}

# those that must not be refused here; others need bands that the item does not have
RUN = {
    *("aspect", "band_math", "bathymetry", "classify", "clip", "cog_convert", "hillshade"),
    *("index", "mosaic", "ndvi", "reproject", "slope", "stack"),
}


@pytest.fixture
async def bench(api: Any, catalogue: Any) -> Bench:
    return await Bench(api, catalogue).begin()


async def outcome(bench: Bench, item_id: str) -> again.Outcome:
    platform = bench.api.platform
    worker = PlatformWorker(
        platform.pipeline, platform.authenticator, issuer=platform.settings.issuer
    )
    async with make_pool(platform.settings.dsn, "opstac_system", max_size=2) as system:
        return await again.reproduce(system, worker, platform.services.objects, item_id)


def of_one_item() -> list[str]:
    """Processes that run on one item with the inputs known here or none."""
    found = []
    for name, process in discover().items():
        fields = process.inputs.model_fields
        required = {n for n, f in fields.items() if f.is_required()}
        known = {"source_item_id", "source_item_ids", "aoi_geometry", *INPUTS.get(name, {})}
        if process.run and {"source_item_id", "source_item_ids"} & {*fields} and required <= known:
            found.append(name)
    return found


def test_every_process_that_is_named_is_there() -> None:
    assert {*of_one_item()} >= RUN


@pytest.mark.parametrize("name", of_one_item())
async def test_a_job_gives_the_same_bits_again(bench: Bench, name: str) -> None:
    item = bench.item["id"]
    one = "source_item_id" in discover()[name].inputs.model_fields
    which = {"source_item_id": item} if one else {"source_item_ids": [item]}
    params = {**which, **INPUTS.get(name, {})}
    body = {"project_id": bench.project, "job_type_id": name, "input_params": params}
    if name == "clip":
        job = await bench.done(name)
    else:
        answer = await bench.api.call("processing.create", body, as_=bench.owner)
        if answer.status_code == 422:  # wants bands or inputs that are not known here
            assert name not in RUN
            return
        job = await bench.run(answer.json()["job"])
    assert job["status"] == "completed", job["error"]
    found = await outcome(bench, job["output_item_ids"][0])
    assert found.equal and not found.causes and not found.differences, found
    assert PROCESSES[name].run is not None


async def test_a_table_and_a_change_map_give_the_same_bits_again(
    bench: Bench, catalogue: Any
) -> None:
    april = SAMPLES / "s2-flanders_2021-04_10m.tif"
    item = bench.item["id"]
    other, _ = await catalogue.scene(bench.owner, bench.project, file=april, datetime="2021-04-01")
    area = {"type": "Feature", "properties": {}, "geometry": area_inside(bench.item)}
    for name, params in (
        (
            "zonal_table",
            {
                "source_item_id": item,
                "zones": {"type": "FeatureCollection", "features": [area]},
                "format": "geoparquet",
            },
        ),
        ("change_detection", {"before_item_id": other["id"], "after_item_id": item}),
    ):
        body = {"project_id": bench.project, "job_type_id": name, "input_params": params}
        job = await bench.run((await bench.ok("processing.create", body))["job"])
        assert job["status"] == "completed", job["error"]
        found = await outcome(bench, job["output_item_ids"][0])
        assert found.equal and not found.causes and not found.differences, (name, found)


async def test_what_was_changed_is_named(bench: Bench) -> None:
    job = await bench.done("ndvi")
    (item_id,) = job["output_item_ids"]
    (output,) = bench.files(job)
    objects = bench.api.platform.services.objects
    local = objects.local_file(output["object_path"])

    kept = local.read_bytes()
    local.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    found = await outcome(bench, item_id)
    assert not found.equal and not found.differences
    assert [c for c in found.causes if "not the one that was made" in c]
    local.write_bytes(kept)
    assert (await outcome(bench, item_id)).equal

    bench.api.sql(
        "update job set recipe = jsonb_set(jsonb_set(recipe, '{version}', '\"0.9\"'),"
        " '{libraries,gdal}', '\"1.2.3\"') where id = %s", job["id"],
    )  # fmt: skip
    found = await outcome(bench, item_id)
    assert found.equal  # another version, and the same bits all the same
    assert any("version 0.9, now" in line for line in found.causes)
    assert any("library gdal: 1.2.3, now" in line for line in found.causes)

    (source,) = bench.api.sql(
        "select object_path from asset where item_id = %s and key = 'data'", bench.item["id"]
    )
    file = objects.local_file(source["object_path"])
    copy = file.with_suffix(".copy.tif")
    shutil.copy(file, copy)
    with rasterio.open(copy, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
        band = raster.read(4)
        band[:10, :10] = band[:10, :10] // 2 + np.uint16(7)
        raster.write(band, 4)
    copy.replace(file)
    found = await outcome(bench, item_id)
    assert not found.equal
    assert any(
        bench.item["id"] in line and "not the one that came in" in line for line in found.causes
    )
    (line,) = found.differences
    assert "asset data" in line and "pixels differ" in line
    count = int(line.split(": ")[1].split()[0])
    assert 50 <= count <= 100


async def test_what_no_job_made_cannot_be_reproduced(bench: Bench) -> None:
    with pytest.raises(again.CannotReproduce, match="no job made"):
        await outcome(bench, bench.item["id"])
    with pytest.raises(again.CannotReproduce, match="no job made"):
        await outcome(bench, "it_none")

"""Every registered process as a real job: estimated, run by a worker process, its outputs read."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from opstac.journey import area_inside
from processes.process import discover

ROOT = Path(__file__).parents[2]
RASTERS = ROOT / "tests" / "data" / "rasters"
SAMPLES = ROOT / "src" / "opstac" / "sampledata"
# run by other means: `echo` gives back its inputs, `external` is computed by its owner's worker
APART = {"echo", "external"}


async def bring(api: Any, owner: Any, project: str, files: dict[str, Path], **more: Any) -> str:
    """An item of several files, by asset key; its id."""
    total = sum(path.stat().st_size for path in files.values())
    upload = await api.ok(
        "uploads.initiate",
        {"project_id": project, "total_bytes": total, "file_count": len(files)},
        as_=owner,
    )
    for key, path in files.items():
        place = await api.ok(
            "uploads.signed_url",
            {"upload_id": upload["id"], "file_name": path.name, "asset_key": key},
            as_=owner,
        )
        put = await api.client.put(place["upload_url"], content=path.read_bytes())
        assert put.status_code in (200, 201), put.text
    done = await api.ok("uploads.complete", {"upload_id": upload["id"], **more}, as_=owner)
    return done["items"][0]["id"]


@pytest.fixture
async def items(scene: Any, tmp_path: Path) -> dict[str, str]:
    """The items that the processes below read, by what they are."""

    async def item(name: str, files: dict[str, Path], day: str) -> str:
        return await bring(scene.api, scene.owner, scene.project, files, name=name, datetime=day)

    coarse, aerial = tmp_path / "coarse.tif", SAMPLES / "naip_north-dakota_2019-09-04.tif"
    with rasterio.open(aerial) as file:
        bands, rows, columns = file.count, file.height // 4, file.width // 4
        pixels = file.read(out_shape=(bands, rows, columns), resampling=Resampling.average)
        profile = {**file.profile, "height": rows, "width": columns}
        scale = rasterio.Affine.scale(file.width / columns, file.height / rows)
        with rasterio.open(coarse, "w", **{**profile, "transform": file.transform * scale}) as out:
            out.write(pixels)

    def clouded(day: str) -> dict[str, Path]:
        return {
            "data": RASTERS / f"s2-33TWM_2023-08-{day}_120m.tif",
            "scl": RASTERS / f"s2-33TWM_2023-08-{day}_scl_120m.tif",
        }

    return {
        "fields": scene.item["id"],
        "later": await item(
            "later", {"data": SAMPLES / "s2-flanders_2021-07_10m.tif"}, "2021-07-01"
        ),
        "sharp": await item("sharp", {"data": aerial}, "2019-09-04"),
        "coarse": await item("coarse", {"data": coarse}, "2019-09-04"),
        "heights": await item(
            "heights", {"data": RASTERS / "washington-dc_dsm_2m.tif"}, "2020-01-01"
        ),
        "first": await item("first", clouded("10"), "2023-08-10"),
        "second": await item("second", clouded("13"), "2023-08-13"),
    }


def inputs_of(items: dict[str, str], area: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Inputs of every process, by its id."""
    fields, heights = {"source_item_id": items["fields"]}, {"source_item_id": items["heights"]}
    clouded = {"source_item_ids": [items["first"], items["second"]]}
    return {
        "aspect": heights,
        "band_math": {**fields, "expression": "nir - red"},
        "bathymetry": fields,
        "change_detection": {"source_item_ids": [items["fields"], items["later"]]},
        "classify": {**fields, "classes": 3},
        "clip": {**fields, "aoi_geometry": area},
        "cloud_mask": {"source_item_id": items["first"]},
        "cog_convert": fields,
        "contour": {**heights, "interval": 20},
        "hillshade": heights,
        "index": {**fields, "index_name": "NDVI"},
        "mosaic": clouded,
        "ndvi": fields,
        "pansharpen": {
            "source_item_id": items["coarse"], "pan_item_id": items["sharp"], "pan_band": 1,
            "bands": [1, 2, 3],
        },
        "reproject": {**fields, "crs": "EPSG:3857"},
        "slope": heights,
        "stack": {**clouded, "method": "median"},
        "vectorize": {**fields, "band": "nir", "breaks": [2000]},
        "zonal_table": {
            **fields,
            "zones": {
                "type": "FeatureCollection",
                "features": [{"type": "Feature", "geometry": area, "properties": {}}],
            },
        },
    }  # fmt: skip


async def read(scene: Any, item: str, asset: dict[str, Any]) -> str:
    """Download an asset and open it as what it says it is; the kind."""
    link = await scene.ok("items.asset.download", {"item_id": item, "asset_id": asset["id"]})
    content = (await scene.api.client.get(link["url"])).content
    media = asset["media_type"]
    if media.startswith("image/tiff"):
        with rasterio.open(io.BytesIO(content)) as file:
            assert file.compression is not None and file.profile["tiled"]
            pixels = file.read(masked=True)
        assert np.ma.count(pixels) > 0, "nothing valid"
        return "raster"
    if "json" in media:
        assert json.loads(content)
    elif media == "text/csv":
        assert len(list(csv.DictReader(io.StringIO(content.decode())))) >= 1
    else:
        assert content[:4] == b"PAR1", (media, asset)
    return "file"


@pytest.mark.slow  # a worker process, and a job of every process
async def test_every_process_runs_as_a_job(
    scene: Any, workers: Any, items: dict[str, str], until: Any
) -> None:
    known = inputs_of(items, area_inside(scene.item))
    assert {*discover()} - APART <= {*known}, "a process has no inputs here"
    await workers.start()
    ready = (
        "select 1 from registered_worker where job_type_id = 'ndvi' and active"
        " and heartbeat_at > now() - interval '9 seconds'"
    )
    await until(lambda: scene.api.sql(ready))
    started: dict[str, tuple[str, int]] = {}
    for name in sorted({*discover()} - APART):
        body = {"process_id": name, "workspaceId": scene.project, "inputs": known[name]}
        assert await scene.ok("processing.catalog.validate", body) == {}, name
        estimate = await scene.ok("processing.catalog.estimate", body)
        job = await scene.ok("processing.execute", body)
        started[name] = (job["jobID"], estimate["totalCredits"])
    for name, (job_id, estimated) in started.items():
        job = await scene.ended(job_id, 300)
        assert job["status"] == "completed", (name, job["error"])
        assert 0 <= job["credits_charged"] <= estimated, name
        assert job["output_item_ids"], name
        for item in job["output_item_ids"]:
            assets = (await scene.ok("items.list_assets", {"item_id": item}))["assets"]
            kinds = {asset["key"]: await read(scene, item, asset) for asset in assets}
            assert kinds, name
            found = await scene.ok("items.get_stac", {"item_id": item})
            sources = {link["href"] for link in found["links"] if link["rel"] == "derived_from"}
            assert sources, name
            if "raster" in kinds.values():
                shown = await scene.ok("processing.job.tile_info", {"job_id": job_id})
                assert shown["tiles"], name

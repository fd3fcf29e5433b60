"""What runs leave behind beside plain rasters: classes, and files that are no rasters."""

from __future__ import annotations

import hashlib
import json

from ops_gateway.kernel.authenticate import issue_job_token

PLACE = {"type": "Polygon", "coordinates": [[[5, 50], [6, 50], [6, 51], [5, 51], [5, 50]]]}
TABLE = b"zone,mean\n1,0.5\n"


def token_of(api, job, organization):
    services = api.platform.services
    return issue_job_token(
        services.keys,
        api.platform.settings.issuer,
        job_id=job,
        organization_id=organization,
        epoch=api.sql("select epoch from job where id = %s", job)[0]["epoch"],
        seconds=600,
    )


async def registered(scene, outputs, files):
    """An `external` job whose worker hands in `files` (name → bytes) and registers `outputs`."""
    made = await scene.ok(
        "processing.create_and_dispatch",
        {
            "project_id": scene.project,
            "job_type_id": "external",
            "input_params": {"source_item_id": scene.item["id"]},
        },
    )
    job = made["job"]
    headers = {"Authorization": f"Bearer {token_of(scene.api, job['id'], job['organization_id'])}"}
    paths = {}
    for name, content in files.items():
        put = await scene.api.client.put(
            f"/v1/jobs/{job['id']}/outputs/{name}", content=content, headers=headers
        )
        assert put.status_code == 201, put.text
        paths[name] = put.json()["object_path"]
    body = [
        {**output, "object_path": paths[name]} for name, output in zip(files, outputs, strict=True)
    ]
    answer = await scene.api.client.post(
        "/v1/op/processing.job.register", json={"job_id": job["id"], "outputs": body},
        headers=headers,
    )  # fmt: skip
    return job["id"], answer


async def test_files_that_are_no_rasters_become_assets(scene, workers):
    collection = json.dumps({"type": "FeatureCollection", "features": []}).encode()
    job, answer = await registered(
        scene,
        [
            {"media_type": "application/geo+json", "geometry": PLACE, "name": "zones"},
            {"media_type": "text/csv", "asset_key": "table", "name": "zones", "roles": ["data"]},
        ],
        {"zones.geojson": collection, "zones.csv": TABLE},
    )
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["items"]
    assert item["type"] == "derived_vector"
    assert (item["geometry"], item["bbox"]) == (PLACE, [5, 50, 6, 51])
    found = await scene.ok("items.get_stac", {"item_id": item["id"]})
    table, zones = found["assets"]["table"], found["assets"]["data"]
    assert (zones["type"], table["type"]) == ("application/geo+json", "text/csv")
    assert table["file:size"] == len(TABLE)
    assert table["file:checksum"] == "1220" + hashlib.sha256(TABLE).hexdigest()
    assert not {"raster:bands", "proj:code", "eo:bands"} & set(table)
    lineage = await scene.ok("items.lineage", {"item_id": item["id"]})
    parents = {(p["entity_type"], p["entity_id"]) for p in lineage["parents"]}
    assert {("processing_job", job), ("item", scene.item["id"])} <= parents
    assets = (await scene.ok("items.list_assets", {"item_id": item["id"]}))["assets"]
    chosen = next(a for a in assets if a["key"] == "table")
    link = await scene.ok("items.asset.download", {"item_id": item["id"], "asset_id": chosen["id"]})
    got = await scene.api.client.get(link["url"])
    assert (got.status_code, got.content) == (200, TABLE)
    assert got.headers["content-type"].startswith("text/csv")
    headers = {"Authorization": f"Bearer {scene.owner.token}"}
    results = await scene.api.client.get(f"/ogc/jobs/{job}/results", headers=headers)
    assert results.json()["table"]["type"] == "text/csv"
    shown = await scene.ok("processing.job.tile_info", {"job_id": job})
    assert shown["tiles"] == []


async def test_what_cannot_be_registered_is_said(scene, workers):
    for output in (
        {"media_type": "text/html"},
        {"media_type": "text/csv", "geometry": {"type": "Polygon", "coordinates": []}},
        {"media_type": "text/csv", "geometry": {"type": "Point", "coordinates": [500, 0]}},
        {"media_type": "text/csv", "roles": []},
        {"media_type": "text/csv", "bbox": [1, 2]},
        {"media_type": "text/csv", "classes": [{"value": 1, "name": "a b"}]},
        {"media_type": "image/tiff"},
    ):
        _, answer = await registered(scene, [output], {"x.csv": TABLE})
        assert answer.status_code == 422, (output, answer.text)


async def test_a_change_map_has_its_classes_in_the_catalogue(scene, workers, until):
    inputs = {"before_item_id": scene.item["id"], "after_item_id": scene.item["id"]}
    body = {"process_id": "change_detection", "workspaceId": scene.project, "inputs": inputs}
    await workers.start()
    await until(lambda: scene.api.sql("select 1 from registered_worker where job_type_id = %s"
                                      " and active and heartbeat_at > now() - interval '9 seconds'",
                                      "change_detection"))  # fmt: skip
    job = await scene.ended((await scene.ok("processing.execute", body))["jobID"])
    assert job["status"] == "completed", job["error"]
    (item_id,) = job["output_item_ids"]
    found = await scene.ok("items.get_stac", {"item_id": item_id})
    asset = found["assets"]["data"]
    assert [c["name"] for c in asset["classification:classes"]] == [
        "no_change", "vegetation_gain", "vegetation_loss", "built-up_gain", "water_change",
    ]  # fmt: skip
    assert any("/classification/" in uri for uri in found["stac_extensions"])
    assert found["properties"]["change:threshold"] == 0.1
    (stored,) = [
        a
        for a in (await scene.ok("items.list_assets", {"item_id": item_id}))["assets"]
        if a["key"] == "data"
    ]
    assert stored["is_categorical"] and stored["file_name"] == "change_detection_output.tif"

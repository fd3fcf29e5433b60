"""OGC API - Processes on the platform itself: OWSLib's client, results of every kind, callbacks."""

from __future__ import annotations

import asyncio
import base64
import io
from email import message_from_bytes

import httpx
import numpy as np
import pytest
import rasterio
from owslib.ogcapi.processes import Processes
from standardwebhooks import Webhook

from db.pool import make_pool
from ops_gateway.domains import signing_secrets
from opstac.deliveries import deliveries
from opstac.journey import SAMPLES, area_inside

FIELDS = SAMPLES / "s2-flanders_2021-04_10m.tif"


def ndvi(path) -> np.ndarray:
    """Plain numpy, as an independent computation."""
    with rasterio.open(path) as given:
        names = [text.lower() for text in given.descriptions]
        red, nir = (given.read(names.index(n) + 1).astype("float64") for n in ("red", "nir"))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (nir - red) / (nir + red)
        found[(given.dataset_mask() == 0) | (red + nir == 0)] = np.nan
    return np.clip(found, -1, 1)


def pixels(content: bytes) -> np.ndarray:
    with rasterio.open(io.BytesIO(content)) as made:
        return made.read(1)


async def registered(api, until, name="ndvi"):
    query = "select name from registered_worker where job_type_id = %s and active"
    await until(lambda: api.sql(query, name))


async def test_owslib_lists_executes_and_reads_results(live, workers_of, bring_in, until):
    owner = await live.organization()
    project = await live.project(owner)
    done = await bring_in(live, owner, project, FIELDS, name="fields")
    item = done["items"][0]
    base, headers = f"{live.client.base_url}/ogc", {"Authorization": f"Bearer {owner.token}"}
    async with workers_of(live) as running:
        await running.start()
        await registered(live, until)

        def call(function, *args, **kwargs):
            return getattr(Processes(base, headers=dict(headers)), function)(*args, **kwargs)

        def use(*args, **kwargs):
            return asyncio.to_thread(call, *args, **kwargs)

        found = {process["id"]: process for process in await use("processes")}
        assert {"clip", "ndvi", "change_detection", "external"} <= set(found)
        assert "async-execute" in found["ndvi"]["jobControlOptions"]
        described = await use("process", "ndvi")
        assert described["inputs"]["source_item_id"]["minOccurs"] == 1
        job = await use(
            "execute", "ndvi", {"source_item_id": item["id"], "project_id": project}, async_=True
        )
        assert (job["type"], job["status"]) == ("process", "accepted")
        (at,) = [link["href"] for link in job["links"] if link["rel"] == "self"]
        async with httpx.AsyncClient(headers=headers) as client:

            async def ended():
                info = (await client.get(at)).json()
                return info if info["status"] in ("successful", "failed") else None

            info = await until(ended)
            assert (info["status"], info["progress"]) == ("successful", 100), info
            (to,) = [link["href"] for link in info["links"] if link["rel"].endswith("/results")]
            results = (await client.get(to)).json()
        # a link opens without a credential
        async with httpx.AsyncClient() as stranger:
            file = await stranger.get(results["data"]["href"])
    np.testing.assert_allclose(pixels(file.content), ndvi(FIELDS), atol=1e-6)


@pytest.fixture
def api(webhook_api):
    return webhook_api


@pytest.fixture
def ogc(scene):
    """`await ogc(method, path, status, …)` below `/ogc`, as the scene's owner."""
    headers = {"Authorization": f"Bearer {scene.owner.token}"}

    async def ask(method, path, status=200, as_=headers, more=None, **kwargs):
        answer = await scene.api.client.request(
            method, f"/ogc{path}", headers={**(as_ or {}), **(more or {})}, **kwargs
        )
        assert answer.status_code == status, answer.text
        return answer

    return ask


async def test_results_of_a_real_job_however_they_are_asked_for(scene, ogc, workers, until):
    """One computation; the later jobs are given its outputs, which are results like any."""
    await workers.start()
    await registered(scene.api, until)
    expected = ndvi(FIELDS)
    value, reference = {"transmissionMode": "value"}, {"transmissionMode": "reference"}

    async def results(**members):
        body = {"inputs": {"source_item_id": scene.item["id"]}, **members}
        made = await ogc("POST", "/processes/ndvi/execution", 201, json=body)
        path = made.headers["location"].partition("/ogc")[2]

        async def ended():
            info = (await ogc("GET", path)).json()
            return info if info["status"] in ("successful", "failed") else None

        assert (await until(ended))["status"] == "successful"
        status = (
            204
            if members.get("outputs") == {"data": reference} and "response" not in members
            else 200
        )
        return await ogc("GET", f"{path}/results", status)

    raw = await results()
    assert raw.headers["content-type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    np.testing.assert_allclose(pixels(raw.content), expected, atol=1e-6)
    document = (await results(response="document")).json()
    by_link = await scene.api.client.get(document["data"]["href"])
    assert by_link.content == raw.content
    within = (await results(response="document", outputs={"data": value})).json()["data"]
    assert base64.b64decode(within["value"]) == raw.content
    link = (await results(outputs={"data": reference})).headers["link"]
    href = link[1 : link.index(">")]
    assert (await scene.api.client.get(href)).content == raw.content
    jobs = (await ogc("GET", "/jobs?processID=ndvi")).json()
    assert jobs["numberMatched"] == 4
    spent = [(await scene.job(job["jobID"]))["credits_charged"] for job in reversed(jobs["jobs"])]
    assert spent[0] > 0 and spent[1:] == [0, 0, 0]


async def test_several_rasters_are_parts_of_one_answer(scene, ogc, workers, until):
    await workers.start()
    await registered(scene.api, until, "clip")
    body = {"inputs": {"source_item_id": scene.item["id"], "aoi_geometry": area_inside(scene.item)}}
    keys = [asset["key"] for asset in scene.item["assets"]] if "assets" in scene.item else None
    made = await ogc("POST", "/processes/clip/execution", 201, json=body)
    path = made.headers["location"].partition("/ogc")[2]
    job_id = made.json()["jobID"]
    done = await scene.ended(job_id)
    assert done["status"] == "completed", done
    answer = await ogc("GET", f"{path}/results")
    kind = answer.headers["content-type"]
    if kind.startswith("multipart/"):
        parsed = message_from_bytes(b"Content-Type: " + kind.encode() + b"\n\n" + answer.content)
        parts = [part.get_payload(decode=True) for part in parsed.get_payload()]
    else:
        parts = [answer.content]
    assert keys is None or len(parts) == len(keys)
    for part in parts:
        assert pixels(part).size


async def test_the_job_list_is_filtered_and_paged(scene, ogc):
    async def external():
        body = {"project_id": scene.project, "job_type_id": "external"}
        return (await scene.ok("processing.create", body))["job"]["id"]

    made = [await external() for _ in range(5)]
    sql = scene.api.sql
    for place, job_id in enumerate(made):
        sql(
            "update job set created_at = %s::timestamptz, started_at = %s::timestamptz, "
            "completed_at = %s::timestamptz + %s * interval '1 s', status = 'completed' "
            "where id = %s",
            *[f"2026-01-0{place + 1}T12:00:00.123456Z"] * 3, 10 * place, job_id,
        )  # fmt: skip

    async def listed(query):
        found, path = [], f"/jobs?limit=2&{query}"
        while path:
            page = (await ogc("GET", path)).json()
            assert page["numberMatched"] >= page["numberReturned"] == len(page["jobs"]) <= 2
            found += [job["jobID"] for job in page["jobs"]]
            links = {link["rel"]: link["href"] for link in page["links"]}
            assert "self" in links
            path = links.get("next", "").partition("/ogc")[2]
        return found[::-1]

    assert await listed("processID=external") == made
    assert await listed("type=process&status=successful") == made
    assert await listed("status=failed") == await listed("processID=ndvi") == []
    shown = (await ogc("GET", f"/jobs/{made[1]}")).json()["created"]
    assert await listed(f"datetime={shown}") == [made[1]]
    assert await listed(f"datetime={shown}/..") == made[1:]
    assert await listed(f"datetime=../{shown}") == made[:2]
    assert await listed("minDuration=10&maxDuration=30") == made[1:4]
    assert await listed("minDuration=11") == made[2:]
    assert await listed("maxDuration=0") == made[:1]


async def test_subscribers_hear_of_progress_and_of_the_end(
    scene, ogc, dsn, workers, until, receiving
):
    async with receiving() as good, receiving() as going, receiving() as bad:
        subscriber = {"successUri": good.url, "inProgressUri": going.url, "failedUri": bad.url}

        async def execute(**inputs):
            body = {
                "inputs": {"source_item_id": scene.item["id"], **inputs},
                "subscriber": subscriber,
                "response": "document",
            }
            made = await ogc("POST", "/processes/ndvi/execution", 201, json=body)
            return made.json()["jobID"]

        await workers.start()
        await registered(scene.api, until)
        job_id = await execute()
        assert (await scene.ended(job_id))["status"] == "completed"
        await until(lambda: good.got)
        await until(
            lambda: (
                not scene.api.sql(
                    "select id from delivery where subject = %s and state = 'due'", job_id
                )
            )
        )
        (message,) = good.got
        results = (await ogc("GET", f"/jobs/{job_id}/results")).json()
        assert set(message.json) == set(results) == {"data"}
        assert message.json["data"]["type"] == results["data"]["type"]
        file = await scene.api.client.get(message.json["data"]["href"])
        np.testing.assert_allclose(pixels(file.content), ndvi(FIELDS), atol=1e-6)
        secret = await signing_secrets.show(
            scene.api.platform.pipeline, scene.owner.organization_id
        )
        Webhook(secret).verify(message.body, message.headers)
        for told in going.got:
            assert told.json["jobID"] == job_id and told.json["status"] == "running"
            assert told.json["links"][0]["href"].endswith(f"/ogc/jobs/{job_id}")
        assert bad.got == []

        # one that fails, and one that is dismissed
        (asset,) = scene.api.sql(
            "select object_path from asset where item_id = %s and key = 'data'", scene.item["id"]
        )
        await scene.api.platform.services.objects.delete(asset["object_path"])
        failed = await execute(colormap="greens")
        assert (await scene.ended(failed))["status"] == "failed"
        await until(lambda: bad.got)
        assert bad.got[0].json["jobID"] == failed
        assert bad.got[0].json["status"] == "failed" and bad.got[0].json["message"]
        dismissed = await execute(colormap="viridis")
        await ogc("DELETE", f"/jobs/{dismissed}")
        await until(lambda: any(told.json["jobID"] == dismissed for told in bad.got))
        assert len(good.got) == 1


async def test_no_message_is_sent_where_the_platform_sends_none(scene, ogc):
    for url in (
        "http://10.0.0.1/", "ftp://example.org/x", "http://169.254.169.254/latest", "nonsense",
        "http://[::1]/", "https://user:pass@example.org/",
    ):  # fmt: skip
        for name in ("successUri", "inProgressUri", "failedUri"):
            body = {
                "inputs": {"source_item_id": scene.item["id"]},
                "subscriber": {"successUri": "http://127.0.0.1:9/", name: url},
            }
            answer = await ogc("POST", "/processes/ndvi/execution", 400, json=body)
            assert answer.json()["errors"][0]["loc"][-2:] == ["subscriber", name], url
    assert (await ogc("GET", "/jobs")).json()["jobs"] == []
    assert (await scene.ok("billing.credits.balance"))["reserved"] == 0


async def test_a_message_that_is_not_taken_is_sent_again_and_holds_nothing_up(
    scene, ogc, dsn, receiving
):
    """As every delivery: `tests/journeys/test_deliveries.py` has the rest."""
    async with receiving("500 No", "200 OK") as receiver:
        body = {"project_id": scene.project, "job_type_id": "external"}
        made = (await scene.ok("processing.create_and_dispatch", body))["job"]["id"]
        scene.api.sql(
            "insert into job_callback (organization_id, job_id, kind, url, base_url) "
            "values (%s, %s, 'ogc.failed', %s, 'http://test')",
            scene.owner.organization_id, made, receiver.url,
        )  # fmt: skip
        await ogc("DELETE", f"/jobs/{made}")
        async with make_pool(dsn, "opstac_system", min_size=1, max_size=4) as pool:
            sender = deliveries(scene.api.platform.pipeline, pool, scene.api.platform.settings)
            sender._pauses = (0.0,) * 3
            states = [[await sender.attempt(due) for due in await sender.claim()] for _ in "ab"]
        assert states == [["due"], ["delivered"]]
        assert [told.json["status"] for told in receiver.got] == ["dismissed"] * 2

"""`/v2/processing`: what the provider's Python client (up42-py 4.3.0) sends and reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest


@pytest.fixture
def ask(scene):
    headers = {"Authorization": f"Bearer {scene.owner.token}"}

    async def ask(method, path, status=200, as_=headers, **more):
        answer = await scene.api.client.request(method, path, headers=as_, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    return ask


async def stac_link(scene):
    """The link of the item as the STAC API gives it."""
    headers = {"Authorization": f"Bearer {scene.owner.token}"}
    found = await scene.api.client.get("/v2/assets/stac/search", headers=headers)
    links = found.json()["features"][0]["links"]
    return next(link["href"] for link in links if link["rel"] == "self")


@pytest.mark.parametrize("root", ["/v2/processing", "/processing"])
async def test_a_template_is_validated_priced_run_and_tracked(scene, ask, workers, until, root):
    await workers.start()

    async def registered():
        return scene.api.sql("select name from registered_worker where job_type_id = 'ndvi'")

    await until(registered)
    # what `SingleItemJobTemplate` does
    process = await ask("GET", f"{root}/processes/ndvi")
    parameters = {p["name"]: p["value"] for p in process["additionalParameters"]["parameters"]}
    eula = await ask("GET", f"/v2/eulas/{parameters['eula-id'][0]}")
    assert eula["isAccepted"] is True
    body = {"inputs": {"title": "My NDVI", "item": await stac_link(scene)}}
    assert await ask("POST", f"{root}/processes/ndvi/validation", json=body) == {}
    cost = await ask("POST", f"{root}/processes/ndvi/cost", json=body)
    assert {"pricingStrategy", "totalCredits", "totalSize", "unit"} <= set(cost)
    job = await ask(
        "POST",
        f"{root}/processes/ndvi/execution",
        params={"workspaceId": scene.owner.user_id},  # the client's default: the account
        json=body,
    )
    assert job["workspaceID"] == scene.project and job["processID"] == "ndvi"
    assert job["accountID"] == scene.owner.organization_id
    # what `Job.track` and `Job.from_metadata` do

    async def ended():
        found = await ask("GET", f"{root}/jobs/{job['jobID']}")
        return found if found["status"] in ("successful", "failed") else None

    done = await until(ended)
    assert done["status"] == "successful", done
    assert done["results"]["errors"] is None
    assert done["creditConsumption"]["credits"] == cost["totalCredits"]
    for name in ("created", "started", "finished", "updated"):
        datetime.fromisoformat(done[name][:23])
    collection = done["results"]["collection"].split("/")[-1]
    assert (await ask("GET", f"/v2/assets/stac/collections/{collection}"))["id"]
    items = done["results"]["items"]
    assert (await scene.ok("items.get", {"item_id": items[0]}))["item"]["name"] == "My NDVI"


async def test_jobs_are_paged_by_links_below_the_host_and_filtered(scene, ask):
    made = []
    for _ in range(3):
        body = {"project_id": scene.project, "job_type_id": "external"}
        made.append((await scene.ok("processing.create", body))["job"]["id"])
    seen, path = [], "/v2/processing/jobs?limit=2&sort=created,asc&processId=external,ndvi"
    while path:
        assert path.startswith("/v2/processing/jobs?")  # the client puts its host before it
        page = await ask("GET", path)
        seen += [job["jobID"] for job in page["jobs"]]
        path = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    assert seen == made
    for query, count in (
        ("status=created", 3),
        ("status=successful,running", 0),
        ("status=captured", 0),
        (f"ids={made[0]},{made[1]}", 2),
        (f"workspaceId={scene.project}", 3),
        (f"workspaceId={scene.owner.user_id}", 3),
        ("processId=clip", 0),
        ("minDuration=1", 0),
        ("sort=creditConsumption.credits,desc", 3),
        ("sort=status,desc", 3),
        ("sort=processID,asc", 3),
    ):
        page = await ask("GET", f"/v2/processing/jobs?{query}")
        assert len(page["jobs"]) == count, query
    for query in ("sort=name", "limit=x", "minDuration=-1", "minDuration=1e99", "page=x"):
        await ask("GET", f"/v2/processing/jobs?{query}", 422)
    await ask("GET", "/v2/processing/jobs?workspaceId=proj_missing", 200)


async def test_refusals_are_in_the_words_that_the_client_reads(scene, ask):
    at = "/v2/processing/processes"
    good = {"source_item_id": scene.item["id"]}
    for inputs in ({}, {**good, "colormap": "x"}, {**good, "more": 1}, {"item": 5}):
        found = await ask("POST", f"{at}/ndvi/validation", 400, json={"inputs": inputs})
        assert isinstance(found["schema-error"], str) and found["schema-error"]
        assert found["status"] == 400
    for path in ("validation", "cost", "execution"):
        link = {"inputs": {"item": "https://host.example/collections/a/items/%00"}}
        found = await ask("POST", f"{at}/ndvi/{path}", 422, json=link)
        assert "NUL" in found["errors"][0]["message"]
        await ask("POST", f"{at}/ndvi/{path}", 400, json={"inputs": [1]})
        await ask("POST", f"{at}/ndvi/{path}", 400, json=[])
        found = await ask(
            "POST", f"{at}/ndvi/{path}", 422, json={"inputs": {**good, "asset_key": "thumbnail"}}
        )
        assert all(isinstance(e["name"], str) and e["message"] for e in found["errors"])
        await ask("POST", f"{at}/nope/{path}", 404, json={"inputs": good})
        await ask("POST", f"{at}/ndvi/{path}", 404, json={"inputs": {"source_item_id": "it_x"}})
        gone = {"inputs": {"item": "https://x/collections/a/items/b"}}
        await ask("POST", f"{at}/ndvi/{path}", 404, json=gone)
    await ask("GET", f"{at}/nope", 404)
    await ask("GET", "/v2/processing/jobs/job_x", 404)
    await ask("GET", "/v2/eulas/other", 404)
    await ask("POST", f"{at}/ndvi/execution?workspaceId=proj_x", 404, json={"inputs": good})
    assert (await scene.ok("billing.credits.balance"))["reserved"] == 0


async def test_strangers_see_the_catalogue_and_nothing_else(scene, ask):
    body = {"inputs": {"source_item_id": scene.item["id"]}}
    at = "/v2/processing"
    assert (await ask("GET", f"{at}/processes", as_=None))["processes"]
    await ask("GET", f"{at}/processes/ndvi", as_=None)
    for method, path in (
        ("GET", "/jobs"),
        ("GET", "/jobs/job_x"),
        ("POST", "/processes/ndvi/execution"),
    ):
        more = {"json": body} if method == "POST" else {}
        await ask(method, at + path, 401, as_=None, **more)
    other = await scene.api.organization("Other")
    await scene.api.project(other)
    theirs = {"Authorization": f"Bearer {other.token}"}
    link = {"inputs": {"item": await stac_link(scene)}}
    for path in ("validation", "cost", "execution"):
        await ask("POST", f"{at}/processes/ndvi/{path}", 404, as_=theirs, json=body)
        await ask("POST", f"{at}/processes/ndvi/{path}", 404, as_=theirs, json=link)
    mine = await scene.ok(
        "processing.create", {"project_id": scene.project, "job_type_id": "external"}
    )
    await ask("GET", f"{at}/jobs/{mine['job']['id']}", 404, as_=theirs)
    assert (await ask("GET", f"{at}/jobs", as_=theirs))["jobs"] == []
    project = f"workspaceId={scene.project}"
    assert (await ask("GET", f"{at}/jobs?{project}", as_=theirs))["jobs"] == []
    await ask("POST", f"{at}/processes/ndvi/execution?{project}", 404, as_=theirs, json=body)


async def test_a_call_is_counted_before_anything_is_looked_at_for_it(scene, ask):
    limiter = scene.api.platform.limiter
    limiter.limits = replace(limiter.limits, spend=2)
    at = "/v2/processing/processes/ndvi"
    link = {"inputs": {"item": "https://host.example/collections/a/items/b"}}
    for _ in range(2):
        await ask("POST", f"{at}/execution", 404, json=link)
    await ask("POST", f"{at}/execution", 429, json=link)
    await ask("POST", f"{at}/cost", 404, json=link)

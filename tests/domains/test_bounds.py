"""What one caller can make the platform hold, keep or do at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx

from ops_gateway.domains import clip
from ops_gateway.domains.billing import grant_credits
from ops_gateway.kernel.services import ChildRefused, Limits
from opstac import children, compose
from opstac.children import CHILDREN

LARGE = {f"p{n}": "x" * 60_000 for n in range(25)}  # 1.5 MB of properties


async def test_an_item_holds_so_many_properties(api):
    owner = await api.organization()
    body = {"project_id": await api.project(owner), "type": "user_raster", "name": "large"}
    for key in (None, "k"):
        given = {**body, "properties": LARGE}
        problem = await api.refused(422, "items.create", given, as_=owner, key=key)
        assert problem["detail"][0]["loc"] == ["body", "properties"]
    made = await api.ok("items.create", body, as_=owner, key="k")
    given = {"item_id": made["id"], "properties": LARGE}
    await api.refused(422, "items.update", given, as_=owner)


async def test_an_answer_too_large_for_a_replay_is_a_refusal_and_no_fault(api):
    owner = await api.organization()
    project = await api.project(owner)
    body = {"project_id": project, "job_type_id": "echo", "input_params": {"message": LARGE}}
    problem = await api.refused(413, "processing.create", body, as_=owner, key="k")
    assert "Idempotency-Key" in problem["detail"]
    listed = await api.ok("processing.project_jobs.list", {"project_id": project}, as_=owner)
    assert listed["total"] == 0
    await api.ok("processing.create", body, as_=owner)


async def clip_job(api, stock):
    """An owner, and a completed clip whose output has one file."""
    owner = await api.organization()
    project = await api.project(owner)
    item = await stock.item(owner, project)
    job = stock.job(owner, project, "completed")
    api.sql("update job set output_item_ids = %s where id = %s", [item["id"]], job)
    return owner, item, {"job_id": job, "mosaic_type": "data"}


async def test_a_large_clip_is_fetched_by_its_url_and_not_through_memory(api, stock, monkeypatch):
    owner, _, body = await clip_job(api, stock)
    response = await api.call("clip.job.download", body, as_=owner, key="k")
    assert (response.status_code, response.content) == (200, b"x" * 1000)
    monkeypatch.setattr(clip, "MAX_BYTES", 999)
    problem = await api.refused(409, "clip.job.download", body, as_=owner)
    assert "clip.job.downloads" in problem["detail"]
    links = await api.ok("clip.job.downloads", {"job_id": body["job_id"]}, as_=owner)
    assert (await api.client.get(links["downloads"][0]["url"])).content == b"x" * 1000


async def test_a_file_that_is_gone_from_the_store_is_not_found(api, stock):
    owner, item, body = await clip_job(api, stock)
    await api.platform.services.objects.delete(item["path"])
    await api.refused(404, "clip.job.download", body, as_=owner)


async def test_a_run_hands_in_so_many_outputs_each_once(api):
    owner = await api.organization()
    await grant_credits(api.platform.pipeline, owner.organization_id, 100, "for a test", by="test")
    body = {"project_id": await api.project(owner), "job_type_id": "external"}
    made = await api.ok("processing.create_and_dispatch", body, as_=owner)
    job = made["job"]["id"]
    put = await api.client.put(
        f"/v1/jobs/{job}/outputs/a.tif",
        content=b"no raster",
        headers={"Authorization": f"Bearer {owner.token}"},
    )
    output = {"object_path": put.json()["object_path"]}
    looked_into = 0

    async def child(function, /, **kwargs):
        nonlocal looked_into
        looked_into += 1
        raise ChildRefused("not_a_tiff", "no")

    services = api.platform.pipeline.services
    api.platform.pipeline.services = replace(services, child=child)
    outputs = [{**output, "asset_key": f"k{n}"} for n in range(5000)]
    given = {"job_id": job, "outputs": outputs}
    await api.refused(422, "processing.job.register", given, as_=owner)
    assert looked_into == 0
    values = [{"asset_key": f"k{n}", "value": n} for n in range(3)]
    api.platform.pipeline.services = services
    given = {"job_id": job, "outputs": values}
    await api.ok("processing.job.register", given, as_=owner)


async def test_so_many_files_are_looked_into_at_once(api, monkeypatch):
    running = most = 0

    async def run_child(*args, **kwargs):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    monkeypatch.setattr(children, "run_child", run_child)
    child = api.platform.services.child
    await asyncio.gather(*(child("inspect", path="x") for _ in range(4 * CHILDREN)))
    assert most == CHILDREN
    monkeypatch.setattr(children, "CHILD_WAIT_SECONDS", 0.005)
    ends = await asyncio.gather(
        *(child("inspect", path="x") for _ in range(2 * CHILDREN)),
        return_exceptions=True,
    )
    late = [end for end in ends if end is not None]
    assert len(late) == CHILDREN
    assert all(isinstance(end, ChildRefused) and end.passing for end in late)


async def test_every_door_to_spending_counts_against_one_limit(dsn, tmp_path, api):
    owner = await api.organization()
    project = await api.project(owner)
    settings = replace(
        api.platform.settings,
        storage=str(tmp_path / "second"),
        limits=Limits(organization=10**6, placement=10**6, spend=3, public=10**6),
    )
    async with compose.embedded(settings) as platform:
        transport = httpx.ASGITransport(platform.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            codes = []
            for n in range(6):
                path, body = (
                    ("/ogc/processes/echo/execution", {"inputs": {"message": n}})
                    if n % 2
                    else (
                        "/v1/op/processing.execute",
                        {"process_id": "echo", "workspaceId": project, "inputs": {}},
                    )
                )
                headers = {"Authorization": f"Bearer {owner.token}", "Prefer": "respond-async"}
                codes.append((await client.post(path, json=body, headers=headers)).status_code)
    refused = [code for code in codes if code == 429]
    assert len(refused) >= 2, codes  # a minute may begin in between

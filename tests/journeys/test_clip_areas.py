"""Areas of the operator: offered by a command, clipped by whom they are open to, seen by nobody."""

from __future__ import annotations

import asyncio
import io
import json

import numpy as np
import pytest
import rasterio

from ops_gateway.domains import clip_areas
from ops_gateway.kernel.errors import Invalid
from opstac.cli import main
from opstac.journey import SAMPLES, area_inside

FIELDS = SAMPLES / "s2-flanders_2021-04_10m.tif"
NEVER = {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]]}


@pytest.fixture
def cli(api, monkeypatch, capsys):
    """Runs the command line on the test's platform: status, output, errors."""
    settings = api.platform.settings
    monkeypatch.setenv("DATABASE_URL", settings.dsn)
    monkeypatch.setenv("OPSTAC_HOME", str(settings.home))
    monkeypatch.setenv("OPSTAC_STORAGE", settings.storage)
    monkeypatch.setenv("OPSTAC_SECRET_KEY", settings.master_secret.decode())
    api.sql("delete from clip_area")

    async def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = await asyncio.to_thread(main, ["area", *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


class Buyer:
    """An organization that clips what it does not have."""

    def __init__(self, api, owner, project):
        self.api, self.owner, self.project = api, owner, project

    async def ok(self, op, body=None):
        return await self.api.ok(op, body, as_=self.owner)

    async def refused(self, status, op, body):
        return await self.api.refused(status, op, body, as_=self.owner)

    def order(self, scene, **more):
        return {
            "area": "fields",
            "mosaic_types": ["data"],
            "aoi_geometry": area_inside(scene.item),
            "organization_id": self.owner.organization_id,
            **more,
        }


@pytest.fixture
async def buyer(api):
    owner = await api.organization("Buyer")
    return Buyer(api, owner, await api.project(owner))


async def ended(buyer, job_id, until):
    async def look():
        job = (await buyer.ok("clip.job.get", {"job_id": job_id}))["job"]
        return job if job["status"] in ("completed", "failed") else None

    return await until(look)


async def test_an_area_is_offered_listed_clipped_and_taken_back(scene, buyer, cli, workers, until):
    assert await buyer.ok("clip.areas.list") == {"areas": [], "count": 0}
    item = scene.item["id"]
    status, out, _ = await cli("set", "fields", item, "--title", "Fields", "--description", "Corn")
    assert (status, out) == (0, f"fields: {item} (data)\n")
    assert (await cli("list"))[1] == f"fields: {item} (data), open to all\n"
    (area,) = (await buyer.ok("clip.areas.list"))["areas"]
    assert (area["area"], area["title"], area["description"]) == ("fields", "Fields", "Corn")
    assert area["mosaic_types"] == ["data"] and area["bbox"] == scene.item["bbox"]
    (mosaic,) = (await buyer.ok("clip.area.mosaics", {"area": "fields"}))["mosaics"]
    with rasterio.open(FIELDS) as given:
        assert (mosaic["band_count"], mosaic["epsg"]) == (given.count, given.crs.to_epsg())
        assert (mosaic["width"], mosaic["height"]) == (given.width, given.height)
    metadata = (await buyer.ok("clip.area.metadata", {"area": "fields"}))["metadata"]
    assert metadata["datetime"].startswith("2021-04-01")
    assert [m["mosaic_type"] for m in metadata["mosaics"]] == ["data"]

    await workers.start()
    order = buyer.order(scene, aoi_name="my corner", project_id=buyer.project)
    made = await buyer.ok("clip.create_from_area", order)
    assert made["job"]["status"] == "pending"
    assert (made["assets_to_clip"], made["asset_keys"]) == (1, ["data"])
    job = await ended(buyer, made["job"]["id"], until)
    assert job["status"] == "completed", job
    assert job["project_id"] == buyer.project and job["credits_charged"] > 0
    (output,) = job["output_item_ids"]
    found = (await buyer.ok("items.get", {"item_id": output}))["item"]
    assert (found["name"], found["type"]) == ("my corner", "clip")
    assert found["datetime"].startswith("2021-04-01")
    (file,) = (await buyer.ok("clip.job.downloads", {"job_id": job["id"]}))["downloads"]
    content = (await buyer.api.client.get(file["url"])).content
    with rasterio.open(io.BytesIO(content)) as clipped, rasterio.open(FIELDS) as given:
        window = given.window(*clipped.bounds)
        whole = given.read(window=window)
        cut = clipped.read()
        inside = clipped.dataset_mask() > 0
        assert inside.any()
        np.testing.assert_array_equal(cut[:, inside], whole[:, inside])

    # the buyer's record leads to nothing of the owner's
    lineage = json.dumps(await buyer.ok("items.lineage", {"item_id": output}))
    assert scene.owner.organization_id not in lineage and scene.project not in lineage
    listed = await buyer.ok("clip.jobs.list", {"organization_id": buyer.owner.organization_id})
    assert [j["id"] for j in listed["jobs"]] == [job["id"]]

    # another name for other organizations, then nobody's
    assert (await cli("remove", "fields"))[:2] == (0, "fields is offered no more\n")
    assert (await buyer.ok("clip.areas.list"))["areas"] == []
    for op in ("clip.area.mosaics", "clip.area.metadata"):
        await buyer.refused(404, op, {"area": "fields"})
    await buyer.refused(404, "clip.create_from_area", order)


async def test_who_an_area_is_open_to_and_what_it_opens(scene, buyer, cli):
    """An area opens its rasters to clips of the organizations that it names, and nothing else."""
    api, item = scene.api, scene.item["id"]
    third = await api.organization("Third")
    await api.project(third)
    assert (await cli("set", "fields", item, "--to", buyer.owner.organization_id))[0] == 0
    for owner, count in ((buyer.owner, 1), (third, 0), (scene.owner, 0)):
        assert (await api.ok("clip.areas.list", as_=owner))["count"] == count
    theirs = {**buyer.order(scene), "organization_id": third.organization_id}
    await api.refused(404, "clip.area.mosaics", {"area": "fields"}, as_=third)
    await api.refused(404, "clip.create_from_area", theirs, as_=third)
    # the item itself stays shut, also for jobs
    asked = {
        "source_item_id": item, "project_id": buyer.project, "aoi_geometry": area_inside(scene.item)
    }  # fmt: skip
    await buyer.refused(404, "items.get", {"item_id": item})
    await buyer.refused(404, "items.tile.tilejson", {"item_id": item})
    await buyer.refused(404, "clip.create_from_item", asked)
    for process, inputs in (
        ("clip", {"source_item_id": item, "aoi_geometry": area_inside(scene.item)}),
        ("cog_convert", {"source_item_id": item}),
        ("ndvi", {"source_item_id": item}),
    ):
        body = {"process_id": process, "workspaceId": buyer.project, "inputs": inputs}
        await buyer.refused(404, "processing.execute", body)
    # a viewer's key reads areas and clips none
    reader = await api.key(buyer.owner, "*:read")
    assert (await api.ok("clip.areas.list", as_=reader))["count"] == 1
    await api.refused(403, "clip.create_from_area", buyer.order(scene), as_=reader)


async def test_wrong_orders_are_refused_where_they_are_wrong(scene, buyer, cli):
    assert (await cli("set", "fields", scene.item["id"]))[0] == 0
    for change, status, place in (
        ({"mosaic_types": ["infrared"]}, 422, ["mosaic_types", 0]),
        ({"mosaic_types": ["data", "thumbnail"]}, 422, ["mosaic_types", 1]),
        ({"mosaic_types": []}, 422, ["mosaic_types"]),
        ({"mosaic_types": "data"}, 422, ["mosaic_types"]),
        ({"aoi_geometry": {"type": "Point", "coordinates": [0, 0]}}, 422, ["aoi_geometry"]),
        ({"aoi_geometry": {}}, 422, ["aoi_geometry"]),
        ({"aoi_name": "x" * 201}, 422, ["aoi_name"]),
        ({"area": "nowhere"}, 404, None),
        ({"area": "x" * 5000}, 404, None),
        ({"project_id": "proj_missing"}, 404, None),
        ({"project_id": scene.project}, 404, None),
        ({"organization_id": scene.owner.organization_id}, 404, None),
    ):
        problem = await buyer.refused(
            status, "clip.create_from_area", {**buyer.order(scene), **change}
        )
        if place:
            assert problem["detail"][0]["loc"] == ["body", *place], change
    assert (await buyer.ok("billing.credits.balance"))["reserved"] == 0
    # no project named: the oldest one's
    made = await buyer.ok("clip.create_from_area", {**buyer.order(scene), "project_id": None})
    assert made["job"]["project_id"] == buyer.project


@pytest.mark.parametrize("change", ["remove", "close", "narrow"])
async def test_who_may_not_clip_any_more_gets_nothing_of_what_is_under_way(
    scene, buyer, cli, change
):
    """Waiting or running: the clip fails with its reason; the owner's own goes on."""
    api, item = scene.api, scene.item["id"]
    assert (await cli("set", "fields", item))[0] == 0
    order = buyer.order(scene, use_cache=False)
    waiting, running = [
        (await buyer.ok("clip.create_from_area", order))["job"]["id"] for _ in range(2)
    ]
    own = await scene.clip()
    for job_id in (running, own):
        api.sql(
            "update job set status = 'running', epoch = 1, lease_until = now() + interval '1 hour'"
            " where id = %s", job_id,
        )  # fmt: skip
    said = {
        "remove": ("remove", "fields"),
        "close": ("set", "fields", item, "--to", scene.owner.organization_id),
        "narrow": ("set", "fields", item, "--mosaic", "other"),
    }[change]
    if change == "narrow":
        api.sql("update asset set key = 'other' where item_id = %s and key = 'data'", item)
    status, out, _ = await cli(*said)
    assert status == 0 and out.endswith("; 2 unfinished clips failed\n")
    for job_id in (waiting, running):
        job = (await buyer.ok("clip.job.get", {"job_id": job_id}))["job"]
        assert (job["status"], job["error"]["code"]) == ("failed", "scene_unreadable")
        assert job["error"]["message"] == "the area is offered no more"
    assert (await buyer.ok("billing.credits.balance"))["reserved"] == 0
    assert (await scene.job(own))["status"] == "running"
    # another area that opens the same is enough
    if change == "remove":
        for name in ("fields", "meadows"):
            assert (await cli("set", name, item))[0] == 0
        third = (await buyer.ok("clip.create_from_area", order))["job"]["id"]
        assert (await cli("remove", "fields"))[1] == "fields is offered no more\n"
        assert (await buyer.ok("clip.job.get", {"job_id": third}))["job"]["status"] == "pending"


async def test_an_area_without_a_mosaic_is_not_offered(scene, buyer, cli):
    platform, item = scene.api.platform, scene.item["id"]
    wanted = clip_areas.Offer("fields", item, mosaic_types=[])
    with pytest.raises(Invalid, match="name one at least"):
        await clip_areas.offer(
            platform.pipeline, scene.owner.organization_id, wanted, by="operator"
        )
    assert (await buyer.ok("clip.areas.list"))["count"] == 0


async def test_the_command_refuses_what_cannot_be_offered(scene, buyer, cli):
    item = scene.item["id"]
    for arguments, said in (
        (("set", "Fields!", item), "a name is of"),
        (("set", "fields", "it_missing"), "there is no item it_missing"),
        (("set", "fields", item, "--mosaic", "infrared"), "it has data"),
        (("set", "fields", item, "--to", "org_missing"), "there is no organization"),
        (("remove", "fields"), "there is no area fields"),
    ):
        status, _, error = await cli(*arguments)
        assert status == 1 and said in error, arguments
    assert (await cli("list"))[1] == ""
    assert (await cli("set", "fields", item, "--mosaic", "data"))[0] == 0
    # the name stays with its owner's items
    other = await buyer.ok(
        "items.create",
        {"name": "mine", "type": "user_raster", "project_id": buyer.project, "geometry": NEVER},
    )
    other_id = other.get("item", other)["id"]
    status, _, error = await cli("set", "fields", other_id)
    assert status == 1 and "no raster" in error
    audited = scene.api.sql(
        "select count(*) as n from audit where organization_id = %s and operation = %s",
        scene.owner.organization_id, "clip.area.set",
    )  # fmt: skip
    assert audited[0]["n"] == 1

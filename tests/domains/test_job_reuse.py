"""Receipts of jobs, and the same job a second time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ops_gateway.worker.claim import ClaimedJob
from ops_gateway.worker.compute import make_compute
from ops_gateway.worker.runner import Limits, Run
from opstac import __version__
from opstac.journey import area_inside
from opstac.platform_worker import PlatformWorker
from processes import recipe as recipes

DATA = Path(__file__).parent.parent / "data"


class Bench:
    """An organization with an item of real imagery, and a worker in this process."""

    def __init__(self, api: Any, catalogue: Any) -> None:
        self.api, self.catalogue = api, catalogue

    async def begin(self) -> Bench:
        self.owner = await self.api.organization()
        self.project = await self.api.project(self.owner)
        made, _ = await self.catalogue.scene(self.owner, self.project, datetime="2021-06-01")
        self.item = made
        return self

    async def ok(self, op: str, body: Any, as_: Any = None) -> Any:
        return await self.api.ok(op, body, as_=as_ or self.owner)

    async def create(self, type_: str = "clip", *, as_: Any = None, **more: Any) -> dict[str, Any]:
        inputs = {"source_item_id": self.item["id"], **more.pop("inputs", {})}
        if type_ == "clip":
            inputs.setdefault("aoi_geometry", area_inside(self.item))
        body = {"project_id": self.project, "job_type_id": type_, "input_params": inputs, **more}
        return (await self.ok("processing.create", body, as_))["job"]

    async def run(
        self, job: dict[str, Any], as_: Any = None, compute: Any = None
    ) -> dict[str, Any]:
        """Run the job as a worker does; the job."""
        from db.pool import make_pool

        (row,) = self.api.sql(
            "update job set status = 'running', epoch = epoch + 1, attempts = attempts + 1,"
            " started_at = now(), lease_until = now() + interval '5 minutes' where id = %s"
            " returning *", job["id"],
        )  # fmt: skip
        platform = self.api.platform
        services = PlatformWorker(
            platform.pipeline, platform.authenticator, issuer=platform.settings.issuer
        )
        async with make_pool(platform.settings.dsn, "opstac_system", max_size=2) as system:
            await Run(system, services, compute or make_compute(), Limits(), ClaimedJob.of(row))()
        return await self.job(job["id"], as_)

    async def job(self, job_id: str, as_: Any = None) -> dict[str, Any]:
        return (await self.ok("processing.project_job.get", {"job_id": job_id}, as_))["job"]

    async def done(self, type_: str = "clip", **more: Any) -> dict[str, Any]:
        job = await self.run(await self.create(type_, **more), more.get("as_"))
        assert job["status"] == "completed", job["error"]
        return job

    async def output(self, job: dict[str, Any]) -> dict[str, Any]:
        (item_id,) = job["output_item_ids"]
        return (await self.ok("items.get", {"item_id": item_id}))["item"]

    def files(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        return self.api.sql(
            "select id, key, object_path, checksum, size_bytes from asset"
            " where item_id = any(%s) and band_count > 0 and deleted_at is null order by key",
            job["output_item_ids"],
        )

    async def bytes_of(self, job: dict[str, Any]) -> bytes:
        (file,) = self.files(job)
        return await self.api.platform.services.objects.get(file["object_path"])


@pytest.fixture
async def bench(api: Any, catalogue: Any) -> Bench:
    return await Bench(api, catalogue).begin()


async def test_a_receipt_says_what_was_charged_and_for_what(bench: Bench) -> None:
    body = {"process_id": "clip", "inputs": {
        "source_item_id": bench.item["id"], "aoi_geometry": area_inside(bench.item)}}  # fmt: skip
    estimate = await bench.ok("processing.catalog.estimate", body)
    job = await bench.done()
    receipt = job["receipt"]
    (file,) = bench.files(job)
    (asset,) = [a for a in (await bench.output(job))["assets"] if a["key"] == "data"]
    assert receipt["credits"] == job["credits_charged"] == estimate["totalCredits"]
    assert receipt["quantity"] == pytest.approx(estimate["totalSize"])
    assert (receipt["unit"], receipt["credits_per_unit"]) == ("SQ_KM", 0.05)
    assert receipt["minimum_applied"] == (0.05 * receipt["quantity"] < 1)
    assert receipt["pixels"] == asset["width"] * asset["height"] * asset["band_count"]
    assert receipt["bytes_written"] == file["size_bytes"]
    assert receipt["bytes_read"] > 0 and receipt["seconds"] > 0
    assert receipt["samples_read"] == receipt["pixels"]  # a clip reads each pixel once
    assert receipt["released"] == 0 and receipt["output_item_ids"] == job["output_item_ids"]
    lineage = await bench.ok("provenance.get", {**receipt["lineage"], "direction": "down"})
    assert {(e["src_type"], e["relation"]) for e in lineage["edges"]} >= {("item", "generated_by")}
    whole = await bench.ok("processing.job.receipt", {"job_id": job["id"]})
    assert whole["receipt"] == receipt
    recipe = whole["recipe"]
    assert (recipe["process"], recipe["version"], recipe["seed"]) == ("clip", "1.0", None)
    assert recipe["libraries"]["opstac"] == __version__ and "gdal" in recipe["libraries"]
    (source,) = recipe["sources"]
    (known,) = bench.api.sql(
        "select checksum from asset where item_id = %s and key = 'data'", bench.item["id"]
    )
    assert source["checksum"] == known["checksum"]
    (output,) = recipe["outputs"]
    content = await bench.bytes_of(job)
    assert output["checksum"] == hashlib.sha256(content).hexdigest()


async def test_what_failed_or_was_cancelled_has_a_receipt_of_nothing(bench: Bench) -> None:
    far = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    body = {"process_id": "clip", "inputs": {
        "source_item_id": bench.item["id"], "aoi_geometry": far}}  # fmt: skip
    for op in ("processing.catalog.validate", "processing.catalog.estimate"):
        problem = await bench.api.refused(422, op, body, as_=bench.owner)
        assert problem["detail"][0]["type"] == "no_overlap"
    # where nobody knows the raster's grid, the run finds out
    bench.api.sql("update asset set epsg = null where item_id = %s", bench.item["id"])
    assert await bench.ok("processing.catalog.validate", body) == {}
    failed = await bench.run(await bench.create(inputs={"aoi_geometry": far}))
    assert (failed["status"], failed["error"]["code"]) == ("failed", "no_overlap")
    pending = await bench.create()
    assert pending["receipt"] is None
    problem = await bench.api.refused(
        409, "processing.job.receipt", {"job_id": pending["id"]}, as_=bench.owner
    )
    assert "pending" in problem["detail"]
    bench.api.sql("update job set cancel_requested = true where id = %s", pending["id"])
    cancelled = await bench.run(pending)
    assert cancelled["status"] == "cancelled"
    for job in (failed, cancelled):
        receipt = job["receipt"]
        assert (receipt["credits"], receipt["pixels"]) == (0, 0)
        assert receipt["released"] == job["credits_reserved"] > 0
    assert (await bench.ok("billing.credits.balance", {}))["reserved"] == 0


@pytest.mark.parametrize("type_", ["clip", "ndvi"])
async def test_the_same_job_again_is_given_the_earlier_result(bench: Bench, type_: str) -> None:
    first = await bench.done(type_, inputs={"output_name": "first"})
    balance = await bench.ok("billing.credits.balance", {})
    again = await bench.done(type_, inputs={"output_name": "second"})
    assert again["cached_from"] == first["id"] and again["credits_charged"] == 0
    assert again["receipt"]["cached_from"] == first["id"]
    assert again["receipt"]["released"] == again["credits_reserved"] > 0
    after = await bench.ok("billing.credits.balance", {})
    assert after["available"] == balance["available"]
    (kept,), (shared,) = bench.files(first), bench.files(again)
    assert shared["object_path"] == kept["object_path"]  # stored, and counted, once
    assert await bench.bytes_of(again) == await bench.bytes_of(first)
    old, new = await bench.output(first), await bench.output(again)
    assert old["id"] != new["id"] and (old["name"], new["name"]) == ("first", "second")
    assert new["properties"]["opstac:cached_from"] == first["id"]
    for name in ("geometry", "bbox", "datetime", "gsd", "type"):
        assert new[name] == old[name]
    edges = (
        await bench.ok("provenance.get", {"entity_type": "item", "entity_id": new["id"]})
    )["edges"]  # fmt: skip
    found = {(e["src_id"], e["relation"], e["dst_id"]) for e in edges}
    assert {
        (new["id"], "generated_by", again["id"]),
        (new["id"], "derived_from", bench.item["id"]),
        (new["id"], "cached_from", old["id"]),
        (again["id"], "cached_from", first["id"]),
    } <= found
    # each outlives the other
    await bench.ok("items.delete", {"item_id": old["id"]})
    (asset,) = [a for a in new["assets"] if a["key"] == "data"]
    assert (await bench.bytes_of(again))[:4] == b"II*\0"
    third = await bench.done(type_)
    assert third["cached_from"] == again["id"]
    for job in (again, third):
        for file in bench.files(job):
            (item_id,) = job["output_item_ids"]
            gone = await bench.ok("assets.delete", {"item_id": item_id, "asset_id": file["id"]})
            assert gone["deleted"]
    fourth = await bench.done(type_)
    assert fourth["cached_from"] is None and fourth["credits_charged"] > 0
    assert asset["id"]


async def test_what_differs_is_computed(bench: Bench) -> None:
    first = await bench.done()
    other = await bench.done(inputs={"aoi_geometry": area_inside(bench.item, 0.31)})
    assert other["cached_from"] is None
    fresh = await bench.done(use_cache=False)
    assert fresh["cached_from"] is None and fresh["credits_charged"] > 0
    assert await bench.bytes_of(fresh) == await bench.bytes_of(first)  # to the bit
    for change in (
        "update asset set checksum = repeat('0', 64) where item_id = %s",
        "update asset set checksum = repeat('1', 64), band_names = '{a,b,c,d}' where item_id = %s",
        "update item set properties = '{\"x\": 1}' where id = %s",
    ):
        bench.api.sql(change, bench.item["id"])
        assert (await bench.done())["cached_from"] is None
        assert (await bench.done())["cached_from"] is not None


async def test_a_deleted_job_or_a_changed_output_answers_nobody(bench: Bench) -> None:
    first = await bench.done()
    await bench.ok("processing.job.delete", {"job_id": first["id"]})
    second = await bench.done()
    assert second["cached_from"] is None
    (file,) = bench.files(second)
    bench.api.sql("update asset set title = 't', updated_at = now() where id = %s", file["id"])
    third = await bench.done()
    assert third["cached_from"] is None
    # what somebody says of the item since is not part of the result
    await bench.ok(
        "items.update", {"item_id": third["output_item_ids"][0], "properties": {"mine": 1}}
    )
    fourth = await bench.done()
    assert fourth["cached_from"] == third["id"]
    assert "mine" not in (await bench.output(fourth))["properties"]


async def test_only_projects_the_creator_sees_answer(bench: Bench) -> None:
    first = await bench.done()
    elsewhere = await bench.api.project(bench.owner, "Elsewhere")
    seen = await bench.done(project_id=elsewhere)
    assert seen["cached_from"] == first["id"] and seen["project_id"] == elsewhere
    # one who is in a single project is given nothing that was computed in another
    guest = await bench.api.member(bench.owner, "member")
    bench.api.sql(
        "insert into project_member (organization_id, project_id, user_id, role)"
        " values (%s, %s, %s, 'editor')",
        bench.owner.organization_id, bench.project, guest.user_id,
    )  # fmt: skip
    area = {"aoi_geometry": area_inside(bench.item, 0.2)}
    bench.api.sql("update item set project_id = %s where id = %s", bench.project, bench.item["id"])
    hidden = await bench.done(project_id=elsewhere, inputs=area)
    own = await bench.done(as_=guest, inputs=area)
    assert own["cached_from"] is None and own["credits_charged"] > 0
    assert (await bench.done(as_=guest, inputs=area))["cached_from"] == own["id"]
    assert hidden["project_id"] == elsewhere


async def test_what_its_owner_may_not_see_any_more_is_not_read(bench: Bench) -> None:
    guest = await bench.api.member(bench.owner, "member")
    bench.api.sql(
        "insert into project_member (organization_id, project_id, user_id, role)"
        " values (%s, %s, %s, 'editor')",
        bench.owner.organization_id, bench.project, guest.user_id,
    )  # fmt: skip
    seen = await bench.done(as_=guest)
    waiting = [await bench.create(as_=guest, use_cache=use) for use in (True, False)]
    own = await bench.create(use_cache=False)
    bench.api.sql("delete from project_member where user_id = %s", guest.user_id)
    for job in waiting:
        ended = await bench.run(job)
        assert (ended["status"], ended["error"]["code"]) == ("failed", "scene_unreadable")
        assert "may not see" in ended["error"]["message"]
    assert (await bench.run(own))["status"] == seen["status"] == "completed"
    assert (await bench.ok("billing.credits.balance", {}))["reserved"] == 0


@pytest.mark.parametrize("lost", ["sight", "item"])
async def test_what_is_lost_while_a_job_reads_it_is_not_handed_out(bench: Bench, lost: str) -> None:
    guest = await bench.api.member(bench.owner, "member")
    elsewhere = await bench.api.project(bench.owner, "Elsewhere")
    for project in (bench.project, elsewhere):
        bench.api.sql(
            "insert into project_member (organization_id, project_id, user_id, role)"
            " values (%s, %s, %s, 'editor')",
            bench.owner.organization_id, project, guest.user_id,
        )  # fmt: skip
    real = make_compute()

    async def compute(*args: Any, **more: Any) -> Any:
        made = await real(*args, **more)
        if lost == "item":
            await bench.ok("items.delete", {"item_id": bench.item["id"]})
        else:
            bench.api.sql(
                "delete from project_member where user_id = %s and project_id = %s",
                guest.user_id, bench.project,
            )  # fmt: skip
        return made

    job = await bench.create(as_=guest, project_id=elsewhere)
    ended = await bench.run(job, compute=compute)
    if lost == "item":  # its file went with it: that may have been a replacement
        assert ended["status"] == "dispatched"
        ended = await bench.run(job)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "scene_unreadable")
    assert bench.api.sql("select id from item where job_id = %s", job["id"]) == []
    assert (await bench.ok("billing.credits.balance", {}))["reserved"] == 0


async def test_an_output_names_no_source_that_its_readers_may_not_see(bench: Bench) -> None:
    """An item of another project: in neither the item, nor, for a guest there, the receipt."""
    elsewhere = await bench.api.project(bench.owner, "Elsewhere")
    guest = await bench.api.member(bench.owner, "member")
    bench.api.sql(
        "insert into project_member (organization_id, project_id, user_id, role)"
        " values (%s, %s, %s, 'editor')",
        bench.owner.organization_id, elsewhere, guest.user_id,
    )  # fmt: skip
    for again in range(2):  # computed, and answered from the first
        job = await bench.done(project_id=elsewhere)
        assert (job["cached_from"] is None) is (again == 0)
        item = await bench.output(job)
        assert item["properties"]["processing:lineage"]
        assert bench.item["id"] not in json.dumps(item)
        name = {"job_id": job["id"]}
        (mine,) = (await bench.ok("processing.job.receipt", name))["recipe"]["sources"]
        (theirs,) = (await bench.ok("processing.job.receipt", name, guest))["recipe"]["sources"]
        assert mine["checksum"] and mine["metadata"]
        assert (theirs["checksum"], theirs["metadata"]) == (None, None)


async def test_another_organization_is_given_nothing(
    bench: Bench, catalogue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "key", lambda made: "of all recipes")
    first = await bench.done()
    other = await Bench(bench.api, catalogue).begin()
    job = await other.done()
    assert job["cached_from"] is None and job["credits_charged"] > 0
    # it is the organization that differs: at home anything is given now
    area = {"aoi_geometry": area_inside(bench.item, 0.31)}
    assert (await bench.done(inputs=area))["cached_from"] == first["id"]
    area = {"aoi_geometry": area_inside(other.item, 0.31)}
    assert (await other.done(inputs=area))["cached_from"] == job["id"]


def past(bench: Bench, job: dict[str, Any], count: int, **changes: str) -> None:
    """Jobs that ended as `job` did, before and after it; `changes` are SQL by column."""
    columns = {
        **{c: c for c in ("organization_id", "project_id", "job_type_id", "version", "status")},
        **{c: c for c in ("input_params", "recipe_key", "recipe", "outputs", "output_item_ids")},
        "id": "id || '_' || n",
        "completed_at": "completed_at + (n - 6.5) * interval '1 minute'",
        **changes,
    }
    bench.api.sql(
        f"insert into job ({', '.join(columns)}) select {', '.join(columns.values())}"
        " from job, generate_series(1, %s) n where id = %s",
        count, job["id"],
    )  # fmt: skip


async def test_jobs_whose_files_are_gone_stand_in_nobodys_way(bench: Bench) -> None:
    live = await bench.done()
    gone = "replace(recipe::text, output_item_ids[1], 'it_gone')::jsonb"
    past(bench, live, 12, recipe=gone)
    found = await bench.done()
    assert found["cached_from"] == live["id"] and found["credits_charged"] == 0
    for job in (live, found):
        await bench.ok("items.delete", {"item_id": job["output_item_ids"][0]})
    fresh = await bench.done()
    assert fresh["cached_from"] is None and fresh["credits_charged"] > 0


async def test_several_items_are_given_under_the_same_name_alone(bench: Bench) -> None:
    live = await bench.done(inputs={"output_name": "one"})
    several = "array_append(output_item_ids, 'it_more')"
    bench.api.sql(f"update job set output_item_ids = {several} where id = %s", live["id"])
    other = await bench.done(inputs={"output_name": "two"})
    assert other["cached_from"] is None
    same = await bench.done(inputs={"output_name": "one"})
    assert same["cached_from"] == live["id"]


async def test_outputs_say_what_made_them_as_stac_does(bench: Bench) -> None:
    job = await bench.done()
    item = await bench.output(job)
    assert item["properties"]["opstac:clip_rule"] == "pixel centre"
    (feature,) = (await bench.ok("stac.search", {"ids": [item["id"]]}))["features"]
    schema = json.loads((DATA / "stac-extensions" / "processing-v1.2.0.json").read_text())
    assert any("/processing/v1.2.0/" in uri for uri in feature["stac_extensions"])
    jsonschema.Draft7Validator(schema).validate(feature)
    software = feature["properties"]["processing:software"]
    assert software["opstac-clip"] == "1.0" and software["opstac"] == __version__
    assert bench.item["id"] in feature["properties"]["processing:lineage"]
    (link,) = [found for found in feature["links"] if found["rel"] == "derived_from"]
    headers = {"Authorization": f"Bearer {bench.owner.token}"}
    source = await bench.api.client.get(link["href"], headers=headers)
    assert source.json()["id"] == bench.item["stac_id"]
    # it stays when a client changes the item, and none can be made up
    changed = await bench.ok(
        "items.update",
        {"item_id": item["id"], "properties": {"a": 1, "opstac:derived_from": ["it_x"]}},
    )
    assert changed["properties"]["opstac:derived_from"] == [bench.item["id"]]
    made = await bench.catalogue.item(
        bench.owner, bench.project, properties={"opstac:derived_from": ["it_x"], "b": 2}
    )
    assert made["properties"] == {"b": 2}

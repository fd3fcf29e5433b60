"""Every way in which something changes: exactly its events, once, as published, of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import jsonschema
import pytest

from db.pool import make_pool
from ops_gateway.catalogue import removals
from ops_gateway.domains import jobs
from ops_gateway.kernel.authenticate import issue_job_token
from ops_gateway.surfaces import openapi
from opstac import chores
from opstac.journey import SAMPLES, area_inside

FIELDS = SAMPLES / "s2-flanders_2021-04_10m.tif"
Expected = list[tuple[str, str]]


def stac_item(name: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {"type": "Point", "coordinates": [1, 2]},
        "bbox": [1, 2, 1, 2],
        "properties": {"datetime": "2026-01-01T00:00:00Z", **properties},
        "links": [],
        "assets": {"a": {"href": "https://scenes.example/a.tif"}},
    }


class Yard:
    """An organization with a project, a collection and imagery; and what it is told of."""

    def __init__(self, api: Any, catalogue: Any, owner: Any, project: str, monkeypatch: Any):
        self.api, self.catalogue, self.owner, self.project = api, catalogue, owner, project
        self.breaks, self._patch = False, monkeypatch
        self.known: set[str] | None = None
        self.headers = {"Authorization": f"Bearer {owner.token}"}

    def begin(self) -> None:
        """What comes after this is the cause; where it breaks, no transaction of it commits."""
        if self.known is not None:
            return
        self.known = {row["id"] for row in self.events()}
        if self.breaks:
            self._patch.setenv("OPSTAC_FAULT", "commit:raise")

    def events(self) -> list[dict[str, Any]]:
        """What was committed since, and not by the set-up."""
        rows = self.api.sql(
            "select id, organization_id, type, entity_type, entity_id, project_id, data from event"
            " where organization_id = %s order by id",
            self.owner.organization_id,
        )
        return [row for row in rows if row["id"] not in (self.known or ())]

    async def ok(self, op: str, **body: Any) -> Any:
        return await self.api.ok(op, body, as_=self.owner)

    async def item(self, **more: Any) -> str:
        body = {"name": "s", "type": "user_raster", "project_id": self.project, **more}
        return (await self.ok("items.create", **body))["id"]

    async def collection(self) -> dict[str, Any]:
        return await self.ok("collections.create", project_id=self.project, name="c")

    async def http(self, method: str, path: str, **more: Any) -> Any:
        more["headers"] = {**self.headers, **more.pop("headers", {})}
        answer = await self.api.client.request(method, path, **more)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def ids(self, *names: str) -> dict[str, str]:
        """stac_id → the platform's id."""
        rows = self.api.sql(
            "select stac_id, id from item where organization_id = %s and stac_id = any(%s)",
            self.owner.organization_id,
            list(names),
        )
        return {row["stac_id"]: row["id"] for row in rows}

    async def upload(self, content: bytes | None = None) -> str:
        """A session with a file that is not completed."""
        made = await self.ok("uploads.initiate", project_id=self.project, total_bytes=10**6)
        body = {"upload_id": made["id"], "file_name": "fields.tif"}
        place = await self.ok("uploads.signed_url", **body)
        put = await self.api.client.put(place["upload_url"], content=content or FIELDS.read_bytes())
        assert put.is_success
        return made["id"]

    async def chore(self, name: str) -> None:
        settings = self.api.platform.settings
        async with make_pool(settings.dsn, "opstac_system", min_size=1, max_size=2) as system:
            for chore in chores.all_of(self.api.platform, system):
                if chore.name == name:
                    await chore.run()

    async def job(self, door: str = "native") -> str:
        """A job that runs, made by a door of the platform."""
        item, _ = await self.catalogue.scene(self.owner, self.project)
        source = {"source_item_id": item["id"]}
        self.api.sql(
            "insert into registered_worker (job_type_id, version, name)"
            " values ('ndvi', '1.0', 'of the ways')"
        )
        try:
            made = await self._made(door, item, source)
        finally:
            self.api.sql("delete from registered_worker where name = 'of the ways'")
        self.api.sql(
            "update job set status = 'running', epoch = 1, started_at = now() where id = %s", made
        )
        return made

    async def _made(self, door: str, item: dict[str, Any], source: dict[str, str]) -> str:
        match door:
            case "native":
                body = {"project_id": self.project, "job_type_id": "ndvi", "input_params": source}
                return (await self.ok("processing.create", **body))["job"]["id"]
            case "clip":
                body = {**source, "project_id": self.project, "aoi_geometry": area_inside(item)}
                return (await self.ok("clip.create_from_item", **body))["job"]["id"]
            case "ogc":
                headers = {"Prefer": "respond-async", "X-Project-Id": self.project}
                url = "/ogc/processes/ndvi/execution"
                body = {"inputs": source}
                return (await self.http("POST", url, json=body, headers=headers))["jobID"]
            case "astra":
                body = {"operation": "ndvi", "scene_ids": [item["id"]]}
                return (await self.http("POST", "/api/v1/process", json=body))["job_id"]
            case _:
                url = "/v2/processing/processes/ndvi/execution"
                link = f"/assets/stac/collections/{self.project}/items/{item['id']}"
                body = {"inputs": {"title": "t", "item": f"http://testserver{link}"}}
                params = {"workspaceId": self.project}
                return (await self.http("POST", url, json=body, params=params))["jobID"]

    async def register(self, job: str) -> list[str]:
        """What the job's worker does when it is done; ids of the items."""
        services = self.api.platform.services
        token = issue_job_token(
            services.keys, self.api.platform.settings.issuer, job_id=job,
            organization_id=self.owner.organization_id, epoch=1, seconds=600,
        )  # fmt: skip
        headers = {"Authorization": f"Bearer {token}"}
        url = f"/v1/jobs/{job}/outputs/out.tif"
        put = await self.http("PUT", url, content=FIELDS.read_bytes(), headers=headers)
        self.begin()
        body = {"job_id": job, "outputs": [{"object_path": put["object_path"]}]}
        answer = await self.http(
            "POST", "/v1/op/processing.job.register", json=body, headers=headers
        )
        return [item["id"] for item in answer["items"]]


# ---------------------------------------------------------------- the ways


async def items_create(yard: Yard) -> Expected:
    yard.begin()
    return [("item.created", await yard.item())]


async def items_update(yard: Yard) -> Expected:
    item = await yard.item()
    yard.begin()
    await yard.ok("items.update", item_id=item, name="other")
    await yard.ok("items.update", item_id=item, name="other")  # nothing changes
    return [("item.updated", item)]


async def items_duplicate(yard: Yard) -> Expected:
    item, _ = await yard.catalogue.scene(yard.owner, yard.project)
    yard.begin()
    return [("item.created", (await yard.ok("items.duplicate", item_id=item["id"]))["id"])]


async def items_delete(yard: Yard) -> Expected:
    item = await yard.item()
    yard.begin()
    await yard.ok("items.delete", item_id=item)
    await yard.api.refused(404, "items.delete", {"item_id": item}, as_=yard.owner)
    return [("item.deleted", item)]


async def assets_delete(yard: Yard) -> Expected:
    item, (asset,) = await yard.catalogue.scene(yard.owner, yard.project)
    yard.begin()
    await yard.ok("assets.delete", item_id=item["id"], asset_id=asset["id"])
    return [("item.updated", item["id"])]


async def items_set_asset_band_names(yard: Yard) -> Expected:
    item, (asset,) = await yard.catalogue.scene(yard.owner, yard.project)
    names = [f"n{n}" for n in range(len(asset["band_names"]))]
    yard.begin()
    body = {"item_id": item["id"], "asset_id": asset["id"], "band_names": names}
    await yard.ok("items.set_asset_band_names", **body)
    return [("item.updated", item["id"])]


async def items_import(yard: Yard) -> Expected:
    before = [stac_item("a"), stac_item("b")]
    await yard.ok("items.import", project_id=yard.project, items=before)
    now = [stac_item("a"), stac_item("b", platform="x"), stac_item("c"), {"id": "no item"}]
    yard.begin()
    made = await yard.ok("items.import", project_id=yard.project, items=now)
    assert [made[k] for k in ("created", "updated", "unchanged", "failed")] == [1, 1, 1, 1]
    ids = yard.ids("b", "c")
    return [("item.updated", ids["b"]), ("item.created", ids["c"])]


async def items_import_atomic(yard: Yard) -> Expected:
    items = [stac_item("a"), stac_item("b"), {"id": "no item"}]
    yard.begin()
    body = {"project_id": yard.project, "items": items, "atomic": True}
    assert (await yard.api.call("items.import", body, as_=yard.owner)).status_code >= 400
    return []


async def items_expire(yard: Yard) -> Expected:
    item = await yard.item()
    yard.api.sql("update item set expires_at = now() - interval '1 s' where id = %s", item)
    yard.begin()
    await yard.chore("expire items")
    return [("item.updated", item)]


async def stac_post(yard: Yard) -> Expected:
    url = f"/assets/stac/collections/{(await yard.collection())['id']}/items"
    yard.begin()
    await yard.http("POST", url, json=stac_item("a"))
    many = {"type": "FeatureCollection", "features": [stac_item("b"), stac_item("c")]}
    await yard.http("POST", url, json=many)
    return [("item.created", item) for item in yard.ids("a", "b", "c").values()]


async def stac_change(yard: Yard) -> Expected:
    url = f"/assets/stac/collections/{(await yard.collection())['id']}/items"
    await yard.http("POST", url, json=stac_item("a"))
    item = yard.ids("a")["a"]
    yard.begin()
    await yard.http("PUT", f"{url}/a", json=stac_item("a", platform="y"))
    await yard.http("PATCH", f"{url}/a", json={"properties": {"platform": "z"}})
    await yard.http("DELETE", f"{url}/a")
    return [("item.updated", item), ("item.updated", item), ("item.deleted", item)]


async def stac_bulk(yard: Yard) -> Expected:
    url = f"/assets/stac/collections/{(await yard.collection())['id']}/bulk_items"
    await yard.http("POST", url, json={"items": {"a": stac_item("a")}, "method": "insert"})
    yard.begin()
    items = {"a": stac_item("a", platform="x"), "b": stac_item("b")}
    await yard.http("POST", url, json={"items": items, "method": "upsert"})
    ids = yard.ids("a", "b")
    return [("item.updated", ids["a"]), ("item.created", ids["b"])]


async def uploads_complete(yard: Yard) -> Expected:
    upload = await yard.upload()
    yard.begin()
    done = await yard.ok("uploads.complete", upload_id=upload)
    return [("item.created", done["items"][0]["id"]), ("upload.completed", upload)]


async def uploads_add(yard: Yard) -> Expected:
    item, _ = await yard.catalogue.scene(yard.owner, yard.project)
    upload = await yard.upload()
    aim = "update upload set target_item_id = %s, asset_key = 'more' where id = %s"
    yard.api.sql(aim, item["id"], upload)
    yard.begin()
    await yard.ok("uploads.complete", upload_id=upload)
    return [("item.updated", item["id"]), ("upload.completed", upload)]


async def uploads_unreadable(yard: Yard) -> Expected:
    upload = await yard.upload(b"no raster")
    yard.begin()
    await yard.api.refused(422, "uploads.complete", {"upload_id": upload}, as_=yard.owner)
    return [("upload.failed", upload)]


async def uploads_fail(yard: Yard) -> Expected:
    upload = await yard.upload()
    yard.begin()
    await yard.ok("uploads.fail", upload_id=upload, error_message="gave up")
    return [("upload.failed", upload)]


async def uploads_expire(yard: Yard) -> Expected:
    upload, other = await yard.upload(), await yard.upload()
    yard.api.sql("update upload set expires_at = now() - interval '1 s' where id = %s", upload)
    yard.begin()
    await asyncio.gather(*(yard.chore("expire uploads") for _ in range(3)))
    assert (await yard.ok("uploads.get", upload_id=other))["upload"]["status"] == "uploading"
    return [("upload.failed", upload)]


def done_by(door: str) -> Callable[[Yard], Awaitable[Expected]]:
    async def done(yard: Yard) -> Expected:
        job = await yard.job(door)
        made = await yard.register(job)
        return [*(("item.created", item) for item in made), ("processing.completed", job)]

    return done


def failed_by(door: str) -> Callable[[Yard], Awaitable[Expected]]:
    async def failed(yard: Yard) -> Expected:
        job = await yard.job(door)
        organization, pipeline = yard.owner.organization_id, yard.api.platform.pipeline
        yard.begin()
        await jobs.end(pipeline, organization, job, 1, code="timeout", message="too long")
        with pytest.raises(jobs.StaleRun):
            await jobs.end(pipeline, organization, job, 1, code="timeout", message="too long")
        return [("processing.failed", job)]

    return failed


async def jobs_delete(yard: Yard) -> Expected:
    job = await yard.job()
    yard.begin()
    await yard.ok("processing.job.delete", job_id=job)
    return [("processing.failed", job)]


async def jobs_dismiss(yard: Yard) -> Expected:
    job = await yard.job("ogc")
    yard.begin()
    for _ in range(2):  # the second hides what ended
        await yard.http("DELETE", f"/ogc/jobs/{job}")
    return [("processing.failed", job)]


async def jobs_cancelled_by_worker(yard: Yard) -> Expected:
    job = await yard.job()
    yard.begin()
    await jobs.end(yard.api.platform.pipeline, yard.owner.organization_id, job, 1)
    return [("processing.failed", job)]


async def jobs_expire(yard: Yard) -> Expected:
    job = await yard.job()
    yard.api.sql("update hold set expires_at = now() - interval '1 s' where job_id = %s", job)
    yard.begin()
    await asyncio.gather(*(yard.chore("expire jobs") for _ in range(2)))
    return [("processing.failed", job)]


async def collections_delete(yard: Yard) -> Expected:
    collection = (await yard.collection())["id"]
    kept, made = await yard.item(), [await yard.item(collection_id=collection) for _ in range(5)]
    yard.begin()
    body = {"project_id": yard.project, "collection_id": collection, "items": "delete"}
    await yard.ok("collections.delete", **body)
    for _ in range(2):
        await yard.chore("remove items")
    assert kept not in made
    return [("item.deleted", item) for item in made]


async def projects_delete(yard: Yard) -> Expected:
    made = [await yard.item() for _ in range(4)]
    collection = (await yard.collection())["id"]
    made.append(await yard.item(collection_id=collection))
    gone = await yard.item()
    await yard.ok("items.delete", item_id=gone)
    upload, job = await yard.upload(), await yard.job()
    yard.api.sql("update job set status = 'dispatched' where id = %s", job)
    made.append(
        yard.api.sql("select source_item_ids[1] as id from job where id = %s", job)[0]["id"]
    )
    yard.begin()
    await yard.ok("projects.delete", project_id=yard.project)
    for _ in range(2):
        await yard.chore("remove items")
    ended = [("upload.failed", upload), ("processing.failed", job)]
    return [*(("item.deleted", item) for item in made), *ended]


async def share_links(yard: Yard) -> Expected:
    item = await yard.item()
    yard.begin()
    body = {
        "target_type": "item", "target_id": item, "permission": "view",
        "password": "a long password", "expires_at": "2100-01-01T00:00:00Z",
    }  # fmt: skip
    link = (await yard.ok("share.link.create", **body))["id"]
    await yard.ok("share.link.revoke", link_id=link)
    return [("share.created", link), ("share.revoked", link)]


DOORS = ("native", "clip", "ogc", "astra", "provider")
WAYS = {
    way.__name__: way
    for way in (
        *(items_create, items_update, items_duplicate, items_delete, assets_delete),
        *(items_set_asset_band_names, items_import, items_import_atomic, items_expire),
        *(stac_post, stac_change, stac_bulk),
        *(uploads_complete, uploads_add, uploads_unreadable, uploads_fail, uploads_expire),
        *(jobs_delete, jobs_dismiss, jobs_cancelled_by_worker, jobs_expire),
        *(collections_delete, projects_delete, share_links),
    )
}
WAYS |= {"done_by_native": done_by("native"), "failed_by_native": failed_by("native")}
BY_DOOR = {f"done_by_{door}": done_by(door) for door in DOORS[1:]}


@pytest.fixture
async def yard(api: Any, catalogue: Any, monkeypatch: Any) -> Yard:
    monkeypatch.setattr(removals, "BATCH", 2)
    owner = await api.organization()
    return Yard(api, catalogue, owner, await api.project(owner), monkeypatch)


def as_published(event: dict[str, Any]) -> dict[str, Any]:
    """An event as its receivers get it."""
    return {
        "event_id": event["id"],
        "event_type": event["type"],
        "timestamp": "2026-01-01T00:00:00Z",
        "data": event["data"],
        **{name: event[name] for name in ("organization_id", "entity_type", "entity_id")},
    }


@pytest.mark.parametrize("way", [*WAYS, *BY_DOOR])
async def test_a_change_is_told_once_and_as_published(yard, way):
    expected = await (WAYS | BY_DOOR)[way](yard)
    told = yard.events()
    assert sorted((e["type"], e["entity_id"]) for e in told) == sorted(expected)
    document = openapi.document()
    for event in told:
        assert event["project_id"] == event["data"]["project_id"] == yard.project
        content = document["webhooks"][event["type"]]["post"]["requestBody"]["content"]
        schema = {**content["application/json"]["schema"], "components": document["components"]}
        jsonschema.validate(as_published(event), schema)
    # nobody else is told of it
    ids = [entity_id for _, entity_id in expected]
    others = yard.api.sql(
        "select id from event where entity_id = any(%s) and organization_id <> %s",
        ids,
        yard.owner.organization_id,
    )
    assert others == []


@pytest.mark.parametrize("way", WAYS)
async def test_what_was_rolled_back_is_told_to_nobody(yard, way):
    yard.breaks = True
    with suppress(AssertionError, KeyError, RuntimeError):  # it cannot do what it sets out to
        await WAYS[way](yard)
    assert yard.known is not None and yard.events() == []

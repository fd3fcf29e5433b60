"""What nobody can make of the storage: more than a quota, or other bytes than were looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from db.pool import make_pool
from ops_gateway.domains import uploads_complete
from ops_gateway.domains.billing import grant_credits
from opstac import chores
from opstac.journey import SAMPLES

FIELDS = (SAMPLES / "s2-flanders_2021-04_10m.tif").read_bytes()


async def slowly(first: bytes, rest: bytes, gate: asyncio.Event) -> AsyncIterator[bytes]:
    """A body that stops in the middle until the gate opens."""
    yield first
    await gate.wait()
    yield rest


class Yard:
    """An organization with a project, and its storage."""

    def __init__(self, api, owner, project):
        self.api, self.owner, self.project = api, owner, project

    async def ok(self, op, **body):
        return await self.api.ok(op, body, as_=self.owner)

    async def refused(self, status_code, op, **body):
        return await self.api.refused(status_code, op, body, as_=self.owner)

    async def session(self, **body):
        return (await self.ok("uploads.initiate", project_id=self.project, **body))["id"]

    async def place(self, session, name="fields.tif"):
        body = {"upload_id": session, "file_name": name}
        return await self.ok("uploads.signed_url", **body)

    async def put(self, session, content, name="fields.tif"):
        place = await self.place(session, name)
        return await self.api.client.put(place["upload_url"], content=content)

    async def download(self, asset):
        body = {"item_id": asset["item_id"], "asset_id": asset["id"]}
        link = await self.ok("items.asset.download", **body)
        return (await self.api.client.get(link["url"])).content

    def quota(self, room=None):
        """(reserved, used); with `room` first leave so many bytes."""
        if room is not None:
            self.api.sql(
                "update organization set storage_quota_bytes ="
                " storage_used_bytes + storage_reserved_bytes + %s where organization_id = %s",
                room,
                self.owner.organization_id,
            )
        row = self.api.sql(
            "select storage_reserved_bytes r, storage_used_bytes u from organization"
            " where organization_id = %s",
            self.owner.organization_id,
        )[0]
        return row["r"], row["u"]

    def stored(self):
        """Paths of the organization's rasters on disk, growing ones too; not of their pictures."""
        root = self.api.platform.services.objects.local_file("x").parent
        own = (root / self.owner.organization_id, root / "jobs")
        files = (p for o in own for p in o.rglob("*") if p.is_file() and p.suffix != ".jpg")
        return sorted(str(p.relative_to(root)) for p in files)

    async def chore(self, name):
        """Run a chore of the maintenance loop as if all marks were old."""
        settings = self.api.platform.settings
        async with make_pool(settings.dsn, "opstac_system", min_size=1, max_size=2) as system:
            for chore in chores.all_of(self.api.platform, system):
                if chore.name == name:
                    return await chore.run()
        raise KeyError(name)

    async def sweep(self):
        self.api.sql("update removed_object set removed_at = now() - interval '1 hour'")
        await self.chore("sweep objects")


@pytest.fixture
async def yard(api):
    owner = await api.organization()
    return Yard(api, owner, await api.project(owner))


# ---------------------------------------------------------------- other bytes than were looked at


async def test_a_slow_put_cannot_replace_a_file_that_is_an_asset(yard):
    session = await yard.session()
    place = await yard.place(session)
    assert (await yard.api.client.put(place["upload_url"], content=FIELDS)).is_success
    gate = asyncio.Event()
    body = slowly(b"other ", b"bytes", gate)
    late = asyncio.create_task(yard.api.client.put(place["upload_url"], content=body))
    await asyncio.sleep(0.1)
    done = await yard.ok("uploads.complete", upload_id=session)
    gate.set()
    assert (await late).status_code == 409
    assert await yard.download(done["assets"][0]) == FIELDS


async def test_a_put_between_two_looks_cannot_replace_a_file_that_is_an_asset(yard, monkeypatch):
    """The last moment: the object itself is replaced after it was looked at."""
    session = await yard.session()
    assert (await yard.put(session, FIELDS)).is_success
    place = await yard.place(session)
    pipeline = yard.api.platform.pipeline
    child = pipeline.services.child

    async def then_swapped(function, /, **kwargs):
        found = await child(function, **kwargs)
        if function == "prepare":
            await pipeline.services.objects.put(place["object_path"], b"other bytes")
        return found

    monkeypatch.setitem(vars(pipeline.services), "child", then_swapped)
    done = await yard.ok("uploads.complete", upload_id=session)
    assert await yard.download(done["assets"][0]) == FIELDS


async def test_a_slow_put_cannot_replace_an_output_that_is_an_asset(yard):
    job = await external_job(yard)
    url = f"/v1/jobs/{job}/outputs/a.tif"
    headers = {"Authorization": f"Bearer {yard.owner.token}"}
    gate = asyncio.Event()
    body = slowly(b"other ", b"bytes", gate)
    late = asyncio.create_task(yard.api.client.put(url, content=body, headers=headers))
    await asyncio.sleep(0.1)
    put = await yard.api.client.put(url, content=FIELDS, headers=headers)
    path = put.json()["object_path"]
    done = await yard.ok("processing.job.register", job_id=job, outputs=[{"object_path": path}])
    gate.set()
    assert (await late).status_code == 409
    item = (await yard.ok("items.get", item_id=done["items"][0]["id"]))["item"]
    assert await yard.download(item["assets"][0]) == FIELDS
    assert yard.stored() == [path]


async def external_job(yard):
    """A dispatched job that waits for files from outside."""
    pipeline = yard.api.platform.pipeline
    await grant_credits(pipeline, yard.owner.organization_id, 100, "for a test", by="test")
    body = {"project_id": yard.project, "job_type_id": "external"}
    return (await yard.ok("processing.create_and_dispatch", **body))["job"]["id"]


# ---------------------------------------------------------------- more than the quota


async def test_the_files_of_a_session_share_its_reservation(yard):
    session = await yard.session(file_count=3, total_bytes=10)
    assert (await yard.put(session, b"0123456", "a.tif")).status_code == 201
    assert (await yard.put(session, b"0123", "b.tif")).status_code == 413
    assert (await yard.put(session, b"012", "b.tif")).status_code == 201
    # a file sent again counts once
    assert (await yard.put(session, b"0123456", "a.tif")).status_code == 201
    assert yard.quota() == (10, 0)


async def test_a_session_that_said_no_size_reserves_what_arrives(yard):
    yard.quota(room=10)
    session = await yard.session(file_count=3)
    assert (await yard.put(session, b"0123456", "a.tif")).status_code == 201
    assert yard.quota() == (7, 0)
    assert (await yard.put(session, b"0123", "b.tif")).status_code in (402, 413)
    assert (await yard.put(session, b"012", "b.tif")).status_code == 201
    assert yard.quota() == (10, 0)
    await yard.refused(402, "uploads.initiate", project_id=yard.project, total_bytes=1)
    await yard.ok("uploads.fail", upload_id=session, error_message="enough")
    assert yard.quota() == (0, 0)


async def test_two_sessions_cannot_fill_the_same_room(yard):
    yard.quota(room=10)
    gate = asyncio.Event()
    places = [await yard.place(await yard.session()) for _ in range(4)]
    puts = [
        asyncio.create_task(
            yard.api.client.put(p["upload_url"], content=slowly(b"0123", b"456", gate))
        )
        for p in places
    ]
    await asyncio.sleep(0.1)
    gate.set()
    answers = sorted([(await put).status_code for put in puts])
    assert answers == [201, 402, 402, 402]
    assert yard.quota() == (7, 0) and len(yard.stored()) == 1


async def test_a_cog_that_outgrows_the_quota_leaves_the_session_open(yard, monkeypatch):
    session = await yard.session(total_bytes=len(FIELDS))
    assert (await yard.put(session, FIELDS)).is_success
    yard.quota(room=0)
    pipeline = yard.api.platform.pipeline
    child = pipeline.services.child

    async def grown(function, /, **kwargs):
        found = await child(function, **kwargs)
        if function != "prepare":
            return found
        size = found["info"]["size_bytes"] + 1
        return {**found, "info": {**found["info"], "size_bytes": size}}

    monkeypatch.setitem(vars(pipeline.services), "child", grown)
    await yard.refused(402, "uploads.complete", upload_id=session)
    assert (await yard.ok("uploads.get", upload_id=session))["upload"]["status"] == "uploading"
    yard.quota(room=1)
    done = await yard.ok("uploads.complete", upload_id=session)
    assert done["upload"]["status"] == "completed"
    # what the first try kept is swept up, and nothing else
    await yard.sweep()
    assert len(yard.stored()) == 1
    assert await yard.download(done["assets"][0]) == FIELDS


async def test_a_queued_file_that_outgrows_the_quota_ends_its_session(yard, monkeypatch):
    from dataclasses import replace

    session = await yard.session(total_bytes=len(FIELDS))
    assert (await yard.put(session, FIELDS)).is_success
    pipeline = yard.api.platform.pipeline
    options = replace(pipeline.services.options, convert_inline_bytes=1000)
    child = pipeline.services.child

    async def grown(function, /, **kwargs):
        found = await child(function, **kwargs)
        return {**found, "info": {**found["info"], "size_bytes": 10**9}}

    monkeypatch.setattr(
        pipeline, "services", replace(pipeline.services, options=options, child=grown)
    )
    await yard.ok("uploads.complete", upload_id=session)
    yard.quota(room=0)
    await uploads_complete.convert_queued(pipeline, yard.owner.organization_id, session)
    upload = (await yard.ok("uploads.get", upload_id=session))["upload"]
    assert upload["status"] == "failed" and "quota" in upload["error_message"]
    assert yard.quota() == (0, 0)
    await yard.sweep()
    assert yard.stored() == []


async def test_outputs_of_a_job_keep_to_the_quota(yard):
    job = await external_job(yard)
    yard.quota(room=10)
    headers = {"Authorization": f"Bearer {yard.owner.token}"}
    codes = [
        (
            await yard.api.client.put(
                f"/v1/jobs/{job}/outputs/{name}", content=b"0123456", headers=headers
            )
        ).status_code
        for name in ("a.tif", "b.tif", "a.tif")
    ]
    assert codes == [201, 402, 201]
    assert len(yard.stored()) == 1


# ---------------------------------------------------------------- what is left behind


async def test_an_expired_session_leaves_no_files(yard):
    session = await yard.session(file_count=2, total_bytes=100)
    assert (await yard.put(session, b"0123")).is_success
    yard.api.sql("update upload set expires_at = now() - interval '1 s' where id = %s", session)
    await yard.chore("expire uploads")
    upload = (await yard.ok("uploads.get", upload_id=session))["upload"]
    assert (upload["status"], yard.quota()) == ("expired", (0, 0))
    await yard.sweep()
    assert yard.stored() == []


async def test_files_of_a_job_that_never_became_assets_are_removed(yard):
    job = await external_job(yard)
    headers = {"Authorization": f"Bearer {yard.owner.token}"}
    url = f"/v1/jobs/{job}/outputs/"
    kept = await yard.api.client.put(url + "a.tif", content=FIELDS, headers=headers)
    await yard.api.client.put(url + "b.tif", content=b"never named", headers=headers)
    path = kept.json()["object_path"]
    await yard.ok("processing.job.register", job_id=job, outputs=[{"object_path": path}])
    await yard.chore("sweep outputs")
    await yard.sweep()
    assert len(yard.stored()) == 2  # a day is left to look at them
    yard.api.sql("update job set completed_at = now() - interval '2 days' where id = %s", job)
    await yard.chore("sweep outputs")
    await yard.sweep()
    assert yard.stored() == [path]

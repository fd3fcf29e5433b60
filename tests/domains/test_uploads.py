"""Uploads: a session from its reservation to items, and every way it can end otherwise."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from opstac.journey import SAMPLES

FIELDS = SAMPLES / "s2-flanders_2021-04_10m.tif"


def raw_tiff(path: Path, size: int = 600) -> Path:
    """A striped GeoTIFF without overviews or statistics."""
    pixels = np.arange(size * size, dtype="uint16").reshape(size, size)
    with rasterio.open(
        path, "w", driver="GTiff", width=size, height=size, count=1, dtype="uint16",
        crs="EPSG:32633", transform=from_origin(500000, 5200000, 10, 10),
    ) as dataset:  # fmt: skip
        dataset.write(pixels, 1)
    return path


class Session:
    """One upload session of one organization."""

    def __init__(self, api, owner, project, row):
        self.api, self.owner, self.project, self.id = api, owner, project, row["id"]

    async def ok(self, op, **body):
        return await self.api.ok(f"uploads.{op}", {"upload_id": self.id, **body}, as_=self.owner)

    async def refused(self, status_code, op, **body):
        body = {"upload_id": self.id, **body}
        return await self.api.refused(status_code, f"uploads.{op}", body, as_=self.owner)

    async def put(self, name, content):
        place = await self.ok("signed_url", file_name=name)
        return await self.api.client.put(place["upload_url"], content=content)

    async def quota(self):
        rows = self.api.sql(
            "select storage_reserved_bytes r, storage_used_bytes u from organization "
            "where organization_id = %s",
            self.owner.organization_id,
        )
        return rows[0]["r"], rows[0]["u"]


@pytest.fixture
async def open_session(api):
    async def make(total_bytes=0, **body):
        owner = await api.organization()
        project = await api.project(owner)
        body = {"project_id": project, "total_bytes": total_bytes, **body}
        row = await api.ok("uploads.initiate", body, as_=owner)
        return Session(api, owner, project, row)

    return make


async def test_a_valid_cog_becomes_an_item_with_its_place_bands_and_lineage(open_session):
    content = FIELDS.read_bytes()
    session = await open_session(len(content))
    assert await session.quota() == (len(content), 0)
    assert (await session.put("fields.tif", content)).status_code in (200, 201)
    done = await session.ok("complete", name="fields", datetime="2021-04-01T00:00:00Z")
    assert done["upload"]["status"] == "completed"
    item, asset = done["items"][0], done["assets"][0]
    assert item["name"] == "fields" and item["upload_id"] == session.id
    assert item["datetime"] == "2021-04-01T00:00:00Z"
    assert item["geometry"]["type"] in ("Polygon", "MultiPolygon") and len(item["bbox"]) == 4
    assert asset["is_cog"] and asset["band_names"][:3] == ["blue", "green", "red"]
    assert asset["epsg"] == 32631 and asset["size_bytes"] == len(content)
    body = {"item_id": item["id"], "pictures": True}
    listed = await session.api.ok("items.list_assets", body, as_=session.owner)
    assert await session.quota() == (0, sum(a["size_bytes"] for a in listed["assets"]))
    lineage = await session.api.ok(
        "provenance.get", {"entity_type": "item", "entity_id": item["id"]}, as_=session.owner
    )
    assert ("upload", session.id) in {(e["dst_type"], e["dst_id"]) for e in lineage["edges"]}


async def test_a_raw_tiff_is_rewritten_with_the_same_pixels(open_session, tmp_path):
    raw = raw_tiff(tmp_path / "raw.tif")
    session = await open_session()
    assert (await session.put("raw.tif", raw.read_bytes())).is_success
    done = await session.ok("complete")
    asset = done["assets"][0]
    assert asset["is_cog"] and done["items"][0]["name"] == "raw"
    link = await session.api.ok(
        "items.asset.download",
        {"item_id": asset["item_id"], "asset_id": asset["id"]},
        as_=session.owner,
    )
    content = (await session.api.client.get(link["url"])).content
    with rasterio.open(io.BytesIO(content)) as kept, rasterio.open(raw) as source:
        assert (kept.read() == source.read()).all()
        assert kept.compression.value == "ZSTD" and kept.overviews(1)
        assert "STATISTICS_MEAN" in kept.tags(1)


@pytest.mark.parametrize(
    "content",
    [b"", b"this is text, not a raster", FIELDS.read_bytes()[:3000], b"II*\x00" + b"\xff" * 500],
    ids=["empty", "text", "truncated", "garbage"],
)
async def test_an_unreadable_file_ends_the_session_and_frees_its_room(open_session, content):
    session = await open_session(100_000)
    assert (await session.put("broken.tif", content)).is_success
    problem = await session.refused(422, "complete")
    assert problem["detail"][0]["msg"]
    upload = (await session.ok("get"))["upload"]
    assert upload["status"] == "failed" and upload["error_message"]
    assert await session.quota() == (0, 0)
    await session.refused(409, "complete")


async def test_a_file_that_was_never_put_leaves_the_session_open(open_session):
    session = await open_session(FIELDS.stat().st_size)
    place = await session.ok("signed_url", file_name="fields.tif")
    await session.refused(409, "complete")
    assert (await session.ok("get"))["upload"]["status"] == "uploading"
    put = await session.api.client.put(place["upload_url"], content=FIELDS.read_bytes())
    assert put.is_success
    assert (await session.ok("complete"))["upload"]["status"] == "completed"


async def test_completing_twice_at_once_makes_one_item(open_session):
    import asyncio

    content = FIELDS.read_bytes()
    session = await open_session(len(content))
    await session.put("fields.tif", content)
    answers = await asyncio.gather(
        *(
            session.api.call("uploads.complete", {"upload_id": session.id}, as_=session.owner)
            for _ in range(4)
        )
    )
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409]
    listed = await session.api.ok("items.list", {"project_id": session.project}, as_=session.owner)
    assert listed["total"] == 1


async def test_a_repeated_completion_with_its_key_is_replayed(open_session):
    content = FIELDS.read_bytes()
    session = await open_session(len(content))
    await session.put("fields.tif", content)
    body = {"upload_id": session.id}
    first = await session.api.call("uploads.complete", body, as_=session.owner, key="once")
    second = await session.api.call("uploads.complete", body, as_=session.owner, key="once")
    assert first.content == second.content and first.status_code == 200
    assert second.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    "name", ["../up.tif", "a/b.tif", "a\\b.tif", "a\x00.tif", "a‮fit.tif", "a.zip", "", "x" * 300]
)
async def test_a_file_name_is_a_label_and_nothing_else(open_session, name):
    session = await open_session()
    await session.refused(422, "signed_url", file_name=name)


async def test_no_more_is_stored_than_was_reserved(open_session):
    session = await open_session(10)
    assert (await session.put("big.tif", FIELDS.read_bytes())).status_code == 413


async def test_the_quota_cannot_be_overdrawn(api, open_session):
    session = await open_session()
    api.sql(
        "update organization set storage_quota_bytes = 1000 where organization_id = %s",
        session.owner.organization_id,
    )
    body = {"project_id": session.project, "total_bytes": 1001}
    await api.refused(402, "uploads.initiate", body, as_=session.owner)
    await api.ok("uploads.initiate", {**body, "total_bytes": 1000}, as_=session.owner)
    await api.refused(402, "uploads.initiate", {**body, "total_bytes": 1}, as_=session.owner)


async def test_giving_up_frees_the_room_and_nothing_changes_afterwards(open_session):
    session = await open_session(5000)
    failed = await session.ok("fail", error_message="the cable was cut", error_step="put")
    assert (failed["status"], failed["error_message"]) == ("failed", "the cable was cut")
    assert await session.quota() == (0, 0)
    for op, body in [
        ("signed_url", {"file_name": "a.tif"}),
        ("progress", {"status": "uploading"}),
        ("fail", {"error_message": "again"}),
        ("complete", {}),
    ]:
        await session.refused(409, op, **body)


async def test_several_files_become_assets_of_one_item(open_session, tmp_path):
    session = await open_session(file_count=2)
    await session.put("fields.tif", FIELDS.read_bytes())
    await session.put("mask.tif", raw_tiff(tmp_path / "m.tif", 64).read_bytes())
    done = await session.ok("complete")
    assert len(done["items"]) == 1
    assert sorted(a["key"] for a in done["assets"]) == ["data", "mask"]


async def test_a_large_file_is_rewritten_by_the_worker(open_session, tmp_path, monkeypatch):
    from dataclasses import replace

    from ops_gateway.domains import uploads_complete

    session = await open_session()
    pipeline = session.api.platform.pipeline
    options = replace(pipeline.services.options, convert_inline_bytes=1000)
    monkeypatch.setattr(pipeline, "services", replace(pipeline.services, options=options))
    raw = raw_tiff(tmp_path / "raw.tif")
    await session.put("raw.tif", raw.read_bytes())
    answer = await session.ok("complete", name="large")
    assert (answer["upload"]["status"], answer["items"]) == ("processing", [])
    queued = session.api.sql(
        "select args from queue.procrastinate_jobs where args ->> 'event_id' = %s", session.id
    )
    assert [row["args"]["reaction"] for row in queued] == ["uploads.convert"]
    await session.refused(409, "complete")  # it is being carried out
    for _ in range(2):  # the queue may run it twice
        await uploads_complete.convert_queued(pipeline, session.owner.organization_id, session.id)
    upload = (await session.ok("get"))["upload"]
    assert upload["status"] == "completed" and len(upload["item_ids"]) == 1
    listed = await session.api.ok("items.list", {"project_id": session.project}, as_=session.owner)
    assert [i["name"] for i in listed["items"]] == ["large"]


async def test_a_small_file_of_very_many_pixels_is_the_workers_task(open_session, tmp_path):
    path = tmp_path / "sparse.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=60_000, height=60_000, count=1, dtype="uint8", tiled=True,
        crs="EPSG:32633", transform=from_origin(500000, 5200000, 1, 1), SPARSE_OK="TRUE",
        compress="deflate",
    ):  # fmt: skip
        pass
    assert path.stat().st_size < 2_000_000
    session = await open_session()
    assert (await session.put("sparse.tif", path.read_bytes())).is_success
    answer = await session.ok("complete")
    assert (answer["upload"]["status"], answer["items"]) == ("processing", [])
